//! Whether a disk has room.

use std::path::Path;

use crate::error::{Error, Result};

/// A build that went well fails if docker cannot write its `--iidfile`, so a disk that is all but full is full.
pub(super) fn has_room(folder: &Path) -> Result<()> {
    const ENOUGH: u64 = 1024 * 1024;
    // Where a file system does not tell, it is believed to have room; some know no number of files.
    let full = rustix::fs::statvfs(folder).is_ok_and(|disk| {
        disk.f_bavail.saturating_mul(disk.f_frsize) < ENOUGH || disk.f_files > 0 && disk.f_favail < 16
    });
    if full {
        let tried = format!("writing to {}", folder.display());
        return Err(Error::failed(tried, "the disk is full").hint("make room, or point DKB_STATE_DIR elsewhere"));
    }
    Ok(())
}

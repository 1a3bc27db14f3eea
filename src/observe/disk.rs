//! How full the disk is, and how many bytes are to come back.

// What an engine says may be any number.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::path::{Path, PathBuf};

use super::host::HostObservation;
use crate::config::DiskPressure;
use crate::error::{Error, Result};
use crate::files;
use crate::model::{DiskMark, EngineInfo, Image};

/// The bytes that are to come back; none below the high mark.
pub(crate) async fn need(seen: &mut HostObservation, pressure: DiskPressure) -> Result<u64> {
    match (pressure.above, pressure.down_to) {
        (DiskMark::Bytes(above), DiskMark::Bytes(down_to)) => {
            let used = seen.disk().await?;
            Ok(if used > above { used.saturating_sub(down_to) } else { 0 })
        }
        (DiskMark::Percent(above), DiskMark::Percent(down_to)) => {
            if !seen.is_root_here() {
                return Err(Error::usage(
                    "measuring the engine's disk",
                    format!("'{}' of {} is not known to be on this machine", seen.info.root_dir, seen.info.endpoint),
                )
                .hint(
                    "give the marks as sizes, such as --when-disk-above 200GB: then the engine's own count is used",
                ));
            }
            let (used, all) = disk_of(Path::new(&seen.info.root_dir))?;
            let share =
                |percent: u8| u64::try_from(u128::from(all).saturating_mul(percent.into()) / 100).unwrap_or(u64::MAX);
            Ok(if used > share(above) { used.saturating_sub(share(down_to)) } else { 0 })
        }
        _ => Err(Error::usage("measuring the engine's disk", "the two marks are of different kinds")),
    }
}

/// Used bytes, and those with what everybody may still use, as `df` counts.
fn disk_of(folder: &Path) -> Result<(u64, u64)> {
    let stat = rustix::fs::statvfs(folder)
        .map_err(|error| Error::failed(format!("measuring the disk of {}", folder.display()), error))?;
    let used = stat.f_blocks.saturating_sub(stat.f_bfree).saturating_mul(stat.f_frsize);
    Ok((used, used.saturating_add(stat.f_bavail.saturating_mul(stat.f_frsize))))
}

/// The folder may be another machine's, or another container's, and the same path may exist here: only if it
/// holds what the engine lists is it the engine's.
pub(crate) fn is_root_here(info: &EngineInfo, images: &[Image]) -> bool {
    let root = Path::new(&info.root_dir);
    if !root.is_absolute() || !info.endpoint.starts_with("unix://") {
        return false;
    }
    let said = files::read_text(&root.join("engine-id"), files::SETTINGS).unwrap_or_default();
    if !said.trim().is_empty() {
        return info.identity.as_deref() == Some(said.trim());
    }
    let Ok(drivers) = std::fs::read_dir(root.join("image")) else { return false };
    let stores: Vec<PathBuf> = drivers.flatten().map(|driver| driver.path().join("imagedb/content/sha256")).collect();
    !images.is_empty() && images.iter().all(|image| stores.iter().any(|store| store.join(image.id.digits()).is_file()))
}

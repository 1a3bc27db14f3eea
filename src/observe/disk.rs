//! The disk that an engine is on.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::files;
use crate::model::{EngineInfo, Image};

/// Used bytes, and those with what everybody may still use, as `df` counts.
pub(super) fn disk_of(folder: &Path) -> Result<(u64, u64)> {
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

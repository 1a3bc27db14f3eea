//! How full the disk is, and how many bytes are to come back.

use std::path::Path;

use super::disk::disk_of;
use super::host::HostObservation;
use crate::config::DiskPressure;
use crate::error::{Error, Result};
use crate::model::{DiskMark, DiskUse};

/// How full it is, and what is to come back.
pub(crate) async fn look(seen: &mut HostObservation, pressure: DiskPressure) -> Result<DiskUse> {
    let (used, all, need) = measure(seen, pressure).await?;
    Ok(DiskUse { used, all, above: pressure.above, down_to: pressure.down_to, need })
}

/// What is used, what there is, and the bytes that are to come back; none below the high mark.
async fn measure(seen: &mut HostObservation, pressure: DiskPressure) -> Result<(u64, Option<u64>, u64)> {
    match (pressure.above, pressure.down_to) {
        (DiskMark::Bytes(above), DiskMark::Bytes(down_to)) => {
            let used = seen.disk().await?;
            Ok((used, None, if used > above { used.saturating_sub(down_to) } else { 0 }))
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
            let need = if used > share(above) { used.saturating_sub(share(down_to)) } else { 0 };
            Ok((used, Some(all), need))
        }
        _ => Err(Error::usage("measuring the engine's disk", "the two marks are of different kinds")),
    }
}

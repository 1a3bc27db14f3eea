//! Waiting for an engine that is not there yet, and no longer than a user wants to.

use std::future::Future;
use std::time::{Duration, Instant};

use super::hosts::{Host, LIMITS};
use crate::engine::Docker;
use crate::error::{Error, ErrorKind, Result};
use crate::model::exact_duration;
use crate::report::sweep::Voice;

/// How often is looked.
pub(super) const STEP: Duration = Duration::from_millis(100);

/// Returns when the engine answers. What it is not there for is said where it is looked at.
pub(super) async fn for_engine(host: &Host, voice: &Voice, began: Instant) -> Result<()> {
    let mut is_told = host.sweep.wait.is_zero();
    while began.elapsed() < host.sweep.wait {
        match Docker::connect(host.endpoint.clone()?, LIMITS).await {
            Err(error) if error.kind == ErrorKind::Unreachable => {
                if !is_told {
                    voice.note(&format!("Waiting up to {}: {}", exact_duration(host.sweep.wait), error.what()));
                    is_told = true;
                }
                tokio::time::sleep(STEP).await;
            }
            _ => break,
        }
    }
    Ok(())
}

/// Nothing was done yet that would have to be ended in order.
pub(super) async fn unless_stopped<T>(
    stop: impl Future<Output = ()>,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    tokio::select! {
        biased;
        () = stop => Err(Error::new(ErrorKind::Interrupted, "sweeping", "asked to stop before anything was removed")),
        done = work => done,
    }
}

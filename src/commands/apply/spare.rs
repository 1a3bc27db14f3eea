//! How volumes, networks and build cache go: each by its ID, and none that somebody uses by now.

use super::{Ended, plainly, settle};
use crate::engine::{self, Engine, is_no_such_call};
use crate::error::{Error, Result};
use crate::model::{Outcome, Step};

/// Every engine guards a volume for containers in whatever state.
pub(super) async fn remove_volume(engine: &Engine, step: &Step) -> Result<Ended> {
    let outcome = engine.remove_volume(&step.id).await?;
    settle(outcome, async || Ok(engine.volumes().await?.iter().all(|volume| volume.name != step.id))).await
}

/// An engine guards a network only for containers that run, so those that do not are looked for here.
pub(super) async fn remove_network(engine: &Engine, step: &Step) -> Result<Ended> {
    let is_it = |of: &String| *of == step.id || step.names.contains(of);
    if engine.containers().await?.iter().any(|container| container.networks.iter().any(is_it)) {
        return Ok(Ended::plainly(Outcome::Kept));
    }
    match engine.remove_network(&step.id).await? {
        // How Docker says that something is connected to it.
        engine::Outcome::Refused { status: 403, .. } => Ok(Ended::plainly(Outcome::Kept)),
        outcome => {
            settle(outcome, async || Ok(engine.networks().await?.iter().all(|network| network.id != step.id))).await
        }
    }
}

/// Where there is no such call the record stays, and the reason, the same for all of them, is said once.
pub(super) async fn remove_cache(engine: &Engine, step: &Step) -> Result<Ended> {
    match engine.delete_cache(&step.id).await? {
        engine::Outcome::Refused { status, .. } if is_no_such_call(status) => {
            let why = Error::failed("deleting build cache", "the engine, or a proxy before it, has no such call");
            Ok(Ended { why: Some(why), ..Ended::plainly(Outcome::Kept) })
        }
        outcome => Ok(plainly(outcome, |_| Outcome::Done)),
    }
}

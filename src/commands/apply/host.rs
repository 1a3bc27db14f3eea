//! How volumes, networks and build cache go.

use super::{Ended, Step, plainly, settle};
use crate::engine::{self, Engine};
use crate::error::Result;
use crate::model::Outcome;

pub(super) async fn remove_volume(engine: &Engine, step: &Step) -> Result<Ended> {
    let outcome = engine.remove_volume(&step.id).await?;
    settle(outcome, async || Ok(engine.volumes().await?.iter().all(|volume| volume.name != step.id))).await
}

/// The engine guards a network only for containers that run, so those that do not are looked for here.
pub(super) async fn remove_network(engine: &Engine, step: &Step) -> Result<Ended> {
    let names = |of: &String| *of == step.id || step.names.contains(of);
    if engine.containers().await?.iter().any(|container| container.networks.iter().any(names)) {
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

pub(super) async fn remove_cache(engine: &Engine, step: &Step) -> Result<Ended> {
    match engine.delete_cache(&step.id).await? {
        engine::Outcome::Refused { status, .. } if engine::is_no_such_call(status) => Ok(Ended::plainly(Outcome::Kept)),
        outcome => Ok(plainly(outcome, |_| Outcome::Done)),
    }
}

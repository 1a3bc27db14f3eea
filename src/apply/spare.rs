//! How volumes, networks and build cache go: each by its ID, and none that somebody uses by now.

use jiff::Timestamp;

use super::ended::{StepEnd, plainly, settle};
use crate::engine::{self, Engine, is_no_such_call};
use crate::error::{Error, Result};
use crate::model::{Capabilities, Network, Outcome};

/// Every engine guards a volume for containers in whatever state. Whether it is still the same is asked one request
/// before.
pub(super) async fn remove_volume(engine: &impl Engine, name: &str, created: Option<Timestamp>) -> Result<StepEnd> {
    if created.is_some() {
        match engine.volume(name).await? {
            None => return Ok(StepEnd::plainly(Outcome::AlreadyGone)),
            Some(now) if now.created != created => return Ok(StepEnd::plainly(Outcome::Kept)),
            Some(_) => {}
        }
    }
    let outcome = engine.remove_volume(name).await?;
    settle(outcome, async || engine.volume(name).await.map(|volume| volume.is_none())).await
}

/// An engine guards a network only for containers that run, so those that do not are looked for here. Where it
/// guards it only under its name, that must still mean this network.
pub(super) async fn remove_network(engine: &impl Engine, can: Capabilities, id: &str, name: &str) -> Result<StepEnd> {
    if is_connected(engine, id, name).await? {
        return Ok(StepEnd::plainly(Outcome::Kept));
    }
    let find = async || Ok(engine.networks().await?.into_iter().find(|network| network.id == id));
    let by = if can.guards_networks_by_name {
        let network: Option<Network> = find().await?;
        network.map(|network| network.name)
    } else {
        Some(id.to_owned())
    };
    let Some(by) = by else { return Ok(StepEnd::plainly(Outcome::AlreadyGone)) };
    let outcome = engine.remove_network(&by).await?;
    // How engines say that something is connected to it differs, so a refusal is looked into.
    if matches!(outcome, engine::Answer::Refused { .. }) && is_connected(engine, id, name).await? {
        return Ok(StepEnd::plainly(Outcome::Kept));
    }
    match outcome {
        engine::Answer::Refused { status: 403, .. } => Ok(StepEnd::plainly(Outcome::Kept)),
        outcome => settle(outcome, async || find().await.map(|network: Option<Network>| network.is_none())).await,
    }
}

async fn is_connected(engine: &impl Engine, id: &str, name: &str) -> Result<bool> {
    let is_it = |of: &String| of == id || of == name;
    Ok(engine.containers().await?.iter().any(|container| container.networks.iter().any(is_it)))
}

/// Where there is no such call the record stays, and the reason, the same for all of them, is said once.
pub(super) async fn remove_cache(engine: &impl Engine, id: &str) -> Result<StepEnd> {
    match engine.delete_cache(&[id.to_owned()]).await? {
        engine::Answer::Refused { status, .. } if is_no_such_call(status) => {
            let why = Error::failed("deleting build cache", "the engine, or a proxy before it, has no such call");
            Ok(StepEnd { why: Some(why), ..StepEnd::plainly(Outcome::Kept) })
        }
        // Of what it kept it does not say why: it is in use, something is built on it, or it is gone.
        outcome => Ok(plainly(outcome, |gone| if gone.ids.is_empty() { Outcome::Kept } else { Outcome::Done })),
    }
}

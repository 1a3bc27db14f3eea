//! How volumes, networks and build cache go: by their IDs, and none that somebody uses by now.

use std::borrow::Cow;
use std::collections::HashSet;

use jiff::Timestamp;

use super::ended::{StepEnd, plainly, settle};
use crate::engine::{self, Engine, is_no_such_call};
use crate::error::{Error, Result};
use crate::model::{Capabilities, Network, Outcome, Step};

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

/// By one request, which says what went. Where there is no such call the records stay, and the reason is said once.
pub(super) async fn remove_cache(
    engine: &impl Engine,
    steps: &[Step],
    is_needed: impl Fn(&Step) -> bool,
) -> Result<Vec<StepEnd>> {
    let (needed, free): (Vec<&Step>, Vec<&Step>) = steps.iter().partition(|step| is_needed(step));
    let needed: HashSet<Cow<str>> = needed.into_iter().map(Step::id).collect();
    let ids: Vec<String> = free.iter().map(|step| step.id().into_owned()).collect();
    let answer = if ids.is_empty() { engine::Answer::Done(Vec::new()) } else { engine.delete_cache(&ids).await? };
    let end = |step: &Step| match &answer {
        _ if needed.contains(&step.id()) => StepEnd::held(),
        // Of what it kept it does not say why: it is in use, something is built on it, or it is gone.
        engine::Answer::Done(gone) if gone.iter().any(|id| *id == step.id()) => StepEnd::plainly(Outcome::Done),
        engine::Answer::Done(_) => StepEnd::plainly(Outcome::Kept),
        engine::Answer::Refused { status, .. } if is_no_such_call(*status) => {
            let why = Error::failed("deleting build cache", "the engine, or a proxy before it, has no such call");
            StepEnd { why: Some(why), ..StepEnd::plainly(Outcome::Kept) }
        }
        answer => plainly(answer.clone(), |_| Outcome::Done),
    };
    Ok(steps.iter().map(end).collect())
}

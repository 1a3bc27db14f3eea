//! How volumes, networks and build cache go: by their IDs, and none that somebody uses by now.

use std::collections::HashMap;

use jiff::Timestamp;

use super::step_end::{StepEnd, plainly, settle};
use crate::bookkeeping::Need;
use crate::engine::{self, Engine, is_no_such_call};
use crate::error::{Error, Result};
use crate::model::{CacheRecord, Capabilities, Deed, Network, Outcome, Step};

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

/// The builder may have come back meanwhile, and not use the volume yet.
pub(super) async fn remove_builder_state(
    engine: &impl Engine,
    name: &str,
    created: Option<Timestamp>,
) -> Result<StepEnd> {
    if engine.containers().await?.iter().any(|container| container.holds_state(name)) {
        return Ok(StepEnd::plainly(Outcome::Kept));
    }
    remove_volume(engine, name, created).await
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
        engine::Answer::Refused { status: 403, message } if is_of_use(&message) => Ok(StepEnd::plainly(Outcome::Kept)),
        outcome => settle(outcome, async || find().await.map(|network: Option<Network>| network.is_none())).await,
    }
}

/// Docker's reasons to keep a network, told from those of a proxy that lets no such call through.
fn is_of_use(message: &str) -> bool {
    ["active endpoints", "pre-defined", "in use", "depends on it"].iter().any(|reason| message.contains(reason))
}

async fn is_connected(engine: &impl Engine, id: &str, name: &str) -> Result<bool> {
    let is_it = |of: &String| of == id || of == name;
    Ok(engine.containers().await?.iter().any(|container| container.networks.iter().any(is_it)))
}

/// Those that nobody has used since, by one request, which says what went. Where there is no such call the records stay,
/// and the reason is said once.
pub(super) async fn remove_cache(
    engine: &impl Engine,
    steps: &[Step],
    need: &impl AsyncFn(&Step) -> Need,
) -> Result<Vec<StepEnd>> {
    let no_call = || {
        let why = Error::failed("deleting build cache", "the engine, or a proxy before it, has no such call");
        StepEnd { why: Some(why), ..StepEnd::plainly(Outcome::Kept) }
    };
    let Some(records) = engine.cache().await? else { return Ok(steps.iter().map(|_| no_call()).collect()) };
    let now: HashMap<&str, &CacheRecord> = records.iter().map(|record| (record.id.as_str(), record)).collect();
    let stays = |step: &Step| match (&step.deed, now.get(&*step.id())) {
        (_, None) => Some(StepEnd::plainly(Outcome::AlreadyGone)),
        (Deed::RemoveCache { last, .. }, Some(record)) => {
            (record.in_use || record.last_use() != *last).then(|| StepEnd::plainly(Outcome::Kept))
        }
        _ => Some(StepEnd::plainly(Outcome::Kept)),
    };
    let mut ends: Vec<Option<StepEnd>> = Vec::with_capacity(steps.len());
    for step in steps {
        ends.push(StepEnd::of_need(need(step).await).or_else(|| stays(step)));
    }
    let free = steps.iter().zip(&ends).filter(|(_, end)| end.is_none()).map(|(step, _)| step.id().into_owned());
    let ids: Vec<String> = free.collect();
    let answer = if ids.is_empty() { engine::Answer::Done(Vec::new()) } else { engine.delete_cache(&ids).await? };
    let end = |step: &Step| match &answer {
        // Of what it kept it does not say why: it is in use, or something is built on it.
        engine::Answer::Done(gone) if gone.iter().any(|id| *id == step.id()) => StepEnd::plainly(Outcome::Done),
        engine::Answer::Done(_) => StepEnd::plainly(Outcome::Kept),
        engine::Answer::Refused { status, .. } if is_no_such_call(*status) => no_call(),
        answer => plainly(answer.clone(), |_| Outcome::Done),
    };
    Ok(steps.iter().zip(ends).map(|(step, ended)| ended.unwrap_or_else(|| end(step))).collect())
}

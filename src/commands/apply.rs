//! Does what a plan says: each step is checked again when its turn comes, and none is ever added.
//!
//! Deletions are never forced and never take parents along. How an image goes depends on its names:
//!
//! - none: it gets our private name, and that name is deleted. If nobody named it meanwhile it goes with the
//!   name; if somebody did, only our name goes. There is no moment in which a stranger's name can be lost.
//! - one, ours: by ID. A name that was added makes the engine refuse.
//! - several, all ours: the names are compared one request before, then go one by one, and it as with none.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;

use crate::engine::{self, Engine, Removed, Target};
use crate::error::{Error, Result};
use crate::model::{Action, Container, Guard, ImageId, Kept, KeptReason, Kind, Outcome, Plan, Reason, Reference, Step};

/// Graphdrivers delete one at a time and gain little from more; the containerd store gathers its collections.
const AT_ONCE: usize = 4;
const AT_ONCE_CONTAINERD: usize = 8;
/// Stopping is mostly waiting for the container's own grace.
const STOPS_AT_ONCE: usize = 64;

/// How one step ended, with the engine's own words where they help.
struct Ended {
    outcome: Outcome,
    why: Option<Error>,
}

impl Ended {
    const fn plainly(outcome: Outcome) -> Self {
        Self { outcome, why: None }
    }

    fn failed(why: Error) -> Self {
        Self { outcome: Outcome::Failed, why: Some(why) }
    }
}

/// What became of a plan, besides the results that now stand in its steps.
#[derive(Debug, Default)]
pub struct Report {
    /// Images that are gone from the engine, by our hand or another's.
    pub gone: Vec<ImageId>,
    /// What went wrong, each thing once.
    pub errors: Vec<Error>,
    pub interrupted: bool,
}

/// Does the steps in their order, a few at a time where they do not hang on each other. `stop` ends it early;
/// `progress` hears of each step that has ended.
pub async fn apply(
    engine: &Engine,
    plan: &mut Plan,
    depths: &HashMap<ImageId, usize>,
    containerd_store: bool,
    stop: impl Future<Output = ()>,
    mut progress: impl FnMut(&Step),
) -> Report {
    let at_once = if containerd_store { AT_ONCE_CONTAINERD } else { AT_ONCE };
    let mut report = Report::default();
    let mut stop = std::pin::pin!(stop);
    let mut lost = false;
    let mut from = 0;
    while from < plan.steps.len() && !lost && !report.interrupted {
        let wave = wave(&plan.steps[from], depths);
        let length = plan.steps[from..].iter().take_while(|step| self::wave(step, depths) == wave).count();
        let steps = &plan.steps[from..from + length];
        // Build cache goes children first, and the engine takes one at a time anyway.
        let at_once = if wave.0 == Kind::BuildCache { 1 } else { at_once };
        let mut ended: Vec<Option<Ended>> = steps.iter().map(|_| None).collect();
        {
            let mut running = stream::iter(steps.iter().enumerate())
                .map(|(at, step)| async move { (at, perform(engine, step).await) })
                .buffer_unordered(if wave.1 == Action::Stop { STOPS_AT_ONCE } else { at_once });
            loop {
                let next = tokio::select! {
                    biased;
                    () = &mut stop, if !report.interrupted => { report.interrupted = true; break; }
                    next = running.next() => next,
                };
                let Some((at, end)) = next else { break };
                let end = end.unwrap_or_else(|error| {
                    // The engine is out of reach: what has not begun is not tried.
                    lost = true;
                    Ended::failed(error)
                });
                progress(&steps[at]);
                ended[at] = Some(end);
                if lost {
                    break;
                }
            }
        }
        for (step, end) in plan.steps[from..].iter_mut().zip(ended) {
            let Some(Ended { outcome, why }) = end else { continue };
            step.result = Some(outcome);
            if let Some(why) = why.filter(|why| !report.errors.contains(why)) {
                report.errors.push(why);
            }
        }
        from += length;
    }
    for step in &mut plan.steps {
        let result = *step.result.get_or_insert(Outcome::NotTried);
        let is_gone = matches!(result, Outcome::Done | Outcome::AlreadyGone);
        if is_gone && step.kind == Kind::Image && step.action == Action::Remove {
            report.gone.extend(ImageId::parse(&step.id));
        }
    }
    explain_kept(engine, plan).await;
    plan.count();
    report
}

/// Steps with the same key may run side by side: they are neighbours that cannot hang on each other.
fn wave(step: &Step, depths: &HashMap<ImageId, usize>) -> (Kind, Action, usize) {
    let depth = ImageId::parse(&step.id).and_then(|id| depths.get(&id).copied()).unwrap_or(0);
    (step.kind, step.action, if step.action == Action::Remove { depth } else { 0 })
}

/// An `Err` says that the engine could not even be asked.
async fn perform(engine: &Engine, step: &Step) -> Result<Ended> {
    let id = || ImageId::parse(&step.id).ok_or_else(|| Error::failed("reading the plan", "a step names no image"));
    let name = || {
        step.names
            .first()
            .and_then(|name| Reference::listed(name))
            .ok_or_else(|| Error::failed("reading the plan", "a step names no tag"))
    };
    match (step.kind, step.action, &step.guard) {
        (Kind::Image, Action::Remove, Guard::Untagged) => remove_untagged(engine, id()?).await,
        (Kind::Image, Action::Remove, Guard::Named { names }) => remove_named(engine, id()?, names).await,
        (Kind::Image, Action::Untag, Guard::NameOf { id }) => untag(engine, *id, &name()?).await,
        (Kind::Image, Action::GiveBack, Guard::NameOf { id: from }) => give_back(engine, *from, id()?, &name()?).await,
        (Kind::Container, Action::Stop, _) => Ok(plainly(engine.stop_container(&step.id).await?, |()| Outcome::Done)),
        (Kind::Container, Action::Remove, Guard::Stopped) => remove_container(engine, step).await,
        (Kind::Volume, Action::Remove, Guard::Unused) => {
            let outcome = engine.remove_volume(&step.id).await?;
            settle(outcome, async || Ok(engine.volumes().await?.iter().all(|volume| volume.name != step.id))).await
        }
        (Kind::Network, Action::Remove, Guard::Unused) => remove_network(engine, step).await,
        (Kind::BuildCache, Action::Remove, Guard::Unused) => remove_cache(engine, step).await,
        _ => Ok(Ended::failed(Error::failed("reading the plan", "a step and its guard do not belong together"))),
    }
}

/// A container that was started with `--rm` is already going when it has been stopped: then there is only a wait.
async fn remove_container(engine: &Engine, step: &Step) -> Result<Ended> {
    const WAIT: Duration = Duration::from_millis(100);
    const LONGEST: usize = 50;
    // What a sweep takes may have left data in anonymous volumes, and those have rules of their own.
    let volumes = step.reason != Reason::Stopped;
    let find = async || Ok(engine.containers().await?.into_iter().find(|container| container.id == step.id));
    let removed = engine.remove_container(&step.id, volumes).await?;
    let ended = settle(removed, async || find().await.map(|found: Option<Container>| found.is_none())).await?;
    if ended.outcome != Outcome::Kept {
        return Ok(ended);
    }
    for _ in 0..LONGEST {
        match find().await? {
            None => return Ok(Ended::plainly(Outcome::AlreadyGone)),
            Some(container) if container.state.as_str() == "removing" => tokio::time::sleep(WAIT).await,
            Some(_) => break,
        }
    }
    Ok(ended)
}

/// The engine guards a network only for containers that run, so those that do not are looked for here.
async fn remove_network(engine: &Engine, step: &Step) -> Result<Ended> {
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

async fn remove_cache(engine: &Engine, step: &Step) -> Result<Ended> {
    match engine.delete_cache(&step.id).await? {
        engine::Outcome::Refused { status, .. } if engine::is_no_such_call(status) => Ok(Ended {
            outcome: Outcome::Kept,
            why: Some(Error::failed("deleting build cache", "the engine, or a proxy before it, has no such call")),
        }),
        outcome => Ok(plainly(outcome, |_| Outcome::Done)),
    }
}

/// Without an answer, only another look can tell whether it was done.
async fn settle(outcome: engine::Outcome, gone: impl AsyncFnOnce() -> Result<bool>) -> Result<Ended> {
    match outcome {
        engine::Outcome::Unknown(error) => {
            Ok(if gone().await? { Ended::plainly(Outcome::Done) } else { Ended::failed(error) })
        }
        outcome => Ok(plainly(outcome, |()| Outcome::Done)),
    }
}

/// Deletes an image that nobody named, by compare-and-swap.
async fn remove_untagged(engine: &Engine, id: ImageId) -> Result<Ended> {
    let private = id.private_tag();
    match engine.tag(id, &private).await? {
        engine::Outcome::Done(()) => {}
        other => return Ok(plainly(other, |()| Outcome::Done)),
    }
    delete(engine, id, Target::Name(&private)).await
}

async fn remove_named(engine: &Engine, id: ImageId, names: &[String]) -> Result<Ended> {
    let Some(now) = engine.image(&id.to_string()).await? else { return Ok(Ended::plainly(Outcome::AlreadyGone)) };
    let has: HashSet<&str> = now.tags.iter().filter(|tag| !tag.is_private()).map(Reference::as_str).collect();
    let known: HashSet<&str> = names.iter().map(String::as_str).collect();
    if !has.is_subset(&known) {
        return Ok(Ended::plainly(Outcome::Kept));
    }
    // A digest without a tag is a name too; the containerd store lists it among the tags.
    let digests: Vec<Reference> = now
        .digests
        .iter()
        .filter(|digest| known.contains(digest.as_str()))
        .filter_map(|d| Reference::listed(d))
        .collect();
    let digests: Vec<&Reference> = digests.iter().filter(|digest| !has.contains(digest.as_str())).collect();
    if now.tags.len() == 1 && has.len() == 1 && digests.is_empty() {
        return delete(engine, id, Target::Id(id)).await;
    }
    if !has.is_empty() || !digests.is_empty() {
        // Our own name first, so that taking the others off can never take the image along.
        match engine.tag(id, &id.private_tag()).await? {
            engine::Outcome::Done(()) => {}
            other => return Ok(plainly(other, |()| Outcome::Done)),
        }
    }
    for name in now.tags.iter().filter(|tag| !tag.is_private()).chain(digests) {
        match engine.delete_image(Target::Name(name)).await? {
            engine::Outcome::Done(_) | engine::Outcome::Missing => {}
            other => return Ok(plainly(other, |_| Outcome::Done)),
        }
    }
    remove_untagged(engine, id).await
}

async fn delete(engine: &Engine, id: ImageId, target: Target<'_>) -> Result<Ended> {
    let gone = |removed: Removed| if removed.deleted.contains(&id) { Outcome::Done } else { Outcome::Kept };
    Ok(match engine.delete_image(target).await? {
        // No answer: whether it was done, only another look can tell.
        engine::Outcome::Unknown(error) => match engine.image(&id.to_string()).await? {
            None => Ended::plainly(Outcome::Done),
            Some(_) => Ended::failed(error),
        },
        outcome => plainly(outcome, gone),
    })
}

async fn untag(engine: &Engine, id: ImageId, name: &Reference) -> Result<Ended> {
    match engine.image(name.as_str()).await? {
        None => Ok(Ended::plainly(Outcome::AlreadyGone)),
        // With its last name the image would go too, and it was to stay.
        Some(now) if now.id != id || now.tags.len() < 2 => Ok(Ended::plainly(Outcome::Kept)),
        Some(_) => Ok(plainly(engine.delete_image(Target::Name(name)).await?, |_| Outcome::Done)),
    }
}

async fn give_back(engine: &Engine, from: ImageId, to: ImageId, name: &Reference) -> Result<Ended> {
    match engine.image(name.as_str()).await? {
        Some(now) if now.id == from => Ok(match engine.tag(to, name).await? {
            engine::Outcome::Missing => Ended::plainly(Outcome::Kept),
            outcome => plainly(outcome, |()| Outcome::Done),
        }),
        _ => Ok(Ended::plainly(Outcome::Kept)),
    }
}

fn plainly<T>(outcome: engine::Outcome<T>, done: impl FnOnce(T) -> Outcome) -> Ended {
    match outcome {
        engine::Outcome::Done(value) => Ended::plainly(done(value)),
        engine::Outcome::Missing => Ended::plainly(Outcome::AlreadyGone),
        engine::Outcome::Conflict(_) => Ended::plainly(Outcome::Kept),
        engine::Outcome::Refused { status, message } => {
            Ended::failed(Error::failed(format!("the engine refused (status {status})"), message))
        }
        engine::Outcome::Unknown(error) => Ended::failed(error),
    }
}

/// What was to go and did not is kept, and the report says for whom.
async fn explain_kept(engine: &Engine, plan: &mut Plan) {
    let unfinished =
        |step: &&Step| step.action == Action::Remove && matches!(step.result, Some(Outcome::Kept | Outcome::Failed));
    if !plan.steps.iter().any(|step| unfinished(&step)) {
        return;
    }
    let containers = engine.containers().await.unwrap_or_default();
    let images = engine.images(false).await.unwrap_or_default();
    let mut kept = Vec::new();
    for step in plan.steps.iter().filter(unfinished) {
        let id = ImageId::parse(&step.id);
        let uses = |container: &&Container| match step.kind {
            Kind::Container => container.id == step.id,
            Kind::Image => id.is_some() && container.image == id,
            Kind::Volume => container.volumes.contains(&step.id),
            Kind::Network => container.networks.iter().any(|of| *of == step.id || step.names.contains(of)),
            Kind::BuildCache => false,
        };
        let users: Vec<String> = containers
            .iter()
            .filter(uses)
            .map(|container| format!("{} ({})", container.name, container.state.as_str()))
            .collect();
        let image = images.iter().find(|image| Some(image.id) == id);
        let names: Vec<String> = image
            .map(|image| image.tags.iter().filter(|tag| !tag.is_private()).map(ToString::to_string).collect())
            .unwrap_or_else(|| if step.kind == Kind::Image { Vec::new() } else { step.names.clone() });
        let children: Vec<String> =
            images.iter().filter(|image| id.is_some() && image.parent == id).map(|image| image.id.short()).collect();
        let (reason, holders) = match step.result {
            Some(Outcome::Failed) => (KeptReason::Failed, Vec::new()),
            _ if !users.is_empty() => (KeptReason::InUse, users),
            _ if !children.is_empty() => (KeptReason::Base, children),
            _ if step.kind == Kind::Image => (KeptReason::Changed, names.clone()),
            _ => (KeptReason::Changed, Vec::new()),
        };
        kept.push(Kept { kind: step.kind, id: step.id.clone(), names, bytes: step.bytes, reason, holders });
    }
    plan.kept.extend(kept);
}

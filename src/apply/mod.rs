//! Does what a plan says: each step is checked again when its turn comes, and none is ever added.

mod applier;
mod container;
mod explain;
mod image;
mod spare;
mod step_end;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};

pub(crate) use applier::Applier;
use step_end::{StepEnd, plainly};

use crate::bookkeeping::Need;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{Action, Deed, ImageGuard, ImageId, Kind, Moment, Outcome, Plan, Step};

/// Stopping is mostly waiting for the container's own grace, and removing for its mounts. As many as docker's own
/// program takes at a time.
const CONTAINERS_AT_ONCE: usize = 50;

/// Records of the build cache that go by one request. A user who asks to stop is not kept waiting for more.
const CACHE_TOGETHER: usize = 200;

/// How long steps that were already asked for are waited for once it is over: a user who asked to stop, or an
/// engine that went away, leaves no more than this.
const GRACE: Duration = Duration::from_millis(400);

/// What became of a plan, besides the results that now stand in its steps.
#[derive(Debug, Default)]
pub(crate) struct Carried {
    /// Images that are gone from the engine, by our hand or another's.
    pub(crate) gone: Vec<ImageId>,
    /// What went wrong, each thing once.
    pub(crate) errors: Vec<Error>,
    pub(crate) interrupted: bool,
    /// The engine went out of reach before the end.
    pub(crate) lost: bool,
}

impl Carried {
    /// As a verb ends that carries out this plan: 1 where some of it failed, 2 where all of it did.
    pub(crate) fn exit_code(&self, plan: &Plan) -> u8 {
        let totals = plan.totals();
        match (self.interrupted, totals.failed, totals.done) {
            (true, ..) => ErrorKind::Interrupted.exit_code(),
            (_, 0, _) => 0,
            (_, _, 0) => 2,
            _ => 1,
        }
    }

    const fn is_over(&self) -> bool {
        self.interrupted || self.lost
    }
}

/// Does the steps in their order, a few at a time where they do not hang on each other. What is needed by
/// then stays. `stop` ends it early; `progress` hears of each step.
async fn apply(
    deleter: &image::ImageDeleter<'_, impl Engine>,
    plan: &mut Plan,
    depths: &HashMap<ImageId, usize>,
    need: impl AsyncFn(&Step) -> Need,
    stop: impl Future<Output = ()>,
    mut progress: impl FnMut(Moment, &Step),
) -> Carried {
    let mut report = Carried::default();
    let mut stop = pin!(stop);
    let (mut held, mut stood_on) = (HashSet::new(), HashMap::new());
    let (can, need) = (deleter.can, &need);
    let mut from = 0;
    while from < plan.steps.len() && !report.is_over() {
        let wave = wave(&plan.steps[from], depths);
        let length = plan.steps[from..].iter().take_while(|step| self::wave(step, depths) == wave).count();
        let steps = &plan.steps[from..][..length];
        let together = if wave.0 == Kind::BuildCache { CACHE_TOGETHER } else { 1 };
        let at_once = match wave {
            (Kind::Container, ..) => CONTAINERS_AT_ONCE,
            // Cache goes children first. Of two names of one image each would see the other there, and with the
            // last the image would go.
            (Kind::BuildCache, ..) | (Kind::Image, Action::Untag, _) => 1,
            (Kind::Image, ..) => can.images_at_once,
            _ => can.others_at_once,
        };
        let mut carry_out = async |groups: &[&[Step]], report: &mut Carried| {
            let perform = |group| perform_group(deleter, group, need);
            side_by_side(groups, perform, at_once, stop.as_mut(), report, &mut progress).await
        };
        let mut ended = carry_out(&steps.chunks(together).collect::<Vec<_>>(), &mut report).await;
        // What was refused for the sake of another container is tried again for as long as others have gone.
        let is_removal = matches!(wave, (Kind::Container, Action::Remove, _));
        let mut round: Vec<usize> = (0..steps.len()).filter(|_| is_removal).collect();
        loop {
            let (refused, rest): (Vec<usize>, _) = round.into_iter().partition(|&at| ended[at].is_worth_another_try());
            if refused.is_empty() || report.is_over() || !rest.iter().any(|&at| ended[at].outcome == Outcome::Done) {
                break;
            }
            let groups: Vec<&[Step]> = refused.iter().map(|&at| &steps[at..=at]).collect();
            let again = carry_out(&groups, &mut report).await;
            refused.iter().zip(again).for_each(|(&at, end)| ended[at] = end);
            round = refused;
        }
        for (step, StepEnd { outcome, why, by_build, for_others, .. }) in plan.steps[from..].iter_mut().zip(ended) {
            step.result = Some(outcome);
            if !for_others.is_empty() {
                stood_on.insert(step.id().into_owned(), for_others);
            }
            if by_build {
                held.insert(step.id().into_owned());
            }
            if let Some(why) = why.filter(|why| !report.errors.contains(why)) {
                report.errors.push(why);
            }
        }
        from = from.saturating_add(length);
    }
    for step in &mut plan.steps {
        step.result.get_or_insert(Outcome::NotTried);
    }
    // Whoever asked to stop is not kept waiting for explanations, and an engine that is gone has none.
    if !report.is_over() {
        explain::explain(deleter.engine, plan, &held, &stood_on, can).await;
    }
    report.gone = plan.steps.iter().filter(|step| step.is_done()).filter_map(Step::removed_image).collect();
    report
}

/// Does steps that go by one request: records of the cache, or one of anything else.
async fn perform_group(
    deleter: &image::ImageDeleter<'_, impl Engine>,
    group: &[Step],
    need: &impl AsyncFn(&Step) -> Need,
) -> Result<Vec<StepEnd>> {
    match group {
        [one, ..] if one.kind() == Kind::BuildCache => spare::remove_cache(deleter.engine, group, need).await,
        [one, ..] => match StepEnd::of_need(need(one).await) {
            Some(end) => Ok(vec![end]),
            None => perform(deleter, one).await.map(|end| vec![end]),
        },
        [] => Ok(Vec::new()),
    }
}

/// Does the steps of one wave, each group by one request. Once it is over none is begun, and those under way get a moment to end: what is
/// still open then was asked for, and nobody knows what came of it.
async fn side_by_side<'s, P: Future<Output = Result<Vec<StepEnd>>>>(
    groups: &[&'s [Step]],
    perform: impl Fn(&'s [Step]) -> P,
    at_once: usize,
    mut stop: Pin<&mut impl Future<Output = ()>>,
    report: &mut Carried,
    progress: &mut impl FnMut(Moment, &Step),
) -> Vec<StepEnd> {
    let mut ended: Vec<Option<Vec<StepEnd>>> = groups.iter().map(|_| None).collect();
    let mut waiting = groups.iter().copied().enumerate();
    let mut begun = 0;
    let mut running = FuturesUnordered::new();
    let mut patience = pin!(tokio::time::sleep(GRACE));
    loop {
        // It may have come while nothing was waited for, as between two waves.
        if !report.is_over() && stop.as_mut().now_or_never().is_some() {
            report.interrupted = true;
            patience.set(tokio::time::sleep(GRACE));
        }
        while !report.is_over() && running.len() < at_once {
            let Some((at, next)) = waiting.next() else { break };
            begun = at.saturating_add(1);
            for step in next {
                progress(Moment::Begins, step);
            }
            let ended = perform(next);
            running.push(async move { (at, ended.await) });
        }
        let next = tokio::select! {
            biased;
            () = stop.as_mut(), if !report.is_over() => {
                report.interrupted = true;
                patience.set(tokio::time::sleep(GRACE));
                continue;
            }
            () = patience.as_mut(), if report.is_over() => break,
            next = running.next() => next,
        };
        let Some((at, end)) = next else { break };
        let ends = end.unwrap_or_else(|error| {
            let lost = || StepEnd { lost: true, ..StepEnd::failed(error.clone()) };
            groups[at].iter().map(|_| lost()).collect()
        });
        if ends.iter().any(|end| end.lost) && !report.is_over() {
            report.lost = true;
            patience.set(tokio::time::sleep(GRACE));
        }
        groups[at].iter().zip(&ends).for_each(|(step, end)| progress(Moment::Ended(end.outcome), step));
        ended[at] = Some(ends);
    }
    let untold = |at| StepEnd::plainly(if at < begun { Outcome::Unknown } else { Outcome::NotTried });
    let all = |(at, ends): (usize, Option<Vec<StepEnd>>)| {
        ends.unwrap_or_else(|| groups[at].iter().map(|_| untold(at)).collect())
    };
    ended.into_iter().enumerate().flat_map(all).collect()
}

/// Steps with the same key may run side by side: they are neighbours that cannot hang on each other.
fn wave(step: &Step, depths: &HashMap<ImageId, usize>) -> (Kind, Action, usize) {
    let depth = step.removed_image().and_then(|id| depths.get(&id).copied()).unwrap_or(0);
    (step.kind(), step.action(), depth)
}

/// An `Err` says that the engine could not even be asked.
async fn perform(deleter: &image::ImageDeleter<'_, impl Engine>, step: &Step) -> Result<StepEnd> {
    let engine = deleter.engine;
    match &step.deed {
        Deed::StopContainer { id, .. } => Ok(plainly(engine.stop_container(id).await?, |()| Outcome::Done)),
        Deed::RemoveContainer { id, .. } => container::remove(engine, id).await,
        Deed::RemoveImage { id, guard: ImageGuard::Untagged } => image::remove_untagged(deleter, *id).await,
        Deed::RemoveImage { id, guard: ImageGuard::Named { names } } => image::remove_named(deleter, *id, names).await,
        Deed::RemoveImage { id, guard: ImageGuard::Pushed { digests } } => {
            image::remove_pushed(deleter, *id, digests).await
        }
        Deed::Untag { image, name } => image::untag(deleter, *image, name).await,
        Deed::GiveBack { name, from, to, hold } => image::give_back(deleter, *from, *to, name, hold.as_ref()).await,
        Deed::RemoveVolume { name, created } => spare::remove_volume(engine, name, *created).await,
        Deed::RemoveBuilderState { name, created } => spare::remove_builder_state(engine, name, *created).await,
        Deed::RemoveNetwork { id, name } => spare::remove_network(engine, deleter.can, id, name).await,
        // Goes in its group.
        Deed::RemoveCache { .. } => Ok(StepEnd::plainly(Outcome::NotTried)),
    }
}

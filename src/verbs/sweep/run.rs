//! Does what one host's plan says, a kind after the other, so that one that fails does not stop the next.

use std::future::Future;
use std::time::{Duration, Instant};

use crate::app::App;
use crate::apply::Applier;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{DiskUse, Kept, KeptReason, Kind, Plan, Step};
use crate::observe::host::{HostObservation, known_builders};
use crate::plan::sweep::Swept;
use crate::report;
use crate::report::sweep::{Part, SweptHost, Voice};

/// A host that was looked at.
pub(super) struct Ready {
    pub(super) seen: HostObservation,
    pub(super) swept: Swept,
    /// How long that took. A user who is asked may take their time, which does not count.
    pub(super) looked: Duration,
    /// How full it is, where it is swept for that.
    pub(super) disk: Option<DiskUse>,
}

/// The kinds that were asked for, those that could not be listed among them.
pub(super) fn kinds(seen: &HostObservation) -> Vec<Kind> {
    let failed = |kind: Kind| seen.failed.iter().any(|(of, _)| *of == kind);
    Kind::ALL.into_iter().filter(|kind| seen.policy.takes(*kind) || failed(*kind)).collect()
}

pub(super) async fn carry_out(
    app: &App,
    host: &str,
    ready: Result<Ready>,
    voice: &Voice,
    stop: impl Future<Output = ()> + Clone,
) -> SweptHost {
    let Ready { seen, swept, looked, disk } = match ready {
        Ok(ready) => ready,
        Err(error) => return voice.lost(host, error),
    };
    let began = Instant::now();
    let books = (&seen.state, &seen.ledger, &seen.books);
    let is_left = |step: &Step| seen.is_left_since(step);
    let applier = Applier::new(&seen.engine, &seen.snapshot, books, app.doer(&app.key)).unless(&is_left);
    let kinds = kinds(&seen);
    let mut plan = swept.plan;
    let progress = voice.progress(&plan.steps);
    let mut told = SweptHost {
        host: host.to_owned(),
        kinds: kinds.clone(),
        failed: seen.failed.clone(),
        disk,
        ..SweptHost::of(part(&plan, Vec::new()))
    };
    let (mut steps, mut gone) = (Vec::with_capacity(plan.steps.len()), Vec::new());
    for kind in Kind::ALL {
        let (own, rest): (Vec<Step>, Vec<Step>) =
            std::mem::take(&mut plan.steps).into_iter().partition(|step| step.kind() == kind);
        plan.steps = rest;
        if own.is_empty() && !kinds.contains(&kind) {
            continue;
        }
        let began = Instant::now();
        let own = if kind == Kind::BuilderState && !own.is_empty() {
            still_gone(app, own, &mut plan.kept, &mut told.failed)
        } else {
            own
        };
        let mut part = part(&plan, own);
        let report = applier.carry_out(&mut part, stop.clone(), |moment, step| progress.tell(moment, step)).await;
        gone.extend(report.gone);
        told.interrupted |= report.interrupted;
        let unlisted: Vec<&Error> = told.failed.iter().filter(|(of, _)| *of == kind).map(|(_, error)| error).collect();
        let spared: Vec<&Kept> = plan.kept.iter().filter(|kept| kept.kind == kind).collect();
        voice.kind(
            host,
            &Part {
                kind,
                plan: &part,
                spared: &spared,
                unlisted: &unlisted,
                errors: &report.errors,
                took: began.elapsed(),
            },
        );
        told.errors.extend(report.errors.into_iter().map(|error| (kind, error)));
        steps.append(&mut part.steps);
        plan.kept.append(&mut part.kept);
    }
    drop(progress);
    plan.steps = steps;
    match applier.note(&plan, gone, Vec::new(), stop).await {
        Ok(notices) => report::notice::tell(&notices),
        Err(error) => {
            told.interrupted |= error.kind == ErrorKind::Interrupted;
            report::warn(error);
        }
    }
    told.plan = Some(plan);
    told.seconds = looked.saturating_add(began.elapsed()).as_secs_f64();
    voice.host_done(&told, &seen.policy);
    told
}

/// Whoever was asked may have taken his time, and made a builder meanwhile: those that no list names now either.
fn still_gone(app: &App, steps: Vec<Step>, kept: &mut Vec<Kept>, failed: &mut Vec<(Kind, Error)>) -> Vec<Step> {
    let known = match known_builders(app) {
        Ok(known) => known,
        Err(error) => {
            failed.push((Kind::BuilderState, error));
            kept.extend(steps.iter().map(|step| Kept::instead_of(step, KeptReason::Failed)));
            return Vec::new();
        }
    };
    let (back, gone): (Vec<Step>, Vec<Step>) = steps.into_iter().partition(|step| known.have_that_of(&step.id()));
    kept.extend(back.iter().map(|step| Kept::instead_of(step, KeptReason::BuilderKnown)));
    gone
}

/// A plan of these steps, under the same heading.
fn part(plan: &Plan, steps: Vec<Step>) -> Plan {
    let to_cache = plan.to_cache.clone();
    Plan {
        engine: plan.engine.clone(),
        scope: plan.scope.clone(),
        steps,
        kept: Vec::new(),
        left_to_others: Vec::new(),
        to_cache,
        ..*plan
    }
}

//! `dkb clean`: one look, a plan, and then what the plan says.

mod scope;

use std::io::IsTerminal;

use super::apply::{self, Report};
use super::builds::Builds;
use super::end;
use super::plan_file::{self, PlanFile};
use super::seen::Seen;
use super::unmatched;
use super::world::{World, machine, runtime};
use crate::cli::Clean;
use crate::config::Format;
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::model::{KeptReason, Life, Plan, Record};
use crate::plan::clean::{Layers, Policy, sessions};
use crate::plan::narrow::{Narrowed, narrow};
use crate::plan::order;
use crate::ui;
pub use scope::policy_for;

/// Errors that are told one by one; the document has a result for every step.
const TOLD: usize = 5;

pub fn clean(world: &World, flags: &Clean) -> Result<u8> {
    runtime()?.block_on(async {
        let mut policies = vec![scope::of_flags(world, flags)?];
        let mut file = None;
        if let Some(path) = &flags.act.apply {
            let read = plan_file::read(path, "clean")?;
            if !flags.names_scope() {
                policies = scope::of_file(world, flags, read.asked.as_ref());
            }
            file = Some((path, read));
        }
        let seen = Seen::look(world).await?;
        end::tell_of_the_dead(world, &seen.lives);
        if let Some((path, file)) = &file {
            file.check(path, &seen.info)?;
        }
        let Made { policy, plan: mut made, whole } = make(world, &seen, policies, file.map(|(_, file)| file)).await?;
        let images = Some(&*seen.snapshot.images);
        unmatched::find(&seen.engine, &policy.keep, images, &seen.snapshot.containers).await.iter().for_each(|one| {
            ui::warn(format_args!("{one}"));
        });
        if let Some(path) = &flags.act.plan {
            plan_file::write(path, &made)?;
            if plan_file::is_the_result(path) {
                ui::out(&ui::clean::json(&made));
                return Ok(0);
            }
        }
        if flags.act.plan.is_some() || flags.act.dry_run {
            show(world, &made, &policy, false);
            return Ok(0);
        }
        let asks = scope::must_ask(&policy, &world.key, &made).filter(|_| !world.settings.yes);
        if let Some(what) = asks
            && !agreed(world, &made, &policy, what)?
        {
            return Ok(0);
        }
        let depths = order::depths(seen.snapshot.images.iter());
        let bar = ui::progress::Bar::new(wants_bar(world), made.steps.len());
        let containerd_store = seen.info.containerd_store;
        let (state, progress) = (world.state()?, |_: &_| bar.step());
        let builds = Builds::new(&state, &seen.books, "");
        let report = apply::apply(&seen.engine, &mut made, &depths, containerd_store, &builds, stop(), progress).await;
        bar.end();
        note(&seen, &policy, &made, &report, whole, world);
        show(world, &made, &policy, true);
        for error in report.errors.iter().take(TOLD) {
            ui::say(error);
        }
        if report.errors.len() > TOLD {
            ui::say(format_args!("and {} more such errors", report.errors.len() - TOLD));
        }
        Ok(exit_code(&made, &report))
    })
}

/// The plan, and what it was made by.
struct Made {
    policy: Policy,
    plan: Plan,
    /// It is all that would go.
    whole: bool,
}

/// Makes the plan that these policies ask for; of several the one that has most of what the file has.
async fn make(world: &World, seen: &Seen, policies: Vec<Policy>, file: Option<PlanFile>) -> Result<Made> {
    let mut best: Option<Made> = None;
    for policy in policies {
        let mut plan = seen.plan(&world.here(), &policy).await?;
        plan.scope = Some(scope::asked(&policy));
        let Narrowed { plan, whole } = match &file {
            Some(file) => narrow(plan, &file.steps),
            None => Narrowed { plan, whole: true },
        };
        if best.as_ref().is_none_or(|best| plan.steps.len() > best.plan.steps.len()) {
            best = Some(Made { policy, plan, whole });
        }
    }
    best.ok_or_else(|| Error::usage("making a plan", "nothing was asked for"))
}

/// Somebody wants this to end: at the keyboard, or whoever runs the CI job.
pub async fn stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let term = async {
        match signal(SignalKind::terminate()) {
            Ok(mut term) => term.recv().await,
            Err(_) => std::future::pending().await,
        };
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = term => {}
    }
}

fn show(world: &World, plan: &Plan, policy: &Policy, done: bool) {
    let whose = ui::clean::whose(&policy.scope, world.key.project.as_str());
    ui::clean::show(&world.settings, world.loudness(), plan, &whose, done);
}

fn wants_bar(world: &World) -> bool {
    !world.quiet && world.settings.format == Format::Human && std::io::stderr().is_terminal()
}

pub(super) fn exit_code(plan: &Plan, report: &Report) -> u8 {
    match (report.interrupted, plan.totals.failed, plan.totals.done) {
        (true, ..) => ErrorKind::Interrupted.exit_code(),
        (_, 0, _) => 0,
        (_, _, 0) => 2,
        _ => 1,
    }
}

/// What is gone leaves the ledger, and sessions that were cleaned whole are over.
fn note(seen: &Seen, policy: &Policy, plan: &Plan, report: &Report, whole: bool, world: &World) {
    let now = jiff::Timestamp::now();
    let mut records = Vec::new();
    if !report.gone.is_empty() {
        records.push(Record::Gone { at: now, ids: report.gone.clone() });
    }
    if whole
        && policy.tags
        && scope::ends(&policy.scope)
        && plan.totals.failed == 0
        && !plan.kept.iter().any(|kept| waits(kept.reason))
    {
        let (layers, here) = (Layers::new(), world.here());
        let look = seen.as_look(&here, &layers);
        // As of the look: what a build has made since was not seen, and is not cleaned.
        for key in sessions(&look, policy) {
            records.push(Record::Cleaned { key: key.clone(), at: seen.began });
            if let Ok(state) = world.state()
                && seen.lives.get(key) == Some(&Life::Dead)
                && state.session(key).life(&machine()) == Life::Dead
            {
                let _ = state.session(key).disown();
            }
        }
    }
    if let Err(error) = seen.ledger.append(&records) {
        ui::warn(error);
    }
}

/// Kept for now only: a later clean of the session is to find it, and so what stays for its age or its children.
fn waits(reason: KeptReason) -> bool {
    end::waits(reason) || matches!(reason, KeptReason::Base | KeptReason::TooYoung)
}

/// Shows what would go on stderr, since stdout is for the result, and asks.
fn agreed(world: &World, plan: &Plan, policy: &Policy, what: String) -> Result<bool> {
    if !scope::somebody_is_there() {
        return Err(
            Error::usage(what, "there is nobody to ask").hint("say --yes, after a look at what --dry-run shows")
        );
    }
    let whose = ui::clean::whose(&policy.scope, world.key.project.as_str());
    ui::err(&ui::clean::human(plan, &whose, false, world.verbose, ui::Style::PLAIN));
    ui::err(&ui::clean::every_tag(plan));
    Ok(ui::asks("Remove all this? [y/N] "))
}

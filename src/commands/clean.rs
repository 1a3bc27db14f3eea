//! `dkb clean`: one look, a plan, and then what the plan says.

use std::io::IsTerminal;

use super::apply::{self, Report};
use super::builds::Builds;
use super::end;
use super::plan_file;
use super::seen::Seen;
use super::unmatched;
use super::world::{World, machine, runtime};
use crate::cli::{self, Clean};
use crate::config::Format;
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::model::{KeptReason, Life, Name, Plan, Record, SessionKey};
use crate::plan::clean::{Layers, Policy, Scope, sessions};
use crate::plan::order;
use crate::ui;

/// Errors that are told one by one; the document has a result for every step.
const TOLD: usize = 5;

pub fn clean(world: &World, flags: &Clean) -> Result<u8> {
    runtime()?.block_on(async {
        let policy = policy(world, flags)?;
        let seen = Seen::look(world).await?;
        end::tell_of_the_dead(world, &seen.lives);
        let mut made = match &flags.act.apply {
            Some(file) => {
                let mut plan = plan_file::read(file, "clean", &seen.info)?;
                plan_file::narrow(&mut plan, &seen.widest(world, &policy).await?);
                plan
            }
            None => seen.plan(world, &policy).await?,
        };
        let images = Some(&*seen.snapshot.images);
        unmatched::find(&seen.engine, &policy.keep, images, &seen.snapshot.containers).await.iter().for_each(ui::warn);
        if let Some(file) = &flags.act.plan {
            plan_file::write(file, &made)?;
        }
        if flags.act.plan.is_some() || flags.act.dry_run {
            show(world, &made, &policy, false);
            return Ok(0);
        }
        if must_ask(&policy, &made) && !world.settings.yes && !agreed(world, &made, &policy)? {
            return Ok(0);
        }
        let depths = order::depths(seen.snapshot.images.iter());
        let bar = ui::progress::Bar::new(wants_bar(world), made.steps.len());
        let containerd_store = seen.info.containerd_store;
        let (state, progress) = (world.state()?, |_: &_| bar.step());
        let builds = Builds::new(&state, &seen.books, "");
        let report = apply::apply(&seen.engine, &mut made, &depths, containerd_store, &builds, stop(), progress).await;
        bar.end();
        note(&seen, &policy, &made, &report, world);
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
fn note(seen: &Seen, policy: &Policy, plan: &Plan, report: &Report, world: &World) {
    let now = jiff::Timestamp::now();
    let mut records = Vec::new();
    if !report.gone.is_empty() {
        records.push(Record::Gone { at: now, ids: report.gone.clone() });
    }
    let ends = policy.tags && matches!(policy.scope, Scope::Session(_) | Scope::Stale(_));
    if ends && plan.totals.failed == 0 && !plan.kept.iter().any(|kept| waits(kept.reason)) {
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

fn policy(world: &World, flags: &Clean) -> Result<Policy> {
    let project = world.key.project.clone();
    let scope = match flags.scope() {
        cli::Scope::Project => Scope::Project(project),
        cli::Scope::Session(None) => Scope::Session(world.key.clone()),
        cli::Scope::Session(Some(id)) => {
            let session = Name::typed(&id).map_err(|wrong| Error::usage("reading --session", wrong))?;
            Scope::Session(SessionKey { project, session })
        }
        cli::Scope::Stale => Scope::Stale(project),
        cli::Scope::All => Scope::All,
    };
    let ends = matches!(scope, Scope::Session(_) | Scope::Stale(_));
    let tags = flags.tagged || ends && !flags.keep_tagged;
    Ok(Policy { containers: ends && !flags.keep_containers, ..policy_for(world, scope, tags) })
}

/// What the settings say for this scope. The end of a session takes its stopped containers along.
pub fn policy_for(world: &World, scope: Scope, tags: bool) -> Policy {
    let settings = &world.settings;
    Policy {
        tags,
        containers: matches!(scope, Scope::Session(_) | Scope::Stale(_)),
        keep: settings.keep.clone(),
        keep_last: settings.keep_last,
        older_than: settings.older_than,
        stale_after: settings.stale_after,
        trust_stamp: settings.trust_stamp && scope != Scope::All,
        scope,
    }
}

/// Tags that somebody may still want: of every project, or of this working copy.
fn must_ask(policy: &Policy, plan: &Plan) -> bool {
    let wide = match &policy.scope {
        Scope::All => true,
        Scope::Session(key) => key.session.is_local() && somebody_is_there(),
        Scope::Project(_) | Scope::Stale(_) => false,
    };
    wide && policy.tags && plan.steps.iter().any(|step| !step.names.is_empty())
}

fn somebody_is_there() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Shows what would go on stderr, since stdout is for the result, and asks.
fn agreed(world: &World, plan: &Plan, policy: &Policy) -> Result<bool> {
    if !somebody_is_there() {
        return Err(Error::usage("cleaning the tags of every project", "there is nobody to ask")
            .hint("say --yes, after a look at what --dry-run shows"));
    }
    let whose = ui::clean::whose(&policy.scope, world.key.project.as_str());
    ui::err(ui::clean::human(plan, &whose, false, world.verbose, ui::Style::PLAIN));
    ui::err(ui::clean::every_tag(plan));
    ui::err("Remove all this? [y/N] ");
    let mut answer = String::new();
    let _ = std::io::stdin().read_line(&mut answer);
    let yes = matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes");
    if !yes {
        ui::say("nothing was removed");
    }
    Ok(yes)
}

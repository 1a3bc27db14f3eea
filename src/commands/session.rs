//! `dkb session start|end`: a session for a test harness that can't be wrapped by a guard.

use super::end::{self, Ended, Manner};
use super::guard::key_of;
use super::watch::{self, Until};
use super::world::{World, runtime};
use crate::cli::Session;
use crate::error::{Error, Result};
use crate::model::{Name, RUN_LABEL, SessionKey, parse_duration};
use crate::ui;

pub(super) fn session(world: &World, verb: &Session) -> Result<u8> {
    match verb {
        Session::Start { watch_pid, ttl } => start(world, *watch_pid, ttl),
        Session::Label { id } => label(world, id.as_deref()),
        Session::End { id, keep_tagged } => finish(world, id, *keep_tagged),
    }
}

fn start(world: &World, pid: Option<u32>, ttl: &str) -> Result<u8> {
    let key = key_of(world)?;
    let until = match pid {
        Some(pid) => {
            // The watcher takes hold of the process itself; here it is asked for so that the user is told why not.
            drop(watch::process_end(pid)?);
            Until::Process(pid)
        }
        None => Until::Elapsed(parse_duration(ttl).map_err(|wrong| Error::usage("reading --ttl", wrong))?),
    };
    watch::start(world, &key, &until, false, "session start")?.ready()?;
    ui::out(&ui::Page::of(&key.session));
    Ok(0)
}

/// The label without which nobody can tell whose a container, a volume or a network is.
fn label(world: &World, id: Option<&str>) -> Result<u8> {
    let key = id.map_or_else(|| Ok(world.key.clone()), |id| named(world, id))?;
    ui::out(&ui::Page::of(format_args!("{RUN_LABEL}={}", key.run_label())));
    Ok(0)
}

fn named(world: &World, id: &str) -> Result<SessionKey> {
    let session = Name::typed(id).map_err(|wrong| Error::usage("reading the session's ID", wrong))?;
    Ok(SessionKey { project: world.key.project.clone(), session })
}

fn finish(world: &World, id: &str, keep_tagged: bool) -> Result<u8> {
    let key = named(world, id)?;
    let session = world.state()?.session(&key);
    let is_kept_open = || !session.ends_by_name().unwrap_or(false);
    if is_kept_open() {
        end::say_that_it_goes_on(&key);
        return Ok(0);
    }
    let opened = session.owner().is_some();
    let manner = Manner { keep_tagged, opened, anywhere: false };
    let Some(ended) = runtime()?.block_on(end::end(world, &key, manner, is_kept_open, super::clean::stop()))? else {
        end::say_that_it_goes_on(&key);
        return Ok(0);
    };
    let Ended { plan, report, mut lives, known } = ended;
    lives.remove(&key);
    end::tell_of_the_dead(world, &lives);
    if !known && !opened && plan.steps.is_empty() {
        let elsewhere = lives.keys().find(|other| other.session == key.session);
        let error =
            Error::usage(format!("ending session {}", key.session), format!("{} has no such session", key.project));
        return Err(match elsewhere {
            Some(other) => error.hint(format!("dkb --project {} session end {}", other.project, other.session)),
            None => error.hint("dkb status --all shows the sessions that there are"),
        });
    }
    if end::is_over(&plan) {
        session.end_by_name()?;
    }
    let whose = format!("{} · session {}", key.project, key.session);
    ui::clean::show(&world.settings, world.loudness(), &plan, &whose, true);
    for error in &report.errors {
        ui::say(error);
    }
    Ok(super::clean::exit_code(&plan, &report))
}

//! `dkb session start|end`: a session for a test harness that can't be wrapped by a guard.

use super::end::{self, Ended};
use super::guard::key_of;
use super::watch::{self, Until};
use super::world::{World, runtime};
use crate::cli::Session;
use crate::error::{Error, Result};
use crate::model::{Name, SessionKey, parse_duration};
use crate::ui;

pub(super) fn session(world: &World, verb: &Session) -> Result<u8> {
    match verb {
        Session::Start { watch_pid, ttl } => start(world, *watch_pid, ttl),
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

fn finish(world: &World, id: &str, keep_tagged: bool) -> Result<u8> {
    let session = Name::typed(id).map_err(|wrong| Error::usage("reading the session's ID", wrong))?;
    let key = SessionKey { project: world.key.project.clone(), session };
    let ended = runtime()?.block_on(end::end(world, &key, keep_tagged, super::clean::stop()))?;
    let Ended { plan, report, mut lives } = ended;
    if end::is_over(&plan) {
        world.state()?.session(&key).disown()?;
    }
    let whose = format!("{} · session {}", key.project, key.session);
    ui::clean::show(&world.settings, world.loudness(), &plan, &whose, true);
    for error in &report.errors {
        ui::say(error);
    }
    lives.remove(&key);
    end::tell_of_the_dead(world, &lives);
    Ok(super::clean::exit_code(&plan, &report))
}

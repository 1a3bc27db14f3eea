//! `dkb session start|end`: a session for a test harness that can't be wrapped by a guard.

use super::end;
use super::guard::fresh;
use super::watch::{self, Until};
use super::world::{World, runtime};
use crate::cli::Session;
use crate::error::{Error, Result};
use crate::model::{Name, SessionKey, parse_duration};
use crate::plan::identity::Origin;
use crate::ui;

pub(super) fn session(world: &World, verb: &Session) -> Result<u8> {
    match verb {
        Session::Start { watch_pid, ttl } => start(world, *watch_pid, ttl),
        Session::End { id, keep_tagged } => finish(world, id, *keep_tagged),
    }
}

fn start(world: &World, pid: Option<u32>, ttl: &str) -> Result<u8> {
    let session = match world.identity.session_from {
        Origin::Given(_) => world.key.session.clone(),
        _ => fresh()?,
    };
    let key = SessionKey { project: world.key.project.clone(), session };
    let until = match pid {
        Some(pid) => Until::Process(pid),
        None => Until::Elapsed(parse_duration(ttl).map_err(|wrong| Error::usage("reading --ttl", wrong))?),
    };
    watch::start(world, &key, &until, false, "session start")?;
    ui::out(format!("{}\n", key.session));
    Ok(0)
}

fn finish(world: &World, id: &str, keep_tagged: bool) -> Result<u8> {
    let session = Name::typed(id).map_err(|wrong| Error::usage("reading the session's ID", wrong))?;
    let key = SessionKey { project: world.key.project.clone(), session };
    let (plan, report) = runtime()?.block_on(end::end(world, &key, keep_tagged, super::clean::stop()))?;
    if end::is_over(&plan) {
        world.state()?.session(&key).disown()?;
    }
    let whose = format!("{} · session {}", key.project, key.session);
    ui::clean::show(&world.settings, world.loudness(), &plan, &whose, true);
    for error in &report.errors {
        ui::say(error);
    }
    Ok(super::clean::exit_code(&plan, &report))
}

//! `dkb guard -- COMMAND`: a session that is cleaned up, whatever ends it.
//!
//! The guard cleans when the command ends. Should the guard itself be killed, its watcher does.

use std::ffi::OsString;
use std::process::Command;

use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};

use super::build::{child, exit_code};
use super::end;
use super::seen::Seen;
use super::watch::{self, Until, Watcher, name_of, outer};
use super::world::{World, machine, runtime};
use crate::cli::Guard;
use crate::error::{Error, Kind, Result};
use crate::ledger::{SessionHold, State, short_hash};
use crate::model::{Name, Owner, RUN_LABEL, SessionKey};
use crate::plan::identity::Origin;
use crate::ui;

pub(super) fn guard(world: &World, flags: &Guard) -> Result<u8> {
    let state = world.state();
    if let (Ok(state), None) = (&state, &flags.session)
        && let Some(key) = outer(state, world)
    {
        // Inside another guard: its session is ours, and it cleans.
        return run(&key, &flags.command, &mut None);
    }
    let key = session_of(world, flags)?;
    let command = flags.command.first().map(|word| name_of(word)).unwrap_or_default();
    let mut opened = state.and_then(|state| Opened::new(world, state, &key, flags, &command)).map_or_else(
        |error| {
            ui::warn(format_args!("if this guard is killed nobody will clean up: {error}"));
            None
        },
        Some,
    );
    let code = run(&key, &flags.command, &mut opened)?;
    if flags.no_clean || flags.keep_on_failure && code != 0 {
        if !flags.no_clean {
            ui::say(format_args!(
                "session {} is left for a look; to clean it: dkb session end {}",
                key.session, key.session
            ));
        }
        if let Some(opened) = opened {
            opened.leave();
        }
        return Ok(code);
    }
    clean(world, &key, flags, opened);
    Ok(code)
}

/// The session that was named, or a fresh one.
fn session_of(world: &World, flags: &Guard) -> Result<SessionKey> {
    let project = world.key.project.clone();
    let session = match &flags.session {
        Some(id) => Name::typed(id).map_err(|wrong| Error::usage("reading --session", wrong))?,
        None if matches!(world.identity.session_from, Origin::Given(_)) => world.key.session.clone(),
        None => fresh()?,
    };
    Ok(SessionKey { project, session })
}

/// A name that nobody else has, and that says nothing of who or where.
pub(super) fn fresh() -> Result<Name> {
    let moment = Timestamp::now().as_nanosecond().to_string();
    let hash = short_hash(&[&machine(), &std::process::id().to_string(), &moment]);
    Name::typed(&format!("run-{}", &hash[..12])).map_err(|wrong| Error::usage("naming the session", wrong))
}

/// A session that is alive: its lock, and who cleans if we can't.
struct Opened {
    state: State,
    key: SessionKey,
    hold: SessionHold,
    watcher: Option<Watcher>,
}

impl Opened {
    fn new(world: &World, state: State, key: &SessionKey, flags: &Guard, command: &str) -> Result<Self> {
        let owner = Owner { machine: machine(), since: Timestamp::now(), command: command.to_owned() };
        let hold = state.session(key).hold(Some(&owner))?;
        let watcher = if flags.no_clean {
            None
        } else {
            Some(watch::start(world, key, &Until::Line, flags.keep_tagged, command)?)
        };
        Ok(Self { state, key: key.clone(), hold, watcher })
    }

    /// It stays on record as dead, for the next dkb.
    fn give_up(mut self) {
        if let Some(watcher) = self.watcher.take() {
            watcher.done();
        }
    }

    /// The session is over, or left as it is: nobody answers for it any more.
    fn leave(mut self) {
        if let Some(watcher) = self.watcher.take() {
            watcher.done();
        }
        drop(self.hold);
        let _ = self.state.session(&self.key).disown();
    }
}

/// Runs the command as if it had been called without a guard.
fn run(key: &SessionKey, words: &[OsString], opened: &mut Option<Opened>) -> Result<u8> {
    let Some((program, args)) = words.split_first() else {
        return Err(Error::usage("dkb guard", "there is no command").hint("dkb guard -- just e2e"));
    };
    let mut command = Command::new(program);
    command
        .args(args)
        .env("DKB_SESSION", key.session.as_str())
        .env("DKB_PROJECT", key.project.as_str())
        .env("DKB_GUARD", key.session.as_str())
        .env("DKB_LABEL", format!("{RUN_LABEL}={}", key.session));
    let started = child::start(command, child::Stdout::Untouched, &[], None);
    let mut running = match started {
        Ok(running) => running,
        Err(error) => {
            // Nothing ran, so there is nothing to clean.
            if let Some(opened) = opened.take() {
                opened.leave();
            }
            return Err(Error::new(Kind::NotFound, format!("starting {}", program.display()), error));
        }
    };
    let ended = runtime()?.block_on(running.ended());
    ended.map(exit_code).map_err(|error| Error::failed("waiting for the command", error))
}

/// Cleans the session. What goes wrong is said, and never changes the command's exit code.
fn clean(world: &World, key: &SessionKey, flags: &Guard, opened: Option<Opened>) {
    let cleaned = runtime().and_then(|runtime| {
        runtime.block_on(async {
            let seen = Seen::look(world).await?;
            let ended = end::end_seen(world, &seen, key, flags.keep_tagged, asked_to_stop()).await?;
            // This session has just been cleaned, and is still held.
            let others = seen.lives.iter().filter(|(other, _)| *other != key);
            end::see_to_the_dead(world, &others.map(|(key, life)| (key.clone(), *life)).collect()).await?;
            Ok::<_, Error>(ended)
        })
    });
    match cleaned {
        Ok((_, report)) if report.interrupted => {
            ui::say("stopped cleaning; the watcher goes on with it");
            // Without a word to the watcher it takes over as soon as we are gone.
            std::mem::forget(opened);
        }
        Ok((plan, report)) => {
            ui::guard::show(world.loudness(), &plan, key);
            for error in &report.errors {
                ui::say(error);
            }
            match opened {
                Some(opened) if end::is_over(&plan) => opened.leave(),
                Some(opened) => opened.give_up(),
                None => {}
            }
        }
        Err(error) => {
            ui::say(format_args!("session {} was not cleaned: {error}", key.session));
            ui::say("the next dkb on that engine will say so; dkb clean --stale takes it away");
            if let Some(opened) = opened {
                opened.give_up();
            }
        }
    }
}

/// The first Ctrl-C is answered, the second stops; so does SIGTERM.
async fn asked_to_stop() {
    let (Ok(mut interrupts), Ok(mut terminations)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    let mut asked = false;
    loop {
        tokio::select! {
            _ = interrupts.recv() => {
                if asked {
                    return;
                }
                asked = true;
                ui::say("cleaning up; Ctrl-C once more leaves the rest to the watcher");
            }
            _ = terminations.recv() => return,
        }
    }
}

//! `dkb guard -- COMMAND`: a session that is cleaned up, whatever ends it.
//!
//! The guard cleans when the command ends. Should the guard itself be killed, its watcher does.

use std::ffi::OsString;
use std::process::Command;

use futures_util::FutureExt as _;
use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};

use super::build::{child, exit_code};
use super::end::{self, Manner};
use super::watch::{self, Until, Watcher, name_of, outer};
use super::world::{BY_CHECKOUT, World, machine, runtime};
use crate::cli::Guard;
use crate::config::value::Source;
use crate::error::{Error, Kind, Result};
use crate::ledger::{Keeper, KeptBy, SessionHold, State, short_hash};
use crate::model::{Name, Owner, RUN_LABEL, SessionKey};
use crate::plan::identity::Origin;
use crate::ui;

pub(super) fn guard(world: &World, flags: &Guard) -> Result<u8> {
    let state = world.state();
    let told_otherwise = matches!(world.settings.source("session"), Some(Source::Flag(_)));
    if let Ok(state) = &state
        && !told_otherwise
        && let Some(key) = outer(state, world)
    {
        // Inside another guard: its session is ours, and it cleans.
        return run(world, &key, &flags.command, &mut None);
    }
    let key = key_of(world)?;
    let command = flags.command.first().map(|word| name_of(word)).unwrap_or_default();
    let mut opened = state.and_then(|state| Opened::new(world, state, &key, flags, &command)).map_or_else(
        |error| {
            warn_of_no_watcher(&error);
            None
        },
        Some,
    );
    let code = run(world, &key, &flags.command, &mut opened)?;
    if flags.no_clean || flags.keep_on_failure && code != 0 {
        if let Some(opened) = &mut opened {
            opened.step_down();
        }
        if opened.as_ref().is_some_and(Opened::is_kept_by_others) {
            leave_to_others(&key, opened);
            return Ok(code);
        }
        if !flags.no_clean {
            ui::say(format_args!(
                "session {} is left for a look; to clean it: dkb session end {}",
                key.session, key.session
            ));
        }
        if let Some(opened) = opened {
            opened.leave_for_a_look();
        }
        return Ok(code);
    }
    clean(world, &key, flags, opened);
    Ok(code)
}

fn warn_of_no_watcher(error: &Error) {
    ui::warn(error.under("if this guard is killed nobody will clean up"));
}

/// The session that was named, or a fresh one with a name that nobody else has and that says nothing of who or where.
pub(super) fn key_of(world: &World) -> Result<SessionKey> {
    if matches!(world.identity.session_from, Origin::Given(_)) {
        return Ok(world.key.clone());
    }
    let moment = Timestamp::now().as_nanosecond().to_string();
    let hash = short_hash(&[&machine(), &std::process::id().to_string(), &moment]);
    let session = Name::typed(&format!("run-{}", &hash[..12]));
    let session = session.map_err(|wrong| Error::usage("naming the session", wrong))?;
    Ok(SessionKey { project: world.key.project.clone(), session })
}

/// A session that is alive: its lock, and who cleans if we can't.
struct Opened {
    state: State,
    key: SessionKey,
    owner: Owner,
    hold: SessionHold,
    keeper: Option<Keeper>,
    watcher: Option<Watcher>,
}

impl Opened {
    fn new(world: &World, state: State, key: &SessionKey, flags: &Guard, command: &str) -> Result<Self> {
        let owner = Owner { machine: machine(), since: Timestamp::now(), command: command.to_owned() };
        let (hold, keeper) = state.session(key).open(&KeptBy { owner: owner.clone(), guard: true })?;
        let watcher = if flags.no_clean {
            None
        } else {
            let watcher = watch::start(world, key, &Until::Line(keeper.name()), flags.keep_tagged, command);
            watcher.inspect_err(warn_of_no_watcher).ok()
        };
        Ok(Self { state, key: key.clone(), owner, hold, keeper: Some(keeper), watcher })
    }

    /// Of two that end at once each must see that the other is gone, so nobody looks before it has stepped down.
    fn step_down(&mut self) {
        self.keeper = None;
    }

    fn is_kept_by_others(&self) -> bool {
        end::is_kept_open(&self.state.session(&self.key), None)
    }

    /// Whether a build of the session still runs.
    fn builds(&self) -> bool {
        self.state.builds_in(&self.key)
    }

    /// It stays on record as dead, for the next dkb.
    fn give_up(mut self) {
        if let Some(watcher) = self.watcher.take() {
            watcher.done();
        }
    }

    /// The session is over, but for what somebody still uses. It stays on record for a later clean, and nobody need
    /// hear that it was cut off.
    fn leave_a_rest(self) {
        let session = self.state.session(&self.key);
        let _ = session.tell_once();
        ui::say("what is kept for now goes with dkb clean --stale, once nothing holds it");
        self.give_up();
    }

    /// The session is over: nobody answers for it any more, unless somebody has come to keep it open.
    fn leave(mut self) {
        if let Some(watcher) = self.watcher.take() {
            watcher.done();
        }
        drop((self.hold, self.keeper));
        let _ = self.state.session(&self.key).disown();
    }

    fn leave_for_a_look(mut self) {
        if let Some(watcher) = self.watcher.take() {
            watcher.done();
        }
        drop((self.hold, self.keeper));
        let _ = self.state.session(&self.key).leave_for_a_look(&self.owner);
    }
}

/// What tells an inner dkb of this guard. That a checkout named the project is passed on: in its variable the name
/// would look like the user's own word.
fn guard_mark(key: &SessionKey, vouched: bool) -> String {
    if vouched { key.session.to_string() } else { format!("{}{BY_CHECKOUT}", key.session) }
}

/// Runs the command as if it had been called without a guard.
fn run(world: &World, key: &SessionKey, words: &[OsString], opened: &mut Option<Opened>) -> Result<u8> {
    let Some((program, args)) = words.split_first() else {
        return Err(Error::usage("dkb guard", "there is no command").hint("dkb guard -- just e2e"));
    };
    let vouched = world.here().vouched;
    let mut command = Command::new(program);
    command
        .args(args)
        .env("DKB_SESSION", key.session.as_str())
        .env("DKB_PROJECT", key.project.as_str())
        .env("DKB_GUARD", guard_mark(key, vouched))
        .env("DKB_LABEL", format!("{RUN_LABEL}={}", key.run_label()));
    let started = child::start(command, child::Stdout::Untouched, &[], None);
    let mut running = match started {
        Ok(running) => {
            // The command has not been kept waiting for this.
            if let Some(opened) = opened
                && let Some(Err(error)) = opened.watcher.as_mut().map(Watcher::ready)
            {
                warn_of_no_watcher(&error);
                opened.watcher = None;
            }
            running
        }
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
fn clean(world: &World, key: &SessionKey, flags: &Guard, mut opened: Option<Opened>) {
    let watched = opened.as_ref().is_some_and(|opened| opened.watcher.is_some());
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return failed(key, &error, opened),
    };
    if let Some(opened) = &mut opened {
        opened.step_down();
    }
    let builds = || opened.as_ref().is_some_and(Opened::builds);
    let is_kept_open = || opened.as_ref().is_some_and(Opened::is_kept_by_others);
    if is_kept_open() {
        return leave_to_others(key, opened);
    }
    let stop = asked_to_stop(watched).boxed_local().shared();
    let built_before = builds();
    let manner = Manner { keep_tagged: flags.keep_tagged, opened: true, anywhere: true };
    let ended = runtime.block_on(end::end(world, key, manner, is_kept_open, stop.clone()));
    let ended = match ended {
        Ok(None) => return leave_to_others(key, opened),
        Ok(Some(ended)) if ended.report.interrupted => return stopped(key, opened),
        Ok(Some(ended)) => ended,
        Err(error) if error.kind == Kind::Interrupted => return stopped(key, opened),
        Err(error) => return failed(key, &error, opened),
    };
    ui::guard::show(world.loudness(), &ended.plan, key);
    for error in &ended.report.errors {
        ui::say(error);
    }
    if watched && (built_before || builds()) {
        ui::say(format_args!("a build of session {} still runs; the watcher cleans up after it", key.session));
        hand_over(opened);
    } else {
        match opened {
            Some(opened) if end::is_over(&ended.plan) => opened.leave(),
            Some(opened) => opened.leave_a_rest(),
            None => {}
        }
    }
    // This session has just been cleaned, or is in good hands.
    let others = ended.lives.into_iter().filter(|(other, _)| other != key).collect();
    runtime.block_on(async {
        tokio::select! {
            () = end::see_to_the_dead(world, &others, world.loudness()) => {}
            () = stop => {}
        }
    });
}

fn leave_to_others(key: &SessionKey, opened: Option<Opened>) {
    end::say_that_it_goes_on(key);
    if let Some(opened) = opened {
        opened.leave();
    }
}

fn stopped(key: &SessionKey, opened: Option<Opened>) {
    if opened.as_ref().is_some_and(|opened| opened.watcher.is_some()) {
        ui::say("stopped cleaning; the watcher goes on with it");
    } else {
        ui::say(format_args!("stopped cleaning; to go on with it: dkb session end {}", key.session));
    }
    hand_over(opened);
}

/// Without a word to the watcher it takes over as soon as we are gone.
fn hand_over(opened: Option<Opened>) {
    std::mem::forget(opened);
}

fn failed(key: &SessionKey, error: &Error, opened: Option<Opened>) {
    ui::say(error.under(format_args!("session {} was not cleaned", key.session)));
    ui::say("the next dkb on that engine will say so; dkb clean --stale takes it away");
    if let Some(opened) = opened {
        opened.give_up();
    }
}

/// The first Ctrl-C is answered, the second stops; so does SIGTERM.
async fn asked_to_stop(watched: bool) {
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
                let then = if watched { "leaves the rest to the watcher" } else { "stops that" };
                ui::say(format_args!("cleaning up; Ctrl-C once more {then}"));
            }
            _ = terminations.recv() => return,
        }
    }
}

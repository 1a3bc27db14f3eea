//! `dkb guard -- COMMAND`: a session that is cleaned up, whatever ends it.
//!
//! The guard cleans when the command ends. Should the guard itself be killed, its watcher does.

use std::ffi::OsString;
use std::process::Command;

use futures_util::FutureExt as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::App;
use crate::cli::GuardFlags;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{RUN_LABEL, SessionKey};
use crate::processes::child::{self, exit_code};
use crate::processes::name_of;
use crate::report;
use crate::session::end::{self, Manner, say_that_it_goes_on};
use crate::session::opened::{Opened, warn_of_no_watcher};
use crate::session::told::Told;
use crate::session::{dead, is_made, key_of, outer};

pub(super) fn guard(app: &App, flags: &GuardFlags) -> Result<u8> {
    app.settle_on_an_engine()?;
    let told = Told::to_a_command(app)?;
    let state = app.state();
    if let Ok(state) = &state
        && !app.settings.is_typed("session")
        && let Some(key) = outer(state, app)
    {
        // Inside another guard: its session is ours, and it cleans.
        return run(app, &key, &flags.command, told, &mut None);
    }
    let key = key_of(app)?;
    let command = flags.command.first().map(|word| name_of(word)).unwrap_or_default();
    let mut opened = state.and_then(|state| Opened::new(app, state, &key, flags, &command)).map_or_else(
        |error| {
            warn_of_no_watcher(&error);
            None
        },
        Some,
    );
    let code = run(app, &key, &flags.command, told, &mut opened)?;
    if let Some(opened) = &opened {
        opened.settle(app);
    }
    if flags.no_clean || flags.keep_on_failure && code != 0 {
        if let Some(opened) = &mut opened {
            opened.step_down();
        }
        if opened.as_ref().is_some_and(Opened::is_kept_by_others) {
            leave_to_others(&key, opened);
            return Ok(code);
        }
        if !flags.no_clean {
            report::say(format_args!(
                "session {} is left for a look; to clean it: dkb session end {}",
                key.session, key.session
            ));
        }
        if let Some(opened) = opened {
            opened.leave_for_a_look();
        }
        return Ok(code);
    }
    opened.iter().for_each(Opened::begin_to_clean);
    clean(app, &key, flags, opened);
    Ok(code)
}

/// Runs the command as if it had been called without a guard.
fn run(app: &App, key: &SessionKey, words: &[OsString], told: Told, opened: &mut Option<Opened>) -> Result<u8> {
    let Some((program, args)) = words.split_first() else {
        return Err(Error::usage("dkb guard", "there is no command").hint("dkb guard -- just e2e"));
    };
    // Before the command starts: a guard that can't wait for it must not leave it alone.
    let runtime = match app.runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            if let Some(opened) = opened.take() {
                opened.put_back();
            }
            return Err(error);
        }
    };
    let mut command = Command::new(program);
    if app.docker.tls {
        report::warn(
            "the command does not learn of the flags for TLS; it goes by DOCKER_TLS_VERIFY and DOCKER_CERT_PATH",
        );
    }
    told.in_session(key, app.here().vouched).tell(&mut command);
    command.args(args).env("DKB_LABEL", format!("{RUN_LABEL}={}", key.run_label()));
    let started = child::start(command, None, child::Stdout::Untouched, &[], None);
    let mut running = match started {
        Ok(running) => {
            // The command has not been kept waiting for this.
            if let Some(opened) = opened {
                opened.wait_for_the_watcher();
            }
            running
        }
        Err(error) => {
            // Nothing ran, so there is nothing to clean.
            if let Some(opened) = opened.take() {
                opened.put_back();
            }
            return Err(Error::new(ErrorKind::NotFound, format!("starting {}", program.display()), error));
        }
    };
    let ended = runtime.block_on(running.ended());
    ended.map(exit_code).map_err(|error| Error::failed("waiting for the command", error))
}

/// Cleans the session. What goes wrong is said, and never changes the command's exit code.
fn clean(app: &App, key: &SessionKey, flags: &GuardFlags, mut opened: Option<Opened>) {
    let watched = opened.as_ref().is_some_and(Opened::is_watched);
    let runtime = match app.runtime() {
        Ok(runtime) => runtime,
        Err(error) => return failed(key, &error, opened),
    };
    if let Some(opened) = &mut opened {
        opened.step_down();
    }
    let builds = || opened.as_ref().is_some_and(Opened::builds);
    if opened.as_ref().is_some_and(Opened::is_kept_by_others) {
        return leave_to_others(key, opened);
    }
    let is_kept_open = |_: Option<&str>| opened.as_ref().is_some_and(Opened::is_kept_by_others);
    let opening = opened.as_ref().map(Opened::opening);
    let stop = asked_to_stop(watched).boxed_local().shared();
    let built_before = builds();
    let manner = Manner { keep_tagged: flags.keep_tagged, opened: true, own: is_made(app, key) };
    let ended = runtime.block_on(end::end(app, key, manner, opening, is_kept_open, stop.clone()));
    let ended = match ended {
        Ok(None) => return leave_to_others(key, opened),
        Ok(Some(ended)) if ended.report.interrupted => return stopped(key, opened),
        Ok(Some(ended)) => ended,
        Err(error) if error.kind == ErrorKind::Interrupted => return stopped(key, opened),
        Err(error) if error.kind == ErrorKind::OutOfReach => return beyond_reach(key, &error, opened),
        Err(error) => return failed(key, &error, opened),
    };
    report::guard::show(app.loudness(), &ended.news, key);
    report::clean::summarize(&ended.news, &format!("{} · session {}", key.project, key.session));
    for error in &ended.report.errors {
        report::say(error);
    }
    end::say_what_is_elsewhere(key, &ended.elsewhere);
    let builds = built_before || builds();
    if watched && (builds || ended.built) {
        let how = if builds { "still runs" } else { "has come meanwhile" };
        report::say(format_args!("a build of session {} {how}; the watcher cleans up after it", key.session));
        hand_over(opened);
    } else {
        match opened {
            Some(opened) if ended.is_over() => opened.leave(ended.engine.as_deref()),
            Some(opened) => opened.leave_a_rest(),
            None => {}
        }
    }
    // This session has just been cleaned, or is in good hands.
    let others = ended.lives.into_iter().filter(|(other, _)| other != key).collect();
    runtime.block_on(dead::see_to_the_dead(app, &others, ended.engine.as_deref(), app.loudness(), stop));
}

fn leave_to_others(key: &SessionKey, opened: Option<Opened>) {
    say_that_it_goes_on(key, opened.as_ref().is_some_and(Opened::is_kept_by_others));
    if let Some(opened) = opened {
        opened.leave_to_others();
    }
}

fn stopped(key: &SessionKey, opened: Option<Opened>) {
    if opened.as_ref().is_some_and(Opened::is_watched) {
        report::say("stopped cleaning; the watcher goes on with it");
    } else {
        report::say(format_args!("stopped cleaning; to go on with it: dkb session end {}", key.session));
    }
    hand_over(opened);
}

/// Without a word to the watcher it takes over as soon as we are gone.
fn hand_over(opened: Option<Opened>) {
    std::mem::forget(opened);
}

/// What other working copies made in the session stays, and is found as it would have been without us.
fn beyond_reach(key: &SessionKey, error: &Error, opened: Option<Opened>) {
    report::say(error.under(format_args!("session {} was not cleaned", key.session)));
    if let Some(opened) = opened {
        opened.put_back();
    }
}

fn failed(key: &SessionKey, error: &Error, opened: Option<Opened>) {
    report::warn(error.under(format_args!("session {} was not cleaned", key.session)));
    if error.kind != ErrorKind::Elsewhere {
        // Where the engine was never reached nobody but this file knows of the session, and only its name finds it.
        report::say(format_args!("to clean it: dkb session end {}", key.session));
    }
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
                report::say(format_args!("cleaning up; Ctrl-C once more {then}"));
            }
            _ = terminations.recv() => return,
        }
    }
}

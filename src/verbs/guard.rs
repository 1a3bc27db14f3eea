//! `dkb guard -- COMMAND`: a session that is cleaned up, whatever ends it.
//!
//! The guard cleans when the command ends. Should the guard itself be killed, its watcher does.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use futures_util::FutureExt as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::{App, env};
use crate::cli::GuardFlags;
use crate::config::value::Source;
use crate::error::{Error, ErrorKind, Result};
use crate::model::{GuardMark, RUN_LABEL, SessionKey};
use crate::plan::over::is_over;
use crate::processes::child::{self, exit_code};
use crate::processes::name_of;
use crate::report;
use crate::session::end::{self, Manner, say_that_it_goes_on};
use crate::session::opened::{Opened, warn_of_no_watcher};
use crate::session::{dead, is_made, key_of, outer};

pub(super) fn guard(app: &App, flags: &GuardFlags) -> Result<u8> {
    app.must_mean_an_engine()?;
    let told = told_before_the_verb(app)?;
    let state = app.state();
    let told_otherwise = matches!(app.settings.source("session"), Some(Source::Flag(_)));
    if let Ok(state) = &state
        && !told_otherwise
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

/// Variables with what they are to say; `None` where they must say nothing.
type Overrides = Vec<(&'static str, Option<OsString>)>;

/// Which engine and which books were said before the verb, in the words of an environment: a command that went by others
/// would leave there what nobody cleans up.
fn told_before_the_verb(app: &App) -> Result<Overrides> {
    let path = |path: &Path| Some(std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).into_os_string());
    let mut told = Vec::new();
    if let Some(config) = &app.docker.config {
        told.push(("DOCKER_CONFIG", path(config)));
    }
    if let Some(host) = app.docker.hosts.first() {
        told.push(("DOCKER_HOST", Some(host.into())));
        told.extend(env("CONTAINER_HOST").map(|_| ("CONTAINER_HOST", Some(host.into()))));
    }
    if let Some(context) = app.docker.context.as_ref().filter(|context| !context.is_empty()) {
        told.push(("DOCKER_CONTEXT", Some(context.into())));
        // The context of this name is whatever the variable says.
        if context != "default" {
            told.push(("DOCKER_HOST", None));
        }
    }
    told.extend(app.settings_to_hand_on()?.map(|file| ("DKB_SETTINGS", Some(file.into_os_string()))));
    if let Some(folder) = app.settings.state_dir.as_ref().filter(|_| app.settings.source("state_dir").is_some()) {
        told.push(("DKB_STATE_DIR", path(folder)));
    }
    Ok(told)
}

/// Runs the command as if it had been called without a guard.
fn run(app: &App, key: &SessionKey, words: &[OsString], told: Overrides, opened: &mut Option<Opened>) -> Result<u8> {
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
    let mark = GuardMark { session: key.session.clone(), vouched: app.here().vouched };
    let mut command = Command::new(program);
    if app.docker.tls {
        report::warn(
            "the command does not learn of the flags for TLS; it goes by DOCKER_TLS_VERIFY and DOCKER_CERT_PATH",
        );
    }
    for (name, value) in told {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
        .args(args)
        .env("DKB_SESSION", key.session.as_str())
        .env("DKB_PROJECT", key.project.as_str())
        .env(GuardMark::VARIABLE, mark.to_string())
        .env("DKB_LABEL", format!("{RUN_LABEL}={}", key.run_label()));
    let started = child::start(command, child::Stdout::Untouched, &[], None);
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
    let is_kept_open = || opened.as_ref().is_some_and(Opened::is_kept_by_others);
    if is_kept_open() {
        return leave_to_others(key, opened);
    }
    let stop = asked_to_stop(watched).boxed_local().shared();
    let built_before = builds();
    let manner = Manner { keep_tagged: flags.keep_tagged, opened: true, own: is_made(app, key) };
    let ended = runtime.block_on(end::end(app, key, manner, is_kept_open, stop.clone()));
    let ended = match ended {
        Ok(None) => return leave_to_others(key, opened),
        Ok(Some(ended)) if ended.report.interrupted => return stopped(key, opened),
        Ok(Some(ended)) => ended,
        Err(error) if error.kind == ErrorKind::Interrupted => return stopped(key, opened),
        Err(error) if error.kind == ErrorKind::OutOfReach => return beyond_reach(key, &error, opened),
        Err(error) => return failed(key, &error, opened),
    };
    report::guard::show(app.loudness(), &ended.plan, key);
    for error in &ended.report.errors {
        report::say(error);
    }
    end::say_what_is_elsewhere(key, &ended.elsewhere);
    if watched && (built_before || builds()) {
        report::say(format_args!("a build of session {} still runs; the watcher cleans up after it", key.session));
        hand_over(opened);
    } else {
        match opened {
            Some(opened) if is_over(&ended.plan) => opened.leave(),
            Some(opened) => opened.leave_a_rest(),
            None => {}
        }
    }
    // This session has just been cleaned, or is in good hands.
    let others = ended.lives.into_iter().filter(|(other, _)| other != key).collect();
    runtime.block_on(dead::see_to_the_dead(app, &others, app.loudness(), stop));
}

fn leave_to_others(key: &SessionKey, opened: Option<Opened>) {
    say_that_it_goes_on(key);
    if let Some(opened) = opened {
        opened.give_up();
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
    report::say(error.under(format_args!("session {} was not cleaned", key.session)));
    // Where the engine was never reached nobody but this file knows of the session, and only its name finds it.
    report::say(format_args!("to clean it: dkb session end {}", key.session));
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

//! `dkb doctor`: which engine, docker and ledger are used here and why, and what is amiss. It changes nothing.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::app::{App, env};
use crate::building::builder_choice::{apart, builder_of};
use crate::config::HostAddress;
use crate::engine::builder::BuilderKind;
use crate::engine::cli_files::config_dir;
use crate::engine::endpoint::without_password;
use crate::engine::seat::{Seat, SeatStanding};
use crate::engine::{Engine, Limits, Program, ProgramKind, program};
use crate::error::{Error, Result};
use crate::plan::argv::Spelling;
use crate::plan::ci::{self, Vendor};
use crate::plan::identity::{CiJob, Origin};
use crate::report;
use crate::report::doctor::{Finding, Health};

/// `settings`: why they could not be read as a whole.
pub(super) fn doctor(app: &App, settings: Option<&Error>) -> Result<u8> {
    let program = app.program();
    let mut findings: Vec<Finding> = settings.map(|error| failed("settings", error)).into_iter().collect();
    findings.push(docker(&program));
    if let Ok(program) = &program {
        findings.extend(builder(app, program));
    }
    let (engine, ledger) = app.runtime()?.block_on(async {
        let (engine, identity) = engine(app, program.as_ref().ok()).await;
        let ledger = match identity {
            Some(identity) => Some(ledger(app, &identity).await),
            None => None,
        };
        (engine, ledger)
    });
    findings.extend([engine, names(app), state_folder(app)]);
    findings.extend(ledger);
    findings.extend([ci_job(app), plugin(app.docker.config.as_deref())]);
    findings.extend(every_build(app.docker.config.as_deref()));
    findings.extend(completions());
    findings.extend(hosts(app));
    let style = report::Style::for_stdout(app.settings.color);
    let for_people = || report::doctor::human(&findings, style);
    report::result(app.settings.format, for_people, || report::doctor::document(&findings));
    Ok(u8::from(findings.iter().any(|finding| finding.health == Health::Broken)))
}

fn failed(what: &'static str, error: &Error) -> Finding {
    Finding::broken(what, error.what(), error.next())
}

fn docker(program: &Result<Program>) -> Finding {
    let program = match program {
        Ok(program) => program,
        Err(error) => return failed("docker", error),
    };
    let kind = match program.kind {
        ProgramKind::Docker => "Docker's program",
        ProgramKind::Podman => "Podman's program",
    };
    let how = match (program.snap, program.windows, program.wrapper) {
        (true, ..) => ", a snap: what was built is known by its tags and its stamp",
        (_, true, _) => ", a Windows program: what was built is known by its tags and its stamp",
        (.., true) => ", a script: what was built is known by its tags and its stamp",
        _ => "",
    };
    Finding::fine("docker", format!("{}, {kind}{how}", program.path.display()))
}

fn builder(app: &App, program: &Program) -> Option<Finding> {
    let words = [OsString::from("build")];
    let (spelling, _) = Spelling::read(&words)?;
    Some(match builder_of(app, program, &spelling, None, true) {
        BuilderKind::BuildKit => match apart(app) {
            None => Finding::fine("builder", "BuildKit"),
            Some(name) => Finding::better(
                "builder",
                format!(
                    "BuildKit, and docker buildx builds in {name}, which keeps what it makes to itself: dkb leaves that alone"
                ),
                format!(
                    "docker buildx prune --builder {name} clears its cache; docker buildx use default builds on the engine"
                ),
            ),
        },
        BuilderKind::Podman => Finding::fine("builder", "Podman's own"),
        BuilderKind::Classic if env("DOCKER_BUILDKIT").is_some_and(|value| !value.is_empty()) => {
            Finding::fine("builder", "the classic one, by DOCKER_BUILDKIT")
        }
        BuilderKind::Classic => Finding::better(
            "builder",
            "the classic one, which leaves an image for every step",
            "docker's buildx plugin builds with BuildKit",
        ),
    })
}

/// The engine, and what names it for good.
async fn engine(app: &App, program: Option<&Program>) -> (Finding, Option<String>) {
    let reached = async { app.engine(Limits::default()).await?.info().await };
    let info = match reached.await {
        Ok(info) => info,
        Err(error) => return (failed("engine", &error), None),
    };
    let origin = app.origin(program);
    let found = format!("{} {} at {}, by {origin}", info.name, info.version, info.endpoint);
    match info.known() {
        Ok(identity) => (Finding::fine("engine", found), Some(identity.to_owned())),
        Err(error) => (Finding::broken("engine", format!("{found}: {}", error.what()), error.next()), None),
    }
}

fn names(app: &App) -> Finding {
    let identity = &app.identity;
    let (project, session) = (&identity.project_from, &identity.session_from);
    Finding::fine("project", format!("{} ({project}), session {} ({session})", identity.project, identity.session))
}

fn state_folder(app: &App) -> Finding {
    const WHAT: &str = "state folder";
    let checked = app.state().and_then(|state| state.check());
    let (Some(folder), Ok(())) = (&app.settings.state_dir, &checked) else {
        return checked.err().map_or_else(|| Finding::fine(WHAT, "none"), |error| failed(WHAT, &error));
    };
    let from = app.settings.source("state_dir").map(ToString::to_string).unwrap_or_default();
    let found = format!("{} ({from})", folder.display());
    let is_inside = ["/.dockerenv", "/run/.containerenv"].iter().any(|mark| Path::new(mark).exists());
    let is_ci = vendor().is_some();
    if is_ci && is_inside && !app.settings.is_set("state_dir") {
        let next = "it goes with this container: point DKB_STATE_DIR at a volume of the runner, or later jobs won't \
                    know what this one made";
        return Finding::better(WHAT, found, next);
    }
    let outlives = if is_ci && !is_inside { ": it outlives the job where this machine does" } else { "" };
    Finding::fine(WHAT, format!("{found}{outlives}"))
}

async fn ledger(app: &App, identity: &str) -> Finding {
    const WHAT: &str = "ledger";
    let read = async {
        let ledger = app.state()?.ledger(identity);
        Ok::<_, Error>((ledger.path(), ledger.read_aside().await?))
    };
    let (path, (books, damaged)) = match read.await {
        Ok(read) => read,
        Err(error) => return failed(WHAT, &error),
    };
    if books.sessions.is_empty() && damaged == 0 {
        return Finding::fine(WHAT, "nothing was built with dkb on this engine yet");
    }
    let sessions = report::words::count(books.sessions.len(), "session");
    let found = format!("{}, which knows of {sessions}", path.display());
    match damaged {
        0 => Finding::fine(WHAT, found),
        lines => Finding::better(
            WHAT,
            format!("{found}, {} damaged", report::words::count(lines, "line")),
            "dkb clean --dry-run --verbose shows what is kept for that",
        ),
    }
}

fn ci_job(app: &App) -> Finding {
    const WHAT: &str = "CI";
    let identity = &app.identity;
    if let Some(CiJob { vendor, slot, .. }) = &identity.ci {
        return Finding::fine(
            WHAT,
            match slot {
                Some(slot) => format!("{vendor}, slot {slot}: its next job ends what this one leaves"),
                None => format!("{vendor}, of no known slot: what a job leaves is over after stale_after"),
            },
        );
    }
    let Some(vendor) = vendor() else { return Finding::fine(WHAT, "none: this is a working copy") };
    let why = vendor.blur(&text).unwrap_or_default();
    match &identity.session_from {
        Origin::Given(by) => {
            Finding::fine(WHAT, format!("{}, whose jobs can't be told apart ({why}): {by} does", vendor.name))
        }
        _ => Finding::better(
            WHAT,
            format!("{}, but its jobs can't be told apart ({why})", vendor.name),
            "name the session in DKB_SESSION",
        ),
    }
}

fn text(name: &str) -> Option<String> {
    env(name)?.into_string().ok()
}

fn vendor() -> Option<&'static Vendor> {
    ci::vendor(&text)
}

fn plugin(docker_config: Option<&Path>) -> Finding {
    const WHAT: &str = "plugin";
    let next = "for docker dkb build: dkb plugin install";
    let Some(link) = config_dir(docker_config, &env).map(|dir| dir.join("cli-plugins/docker-dkb")) else {
        return Finding::better(WHAT, "not installed", next);
    };
    let own = std::env::current_exe().and_then(std::fs::canonicalize).ok();
    match std::fs::canonicalize(&link) {
        Ok(there) if Some(&there) == own.as_ref() => Finding::fine(WHAT, format!("docker dkb ({})", link.display())),
        Ok(there) => Finding::better(WHAT, format!("docker dkb is another one: {}", there.display()), next),
        Err(_) => Finding::better(WHAT, "not installed", next),
    }
}

/// dkb before docker's buildx.
fn every_build(docker_config: Option<&Path>) -> Option<Finding> {
    const WHAT: &str = "every build";
    let (again, next) = ("dkb plugin install --every-build", "for those of compose, bake and other tools too: ");
    let seat = Seat::new(&config_dir(docker_config, &env)?);
    let is_off = program::seat_is_off(&env);
    Some(match seat.standing() {
        SeatStanding::Absent => {
            Finding::better(WHAT, "dkb sees those that are started by its name", next.to_owned() + again)
        }
        SeatStanding::Taken(_) if is_off => Finding::better(WHAT, "not seen: off by DKB_SEAT", "unset it"),
        SeatStanding::Taken(buildx) => Finding::fine(WHAT, format!("seen by dkb, before {}", buildx.display())),
        SeatStanding::Lost(why) => Finding::broken(WHAT, format!("not seen any more: {why}"), Some(again)),
        SeatStanding::Empty(dkb) => {
            Finding::broken(WHAT, format!("not seen: {} is gone, or does not work", dkb.display()), Some(again))
        }
    })
}

/// Of the user's own shell, in the places where shells look.
fn completions() -> Option<Finding> {
    let shell = PathBuf::from(env("SHELL")?).file_name()?.to_str()?.to_owned();
    let home = PathBuf::from(env("HOME")?);
    let (own, shared): (&str, &[&str]) = match &*shell {
        "bash" => (
            ".local/share/bash-completion/completions/dkb",
            &["/usr/share/bash-completion/completions/dkb", "/etc/bash_completion.d/dkb"],
        ),
        "zsh" => {
            (".zfunc/_dkb", &["/usr/local/share/zsh/site-functions/_dkb", "/usr/share/zsh/vendor-completions/_dkb"])
        }
        "fish" => (".config/fish/completions/dkb.fish", &["/usr/share/fish/vendor_completions.d/dkb.fish"]),
        _ => return None,
    };
    let places = shared.iter().map(PathBuf::from).chain([home.join(own)]);
    let folder = own.rsplit_once('/').map_or(own, |(folder, _)| folder);
    let next = format!("mkdir -p ~/{folder} && dkb completions {shell} > ~/{own}");
    Some(match places.into_iter().find(|place| place.exists()) {
        Some(place) => Finding::fine("completions", format!("{shell} ({})", place.display())),
        None => Finding::better("completions", format!("{shell} has none"), next),
    })
}

/// The hosts that a sweep goes to.
fn hosts(app: &App) -> Option<Finding> {
    let at = |address: &HostAddress| match address {
        HostAddress::Context(name) => format!("context {name}"),
        HostAddress::Host(url) => without_password(url),
    };
    let hosts: Vec<String> =
        app.settings.hosts.iter().map(|host| format!("{} ({})", host.name, at(&host.at))).collect();
    if hosts.is_empty() {
        return None;
    }
    let found = format!("dkb sweep goes to {}", hosts.join(", "));
    let variable =
        ["DOCKER_HOST", "DOCKER_CONTEXT"].into_iter().find(|name| env(name).is_some_and(|set| !set.is_empty()));
    Some(match variable {
        Some(name) => {
            Finding::better("hosts", found, format!("not while {name} is set: then it sweeps that one alone"))
        }
        None => Finding::fine("hosts", found),
    })
}

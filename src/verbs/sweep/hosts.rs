//! Which hosts are swept, and what each goes by.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use crate::app::{App, env};
use crate::cli;
use crate::config::{HostAddress, SweepSettings};
use crate::engine::{DockerFlags, Endpoint, Limits, cli_files};
use crate::error::{Error, Result};

/// An engine that can't be reached is given up soon enough for a nightly job to say so and go on.
pub(super) const LIMITS: Limits =
    Limits { connect: Duration::from_secs(3), ask: Duration::from_secs(60), change: Duration::from_secs(300) };

pub(super) struct Host {
    /// As the user knows it.
    pub(super) name: String,
    pub(super) endpoint: Result<Endpoint>,
    /// Where the address came from, of a host that has no name of its own.
    pub(super) origin: Option<String>,
    pub(super) sweep: SweepSettings,
}

/// Flags go before the environment, and that before the hosts of the user's own file.
pub(super) fn hosts(app: &App, flags: &cli::SweepFlags, socket: Option<&Path>) -> Result<Vec<Host>> {
    let set = |name| env(name).is_some_and(|value| !value.is_empty());
    let settings = &app.settings;
    let hosts = if flags.all_contexts {
        let dir = cli_files::config_dir(app.docker.config.as_deref(), &env);
        let mut names = vec!["default".to_owned()];
        names.extend(cli_files::contexts(dir.as_deref()));
        by_context(app, names)
    } else if !app.docker.hosts.is_empty() {
        vec![alone(app)]
    } else if !settings.contexts.is_empty() {
        by_context(app, settings.contexts.clone())
    } else if let Some(socket) = socket.filter(|_| !set("DOCKER_HOST") && !set("DOCKER_CONTEXT")) {
        let (endpoint, sweep) = (Ok(Endpoint::unix(socket)), settings.sweep.clone());
        vec![Host { name: "localhost".to_owned(), endpoint, origin: None, sweep }]
    } else if settings.hosts.is_empty() || set("DOCKER_HOST") || set("DOCKER_CONTEXT") {
        vec![alone(app)]
    } else {
        let own = settings.hosts.iter();
        own.map(|host| {
            let flags = match &host.at {
                HostAddress::Context(name) => of_context(app, name),
                HostAddress::Host(url) => of_url(app, url),
            };
            at(app, host.name.clone(), &flags, host.sweep.clone())
        })
        .collect()
    };
    if hosts.len() > 1 && (flags.act.plan.is_some() || flags.act.apply.is_some()) {
        return Err(Error::usage("planning for many hosts", "a plan's file is for one host")
            .hint("name it with --context, once for each file"));
    }
    Ok(without_doubles(hosts))
}

fn alone(app: &App) -> Host {
    let host = at(app, String::new(), &app.docker, app.settings.sweep.clone());
    let shown = host.endpoint.as_ref().map(ToString::to_string).unwrap_or_default();
    let name = match shown.split_once("://") {
        Some(("unix", _)) | None => "localhost".to_owned(),
        Some((_, place)) => place.to_owned(),
    };
    let origin = Some(app.origin(app.program().ok().as_ref()));
    Host { name, origin, ..host }
}

fn by_context(app: &App, mut names: Vec<String>) -> Vec<Host> {
    let mut known = std::collections::HashSet::new();
    names.retain(|name| known.insert(name.clone()));
    names.into_iter().map(|name| at(app, name.clone(), &of_context(app, &name), overrides(app, &name))).collect()
}

/// What the user's own file says of the host behind a context.
fn overrides(app: &App, context: &str) -> SweepSettings {
    let named = |host: &&crate::config::HostSettings| host.at == HostAddress::Context(context.to_owned());
    app.settings.hosts.iter().find(named).map_or_else(|| app.settings.sweep.clone(), |host| host.sweep.clone())
}

fn at(app: &App, name: String, flags: &DockerFlags, sweep: SweepSettings) -> Host {
    let program = app.program().ok();
    Host { name, endpoint: Endpoint::resolve(flags, &env, program.as_ref()), origin: None, sweep }
}

fn of_context(app: &App, name: &str) -> DockerFlags {
    let words = words(app, "--context", name);
    DockerFlags { words, context: Some(name.to_owned()), hosts: Vec::new(), tls: false, ..app.docker.clone() }
}

fn of_url(app: &App, url: &str) -> DockerFlags {
    DockerFlags { words: words(app, "--host", url), context: None, hosts: vec![url.to_owned()], ..app.docker.clone() }
}

/// What docker itself needs to go the same way.
fn words(app: &App, flag: &str, value: &str) -> Vec<OsString> {
    let config = app.docker.config.iter().flat_map(|dir| ["--config".into(), dir.clone().into_os_string()]);
    config.chain([flag.into(), value.into()]).collect()
}

/// Two contexts may lead to one engine; it is swept once, under the first name.
fn without_doubles(hosts: Vec<Host>) -> Vec<Host> {
    let mut kept: Vec<Host> = Vec::with_capacity(hosts.len());
    for host in hosts {
        let same = |known: &Host| matches!((&known.endpoint, &host.endpoint), (Ok(a), Ok(b)) if a == b);
        if !kept.iter().any(same) {
            kept.push(host);
        }
    }
    kept
}

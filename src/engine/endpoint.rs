//! Which engine is meant, decided as the Docker CLI decides it, so that dkb never looks at another one than the
//! docker it runs.
//!
//! For Docker, first match wins: `--context`; `-H`; `DOCKER_HOST`; `DOCKER_CONTEXT`; `currentContext` of docker's
//! settings; `/var/run/docker.sock`. Sockets and plain TCP are spoken to directly, and for all else (ssh, TLS) the
//! Docker CLI itself carries the bytes, since it has the credentials.
//!
//! Where the program is Podman: `CONTAINER_HOST`; `DOCKER_HOST`; on macOS the socket of its machine; for root
//! `/run/podman/podman.sock`; for users `podman/podman.sock` in `XDG_RUNTIME_DIR`.

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::cli_files::{CliConfig, ContextHost, config_dir, read_context};
use super::program::{Program, ProgramKind};
use super::{Env, program};
use crate::error::{Error, ErrorKind, Result};

const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// What the user wrote of docker's global flags.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DockerFlags {
    /// All of them, as written, for the docker that is to resolve them the same way.
    pub words: Vec<OsString>,
    pub config: Option<PathBuf>,
    pub context: Option<String>,
    pub hosts: Vec<String>,
    /// Whether any of the flags for TLS is among them.
    pub tls: bool,
}

/// How bytes get there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Unix(PathBuf),
    /// Host and port.
    Tcp(String),
    ThroughCli {
        docker: PathBuf,
        args: Vec<OsString>,
    },
}

/// An engine's address. It shows itself without a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    way: Way,
    /// As its user wrote it, where docker itself reads it.
    written: String,
    shown: String,
}

impl Endpoint {
    /// The engine that this docker program, called with these flags in this environment, would talk to.
    pub fn resolve(flags: &DockerFlags, env: Env<'_>, program: Option<&Program>) -> Result<Self> {
        if let Some(program) = program.filter(|program| program.kind == ProgramKind::Podman) {
            return podman(flags, env, program);
        }
        let dir = config_dir(flags.config.as_deref(), env);
        let (host, context) = match choose(flags, env, &CliConfig::read(dir.as_deref()).current_context)? {
            Choice::Context(name) => (read_context(dir.as_deref(), &name)?, Some(name)),
            Choice::Host(host) => {
                let asked = ["DOCKER_TLS_VERIFY", "DOCKER_TLS"].iter().any(|name| variable(env, name).is_some());
                (ContextHost { host, tls: flags.tls || asked }, None)
            }
        };
        let Some(way) = direct(&host) else {
            let what = context.map_or_else(|| without_password(&host.host), |name| format!("context {name}"));
            let docker = program.ok_or_else(|| {
                Error::new(
                    ErrorKind::NotFound,
                    format!("connecting to {what}"),
                    "only the docker command knows the way, and it is not there",
                )
                .hint("Put docker on PATH, or name it in DKB_DOCKER.")
            })?;
            let way = Way::ThroughCli { docker: docker.path.clone(), args: flags.words.clone() };
            return Ok(Self { way, shown: without_password(host.host.trim()), written: host.host });
        };
        Ok(Self::new(way))
    }

    /// An engine behind a socket, without asking anybody's settings.
    pub fn unix(path: impl Into<PathBuf>) -> Self {
        Self::new(Way::Unix(path.into()))
    }

    pub(super) fn new(way: Way) -> Self {
        let shown = match &way {
            Way::Unix(path) => format!("unix://{}", path.display()),
            Way::Tcp(address) => format!("tcp://{address}"),
            Way::ThroughCli { docker, .. } => docker.display().to_string(),
        };
        Self { way, written: String::new(), shown }
    }

    /// What docker says of this address, without the password that may be in it.
    pub(super) fn tell(&self, words: &str) -> String {
        match self.written.trim() {
            "" => words.to_owned(),
            // Within quotes it may be written otherwise.
            written => words.replace(&format!("{written:?}"), &self.shown).replace(written, &self.shown),
        }
    }

    /// What tells this very socket from another that stands in its place later, as after a restart of the engine;
    /// `None` where there is no socket.
    pub fn socket_mark(&self) -> Option<String> {
        let Way::Unix(path) = &self.way else { return None };
        let file = fs::metadata(path).ok()?;
        Some(format!("{:x}-{:x}-{:x}.{:x}", file.dev(), file.ino(), file.ctime(), file.ctime_nsec()))
    }

    pub(super) fn way(&self) -> &Way {
        &self.way
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl DockerFlags {
    /// These flags and, where it was docker's settings that chose the context, its name as if it had been typed: what
    /// they say later leads nobody elsewhere. Podman's settings choose nothing.
    #[must_use]
    pub fn settled(&self, env: Env<'_>, program: Option<&Program>) -> Self {
        let typed = self.context.as_ref().is_some_and(|name| !name.is_empty()) || !self.hosts.is_empty();
        let name = if typed || program.is_some_and(|program| program.kind == ProgramKind::Podman) {
            None
        } else {
            context_name(self, env)
        };
        let mut settled = self.clone();
        if let Some(name) = name {
            settled.words.retain(|word| !word.as_encoded_bytes().starts_with(b"--context="));
            settled.words.push(format!("--context={name}").into());
            settled.context = Some(name);
        }
        settled
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Choice {
    Context(String),
    /// Empty for the default socket.
    Host(String),
}

/// What a variable says. An empty one is as good as none.
pub(crate) fn variable(env: Env<'_>, name: &str) -> Option<String> {
    env(name).map(|value| value.to_string_lossy().into_owned()).filter(|value| !value.is_empty())
}

/// The context that docker works in, `default` where a host is named; `None` where docker would refuse the flags.
pub fn context_name(flags: &DockerFlags, env: Env<'_>) -> Option<String> {
    let current = CliConfig::read(config_dir(flags.config.as_deref(), env).as_deref()).current_context;
    Some(match choose(flags, env, &current).ok()? {
        Choice::Context(name) => name,
        Choice::Host(_) => "default".to_owned(),
    })
}

fn choose(flags: &DockerFlags, env: Env<'_>, current: &str) -> Result<Choice> {
    let host = match (&flags.context, flags.hosts.as_slice()) {
        (Some(_), [_, ..]) => return Err(Error::usage("choosing the engine", "both --context and --host are given")),
        (_, [_, _, ..]) => return Err(Error::usage("choosing the engine", "--host is given more than once")),
        (_, [host]) => Some(host.clone()),
        (_, []) => None,
    };
    let asked = host.or_else(|| variable(env, "DOCKER_HOST"));
    let context = match &flags.context {
        Some(name) if !name.is_empty() => name.clone(),
        _ if asked.is_some() => String::new(),
        _ => variable(env, "DOCKER_CONTEXT").unwrap_or_else(|| current.to_owned()),
    };
    // The context named `default` is what there is without contexts.
    Ok(match context.as_str() {
        "" | "default" => Choice::Host(asked.unwrap_or_default()),
        _ => Choice::Context(context),
    })
}

/// The hosts that need no help; docker's own defaults fill what an address leaves out.
pub(super) fn direct(ContextHost { host, tls }: &ContextHost) -> Option<Way> {
    let host = host.trim();
    let (scheme, rest) = host.split_once("://").unwrap_or(("tcp", host));
    match scheme {
        _ if host.is_empty() => (!tls).then(|| Way::Unix(DEFAULT_SOCKET.into())),
        // A name in Linux's abstract namespace is no path.
        "unix" if rest.starts_with('@') => None,
        "unix" => Some(Way::Unix(if rest.is_empty() { DEFAULT_SOCKET } else { rest }.into())),
        "tcp" if !tls => {
            let address = rest.trim_end_matches('/');
            if address.contains(['/', '@', '?', '#']) {
                return None;
            }
            let (name, port) = match address.rsplit_once(':') {
                Some((name, port)) if !port.contains(']') => (name, port),
                _ => (address, ""),
            };
            let name = if name.is_empty() { "localhost" } else { name };
            let port = if port.is_empty() { "2375" } else { port };
            Some(Way::Tcp(format!("{name}:{port}")))
        }
        _ => None,
    }
}

/// An address as it may be shown. A password may hold anything, so that all before the last `@` may be one.
pub(crate) fn without_password(host: &str) -> String {
    let (scheme, rest) = match host.split_once("://") {
        Some((scheme, rest)) if !scheme.contains([':', '@', '/']) => (format!("{scheme}://"), rest),
        _ => (String::new(), host),
    };
    let until = |text: &str, ends: &[char]| text.split(ends).next().unwrap_or_default().to_owned();
    let place = |place| until(place, &['?', '#']);
    match rest.rsplit_once('@') {
        Some((who, at)) => format!("{scheme}{}@{}", until(who, &[':', '/', '?', '#']), place(at)),
        None => format!("{scheme}{}", place(rest)),
    }
}

fn podman(flags: &DockerFlags, env: Env<'_>, program: &Program) -> Result<Endpoint> {
    let named = flags
        .hosts
        .first()
        .cloned()
        .or_else(|| variable(env, "CONTAINER_HOST"))
        .or_else(|| variable(env, "DOCKER_HOST"));
    if let Some(host) = named {
        return direct(&ContextHost { host: host.clone(), tls: false }).map(Endpoint::new).ok_or_else(|| {
            Error::usage(
                format!("connecting to Podman at {}", without_password(&host)),
                "dkb can't speak that way to Podman",
            )
            .hint("Forward its socket to this machine, and name it as CONTAINER_HOST=unix://…")
        });
    }
    if cfg!(target_os = "macos") {
        return Ok(Endpoint::unix(program::podman_machine_socket(&program.path)?));
    }
    Ok(Endpoint::unix(podman_socket(rustix::process::geteuid().as_raw(), variable(env, "XDG_RUNTIME_DIR").as_deref())))
}

fn podman_socket(user: u32, runtime_dir: Option<&str>) -> PathBuf {
    match (user, runtime_dir) {
        (0, _) => "/run/podman/podman.sock".into(),
        (_, Some(dir)) => Path::new(dir).join("podman/podman.sock"),
        (user, None) => format!("/run/user/{user}/podman/podman.sock").into(),
    }
}

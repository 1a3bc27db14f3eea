//! dkb by the name `docker`: a build, a bake and compose are what dkb makes of them, `docker dkb …` is dkb's own, and all
//! else is docker's, which dkb then becomes.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::app::{App, DockersCall, env};
use crate::cli::{self, BuildFlags, Parsed};
use crate::config::{self, Places};
use crate::engine::{Program, program};
use crate::error::{Error, Result};
use crate::plan::argv::Spelling;
use crate::report;

/// Set for a docker that dkb has become: how many are within one another. A docker that is a script around this one would
/// go on for ever.
const DEPTH: &str = "DKB_AS_DOCKER";

/// Plugins that call docker again are some of it, and never so many.
const DEEPEST: u32 = 16;

pub(super) struct AsDocker {
    real: Result<Program>,
    /// Without the program's own name.
    words: Vec<OsString>,
}

/// What such a call comes to.
pub(super) enum Called {
    /// As it would be typed to dkb.
    Ours(Vec<OsString>),
    Build(Box<DockersCall>),
    Theirs,
}

impl AsDocker {
    /// `None` for a dkb that was called by another name.
    pub(super) fn of(args: &[OsString]) -> Option<Self> {
        let (called, words) = args.split_first()?;
        if Path::new(called).file_name()? != "docker" {
            return None;
        }
        let places = Places::new(std::env::current_dir().unwrap_or_default(), &env);
        // Whatever is wrong with dkb's settings, docker is there.
        let setting = config::load_what_can_be_read(&places, &env, &[]).map(|settings| settings.docker);
        let setting = setting.as_ref().ok().map(|docker| docker.as_os_str());
        Some(Self { real: program::behind_docker(setting, &env), words: words.to_vec() })
    }

    pub(super) fn call(&self) -> Called {
        let (Some(at), Ok(real)) = (Spelling::behind_globals(&self.words), &self.real) else { return Called::Theirs };
        let line = |name: &str| [OsString::from(name)].into_iter().chain(self.words.iter().cloned());
        if self.words[at] == "dkb" {
            return Called::Ours(line("docker-dkb").collect());
        }
        // A docker that dkb has started sees to its own.
        if program::is_inside(&real.path, &env) {
            return Called::Theirs;
        }
        let Ok(Parsed::Run(invocation)) = cli::parse(line("dkb")) else { return Called::Theirs };
        let app = App::new(&invocation.cli, &invocation.typed);
        // Whatever it read of these words, they are handed on as they are.
        let is_whole = |flags: &BuildFlags| flags.docker == self.words[..at];
        let Some((verb, flags)) = invocation.cli.verb.into_dockers().filter(|(_, flags)| is_whole(flags)) else {
            return Called::Theirs;
        };
        match app {
            Ok(mut app) => {
                app.settings.docker.clone_from(&real.path);
                Called::Build(Box::new(DockersCall { app, verb, flags }))
            }
            Err(error) => {
                report::warn(error.under("this build was not noted"));
                Called::Theirs
            }
        }
    }

    /// Becomes docker. Comes back only where there is none.
    pub(super) fn give_way(self) -> Error {
        let real = match self.real {
            Ok(real) => real.path,
            Err(error) => return error,
        };
        let depth = env(DEPTH).and_then(|depth| depth.to_str()?.parse::<u32>().ok()).unwrap_or(0);
        let tried = format!("starting {}", real.display());
        if depth >= DEEPEST {
            return Error::usage(tried, format!("it starts dkb again, endlessly ({DEPTH}={depth})"))
                .hint("It seems to be a script around dkb. Name the real docker in DKB_DOCKER.");
        }
        let mut command = Command::new(&real);
        command.args(self.words).env(DEPTH, depth.saturating_add(1).to_string());
        Error::failed(tried, command.exec()).hint("Is it a program that this machine can run?")
    }
}

//! dkb in the place where docker looks for buildx: a build or a bake is what `dkb build` and `dkb bake` make of it, and
//! all else is the real one's.
//!
//! Whatever fails on dkb's side before the real one runs, docker gets the real one and notices nothing.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::app::{App, DockersCall, env};
use crate::cli::{self, DockersVerb, Parsed};
use crate::engine::cli_files::{BUILDX, config_dir};
use crate::engine::{Program, private_config, program, seat};
use crate::error::{Error, ErrorKind};
use crate::plan::argv::Spelling;

/// Like a shell that finds no program.
const NOT_FOUND: u8 = 127;

/// The script asks whether there is a dkb that can do its part.
pub(super) fn is_asked(args: &[OsString]) -> bool {
    args.len() == 2 && args[1] == program::SEATED && Path::new(&args[0]).file_name().is_none_or(|name| name != BUILDX)
}

pub(super) struct SeatCall {
    real: Option<PathBuf>,
    /// Without the program's own name.
    words: Vec<OsString>,
    /// It is only there to become the real one.
    bound: bool,
}

impl SeatCall {
    /// `None` for a dkb that was called by its own name.
    pub(super) fn of(args: &[OsString]) -> Option<Self> {
        let (called, words) = args.split_first()?;
        if called == program::BOUND {
            return Some(Self { real: None, words: words.to_vec(), bound: true });
        }
        // By the script that stands there, or by a link.
        let (called, words) = match words {
            [seated, script, words @ ..] if seated == program::SEATED => (Path::new(script), words),
            _ if Path::new(called).file_name()? == BUILDX => (Path::new(called), words),
            _ => return None,
        };
        let told = private_config::behind(called).filter(|_| !program::seat_is_off(&env));
        let real = told.or_else(|| {
            let dir = config_dir(config_flag(words).as_deref(), &env);
            seat::behind(called, dir.as_deref())
        });
        Some(Self { real, words: words.to_vec(), bound: false })
    }

    /// A build that dkb is to see; `None` where the real one is to do it alone.
    pub(super) fn build(&self) -> Option<DockersCall> {
        let at = Spelling::in_seat(&self.words).filter(|_| !self.bound)?;
        if program::seat_is_off(&env) {
            return None;
        }
        let line = [OsString::from("dkb")].into_iter().chain(self.words.iter().cloned());
        let Ok(Parsed::Run(invocation)) = cli::parse(line) else { return None };
        let mut app = App::new(&invocation.cli, &invocation.typed).ok()?;
        let (verb, flags) = invocation.cli.verb.into_dockers().filter(|(verb, _)| *verb != DockersVerb::Compose)?;
        // Whatever it read of these words, they are handed on as they are.
        if flags.docker != self.words[..at] {
            return None;
        }
        let real = Program::find(Some(self.real.as_ref()?.as_os_str()), &env).ok()?;
        app.seat = Some(Program { seat: true, ..real });
        Some(DockersCall { app, verb, flags })
    }

    /// Becomes the real one. Comes back only where there is none. What was taken for it may be another dkb, or this very
    /// one: that looks behind itself, and only there, so that whatever stands there, the real one's turn comes.
    pub(super) fn give_way(&self) -> (Error, u8) {
        let tried = "looking for the buildx in whose place dkb stands";
        let error = match &self.real {
            _ if self.bound => Error::new(ErrorKind::NotFound, "starting buildx", program::become_bound(&self.words)),
            Some(real) => {
                let mut real = Command::new(real);
                real.args(&self.words).env(program::SEAT, program::OFF);
                Error::new(ErrorKind::NotFound, tried, real.exec())
            }
            None => Error::new(ErrorKind::NotFound, tried, "there is none behind it"),
        };
        (error.hint("install docker's buildx, or take dkb out of its place"), NOT_FOUND)
    }
}

/// What docker was told of its settings.
fn config_flag(words: &[OsString]) -> Option<PathBuf> {
    let at = words.iter().position(|word| word == "--config");
    let apart = at.and_then(|at| words.get(at.saturating_add(1))).map(PathBuf::from);
    apart.or_else(|| words.iter().find_map(|word| word.to_str()?.strip_prefix("--config=").map(PathBuf::from)))
}

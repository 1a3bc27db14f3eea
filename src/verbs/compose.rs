//! `dkb compose`: docker's compose with its words, streams and end, and its builds seen: dkb stands where compose looks
//! for buildx, for this one call.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::app::{App, env};
use crate::building::{become_docker, not_started};
use crate::engine::cli_files::config_dir;
use crate::engine::private_config::PrivateConfig;
use crate::engine::{Program, ProgramKind, program, seat};
use crate::error::{Error, Result};
use crate::processes::child::{self, Stdout, exit_code};
use crate::report;

/// `words` begin with the verb, `global` stood before it.
pub(super) fn compose(app: &App, global: &[OsString], words: &[OsString]) -> Result<u8> {
    let docker = app.program()?;
    let Some(buildx) = buildx(app, &docker) else {
        // What compose builds without it goes past every seat.
        return Err(become_docker(&docker, global, words));
    };
    let prepared = app.runtime().and_then(|runtime| Ok((runtime, told(app)?, private(app, &buildx)?)));
    let (runtime, told, private) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            report::warn(error.under("what compose builds is not noted"));
            return Err(become_docker(&docker, global, words));
        }
    };
    let mut command = docker.command();
    docker.tell(&mut command);
    // The last one counts. A variable would be there for compose files too, and for all that compose starts.
    command.args(global).arg("--config").arg(private.path()).args(words);
    command.envs(told).env_remove(program::SEAT);
    let mut running =
        child::start(command, None, Stdout::Untouched, &[], None).map_err(|error| not_started(&docker, &error))?;
    let ended = runtime.block_on(running.ended());
    private.finish();
    ended.map(exit_code).map_err(|error| Error::failed("waiting for docker", error))
}

/// The buildx that compose would call.
fn buildx(app: &App, docker: &Program) -> Option<PathBuf> {
    if docker.kind != ProgramKind::Docker || program::seat_is_off(&env) {
        return None;
    }
    let dir = config_dir(app.docker.config.as_deref(), &env);
    std::path::absolute(seat::behind("".as_ref(), dir.as_deref())?).ok()
}

fn private(app: &App, buildx: &Path) -> Result<PrivateConfig> {
    let dkb = std::env::current_exe().map_err(|error| Error::failed("looking for the dkb that runs", error))?;
    PrivateConfig::new(config_dir(app.docker.config.as_deref(), &env), &dkb, buildx, &env)
}

/// What was typed for this run, for the dkb that compose calls.
fn told(app: &App) -> Result<Vec<(&'static str, OsString)>> {
    let names =
        [("project", "DKB_PROJECT", app.key.project.as_str()), ("session", "DKB_SESSION", app.key.session.as_str())];
    let typed =
        names.into_iter().filter(|(key, ..)| app.settings.is_typed(key)).map(|(_, name, value)| (name, value.into()));
    let settings = app.settings_to_hand_on()?.map(|file| ("DKB_SETTINGS", file.into_os_string()));
    Ok(typed.chain(settings).collect())
}

//! What every verb starts from: settings, who we are, and the way to the engine and the ledger.

use std::ffi::OsString;
use std::time::Duration;

use crate::config::Settings;
use crate::engine::{self, Endpoint, Engine, Limits, Program};
use crate::error::{Error, Kind, Result};
use crate::ledger::{State, short_hash};
use crate::model::{Name, SessionKey};
use crate::plan::clean::Here;

pub struct World {
    pub settings: Settings,
    pub docker: engine::DockerFlags,
    pub key: SessionKey,
    /// The session was named by a flag, a variable or the CI job.
    pub named: bool,
    pub ci: bool,
    pub slot: Option<Name>,
    pub quiet: bool,
    pub verbose: bool,
}

/// The environment of this process.
pub fn env(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

impl World {
    pub fn here(&self) -> Here {
        Here { key: self.key.clone(), named: self.named, slot: self.slot.clone() }
    }

    pub fn program(&self) -> Result<Program> {
        Program::find(Some(self.settings.docker.as_os_str()), &env)
    }

    pub fn state(&self) -> Result<State> {
        self.settings.state_dir.as_ref().map(State::at).ok_or_else(|| {
            Error::new(Kind::Usage, "looking for the state folder", "there is no home folder to keep it in")
                .hint("point DKB_STATE_DIR at a folder that can be written")
        })
    }

    pub fn endpoint(&self, program: Option<&Program>) -> Result<Endpoint> {
        Endpoint::resolve(&self.docker, &env, program)
    }

    /// Connects to the engine that docker would work on. A docker program is not needed for that.
    pub async fn engine(&self, limits: Limits) -> Result<Engine> {
        let program = self.program().ok();
        Engine::connect(self.endpoint(program.as_ref())?, limits).await
    }
}

/// What names this machine in the notes about sessions. It never leaves the state folder.
pub fn machine() -> String {
    let id = ["/etc/machine-id", "/var/lib/dbus/machine-id"].iter().find_map(|path| std::fs::read_to_string(path).ok());
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    short_hash(&[id.as_deref().unwrap_or_default().trim(), &host])
}

/// One thread is enough: dkb waits most of the time.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| Error::failed("starting", error))
}

/// The patience of a build: docker is what the user waits for, not dkb.
pub const BUILD_LIMITS: Limits =
    Limits { connect: Duration::from_secs(2), ask: Duration::from_secs(2), change: Duration::from_secs(60) };

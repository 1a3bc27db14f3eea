//! The program under test, in an environment that holds nothing of the machine it runs on.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use tempfile::TempDir;

use crate::command::Command;
use crate::engine::Engine;

static DKB: OnceLock<PathBuf> = OnceLock::new();

/// Says where the program under test lies: `set_dkb(env!("CARGO_BIN_EXE_dkb"))`.
pub fn set_dkb(path: impl Into<PathBuf>) {
    DKB.get_or_init(|| path.into());
}

pub fn dkb_path() -> &'static Path {
    DKB.get().expect("the test crate says set_dkb(env!(\"CARGO_BIN_EXE_dkb\")) first")
}

/// Whether nobody looks after the build cache any more: what dkb's builds left there has been looked at.
pub fn has_seen_the_cache(state_dir: &Path) -> bool {
    let engines = std::fs::read_dir(state_dir.join("engines")).into_iter().flatten().flatten();
    engines.map(|engine| engine.path()).all(|folder| {
        let nobody = File::open(folder.join("cache-turn")).map_or(true, |turn| turn.try_lock().is_ok());
        nobody && std::fs::read(folder.join("cache-ended.jsonl")).map_or(true, |ended| ended.is_empty())
    })
}

/// The home of one user on one machine: what dkb remembers between two calls lies in it.
#[derive(Clone, Debug)]
pub struct State {
    folder: Arc<TempDir>,
}

impl Default for State {
    fn default() -> Self {
        Self::new()
    }
}

impl State {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for part in ["home", "state", "docker", "work"] {
            std::fs::create_dir(folder.path().join(part)).expect("a folder in it");
        }
        Self { folder: Arc::new(folder) }
    }

    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// `DKB_STATE_DIR`.
    pub fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// `DOCKER_CONFIG`, a copy that a test may change.
    pub fn docker_config(&self) -> PathBuf {
        self.folder.path().join("docker")
    }

    /// The folder that dkb is called in, unless the test names another.
    pub fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// dkb with this home and no engine: `DOCKER_HOST` leads nowhere.
    pub fn dkb(&self) -> Command {
        Command::new(dkb_path())
            .keep(Arc::clone(&self.folder))
            .cwd(self.work())
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LANG", "C.UTF-8")
            .env("HOME", self.home())
            .env("XDG_CONFIG_HOME", self.home().join(".config"))
            .env("XDG_STATE_HOME", self.home().join(".local/state"))
            .env("DKB_STATE_DIR", self.state_dir())
            .env("DOCKER_CONFIG", self.docker_config())
            .env("DOCKER_HOST", format!("unix://{}", self.folder.path().join("no-engine.sock").display()))
    }
}

impl Engine {
    /// dkb on this engine, with a fresh home.
    pub fn dkb(&self) -> Command {
        self.dkb_in(&State::new())
    }

    /// dkb on this engine, with a home that several calls share.
    pub fn dkb_in(&self, state: &State) -> Command {
        let config = state.docker_config().join("config.json");
        if !config.exists() {
            std::fs::copy(self.docker_config().join("config.json"), &config).expect("the client's configuration");
        }
        let home = state.home();
        let command = state.dkb().envs(self.env());
        command.env("HOME", home).env("DOCKER_CONFIG", state.docker_config())
    }
}

/// What dkb is told most often.
impl Command {
    pub fn project(self, name: &str) -> Self {
        self.env("DKB_PROJECT", name)
    }

    pub fn session(self, name: &str) -> Self {
        self.env("DKB_SESSION", name)
    }
}

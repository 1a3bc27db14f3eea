//! What the promises of a guard start from: a host with strangers on it, and a session that leaves one of everything.

use std::path::PathBuf;
use std::time::Duration;

use dkb_lab::command::Command;
use dkb_lab::dkb::{State, dkb_path};
use dkb_lab::{Context, Engine, eventually};

/// Far more than any clean-up takes. The figures that are promised stand in `just bench`, where nothing else runs.
pub(crate) const SOON: Duration = Duration::from_secs(90);

/// A host with strangers on it, and a script that leaves one of everything behind.
pub(crate) struct Scene<'e> {
    engine: &'e Engine,
    pub(crate) state: State,
    pub(crate) context: Context,
    strangers: Vec<String>,
}

impl<'e> Scene<'e> {
    pub(crate) fn new(engine: &'e Engine) -> Self {
        let base = dkb_lab::context::BASE;
        // A child of the session's image, made by a stranger: it and its containers inherited the stamp.
        let child = engine.image().tag("stranger:child").stamp("p", "s").make();
        let strangers = vec![
            engine.container(base).name("kind-control-plane").running(),
            engine.container(&child.id).name("of-a-foreign-child").running(),
            engine.container(base).name("of-another-session").label("dev.dkb.run", "p:t").created(),
            engine.container(base).name("of-a-namesake").label("dev.dkb.run", "q:s").running(),
        ];
        engine.volume("their-data", &[("dev.dkb.run", "p:t")]);
        engine.network("their-net", &[("dev.dkb.run", "p:t")]);
        Self { engine, state: State::new(), context: Context::from_base("RUN echo built >/built"), strangers }
    }

    pub(crate) fn ready(&self) -> PathBuf {
        self.state.work().join("ready")
    }

    /// What a test run leaves: an image, containers at work and stopped, a volume, a network. Then `end`.
    pub(crate) fn script(&self, end: &str) -> String {
        format!(
            "set -e
             {dkb} build -q -t app:latest {context} >id
             docker run -d --stop-signal KILL --label \"$DKB_LABEL\" lab/base sleep 1000 >one
             docker run -d --stop-signal KILL app:latest sleep 1000 >two
             docker run -d --stop-signal KILL --label \"$DKB_LABEL\" -v /anonymous lab/base true >six
             docker create --label \"$DKB_LABEL\" lab/base true >three
             docker volume create --label \"$DKB_LABEL\" our-data >four
             docker network create --label \"$DKB_LABEL\" our-net >five
             touch ready
             {end}",
            dkb = dkb_path().display(),
            context = self.context.path().display(),
        )
    }

    pub(crate) fn guard(&self, flags: &[&str], end: &str) -> Command {
        let dkb = self.engine.dkb_in(&self.state).project("p").arg("guard").args(["--session", "s"]);
        dkb.args(flags.iter().copied()).args(["--", "sh", "-c", &self.script(end)])
    }

    pub(crate) fn wait_until_ready(&self) {
        assert!(eventually(SOON, || self.ready().exists()), "the script never got ready\n{}", self.engine.inventory());
    }

    pub(crate) fn holds_something(&self) -> bool {
        let api = self.engine.api();
        let named = |list: Vec<serde_json::Value>, name: &str| list.iter().any(|item| item["Name"] == name);
        self.engine.has("app:latest")
            || api.containers().len() > self.strangers.len()
            || api.volumes().len() > 1
            || named(api.networks(), "our-net")
    }

    #[track_caller]
    pub(crate) fn is_clean(&self) {
        assert!(eventually(SOON, || !self.holds_something()), "the session left\n{}", self.engine.inventory());
        // The steps of what has just gone are the next to go.
        let dangling = || self.engine.images().into_iter().filter(|image| image.tags.is_empty()).collect::<Vec<_>>();
        assert!(eventually(SOON, || dangling().is_empty()), "images without a name are left: {:?}", dangling());
        self.strangers_are_there();
    }

    #[track_caller]
    pub(crate) fn strangers_are_there(&self) {
        let containers = self.engine.api().containers();
        for id in &self.strangers {
            assert!(containers.iter().any(|one| one["Id"] == id.as_str()), "{id} is gone\n{}", self.engine.inventory());
        }
        assert!(self.engine.has("stranger:child"));
        assert!(self.engine.api().volumes().iter().any(|one| one["Name"] == "their-data"));
        assert!(self.engine.api().networks().iter().any(|one| one["Name"] == "their-net"));
    }
}

/// A program that finds what dkb would find, and dkb's project and session.
pub(crate) fn inside(dkb: &Command, program: &str) -> Command {
    let std = dkb.to_std();
    let environment = std.get_envs().map(|(key, value)| (key.to_owned(), value.unwrap_or_default().to_owned()));
    let command = Command::new(program).envs(environment);
    std.get_current_dir().map_or(command.clone(), |folder| command.cwd(folder))
}

pub(crate) fn kill(pid: &str) {
    assert!(std::process::Command::new("kill").args(["-KILL", pid]).status().is_ok_and(|status| status.success()));
}

/// Kills guard, watcher and command at once, as when a machine loses its power.
pub(crate) fn lose_power(state: &State) {
    let all = "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/environ 2>/dev/null | grep -q \"$1\" && kill -KILL ${p#/proc/}; done 2>/dev/null; true";
    let mark = format!("DKB_STATE_DIR={}", state.state_dir().display());
    let killed = std::process::Command::new("sh").args(["-c", all, "_", &mark]).status();
    assert!(killed.is_ok_and(|status| status.success()));
}

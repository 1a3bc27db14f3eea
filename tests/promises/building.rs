//! What the promises about `dkb build` share: somebody who builds on one engine, and what their dkb noted.

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use dkb::model::{Books, Build, Record};
use dkb_lab::command::{Command, Output, Running};
use dkb_lab::{Builder, Context, Engine, State, eventually};

/// Somebody at work in the session `one` of the project `app`.
pub(crate) struct Maker<'e> {
    pub(crate) engine: &'e Engine,
    pub(crate) builder: Builder,
    pub(crate) state: State,
}

impl<'e> Maker<'e> {
    pub(crate) fn new(engine: &'e Engine, builder: Builder) -> Self {
        Self { engine, builder, state: State::new() }
    }

    pub(crate) fn dkb(&self) -> Command {
        let dkb = self.engine.dkb_in(&self.state).project("app").session("one");
        dkb.env("DOCKER_BUILDKIT", self.builder.env())
    }

    /// `dkb build ARG… CONTEXT`, not run yet.
    pub(crate) fn command(&self, context: &Context, args: &[&str]) -> Command {
        self.dkb().arg("build").args(args.iter().copied()).arg(context.path())
    }

    pub(crate) fn build(&self, context: &Context, args: &[&str]) -> Output {
        self.command(context, args).run()
    }

    /// The session ends, with its tags.
    pub(crate) fn clean(&self) -> Output {
        self.dkb().args(["clean", "--session", "--yes"]).run().success()
    }

    /// All that the ledgers in this home say.
    pub(crate) fn books(&self) -> Books {
        books(&self.state.state_dir())
    }

    /// The full IDs that are on record.
    pub(crate) fn recorded(&self) -> HashSet<String> {
        self.books().images().map(|id| id.to_string()).collect()
    }

    /// Untagged images that no record covers.
    pub(crate) fn lost(&self) -> BTreeSet<String> {
        let recorded = self.recorded();
        dangling(self.engine).into_iter().filter(|id| !recorded.contains(id)).collect()
    }

    /// Nothing is without a name, nothing that bears the stamp is unknown, and no build is open.
    #[track_caller]
    pub(crate) fn is_tidy(&self, of: &str) {
        let engine = self.engine;
        assert!(dangling(engine).is_empty(), "{of}\n{}", engine.inventory());
        assert_eq!(open_builds(&self.state), 0, "{of}");
        let recorded = self.recorded();
        for image in engine.images().into_iter().filter(|image| image.label("dev.dkb.project").is_some()) {
            assert!(recorded.contains(&image.id), "{of}: {:?}\n{}", image.tags, engine.inventory());
        }
    }

    /// The ID that a name has now.
    pub(crate) fn id(&self, name: &str) -> String {
        self.engine.find(name).unwrap_or_else(|| panic!("{name} is not there")).id
    }

    /// Whether raw docker would take the former image away by itself when its tag moves on.
    pub(crate) fn engine_drops_untagged(&self) -> bool {
        self.engine.is_containerd_store()
    }
}

/// A stamp with which raw docker, too, would give the same image twice. Podman's API shuffles the labels of a
/// build, so that with two of them an unchanged build has one of two IDs, whoever gives them.
pub(crate) fn steady_stamp(engine: &Engine) -> &'static str {
    if engine.is_podman() { "project" } else { "full" }
}

/// A docker program made of shell.
pub(crate) fn docker_script(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("docker");
    std::fs::write(&path, format!("#!/bin/sh\n{text}")).expect("a script");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a program");
    path
}

/// A docker that begins once dkb has noted this of the engine: a machine may be so busy that the build ends before.
pub(crate) fn docker_after(noted: &str, first: &str, engine: &Engine, state: &State, folder: &Path) -> PathBuf {
    let (builds, docker) = (state.state_dir().join("builds"), engine.bin().join("docker"));
    // Where the look fails it is never noted.
    let seen = format!("grep -qrs '\"{noted}' {}", builds.display());
    let waits = format!("for _ in $(seq 2000); do {seen} && break; sleep 0.01; done");
    let docker = docker.display();
    docker_script(folder, &format!("case \" $* \" in *' build '*)\n{waits}\n{first}\nesac\nexec {docker} \"$@\"\n"))
}

/// A docker that goes to the engine directly, whatever `DOCKER_HOST` tells dkb.
pub(crate) fn direct_docker(engine: &Engine, folder: &Path) -> PathBuf {
    let docker = engine.bin().join("docker");
    docker_script(folder, &format!("DOCKER_HOST={} exec {} \"$@\"\n", engine.host(), docker.display()))
}

pub(crate) fn ledgers(state: &Path) -> Vec<PathBuf> {
    let Ok(engines) = std::fs::read_dir(state.join("engines")) else { return Vec::new() };
    engines.flatten().map(|engine| engine.path().join("ledger.jsonl")).filter(|path| path.exists()).collect()
}

pub(crate) fn books(state: &Path) -> Books {
    let mut books = Books::default();
    for ledger in ledgers(state) {
        for line in String::from_utf8_lossy(&std::fs::read(ledger).expect("a ledger")).lines() {
            if let Ok(record) = serde_json::from_str::<Record>(line) {
                books.apply(record);
            }
        }
    }
    books
}

/// The builds on record that have this tag.
pub(crate) fn builds_of<'a>(books: &'a Books, tag: &str) -> Vec<&'a Build> {
    books.builds.iter().filter(|build| build.tags.iter().any(|known| known.as_str().ends_with(tag))).collect()
}

/// Every `<none>` image, hidden ones too.
pub(crate) fn dangling(engine: &Engine) -> BTreeSet<String> {
    engine.images().into_iter().filter(dkb_lab::Image::is_dangling).map(|image| image.id).collect()
}

/// Folders of builds that dkb believes to be running or cut off.
pub(crate) fn open_builds(state: &State) -> usize {
    std::fs::read_dir(state.state_dir().join("builds")).map_or(0, Iterator::count)
}

/// A process group of its own, so that dkb and docker can be killed at one stroke.
pub(crate) fn in_a_group(command: &Command) -> Command {
    let std = command.to_std();
    let mut wrapped = Command::new("/usr/bin/setsid").arg(std.get_program()).args(std.get_args());
    for (key, value) in std.get_envs() {
        wrapped = wrapped.env(key, value.unwrap_or_default());
    }
    wrapped.cwd(std.get_current_dir().expect("a folder"))
}

/// Ctrl-C for a compose in a group of its own. Now and then it hangs then, with dkb and without: 4 of 14 times on 2.40.
pub(crate) fn interrupt_compose(mut running: Running) {
    running.signal("INT");
    let group = format!("-{}", running.id());
    if !eventually(Duration::from_secs(5), || !running.is_running()) {
        std::process::Command::new("kill").args(["-KILL", "--", &group]).status().expect("a signal");
    }
    running.wait().fails();
}

/// The lines of dkb's own on stderr.
pub(crate) fn own_lines(output: &Output) -> Vec<String> {
    output.err().lines().filter(|line| line.starts_with("dkb: ")).map(str::to_owned).collect()
}

#[track_caller]
pub(crate) fn says_nothing_of_its_own(output: &Output) {
    assert!(own_lines(output).is_empty(), "dkb had nothing to say here\n{output}");
}

#[track_caller]
pub(crate) fn warns_once(output: &Output) {
    let warnings = own_lines(output);
    assert!(
        warnings.len() == 1 && warnings[0].starts_with("dkb: warning: "),
        "one warning was to come, not {warnings:?}\n{output}"
    );
}

//! `dkb guard`: whatever ends a session, what it left in the engine goes, and nothing else does.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use dkb_lab::command::Command;
use dkb_lab::dkb::{State, dkb_path};
use dkb_lab::promise::docker;
use dkb_lab::{Context, Engine, Promises, eventually, promises};

/// Far more than any clean-up takes. The figures that are promised stand in `just bench`, where nothing else runs.
const SOON: Duration = Duration::from_secs(90);

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on_every_engine(promises![
            a_session_is_cleaned_when_its_command_ends_and_the_code_is_the_commands,
            a_session_is_cleaned_when_a_signal_ends_it,
            a_session_is_cleaned_when_its_guard_is_killed,
            a_tag_that_the_session_took_is_given_back,
            without_a_watcher_the_next_clean_of_stale_sessions_takes_it_all,
            an_inner_guard_joins_the_outer_and_leaves_the_cleaning_to_it,
        ])
        .on(
            docker,
            promises![
                a_session_is_cleaned_when_the_terminal_says_so,
                an_engine_that_is_gone_at_the_end_is_said_and_the_next_dkb_finishes,
                what_is_to_be_kept_is_kept_and_can_be_ended_by_hand,
                a_session_that_was_started_by_hand_ends_with_its_process,
                the_harness_of_the_docs_leaves_nothing,
            ],
        )
        .without_engine(promises![a_guard_is_its_command_in_all_but_the_end])
}

/// A host with strangers on it, and a script that leaves one of everything behind.
struct Scene<'e> {
    engine: &'e Engine,
    state: State,
    context: Context,
    strangers: Vec<String>,
}

impl<'e> Scene<'e> {
    fn new(engine: &'e Engine) -> Self {
        let base = dkb_lab::context::BASE;
        // A child of the session's image, made by a stranger: it and its containers inherited the stamp.
        let child = engine.image().tag("stranger:child").stamp("p", "s").make();
        let strangers = vec![
            engine.container(base).name("kind-control-plane").running(),
            engine.container(&child.id).name("of-a-foreign-child").running(),
            engine.container(base).name("of-another-session").label("dev.dkb.run", "t").created(),
        ];
        engine.volume("their-data", &[("dev.dkb.run", "t")]);
        engine.network("their-net", &[("dev.dkb.run", "t")]);
        Self { engine, state: State::new(), context: Context::from_base("RUN echo built >/built"), strangers }
    }

    fn ready(&self) -> PathBuf {
        self.state.work().join("ready")
    }

    /// What a test run leaves: an image, containers at work and stopped, a volume, a network. Then `end`.
    fn script(&self, end: &str) -> String {
        format!(
            "set -e
             {dkb} build -q -t app:latest {context} >id
             docker run -d --stop-timeout 1 --label \"$DKB_LABEL\" lab/base sleep 1000 >one
             docker run -d --stop-timeout 1 app:latest sleep 1000 >two
             docker create --label \"$DKB_LABEL\" lab/base true >three
             docker volume create --label \"$DKB_LABEL\" our-data >four
             docker network create --label \"$DKB_LABEL\" our-net >five
             touch ready
             {end}",
            dkb = dkb_path().display(),
            context = self.context.path().display(),
        )
    }

    fn guard(&self, flags: &[&str], end: &str) -> Command {
        let dkb = self.engine.dkb_in(&self.state).project("p").arg("guard").args(["--session", "s"]);
        dkb.args(flags.iter().copied()).args(["--", "sh", "-c", &self.script(end)])
    }

    fn wait_until_ready(&self) {
        assert!(eventually(SOON, || self.ready().exists()), "the script never got ready\n{}", self.engine.inventory());
    }

    fn holds_something(&self) -> bool {
        let api = self.engine.api();
        let named = |list: Vec<serde_json::Value>, name: &str| list.iter().any(|item| item["Name"] == name);
        self.engine.has("app:latest")
            || api.containers().len() > self.strangers.len()
            || named(api.volumes(), "our-data")
            || named(api.networks(), "our-net")
    }

    #[track_caller]
    fn is_clean(&self) {
        assert!(eventually(SOON, || !self.holds_something()), "the session left\n{}", self.engine.inventory());
        let dangling: Vec<_> = self.engine.images().into_iter().filter(|image| image.tags.is_empty()).collect();
        assert!(dangling.is_empty(), "images without a name are left: {dangling:?}");
        self.strangers_are_there();
    }

    #[track_caller]
    fn strangers_are_there(&self) {
        let containers = self.engine.api().containers();
        for id in &self.strangers {
            assert!(containers.iter().any(|one| one["Id"] == id.as_str()), "{id} is gone\n{}", self.engine.inventory());
        }
        assert!(self.engine.has("stranger:child"));
        assert!(self.engine.api().volumes().iter().any(|one| one["Name"] == "their-data"));
        assert!(self.engine.api().networks().iter().any(|one| one["Name"] == "their-net"));
    }
}

fn a_session_is_cleaned_when_its_command_ends_and_the_code_is_the_commands(engine: &Engine) {
    let scene = Scene::new(engine);
    for (end, code) in [("exit 0", 0), ("exit 7", 7), ("kill -SEGV $$", 139)] {
        scene.guard(&[], end).run().code(code);
        assert!(!scene.holds_something(), "{end}: the guard left\n{}", engine.inventory());
        scene.is_clean();
    }
}

fn a_session_is_cleaned_when_a_signal_ends_it(engine: &Engine) {
    let scene = Scene::new(engine);
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let guard = scene.guard(&[], "exec sleep 1000").spawn();
        scene.wait_until_ready();
        // The shell is about to become the sleep that takes the signal.
        guard.signal(signal);
        guard.wait().code(code);
        scene.is_clean();
        std::fs::remove_file(scene.ready()).expect("the mark");
    }
}

fn a_session_is_cleaned_when_its_guard_is_killed(engine: &Engine) {
    let scene = Scene::new(engine);
    for command_too in [false, true] {
        let guard = scene.guard(&[], "echo $$ >pid; exec sleep 1000").spawn();
        scene.wait_until_ready();
        let pid = scene.state.work().join("pid");
        assert!(eventually(SOON, || std::fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n'))));
        let pid = std::fs::read_to_string(&pid).expect("a number").trim().to_owned();
        guard.signal("KILL");
        let kill = |pid: &str| std::process::Command::new("kill").args(["-KILL", pid]).status().expect("kill");
        if command_too {
            kill(&pid);
        }
        scene.is_clean();
        if !command_too {
            kill(&pid);
        }
        // Whoever reads the guard's output gets to its end although the watcher went on: else this would hang.
        drop(guard.wait());
        std::fs::remove_file(scene.ready()).expect("the mark");
    }
}

fn a_session_is_cleaned_when_the_terminal_says_so(engine: &Engine) {
    let scene = Scene::new(engine);
    let mut terminal = scene.guard(&[], "exec sleep 1000").in_terminal();
    scene.wait_until_ready();
    terminal.interrupt();
    assert_eq!(terminal.wait().exit_code(), 130, "{}", terminal.screen());
    scene.is_clean();
    std::fs::remove_file(scene.ready()).expect("the mark");

    let terminal = scene.guard(&[], "exec sleep 1000").in_terminal();
    scene.wait_until_ready();
    // The window is closed.
    drop(terminal);
    scene.is_clean();
}

fn a_tag_that_the_session_took_is_given_back(engine: &Engine) {
    let scene = Scene::new(engine);
    let theirs = engine.image().tag("app:latest").make();
    scene.guard(&[], "exit 0").run().success();
    assert_eq!(engine.find("app:latest").map(|image| image.id), Some(theirs.id.clone()), "{}", engine.inventory());
    scene.strangers_are_there();
    assert!(engine.images().iter().all(|image| !image.tags.is_empty()), "{}", engine.inventory());
}

fn without_a_watcher_the_next_clean_of_stale_sessions_takes_it_all(engine: &Engine) {
    let scene = Scene::new(engine);
    let guard = scene.guard(&[], "exec sleep 1000").spawn();
    scene.wait_until_ready();
    // Guard, watcher and command at once, as when a machine loses its power.
    let all = "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/environ 2>/dev/null | grep -q \"$1\" && kill -KILL ${p#/proc/}; done 2>/dev/null; true";
    let mark = format!("DKB_STATE_DIR={}", scene.state.state_dir().display());
    let killed = std::process::Command::new("sh").args(["-c", all, "_", &mark]).status();
    assert!(killed.is_ok_and(|status| status.success()));
    drop(guard.wait());
    assert!(scene.holds_something(), "nobody was left to clean");
    let next = || engine.dkb_in(&scene.state).project("p").session("next");
    next().args(["clean", "-n"]).run().success().warns("session s of p");
    next().args(["clean", "--stale"]).run().success();
    scene.is_clean();
}

fn an_inner_guard_joins_the_outer_and_leaves_the_cleaning_to_it(engine: &Engine) {
    let scene = Scene::new(engine);
    let inner =
        format!("{} guard -- sh -c 'echo $DKB_SESSION >inner'; docker ps -q --no-trunc >still", dkb_path().display());
    scene.guard(&[], &inner).run().success();
    let read = |name: &str| std::fs::read_to_string(scene.state.work().join(name)).expect(name);
    assert_eq!(read("inner"), "s\n");
    assert!(read("still").contains(read("one").trim()), "the inner guard cleaned up");
    scene.is_clean();
}

fn an_engine_that_is_gone_at_the_end_is_said_and_the_next_dkb_finishes(engine: &Engine) {
    let scene = Scene::new(engine);
    let proxy = engine.proxy();
    let guard = scene.guard(&[], "while [ ! -e go ]; do sleep 0.05; done; exit 5").env("DOCKER_HOST", proxy.host());
    let guard = guard.spawn();
    scene.wait_until_ready();
    proxy.engine_goes();
    std::fs::write(scene.state.work().join("go"), "").expect("a mark");
    guard.wait().code(5).warns("was not cleaned");
    assert!(scene.holds_something());
    proxy.engine_comes_back();
    engine.dkb_in(&scene.state).project("p").session("next").args(["clean", "--stale"]).run().success();
    scene.is_clean();
}

fn what_is_to_be_kept_is_kept_and_can_be_ended_by_hand(engine: &Engine) {
    let scene = Scene::new(engine);
    scene.guard(&["--keep-on-failure"], "exit 1").run().code(1).warns("dkb session end s");
    assert!(scene.holds_something());
    // Nobody takes it away behind the user's back.
    engine.dkb_in(&scene.state).project("p").session("next").args(["clean", "--stale"]).run().success();
    assert!(engine.has("app:latest"));
    engine.dkb_in(&scene.state).project("p").args(["session", "end", "s"]).run().success();
    scene.is_clean();
    scene.guard(&["--keep-tagged"], "exit 0").run().success();
    assert!(engine.has("app:latest"));
}

fn a_session_that_was_started_by_hand_ends_with_its_process(engine: &Engine) {
    let scene = Scene::new(engine);
    let mut harness = std::process::Command::new("sleep").arg("1000").spawn().expect("a process");
    let start = engine.dkb_in(&scene.state).project("p").session("s").args(["session", "start", "--watch-pid"]);
    start.arg(harness.id().to_string()).run().success().says("s");
    let script = scene.script("exit 0");
    let inside = Command::new("/bin/sh").args(["-c", &script]).cwd(scene.state.work());
    let dkb = engine.dkb_in(&scene.state).project("p").session("s").env("DKB_LABEL", "dev.dkb.run=s").to_std();
    let environment = dkb.get_envs().map(|(key, value)| (key.to_owned(), value.unwrap_or_default().to_owned()));
    inside.envs(environment).run().success();
    assert!(scene.holds_something());
    harness.kill().and_then(|()| harness.wait()).expect("its end");
    scene.is_clean();
}

/// Runs the very program that the docs show, with dkb on its PATH.
fn the_harness_of_the_docs_leaves_nothing(engine: &Engine) {
    let state = State::new();
    let bin = state.work().join("bin");
    std::fs::create_dir(&bin).expect("a folder");
    std::os::unix::fs::symlink(dkb_path(), bin.join("dkb")).expect("a link");
    let profile = dkb_path().parent().expect("the folder of the build");
    let harness = profile.join("examples/harness");
    if !harness.exists() {
        // `cargo test` builds examples too, but a run of this file alone does not.
        let target = profile.parent().expect("the target folder");
        let build = std::process::Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--example", "harness"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("CARGO_TARGET_DIR", target)
            .status();
        assert!(build.is_ok_and(|status| status.success()), "the example does not build");
    }
    let dkb = engine.dkb_in(&state).project("p").to_std();
    let environment = dkb.get_envs().map(|(key, value)| (key.to_owned(), value.unwrap_or_default().to_owned()));
    let path = format!("{}:{}", bin.display(), engine_path(engine));
    let context = Context::from_base("RUN echo tested >/tested");
    Command::new(harness).envs(environment).env("PATH", path).cwd(context.path()).run().success();
    let is_clean = || engine.images().is_empty() && engine.api().containers().is_empty();
    assert!(eventually(SOON, is_clean), "the harness left\n{}", engine.inventory());
}

fn engine_path(engine: &Engine) -> String {
    let path = engine.env().into_iter().find(|(key, _)| key == "PATH").expect("the engine's PATH").1;
    path.to_string_lossy().into_owned()
}

fn a_guard_is_its_command_in_all_but_the_end() {
    let state = State::new();
    let dkb = || state.dkb().project("p");
    let output = dkb().args(["guard", "--no-clean", "--", "sh", "-c", "cat; echo out; echo err >&2; exit 3"]);
    let output = output.stdin("in\n").run().code(3);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "in\nout\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "err\n");
    dkb().args(["guard", "--", "no-such-program"]).run().code(127).warns("no-such-program");
    dkb().args(["guard", "--session", "not a name", "--", "true"]).run().code(2);
    // With no engine at all the command still runs, at once, and keeps its code.
    let began = Instant::now();
    dkb().args(["guard", "--", "sh", "-c", "exit 4"]).run().code(4).warns("was not cleaned");
    assert!(began.elapsed() < SOON);
}

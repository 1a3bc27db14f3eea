//! `dkb compose`: docker's compose in all but what its builds leave behind.

use std::path::{Path, PathBuf};
use std::time::Duration;

use dkb_lab::command::Command;
use dkb_lab::{Builder, Context, Engine, FakeDocker, Promises, State, eventually, promises};

use crate::building::{Maker, in_a_group, interrupt_compose, open_builds, own_lines};

const LIMIT: Duration = Duration::from_secs(30);

fn with_compose(engine: &str) -> bool {
    engine.starts_with("docker-28")
}

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on(
            with_compose,
            promises![
                ten_changing_builds_of_compose_leave_nothing_behind,
                a_compose_in_a_guard_goes_with_the_session,
                a_clean_by_the_name_of_composes_project_takes_that_one_alone,
            ],
        )
        .on_one_engine()
        .on(with_compose, promises![other_compose_projects_beside_it_lose_nothing])
        .on(
            |engine| engine == "docker-28.5",
            promises![
                what_is_no_build_is_composes_own,
                what_a_compose_file_asks_for_is_as_without_dkb,
                two_services_of_one_image_leave_one,
            ],
        )
        .without_engine(promises![
            docker_gets_the_words_and_settings_that_lead_past_dkb,
            where_dkb_can_not_stand_before_buildx_compose_runs_alone,
        ])
}

struct Scene<'e> {
    maker: Maker<'e>,
    context: Context,
    /// Where a session of the user's keeps what is gone with it.
    runtime: tempfile::TempDir,
}

impl<'e> Scene<'e> {
    fn new(engine: &'e Engine) -> Self {
        let service = |name: &str| {
            format!(
                "  {name}:\n    build: {{context: ., args: {{OF: {name}, END: \"${{END:-true}}\"}}}}\n    command: [\"true\"]\n"
            )
        };
        let compose = format!("name: ours\nservices:\n{}{}{}", service("web"), service("worker"), service("db"));
        let context =
            Context::from_base("COPY seed /seed\nARG OF\nARG END\nRUN echo $OF >/of; test $OF != db || eval \"$END\"")
                .file("seed", "0")
                .file("compose.yaml", compose);
        let runtime = tempfile::tempdir().expect("a folder");
        Self { maker: Maker::new(engine, Builder::BuildKit), context, runtime }
    }

    fn compose(&self, words: &[&str]) -> Command {
        let dkb = self.maker.dkb().cwd(self.context.path()).env("XDG_RUNTIME_DIR", self.runtime.path());
        dkb.arg("compose").args(words.iter().copied())
    }
}

fn ten_changing_builds_of_compose_leave_nothing_behind(engine: &Engine) {
    let scene = Scene::new(engine);
    let config = scene.maker.state.docker_config().join("config.json");
    let words: [&[&str]; 3] = [&["build"], &["up", "--build"], &["run", "--rm", "--build", "web"]];
    for round in 0..10 {
        scene.context.write("seed", round.to_string());
        match round {
            4 => assert!(own_lines(&scene.compose(&["build"]).env("END", "exit 3").run().fails()).is_empty()),
            7 => {
                let web = || engine.find("ours-web").map(|image| image.id);
                let before = web();
                let running = in_a_group(&scene.compose(&["build"]).env("END", "sleep 60")).spawn();
                assert!(eventually(LIMIT, || web() != before), "one of them is built");
                interrupt_compose(running);
                // compose kills what it takes for buildx, and the next dkb finishes its books.
                let found = || {
                    scene.maker.dkb().args(["clean", "--yes"]).run().success();
                    open_builds(&scene.maker.state) == 0
                };
                assert!(eventually(LIMIT, found));
            }
            _ => drop(scene.compose(words[round % 3]).run().success()),
        }
        // What a container uses stays until a build after its end; what a killed dkb left goes with the next.
        scene.compose(&["down"]).run().success();
        assert_eq!(scene.runtime.path().read_dir().expect("a folder").count(), 0);
        scene.maker.is_tidy(&round.to_string());
    }
    let there = std::fs::read(config).expect("the user's settings");
    assert_eq!(there, std::fs::read(engine.docker_config().join("config.json")).expect("settings"));
    scene.maker.clean();
    assert_eq!(engine.images(), []);
}

fn other_compose_projects_beside_it_lose_nothing(engine: &Engine) {
    let scene = Scene::new(engine);
    let theirs = |words: &[&str]| {
        let raw = engine.docker(["compose", "-p", "theirs"]).args(words.iter().copied());
        raw.cwd(scene.context.path()).run().success()
    };
    for seed in ["a", "b"] {
        scene.context.write("seed", seed);
        theirs(&["build"]);
    }
    theirs(&["create"]);
    let before: Vec<String> = engine.images().into_iter().map(|image| image.id).collect();
    for seed in ["1", "2", "3"] {
        scene.context.write("seed", seed);
        scene.compose(&["up", "--build"]).run().success();
    }
    scene.compose(&["down"]).run().success();
    scene.maker.clean();
    let after: Vec<String> = engine.images().into_iter().map(|image| image.id).collect();
    assert!(before.iter().all(|id| after.contains(id)), "{before:?}\n{}", engine.inventory());
    assert_eq!(after.len(), before.len(), "{}", engine.inventory());
}

fn a_compose_in_a_guard_goes_with_the_session(engine: &Engine) {
    let scene = Scene::new(engine);
    let dkb = engine.dkb_in(&scene.maker.state).project("app").cwd(scene.context.path());
    let script = format!("{0} compose build && {0} compose run --rm web", dkb_lab::dkb::dkb_path().display());
    dkb.args(["guard", "--", "sh", "-c", &script]).run().success();
    assert_eq!(engine.images(), []);
}

fn a_clean_by_the_name_of_composes_project_takes_that_one_alone(engine: &Engine) {
    let scene = Scene::new(engine);
    // A stranger's, of the very name.
    let theirs = "services:\n  theirs:\n    build: .\n  more:\n    build: .\n    image: theirs:1\n";
    scene.context.write("theirs.yaml", theirs);
    let raw = engine.docker(["compose", "-f", "theirs.yaml", "-p", "dev", "build"]);
    raw.cwd(scene.context.path()).run().success();
    scene.compose(&["-p", "dev", "up", "--build"]).run().success();
    scene.compose(&["-p", "dev", "down"]).run().success();
    // By the variable, and by the definition's own name.
    scene.compose(&["build", "web"]).env("COMPOSE_PROJECT_NAME", "test").run().success();
    scene.compose(&["build", "web"]).run().success();
    scene.maker.build(&Context::from_base("RUN echo plain >/x"), &["-t", "plain:1"]).success();
    let books = scene.maker.books();
    for (tag, compose) in
        [("dev-web", "dev"), ("dev-db", "dev"), ("test-web", "test"), ("ours-web", "ours"), ("plain:1", "")]
    {
        let id = scene.maker.id(tag);
        let noted: Vec<_> =
            books.builds.iter().filter(|build| build.images().any(|made| made.to_string() == id)).collect();
        let composes: Vec<&str> =
            noted.iter().map(|build| build.compose.as_ref().map_or("", |name| name.as_str())).collect();
        assert_eq!(composes, [compose], "{tag}");
    }
    let before: Vec<String> = engine.images().into_iter().map(|image| image.id).collect();
    let clean = |words: &[&str]| scene.maker.dkb().arg("clean").args(words.iter().copied()).run().success();
    clean(&["--compose", "tests", "--tagged", "--yes"]).warns("did you mean test?");
    clean(&["--compose", "dev", "--tagged", "--dry-run"]).says("compose project dev");
    clean(&["--compose", "dev", "--yes"]);
    assert_eq!(engine.images().len(), before.len(), "names stay without --tagged");
    // Whatever else is asked for, it goes by that name.
    let plan = scene.context.join("plan.json");
    let plan = plan.to_str().expect("a path");
    clean(&["--compose", "dev", "--session", "--plan", plan]);
    clean(&["--apply", plan, "--keep", "dev-db", "--yes"]);
    let has = |tags: &[&str]| tags.iter().all(|tag| engine.has(tag));
    assert!(!engine.has("dev-web") && !engine.has("dev-worker") && has(&["dev-db"]), "{}", engine.inventory());
    clean(&["--compose", "dev", "--tagged", "--yes"]);
    assert!(!engine.has("dev-db"), "{}", engine.inventory());
    let stays = ["test-web", "ours-web", "plain:1", "dev-theirs", "theirs:1"];
    assert!(has(&stays), "{}", engine.inventory());
    assert_eq!(engine.images().len(), before.len() - 3, "{}", engine.inventory());
    let status = scene.maker.dkb().args(["status", "test-web"]).run().success();
    status.says("compose project test");
    // The session goes on, and so its end finds the rest.
    scene.maker.clean();
    assert!(!has(&["test-web"]) && !has(&["ours-web"]) && has(&["dev-theirs", "theirs:1"]), "{}", engine.inventory());
}

fn two_services_of_one_image_leave_one(engine: &Engine) {
    let scene = Scene::new(engine);
    let service =
        |name: &str| format!("  {name}:\n    image: same:dev\n    build: {{context: ., args: {{OF: {name}}}}}\n");
    scene.context.write("compose.yaml", format!("services:\n{}{}", service("one"), service("two")));
    for seed in ["1", "2", "3"] {
        scene.context.write("seed", seed);
        scene.compose(&["build"]).run().success();
        scene.maker.is_tidy(seed);
    }
    assert_eq!(scene.maker.recorded().len(), 1);
}

fn what_is_no_build_is_composes_own(engine: &Engine) {
    let scene = Scene::new(engine);
    let definition = "services:\n  x:\n    image: lab/base\n    command: [\"cat\"]\n";
    let invocations: &[&[&str]] = &[
        &["version"],
        &["--help"],
        &["build", "--help"],
        &["config"],
        &["ps", "-a"],
        &["no-such-verb"],
        &["build", "nothing-of-that-name"],
        &["-f", "-", "config"],
        &["-f", "-", "-p", "x", "run", "--rm", "-T", "x", "sh", "-c", "exit 7"],
        &["--project-directory", "/nowhere", "ps"],
    ];
    for words in invocations {
        let ours = scene.compose(words).stdin(definition).run();
        let raw =
            engine.docker(["compose"]).args(words.iter().copied()).cwd(scene.context.path()).stdin(definition).run();
        assert_eq!((ours.exit_code(), ours.out()), (raw.exit_code(), raw.out()), "{words:?}\n{ours}\n{raw}");
        assert!(own_lines(&ours).is_empty(), "{ours}");
    }
    scene.maker.is_tidy("at the end");
}

fn what_a_compose_file_asks_for_is_as_without_dkb(engine: &Engine) {
    let scene = Scene::new(engine);
    let asked = ["DOCKER_CONFIG", "BUILDX_CONFIG", "DKB_SEAT", "DKB_STATE_DIR"];
    let asked = asked.map(|name| format!("{name}: \"${{{name}:-none}}\"")).join(", ");
    let definition = format!(
        "name: ours\nservices:\n  web:\n    build: .\n    command: [sleep, \"1000\"]\n    stop_signal: KILL\n    \
         environment: {{{asked}}}\n"
    );
    scene.context.write("compose.yaml", definition);
    scene.context.write("seed", "1");
    let (words, state) = (["compose", "up", "-d"], &scene.maker.state);
    let raw = || {
        let raw = engine.docker(words).cwd(scene.context.path()).env("DOCKER_CONFIG", state.docker_config());
        raw.env("DKB_STATE_DIR", state.state_dir()).run().success()
    };
    let container = || engine.docker(["ps", "--all", "--quiet", "--no-trunc"]).run().success().out();
    scene.compose(&["up", "-d", "--build"]).run().success();
    let made = container();
    for what_comes_by in [1, 2] {
        raw();
        assert_eq!(container(), made, "{what_comes_by}");
        scene.compose(&words[1..]).run().success();
        assert_eq!(container(), made, "{what_comes_by}");
    }
    assert!(scene.maker.recorded().contains(&scene.maker.id("ours-web")));
}

fn plugin(folder: &Path) {
    let plugin = folder.join("cli-plugins/docker-buildx");
    std::fs::create_dir_all(plugin.parent().expect("a parent")).expect("folders");
    std::fs::write(&plugin, "#!/bin/sh\n").expect("a plugin");
    std::fs::set_permissions(plugin, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a mode");
}

fn docker_gets_the_words_and_settings_that_lead_past_dkb() {
    let (docker, state) = (FakeDocker::new(), State::new());
    plugin(&state.docker_config());
    let secret = r#"{"auths": {"r": {"auth": "c2VjcmV0"}}}"#;
    std::fs::write(state.docker_config().join("config.json"), secret).expect("settings");
    docker.reply_to("compose").reads_stdin().script("cat \"$3/config.json\"; readlink \"$3\"/../seat/*").code(5);
    let words = ["-D", "--project", "p", "compose", "--project", "x", "up", "--", "-q"];
    let output = state.dkb().with_docker(&docker).args(words).stdin("given").run().code(5);
    assert!(output.out().contains("c2VjcmV0") && output.out().contains("cliPluginsExtraDirs"), "{output}");
    let call = docker.calls().remove(0);
    let private = call.words().get(2).map(PathBuf::from).expect("a folder");
    let config = private.display().to_string();
    assert_eq!(call.words(), ["-D", "--config", &config, "compose", "--project", "x", "up", "--", "-q"]);
    assert_eq!(call.stdin.as_deref(), Some(&b"given"[..]));
    assert_eq!(call.var("DKB_PROJECT"), Some("p".as_ref()));
    let plugin = state.docker_config().join("cli-plugins/docker-buildx");
    output.says(&plugin.display().to_string());
    // For compose files, and for what compose starts, all is as the user has it.
    assert_eq!([call.var("DKB_SEAT"), call.var("BUILDX_CONFIG")], [None; 2]);
    assert_eq!(call.var("DOCKER_CONFIG"), Some(state.docker_config().as_os_str()));
    assert!(!private.exists() && private != state.docker_config(), "{}", private.display());
    assert_eq!(std::fs::read_to_string(state.docker_config().join("config.json")).expect("settings"), secret);
}

fn where_dkb_can_not_stand_before_buildx_compose_runs_alone() {
    let run = |prepare: &dyn Fn(&Path), seat: &str| {
        let (docker, state) = (FakeDocker::new(), State::new());
        plugin(&state.docker_config());
        prepare(&state.docker_config().join("config.json"));
        docker.reply_to("compose").code(3);
        let output = state.dkb().with_docker(&docker).env("DKB_SEAT", seat).args(["compose", "build"]).run().code(3);
        let call = docker.calls().remove(0);
        assert_eq!(call.words(), ["compose", "build"]);
        assert_eq!(call.var("DOCKER_CONFIG"), Some(state.docker_config().as_os_str()));
        output
    };
    let broken = |config: &Path| std::fs::write(config, "{").expect("a file");
    run(&broken, "").warns("what compose builds is not noted");
    assert!(run(&|_| {}, "off").err().is_empty());
}

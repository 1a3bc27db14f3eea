//! dkb in the place where docker looks for buildx: every build there is becomes one of ours, and nothing else changes.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use dkb_lab::command::{Command, Output};
use dkb_lab::dkb::dkb_path;
use dkb_lab::fake_docker::Call;
use dkb_lab::{Builder, Context, Engine, FakeDocker, Promises, State, eventually, promises};
use tempfile::TempDir;

use crate::building::{Maker, in_a_group, interrupt_compose, open_builds};

const LIMIT: Duration = Duration::from_secs(30);

/// Those with compose.
fn with_compose(engine: &str) -> bool {
    engine.starts_with("docker-28")
}

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on(
            with_compose,
            promises![
                every_build_there_is_leaves_nothing_behind,
                what_compose_had_built_when_it_was_interrupted_is_noted,
            ],
        )
        .on_one_engine()
        .on(
            |engine| engine == "docker-28.5",
            promises![what_is_no_build_is_the_same_to_the_byte, a_dkb_that_can_not_do_its_part_breaks_no_build],
        )
        .without_engine(promises![
            the_real_one_gets_the_words_and_the_streams_as_they_are,
            a_seat_with_nothing_behind_it_says_so,
            before_a_quiet_build_docker_is_asked_whether_it_has_a_buildx_that_dkb_does_not_find,
            a_copy_of_dkb_in_the_place_is_no_buildx_and_never_its_own,
        ])
}

/// A folder where dkb is buildx.
fn place() -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    symlink(dkb_path(), folder.path().join("docker-buildx")).expect("a link");
    folder
}

struct Scene<'e> {
    maker: Maker<'e>,
    place: TempDir,
    context: Context,
}

impl<'e> Scene<'e> {
    fn new(engine: &'e Engine) -> Self {
        let compose = "services:\n  web:\n    build: .\n    command: [\"true\"]\n  worker:\n    build:\n      context: .\n      \
                       args: {OF: worker}\n    command: [\"true\"]\n";
        let bake = "target \"default\" {\n  tags = [\"baked:dev\"]\n}\n";
        let context = Context::from_base("COPY seed /seed\nARG OF\nRUN echo $OF >/of")
            .file("seed", "0")
            .file("compose.yaml", compose)
            .file("docker-bake.hcl", bake);
        Self { maker: Maker::new(engine, Builder::BuildKit), place: place(), context }
    }

    /// `docker WORD…` with dkb in its seat.
    fn docker(&self, words: &[&str]) -> Command {
        let dkb = self.maker.dkb().to_std();
        let mut docker = self.maker.engine.docker(words.iter().copied()).cwd(self.context.path());
        for (key, value) in dkb.get_envs() {
            docker = docker.env(key, value.unwrap_or_default());
        }
        docker.env("DOCKER_CONFIG", self.config(true)).env("COMPOSE_PROJECT_NAME", "compose")
    }

    /// The user's own settings, and dkb put into its place by them.
    fn config(&self, with_dkb: bool) -> PathBuf {
        let folder = self.place.path().join("config");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::copy(self.maker.engine.docker_config().join("config.json"), folder.join("config.json"))
            .expect("settings");
        if with_dkb {
            let install = self.maker.dkb().env("DOCKER_CONFIG", &folder);
            install.args(["plugin", "install", "--every-build"]).run().success();
        }
        folder
    }
}

fn every_build_there_is_leaves_nothing_behind(engine: &Engine) {
    let scene = Scene::new(engine);
    let builds: &[&[&str]] = &[
        &["build", "-t", "built:dev", "."],
        &["buildx", "build", "-t", "built:dev", "."],
        &["buildx", "bake", "-f", "docker-bake.hcl"],
        &["compose", "build"],
        &["compose", "up", "--build"],
        &["compose", "run", "--rm", "--build", "web"],
    ];
    for round in 0..3 {
        for (n, words) in builds.iter().enumerate() {
            scene.context.write("seed", format!("{round} {n}"));
            scene.docker(words).run().success();
            if words.contains(&"up") {
                scene.docker(&["compose", "down"]).run().success();
            }
            scene.maker.is_tidy(&words.join(" "));
        }
    }
    for tag in ["built:dev", "baked:dev", "compose-web", "compose-worker"] {
        assert!(scene.maker.recorded().contains(&scene.maker.id(tag)), "{tag}\n{}", engine.inventory());
    }
    scene.maker.clean();
    assert_eq!(engine.images(), []);
}

fn what_compose_had_built_when_it_was_interrupted_is_noted(engine: &Engine) {
    let scene = Scene::new(engine);
    let worker = "FROM lab/base\nCOPY seed /seed\nRUN test ! -e /seed || sleep 60\n";
    scene.context.write("worker", worker);
    let compose = "services:\n  web:\n    build: .\n  worker:\n    build: {context: ., dockerfile: worker}\n";
    scene.context.write("compose.yaml", compose);
    for seed in ["1", "2"] {
        scene.context.write("seed", seed);
        let before = engine.find("compose-web").map(|image| image.id);
        let is_done = || engine.find("compose-web").map(|image| image.id) != before;
        let running = in_a_group(&scene.docker(&["compose", "build"])).spawn();
        assert!(eventually(LIMIT, is_done), "one of them is built");
        interrupt_compose(running);
        // Whoever was killed instead of asked is finished by the next dkb.
        let found = || {
            scene.maker.dkb().args(["clean", "--yes"]).run().success();
            open_builds(&scene.maker.state) == 0
        };
        assert!(eventually(LIMIT, found));
        scene.maker.is_tidy(seed);
        assert!(scene.maker.recorded().contains(&scene.maker.id("compose-web")));
    }
}

/// A line such as `#1 transferring dockerfile:`, which `#1 transferring dockerfile: 99B done` follows.
fn is_still_at_it(line: &str) -> bool {
    line.starts_with('#') && line.contains("transferring") && !line.trim_end().ends_with("done")
}

fn what_is_no_build_is_the_same_to_the_byte(engine: &Engine) {
    let scene = Scene::new(engine);
    let invocations: &[&[&str]] = &[
        &["buildx", "version"],
        &["buildx", "ls"],
        &["buildx", "inspect"],
        &["buildx", "bake", "--print"],
        &["buildx", "bake", "--list", "targets"],
        &["buildx", "bake", "--help"],
        &["buildx", "bake", "nothing-of-that-name"],
        &["buildx", "bake", "-f", "nowhere.hcl"],
        &["buildx", "bake", "--no-such-flag"],
        &["buildx", "build", "--help"],
        &["buildx", "build", "--no-such-flag", "."],
        &["buildx", "build", "--call=outline", "."],
        &["buildx", "build", "nowhere"],
        &["build", "--check", "."],
        &["build", "-t", "A//b", "."],
        &["buildx", "--help"],
        &["buildx"],
        &["buildx", "imagetools", "inspect"],
        &["buildx", "no-such-verb"],
        &["--help"],
        &["compose", "config"],
        &["compose", "ps"],
        &["compose", "build", "nothing-of-that-name"],
        &["compose", "version"],
    ];
    let said = |output: &Output| {
        // Times are new each time, and so is how often BuildKit tells of what it is still at.
        let told: Vec<String> =
            output.err().split_inclusive('\n').filter(|line| !is_still_at_it(line)).map(str::to_owned).collect();
        let text = format!("{:?} {} {}", output.exit_code(), output.out(), told.concat());
        let words: Vec<String> = text
            .split_inclusive(char::is_whitespace)
            .filter(|word| !word.trim_end().trim_end_matches('s').chars().all(|c| c.is_ascii_digit() || c == '.'))
            .map(str::to_owned)
            .collect();
        words.concat()
    };
    for words in invocations {
        let with = scene.docker(words).run();
        let docker = scene.docker(words);
        scene.config(false);
        assert_eq!(said(&with), said(&docker.run()), "{words:?}");
    }
    assert!(scene.maker.recorded().is_empty());
}

fn a_dkb_that_can_not_do_its_part_breaks_no_build(engine: &Engine) {
    let scene = Scene::new(engine);
    let broken = scene.context.join("broken.toml");
    std::fs::write(&broken, "no key of ours = 1\n").expect("a file");
    let broken = broken.to_str().expect("a path");
    for (nth, (name, value)) in [
        ("DKB_SETTINGS", broken),
        ("DKB_STATE_DIR", "/proc/nowhere"),
        ("DKB_PROJECT", "not a name!"),
        ("DKB_SEAT", "off"),
        ("DKB_KEEP_SUPERSEDED", "many"),
    ]
    .into_iter()
    .enumerate()
    {
        for words in [
            &["build", "-t", "built:dev", "."][..],
            &["buildx", "bake", "-f", "docker-bake.hcl"],
            &["compose", "build"],
        ] {
            scene.context.write("seed", format!("{nth} {words:?}"));
            scene.docker(words).env(name, value).run().success();
        }
    }
    assert!(scene.maker.recorded().is_empty());
    for tag in ["built:dev", "baked:dev", "compose-web"] {
        assert!(engine.has(tag), "{tag}");
    }
}

fn program(path: &Path, script: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{script}\n")).expect("a program");
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a mode");
}

/// As `dkb compose` says what stands behind a place.
fn behind(place: &Path, real: &Path) {
    let link = place.join("behind-dkb");
    let _ = std::fs::remove_file(&link);
    if !real.as_os_str().is_empty() {
        symlink(real, link).expect("a link");
    }
}

/// dkb by the name of buildx, as docker's plugins are called.
fn called(place: &Path, real: &Path) -> Command {
    let std = State::new().dkb().project("p").session("s").to_std();
    let mut command = Command::new(place.join("docker-buildx"));
    for (key, value) in std.get_envs() {
        command = command.env(key, value.unwrap_or_default());
    }
    behind(place, real);
    command.cwd(place).env("DKB_STATE_DIR", place.join("state"))
}

fn the_real_one_gets_the_words_and_the_streams_as_they_are() {
    let place = place();
    for words in [
        &["docker-cli-plugin-metadata"][..],
        &["--config", "/c", "buildx", "version"],
        &["buildx", "bake", "--print"],
        &["--no-such-flag", "buildx", "build", "."],
        &[],
    ] {
        let real = FakeDocker::new();
        real.reply().stdout(b"said \xff\0").stderr("and more").code(9).reads_stdin();
        let output = called(place.path(), &real.program()).args(words.iter().copied()).stdin("given").run().code(9);
        assert_eq!((output.stdout.as_slice(), &*output.err()), (&b"said \xff\0"[..], "and more"));
        let calls = real.calls();
        assert_eq!((calls.len(), calls[0].words()), (1, words.iter().map(ToString::to_string).collect()));
        assert_eq!(calls[0].stdin.as_deref(), Some(&b"given"[..]));
    }
    let real = FakeDocker::new();
    real.reply_to("build").stdout("built").code(4);
    let words = ["--context", "default", "buildx", "build", "-t", "x", "."];
    let command = called(place.path(), &real.program()).args(words).env("DOCKER_CLI_PLUGIN_SOCKET", "@of-docker");
    assert_eq!(command.run().code(4).out(), "built");
    let calls = real.calls();
    let (told, users) = (calls[0].words(), words.map(String::from));
    assert!(told.starts_with(&users[..4]) && told.ends_with(&users[4..]), "{told:?}");
    assert!(told.contains(&"dev.dkb.project=p".to_owned()), "{told:?}");
    assert_eq!(calls[0].var("DOCKER_CLI_PLUGIN_SOCKET"), Some("@of-docker".as_ref()));
}

fn a_seat_with_nothing_behind_it_says_so() {
    let place = place();
    let output =
        called(place.path(), Path::new("")).env("DOCKER_CONFIG", place.path()).args(["buildx", "version"]).run();
    if output.exit_code() != Some(0) {
        output.code(127).warns("there is none behind it");
    }
}

fn before_a_quiet_build_docker_is_asked_whether_it_has_a_buildx_that_dkb_does_not_find() {
    for (flag, is_asked) in [("-q", true), ("--no-cache", false)] {
        let (docker, state) = (FakeDocker::new(), State::new());
        state.dkb().with_docker(&docker).project("p").session("s").args(["build", flag, "."]).run().success();
        assert!(docker.calls_of("build").iter().any(|build| build.words().contains(&flag.to_owned())));
        let asked =
            docker.calls().iter().filter(|call| call.words().ends_with(&["buildx".into(), "version".into()])).count();
        // Unless this machine has one for everybody.
        assert!(asked <= usize::from(is_asked), "{flag}: {asked}");
        let has_one = ["lib", "libexec"]
            .iter()
            .any(|dir| Path::new(&format!("/usr/{dir}/docker/cli-plugins/docker-buildx")).exists());
        assert!(has_one || asked == usize::from(is_asked), "{flag}: {asked}");
    }
}

/// Settings of docker's with these folders in front of all others.
fn settings(config: &Path, folders: &[&Path]) {
    std::fs::create_dir_all(config).expect("a folder");
    let settings = serde_json::json!({ "cliPluginsExtraDirs": folders });
    std::fs::write(config.join("config.json"), settings.to_string()).expect("settings");
}

fn a_copy_of_dkb_in_the_place_is_no_buildx_and_never_its_own() {
    // Other files than the dkb that runs, as one is that was installed before it.
    let copies = [(); 2].map(|()| {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::copy(dkb_path(), folder.path().join("docker-buildx")).expect("a copy");
        folder
    });
    let (real, docker, state, buildx) = (FakeDocker::new(), FakeDocker::new(), State::new(), tempfile::tempdir());
    let buildx = buildx.expect("a folder");
    program(&buildx.path().join("docker-buildx"), &format!("exec {} \"$@\"", real.program().display()));
    settings(&state.docker_config(), &[copies[0].path(), copies[1].path(), buildx.path()]);
    real.reply().stdout("said").code(9);
    let words = ["docker-cli-plugin-metadata", "buildx version", "buildx build -t x ."];
    let is_seen = |calls: &[Call]| calls.iter().any(|call| call.words().contains(&"dev.dkb.project=p".to_owned()));
    for words in words {
        // As compose calls what it takes for buildx.
        docker.reply_to("compose").script(&format!("timeout 20 \"$2\"/../seat/docker-buildx {words}; exit $?"));
        let dkb = state.dkb().with_docker(&docker).project("p").session("s").arg("compose").arg("build");
        assert_eq!(dkb.run().code(9).out(), "said", "{words}");
    }
    assert_eq!((real.calls().len(), is_seen(&real.calls())), (words.len(), true));
    // Told of itself, or of the other one, which is told the same.
    for told in &copies {
        for (copy, words) in copies.iter().flat_map(|copy| words.map(|words| (copy, words))) {
            let command =
                called(copy.path(), &told.path().join("docker-buildx")).env("DOCKER_CONFIG", state.docker_config());
            assert_eq!(command.args(words.split(' ')).run().code(9).out(), "said", "{words}");
        }
    }
    assert_eq!(real.calls().len(), 5 * words.len());
}

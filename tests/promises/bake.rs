//! `dkb bake`: docker's own bake, with every target a build of its own in the books.

use std::time::Duration;

use dkb_lab::command::{Command, Output};
use dkb_lab::{Builder, Context, Engine, FakeDocker, Promises, State, eventually, promises};

use crate::build_streams::buildkit;
use crate::building::{Maker, dangling, in_a_group, open_builds, own_lines};

const LIMIT: Duration = Duration::from_secs(30);

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on(
            buildkit,
            promises![
                ten_changing_bakes_leave_nothing_behind,
                a_target_that_was_done_when_its_bake_failed_is_noted,
                a_target_that_came_from_the_cache_of_a_bake_that_failed_is_noted,
                what_a_killed_bake_had_done_is_found_again,
                of_two_targets_with_one_tag_none_is_left_nameless,
                what_goes_elsewhere_is_noted_as_nothing,
                a_bake_in_a_guard_goes_with_the_session,
            ],
        )
        .on(
            |engine| buildkit(engine) && !engine.starts_with("docker-20"),
            promises![targets_that_can_be_told_apart_by_buildkit_alone_are_noted_when_their_bake_fails],
        )
        .on_one_engine()
        .on(buildkit, promises![what_others_have_beside_a_bake_stays_theirs])
        .on(
            |engine| engine == "docker-28.5",
            promises![the_cache_of_many_bakes_is_that_of_the_newest, a_bake_without_room_for_books_is_dockers_own],
        )
        .without_engine(promises![
            a_definition_on_stdin_reaches_docker_byte_for_byte,
            a_question_is_dockers_alone,
            where_docker_tells_no_targets_it_gets_its_words_untouched,
        ])
}

/// Three targets, one built on another. `RACE` waits until that one is done, and then does as the argument says.
const DEFINITION: &str = r#"
variable "SEED" { default = "0" }
variable "END" { default = "true" }
group "default" { targets = ["one", "two", "three"] }
target "one" {
  tags = ["one:dev"]
  args = { SEED = SEED }
}
target "two" {
  tags = ["two:dev", "two:also"]
  contexts = { one = "target:one" }
  dockerfile-inline = "FROM one\nARG SEED\nRUN echo two $SEED >/two\n"
  args = { SEED = SEED }
}
target "three" {
  tags = ["three:dev"]
  contexts = { two = "target:two" }
  dockerfile-inline = "FROM lab/base\nCOPY --from=two /two /two\nARG END\nARG SEED\nRUN sleep 0.5; $END # $SEED\n"
  args = { SEED = SEED, END = END }
}
"#;

struct Scene<'e> {
    maker: Maker<'e>,
    context: Context,
}

impl<'e> Scene<'e> {
    fn new(engine: &'e Engine) -> Self {
        let context = Context::from_base("ARG SEED\nRUN echo one $SEED >/one").file("docker-bake.hcl", DEFINITION);
        Self { maker: Maker::new(engine, Builder::BuildKit), context }
    }

    fn bake(&self, seed: &str, end: &str) -> Command {
        self.words(&["bake"]).env("SEED", seed).env("END", end)
    }

    fn words(&self, words: &[&str]) -> Command {
        self.maker.dkb().cwd(self.context.path()).args(words.iter().copied())
    }

    fn is_tidy(&self, of: &str) {
        let engine = self.maker.engine;
        self.maker.is_tidy(of);
        let recorded = self.maker.recorded();
        for tag in ["one:dev", "two:dev", "two:also", "three:dev"] {
            let image = engine.find(tag);
            assert!(image.is_none_or(|image| recorded.contains(&image.id)), "{of}: {tag}\n{}", engine.inventory());
        }
    }
}

fn quiet(output: &Output) {
    assert!(own_lines(output).is_empty(), "{output}");
}

fn ten_changing_bakes_leave_nothing_behind(engine: &Engine) {
    let scene = Scene::new(engine);
    for seed in 0..10 {
        let seed = seed.to_string();
        match &*seed {
            "3" => quiet(&scene.bake(&seed, "exit 3").run().fails()),
            "6" => {
                let before = engine.find("one:dev");
                let running = scene.bake(&seed, "sleep 60").spawn();
                assert!(eventually(LIMIT, || engine.find("one:dev") != before), "the first target is done");
                running.signal("INT");
                quiet(&running.wait().fails());
            }
            _ => quiet(&scene.bake(&seed, "true").run().success()),
        }
        scene.is_tidy(&seed);
    }
    assert!(engine.has("three:dev") && scene.maker.recorded().len() >= 3);
    scene.maker.clean();
    assert_eq!(engine.images(), []);
}

fn a_target_that_was_done_when_its_bake_failed_is_noted(engine: &Engine) {
    let scene = Scene::new(engine);
    quiet(&scene.bake("1", "exit 3").run().fails());
    assert!(!engine.has("three:dev"));
    let recorded = scene.maker.recorded();
    // Whichever was done by then.
    for tag in ["one:dev", "two:dev"].into_iter().filter(|tag| engine.has(tag)) {
        assert!(recorded.contains(&scene.maker.id(tag)), "{tag}\n{}", engine.inventory());
    }
    assert!(engine.has("one:dev") && engine.has("two:dev"), "{}", engine.inventory());
}

fn a_target_that_came_from_the_cache_of_a_bake_that_failed_is_noted(engine: &Engine) {
    let scene = Scene::new(engine);
    let bake = engine.docker(["buildx", "bake"]).cwd(scene.context.path()).env("SEED", "1");
    bake.run().success();
    for name in ["one:dev", "two:dev", "two:also", "three:dev"] {
        engine.docker(["image", "rm", name]).run().success();
    }
    std::thread::sleep(Duration::from_secs(2));
    let theirs = engine.image().tag("one:dev").make();
    for _ in 0..2 {
        let dkb = engine.dkb_in(&scene.maker.state).project("app").cwd(scene.context.path());
        let dkb = dkb.env("SEED", "1").env("END", "exit 3").args(["guard", "--"]);
        dkb.arg(dkb_lab::dkb::dkb_path()).arg("bake").run().fails();
        assert_eq!(engine.find("one:dev").map(|image| image.id), Some(theirs.id.clone()), "{}", engine.inventory());
        assert!(!engine.has("two:dev") && dangling(engine).is_empty(), "{}", engine.inventory());
    }
}

/// Two targets with one name, and one without any, all out of the cache, before the bake fails.
const ALIKE: &str = r#"
group "default" { targets = ["x", "y", "nameless", "z"] }
target "x" {
  tags = ["one:dev"]
  dockerfile-inline = "FROM lab/base\nENV A=1\n"
}
target "y" {
  tags = ["one:dev"]
  dockerfile-inline = "FROM lab/base\nENV A=2\n"
}
target "nameless" { dockerfile-inline = "FROM lab/base\nRUN echo >/nameless\n" }
target "z" { dockerfile-inline = "FROM lab/base\nRUN sleep 1; false\n" }
"#;

fn targets_that_can_be_told_apart_by_buildkit_alone_are_noted_when_their_bake_fails(engine: &Engine) {
    let scene = Scene::new(engine);
    scene.context.write("docker-bake.hcl", ALIKE);
    let theirs = engine.image().tag("one:dev").make();
    for _ in 0..3 {
        let dkb = engine.dkb_in(&scene.maker.state).project("app").cwd(scene.context.path()).args(["guard", "--"]);
        dkb.arg(dkb_lab::dkb::dkb_path()).arg("bake").run().fails();
        assert_eq!(engine.find("one:dev").map(|image| image.id), Some(theirs.id.clone()), "{}", engine.inventory());
        assert_eq!(engine.images().len(), 1, "{}", engine.inventory());
    }
}

fn what_a_killed_bake_had_done_is_found_again(engine: &Engine) {
    let scene = Scene::new(engine);
    let foreign = engine.image().stamp("app", "one").tag("theirs:1").make();
    for group in ["", "-"] {
        let end = if group.is_empty() { "sleep 4" } else { "sleep 60" };
        let running = in_a_group(&scene.bake(&format!("killed{group}"), end)).spawn();
        assert!(eventually(LIMIT, || engine.has("two:dev") && engine.has("one:dev")), "two targets are done");
        let target = format!("{group}{}", running.id());
        std::process::Command::new("kill").args(["-KILL", "--", &target]).status().expect("a signal");
        let found = || {
            scene.words(&["clean", "--dry-run"]).run().success();
            open_builds(&scene.maker.state) == 0
        };
        assert!(!group.is_empty() || !found(), "docker bakes on, and that is a running build");
        assert!(eventually(LIMIT, found));
        running.wait();
        let recorded = scene.maker.recorded();
        for tag in ["one:dev", "two:dev"] {
            assert!(recorded.contains(&scene.maker.id(tag)), "{tag}\n{}", engine.inventory());
        }
        assert!(!recorded.contains(&foreign.id));
        scene.maker.clean();
        assert!(engine.has("theirs:1") && !engine.has("one:dev"));
    }
}

fn what_others_have_beside_a_bake_stays_theirs(engine: &Engine) {
    let scene = Scene::new(engine);
    let nameless = engine.image().make();
    let stamped = engine.image().stamp("app", "one").tag("theirs:1").make();
    // One of them had one of our names before.
    let lent = engine.image().tag("one:dev").tag("theirs:2").make();
    for seed in ["1", "2"] {
        scene.bake(seed, "true").run().success();
    }
    let child = Context::new().dockerfile("FROM two:dev\nRUN echo theirs >/theirs\n");
    engine.build(Builder::BuildKit, &child, &["-t", "theirs:3"]).success();
    scene.bake("3", "true").run().success();
    let recorded = scene.maker.recorded();
    for theirs in [&nameless.id, &stamped.id, &lent.id, &scene.maker.id("theirs:3")] {
        assert!(engine.has(theirs) && !recorded.contains(theirs), "{theirs}\n{}", engine.inventory());
    }
    scene.maker.clean();
    assert!(!engine.has("two:dev") && engine.has("theirs:3") && engine.has("theirs:2") && engine.has(&nameless.id));
}

fn of_two_targets_with_one_tag_none_is_left_nameless(engine: &Engine) {
    let scene = Scene::new(engine);
    let target = |name: &str| {
        let dockerfile = format!("FROM lab/base\\nARG SEED\\nRUN echo {name} $SEED >/x\\n");
        format!(
            "target \"{name}\" {{\n tags = [\"same:dev\"]\n dockerfile-inline = \"{dockerfile}\"\n args = {{ SEED = SEED }}\n}}\n"
        )
    };
    let definition =
        ["variable \"SEED\" { default = \"0\" }\n".to_owned(), target("a"), target("b"), target("c")].concat();
    scene.context.write("docker-bake.hcl", definition);
    for seed in ["1", "2", "3"] {
        quiet(&bake_at_one_name(&scene, seed));
        assert!(dangling(engine).is_empty(), "{}", engine.inventory());
        assert!(scene.maker.recorded().contains(&scene.maker.id("same:dev")));
    }
}

/// Containerd's store now and then refuses one of several targets that take a name in the same moment, and docker
/// ends with that. It is docker's own race: whoever meets it bakes again.
fn bake_at_one_name(scene: &Scene, seed: &str) -> Output {
    let bake = || scene.words(&["bake", "a", "b", "c"]).env("SEED", seed).run();
    let refused = |output: &Output| output.err().contains("already exists");
    let mut tries = (0..5).map(|_| bake());
    tries.find(|output| !refused(output)).expect("five bakes in a row were refused a name").success()
}

fn what_goes_elsewhere_is_noted_as_nothing(engine: &Engine) {
    let scene = Scene::new(engine);
    let out = |name: &str| format!("{name}.output=type=local,dest=out");
    quiet(&scene.words(&["bake", "--set", &out("one"), "one"]).run().success());
    assert!(scene.context.join("out/one").exists() && scene.maker.recorded().is_empty());
    // Beside a target that stays.
    quiet(&scene.words(&["bake", "--set", &out("one"), "two"]).run().success());
    let there = engine.images().into_iter().filter(|image| image.tags.iter().any(|tag| tag.contains(":dev")));
    assert_eq!(scene.maker.recorded(), there.map(|image| image.id).collect(), "{}", engine.inventory());
    assert!(engine.has("two:dev"));
    // Under labels of the user's own nothing proves that it is ours.
    quiet(&scene.words(&["bake", "--set", "three.labels.dev.dkb.session=theirs", "three"]).run().success());
    assert!(!scene.maker.recorded().contains(&scene.maker.id("three:dev")), "{}", engine.inventory());
}

fn a_bake_in_a_guard_goes_with_the_session(engine: &Engine) {
    let scene = Scene::new(engine);
    let old = engine.image().tag("one:dev").make();
    let dkb = engine.dkb_in(&scene.maker.state).project("app").cwd(scene.context.path());
    let script = format!("{} bake && docker run --name once two:dev cat /two", dkb_lab::dkb::dkb_path().display());
    dkb.args(["guard", "--", "sh", "-c", &script]).run().success();
    assert_eq!(engine.find("one:dev").map(|image| image.id), Some(old.id), "{}", engine.inventory());
    assert!(!engine.has("two:dev") && !engine.has("three:dev") && dangling(engine).is_empty());
}

/// Much of what a bake leaves is no image.
fn the_cache_of_many_bakes_is_that_of_the_newest(engine: &Engine) {
    let scene = Scene::new(engine);
    let records = || {
        let said = engine.docker(["buildx", "du", "--format", "json"]).run().success().out();
        said.lines().filter(|line| line.contains("RUN echo one")).count()
    };
    for seed in 0..6 {
        scene.bake(&seed.to_string(), "true").run().success();
    }
    let tidy = || {
        let status = scene.words(&["status", "--json"]).run().success();
        status.json()["totals"]["cache_pending"] != true && records() <= 2
    };
    assert!(eventually(Duration::from_secs(60), tidy), "{} records of one step", records());
}

fn a_bake_without_room_for_books_is_dockers_own(engine: &Engine) {
    let scene = Scene::new(engine);
    let output = scene.bake("1", "true").env("DKB_STATE_DIR", "/proc/nowhere").run().success();
    assert!(output.err().contains("this build was not noted"), "{output}");
    assert!(engine.has("three:dev"));
}

/// A docker that answers as it is asked, and reads what it is given.
fn fake(printed: &str) -> FakeDocker {
    let docker = FakeDocker::new();
    docker
        .reply_to("bake")
        .reads_stdin()
        .script(&format!("for word in \"$@\"; do case $word in --print) printf %s '{printed}'; exit 0 ;; esac; done"));
    docker
}

fn a_definition_on_stdin_reaches_docker_byte_for_byte() {
    let docker = fake(r#"{"target": {"app": {"context": ".", "tags": ["app:dev"]}}}"#);
    let definition = [b"{\"target\": {}} \xff\0\n".to_vec(), vec![b' '; 200_000]].concat();
    let words = ["--progress", "rawjson", "--metadata-file", "m.json", "--file", "-", "app"];
    let dkb = State::new().dkb().with_docker(&docker).project("p").session("s").args(["buildx", "bake"]);
    dkb.args(words).stdin(definition.clone()).run().success();
    let calls = docker.calls_of("bake");
    let labels = "--set *.labels.dev.dkb.project=p --set *.labels.dev.dkb.session=s";
    let told: Vec<String> = calls.iter().map(|call| call.words().join(" ")).collect();
    let users = words.join(" ");
    assert_eq!(told, [format!("buildx bake {labels} --print {users}"), format!("buildx bake {labels} {users}")]);
    for call in &calls {
        assert_eq!(call.stdin.as_deref(), Some(&*definition));
    }
    // More than any definition has goes through, and nobody is asked what it means.
    let docker = fake("");
    let endless = vec![b'x'; (16 << 20) + 70_000];
    let dkb = State::new().dkb().with_docker(&docker).args(["bake", "-f", "-"]).stdin(endless.clone());
    dkb.run().success().warns("this build was not noted");
    let calls = docker.calls_of("bake");
    assert_eq!((calls.len(), calls[0].words().join(" ")), (1, "buildx bake -f -".to_owned()));
    assert!(calls[0].stdin.as_deref() == Some(&*endless));
}

fn a_question_is_dockers_alone() {
    for words in [
        &["--print"][..],
        &["--print=false", "app"],
        &["--list", "targets"],
        &["--call=outline", "app"],
        &["--check"],
        &["--help"],
        &["--never-heard-of", "app"],
    ] {
        let docker = FakeDocker::new();
        docker.reply_to("bake").stdout("docker's answer").code(7);
        let output = State::new().dkb().with_docker(&docker).arg("bake").args(words.iter().copied()).run().code(7);
        assert_eq!((&*output.out(), &*output.err()), ("docker's answer", ""));
        let calls = docker.calls();
        assert_eq!(calls.len(), 1, "{words:?}");
        assert_eq!(calls[0].words(), [&["buildx", "bake"], words].concat());
    }
}

fn where_docker_tells_no_targets_it_gets_its_words_untouched() {
    for (code, said) in [(0, true), (3, false)] {
        let docker = FakeDocker::new();
        docker.reply_to("bake").script(&format!(
            "for word in \"$@\"; do case $word in --print) exit 1 ;; esac; done; echo docker >&2; exit {code}"
        ));
        let output = State::new().dkb().with_docker(&docker).args(["bake", "app"]).run().code(code);
        assert_eq!(output.err().contains("this build was not noted"), said, "{output}");
        let calls = docker.calls_of("bake");
        assert_eq!(calls[1].words(), ["buildx", "bake", "app"]);
    }
}

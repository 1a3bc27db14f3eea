//! Promise 8: whenever dkb is killed, alone or with docker, the next dkb finds again what the build had shown and
//! what it had finished, and nothing foreign.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use dkb::ledger::State as Notes;
use dkb_lab::{Builder, Context, Engine, Promises, eventually, promises};

use crate::building::{Maker, direct_docker};

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on_every_builder(promises![
            what_a_killed_dkb_and_docker_had_built_is_found_again_and_nothing_foreign_is,
            what_a_killed_dkb_had_built_is_found_again_and_nothing_foreign_is,
        ])
        .on_one_engine()
        .on_every_builder(promises![what_was_built_before_dkb_knew_the_engine_is_found_behind_the_same_socket])
}

/// As many builds are killed, each in its own part of the time that a whole one takes; in a soak more.
const KILLS: u64 = 3;
const SOAKED: u64 = 12;
const LIMIT: Duration = Duration::from_secs(30);

fn what_a_killed_dkb_had_built_is_found_again_and_nothing_foreign_is(engine: &Engine, builder: Builder) {
    killed(engine, builder, "");
}

fn what_a_killed_dkb_and_docker_had_built_is_found_again_and_nothing_foreign_is(engine: &Engine, builder: Builder) {
    killed(engine, builder, "-");
}

/// The engine's first answer to dkb never comes, and docker, which asks elsewhere, builds meanwhile.
fn what_was_built_before_dkb_knew_the_engine_is_found_behind_the_same_socket(engine: &Engine, builder: Builder) {
    let maker = Maker::new(engine, builder);
    let foreign = engine.image().stamp("app", "one").tag("theirs:1").make();
    let proxy = engine.proxy();
    proxy.on("GET", "/info").first(1).delay(Duration::from_secs(60));
    let folder = tempfile::tempdir().expect("a folder");
    let context = Context::from_base("COPY seed /seed").file("seed", "1");
    let build = maker.command(&context, &["-t", "app"]).env("DOCKER_HOST", proxy.host());
    let running = build.env("DKB_DOCKER", direct_docker(engine, folder.path())).spawn();
    assert!(eventually(LIMIT, || engine.has("app")), "docker builds");
    running.signal("KILL");
    running.wait();
    let recorded_by = |dkb: dkb_lab::command::Command| {
        dkb.args(["clean", "--dry-run"]).run().success();
        maker.recorded().contains(&maker.id("app"))
    };
    assert!(!recorded_by(maker.dkb()), "another socket may lead to another engine");
    assert!(recorded_by(maker.dkb().env("DOCKER_HOST", proxy.host())));
    assert!(!maker.recorded().contains(&foreign.id));
    assert!(Notes::at(maker.state.state_dir()).unfinished().is_empty());
}

const RECIPE: &str = "FROM lab/base AS one\nCOPY seed /seed\nRUN sleep 0.1\nENV A=1\n\
    FROM lab/base\nCOPY --from=one /seed /seed\nRUN sleep 0.1\nENV B=2\nENV C=3\n";

fn killed(engine: &Engine, builder: Builder, group: &str) {
    let maker = Maker::new(engine, builder);
    let foreign = engine.image().make();
    let from_the_start = ids(engine);
    let context = Context::new().dockerfile(RECIPE);
    let whole = |seed: &str| {
        let began = Instant::now();
        context.write("seed", seed);
        maker.build(&context, &["-t", "app"]).success();
        u64::try_from(began.elapsed().as_millis()).expect("a short time")
    };
    // The first one finds a cold engine.
    let whole = whole("one").min(whole("two"));
    let kills = if std::env::var_os("DKB_SOAK").is_some() { SOAKED } else { KILLS };
    for round in 0..kills {
        let delay = (whole * round + RandomState::new().hash_one(round) % whole) / (kills - 1);
        context.write("seed", format!("{group} {round}"));
        let (before, app) = (ids(engine), engine.find("app").map(|image| image.id));
        let Some(said) = kill(&maker, &context, group, delay, whole) else {
            return engine.restart();
        };
        let case = format!("killed after {delay} of {whole} ms, having said:\n{said}");

        let made: BTreeSet<String> = ids(engine).difference(&before).cloned().collect();
        let strangers = a_stranger_goes_on(engine, builder, &context);
        maker.dkb().args(["clean", "--dry-run"]).run().success();

        let recorded = maker.recorded();
        for id in made.iter().filter(|id| shown(&said, is_proved(engine)).any(|digits| id[7..].starts_with(&digits))) {
            assert!(recorded.contains(id), "{id} was shown\n{case}");
        }
        for image in engine.images().iter().filter(|image| made.contains(&image.id)) {
            let finished = image.label("dev.dkb.session") == Some("one");
            assert!(!finished || recorded.contains(&image.id), "{} was finished\n{case}", image.id);
        }
        let now = engine.find("app").map(|image| image.id);
        assert!(now == app || now.is_none_or(|id| recorded.contains(&id)), "the tag has moved\n{case}");
        let there = ids(engine);
        for id in strangers.iter().chain([&foreign.id]) {
            assert!(!recorded.contains(id) && there.contains(id), "{id} is a stranger's\n{case}");
        }
        assert!(Notes::at(maker.state.state_dir()).unfinished().is_empty(), "{case}");
        // A step that was committed in the very moment of the kill, and that nobody has named since, is nobody's.
        let unnamed: BTreeSet<String> = made.into_iter().filter(|id| !recorded.contains(id)).collect();
        assert!(builder == Builder::Classic || unnamed.is_empty(), "{unnamed:?}\n{case}");
        remove(engine, strangers);
        remove(engine, unnamed);
    }
    let recorded = maker.recorded();
    let over = eventually(LIMIT, || {
        // What the engine finished after all, when it had seemed to rest, and nobody has named: it keeps what it
        // stands on.
        let late = ids(engine).into_iter().filter(|id| !recorded.contains(id) && !from_the_start.contains(id));
        remove(engine, late.collect());
        engine.end_what_works();
        maker.clean();
        ids(engine).iter().all(|id| !recorded.contains(id))
    });
    assert!(over, "the session is over, and these are still there: {recorded:?}");
    assert!(engine.has(&foreign));
}

/// Starts a build, kills it, waits until all that it set going has come to rest, and gives what it said on
/// stdout; nothing where the engine did not survive it.
fn kill(maker: &Maker, context: &Context, group: &str, delay: u64, whole: u64) -> Option<String> {
    // A process group of its own, so that dkb and docker can be killed at one stroke.
    let std = maker.command(context, &["-t", "app"]).to_std();
    let folder = tempfile::tempdir().expect("a folder");
    let said = folder.path().join("said");
    // To a file, since a docker that lives on would hold a pipe open.
    let script = "exec \"$@\" >\"$0\" 2>/dev/null";
    let mut wrapped = dkb_lab::command::Command::new("/usr/bin/setsid").args(["sh", "-c", script]);
    wrapped = wrapped.arg(&said).arg(std.get_program());
    for (key, value) in std.get_envs() {
        wrapped = wrapped.env(key, value.unwrap_or_default());
    }
    let wrapped = wrapped.args(std.get_args()).cwd(maker.state.work());
    let began = Instant::now();
    let mut running = wrapped.spawn();
    eventually(LIMIT, || began.elapsed().as_millis() >= delay.into() || !running.is_running());
    let target = format!("{group}{}", running.id());
    let _ = std::process::Command::new("kill").args(["-KILL", "--", &target]).status();
    running.wait();
    let notes = Notes::at(maker.state.state_dir());
    assert!(eventually(LIMIT, || notes.unfinished().iter().all(|build| !build.still_runs())), "docker ends");
    comes_to_rest(maker.engine, whole).then(|| std::fs::read_to_string(said).unwrap_or_default())
}

/// Podman 5.4 may fall over when its client goes away in the middle of a build. No engine says when it is done with
/// a build that nobody waits for; one that rests for as long as a step takes here, on this machine, now, is.
fn comes_to_rest(engine: &Engine, whole: u64) -> bool {
    let quiet = Duration::from_millis(if engine.is_podman() { 1000 } else { 300 }.max(whole / 3));
    let (mut last, mut since) = (None, Instant::now());
    let at_rest = eventually(LIMIT, || {
        if !engine.api().answers() {
            return true;
        }
        let containers = listed(engine, "/containers/json?all=1");
        let now = (listed(engine, "/images/json?all=1"), engine.is_podman().then(|| listed(engine, WORKING)));
        if now.0.is_none() || Some(&now) != last.as_ref() || containers.is_none_or(|containers| !containers.is_empty())
        {
            (last, since) = (Some(now), Instant::now());
        }
        since.elapsed() > quiet
    });
    assert!(at_rest, "the engine comes to rest");
    let answers = engine.api().answers();
    assert!(answers || engine.is_podman(), "the engine is gone");
    answers
}

/// With the containers of Podman's builder, which Docker's part of its API leaves out. A killed build leaves one.
const WORKING: &str = "/v4.0.0/libpod/containers/json?external=true&all=true";

/// The IDs in a list; nothing where the engine has none to give, or ends in this moment.
fn listed(engine: &Engine, path: &str) -> Option<BTreeSet<String>> {
    let answer = engine.api().call("GET", path, "application/json", b"").ok()?.json();
    answer.as_array()?.iter().map(|one| one["Id"].as_str().map(str::to_owned)).collect()
}

/// Raw docker goes on from the steps that are there, and builds on what was finished. All of that is its own.
fn a_stranger_goes_on(engine: &Engine, builder: Builder, context: &Context) -> BTreeSet<String> {
    let before = ids(engine);
    context.write("Dockerfile", format!("{RECIPE}ENV THEIRS=1\n"));
    builds(engine, builder, context, "raw");
    if engine.has("app") {
        context.write("Dockerfile", "FROM app\nCOPY seed /theirs\n");
        builds(engine, builder, context, "child");
    }
    context.write("Dockerfile", RECIPE);
    ids(engine).difference(&before).cloned().collect()
}

/// A killed build may still let go of a step in the moment in which this one would share it. The engine then fails
/// this one, by its own fault and for this time only.
fn builds(engine: &Engine, builder: Builder, context: &Context, tag: &str) {
    let built = eventually(LIMIT, || {
        let output = engine.build(builder, context, &["-t", tag]);
        if output.err().contains("failed to get state for index") {
            return false;
        }
        output.success();
        true
    });
    assert!(built, "{tag} is built");
}

fn remove(engine: &Engine, mut images: BTreeSet<String>) {
    let gone = eventually(LIMIT, || {
        if !images.is_empty() {
            engine.docker(["image", "rm", "--force", "--no-prune"]).args(&images).run();
        }
        let there = ids(engine);
        images.retain(|id| there.contains(id));
        images.is_empty()
    });
    assert!(gone, "{images:?}");
}

fn ids(engine: &Engine) -> BTreeSet<String> {
    engine.images().into_iter().map(|image| image.id).collect()
}

/// Whether the engine proves of a step that was shown last that it is no lie.
fn is_proved(engine: &Engine) -> bool {
    !engine.is_podman() && !engine.is_containerd_store()
}

/// The first digits of the images that the output names as made by this build. Where the engine does not prove
/// it, those of the last step are nobody's word but the step's.
fn shown(said: &str, proved: bool) -> impl Iterator<Item = String> {
    let (mut from, mut cached, mut steps) = (false, false, Vec::new());
    for line in said.lines() {
        let line = line.trim();
        if line.to_ascii_lowercase().contains("step ") {
            (from, cached) = (line.to_ascii_lowercase().contains(": from "), false);
            steps.push(None);
        } else if line.contains("Using cache") {
            cached = true;
        } else if let Some(digits) = line.strip_prefix("--> ").or_else(|| line.strip_prefix("---> "))
            && digits.len() == 12
            && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
            && !from
            && !cached
            && let Some(step) = steps.last_mut()
        {
            *step = Some(digits.to_owned());
        }
    }
    if !proved {
        steps.pop();
    }
    steps.into_iter().flatten()
}

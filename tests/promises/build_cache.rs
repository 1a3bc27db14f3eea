//! BuildKit's cache: what builds of ours replaced goes beside them, what the next build needs stays, and what anybody else
//! has made or used is left to him.

use std::fs::File;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dkb_lab::dkb::has_seen_the_cache;
use dkb_lab::{Context, Engine, Promises, State, eventually, promises};

/// Longer than a process takes that nobody waits for.
const SETTLED: Duration = Duration::from_secs(60);

/// Builds of a run and of a soak, which takes minutes.
const ROUNDS: (usize, usize) = (5, 30);

/// The engines that remember builds, and that forget nothing else when some of the cache goes.
fn with_history(name: &str) -> bool {
    name == "docker-28.5"
}

fn without(name: &str) -> bool {
    dkb_lab::promise::docker(name) && !with_history(name)
}

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on(
            with_history,
            promises![
                the_cache_of_many_builds_is_that_of_the_newest,
                what_was_asked_to_be_kept_is_found_again,
                a_stranger_finds_every_step_that_he_built_or_used,
                a_build_does_not_wait_for_it,
                a_terminal_that_closes_behind_a_build_takes_nothing_along,
                variants_that_are_built_by_turns_find_their_steps,
                a_stranger_keeps_what_he_found_while_we_built,
                a_session_that_is_cleaned_leaves_no_cache,
                clean_takes_the_cache_that_it_is_asked_to_take,
                cache_mounts_of_our_own_go_where_they_are_asked_for,
                what_two_projects_use_goes_with_the_last_that_is_cleaned,
                an_engine_outlives_whoever_deletes_builds_from_its_history,
            ],
        )
        .on(without, promises![where_it_can_not_be_known_or_harms_others_the_cache_is_left_alone])
}

/// A source that nobody has built before.
fn new_source() -> Vec<u8> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{} {number}\n", std::process::id()).repeat(10_000).into_bytes()
}

/// One beside which the engine's own books are small.
fn large_source() -> Vec<u8> {
    new_source().repeat(20)
}

fn recipe(lines: &str) -> String {
    format!(
        "FROM lab/base AS build\nWORKDIR /src\nCOPY source /source\nRUN cat /source /source >/out\n\
         FROM lab/base\n{lines}\nCOPY --from=build /out /out\n"
    )
}

struct Scene<'a> {
    engine: &'a Engine,
    state: State,
    context: Context,
}

impl<'a> Scene<'a> {
    fn new(engine: &'a Engine) -> Self {
        let context = Context::new().dockerfile(&recipe("RUN echo tool >/tool"));
        Self { engine, state: State::new(), context }
    }

    fn change(&self) {
        self.context.write("source", new_source());
    }

    fn dkb(&self, args: &[&str]) -> dkb_lab::Output {
        let dkb = self.engine.dkb_in(&self.state).project("cache").env("DOCKER_BUILDKIT", "1");
        dkb.arg("build").args(args).arg(self.context.path()).run()
    }

    fn clean(&self, session: &str, args: &[&str]) -> dkb_lab::Output {
        let dkb = self.engine.dkb_in(&self.state).project("cache").env("DOCKER_BUILDKIT", "1");
        dkb.env("DKB_SESSION", session).arg("clean").args(args).run().success()
    }

    /// Builds, and waits until what is done beside it is done.
    fn build(&self, args: &[&str]) -> dkb_lab::Output {
        let output = self.dkb(args);
        self.settle();
        output
    }

    fn settle(&self) {
        let settled = eventually(SETTLED, || has_seen_the_cache(&self.state.state_dir()));
        assert!(settled, "the cache is looked at in the end");
    }

    /// How many steps docker itself finds.
    fn found(&self, args: &[&str]) -> usize {
        let docker = self.engine.docker(["build", "--progress", "plain"]).env("DOCKER_BUILDKIT", "1");
        let output = docker.args(args.iter().copied()).arg(self.context.path()).run().success();
        output.err().lines().filter(|line| line.ends_with(" CACHED")).count()
    }

    /// The records of the cache, and their bytes.
    fn cache(&self) -> (usize, u64) {
        let usage = self.engine.api().get("/system/df?type=build-cache").json();
        let records = usage["BuildCache"].as_array().cloned().unwrap_or_default();
        (records.len(), records.iter().filter_map(|record| record["Size"].as_u64()).sum())
    }

    /// Leaves no cache of another promise.
    fn begin(&self) {
        self.engine.docker(["builder", "prune", "-af"]).run().success();
    }
}

/// Changed sources, a step that changes now and then, builds that fail, and two targets; by the engine's own count, and on
/// the disk.
fn the_cache_of_many_builds_is_that_of_the_newest(engine: &Engine) {
    let scene = Scene::new(engine);
    scene.begin();
    let rounds = if std::env::var_os("DKB_SOAK").is_some() { ROUNDS.1 } else { ROUNDS.0 };
    let build_both = || {
        scene.build(&["-q", "-t", "app"]).success();
        scene.build(&["-q", "-t", "app-build", "--target", "build"]).success();
    };
    for round in 0..rounds {
        scene.context.write("source", large_source());
        scene.context.write("Dockerfile", recipe(&format!("RUN echo tool {} >/tool", round / 2)));
        build_both();
        if round % 3 == 1 {
            scene.context.write("Dockerfile", recipe("RUN echo tool >/tool; exit 1"));
            let output = scene.build(&["-q", "-t", "app"]);
            assert!(output.exit_code() != Some(0), "{output}");
        }
    }
    scene.context.write("source", large_source());
    scene.context.write("Dockerfile", recipe("RUN echo tool >/tool"));
    build_both();
    let (after, after_on_disk) = (scene.cache(), engine.on_disk());
    let log = engine.dkb_in(&scene.state).project("cache").args(["log", "--format", "json"]).run().success();
    assert!(log.out().contains("build_cache"), "what went stands in the history\n{log}");
    assert_eq!(scene.found(&["-t", "app"]), 5, "an unchanged build finds every step");
    assert_eq!(scene.found(&["-t", "app", "--target", "build"]), 3);

    // What the engine remembers of each build stays, and is none of ours.
    engine.wipe();
    let empty_on_disk = engine.on_disk();
    build_both();
    let (fresh, fresh_on_disk) = (scene.cache(), engine.on_disk());
    assert!(after.1 * 100 <= fresh.1 * 115, "{after:?} after many builds, {fresh:?} after one");
    let of_many = after_on_disk.saturating_sub(empty_on_disk);
    let of_one = fresh_on_disk.saturating_sub(empty_on_disk);
    assert!(of_one > 10_000_000, "{of_one} bytes on the disk after one");
    assert!(of_many * 100 <= of_one * 115, "{of_many} bytes on the disk after many builds, {of_one} after one");
}

fn what_was_asked_to_be_kept_is_found_again(engine: &Engine) {
    let scene = Scene::new(engine);
    scene.begin();
    let sources: Vec<Vec<u8>> = (0..4).map(|_| new_source()).collect();
    let keep = |source: &Vec<u8>| {
        scene.context.write("source", source);
        let dkb = engine.dkb_in(&scene.state).project("cache").env("DOCKER_BUILDKIT", "1");
        let dkb = dkb.env("DKB_KEEP_SUPERSEDED", "1");
        dkb.args(["build", "-q", "-t", "app"]).arg(scene.context.path()).run().success();
        scene.settle();
    };
    for source in [0, 1, 2, 1, 2] {
        keep(&sources[source]);
    }
    for (source, found) in [(1, 5), (0, 2)] {
        scene.context.write("source", &sources[source]);
        assert_eq!(scene.found(&["-t", "theirs"]), found, "source {source}");
    }
}

fn a_stranger_finds_every_step_that_he_built_or_used(engine: &Engine) {
    let scene = Scene::new(engine);
    scene.begin();
    scene.change();
    let first = std::fs::read(scene.context.join("source")).expect("a source");
    scene.build(&["-q", "-t", "app"]).success();
    assert_eq!(scene.found(&["-t", "theirs"]), 5, "he uses what we built");
    scene.change();
    let second = std::fs::read(scene.context.join("source")).expect("a source");
    assert_eq!(scene.found(&["-t", "theirs"]), 2, "he builds");
    scene.build(&["-q", "-t", "app"]).success();
    for _ in 0..2 {
        scene.change();
        scene.build(&["-q", "-t", "app"]).success();
    }
    for source in [first, second] {
        scene.context.write("source", source);
        assert_eq!(scene.found(&["-t", "theirs"]), 5);
    }
}

/// The process that looks after the cache is none that dkb waits for.
fn a_build_does_not_wait_for_it(engine: &Engine) {
    let scene = Scene::new(engine);
    scene.begin();
    scene.change();
    let folder = |name: &str| {
        let engines = std::fs::read_dir(scene.state.state_dir().join("engines")).expect("the books");
        engines.flatten().next().expect("an engine").path().join(name)
    };
    scene.build(&["-q", "-t", "app"]).success();
    // Somebody has the turn, and keeps it.
    let turn = File::open(folder("cache-turn")).expect("a lock");
    turn.lock().expect("the lock");
    scene.change();
    scene.dkb(&["-q", "-t", "app"]).success();
    assert!(!std::fs::read(folder("cache-ended.jsonl")).expect("what ended").is_empty(), "it waits for its turn");
    turn.unlock().expect("the lock");
    scene.build(&["-q", "-t", "app"]).success();
    assert_eq!(scene.found(&["-t", "app"]), 5);
}

/// As `ssh -t` and a CI's terminal do.
fn a_terminal_that_closes_behind_a_build_takes_nothing_along(engine: &Engine) {
    let scene = Scene::new(engine);
    scene.begin();
    scene.change();
    scene.build(&["-q", "-t", "app"]).success();
    for _ in 0..3 {
        scene.change();
        let dkb = engine.dkb_in(&scene.state).project("cache").env("DOCKER_BUILDKIT", "1");
        let mut terminal = dkb.args(["build", "-q", "-t", "app"]).arg(scene.context.path()).in_terminal();
        assert!(terminal.wait().success());
        drop(terminal);
        scene.settle();
    }
}

fn where_it_can_not_be_known_or_harms_others_the_cache_is_left_alone(engine: &Engine) {
    let scene = Scene::new(engine);
    scene.begin();
    let mut before = 0;
    for _ in 0..3 {
        scene.change();
        scene.dkb(&["-q", "-t", "app"]).success();
        let now = scene.cache().0;
        assert!(now > before, "{before} records, then {now}");
        before = now;
    }
    // Long enough for whoever would take something, were there anybody.
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(scene.cache().0, before);
    assert_eq!(scene.found(&["-t", "app"]), 5);
}

fn variants_that_are_built_by_turns_find_their_steps(engine: &Engine) {
    let scene = Scene::new(engine);
    scene.begin();
    let sources = [new_source(), new_source()];
    for round in 0..3 {
        for (source, tag) in sources.iter().zip(["app:one", "app:two"]) {
            scene.context.write("source", source);
            if round > 0 {
                // A stranger would be seen to use it.
                let output = scene.build(&["--progress", "plain", "-t", tag]).success();
                let found = output.err().lines().filter(|line| line.ends_with(" CACHED")).count();
                assert_eq!(found, 5, "{tag}\n{output}");
            } else {
                scene.build(&["-q", "-t", tag]).success();
            }
        }
    }
}

/// The engine notes one use of what several builds hold, when the last lets go.
fn a_stranger_keeps_what_he_found_while_we_built(engine: &Engine) {
    let scene = Scene::new(engine);
    scene.begin();
    let slow = |seconds: u8| recipe(&format!("RUN echo tool >/tool; sleep {seconds}"));
    scene.change();
    scene.context.write("Dockerfile", slow(0));
    scene.build(&["-q", "-t", "app"]).success();
    scene.context.write("Dockerfile", slow(6));
    std::thread::scope(|beside| {
        let ours = beside.spawn(|| scene.build(&["-q", "-t", "app"]).success());
        std::thread::sleep(Duration::from_secs(2));
        // What ours holds is not always called cached.
        assert!(scene.found(&["-t", "theirs", "--target", "build"]) > 0, "he uses what we built, and ends before us");
        ours.join().expect("our build");
    });
    let first = std::fs::read(scene.context.join("source")).expect("a source");
    scene.context.write("Dockerfile", slow(0));
    for _ in 0..2 {
        scene.change();
        scene.build(&["-q", "-t", "app"]).success();
    }
    scene.context.write("source", first);
    assert_eq!(scene.found(&["-t", "theirs", "--target", "build"]), 3);
}

fn a_session_that_is_cleaned_leaves_no_cache(engine: &Engine) {
    let scene = Scene::new(engine);
    scene.begin();
    let before = scene.cache();
    let build = || {
        scene.change();
        let dkb = engine.dkb_in(&scene.state).project("cache").env("DOCKER_BUILDKIT", "1").env("DKB_SESSION", "job");
        dkb.args(["build", "-q", "-t", "app"]).arg(scene.context.path()).run().success();
    };
    (0..3).for_each(|_| build());
    let made = scene.cache();
    let shown = scene.clean("job", &["--session", "--dry-run", "--format", "json"]);
    let plan: serde_json::Value = serde_json::from_str(&shown.out()).expect("a plan");
    let planned = plan["steps"].as_array().expect("steps").iter().filter(|step| step["type"] == "build_cache").count();
    scene.clean("job", &["--session", "--yes"]);
    let after = scene.cache();
    assert_eq!(made.0.min(planned + after.0), planned + after.0, "{shown}");
    assert!(
        after.1 <= before.1 + made.1 / 100,
        "{before:?} before, {made:?} with the session, {after:?} after it\n{shown}"
    );
    build();
    scene.clean("job", &["--session", "--yes", "--keep-cache"]);
    assert!(scene.cache().1 > made.1 / 10, "it was asked to stay");
    assert_eq!(scene.found(&["-t", "app"]), 5);
}

/// BuildKit 0.20 to 0.28 breaks down, and the engine with it, over a list with a limit, as docker's program asks for it,
/// once a build was deleted that somebody had asked for by its name.
fn an_engine_outlives_whoever_deletes_builds_from_its_history(engine: &Engine) {
    let scene = Scene::new(engine);
    scene.begin();
    let delete_all = || engine.docker(["buildx", "history", "rm", "--all"]).run().success();
    scene.change();
    scene.build(&["-q", "-t", "app"]).success();
    delete_all();
    for _ in 0..2 {
        scene.change();
        scene.build(&["-q", "-t", "app"]).success();
    }
    // Docker's program asks by name itself, for what it writes there.
    let file = scene.state.work().join("metadata");
    let theirs = engine.docker(["build", "-q", "--metadata-file"]).arg(file).arg(scene.context.path());
    theirs.env("DOCKER_BUILDKIT", "1").run().success();
    delete_all();
    for _ in 0..2 {
        scene.change();
        scene.build(&["-q", "-t", "app"]).success();
    }
    assert_eq!(scene.found(&["-t", "app"]), 5);
    // It forgets whom it has been asked for.
    engine.restart();
}

fn clean_takes_the_cache_that_it_is_asked_to_take(engine: &Engine) {
    let scene = Scene::new(engine);
    scene.begin();
    scene.change();
    let other =
        Scene { engine, state: State::new(), context: Context::new().dockerfile(&recipe("RUN echo other >/tool")) };
    other.change();
    assert!(other.found(&["-t", "other"]) < 5);
    scene.build(&["-q", "-t", "app"]).success();
    scene.context.write("Dockerfile", recipe("RUN echo tool >/tool; exit 1"));
    scene.build(&["-q", "-t", "app"]);
    scene.context.write("Dockerfile", recipe("RUN echo tool >/tool"));
    let whole = scene.cache();
    scene.clean("s", &["--keep-cache"]);
    assert_eq!(scene.cache(), whole);
    scene.clean("s", &[]);
    let again = scene.dkb(&["--progress", "plain", "-t", "app"]).success();
    assert_eq!(again.err().lines().filter(|line| line.ends_with(" CACHED")).count(), 5, "for the next build\n{again}");
    scene.settle();
    let status = engine.dkb_in(&scene.state).project("cache").arg("status").run().success();
    assert!(status.out().contains("  build cache "), "{status}");
    let all = scene.clean("s", &["--tagged", "--dry-run", "--format", "json"]).json();
    assert_eq!(all["totals"]["bytes_to_cache"], 0, "another's cache holds nothing of it\n{all:#}");
    let all = dkb::model::human_bytes(all["totals"]["bytes"].as_u64().expect("bytes"));
    let status = engine.dkb_in(&scene.state).project("cache").args(["status", "app"]).run().success();
    let told =
        status.out().lines().find(|line| line.starts_with("dkb clean --tagged")).expect("what it frees").to_owned();
    assert!(told.ends_with(&format!(" {all}")), "{told}, and not {all}");
    let kept = scene.clean("s", &["--cache", "--cache-keep", "1GB"]);
    assert!(kept.out().contains("cache to keep"), "{kept}");
    let shown = scene.clean("s", &["--cache", "--dry-run"]);
    let done = scene.clean("s", &["--cache"]);
    assert_eq!(shown.out().replace("would remove", "removed"), done.out());
    assert!(engine.docker(["image", "inspect", "app"]).run().exit_code() == Some(0), "images stay");
    assert_eq!(other.found(&["-t", "other"]), 5, "another's cache stays");
    assert!(scene.found(&["-t", "app"]) < 3, "what only we had is gone");
}

fn cache_mounts_of_our_own_go_where_they_are_asked_for(engine: &Engine) {
    let scene = Scene::new(engine);
    scene.begin();
    let recipe =
        "FROM lab/base\nCOPY source /source\nRUN --mount=type=cache,target=/c echo more >>/c/log; cp /c/log /log\n";
    scene.context.write("Dockerfile", recipe);
    let mounts = || {
        let usage = engine.api().get("/system/df?type=build-cache").json();
        let records = usage["BuildCache"].as_array().cloned().unwrap_or_default();
        records.iter().filter(|record| record["Type"] == "exec.cachemount").count()
    };
    let lines = |tag: &str| {
        let output = engine.docker(["run", "--rm", tag, "cat", "/log"]).run().success();
        output.out().lines().count()
    };
    scene.change();
    let docker = engine.docker(["build", "-q", "-t", "theirs"]).env("DOCKER_BUILDKIT", "1");
    docker.arg(scene.context.path()).run().success();
    let own = |project: &str, verb: &str| {
        let dkb = engine.dkb_in(&scene.state).project(project).session("s").env("DOCKER_BUILDKIT", "1");
        dkb.env("DKB_OWN_CACHE_MOUNTS", "true").arg(verb)
    };
    let built = |project: &str| {
        scene.change();
        own(project, "build").args(["-q", "-t", project]).arg(scene.context.path()).run().success();
        scene.settle();
        lines(project)
    };
    assert_eq!((built("one"), built("one"), built("other")), (1, 2, 1), "each project goes on with its own");
    scene.change();
    scene.build(&["-q", "-t", "plain"]).success();
    assert_eq!((lines("plain"), mounts()), (2, 3), "and without the setting with everybody's");
    own("one", "clean").args(["--tagged"]).run().success();
    assert_eq!(mounts(), 3, "nobody asked for them");
    let asked = own("one", "clean").args(["--cache", "--cache-mounts"]).run().success();
    assert_eq!(mounts(), 2, "{asked}");
    assert_eq!((built("one"), built("other")), (1, 2), "the other's is his");
    let shared = scene.clean("s", &["--cache", "--cache-mounts"]);
    assert!(shared.err().contains("own_cache_mounts = true"), "{shared}");
    assert_eq!(mounts(), 3);
}

fn what_two_projects_use_goes_with_the_last_that_is_cleaned(engine: &Engine) {
    let scene = Scene::new(engine);
    scene.begin();
    scene.change();
    let dkb = |project: &str| engine.dkb_in(&scene.state).project(project).session("s").env("DOCKER_BUILDKIT", "1");
    for project in ["one", "other"] {
        dkb(project).args(["build", "-q", "-t", project]).arg(scene.context.path()).run().success();
        scene.settle();
    }
    let made = scene.cache();
    let clean =
        |project: &str, args: &[&str]| dkb(project).args(["clean", "--session", "--yes"]).args(args).run().success();
    clean("one", &[]);
    assert_eq!(scene.found(&["-t", "look"]), 5, "the other needs it");
    scene.begin();
    for project in ["one", "other"] {
        dkb(project).args(["build", "-q", "-t", project]).arg(scene.context.path()).run().success();
        scene.settle();
    }
    assert!(scene.cache().1 >= made.1);
    clean("one", &["--keep-cache"]);
    let status = dkb("one").args(["status", "--all"]).run().success();
    let hint = "dkb clean --all --cache takes the build cache of sessions that were cleaned";
    assert!(status.out().contains(hint), "{status}");
    clean("one", &[]);
    let done = clean("other", &[]);
    assert!(scene.cache().1 < made.1 / 10, "{made:?} of both, {:?} after both\n{done}", scene.cache());
}

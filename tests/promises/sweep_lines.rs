//! What a sweep says, line by line: to logs as the docker-cleaner did, to people in tables, and no secret to anybody.

use std::time::{Duration, Instant};

use dkb_lab::promise::{Promises, docker};
use dkb_lab::{Builder, Command, Context, Engine, State, eventually, promises};
use serde_json::Value;

pub(super) fn promises() -> Promises {
    Promises::of(module_path!())
        .on_every_engine(promises![a_volume_in_use_is_told_with_its_user, sigterm_stops_a_sweep_that_tells_the_truth])
        .on(
            docker,
            promises![
                no_secret_is_in_any_line,
                a_level_holds_for_every_line,
                what_only_moves_into_the_cache_is_told_apart,
                a_dry_run_says_of_each_thing_what_how_old_how_large_and_why,
            ],
        )
        .on_one_engine()
}

/// Longer than anybody waits.
const HANGING: Duration = Duration::from_secs(40);

fn sweep(engine: &Engine) -> Command {
    engine.dkb().args(["sweep", "--until", "0s", "--keep", "*lab/base"])
}

/// With the lines of a log.
fn logged(engine: &Engine) -> Command {
    sweep(engine).arg("--log")
}

fn lines(told: &str) -> Vec<Value> {
    told.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect()
}

fn a_volume_in_use_is_told_with_its_user(engine: &Engine) {
    engine.volume("data", &[]);
    engine.container("lab/base").name("web").volume("data").running();
    let line = "[WARN] [VOLUME] Skipped volume data: in use by container web (running)";
    logged(engine).args(["--volumes", "--dry-run"]).run().success().says(line);
    logged(engine).args(["--volumes", "--yes"]).run().success().says(line).never_says("Skipped container");
    let debug = sweep(engine).args(["--volumes", "--yes"]).env("LOG_LEVEL", "debug").run().success();
    debug.says("[DEBUG] [CONTAINER] Skipped container web: running");
}

fn no_secret_is_in_any_line(engine: &Engine) {
    const SECRET: &str = "s3cr3t";
    let labels = |image: dkb_lab::ImageSpec<'_>| image.label("token", SECRET).make();
    labels(engine.image());
    engine.container("lab/base").label("token", SECRET).command(&["echo", SECRET]).created();
    engine.volume("spare", &[("token", SECRET)]);
    let run = format!("RUN echo {SECRET} | wc -c\nRUN false");
    engine.build(Builder::BuildKit, &Context::from_base(&run), &["--build-arg", "TOKEN=s3cr3t", "--no-cache"]);
    let state = State::new();
    let file = state.work().join("plan.json");
    let sweep = || engine.dkb_in(&state).args(["sweep", "--until", "0s", "--volumes", "--keep", "*lab/base"]);
    let debug = |command: Command| command.env("LOG_LEVEL", "DEBUG");
    let calls = [
        debug(sweep()).arg("--dry-run"),
        debug(sweep()).env("LOG_FORMAT", "json").args(["--dry-run", "--until", "1h"]),
        sweep().args(["--dry-run", "--format", "human", "--verbose"]),
        sweep().args(["--dry-run", "--format", "human", "--verbose", "--until", "1h"]),
        sweep().args(["--dry-run", "--format", "json"]),
        sweep().arg("--plan").arg(&file),
        debug(sweep()).env("DOCKER_HOST", format!("tcp://user:{SECRET}@127.0.0.1:1")).arg("--dry-run"),
        debug(sweep()).arg("--yes"),
    ];
    for call in calls {
        let told = call.run();
        assert!(!told.out().contains(SECRET) && !told.err().contains(SECRET), "{told}");
    }
    assert!(!std::fs::read_to_string(&file).expect("the plan").contains(SECRET));
}

fn a_level_holds_for_every_line(engine: &Engine) {
    engine.volume("data", &[]);
    engine.container("lab/base").name("web").volume("data").running();
    let at = |level: &str| {
        engine.container("lab/base").created();
        let told = sweep(engine).args(["--yes", "--volumes"]).env("LOG_LEVEL", level).run().success().out();
        told.lines().filter_map(|line| line.split(['[', ']']).nth(3).map(str::to_owned)).collect::<Vec<_>>()
    };
    assert!(at("DEBUG").contains(&"DEBUG".to_owned()));
    assert!(at("INFO").iter().all(|level| level != "DEBUG"));
    assert_eq!(at("WARN"), ["WARN"]);
    assert!(at("ERROR").is_empty());
    let quiet = sweep(engine).args(["--yes", "--volumes"]).env("QUIET", "1").run().success().out();
    assert_eq!(quiet.lines().count(), 2, "what is worth a warning, and the summary: {quiet}");
}

fn what_only_moves_into_the_cache_is_told_apart(engine: &Engine) {
    if engine.is_containerd_store() {
        // There the cache counts the bytes for itself.
        return;
    }
    let context = Context::from_base("RUN head -c 700000 /dev/urandom >/a");
    engine.build(Builder::BuildKit, &context, &["-t", "app:1"]).success();
    engine.docker(["image", "tag", "lab/base", "other:1"]).run().success();
    engine.build(Builder::BuildKit, &Context::from_base("LABEL a=b"), &["-t", "app:1"]).success();
    assert_eq!(engine.images().iter().filter(|image| image.is_dangling()).count(), 1);
    let dry = || sweep(engine).arg("--dry-run");
    let said = dry().arg("--log").run().success().out();
    let image =
        said.lines().find(|line| line.contains("[IMAGE] Would remove 1 dangling image")).expect("the images' line");
    assert!(image.contains("up to 7") && image.contains("only move into the build cache"), "{said}");
    let json = lines(&dry().env("LOG_FORMAT", "json").run().success().out());
    let summary = json.last().expect("a summary");
    assert!(summary["bytes_to_cache"].as_u64().is_some_and(|bytes| bytes >= 700_000), "{summary:#}");
    assert_eq!(summary["up_to"], true, "{summary:#}");
    dry().args(["--format", "human"]).run().success().says("only move into the build cache");
    for less in [["--only", "images"], ["--skip", "cache"]] {
        // The whole of it is there after all.
        let said = dry().arg("--log").args(less).run().success().out();
        let told = |line: &&str| line.contains("only move into the build cache");
        assert_eq!(said.lines().filter(told).count(), 2, "of the images, and in the summary: {said}");
    }
    let done = sweep(engine).args(["--yes", "--format", "human"]).run().success();
    done.says("only moved into the build cache");
    let bytes = || engine.api().build_cache().iter().filter_map(|one| one["Size"].as_u64()).sum::<u64>();
    assert!(bytes() >= 700_000, "it is an image's no more");
    sweep(engine).arg("--yes").run().success();
    assert!(bytes() < 700_000, "and goes with the next one");
}

fn a_dry_run_says_of_each_thing_what_how_old_how_large_and_why(engine: &Engine) {
    let image = engine.image().created("2025-01-01T00:00:00Z").make();
    let short = &image.id[7..19];
    let text = logged(engine).arg("--dry-run").run().success().out();
    let line = text.lines().find(|line| line.contains(short)).expect("its line");
    assert!(line.contains("dangling") && line.contains(" days, ") && line.ends_with('B'), "{line}");
    let json = lines(&sweep(engine).arg("--dry-run").env("LOG_FORMAT", "json").run().success().out());
    let line = json.iter().find(|line| line["id"] == image.id.as_str()).expect("its line");
    assert_eq!(line["reason"], "dangling", "{line}");
    assert!(line["age_seconds"].as_u64().is_some_and(|age| age > 86_400), "{line}");
    assert!(line["space_bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{line}");
}

fn sigterm_stops_a_sweep_that_tells_the_truth(engine: &Engine) {
    engine.many(30, |_, image| image);
    let proxy = engine.proxy();
    for late in 9..30 {
        proxy.on("DELETE", "/images/").nth(late).delay(HANGING);
    }
    let sweep = logged(engine).args(["--yes"]).env("DOCKER_HOST", proxy.host()).spawn();
    assert!(eventually(Duration::from_secs(60), || proxy.count("DELETE", "/images/") >= 9));
    let began = Instant::now();
    sweep.signal("TERM");
    let told = sweep.wait().code(130);
    assert!(began.elapsed() < HANGING / 4, "{:?}", began.elapsed());
    let summary = told.out().lines().find(|line| line.contains("[SUMMARY]")).map(str::to_owned);
    assert!(summary.is_some_and(|line| line.contains("removed") && line.contains("failed")), "{told}");
}

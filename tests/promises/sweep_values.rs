//! What a sweep holds dear: digests, dates that say nothing, and what came anew under an old name.

use std::fs;

use std::time::Duration;

use dkb_lab::promise::{Promises, docker, graphdriver};
use dkb_lab::{Builder, Command, Context, Engine, State, eventually, promises};
use serde_json::Value;

use crate::clean_host::{Books, PROJECT, key};

pub(super) fn promises() -> Promises {
    Promises::of(module_path!())
        .on_every_engine(promises![
            kinds_are_named_and_left_out,
            volumes_are_measured_only_where_some_are_to_go,
            what_a_living_session_made_is_left_alone,
            a_container_is_as_old_as_its_end,
        ])
        .on_one_engine()
        .on_every_engine(promises![
            an_undated_image_counts_from_its_first_sight,
            an_undated_image_that_cannot_be_noted_stays_and_that_is_told,
            a_volume_that_came_anew_under_its_old_name_is_left_alone,
            what_was_used_again_since_a_plan_was_made_is_left_alone,
        ])
        .on(docker, promises![an_image_pulled_by_digest_is_no_leftover_and_goes_with_all_images])
        // The containerd store says even of what a broken build left that it is an image's too.
        .on(graphdriver, promises![build_cache_is_kept_up_to_a_size_and_an_age])
}

fn sweep(engine: &Engine, state: &State) -> Command {
    engine.dkb_in(state).args(["sweep", "--yes", "--format", "json", "--keep", "*lab/base"])
}

fn an_image_pulled_by_digest_is_no_leftover_and_goes_with_all_images(engine: &Engine) {
    let image = engine.pulled_by_digest("team/node");
    let state = State::new();
    sweep(engine, &state).args(["--until", "0s"]).run().success();
    assert!(engine.has(&image));
    let told = sweep(engine, &state).args(["--until", "0s", "--all-images"]).run().success().json();
    assert!(!engine.has(&image), "{told:#}");
}

fn an_undated_image_counts_from_its_first_sight(engine: &Engine) {
    let image = engine.image().created("1970-01-01T00:00:00Z").make();
    let old = engine.image().created("2020-01-01T00:00:00Z").make();
    let state = State::new();
    sweep(engine, &state).args(["--until", "1h"]).run().success();
    assert!(engine.has(&image) && !engine.has(&old));
    // Its first sight is a day back, as if dkb had been here then.
    let path = first_sights(&state);
    let seen = fs::read_to_string(&path).expect("the notes");
    let mut seen: Value = serde_json::from_str(&seen).expect("JSON");
    seen.as_object_mut().expect("an object").values_mut().for_each(|at| *at = "2026-01-01T00:00:00Z".into());
    fs::write(&path, seen.to_string()).expect("the notes");
    sweep(engine, &state).args(["--until", "1h"]).run().success();
    assert!(!engine.has(&image));
}

/// The file with what was first seen when.
fn first_sights(state: &State) -> String {
    let found = std::process::Command::new("find").arg(state.state_dir()).args(["-name", "first-seen.json"]).output();
    String::from_utf8(found.expect("find").stdout).expect("a path").trim().to_owned()
}

fn an_undated_image_that_cannot_be_noted_stays_and_that_is_told(engine: &Engine) {
    let image = engine.image().created("1970-01-01T00:00:00Z").make();
    let state = State::new();
    sweep(engine, &state).args(["--until", "1h"]).run().success();
    let path = first_sights(&state);
    fs::remove_file(&path).and_then(|()| fs::create_dir(&path)).expect("a folder in its place");
    let told = sweep(engine, &state).args(["--until", "1h"]).run().success();
    told.warns("first-seen.json").warns("count as seen for the first time, and stay");
    let log = engine.dkb_in(&state).args(["sweep", "--dry-run", "--log"]).run().success();
    log.says("first-seen.json").says("count as seen for the first time, and stay");
    assert!(engine.has(&image));
}

fn kinds_are_named_and_left_out(engine: &Engine) {
    let container = engine.container("lab/base").created();
    let image = engine.image().make();
    let state = State::new();
    let there = || engine.api().containers().iter().any(|one| one["Id"] == container.as_str());
    sweep(engine, &state).args(["--until", "0s", "--skip", "containers,images"]).run().success();
    assert!(there() && engine.has(&image));
    sweep(engine, &state).args(["--until", "0s", "--only", "images"]).run().success();
    assert!(there() && !engine.has(&image));
    sweep(engine, &state).args(["--only", "images", "--volumes"]).run().code(2).warns("--volumes");
}

fn a_container_is_as_old_as_its_end(engine: &Engine) {
    let (started, never) = (engine.container("lab/base").running(), engine.container("lab/base").created());
    let began = std::time::Instant::now();
    let there = |id: &str| engine.api().containers().iter().any(|one| one["Id"] == id);
    assert!(eventually(Duration::from_secs(30), || began.elapsed() > Duration::from_secs(4)), "time passes");
    let ended = std::time::Instant::now();
    engine.api().post(&format!("/containers/{started}/kill"), &Value::Null);
    let state = State::new();
    // One was made long enough ago and has just ended; the other did nothing since.
    sweep(engine, &state).args(["--until", "3s"]).run().success();
    assert!(!there(&never));
    assert!(there(&started) || ended.elapsed() > Duration::from_secs(3), "it has only just ended");
    assert!(eventually(Duration::from_secs(30), || {
        sweep(engine, &state).args(["--until", "3s"]).run().success();
        !there(&started)
    }));
}

fn a_volume_that_came_anew_under_its_old_name_is_left_alone(engine: &Engine) {
    let there = || engine.api().volumes().iter().any(|volume| volume["Name"] == "data");
    // Engines write down the second in which a volume was made.
    let anew = |engine: &Engine| {
        let made = || engine.api().get("/volumes/data").json()["CreatedAt"].clone();
        let before = made();
        let is_another = || {
            engine.api().delete("/volumes/data");
            engine.volume("data", &[]);
            made() != before
        };
        assert!(eventually(Duration::from_secs(10), is_another));
    };
    let state = State::new();
    let sweep = || sweep(engine, &state).args(["--until", "0s", "--volumes"]);
    engine.volume("data", &[]);
    let file = state.work().join("plan.json");
    sweep().arg("--plan").arg(&file).run().success();
    anew(engine);
    let told = sweep().arg("--apply").arg(&file).run().success().json();
    assert!(there(), "the plan was for another volume: {told:#}");
    assert_eq!(told["totals"]["done"], 0, "{told:#}");

    let proxy = engine.proxy();
    engine.container("lab/base").created();
    let of = engine.clone();
    proxy.on("DELETE", "/containers/").first(1).run(move |_| anew(&of));
    let told = sweep().env("DOCKER_HOST", proxy.host()).run().success().json();
    assert!(there(), "it was made after the plan: {told:#}");
    sweep().run().success();
    assert!(!there());
}

fn what_was_used_again_since_a_plan_was_made_is_left_alone(engine: &Engine) {
    let (used, idle) = (engine.container("lab/base").created(), engine.container("lab/base").created());
    engine.image().tag("app:1").make();
    let state = State::new();
    let file = state.work().join("plan.json");
    sweep(engine, &state).args(["--until", "0s", "--all-images", "--plan"]).arg(&file).run().success();
    engine.api().post(&format!("/containers/{used}/start"), &Value::Null);
    engine.api().post(&format!("/containers/{used}/kill"), &Value::Null);
    let is_idle =
        || !engine.api().containers().iter().any(|one| one["Id"] == used.as_str() && one["State"] == "running");
    assert!(eventually(Duration::from_secs(30), is_idle));
    let told = sweep(engine, &state).arg("--apply").arg(&file).run().success().json();
    let there = |id: &str| engine.api().containers().iter().any(|one| one["Id"] == id);
    assert!(there(&used) && !there(&idle), "{told:#}");
    assert!(engine.has("app:1"), "nobody has said --all-images again: {told:#}");
    assert!(told["kept"].as_array().is_some_and(|kept| kept.iter().any(|one| one["reason"] == "changed")), "{told:#}");
}

/// The engine walks every volume to tell how large it is.
fn volumes_are_measured_only_where_some_are_to_go(engine: &Engine) {
    let proxy = engine.proxy();
    let state = State::new();
    engine.volume("young", &[]);
    let sweep = |until| sweep(engine, &state).env("DOCKER_HOST", proxy.host()).args(["--volumes", "--until", until]);
    sweep("1h").run().success();
    assert_eq!(proxy.count("GET", "/system/df?type=volume"), 0);
    let told = sweep("0s").arg("--dry-run").run().success().json();
    assert_eq!(told["totals"]["steps"], 1, "{told:#}");
    assert_eq!(proxy.count("GET", "/system/df?type=volume"), 1);
}

fn what_a_living_session_made_is_left_alone(engine: &Engine) {
    let (books, busy) = (Books::of(engine), key(PROJECT, "busy"));
    let image = engine.image().make();
    books.built(&busy, &image, &[]);
    let run = busy.run_label();
    let label = [("dev.dkb.run", run.as_str())];
    engine.container("lab/base").name("ran").label(label[0].0, label[0].1).created();
    engine.volume("data", &label);
    engine.network("net", &label);
    // One that has built nothing here yet.
    let begun = key(PROJECT, "begun");
    engine.volume("begun", &[("dev.dkb.run", &begun.run_label())]);
    let there = || {
        let named = |list: Vec<Value>, name: &str| list.iter().any(|one| one["Name"] == name);
        let api = engine.api();
        let volumes = ["data", "begun"].map(|name| named(api.volumes(), name));
        [engine.has(&image), !api.containers().is_empty(), volumes[0], volumes[1], named(api.networks(), "net")]
    };
    let sweep = || {
        let command = books.dkb(engine).args(["sweep", "--yes", "--format", "json", "--until", "0s", "--volumes"]);
        command.args(["--keep", "*lab/base"]).run().success().json()
    };
    let alive = [&busy, &begun].map(|session| books.alive(session));
    let is_left_alone = || {
        let told = sweep();
        assert_eq!(there(), [true; 5], "{told:#}");
        let reasons = told["kept"].as_array().expect("a list").iter();
        assert_eq!(reasons.filter(|kept| kept["reason"] == "session_alive").count(), 5, "{told:#}");
    };
    is_left_alone();
    // What can't be read of a session says nothing of whether it lives; its lock does.
    let file = dkb::model::short_hash(&[busy.project.as_str(), busy.session.as_str()]);
    fs::write(books.state.state_dir().join("sessions").join(file), "{").expect("a damaged file");
    is_left_alone();
    drop(alive);
    sweep();
    assert_eq!(there(), [false; 5]);
}

fn build_cache_is_kept_up_to_a_size_and_an_age(engine: &Engine) {
    for n in 0..3 {
        let broken = Context::from_base(&format!("RUN head -c 400000 /dev/urandom >/{n}\nRUN false"));
        engine.build(Builder::BuildKit, &broken, &["--no-cache"]);
    }
    let state = State::new();
    let size = || -> u64 {
        let records = engine.api().build_cache();
        let own = records.iter().filter(|record| record["Shared"] != true);
        own.filter_map(|record| record["Size"].as_u64()).sum()
    };
    let sweep = |args: &[&str]| {
        let command = sweep(engine, &state).args(["--until", "0s", "--all-images", "--only", "cache"]);
        command.args(args.iter().copied()).run().success();
    };
    let all = size();
    assert!(all > 1_200_000);
    sweep(&["--cache-until", "1h"]);
    assert_eq!(size(), all, "all of it was used a moment ago");
    sweep(&["--cache-keep", "10MB"]);
    assert_eq!(size(), all, "it is less than that");
    sweep(&["--cache-keep", "900kB"]);
    assert!((400_000..=900_000).contains(&size()), "{}", size());
    sweep(&[]);
    assert_eq!(engine.api().build_cache().len(), 0);
}

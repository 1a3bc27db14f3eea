//! What a sweep holds dear: digests, dates that say nothing, living sessions, and under disk pressure what was
//! used last.

use dkb_lab::promise::{Promises, docker, graphdriver};
use dkb_lab::{Command, Engine, State, promises};
use serde_json::Value;

pub(super) fn promises() -> Promises {
    Promises::of(module_path!())
        .on_every_engine(promises![an_undated_image_counts_from_its_first_sight, kinds_are_named_and_left_out])
        .on(docker, promises![an_image_pulled_by_digest_is_no_leftover_and_goes_with_all_images])
        .on(
            graphdriver,
            promises![
                under_pressure_the_least_valuable_goes_first_and_no_further,
                a_share_of_a_disk_that_is_not_known_to_be_here_is_refused,
            ],
        )
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
    let notes = std::process::Command::new("find").arg(state.state_dir()).args(["-name", "first-seen.json"]).output();
    let path = String::from_utf8(notes.expect("find").stdout).expect("a path");
    let seen = std::fs::read_to_string(path.trim()).expect("the notes");
    let mut seen: Value = serde_json::from_str(&seen).expect("JSON");
    seen.as_object_mut().expect("an object").values_mut().for_each(|at| *at = "2026-01-01T00:00:00Z".into());
    std::fs::write(path.trim(), seen.to_string()).expect("the notes");
    sweep(engine, &state).args(["--until", "1h"]).run().success();
    assert!(!engine.has(&image));
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
}

/// What the engine counts of its images and containers.
fn used(engine: &Engine) -> u64 {
    engine.api().disk_usage()["LayersSize"].as_u64().expect("a size")
}

fn under_pressure_the_least_valuable_goes_first_and_no_further(engine: &Engine) {
    let made = |year: u32| engine.image().from_scratch().created(&format!("{year}-01-01T00:00:00Z")).make();
    let images: Vec<_> = [2023, 2021, 2024, 2022].into_iter().map(made).collect();
    let state = State::new();
    let bytes = used(engine);
    let mark = |bytes: u64| format!("{bytes}B");
    let pressed = |above: u64, down_to: u64| {
        sweep(engine, &state).args(["--when-disk-above", &mark(above), "--down-to", &mark(down_to)])
    };
    let calm = pressed(bytes, bytes - 1).run().success().json();
    assert_eq!(calm["totals"]["steps"], 0, "{calm:#}");
    // The lab's layers are a few bytes each: a byte less is one image.
    let dry = pressed(bytes - 1, bytes - 1).arg("--dry-run").run().success().json();
    assert_eq!(dry["steps"].as_array().map(Vec::len), Some(1), "{dry:#}");
    assert_eq!(dry["steps"][0]["id"], images[1].id.as_str(), "{dry:#}");
    pressed(bytes - 1, bytes - 1).run().success();
    assert!(used(engine) < bytes);
    let there: Vec<bool> = images.iter().map(|image| engine.has(image)).collect();
    assert_eq!(there, [true, false, true, true]);
    pressed(1, 1).run().success();
    assert!(engine.images().is_empty());
}

fn a_share_of_a_disk_that_is_not_known_to_be_here_is_refused(engine: &Engine) {
    let image = engine.image().make();
    let sweep = sweep(engine, &State::new()).args(["--when-disk-above", "1%", "--down-to", "1%"]);
    // The lab's engines live in folders of their own, so their root is no folder of this machine.
    sweep.run().code(2).warns("not known to be on this machine");
    assert!(engine.has(&image));
}

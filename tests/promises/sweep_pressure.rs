//! Under disk pressure the least valuable goes first, until there is room enough and no further.

use std::collections::BTreeSet;
use std::path::Path;
use std::process;

use dkb_lab::promise::{Promises, every, graphdriver};
use dkb_lab::{Builder, Command, Context, Engine, Placed, Proxy, State, promises};
use serde_json::Value;

pub(super) fn promises() -> Promises {
    Promises::of(module_path!())
        .on(
            every,
            promises![
                under_pressure_the_least_valuable_goes_first_and_no_further,
                a_share_of_a_disk_that_is_not_known_to_be_here_is_refused,
            ],
        )
        .on(
            dkb_lab::promise::docker,
            promises![a_share_of_the_engines_own_disk_is_measured_and_reached, build_cache_is_counted_once,],
        )
        .on(graphdriver, promises![what_was_named_or_run_last_goes_last])
}

fn sweep(engine: &Engine, state: &State) -> Command {
    engine.dkb_in(state).args(["sweep", "--yes", "--until", "0s", "--keep", "*lab/base"]).env("DKB_FORMAT", "json")
}

/// Images of 2023, 2021, 2024 and 2022 in the order of their last use. On the containerd store that is when it got
/// them, on all others their date.
fn idle_longest_first(engine: &Engine) -> [usize; 4] {
    if engine.is_containerd_store() { [0, 1, 2, 3] } else { [1, 3, 0, 2] }
}

/// What the engine counts of its images and containers.
fn used(engine: &Engine) -> u64 {
    engine.api().disk_usage()["LayersSize"].as_u64().expect("a size")
}

/// Images of these years, without a name and with nothing in common.
fn of_years(engine: &Engine, years: [u32; 4], bytes: usize) -> Vec<Placed> {
    let made = |year: u32| engine.image().from_scratch().weighing(bytes).created(&format!("{year}-01-01T00:00:00Z"));
    years.into_iter().map(|year| made(year).make()).collect()
}

fn are_there(engine: &Engine, images: &[Placed]) -> Vec<bool> {
    images.iter().map(|image| engine.has(image)).collect()
}

fn ids(plan: &Value) -> BTreeSet<&str> {
    plan["steps"].as_array().expect("steps").iter().filter_map(|step| step["id"].as_str()).collect()
}

fn under_pressure_the_least_valuable_goes_first_and_no_further(engine: &Engine) {
    const WEIGHT: usize = 1_000_000;
    let images = of_years(engine, [2023, 2021, 2024, 2022], WEIGHT);
    let state = State::new();
    let full = used(engine);
    let pressed = |above: u64, down_to: u64| {
        sweep(engine, &state).args(["--when-disk-above", &format!("{above}B"), "--down-to", &format!("{down_to}B")])
    };
    let calm = pressed(full, 1).run().success().json();
    assert_eq!(calm["totals"]["steps"], 0, "below the mark nothing happens: {calm:#}");
    assert_eq!(are_there(engine, &images), [true; 4]);

    let down_to = full - 100_000;
    let dry = pressed(full - 1, down_to).arg("--dry-run").run().success().json();
    let [first, ..] = idle_longest_first(engine);
    assert_eq!(ids(&dry), [&*images[first].id].into(), "{dry:#}");
    let again = pressed(full - 1, down_to).arg("--dry-run").run().success().json();
    assert_eq!(dry["steps"], again["steps"], "the same look, the same plan");
    let done = pressed(full - 1, down_to).run().success().json();
    assert_eq!(ids(&done), ids(&dry));
    assert!(used(engine) <= down_to);
    assert_eq!(are_there(engine, &images), [0, 1, 2, 3].map(|n| n != first));

    let lines = pressed(full / 2, 1).args(["--format", "human", "--dry-run"]).run().success().out();
    assert_eq!(lines.matches("untagged").count(), 3, "{lines}");
    pressed(1, 1).run().success();
    assert!(engine.images().is_empty());
}

fn what_was_named_or_run_last_goes_last(engine: &Engine) {
    let tagged = |tag: &str, year: u32| {
        let image = engine.image().created(&format!("{year}-01-01T00:00:00Z")).tag(tag);
        image.make()
    };
    let (named, run, idle) = (tagged("named:1", 2020), tagged("run:1", 2021), tagged("idle:1", 2022));
    let over = engine.container(&run).stopped();
    let state = State::new();
    let full = used(engine);
    let pressed = |bytes: u64| {
        let mark = format!("{}B", full - bytes);
        sweep(engine, &state).args(["--all-images", "--when-disk-above", &mark, "--down-to", &mark])
    };
    let dry = pressed(1).arg("--dry-run").run().success().json();
    assert_eq!(ids(&dry), [&*named.id].into(), "{dry:#}");
    engine.tag(&named, "named:again");
    let dry = pressed(1).arg("--dry-run").run().success().json();
    assert_eq!(ids(&dry), [&*idle.id].into(), "the first has a new name, the second ran a moment ago: {dry:#}");
    let all = sweep(engine, &state).args(["--all-images", "--when-disk-above", "1B", "--dry-run"]).run().success();
    assert!(ids(&all.json()).contains(&*over), "what holds an image goes before it");
}

/// Of what a broken build left the containerd store counts the bytes among the layers already.
fn build_cache_is_counted_once(engine: &Engine) {
    let context = Context::from_base("RUN head -c 900000 /dev/urandom >/x");
    engine.build(Builder::BuildKit, &context, &["-t", "app:1"]).success();
    engine.docker(["image", "rm", "app:1"]).run().success();
    let cache: u64 = engine.api().build_cache().iter().filter_map(|record| record["Size"].as_u64()).sum();
    assert!(cache > 900_000);
    let state = State::new();
    let pressed = |mark: u64| sweep(engine, &state).args(["--when-disk-above", &format!("{mark}B"), "--dry-run"]);
    let steps = |mark| pressed(mark).run().success().json()["totals"]["steps"].as_u64().unwrap_or_default();
    let apart = if engine.is_containerd_store() { 0 } else { cache };
    assert_eq!(steps(used(engine) + apart), 0);
    assert!(steps(used(engine) + apart / 2 - 1) > 0);
}

/// The engine of a lab lives in a place of its own. To dkb it is one of this machine's if it names its folder as
/// this machine sees it.
fn with_root(engine: &Engine, proxy: &Proxy, root: &Path) {
    let mut info = engine.api().info();
    info["DockerRootDir"] = root.to_str().expect("a path").into();
    proxy.reset();
    proxy.on("GET", "/info").answer_body(200, &info.to_string());
}

fn a_share_of_the_engines_own_disk_is_measured_and_reached(engine: &Engine) {
    const WEIGHT: u64 = 3_000_000;
    let images = of_years(engine, [2023, 2021, 2024, 2022], 3_000_000);
    let (state, proxy) = (State::new(), engine.proxy());
    let root = engine.seen_from_here(engine.api().info()["DockerRootDir"].as_str().expect("a folder"));
    with_root(engine, &proxy, &root);
    let sweep = |above: &str, down_to: &str| {
        let command = sweep(engine, &state).env("DOCKER_HOST", proxy.host());
        command.args(["--when-disk-above", above, "--down-to", down_to])
    };
    let calm = sweep("100%", "1%").run().success().json();
    assert_eq!(calm["totals"]["steps"], 0, "{calm:#}");

    // A file that is not the engine's fills its disk to one image and a half above a hundredth.
    let disk = rustix::fs::statvfs(&root).expect("the engine's disk");
    let hundredth = disk.f_blocks * disk.f_frsize / 100;
    let full = (disk.f_blocks - disk.f_bfree) * disk.f_frsize;
    let filler = root.with_file_name("filler");
    let length = (hundredth + WEIGHT * 3 / 2).checked_sub(full).expect("the lab's disk is nearly empty").to_string();
    let made = process::Command::new("fallocate").args(["-l", &length]).arg(&filler).status();
    assert!(made.is_ok_and(|status| status.success()));
    let dry = sweep("1%", "1%").arg("--dry-run").run().success().json();
    // The containerd store keeps every image twice, packed and unpacked.
    let enough = if engine.is_containerd_store() { 1 } else { 2 };
    let going = &idle_longest_first(engine)[..enough];
    assert_eq!(ids(&dry), going.iter().map(|n| &*images[*n].id).collect(), "{dry:#}");
    sweep("1%", "1%").run().success();
    let left = [0, 1, 2, 3].map(|n| !going.contains(&n));
    assert_eq!(are_there(engine, &images), left);
    let calm = sweep("1%", "1%").run().success().json();
    assert_eq!(calm["totals"]["steps"], 0, "the mark is reached: {calm:#}");

    // The same path may be another engine's here, or nobody's.
    let elsewhere = state.work().join("docker");
    std::fs::create_dir(&elsewhere).expect("a folder");
    with_root(engine, &proxy, &elsewhere);
    sweep("1%", "1%").run().code(2).warns("not known to be on this machine");
    std::fs::write(elsewhere.join("engine-id"), "another one\n").expect("a file");
    sweep("1%", "1%").run().code(2).warns("not known to be on this machine");
    assert_eq!(are_there(engine, &images), left);
    std::fs::remove_file(filler).expect("the filler");
}

fn a_share_of_a_disk_that_is_not_known_to_be_here_is_refused(engine: &Engine) {
    let image = engine.image().make();
    let sweep = || sweep(engine, &State::new()).args(["--when-disk-above", "1%", "--down-to", "1%"]);
    // The lab's engines live in folders of their own, so their root is no folder of this machine.
    sweep().run().code(2).warns("not known to be on this machine").warns("--when-disk-above 200GB");
    sweep().arg("--dry-run").run().code(2).warns("not known to be on this machine");
    assert!(engine.has(&image));
}

//! What the page on sweeping tells people to do works, with the real programs.

use std::path::Path;

use dkb_lab::command::Command;
use dkb_lab::promise::{Promises, docker};
use dkb_lab::{Builder, Context, Engine, State, promises};
use serde_json::Value;

use crate::deploy::build_image;
use crate::readme::{Checkout, blocks_of};

const PAGE: &str = "docs/sweep.md";

pub(super) fn promises() -> Promises {
    Promises::of(module_path!())
        .on(docker, promises![each_pair_does_the_same_to_a_host])
        .on_every_engine(promises![
            every_other_console_block_runs,
            the_cron_script_sweeps_what_is_old,
            the_systemd_service_sweeps_what_is_old,
        ])
        .on_one_engine()
        .on(with_compose, promises![the_container_takes_the_docker_cleaners_place])
        .without_engine(promises![the_hosts_of_the_settings_file_are_read])
}

/// Only this engine of the lab comes with compose, and one is enough: the container is Docker's, not dkb's.
fn with_compose(name: &str) -> bool {
    name == "docker-28.5"
}

fn commands(block: &str) -> impl Iterator<Item = &str> {
    block.lines().filter_map(|line| line.strip_prefix("$ "))
}

/// The first block of a kind that contains the words.
fn block(kind: &str, words: &str) -> String {
    blocks_of(PAGE, kind).into_iter().find(|block| block.contains(words)).expect("the page has it")
}

fn each_pair_does_the_same_to_a_host(engine: &Engine) {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE)).expect("the page");
    let pairs = page.split("<!-- pairs -->").nth(1).and_then(|rest| rest.split("<!-- end -->").next()).expect("pairs");
    let commands: Vec<&str> = commands(pairs).collect();
    assert!(commands.len() >= 4 && commands.len().is_multiple_of(2), "{commands:?}");
    for pair in commands.chunks(2) {
        assert!(pair[0].starts_with("docker ") && pair[1].starts_with("dkb sweep "), "{pair:?}");
        let left: Vec<Vec<String>> = pair
            .iter()
            .map(|command| {
                engine.wipe();
                fill(engine);
                Checkout::new(engine).shell(command).run().success();
                inventory(engine)
            })
            .collect();
        assert_eq!(left[0], left[1], "{pair:?}");
    }
}

fn fill(engine: &Engine) {
    engine.container("lab/base").name("over").created();
    engine.container("lab/base").name("web").running();
    engine.image().make();
    engine.image().tag("app:1").make();
    engine.volume("data", &[]);
    engine.network("spare", &[]);
    let broken = Context::from_base("RUN head -c 9999 /dev/urandom >/x\nRUN false");
    engine.build(Builder::BuildKit, &broken, &["--no-cache"]);
    let built = Context::from_base("RUN head -c 9999 /dev/urandom >/y");
    engine.build(Builder::BuildKit, &built, &["--no-cache", "-t", "built:1"]).success();
}

/// What is there, by name; images without one and build cache by their number.
fn inventory(engine: &Engine) -> Vec<String> {
    let api = engine.api();
    let names = |list: Vec<Value>| list.into_iter().map(|one| one["Name"].to_string());
    let containers = api.containers().into_iter().map(|one| one["Names"].to_string());
    let images = engine.images();
    let tags = images.iter().flat_map(|image| image.tags.clone());
    let mut all: Vec<String> =
        containers.chain(names(api.volumes())).chain(names(api.networks())).chain(tags).collect();
    all.sort();
    all.push(format!("{} untagged", images.iter().filter(|image| image.is_dangling()).count()));
    all.push(format!("{} records", api.build_cache().len()));
    all
}

fn every_other_console_block_runs(engine: &Engine) {
    let checkout = Checkout::new(engine);
    let blocks = blocks_of(PAGE, "console");
    let others: Vec<&String> = blocks.iter().filter(|block| !block.contains("$ docker ")).collect();
    assert!(others.len() >= 3, "{blocks:?}");
    for command in others.into_iter().flat_map(|block| commands(block)) {
        checkout.shell(command).run().success();
    }
}

/// An image that is old enough for any job, and a container that is not.
fn old_and_young(engine: &Engine) -> (String, String) {
    (engine.image().created("2025-01-01T00:00:00Z").make().id, engine.container("lab/base").created())
}

fn swept_the_old_one(engine: &Engine, (old, young): &(String, String)) {
    assert!(!engine.has(old));
    assert!(engine.api().containers().iter().any(|one| one["Id"] == young.as_str()));
}

fn the_cron_script_sweeps_what_is_old(engine: &Engine) {
    let checkout = Checkout::new(engine);
    checkout.context.write("dkb-sweep", block("sh", "dkb sweep"));
    let things = old_and_young(engine);
    let told = checkout.shell("sh ./dkb-sweep").run().success();
    swept_the_old_one(engine, &things);
    told.says("removed   1 image");
}

fn the_systemd_service_sweeps_what_is_old(engine: &Engine) {
    let service = block("ini", "[Service]");
    let setting = |name: &str| service.lines().find_map(|line| line.strip_prefix(name)).expect("a setting").to_owned();
    let (variables, start) = (setting("Environment="), setting("ExecStart="));
    let words = start.strip_prefix("/usr/local/bin/dkb ").expect("dkb by its full path");
    let things = old_and_young(engine);
    let variables = variables.split(' ').map(|pair| pair.split_once('=').expect("a variable"));
    let told = engine.dkb().envs(variables).args(words.split(' ')).run().success().out();
    swept_the_old_one(engine, &things);
    assert!(told.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "{told}");
}

fn the_container_takes_the_docker_cleaners_place(engine: &Engine) {
    let checkout = Checkout::new(engine);
    build_image(engine, "docker-cleaner:latest", &[]);
    let here = |text: &str| text.replace("/var/run/docker.sock:/", &format!("{}:/", engine.socket().display()));
    let block = block("console", "docker run --rm");
    for command in commands(&block).filter(|command| !command.contains("--dry-run")) {
        let things = old_and_young(engine);
        let told = checkout.shell(&here(command)).run().success();
        swept_the_old_one(engine, &things);
        assert!(told.out().contains("[IMAGE] Removed "), "{told}");
    }
    assert!(engine.has("docker-cleaner:latest"), "its own image is at work");

    checkout.context.write("compose.yaml", here(&blocks_of(PAGE, "yaml")[0]));
    let things = old_and_young(engine);
    let told = checkout.shell("docker compose up docker-cleaner").run().success();
    swept_the_old_one(engine, &things);
    assert!(told.out().contains("[SUMMARY]"), "{told}");
    checkout.shell("docker compose down -v").run().success();
}

fn the_hosts_of_the_settings_file_are_read() {
    let state = State::new();
    let file = state.home().join(".config/dkb/config.toml");
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
    std::fs::write(&file, block("toml", "[hosts.ci]")).expect("the settings");
    let config: Command = state.dkb().arg("config");
    let told = config.run().success().out();
    for part in ["ssh://admin@nas.local", "20GB", "postgres*"] {
        assert!(told.contains(part), "{told}");
    }
}

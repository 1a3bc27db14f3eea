//! dkb against raw docker: ratios of one run on one machine, in pairs by turns, medians.
//!
//! `cargo bench` prints the tables of `docs/speed.md`; `cargo bench --bench against_docker -- build`, `clean`, `few`,
//! `books`, `sweep` or `guard` one of them, `sweep 50` with so many things of each kind. `DKB_LAB=docker-28.5` picks engines.
//! Nothing here fails for being slow: the numbers are for people.

// The table is what a bench is for.
#![allow(clippy::print_stdout)]

mod books;
mod guard;
mod measure;
mod sweep;

use std::process::Command;
use std::time::Instant;

use dkb::ledger::{self, Ledger};
use dkb::model::{Build, BuildId, ImageId, Name, Record, SessionKey};
use dkb_lab::{Builder, Context, Engine, Placed, State, engine};
use jiff::Timestamp;

use measure::{against, measure, median, megabytes, milliseconds, ratio};

const ENGINES: [&str; 2] = ["docker-28.5", "docker-28.5-containerd"];
const PROJECT: &str = "bench";
const SESSION: &str = "run";
const BUILDS: usize = 31;

/// The shell loop takes a process an image: nobody wants to wait for it with more images than this, or twice.
const PATIENCE: usize = 300;

/// As people write it.
const SHELL_LOOP: &str =
    "for stale in $(docker images | grep '<none>' | awk '{print $3}'); do docker image rm $stale; done";

fn main() {
    dkb_lab::set_dkb(env!("CARGO_BIN_EXE_dkb"));
    if let Some(why) = engine::missing() {
        println!("left out: {why}");
        return;
    }
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let wants = |part: &str| wanted.is_empty() || wanted.iter().any(|word| word == part);
    let picked = std::env::var("DKB_LAB").ok();
    let is_picked = |name: &&str| picked.as_ref().is_none_or(|list| list.split(',').any(|n| n == *name));
    let engines: Vec<&str> = ENGINES.into_iter().filter(is_picked).collect();
    if wants("build") {
        println!(
            "| engine | builder | `docker build -q` | with dkb's labels | `dkb build -q` | ratio | difference | peak memory of dkb |"
        );
        println!("|---|---|--:|--:|--:|--:|--:|--:|");
        for name in &engines {
            let engine = Engine::start(name);
            for builder in engine.builders() {
                cached_build(&engine, *builder);
            }
        }
        println!();
    }
    if wants("clean") {
        println!(
            "| engine | images | `dkb clean` | against `docker image prune` | against the shell loop | peak memory of dkb |"
        );
        println!("|---|--:|--:|--:|--:|--:|");
        for name in &engines {
            for count in [300, 3000] {
                clean(&Engine::start(name), count);
            }
        }
        println!();
    }
    if wants("few") {
        println!(
            "| engine | | one listing | `docker image prune` | `dkb clean --session` | more than a listing | `dkb status` |"
        );
        println!("|---|---|--:|--:|--:|--:|--:|");
        for name in &engines {
            few_among_many(&Engine::start(name));
        }
        println!();
    }
    if wants("books") {
        books::table(&engines);
    }
    if wants("sweep") {
        sweep::table(&engines, wanted.iter().find_map(|word| word.parse().ok()));
    }
    if wants("guard") {
        let and_podman: Vec<&str> = ENGINES.into_iter().chain(["podman-5.4"]).filter(is_picked).collect();
        guard::table(&and_podman);
    }
}

/// A build in which every step is cached, by turns: as docker does it, as docker does it with the labels that dkb
/// gives, which are a step more for the classic builder, and as dkb does it.
fn cached_build(engine: &Engine, builder: Builder) {
    let home = State::new();
    let context = Context::from_base("COPY a /a\nRUN cat /a >/b").file("a", "a");
    let labels = ["--label", "dev.dkb.project=bench", "--label", "dev.dkb.session=run"];
    let run = |command: dkb_lab::Command, labels: &[&str], tag| {
        let command = command.arg("build").args(labels).args(["-q", "-t", tag]).arg(context.path());
        measure(&mut command.env("DOCKER_BUILDKIT", builder.env()).to_std())
    };
    let docker = || engine.docker([] as [&str; 0]);
    let by_dkb = || run(engine.dkb_in(&home).project(PROJECT), &[], "by-dkb");
    let (mut raw, mut labelled, mut ours, mut memory) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..=BUILDS {
        let (plain, with_labels, dkb) = (run(docker(), &[], "plain"), run(docker(), &labels, "labelled"), by_dkb());
        // The first round fills the cache.
        if round > 0 {
            raw.push(plain.time);
            labelled.push(with_labels.time);
            ours.push(dkb.time);
            memory.push(dkb.memory);
        }
    }
    let (raw, labelled, ours) = (median(raw), median(labelled), median(ours));
    println!(
        "| {} | {} | {} | {} | {} | {:.2} | {:+.1} ms | {} |",
        describe(engine),
        if builder == Builder::Classic { "classic" } else { "BuildKit" },
        milliseconds(raw),
        milliseconds(labelled),
        milliseconds(ours),
        ratio(ours, raw),
        (ours.as_secs_f64() - raw.as_secs_f64()) * 1e3,
        megabytes(memory),
    );
}

/// So many dangling images, all ours, taken away in three ways by turns.
fn clean(engine: &Engine, count: usize) {
    // On containerd's store a round of thousands takes minutes.
    let rounds = match (count > PATIENCE, engine.is_containerd_store()) {
        (false, _) => 5,
        (true, false) => 3,
        (true, true) => 1,
    };
    let home = State::new();
    let ledger = Books::open(engine, &home);
    let (mut dkb, mut prune, mut looped, mut memory) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let fill = || engine.many(count, |_, image| image.layers(1).stamp(PROJECT, SESSION));
    for _ in 0..rounds {
        ledger.note(&fill());
        let run = measure(&mut engine.dkb_in(&home).project(PROJECT).args(["clean", "-q"]).to_std());
        expect_empty(engine, "dkb clean");
        dkb.push(run.time);
        memory.push(run.memory);

        fill();
        prune.push(measure(&mut docker_prune(engine).to_std()).time);
        expect_empty(engine, "docker image prune");

        if count > PATIENCE || !looped.is_empty() {
            continue;
        }
        fill();
        let mut shell = Command::new("sh");
        shell.args(["-c", SHELL_LOOP]).env_clear().envs(engine.env());
        looped.push(measure(&mut shell).time);
        expect_empty(engine, "the shell loop");
    }
    let (dkb, prune) = (median(dkb), median(prune));
    let looped = if looped.is_empty() { "-".to_owned() } else { against(dkb, median(looped)) };
    println!(
        "| {} | {count} | {} | {} | {looped} | {} |",
        describe(engine),
        milliseconds(dkb),
        against(dkb, prune),
        megabytes(memory),
    );
}

/// Ten images of ours among three thousand that are somebody else's.
fn few_among_many(engine: &Engine) {
    let home = State::new();
    let ledger = Books::open(engine, &home);
    engine.many(3000, |_, image| image);
    let (mut listing, mut prune, mut dkb, mut status) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let fill = || engine.many(10, |_, image| image.stamp(PROJECT, SESSION));
    for _ in 0..5 {
        fill();
        prune.push(measure(&mut docker_prune(engine).to_std()).time);
        ledger.note(&fill());
        status.push(measure(&mut engine.dkb_in(&home).project(PROJECT).arg("status").to_std()).time);
        let start = Instant::now();
        engine.api().get("/images/json?all=1");
        listing.push(start.elapsed());
        let clean = engine.dkb_in(&home).project(PROJECT).session(SESSION).args(["clean", "--session", "-q"]);
        dkb.push(measure(&mut clean.to_std()).time);
    }
    assert!(engine.images().len() == 3000, "ours are gone, and no others");
    let (listing, dkb) = (median(listing), median(dkb));
    println!(
        "| {} | 10 of ours among 3,000 | {} | {} | {} | {} | {} |",
        describe(engine),
        milliseconds(listing),
        milliseconds(median(prune)),
        milliseconds(dkb),
        milliseconds(dkb.saturating_sub(listing)),
        milliseconds(median(status)),
    );
}

/// Docker's own way to remove what bears our stamp.
fn docker_prune(engine: &Engine) -> dkb_lab::Command {
    engine.docker(["image", "prune", "-f", "--filter", &format!("label=dev.dkb.project={PROJECT}")])
}

/// The ledger of one engine in one home.
struct Books(Ledger);

impl Books {
    /// A first build begins the ledger, and says by what name it knows the engine.
    fn open(engine: &Engine, home: &State) -> Self {
        let context = Context::from_base("LABEL first=build");
        let build = engine.dkb_in(home).project(PROJECT).session(SESSION).args(["build", "-q", "-t", "first"]);
        build.arg(context.path()).run().success();
        engine.docker(["image", "rm", "first"]).run().success();
        let engines = std::fs::read_dir(home.state_dir().join("engines")).expect("the ledger's folder");
        let folder = engines.flatten().next().expect("the engine's folder").path();
        let text = std::fs::read_to_string(folder.join("ledger.jsonl")).expect("the ledger");
        match text.lines().next().map(serde_json::from_str) {
            Some(Ok(Record::Ledger { engine, .. })) => Self(ledger::State::at(home.state_dir()).ledger(&engine)),
            other => panic!("the ledger begins with {other:?}"),
        }
    }

    /// Records them as results of builds.
    fn note(&self, images: &[Placed]) {
        let builds = images.iter().enumerate().map(|(n, image)| Record::Build(note_of(n, &image.id)));
        self.0.append(&builds.collect::<Vec<_>>()).expect("the ledger can be written");
    }
}

/// A build of this image, as the ledger notes it.
fn note_of(build: impl std::fmt::Display, image: &str) -> Build {
    let name = |text| Name::typed(text).expect("a name");
    Build {
        build: BuildId::parse(build.to_string()).expect("an ID"),
        of: SessionKey { project: name(PROJECT), session: name(SESSION) },
        at: Timestamp::now(),
        tags: Vec::new(),
        key: String::new(),
        ok: true,
        result: ImageId::parse(image),
        steps: Vec::new(),
        took: Vec::new(),
        tilt: false,
        compose: None,
        home: None,
        doubted: false,
    }
}

fn expect_empty(engine: &Engine, who: &str) {
    let left = engine.images().len();
    assert!(left == 0, "{who} left {left} images");
}

fn describe(engine: &Engine) -> String {
    let store = if engine.is_containerd_store() { ", containerd store" } else { "" };
    format!("Docker {}{store}", engine.version())
}

//! What a long ledger costs: the same calls with an empty one and with one of very many records.

use dkb::model::{Build, Record, Reference};
use dkb_lab::{Context, Engine, State};

use super::measure::{measure, median, megabytes, milliseconds};
use super::{Books, PROJECT, SESSION, describe, note_of};

const RECORDS: usize = 200_000;
const ROUNDS: usize = 5;

/// Builds of one unchanged image under a new tag each time, and builds of an image each.
const KINDS: [(&str, bool); 2] = [("of one image", true), ("of an image each", false)];

pub(super) fn table(engines: &[&str]) {
    println!(
        "| engine | call | with few records | with {RECORDS} {} | with {RECORDS} {} | peak memory of dkb |",
        KINDS[0].0, KINDS[1].0
    );
    println!("|---|---|--:|--:|--:|--:|");
    for name in engines {
        let engine = Engine::start(name);
        let context = Context::from_base("COPY a /a").file("a", "a");
        let few = State::new();
        Books::open(&engine, &few);
        let homes = [few, many(&engine, true), many(&engine, false)];
        for call in ["status", "clean -n", "build -q -t app"] {
            let mut memory = Vec::new();
            let times = homes.each_ref().map(|home| {
                let mut command = engine.dkb_in(home).project(PROJECT).session(SESSION).args(call.split(' '));
                if call.starts_with("build") {
                    command = command.arg(context.path());
                }
                // The first look ends the records of what is not there, once.
                let rounds: Vec<_> = (0..=ROUNDS).map(|_| measure(&mut command.to_std())).skip(1).collect();
                memory.extend(rounds.iter().map(|round| round.memory));
                milliseconds(median(rounds.iter().map(|round| round.time).collect()))
            });
            println!("| {} | `dkb {call}` | {} | {} |", describe(&engine), times.join(" | "), megabytes(memory));
        }
    }
    println!();
}

/// A home whose ledger has very many records. Those of an image each were built behind another way to the engine, so
/// that no look ends them.
fn many(engine: &Engine, one_image: bool) -> State {
    let home = State::new();
    let ledger = Books::open(engine, &home);
    let id = |n: usize| format!("sha256:{n:064x}");
    let here = engine.image().tag("kept").make();
    let mut builds = vec![note_of("here", &here.id)];
    builds.extend((0..RECORDS).map(|n| if one_image { note_of(n, &here.id) } else { note_of(n, &id(n)) }));
    let tagged = |tag: usize, build: Build| Build {
        tags: one_image.then(|| Reference::written(&format!("app:v{tag}"))).flatten().into_iter().collect(),
        home: (!one_image && tag > 0).then(|| "elsewhere".to_owned()),
        ..build
    };
    let records = builds.into_iter().enumerate().map(|(n, build)| Record::Build(tagged(n, build)));
    ledger.0.append(&records.collect::<Vec<_>>()).expect("the ledger can be written");
    home
}

//! What a long ledger costs: the same calls with an empty one and with one of very many records.

use dkb::model::{Build, ImageId, Name, Record, Reference, SessionEntry, SessionKey, Taken};
use dkb_lab::{Context, Engine, State};
use jiff::Timestamp;

use super::measure::{measure, median, megabytes, milliseconds};
use super::{Books, PROJECT, SESSION, describe, note_of};

const RECORDS: usize = 200_000;
const ROUNDS: usize = 5;

/// What the builds of a long ledger did.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One unchanged image under a new tag each time.
    OneImage,
    /// An image each, which is gone.
    Gone,
    /// Ten in each CI job, which took its tag from the job before. All are gone, and nobody has ended the jobs.
    ByJobs,
    /// An image each, on another engine of the same ID.
    Elsewhere,
}

const KINDS: [(&str, Kind); 4] = [
    ("of one image", Kind::OneImage),
    ("of images that are gone", Kind::Gone),
    ("of CI jobs", Kind::ByJobs),
    ("of another engine", Kind::Elsewhere),
];

pub(super) fn table(engines: &[&str]) {
    let heads = KINDS.map(|(name, _)| format!("with {RECORDS} {name}")).join(" | ");
    println!("| engine | call | with few records | {heads} | peak memory of dkb |");
    println!("|---|---|--:|--:|--:|--:|--:|--:|");
    for name in engines {
        let engine = Engine::start(name);
        let context = Context::from_base("COPY a /a").file("a", "a");
        let few = State::new();
        Books::open(&engine, &few);
        let homes: Vec<State> = std::iter::once(few).chain(KINDS.map(|(_, kind)| many(&engine, kind))).collect();
        for call in ["status", "clean -n", "clean --stale -n", "build -q -t app"] {
            let mut memory = Vec::new();
            let times = homes.iter().map(|home| {
                let mut command = engine.dkb_in(home).project(PROJECT).session(SESSION).args(call.split(' '));
                if call.starts_with("build") {
                    command = command.arg(context.path());
                }
                // The first look ends the records of what is not there, once.
                let rounds: Vec<_> = (0..=ROUNDS).map(|_| measure(&mut command.to_std())).skip(1).collect();
                memory.extend(rounds.iter().map(|round| round.memory));
                milliseconds(median(rounds.iter().map(|round| round.time).collect()))
            });
            let times = times.collect::<Vec<_>>().join(" | ");
            println!("| {} | `dkb {call}` | {times} | {} |", describe(&engine), megabytes(memory));
        }
    }
    println!();
}

/// A home whose ledger has very many records. No look ends those of builds behind another way to the engine.
fn many(engine: &Engine, kind: Kind) -> State {
    let home = State::new();
    let ledger = Books::open(engine, &home);
    let here = engine.image().tag("kept:1").make();
    let tag = |name: &str| Reference::written(name).expect("a name");
    let made = |n: usize| {
        let image = if kind == Kind::OneImage { here.id.clone() } else { made_id(n).to_string() };
        let build = note_of(n, &image);
        match kind {
            Kind::OneImage => Build { tags: vec![tag(&format!("app:v{n}"))], ..build },
            Kind::Gone => build,
            Kind::Elsewhere => Build { home: Some("elsewhere".to_owned()), ..build },
            Kind::ByJobs => {
                let session = Name::typed(&format!("job-{}", n / 10)).expect("a name");
                let took = (n > 0 && n.is_multiple_of(10)).then(|| Taken::new(tag("app:dev"), made_id(n - 1)));
                let of = SessionKey { session, ..build.of.clone() };
                let (tags, took) = (vec![tag("app:dev")], took.into_iter().collect());
                // Long over.
                Build { of, tags, took, at: Timestamp::UNIX_EPOCH, ..build }
            }
        }
    };
    let mut records = Vec::new();
    if kind == Kind::ByJobs {
        let job = |build: Build| SessionEntry { ci: true, ..SessionEntry::new(build.of, build.at) };
        records.extend((0..RECORDS).step_by(10).map(|n| Record::Session(job(made(n)))));
    }
    records.extend((0..RECORDS).map(|n| Record::Build(made(n))));
    // An image that is there shows that those before it are gone.
    let place = if kind == Kind::Elsewhere { 0 } else { records.len() };
    records.insert(place, Record::Build(note_of("here", &here.id)));
    ledger.0.append(&records).expect("the ledger can be written");
    home
}

fn made_id(n: usize) -> ImageId {
    ImageId::parse(&format!("{n:064x}")).expect("an ID")
}

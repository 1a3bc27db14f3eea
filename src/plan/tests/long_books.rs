//! What very many records cost: no shape of the books is known that makes each of them cost more than its share.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use jiff::Timestamp;

use crate::model::books_tests::{build, key, numbered};
use crate::model::image_tests::{container, host, image};
use crate::model::{
    Books, Build, BuildId, Container, ContainerState, Image, Name, Record, Reference, RunningBuild, Scope,
    SessionEntry, SessionKey, Snapshot, Stays, Taken, Tally,
};
use crate::plan::cache::CacheBytes;
use crate::plan::clean::{self, CleanLook, CleanPolicy, Here, Layers};
use crate::plan::ended_records::ended;
use crate::plan::over::Rest;
use crate::plan::session_end::{self, Extras};
use crate::plan::status::every_session;
use crate::plan::superseded;
use crate::plan::uses::needed_by_builds;

const NOW: i64 = 1_800_000_000;

fn tag(name: &str) -> Reference {
    Reference::written(name).expect(name)
}

fn at(second: u32) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + i64::from(second)).expect("a time")
}

fn session(n: u32) -> SessionKey {
    key("p", &format!("job-{n:06}"))
}

fn listed(n: u32, tags: &[&str]) -> Image {
    Image {
        id: numbered(n),
        tags: tags.iter().map(|name| tag(name)).collect(),
        ..image(0).stamp(&key("p", "s")).done()
    }
}

fn made(n: u32, of: &SessionKey, result: u32, tags: &[&str], took: Option<u32>) -> Build {
    Build {
        build: BuildId::parse(n.to_string()).expect("an ID"),
        at: at(n),
        result: Some(numbered(result)),
        tags: tags.iter().map(|name| tag(name)).collect(),
        took: took.map(|from| Taken::new(tag("app:dev"), numbered(from))).into_iter().collect(),
        home: Some("home".to_owned()),
        ..build("0", of, 1, &[])
    }
}

/// A job of a CI runner in one of a few slots.
fn job(n: u32) -> Record {
    let slot = Name::typed(&format!("slot-{}", n % 4)).ok();
    Record::Session(SessionEntry { ci: true, slot, ..SessionEntry::new(session(n), at(n)) })
}

fn of_job(n: u32, image: u32) -> Container {
    Container {
        id: format!("container-{n}"),
        image: Some(numbered(image)),
        image_name: "app:dev".to_owned(),
        created: 1_700_000_000 + i64::from(n),
        ..container("c", 1, ContainerState::Exited)
    }
}

struct Host {
    records: Vec<Record>,
    images: Vec<Image>,
    containers: Vec<Container>,
}

type Shape = fn(u32) -> Host;

const SHAPES: [(&str, Shape); 6] = [
    ("one image under a new tag by each build", |n| {
        let names: Vec<String> = (1..=n).map(|n| format!("app:{n}")).collect();
        Host {
            records: (1..)
                .zip(&names)
                .map(|(n, name)| Record::Build(made(n, &key("p", "s"), 1, &[name], None)))
                .collect(),
            images: vec![listed(1, &names.iter().map(String::as_str).collect::<Vec<_>>())],
            containers: Vec::new(),
        }
    }),
    ("one image under a new tag by each session", |n| {
        let names: Vec<String> = (1..=n).map(|n| format!("app:{n}")).collect();
        let built = (1..).zip(&names).map(|(n, name)| Record::Build(made(n, &session(n), 1, &[name], None)));
        Host {
            records: (1..=n).map(job).chain(built).collect(),
            images: vec![listed(1, &names.iter().map(String::as_str).collect::<Vec<_>>())],
            containers: vec![of_job(1, 1)],
        }
    }),
    ("an image of its own for each build", |n| {
        let built = |n: u32| Record::Build(made(n, &key("p", "s"), n, &["app:dev", &format!("app:{n}")], None));
        Host {
            records: (1..=n).map(built).collect(),
            images: (1..=n).map(|n| listed(n, &[&format!("app:{n}")])).collect(),
            containers: Vec::new(),
        }
    }),
    ("sessions that took a tag from the one before", |n| {
        let built = |n: u32| Record::Build(made(n, &session(n), n, &["app:dev"], Some(n - 1)));
        Host {
            records: (1..=n).flat_map(|n| [job(n), built(n)]).collect(),
            images: (0..=n).map(|one| listed(one, if one == n { &["app:dev"] } else { &[] })).collect(),
            containers: (1..=n).map(|n| of_job(n, n)).collect(),
        }
    }),
    ("sessions that took a tag of their own each, in one slot", |n| {
        let built = |n: u32| {
            let own = tag(&format!("app:{n}"));
            let took = vec![Taken::new(own.clone(), numbered(1_000_000 + n))];
            Record::Build(Build { tags: vec![own], took, ..made(n, &session(n), n, &[], None) })
        };
        let taken = (1..=n).map(|n| listed(1_000_000 + n, &[]));
        Host {
            records: (1..=n).flat_map(|n| [job(n), built(n)]).collect(),
            images: (1..=n).map(|n| listed(n, &[&format!("app:{n}")])).chain(taken).collect(),
            containers: Vec::new(),
        }
    }),
    ("sessions that build two images by turns under one tag", |n| {
        let built = |n: u32| Record::Build(made(n, &session(n), 1 + n % 2, &["app:dev"], Some(2 - n % 2)));
        Host {
            records: (1..=n).flat_map(|n| [job(n), built(n)]).collect(),
            images: vec![listed(1, &[]), listed(2, &["app:dev"])],
            containers: vec![of_job(1, 1)],
        }
    }),
];

struct Seen {
    records: Vec<Record>,
    books: Books,
    snapshot: Snapshot,
    here: Here,
    layers: Layers,
    at_work: HashSet<SessionKey>,
    running: Vec<RunningBuild>,
}

fn read(records: Vec<Record>) -> Books {
    let mut tally = Tally::default();
    for record in records {
        tally.count(record);
    }
    tally.books()
}

impl Seen {
    fn new(Host { records, images, containers }: Host) -> Self {
        let layers = |image: &Image| (image.id, vec!["base".to_owned(), image.id.to_string()]);
        Self {
            books: read(records.clone()),
            layers: images.iter().map(layers).collect(),
            snapshot: host(images, containers),
            here: Here::somebody(key("p", "here")),
            at_work: HashSet::new(),
            running: Vec::new(),
            records,
        }
    }

    fn look(&self) -> CleanLook<'_> {
        let now = Timestamp::from_second(NOW).expect("a time");
        let (layers, at_work, running) = (&self.layers, &self.at_work, &*self.running);
        CleanLook { at_work, running, layers, now, ..CleanLook::of(&self.snapshot, &self.books, &self.here) }
    }

    /// As a clean does it, or a status.
    fn plan(&self, scope: Scope, tags: bool, keep_last: Option<usize>) {
        let of_sessions = scope.is_of_sessions();
        let stops = matches!(scope, Scope::Stale { .. });
        let policy =
            CleanPolicy { scope, tags, keep_last, containers: of_sessions, stops, ..clean::tests::leftovers() };
        let look = self.look();
        clean::wants_layers(&look, &policy);
        let plan = if of_sessions {
            session_end::plan(&look, &Extras::default(), &policy)
        } else {
            clean::plan(&look, &policy)
        };
        clean::wanted(&look, &policy, &plan, &HashSet::new());
        assert!(!plan.steps.is_empty() || !plan.kept.is_empty());
        if of_sessions && tags {
            let rest = Rest::new(&plan, &self.books, &self.snapshot);
            assert!(clean::sessions(&look, &policy).all(|key| rest.of(key) >= Stays::Always));
        }
    }
}

type Work = fn(&Seen);

/// What is done with the books alone.
const WITH_BOOKS: [(&str, Work); 4] = [
    ("reading them", |seen| drop(read(seen.records.clone()))),
    ("noting a build", |seen| {
        let done = Build { tags: vec![tag("app:dev")], ..made(0, &session(1), 9_999_999, &[], Some(1)) };
        let mut books = seen.books.clone();
        books.apply(Record::Build(done.clone()));
        let candidates = superseded::candidates_of_all(&books, &[done], 0);
        superseded::steps(&seen.snapshot, &books, &[], &[], &candidates);
    }),
    ("a look that ends records", |seen| {
        // What very many sessions share that never end would be owed by each of them to all.
        let (few, many) = seen.snapshot.images.split_at(seen.snapshot.images.len().min(2));
        let there = few.iter().chain(many.iter().step_by(2)).map(|image| image.id).collect();
        let ended = ended(&seen.books, &there, &HashMap::new(), &HashMap::new(), "home");
        let mut books = seen.books.clone();
        books.forget(&ended.gone.into_iter().collect());
        books.looked_from("home");
    }),
    ("dkb status", |seen| {
        every_session(&seen.look(), &CacheBytes::default(), |_| true);
        let running = [RunningBuild { of: session(1), key: "k".to_owned(), tags: vec![tag("app:dev")] }];
        needed_by_builds(&seen.books, &running);
    }),
];

const PLANS: [(&str, Work); 6] = [
    ("dkb clean", |seen| seen.plan(project(), false, None)),
    ("dkb clean --tagged", |seen| seen.plan(project(), true, Some(2))),
    ("dkb clean --session", |seen| seen.plan(Scope::Session(session(1)), true, None)),
    ("dkb clean --stale", |seen| seen.plan(stale(), true, None)),
    ("dkb clean --stale --keep-tagged", |seen| seen.plan(stale(), false, None)),
    ("dkb clean --all --tagged", |seen| seen.plan(Scope::All, true, None)),
];

fn project() -> Scope {
    Scope::Project { project: key("p", "s").project }
}

fn stale() -> Scope {
    Scope::Stale { project: key("p", "s").project }
}

fn time(rounds: usize, work: Work, seen: &Seen) -> f64 {
    let began = Instant::now();
    (0..rounds).for_each(|_| work(seen));
    began.elapsed().as_secs_f64()
}

/// Four times as many take as long as four times a quarter of them where each record costs the same, and four times as
/// long where each costs as much as there are. Whatever else the machine does only ever makes a round longer, so the
/// shortest counts; both take as long, so that it comes between them as often.
fn is_linear(work: Work, few: &Seen, many: &Seen) -> Result<(), f64> {
    let (mut short, mut long) = (f64::MAX, f64::MAX);
    for _ in 0..10 {
        short = time(4, work, few).min(short);
        long = time(1, work, many).min(long);
        if long < 2.0 * short {
            return Ok(());
        }
    }
    Err(long / short)
}

fn are_linear(works: &[(&str, Work)], n: u32) {
    for (shape, make) in SHAPES {
        let (few, many) = (Seen::new(make(n)), Seen::new(make(4 * n)));
        for (what, work) in works {
            assert_eq!(is_linear(*work, &few, &many), Ok(()), "{what}: {shape}");
        }
    }
}

#[test]
fn what_is_done_with_books_costs_by_their_length() {
    are_linear(&WITH_BOOKS, 500);
}

#[test]
fn a_plan_costs_by_the_length_of_the_books() {
    are_linear(&PLANS, 150);
}

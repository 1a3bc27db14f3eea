use std::collections::BTreeSet;
use std::time::Duration;

use jiff::SignedDuration;

use super::*;
use crate::model::books_tests::{build, key, with_a_line_lost};
use crate::model::image_tests::host;
use crate::model::{Books, Build, Opening, Record, SessionEntry};
use crate::plan::clean::Here;
use crate::plan::clean::tests::leftovers;

const NOW: i64 = 1_000_000;
const MADE_UP: &str = "run-0123456789ab";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

/// What this ledger has of one session, and what is asked for.
#[derive(Clone)]
struct Scene {
    records: Vec<Record>,
    /// Behind so many of them a line can't be read.
    lost: Option<usize>,
    opened: Option<Opening>,
    session: &'static str,
    alone: bool,
    older_than: Option<u64>,
    ahead: i64,
}

impl Scene {
    fn new(records: Vec<Record>) -> Self {
        Self { records, lost: None, opened: None, session: "s", alone: false, older_than: None, ahead: 0 }
    }

    fn fate(&self, created: Option<i64>) -> Option<KeptReason> {
        let own = key("p", self.session);
        let mut books = Books::default();
        for n in 0..=self.records.len() {
            if self.lost == Some(n) {
                books = with_a_line_lost(books);
            }
            self.records.get(n).into_iter().for_each(|record| books.apply(record.clone()));
        }
        let mut snapshot = host(Vec::new(), Vec::new());
        snapshot.engine.ahead = SignedDuration::from_secs(self.ahead);
        let here = Here { alone: self.alone, ..Here::somebody(own.clone()) };
        let look = CleanLook {
            opened: &self.opened.clone().map(|opening| (own.clone(), opening)).into_iter().collect(),
            now: at(NOW),
            ..CleanLook::of(&snapshot, &books, &here)
        };
        let policy = CleanPolicy { older_than: self.older_than.map(Duration::from_secs), ..leftovers() };
        stays_by_age(&look, &policy, &own, created.map(at))
    }
}

fn session(since: i64) -> Record {
    Record::Session(SessionEntry::new(key("p", "s"), at(since)))
}

fn built(when: i64) -> Record {
    Record::Build(Build { at: at(when), ..build(&when.to_string(), &key("p", "s"), 1, &[]) })
}

fn cleaned(when: i64) -> Record {
    Record::Cleaned { key: key("p", "s"), at: at(when), rest: false }
}

fn opening(since: i64) -> Opening {
    Opening { since: at(since), copies: BTreeSet::new() }
}

#[test]
fn what_is_older_than_the_session_may_be_somebody_elses() {
    let scene = || Scene::new(Vec::new());
    for (what, scene, first) in [
        // The first moment from which on something is the session's; `None`: nothing is.
        ("nobody has heard of it", scene(), None),
        ("a build", Scene::new(vec![built(5000)]), Some(5000)),
        ("several builds", Scene::new(vec![built(5000), built(6000)]), Some(5000)),
        ("a guard", Scene { opened: Some(opening(5000)), ..scene() }, Some(5000)),
        ("a guard, after builds", Scene { opened: Some(opening(6000)), ..Scene::new(vec![built(5000)]) }, Some(5000)),
        ("a guard, then builds", Scene { opened: Some(opening(5000)), ..Scene::new(vec![built(6000)]) }, Some(5000)),
        (
            "it took over from one that was killed",
            Scene { opened: Some(opening(6000)), ..Scene::new(vec![session(5000)]) },
            Some(5000),
        ),
        ("cleaned, and over", Scene::new(vec![built(5000), cleaned(6000)]), None),
        ("cleaned, and at work again", Scene::new(vec![built(5000), cleaned(6000), built(7000)]), Some(7000)),
        (
            "cleaned, and opened",
            Scene { opened: Some(opening(7000)), ..Scene::new(vec![built(5000), cleaned(6000)]) },
            Some(7000),
        ),
        (
            "cleaned, opened, and at work",
            Scene {
                opened: Some(opening(7000)),
                ..Scene::new(vec![session(5000), cleaned(6000), session(7001), built(7002)])
            },
            Some(7000),
        ),
        ("at work since the clean's look", Scene::new(vec![built(5000), built(6001), cleaned(6000)]), Some(5000)),
        // It may have been cleaned.
        ("a line is lost", Scene { lost: Some(1), ..Scene::new(vec![built(5000)]) }, None),
        (
            "a line is lost, and at work again",
            Scene { lost: Some(1), ..Scene::new(vec![built(5000), built(7000)]) },
            Some(7000),
        ),
        (
            "a line is lost, and opened",
            Scene { lost: Some(1), opened: Some(opening(7000)), ..Scene::new(vec![built(5000)]) },
            Some(7000),
        ),
        // A name that nobody else can have come to.
        ("the CI job's, or a working copy's own", Scene { alone: true, ..scene() }, Some(0)),
        ("made up by dkb", Scene { session: MADE_UP, opened: Some(opening(5000)), ..scene() }, Some(0)),
        ("made up by a dkb with another ledger", Scene { session: MADE_UP, ..scene() }, None),
    ] {
        for ahead in [0, 100, -100] {
            let scene = Scene { ahead, ..scene.clone() };
            let fate = |made: i64| scene.fate(Some(made + ahead));
            let Some(first) = first else {
                assert_eq!(fate(NOW), Some(KeptReason::BeforeSession), "{what}");
                continue;
            };
            // Engines tell whole seconds, and clocks differ.
            assert_eq!((fate(first), fate(first - 5), fate(NOW)), (None, None, None), "{what}, ahead {ahead}");
            let before = (first > 0).then_some(KeptReason::BeforeSession);
            assert_eq!((fate(first - 6), scene.fate(None)), (before, before), "{what}, ahead {ahead}");
        }
    }
}

#[test]
fn what_is_younger_than_asked_for_stays() {
    for ahead in [0, 100] {
        let scene = Scene { alone: true, older_than: Some(60), ahead, ..Scene::new(Vec::new()) };
        for (made, want) in [
            (Some(NOW - 61 + ahead), None),
            (Some(NOW - 60 + ahead), None),
            (Some(NOW - 59 + ahead), Some(KeptReason::TooYoung)),
            (Some(NOW + 500), Some(KeptReason::TooYoung)),
            (None, Some(KeptReason::TooYoung)),
        ] {
            assert_eq!(scene.fate(made), want, "{made:?}, ahead {ahead}");
        }
    }
}

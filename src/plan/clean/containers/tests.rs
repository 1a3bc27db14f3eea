//! Every kind of container × who made it × how it stands × how the session ends: no cell is decided by accident.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::model::books_tests::{build, id, key};
use crate::model::image_tests::{container, host, image};
use crate::model::{Action, Books, Build, KeptReason, Kind, Name, Opening, Pattern, Plan, Record, SessionEntry};
use crate::plan::clean::Here;
use crate::plan::session_end::{self, Extras};

/// The moment at which everything is looked at, by both clocks.
const NOW: i64 = 1_000_000;
/// Session `s` built image 1 as `app` at this moment.
const BUILT: i64 = NOW - 3600;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn name(text: &str) -> Name {
    Name::typed(text).expect(text)
}

/// How somebody ends session `s` of project `p`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// `dkb clean --session`, from inside.
    Clean,
    /// A guard or a watcher; so does `dkb session end` for a session that somebody had opened.
    Guard,
    /// `dkb session end` for one that nobody had opened.
    ByName,
    /// `dkb clean --stale`, once its guard was killed at this moment.
    Dead(i64),
    /// `dkb clean --stale`, from another CI job.
    Old,
}

struct Scene {
    /// Since when session `s` is open.
    opened: HashMap<crate::model::SessionKey, Opening>,
    books: Books,
    snapshot: Snapshot,
    keep: Vec<Pattern>,
    tags: bool,
}

impl Scene {
    /// Image 1 is the session's, image 9 a stranger's, and this container is there.
    fn new(container: Container) -> Self {
        let mut books = Books::default();
        let entry = SessionEntry { ci: true, ..SessionEntry::new(key("p", "s"), at(BUILT)) };
        books.apply(Record::Session(entry));
        books.apply(Record::Build(Build { at: at(BUILT), ..build("a", &key("p", "s"), 1, &[]) }));
        let snapshot = host(vec![image(1).tag("app").done(), image(9).tag("postgres").done()], vec![container]);
        Self { opened: HashMap::new(), books, snapshot, keep: Vec::new(), tags: true }
    }

    fn plan(&self, end: End) -> Plan {
        let own = key("p", "s");
        let asks = if matches!(end, End::Dead(_) | End::Old) { key("p", "next") } else { own.clone() };
        let here = Here { by_ci: true, ..Here::somebody(asks) };
        let life = if matches!(end, End::Dead(_)) { Life::Dead } else { Life::Unowned };
        let scope = match end {
            End::Dead(_) | End::Old => Scope::Stale { project: name("p") },
            _ => Scope::Session(own.clone()),
        };
        let policy = CleanPolicy {
            scope,
            compose: None,
            tags: self.tags,
            containers: true,
            stops: !matches!(end, End::Clean | End::ByName),
            volumes: false,
            keep: self.keep.clone(),
            keep_last: None,
            older_than: None,
            stale_after: Duration::from_secs(1800),
            trust_stamp: false,
            cache: crate::plan::clean::CacheWish::Leave,
            cache_keep: None,
            mounts: None,
        };
        let beats = if let End::Dead(beat) = end { HashMap::from([(own.clone(), at(beat))]) } else { HashMap::new() };
        let look = CleanLook {
            lives: &HashMap::from([(own, life)]),
            beats: &beats,
            opened: &self.opened,
            at_work: &at_work(&self.snapshot, &self.books),
            now: at(NOW),
            ..CleanLook::of(&self.snapshot, &self.books, &here)
        };
        session_end::plan(&look, &Extras::default(), &policy)
    }

    /// `stop`, `remove` or both, or nothing where the container stays. The image goes or stays with it.
    #[track_caller]
    fn fate(&self, end: End) -> &'static str {
        let plan = self.plan(end);
        let does = |action| plan.steps.iter().any(|step| step.kind() == Kind::Container && step.action() == action);
        let image = plan.steps.iter().any(|step| step.image() == Some(id(1)));
        let of_ours = self.snapshot.containers.first().is_some_and(|container| container.image == Some(id(1)));
        if of_ours && self.tags && self.keep.is_empty() {
            assert_eq!(image, does(Action::Remove), "the image goes if and only if its container does");
        }
        match (does(Action::Stop), does(Action::Remove)) {
            (true, true) => "stop, remove",
            (false, true) => "remove",
            (false, false) => "stays",
            (true, false) => "stop alone",
        }
    }
}

fn of(image: u8, written: &str, state: ContainerState, made: i64) -> Container {
    Container { image_name: written.to_owned(), created: made, ..container("x", image, state) }
}

fn with_label(container: Container, value: &str) -> Container {
    Container { labels: HashMap::from([(RUN_LABEL.to_owned(), value.to_owned())]), ..container }
}

#[test]
fn every_kind_of_container_is_decided_on() {
    use ContainerState::{Created, Dead, Exited, Paused, Running};
    let made = BUILT + 60;
    let app = |state| of(1, "app:latest", state, made);
    let (ends, old) = ([End::Clean, End::Guard, End::ByName, End::Dead(NOW - 60)], End::Old);
    // What becomes of it at each of these ends: clean, guard, by name, dead, and of an old CI job.
    let cells: &[(&str, Container, [&str; 5])] = &[
        ("exited, by our name", app(Exited), ["remove", "remove", "remove", "remove", "remove"]),
        ("running, by our name", app(Running), ["stays", "stop, remove", "stays", "stop, remove", "stays"]),
        ("paused, by our name", app(Paused), ["stays", "stop, remove", "stays", "stop, remove", "stays"]),
        ("dead, by our name", app(Dead), ["stays", "remove", "stays", "remove", "stays"]),
        ("a builder's own", app(ContainerState::Working), ["stays"; 5]),
        ("created long ago, by our name", app(Created), ["remove", "remove", "remove", "remove", "remove"]),
        (
            "created just now, by our name",
            of(1, "app:latest", Created, NOW - 30),
            ["stays", "stays", "stays", "stays", "stays"],
        ),
        ("by the short ID", of(1, "010101010101", Exited, made), ["remove", "remove", "remove", "remove", "remove"]),
        ("by a stranger's tag that looks like ours, running", of(1, "localhost/app", Running, made), ["stays"; 5]),
        ("by a stranger's tag, exited", of(1, "theirs:1", Exited, made), ["stays"; 5]),
        ("by a stranger's tag, running", of(1, "theirs:1", Running, made), ["stays"; 5]),
        ("made before the session", of(1, "app:latest", Exited, BUILT - 60), ["stays"; 5]),
        (
            "labelled by us, of a stranger's image, running",
            with_label(of(9, "postgres", Running, made), "p:s"),
            ["stays", "stop, remove", "stays", "stop, remove", "stays"],
        ),
        (
            "labelled by us, of a stranger's image, created just now",
            with_label(of(9, "postgres", Created, NOW), "p:s"),
            ["remove", "remove", "remove", "remove", "stays"],
        ),
        (
            "labelled by us, of our image, created just now",
            with_label(of(1, "app", Created, NOW), "p:s"),
            ["remove"; 5],
        ),
        ("labelled by another session", with_label(app(Exited), "p:t"), ["stays"; 5]),
        ("labelled by another project's session of this name", with_label(app(Running), "q:s"), ["stays"; 5]),
        ("labelled in words that dkb never wrote", with_label(app(Exited), "s"), ["stays"; 5]),
        ("a stranger's own", of(9, "postgres", Exited, made), ["stays"; 5]),
    ];
    for (what, container, fates) in cells {
        let scene = Scene::new(container.clone());
        for (end, expected) in ends.into_iter().chain([old]).zip(fates) {
            assert_eq!(scene.fate(end), *expected, "{what}, {end:?}");
        }
    }
}

#[test]
fn a_label_that_the_image_bears_too_is_nobodys() {
    let mut scene = Scene::new(with_label(of(9, "postgres", ContainerState::Running, NOW - 60), "p:s"));
    scene.snapshot.images[1].labels = HashMap::from([(RUN_LABEL.to_owned(), "p:s".to_owned())]);
    assert_eq!(scene.fate(End::Guard), "stays");
    scene.snapshot.images.remove(1);
    assert_eq!(scene.fate(End::Guard), "stays", "nobody can say what an image bore that is gone");
}

/// Containerd's store has dropped image 1, image 7 of another session, and an image 8 that no build of ours made.
#[test]
fn what_the_engine_has_dropped_still_tells_whose_its_containers_are() {
    let (made, running) = (BUILT + 60, || ContainerState::Running);
    let labelled = |image, written, label| with_label(of(image, written, running(), made), label);
    let in_doubt = "stays, and is told";
    for (what, container, expected) in [
        ("ours by name", of(1, "app:latest", running(), made), "stop, remove"),
        ("ours by a stranger's name", of(1, "theirs:1", running(), made), "stays"),
        ("ours, made before the session", of(1, "app:latest", running(), BUILT - 60), "stays"),
        ("ours, labelled", labelled(1, "app:latest", "p:s"), "stop, remove"),
        ("ours, labelled by another session", labelled(1, "app:latest", "p:t"), "stays"),
        ("ours by a stranger's name, labelled", labelled(1, "theirs:1", "p:s"), in_doubt),
        ("another session's", of(7, "app:latest", running(), made), "stays"),
        ("another session's, labelled", labelled(7, "app:latest", "p:s"), in_doubt),
        ("a stranger's", of(8, "postgres:16", running(), made), "stays"),
        ("a stranger's, labelled", labelled(8, "postgres:16", "p:s"), in_doubt),
        ("a stranger's, labelled by another session", labelled(8, "postgres:16", "p:t"), "stays"),
    ] {
        let mut scene = Scene::new(container);
        scene.books.apply(Record::Build(build("b", &key("p", "t"), 7, &[])));
        scene.snapshot.images.retain(|image| image.id == id(9));
        scene.snapshot.add_dropped(|id| scene.books.has(id));
        let plan = scene.plan(End::Guard);
        assert!(plan.steps.iter().all(|step| step.kind() == Kind::Container), "{what}: nothing else is left to go");
        let does = |action| plan.steps.iter().any(|step| step.action() == action);
        let told = plan.kept.iter().any(|kept| kept.reason == KeptReason::ImageGone);
        let fate = match (does(Action::Stop), does(Action::Remove), told) {
            (true, true, false) => "stop, remove",
            (false, false, true) => in_doubt,
            (false, false, false) => "stays",
            _ => "neither",
        };
        assert_eq!(fate, expected, "{what}");
    }
}

#[test]
fn an_image_that_stays_keeps_its_containers() {
    let app = || of(1, "app:latest", ContainerState::Running, BUILT + 60);
    let kept_tags = Scene { tags: false, ..Scene::new(app()) };
    assert_eq!(kept_tags.fate(End::Guard), "stays");
    for pattern in ["app:*", "x"] {
        let keep = vec![Pattern::new(pattern).expect("a pattern")];
        assert_eq!(Scene { keep, ..Scene::new(app()) }.fate(End::Guard), "stays", "{pattern}");
    }
    let mut shared = Scene::new(app());
    shared.books.apply(Record::Build(build("b", &key("q", "t"), 1, &[])));
    assert_eq!(shared.fate(End::Guard), "stays", "another session built it too");
    let mut used = Scene::new(app());
    used.snapshot.containers.push(of(1, "theirs:1", ContainerState::Exited, BUILT + 60));
    assert_eq!(used.fate(End::Guard), "stays", "a stranger's container holds the image");
}

#[test]
fn what_was_made_after_a_session_died_is_somebody_elses() {
    let died = NOW - 1800;
    let dead = |made| Scene::new(of(1, "app:latest", ContainerState::Running, made)).fate(End::Dead(died));
    assert_eq!((dead(died - 1), dead(died + 10), dead(died + 60)), ("stop, remove", "stop, remove", "stays"));
    let old = |made| Scene::new(of(1, "app:latest", ContainerState::Exited, made)).fate(End::Old);
    assert_eq!((old(BUILT + 1800), old(BUILT + 1900)), ("remove", "stays"), "it was given up at {}", BUILT + 1800);
    let ended = |made| {
        let mut scene = Scene::new(of(1, "app:latest", ContainerState::Exited, made));
        scene.books.apply(Record::Cleaned { key: key("p", "s"), at: at(BUILT + 600), rest: true });
        scene.fate(End::Old)
    };
    assert_eq!((ended(BUILT + 500), ended(BUILT + 700)), ("remove", "stays"), "it was ended at {}", BUILT + 600);
}

#[test]
fn what_was_made_while_nobody_kept_the_session_open_is_somebody_elses() {
    let fate = |made, labelled| {
        let container = of(1, "app:latest", ContainerState::Running, made);
        let mut scene = Scene::new(if labelled { with_label(container, "p:s") } else { container });
        scene.opened.insert(key("p", "s"), Opening { since: at(BUILT + 900), copies: BTreeSet::new() });
        scene.fate(End::Guard)
    };
    assert_eq!((fate(BUILT + 60, false), fate(BUILT + 901, false)), ("stays", "stop, remove"));
    assert_eq!(fate(BUILT + 60, true), "stop, remove", "its label is enough");
}

#[test]
fn a_keep_pattern_keeps_what_bears_the_label_too() {
    let labelled = with_label(of(9, "postgres", ContainerState::Exited, NOW - 60), "p:s");
    for (pattern, fate) in [("x", "stays"), ("postgres:*", "remove"), ("y", "remove")] {
        let keep = vec![Pattern::new(pattern).expect("a pattern")];
        assert_eq!(Scene { keep, ..Scene::new(labelled.clone()) }.fate(End::Guard), fate, "{pattern}");
    }
}

#[test]
fn the_next_job_in_a_slot_ends_the_one_before() {
    let slot = Some(name("slot"));
    let of_slot = |session: &str, first: i64| {
        Record::Session(SessionEntry {
            slot: slot.clone(),
            ci: true,
            ..SessionEntry::new(key("p", session), at(first))
        })
    };
    let fate = |made| {
        let mut scene = Scene::new(of(1, "app:latest", ContainerState::Exited, made));
        scene.books.apply(of_slot("s", BUILT));
        scene.books.apply(of_slot("then", BUILT + 900));
        scene.fate(End::Old)
    };
    assert_eq!((fate(BUILT + 800), fate(BUILT + 1000)), ("remove", "stays"));
}

#[test]
fn the_engines_clock_may_go_wrong() {
    let mut scene = Scene::new(of(1, "app:latest", ContainerState::Exited, BUILT + 60 + 7200));
    scene.snapshot.engine.ahead = SignedDuration::from_hours(2);
    scene.snapshot.engine.now = at(NOW + 7200);
    assert_eq!(scene.fate(End::Dead(NOW - 60)), "remove");
    scene.snapshot.containers[0].created = BUILT + 60;
    assert_eq!(scene.fate(End::Dead(NOW - 60)), "stays", "it was made two hours before the session");
    for created in [i64::MIN, i64::MAX] {
        scene.snapshot.containers[0].created = created;
        assert_eq!(scene.fate(End::Guard), "stays");
    }
}

#[test]
fn the_session_of_another_working_copy_ended_with_its_last_build() {
    let mut scene = Scene::new(of(1, "app:latest", ContainerState::Exited, BUILT + 60));
    let theirs = key("p", "local-00000002");
    scene.books = Books::default();
    scene.books.apply(Record::Build(Build { at: at(BUILT), ..build("a", &theirs, 1, &[]) }));
    let here = Here { alone: true, ..Here::somebody(key("p", "local-00000001")) };
    let policy = CleanPolicy {
        scope: Scope::Session(theirs),
        compose: None,
        tags: true,
        containers: true,
        stops: false,
        volumes: false,
        keep: Vec::new(),
        keep_last: None,
        older_than: None,
        stale_after: Duration::from_secs(1800),
        trust_stamp: false,
        cache: crate::plan::clean::CacheWish::Leave,
        cache_keep: None,
        mounts: None,
    };
    let look = CleanLook { now: at(NOW), ..CleanLook::of(&scene.snapshot, &scene.books, &here) };
    assert_eq!(crate::plan::clean::plan(&look, &policy).steps, [], "a colleague may have made it since");
}

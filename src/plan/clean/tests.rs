//! A small host for each rule. What goes is named by the number of its image, what is kept by its reason.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::engine::capabilities::{CONTAINERD, PODMAN};
use crate::model::books_tests::{build, id, key};
use crate::model::image_tests::{container, host, image};
use crate::model::{Books, Life, Name, Opening, Pattern, Reference, Scope, SessionEntry, SessionKey, Snapshot, ledger};
use crate::model::{Build, Container, ContainerState, Deed, Image, ImageGuard, RUN_LABEL, Record, Taken};

mod doubted;

struct Case {
    snapshot: Snapshot,
    books: Books,
    lives: HashMap<SessionKey, Life>,
    beats: HashMap<SessionKey, Timestamp>,
    opened: HashMap<SessionKey, Opening>,
    running: Vec<RunningBuild>,
    layers: Layers,
    here: Here,
    now: Timestamp,
}

fn name(text: &str) -> Name {
    Name::typed(text).expect(text)
}

fn reference(text: &str) -> Reference {
    Reference::written(text).expect(text)
}

/// A policy that takes the leftovers of project `p`.
pub(in crate::plan) fn leftovers() -> CleanPolicy {
    CleanPolicy {
        scope: Scope::Project { project: name("p") },
        tags: false,
        containers: false,
        stops: false,
        volumes: false,
        keep: Vec::new(),
        keep_last: None,
        older_than: None,
        stale_after: Duration::from_secs(6 * 3600),
        trust_stamp: false,
        cache: crate::plan::clean::CacheWish::Leave,
        cache_keep: None,
    }
}

/// A policy that ends session `s` of project `p`.
fn end_of_session() -> CleanPolicy {
    CleanPolicy { scope: Scope::Session(key("p", "s")), tags: true, containers: true, ..leftovers() }
}

/// Somebody in this session, in a working copy of his own, whose project the user has named.
fn here(key: SessionKey) -> Here {
    Here::somebody(key)
}

fn case(images: Vec<Image>, builds: Vec<Build>) -> Case {
    let mut books = Books::default();
    for build in builds {
        books.apply(Record::Build(build));
    }
    Case {
        snapshot: host(images, Vec::new()),
        books,
        lives: HashMap::new(),
        beats: HashMap::new(),
        opened: HashMap::new(),
        running: Vec::new(),
        layers: Layers::new(),
        here: here(key("p", "s")),
        now: Timestamp::from_second(1_000_000).expect("a time"),
    }
}

impl Case {
    fn containers(mut self, containers: Vec<Container>) -> Self {
        self.snapshot.containers = containers;
        self
    }

    fn life(mut self, of: SessionKey, life: Life) -> Self {
        self.lives.insert(of, life);
        self
    }

    fn layers(mut self, image: u8, layers: &[&str]) -> Self {
        self.layers.insert(id(image), layers.iter().map(ToString::to_string).collect());
        self
    }

    fn plan(&self, policy: &CleanPolicy) -> Plan {
        let look = CleanLook {
            lives: &self.lives,
            beats: &self.beats,
            opened: &self.opened,
            at_work: &at_work(&self.snapshot, &self.books),
            running: &self.running,
            layers: &self.layers,
            now: self.now,
            ..CleanLook::of(&self.snapshot, &self.books, &self.here)
        };
        plan(&look, policy)
    }

    /// The plan in words: `-1` an image that goes, `untag 1 app:latest`, `give 1 app:latest`, `container x`.
    fn steps(&self, policy: &CleanPolicy) -> Vec<String> {
        let number = |id: &ImageId| u8::from_str_radix(&id.short()[..2], 16).expect("a number");
        self.plan(policy)
            .steps
            .iter()
            .map(|step| match &step.deed {
                Deed::RemoveContainer { name, .. } => format!("container {name}"),
                Deed::RemoveImage { id, .. } => format!("-{}", number(id)),
                Deed::Untag { image, name } => format!("untag {} {}", number(image), name.as_str()),
                Deed::GiveBack { name, to, .. } => format!("give {} {}", number(to), name.as_str()),
                other => format!("{other:?}"),
            })
            .collect()
    }

    fn kept(&self, policy: &CleanPolicy) -> Vec<(u8, KeptReason)> {
        let number = |id: &str| u8::from_str_radix(&id[7..9], 16).expect("a number");
        let mut kept: Vec<_> = self.plan(policy).kept.iter().map(|kept| (number(&kept.id), kept.reason)).collect();
        kept.sort_unstable();
        kept
    }
}

#[test]
fn leftovers_and_intermediates_go_children_first() {
    let of = key("p", "s");
    let case = case(
        vec![image(1).done(), image(2).done(), image(3).parent(2).done(), image(9).done()],
        vec![build("a", &of, 1, &[2, 3])],
    );
    assert_eq!(case.steps(&leftovers()), ["-3", "-1", "-2"]);
    assert_eq!(case.kept(&leftovers()), [], "what is neither recorded nor stamped is not worth a line");
}

#[test]
fn rule_1_what_the_ledger_does_not_know_is_not_ours() {
    let of = key("p", "s");
    let case = case(
        vec![image(1).stamp(&of).done(), image(2).stamp(&of).digest("app@sha256:0").done()],
        vec![build("a", &of, 9, &[])],
    );
    assert_eq!(case.steps(&leftovers()), [""; 0]);
    assert_eq!(case.kept(&leftovers()), [(1, KeptReason::Unrecorded), (2, KeptReason::Pulled)]);
}

#[test]
fn rule_1_the_first_door_is_the_named_session_of_which_the_ledger_knows_nothing() {
    let of = key("p", "job-7");
    let images = || {
        vec![
            image(1).stamp(&of).done(),
            image(2).stamp(&of).tag("app").done(),
            image(3).stamp(&of).digest("app@sha256:0").done(),
            image(4).stamp(&of).done(),
            image(5).stamp(&key("p", "other")).done(),
        ]
    };
    let named = Here { by_ci: true, ..here(of.clone()) };
    let open = Case { here: named.clone(), ..case(images(), vec![]) }.layers(1, &["a"]).layers(4, &["a", "b"]);
    let ends = CleanPolicy { scope: Scope::Session(of.clone()), ..end_of_session() };
    let stay =
        [(2, KeptReason::Unrecorded), (3, KeptReason::Pulled), (4, KeptReason::Inherited), (5, KeptReason::Unrecorded)];
    assert_eq!(open.steps(&ends), ["-1"]);
    assert_eq!(open.kept(&ends), stay);
    for can in [CONTAINERD, PODMAN] {
        let mut other = Case { here: named.clone(), ..case(images(), vec![]) };
        other.snapshot.engine.can = can;
        let other = other.layers(1, &["a"]).layers(4, &["a", "b"]);
        assert_eq!(other.steps(&ends), ["-1"], "{can:?}");
        assert_eq!(other.kept(&ends), stay, "a digest that stands alone was pulled by, there too: {can:?}");
    }
    let known = Case { here: named, ..case(images(), vec![build("a", &of, 9, &[])]) };
    assert_eq!(known.steps(&ends), [""; 0], "the ledger knows the session: it would know the image");
    let derived = Case { here: here(of.clone()), ..case(images(), vec![]) };
    assert_eq!(derived.steps(&ends), [""; 0], "nobody named the session");
    let of = key("p", "local-0a1b2c3d");
    let named = Here { by_ci: true, ..here(of.clone()) };
    let local = Case { here: named, ..case(vec![image(1).stamp(&of).done()], vec![]) };
    let ends = CleanPolicy { scope: Scope::Session(of), ..end_of_session() };
    assert_eq!(local.steps(&ends), [""; 0], "a working copy's session is never over, so its ledger is lost, not new");
}

#[test]
fn rule_1_the_second_door_is_opened_by_hand() {
    let of = key("p", "s");
    let case = case(
        vec![
            image(1).stamp(&of).done(),
            image(2).stamp(&of).digest("a@b").done(),
            image(3).stamp(&key("q", "s")).done(),
            image(4).stamp(&key("p", "t")).done(),
        ],
        vec![build("a", &of, 9, &[])],
    )
    .life(key("p", "t"), Life::Alive);
    assert_eq!(case.steps(&CleanPolicy { trust_stamp: true, ..leftovers() }), ["-1"]);
    let all = CleanPolicy { trust_stamp: true, scope: Scope::All, ..leftovers() };
    assert_eq!(case.steps(&all), [""; 0], "never with --all");
}

#[test]
fn rule_2_an_image_that_another_session_built_too_stays() {
    let (of, other) = (key("p", "s"), key("p", "t"));
    let case = case(
        vec![
            image(1).done(),
            image(2).tag("app").tag("other").done(),
            image(3).tag("both").done(),
            image(4).tag("app").done(),
        ],
        vec![
            build("a", &of, 1, &[]),
            build("b", &other, 1, &[]),
            build("g", &of, 4, &[]),
            Build { tags: vec![], ..build("h", &other, 4, &[]) },
            build("c", &of, 2, &[]),
            Build { tags: vec![reference("other")], ..build("d", &other, 2, &[]) },
            Build { tags: vec![reference("both")], ..build("e", &of, 3, &[]) },
            Build { tags: vec![reference("both")], ..build("f", &other, 3, &[]) },
        ],
    );
    let why = "the other session gave the third one's tag too, and with its last tag the fourth would go";
    assert_eq!(case.steps(&end_of_session()), ["untag 2 app:latest"], "{why}");
    let kept = [1, 2, 3, 4].map(|n| (n, KeptReason::OtherSession));
    assert_eq!(case.kept(&end_of_session()), kept);
    assert_eq!(case.steps(&leftovers()), ["-1"], "both are of the project");
}

#[test]
fn rule_2_what_a_cleaned_session_left_to_another_goes_with_that_one() {
    let (of, other) = (key("p", "s"), key("p", "t"));
    let images =
        || [1, 2].map(|n| image(n).parent(4).done()).into_iter().chain([image(3).done(), image(4).parent(3).done()]);
    let builds = |at| {
        let at = Timestamp::from_second(at).expect("a time");
        vec![Build { at, ..build("a", &of, 1, &[3, 4]) }, Build { at, ..build("b", &other, 2, &[3, 4]) }]
    };
    let end_of_other = CleanPolicy { scope: Scope::Session(other.clone()), ..end_of_session() };
    let mut case = case(images().collect(), builds(10));
    assert_eq!(case.steps(&end_of_session()), ["-1"]);
    assert_eq!(
        case.kept(&end_of_other),
        [(1, KeptReason::OtherSession), (3, KeptReason::OtherSession), (4, KeptReason::OtherSession)]
    );
    assert_eq!(case.plan(&leftovers()).left, [], "the project's sessions go on");
    let ends = case.plan(&end_of_session());
    assert!(
        ends.kept
            .iter()
            .filter(|kept| kept.id != id(2).to_string())
            .all(|kept| kept.holders == [crate::model::Holder::Maker(name("t"))]),
        "{ends:#?}"
    );
    let at = Timestamp::from_second(20).expect("a time");
    assert_eq!(crate::plan::over::left(&ends, at, |_| true), [], "it goes on");
    for record in crate::plan::over::left(&ends, at, |_| false) {
        case.books.apply(record);
    }
    case.snapshot.images.retain(|image| image.id != id(1));
    assert_eq!(case.steps(&end_of_other), ["-2", "-4", "-3"]);
    // A session that goes on has built it again.
    case.books.apply(Record::Build(Build {
        at: Timestamp::from_second(30).expect("a time"),
        build: crate::model::BuildId::parse("c").expect("an ID"),
        ..builds(30).remove(0)
    }));
    assert_eq!(case.steps(&end_of_other), ["-2"]);
}

#[test]
fn what_a_session_would_have_kept_anyhow_it_leaves_to_nobody() {
    let (of, other) = (key("p", "s"), key("p", "t"));
    let gave = |name: &str, of: &SessionKey, tags: &[&str]| Build {
        tags: tags.iter().map(|tag| reference(tag)).collect(),
        ..build(name, of, 1, &[])
    };
    let shared = |image: Image, ours: &[&str], theirs: &[&str]| {
        case(vec![image], vec![gave("a", &of, ours), gave("b", &other, theirs)])
    };
    let left = |case: &Case, policy: &CleanPolicy| case.plan(policy).left.len();
    let plain = || shared(image(1).done(), &[], &[]);
    let (end, keep_tagged) = (end_of_session(), CleanPolicy { tags: false, ..end_of_session() });
    assert_eq!((left(&plain(), &end), left(&plain(), &keep_tagged)), (1, 1));
    // Whose names it bears → how many sessions leave it: at the end, and where tags stay
    for (ours, theirs, bears, want) in [
        (&["app"][..], &["app"][..], &["app"][..], (1, 0)),
        (&["app"], &["b"], &["app", "b"], (1, 0)),
        (&["app"], &["b"], &["b"], (1, 0)),
        (&["app"], &["b"], &["app"], (0, 0)),
        (&["app"], &["b"], &["b", "strangers"], (0, 0)),
    ] {
        let image = bears.iter().fold(image(1), |image, tag| image.tag(tag)).done();
        let case = shared(image, ours, theirs);
        assert_eq!((left(&case, &end), left(&case, &keep_tagged)), want, "{ours:?} {theirs:?} {bears:?}");
    }
    let used = plain().containers(vec![container("c", 1, ContainerState::Exited)]);
    let mut needed = plain();
    needed.running = vec![RunningBuild { of: of.clone(), key: "k".to_owned(), tags: Vec::new() }];
    assert_eq!((left(&used, &end), left(&needed, &end)), (0, 0));
    let tagged = shared(image(1).tag("app").done(), &["app"], &["app"]);
    let asked = CleanPolicy { keep: vec![Pattern::new("app").expect("a pattern")], ..end_of_session() };
    let young = CleanPolicy { older_than: Some(Duration::from_secs(2_000_000)), ..end_of_session() };
    assert_eq!((left(&tagged, &asked), left(&tagged, &young)), (0, 0));
    let doubted =
        case(vec![image(1).done()], vec![Build { doubted: true, ..gave("a", &of, &[]) }, gave("b", &other, &[])]);
    assert_eq!(left(&doubted, &end), 0, "what is in doubt stays in doubt");
}

#[test]
fn rule_3_what_a_living_session_built_is_left_to_it() {
    let other = key("p", "t");
    let case = case(vec![image(1).done()], vec![build("a", &other, 1, &[])]).life(other, Life::Alive);
    assert_eq!(case.kept(&leftovers()), [(1, KeptReason::SessionAlive)]);
    let all = CleanPolicy { scope: Scope::All, ..leftovers() };
    assert_eq!(case.kept(&all), [(1, KeptReason::SessionAlive)]);
    let by_name = CleanPolicy { scope: Scope::Session(key("p", "t")), ..end_of_session() };
    assert_eq!(case.kept(&by_name), [(1, KeptReason::SessionAlive)]);
}

#[test]
fn rule_3_a_session_may_clean_itself_but_not_under_a_running_build() {
    let of = key("p", "s");
    let mut case = case(
        vec![image(1).done(), image(2).done()],
        vec![build("a", &of, 1, &[]), Build { key: "else".into(), tags: vec![], ..build("b", &of, 2, &[]) }],
    )
    .life(of.clone(), Life::Alive);
    assert_eq!(case.steps(&end_of_session()), ["-1", "-2"]);
    case.running = vec![RunningBuild { of, key: "k".to_owned(), tags: Vec::new() }];
    assert_eq!(case.steps(&end_of_session()), ["-2"]);
    assert_eq!(case.kept(&end_of_session()), [(1, KeptReason::BuildRunning)]);
}

#[test]
fn rule_4_what_a_container_uses_stays() {
    let of = key("p", "s");
    let states = [ContainerState::Running, ContainerState::Paused, ContainerState::Created, ContainerState::Exited];
    for state in states {
        let over = state.is_over();
        let case =
            case(vec![image(1).done()], vec![build("a", &of, 1, &[])]).containers(vec![container("x", 1, state)]);
        assert_eq!(case.kept(&leftovers()), [(1, KeptReason::InUse)]);
        let kept_containers = CleanPolicy { containers: false, ..end_of_session() };
        assert_eq!(case.kept(&kept_containers), [(1, KeptReason::InUse)]);
        let expected: &[&str] = if over { &["container x", "-1"] } else { &[] };
        assert_eq!(case.steps(&end_of_session()), expected);
    }
}

#[test]
fn rule_4_a_mounted_image_is_in_use_however_the_mount_names_it() {
    let of = key("p", "s");
    let digest = format!("app@sha256:{}", "0".repeat(64));
    for mount in [
        "app",
        "app:latest",
        "localhost/app",
        "library/app",
        "docker.io/library/app:latest",
        &digest,
        &id(1).to_string(),
        &id(1).short(),
    ] {
        let mut user = container("x", 8, ContainerState::Exited);
        user.image_mounts = vec![mount.to_owned()];
        let mut mounted = image(1).tag("app").done();
        mounted.beside.push(digest.clone());
        let case = case(vec![mounted], vec![build("a", &of, 1, &[])]).containers(vec![user]);
        assert_eq!(case.kept(&end_of_session()), [(1, KeptReason::InUse)], "{mount}");
    }
}

#[test]
fn rule_4_no_container_goes_for_an_image_that_stays() {
    let of = key("p", "s");
    let case = case(vec![image(1).tag("theirs").done()], vec![build("a", &of, 1, &[])]).containers(vec![container(
        "x",
        1,
        ContainerState::Exited,
    )]);
    assert_eq!(case.steps(&end_of_session()), [""; 0]);
}

#[test]
fn a_reason_to_go_is_the_one_there_is() {
    let of = key("p", "local-0a1b2c3d");
    let tagged = |n: u8, repository: &str| Build {
        tags: vec![reference(repository)],
        at: Timestamp::from_second(n.into()).expect("a time"),
        ..build(&n.to_string(), &of, n, &[])
    };
    let images = vec![
        image(1).tag("app:1").done(),
        image(2).tag("app:2").done(),
        image(3).tag("only").done(),
        image(4).tag("named").tag("theirs:1").done(),
        image(5).done(),
    ];
    let builds = vec![tagged(1, "app:1"), tagged(2, "app:2"), tagged(3, "only"), tagged(4, "named"), tagged(5, "gone")];
    let mut case = case(images, builds);
    let reasons = |case: &Case, policy: &CleanPolicy| {
        let mut found: Vec<_> =
            case.plan(policy).steps.iter().map(|step| (step.id()[7..9].to_owned(), step.reason)).collect();
        found.sort();
        found
    };
    let told =
        |of: [Reason; 5]| (1..).zip(of).map(|(n, reason): (u8, _)| (format!("{n:02}"), reason)).collect::<Vec<_>>();
    let by_tag = |reason| told([reason, reason, reason, reason, Reason::Leftover]);
    let asked = told([Reason::Outdated, Reason::Tagged, Reason::Tagged, Reason::Tagged, Reason::Leftover]);
    assert_eq!(reasons(&case, &CleanPolicy { tags: true, ..leftovers() }), asked);
    let whole = CleanPolicy { scope: Scope::Session(of.clone()), ..end_of_session() };
    assert_eq!(reasons(&case, &whole), by_tag(Reason::OfSession), "a working copy goes on");
    case.here = here(key("p", "next"));
    let dead = case.life(of, Life::Dead);
    let stale = CleanPolicy { scope: Scope::Stale { project: name("p") }, ..end_of_session() };
    assert_eq!(reasons(&dead, &stale), by_tag(Reason::SessionOver));
}

#[test]
fn rule_5_patterns_numbers_and_ages_only_narrow() {
    let of = key("p", "s");
    let at = |n: i64, second: i64, tag: &str| Build {
        at: Timestamp::from_second(second).expect("a time"),
        tags: vec![reference(tag)],
        ..build(&n.to_string(), &of, u8::try_from(n).expect("small"), &[])
    };
    let case = case(
        vec![
            image(1).tag("app:1").done(),
            image(2).tag("app:2").done(),
            image(3).tag("app:3").tag("tool:1").done(),
            image(4).tag("tool:2").done(),
            image(5).done(),
        ],
        vec![
            at(1, 10, "app:1"),
            at(2, 20, "app:2"),
            at(3, 30, "app:3"),
            at(3, 30, "tool:1"),
            at(4, 40, "tool:2"),
            at(5, 50, "app:3"),
        ],
    );
    // Build 3 was recorded under both names.
    let mut case = case;
    case.books.builds[3 - 1].tags.push(reference("app:3"));
    let tagged = CleanPolicy { tags: true, ..leftovers() };
    assert_eq!(case.steps(&tagged), ["-1", "-2", "-3", "-4", "-5"]);
    assert_eq!(case.steps(&CleanPolicy { keep_last: Some(1), ..tagged.clone() }), ["-1", "-2", "-5"]);
    assert_eq!(case.steps(&CleanPolicy { keep_last: Some(2), ..tagged.clone() }), ["-1", "-5"]);
    case.snapshot.images[2].tags = vec![reference("localhost/app:3")];
    assert_eq!(case.steps(&CleanPolicy { keep_last: Some(1), ..tagged.clone() }), ["-1", "-5"], "two repositories");
    case.snapshot.images[2].tags = vec![reference("app:3"), reference("tool:1")];
    let keep = vec![Pattern::new("tool:*").expect("a pattern")];
    assert_eq!(case.steps(&CleanPolicy { keep, ..tagged.clone() }), ["-1", "-2", "-5"]);
    let old = Some(Duration::from_secs(1_000_000 - 20));
    assert_eq!(case.steps(&CleanPolicy { older_than: old, ..tagged }), ["-1", "-2"]);
}

#[test]
fn rule_6_tags_go_only_where_tags_go_and_a_foreign_one_keeps_the_image() {
    let of = key("p", "s");
    let case = case(
        vec![
            image(1).tag("app").done(),
            image(2).tag("app:2").tag("theirs").done(),
            image(3).tag("theirs:3").done(),
            image(4).tag("docker.io/library/app:4").done(),
            image(5).tag("app:5").tag("localhost/app:5").done(),
            image(6).tag("localhost/app:6").done(),
        ],
        (1..=6)
            .map(|n| Build {
                tags: vec![reference(if n == 1 { "app".to_owned() } else { format!("app:{n}") }.as_str())],
                ..build(&n.to_string(), &of, n, &[])
            })
            .collect(),
    );
    assert_eq!(case.steps(&leftovers()), [""; 0]);
    assert_eq!(
        case.kept(&leftovers()),
        [
            (1, KeptReason::Tagged),
            (2, KeptReason::ForeignTag),
            (3, KeptReason::ForeignTag),
            (4, KeptReason::Tagged),
            (5, KeptReason::ForeignTag),
            (6, KeptReason::ForeignTag)
        ]
    );
    assert_eq!(case.steps(&end_of_session()), ["untag 2 app:2", "untag 5 app:5", "-1", "-4"]);
}

#[test]
fn rule_6_the_tag_that_tilt_adds_is_ours_under_tilt_only() {
    let of = key("p", "s");
    let images = || vec![image(1).tag("app:build-1").tag("app:tilt-0123").done()];
    let by = |tilt| vec![Build { tilt, tags: vec![reference("app:build-1")], ..build("a", &of, 1, &[]) }];
    assert_eq!(case(images(), by(true)).steps(&end_of_session()), ["-1"]);
    assert_eq!(case(images(), by(false)).steps(&end_of_session()), ["untag 1 app:build-1"]);
}

#[test]
fn rule_6_a_private_name_is_nobodys() {
    let of = key("p", "s");
    let mut left = image(1).done();
    left.tags.push(id(1).private_tag());
    let case = case(vec![left], vec![build("a", &of, 1, &[])]);
    assert_eq!(case.plan(&leftovers()).steps[0].deed, Deed::RemoveImage { id: id(1), guard: ImageGuard::Untagged });
}

#[test]
fn rule_6_dkbs_own_name_goes_where_others_hold_the_image_and_no_build_may_want_it() {
    let of = key("p", "s");
    let mut left = image(1).tag("theirs").done();
    left.tags.push(id(1).private_tag());
    let untag = format!("untag 1 {}", id(1).private_tag());
    let mut case = case(vec![left], vec![build("a", &of, 1, &[])]);
    assert_eq!(case.steps(&leftovers()), [untag]);
    case.running =
        vec![RunningBuild { of: key("q", "t"), key: "another".to_owned(), tags: vec![reference("another")] }];
    assert_eq!(case.steps(&leftovers()), [""; 0], "it may be about to take the tag");
    case.running.clear();
    let took =
        Build { took: vec![Taken { tag: reference("theirs"), from: id(1) }], ..build("b", &key("p", "t"), 7, &[]) };
    case.books.apply(Record::Build(took));
    assert_eq!(case.steps(&leftovers()), [""; 0], "a session that took the tag will give it back");
}

#[test]
fn rule_7_a_base_of_something_kept_stays_with_all_below_it() {
    let of = key("p", "s");
    let case = case(
        vec![image(1).done(), image(2).parent(1).done(), image(3).parent(2).tag("theirs").done()],
        vec![build("a", &of, 2, &[1])],
    );
    assert_eq!(case.kept(&leftovers()), [(1, KeptReason::Base), (2, KeptReason::Base)]);
    assert_eq!(case.plan(&leftovers()).kept[1].holders.len(), 1);
}

#[test]
fn rule_7_without_parents_the_layers_tell_and_versions_are_no_bases() {
    let of = key("p", "s");
    let child = image(3).tag("child").stamp(&of).done();
    let images = || vec![image(1).tag("base").stamp(&of).done(), child.clone()];
    let base = || Build { tags: vec![reference("base")], ..build("a", &of, 1, &[]) };
    let other = || Build { tags: vec![reference("child")], key: "other".into(), ..build("b", &of, 3, &[]) };
    let layered = |builds| case(images(), builds).layers(1, &["a"]).layers(3, &["a", "b"]);
    assert_eq!(layered(vec![base()]).kept(&end_of_session()), [(1, KeptReason::Base), (3, KeptReason::Inherited)]);
    let keep = || vec![Pattern::new("child").expect("a pattern")];
    let kept = layered(vec![base(), other()]).kept(&CleanPolicy { keep: keep(), ..end_of_session() });
    assert_eq!(kept, [(1, KeptReason::Base), (3, KeptReason::KeepPattern)]);
    let keep = vec![Pattern::new("child:1").expect("a pattern")];
    let kept = |of_base: &[(&str, &str)], of_child: (&str, &str)| {
        let built = |(n, image, (key, tags)): (usize, u8, (&str, &str))| Build {
            tags: tags.split_whitespace().map(reference).collect(),
            key: key.into(),
            ..build(&n.to_string(), &of, image, &[])
        };
        let builds = of_base.iter().map(|words| (1, *words)).chain([(3, of_child)]);
        let builds: Vec<Build> = builds.enumerate().map(|(n, (image, words))| built((n, image, words))).collect();
        let base = builds[0].tags.iter().fold(image(1), |base, tag| base.tag(tag.as_str())).done();
        let images = vec![base, image(3).tag("child:1").done()];
        let case = case(images, builds).layers(1, &["a"]).layers(3, &["a", "b"]);
        case.kept(&CleanPolicy { keep: keep.clone(), ..end_of_session() }).contains(&(1, KeptReason::Base))
    };
    let child = ("k", "child:1");
    assert!(!kept(&[("k", "child:0")], child), "the same Dockerfile, one version on");
    assert!(!kept(&[("k", "base child:0")], child), "under two names");
    assert!(kept(&[("k", "base")], child), "one Dockerfile for two repositories");
    assert!(kept(&[("other", "child:0")], child), "another Dockerfile");
    assert!(kept(&[("k~", "child:0")], ("k~", "child:1")), "two Dockerfiles on stdin");
    assert!(kept(&[("k", "child:0")], ("k~", "child:1")), "an argument may have named its base");
    assert!(kept(&[("k", "child:0"), ("other", "base")], child), "it has been made as another thing too");
    assert!(kept(&[("k", "child:0"), ("other", "")], child), "a build that named nothing says nothing");
}

#[test]
fn rule_8_a_taken_tag_goes_back_and_what_it_was_taken_from_waits_for_it() {
    let (of, other) = (key("p", "s"), key("p", "t"));
    let took = Build { took: vec![Taken { tag: reference("app"), from: id(7) }], ..build("a", &of, 1, &[]) };
    let images = || vec![image(1).tag("app").done(), image(7).done()];
    let foreign = case(images(), vec![took.clone()]);
    assert_eq!(foreign.steps(&end_of_session()), ["give 7 app:latest", "-1"]);
    let untagged = Deed::RemoveImage { id: id(1), guard: ImageGuard::Untagged };
    assert_eq!(foreign.plan(&end_of_session()).steps[1].deed, untagged, "its only name has gone back");
    let moved = case(vec![image(1).done(), image(7).done(), image(9).tag("app").done()], vec![took.clone()]);
    assert_eq!(moved.steps(&end_of_session()), ["-1"], "somebody has moved the tag since");
    let apart = vec![image(9).tag("localhost/app").done(), image(1).tag("app").done(), image(7).done()];
    let apart = case(apart, vec![took.clone()]);
    assert_eq!(apart.steps(&end_of_session()), ["give 7 app:latest", "-1"], "another name, whatever it looks like");
    let gone = case(vec![image(1).tag("app").done()], vec![took.clone()]);
    assert_eq!(gone.steps(&end_of_session()), ["-1"]);
    let dropped = Image { dropped: true, ..image(7).done() };
    let dropped = case(vec![image(1).tag("app").done(), dropped], vec![took.clone()]);
    assert_eq!(dropped.steps(&end_of_session()), ["-1"], "no name brings back what the engine has dropped");
    assert_eq!(foreign.steps(&CleanPolicy { tags: false, ..end_of_session() }), [""; 0], "--keep-tagged keeps it");

    let theirs = |life| {
        let mut case = case(images(), vec![build("b", &other, 7, &[]), took.clone()]).life(of.clone(), life);
        case.here.key = key("p", "third");
        case
    };
    assert_eq!(theirs(Life::Alive).kept(&leftovers()), [(1, KeptReason::SessionAlive), (7, KeptReason::Lent)]);
    assert_eq!(theirs(Life::Unowned).kept(&leftovers()), [(1, KeptReason::Tagged)]);
}

#[test]
fn rule_9_what_a_session_held_is_let_go_once_no_tag_can_come_back_to_it() {
    let (of, other) = (key("p", "s"), key("p", "t"));
    let end = end_of_session;
    let private = |image: Image| Image { tags: [image.tags.clone(), vec![image.id.private_tag()]].concat(), ..image };
    let took = |from| vec![Taken { tag: reference("app"), from: id(from) }];
    let holds = |key: &SessionKey, images: &[u8]| {
        let held = images.iter().copied().map(id).collect();
        Record::Session(SessionEntry { held, ..SessionEntry::new(key.clone(), Timestamp::UNIX_EPOCH) })
    };
    // Session s took app from 7 and gave it to 1; 7 is on a store that would have dropped it.
    let session = |images: Vec<Image>, builds: Vec<Build>| {
        let mut case = case(images, [vec![Build { took: took(7), ..build("a", &of, 1, &[]) }], builds].concat());
        case.books.apply(holds(&of, &[7]));
        case
    };
    let held = || private(image(7).done());
    let ours = || image(1).tag("app").done();
    let untag = format!("untag 7 {}", id(7).private_tag());

    assert_eq!(session(vec![ours(), held()], vec![]).steps(&end()), ["give 7 app:latest", "-1"]);
    let moved = || vec![image(1).done(), held(), image(9).tag("app").done()];
    assert_eq!(session(moved(), vec![]).steps(&end()), ["-1", "-7"], "its owner moved the tag on");
    assert_eq!(session(vec![image(1).done(), held()], vec![]).steps(&end()), ["-1", "-7"], "or took it off");
    let keep = vec![Pattern::new(&id(7).to_string()).expect("a pattern")];
    let meant = (session(moved(), vec![]), CleanPolicy { keep, ..end() });
    assert_eq!(meant.0.steps(&meant.1), ["-1"]);
    assert_eq!(meant.0.kept(&meant.1), [(7, KeptReason::KeepPattern)]);
    let named = vec![image(1).done(), private(image(7).tag("theirs").done()), image(9).tag("app").done()];
    assert_eq!(session(named, vec![]).steps(&end()), [&untag, "-1"]);
    let back = vec![image(1).done(), private(image(7).tag("app").done())];
    assert_eq!(session(back, vec![]).steps(&end()), [&untag, "-1"], "somebody gave it back by hand");

    // The session took the tag once more, from 8: 7 had lost it by then.
    let again = vec![Build { took: took(8), ..build("b", &of, 2, &[]) }];
    let mut twice = session(vec![image(1).done(), image(2).tag("app").done(), held(), private(image(8).done())], again);
    twice.books.apply(holds(&of, &[8]));
    assert_eq!(twice.steps(&end()), ["give 8 app:latest", "-1", "-2", "-7"]);

    // The tag stays where it is, for good or for now.
    let stays = || session(vec![ours(), held()], vec![]);
    let leaves_tags = CleanPolicy { tags: false, ..end() };
    assert_eq!(stays().steps(&leaves_tags), [""; 0], "a later clean gives the tag back");
    assert_eq!(stays().steps(&CleanPolicy { stops: true, ..leaves_tags }), ["-7"], "no one comes after its end");
    let keep = vec![Pattern::new("app").expect("a pattern")];
    assert_eq!(stays().steps(&CleanPolicy { keep, ..end() }), ["-7"]);
    assert_eq!(stays().steps(&CleanPolicy { older_than: Some(Duration::MAX), ..end() }), [""; 0]);
    let mut building = stays();
    building.running = vec![RunningBuild { of: of.clone(), key: "k".to_owned(), tags: Vec::new() }];
    assert_eq!(building.steps(&end()), [""; 0]);
    let mut building = session(moved(), vec![]);
    building.running = vec![RunningBuild { of: of.clone(), key: "other".to_owned(), tags: Vec::new() }];
    assert_eq!(building.steps(&end()), ["-1"], "it may have taken the tag and not said so yet");
    let lent_on = vec![Build { took: took(1), ..build("b", &other, 2, &[]) }];
    let lent_on = session(vec![image(1).done(), held(), image(2).tag("app").done()], lent_on);
    assert_eq!(lent_on.life(other.clone(), Life::Alive).steps(&end()), [""; 0], "to a living session, and back");

    // Others.
    let mut shared = session(moved(), vec![]);
    shared.books.apply(holds(&other, &[7]));
    assert_eq!(shared.steps(&end()), ["-1"], "another session holds it too");
    let container = || vec![container("x", 7, ContainerState::Exited)];
    let used = session(moved(), vec![]).containers(container());
    assert_eq!((used.steps(&end()), used.kept(&end())), (vec!["-1".to_owned()], vec![(7, KeptReason::InUse)]));
    assert_eq!(session(moved(), vec![build("b", &other, 7, &[])]).steps(&end()), ["-1"], "it has its own session");
    assert_eq!(session(moved(), vec![]).steps(&leftovers()), ["-1"], "the session has not ended");
    let nameless = vec![image(1).done(), image(7).done(), image(9).tag("app").done()];
    assert_eq!(session(nameless, vec![]).steps(&end()), ["-1"], "a store that needs no name of ours");
}

#[test]
fn rule_9_what_another_ledger_holds_is_left_to_it() {
    let (of, other) = (key("p", "s"), key("p", "t"));
    let (mine, theirs) = ('a', 'b');
    let end = end_of_session;
    // Session s took app from 7 and gave it to 1; 7 is on a store that would have dropped it.
    let session = |images: Vec<Image>| {
        let took = vec![Taken { tag: reference("app"), from: id(7) }];
        let mut case = case(images, vec![Build { took, ..build("a", &of, 1, &[]) }]);
        let entry = SessionEntry::new(of.clone(), Timestamp::UNIX_EPOCH);
        case.books.apply(Record::Session(SessionEntry { held: vec![id(7)], ..entry }));
        case.books.id = Some(ledger(mine));
        case
    };
    let held = |by: &[char]| by.iter().fold(image(7), |image, by| image.held(*by)).done();
    let ours = || image(1).tag("app").done();
    let moved = |held: Image| vec![image(1).done(), held, image(9).tag("app").done()];
    let untag = |n: u8, by: char| format!("untag {n} {}", id(n).hold(&ledger(by)));

    let back = session(vec![ours(), held(&[mine])]);
    assert_eq!(back.steps(&end()), ["give 7 app:latest", "-1"]);
    let holds = |step: &Step| matches!(&step.deed, Deed::GiveBack { hold: Some(name), .. } if *name == id(7).hold(&ledger(mine)));
    assert!(back.plan(&end()).steps.iter().any(holds));
    let gone = session(moved(held(&[mine])));
    assert_eq!(gone.steps(&end()), ["-1", "-7"]);
    let guard = |plan: &Plan| {
        plan.steps.iter().find(|step| step.removed_image() == Some(id(7))).map(|step| step.names().join(" "))
    };
    assert_eq!(guard(&gone.plan(&end())), Some(id(7).hold(&ledger(mine)).to_string()));

    // Another ledger's session holds it too, or alone.
    assert_eq!(session(moved(held(&[mine, theirs]))).steps(&end()), [&untag(7, mine), "-1"]);
    assert_eq!(session(moved(held(&[theirs]))).steps(&end()), ["-1"]);
    let mut unknown = session(moved(held(&[mine])));
    unknown.books.id = None;
    assert_eq!(unknown.steps(&end()), ["-1"], "a copy of the ledger");

    // It has taken the tag from our image: once it comes back here, it goes back to where we had it from.
    let lent_on = session(vec![image(1).held(theirs).done(), held(&[mine]), image(9).tag("app").done()]);
    assert_eq!(lent_on.steps(&end()), [""; 0]);
    assert_eq!(lent_on.kept(&end()), [(1, KeptReason::Lent)]);
    let plan = lent_on.plan(&end());
    assert!(plan.kept[0].holders[0].to_string().contains(&format!("docker image rm {}", id(1).hold(&ledger(theirs)))));
    assert_eq!(lent_on.kept(&leftovers()), [(1, KeptReason::Lent)]);
    let named = session(vec![image(1).tag("app").held(theirs).done()]);
    assert_eq!(named.steps(&end()), ["untag 1 app:latest"]);
    assert_eq!(named.kept(&end()), [(1, KeptReason::Lent)]);

    // Our own hold is no name by which a stranger knows it, but a session that is not over wants it.
    let own = || session(vec![image(1).held(mine).done()]);
    assert_eq!(own().steps(&leftovers()), ["-1"]);
    let mut waits = own();
    let entry = SessionEntry::new(other.clone(), Timestamp::UNIX_EPOCH);
    waits.books.apply(Record::Session(SessionEntry { held: vec![id(1)], ..entry }));
    assert_eq!(waits.life(other, Life::Alive).kept(&leftovers()), [(1, KeptReason::Lent)]);

    // And no stamp opens a door to what somebody holds.
    let stamped = |image: crate::model::image_tests::Draft| case(vec![image.stamp(&of).done()], Vec::new());
    let trusting = CleanPolicy { trust_stamp: true, ..leftovers() };
    assert_eq!(stamped(image(5)).steps(&trusting), ["-5"]);
    assert_eq!(stamped(image(5).held(theirs)).steps(&trusting), [""; 0]);
}

#[test]
fn stale_sessions_are_the_dead_the_former_of_the_slot_and_old_ci_ones() {
    let entry = |session: &str, ci: bool, slot: Option<&str>, last: i64| SessionEntry {
        last: Timestamp::from_second(last).expect("a time"),
        ci,
        slot: slot.map(name),
        ..SessionEntry::new(key("p", session), Timestamp::UNIX_EPOCH)
    };
    let now = 1_000_000;
    let entries = [
        (entry("dead", false, None, now), Life::Dead, true),
        (entry("alive", true, Some("slot"), 0), Life::Alive, false),
        (entry("former", true, Some("slot"), now - 601), Life::Unowned, true),
        (entry("just-now", true, Some("slot"), now - 599), Life::Unowned, false),
        (entry("runs", true, Some("slot"), now - 601), Life::Unowned, false),
        (entry("runs-for-hours", true, None, now - 7 * 3600), Life::Unowned, false),
        (entry("elsewhere", true, Some("other"), now - 601), Life::Unowned, false),
        (entry("old", true, None, now - 7 * 3600), Life::Unowned, true),
        (entry("young", true, None, now - 3600), Life::Unowned, false),
        (entry("local-12345678", false, None, 0), Life::Unowned, false),
        (entry("s", true, Some("slot"), 0), Life::Unowned, false),
    ];
    let cleaned = SessionEntry { cleaned: Some(Timestamp::MAX), ..entry("cleaned", true, None, 0) };
    let labelled = |name: &str, state| Container {
        labels: HashMap::from([(RUN_LABEL.to_owned(), format!("p:{name}"))]),
        ..container(name, 9, state)
    };
    let mut case = case(Vec::new(), Vec::new()).containers(vec![
        labelled("runs", ContainerState::Running),
        labelled("runs-for-hours", ContainerState::Paused),
        labelled("former", ContainerState::Exited),
    ]);
    case.here.slot = Some(name("slot"));
    case.books.apply(Record::Session(cleaned));
    for (entry, life, _) in &entries {
        case.books.apply(Record::Session(entry.clone()));
        case.lives.insert(entry.key.clone(), *life);
    }
    let policy = CleanPolicy { scope: Scope::Stale { project: name("p") }, ..end_of_session() };
    let look = CleanLook {
        lives: &case.lives,
        beats: &case.beats,
        at_work: &at_work(&case.snapshot, &case.books),
        layers: &case.layers,
        now: case.now,
        ..CleanLook::of(&case.snapshot, &case.books, &case.here)
    };
    let found: Vec<&str> = sessions(&look, &policy).map(|key| key.session.as_str()).collect();
    let mut expected: Vec<&str> =
        entries.iter().filter(|(.., stale)| *stale).map(|(entry, ..)| entry.key.session.as_str()).collect();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn what_a_session_built_that_is_not_over_is_told_with_why() {
    let ci = |session: &str, slot: Option<&str>, idle: i64| SessionEntry {
        ci: true,
        slot: slot.map(name),
        last: Timestamp::from_second(1_000_000 - idle).expect("a time"),
        ..SessionEntry::new(key("p", session), Timestamp::UNIX_EPOCH)
    };
    let ours = |session: &str| SessionEntry { ci: false, ..ci(session, None, 0) };
    let with = |after: u64| CleanPolicy {
        scope: Scope::Stale { project: name("p") },
        stale_after: Duration::from_secs(after),
        ..end_of_session()
    };
    for (entry, runs, stale_after, told) in [
        (ci("job", None, 12), false, 5400, "may_be_at_work job (built 12 seconds ago; over after 1h 30m)"),
        (ci("job", None, 700), false, 5400, "may_be_at_work job (built 11 minutes ago; over after 1h 30m)"),
        (ci("job", Some("slot"), 12), false, 5400, "may_be_at_work job (built 12 seconds ago; over after 10m)"),
        (
            ci("job", None, 12),
            false,
            1,
            "may_be_at_work job (built 12 seconds ago; over after 10m, whatever --stale-after says)",
        ),
        (ci("job", None, 9000), true, 5400, "may_be_at_work job (a container of it runs)"),
        (ours("run-7"), false, 1, "not_over run-7 (until somebody says so: dkb session end run-7)"),
        (ours("local-12345678"), false, 1, "not_over local-12345678 (a working copy, which has no end)"),
        (ours("s"), false, 1, "not_over s (this session)"),
    ] {
        let of = entry.key.clone();
        let state = if runs { ContainerState::Running } else { ContainerState::Exited };
        let container =
            Container { labels: HashMap::from([(RUN_LABEL.to_owned(), of.run_label())]), ..container("c", 9, state) };
        let images = vec![image(1).tag("app").done()];
        let mut case = case(images, vec![build("a", &of, 1, &[])]).containers(vec![container]);
        case.here.slot = Some(name("slot"));
        case.books.apply(Record::Session(entry));
        let plan = case.plan(&with(stale_after));
        assert_eq!(plan.steps, []);
        let kept =
            plan.kept.iter().map(|kept| format!("{} {}", snake(kept.reason), kept.holders[0])).collect::<Vec<_>>();
        assert_eq!(kept, [told]);
    }
}

fn snake(reason: KeptReason) -> String {
    let word = serde_json::to_value(reason).expect("a word");
    word.as_str().expect("a word").to_owned()
}

#[test]
fn a_checkout_that_calls_itself_a_project_cleans_what_it_built_itself() {
    let in_copies = |session: &str, copies: &[&str]| {
        let copies = copies.iter().map(|copy| name(copy)).collect();
        Record::Session(SessionEntry { copies, ..SessionEntry::new(key("p", session), Timestamp::UNIX_EPOCH) })
    };
    let sessions = ["local-00000001", "local-00000002", "here", "there", "both", "before"];
    let images = (1..=6).map(|n| image(n).tag("app").done()).collect();
    let builds = (1..).zip(sessions).map(|(n, session)| build(session, &key("p", session), n, &[])).collect();
    let mut case = case(images, builds);
    case.here = here(key("p", "local-00000001"));
    case.books.apply(in_copies("here", &["local-00000001"]));
    case.books.apply(in_copies("there", &["local-00000002"]));
    case.books.apply(in_copies("both", &["local-00000001", "local-00000002"]));
    let tagged = CleanPolicy { tags: true, ..leftovers() };
    assert_eq!(case.kept(&tagged), [], "the user has said which project it is");
    case.here.vouched = false;
    let others = [2, 4, 5, 6].map(|n| (n, KeptReason::OtherCopy));
    assert_eq!(case.kept(&tagged), others);
    assert_eq!(case.kept(&leftovers())[1], others[0]);
    let session = |name| CleanPolicy { scope: Scope::Session(key("p", name)), ..end_of_session() };
    assert_eq!(case.steps(&session("there")), [""; 0]);
    assert_eq!(case.steps(&session("here")), ["-3"]);
    // A name that is given to a session may be one that others gave too; a CI job's own is not.
    case.here.key = key("p", "there");
    assert_eq!(case.steps(&session("there")), [""; 0]);
    case.here.alone = true;
    assert_eq!(case.steps(&session("there")), ["-4"]);
    // What somebody has opened elsewhere may have something there that nobody has noted.
    let mut open = |session: &str, copies: &[&str], made| {
        let copies = copies.iter().map(|copy| name(copy)).collect();
        case.opened.insert(key("p", session), Opening { since: Timestamp::UNIX_EPOCH, copies, made });
        case.steps(&CleanPolicy { scope: Scope::Session(key("p", session)), ..end_of_session() })
    };
    assert_eq!(open("here", &["local-00000002"], false), [""; 0]);
    assert_eq!(open("here", &["local-00000001"], false), ["-3"]);
    // One whose name dkb made up is all of whoever opened it, wherever it was at work.
    assert_eq!(open("both", &["local-00000001"], false), [""; 0]);
    assert_eq!(open("both", &["local-00000002"], true), [""; 0]);
    assert_eq!(open("both", &["local-00000001"], true), ["-5"]);
    assert_eq!(case.kept(&CleanPolicy { scope: Scope::All, ..tagged }), [], "whoever says all means all");
}

#[test]
fn what_somebody_else_keeps_open_is_not_ours_to_take() {
    let of = key("p", "s");
    let mut case =
        case(vec![image(1).done(), image(2).tag("app").done()], vec![build("a", &of, 1, &[]), build("b", &of, 2, &[])])
            .life(of, Life::Alive);
    for policy in [leftovers(), end_of_session(), CleanPolicy { scope: Scope::All, ..leftovers() }] {
        case.here.shared = false;
        assert!(case.steps(&policy).contains(&"-1".to_owned()), "{policy:?}");
        case.here.shared = true;
        assert_eq!(case.steps(&policy), [""; 0], "{policy:?}");
        assert_eq!(case.kept(&policy), [(1, KeptReason::SessionAlive), (2, KeptReason::SessionAlive)], "{policy:?}");
    }
}

#[test]
fn a_tag_goes_back_past_all_the_sessions_that_end() {
    // X is image 9; A, B and C took its tag one after the other.
    let [a, b, c] = ["a", "b", "c"].map(|session| key("p", session));
    let stale = || CleanPolicy { scope: Scope::Stale { project: name("p") }, tags: true, ..leftovers() };
    let of = |key: &SessionKey| CleanPolicy { scope: Scope::Session(key.clone()), ..stale() };
    let host = |holder: u8| {
        let tagged = |n: u8| {
            let image = image(n);
            let image = if n == holder { image.tag("app:dev") } else { image };
            if n == 9 { image.tag(id(9).private_tag().as_str()).done() } else { image.done() }
        };
        let took = |n: u8, key: &SessionKey, from: u8| Build {
            took: vec![Taken { tag: reference("app:dev"), from: id(from) }],
            tags: vec![reference("app:dev")],
            ..build(key.session.as_str(), key, n, &[])
        };
        let mut case = case([1, 2, 3, 9].map(tagged).to_vec(), vec![took(1, &a, 9), took(2, &b, 1), took(3, &c, 2)]);
        if let Some(entry) = case.books.sessions.get_mut(&a) {
            entry.held.push(id(9));
        }
        case.here = here(key("p", "next"));
        case
    };
    let (dead, alive) = (Life::Dead, Life::Alive);
    // Two that died: the third still has the tag, and all that it came by waits.
    let waits = host(3).life(a.clone(), dead).life(b.clone(), dead).life(c.clone(), alive);
    assert_eq!(waits.steps(&stale()), [""; 0]);
    let lent = [(1, KeptReason::Lent), (2, KeptReason::Lent), (3, KeptReason::SessionAlive)];
    assert_eq!(waits.kept(&stale()), lent);
    // A is ended while B is over but for its loan.
    let waits = host(3).life(b.clone(), dead).life(c.clone(), alive);
    assert_eq!(waits.steps(&of(&a)), [""; 0]);
    // And once C has given it back, and B has still to.
    assert_eq!(host(2).life(b.clone(), dead).steps(&of(&a)), [""; 0]);
    // All of them at once, and what is left of them once C has given it back to B.
    let all = host(3).life(a.clone(), dead).life(b.clone(), dead).life(c.clone(), dead);
    assert_eq!(all.steps(&stale())[0], "give 9 app:dev");
    let two = host(2).life(a.clone(), dead).life(b.clone(), dead);
    assert_eq!(two.steps(&stale())[0], "give 9 app:dev");
    // C alone ends: past those that died, who would only give it on, to one that goes on, or to what all had it from.
    let of_c = |a_is: Life| host(3).life(a.clone(), a_is).life(b.clone(), dead);
    assert_eq!(of_c(alive).steps(&of(&c)), ["give 1 app:dev", "-3"]);
    assert_eq!(of_c(dead).steps(&of(&c)), ["give 9 app:dev", "-3"]);
    // Where that is gone, the last who had it keeps it.
    let mut gone = of_c(dead);
    gone.snapshot.images.retain(|image| image.id != id(9));
    assert_eq!(gone.steps(&of(&c)), ["give 2 app:dev", "-3"]);
    let kept_or_given = |plan: &Plan| plan.steps.iter().all(|step| step.removed_image() != Some(id(9)));
    assert!(kept_or_given(&all.plan(&stale())) && kept_or_given(&two.plan(&stale())));
}

/// By the cache somebody else's build may end in a step of ours, and give that a name of his own: be it the one that our
/// build gave to what it ended in.
#[test]
fn a_build_gives_its_names_to_what_it_ends_in_alone() {
    let of = key("p", "s");
    let made = [build("1", &of, 1, &[2]), Build { result: None, ok: false, ..build("2", &of, 0, &[3]) }];
    for n in [2, 3] {
        let images = vec![image(1).done(), image(n).tag("app").done()];
        let mut theirs = case(images, made.to_vec());
        let runs = Container { image_name: "app".to_owned(), ..container("theirs", n, ContainerState::Running) };
        for containers in [vec![], vec![runs]] {
            let reason = if containers.is_empty() { KeptReason::ForeignTag } else { KeptReason::InUse };
            theirs.snapshot.containers = containers;
            let stops = CleanPolicy { stops: true, ..end_of_session() };
            for policy in [end_of_session(), stops, CleanPolicy { tags: true, ..leftovers() }] {
                let goes = theirs.steps(&policy);
                assert!(!goes.iter().any(|step| step.contains(&n.to_string()) || step.contains("theirs")), "{goes:?}");
                assert!(theirs.kept(&policy).contains(&(n, reason)), "{n} {policy:?}");
            }
        }
    }
}

/// The owner of a tag that the session took has built anew, by the cache, and ended in one of our steps.
#[test]
fn a_tag_on_a_step_of_ours_is_not_given_back() {
    let of = key("p", "s");
    let took = Build { took: vec![Taken { tag: reference("app"), from: id(7) }], ..build("1", &of, 1, &[2]) };
    let theirs = case(vec![image(1).done(), image(2).tag("app").done(), image(7).done()], vec![took]);
    let plan = theirs.plan(&end_of_session());
    assert!(plan.steps.iter().all(|step| !matches!(step.deed, Deed::GiveBack { .. })), "{plan:#?}");
    assert!(theirs.kept(&end_of_session()).contains(&(2, KeptReason::ForeignTag)));
}

/// A step is as old as what it is a step of, and what somebody calls it is no version of ours.
#[test]
fn the_newest_by_number_are_those_that_our_builds_named() {
    let of = key("p", "s");
    for step in [2, 9] {
        let images = vec![image(5).tag("app:1").done(), image(step).tag("app:plain").done()];
        let tags = vec![reference("app:1")];
        let named = case(images, vec![Build { tags, ..build("1", &of, 5, &[step]) }]);
        let last = CleanPolicy { tags: true, keep_last: Some(1), ..leftovers() };
        assert_eq!(named.steps(&last), [""; 0], "{step}");
        assert!(named.kept(&last).contains(&(5, KeptReason::KeepLast)), "{step}");
    }
}

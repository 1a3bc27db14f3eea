//! A small host for each rule. What goes is named by the number of its image, what is kept by its reason.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::engine::capabilities::{CONTAINERD, PODMAN};
use crate::model::books_tests::{build, id, key};
use crate::model::image_tests::{container, host, image};
use crate::model::{Books, Life, Name, Opening, Pattern, Reference, Scope, SessionEntry, SessionKey, Snapshot, ledger};
use crate::model::{Build, Container, ContainerState, Deed, Image, ImageGuard, RUN_LABEL, Record, RunningBuild, Taken};

mod compose;
mod doubted;
mod loans;
mod names;
mod sessions;
mod sharing;

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
        compose: None,
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
        mounts: None,
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

/// A checkout may call itself any project.
#[test]
fn rule_1_a_stamp_that_no_book_knows_is_believed_here_or_where_the_project_is_named() {
    let trusting = CleanPolicy { trust_stamp: true, ..leftovers() };
    let steps = |session: &str, vouched: bool| {
        let mut case = case(vec![image(1).stamp(&key("p", session)).done()], vec![]);
        case.here.vouched = vouched;
        case.here.copy = Name::derived("local-here").expect("a name");
        case.steps(&trusting)
    };
    assert_eq!(steps("run-of-others", false), [""; 0]);
    assert_eq!(steps("local-there", false), [""; 0]);
    assert_eq!(steps("local-here", false), ["-1"]);
    assert_eq!(steps("local-there", true), ["-1"]);
}

#[test]
fn rule_4_what_a_living_session_built_is_left_to_it() {
    let other = key("p", "t");
    let case = case(vec![image(1).done()], vec![build("a", &other, 1, &[])]).life(other, Life::Alive);
    assert_eq!(case.kept(&leftovers()), [(1, KeptReason::SessionAlive)]);
    let all = CleanPolicy { scope: Scope::All, ..leftovers() };
    assert_eq!(case.kept(&all), [(1, KeptReason::SessionAlive)]);
    let by_name = CleanPolicy { scope: Scope::Session(key("p", "t")), ..end_of_session() };
    assert_eq!(case.kept(&by_name), [(1, KeptReason::SessionAlive)]);
}

#[test]
fn rule_4_a_session_may_clean_itself_but_not_under_a_running_build() {
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
fn rule_5_what_a_container_uses_stays() {
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
fn rule_5_a_mounted_image_is_in_use_however_the_mount_names_it() {
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
fn rule_5_no_container_goes_for_an_image_that_stays() {
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
fn rule_6_patterns_numbers_and_ages_only_narrow() {
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
fn rule_8_a_base_of_something_kept_stays_with_all_below_it() {
    let of = key("p", "s");
    let case = case(
        vec![image(1).done(), image(2).parent(1).done(), image(3).parent(2).tag("theirs").done()],
        vec![build("a", &of, 2, &[1])],
    );
    assert_eq!(case.kept(&leftovers()), [(1, KeptReason::Base), (2, KeptReason::Base)]);
    assert_eq!(case.plan(&leftovers()).kept[1].holders.len(), 1);
}

#[test]
fn rule_8_without_parents_the_layers_tell_and_versions_are_no_bases() {
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

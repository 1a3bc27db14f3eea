//! A small host for each rule. What goes is named by the number of its image, what is kept by its reason.

use super::*;
use crate::model::books_tests::{build, id, key};
use crate::model::image_tests::{container, host, image};
use crate::model::{Action, Build, Container, ContainerState, Guard, Image, Kind, Record, Taken};

struct Case {
    snapshot: Snapshot,
    books: Books,
    lives: HashMap<SessionKey, Life>,
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
fn leftovers() -> Policy {
    Policy {
        scope: Scope::Project(name("p")),
        tags: false,
        containers: false,
        keep: Vec::new(),
        keep_last: None,
        older_than: None,
        stale_after: Duration::from_secs(6 * 3600),
        trust_stamp: false,
    }
}

/// A policy that ends session `s` of project `p`.
fn end_of_session() -> Policy {
    Policy { scope: Scope::Session(key("p", "s")), tags: true, containers: true, ..leftovers() }
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
        running: Vec::new(),
        layers: Layers::new(),
        here: Here { key: key("p", "s"), named: false, slot: None },
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

    fn plan(&self, policy: &Policy) -> Plan {
        let look = Look {
            snapshot: &self.snapshot,
            books: &self.books,
            lives: &self.lives,
            running: &self.running,
            layers: &self.layers,
            here: &self.here,
            now: self.now,
        };
        plan(&look, policy)
    }

    /// The plan in words: `-1` an image that goes, `untag 1 app:latest`, `give 1 app:latest`, `container x`.
    fn steps(&self, policy: &Policy) -> Vec<String> {
        let number = |id: &str| u8::from_str_radix(&id[7..9], 16).expect("a number");
        self.plan(policy)
            .steps
            .iter()
            .map(|step| match (step.action, step.kind) {
                (Action::Remove, Kind::Container) => format!("container {}", step.names[0]),
                (Action::Remove, _) => format!("-{}", number(&step.id)),
                (Action::Untag, _) => format!("untag {} {}", number(&step.id), step.names[0]),
                (Action::GiveBack, _) => format!("give {} {}", number(&step.id), step.names[0]),
                (Action::Stop, _) => format!("stop {}", step.names[0]),
            })
            .collect()
    }

    fn kept(&self, policy: &Policy) -> Vec<(u8, KeptReason)> {
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
    let named = Here { key: of.clone(), named: true, slot: None };
    let open = Case { here: named.clone(), ..case(images(), vec![]) }.layers(1, &["a"]).layers(4, &["a", "b"]);
    let ends = Policy { scope: Scope::Session(of.clone()), ..end_of_session() };
    assert_eq!(open.steps(&ends), ["-1"]);
    assert_eq!(
        open.kept(&ends),
        [(2, KeptReason::Unrecorded), (3, KeptReason::Pulled), (4, KeptReason::Inherited), (5, KeptReason::Unrecorded)]
    );
    let mut containerd =
        Case { here: named.clone(), ..case(images(), vec![]) }.layers(1, &["a"]).layers(4, &["a", "b"]);
    containerd.snapshot.engine.containerd_store = true;
    assert_eq!(containerd.steps(&ends), ["-1"], "what has a digest there may have been pulled by it");
    let known = Case { here: named, ..case(images(), vec![build("a", &of, 9, &[])]) };
    assert_eq!(known.steps(&ends), [""; 0], "the ledger knows the session: it would know the image");
    let derived = Case { here: Here { key: of.clone(), named: false, slot: None }, ..case(images(), vec![]) };
    assert_eq!(derived.steps(&ends), [""; 0], "nobody named the session");
    let of = key("p", "local-0a1b2c3d");
    let named = Here { key: of.clone(), named: true, slot: None };
    let local = Case { here: named, ..case(vec![image(1).stamp(&of).done()], vec![]) };
    let ends = Policy { scope: Scope::Session(of), ..end_of_session() };
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
    assert_eq!(case.steps(&Policy { trust_stamp: true, ..leftovers() }), ["-1"]);
    let all = Policy { trust_stamp: true, scope: Scope::All, ..leftovers() };
    assert_eq!(case.steps(&all), [""; 0], "never with --all");
}

#[test]
fn rule_2_an_image_that_another_session_built_too_stays() {
    let (of, other) = (key("p", "s"), key("p", "t"));
    let case = case(
        vec![image(1).done(), image(2).tag("app").done(), image(3).tag("both").done()],
        vec![
            build("a", &of, 1, &[]),
            build("b", &other, 1, &[]),
            build("c", &of, 2, &[]),
            Build { tags: vec![reference("other")], ..build("d", &other, 2, &[]) },
            Build { tags: vec![reference("both")], ..build("e", &of, 3, &[]) },
            Build { tags: vec![reference("both")], ..build("f", &other, 3, &[]) },
        ],
    );
    assert_eq!(case.steps(&end_of_session()), ["untag 2 app:latest"], "the other session gave the last one's tag too");
    let kept = [1, 2, 3].map(|n| (n, KeptReason::OtherSession));
    assert_eq!(case.kept(&end_of_session()), kept);
    assert_eq!(case.steps(&leftovers()), ["-1"], "both are of the project");
}

#[test]
fn rule_3_what_a_living_session_built_is_left_to_it() {
    let other = key("p", "t");
    let case = case(vec![image(1).done()], vec![build("a", &other, 1, &[])]).life(other, Life::Alive);
    assert_eq!(case.kept(&leftovers()), [(1, KeptReason::SessionAlive)]);
    let all = Policy { scope: Scope::All, ..leftovers() };
    assert_eq!(case.kept(&all), [(1, KeptReason::SessionAlive)]);
    let by_name = Policy { scope: Scope::Session(key("p", "t")), ..end_of_session() };
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
        let kept_containers = Policy { containers: false, ..end_of_session() };
        assert_eq!(case.kept(&kept_containers), [(1, KeptReason::InUse)]);
        let expected: &[&str] = if over { &["container x", "-1"] } else { &[] };
        assert_eq!(case.steps(&end_of_session()), expected);
    }
}

#[test]
fn rule_4_a_mounted_image_is_in_use_however_the_mount_names_it() {
    let of = key("p", "s");
    for mount in ["app", "app:latest", &id(1).to_string(), &id(1).short()] {
        let mut user = container("x", 8, ContainerState::Exited);
        user.image_mounts = vec![mount.to_owned()];
        let case = case(vec![image(1).tag("app").done()], vec![build("a", &of, 1, &[])]).containers(vec![user]);
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
    let tagged = Policy { tags: true, ..leftovers() };
    assert_eq!(case.steps(&tagged), ["-1", "-2", "-3", "-4", "-5"]);
    assert_eq!(case.steps(&Policy { keep_last: Some(1), ..tagged.clone() }), ["-1", "-2", "-5"]);
    assert_eq!(case.steps(&Policy { keep_last: Some(2), ..tagged.clone() }), ["-1", "-5"]);
    let keep = vec![Pattern::new("tool:*").expect("a pattern")];
    assert_eq!(case.steps(&Policy { keep, ..tagged.clone() }), ["-1", "-2", "-5"]);
    let old = Some(Duration::from_secs(1_000_000 - 20));
    assert_eq!(case.steps(&Policy { older_than: old, ..tagged }), ["-1", "-2"]);
}

#[test]
fn rule_6_tags_go_only_where_tags_go_and_a_foreign_one_keeps_the_image() {
    let of = key("p", "s");
    let case = case(
        vec![
            image(1).tag("app").done(),
            image(2).tag("app:2").tag("theirs").done(),
            image(3).tag("theirs:3").done(),
            image(4).tag("localhost/app:4").done(),
        ],
        (1..=4)
            .map(|n| Build {
                tags: vec![reference(if n == 1 { "app".to_owned() } else { format!("app:{n}") }.as_str())],
                ..build(&n.to_string(), &of, n, &[])
            })
            .collect(),
    );
    assert_eq!(case.steps(&leftovers()), [""; 0]);
    assert_eq!(
        case.kept(&leftovers()),
        [(1, KeptReason::Tagged), (2, KeptReason::ForeignTag), (3, KeptReason::ForeignTag), (4, KeptReason::Tagged)]
    );
    assert_eq!(case.steps(&end_of_session()), ["untag 2 app:2", "-1", "-4"]);
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
    assert_eq!(case.plan(&leftovers()).steps[0].guard, Guard::Untagged);
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
    let kept = layered(vec![base(), other()]).kept(&Policy { keep: keep(), ..end_of_session() });
    assert_eq!(kept, [(1, KeptReason::Base), (3, KeptReason::KeepPattern)]);
    let version = Build { key: "k".into(), ..other() };
    let kept = layered(vec![base(), version]).kept(&Policy { keep: keep(), ..end_of_session() });
    assert_eq!(kept, [(3, KeptReason::KeepPattern)], "the same Dockerfile, one version on");
}

#[test]
fn rule_8_a_taken_tag_goes_back_and_what_it_was_taken_from_waits_for_it() {
    let (of, other) = (key("p", "s"), key("p", "t"));
    let took = Build { took: vec![Taken { tag: reference("app"), from: id(7) }], ..build("a", &of, 1, &[]) };
    let images = || vec![image(1).tag("app").done(), image(7).done()];
    let foreign = case(images(), vec![took.clone()]);
    assert_eq!(foreign.steps(&end_of_session()), ["give 7 app:latest", "-1"]);
    assert_eq!(foreign.plan(&end_of_session()).steps[1].guard, Guard::Untagged, "its only name has gone back");
    let moved = case(vec![image(1).done(), image(7).done(), image(9).tag("app").done()], vec![took.clone()]);
    assert_eq!(moved.steps(&end_of_session()), ["-1"], "somebody has moved the tag since");
    let gone = case(vec![image(1).tag("app").done()], vec![took.clone()]);
    assert_eq!(gone.steps(&end_of_session()), ["-1"]);
    assert_eq!(foreign.steps(&Policy { tags: false, ..end_of_session() }), [""; 0], "--keep-tagged keeps it");

    let theirs = |life| {
        let mut case = case(images(), vec![build("b", &other, 7, &[]), took.clone()]).life(of.clone(), life);
        case.here.key = key("p", "third");
        case
    };
    assert_eq!(theirs(Life::Alive).kept(&leftovers()), [(1, KeptReason::SessionAlive), (7, KeptReason::Lent)]);
    assert_eq!(theirs(Life::Unowned).kept(&leftovers()), [(1, KeptReason::Tagged)]);
}

#[test]
fn stale_sessions_are_the_dead_the_former_of_the_slot_and_old_ci_ones() {
    let entry = |session: &str, ci: bool, slot: Option<&str>, last: i64| SessionEntry {
        key: key("p", session),
        first: Timestamp::UNIX_EPOCH,
        last: Timestamp::from_second(last).expect("a time"),
        ci,
        slot: slot.map(name),
        cleaned: None,
        took: Vec::new(),
    };
    let now = 1_000_000;
    let entries = [
        (entry("dead", false, None, now), Life::Dead, true),
        (entry("alive", true, Some("slot"), 0), Life::Alive, false),
        (entry("former", true, Some("slot"), now - 5), Life::Unowned, true),
        (entry("elsewhere", true, Some("other"), now - 5), Life::Unowned, false),
        (entry("old", true, None, now - 7 * 3600), Life::Unowned, true),
        (entry("young", true, None, now - 3600), Life::Unowned, false),
        (entry("local-12345678", false, None, 0), Life::Unowned, false),
        (entry("s", true, Some("slot"), 0), Life::Unowned, false),
    ];
    let cleaned = SessionEntry { cleaned: Some(Timestamp::MAX), ..entry("cleaned", true, None, 0) };
    let mut case = case(Vec::new(), Vec::new());
    case.here.slot = Some(name("slot"));
    case.books.apply(Record::Session(cleaned));
    for (entry, life, _) in &entries {
        case.books.apply(Record::Session(entry.clone()));
        case.lives.insert(entry.key.clone(), *life);
    }
    let policy = Policy { scope: Scope::Stale(name("p")), ..end_of_session() };
    let look = Look {
        snapshot: &case.snapshot,
        books: &case.books,
        lives: &case.lives,
        running: &[],
        layers: &case.layers,
        here: &case.here,
        now: case.now,
    };
    let found: Vec<&str> = sessions(&look, &policy).map(|key| key.session.as_str()).collect();
    let mut expected: Vec<&str> =
        entries.iter().filter(|(.., stale)| *stale).map(|(entry, ..)| entry.key.session.as_str()).collect();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

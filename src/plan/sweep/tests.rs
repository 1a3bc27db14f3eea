//! A small host for each rule. What goes is named by kind and name, what is kept by its reason.

use std::time::Duration;

use super::*;
use crate::model::RunningBuild;
use crate::model::books_tests::{build, id, key, with_a_line_lost};
use crate::model::image_tests::{container, host, image};
use crate::model::{
    Books, CacheRecord, Ended, ImageId, KeptReason, Kind, KnownBuilders, LabelFilter, Life, Network, Pattern,
    SessionKey, Snapshot, Volume, node_of,
};
use crate::model::{Container, ContainerState, Image, Record, SessionEntry, ledger};

mod model;

const DAY: i64 = 86_400;
/// Long after 2000, so that dates are credible.
const NOW: i64 = 1_800_000_000;

fn ago(seconds: i64) -> Timestamp {
    Timestamp::from_second(NOW - seconds).expect("a time")
}

struct Case {
    snapshot: Snapshot,
    ended: HashMap<String, Ended>,
    volumes: Vec<Volume>,
    builders: KnownBuilders,
    networks: Vec<Network>,
    cache: Vec<CacheRecord>,
    layers: HashMap<ImageId, Vec<String>>,
    tagged: HashMap<ImageId, Timestamp>,
    first_seen: HashMap<ImageId, Timestamp>,
    books: Books,
    lives: HashMap<SessionKey, Life>,
    running: Vec<RunningBuild>,
}

/// The defaults, but with the volumes.
fn policy() -> SweepPolicy {
    SweepPolicy {
        containers: true,
        images: true,
        volumes: true,
        builder_state: false,
        networks: true,
        cache: true,
        all_images: false,
        until: Duration::from_secs(86_400),
        filter: vec![LabelFilter::parse("label!=keep=true").expect("a filter")],
        keep: Vec::new(),
        keep_last: None,
        cache_keep: None,
        cache_until: Duration::from_secs(86_400),
        need: None,
        unused_since: None,
    }
}

fn all_images() -> SweepPolicy {
    SweepPolicy { all_images: true, ..policy() }
}

fn aged(mut image: Image, seconds: i64) -> Image {
    image.created = NOW - seconds;
    image
}

fn dangling(n: u8) -> Image {
    aged(image(n).done(), 2 * DAY)
}

fn tagged(n: u8, tag: &str) -> Image {
    aged(image(n).tag(tag).done(), 2 * DAY)
}

fn volume(name: &str) -> Volume {
    let created = Some(ago(2 * DAY));
    Volume { name: name.to_owned(), driver: "local".to_owned(), created, labels: HashMap::new(), size: Some(10) }
}

fn network(name: &str) -> Network {
    Network {
        id: format!("{name}-id"),
        name: name.to_owned(),
        driver: "bridge".to_owned(),
        scope: "local".to_owned(),
        created: Some(ago(2 * DAY)),
        labels: HashMap::new(),
    }
}

fn record(id: &str, parents: &[&str], idle: i64) -> CacheRecord {
    CacheRecord {
        id: id.to_owned(),
        parents: parents.iter().map(ToString::to_string).collect(),
        kind: "regular".to_owned(),
        in_use: false,
        shared: false,
        size: 10,
        created: Some(ago(9 * DAY)),
        last_used: Some(ago(idle)),
        ..CacheRecord::default()
    }
}

fn case(images: Vec<Image>, containers: Vec<Container>) -> Case {
    let ended = containers.iter().map(|c| (c.id.clone(), Ended { at: Some(ago(2 * DAY)), written: 1 })).collect();
    Case {
        snapshot: host(images, containers),
        ended,
        volumes: Vec::new(),
        builders: KnownBuilders::default(),
        networks: Vec::new(),
        cache: Vec::new(),
        layers: HashMap::new(),
        tagged: HashMap::new(),
        first_seen: HashMap::new(),
        books: Books::default(),
        lives: HashMap::new(),
        running: Vec::new(),
    }
}

fn labelled(key: &str, value: &str) -> HashMap<String, String> {
    HashMap::from([(key.to_owned(), value.to_owned())])
}

impl Case {
    fn look(&self) -> SweepLook<'_> {
        SweepLook {
            snapshot: &self.snapshot,
            ended: &self.ended,
            volumes: &self.volumes,
            builders: &self.builders,
            networks: &self.networks,
            cache: &self.cache,
            layers: &self.layers,
            tagged: &self.tagged,
            first_seen: &self.first_seen,
            books: &self.books,
            lives: &self.lives,
            running: &self.running,
            now: ago(0),
        }
    }

    fn plan(&self, policy: &SweepPolicy) -> Plan {
        let plan = plan(&self.look(), policy).plan;
        let seen = |kind: Kind, n: usize| if policy.takes(kind) { n } else { 0 };
        let all = seen(Kind::Container, self.snapshot.containers.len())
            + seen(Kind::Image, self.snapshot.images.len())
            + seen(Kind::Volume, self.volumes.len())
            + seen(Kind::BuilderState, self.states(policy))
            + seen(Kind::Network, self.networks.len())
            + seen(Kind::BuildCache, self.cache.len());
        assert_eq!(plan.steps.len() + plan.kept.len(), all, "everything seen is a step or is kept");
        plan
    }

    /// The volumes that are told of as what a builder left.
    fn states(&self, policy: &SweepPolicy) -> usize {
        if policy.volumes { 0 } else { self.volumes.iter().filter(|volume| node_of(volume).is_some()).count() }
    }

    fn goes(&self, policy: &SweepPolicy) -> Vec<String> {
        self.plan(policy).steps.iter().map(|step| name(step.kind(), &step.id())).collect()
    }

    fn kept(&self, policy: &SweepPolicy) -> Vec<(String, KeptReason)> {
        self.plan(policy).kept.iter().map(|kept| (name(kept.kind, &kept.id), kept.reason)).collect()
    }
}

/// Images by their number, all else by name.
fn name(kind: Kind, id: &str) -> String {
    match kind {
        Kind::Image => u8::from_str_radix(&id[7..9], 16).expect("a number").to_string(),
        _ => id.trim_end_matches("-id").to_owned(),
    }
}

fn reasons(kept: &[(&str, KeptReason)]) -> Vec<(String, KeptReason)> {
    kept.iter().map(|(name, reason)| ((*name).to_owned(), *reason)).collect()
}

#[test]
fn what_a_stopped_container_held_goes_with_it_in_one_plan() {
    let mut over = container("over", 1, ContainerState::Exited);
    over.volumes = vec!["data".to_owned()];
    over.networks = vec!["net".to_owned()];
    let mut case = case(vec![dangling(1)], vec![over]);
    (case.volumes, case.networks) = (vec![volume("data")], vec![network("net")]);
    assert_eq!(case.goes(&policy()), ["over", "1", "data", "net"]);
    let without = SweepPolicy { containers: false, ..policy() };
    assert_eq!(case.goes(&without), [""; 0]);
    assert!(case.kept(&without).iter().all(|(_, reason)| *reason == KeptReason::InUse));
}

#[test]
fn rule_1_only_created_exited_and_dead_containers_go() {
    let states = [
        ("created", ContainerState::Created, true),
        ("exited", ContainerState::Exited, true),
        ("dead", ContainerState::Dead, true),
        ("running", ContainerState::Running, false),
        ("paused", ContainerState::Paused, false),
        ("restarting", ContainerState::Restarting, false),
        ("odd", ContainerState::Other("stopping".to_owned()), false),
    ];
    for (name, state, goes) in states {
        let case = case(vec![], vec![container(name, 1, state)]);
        assert_eq!(case.goes(&policy()).len(), usize::from(goes), "{name}");
    }
}

#[test]
fn rule_1_what_the_engine_made_for_itself_stays() {
    let mut case = case(vec![], vec![]);
    let (mut host, mut swarm) = (network("x"), network("cluster"));
    host.driver = "host".to_owned();
    swarm.scope = "swarm".to_owned();
    case.networks = vec![network("bridge"), network("podman"), network("docker_gwbridge"), host, swarm];
    assert!(case.kept(&policy()).iter().all(|(_, reason)| *reason == KeptReason::BuiltIn));
    let mut busy = record("busy", &[], 9 * DAY);
    busy.in_use = true;
    case.cache = vec![busy];
    assert!(case.kept(&all_images()).contains(&("busy".to_owned(), KeptReason::InUse)));
}

#[test]
fn rule_2_what_a_container_that_stays_uses_stays_in_any_state() {
    for state in [ContainerState::Running, ContainerState::Exited, ContainerState::Created] {
        let mut user = container("user", 1, state);
        user.labels = labelled("keep", "true");
        user.volumes = vec!["data".to_owned()];
        user.networks = vec!["net".to_owned()];
        user.image_mounts = vec!["mounted".to_owned()];
        let mut case = case(vec![dangling(1), tagged(2, "mounted"), tagged(3, "free")], vec![user]);
        (case.volumes, case.networks) = (vec![volume("data"), volume("free")], vec![network("net")]);
        assert_eq!(case.goes(&all_images()), ["3", "free"]);
    }
}

#[test]
fn rule_3_what_a_living_session_built_ran_or_lent_stays() {
    let (alive, dead) = (key("p", "alive"), key("p", "dead"));
    let mut run = container("run", 9, ContainerState::Exited);
    run.labels = labelled(crate::model::RUN_LABEL, "p:alive");
    let mut inherits = container("inherits", 9, ContainerState::Exited);
    inherits.labels = labelled(crate::model::SESSION_LABEL, "alive");
    let of_image = container("of-image", 1, ContainerState::Exited);
    let mut stamped = dangling(4);
    stamped.labels = labelled(crate::model::SESSION_LABEL, "alive");
    let mut case = case(vec![dangling(1), dangling(2), dangling(3), stamped], vec![run, inherits, of_image]);
    let took = crate::model::Taken::new(crate::model::Reference::written("app").expect("a name"), id(3));
    case.books.apply(Record::Build(crate::model::Build { took: vec![took], ..build("a", &alive, 1, &[]) }));
    case.books.apply(Record::Build(build("b", &dead, 2, &[])));
    case.lives = HashMap::from([(alive.clone(), Life::Alive), (dead, Life::Dead)]);
    let kept = [("inherits", KeptReason::SessionAlive), ("of-image", KeptReason::SessionAlive)];
    let kept = kept.into_iter().chain([("run", KeptReason::SessionAlive), ("1", KeptReason::InUse)]);
    let kept: Vec<_> = kept.chain([("3", KeptReason::SessionAlive), ("4", KeptReason::SessionAlive)]).collect();
    assert_eq!(case.kept(&SweepPolicy { until: Duration::ZERO, ..policy() }), reasons(&kept));
    case.lives.insert(alive, Life::Dead);
    assert_eq!(case.kept(&SweepPolicy { until: Duration::ZERO, ..policy() }), []);
}

#[test]
fn rule_3_what_a_running_build_may_need_stays() {
    let of = key("p", "s");
    let mut case = case(vec![dangling(1), dangling(2)], vec![]);
    case.books.apply(Record::Build(build("a", &of, 1, &[])));
    case.running = vec![RunningBuild { of, key: "k".to_owned(), tags: Vec::new() }];
    assert_eq!(
        case.kept(&SweepPolicy { until: Duration::ZERO, ..policy() }),
        reasons(&[("1", KeptReason::BuildRunning)])
    );
}

#[test]
fn rule_3_what_a_living_session_may_have_built_by_a_line_that_is_lost_stays() {
    let of = key("p", "s");
    let mut case = case(vec![dangling(1), dangling(2), dangling(3)], vec![container("x", 1, ContainerState::Exited)]);
    case.books.apply(Record::Build(build("a", &of, 1, &[])));
    case.books = with_a_line_lost(std::mem::take(&mut case.books));
    case.books.apply(Record::Build(build("b", &of, 2, &[])));
    assert_eq!(case.goes(&policy()), ["x", "1", "2", "3"], "nobody is at work");
    case.lives = HashMap::from([(key("p", "t"), Life::Alive)]);
    let kept = reasons(&[("x", KeptReason::LedgerDamaged), ("1", KeptReason::InUse)]);
    assert_eq!((case.goes(&policy()), case.kept(&policy())), (vec!["2".to_owned(), "3".to_owned()], kept));
    case.snapshot.containers.clear();
    assert_eq!(case.kept(&policy()), reasons(&[("1", KeptReason::LedgerDamaged)]));
}

#[test]
fn rule_4_every_filter_must_let_it_through() {
    let mut kept = container("kept", 9, ContainerState::Exited);
    kept.labels = labelled("keep", "true");
    let mut ci = volume("ci");
    ci.labels = labelled("ci", "");
    let mut case = case(vec![dangling(1)], vec![kept, container("plain", 9, ContainerState::Exited)]);
    case.volumes = vec![ci, volume("other")];
    case.cache = vec![record("r", &[], 2 * DAY)];
    assert_eq!(case.goes(&policy()), ["plain", "1", "ci", "other", "r"]);
    let mut only_ci = policy();
    only_ci.filter.push(LabelFilter::parse("label=ci").expect("a filter"));
    assert_eq!(case.goes(&only_ci), ["ci"], "build cache bears no labels");
}

#[test]
fn rule_5_a_pattern_keeps_things_of_every_kind() {
    let mut case = case(
        vec![tagged(1, "db:1"), aged(image(2).digest("db@sha256:0").done(), 2 * DAY), tagged(3, "app:1")],
        vec![container("db", 9, ContainerState::Exited)],
    );
    (case.volumes, case.networks) = (vec![volume("db-data")], vec![network("db")]);
    let keep = vec![Pattern::new("db*").expect("a pattern")];
    assert_eq!(case.goes(&SweepPolicy { keep, ..all_images() }), ["3"]);
    case.snapshot.images = vec![tagged(1, "localhost/team/app:1"), tagged(2, "docker.io/library/team:1")];
    let keep = vec![Pattern::new("team*").expect("a pattern")];
    assert_eq!(
        case.goes(&SweepPolicy { keep, ..all_images() }),
        ["db", "db-data", "db"],
        "however the engine writes a name"
    );
}

#[test]
fn rule_6_a_containers_age_runs_from_its_end() {
    let mut case = case(vec![], ["old", "young", "unknown"].map(|n| container(n, 9, ContainerState::Exited)).to_vec());
    case.ended.insert("young-id".to_owned(), Ended { at: Some(ago(3600)), written: 1 });
    case.ended.remove("unknown-id");
    let young = reasons(&[("unknown", KeptReason::TooYoung), ("young", KeptReason::TooYoung)]);
    assert_eq!(case.kept(&policy()), young);
    assert_eq!(case.goes(&SweepPolicy { until: Duration::ZERO, ..policy() }).len(), 3);
}

#[test]
fn rule_6_what_was_used_after_the_plan_of_a_file_was_made_stays() {
    let mut case = case(vec![], ["old", "used", "unknown"].map(|n| container(n, 9, ContainerState::Exited)).to_vec());
    case.ended.insert("used-id".to_owned(), Ended { at: Some(ago(3600)), written: 1 });
    case.ended.remove("unknown-id");
    case.cache = vec![record("before", &[], 2 * DAY), record("again", &[], 60)];
    let planned = |seconds| SweepPolicy {
        until: Duration::ZERO,
        cache_until: Duration::ZERO,
        unused_since: Some(ago(seconds)),
        ..policy()
    };
    let changed = reasons(&[("used", KeptReason::Changed), ("again", KeptReason::Changed)]);
    assert_eq!(case.kept(&planned(7200)), changed);
    assert_eq!(case.goes(&planned(7200)), ["old", "unknown", "before"]);
    assert_eq!(case.kept(&planned(60)), [], "all of it was there when the plan was made");
    assert_eq!(case.kept(&SweepPolicy { unused_since: Some(ago(7200)), ..policy() }).len(), 3, "and an age holds");
}

#[test]
fn rule_6_an_image_is_as_young_as_the_newest_that_is_known_of_it() {
    let mut case = case(
        vec![aged(image(1).done(), 3600), dangling(2), dangling(3), image(4).done(), image(5).done(), image(6).done()],
        vec![],
    );
    let noted = crate::model::Build { at: ago(60), ..build("a", &key("p", "s"), 3, &[]) };
    case.books.apply(Record::Build(noted));
    case.first_seen = HashMap::from([(id(4), ago(60)), (id(5), ago(2 * DAY))]);
    assert_eq!(case.goes(&policy()), ["2", "5"]);
    case.snapshot.images[0].created = NOW + 60;
    assert_eq!(case.goes(&policy()), ["2", "5"], "a date to come is young");
}

#[test]
fn rule_7_without_all_images_a_name_keeps_an_image_and_an_image_its_cache() {
    let mut shared = record("shared", &[], 2 * DAY);
    shared.shared = true;
    let digest = aged(image(3).digest("kind@sha256:0").done(), 2 * DAY);
    let mut listed = dangling(4);
    listed.tags.push(crate::model::Reference::listed("kind@sha256:0").expect("a name"));
    let mut private = dangling(5);
    private.tags.push(id(5).private_tag());
    let mut case = case(vec![dangling(1), tagged(2, "app"), digest, listed, private], vec![]);
    case.cache = vec![shared, record("own", &[], 2 * DAY)];
    assert_eq!(case.goes(&policy()), ["1", "5", "own"]);
    assert_eq!(case.goes(&all_images()).len(), 7);
}

#[test]
fn rule_7_what_a_session_holds_is_not_nameless() {
    let held = |n: u8, by: char| aged(image(n).held(by).done(), 2 * DAY);
    let mut case = case(vec![held(1, 'b'), held(2, 'a'), held(3, 'a'), held(4, 'a')], vec![]);
    case.books.id = Some(ledger('a'));
    for (session, image) in [("over", 2), ("works", 3)] {
        let entry = SessionEntry::new(key("p", session), ago(2 * DAY));
        case.books.apply(Record::Session(SessionEntry { held: vec![id(image)], ..entry }));
    }
    case.lives.insert(key("p", "works"), Life::Alive);
    // Nobody wants the last any more.
    assert_eq!(case.goes(&policy()), ["4"]);
    let plan = case.plan(&policy());
    let why = |n: u8| plan.kept.iter().find(|kept| kept.id == id(n).to_string()).expect("it is kept");
    assert_eq!([1, 2, 3].map(|n| why(n).reason), [KeptReason::Lent, KeptReason::Lent, KeptReason::SessionAlive]);
    let name = id(1).hold(&ledger('b'));
    assert!(why(1).holders[0].to_string().ends_with(&format!("docker image rm {name})")));
    assert_eq!(why(2).holders, []);
    assert_eq!(case.goes(&all_images()), ["1", "2", "4"]);
    case.books = with_a_line_lost(case.books);
    assert_eq!(case.goes(&policy()), [""; 0], "a line that is lost may have told of somebody");
}

#[test]
fn rule_7_the_newest_of_every_repository_stay() {
    let images = (1..=4).map(|n| aged(image(n).tag(&format!("app:{n}")).done(), i64::from(10 - n) * DAY));
    let case = case(images.chain([tagged(5, "tool:1")]).collect(), vec![]);
    let keep = |n| SweepPolicy { keep_last: Some(n), ..all_images() };
    assert_eq!(case.goes(&keep(0)).len(), 5);
    assert_eq!(case.goes(&keep(1)), ["1", "2", "3"]);
    assert_eq!(case.goes(&keep(9)), [""; 0]);
    let apart = [aged(image(1).tag("app:1").done(), 2 * DAY), tagged(2, "localhost/app:1")];
    let apart = Case { snapshot: host(apart.to_vec(), vec![]), ..case };
    assert_eq!(apart.goes(&keep(1)), [""; 0], "two repositories");
}

#[test]
fn what_a_builder_that_is_gone_left_goes_by_name_only() {
    let state = |node: &str| volume(&format!("buildx_buildkit_{node}_state"));
    let mut young = state("young0");
    young.created = Some(ago(60));
    let mut stopped = container("buildx_buildkit_stopped0", 1, ContainerState::Exited);
    let mut running = container("buildx_buildkit_running0", 2, ContainerState::Running);
    let mut other = container("else", 3, ContainerState::Exited);
    stopped.volumes = vec![state("stopped0").name];
    running.volumes = Vec::new();
    other.volumes = vec![state("used0").name];
    let mut case = case(vec![], vec![stopped, running, other]);
    case.volumes = ["gone0", "stopped0", "running0", "used0", "mine0", "kept0"].map(state).to_vec();
    case.volumes.extend([young, volume("data")]);
    case.builders.add("mine", ["mine0"]);
    let named = |name: &str| format!("buildx_buildkit_{name}_state");
    let keep = vec![Pattern::new("*_kept0_*").expect("a pattern")];
    let alone = SweepPolicy { volumes: false, builder_state: true, keep, ..policy() };
    let goes = |case: &Case, policy: &SweepPolicy, kind: Kind| -> Vec<String> {
        let steps = case.plan(policy).steps.into_iter().filter(|step| step.kind() == kind);
        steps.map(|step| step.id().into_owned()).collect()
    };
    assert_eq!(goes(&case, &alone, Kind::BuilderState), [named("gone0")]);
    let plan = case.plan(&alone);
    let why = |name: &str| {
        let kept = plan.kept.iter().find(|kept| kept.id == named(name)).expect(name);
        (kept.kind, kept.reason, kept.holders.len())
    };
    let stays = |reason, holders| (Kind::BuilderState, reason, holders);
    assert_eq!(why("stopped0"), stays(KeptReason::InUse, 1), "its container goes, and may come back");
    assert_eq!(why("running0"), stays(KeptReason::InUse, 1), "by its name");
    assert_eq!(why("used0"), stays(KeptReason::InUse, 1));
    assert_eq!(why("mine0"), stays(KeptReason::BuilderKnown, 0));
    assert_eq!(why("kept0"), stays(KeptReason::KeepPattern, 0));
    assert_eq!(why("young0"), stays(KeptReason::TooYoung, 0));
    // Nothing else asks for it, and whoever asks for all volumes gets all that nothing uses.
    let neither = SweepPolicy { builder_state: false, ..alone.clone() };
    assert!(case.plan(&neither).steps.iter().all(|step| step.kind() == Kind::Container));
    let volumes = |also| SweepPolicy { volumes: true, builder_state: also, ..alone.clone() };
    let all = ["gone0", "mine0", "running0", "stopped0", "used0"].map(named);
    assert_eq!(goes(&case, &volumes(false), Kind::Volume), [&all[..], &["data".to_owned()]].concat());
    assert_eq!(goes(&case, &volumes(true), Kind::Volume), [&all[1..], &["data".to_owned()]].concat());
    assert_eq!(goes(&case, &volumes(true), Kind::BuilderState), all[..1]);
    case.volumes[0].labels = labelled("keep", "true");
    assert_eq!(goes(&case, &alone, Kind::BuilderState), [""; 0], "buildx gives no label");
}

#[test]
fn rule_8_what_something_that_stays_is_built_on_stays() {
    let base = |n: u8, parent: Option<u8>| {
        aged(parent.map_or_else(|| image(n), |parent| image(n).parent(parent)).done(), 2 * DAY)
    };
    let mut top = base(3, Some(2));
    top.tags.push(crate::model::Reference::written("app").expect("a name"));
    let mut case = case(vec![base(1, None), base(2, Some(1)), top, base(4, Some(1))], vec![]);
    case.cache = vec![record("a", &[], 2 * DAY), record("b", &["a"], 2 * DAY), record("c", &["b"], 60)];
    assert_eq!(case.goes(&policy()), ["4"]);
    assert_eq!(case.goes(&all_images()), ["3", "2", "4", "1"], "children first");
    case.cache[2].last_used = Some(ago(3 * DAY));
    assert_eq!(case.goes(&policy()), ["4", "c", "b", "a"]);
}

#[test]
fn rule_9_the_cache_used_last_stays_up_to_its_limit() {
    let mut case = case(vec![], vec![]);
    case.cache = ["a", "b", "c", "d"].iter().zip([5, 2, 4, 3]).map(|(id, d)| record(id, &[], d * DAY)).collect();
    let keep = |bytes| SweepPolicy { cache_keep: Some(bytes), ..policy() };
    assert_eq!(case.goes(&keep(0)), ["a", "c", "d", "b"]);
    assert_eq!(case.goes(&keep(20)), ["a", "c"]);
    assert_eq!(case.goes(&keep(15)), ["a", "c", "d"], "never more than the limit");
    assert_eq!(case.goes(&keep(40)), [""; 0]);
}

#[test]
fn rule_10_the_least_valuable_goes_first_and_no_further_than_needed() {
    let mut images = vec![aged(tagged(1, "old"), 9 * DAY), aged(tagged(2, "older"), 12 * DAY), tagged(3, "big")];
    images[2].size = 900;
    let mut over = container("over", 2, ContainerState::Exited);
    over.volumes = vec!["data".to_owned()];
    let mut case = case(images, vec![over]);
    case.ended.insert("over-id".to_owned(), Ended { at: Some(ago(5 * DAY)), written: 7 });
    (case.volumes, case.networks) = (vec![volume("data"), volume("free")], vec![network("net")]);
    case.layers = (1..=3).map(|n| (id(n), vec![n.to_string()])).collect();
    let need = |bytes| SweepPolicy { need: Some(bytes), ..all_images() };
    assert_eq!(case.goes(&need(0)), [""; 0]);
    assert_eq!(case.goes(&need(1)), ["1"], "unused longest: the container's end is the other one's last use");
    assert_eq!(case.goes(&need(101)), ["over", "1", "2"], "then the largest, and what must go before it");
    assert_eq!(case.goes(&need(208)), ["over", "1", "2", "3"]);
    assert_eq!(case.goes(&need(10_000)), ["over", "1", "2", "3", "data", "free"], "networks take no space");
    case.tagged.insert(id(1), ago(60));
    assert_eq!(case.goes(&need(1)), ["over", "2"], "somebody gave it a name a minute ago");
    assert!(case.kept(&need(1)).contains(&("1".to_owned(), KeptReason::Enough)));
}

#[test]
fn layers_come_back_with_the_last_image_above_them() {
    let sized = |n: u8, size: u64, shared: u64| {
        let mut image = dangling(n);
        (image.size, image.shared) = (size, Some(shared));
        image
    };
    let layered = |case: &mut Case, n: u8, layers: &[&str]| {
        case.layers.insert(id(n), layers.iter().map(ToString::to_string).collect());
    };
    let mut case = case(vec![sized(1, 110, 100), sized(2, 130, 100), sized(3, 50, 0)], vec![]);
    for (n, layers) in [(1, &["base", "a"][..]), (2, &["base", "b"]), (3, &["x"])] {
        layered(&mut case, n, layers);
    }
    let plan = case.plan(&policy());
    assert_eq!(plan.steps.iter().map(|step| step.bytes).collect::<Vec<_>>(), [10, 130, 50]);
    assert!(!plan.up_to);
    case.snapshot.images[1].tags.push(crate::model::Reference::written("app").expect("a name"));
    assert_eq!(case.plan(&policy()).totals().bytes, 60, "the base is still needed");
    // Two forks, one below the other: no sum is known of the lower one.
    case.snapshot.images = vec![sized(1, 110, 90), sized(2, 120, 90), sized(3, 210, 200), sized(4, 220, 200)];
    for (n, layers) in [(1, ["f", "g", "1"]), (2, ["f", "g", "2"]), (3, ["f", "h", "3"]), (4, ["f", "h", "4"])] {
        layered(&mut case, n, &layers);
    }
    let plan = case.plan(&policy());
    assert!(plan.up_to && plan.totals().bytes == 90 + 20 + 30 + 200 + 10 + 20, "{:?}", plan.totals());
    case.layers.remove(&id(1));
    assert!(case.plan(&policy()).totals().up_to, "nobody could look into it");
    case.snapshot.images = vec![sized(1, 110, 0)];
    let totals = case.plan(&policy()).totals();
    assert_eq!((totals.bytes, totals.up_to), (110, false), "it shares nothing, so there is nothing to look for");
}

#[test]
fn what_the_cache_holds_too_is_told_apart() {
    let mut case = case(vec![dangling(1)], vec![]);
    case.layers.insert(id(1), vec!["a".to_owned()]);
    let mut shared = record("shared", &[], 2 * DAY);
    (shared.shared, shared.size) = (true, 70);
    case.cache = vec![shared];
    let totals = case.plan(&policy()).totals();
    assert_eq!((totals.bytes, totals.bytes_to_cache, totals.up_to), (100, 70, true));
    let totals = case.plan(&all_images()).totals();
    assert_eq!((totals.bytes, totals.bytes_to_cache, totals.up_to), (100, 0, false), "the record goes too");
}

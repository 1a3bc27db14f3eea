//! Plans as they are written, byte for byte: programs read that document, and a file of then is applied today. The
//! files in `golden/` were written by dkb before its steps had types, and schema 1 stays as they are.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

use super::super::{PlanFile, read};
use crate::model::books_tests::{build, id, key};
use crate::model::image_tests::{container, host, image};
use crate::model::{
    Asked, Books, Build, CacheRecord, Container, ContainerState, Ended, Holder, Image, Kept, KeptReason, Kind,
    KnownBuilders, Life, Network, Outcome, Pattern, Plan, RUN_LABEL, Record, Reference, Scope, SessionEntry, Snapshot,
    Taken, Volume,
};
use crate::plan::clean::{CleanLook, CleanPolicy, Here, anonymous, share_with_cache};
use crate::plan::narrow::narrow;
use crate::plan::session_end::{self, Extras};
use crate::plan::{superseded, sweep};
use crate::report::{self, Style};

const NOW: i64 = 1_800_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn labels(key: &str, value: &str) -> HashMap<String, String> {
    HashMap::from([(key.to_owned(), value.to_owned())])
}

fn run_label() -> HashMap<String, String> {
    labels(RUN_LABEL, "p:s")
}

fn network(name: &str, labels: HashMap<String, String>) -> Network {
    Network {
        id: format!("{name}-id"),
        name: name.to_owned(),
        driver: "bridge".to_owned(),
        scope: "local".to_owned(),
        created: Some(at(NOW - 7200)),
        labels,
    }
}

fn volume(name: &str, created: Option<Timestamp>, labels: HashMap<String, String>) -> Volume {
    Volume { name: name.to_owned(), driver: "local".to_owned(), created, labels, size: Some(30) }
}

fn record(id: &str, parents: &[&str]) -> CacheRecord {
    CacheRecord {
        id: id.to_owned(),
        parents: parents.iter().map(ToString::to_string).collect(),
        kind: "regular".to_owned(),
        in_use: false,
        shared: false,
        size: 10,
        created: Some(at(NOW - 7200)),
        last_used: Some(at(NOW - 3600)),
        ..CacheRecord::default()
    }
}

fn tagged(n: u8, tags: &[&str]) -> Build {
    let tags = tags.iter().map(|tag| Reference::written(tag).expect(tag)).collect();
    Build { tags, at: at(NOW - 3600), ..build(&format!("of-{n}"), &key("p", "s"), n, &[]) }
}

fn own_name(mut image: Image) -> Image {
    image.tags.push(image.id.private_tag());
    image
}

/// The end of a session that left something of every kind.
fn of_session() -> Plan {
    let own = key("p", "s");
    let mut books = Books::default();
    let entry = SessionEntry::new(own.clone(), at(NOW - 7200));
    books.apply(Record::Session(SessionEntry { held: vec![id(7), id(13)], ..entry }));
    let mut first = tagged(1, &["app"]);
    first.steps = vec![id(2)];
    let mut taking = tagged(5, &["app:dev"]);
    taking.took = vec![Taken::new(Reference::written("app:dev").expect("a name"), id(6))];
    for build in [
        first,
        tagged(3, &["app"]),
        tagged(4, &["app:2", "app:two"]),
        taking,
        tagged(8, &["pushed"]),
        tagged(9, &["app:9", "app:nine"]),
        tagged(10, &["app:base"]),
        tagged(12, &["app:used"]),
    ] {
        books.apply(Record::Build(build));
    }
    books.apply(Record::Build(Build { at: at(NOW), ..build("other", &key("q", "s"), 14, &[]) }));
    let images = vec![
        image(1).parent(2).tag("app").done(),
        image(2).done(),
        image(3).done(),
        image(4).tag("app:2").tag("theirs:1").done(),
        image(5).tag("app:dev").done(),
        image(6).done(),
        own_name(image(7).done()),
        image(8).digest("pushed@sha256:aa").done(),
        image(9).tag("app:9").tag("app:nine").done(),
        image(10).tag("app:base").done(),
        image(11).parent(10).done(),
        image(12).tag("app:used").done(),
        own_name(image(13).tag("lender:1").done()),
    ];
    let labelled = Container { labels: run_label(), ..container("web", 6, ContainerState::Running) };
    let mounted = "ab".repeat(32);
    let exited = Container {
        created: NOW - 1800,
        image_name: "app".to_owned(),
        volumes: vec![mounted.clone()],
        ..container("test", 1, ContainerState::Exited)
    };
    let foreign = container("theirs", 12, ContainerState::Running);
    let building = container("builder", 12, ContainerState::Working);
    let snapshot = host(images, vec![labelled, exited, foreign, building]);
    let volumes = vec![
        volume("data", Some(at(NOW - 1800)), run_label()),
        volume("kept-data", None, run_label()),
        volume("old-data", None, run_label()),
        volume(&mounted, Some(at(NOW - 1799)), HashMap::new()),
    ];
    let extras = Extras { networks: vec![network("net", run_label())], volumes };
    let here = Here { by_ci: true, alone: true, ..Here::somebody(own.clone()) };
    let engine = crate::model::EngineInfo { now: at(NOW), ..snapshot.engine };
    let snapshot = Snapshot { engine, ..snapshot };
    let look = CleanLook {
        lives: &HashMap::from([(own.clone(), Life::Unowned)]),
        now: at(NOW),
        ..CleanLook::of(&snapshot, &books, &here)
    };
    let policy = CleanPolicy {
        compose: None,
        scope: Scope::Session(own.clone()),
        tags: true,
        containers: true,
        stops: true,
        volumes: true,
        keep: vec![Pattern::new("kept-data").expect("a pattern")],
        keep_last: None,
        older_than: None,
        stale_after: Duration::ZERO,
        trust_stamp: false,
        cache: crate::plan::clean::CacheWish::Leave,
        cache_keep: None,
        mounts: None,
    };
    let mut plan = session_end::plan(&look, &extras, &policy);
    plan.scope = Some(Asked { of: Scope::Session(own), compose: None, tagged: true, containers: true, cache: false });
    let cache = [100, 50].map(|size| CacheRecord { shared: true, size, ..record("layer", &[]) });
    share_with_cache(&mut plan, &books, &cache, None);
    anonymous(look.snapshot, &extras.volumes, &mut plan, &policy);
    plan
}

/// The same once it was applied: each result that there is.
fn applied() -> Plan {
    use Outcome::{AlreadyGone, Done, Failed, Kept, NotTried, Unknown};
    let mut plan = of_session();
    for (step, result) in plan.steps.iter_mut().zip([Done, AlreadyGone, Kept, Failed, Unknown, NotTried].iter().cycle())
    {
        step.result = Some(*result);
    }
    plan
}

/// Each reason to keep something, as the kind that it is said of, and whoever may hold it.
fn kept() -> Plan {
    use KeptReason as Because;
    let web = Holder::from(&container("web", 1, ContainerState::Paused));
    let job = Holder::from(&container("job", 1, ContainerState::Other("removing".to_owned())));
    let named = |name: &str| Holder::Name(name.to_owned());
    let child = |name: Option<&str>| Holder::Child { id: id(3), name: name.map(str::to_owned) };
    let kept = |kind, id: &str, reason, holders: &[Holder]| Kept {
        kind,
        id: id.to_owned(),
        names: vec![format!("{id}:1")],
        bytes: 7,
        reason,
        holders: holders.to_vec(),
    };
    let kept = vec![
        kept(Kind::Image, "image", Because::InUse, &[web, job]),
        kept(Kind::Image, "image", Because::Tagged, &[]),
        kept(Kind::Image, "image", Because::ForeignTag, &[named("theirs:1"), named("theirs@sha256:aa")]),
        kept(Kind::Image, "image", Because::Unrecorded, &[]),
        kept(Kind::Image, "image", Because::Pulled, &[]),
        kept(Kind::Image, "image", Because::Inherited, &[]),
        kept(Kind::Image, "image", Because::Base, &[child(Some("app:1"))]),
        kept(Kind::Image, "image", Because::Base, &[child(None)]),
        kept(Kind::Image, "image", Because::OtherSession, &[]),
        kept(Kind::Image, "image", Because::OtherCopy, &[]),
        kept(Kind::Image, "image", Because::OtherProject, &[]),
        kept(Kind::Image, "image", Because::SessionAlive, &[]),
        kept(Kind::Image, "image", Because::BuildRunning, &[]),
        kept(Kind::Image, "image", Because::TooYoung, &[]),
        kept(Kind::Container, "box", Because::KeepPattern, &[]),
        kept(Kind::Image, "image", Because::KeepLast, &[]),
        kept(Kind::Image, "image", Because::Lent, &[]),
        kept(Kind::Volume, "data", Because::Filtered, &[]),
        kept(Kind::Volume, "data", Because::MayHoldData, &[]),
        kept(Kind::Network, "bridge", Because::BuiltIn, &[]),
        kept(Kind::BuilderState, "farm0", Because::BuilderKnown, &[]),
        kept(Kind::BuildCache, "record", Because::Shared, &[]),
        kept(Kind::BuildCache, "record", Because::CacheKeep, &[]),
        kept(Kind::Volume, "data", Because::Enough, &[]),
        kept(Kind::Image, "\u{1b}[2J\u{202e}", Because::Changed, &[named("new:1")]),
        kept(Kind::Network, "net", Because::Failed, &[]),
    ];
    let mut plan = Plan::new("clean", &host(Vec::new(), Vec::new()).engine, at(NOW), Vec::new(), kept);
    plan.scope = Some(Asked { of: Scope::All, compose: None, tagged: false, containers: false, cache: false });
    plan
}

/// A sweep of a host that has something of every kind to take and to leave.
fn swept() -> Plan {
    let dated = |image: Image| Image { created: NOW - 7200, ..image };
    let images = vec![
        dated(image(1).done()),
        dated(image(2).tag("app:1").digest("other@sha256:aa").done()),
        dated(image(3).done()),
        dated(image(4).parent(3).tag("app:2").done()),
        dated(image(5).done()),
        dated(image(6).parent(5).done()),
    ];
    let containers = vec![
        container("ended", 1, ContainerState::Exited),
        Container {
            volumes: vec!["used".to_owned()],
            networks: vec!["busy-id".to_owned()],
            ..container("web", 4, ContainerState::Running)
        },
        container("odd", 6, ContainerState::Other("frozen".to_owned())),
    ];
    let ended = HashMap::from([("ended-id".to_owned(), Ended { at: Some(at(NOW - 7200)), written: 5 })]);
    let volumes = [
        volume("used", None, HashMap::new()),
        volume("free", Some(at(NOW - 7200)), HashMap::new()),
        volume("keep", Some(at(NOW - 7200)), HashMap::new()),
        volume("buildx_buildkit_gone0_state", Some(at(NOW - 7200)), HashMap::new()),
    ];
    let networks = ["bridge", "busy", "idle"].map(|name| network(name, HashMap::new()));
    let cache = [
        CacheRecord { in_use: true, ..record("child", &["parent"]) },
        record("parent", &[]),
        CacheRecord { kind: String::new(), ..record("nameless", &[]) },
        CacheRecord { shared: true, size: 150, ..record("shared", &[]) },
    ];
    let look = sweep::SweepLook {
        snapshot: &host(images, containers),
        ended: &ended,
        volumes: &volumes,
        builders: &KnownBuilders::default(),
        networks: &networks,
        cache: &cache,
        layers: &HashMap::new(),
        tagged: &HashMap::new(),
        first_seen: &HashMap::new(),
        books: &Books::default(),
        lives: &HashMap::new(),
        running: &[],
        now: at(NOW),
    };
    let policy = sweep::SweepPolicy {
        containers: true,
        images: true,
        volumes: true,
        builder_state: true,
        networks: true,
        cache: true,
        all_images: true,
        until: Duration::from_secs(60),
        filter: Vec::new(),
        keep: vec![Pattern::new("keep").expect("a pattern")],
        keep_last: None,
        cache_keep: None,
        cache_until: Duration::ZERO,
        need: None,
        unused_since: None,
    };
    sweep::plan(&look, &policy).plan
}

/// What a build takes away itself.
fn after_a_build() -> Plan {
    let mut books = Books::default();
    let done = tagged(3, &["app:1"]);
    for build in [tagged(1, &["app:1"]), tagged(2, &["app:1"]), done.clone()] {
        books.apply(Record::Build(Build { tilt: false, ..build }));
    }
    let images = vec![image(1).done(), image(2).done(), image(3).tag("app:1").done()];
    let candidates = superseded::candidates(&books, &done, 0);
    let snapshot = host(images, Vec::new());
    let steps = superseded::steps(&snapshot, &books, &[], &[], &candidates);
    Plan::new("build", &snapshot.engine, at(NOW), steps, Vec::new())
}

fn every_plan() -> [(&'static str, &'static str, Plan); 5] {
    [
        ("session", include_str!("golden/session.json"), of_session()),
        ("applied", include_str!("golden/applied.json"), applied()),
        ("kept", include_str!("golden/kept.json"), kept()),
        ("sweep", include_str!("golden/sweep.json"), swept()),
        ("build", include_str!("golden/build.json"), after_a_build()),
    ]
}

#[test]
fn a_plan_is_written_as_ever() {
    for (name, golden, plan) in every_plan() {
        let written = report::clean::json(&plan);
        assert!(written.as_str() == golden, "{name}.json is now\n{}", written.as_str());
    }
}

/// What people see of them; `SNAPSHOTS=overwrite cargo test --lib golden` writes it anew.
#[test]
fn a_plan_is_shown_as_it_stands_beside_it() {
    let file = |name: &str| snapbox::Data::read_from(&folder().join(format!("{name}.txt")), None);
    for (name, _, plan) in every_plan().into_iter().filter(|(_, _, plan)| plan.kind != "sweep") {
        let done = plan.steps.iter().any(|step| step.result.is_some());
        let shown = |verbose, style| report::clean::human(&plan, "p · session s", done, verbose, style);
        let narrow = |width| shown(false, Style::of_width(width)).as_str().to_owned();
        let both = format!(
            "{}\n--verbose\n{}\n60 columns\n{}\n80 columns\n{}\n200 columns\n{}",
            shown(false, Style::PLAIN).as_str(),
            shown(true, Style::PLAIN).as_str(),
            narrow(60),
            narrow(80),
            narrow(200)
        );
        snapbox::Assert::new().action_env(snapbox::assert::DEFAULT_ACTION_ENV).eq(both, file(name).raw());
    }
}

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/plan_file/tests/golden")
}

fn read_golden(golden: &str, verb: &str) -> PlanFile {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("plan.json");
    std::fs::write(&path, golden).expect("a file");
    let file = read(&path, verb).expect("a plan of before");
    file.check(Path::new("plan.json"), &host(Vec::new(), Vec::new()).engine).expect("the same engine");
    file
}

#[test]
fn a_file_of_before_asks_for_what_it_asked_for_then() {
    for (name, golden, plan) in every_plan() {
        let file = read_golden(golden, plan.kind);
        assert_eq!(file.asked, plan.scope, "{name}");
        let narrowed = narrow(plan.clone(), &file.steps);
        assert!(narrowed.whole && narrowed.plan == plan, "{name}: {:#?}", narrowed.plan);
        let nothing = Plan { steps: Vec::new(), ..plan.clone() };
        assert_eq!(narrow(nothing, &file.steps).plan.steps, [], "{name}");
        // Each step alone is that step and no other.
        for at in 0..plan.steps.len() {
            let one = narrow(plan.clone(), &file.steps[at..=at]);
            assert_eq!(one.plan.steps, plan.steps[at..=at], "{name}");
        }
    }
}

#[test]
fn every_action_and_every_kind_is_among_them() {
    let all = every_plan().map(|(_, golden, _)| golden).concat();
    let values = |field: &str, values: &[&str]| {
        for value in values {
            assert!(all.contains(&format!("\"{field}\": \"{value}\"")), "{field} {value}");
        }
    };
    values("action", &["stop", "remove", "untag", "give_back"]);
    values("type", &["container", "image", "volume", "network", "build_cache"]);
    values("still", &["untagged", "pushed", "named", "name_of", "stopped", "unused", "unused_since"]);
    values("result", &["done", "already_gone", "kept", "failed", "unknown", "not_tried"]);
}

//! Kind of thing × verb × who made it × what it is called × who uses it: every cell is decided, none by accident.
//!
//! The planners are asked about each combination, and a few lines written another way say what is right. The page
//! `docs/safety.md` says the same in words.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::model::books_tests::{build, id, key};
use crate::model::image_tests::{container, host, image};
use crate::model::{
    Action, Books, Build, CacheRecord, Container, ContainerState, Deed, Holder, Image, KeptReason, Kind, KnownBuilders,
    Life, Name, Network, Pattern, Plan, RUN_LABEL, Record, Scope, SessionEntry, Snapshot, Step, Volume,
};
use crate::plan::clean::{self, CleanLook, CleanPolicy, Here, anonymous, at_work};
use crate::plan::session_end::{self, Extras};
use crate::plan::{superseded, sweep};

const NOW: i64 = 1_800_000_000;
const HOUR: i64 = 3600;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn name(text: &str) -> Name {
    Name::typed(text).expect(text)
}

/// What may take something. All are asked from the same project.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    /// A build of the session that has just taken the tag of the build before.
    Build,
    Clean,
    Tagged,
    All,
    /// With `--trust-stamp`.
    Trusting,
    /// By the name of a compose project that nothing here was built for.
    Compose,
    Session,
    /// With `--keep-tagged`.
    KeepTagged,
    /// From another session, once the guard of ours was killed.
    Stale,
    Guard,
    /// `dkb session end` for a session that nobody had opened.
    EndByName,
    Sweep,
    /// With `--all-images`.
    AllImages,
}

const VERBS: [Verb; 13] = [
    Verb::Build,
    Verb::Clean,
    Verb::Tagged,
    Verb::All,
    Verb::Trusting,
    Verb::Compose,
    Verb::Session,
    Verb::KeepTagged,
    Verb::Stale,
    Verb::Guard,
    Verb::EndByName,
    Verb::Sweep,
    Verb::AllImages,
];

impl Verb {
    fn ends_session(self) -> bool {
        matches!(self, Self::Session | Self::KeepTagged | Self::Stale | Self::Guard | Self::EndByName)
    }

    fn sweeps(self) -> bool {
        matches!(self, Self::Sweep | Self::AllImages)
    }

    /// What runs is stopped only where somebody opened the session.
    fn stops(self) -> bool {
        matches!(self, Self::Stale | Self::Guard)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Maker {
    /// A build of session `s` of project `p`.
    Session,
    /// Of another session of the project, that nobody is at work in.
    Other,
    /// Of a session that is at work.
    Living,
    /// Of the session, and of another project's too.
    Both,
    /// Of another project alone.
    Project,
    /// Nobody on record. It inherited the session's stamp.
    Child,
    Stranger,
}

const MAKERS: [Maker; 7] =
    [Maker::Session, Maker::Other, Maker::Living, Maker::Both, Maker::Project, Maker::Child, Maker::Stranger];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Called {
    Nothing,
    /// The name that its builds gave.
    Ours,
    Theirs,
    Both,
}

const CALLED: [Called; 4] = [Called::Nothing, Called::Ours, Called::Theirs, Called::Both];

/// A container of the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum User {
    Nobody,
    /// Made by the image's ID or by our name, while the session was at work.
    Exited,
    Running,
    Paused,
    Restarting,
    /// What an engine could not remove.
    Dead,
    /// In a word that dkb does not know.
    InLimbo,
    /// A builder's own, as Podman's are.
    Working,
    /// Podman's, of a pod.
    OfPod,
    /// Just now, and never started.
    JustCreated,
    /// Created an hour ago, and never started.
    Created,
    /// By a stranger's name.
    TheirExited,
    TheirRunning,
    /// With the run label of the session, running.
    Labelled,
    /// With another session's run label, exited.
    LabelledOther,
    /// The image bears the run label of the session, and so its container does; it was made by a stranger's name.
    LabelledByImage,
    /// It merely mounts the image.
    Mounting,
}

const USERS: [User; 17] = [
    User::Nobody,
    User::Exited,
    User::Running,
    User::Paused,
    User::Restarting,
    User::Dead,
    User::InLimbo,
    User::Working,
    User::OfPod,
    User::JustCreated,
    User::Created,
    User::TheirExited,
    User::TheirRunning,
    User::Labelled,
    User::LabelledOther,
    User::LabelledByImage,
    User::Mounting,
];

impl User {
    /// Whether the end of a session takes it, if its image goes.
    fn goes_with_session(self, verb: Verb) -> bool {
        match self {
            Self::Nobody => true,
            Self::Exited | Self::Created => verb.ends_session(),
            Self::Running | Self::Paused | Self::Restarting | Self::Dead | Self::InLimbo | Self::Labelled => {
                verb.stops()
            }
            _ => false,
        }
    }

    /// Whether it does nothing.
    fn is_stopped(self) -> bool {
        matches!(
            self,
            Self::Exited
                | Self::Dead
                | Self::JustCreated
                | Self::Created
                | Self::TheirExited
                | Self::LabelledOther
                | Self::LabelledByImage
        )
    }
}

struct Scene {
    snapshot: Snapshot,
    books: Books,
    extras: Extras,
    cache: Vec<CacheRecord>,
    builders: KnownBuilders,
    done: Build,
    keep: Vec<Pattern>,
}

impl Scene {
    fn new(maker: Maker, called: Called, user: User) -> Self {
        let (own, other, living, project) = (key("p", "s"), key("p", "t"), key("p", "busy"), key("q", "s"));
        let mut books = Books::default();
        for of in [&own, &other, &living, &project] {
            books.apply(Record::Session(SessionEntry::new(of.clone(), at(NOW - 2 * HOUR))));
        }
        let of: &[_] = match maker {
            Maker::Session => &[&own],
            Maker::Other => &[&other],
            Maker::Living => &[&living],
            Maker::Both => &[&own, &project],
            Maker::Project => &[&project],
            Maker::Child | Maker::Stranger => &[],
        };
        for (n, of) in of.iter().enumerate() {
            books.apply(Record::Build(Build { at: at(NOW - HOUR), ..build(&format!("{n}"), of, 1, &[]) }));
        }
        // The build that has just ended. Its image has taken the tag, where the old one has lost it.
        let done = Build { at: at(NOW), ..build("new", &own, 2, &[]) };
        books.apply(Record::Build(done.clone()));
        let mut old = image(1);
        if matches!(called, Called::Ours | Called::Both) {
            old = old.tag("app");
        }
        if matches!(called, Called::Theirs | Called::Both) {
            old = old.tag("theirs:1");
        }
        let mut old = Image { created: NOW - HOUR, ..old.done() };
        if maker == Maker::Child {
            old = Image { tags: old.tags, created: old.created, ..image(1).stamp(&own).done() };
        }
        if user == User::LabelledByImage {
            old.labels.insert(RUN_LABEL.to_owned(), own.run_label());
        }
        let new = Image { created: NOW, ..image(2).tag("app:new").done() };
        let snapshot = Snapshot {
            containers: container_of(user).into_iter().collect(),
            engine: crate::model::EngineInfo { now: at(NOW), ..host(vec![], vec![]).engine },
            images: vec![old, new],
        };
        Self {
            snapshot,
            books,
            extras: Extras::default(),
            cache: Vec::new(),
            builders: KnownBuilders::default(),
            done,
            keep: Vec::new(),
        }
    }

    fn plan(&self, verb: Verb) -> Plan {
        let own = key("p", "s");
        let asks = if verb == Verb::Stale { key("p", "next") } else { own.clone() };
        let here = Here { by_ci: true, ..Here::somebody(asks) };
        let life = if verb == Verb::Stale { Life::Dead } else { Life::Unowned };
        let lives = HashMap::from([(own.clone(), life), (key("p", "busy"), Life::Alive)]);
        let look = CleanLook {
            lives: &lives,
            beats: &HashMap::from([(own.clone(), at(NOW))]),
            at_work: &at_work(&self.snapshot, &self.books),
            now: at(NOW),
            ..CleanLook::of(&self.snapshot, &self.books, &here)
        };
        let policy = CleanPolicy {
            compose: (verb == Verb::Compose).then(|| name("web")),
            scope: match verb {
                Verb::Clean | Verb::Tagged | Verb::Trusting | Verb::Compose => Scope::Project { project: name("p") },
                Verb::All => Scope::All,
                Verb::Stale => Scope::Stale { project: name("p") },
                _ => Scope::Session(own),
            },
            tags: !matches!(verb, Verb::Clean | Verb::KeepTagged),
            containers: verb.ends_session(),
            stops: verb.stops(),
            volumes: verb == Verb::Guard,
            keep: self.keep.clone(),
            keep_last: None,
            older_than: None,
            stale_after: Duration::from_secs(6 * 3600),
            trust_stamp: verb == Verb::Trusting,
            cache: crate::plan::clean::CacheWish::Leave,
            cache_keep: None,
            mounts: None,
        };
        let mut plan = match verb {
            Verb::Build => {
                let candidates = superseded::candidates(&self.books, &self.done, 0);
                let steps = superseded::steps(&self.snapshot, &self.books, &[], &self.keep, &candidates);
                Plan::new("build", &self.snapshot.engine, at(NOW), steps, Vec::new())
            }
            Verb::Clean | Verb::Tagged | Verb::All | Verb::Trusting | Verb::Compose => clean::plan(&look, &policy),
            Verb::Session | Verb::KeepTagged | Verb::Stale | Verb::Guard | Verb::EndByName => {
                session_end::plan(&look, &self.extras, &policy)
            }
            Verb::Sweep | Verb::AllImages => return self.sweep(verb, &lives),
        };
        anonymous(&self.snapshot, &self.extras.volumes, &mut plan, &policy);
        plan
    }

    /// With everything on, and nothing too young.
    fn sweep(&self, verb: Verb, lives: &HashMap<crate::model::SessionKey, Life>) -> Plan {
        let policy = sweep::SweepPolicy {
            containers: true,
            images: true,
            volumes: true,
            builder_state: true,
            networks: true,
            cache: true,
            all_images: verb == Verb::AllImages,
            until: Duration::ZERO,
            filter: Vec::new(),
            keep: self.keep.clone(),
            keep_last: None,
            cache_keep: None,
            cache_until: Duration::ZERO,
            need: None,
            unused_since: None,
        };
        let look = sweep::SweepLook {
            snapshot: &self.snapshot,
            ended: &HashMap::new(),
            volumes: &self.extras.volumes,
            builders: &self.builders,
            networks: &self.extras.networks,
            cache: &self.cache,
            layers: &HashMap::new(),
            tagged: &HashMap::new(),
            first_seen: &HashMap::new(),
            books: &self.books,
            lives,
            running: &[],
            now: at(NOW),
        };
        sweep::plan(&look, &policy).plan
    }
}

fn container_of(user: User) -> Option<Container> {
    use ContainerState::{Created, Dead, Exited, Other, Paused, Pod, Restarting, Running, Working};
    let of = |written: &str, state, made| {
        let container = container("user", 1, state);
        Container { image_name: written.to_owned(), created: made, ..container }
    };
    let hour_ago = NOW - HOUR / 2;
    let labelled = |container: Container, of: &str| Container {
        labels: HashMap::from([(RUN_LABEL.to_owned(), of.to_owned())]),
        ..container
    };
    Some(match user {
        User::Nobody => return None,
        User::Exited => of("app", Exited, hour_ago),
        User::Running => of("app:latest", Running, hour_ago),
        User::Paused => of("app", Paused, hour_ago),
        User::Restarting => of("app", Restarting, hour_ago),
        User::Dead => of("app", Dead, hour_ago),
        User::InLimbo => of("app", Other("in limbo".to_owned()), hour_ago),
        User::Working => of("app", Working, hour_ago),
        User::OfPod => of("app", Pod("pod".to_owned()), hour_ago),
        User::JustCreated => of("app", Created, NOW),
        User::Created => of("app", Created, hour_ago),
        User::TheirExited => of("theirs:1", Exited, hour_ago),
        User::TheirRunning => of("theirs:1", Running, hour_ago),
        User::Labelled => labelled(of("theirs:1", Running, hour_ago), "p:s"),
        User::LabelledOther => labelled(of("app", Exited, hour_ago), "p:t"),
        User::LabelledByImage => labelled(of("theirs:1", Exited, hour_ago), "p:s"),
        User::Mounting => {
            Container { image_mounts: vec![id(1).to_string()], image: Some(id(9)), ..of("postgres", Running, hour_ago) }
        }
    })
}

fn takes(plan: &Plan, kind: Kind, id: &str) -> bool {
    does(plan, Action::Remove, kind, id)
}

fn does(plan: &Plan, action: Action, kind: Kind, id: &str) -> bool {
    plan.steps.iter().any(|step| step.kind() == kind && step.action() == action && step.id() == id)
}

/// Whether what this one made is the verb's to take.
fn covers(verb: Verb, maker: Maker) -> bool {
    match verb {
        Verb::Clean | Verb::Tagged => matches!(maker, Maker::Session | Maker::Other),
        Verb::Trusting => matches!(maker, Maker::Session | Maker::Other | Maker::Child),
        Verb::All => matches!(maker, Maker::Session | Maker::Other | Maker::Both | Maker::Project),
        Verb::Compose => false,
        Verb::Sweep | Verb::AllImages => maker != Maker::Living,
        _ => maker == Maker::Session,
    }
}

/// Whether the image goes.
fn image_goes(verb: Verb, maker: Maker, called: Called, user: User) -> bool {
    let named = match verb {
        Verb::AllImages => true,
        Verb::Build | Verb::Clean | Verb::KeepTagged | Verb::Sweep => called == Called::Nothing,
        // No record says that a build gave the name.
        Verb::Trusting if maker == Maker::Child => called == Called::Nothing,
        _ => matches!(called, Called::Nothing | Called::Ours),
    };
    let free = if verb.sweeps() { user == User::Nobody || user.is_stopped() } else { user.goes_with_session(verb) };
    covers(verb, maker) && named && free
}

/// Whether its container goes.
fn container_goes(verb: Verb, maker: Maker, called: Called, user: User) -> bool {
    match (verb, user) {
        (Verb::Sweep | Verb::AllImages, _) => user.is_stopped() && maker != Maker::Living,
        // Its label is enough, whatever its image.
        (_, User::Labelled) => verb.stops(),
        _ => user.goes_with_session(verb) && image_goes(verb, maker, called, user),
    }
}

#[test]
fn every_image_and_every_container_is_decided_on() {
    let mut cells = 0;
    for verb in VERBS {
        for maker in MAKERS {
            for called in CALLED {
                for user in USERS {
                    let plan = Scene::new(maker, called, user).plan(verb);
                    let cell = format!("{verb:?} {maker:?} {called:?} {user:?}\n{:#?}\n{:#?}", plan.steps, plan.kept);
                    let image = takes(&plan, Kind::Image, &id(1).to_string());
                    assert_eq!(image, image_goes(verb, maker, called, user), "image: {cell}");
                    let goes = user != User::Nobody && container_goes(verb, maker, called, user);
                    assert_eq!(takes(&plan, Kind::Container, "user-id"), goes, "container: {cell}");
                    let stopped = does(&plan, Action::Stop, Kind::Container, "user-id");
                    assert_eq!(stopped, goes && !user.is_stopped(), "stopped: {cell}");
                    let told = plan.kept.iter().any(|kept| kept.kind == Kind::Image && kept.id == id(1).to_string());
                    // A build says nothing of what it leaves.
                    let tells = verb != Verb::Build && covers(verb, maker) && !image;
                    assert!(told || !tells, "it stays, and nobody is told why: {cell}");
                    assert!(!(told && image), "it goes and stays: {cell}");
                    let ours = |step: &Step| match &step.deed {
                        Deed::Untag { image, name } => *image != id(1) || name.as_str() == "app:latest",
                        _ => true,
                    };
                    assert!(plan.steps.iter().all(ours), "a stranger's name: {cell}");
                    cells += 1;
                }
            }
        }
    }
    assert_eq!(cells, VERBS.len() * MAKERS.len() * CALLED.len() * USERS.len());
}

/// Whoever made it and whatever it is called: what a pattern means goes from no verb.
#[test]
fn no_verb_takes_what_a_keep_pattern_means() {
    let pattern = |text: &str| Pattern::new(text).expect(text);
    let digits = id(1).digits();
    let written = [format!("sha256:{digits}"), digits[..12].to_owned(), "sha256:01*".to_owned()];
    let mut meant = written.iter().cycle();
    for verb in VERBS {
        for maker in MAKERS {
            for called in CALLED {
                for user in USERS {
                    let meant = meant.next().expect("it goes on");
                    let keep = vec![pattern(meant), pattern("user")];
                    let plan = Scene { keep, ..Scene::new(maker, called, user) }.plan(verb);
                    let cell = format!("{meant} {verb:?} {maker:?} {called:?} {user:?}\n{:#?}", plan.steps);
                    assert!(!takes(&plan, Kind::Image, &id(1).to_string()), "image: {cell}");
                    assert!(!takes(&plan, Kind::Container, "user-id"), "container: {cell}");
                }
            }
        }
    }
}

/// What a volume or a network bears, and what a volume is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spare {
    Nobodys,
    /// With the run label of the session, of a living one, of another one, of another project's of the same name, or
    /// in words that dkb never wrote.
    Ours,
    /// The same, and older than the session.
    Before,
    Living,
    Other,
    Namesake,
    Rubbish,
    /// Made by the engine for the container, which bears the session's label.
    Anonymous,
    /// The same, and another container uses it by now.
    AnonymousShared,
}

#[test]
fn every_volume_and_every_network_is_decided_on() {
    use Spare::{Anonymous, AnonymousShared, Before, Living, Namesake, Nobodys, Other, Ours, Rubbish};
    for verb in VERBS {
        for spare in [Nobodys, Ours, Before, Living, Other, Namesake, Rubbish, Anonymous, AnonymousShared] {
            for used in [false, true] {
                let mut scene = Scene::new(Maker::Stranger, Called::Theirs, User::Labelled);
                let label = match spare {
                    Ours | Before => Some("p:s"),
                    Living => Some("p:busy"),
                    Other => Some("p:t"),
                    Namesake => Some("q:s"),
                    Rubbish => Some("s"),
                    _ => None,
                };
                let labels: HashMap<String, String> =
                    label.map(|run| (RUN_LABEL.to_owned(), run.to_owned())).into_iter().collect();
                let nameless = matches!(spare, Anonymous | AnonymousShared);
                let called = if nameless { "ab".repeat(32) } else { "thing".to_owned() };
                let older = if spare == Before { 3 * HOUR } else { 0 };
                let made = Some(at(scene.snapshot.containers[0].created - older));
                scene.extras = Extras {
                    networks: vec![Network {
                        id: "net".to_owned(),
                        name: called.clone(),
                        driver: "bridge".to_owned(),
                        scope: "local".to_owned(),
                        created: made,
                        labels: labels.clone(),
                    }],
                    volumes: vec![Volume {
                        name: called.clone(),
                        driver: "local".to_owned(),
                        created: made,
                        labels,
                        size: None,
                    }],
                };
                if used || nameless {
                    scene.snapshot.containers[0].volumes = vec![called.clone()];
                    scene.snapshot.containers[0].networks = vec!["net".to_owned()];
                }
                if spare == AnonymousShared {
                    scene.snapshot.containers.push(Container {
                        volumes: vec![called.clone()],
                        networks: vec!["net".to_owned()],
                        ..container("other", 9, ContainerState::Exited)
                    });
                }
                let plan = scene.plan(verb);
                let cell = format!("{verb:?} {spare:?} used: {used}\n{:#?}", plan.steps);
                // A container that runs stays where it is not stopped, and with it what it uses.
                let by_label = spare == Ours && verb.ends_session() && (!used || verb.stops());
                // The one that is only there to share goes.
                let swept = verb.sweeps() && spare != Living && !used && !nameless;
                let anonymous = spare == Anonymous && verb.stops();
                assert_eq!(takes(&plan, Kind::Network, "net"), by_label || swept, "network: {cell}");
                assert_eq!(takes(&plan, Kind::Volume, &called), by_label || swept || anonymous, "volume: {cell}");
                if spare == Ours && verb.ends_session() && !by_label {
                    let held = [Kind::Network, Kind::Volume].map(|kind| {
                        let told = plan.kept.iter().filter(|kept| kept.kind == kind);
                        told.map(|kept| (kept.reason, kept.holders.clone())).collect::<Vec<_>>()
                    });
                    let user = Holder::from(&scene.snapshot.containers[0]);
                    let in_use = vec![(KeptReason::InUse, vec![user])];
                    assert_eq!(held, [in_use.clone(), in_use], "held: {cell}");
                }
                scene.keep = vec![Pattern::new(&called).expect("a pattern")];
                let kept = scene.plan(verb).steps;
                let is_meant = |step: &&Step| matches!(step.kind(), Kind::Network | Kind::Volume);
                assert_eq!(kept.iter().find(is_meant), None, "a pattern means it: {cell}");
            }
        }
    }
}

#[test]
fn build_cache_that_nobody_asked_for_is_for_the_sweep_alone() {
    for verb in VERBS {
        let mut scene = Scene::new(Maker::Session, Called::Nothing, User::Nobody);
        scene.cache = vec![CacheRecord {
            id: "record".to_owned(),
            parents: Vec::new(),
            kind: "regular".to_owned(),
            in_use: false,
            shared: false,
            size: 1,
            created: Some(at(NOW - HOUR)),
            last_used: Some(at(NOW - HOUR)),
            ..CacheRecord::default()
        }];
        assert_eq!(takes(&scene.plan(verb), Kind::BuildCache, "record"), verb.sweeps(), "{verb:?}");
    }
}

#[test]
fn what_a_builder_left_is_for_the_sweep_alone_once_no_list_has_the_builder() {
    for verb in VERBS {
        for (known, used) in [(false, false), (false, true), (true, false), (true, true)] {
            let mut scene = Scene::new(Maker::Stranger, Called::Theirs, User::Running);
            let state = "buildx_buildkit_mine0_state".to_owned();
            scene.extras.volumes = vec![Volume {
                name: state.clone(),
                driver: "local".to_owned(),
                created: Some(at(NOW - HOUR)),
                labels: HashMap::new(),
                size: None,
            }];
            if known {
                scene.builders.add("mine", ["mine0"]);
            }
            if used {
                scene.snapshot.containers[0].volumes = vec![state.clone()];
            }
            let plan = scene.plan(verb);
            let cell = format!("{verb:?} known: {known} used: {used}\n{:#?}\n{:#?}", plan.steps, plan.kept);
            assert_eq!(takes(&plan, Kind::BuilderState, &state), verb.sweeps() && !known && !used, "{cell}");
            // All volumes were asked for too, and to those it belongs whatever a list says.
            assert_eq!(takes(&plan, Kind::Volume, &state), verb.sweeps() && known && !used, "as a volume: {cell}");
        }
    }
}

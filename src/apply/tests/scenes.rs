//! Small hosts, each with the plan that the real planners make of it.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use jiff::Timestamp;

use super::laws::Claims;
use crate::engine::Engine as _;
use crate::engine::fake::{Fake, Loaded, Store, World, container_of};
use crate::model::books_tests::{build, id, key};
use crate::model::{
    Books, Build, CacheRecord, Capabilities, Container, ContainerState, Ended, ImageId, KnownBuilders, Life, Name,
    Network, Opening, Plan, RUN_LABEL, Record, Reference, Scope, SessionEntry, Snapshot, Taken, VERSION, Volume,
    ledger,
};
use crate::plan::clean::{self, CleanLook, CleanPolicy, Here, anonymous, at_work};
use crate::plan::session_end::{self, Extras};
use crate::plan::{order, superseded, sweep};

/// Who makes the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Clean,
    /// Names that our builds gave go too.
    Tagged,
    /// The end of a session that somebody had opened.
    End,
    /// What a build takes away when it is done.
    Tidy,
    Sweep,
}

#[derive(Clone, Copy)]
pub(super) struct Scene {
    pub(super) called: &'static str,
    pub(super) verb: Verb,
    /// Whose images a stranger meddles with.
    pub(super) subjects: &'static [u8],
    /// The names that our builds gave.
    pub(super) names: &'static [&'static str],
    pub(super) make: fn(&mut World) -> Books,
}

/// A host before anybody meddles with it, and what is planned for it.
pub(super) struct Staged {
    pub(super) world: World,
    pub(super) plan: Plan,
    pub(super) depths: HashMap<ImageId, usize>,
    pub(super) can: Capabilities,
    pub(super) books: Books,
    pub(super) claims: Claims,
    /// What each image is built on and what is built on it.
    pub(super) families: HashMap<ImageId, BTreeSet<String>>,
}

pub(super) const NAME: &str = "app:latest";
/// An image of somebody else, which stands in every scene under this name.
pub(super) const OTHER: u8 = 90;
pub(super) const OTHERS_NAME: &str = "zed:1";
/// What somebody else's image is built on, in scenes with containers.
const PLAIN: u8 = 91;

pub(super) const SCENES: &[Scene] = &[
    scene("an image without a name", Verb::Clean, &[1], untagged),
    scene("three without a name", Verb::Clean, &[1, 2], three_untagged),
    scene("an image with one name", Verb::Tagged, &[1], named),
    scene("an image with two names", Verb::Tagged, &[1], twice_named),
    scene("an image on the steps that made it", Verb::Clean, &[1, 11], chain),
    scene("an image that was pushed", Verb::Clean, &[1], pushed),
    scene("a name of ours beside another's", Verb::Tagged, &[1], named_by_both),
    scene("a deletion that was cut off", Verb::Tagged, &[1], cut_off),
    scene("our own name beside another's", Verb::Clean, &[1], own_name_left),
    scene("a tag that was taken", Verb::End, &[1, 80], taken),
    scene("a tag that was taken and is nobody's", Verb::End, &[1, 80], taken_off),
    scene("a session's things", Verb::End, &[1], session),
    scene("a build that took its own tag", Verb::Tidy, &[1, 11], rebuilt),
    scene("a host to sweep", Verb::Sweep, &[1, 2], host),
];

/// Two of its names are ours and go; the image stays for the project that built it too.
pub(super) const SHARED: Scene = scene("two names of ours on another's image", Verb::Tagged, &[1], shared);
/// By which that image would have stayed.
pub(super) const THIRD: &str = "theirs:before";

pub(super) fn called(called: &str) -> &'static Scene {
    SCENES.iter().find(|scene| scene.called == called).unwrap_or_else(|| panic!("no scene is called {called}"))
}

const fn scene(called: &'static str, verb: Verb, subjects: &'static [u8], make: fn(&mut World) -> Books) -> Scene {
    Scene { called, verb, subjects, make, names: &[NAME, "app:two"] }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

const BUILT: i64 = 1_799_990_000;

pub(super) fn image(n: u8, names: &[&str]) -> Loaded {
    Loaded { names: names.iter().map(ToString::to_string).collect(), created: at(BUILT), ..Loaded::new(id(n)) }
}

pub(super) fn on(parent: u8, image: Loaded) -> Loaded {
    Loaded { parent: Some(id(parent)), layers: vec![id(parent).short(), image.id.short()], ..image }
}

/// Books of session `s` of project `p`, with these builds.
fn books(builds: &[Build]) -> Books {
    let mut books = Books::default();
    books.apply(Record::Session(SessionEntry::new(key("p", "s"), at(BUILT))));
    for (n, build) in (0..).zip(builds) {
        books.apply(Record::Build(Build { at: at(BUILT + n), ..build.clone() }));
    }
    books
}

fn built(result: u8, steps: &[u8]) -> Build {
    build(&result.to_string(), &key("p", "s"), result, steps)
}

fn untagged(world: &mut World) -> Books {
    world.load(image(1, &[]));
    books(&[built(1, &[])])
}

fn three_untagged(world: &mut World) -> Books {
    for n in 1..4 {
        world.load(image(n, &[]));
    }
    books(&[built(1, &[]), built(2, &[]), built(3, &[])])
}

fn named(world: &mut World) -> Books {
    world.load(image(1, &[NAME]));
    books(&[built(1, &[])])
}

fn twice_named(world: &mut World) -> Books {
    world.load(image(1, &[NAME, "app:two"]));
    let tags = ["app", "app:two"].map(|name| Reference::written(name).expect(name)).to_vec();
    books(&[Build { tags, ..built(1, &[]) }])
}

fn shared(world: &mut World) -> Books {
    let mut books = twice_named(world);
    world.load(image(1, &[NAME, "app:two", THIRD]));
    let theirs = Build { tags: Vec::new(), at: at(BUILT), ..build("theirs", &key("q", "t"), 1, &[]) };
    books.apply(Record::Build(theirs));
    books
}

fn chain(world: &mut World) -> Books {
    world.load(image(12, &[]));
    world.load(on(12, image(11, &[])));
    world.load(on(11, image(1, &[])));
    books(&[built(1, &[12, 11])])
}

fn pushed(world: &mut World) -> Books {
    world.load(image(1, &[]));
    world.put_digest(id(1), &format!("app@{}", id(1)));
    books(&[built(1, &[])])
}

fn named_by_both(world: &mut World) -> Books {
    world.load(image(1, &[NAME, "theirs:before"]));
    books(&[built(1, &[])])
}

fn cut_off(world: &mut World) -> Books {
    world.load(image(1, &[NAME, id(1).private_tag().as_str()]));
    books(&[built(1, &[])])
}

fn own_name_left(world: &mut World) -> Books {
    world.load(image(1, &["theirs:before", id(1).private_tag().as_str()]));
    books(&[built(1, &[])])
}

/// The session took the name from image 80. Where that would have been gone then, dkb held it by its own name.
fn taken(world: &mut World) -> Books {
    taken_by(world, image(1, &[NAME]))
}

/// And somebody has taken it off the session's image since.
fn taken_off(world: &mut World) -> Books {
    taken_by(world, image(1, &[]))
}

fn taken_by(world: &mut World, image_of_session: Loaded) -> Books {
    world.load(image(80, &[]));
    let mut entry = SessionEntry::new(key("p", "s"), at(BUILT));
    if world.store() == Store::Containerd {
        world.tag(id(80), id(80).hold(&ledger('a')).as_str()).expect("it is there");
        entry.held.push(id(80));
    }
    let mut records = Books::default();
    records.apply(Record::Ledger { v: VERSION, engine: String::new(), file: None, id: Some(ledger('a')), whole: None });
    records.apply(Record::Session(entry));
    world.load(image_of_session);
    let took = vec![Taken::new(world.listed(NAME).expect("a name"), id(80))];
    records.apply(Record::Build(Build { at: at(BUILT), took, ..built(1, &[]) }));
    records
}

fn label() -> HashMap<String, String> {
    HashMap::from([(RUN_LABEL.to_owned(), key("p", "s").run_label())])
}

fn run_of(name: &str, image: &str, state: ContainerState) -> Container {
    Container { labels: label(), ..container_of(name, image, state, BUILT + 100) }
}

pub(super) fn network(name: &str) -> Network {
    Network {
        id: format!("{name}-id"),
        name: name.to_owned(),
        driver: "bridge".to_owned(),
        scope: "local".to_owned(),
        created: Some(at(BUILT)),
        labels: label(),
    }
}

pub(super) fn volume(name: &str) -> Volume {
    let created = Some(at(BUILT));
    Volume { name: name.to_owned(), driver: "local".to_owned(), created, labels: label(), size: Some(10) }
}

fn session(world: &mut World) -> Books {
    world.load(image(PLAIN, &["plain:1"]));
    world.load(image(1, &[NAME]));
    world.put_network(network("ours"));
    world.put_volume(volume("data"));
    let networks = vec!["ours".to_owned()];
    let volumes = vec!["data".to_owned()];
    let runs = Container { volumes, networks, ..run_of("runs", "plain:1", ContainerState::Running) };
    world.create_container(runs).expect("its image is there");
    world.create_container(run_of("over", NAME, ContainerState::Exited)).expect("its image is there");
    books(&[built(1, &[])])
}

/// The newer build has taken the name. It stands last in the books.
fn rebuilt(world: &mut World) -> Books {
    world.load(image(12, &[]));
    world.load(on(12, image(11, &[])));
    world.load(on(11, image(1, &[])));
    world.load(on(12, image(2, &[NAME])));
    books(&[built(1, &[12, 11]), built(2, &[12])])
}

fn host(world: &mut World) -> Books {
    world.load(image(3, &[]));
    world.load(on(3, image(1, &[])));
    world.load(image(2, &[]));
    world.put_network(network("old"));
    world.put_volume(volume("old"));
    let over = container_of("over", &id(2).to_string(), ContainerState::Exited, BUILT);
    world.create_container(Container { volumes: vec!["old".to_owned()], ..over }).expect("its image is there");
    for (name, parents) in [("r1", vec![]), ("r2", vec!["r1".to_owned()]), ("r3", vec![])] {
        world.put_cache(CacheRecord {
            id: name.to_owned(),
            parents,
            kind: "regular".to_owned(),
            in_use: false,
            shared: false,
            size: 10,
            created: Some(at(BUILT)),
            last_used: Some(at(BUILT)),
            ..CacheRecord::default()
        });
    }
    Books::default()
}

/// Whether a scene is one on this store: only a graphdriver keeps the digest of an image that lost its name.
pub(super) fn is_for(scene: &Scene, store: Store) -> bool {
    scene.called != "an image that was pushed" || store == Store::Graphdriver
}

impl Scene {
    pub(super) fn stage(&self, store: Store) -> Staged {
        let staged = stage(store, self.verb, |world| {
            world.load(image(OTHER, &[OTHERS_NAME]));
            (self.make)(world)
        });
        assert!(!staged.plan.steps.is_empty(), "{} on {store:?}: nothing to do", self.called);
        staged
    }
}

pub(super) fn stage(store: Store, verb: Verb, make: impl FnOnce(&mut World) -> Books) -> Staged {
    let fake = Fake::new(store);
    let books = make(&mut fake.world());
    let (plan, depths, can) = super::run::block_on(plan(&fake, &books, verb));
    let world = fake.world().clone();
    let claims = Claims::of(&world, &plan);
    let families = world.ids().into_iter().map(|id| (id, family(&world, id))).collect();
    Staged { world, plan, depths, can, books, claims, families }
}

fn family(world: &World, of: ImageId) -> BTreeSet<String> {
    let line = |id| std::iter::successors(Some(id), |id| world.parent_of(*id));
    let related = |other: &ImageId| line(*other).any(|id| id == of) || line(of).any(|id| id == *other);
    world.ids().into_iter().filter(related).map(|id| id.digits()).collect()
}

/// What the verb would do about this host.
pub(super) async fn plan(fake: &Fake, books: &Books, verb: Verb) -> (Plan, HashMap<ImageId, usize>, Capabilities) {
    let info = fake.info().await.expect("an answer");
    let (images, containers) = tokio::join!(fake.images(true), fake.containers());
    let snapshot =
        Snapshot { engine: info.clone(), images: images.expect("a list"), containers: containers.expect("a list") };
    let extras =
        Extras { networks: fake.networks().await.expect("a list"), volumes: fake.volumes().await.expect("a list") };
    let (now, own) = (info.now, key("p", "s"));
    let here = Here { by_ci: true, ..Here::somebody(own.clone()) };
    let opening = Opening { since: at(BUILT - 1), copies: BTreeSet::new() };
    let opened = if verb == Verb::End { HashMap::from([(own.clone(), opening)]) } else { HashMap::new() };
    let lives = HashMap::from([(own.clone(), if verb == Verb::End { Life::Alive } else { Life::Unowned })]);
    let look = CleanLook {
        lives: &lives,
        opened: &opened,
        at_work: &at_work(&snapshot, books),
        now,
        ..CleanLook::of(&snapshot, books, &here)
    };
    let ends = verb == Verb::End;
    let policy = CleanPolicy {
        compose: None,
        scope: if ends { Scope::Session(own) } else { Scope::Project { project: Name::typed("p").expect("a name") } },
        tags: verb != Verb::Clean,
        containers: ends,
        stops: ends,
        volumes: ends,
        keep: Vec::new(),
        keep_last: None,
        older_than: None,
        stale_after: Duration::from_secs(3600),
        trust_stamp: false,
        cache: crate::plan::clean::CacheWish::Leave,
        cache_keep: None,
        mounts: None,
    };
    let mut plan = match verb {
        Verb::Clean | Verb::Tagged => clean::plan(&look, &policy),
        Verb::End => session_end::plan(&look, &extras, &policy),
        Verb::Tidy => {
            let last = books.builds.last();
            let candidates = last.map(|done| superseded::candidates(books, done, 0)).unwrap_or_default();
            let steps = superseded::steps(&snapshot, books, &[], &[], &candidates);
            Plan::new("build", &info, now, steps, Vec::new())
        }
        Verb::Sweep => swept(&snapshot, &extras, &fake.cache().await.expect("a list").unwrap_or_default(), books, now),
    };
    if ends {
        anonymous(&snapshot, &extras.volumes, &mut plan, &policy);
    }
    (plan, order::depths(snapshot.images.iter()), info.can)
}

fn swept(snapshot: &Snapshot, extras: &Extras, cache: &[CacheRecord], books: &Books, now: Timestamp) -> Plan {
    let policy = sweep::SweepPolicy {
        containers: true,
        images: true,
        volumes: true,
        builder_state: true,
        networks: true,
        cache: true,
        all_images: false,
        until: Duration::ZERO,
        filter: Vec::new(),
        keep: Vec::new(),
        keep_last: None,
        cache_keep: None,
        cache_until: Duration::ZERO,
        need: None,
        unused_since: None,
    };
    let ended = |container: &Container| (container.id.clone(), Ended { at: Some(at(BUILT)), written: 0 });
    let look = sweep::SweepLook {
        snapshot,
        ended: &snapshot.containers.iter().map(ended).collect(),
        volumes: &extras.volumes,
        builders: &KnownBuilders::default(),
        networks: &extras.networks,
        cache,
        layers: &HashMap::new(),
        tagged: &HashMap::new(),
        first_seen: &HashMap::new(),
        books,
        lives: &HashMap::new(),
        running: &[],
        now,
    };
    sweep::plan(&look, &policy).plan
}

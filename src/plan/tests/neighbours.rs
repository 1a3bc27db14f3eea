//! Random neighbours: hosts on which sessions, projects and strangers share images, names and labels. Whatever verb is
//! asked, nothing is taken that is not proven to be in its scope. Ten are tried for each host that `DKB_SOAK` asks for.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::model::RunningBuild;
use crate::model::books_tests::{build, id, key};
use crate::model::image_tests::{container, host, image};
use crate::model::{
    Action, Books, Build, Container, ContainerState, Deed, Image, ImageId, Kind, Life, Network, Plan, RUN_LABEL,
    Record, Reference, Scope, SessionEntry, SessionKey, Snapshot, Step, Volume,
};
use crate::plan::clean::{self, CleanLook, CleanPolicy, Here, anonymous, at_work};
use crate::plan::session_end::{self, Extras};

const NOW: i64 = 1_800_000_000;
const NAMES: [&str; 5] = ["app:1", "app:2", "tool:1", "theirs:1", "theirs:2"];
const LABELS: [&str; 6] = ["p:s", "p:t", "q:s", "s", "p:busy", ""];

/// Small numbers from one seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % sides as u64).unwrap_or(0)
    }

    fn one_in(&mut self, sides: usize) -> bool {
        self.roll(sides) == 0
    }

    fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.roll(choices.len())].clone()
    }

    fn at(&mut self) -> i64 {
        NOW - i64::try_from(self.roll(7200)).unwrap_or(0)
    }
}

fn moment(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn labels(run: &str) -> HashMap<String, String> {
    let run = (!run.is_empty()).then(|| (RUN_LABEL.to_owned(), run.to_owned()));
    run.into_iter().collect()
}

struct App {
    snapshot: Snapshot,
    books: Books,
    extras: Extras,
    lives: HashMap<SessionKey, Life>,
    beats: HashMap<SessionKey, Timestamp>,
    running: Vec<RunningBuild>,
}

fn sessions() -> Vec<SessionKey> {
    vec![key("p", "s"), key("p", "t"), key("p", "busy"), key("q", "s"), key("p", "local-00000001")]
}

fn world(dice: &mut Dice) -> App {
    let mut books = Books::default();
    for of in sessions() {
        let first = moment(dice.at());
        let ci = dice.one_in(2);
        books.apply(Record::Session(SessionEntry { ci, ..SessionEntry::new(of, first) }));
    }
    let count = u8::try_from(2 + dice.roll(6)).unwrap_or(2);
    let mut images: Vec<Image> = Vec::new();
    for n in 1..=count {
        let mut draft = image(n);
        if dice.one_in(3) {
            draft = draft.stamp(&dice.of(&sessions()));
        }
        if n > 1 && dice.one_in(3) {
            draft = draft.parent(1 + u8::try_from(dice.roll(usize::from(n) - 1)).unwrap_or(0));
        }
        let mut made = draft.done();
        for name in NAMES {
            let taken = images.iter().any(|other: &Image| other.tags.iter().any(|tag| tag.as_str() == name));
            if !taken && dice.one_in(6) {
                made.tags.push(Reference::written(name).expect(name));
            }
        }
        if dice.one_in(8) {
            made.digests.push("registry/app@sha256:1".to_owned());
            made.travelled = true;
        }
        made.labels.extend(labels(if dice.one_in(8) { "p:s" } else { "" }));
        for nth in 0..dice.roll(3) {
            let tags = (0..dice.roll(3)).map(|_| Reference::written(dice.of(&NAMES[..3])).expect("a name")).collect();
            let of = dice.of(&sessions());
            // It ended in this one, or this was a step of it.
            let (result, steps) = if dice.one_in(3) { (0, &[n][..]) } else { (n, &[][..]) };
            let made = build(&format!("{n}-{nth}"), &of, result, steps);
            books.apply(Record::Build(Build { tags, at: moment(dice.at()), ..made }));
        }
        images.push(made);
    }
    let states = [ContainerState::Created, ContainerState::Exited, ContainerState::Running, ContainerState::Dead];
    let nameless = |n: usize| format!("{n:064x}");
    let containers: Vec<Container> = (0..dice.roll(6))
        .map(|n| {
            let of = 1 + u8::try_from(dice.roll(usize::from(count))).unwrap_or(0);
            let id_of = id(of).to_string();
            let mut made = Container {
                created: dice.at(),
                image_name: dice.of(&["app:1", "app", "theirs:1", "tool:1", id_of.as_str(), ""]).to_owned(),
                labels: labels(dice.of(&LABELS)),
                ..container(&format!("c{n}"), of, dice.of(&states))
            };
            if dice.one_in(3) {
                made.volumes = vec![dice.of(&[nameless(n), nameless(0), "data".to_owned()])];
            }
            made
        })
        .collect();
    let volumes = (0..4)
        .map(|n| Volume {
            name: if n == 3 { "data".to_owned() } else { nameless(n) },
            driver: "local".to_owned(),
            created: containers.get(n).map(|made| moment(made.created)),
            labels: labels(dice.of(&LABELS)),
            size: None,
        })
        .collect();
    let networks = (0..2)
        .map(|n| Network {
            id: format!("net{n}"),
            name: format!("net{n}"),
            driver: "bridge".to_owned(),
            scope: "local".to_owned(),
            created: None,
            labels: labels(dice.of(&LABELS)),
        })
        .collect();
    let mut lives = HashMap::from([(key("p", "busy"), Life::Alive)]);
    let mut beats = HashMap::new();
    if dice.one_in(2) {
        lives.insert(key("p", "t"), Life::Dead);
        beats.insert(key("p", "t"), moment(dice.at()));
    }
    let engine = crate::model::EngineInfo { now: moment(NOW), ..host(vec![], vec![]).engine };
    let running = RunningBuild { of: key("p", "busy"), key: "other".to_owned(), tags: Vec::new() };
    App {
        snapshot: Snapshot { engine, images, containers },
        books,
        extras: Extras { networks, volumes },
        lives,
        beats,
        running: if dice.one_in(3) { vec![running] } else { Vec::new() },
    }
}

fn policy(dice: &mut Dice, scope: Scope) -> CleanPolicy {
    let ends = matches!(scope, Scope::Session(_) | Scope::Stale { .. });
    CleanPolicy {
        compose: None,
        tags: dice.one_in(2),
        containers: ends && !dice.one_in(4),
        stops: ends && dice.one_in(2),
        volumes: dice.one_in(3),
        keep: Vec::new(),
        keep_last: None,
        older_than: None,
        stale_after: Duration::from_secs(1800),
        trust_stamp: false,
        cache: crate::plan::clean::CacheWish::Leave,
        cache_keep: None,
        mounts: None,
        scope,
    }
}

fn try_one(seed: u64) {
    let mut dice = Dice(seed);
    let world = world(&mut dice);
    let own = key("p", "s");
    let here = Here { by_ci: true, vouched: !dice.one_in(3), ..Here::somebody(own.clone()) };
    let project = || own.project.clone();
    let scopes = [
        Scope::Project { project: project() },
        Scope::Session(own.clone()),
        Scope::Stale { project: project() },
        Scope::All,
    ];
    for scope in scopes {
        let policy = policy(&mut dice, scope);
        let look = CleanLook {
            lives: &world.lives,
            beats: &world.beats,
            at_work: &at_work(&world.snapshot, &world.books),
            running: &world.running,
            now: moment(NOW),
            ..CleanLook::of(&world.snapshot, &world.books, &here)
        };
        let mut plan = match policy.scope {
            Scope::Session(_) | Scope::Stale { .. } if policy.containers => {
                session_end::plan(&look, &world.extras, &policy)
            }
            _ => clean::plan(&look, &policy),
        };
        anonymous(&world.snapshot, &world.extras.volumes, &mut plan, &policy);
        for step in &plan.steps {
            if let Err(why) = may(step, &plan, &world, &look, &policy) {
                panic!("seed {seed}, {:?}: {step:?}\n{why}\n{:#?}\n{:#?}", policy.scope, world.snapshot, world.books);
            }
        }
    }
}

/// What must be so for a step, whatever the planner thought of: necessary, and written another way.
fn may(step: &Step, plan: &Plan, world: &App, look: &CleanLook, policy: &CleanPolicy) -> Result<(), &'static str> {
    let in_scope = |of: &SessionKey| {
        let alive = world.lives.get(of) == Some(&Life::Alive);
        !alive
            && match &policy.scope {
                Scope::Project { project } => of.project == *project,
                Scope::Session(session) => of == session,
                Scope::Stale { project } => of.project == *project && *of != look.here.key,
                Scope::All => true,
            }
            && (policy.scope == Scope::All || look.here.vouched || of.session == look.here.copy)
    };
    let own_label = |run: Option<&String>| run.and_then(|run| SessionKey::of_run_label(run)).filter(in_scope);
    let builds = |image: ImageId| world.books.builds.iter().filter(move |build| build.images().any(|one| one == image));
    let removed = |kind: Kind, id: &str| {
        plan.steps.iter().any(|step| step.kind() == kind && step.id() == id && step.action() == Action::Remove)
    };
    let image_of = |container: &Container| world.snapshot.images.iter().find(|image| Some(image.id) == container.image);
    let check = |holds: bool, why: &'static str| if holds { Ok(()) } else { Err(why) };
    match step.kind() {
        Kind::Image => {
            let image = step.image().and_then(|id| world.snapshot.image(id)).ok_or("it is not there")?;
            let gave = |name: &str| {
                let ended_in_it =
                    builds(image.id).filter(|build| in_scope(&build.of) && build.result == Some(image.id));
                ended_in_it.flat_map(|build| &build.tags).any(|tag| tag.as_str() == name)
            };
            check(builds(image.id).any(|build| in_scope(&build.of)), "no build of ours made it")?;
            check(step.names().into_iter().all(gave), "a name that is not ours")?;
            if step.removed_image().is_some() {
                check(builds(image.id).all(|build| in_scope(&build.of)), "somebody else built it too")?;
                check(image.tags.iter().all(|tag| gave(tag.as_str())), "somebody else named it")?;
                check(policy.tags || image.tags.is_empty(), "tags were to stay")?;
                let users = world.snapshot.containers.iter().filter(|one| one.image == Some(image.id));
                check(users.clone().all(|one| removed(Kind::Container, &one.id)), "a container that stays uses it")?;
                let children = world.snapshot.images.iter().filter(|child| child.parent == Some(image.id));
                check(children.clone().all(|child| removed(Kind::Image, &child.id.to_string())), "a child stays")?;
                check(image.digests.iter().all(|name| gave(&name[..name.find('@').unwrap_or(0)])), "it was pulled")?;
            }
            Ok(())
        }
        Kind::Container => {
            let one = world.snapshot.containers.iter().find(|one| one.id == step.id()).ok_or("it is not there")?;
            check(policy.containers, "containers were to stay")?;
            let image = image_of(one).ok_or("its image is not there")?;
            let inherited = image.labels.get(RUN_LABEL) == one.labels.get(RUN_LABEL);
            let labelled = own_label(one.labels.get(RUN_LABEL)).filter(|_| !inherited);
            let runs = one.state == ContainerState::Running || step.action() == Action::Stop;
            check(!runs || policy.stops, "it runs")?;
            if labelled.is_some() {
                return Ok(());
            }
            check(!one.labels.contains_key(RUN_LABEL), "it bears a label that is not its own session's")?;
            check(removed(Kind::Image, &image.id.to_string()), "its image stays")?;
            let tag = Reference::written(&one.image_name);
            let ended_in_it = builds(image.id).filter(|build| build.result == Some(image.id));
            let given = ended_in_it.flat_map(|build| &build.tags).any(|name| Some(name) == tag.as_ref());
            check(given || one.image_name == image.id.to_string(), "it was made by somebody else's name")?;
            let settled = one.state != ContainerState::Created || one.created <= NOW - 600;
            check(settled, "it was created a moment ago")?;
            let first = |of: &SessionKey| world.books.sessions[of].first.as_second();
            check(builds(image.id).any(|build| one.created + 5 >= first(&build.of)), "it was there before the session")
        }
        Kind::Network => {
            let one = world.extras.networks.iter().find(|one| one.id == step.id()).ok_or("it is not there")?;
            check(own_label(one.labels.get(RUN_LABEL)).is_some(), "it bears no label of ours")
        }
        Kind::Volume => {
            let one = world.extras.volumes.iter().find(|one| one.name == step.id()).ok_or("it is not there")?;
            let removal = Deed::RemoveVolume { name: one.name.clone(), created: one.created };
            check(step.deed == removal, "it might be another one by then")?;
            if own_label(one.labels.get(RUN_LABEL)).is_some() {
                return Ok(());
            }
            let users: Vec<&Container> =
                world.snapshot.containers.iter().filter(|user| user.volumes.contains(&one.name)).collect();
            check(one.name.len() == 64 && one.labels.is_empty(), "somebody named it")?;
            check(!users.is_empty() && users.iter().all(|user| removed(Kind::Container, &user.id)), "it is used")
        }
        Kind::BuilderState => Err("what builders left is for the sweep"),
        Kind::BuildCache => Err("cache is for the sweep"),
    }
}

#[test]
fn random_neighbours_lose_nothing() {
    let hosts = std::env::var("DKB_SOAK").ok().and_then(|hosts| hosts.parse().ok()).unwrap_or(200u64);
    let seeds: Box<dyn Iterator<Item = u64>> = match std::env::var("DKB_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => Box::new(std::iter::once(seed)),
        // Pure planning costs next to nothing, so there are many for each host that an engine would get.
        None => Box::new(0..hosts * 10),
    };
    seeds.for_each(try_one);
}

//! Random hosts of containerd's store, with much of ours, much that others made of it, and far more that is no business of
//! ours: the plan from what is ours is that from the whole host.
//!
//! `DKB_SOAK=100000` tries so many; `DKB_SEED=17` makes the one of this seed again.

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::engine::fake::{Fake, Loaded, Request, Store, World, container_of};
use crate::model::books_tests::{build, id, key, with_a_line_lost};
use crate::model::{
    Build, ContainerState, Deed, KeptReason, Kind, Name, Pattern, Plan, Record, SESSION_LABEL, Scope, SessionEntry,
    SessionKey, Step, Taken, ledger,
};
use crate::plan::clean::{self, CacheWish, CleanLook, CleanPolicy, Here, Layers, wanted, wants_layers};
use crate::plan::session_end::{self, Extras};

const USUAL: u64 = 800;
const TAGS: [&str; 4] = ["app:latest", "app:two", "tool:1", "theirs:a"];
/// Of ours and of those who build on it.
const NEAR: u8 = 12;
/// Of everybody else.
const FAR: u8 = 60;

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u8) -> u8 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u8::try_from(((z ^ (z >> 31)) >> 33) % u64::from(sides)).expect("small")
    }

    fn one_in(&mut self, sides: u8) -> bool {
        self.roll(sides) == 0
    }
}

fn labels(of: &SessionKey) -> HashMap<String, String> {
    let pairs = [(PROJECT_LABEL, of.project.to_string()), (SESSION_LABEL, of.session.to_string())];
    pairs.into_iter().map(|(label, value)| (label.to_owned(), value)).collect()
}

fn sessions() -> [SessionKey; 3] {
    [key("p", "s"), key("p", "t"), key("q", "u")]
}

/// An image on top of another, by its parent or by its layers alone, has that one's labels, or has given some others.
fn images(world: &mut World, dice: &mut Dice) {
    for n in 1..=NEAR {
        let mut image = Loaded::new(id(n));
        image.names = TAGS.iter().filter(|_| dice.one_in(7)).map(ToString::to_string).collect();
        if dice.one_in(12) {
            image.names.push(format!("x{n}:1"));
        }
        let of = &sessions()[usize::from(dice.roll(3))];
        image.labels = if dice.one_in(5) { HashMap::new() } else { labels(of) };
        let base = 1 + dice.roll(n);
        if base < n && dice.one_in(2) {
            image.layers = [world.layers_of(id(base)), vec![image.id.short()]].concat();
            image.parent = dice.one_in(2).then_some(id(base));
            let given = if dice.one_in(4) { image.labels } else { HashMap::new() };
            image.labels = world.labels_of(id(base)).into_iter().chain(given).collect();
        }
        world.load(image);
        if dice.one_in(12) {
            let _ = world.tag(id(n), id(n).private_tag().as_str());
        }
        if dice.one_in(12) {
            let by = ledger(if dice.one_in(2) { 'a' } else { 'b' });
            let _ = world.tag(id(n), id(n).hold(&by).as_str());
        }
        // Under a name, and without one at the same time.
        if dice.one_in(12) {
            world.load(Loaded::new(id(n)));
        }
    }
    for n in 100..100 + FAR {
        let names = if n % 2 == 0 { vec![format!("far{n}:1")] } else { Vec::new() };
        world.load(Loaded { names, ..Loaded::new(id(n)) });
    }
}

fn containers(world: &mut World, dice: &mut Dice) {
    for n in 0..dice.roll(5) {
        let of = if dice.one_in(3) { 100 } else { 1 + dice.roll(NEAR) };
        let states = [ContainerState::Created, ContainerState::Exited, ContainerState::Running];
        let state = states[usize::from(dice.roll(3))].clone();
        let mut made = container_of(&format!("c{n}"), &id(of).to_string(), state, world.now().as_second() - 500);
        if dice.one_in(2) {
            made.labels.insert(RUN_LABEL.to_owned(), sessions()[usize::from(dice.roll(3))].run_label());
        }
        if dice.one_in(4) {
            let mounts = [id(1 + dice.roll(NEAR)).to_string(), "far102:1".to_owned(), TAGS[0].to_owned()];
            made.image_mounts.push(mounts[usize::from(dice.roll(3))].clone());
        }
        let _ = world.create_container(made);
    }
}

fn books(world: &World, dice: &mut Dice) -> Books {
    let mut books = Books::default();
    books.id = Some(ledger('a'));
    for of in sessions() {
        if dice.one_in(4) {
            continue;
        }
        let held = if dice.one_in(4) { vec![id(1 + dice.roll(NEAR))] } else { Vec::new() };
        books.apply(Record::Session(SessionEntry { held, ..SessionEntry::new(of, world.now()) }));
    }
    for n in 0..=dice.roll(6) {
        // Some of it is gone.
        let some = |dice: &mut Dice| 1 + dice.roll(NEAR + 2);
        let of = sessions()[usize::from(dice.roll(3))].clone();
        let steps: Vec<u8> = (0..dice.roll(3)).map(|_| some(dice)).collect();
        let result = if dice.one_in(6) { 0 } else { some(dice) };
        let tags = TAGS[..3].iter().filter(|_| dice.one_in(2)).filter_map(|tag| Reference::written(tag)).collect();
        let from = if dice.one_in(2) { 100 } else { some(dice) };
        let tag = Reference::written(TAGS[usize::from(dice.roll(3))]).expect("a name");
        let took = if dice.one_in(4) { vec![Taken::new(tag, id(from))] } else { Vec::new() };
        let compose = dice.one_in(2).then(|| Name::typed(["dev", "test"][usize::from(dice.roll(2))]).expect("a name"));
        let made = build(&n.to_string(), &of, result, &steps);
        books.apply(Record::Build(Build { at: world.now(), tags, took, compose, ..made }));
    }
    if dice.one_in(10) { with_a_line_lost(books) } else { books }
}

fn policy(dice: &mut Dice) -> CleanPolicy {
    let name = |text| Name::typed(text).expect("a name");
    let scopes = [
        Scope::Project { project: name("p") },
        Scope::Session(key("p", "s")),
        Scope::Stale { project: name("p") },
        Scope::All,
    ];
    let scope = scopes[usize::from(dice.roll(4))].clone();
    let ends = scope.is_of_sessions() && !dice.one_in(4);
    let patterns = ["app:*", "theirs", "x3:1", "far*"];
    CleanPolicy {
        compose: dice.one_in(3).then(|| name("dev")),
        tags: ends || dice.one_in(2),
        containers: ends,
        stops: ends && dice.one_in(2),
        volumes: false,
        keep: if dice.one_in(4) {
            vec![Pattern::new(patterns[usize::from(dice.roll(4))]).expect("a pattern")]
        } else {
            Vec::new()
        },
        keep_last: dice.one_in(6).then_some(1),
        older_than: None,
        stale_after: Duration::ZERO,
        trust_stamp: dice.one_in(6),
        cache: CacheWish::Leave,
        cache_keep: None,
        mounts: None,
        scope,
    }
}

async fn layers(fake: &Fake, look: &CleanLook<'_>, policy: &CleanPolicy) -> Layers {
    let mut layers = Layers::new();
    for id in wants_layers(look, policy) {
        layers.extend(fake.image(&id.to_string()).await.expect("an answer").map(|image| (id, image.layers)));
    }
    layers
}

/// The plan as a clean makes it, and of how much of the host.
async fn plan(fake: &Fake, books: &Books, here: &Here, policy: &CleanPolicy, at_least: Breadth) -> (Plan, Breadth) {
    let info = fake.info().await.expect("an answer");
    let Seen { mut breadth, images, bases, containers } = see(fake, &info, books, at_least).await.expect("a look");
    let mut snapshot = Snapshot { engine: info, images, containers };
    snapshot.add_dropped(|id| books.has(id));
    loop {
        let now = snapshot.engine.now;
        let bare = CleanLook { now, ..CleanLook::of(&snapshot, books, here) };
        let layers = layers(fake, &bare, policy).await;
        let look = CleanLook { layers: &layers, ..bare };
        let plan = if policy.ends_sessions() && policy.containers {
            session_end::plan(&look, &Extras::default(), policy)
        } else {
            clean::plan(&look, policy)
        };
        let wanted = wanted(&look, policy, &plan, &bases);
        if breadth >= wanted {
            return (plan, breadth);
        }
        widen(fake, &mut snapshot, wanted).await.expect("a look");
        breadth = wanted;
    }
}

fn deeds(plan: &Plan) -> Vec<String> {
    let mut deeds: Vec<String> = plan.steps.iter().map(|step| format!("{:?} {:?}", step.deed, step.reason)).collect();
    deeds.sort();
    deeds
}

/// Of what is on record, why it stays.
fn kept(plan: &Plan, books: &Books) -> BTreeSet<(String, KeptReason)> {
    let recorded = |id: &str| ImageId::parse(id).is_none_or(|id| books.has(id));
    plan.kept.iter().filter(|kept| recorded(&kept.id)).map(|kept| (kept.id.clone(), kept.reason)).collect()
}

/// What a clean of one of compose's projects takes: nothing that was built for no such project, and nothing that a clean
/// without that name would leave.
fn is_part_of(part: &Plan, all: &Plan, books: &Books, compose: Option<&Name>) -> Result<(), String> {
    let things = |plan: &Plan| -> BTreeSet<String> {
        let gone = plan.steps.iter().filter(|step| !matches!(step.deed, Deed::Untag { .. } | Deed::GiveBack { .. }));
        gone.map(|step| format!("{:?} {}", step.kind(), step.id())).collect()
    };
    let names = |plan: &Plan| -> BTreeSet<String> {
        let named = |step: &Step| step.names().into_iter().map(str::to_owned).collect::<Vec<_>>();
        // A name of dkb's own goes with the whole image, unsaid.
        let images = plan.steps.iter().filter(|step| step.kind() == Kind::Image && !step.is_of_own_name());
        images.flat_map(named).collect()
    };
    for step in &part.steps {
        let is_about = |id| books.claims(id).any(|build| build.compose.as_ref() == compose);
        match &step.deed {
            Deed::RemoveImage { id, .. } | Deed::Untag { image: id, .. } if !is_about(*id) => {
                return Err(format!("{id} was not built for it"));
            }
            Deed::GiveBack { .. } if !all.steps.iter().any(|other| other.deed == step.deed) => {
                return Err(format!("{:?} goes back only with the name", step.deed));
            }
            Deed::RemoveNetwork { .. } | Deed::RemoveVolume { .. } => {
                return Err(format!("{:?} comes with the end of a session", step.deed));
            }
            _ => {}
        }
    }
    let more: Vec<String> = things(part).difference(&things(all)).cloned().collect();
    let more_names: Vec<String> = names(part).difference(&names(all)).cloned().collect();
    if more.is_empty() && more_names.is_empty() { Ok(()) } else { Err(format!("{more:?} {more_names:?} would stay")) }
}

/// How much had to be seen, and whether anything went.
fn try_one(seed: u64) -> (Breadth, bool) {
    let mut dice = Dice(seed);
    let fake = Fake::new(Store::Containerd);
    let books = {
        let mut world = fake.world();
        images(&mut world, &mut dice);
        containers(&mut world, &mut dice);
        books(&world, &mut dice)
    };
    let policy = policy(&mut dice);
    let here = Here { by_ci: dice.one_in(4), ..Here::somebody(key("p", "s")) };
    run(async {
        let (whole, _) = plan(&fake, &books, &here, &policy, Breadth::Whole).await;
        let (narrow, breadth) = plan(&fake, &books, &here, &policy, Breadth::Ours).await;
        let shown = || format!("seed {seed}, {policy:#?}\n{books:#?}\n{:#?}", fake.world());
        assert_eq!(deeds(&narrow), deeds(&whole), "{}", shown());
        assert_eq!(kept(&narrow, &books), kept(&whole, &books), "{}", shown());
        if policy.compose.is_some() {
            let all = CleanPolicy { compose: None, ..policy.clone() };
            let (all, _) = plan(&fake, &books, &here, &all, Breadth::Whole).await;
            is_part_of(&whole, &all, &books, policy.compose.as_ref())
                .unwrap_or_else(|why| panic!("{why}: {}", shown()));
        }
        let removes = |plan: &Plan| plan.steps.iter().any(|step| matches!(step.deed, Deed::RemoveImage { .. }));
        (breadth, removes(&whole))
    })
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn on_random_hosts_the_plan_from_what_is_ours_is_that_from_the_whole() {
    if let Some(seed) = number("DKB_SEED") {
        try_one(seed);
        return;
    }
    let mut seen: HashMap<(bool, &str), u64> = HashMap::new();
    for seed in 0..number("DKB_SOAK").unwrap_or(USUAL) {
        let (breadth, removes) =
            std::panic::catch_unwind(|| try_one(seed)).unwrap_or_else(|_| panic!("again: DKB_SEED={seed}"));
        let breadth = ["ours", "stamped", "whole"][breadth as usize];
        *seen.entry((removes, breadth)).or_default() += 1;
    }
    // Or it would say nothing.
    for breadth in ["ours", "stamped", "whole"] {
        assert!(seen.get(&(true, breadth)).is_some_and(|times| *times > 10), "{seen:?}");
    }
}

/// Whatever names come and go meanwhile, an image that is there all the time is seen, or all are to be listed.
#[test]
fn names_that_move_meanwhile_hide_no_image() {
    let (mut whole, mut some) = (0, 0);
    for seed in 0..USUAL {
        let mut dice = Dice(seed);
        let fake = Fake::new(Store::Containerd);
        images(&mut fake.world(), &mut dice);
        let mut acts = Dice(seed ^ 0xff);
        fake.between(move |request, world| {
            if matches!(request, Request::Look(..)) && acts.one_in(12) {
                let (id, name) = (id(1 + acts.roll(NEAR)), TAGS[usize::from(acts.roll(4))]);
                // Without another name the store would drop what had this one.
                let _ = world.tag(id, &format!("stays{}:1", acts.roll(9))).and_then(|()| world.tag(id, name));
            }
            None
        });
        let ids: Vec<ImageId> = (1..=NEAR).map(id).filter(|id| fake.world().has(*id)).collect();
        let seen = run(async {
            let info = fake.info().await.expect("an answer");
            images_of(&fake, &info, ids.iter().copied()).await
        });
        match seen {
            None => whole += 1,
            Some(ours) => {
                some += 1;
                let missing =
                    |id: &&ImageId| fake.world().has(**id) && !ours.images.iter().any(|image| image.id == **id);
                assert_eq!(ids.iter().find(missing), None, "seed {seed}");
            }
        }
    }
    assert!(whole > 50 && some > 50, "{whole} {some}");
}

#[test]
fn an_image_is_told_with_all_its_names_and_costs_what_it_is_itself() {
    let fake = Fake::new(Store::Containerd);
    {
        let mut world = fake.world();
        images(&mut world, &mut Dice(1));
        let names = (0..3 * TOGETHER).map(|n| format!("many:{n}")).collect();
        world.load(Loaded { names, ..Loaded::new(id(50)) });
        world.load(Loaded::new(id(51)));
        world.load(Loaded { parent: Some(id(51)), names: vec!["child:1".to_owned()], ..Loaded::new(id(52)) });
    }
    run(async {
        let info = fake.info().await.expect("an answer");
        let wanted = [id(50), id(51), id(70)];
        let ours = images_of(&fake, &info, wanted.into_iter()).await.expect("it is known");
        let all = fake.images(true).await.expect("a list");
        let expected: Vec<&Image> = all.iter().filter(|image| wanted.contains(&image.id)).collect();
        assert_eq!(ours.images.iter().collect::<Vec<_>>(), expected);
        assert_eq!(ours.bases, HashSet::from([id(51)]));
        let many = (1..=200).map(id);
        assert!(images_of(&fake, &info, many).await.is_none(), "a list of all costs less");
        let other = Fake::new(Store::Graphdriver);
        other.world().load(Loaded::new(id(1)));
        let info = other.info().await.expect("an answer");
        assert!(images_of(&other, &info, std::iter::empty()).await.is_none(), "where a list costs nothing");
    });
}

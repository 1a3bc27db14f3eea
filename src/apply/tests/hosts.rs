//! Random hosts: many things of ours and of others on one engine, a random verb, strangers at random requests, and a
//! fault now and then. The laws are those of the small scenes.
//!
//! `DKB_SOAK=100000` tries so many; `DKB_SEED=17` makes the one of this seed again.

use super::interleavings::hold;
use super::run::{Between, run};
use super::scenes::{self, NAME, OTHER, OTHERS_NAME, Scene, Verb, image, on};
use super::stranger;
use crate::engine::fake::{Store, Trouble, World, container_of};
use crate::model::books_tests::{build, id, key};
use crate::model::{Books, Build, ContainerState, Record, Reference, SessionEntry, Taken};

const USUAL: u64 = 1500;
const VERBS: [Verb; 5] = [Verb::Clean, Verb::Tagged, Verb::End, Verb::Tidy, Verb::Sweep];
const TROUBLES: [Trouble; 4] = [Trouble::Refused, Trouble::LostAfter, Trouble::Answer(500), Trouble::Garbage];
const TAGS: [&str; 5] = [NAME, "app:two", "tool:1", "theirs:a", "theirs:b"];

/// The same host of the same seed, on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) >> 33).expect("small") % sides
    }

    fn one_in(&mut self, sides: usize) -> bool {
        self.roll(sides) == 0
    }
}

/// Up to eight images, some on top of others, some built by the session or another one, some under names, some in
/// use; and what a session runs.
fn furnish(world: &mut World, dice: &mut Dice) -> Books {
    let mut books = Books::default();
    for of in [key("p", "s"), key("q", "t")] {
        books.apply(Record::Session(SessionEntry::new(of, world.now())));
    }
    let count = 1 + dice.roll(8);
    for n in (1..=count).map(|n| u8::try_from(n).expect("few")) {
        let names: Vec<&str> = TAGS.into_iter().filter(|_| dice.one_in(6)).collect();
        let one = image(n, &names);
        let below = u8::try_from(dice.roll(usize::from(n))).expect("few");
        world.load(if below > 0 && dice.one_in(2) && world.has(id(below)) { on(below, one) } else { one });
        if dice.one_in(6) {
            world.put_digest(id(n), &format!("app@{}", id(n)));
        }
        if dice.one_in(8) {
            let _ = world.tag(id(n), id(n).private_tag().as_str());
        }
        if dice.one_in(4) {
            let states = [ContainerState::Created, ContainerState::Exited, ContainerState::Running];
            let state = states[dice.roll(3)].clone();
            let made = container_of(&format!("c{n}"), &id(n).to_string(), state, world.now().as_second() - 500);
            world.create_container(made).expect("its image is there");
        }
    }
    for n in 0..=dice.roll(6) {
        let of = if dice.one_in(5) { key("q", "t") } else { key("p", "s") };
        let some = |dice: &mut Dice| u8::try_from(1 + dice.roll(count)).expect("few");
        let steps: Vec<u8> = (0..dice.roll(3)).map(|_| some(dice)).collect();
        let result = if dice.one_in(6) { 0 } else { some(dice) };
        let tags = TAGS[..3].iter().filter(|_| dice.one_in(2)).filter_map(|tag| Reference::written(tag)).collect();
        let took = if dice.one_in(5) {
            vec![Taken::new(Reference::written("app").expect("a name"), id(some(dice)))]
        } else {
            Vec::new()
        };
        let at = world.now();
        books.apply(Record::Build(Build { at, tags, took, ..build(&n.to_string(), &of, result, &steps) }));
    }
    if dice.one_in(2) {
        world.put_network(scenes::network("ours"));
        world.put_volume(scenes::volume("data"));
        let left = scenes::volume("buildx_buildkit_gone0_state");
        world.put_volume(crate::model::Volume { labels: std::collections::HashMap::new(), ..left });
    }
    books
}

fn try_one(seed: u64) -> bool {
    let mut dice = Dice(seed);
    let store = Store::ALL[dice.roll(3)];
    let verb = VERBS[dice.roll(5)];
    let staged = scenes::stage(store, verb, |world| {
        world.load(image(OTHER, &[OTHERS_NAME]));
        furnish(world, &mut dice)
    });
    if staged.plan.steps.is_empty() {
        return false;
    }
    let scene = Scene {
        called: "a random host",
        verb,
        subjects: &[1, 2, 3, 4, 5, 6, 7, 8],
        names: &[NAME, "app:two", "tool:1"],
        make: |_| unreachable!("it is made by the dice"),
    };
    let requests = run(&staged, &Between::default()).fake.asked().len().max(1);
    let all = stranger::all(&scene, &staged);
    let mut acts: Vec<_> =
        (0..dice.roll(5)).map(|_| (dice.roll(requests), all[dice.roll(all.len())].clone())).collect();
    acts.sort_by_key(|(at, _)| *at);
    let trouble = dice.one_in(4).then(|| (dice.roll(requests), TROUBLES[dice.roll(4)]));
    let stop = dice.one_in(8).then(|| dice.roll(requests));
    let between = Between { acts, trouble, stop, needed: None };
    let ran = run(&staged, &between);
    hold(&scene, &staged, &between, &ran);
    true
}

#[test]
fn on_random_hosts_with_strangers_and_faults_nothing_of_others_is_lost() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("DKB_SEED") {
        try_one(seed);
        return;
    }
    let many = number("DKB_SOAK").unwrap_or(USUAL);
    let mut tried = 0;
    for seed in 0..many {
        let done = std::panic::catch_unwind(|| try_one(seed));
        tried += u64::from(done.unwrap_or_else(|_| panic!("again: DKB_SEED={seed}")));
    }
    assert!(tried > many / 4, "{tried} of {many} had anything to do");
}

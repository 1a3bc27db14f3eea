//! Strangers at every request, one thing at a time and two.

use super::laws;
use super::run::{Between, Ran, run};
use super::scenes::{SCENES, SHARED, Scene, Staged, THIRD, is_for};
use super::stranger::{self, Meddling};
use crate::engine::fake::{Request, Store};
use crate::model::{Action, Outcome};

/// Each scene that there is on this store.
pub(super) fn scenes(store: Store) -> impl Iterator<Item = (&'static Scene, Staged)> {
    SCENES.iter().filter(move |scene| is_for(scene, store)).map(move |scene| (scene, scene.stage(store)))
}

#[track_caller]
pub(super) fn hold(scene: &Scene, staged: &Staged, between: &Between, ran: &Ran) {
    let broken = laws::hold(staged, between, ran);
    assert!(
        broken.is_empty(),
        "{} on {:?}\n{}\n{}\nsteps: {:#?}\nkept: {:#?}\nerrors: {:?}",
        scene.called,
        staged.world.store(),
        broken.join("\n"),
        ran.log(),
        ran.plan.steps,
        ran.plan.kept,
        ran.report.errors,
    );
}

#[test]
fn undisturbed_all_of_it_is_done() {
    for store in Store::ALL {
        for (scene, staged) in scenes(store) {
            let ran = run(&staged, &Between::default());
            hold(scene, &staged, &Between::default(), &ran);
            let undone = ran.plan.steps.iter().find(|step| step.result != Some(Outcome::Done));
            assert!(undone.is_none(), "{} on {store:?}: {undone:#?}\n{}", scene.called, ran.log());
            let removed = ran.plan.steps.iter().filter(|step| laws::removes_image(step)).count();
            assert_eq!(ran.report.gone.len(), removed, "{} on {store:?}", scene.called);
            assert!(ran.plan.steps.iter().all(|step| step.action() != Action::Untag || step.result.is_some()));
        }
    }
}

/// Whether to come right before this request differs from coming before the one before it.
fn differs(act: &Meddling, at: usize, came: &[Request], staged: &Staged) -> bool {
    at.checked_sub(1).and_then(|before| came.get(before)).is_none_or(|before| act.concerns(before, staged))
}

/// Hears of a run, and of what was done in it.
type Then<'t> = dyn FnMut(&[(usize, Meddling)], &Ran) + 't;

/// Runs with `acts` and one thing more at every request from the one of this number on, as far as that makes a
/// difference. `came` are the requests without it. Each run is held against the laws, and handed on.
fn with_one_more(
    scene: &Scene,
    staged: &Staged,
    acts: &[(usize, Meddling)],
    (from, came): (usize, &[Request]),
    then: &mut Then<'_>,
) {
    // In a run of the tests, of two things those that have to do with each other; a soak tries all.
    let soak = std::env::var_os("DKB_SOAK").is_some();
    let goes_with = |act: &Meddling| soak || acts.iter().all(|(_, other)| act.is_related(other, staged));
    for act in stranger::all(scene, staged).into_iter().filter(goes_with) {
        for at in (from..=came.len()).filter(|at| *at == from || differs(&act, *at, came, staged)) {
            let acts = [acts, &[(at, act.clone())]].concat();
            let between = Between { acts, ..Between::default() };
            let ran = run(staged, &between);
            if ran.watch.is_done() {
                hold(scene, staged, &between, &ran);
                then(&between.acts, &ran);
            }
        }
    }
}

/// How many runs there were, and how many of them met one of the gaps that no client can close.
#[derive(Debug, Default, PartialEq)]
struct Count {
    runs: usize,
    gaps: usize,
}

impl Count {
    fn add(&mut self, ran: &Ran) {
        self.runs += 1;
        self.gaps += ran.watch.gaps;
    }
}

fn singles(store: Store) -> Count {
    let mut count = Count::default();
    for (scene, staged) in scenes(store) {
        let came = run(&staged, &Between::default()).fake.asked();
        with_one_more(scene, &staged, &[], (0, &came), &mut |_, ran| count.add(ran));
    }
    count
}

fn pairs(store: Store) -> Count {
    let mut count = Count::default();
    for (scene, staged) in scenes(store) {
        let came = run(&staged, &Between::default()).fake.asked();
        with_one_more(scene, &staged, &[], (0, &came), &mut |acts, ran| {
            // With what changed nothing the other thing is alone.
            if !ran.watch.idle {
                let first = acts[0].0;
                with_one_more(scene, &staged, acts, (first, &ran.fake.asked()), &mut |_, ran| count.add(ran));
            }
        });
    }
    count
}

#[test]
fn whatever_a_stranger_does_between_two_requests_nothing_of_his_is_lost() {
    for store in Store::ALL {
        let count = singles(store);
        assert!(count.runs > 500, "{store:?}: {count:?}");
    }
}

/// Two steps about one image are not done side by side: each would see the other's name and take the last.
#[test]
fn an_image_that_is_to_stay_keeps_its_last_name() {
    for store in Store::ALL {
        let mut staged = SHARED.stage(store);
        // Since the plan was made somebody has taken his name away.
        staged.world.remove_image(THIRD).expect("a name");
        staged.claims = laws::Claims::of(&staged.world, &staged.plan);
        let ran = run(&staged, &Between::default());
        hold(&SHARED, &staged, &Between::default(), &ran);
        let results: Vec<_> = ran.plan.steps.iter().map(|step| step.result).collect();
        assert_eq!(results, [Some(Outcome::Done), Some(Outcome::Kept)], "{store:?}: {}", ran.log());
        let came = ran.fake.asked();
        with_one_more(&SHARED, &staged, &[], (0, &came), &mut |acts, ran| {
            let first = acts[0].0;
            with_one_more(&SHARED, &staged, acts, (first, &ran.fake.asked()), &mut |_, _| {});
        });
    }
}

/// The gaps that stand at the head of `image.rs` are met, or it would be time to strike them there.
#[track_caller]
fn hold_pairs(store: Store) {
    let count = pairs(store);
    assert!(count.runs > 20_000 && count.gaps > 0, "{store:?}: {count:?}");
}

#[test]
fn two_things_that_strangers_do_cost_them_nothing_on_a_graphdriver() {
    hold_pairs(Store::Graphdriver);
}

#[test]
fn two_things_that_strangers_do_cost_them_nothing_on_containerds_store() {
    hold_pairs(Store::Containerd);
}

#[test]
fn two_things_that_strangers_do_cost_them_nothing_on_podman() {
    hold_pairs(Store::Podman);
}

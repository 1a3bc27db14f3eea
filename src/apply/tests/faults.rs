//! Requests that fail, in every way, and work that is ended early. What is left is taken by the next run.

use super::interleavings::{hold, scenes};
use super::laws::{self, is_there, removes_image};
use super::run::{Between, Ran, block_on, run};
use super::scenes::{self, Scene, Staged};
use super::stranger;
use crate::apply::{apply, image};
use crate::bookkeeping::Need;
use crate::engine::fake::{Fake, Request, Store, Trouble};
use crate::model::{Action, Deed, KeptReason, Outcome};

const TROUBLES: [Trouble; 6] = [
    Trouble::Refused,
    Trouble::LostBefore,
    Trouble::LostAfter,
    Trouble::Answer(409),
    Trouble::Answer(500),
    Trouble::Garbage,
];

/// The same verb once more, with nobody in the way. Nothing that is not ours goes then, and no name of ours is left.
#[track_caller]
fn again(scene: &Scene, staged: &Staged, ran: &Ran) -> Fake {
    let fake = Fake::with(ran.fake.world().clone());
    let mut books = staged.books.clone();
    books.forget(&ran.report.gone.iter().copied().collect());
    block_on(async {
        let (mut plan, depths, can) = scenes::plan(&fake, &books, scene.verb).await;
        let deleter = image::ImageDeleter::of(&fake, can, &|_| {});
        apply(&deleter, &mut plan, &depths, async |_| Need::None, std::future::pending(), |_, _| {}).await;
        let undone = plan.steps.iter().find(|step| !step.is_done());
        assert!(undone.is_none(), "{}: {undone:#?}\n{}", scene.called, ran.log());
    });
    let mut broken = ran.watch.claims.broken(&fake.world());
    broken.extend(laws::own_names_left(staged, &fake.world()));
    assert!(broken.is_empty(), "{}, later: {broken:#?}\n{}", scene.called, ran.log());
    fake
}

/// Whatever the plan was to take is gone after the second run.
#[track_caller]
fn all_gone(scene: &Scene, staged: &Staged, fake: &Fake, ran: &Ran) {
    let left = staged.plan.steps.iter().find(|step| step.action() == Action::Remove && is_there(step, &fake.world()));
    assert!(left.is_none(), "{} on {:?}: {left:#?}\n{}", scene.called, staged.world.store(), ran.log());
}

#[test]
fn a_request_that_fails_costs_nobody_anything_and_the_next_run_does_the_rest() {
    let (mut runs, mut held) = (0, 0);
    for store in Store::ALL {
        for (scene, staged) in scenes(store) {
            for trouble in TROUBLES {
                for at in 0.. {
                    let between = Between { trouble: Some((at, trouble)), ..Between::default() };
                    let ran = run(&staged, &between);
                    if !ran.watch.is_done() {
                        break;
                    }
                    runs += 1;
                    hold(scene, &staged, &between, &ran);
                    // What is told as done nobody comes back for.
                    for step in ran.plan.steps.iter().filter(|step| step.result == Some(Outcome::Done)) {
                        if let Deed::GiveBack { hold: Some(hold), .. } = &step.deed {
                            held += 1;
                            assert!(!ran.fake.world().names.contains_key(hold), "{hold} is left\n{}", ran.log());
                        }
                    }
                    let fake = again(scene, &staged, &ran);
                    all_gone(scene, &staged, &fake, &ran);
                }
            }
        }
    }
    assert!(runs > 1000 && held > 0, "{runs} {held}");
}

/// The stranger comes right before the request that fails, or right before the one after it.
#[test]
fn a_stranger_beside_a_request_that_fails_loses_nothing() {
    let mut runs = 0;
    for store in Store::ALL {
        for (scene, staged) in scenes(store) {
            for trouble in TROUBLES {
                for act in stranger::all(scene, &staged) {
                    for at in 0.. {
                        let mut any = false;
                        for acts in [vec![(at, act.clone())], vec![(at + 1, act.clone())]] {
                            let between = Between { acts, trouble: Some((at, trouble)), ..Between::default() };
                            let ran = run(&staged, &between);
                            if ran.watch.is_done() {
                                any = true;
                                runs += 1;
                                hold(scene, &staged, &between, &ran);
                            }
                        }
                        if !any {
                            break;
                        }
                    }
                }
            }
        }
    }
    assert!(runs > 30_000, "{runs}");
}

#[test]
fn whoever_stops_it_at_any_moment_finds_all_told_and_the_next_run_does_the_rest() {
    let mut stopped_early = 0;
    for store in Store::ALL {
        for (scene, staged) in scenes(store) {
            let whole = run(&staged, &Between::default()).fake.asked().len();
            for stop in 0..=whole {
                let between = Between { stop: Some(stop), ..Between::default() };
                let ran = run(&staged, &between);
                hold(scene, &staged, &between, &ran);
                // What is under way ends in its grace, and nothing is begun any more.
                let untried = ran.plan.steps.iter().filter(|step| step.result == Some(Outcome::NotTried)).count();
                assert!(ran.report.interrupted || untried == 0, "{} at {stop}: {}", scene.called, ran.log());
                assert!(stop > 0 || untried == ran.plan.steps.len(), "{}: {}", scene.called, ran.log());
                assert!(stop > 0 || ran.fake.asked().is_empty(), "{}: {}", scene.called, ran.log());
                stopped_early += usize::from(untried > 0 && stop > 0);
                let fake = again(scene, &staged, &ran);
                all_gone(scene, &staged, &fake, &ran);
            }
        }
    }
    assert!(stopped_early > 50, "{stopped_early}");
}

/// What has not begun by then stays for it, and is told so.
#[test]
fn a_build_that_begins_at_any_moment_keeps_all_that_it_needs() {
    for store in Store::ALL {
        for (scene, staged) in scenes(store) {
            let whole = run(&staged, &Between::default()).fake.asked().len();
            for needed in 0..=whole {
                let between = Between { needed: Some(needed), ..Between::default() };
                let ran = run(&staged, &between);
                hold(scene, &staged, &between, &ran);
                for step in ran.plan.steps.iter().filter(|step| removes_image(step)) {
                    let stays = step.result == Some(Outcome::Kept);
                    assert_eq!(stays, is_there(step, &ran.fake.world()), "{} at {needed}: {step:#?}", scene.called);
                    let told = ran.plan.kept.iter().find(|kept| kept.id == step.id());
                    let is_told = told.is_some_and(|kept| kept.reason == KeptReason::BuildRunning);
                    assert_eq!(stays, is_told, "{} at {needed}: {told:#?}", scene.called);
                }
                assert!(needed > 0 || ran.fake.asked().iter().all(|request| !is_change(request)), "{}", ran.log());
            }
        }
    }
}

fn is_change(request: &Request) -> bool {
    !matches!(request, Request::Look(..))
}

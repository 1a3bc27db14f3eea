//! The races that `tests/promises/clean_races.rs` runs with a few images on the real engines, by the same names: here
//! the stranger comes at every request, on each kind of store.

use super::interleavings::hold;
use super::run::{Between, Ran, run};
use super::scenes::{NAME, OTHER, Scene, called};
use super::stranger::{Act, Meddling, NameAct};
use crate::engine::fake::{Store, World};
use crate::model::books_tests::id;
use crate::model::{KeptReason, Outcome};

/// The image that is to go.
const OURS: u8 = 1;

/// Somebody does this, all at one moment, once before each request of the scene's plan.
#[track_caller]
fn at_every_request(scene: &Scene, acts: &[Meddling], check: impl Fn(&Ran, &World)) {
    up_to_request(usize::MAX, scene, acts, check);
}

/// `check` sees what came of it, but where he met one of the gaps that no client can close.
#[track_caller]
fn up_to_request(last: usize, scene: &Scene, acts: &[Meddling], check: impl Fn(&Ran, &World)) {
    for store in Store::ALL {
        let staged = scene.stage(store);
        let mut checked = 0;
        for at in 0..=last {
            let acts = acts.iter().map(|act| (at, act.clone())).collect();
            let between = Between { acts, ..Between::default() };
            let ran = run(&staged, &between);
            if !ran.watch.is_done() {
                break;
            }
            hold(scene, &staged, &between, &ran);
            if ran.watch.gaps == 0 && !ran.watch.idle {
                checked += 1;
                check(&ran, &ran.fake.world());
            }
        }
        assert!(checked > 0, "{} on {store:?}: {checked}", scene.called);
    }
}

#[track_caller]
fn means(world: &World, name: &str, image: u8, ran: &Ran) {
    let name = world.listed(name).unwrap_or_else(|| panic!("{name} is a name"));
    assert_eq!(world.names.get(&name), Some(&id(image)), "{name}\n{}", ran.log());
}

#[track_caller]
fn is_kept(ran: &Ran, world: &World) {
    assert!(world.has(id(OURS)), "{}", ran.log());
    let done = ran.plan.steps.iter().find(|step| step.result == Some(Outcome::Done));
    assert!(done.is_none(), "{done:#?}\n{}", ran.log());
}

#[test]
fn a_tag_that_is_added_is_kept() {
    for scene in ["an image without a name", "an image with one name"].map(called) {
        at_every_request(scene, &[Meddling::Image(Act::Tag, OURS)], |ran, world| {
            means(world, "theirs:1", OURS, ran);
            is_kept(ran, world);
        });
    }
}

#[test]
fn a_tag_that_is_moved_stays_with_its_new_image() {
    for scene in ["an image with one name", "a name of ours beside another's"].map(called) {
        at_every_request(scene, &[Meddling::Name(NameAct::MoveAway, NAME)], |ran, world| {
            means(world, NAME, OTHER, ran);
        });
    }
}

#[test]
fn a_tag_that_is_moved_while_another_is_added_costs_neither() {
    let acts = [Meddling::Name(NameAct::MoveAway, NAME), Meddling::Image(Act::Tag, OURS)];
    at_every_request(called("an image with one name"), &acts, |ran, world| {
        means(world, NAME, OTHER, ran);
        means(world, "theirs:2", OURS, ran);
    });
}

#[test]
fn one_of_several_tags_that_is_moved_stays_with_its_new_image() {
    let names = [NAME, "app:two"];
    let acts = names.map(|name| Meddling::Name(NameAct::MoveAway, name));
    at_every_request(called("an image with two names"), &acts, |ran, world| {
        for name in names {
            means(world, name, OTHER, ran);
        }
    });
}

#[test]
fn an_image_that_has_lost_the_name_it_was_to_keep_stays() {
    let theirs = Meddling::Name(NameAct::Untag, "theirs:before");
    // After the names were read it is a gap, and after the deletion he takes the last one himself.
    up_to_request(0, called("a name of ours beside another's"), &[theirs], is_kept);
}

#[test]
fn a_taken_tag_that_somebody_moves_on_is_not_given_back() {
    at_every_request(called("a tag that was taken"), &[Meddling::Name(NameAct::MoveAway, NAME)], |ran, world| {
        means(world, NAME, OTHER, ran);
    });
}

#[test]
fn a_tag_that_was_nobodys_and_that_somebody_gives_is_his() {
    at_every_request(
        called("a tag that was taken and is nobody's"),
        &[Meddling::Name(NameAct::MoveAway, NAME)],
        |ran, world| {
            means(world, NAME, OTHER, ran);
        },
    );
}

#[test]
fn a_container_that_is_created_keeps_its_image() {
    for scene in ["an image without a name", "an image with one name"].map(called) {
        at_every_request(scene, &[Meddling::Image(Act::Create, OURS)], |ran, world| {
            is_kept(ran, world);
            let kept = ran.plan.kept.iter().find(|kept| kept.id == id(OURS).to_string());
            assert!(kept.is_some_and(|kept| kept.reason == KeptReason::InUse), "{kept:?}\n{}", ran.log());
        });
    }
}

#[test]
fn what_another_dkb_deletes_is_gone_and_no_failure() {
    at_every_request(called("an image without a name"), &[Meddling::Image(Act::Delete, OURS)], |ran, _| {
        assert_eq!((&*ran.report.gone, ran.report.exit_code(&ran.plan)), (&[id(OURS)][..], 0), "{}", ran.log());
    });
}

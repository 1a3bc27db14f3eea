//! Between the plan and a deletion others go on working: nothing that they now rely on is lost. A few images of each
//! are enough here: `src/apply/tests/races.rs` has the same at every request, on the engine in memory.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dkb::ledger::Intent;
use dkb::model::{Build, BuildId, Record};
use dkb_lab::promise::containerd_store;
use dkb_lab::proxy::Request;
use dkb_lab::{Engine, Placed, Promises, Proxy, eventually, promises};
use jiff::Timestamp;

use crate::clean_host::{self, Books, PROJECT, SESSION, id, key};

/// So many deletions are under way at a time, at most.
const AT_ONCE: usize = 32;
/// Of each race.
const ROUNDS: usize = 5;
/// More than are under way at a time.
const MANY: usize = AT_ONCE + 8;

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on_every_engine(promises![
            a_tag_that_is_added_is_kept,
            a_tag_that_is_moved_stays_with_its_new_image,
            a_tag_that_is_moved_while_another_is_added_costs_neither,
            one_of_several_tags_that_is_moved_stays_with_its_new_image,
            an_image_that_has_lost_the_name_it_was_to_keep_stays,
            a_taken_tag_that_somebody_moves_on_is_not_given_back,
            a_container_that_is_created_keeps_its_image,
            what_another_dkb_deletes_is_gone_and_no_failure,
            a_build_that_begins_meanwhile_keeps_what_it_may_need,
            a_name_of_ours_that_a_crash_left_goes_with_the_next_clean,
        ])
        .on(|name| !containerd_store(name), promises![no_deletion_waits_behind_another_inside_the_engine])
}

/// The image that a request is about, where it is one of these.
fn meant<'a>(images: &'a [Placed], request: &Request) -> Option<(usize, &'a Placed)> {
    images.iter().enumerate().find(|(n, image)| {
        let digits = &image.id["sha256:".len()..];
        let names = [format!("app:{n}"), format!("also:{n}")];
        request.path.contains(digits)
            || request.path.split(['/', '?']).any(|part| names.iter().any(|name| name == part))
    })
}

/// Runs `piece` once for each image, just before the first request about it that `when` lets through.
fn meddle(
    proxy: &Proxy,
    images: &[Placed],
    when: fn(&Request) -> bool,
    piece: impl Fn(usize, &Placed) + Send + Sync + 'static,
) {
    let done = Mutex::new(vec![false; images.len()]);
    let images = images.to_vec();
    // What is asked before a list is the look, of which the plan is made.
    let looked = AtomicBool::new(false);
    let is_then = move |request: &Request| {
        looked.fetch_or(request.path.contains("/images/json?"), Ordering::Relaxed);
        looked.load(Ordering::Relaxed) && when(request)
    };
    proxy.on_request(is_then).run(move |request| {
        if let Some((n, image)) = meant(&images, request)
            && !std::mem::replace(&mut done.lock().expect("no test panics here")[n], true)
        {
            piece(n, image);
        }
    });
}

fn deletion(request: &Request) -> bool {
    request.method == "DELETE"
}

fn first_touch(request: &Request) -> bool {
    request.path.contains("/images/") && !request.path.contains("/images/json?")
}

/// Untagged images that are ours.
fn untagged(engine: &Engine, books: &Books) -> Vec<Placed> {
    let images = engine.many(ROUNDS, |n, image| image.label("n", &n.to_string()));
    books.built_many(&key(PROJECT, SESSION), images.iter().map(|image| &*image.id));
    images
}

/// Images that are ours, each under one name that a build gave it.
fn tagged(engine: &Engine, books: &Books) -> Vec<Placed> {
    let images = engine.many(ROUNDS, |n, image| image.tag(&format!("app:{n}")));
    for (n, image) in images.iter().enumerate() {
        books.built(&key(PROJECT, SESSION), image, &[&format!("app:{n}")]);
    }
    images
}

fn clean(engine: &Engine, books: &Books, proxy: &Proxy) -> serde_json::Value {
    let command = books.dkb(engine).env("DOCKER_HOST", proxy.host());
    command.args(["clean", "--session", "--format", "json"]).run().success().json()
}

fn a_tag_that_is_added_is_kept(engine: &Engine) {
    for (make, when) in [(untagged as fn(&_, &_) -> _, deletion as fn(&_) -> _), (tagged, deletion)] {
        let (books, proxy) = (Books::of(engine), engine.proxy());
        let images = make(engine, &books);
        let them = engine.clone();
        meddle(&proxy, &images, when, move |n, image| them.tag(image, &format!("theirs:{n}")));
        let document = clean(engine, &books, &proxy);
        let lost = (0..ROUNDS).filter(|n| !engine.has(&format!("theirs:{n}"))).count();
        assert_eq!(lost, 0, "of {ROUNDS}");
        assert_eq!(document["totals"]["done"], 0, "{document:#}");
        let private = |image: &dkb_lab::Image| image.tags.iter().any(|tag| tag.contains("dkb.invalid"));
        assert!(!engine.images().iter().any(private), "our own names are gone");
        engine.wipe();
    }
}

fn a_tag_that_is_moved_stays_with_its_new_image(engine: &Engine) {
    // The second time the image has a stranger's name too, so that only ours is to go.
    for (theirs, when) in [(false, deletion as fn(&_) -> _), (true, first_touch)] {
        let (books, proxy) = (Books::of(engine), engine.proxy());
        let images = tagged(engine, &books);
        for (n, image) in images.iter().enumerate().filter(|_| theirs) {
            engine.tag(image, &format!("theirs:{n}"));
        }
        let others = engine.many(ROUNDS, |n, image| image.label("new", &n.to_string()).tag(&format!("new:{n}")));
        let (them, new) = (engine.clone(), others.clone());
        meddle(&proxy, &images, when, move |n, _| them.tag(&new[n], &format!("app:{n}")));
        clean(engine, &books, &proxy);
        let lost = (0..ROUNDS).filter(|n| engine.find(&format!("app:{n}")).is_none_or(|now| now.id != others[*n].id));
        assert_eq!(lost.count(), 0, "of {ROUNDS}");
        engine.wipe();
    }
}

/// Before the names are read, that is: of both in the one request between reading and deletion, see `apply`.
fn a_tag_that_is_moved_while_another_is_added_costs_neither(engine: &Engine) {
    let (books, proxy) = (Books::of(engine), engine.proxy());
    let images = tagged(engine, &books);
    let others = engine.many(ROUNDS, |n, image| image.label("new", &n.to_string()));
    let (them, new) = (engine.clone(), others.clone());
    meddle(&proxy, &images, first_touch, move |n, image| {
        them.tag(&new[n], &format!("app:{n}"));
        them.tag(image, &format!("theirs:{n}"));
    });
    clean(engine, &books, &proxy);
    for (n, image) in images.iter().enumerate() {
        assert_eq!(engine.find(&format!("theirs:{n}")).expect("their name").id, image.id);
        assert_eq!(engine.find(&format!("app:{n}")).expect("the moved name").id, others[n].id);
    }
}

/// Of several names each is looked up before it goes.
fn one_of_several_tags_that_is_moved_stays_with_its_new_image(engine: &Engine) {
    let (books, proxy) = (Books::of(engine), engine.proxy());
    let images = engine.many(ROUNDS, |n, image| image.tag(&format!("app:{n}")).tag(&format!("also:{n}")));
    for (n, image) in images.iter().enumerate() {
        books.built(&key(PROJECT, SESSION), image, &[&format!("app:{n}"), &format!("also:{n}")]);
    }
    let others = engine.many(ROUNDS, |n, image| image.label("new", &n.to_string()));
    let (them, new) = (engine.clone(), others.clone());
    let is_by_name = |request: &Request| {
        request.method == "GET" && request.path.contains("/json") && !request.path.contains("sha256")
    };
    meddle(&proxy, &images, is_by_name, move |n, _| {
        them.tag(&new[n], &format!("app:{n}"));
        them.tag(&new[n], &format!("also:{n}"));
    });
    clean(engine, &books, &proxy);
    for (n, other) in others.iter().enumerate() {
        for name in ["app", "also"] {
            let now = engine.find(&format!("{name}:{n}")).expect("the moved name");
            assert_eq!(now.id, other.id, "{name}:{n}");
        }
    }
}

/// The plan was to take one name of two. The other one goes meanwhile, and the image is not to go with the last.
fn an_image_that_has_lost_the_name_it_was_to_keep_stays(engine: &Engine) {
    let (books, proxy) = (Books::of(engine), engine.proxy());
    let images = tagged(engine, &books);
    for (n, image) in images.iter().enumerate() {
        engine.tag(image, &format!("theirs:{n}"));
    }
    let them = engine.clone();
    meddle(&proxy, &images, first_touch, move |n, _| them.untag(&format!("theirs:{n}")));
    let document = clean(engine, &books, &proxy);
    assert_eq!(images.iter().filter(|image| !engine.has(image)).count(), 0, "of {ROUNDS}");
    assert_eq!((&document["totals"]["done"], &document["totals"]["failed"]), (&0.into(), &0.into()));
}

fn a_taken_tag_that_somebody_moves_on_is_not_given_back(engine: &Engine) {
    let (books, proxy) = (Books::of(engine), engine.proxy());
    let before = engine.many(ROUNDS, |n, image| image.label("before", &n.to_string()).tag(&format!("before:{n}")));
    let images = engine.many(ROUNDS, |n, image| image.tag(&format!("app:{n}")));
    for (n, image) in images.iter().enumerate() {
        books.took(&key(PROJECT, SESSION), image, &format!("app:{n}"), &before[n]);
    }
    let others = engine.many(ROUNDS, |n, image| image.label("new", &n.to_string()));
    let (them, new) = (engine.clone(), others.clone());
    meddle(&proxy, &images, first_touch, move |n, _| them.tag(&new[n], &format!("app:{n}")));
    clean(engine, &books, &proxy);
    for (n, other) in others.iter().enumerate() {
        assert_eq!(engine.find(&format!("app:{n}")).expect("the moved name").id, other.id);
    }
}

fn a_container_that_is_created_keeps_its_image(engine: &Engine) {
    for make in [untagged as fn(&_, &_) -> _, tagged] {
        let (books, proxy) = (Books::of(engine), engine.proxy());
        let images = make(engine, &books);
        let them = engine.clone();
        meddle(&proxy, &images, deletion, move |_, image| {
            them.container(image).created();
        });
        let document = clean(engine, &books, &proxy);
        let lost = images.iter().filter(|image| !engine.has(image)).count();
        assert_eq!(lost, 0, "of {ROUNDS}");
        let held = document["kept"].as_array().expect("kept").iter().filter(|kept| kept["reason"] == "in_use");
        assert_eq!(held.count(), ROUNDS, "{document:#}");
        engine.wipe();
    }
}

/// It has looked for containers and names by then, and does not look again when its turn comes.
fn no_deletion_waits_behind_another_inside_the_engine(engine: &Engine) {
    for make in [untagged as fn(&_, &_) -> _, tagged] {
        let (books, proxy) = (Books::of(engine), engine.proxy());
        make(engine, &books);
        let (under_way, together) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let met = Arc::clone(&together);
        proxy.on("DELETE", "/images/").run(move |_| {
            under_way.fetch_add(1, Ordering::SeqCst);
            let others = || under_way.load(Ordering::SeqCst) > 1;
            met.fetch_add(usize::from(eventually(Duration::from_millis(20), others)), Ordering::SeqCst);
            under_way.fetch_sub(1, Ordering::SeqCst);
        });
        let document = clean(engine, &books, &proxy);
        assert_eq!((together.load(Ordering::SeqCst), &document["totals"]["done"]), (0, &ROUNDS.into()));
    }
}

fn a_build_that_begins_meanwhile_keeps_what_it_may_need(engine: &Engine) {
    let (books, proxy) = (Books::of(engine), engine.proxy());
    let images = engine.many(MANY, |n, image| image.label("n", &n.to_string()));
    let of = key(PROJECT, SESSION);
    let steps = images.iter().map(|image| id(image)).collect();
    let build = Build { result: None, steps, ..books.build(&of, &images[0], &["app:1"], Duration::ZERO) };
    books.note(&[Record::Build(build.clone())]);
    let intent = Intent {
        tags: build.tags,
        key: build.key,
        classic: true,
        ..Intent::new(BuildId::parse("new").expect("an ID"), of, Timestamp::now())
    };
    let state = dkb::ledger::State::at(books.state.state_dir());
    let running = Mutex::new(None);
    proxy.on("DELETE", "/images/").first(1).run(move |_| {
        *running.lock().expect("no test panics here") = Some(state.begin(&intent).expect("a running build"));
    });
    let document = clean(engine, &books, &proxy);
    let left = clean_host::images(engine);
    let gone = images.iter().filter(|image| !left.contains(&image.id)).count();
    // What had been asked for when the build began.
    assert!(gone <= AT_ONCE, "{gone} went");
    let held = document["kept"].as_array().expect("kept").iter().filter(|kept| kept["reason"] == "build_running");
    assert_eq!(held.count(), MANY - gone, "{document:#}");
}

fn what_another_dkb_deletes_is_gone_and_no_failure(engine: &Engine) {
    let (books, proxy) = (Books::of(engine), engine.proxy());
    let images = untagged(engine, &books);
    let them = engine.clone();
    // Their private name is ours too, and the image goes with it.
    meddle(&proxy, &images, first_touch, move |_, image| {
        let name = id(image).private_tag().to_string();
        them.tag(image, &name);
        them.untag(&name);
    });
    let document = clean(engine, &books, &proxy);
    assert!(engine.images().is_empty());
    assert_eq!((&document["totals"]["done"], &document["totals"]["failed"]), (&ROUNDS.into(), &0.into()));
    let (books, _) = books.ledger.read().expect("the ledger");
    assert!(books.builds.is_empty(), "what is gone is ours no longer");
}

fn a_name_of_ours_that_a_crash_left_goes_with_the_next_clean(engine: &Engine) {
    let (books, proxy) = (Books::of(engine), engine.proxy());
    let images = engine.many(2, |n, image| image.label("n", &n.to_string()));
    // On Podman one goes after the other.
    let at_once = if engine.is_podman() { 1 } else { 2 };
    books.built_many(&key(PROJECT, SESSION), images.iter().map(|image| &*image.id));
    if engine.is_containerd_store() {
        // There dkb needs a name of its own only to hold what a session took a tag from.
        for image in &images {
            engine.tag(image, &id(image).private_tag().to_string());
        }
    } else {
        // Each that has its turn has been given our name, and no deletion gets through before the end.
        proxy.on("DELETE", "/images/").delay(Duration::from_secs(100));
        let dkb = books.dkb(engine).env("DOCKER_HOST", proxy.host()).arg("clean").spawn();
        let are_named = || engine.images().iter().flat_map(|image| &image.tags).count() == at_once;
        assert!(eventually(Duration::from_secs(30), are_named));
        dkb.signal("KILL");
        drop(dkb.wait());
    }
    let own_names = || {
        let tags: Vec<String> = engine.images().into_iter().flat_map(|image| image.tags).collect();
        tags.into_iter().filter(|tag| tag.contains("dkb.invalid")).count()
    };
    assert_eq!(own_names(), at_once);
    let is_named = |image: &&Placed| engine.images().iter().any(|one| one.id == image.id && !one.tags.is_empty());
    let named = images.iter().find(is_named).expect("one of them");
    engine.tag(named, "theirs:1");
    books.dkb(engine).arg("clean").run().success();
    assert_eq!(own_names(), 0, "{}", engine.inventory());
    assert_eq!(
        images.iter().map(|image| engine.has(image)).filter(|there| *there).count(),
        1,
        "{}",
        engine.inventory()
    );
    assert!(engine.has("theirs:1"), "{}", engine.inventory());
}

//! Whatever happened to the ledger: nothing foreign is deleted.

use std::fs;

use dkb_lab::{Engine, Promises, State, promises};

use crate::clean_host::{Books, PROJECT, SESSION, identity, images, key};

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on(dkb_lab::promise::docker, promises![a_ledger_from_a_cache_takes_nothing_that_was_pulled])
        .on_every_engine(promises![
            a_lost_ledger_makes_nothing_ours,
            a_damaged_ledger_loses_what_was_damaged,
            a_newer_ledger_is_left_alone_and_nothing_is_deleted,
            an_image_that_was_deleted_and_came_back_is_not_ours,
            another_engine_behind_the_same_path_is_another,
        ])
}

fn a_lost_ledger_makes_nothing_ours(engine: &Engine) {
    let books = Books::of(engine);
    let of = key(PROJECT, "earlier");
    engine.image().stamp(PROJECT, "earlier").make();
    let known = engine.image().stamp(PROJECT, "earlier").tag("app:1").make();
    books.built(&of, &known, &["app:1"]);
    let before = images(engine);
    fs::remove_dir_all(books.state.state_dir()).expect("the state folder");
    for scope in [&["--all", "--tagged", "--yes"][..], &["--tagged"], &["--session"], &["--stale"]] {
        books.dkb(engine).arg("clean").args(scope.iter().copied()).run().success();
    }
    assert_eq!(images(engine), before);
}

fn a_damaged_ledger_loses_what_was_damaged(engine: &Engine) {
    let books = Books::of(engine);
    let placed = engine.many(3, |_, image| image);
    books.built_many(&key(PROJECT, SESSION), placed.iter().map(|image| &*image.id));
    let text = fs::read_to_string(books.ledger.path()).expect("the ledger");
    // One digit of an ID is no longer one: that line is damage.
    fs::write(books.ledger.path(), text.replace(&placed[1].id[10..20], "xxxxxxxxxx")).expect("damage");
    books.dkb(engine).arg("clean").run().success().warns("1 damaged line");
    assert_eq!(placed.iter().map(|image| engine.has(image)).collect::<Vec<_>>(), [false, true, false]);
    fs::write(books.ledger.path(), b"\xff\xfe\x00 rubbish").expect("damage");
    books.dkb(engine).arg("clean").run().success().warns("damaged");
    assert!(engine.has(&placed[1]));
}

fn a_newer_ledger_is_left_alone_and_nothing_is_deleted(engine: &Engine) {
    let books = Books::of(engine);
    let image = engine.image().stamp(PROJECT, SESSION).make();
    books.built(&key(PROJECT, SESSION), &image, &[]);
    let text = fs::read_to_string(books.ledger.path()).expect("the ledger");
    let newer = text.replacen("\"v\":1", "\"v\":2", 1);
    assert_ne!(newer, text);
    fs::write(books.ledger.path(), &newer).expect("a newer ledger");
    books.dkb(engine).arg("clean").run().code(2).warns("newer dkb");
    assert!(engine.has(&image));
    assert_eq!(fs::read_to_string(books.ledger.path()).expect("the ledger"), newer);
}

fn an_image_that_was_deleted_and_came_back_is_not_ours(engine: &Engine) {
    let books = Books::of(engine);
    let image = engine.image().tag("app:1").make();
    books.built(&key(PROJECT, SESSION), &image, &["app:1"]);
    let saved = books.state.work().join("app.tar");
    engine.docker(["save", "-o"]).arg(&saved).arg("app:1").run().success();
    engine.docker(["image", "rm", "app:1"]).run().success();
    books.dkb(engine).arg("status").run().success();
    engine.docker(["load", "-q", "-i"]).arg(&saved).run().success();
    assert!(engine.has(&image));
    books.dkb(engine).args(["clean", "--all", "--tagged", "--yes"]).run().success();
    assert!(engine.has(&image), "its record ended when it was missing");
}

/// The ledger was kept in a CI cache: it says of an image that it is ours, and since then that image was deleted
/// and came back by a pull.
fn a_ledger_from_a_cache_takes_nothing_that_was_pulled(engine: &Engine) {
    let books = Books::of(engine);
    let pulled = engine.pulled_by_digest("team/app");
    books.built(&key(PROJECT, SESSION), &pulled, &[]);
    let copy = State::new();
    let copied = fs::read(books.ledger.path()).expect("the ledger");
    let there = dkb::ledger::State::at(copy.state_dir()).ledger(&identity(engine)).path();
    fs::create_dir_all(there.parent().expect("a folder")).expect("a folder");
    fs::write(&there, copied).expect("a copy of the ledger");
    for scope in [&["--all", "--tagged", "--yes"][..], &["--session"]] {
        let dkb = engine.dkb_in(&copy).project(PROJECT).session(SESSION);
        dkb.arg("clean").args(scope.iter().copied()).run().success();
        assert!(engine.has(&pulled), "{scope:?}");
    }
}

fn another_engine_behind_the_same_path_is_another(engine: &Engine) {
    let books = Books::of(engine);
    let image = engine.image().make();
    books.built(&key(PROJECT, SESSION), &image, &[]);
    let other = Engine::start(engine.name());
    if identity(&other) == identity(engine) {
        // Two Podmans that share machine and folder share their images too.
        return;
    }
    let tar = books.state.work().join("image.tar");
    engine.docker(["save", "-o"]).arg(&tar).arg(&image.id).run().success();
    other.docker(["load", "-q", "-i"]).arg(&tar).run().success();
    let before = images(&other);
    let path = books.state.work().join("docker.sock");
    std::os::unix::fs::symlink(engine.socket(), &path).expect("a path to the engine");
    let dkb = |args: &[&str]| {
        let host = format!("unix://{}", path.display());
        books.dkb(engine).env("DOCKER_HOST", host).arg("clean").args(args.iter().copied()).run()
    };
    dkb(&["--plan", "plan.json"]).success();
    fs::remove_file(&path).expect("the path");
    std::os::unix::fs::symlink(other.socket(), &path).expect("a path to the other engine");
    dkb(&["--all", "--tagged", "--yes"]).success();
    dkb(&["--apply", "plan.json"]).code(2).warns("another one");
    assert_eq!(images(&other), before);
}

//! Whatever happened to the ledger: nothing foreign is deleted.

use std::fs;
use std::time::Duration;

use dkb::model::Record;
use dkb_lab::{Context, Engine, Placed, Promises, State, eventually, promises};
use jiff::Timestamp;

use crate::clean_host::{Books, PROJECT, SESSION, id, identity, images, key, set};

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on_every_engine(promises![
            a_lost_ledger_makes_nothing_ours,
            a_stamp_counts_for_the_job_itself_and_for_nobody_who_names_its_session,
            a_damaged_ledger_keeps_what_was_noted_before_the_damage,
            a_newer_ledger_is_left_alone_and_nothing_is_deleted,
            what_a_killed_clean_took_away_is_told_and_is_not_ours_when_it_comes_back,
            what_a_stopped_clean_got_no_answer_for_is_not_ours_when_it_comes_back,
            another_engine_behind_the_same_path_is_another,
        ])
        .on(
            |engine| engine.starts_with("podman"),
            promises![an_image_that_lost_a_name_or_was_not_to_be_deleted_is_still_ours],
        )
        .on_one_engine()
        .on(
            dkb_lab::promise::docker,
            promises![
                a_ledger_from_a_cache_takes_nothing_that_was_pulled,
                an_image_that_went_and_came_back_between_two_looks_is_not_ours,
            ],
        )
        .on_every_engine(promises![
            an_image_that_was_deleted_and_came_back_is_not_ours,
            a_copy_of_the_engine_ends_no_record,
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

/// The books of a job may be on another machine.
fn a_stamp_counts_for_the_job_itself_and_for_nobody_who_names_its_session(engine: &Engine) {
    let job = || {
        let dkb = engine.dkb().project(PROJECT).env("CI", "true").env("GITHUB_ACTIONS", "true");
        let dkb = dkb.env("GITHUB_RUN_ID", "7").env("GITHUB_RUN_ATTEMPT", "1").env("GITHUB_JOB", "e2e");
        dkb.env("RUNNER_NAME", "one")
    };
    let context = Context::from_base("RUN echo 1 >/1");
    job().args(["build", "-q"]).arg(context.path()).run().success();
    let built = engine.images().into_iter().find(|image| image.label("dev.dkb.session").is_some()).expect("the image");
    let session = built.label("dev.dkb.session").expect("a label").to_owned();
    let neighbour = || engine.dkb().project(PROJECT);
    for neighbour in [
        neighbour().session(&session).args(["clean", "--session"]),
        neighbour().args(["--session", &session, "clean", "--session"]),
        neighbour().args(["clean", "--session", &session]),
        neighbour().session(&session).args(["clean", "--all", "--yes"]),
        job().session(&session).args(["clean", "--session"]),
    ] {
        let said = neighbour.run().success();
        assert!(engine.has(&built.id), "{said}");
    }
    job().args(["clean", "--session"]).run().success();
    assert!(!engine.has(&built.id), "{}", engine.inventory());
}

/// The line that is lost said that an image was gone, which is there again, or that another session had built it too.
fn a_damaged_ledger_keeps_what_was_noted_before_the_damage(engine: &Engine) {
    let books = Books::of(engine);
    let (of, other) = (key(PROJECT, SESSION), key(PROJECT, "other"));
    let placed = engine.many(5, |n, image| if n == 1 { image.stamp(PROJECT, SESSION) } else { image });
    let there = || placed.iter().map(|image| engine.has(image)).collect::<Vec<_>>();
    let clean =
        |args: &[&str]| books.dkb(engine).args(["clean", "--session"]).args(args.iter().copied()).run().success();
    books.built_many(&of, placed[..2].iter().map(|image| &*image.id));
    let sure = fs::read_to_string(books.ledger.path()).expect("the ledger").lines().count();
    let gone = id(&placed[0].id);
    books.note(&[Record::Gone { at: Timestamp::now(), ids: vec![gone] }]);
    books.built(&other, &placed[1].id, &[]);
    books.built_many(&of, [&*placed[2].id]);
    let text = fs::read_to_string(books.ledger.path()).expect("the ledger");
    let damaged = text.lines().enumerate().map(|(n, line)| match n.checked_sub(sure) {
        // One digit of an ID is no longer one.
        Some(0 | 1) => line.replace("sha256:", "sha256:x") + "\n",
        _ => line.to_owned() + "\n",
    });
    // The same file, or it would be taken for a copy. Whoever wrote the last line was killed in the middle.
    fs::write(books.ledger.path(), damaged.collect::<String>() + r#"{"t":"gone","at":"20"#).expect("damage");
    books.built_many(&of, [&*placed[3].id]);
    let plan = clean(&["--dry-run", "--format", "json"]).warns("2 damaged lines").json();
    let kept = plan["kept"].as_array().expect("what is kept").iter().filter(|kept| kept["reason"] == "ledger_damaged");
    assert_eq!(set(kept.filter_map(|kept| kept["id"].as_str())), set(placed[..2].iter().map(|image| &*image.id)));
    clean(&[]);
    assert_eq!(there(), [true, true, false, false, true]);
    books.dkb(engine).args(["session", "end", SESSION]).run();
    assert_eq!(there(), [true, true, false, false, true]);

    // Its user knows better. What bears no stamp is his to remove.
    clean(&["--trust-stamp"]);
    assert_eq!(there(), [true, false, false, false, true]);
    engine.docker(["image", "rm", &placed[0].id]).run().success();

    fs::write(books.ledger.path(), b"\xff\xfe\x00 rubbish").expect("damage");
    clean(&[]).warns("1 damaged line");
    books.built_many(&of, [&*placed[4].id]);
    clean(&[]).warns("1 damaged line");
    assert_eq!(there(), [false; 5], "what is noted from then on is sure");
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

/// Nobody has looked in between, and the engine has forgotten what it deleted. What was not taken yet goes later.
fn what_a_killed_clean_took_away_is_told_and_is_not_ours_when_it_comes_back(engine: &Engine) {
    const IMAGES: usize = 6;
    let (books, proxy) = (Books::of(engine), engine.proxy());
    let names: Vec<String> = (0..IMAGES).map(|n| format!("app:{n}")).collect();
    let placed: Vec<Placed> = names.iter().map(|name| engine.image().tag(name).make()).collect();
    placed.iter().zip(&names).for_each(|(image, name)| books.built(&key(PROJECT, SESSION), image, &[name]));
    let saved = books.state.work().join("app.tar");
    engine.docker(["save", "-o"]).arg(&saved).args(&names).run().success();
    proxy.on("DELETE", "/images/").delay(Duration::from_millis(100));
    let dkb = books.dkb(engine).env("DOCKER_HOST", proxy.host()).args(["clean", "--session"]).spawn();
    assert!(eventually(Duration::from_secs(30), || engine.images().len() < IMAGES - 1));
    dkb.signal("KILL");
    dkb.wait();
    drop(proxy);
    let there = images(engine);
    let (kept, gone): (Vec<&Placed>, Vec<&Placed>) = placed.iter().partition(|image| there.contains(&*image.id));
    assert!(gone.len() > 1, "{}", engine.inventory());
    engine.stop();
    engine.start_again();
    engine.docker(["load", "-q", "-i"]).arg(&saved).run().success();
    books.dkb(engine).args(["clean", "--session"]).run().success();
    assert!(gone.iter().all(|image| engine.has(image)), "they came back: {}", engine.inventory());
    // The engine may have been asked for as many as it takes at a time.
    assert!(kept.iter().filter(|image| engine.has(image)).count() <= 4 || engine.is_containerd_store());
    let log = books.dkb(engine).args(["log", "--format", "json"]).run().success().json();
    let told = set(log["removals"].as_array().expect("removals").iter().filter_map(|one| one["id"].as_str()));
    assert!(gone.iter().filter(|image| !told.contains(&*image.id)).count() <= 4, "{log:#}");
}

/// The engine has deleted it, dkb is asked to stop before it hears of that, and nobody looks before the engine has
/// forgotten.
fn what_a_stopped_clean_got_no_answer_for_is_not_ours_when_it_comes_back(engine: &Engine) {
    let (books, proxy) = (Books::of(engine), engine.proxy());
    let image = engine.image().tag("app:1").make();
    books.built(&key(PROJECT, SESSION), &image, &["app:1"]);
    let saved = books.state.work().join("app.tar");
    engine.docker(["save", "-o"]).arg(&saved).arg("app:1").run().success();
    let behind = engine.clone();
    proxy.on("DELETE", "/images/").run(move |_| {
        behind.docker(["image", "rm", "app:1"]).run().success();
        std::thread::sleep(Duration::from_secs(40));
    });
    let dkb = books.dkb(engine).env("DOCKER_HOST", proxy.host()).args(["clean", "--session"]).spawn();
    assert!(eventually(Duration::from_secs(30), || !engine.has(&image)));
    dkb.signal("INT");
    dkb.wait().code(130);
    engine.stop();
    engine.start_again();
    engine.docker(["load", "-q", "-i"]).arg(&saved).run().success();
    books.dkb(engine).args(["clean", "--session"]).run().success();
    assert!(engine.has(&image), "{}", engine.inventory());
}

/// Nobody looked in between, but the engine remembers.
fn an_image_that_went_and_came_back_between_two_looks_is_not_ours(engine: &Engine) {
    let books = Books::of(engine);
    let images = [engine.image().tag("app:1").make(), engine.image().make()];
    let stays = engine.image().make();
    books.built(&key(PROJECT, SESSION), &images[0], &["app:1"]);
    books.built_many(&key(PROJECT, SESSION), [&*images[1].id, &*stays.id]);
    for (image, name) in images.iter().zip(["app:1", &*images[1].id]) {
        let saved = books.state.work().join("image.tar");
        engine.docker(["save", "-o"]).arg(&saved).arg(name).run().success();
        engine.docker(["image", "rm", name]).run().success();
        engine.docker(["load", "-q", "-i"]).arg(&saved).run().success();
        assert!(engine.has(image));
    }
    books.dkb(engine).args(["clean", "--all", "--tagged", "--yes"]).run().success();
    assert!(images.iter().all(|image| engine.has(image)), "the engine said that they were deleted");
    assert!(!engine.has(&stays), "of what did not come back the record holds");
}

/// Podman's events call that a removal, where they tell of it at all.
fn an_image_that_lost_a_name_or_was_not_to_be_deleted_is_still_ours(engine: &Engine) {
    let books = Books::of(engine);
    let context = Context::from_base("RUN echo 1 >/1");
    books.dkb(engine).args(["build", "-q", "-t", "app:1", "-t", "app:2"]).arg(context.path()).run().success();
    let image = engine.find("app:1").expect("it was built").id;
    let container = engine.container("app:1").stopped();
    for _ in 0..30 {
        engine.docker(["image", "rm", "app:2"]).run().success();
        engine.docker(["image", "rm"]).arg(&image).run().code(1);
        books.dkb(engine).arg("status").run().success().says("app:1");
        engine.docker(["image", "tag", "app:1", "app:2"]).run().success();
    }
    engine.docker(["container", "rm", &container]).run().success();
    books.dkb(engine).args(["clean", "--all", "--tagged", "--yes"]).run().success();
    assert!(!engine.has(&image), "{}", engine.inventory());
}

/// A machine was copied, and its engine has the same ID. Whoever works on both has one ledger for them.
fn a_copy_of_the_engine_ends_no_record(engine: &Engine) {
    let books = Books::of(engine);
    let context = Context::from_base("COPY seed /seed").file("seed", "1");
    let built = |seed: &str| {
        context.write("seed", seed);
        books.dkb(engine).args(["build", "-q", "-t", "app:1"]).arg(context.path()).run().success();
        engine.docker(["image", "inspect", "--format", "{{.Id}}", "app:1"]).run().success().out().trim().to_owned()
    };
    let image = built("1");
    let other = Engine::start(engine.name());
    if identity(&other) != identity(engine) {
        other.stop();
        // Newer engines keep their ID in the first of these, older ones in the second.
        for file in ["/data/engine/engine-id", "/etc/docker/key.json"] {
            if let Ok(id) = fs::read(engine.seen_from_here(file)) {
                fs::write(other.seen_from_here(file), id).expect("the ID of the first");
            }
        }
        other.start_again();
    }
    assert_eq!(identity(&other), identity(engine));
    books.dkb(&other).arg("status").run().success().warns("which may be another one with the same ID");
    books.dkb(&other).arg("status").run().success();
    books.dkb(&other).args(["clean", "--all", "--tagged", "--yes"]).run().success();
    books.dkb(engine).args(["clean", "--all", "--tagged", "--yes"]).run().success();
    assert!(!engine.has(&image), "it was ours all the time");
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

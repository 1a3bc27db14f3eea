//! The history: what dkb took away, for whoever asks later, whichever verb did it.

use std::fs;
use std::thread;

use dkb_lab::{Builder, Context, Engine, Output, Promises, eventually, promises};
use serde_json::Value;

use crate::clean_host::{Books, PROJECT, SESSION, key};
use crate::guard_scene::{SOON, Scene};

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on_every_engine(promises![
            what_a_clean_took_is_found_by_any_of_its_names_without_an_engine,
            what_a_session_left_is_told_of_at_its_end_and_so_is_what_a_watcher_took,
            a_sweep_tells_of_what_was_nobodys,
            several_at_once_tell_of_everything,
            it_is_bounded_and_keeps_the_newest,
            a_history_that_can_t_be_written_stops_nothing,
        ])
        .on_every_builder(promises![a_build_tells_of_what_it_replaced_and_no_secret_is_kept])
        .on_one_engine()
}

fn log(books: &Books, engine: &Engine, args: &[&str]) -> Output {
    books.dkb(engine).arg("log").args(args.iter().copied()).run().success()
}

fn removals(books: &Books, engine: &Engine, args: &[&str]) -> Vec<Value> {
    let document =
        books.dkb(engine).args(["log", "--format", "json"]).args(args.iter().copied()).run().success().json();
    assert_eq!((&document["schema"], &document["kind"], &document["unread"]), (&1.into(), &"log".into(), &0.into()));
    document["removals"].as_array().expect("removals").clone()
}

fn what_a_clean_took_is_found_by_any_of_its_names_without_an_engine(engine: &Engine) {
    let books = Books::of(engine);
    log(&books, engine, &[]).says("dkb has taken nothing away");
    assert!(!books.state.state_dir().join("history").exists(), "a question leaves nothing behind");
    let tagged = engine.image().tag("app:1.4").weighing(100_000).make();
    let other = engine.image().tag("other:1").make();
    books.built(&key(PROJECT, SESSION), &tagged, &["app:1.4"]);
    books.built(&key(PROJECT, SESSION), &other, &["other:1"]);
    books.dkb(engine).args(["clean", "--tagged", "--dry-run"]).run().success();
    assert_eq!(removals(&books, engine, &[]), [] as [Value; 0]);
    books.dkb(engine).args(["clean", "--tagged"]).run().success();
    assert!(!engine.has(&tagged));

    let nowhere = |args: &[&str]| {
        let dkb = books.dkb(engine).env("DOCKER_HOST", "unix:///nowhere").env("CONTAINER_HOST", "unix:///nowhere");
        dkb.no_env("DKB_PROJECT").no_env("DKB_SESSION").arg("log").args(args.iter().copied()).run().success()
    };
    let short = &tagged.id[7..19];
    for name in
        ["app:1.4", "docker.io/library/app:1.4", "localhost/app:1.4", "app", "ap*", &tagged.id, short, "sha256:"]
    {
        let name = if name == "sha256:" { &tagged.id[..12] } else { name };
        let said = nowhere(&[name])
            .says("removed image")
            .says(short)
            .says("app:1.4")
            .says("--tagged asked for it: dkb clean for");
        assert_eq!(said.out().lines().count(), 1, "{name}: {said}");
    }
    assert_eq!(nowhere(&[]).out().lines().count(), 2);
    assert_eq!(nowhere(&["--since", "1h", "app"]).out().lines().count(), 1);
    nowhere(&["--since", "0s"]).says("nothing of that").says("begins");
    nowhere(&["never:1"]).says("nothing of that");
    nowhere(&["--project", "else"]).says("nothing of that");
    assert_eq!(nowhere(&["--project", PROJECT]).out().lines().count(), 2);
    let told = &removals(&books, engine, &["app:1.4"])[0];
    for (field, value) in [
        ("by", "clean"),
        ("project", PROJECT),
        ("session", SESSION),
        ("action", "remove"),
        ("type", "image"),
        ("reason", "tagged"),
        ("result", "done"),
        ("id", &*tagged.id),
    ] {
        assert_eq!(told[field], value, "{told}");
    }
    assert!(told["names"][0].as_str().expect("a name").ends_with("app:1.4") && told["bytes"].as_u64() >= Some(100_000));
    assert!(!told["engine"]["id"].as_str().expect("an ID").is_empty(), "{told}");
    books.dkb(engine).args(["log", "--since", "soon"]).run().code(2).warns("write 90s");
    books.dkb(engine).args(["log", ""]).run().code(2).warns("its name is empty");
}

fn a_build_tells_of_what_it_replaced_and_no_secret_is_kept(engine: &Engine, builder: Builder) {
    let books = Books::of(engine);
    let context =
        Context::from_base("ARG TOKEN\nENV INSIDE=s3cr3t\nCOPY a /a\nRUN : s3cr3t; cat /a >/b").file("a", "1");
    let build = |text: &str| {
        context.write("a", text);
        let dkb = books.dkb(engine).env("DOCKER_BUILDKIT", builder.env());
        let words = ["build", "-q", "-t", "app:1.4", "--build-arg", "TOKEN=s3cr3t", "--label", "mine=s3cr3t"];
        dkb.args(words).arg(context.path()).run().success();
        engine.find("app:1.4").expect("the image").id
    };
    let (first, second) = (build("1"), build("2"));
    assert!(first != second && !engine.has(&first), "{}", engine.inventory());
    let told = removals(&books, engine, &[&first]);
    // Containerd's store drops an image with its last name by itself.
    if !engine.is_containerd_store() {
        assert_eq!(told.len(), 1, "{told:?}");
        assert_eq!((&told[0]["by"], &told[0]["reason"]), (&"build".into(), &"superseded".into()));
        log(&books, engine, &["app:1.4"]).says("once app:1.4").says("superseded: dkb build for app job-1");
    }
    books.dkb(engine).args(["clean", "--session"]).run().success();
    assert_eq!(removals(&books, engine, &[&second]).len(), 1);
    books.dkb(engine).args(["sweep", "--yes", "--all-images", "--older-than", "0s"]).run().success();
    let folder = books.state.state_dir().join("history");
    for file in fs::read_dir(folder).expect("the history").map(|entry| entry.expect("a file").path()) {
        let text = fs::read_to_string(&file).expect("a file");
        assert!(!text.contains("s3cr3t"), "{}: {text}", file.display());
    }
}

fn what_a_session_left_is_told_of_at_its_end_and_so_is_what_a_watcher_took(engine: &Engine) {
    let scene = Scene::new(engine);
    let told = || {
        let log = engine.dkb_in(&scene.state).args(["log", "--format", "json"]).run().success().json();
        log["removals"].as_array().expect("removals").clone()
    };
    scene.guard(&[], "true").run().success();
    scene.is_clean();
    let guards = told();
    let has = |all: &[Value], by: &str, action: &str, kind: &str, name: &str| {
        let is_called = |one: &Value| {
            let all = one["names"].as_array().expect("names");
            name.is_empty() || all.iter().any(|own| own.as_str().expect("a name").ends_with(name))
        };
        let same = |one: &Value| is_called(one) && one["by"] == by && one["action"] == action && one["type"] == kind;
        assert!(all.iter().any(same), "{by} {action} {kind} {name}: {all:#?}");
    };
    let all = |all: &[Value], by: &str| {
        has(all, by, "stop", "container", "");
        has(all, by, "remove", "container", "");
        has(all, by, "remove", "image", "app:latest");
        has(all, by, "remove", "volume", "our-data");
        has(all, by, "remove", "network", "our-net");
    };
    all(&guards, "guard");
    assert!(guards.iter().all(|one| one["project"] == "p" && one["session"] == "s"), "{guards:#?}");

    scene.guard(&[], "kill -KILL $PPID").run();
    scene.is_clean();
    assert!(eventually(SOON, || told().len() > guards.len()), "the watcher told of nothing");
    all(&told(), "watch");
}

fn a_sweep_tells_of_what_was_nobodys(engine: &Engine) {
    let books = Books::of(engine);
    let dangling = engine.image().make();
    let container = engine.container(dkb_lab::context::BASE).name("ended").stopped();
    let sweep = || books.dkb(engine).args(["sweep", "--yes", "--older-than", "0s"]).run().success();
    sweep();
    assert!(!engine.has(&dangling));
    let image = removals(&books, engine, &[&dangling.id]);
    assert_eq!((&image[0]["by"], &image[0]["reason"]), (&"sweep".into(), &"dangling".into()));
    for name in ["ended", &container[..12]] {
        assert_eq!(removals(&books, engine, &[name])[0]["type"], "container", "{name}");
    }
    let before = removals(&books, engine, &[]).len();
    sweep();
    assert_eq!(removals(&books, engine, &[]).len(), before, "nothing went, and nothing is told of");
}

fn several_at_once_tell_of_everything(engine: &Engine) {
    let books = Books::of(engine);
    let placed = engine.many(24, |_, image| image);
    books.built_many(&key(PROJECT, SESSION), placed.iter().map(|image| &*image.id));
    let cleans = [(); 3].map(|()| {
        let clean = books.dkb(engine).arg("clean");
        thread::spawn(move || clean.run().success())
    });
    for clean in cleans {
        clean.join().expect("a clean");
    }
    assert!(engine.images().is_empty(), "{}", engine.inventory());
    let told = removals(&books, engine, &[]);
    for image in &placed {
        let of = |one: &&Value| one["id"] == *image.id && one["action"] == "remove";
        let times = told.iter().filter(of).count();
        // Podman says to each who asks for one deletion that it did it.
        assert!(times == 1 || engine.is_podman() && times > 1, "{} {times} times: {told:#?}", image.id);
    }
}

fn it_is_bounded_and_keeps_the_newest(engine: &Engine) {
    const FULL: usize = 4 * 1024 * 1024;
    let books = Books::of(engine);
    let clean = |tag: &str| {
        let image = engine.image().tag(tag).make();
        books.built(&key(PROJECT, SESSION), &image, &[tag]);
        books.dkb(engine).args(["clean", "--tagged"]).run().success().never_warns("log");
    };
    clean("app:1");
    let folder = books.state.state_dir().join("history");
    let (now, former) = (folder.join("removals.jsonl"), folder.join("removals.1.jsonl"));
    let line = fs::read_to_string(&now).expect("the history");
    for round in 2..4 {
        let many = line.repeat(FULL / line.len());
        fs::write(&now, &many).expect("a full history");
        clean(&format!("app:{round}"));
        assert_eq!(fs::read_to_string(&former).expect("the former one"), many);
        assert_eq!(fs::read_to_string(&now).expect("the history").lines().count(), 1);
        assert_eq!(removals(&books, engine, &[&format!("app:{round}")]).len(), 1);
    }
    assert_eq!(removals(&books, engine, &["app:2"]), [] as [Value; 0], "the oldest is forgotten");
    let size: u64 =
        fs::read_dir(folder).expect("the folder").map(|f| f.expect("a file").metadata().expect("it").len()).sum();
    assert!(size <= 2 * FULL as u64, "{size}");
}

fn a_history_that_can_t_be_written_stops_nothing(engine: &Engine) {
    let books = Books::of(engine);
    let context = Context::from_base("COPY a /a").file("a", "0");
    // It belongs to nobody, and nothing can be made in it, not even by root.
    fs::create_dir_all(books.state.state_dir()).expect("the state folder");
    fs::write(books.state.state_dir().join("history"), "in the way").expect("a file");
    for round in 0..2 {
        let image = engine.image().make();
        books.built(&key(PROJECT, SESSION), &image, &[]);
        let said = books.dkb(engine).arg("clean").run().code(0).warns("dkb log will not know of this");
        assert_eq!(said.err().matches("dkb log").count(), 1, "{said}");
        assert!(!engine.has(&image));
        context.write("a", round.to_string());
        books.dkb(engine).args(["build", "-q", "-t", "app:1"]).arg(context.path()).run().code(0);
    }
    books.dkb(engine).args(["session", "end", SESSION]).run().code(0);
    assert!(!engine.has("app:1"), "{}", engine.inventory());
    books.dkb(engine).args(["sweep", "--yes", "--older-than", "0s"]).run().code(0);
    books.dkb(engine).arg("log").run().code(2).warns("history");
}

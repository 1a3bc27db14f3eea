//! Somebody sits in front of it: they are asked where it matters, and Ctrl-C stops it at once.

use std::time::{Duration, Instant};

use dkb_lab::{Command, Engine, Promises, eventually, promises};
use serde_json::Value;

use crate::clean_host::{Books, PROJECT, SESSION, images, key, steps};

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on_every_engine(promises![ctrl_c_stops_it_at_once_and_tells_the_truth])
        .on(
            dkb_lab::promise::graphdriver,
            promises![
                tags_of_every_project_are_asked_for,
                tags_of_a_working_copy_are_asked_for_at_a_terminal_only,
                what_is_done_is_shown_at_a_terminal_only,
                a_long_look_is_shown_at_a_terminal_only,
            ],
        )
        .on_one_engine()
}

/// Longer than anybody waits.
const HANGING: Duration = Duration::from_secs(40);

fn ctrl_c_stops_it_at_once_and_tells_the_truth(engine: &Engine) {
    const IMAGES: usize = 60;
    for signal in ["INT", "TERM"] {
        let (books, proxy) = (Books::of(engine), engine.proxy());
        let placed = engine.many(IMAGES, |_, image| image);
        books.built_many(&key(PROJECT, SESSION), placed.iter().map(|image| &*image.id));
        let before = images(engine);
        // The first go through, later ones hang for longer than anybody waits.
        proxy.on("DELETE", "/images/").delay(Duration::from_millis(20));
        for late in 9..20 {
            proxy.on("DELETE", "/images/").nth(late).delay(HANGING);
        }
        let dkb = books.dkb(engine).env("DOCKER_HOST", proxy.host()).args(["clean", "--format", "json"]).spawn();
        assert!(eventually(Duration::from_secs(30), || proxy.count("DELETE", "/images/") >= 9));
        let began = Instant::now();
        dkb.signal(signal);
        let output = dkb.wait();
        assert!(began.elapsed() < HANGING / 4, "{:?}\n{output}", began.elapsed());
        let output = output.code(130);
        let document: Value = output.json();
        let (there, all) = (images(engine), steps(&document, "image", None));
        let with = |result| steps(&document, "image", Some(result));
        assert_eq!(all, before);
        assert!(!with("done").is_empty() && with("done").is_disjoint(&there), "{output}");
        assert!(!with("not_tried").is_empty() && with("not_tried").is_subset(&there), "{output}");
        assert!(!with("unknown").is_empty(), "what was under way is neither done nor untried\n{output}");
        drop(proxy);
        books.dkb(engine).arg("clean").run().success();
        assert!(engine.images().is_empty());
    }
}

fn tags_of_every_project_are_asked_for(engine: &Engine) {
    let books = Books::of(engine);
    let tags = ["tool:1", "tool:2", "tool:3", "tool:4", "tool:5", "tool:6"];
    let image = tags.iter().fold(engine.image(), |image, tag| image.tag(tag)).make();
    books.built(&key("tool", "long-ago"), &image, &tags);
    let clean = || books.dkb(engine).args(["clean", "--all", "--tagged"]);
    clean().run().code(2).warns("--yes");
    let mut terminal = clean().in_terminal();
    terminal.expect("[y/N]");
    assert!(tags.iter().all(|tag| terminal.screen().contains(tag)), "{}", terminal.screen());
    terminal.type_in("\n");
    assert_eq!(terminal.wait().exit_code(), 0);
    assert!(engine.has(&image), "no answer is no");
    let mut terminal = clean().in_terminal();
    terminal.expect("[y/N]");
    terminal.type_in("y\n");
    assert_eq!(terminal.wait().exit_code(), 0);
    assert!(!engine.has(&image));
}

fn tags_of_a_working_copy_are_asked_for_at_a_terminal_only(engine: &Engine) {
    let books = Books::of(engine);
    let local = || books.dkb(engine).no_env("DKB_SESSION").args(["clean", "--session"]);
    let session = local().arg("--format=json").run().success();
    drop(session);
    let config = books.dkb(engine).no_env("DKB_SESSION").arg("config").run().success().out();
    let session = config.split(|c: char| c.is_whitespace() || c == '"').find(|word| word.starts_with("local-"));
    let session = session.expect("the session of this working copy").to_owned();
    // The project's tags are this working copy's too.
    let project = || books.dkb(engine).no_env("DKB_SESSION").args(["clean", "--tagged"]);
    let of_session: &dyn Fn() -> Command = &local;
    for (tag, clean) in [("app:1", of_session), ("app:2", &project)] {
        let image = engine.image().tag(tag).make();
        books.built(&key(PROJECT, &session), &image, &[tag]);
        let mut terminal = clean().in_terminal();
        terminal.expect("[y/N]");
        terminal.type_in("n\n");
        terminal.wait();
        assert!(engine.has(&image), "{tag}");
        clean().run().success();
        assert!(!engine.has(&image), "{tag}");
    }
}

fn a_long_look_is_shown_at_a_terminal_only(engine: &Engine) {
    let (books, proxy) = (Books::of(engine), engine.proxy());
    proxy.on("GET", "/version").delay(Duration::from_millis(1500));
    proxy.on("GET", "/info").delay(Duration::from_millis(1500));
    for words in [&["clean"][..], &["status"], &["session", "list"], &["sweep", "--dry-run"]] {
        let dkb = || books.dkb(engine).env("DOCKER_HOST", proxy.host()).args(words.iter().copied());
        let mut terminal = dkb().in_terminal();
        terminal.wait();
        assert!(terminal.seen().contains("looking at what the engine has"), "{words:?}: {}", terminal.seen());
        assert!(!terminal.screen().contains("looking"), "{words:?}: {}", terminal.screen());
        let piped = dkb().run().success();
        assert!(!piped.err().contains("looking") && !piped.out().contains("looking"), "{piped}");
    }
}

fn what_is_done_is_shown_at_a_terminal_only(engine: &Engine) {
    let (books, proxy) = (Books::of(engine), engine.proxy());
    let place = || {
        let placed = engine.many(20, |_, image| image);
        books.built_many(&key(PROJECT, SESSION), placed.iter().map(|image| &*image.id));
    };
    proxy.on("DELETE", "/images/").delay(Duration::from_millis(100));
    place();
    let clean = || books.dkb(engine).env("DOCKER_HOST", proxy.host()).arg("clean");
    let mut terminal = clean().in_terminal();
    terminal.wait();
    let seen = terminal.seen();
    assert!(seen.contains(" of 20, ") && seen.contains(" left: removing "), "{seen}");
    let screen = terminal.screen();
    assert!(screen.contains("removed") && !screen.contains(" of 20"), "{screen}");
    place();
    assert_eq!(clean().run().success().says("removed  20 images").err(), "");
}

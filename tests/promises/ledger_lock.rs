//! Somebody holds the ledger's lock, as a dkb that was stopped does: whoever presses Ctrl-C is not kept waiting.

use std::fs::File;
use std::time::{Duration, Instant};

use dkb_lab::command::{Output, Running};
use dkb_lab::promise::containerd_store;
use dkb_lab::{Context, Engine, Promises, eventually, promises};

use crate::clean_host::{Books, PROJECT, SESSION, key};
use crate::guard_scene::SOON;
use crate::guard_watcher::children_of;

/// Until what runs has come to the lock, for which it would wait for five seconds.
const THERE: Duration = Duration::from_secs(1);
/// Less than what would be left of these.
const AT_ONCE: Duration = Duration::from_secs(3);

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on_every_engine(promises![
            ctrl_c_ends_a_look_that_waits_for_the_lock,
            ctrl_c_ends_a_build_that_waits_to_be_noted,
        ])
        // Containerd's store takes so long to list what is there that the lock would be waited for no more.
        .on(|name| !containerd_store(name), promises![ctrl_c_ends_a_clean_that_waits_to_note_what_it_took])
        .on_one_engine()
}

fn held(books: &Books) -> File {
    let lock = File::open(books.ledger.path().with_file_name("lock")).expect("the lock's file");
    lock.lock().expect("the lock");
    lock
}

/// Presses Ctrl-C once dkb waits, and nothing that it started does.
fn interrupted(running: Running) -> Output {
    assert!(eventually(SOON, || heeds_ctrl_c(running.id()) && children_of(running.id()).is_empty()), "it is not there");
    std::thread::sleep(THERE);
    let began = Instant::now();
    running.signal("INT");
    let output = running.wait();
    assert!(began.elapsed() < AT_ONCE, "{:?}\n{output}", began.elapsed());
    output
}

fn heeds_ctrl_c(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 0b10 != 0)
}

fn ctrl_c_ends_a_look_that_waits_for_the_lock(engine: &Engine) {
    let books = Books::of(engine);
    let image = engine.image().make();
    books.built(&key(PROJECT, SESSION), &image, &[]);
    let _lock = held(&books);
    let running = books.dkb(engine).args(["session", "end", SESSION]).spawn();
    interrupted(running).code(130).warns("asked to stop");
    assert!(engine.has(&image));
}

fn ctrl_c_ends_a_clean_that_waits_to_note_what_it_took(engine: &Engine) {
    let books = Books::of(engine);
    let placed = engine.many(100, |_, image| image);
    books.built_many(&key(PROJECT, SESSION), placed.iter().map(|image| &*image.id));
    let running = books.dkb(engine).arg("clean").spawn();
    assert!(eventually(SOON, || engine.images().len() < 90), "it never began\n{}", engine.inventory());
    let lock = held(&books);
    assert!(eventually(SOON, || engine.images().is_empty()), "it never ended\n{}", engine.inventory());
    interrupted(running).code(130).warns("noting what is gone");
    drop(lock);
    let log = books.dkb(engine).args(["log", "--format", "json"]).run().success().json();
    assert_eq!(log["removals"].as_array().expect("removals").len(), 100, "the history waits for nobody");
}

fn ctrl_c_ends_a_build_that_waits_to_be_noted(engine: &Engine) {
    let books = Books::of(engine);
    // So that there is a ledger with a lock.
    books.built(&key(PROJECT, SESSION), &engine.image().make(), &[]);
    let context = Context::from_base("RUN echo built >/built");
    let lock = held(&books);
    let running = books.dkb(engine).args(["build", "-q", "-t", "app:1"]).arg(context.path()).spawn();
    assert!(eventually(SOON, || engine.has("app:1")), "it was never built\n{}", engine.inventory());
    interrupted(running).success();
    drop(lock);
    books.dkb(engine).args(["status", "app:1"]).run().success().says("ours: built");
}

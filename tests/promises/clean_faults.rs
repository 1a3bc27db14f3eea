//! Whatever goes wrong between dkb and the engine: no panic, no hang, a true report, and running it again
//! finishes the job.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use dkb_lab::{Engine, Output, Placed, Promises, Proxy, promises};

use crate::clean_host::{Books, PROJECT, SESSION, images, key, set, steps};

const IMAGES: usize = 12;

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on_every_engine(promises![
            an_engine_that_goes_away_leaves_a_true_report,
            errors_and_rubbish_are_said_and_the_rest_goes_on,
            an_answer_that_is_cut_off_is_looked_up_again,
            a_list_that_is_rubbish_deletes_nothing,
            a_list_that_the_engine_stumbles_over_is_asked_for_again,
        ])
        .on_one_engine()
        .on_every_engine(promises![
            an_engine_that_restarts_leaves_a_true_report,
            a_deletion_that_fails_counts_as_failed_and_not_as_kept,
        ])
}

fn host(engine: &Engine) -> (Books, Proxy, Vec<Placed>) {
    let (books, proxy) = (Books::of(engine), engine.proxy());
    let images = engine.many(IMAGES, |_, image| image);
    books.built_many(&key(PROJECT, SESSION), images.iter().map(|image| &*image.id));
    (books, proxy, images)
}

fn clean(engine: &Engine, books: &Books, proxy: &Proxy) -> Output {
    let command = books.dkb(engine).env("DOCKER_HOST", proxy.host()).args(["clean", "--format", "json"]);
    let output = command.limit(Duration::from_secs(60)).run();
    assert!(!output.err().contains("panicked"), "{output}");
    output
}

/// What the report calls done is gone, and what it calls kept or untried is there.
fn is_true(engine: &Engine, output: &Output, placed: &[Placed]) {
    let document = output.json();
    let there = images(engine);
    let done = steps(&document, "image", Some("done"));
    assert!(done.is_disjoint(&there), "{output}");
    for result in ["not_tried", "kept"] {
        assert!(steps(&document, "image", Some(result)).is_subset(&there), "{result}\n{output}");
    }
    assert_eq!(steps(&document, "image", None), set(placed.iter().map(|image| &*image.id)));
}

/// A second try finds a healthy engine.
fn finishes(engine: &Engine, books: &Books) {
    books.dkb(engine).args(["clean"]).run().success();
    assert_eq!(engine.images().len(), 0);
}

fn an_engine_that_goes_away_leaves_a_true_report(engine: &Engine) {
    for nth in [1, 3, 8] {
        let (books, proxy, placed) = host(engine);
        proxy.on("DELETE", "/images/").nth(nth).engine_goes_for(Duration::from_secs(2));
        let began = Instant::now();
        let output = clean(engine, &books, &proxy);
        assert!(began.elapsed() < Duration::from_secs(30), "{output}");
        is_true(engine, &output, &placed);
        assert!(matches!(output.exit_code(), Some(1 | 2)), "{output}");
        finishes(engine, &books);
    }
}

fn an_engine_that_restarts_leaves_a_true_report(engine: &Engine) {
    let (books, proxy, placed) = host(engine);
    let (tell, back) = mpsc::channel();
    let crashing = engine.clone();
    proxy.on("DELETE", "/images/").nth(3).run(move |_| {
        crashing.kill();
        crashing.start_again();
        tell.send(()).expect("the test waits for it");
    });
    let output = clean(engine, &books, &proxy);
    back.recv_timeout(Duration::from_secs(60)).expect("the engine is there again");
    is_true(engine, &output, &placed);
    assert!(matches!(output.exit_code(), Some(0..=2)), "{output}");
    finishes(engine, &books);
}

fn errors_and_rubbish_are_said_and_the_rest_goes_on(engine: &Engine) {
    let (books, proxy, placed) = host(engine);
    proxy.on("DELETE", "/images/").nth(2).answer(503, "no disk today");
    proxy.on("DELETE", "/images/").nth(4).rubbish(b"\x00\xffnonsense\r\n");
    // Containerd's store does without a name of dkb's own.
    let (method, path) = if engine.is_containerd_store() { ("DELETE", "/images/") } else { ("POST", "/tag") };
    proxy.on(method, path).nth(6).answer(418, "a teapot");
    let output = clean(engine, &books, &proxy).code(1);
    is_true(engine, &output, &placed);
    assert_eq!(engine.images().len(), 3, "{output}");
    assert!(output.err().contains("no disk today"), "{output}");
    finishes(engine, &books);
}

/// Podman has this answer also for an image that somebody holds, so it is looked into.
fn a_deletion_that_fails_counts_as_failed_and_not_as_kept(engine: &Engine) {
    let (books, proxy, placed) = host(engine);
    proxy.on("DELETE", "/images/").nth(2).answer(500, "a broken disk");
    let output = clean(engine, &books, &proxy).code(1);
    is_true(engine, &output, &placed);
    let left: Vec<String> = engine.images().into_iter().map(|image| image.id).collect();
    assert_eq!(steps(&output.json(), "image", Some("failed")), set(left.iter().map(String::as_str)), "{output}");
    assert_eq!(left.len(), 1, "{output}");
    assert!(output.err().contains("a broken disk"), "{output}");
    finishes(engine, &books);
}

fn an_answer_that_is_cut_off_is_looked_up_again(engine: &Engine) {
    let (books, proxy, placed) = host(engine);
    proxy.on("DELETE", "/images/").nth(3).cut_after(5);
    let output = clean(engine, &books, &proxy).code(0);
    is_true(engine, &output, &placed);
    assert_eq!(output.json()["totals"]["done"], IMAGES);
}

fn a_list_that_is_rubbish_deletes_nothing(engine: &Engine) {
    for path in ["/images/json", "/containers/json", "/info"] {
        for body in ["[]}", "{\"message\":\"x\"}", "[{\"Id\":5}]", "null null"] {
            let (books, proxy) = (Books::of(engine), engine.proxy());
            let image = engine.image().make();
            books.built(&key(PROJECT, SESSION), &image, &[]);
            proxy.on("GET", path).answer_body(200, body);
            clean(engine, &books, &proxy).code(2);
            assert!(engine.has(&image));
            assert!(books.ledger.read().expect("the ledger").0.images().count() == 1, "{path} {body}");
            engine.wipe();
        }
    }
}

fn a_list_that_the_engine_stumbles_over_is_asked_for_again(engine: &Engine) {
    let (books, proxy, placed) = host(engine);
    proxy.on("GET", "/images/json").first(1).answer(404, "something on it has just gone");
    proxy.on("GET", "/containers/json").first(1).answer(500, "something on it has just gone");
    let output = clean(engine, &books, &proxy).code(0);
    is_true(engine, &output, &placed);
    assert_eq!(output.json()["totals"]["done"], IMAGES);
}

//! An engine that says whatever it likes. It is asked by every verb, and may neither make dkb panic nor have it delete
//! what no build of ours made.

use std::path::Path;

use dkb_lab::proxy::{Proxy, Request};
use dkb_lab::{FakeDocker, Promises, promises};
use serde_json::{Value, json};

use crate::absurd::{CLOCKS, IDENTITY, NUMBERS, home, image, is_sane};
use crate::clean_host::key;
use crate::outside_text::{NASTY, is_clean};
use crate::soak::Seeds;
use crate::sweep_random::Dice;

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!()).without_engine(promises![whatever_it_says_only_what_is_on_record_goes])
}

/// Those on record are the first ones.
const IMAGES: u8 = 8;
const ON_RECORD: u8 = 4;

/// What is said in the place of anything.
fn absurdity(dice: &mut Dice) -> Value {
    let number = |text: &str| serde_json::from_str(text).expect("a number");
    match dice.roll(10) {
        0 => Value::Null,
        1 => json!([]),
        2 => json!({}),
        3 => json!(true),
        4 => json!(NASTY),
        5 => json!(""),
        6 => json!(image(u8::try_from(dice.roll(usize::from(IMAGES))).expect("few"))),
        7 => json!(CLOCKS[dice.roll(CLOCKS.len())]),
        _ => number(NUMBERS[dice.roll(NUMBERS.len())]),
    }
}

/// Puts something else in the place of about one thing in so many.
fn twist(value: &mut Value, dice: &mut Dice, one_in: usize) {
    match value {
        Value::Array(all) => all.iter_mut().for_each(|one| twist(one, dice, one_in)),
        Value::Object(all) => all.values_mut().for_each(|one| twist(one, dice, one_in)),
        _ => {}
    }
    if dice.one_in(one_in) {
        *value = absurdity(dice);
    }
}

fn answers(dice: &mut Dice) -> Vec<(String, Value)> {
    let clock = "2026-01-01T00:00:00Z";
    let labels =
        json!({ "dev.dkb.run": key("app", "one").run_label(), "dev.dkb.project": "app", "dev.dkb.session": "one" });
    let tags = |n: u8| if n.is_multiple_of(2) { json!([format!("app:{n}")]) } else { json!([]) };
    // Once dkb has named it.
    let one = |n: u8| {
        let mut tags = tags(n);
        let private = format!("dkb.invalid/bin:{}", &image(n)["sha256:".len()..]);
        tags.as_array_mut().expect("a list").push(json!(private));
        json!({ "Id": image(n), "Created": clock, "RepoTags": tags, "Config": { "Labels": labels } })
    };
    let images: Vec<Value> = (0..IMAGES)
        .map(|n| {
            let parent = if n % 3 == 2 { image(n - 1) } else { String::new() };
            let tags = tags(n);
            json!({ "Id": image(n), "ParentId": parent, "Created": 1, "Size": 1000, "SharedSize": 0, "RepoTags": tags,
                "RepoDigests": [], "Labels": labels })
        })
        .collect();
    let containers: Vec<Value> = (0..2)
        .map(|n| {
            json!({ "Id": format!("c{n}"), "Names": [format!("/c{n}")], "Image": format!("app:{n}"), "ImageID": image(3),
                "State": "exited", "Created": 1, "Labels": labels, "Mounts": [{ "Type": "volume", "Name": "v" }] })
        })
        .collect();
    let volume =
        json!({ "Name": "v", "CreatedAt": clock, "Labels": labels, "UsageData": { "Size": 1, "RefCount": 0 } });
    let cache: Vec<Value> = (0..3)
        .map(|n| json!({ "ID": format!("b{n}"), "Parents": [format!("b{}", n + 1)], "Size": 1, "LastUsedAt": clock }))
        .collect();
    let answers = [
        ("/info", json!({ "ID": IDENTITY, "ServerVersion": "28.5", "SystemTime": clock })),
        ("/version", json!({ "ApiVersion": "1.47", "Version": "28.5" })),
        ("/images/json", json!(images)),
        ("/history", json!([{ "Id": image(0), "Created": 1, "CreatedBy": "RUN true", "Size": 1 }])),
        ("/containers/json", json!(containers)),
        ("/containers/", json!({ "Id": "c0", "Created": clock, "Image": image(0), "State": { "FinishedAt": clock } })),
        ("/volumes/", volume.clone()),
        ("/volumes", json!({ "Volumes": [volume] })),
        ("/networks", json!([{ "Id": "n", "Name": "n", "Driver": "bridge", "Created": clock, "Labels": labels }])),
        ("/system/df", json!({ "LayersSize": 1, "Containers": [], "Volumes": [volume], "BuildCache": cache })),
        ("/events", json!({ "Type": "image", "Action": "delete", "Actor": { "ID": image(IMAGES - 1) }, "time": 1 })),
    ];
    let each = (0..IMAGES).flat_map(|n| {
        // What it says of one it may say of another.
        let which = if dice.one_in(20) { u8::try_from(dice.roll(usize::from(IMAGES))).expect("few") } else { n };
        [(format!("/images/{}", image(n)), one(which)), (format!("/images/app:{n}"), one(which))]
    });
    let answers = answers.map(|(path, answer)| (path.to_owned(), answer));
    answers.into_iter().chain(each).collect()
}

/// Its answers, each twisted in its own way.
fn engine(seed: u64) -> Proxy {
    let (proxy, mut dice) = (Proxy::before(Path::new("/nonexistent")), Dice(seed));
    proxy.on("GET", "/_ping").answer_body(200, "OK");
    // One answer that makes no sense ends most verbs, so most engines give few.
    let one_in = [10, 100, 1000, 10_000][dice.roll(4)];
    for (path, mut answer) in answers(&mut dice) {
        let of_it = proxy.on("GET", &path);
        // Who it is decides which ledger is read, so that it says so is what most hosts have in common.
        let is_itself = path == "/info";
        twist(&mut answer, &mut dice, if is_itself { 100 } else { one_in });
        let text = answer.to_string();
        match dice.roll(one_in) {
            0 if !is_itself => of_it.answer(500, NASTY),
            1 => of_it.answer_body(200, &text[..text.len() / 2]),
            2 if !is_itself => of_it.rubbish(b"\x00\xff no HTTP\r\n"),
            _ => of_it.answer_body(200, &text),
        }
    }
    proxy.on("DELETE", "/images/").answer_body(200, "[]");
    proxy.on("POST", "/tag").answer_body(201, "");
    proxy.on("", "").answer(404, "no such thing");
    proxy
}

/// Whether it asks for the deletion of an image that is on record, or of a name of one.
fn is_of_ours(request: &Request) -> bool {
    (0..ON_RECORD).any(|n| {
        let named = [format!("/app:{n}"), format!("%2Fapp%3A{n}"), format!("/app%3A{n}")];
        request.path.contains(&image(n)["sha256:".len()..]) || named.iter().any(|name| request.path.contains(name))
    })
}

fn whatever_it_says_only_what_is_on_record_goes() {
    let docker = FakeDocker::new();
    Seeds::of_this_run_or(12).each("hostile_engine", |seed| {
        let (state, proxy) = (home(), engine(seed));
        let dkb = state.dkb().with_docker(&docker).env("DOCKER_HOST", proxy.host()).project("app").session("one");
        for words in [
            &["status", "-v"][..],
            &["doctor"],
            &["clean", "--tagged", "--yes"],
            &["clean", "--all", "--tagged", "--yes", "--format", "json"],
            &["clean", "--stale", "--yes"],
            &["guard", "--", "true"],
            &["session", "end", "one"],
        ] {
            is_sane(&is_clean(dkb.clone().args(words.iter().copied()).run()));
        }
        let deleted: Vec<Request> = proxy.requests().into_iter().filter(|request| request.method == "DELETE").collect();
        for request in deleted.iter().filter(|request| request.path.contains("/images/")) {
            assert!(is_of_ours(request), "{request:?}");
        }
        let build = dkb.clone().args(["build", "-t", "app:0", "."]).run().success();
        assert!(!build.err().contains("panicked"), "{build}");
        for words in [&["sweep", "--dry-run", "--until", "0s"][..], &["sweep", "--yes", "--volumes", "--all-images"]] {
            is_sane(&is_clean(dkb.clone().args(words.iter().copied()).run()));
        }
    });
}

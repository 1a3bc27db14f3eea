//! What engines, files and other people call their things reaches a terminal and a log as text, and as nothing else.

use dkb_lab::{Command, Engine, FakeDocker, Output, Promises, Proxy, promises};
use serde_json::{Value, json};

use crate::clean_host::{Books, PROJECT, SESSION, key};
use crate::hostile_plan;

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on_every_engine(promises![what_an_engine_says_is_shown_and_not_done, what_a_file_says_is_shown_and_not_done])
        .on_one_engine()
}

/// It clears the screen, takes back its own line, begins one that looks like ours, and turns its direction.
pub(crate) const NASTY: &str =
    "nasty\u{1b}[2J\u{9b}31m\r\ndkb: done\n[2026-01-01T00:00:00Z] [INFO] [IMAGE] done\u{2028}\u{202e}\u{7f}";

/// What of it can be seen wherever it stands; what an engine says in an error is told in one line.
const SHOWN: &str = "nasty";

pub(crate) fn is_clean(output: Output) -> Output {
    for (stream, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        let text = std::str::from_utf8(bytes).unwrap_or_else(|error| panic!("{stream}: {error}\n{output}"));
        let does_something = |c: &char| c.is_control() && *c != '\n' || matches!(c, '\u{2028}' | '\u{202e}');
        assert_eq!(text.chars().find(does_something), None, "on {stream}: {text:?}");
        let forged = |line: &&str| line.starts_with("dkb: done") || line.starts_with("[2026-01-01");
        assert_eq!(text.lines().find(forged), None, "on {stream}\n{output}");
    }
    output
}

fn shows(output: Output) -> Output {
    let output = is_clean(output);
    assert!(output.out().contains(SHOWN) || output.err().contains(SHOWN), "it is shown\n{output}");
    output
}

/// JSON says what the engine said, to the last character.
fn tells(output: Output) {
    let output = is_clean(output);
    let mut texts = Vec::new();
    output.out().lines().filter_map(|line| serde_json::from_str(line).ok()).for_each(|line| gather(&line, &mut texts));
    if texts.is_empty() {
        gather(&output.json(), &mut texts);
    }
    assert!(texts.iter().any(|text| text.contains(NASTY)), "{output}");
}

fn gather(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) => texts.push(text.clone()),
        Value::Array(values) => values.iter().for_each(|value| gather(value, texts)),
        Value::Object(fields) => fields.values().for_each(|value| gather(value, texts)),
        _ => {}
    }
}

/// The engine as it is, but for what it calls its things.
fn renaming(engine: &Engine) -> Proxy {
    let (proxy, api) = (engine.proxy(), engine.api());
    let list = |path: &str| api.get(path).json();
    let renamed = |mut list: Value, change: fn(&mut Value)| {
        list.as_array_mut().expect("a list").iter_mut().for_each(change);
        list
    };
    let images = renamed(list("/images/json?all=1"), |one| {
        if one["RepoTags"].as_array().is_some_and(|tags| tags.iter().any(|tag| tag.to_string().contains("app:"))) {
            one["RepoTags"] = json!(["app:1", NASTY]);
        }
    });
    let containers = renamed(list("/containers/json?all=1"), |one| one["Names"] = json!([format!("/{NASTY}")]));
    let networks = renamed(list("/networks"), |one| {
        if one["Name"] == "net" {
            one["Name"] = NASTY.into();
        }
    });
    let mut volumes = list("/volumes");
    volumes["Volumes"] = renamed(volumes["Volumes"].clone(), |one| one["Name"] = NASTY.into());
    let mut info = list("/info");
    info["ServerVersion"] = NASTY.into();
    for (path, body) in [
        ("/images/json", images),
        ("/containers/json", containers),
        ("/networks", networks),
        ("/volumes", volumes),
        ("/info", info),
    ] {
        let is_it = move |path_of: &str| path_of.split('?').next().is_some_and(|of| of.ends_with(path));
        proxy.on_request(move |r| r.method == "GET" && is_it(&r.path)).answer_body(200, &body.to_string());
    }
    proxy.on("DELETE", "").answer(500, NASTY);
    proxy
}

fn what_an_engine_says_is_shown_and_not_done(engine: &Engine) {
    let books = Books::of(engine);
    let here = key(PROJECT, SESSION);
    let (tagged, leftover, used) = (engine.image().tag("app:1").make(), engine.image().make(), engine.image().make());
    books.built(&here, &tagged, &["app:1"]);
    books.built(&here, &leftover, &[]);
    books.built(&here, &used, &[]);
    engine.container(&used).running();
    engine.container("lab/base").created();
    engine.volume("data", &[]);
    engine.network("net", &[]);
    let proxy = renaming(engine);
    let dkb =
        |args: &[&str]| -> Command { books.dkb(engine).env("DOCKER_HOST", proxy.host()).args(args.iter().copied()) };

    shows(dkb(&["clean", "--dry-run"]).run());
    shows(dkb(&["clean", "--dry-run", "-v", "--color", "never", "--tagged"]).run());
    tells(dkb(&["clean", "--dry-run", "--tagged", "--format", "json"]).run());
    // It refuses in its own words; by another's name the tagged one stays.
    shows(dkb(&["clean"]).run().code(2));
    tells(dkb(&["clean", "--plan", "/dev/stdout", "--tagged"]).run().success());
    shows(dkb(&["status"]).run());
    shows(dkb(&["status", "-v"]).run());
    tells(dkb(&["status", "--format", "json"]).run());
    shows(dkb(&["status", &tagged]).run());

    let sweep = |args: &[&str]| dkb(&[&["sweep", "--until", "0s", "--volumes", "--all-images"], args].concat());
    for act in ["--dry-run", "--yes"] {
        shows(sweep(&[act, "--format", "human"]).run());
        shows(sweep(&[act, "--format", "human", "-v"]).run());
        shows(sweep(&[act]).env("LOG_FORMAT", "text").env("LOG_LEVEL", "DEBUG").run());
        tells(sweep(&[act]).env("LOG_FORMAT", "json").env("LOG_LEVEL", "DEBUG").run());
        tells(sweep(&[act, "--format", "json"]).run());
    }

    // A build goes on, and a warning says why it was not noted.
    let fake = FakeDocker::new();
    let context = dkb_lab::Context::from_base("RUN true");
    let refusing = engine.proxy();
    refusing.on("GET", "").answer(500, NASTY);
    let build = books.dkb(engine).with_docker(&fake).env("DOCKER_HOST", refusing.host());
    shows(build.args(["build", "-t", "app"]).arg(context.path()).run().success()).warns("dkb: warning: ");
    shows(dkb(&["clean"]).env("DOCKER_HOST", refusing.host()).run().fails());
    shows(dkb(&["sweep", "--yes"]).env("DOCKER_HOST", refusing.host()).run().fails());
}

fn what_a_file_says_is_shown_and_not_done(engine: &Engine) {
    let books = Books::of(engine);
    let work = books.state.work();
    let dkb = |args: &[&str]| -> Command { books.dkb(engine).args(args.iter().copied()) };
    let step = hostile_plan::step("remove", "image", NASTY, &[NASTY], "leftover", &json!({ "still": "untagged" }));
    let plan = hostile_plan::file(engine, "clean", None, &[step]);
    std::fs::write(work.join("plan.json"), &plan).expect("a plan");
    shows(dkb(&["clean", "--apply", "plan.json"]).run().success());
    tells(dkb(&["clean", "--apply", "plan.json", "--format", "json"]).run().success());
    std::fs::write(work.join("plan.json"), plan.replace("\"clean\"", &json!(NASTY).to_string())).expect("a plan");
    shows(dkb(&["clean", "--apply", "plan.json"]).run().code(2));
    std::fs::write(work.join("plan.json"), plan.replace("\"remove\"", &json!(NASTY).to_string())).expect("a plan");
    is_clean(dkb(&["clean", "--apply", "plan.json"]).run().code(2));

    shows(dkb(&["clean", "--apply", NASTY]).run().code(2));
    shows(dkb(&["clean", "--dry-run", "--plan", &format!("none/{NASTY}")]).run().code(2));
    shows(dkb(&["clean", "--context", NASTY]).no_env("DOCKER_HOST").run().code(2));
    is_clean(dkb(&["clean", NASTY]).run().code(2));
    is_clean(dkb(&["status", NASTY]).run().code(2));
    is_clean(dkb(&["clean", "--project", NASTY]).run().code(2));
    is_clean(dkb(&["clean"]).env("DOCKER_HOST", NASTY).run().code(2));
    let keep = format!("keep = {}\n", json!(NASTY));
    for (file, text) in [("dkb.toml", keep.clone()), ("dkb.toml", format!("{} = 1\n", json!(NASTY)))] {
        std::fs::write(work.join(file), text).expect("settings");
        is_clean(dkb(&["config"]).run());
        is_clean(dkb(&["config", "--format", "json"]).run());
        is_clean(dkb(&["clean", "--dry-run"]).run());
    }
}

//! An engine may say anything, and anything may lie where a file should: dkb neither panics nor hangs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dkb::model::{Build, BuildId, Record, Reference};
use dkb_lab::command::{Command, Output};
use dkb_lab::proxy::Proxy;
use dkb_lab::{FakeDocker, Promises, State, promises};
use jiff::Timestamp;

use crate::clean_host::{id, key};

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!()).without_engine(promises![
        no_number_of_an_engine_makes_a_verb_panic,
        an_absurd_clock_fails_no_build,
        no_chain_of_an_engine_is_too_long,
        what_lies_where_a_file_should_holds_nothing_up,
    ])
}

pub(crate) const IDENTITY: &str = "ABSURD";
pub(crate) const CLOCKS: [&str; 4] =
    ["-009999-01-02T01:59:59Z", "9999-12-30T22:00:00.999999999Z", "1970-01-01T00:00:00Z", "no time at all"];
pub(crate) const NUMBERS: [&str; 4] = ["9223372036854775807", "-9223372036854775808", "-1", "18446744073709551615"];

pub(crate) fn image(n: u8) -> String {
    format!("sha256:{}", format!("{n:02x}").repeat(32))
}

/// An engine that is nothing but answers: every time is this one and every number that one.
fn engine(clock: &str, number: &str) -> Proxy {
    let proxy = Proxy::before(Path::new("/nonexistent"));
    let images: Vec<String> = (0..4)
        .map(|n| {
            let (id, parent) = (image(n), if n == 2 { image(1) } else { String::new() });
            format!(
                r#"{{"Id":"{id}","ParentId":"{parent}","Created":{number},"Size":{number},"SharedSize":{number},
                "RepoTags":["app:{n}"]}}"#
            )
        })
        .collect();
    let cache: Vec<String> = (0..3)
        .map(|n| {
            format!(
                r#"{{"ID":"c{n}","Parents":["c{}","c{n}"],"Size":{number},"Shared":{},"CreatedAt":"{clock}","LastUsedAt":"{clock}"}}"#,
                n + 1,
                n == 0
            )
        })
        .collect();
    let volume = format!(r#"{{"Name":"v","CreatedAt":"{clock}","UsageData":{{"Size":{number},"RefCount":{number}}}}}"#);
    let (images, cache) = (images.join(","), cache.join(","));
    let containers = format!(
        r#"[{{"Id":"1","Names":["/a"],"ImageID":"{}","State":"exited","Created":{number},"SizeRw":{number}}}]"#,
        image(3)
    );
    let answers = [
        ("/_ping", "OK".to_owned()),
        ("/info", format!(r#"{{"ID":"{IDENTITY}","ServerVersion":"99","SystemTime":"{clock}"}}"#)),
        ("/images/json", format!("[{images}]")),
        ("/images/", format!(r#"{{"Id":"{}","Created":"{clock}","RepoTags":["app:0"]}}"#, image(0))),
        ("/containers/json", containers),
        ("/containers/", format!(r#"{{"Created":"{clock}","State":{{"FinishedAt":"{clock}"}},"SizeRw":{number}}}"#)),
        ("/volumes/", volume.clone()),
        ("/volumes", format!(r#"{{"Volumes":[{volume}]}}"#)),
        ("/networks", format!(r#"[{{"Id":"n","Name":"n","Driver":"bridge","Created":"{clock}"}}]"#)),
        (
            "/system/df",
            format!(
                r#"{{"LayersSize":{number},"Containers":[{{"SizeRw":{number}}},{{"SizeRw":{number}}}],
                "Volumes":[{volume},{volume}],"BuildCache":[{cache}]}}"#
            ),
        ),
    ];
    for (path, answer) in answers {
        proxy.on("GET", path).answer_body(200, &answer);
    }
    proxy.on("DELETE", "/images/").answer_body(200, "[]");
    proxy
        .on("POST", "/build/prune")
        .answer_body(200, &format!(r#"{{"CachesDeleted":["c0"],"SpaceReclaimed":{number}}}"#));
    proxy.on("", "").answer(404, "no such thing");
    proxy
}

/// All four images are on record as built by hand.
pub(crate) fn home() -> State {
    let state = State::new();
    let build = |n: u8| {
        Record::Build(Build {
            build: BuildId::parse(n.to_string()).expect("an ID"),
            of: key("app", "one"),
            at: Timestamp::now(),
            tags: vec![Reference::written(&format!("app:{n}")).expect("a name")],
            key: format!("key {n}"),
            ok: true,
            result: Some(id(&image(n))),
            steps: Vec::new(),
            took: Vec::new(),
            tilt: false,
            compose: None,
            home: None,
            doubted: false,
        })
    };
    let ledger = dkb::ledger::State::at(state.state_dir()).ledger(IDENTITY);
    ledger.append(&(0..4).map(build).collect::<Vec<_>>()).expect("a note in the ledger");
    state
}

#[track_caller]
pub(crate) fn is_sane(output: &Output) {
    let known: BTreeSet<i32> = [0, 1, 2].into();
    assert!(output.exit_code().is_some_and(|code| known.contains(&code)), "{output}");
    assert!(!output.err().contains("panicked"), "{output}");
}

fn no_number_of_an_engine_makes_a_verb_panic() {
    for clock in CLOCKS {
        for number in NUMBERS {
            let (state, proxy) = (home(), engine(clock, number));
            let dkb = state.dkb().env("DOCKER_HOST", proxy.host()).project("app").session("one");
            let sweep = ["sweep", "--yes", "--volumes", "--all-images", "--cache-keep", "1B"];
            for words in [
                &["status", "-v"][..],
                &["clean", "--all", "--dry-run", "--older-than", "1s"],
                &["sweep", "--dry-run", "--until", "0s", "--volumes", "--all-images"],
                &["sweep", "--dry-run", "--when-disk-above", "2B", "--down-to", "1B"],
                &["clean", "--all", "--tagged", "--yes", "--format", "json"],
                &[&sweep[..], &["--until", "0s"]].concat(),
                &[&sweep[..], &["--until", "1000000d", "--format", "json"]].concat(),
            ] {
                is_sane(&dkb.clone().args(words.iter().copied()).run());
            }
        }
    }
}

fn an_absurd_clock_fails_no_build() {
    let docker = FakeDocker::new();
    docker.reply_to("build").stdout(format!(
        "Step 1/2 : FROM base\n ---> {}\nStep 2/2 : ENV A=1\n ---> {}\nSuccessfully built {}\n",
        &image(1)[7..19],
        &image(0)[7..19],
        &image(0)[7..19]
    ));
    for clock in CLOCKS {
        for number in NUMBERS {
            for (kind, stamp) in [("0", "full"), ("1", "full"), ("1", "none")] {
                let (state, proxy) = (home(), engine(clock, number));
                let dkb =
                    state.dkb().with_docker(&docker).env("DOCKER_HOST", proxy.host()).project("app").session("one");
                let dkb = dkb.env("DOCKER_BUILDKIT", kind).env("DKB_STAMP", stamp);
                let output = dkb.args(["build", "-t", "app:0", "."]).run().success();
                assert!(!output.err().contains("panicked"), "{output}");
            }
        }
    }
}

/// So many records of the build cache, each made from the one before, that a recursion would overrun its stack.
fn no_chain_of_an_engine_is_too_long() {
    let proxy = engine(CLOCKS[2], "1");
    proxy.reset();
    let record = |n: u32| format!(r#"{{"ID":"{n}","Parents":["{}"],"Size":1}}"#, n + 1);
    let records: Vec<String> = (0..60_000).map(record).collect();
    proxy.on("GET", "/_ping").answer_body(200, "OK");
    proxy.on("GET", "/info").answer_body(200, &format!(r#"{{"ID":"{IDENTITY}","SystemTime":"2026-01-01T00:00:00Z"}}"#));
    proxy.on("GET", "/system/df").answer_body(200, &format!(r#"{{"BuildCache":[{}]}}"#, records.join(",")));
    proxy.on("GET", "/volumes").answer_body(200, "{}");
    proxy.on("", "").answer_body(200, "[]");
    let dkb = State::new().dkb().env("DOCKER_HOST", proxy.host());
    dkb.args(["sweep", "--dry-run", "--until", "0s", "--format", "json"]).run().success();
}

fn pipe(path: &Path) {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).expect("a folder");
    }
    let made = std::process::Command::new("mkfifo").arg(path).status();
    assert!(made.is_ok_and(|made| made.success()), "mkfifo {}", path.display());
}

fn endless(path: &Path) {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).expect("a folder");
    }
    std::os::unix::fs::symlink("/dev/zero", path).expect("a link");
}

/// A pipe that nobody writes to, and a device that never ends, in the place of every file that dkb reads.
fn what_lies_where_a_file_should_holds_nothing_up() {
    // The limit of memory makes a read without end fail at once.
    let within = |state: &State, words: &[&str], vars: &[(&str, PathBuf)]| -> Output {
        let dkb = vars.iter().fold(state.dkb(), |dkb, (name, value)| dkb.env(*name, value));
        let std = dkb.args(words.iter().copied()).to_std();
        let mut limited = Command::new("/bin/sh").args(["-c", "ulimit -v 2000000; exec \"$@\"", "sh"]);
        for (key, value) in std.get_envs() {
            limited = limited.env(key, value.unwrap_or_default());
        }
        let limited = limited.arg(std.get_program()).args(std.get_args()).cwd(state.work());
        let began = Instant::now();
        let output = limited.limit(Duration::from_secs(30)).run();
        assert!(began.elapsed() < Duration::from_secs(15), "it took {:?}\n{output}", began.elapsed());
        is_sane(&output);
        output
    };
    for put in [pipe as fn(&Path), endless] {
        let state = State::new();
        let (docker, work) = (state.docker_config(), state.work());
        put(&docker.join("config.json"));
        put(&docker.join("buildx/current"));
        put(&docker.join("buildx/defaults/x"));
        put(&docker.join("contexts/meta/x/meta.json"));
        std::fs::create_dir_all(work.join(".git/objects")).expect("a folder");
        std::fs::create_dir_all(work.join(".git/refs")).expect("a folder");
        std::fs::write(work.join(".git/HEAD"), "ref: x").expect("a file");
        put(&work.join(".git/config"));
        within(&state, &["config"], &[]);
        within(&state, &["status"], &[]).code(2);
        within(&state, &["sweep", "--dry-run", "--context", "*"], &[]).code(2);
        within(&state, &["clean", "--apply", "/dev/zero"], &[]).code(2);
        within(&state, &["--settings", "/dev/zero", "status"], &[]).code(2).warns("larger");
        within(&state, &["status"], &[("DOCKER_CONFIG", docker.join("config.json"))]).code(2);
        put(&work.join("dkb.toml"));
        within(&state, &["status"], &[]).code(2).warns("no plain file");
        std::fs::remove_file(work.join("dkb.toml")).expect("something");
        put(&state.home().join(".config/dkb/config.toml"));
        within(&state, &["status"], &[]).code(2).warns("no plain file");
    }
}

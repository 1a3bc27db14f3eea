//! Many hosts at once: each its own plan and overrides, and none waits for another's trouble.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use dkb_lab::promise::{Promises, docker};
use dkb_lab::{Engine, State, eventually, promises};
use serde_json::json;

pub(super) fn promises() -> Promises {
    let promises = Promises::of(module_path!()).on(
        docker,
        promises![one_dead_and_one_slow_host_do_not_hold_up_the_fine_one, each_host_of_the_file_has_its_own_overrides],
    );
    promises.on_one_engine()
}

/// Far more than a host takes that answers, and less than the patience with one that does not.
const LIMIT: Duration = Duration::from_secs(30);

/// A context as `docker context create` writes it.
fn context(state: &State, name: &str, host: &str) {
    use sha2::Digest;
    let hash = hex::encode(sha2::Sha256::digest(name));
    let folder = state.docker_config().join("contexts/meta").join(hash);
    std::fs::create_dir_all(&folder).expect("a folder");
    let meta =
        json!({ "Name": name, "Metadata": {}, "Endpoints": { "docker": { "Host": host, "SkipTLSVerify": false } } });
    std::fs::write(folder.join("meta.json"), meta.to_string()).expect("a context");
}

fn mute(folder: &Path) -> (std::os::unix::net::UnixListener, String) {
    let socket = folder.join("mute.sock");
    let listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    (listener, format!("unix://{}", socket.display()))
}

fn one_dead_and_one_slow_host_do_not_hold_up_the_fine_one(engine: &Engine) {
    let slow = Engine::start(engine.name());
    let proxy = slow.proxy();
    let (fine, went_on) = (engine.clone(), Arc::new(AtomicBool::new(false)));
    let noted = Arc::clone(&went_on);
    // The slow one answers when the fine one has been swept.
    proxy.on("GET", "/info").first(1).run(move |_| {
        noted.store(eventually(LIMIT, || fine.api().containers().is_empty()), Ordering::SeqCst);
    });
    for engine in [engine, &slow] {
        engine.container("lab/base").created();
    }
    let state = State::new();
    let dead = state.work().join("nobody.sock");
    for (name, host) in
        [("fine", engine.host()), ("slow", proxy.host()), ("dead", format!("unix://{}", dead.display()))]
    {
        context(&state, name, &host);
    }
    let sweep = || {
        let command =
            state.dkb().no_env("DOCKER_HOST").env("PATH", std::env::join_paths([engine.bin()]).expect("a path"));
        command.args(["sweep", "--yes", "--until", "0s"])
    };
    let told = sweep().args(["--log", "--context", "slow", "--context", "fine", "--context", "dead"]).run().code(1);
    assert!(went_on.load(Ordering::SeqCst), "the fine one waits for the slow one\n{told}");
    assert!(engine.api().containers().is_empty() && slow.api().containers().is_empty());
    let lines = told.out();
    for part in
        ["fine: Removed 1 stopped container", "slow: Removed 1 stopped container", "dead: Failed: connecting to"]
    {
        assert!(lines.contains(part), "{lines}");
    }
    assert!(lines.contains("[SUMMARY]") && lines.contains("1 of 3 hosts failed: dead"), "{lines}");
    let table = sweep().args(["--context", "fine", "--context", "dead", "--format", "human"]).run().code(1).out();
    let last: Vec<&str> = table.lines().rev().take(2).collect();
    assert!(last[0].starts_with("dead  failed: connecting to") && last[1].starts_with("fine"), "{table}");

    let all = sweep().arg("--all-contexts").args(["--format", "json"]).run().code(1).json();
    let names: Vec<&str> = all["hosts"].as_array().expect("hosts").iter().filter_map(|h| h["host"].as_str()).collect();
    assert_eq!(names, ["default", "dead", "fine", "slow"]);
    sweep().args(["--context", "dead"]).run().code(2);

    let (_listener, host) = mute(&state.work());
    context(&state, "mute", &host);
    let began = Instant::now();
    sweep().args(["--log", "--context", "fine", "--context", "mute"]).run().code(1).says("mute: Failed");
    assert!(began.elapsed() < LIMIT, "{:?}", began.elapsed());
}

fn each_host_of_the_file_has_its_own_overrides(engine: &Engine) {
    let other = Engine::start(engine.name());
    for engine in [engine, &other] {
        engine.container("lab/base").created();
        engine.volume("spare", &[]);
    }
    let state = State::new();
    let file = state.home().join(".config/dkb/config.toml");
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
    let text = format!(
        "[sweep]\nuntil = \"0s\"\n[hosts.build]\nhost = \"{}\"\nvolumes = true\n[hosts.nas]\nhost = \"{}\"\ncontainers = false\n",
        engine.host(),
        other.host()
    );
    std::fs::write(&file, text).expect("the settings");
    state
        .dkb()
        .no_env("DOCKER_HOST")
        .args(["sweep", "--yes", "--log"])
        .run()
        .success()
        .says("build: Removed 1 stopped container");
    assert!(engine.api().containers().is_empty() && engine.api().volumes().is_empty());
    assert_eq!((other.api().containers().len(), other.api().volumes().len()), (1, 1));
}

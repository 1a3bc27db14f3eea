//! What goes wrong in one kind does not stop the other four; what comes alive after the plan is left alone.

use dkb_lab::promise::{Promises, docker};
use dkb_lab::{Builder, Command, Context, Engine, State, promises};
use serde_json::Value;

pub(super) fn promises() -> Promises {
    Promises::of(module_path!())
        .on_every_engine(promises![
            a_fault_in_one_kind_does_not_stop_the_other_four,
            a_list_that_fails_fails_its_kind_alone,
            an_engine_that_refuses_everything_is_exit_2,
            a_plan_from_a_file_is_done_and_never_more,
        ])
        .on_one_engine()
        .on(docker, promises![a_proxy_that_blocks_the_build_cache_is_no_failure])
        .on_every_engine(promises![what_comes_alive_between_plan_and_deletion_is_left_alone])
        .on(dkb_lab::promise::podman, promises![podman_has_no_build_cache_and_that_is_said_once])
}

fn sweep(engine: &Engine, host: &str) -> Command {
    let command =
        engine.dkb_in(&State::new()).args(["sweep", "--until", "0s", "--volumes", "--yes"]).env("LOG_LEVEL", "INFO");
    command.args(["--keep", "*lab/base"]).env("DOCKER_HOST", host)
}

/// One thing of each kind that a sweep takes.
fn one_of_each(engine: &Engine) {
    engine.container("lab/base").name("over").created();
    engine.image().make();
    engine.volume("spare", &[]);
    engine.network("spare", &[]);
    if !engine.is_podman() {
        engine.build(
            Builder::BuildKit,
            &Context::from_base("RUN head -c 9999 /dev/urandom >/x\nRUN false"),
            &["--no-cache"],
        );
    }
}

/// How many there are of each kind: containers, untagged images, volumes, networks, records of the build cache.
fn left(engine: &Engine) -> [usize; 5] {
    let api = engine.api();
    let spare = |list: Vec<Value>| list.iter().filter(|one| one["Name"] == "spare").count();
    let unshared = |record: &&Value| record["Shared"] != true;
    [
        api.containers().len(),
        engine.images().len(),
        spare(api.volumes()),
        spare(api.networks()),
        if engine.is_podman() { 0 } else { api.build_cache().iter().filter(unshared).count() },
    ]
}

/// Podman has no build cache.
fn kinds_of(engine: &Engine) -> usize {
    if engine.is_podman() { 4 } else { 5 }
}

const OPERATIONS: [&str; 5] = ["CONTAINER", "IMAGE", "VOLUME", "NETWORK", "BUILD_CACHE"];

fn a_fault_in_one_kind_does_not_stop_the_other_four(engine: &Engine) {
    let calls = [
        ("DELETE", "/containers/"),
        ("DELETE", "/images/"),
        ("DELETE", "/volumes/"),
        ("DELETE", "/networks/"),
        ("POST", "/build/prune"),
    ];
    for (kind, (method, path)) in calls.into_iter().take(kinds_of(engine)).enumerate() {
        one_of_each(engine);
        let proxy = engine.proxy();
        proxy.on(method, path).answer(500, "the disk is on fire");
        let told = sweep(engine, &proxy.host()).run().code(1).out();
        let failed: Vec<&str> = told.lines().filter(|line| line.contains("[ERROR]")).collect();
        assert_eq!(failed.len(), 1, "{told}");
        assert!(failed[0].contains(&format!("[{}]", OPERATIONS[kind])), "{told}");
        assert!(failed[0].contains("the disk is on fire"), "{told}");
        let left = left(engine);
        for (other, count) in left.iter().enumerate() {
            assert_eq!(*count > 0, other == kind, "{left:?} after a fault in {}: {told}", OPERATIONS[kind]);
        }
        sweep(engine, &engine.host()).run().success();
        assert_eq!(self::left(engine), [0; 5]);
    }
}

fn a_list_that_fails_fails_its_kind_alone(engine: &Engine) {
    for (path, operation, kind) in [
        ("/images/json", "IMAGE", 1),
        ("/volumes", "VOLUME", 2),
        ("/networks", "NETWORK", 3),
        ("type=build-cache", "BUILD_CACHE", 4),
    ]
    .into_iter()
    .take(kinds_of(engine) - 1)
    {
        one_of_each(engine);
        let proxy = engine.proxy();
        proxy.on("GET", path).answer(500, "no list today");
        let told = sweep(engine, &proxy.host()).run().code(1).out();
        let line = told.lines().find(|line| line.contains("[ERROR]")).unwrap_or_else(|| panic!("{told}"));
        assert!(line.contains(&format!("[{operation}]")) && line.contains("no list today"), "{told}");
        for (other, count) in left(engine).iter().enumerate() {
            assert_eq!(*count > 0, other == kind, "{path}: {told}");
        }
        sweep(engine, &engine.host()).run().success();
    }
    // Without the containers nobody can say what is used: only the build cache goes.
    one_of_each(engine);
    let proxy = engine.proxy();
    proxy.on("GET", "/containers/json").answer(500, "no list today");
    sweep(engine, &proxy.host()).run().code(if engine.is_podman() { 2 } else { 1 });
    assert_eq!(left(engine), [1, 1, 1, 1, 0]);
}

fn an_engine_that_refuses_everything_is_exit_2(engine: &Engine) {
    one_of_each(engine);
    // Which records are an image's too the containerd store finds out in its own time.
    let there = || (left(engine)[..4].to_vec(), engine.api().build_cache().len());
    let before = there();
    let proxy = engine.proxy();
    proxy.on("DELETE", "").answer(500, "no");
    proxy.on("POST", "/build/prune").answer(500, "no");
    proxy.on("POST", "/tag").answer(500, "no");
    sweep(engine, &proxy.host()).run().code(2);
    assert_eq!(there(), before);
}

fn a_proxy_that_blocks_the_build_cache_is_no_failure(engine: &Engine) {
    one_of_each(engine);
    let proxy = engine.proxy();
    proxy.on("POST", "/build/prune").answer(403, "not through here");
    let told = sweep(engine, &proxy.host()).run().success().out();
    assert_eq!(told.matches("no such call").count() + told.matches("not through here").count(), 1, "{told}");
    assert_eq!(left(engine)[..4], [0; 4]);
    proxy.reset();
    proxy.on("GET", "/system/df").answer(403, "not through here");
    let told = sweep(engine, &proxy.host()).args(["--skip", "volumes"]).run().success().out();
    assert_eq!(told.matches("[BUILD_CACHE]").count(), 1, "{told}");
}

fn podman_has_no_build_cache_and_that_is_said_once(engine: &Engine) {
    let told = sweep(engine, &engine.host()).run().success().out();
    assert_eq!(told.matches("[BUILD_CACHE]").count(), 1, "{told}");
    assert!(told.contains("[WARN] [BUILD_CACHE] Skipped: this engine has no calls for its build cache"), "{told}");
}

/// Each piece runs just before the first deletion of its kind, when the plan is long made.
fn what_comes_alive_between_plan_and_deletion_is_left_alone(engine: &Engine) {
    let revived = engine.container("lab/base").name("revived").created();
    let image = engine.image().make();
    let named = engine.image().make();
    let (unused, renamed) = (engine.image().tag("unused:1").make(), engine.image().tag("renamed:1").make());
    engine.volume("mounted", &[]);
    engine.network("joined", &[]);
    engine.network("started", &[]);
    let proxy = engine.proxy();
    let late = |piece: Box<dyn Fn(&Engine) + Send + Sync>| {
        let engine = engine.clone();
        move |_: &dkb_lab::proxy::Request| piece(&engine)
    };
    let id = revived.clone();
    proxy.on("DELETE", "/containers/").first(1).run(late(Box::new(move |engine| {
        engine.api().post(&format!("/containers/{id}/start"), &Value::Null);
    })));
    let ids = [image.id.clone(), named.id.clone(), unused.id.clone()];
    proxy.on("GET", "/images/").run(|_| {});
    let once = std::sync::Once::new();
    let before_images = late(Box::new(move |engine| {
        once.call_once(|| {
            engine.container(&ids[0]).created();
            engine.tag(&ids[1], "rescued:1");
            engine.container(&ids[2]).created();
            engine.tag("renamed:1", "renamed:2");
        });
    }));
    proxy.on_request(|request| request.is("POST", "/tag") || request.is("DELETE", "/images/")).run(before_images);
    proxy.on("DELETE", "/volumes/").first(1).run(late(Box::new(|engine| {
        engine.container("lab/base").volume("mounted").created();
    })));
    // Created, not started: the engine itself would let its network go.
    proxy.on("DELETE", "/volumes/").first(1).run(late(Box::new(|engine| {
        engine.container("lab/base").network("joined").created();
    })));
    proxy.on("DELETE", "/networks/").first(1).run(late(Box::new(|engine| {
        engine.container("lab/base").network("started").running();
    })));
    let told = sweep(engine, &proxy.host()).args(["--all-images", "--format", "json"]).run().success().json();
    let running = |id: &str| engine.api().get(&format!("/containers/{id}/json")).json()["State"]["Running"] == true;
    assert!(running(&revived), "{told:#}");
    for image in [&image, &named, &unused] {
        assert!(engine.has(image), "{told:#}");
    }
    assert!(engine.find("rescued:1").is_some_and(|now| now.id == named.id));
    assert!(engine.find("renamed:2").is_some_and(|now| now.id == renamed.id), "{told:#}");
    let has = |list: Vec<Value>, name: &str| list.iter().any(|one| one["Name"] == name);
    assert!(has(engine.api().volumes(), "mounted"), "{told:#}");
    assert!(has(engine.api().networks(), "joined") && has(engine.api().networks(), "started"), "{told:#}");
    assert_eq!((told["totals"]["done"].as_u64(), told["totals"]["failed"].as_u64()), (Some(0), Some(0)), "{told:#}");
    let reasons = told["kept"].as_array().expect("a list").iter();
    assert!(reasons.filter(|kept| kept["reason"] == "in_use").count() >= 6, "{told:#}");
}

fn a_plan_from_a_file_is_done_and_never_more(engine: &Engine) {
    one_of_each(engine);
    let state = State::new();
    let file = state.work().join("plan.json");
    let sweep = || engine.dkb_in(&state).args(["sweep", "--until", "0s", "--volumes", "--keep", "*lab/base"]);
    sweep().arg("--plan").arg(&file).run().success().warns("done by dkb sweep --apply ");
    engine.container("lab/base").name("over").label("new", "yes").network("spare").name("later").created();
    engine.volume("later", &[]);
    sweep().arg("--yes").arg("--apply").arg(&file).run().success();
    assert_eq!(left(engine)[..4], [1, 0, 0, 1], "the later container stays, and its network with it");
    assert!(engine.api().volumes().iter().any(|volume| volume["Name"] == "later"));
    let other = Engine::start(engine.name());
    let elsewhere = other.dkb_in(&state).args(["sweep", "--yes"]).arg("--apply").arg(&file).run();
    // Two of the lab's oldest engines share the key that they are named after, and two of Podman the folder.
    if !engine.is_podman() && engine.api().info()["ID"] != other.api().info()["ID"] {
        elsewhere.code(2).warns("another one");
    }
}

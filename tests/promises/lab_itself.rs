//! What the other promises rely on: the lab does what it says, on each engine.

use std::process::Stdio;
use std::time::{Duration, Instant};

use dkb_lab::command::Command;
use dkb_lab::promise::docker;
use dkb_lab::{Builder, Context, Engine, FakeDocker, Promises, engine, eventually, promises};
use serde_json::Value;

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on_every_engine(promises![
            the_proxy_lets_everything_through_and_counts_it,
            the_proxy_answers_in_the_engines_place,
            the_proxy_delays_a_request,
            the_proxy_cuts_an_answer_off,
            the_proxy_takes_the_engine_away_for_a_while,
            the_proxy_runs_a_piece_of_the_test_just_before_a_request,
            two_instances_of_one_engine_never_meet,
            an_engine_on_the_default_socket_is_untouched,
        ])
        .on_one_engine()
        .on_every_engine(promises![
            a_new_engine_holds_nothing_but_the_base,
            each_image_of_a_large_call_gets_its_own_id,
            an_image_can_be_tagged_untagged_and_deleted,
            a_child_has_the_layers_of_its_parent_below_its_own,
            containers_of_all_states_can_be_put_on_an_engine,
            volumes_and_networks_can_be_put_on_an_engine,
            a_wiped_engine_is_as_good_as_new,
            an_engine_that_stops_keeps_its_data,
            an_engine_ends_with_its_holder,
        ])
        .on(docker, promises![an_image_that_is_pulled_by_digest_has_no_tag])
        .on_every_builder(promises![an_image_is_built_run_listed_and_deleted, a_build_goes_through_the_proxy])
        .without_engine(promises![
            the_fake_docker_records_every_byte_of_a_call,
            the_fake_docker_says_and_does_as_it_is_told,
            a_terminal_shows_what_a_person_sees,
            how_a_run_was_started_changes_nothing,
        ])
}

/// Under nohup, in a background job and in some CI runners signals are ignored, and whoever is started there inherits it.
fn how_a_run_was_started_changes_nothing() {
    let run = std::env::current_exe().expect("this program");
    for promise in
        ["a_signal_to_dkb_alone_is_handed_on_once_and_the_code_comes_back", "ctrl_c_in_a_terminal_reaches_docker_once"]
    {
        let ignoring = Command::new("/bin/sh").args(["-c", "trap '' HUP INT QUIT TERM; exec \"$@\"", "sh"]).arg(&run);
        let ignoring = ignoring.args(["--exact", &format!("build_terminal::{promise}")]);
        let env = ["PATH", "HOME"].iter().filter_map(|name| Some((*name, std::env::var_os(name)?)));
        ignoring.envs(env).run().success().says("1 passed");
    }
}

fn a_new_engine_holds_nothing_but_the_base(engine: &Engine) {
    assert!(engine.images().is_empty());
    assert!(engine.has(dkb_lab::context::BASE));
    assert!(engine.api().containers().is_empty());
    assert!(engine.api().volumes().is_empty());
}

fn an_image_is_built_run_listed_and_deleted(engine: &Engine, builder: Builder) {
    let context = Context::from_base("COPY greeting /greeting\nRUN cat /greeting >/copy").file("greeting", "hello");
    engine.build(builder, &context, &["-t", "app:1", "--label", "lab=yes"]).success();
    // The exit code tells, since an engine under load may lose what a container says just before its end.
    let check = "test $(cat /copy) = hello";
    engine.docker(["run", "--rm", "--network=none", "app:1", "sh", "-c", check]).run().success();

    let image = engine.find("app:1").expect("the image is listed");
    assert_eq!(image.label("lab"), Some("yes"));

    engine.docker(["image", "rm", "app:1"]).run().success();
    assert!(!engine.has("app:1"));
}

fn each_image_of_a_large_call_gets_its_own_id(engine: &Engine) {
    let placed = engine.many(30, |i, image| {
        let image = image.label("number", &i.to_string());
        if i % 3 == 0 { image.tag(&format!("app:{i}")) } else { image }
    });
    let listed = engine.images();
    for (i, image) in placed.iter().enumerate() {
        let listed = listed.iter().find(|l| l.id == image.id).expect("it is on the engine");
        assert_eq!(listed.label("number"), Some(i.to_string().as_str()));
        assert_eq!(listed.is_dangling(), i % 3 != 0);
    }
}

fn an_image_can_be_tagged_untagged_and_deleted(engine: &Engine) {
    let image = engine.image().stamp("app", "one").make();
    assert!(engine.find(&image).expect("listed").is_dangling());
    engine.tag(&image, "app:1");
    engine.tag(&image, "app:2");
    engine.untag("app:1");
    assert_eq!(engine.find(&image).expect("listed").tags.len(), 1);
    engine.untag("app:2");
    assert!(!engine.has(&image));
}

fn a_child_has_the_layers_of_its_parent_below_its_own(engine: &Engine) {
    let parent = engine.image().layers(2).make();
    let child = engine.image().child_of(&parent).make();
    let layers = |id: &str| engine.api().get(&format!("/images/{id}/json")).json()["RootFS"]["Layers"].clone();
    let (below, all) = (layers(&parent), layers(&child));
    let (below, all) = (below.as_array().expect("a list"), all.as_array().expect("a list"));
    assert_eq!(all.len(), below.len() + 1);
    assert!(all.starts_with(below));
}

fn containers_of_all_states_can_be_put_on_an_engine(engine: &Engine) {
    let image = engine.image().tag("app:1").make();
    let states = [
        (engine.container(&image).name("one").label("lab", "yes").running(), "running"),
        (engine.container("app:1").stopped(), "exited"),
        (engine.container(&image).volume("data").created(), "created"),
    ];
    let listed = engine.api().containers();
    for (id, state) in states {
        let container = listed.iter().find(|c| c["Id"] == id.as_str()).expect("it is listed");
        assert_eq!(container["State"], state);
    }
    if engine.mounts_images() {
        engine.container("lab/base").mounting_image("app:1").running();
    }
}

fn volumes_and_networks_can_be_put_on_an_engine(engine: &Engine) {
    engine.volume("data", &[("lab", "yes")]);
    engine.network("net", &[("lab", "yes")]);
    let labelled = |list: Vec<Value>, name| list.iter().any(|x| x["Name"] == name && x["Labels"]["lab"] == "yes");
    assert!(labelled(engine.api().volumes(), "data"));
    assert!(labelled(engine.api().networks(), "net"));
}

fn a_wiped_engine_is_as_good_as_new(engine: &Engine) {
    let parent = engine.image().tag("app:1").tag("app:2").make();
    engine.image().child_of(&parent).make();
    engine.container("app:1").volume("data").running();
    engine.network("net", &[]);
    engine.docker(["image", "tag", "lab/base", "app:3"]).run().success();
    let networks = engine.api().networks().len();
    for builder in engine.builders() {
        engine.build(*builder, &Context::from_base("RUN true"), &[]).success();
    }

    engine.wipe();

    a_new_engine_holds_nothing_but_the_base(engine);
    assert!(!engine.has("app:3"));
    assert_eq!(engine.api().networks().len(), networks - 1);
    assert!(engine.api().build_cache().is_empty());
}

fn an_engine_that_stops_keeps_its_data(engine: &Engine) {
    let image = engine.image().make();
    engine.stop();
    assert!(!engine.api().answers());
    engine.start_again();
    assert!(engine.has(&image));
    engine.kill();
    assert!(!engine.api().answers());
    engine.start_again();
    assert!(engine.has(&image));
}

fn two_instances_of_one_engine_never_meet(engine: &Engine) {
    let image = engine.image().tag("app:1").make();
    let container = engine.container(&image).name("same").running();

    let other = Engine::start(engine.name());
    assert!(other.images().is_empty());
    other.image().tag("app:2").make();
    other.container("app:2").name("same").running();
    // Podman's locks lie there, under one name for all.
    let shared_memory = |engine: &Engine| {
        let folder = std::fs::metadata(format!("/proc/{}/root/dev/shm", engine.pid())).expect("its shared memory");
        std::os::unix::fs::MetadataExt::dev(&folder)
    };
    assert_ne!(shared_memory(engine), shared_memory(&other));
    drop(other);

    assert!(!engine.has("app:2"));
    engine.docker(["exec", &container, "true"]).run().success();
}

/// The holder is a process in the middle that is killed the hard way, as a test run may be.
fn an_engine_ends_with_its_holder(engine: &Engine) {
    let instance = format!("held-{}", std::process::id());
    let line = format!("sleep 1000 | {} run {} {instance}", engine::script().display(), engine.name());
    // In a process group of its own, so that all of the holder can be killed at one stroke.
    let mut holder = std::os::unix::process::CommandExt::process_group(&mut std::process::Command::new("sh"), 0)
        .args(["-c", &line])
        .stdout(Stdio::null())
        .spawn()
        .expect("the holder starts");
    let api = dkb_lab::Api::new(
        engine
            .socket()
            .parent()
            .expect("a folder")
            .with_file_name(format!("{}.{instance}", engine.name()))
            .join("docker.sock"),
    );
    assert!(eventually(Duration::from_secs(60), || api.answers()), "the held engine does not start");

    let killed = std::process::Command::new("kill").args(["-KILL", "--", &format!("-{}", holder.id())]).status();
    assert!(killed.is_ok_and(|s| s.success()));
    let _ = holder.wait();

    assert!(eventually(Duration::from_secs(10), || !api.answers()), "the engine outlives its holder");
    assert!(engine.api().answers());
    // The last of its processes may still hold the lock for a moment after the engine has gone quiet.
    let is_swept = || {
        engine::sweep();
        !api.socket().exists()
    };
    assert!(eventually(Duration::from_secs(10), is_swept), "what the holder left stays");
}

/// In a place where this engine stands in for the machine's own, another one is brought up and used.
fn an_engine_on_the_default_socket_is_untouched(engine: &Engine) {
    let image = engine.image().tag("theirs:1").make();
    let running = engine.container(&image).running();
    let before = (engine.api().images(), engine.api().containers().len(), engine.api().networks().len());

    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = r#"
        set -e; cd "$1"; mkdir others runs
        mount --bind "$(dirname "$3")" others
        mount -t tmpfs none /run
        ln -s "$1/others/docker.sock" /run/docker.sock
        export DKB_LAB_RUN=$1/runs
        "$4" env "$2" | sed 's/.*DOCKER_CONFIG/export DOCKER_CONFIG/' >cli
        (. ./cli; docker image inspect theirs:1 >seen)
        "$4" up "$2"
        echo 'FROM scratch
LABEL a=b' | "$4" docker "$2" build -t ours:1 -
        "$4" down "$2""#;
    let place = Command::new("unshare")
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", std::env::var_os("HOME").unwrap_or_default());
    let place = place.args(["--mount", "sh", "-c", script, "_"]).arg(folder.path()).arg(engine.name());
    place.arg(engine.socket()).arg(engine::script()).run().success();

    let seen = std::fs::read_to_string(folder.path().join("seen")).expect("what the default socket leads to");
    assert!(seen.contains(&image.id), "{seen}");
    assert_eq!(before, (engine.api().images(), engine.api().containers().len(), engine.api().networks().len()));
    engine.docker(["exec", &running, "true"]).run().success();
}

fn the_proxy_lets_everything_through_and_counts_it(engine: &Engine) {
    let image = engine.image().tag("app:1").make();
    let proxy = engine.proxy();
    let docker = |args: &[&str]| engine.docker(args.iter().copied()).env("DOCKER_HOST", proxy.host()).run().success();
    docker(&["image", "inspect", "app:1"]).says(&image);
    // A raw stream in both directions, after an upgrade.
    let container = engine.container("lab/base").running();
    let command = engine.docker(["exec", "-i", &container, "cat"]).env("DOCKER_HOST", proxy.host());
    assert_eq!(command.stdin("there and back").run().success().out(), "there and back");
    docker(&["image", "rm", "app:1"]);
    assert_eq!(proxy.count("DELETE", "/images/"), 1);
    assert!(!engine.has(&image));
}

fn a_build_goes_through_the_proxy(engine: &Engine, builder: Builder) {
    let proxy = engine.proxy();
    let command = engine.docker(["build", "-t", "app:1"]).env("DOCKER_BUILDKIT", builder.env());
    let context = Context::from_base("COPY a /a").file("a", "a");
    command.arg(context.path()).env("DOCKER_HOST", proxy.host()).run().success();
    assert!(engine.has("app:1"));
    assert!(proxy.count("POST", "/build") + proxy.count("POST", "/session") + proxy.count("POST", "/grpc") > 0);
}

fn the_proxy_answers_in_the_engines_place(engine: &Engine) {
    let proxy = engine.proxy();
    proxy.on("GET", "/images/json").first(1).answer(500, "the disk is on fire");
    proxy.on("GET", "/images/json").nth(2).rubbish(b"\x00\xff no HTTP\r\n");
    let through = dkb_lab::Api::new(proxy.socket());

    let first = through.get("/images/json");
    assert_eq!((first.status, first.json()["message"].as_str()), (500, Some("the disk is on fire")));
    assert!(through.call("GET", "/images/json", "", b"").is_err());
    assert_eq!(through.get("/images/json").status, 200);
    assert_eq!(proxy.count("GET", "/images/json"), 3);
}

fn the_proxy_delays_a_request(engine: &Engine) {
    let proxy = engine.proxy();
    proxy.on("GET", "/version").delay(Duration::from_millis(300));
    let start = Instant::now();
    assert_eq!(dkb_lab::Api::new(proxy.socket()).get("/version").status, 200);
    assert!(start.elapsed() >= Duration::from_millis(300));
}

fn the_proxy_cuts_an_answer_off(engine: &Engine) {
    let proxy = engine.proxy();
    proxy.on("GET", "/images/json").first(1).cut_after(20);
    let through = dkb_lab::Api::new(proxy.socket());
    let cut = through.call("GET", "/images/json", "", b"");
    assert!(cut.is_err() || cut.is_ok_and(|a| a.json().is_null()));
    assert!(through.get("/images/json").json().is_array());
}

fn the_proxy_takes_the_engine_away_for_a_while(engine: &Engine) {
    let proxy = engine.proxy();
    let through = dkb_lab::Api::new(proxy.socket());
    proxy.engine_goes();
    assert!(!through.answers());
    proxy.engine_comes_back();
    assert!(through.answers());

    proxy.on("GET", "/version").first(1).engine_goes_for(Duration::from_millis(200));
    assert!(through.call("GET", "/version", "", b"").is_err());
    assert!(eventually(Duration::from_secs(10), || through.answers()));
    assert_eq!(through.get("/version").status, 200);
}

fn the_proxy_runs_a_piece_of_the_test_just_before_a_request(engine: &Engine) {
    let image = engine.image().make();
    let proxy = engine.proxy();
    let (late, id) = (engine.clone(), image.id.clone());
    proxy.on("DELETE", "/images/").first(1).run(move |_| {
        late.container(&id).running();
    });
    let answer = dkb_lab::Api::new(proxy.socket()).delete(&format!("/images/{}", image.id));
    assert_eq!(answer.status, 409, "{}", answer.text());
    assert!(engine.has(&image));
}

fn an_image_that_is_pulled_by_digest_has_no_tag(engine: &Engine) {
    let image = engine.pulled_by_digest("team/node");
    let image = engine.find(&image).expect("it is listed");
    // The containerd store lists the digest among the tags too.
    assert!(image.tags.iter().all(|t| t.contains("@sha256:")), "{image:?}");
    assert!(image.digests.iter().any(|d| d.contains("team/node@sha256:")), "{image:?}");
}

fn the_fake_docker_records_every_byte_of_a_call() {
    use std::os::unix::ffi::OsStringExt;
    let odd = std::ffi::OsString::from_vec(b"--tag=\xff \n*'\"".to_vec());
    let docker = FakeDocker::new();
    docker.reply_to("build").reads_stdin();
    let command = Command::new(docker.program()).with_docker(&docker).arg("build").arg(odd.clone()).arg("");
    command.clone().env("ODD", odd.clone()).stdin(*b"\x00\xff").cwd("/").run().success();
    command.run().success();

    let calls = docker.calls();
    assert_eq!(calls.len(), 2);
    assert_eq!(calls[0].args, [std::ffi::OsString::from("build"), odd.clone(), "".into()]);
    assert_eq!(calls[0].var("ODD"), Some(odd.as_os_str()));
    assert_eq!(calls[0].stdin.as_deref(), Some(&b"\x00\xff"[..]));
    assert_eq!(calls[0].cwd, std::path::Path::new("/"));
}

fn the_fake_docker_says_and_does_as_it_is_told() {
    let docker = FakeDocker::new();
    docker.reply().stdout(b"\xff\x00").stderr("oh no\n").code(3);
    let build = docker.reply_to("build").iid("sha256:1").held().signal("TERM");
    let command = Command::new(docker.program()).with_docker(&docker);

    let output = command.clone().arg("version").run().code(3).warns("oh no");
    assert_eq!(output.stdout, b"\xff\x00");

    let folder = tempfile::tempdir().expect("a temporary folder");
    let iid = folder.path().join("iid");
    let mut running = command.args(["build", "--iidfile"]).arg(&iid).spawn();
    assert!(eventually(Duration::from_secs(10), || docker.calls().len() == 2));
    assert!(running.is_running());
    build.release();
    assert_eq!(running.wait().signal(), Some(15));
    assert_eq!(std::fs::read_to_string(iid).expect("the ID"), "sha256:1");
}

fn a_terminal_shows_what_a_person_sees() {
    let script = "printf 'first\\rsecond\\n'; stty size; trap 'echo caught; exit 7' INT; echo ready; while :; do sleep 0.02; done";
    let command = Command::new("/bin/sh").env("PATH", "/usr/bin:/bin").args(["-c", script]);
    let mut terminal = command.in_terminal_of(60, 20);
    terminal.expect("ready");
    assert!(terminal.screen().starts_with("second\n20 60\nready"), "{}", terminal.screen());
    terminal.interrupt();
    terminal.expect("caught");
    assert_eq!(terminal.wait().exit_code(), 7);
}

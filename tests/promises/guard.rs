//! `dkb guard`: whatever ends a session, what it left in the engine goes, and nothing else does.

use std::time::Instant;

use dkb_lab::dkb::{State, dkb_path};
use dkb_lab::promise::{containerd_store, docker};
use dkb_lab::{Context, Engine, Promises, eventually, promises};

use crate::guard_scene::{SOON, Scene, inside, kill, lose_power};

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on_every_engine(promises![
            a_session_is_cleaned_when_a_signal_ends_it,
            without_a_watcher_the_next_clean_of_stale_sessions_takes_it_all,
            an_inner_guard_joins_the_outer_and_leaves_the_cleaning_to_it,
            a_session_is_cleaned_when_its_guard_is_killed,
            a_dry_run_keeps_what_a_container_that_stays_refers_to_and_so_does_the_run,
        ])
        .on(
            docker,
            promises![
                a_session_is_cleaned_when_the_terminal_says_so,
                an_engine_that_is_gone_at_the_end_is_said_and_the_next_dkb_finishes,
                a_container_that_takes_its_time_to_stop_is_named,
                what_is_to_be_kept_is_kept_and_can_be_ended_by_hand,
                a_session_that_was_started_by_hand_ends_with_its_process,
                the_harness_of_the_docs_leaves_nothing,
            ],
        )
        .on_one_engine()
        .on_every_engine(promises![
            a_session_is_cleaned_when_its_command_ends_and_the_code_is_the_commands,
            a_tag_that_the_session_took_is_given_back,
            a_session_in_which_nothing_was_built_is_cleaned_too,
        ])
        .on(containerd_store, promises![a_container_whose_image_the_store_has_dropped_goes_or_is_told_and_found_again])
        .on(|engine| engine == "docker-28.5", promises![the_compose_file_of_the_docs_leaves_nothing])
        .without_engine(promises![
            a_guard_is_its_command_in_all_but_the_end,
            a_guard_that_could_not_clean_runs_nothing,
            what_a_guard_runs_finds_the_settings_wherever_it_goes,
        ])
}

fn a_session_is_cleaned_when_its_command_ends_and_the_code_is_the_commands(engine: &Engine) {
    let scene = Scene::new(engine);
    for (end, code) in [("exit 0", 0), ("kill -XFSZ $$", 153)] {
        scene.guard(&[], end).run().code(code);
        assert!(!scene.holds_something(), "{end}: the guard left\n{}", engine.inventory());
        scene.is_clean();
    }
}

fn a_session_in_which_nothing_was_built_is_cleaned_too(engine: &Engine) {
    let scene = Scene::new(engine);
    let dkb = || engine.dkb_in(&scene.state).project("p");
    dkb().args(["guard", "--", "true"]).run().success();
    // Long enough for its watcher to tell the books of it as well.
    dkb().args(["guard", "--", "sleep", "1"]).run().success();
    let list = dkb().args(["session", "list", "--format", "json"]).run().success().json();
    let sessions = list["sessions"].as_array().expect("sessions");
    assert_eq!(sessions.len(), 2, "{list:#}");
    assert!(sessions.iter().all(|session| session["cleaned"].is_string()), "{list:#}");
}

fn a_container_that_takes_its_time_to_stop_is_named(engine: &Engine) {
    let scene = Scene::new(engine);
    // Its first process heeds the signal as long as it is still the engine's own.
    let script = "docker run -d --name patient --stop-timeout 5 --label=$DKB_LABEL lab/base sleep 1000
                  docker exec patient true";
    let dkb = engine.dkb_in(&scene.state).project("p").arg("guard");
    let output = dkb.args(["--session", "s", "--", "sh", "-c", script]).run().success();
    assert!(output.err().contains("dkb: waiting for patient to stop\n"), "{output}");
    scene.is_clean();
}

/// The store drops an image with its last name, although containers of it run. Of one that a build of ours made the
/// books still say whose it was; of another one nobody can say whether it bore the label that its container bears.
fn a_container_whose_image_the_store_has_dropped_goes_or_is_told_and_found_again(engine: &Engine) {
    let scene = Scene::new(engine);
    let raw = scene.state.work().join("raw");
    std::fs::create_dir(&raw).expect("a folder");
    let script = format!(
        "set -e
         raw() {{ printf 'FROM lab/base\\nRUN echo %s >/raw\\n' $1 | docker build -q -t pg:16 - ; }}
         run() {{ docker run -d --stop-signal KILL --name $1 $2 $3 sleep 1000; }}
         raw old
         run pg --label=$DKB_LABEL pg:16
         raw new
         for i in 1 2 3; do
           printf 'FROM lab/base\\nRUN echo %s >/ours\\n' $i >{raw}/Dockerfile
           {dkb} build -q -t app:latest {raw}
           run ours$i --label=of=$i app:latest
           run labelled$i --label=$DKB_LABEL app:latest
         done",
        raw = raw.display(),
        dkb = dkb_path().display(),
    );
    let dkb = || engine.dkb_in(&scene.state).project("p");
    let guard = dkb().arg("guard").args(["--session", "s", "--", "sh", "-c", &script]).run().success();
    let left = || {
        let names = |one: &serde_json::Value| one["Names"][0].as_str().unwrap_or_default().to_owned();
        let all: Vec<String> = engine.api().containers().iter().map(names).collect();
        all.into_iter().filter(|name| ["/pg", "/ours", "/labelled"].iter().any(|ours| name.starts_with(ours)))
    };
    assert_eq!(left().collect::<Vec<_>>(), ["/pg"], "{guard}\n{}", engine.inventory());
    assert!(guard.err().contains("kept pg: image is not there to ask"), "{guard}");
    for end in [&["clean", "--stale", "--yes"][..], &["session", "end", "s"]] {
        let again = dkb().session("another").args(end.iter().copied()).run().success();
        assert!(again.out().contains("image is not there to ask"), "{end:?}: {again}");
    }
    engine.docker(["rm", "-f", "pg"]).run().success();
    dkb().session("another").args(["session", "end", "s"]).run().success();
    let status = dkb().session("another").args(["status", "--all"]).run().success();
    assert!(!status.out().contains("dead"), "{status}");
    scene.strangers_are_there();
}

fn a_session_is_cleaned_when_a_signal_ends_it(engine: &Engine) {
    let scene = Scene::new(engine);
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let guard = scene.guard(&[], "exec sleep 1000").spawn();
        scene.wait_until_ready();
        // The shell is about to become the sleep that takes the signal.
        guard.signal(signal);
        guard.wait().code(code);
        scene.is_clean();
        std::fs::remove_file(scene.ready()).expect("the mark");
    }
}

fn a_session_is_cleaned_when_its_guard_is_killed(engine: &Engine) {
    let scene = Scene::new(engine);
    for command_too in [false, true] {
        let guard = scene.guard(&[], "echo $$ >pid; exec sleep 1000").spawn();
        scene.wait_until_ready();
        let pid = scene.state.work().join("pid");
        assert!(eventually(SOON, || std::fs::read_to_string(&pid).is_ok_and(|text| text.ends_with('\n'))));
        let pid = std::fs::read_to_string(&pid).expect("a number").trim().to_owned();
        guard.signal("KILL");
        if command_too {
            kill(&pid);
        }
        scene.is_clean();
        if !command_too {
            kill(&pid);
        }
        // Or the next round would read it before it is written anew.
        std::fs::remove_file(scene.state.work().join("pid")).expect("the number");
        // Whoever reads the guard's output gets to its end although the watcher went on: else this would hang.
        drop(guard.wait());
        std::fs::remove_file(scene.ready()).expect("the mark");
    }
}

fn a_session_is_cleaned_when_the_terminal_says_so(engine: &Engine) {
    let scene = Scene::new(engine);
    let mut terminal = scene.guard(&[], "exec sleep 1000").in_terminal();
    scene.wait_until_ready();
    terminal.interrupt();
    assert_eq!(terminal.wait().exit_code(), 130, "{}", terminal.screen());
    scene.is_clean();
    std::fs::remove_file(scene.ready()).expect("the mark");

    let closed = scene.guard(&[], "exec sleep 1000").in_terminal_that_closes(|| scene.ready().exists());
    assert_eq!(closed.exit_code(), 129, "as the command, which heard of it");
    scene.is_clean();
}

fn a_tag_that_the_session_took_is_given_back(engine: &Engine) {
    let scene = Scene::new(engine);
    let theirs = engine.image().tag("app:latest").make();
    scene.guard(&[], "exit 0").run().success();
    assert_eq!(engine.find("app:latest").map(|image| image.id), Some(theirs.id.clone()), "{}", engine.inventory());
    scene.strangers_are_there();
    assert!(engine.images().iter().all(|image| !image.tags.is_empty()), "{}", engine.inventory());
}

fn without_a_watcher_the_next_clean_of_stale_sessions_takes_it_all(engine: &Engine) {
    let scene = Scene::new(engine);
    let guard = scene.guard(&[], "exec sleep 1000").spawn();
    scene.wait_until_ready();
    lose_power(&scene.state);
    drop(guard.wait());
    assert!(scene.holds_something(), "nobody was left to clean");
    let next = || engine.dkb_in(&scene.state).project("p").session("next");
    next().args(["clean", "-n"]).run().success().warns("session s of p");
    next().args(["clean", "--stale"]).run().success();
    scene.is_clean();
}

fn an_inner_guard_joins_the_outer_and_leaves_the_cleaning_to_it(engine: &Engine) {
    let scene = Scene::new(engine);
    let inner =
        format!("{} guard -- sh -c 'echo $DKB_SESSION >inner'; docker ps -q --no-trunc >still", dkb_path().display());
    scene.guard(&[], &inner).run().success();
    let read = |name: &str| std::fs::read_to_string(scene.state.work().join(name)).expect(name);
    assert_eq!(read("inner"), "s\n");
    assert!(read("still").contains(read("one").trim()), "the inner guard cleaned up");
    scene.is_clean();
}

fn a_dry_run_keeps_what_a_container_that_stays_refers_to_and_so_does_the_run(engine: &Engine) {
    let state = State::new();
    let script = "set -e
        docker volume create --label $DKB_LABEL used
        docker volume create --label $DKB_LABEL free
        docker network create --label $DKB_LABEL joined
        docker create --network joined --name never-started lab/base
        docker run -d --stop-signal KILL --name runs -v used:/x lab/base sleep 1000
        docker create --name holds -v used:/x lab/base";
    let guard = engine.dkb_in(&state).project("p").args(["guard", "--session", "s", "--", "sh", "-c", script]);
    let guard = guard.run().success().warns("kept joined: in use never-started (created)");
    guard.warns("kept used: in use").warns("runs (running)").warns("holds (created)").warns("removed 1 volume");
    let clean = |args: &[&str]| {
        let dkb = engine.dkb_in(&state).project("p").session("next").args(["clean", "--stale", "--format", "json"]);
        dkb.args(args.iter().copied()).run().success().json()
    };
    let told = clean(&["--dry-run"]);
    assert_eq!(told["steps"], serde_json::json!([]), "{told:#}");
    let reasons: Vec<&str> =
        told["kept"].as_array().expect("kept").iter().filter_map(|kept| kept["reason"].as_str()).collect();
    assert_eq!(reasons, ["in_use", "in_use"], "{told:#}");
    let done = clean(&[]);
    assert_eq!((&done["steps"], &done["kept"]), (&told["steps"], &told["kept"]));
}

fn an_engine_that_is_gone_at_the_end_is_said_and_the_next_dkb_finishes(engine: &Engine) {
    let scene = Scene::new(engine);
    let proxy = engine.proxy();
    let guard = scene.guard(&[], "while [ ! -e go ]; do sleep 0.05; done; exit 5").env("DOCKER_HOST", proxy.host());
    let guard = guard.spawn();
    scene.wait_until_ready();
    proxy.engine_goes();
    std::fs::write(scene.state.work().join("go"), "").expect("a mark");
    guard.wait().code(5).warns("was not cleaned");
    assert!(scene.holds_something());
    proxy.engine_comes_back();
    engine.dkb_in(&scene.state).project("p").session("next").args(["clean", "--stale"]).run().success();
    scene.is_clean();
    engine.wipe();
    // Where it was gone all the time no books know of the session, and its name finds it.
    let scene = Scene::new(engine);
    let script = "docker run -d --stop-timeout 1 --label \"$DKB_LABEL\" lab/base sleep 1000";
    let script = format!("DOCKER_HOST={} {script}", engine.host());
    let dkb = engine.dkb_in(&scene.state).project("p").env("DOCKER_HOST", "unix:///nowhere.sock");
    let guard = dkb.args(["guard", "--session", "s", "--", "sh", "-c", &script]);
    guard.run().success().warns("was not cleaned").warns("dkb session end s");
    assert!(scene.holds_something());
    engine.dkb_in(&scene.state).project("p").args(["session", "end", "s"]).run().success();
    scene.is_clean();
}

fn what_is_to_be_kept_is_kept_and_can_be_ended_by_hand(engine: &Engine) {
    let scene = Scene::new(engine);
    scene.guard(&["--keep-on-failure"], "exit 1").run().code(1).warns("dkb session end s");
    assert!(scene.holds_something());
    // Nobody takes it away behind the user's back.
    engine.dkb_in(&scene.state).project("p").session("next").args(["clean", "--stale"]).run().success();
    assert!(engine.has("app:latest"));
    engine.dkb_in(&scene.state).project("p").args(["session", "end", "s"]).run().success();
    scene.is_clean();
    scene.guard(&["--keep-tagged"], "exit 0").run().success();
    assert!(engine.has("app:latest"));
}

fn a_session_that_was_started_by_hand_ends_with_its_process(engine: &Engine) {
    let scene = Scene::new(engine);
    let mut harness = std::process::Command::new("sleep").arg("1000").spawn().expect("a process");
    let start = engine.dkb_in(&scene.state).project("p").session("s").args(["session", "start", "--watch-pid"]);
    start.arg(harness.id().to_string()).run().success().says("s");
    let script = scene.script("exit 0");
    let dkb = engine.dkb_in(&scene.state).project("p").session("s").env("DKB_LABEL", "dev.dkb.run=p:s");
    inside(&dkb, "/bin/sh").args(["-c", &script]).run().success();
    assert!(scene.holds_something());
    harness.kill().and_then(|()| harness.wait()).expect("its end");
    scene.is_clean();
}

/// Runs the very program that the docs show, with dkb on its PATH.
fn the_harness_of_the_docs_leaves_nothing(engine: &Engine) {
    let state = State::new();
    let bin = state.work().join("bin");
    std::fs::create_dir(&bin).expect("a folder");
    std::os::unix::fs::symlink(dkb_path(), bin.join("dkb")).expect("a link");
    let profile = dkb_path().parent().expect("the folder of the build");
    let harness = profile.join("examples/harness");
    if !harness.exists() {
        // `cargo test` builds examples too, but a run of this file alone does not.
        let target = profile.parent().expect("the target folder");
        let build = std::process::Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--example", "harness"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("CARGO_TARGET_DIR", target)
            .status();
        assert!(build.is_ok_and(|status| status.success()), "the example does not build");
    }
    let dkb = engine.dkb_in(&state).project("p");
    let path = format!("{}:{}", bin.display(), engine_path(engine));
    let context = Context::from_base("RUN echo tested >/tested");
    let harness = harness.to_string_lossy().into_owned();
    inside(&dkb, &harness).env("PATH", path).cwd(context.path()).run().success();
    let is_clean = || engine.images().is_empty() && engine.api().containers().is_empty();
    assert!(eventually(SOON, is_clean), "the harness left\n{}", engine.inventory());
}

fn the_compose_file_of_the_docs_leaves_nothing(engine: &Engine) {
    let state = State::new();
    let docs = include_str!("../../docs/guard.md").split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next());
    std::fs::write(state.work().join("compose.yml"), docs.expect("the first of the docs' YAML")).expect("a file");
    let context = Context::from_base("CMD [\"sleep\", \"1000\"]");
    let script = format!(
        "{} build -q -t app:test {} && docker compose -p e2e up -d -t 1 && docker ps -q && docker network ls && docker volume ls",
        dkb_path().display(),
        context.path().display()
    );
    let guard = engine.dkb_in(&state).project("p").args(["guard", "--", "sh", "-c", &script]).run().success();
    let guard = guard.says("e2e_default").says("e2e_data");
    guard.warns("removed 1 container, 1 network, 1 image, 1 volume");
    assert!(engine.images().is_empty() && engine.api().volumes().is_empty(), "{}", engine.inventory());
}

fn engine_path(engine: &Engine) -> String {
    let path = engine.env().into_iter().find(|(key, _)| key == "PATH").expect("the engine's PATH").1;
    path.to_string_lossy().into_owned()
}

fn a_guard_is_its_command_in_all_but_the_end() {
    let state = State::new();
    let dkb = || state.dkb().project("p");
    let output = dkb().args(["guard", "--no-clean", "--", "sh", "-c", "cat; echo out; echo err >&2; exit 3"]);
    let output = output.stdin("in\n").run().code(3);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "in\nout\n");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "err\n");
    for (end, code) in [("exit 7", 7), ("kill -SEGV $$", 139), ("kill -XFSZ $$", 153)] {
        dkb().args(["guard", "--no-clean", "--", "sh", "-c", end]).run().code(code);
    }
    dkb().args(["guard", "--", "no-such-program"]).run().code(127).warns("no-such-program");
    dkb().args(["guard", "--session", "not a name", "--", "true"]).run().code(2);
    let nobody = dkb().args(["session", "start", "--watch-pid", "4194304"]).run();
    nobody.code(2).warns("watching process 4194304: No such process");
    // With no engine at all the command still runs, at once, and keeps its code.
    let began = Instant::now();
    let told = dkb().args(["guard", "--session", "s", "--", "sh", "-c", "exit 4"]).run().code(4);
    told.warns("was not cleaned").warns("dkb session end s").never_warns("--stale");
    assert!(began.elapsed() < SOON);
}

fn a_guard_that_could_not_clean_runs_nothing() {
    let state = State::new();
    let dkb = || state.dkb().project("p").no_env("DOCKER_HOST");
    let (a, b) = ("unix:///nowhere/a.sock", "unix:///nowhere/b.sock");
    let ran = state.work().join("ran");
    for (words, why) in [
        (&["-H", a, "-H", b][..], "--host is given more than once"),
        (&["-H", a, "-c", "b"], "both --context and --host"),
        (&["-c", "nowhere"], "there is no such context"),
        (&["--settings", "/dev/stdin"], "can be read only once"),
    ] {
        let words = || dkb().args(words.iter().copied()).stdin("keep = [\"app\"]\n");
        words().args(["guard", "--", "touch", "ran"]).run().code(2).warns(why);
        assert!(!ran.exists(), "{why}");
        words().args(["session", "start"]).run().code(2).warns(why);
    }
    let none = dkb().args(["--settings", "/dev/null", "guard", "--", "touch", "ran"]).run().success();
    none.never_warns("nobody will clean up");
    assert!(ran.exists());
}

fn what_a_guard_runs_finds_the_settings_wherever_it_goes() {
    let state = State::new();
    std::fs::write(state.work().join("own.toml"), "keep = [\"kept/*\"]\n").expect("settings");
    let inner = format!("cd / && {} config", dkb_path().display());
    for dkb in [state.dkb().env("DKB_SETTINGS", "own.toml"), state.dkb().args(["--settings", "own.toml"])] {
        let told = dkb.args(["guard", "--no-clean", "--", "sh", "-c", &inner]).run().success();
        assert!(told.out().contains("kept/*"), "{}", told.out());
    }
}

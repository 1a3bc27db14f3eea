//! A session is cleaned on the engine that it was opened on, whatever docker means by its settings when it ends.

use std::collections::BTreeSet;

use dkb_lab::promise::docker;
use dkb_lab::{Command, Context, Engine, Promises, State, eventually, promises};

use crate::guard_scene::{SOON, Scene, inside, kill, lose_power};

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on(
            docker,
            promises![
                a_guard_ends_where_it_was_opened_though_docker_has_moved_to_another_context,
                a_guard_whose_socket_leads_to_another_engine_touches_nothing_there,
                an_end_by_name_on_another_engine_leaves_the_session_where_it_was_opened,
                guards_of_one_session_on_two_engines_end_it_each_on_their_own,
                a_session_that_was_started_on_two_engines_ends_on_both,
                what_was_cut_off_on_one_engine_is_found_there_though_its_name_was_used_on_another,
            ],
        )
        .on_one_engine()
}

/// Another engine, on which a neighbour is at work in a session of the same name, with a ledger of his own.
fn another(engine: &Engine) -> (Engine, BTreeSet<String>) {
    let other = Engine::start(engine.name());
    other.container(dkb_lab::context::BASE).name("theirs").label("dev.dkb.run", "p:s").running();
    other.volume("their-data", &[("dev.dkb.run", "p:s")]);
    other.network("their-net", &[("dev.dkb.run", "p:s")]);
    let things = things(&other);
    (other, things)
}

fn things(engine: &Engine) -> BTreeSet<String> {
    let api = engine.api();
    let name = |kind: &str, thing: &serde_json::Value, key: &str| format!("{kind} {} {}", thing[key], thing["State"]);
    let containers = api.containers().into_iter().map(|one| name("container", &one, "Id"));
    let volumes = api.volumes().into_iter().map(|one| name("volume", &one, "Name"));
    let networks = api.networks().into_iter().map(|one| name("network", &one, "Name"));
    containers.chain(volumes).chain(networks).collect()
}

/// Two contexts, and docker works in the first.
fn in_contexts(dkb: Command, here: &Engine, there: &Engine) -> Command {
    let dkb = dkb.no_env("DOCKER_HOST");
    let docker = |args: &[&str]| inside(&dkb, "docker").args(args.iter().copied()).run();
    for (name, engine) in [("here", here), ("there", there)] {
        docker(&["context", "rm", "-f", name]);
        docker(&["context", "create", name, "--docker", &format!("host={}", engine.host())]).success();
    }
    docker(&["context", "use", "here"]).success();
    dkb
}

fn a_guard_ends_where_it_was_opened_though_docker_has_moved_to_another_context(engine: &Engine) {
    let scene = Scene::new(engine);
    let (other, theirs) = another(engine);
    let guard = in_contexts(scene.guard(&[], "docker context use there"), engine, &other);
    guard.run().success().warns("removed 4 containers");
    scene.is_clean();
    assert_eq!(things(&other), theirs);

    let _ = std::fs::remove_file(scene.ready());
    let end = "docker context use there; echo $PPID >pid; exec sleep 1000";
    let mut guard = in_contexts(scene.guard(&[], end), engine, &other).spawn();
    scene.wait_until_ready();
    let pid = scene.state.work().join("pid");
    assert!(dkb_lab::eventually(crate::guard_scene::SOON, || std::fs::read(&pid).is_ok_and(|pid| !pid.is_empty())));
    kill(std::fs::read_to_string(&pid).expect("the guard's number").trim());
    assert!(dkb_lab::eventually(crate::guard_scene::SOON, || !guard.is_running()));
    scene.is_clean();
    assert_eq!(things(&other), theirs);
}

/// Waits until it is known on which engine the session was opened.
fn once_known(scene: &Scene, then: &str) -> String {
    format!("until grep -q engines {}/sessions/*; do sleep 0.05; done; {then}", scene.state.state_dir().display())
}

fn a_guard_whose_socket_leads_to_another_engine_touches_nothing_there(engine: &Engine) {
    let scene = Scene::new(engine);
    let (other, theirs) = another(engine);
    let socket = scene.state.work().join("docker.sock");
    let lead_to = |engine: &Engine| {
        let _ = std::fs::remove_file(&socket);
        std::os::unix::fs::symlink(engine.socket(), &socket).expect("a path to the engine");
    };
    lead_to(engine);
    let host = format!("unix://{}", socket.display());
    let end = once_known(&scene, &format!("ln -sfn {} {}", other.socket().display(), socket.display()));
    let guard = scene.guard(&[], &end).env("DOCKER_HOST", &host).run().success();
    guard.warns("another engine answers there").never_warns("session end");
    assert_eq!(things(&other), theirs);
    assert!(scene.holds_something(), "{}", engine.inventory());

    // It is dead on the engine that it was opened on, and on no other.
    let stale = || {
        let dkb = engine.dkb_in(&scene.state).project("p").session("next").env("DOCKER_HOST", &host);
        dkb.args(["clean", "--stale"]).run().success()
    };
    stale();
    assert_eq!(things(&other), theirs);
    lead_to(engine);
    stale();
    scene.is_clean();
}

fn an_end_by_name_on_another_engine_leaves_the_session_where_it_was_opened(engine: &Engine) {
    let scene = Scene::new(engine);
    let (other, _) = another(engine);
    let end = |host: &str| {
        let dkb = engine.dkb_in(&scene.state).project("p").env("DOCKER_HOST", host);
        dkb.args(["session", "end", "s"]).run()
    };
    let guard = scene.guard(&["--keep-on-failure"], &once_known(&scene, "exit 3")).run().code(3);
    guard.warns("is left for a look");
    end(&other.host()).warns("it was opened on another engine");
    let runs = other.api().containers().iter().any(|one| one["State"] == "running");
    assert!(runs, "nothing that runs is stopped\n{}", other.inventory());
    assert!(scene.holds_something());
    end(&engine.host()).success();
    scene.is_clean();
}

/// What a session makes on this engine: an image, and a container that runs.
fn work(context: &Context) -> String {
    format!(
        "{dkb} build -q -t app:latest {context} >/dev/null
         docker run -d --stop-signal KILL --label \"$DKB_LABEL\" app:latest sleep 1000 >/dev/null",
        dkb = dkb_lab::dkb::dkb_path().display(),
        context = context.path().display(),
    )
}

/// A guard of that session which works until it is told to go, and its name.
fn guard(engine: &Engine, state: &State, context: &Context, name: &str) -> Command {
    let script = format!("set -e; {}; touch at-{name}; until test -e go-{name}; do sleep 0.05; done", work(context));
    engine.dkb_in(state).project("p").args(["guard", "--session", "s", "--", "sh", "-c", &script])
}

fn once_at_work(state: &State, name: &str) {
    let ready = state.work().join(format!("at-{name}"));
    assert!(eventually(SOON, || ready.exists()), "{name} never got to work");
}

fn go(state: &State, name: &str) {
    std::fs::write(state.work().join(format!("go-{name}")), "").expect("a word");
}

/// What is there of the session.
fn left(engine: &Engine) -> (usize, bool) {
    (engine.api().containers().len(), engine.has("app:latest"))
}

fn guards_of_one_session_on_two_engines_end_it_each_on_their_own(engine: &Engine) {
    let (other, state, context) = (Engine::start(engine.name()), State::new(), Context::from_base("RUN true"));
    let first = guard(engine, &state, &context, "here").spawn();
    let second = guard(&other, &state, &context, "there").spawn();
    once_at_work(&state, "here");
    once_at_work(&state, "there");
    let end = |engine: &Engine| engine.dkb_in(&state).project("p").args(["session", "end", "s"]).run().success();
    end(engine).warns("is still in use");
    go(&state, "here");
    first.wait().success().warns("removed 1 container, ").never_warns("still in use").never_warns("session end");
    assert_eq!((left(engine), left(&other)), ((0, false), (1, true)));
    end(engine).warns("it was opened on another engine, and ends there");
    go(&state, "there");
    second.wait().success().warns("removed 1 container, ").never_warns("another engine");
    assert_eq!(left(&other), (0, false));
}

fn a_session_that_was_started_on_two_engines_ends_on_both(engine: &Engine) {
    let (other, state, context) = (Engine::start(engine.name()), State::new(), Context::from_base("RUN true"));
    let watched = || std::process::Command::new("sleep").arg("1000").spawn().expect("a process");
    let mut watched = [(engine, watched()), (&other, watched())];
    for (engine, process) in &watched {
        let dkb = engine.dkb_in(&state).project("p").session("s");
        let pid = process.id().to_string();
        dkb.clone().args(["session", "start", "--watch-pid", &pid]).run().success();
        inside(&dkb, "sh").env("DKB_LABEL", "dev.dkb.run=p:s").args(["-c", &work(&context)]).run().success();
    }
    for (engine, process) in &mut watched {
        assert_eq!(left(engine), (1, true));
        process.kill().and_then(|()| process.wait()).expect("it ends");
        assert!(eventually(SOON, || left(engine) == (0, false)), "{}", engine.inventory());
    }
}

fn what_was_cut_off_on_one_engine_is_found_there_though_its_name_was_used_on_another(engine: &Engine) {
    let (other, state, context) = (Engine::start(engine.name()), State::new(), Context::from_base("RUN true"));
    let mut cut_off = guard(engine, &state, &context, "here").spawn();
    once_at_work(&state, "here");
    lose_power(&state);
    assert!(eventually(SOON, || !cut_off.is_running()));
    let dkb = |engine: &Engine, verb: &[&str]| {
        engine.dkb_in(&state).project("p").session("next").args(verb.iter().copied()).run().success()
    };
    dkb(engine, &["status"]).warns("session s of p (sh, since").warns("was cut off and not cleaned");
    let again = guard(&other, &state, &context, "there").spawn();
    once_at_work(&state, "there");
    go(&state, "there");
    again.wait().success().warns("removed 1 container, ");
    dkb(&other, &["clean", "--stale"]);
    assert_eq!((left(engine), left(&other)), ((1, true), (0, false)));
    dkb(engine, &["clean", "--stale"]);
    assert_eq!(left(engine), (0, false), "{}", engine.inventory());
    dkb(engine, &["status"]).never_warns("session s");
}

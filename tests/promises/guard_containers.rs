//! Containers that engines make a difference of: all that a session ran goes, and what can't go is said and fails no
//! later job.

use dkb_lab::promise::podman;
use dkb_lab::{Engine, Promises, State, promises};
use serde_json::json;

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on_every_engine(promises![
            containers_that_stand_on_one_another_go_whatever_their_ids_say,
            what_is_paused_is_stopped_as_what_runs,
        ])
        .on(
            podman,
            promises![
                a_pod_is_told_and_fails_no_later_job,
                a_container_that_a_strangers_stands_on_is_in_use_and_fails_no_later_job,
            ],
        )
}

fn guard(engine: &Engine, state: &State, script: &str) -> dkb_lab::Output {
    let dkb = engine.dkb_in(state).project("p").session("s");
    dkb.args(["guard", "--", "sh", "-c", script]).run().success()
}

fn containers_that_stand_on_one_another_go_whatever_their_ids_say(engine: &Engine) {
    let run = |name: &str, on: &str| {
        let network = if on.is_empty() { String::new() } else { format!("--network container:{on}") };
        format!("docker run -d --name {name} --stop-signal KILL {network} --label \"$DKB_LABEL\" lab/base sleep 1000\n")
    };
    // The engine gives the IDs, so that any order comes up.
    for _ in 0..3 {
        let state = State::new();
        let script = [run("db", ""), run("app", "db"), run("side", "app"), run("probe", "db")].concat();
        guard(engine, &state, &format!("set -e\n{script}docker network create --label \"$DKB_LABEL\" net"))
            .warns("removed 4 containers, 1 network");
        assert_eq!(engine.api().containers(), [] as [serde_json::Value; 0], "{}", engine.inventory());
    }
    // A stranger's that stands on one of ours keeps it, and is told of once.
    let state = State::new();
    guard(engine, &state, &run("db", ""));
    let theirs = engine.container(dkb_lab::context::BASE).name("theirs").running();
    assert!(engine.api().containers().iter().all(|one| one["Id"] == theirs.as_str()));
}

fn a_container_that_a_strangers_stands_on_is_in_use_and_fails_no_later_job(engine: &Engine) {
    let state = State::new();
    let script = "docker run -d --name ours --stop-signal KILL --label \"$DKB_LABEL\" lab/base sleep 1000
                  docker run -d --name theirs --network container:ours lab/base sleep 1000";
    guard(engine, &state, script).never_warns("refused").warns("in use theirs (running)");
    let clean = || engine.dkb_in(&state).project("p").args(["clean", "--stale"]).run().success();
    let told = clean();
    assert!(told.out().contains("theirs") && !told.err().contains("refused"), "{told}");
    engine.docker(["rm", "--force", "theirs"]).run().success();
    clean();
    assert_eq!(engine.api().containers(), [] as [serde_json::Value; 0], "{}", engine.inventory());
}

fn what_is_paused_is_stopped_as_what_runs(engine: &Engine) {
    let state = State::new();
    let script =
        "docker run -d --name one --stop-signal KILL --label \"$DKB_LABEL\" lab/base sleep 1000 && docker pause one";
    guard(engine, &state, script).warns("removed 1 container").never_warns("refused");
    assert_eq!(engine.api().containers(), [] as [serde_json::Value; 0], "{}", engine.inventory());
}

/// The label of a pod is on the container that holds it together, and that goes with the pod alone.
fn a_pod_is_told_and_fails_no_later_job(engine: &Engine) {
    let state = State::new();
    let pod = json!({ "name": "web", "infra_image": "lab/base", "labels": { "dev.dkb.run": "p:s" } });
    let started = state.work().join("started");
    let script = format!("touch {}; until [ -e go ]; do sleep 0.05; done", started.display());
    let dkb = |session: &str| engine.dkb_in(&state).project("p").session(session);
    let guard = dkb("s").args(["guard", "--", "sh", "-c", &script]).spawn();
    assert!(dkb_lab::eventually(crate::guard_scene::SOON, || started.exists()));
    let answer = engine.api().post("/v4.0.0/libpod/pods/create", &pod);
    assert_eq!(answer.status, 201, "{}", answer.text());
    std::fs::write(state.work().join("go"), "").expect("a mark");
    // Where it is told in columns the command may go on in the next line.
    let to_take_it = "podman pod rm";
    guard.wait().success().warns(to_take_it).never_warns("refused");
    for _ in 0..2 {
        dkb("t").args(["clean", "--stale"]).run().success().says(to_take_it);
    }
    let answer = engine.api().delete("/v4.0.0/libpod/pods/web?force=true");
    assert_eq!(answer.status, 200, "{}", answer.text());
    dkb("t").args(["clean", "--stale"]).run().success().never_says("web");
}

//! What builders of buildx that are gone left: taken by name only, and never from a builder that anybody may have.

use dkb_lab::promise::{Promises, docker};
use dkb_lab::{Engine, State, promises};

pub(super) fn promises() -> Promises {
    Promises::of(module_path!()).on(docker, promises![what_a_builder_left_goes_by_name_once_the_builder_is_gone])
}

fn state_of(node: &str) -> String {
    format!("buildx_buildkit_{node}_state")
}

fn what_a_builder_left_goes_by_name_once_the_builder_is_gone(engine: &Engine) {
    let state = State::new();
    let buildx = |words: &[&str]| {
        let docker = engine.docker(["buildx"].iter().chain(words).copied());
        docker.env("DOCKER_CONFIG", state.docker_config()).env("BUILDX_CONFIG", state.docker_config().join("buildx"))
    };
    let made = buildx(&["create", "--name", "farm", "--node", "far", "--driver", "docker-container"]).run();
    if made.exit_code() != Some(0) {
        // An engine without buildx has no builders.
        return;
    }
    for node in ["far", "busy0", "gone0"] {
        engine.volume(&state_of(node), &[]);
    }
    engine.volume("data", &[]);
    engine.container("lab/base").name("buildx_buildkit_busy0").created();
    let there = || {
        let mut names: Vec<String> =
            engine.api().volumes().iter().filter_map(|volume| Some(volume["Name"].as_str()?.to_owned())).collect();
        names.sort();
        names
    };
    let all = there();
    let sweep = |words: &[&str]| {
        let sweep = engine.dkb_in(&state).args(["sweep", "--yes", "--format", "json", "--until", "0s"]);
        sweep.env("DOCKER_CONFIG", state.docker_config()).args(words.iter().copied())
    };
    sweep(&["--skip", "containers"]).run().success();
    assert_eq!(there(), all, "nobody asked for it");
    // A plan that was made while the builder was gone holds no longer once it is back.
    let file = state.work().join("plan.json");
    let plan = file.to_str().expect("a path");
    sweep(&["--only", "builder-state", "--plan", plan]).run().success();
    let create = ["create", "--name", "gone", "--driver", "docker-container"];
    buildx(&create).run().success();
    let told = sweep(&["--only", "builder-state", "--apply", plan]).run().success().json();
    assert_eq!(there(), all, "{told:#}");
    buildx(&["rm", "gone"]).run();
    engine.volume(&state_of("gone0"), &[]);
    let told = sweep(&["--only", "builder-state,containers"]).run().success().json();
    let left: Vec<String> = all.into_iter().filter(|name| *name != state_of("gone0")).collect();
    assert_eq!(there(), left, "{told:#}");
    let why = |node: &str| {
        let kept = told["kept"].as_array().expect("a list").iter();
        let mut kept = kept.filter(|kept| kept["id"] == state_of(node).as_str());
        kept.next().map(|kept| format!("{} {}", kept["type"], kept["reason"])).unwrap_or_default()
    };
    assert_eq!(why("far"), r#""builder_state" "builder_known""#);
    assert_eq!(why("busy0"), r#""builder_state" "in_use""#, "its container went by the same sweep");
}

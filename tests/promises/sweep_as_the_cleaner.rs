//! The docker-cleaner container's own test host, swept by its own variables alone, and its lines and exit codes.

use dkb_lab::promise::{Promises, docker};
use dkb_lab::{Command, Context, Engine, State, promises};
use serde_json::Value;

pub(super) fn promises() -> Promises {
    Promises::of(module_path!())
        .on_every_engine(promises![
            each_of_the_cleaners_variables_does_what_it_says,
            the_cleaners_dry_run_touches_nothing,
        ])
        .on(
            docker,
            promises![
                the_lines_are_the_cleaners_in_text_and_in_json,
                a_bad_value_is_exit_2_and_nothing_is_touched,
                only_one_who_says_yes_or_stands_in_for_the_container_is_not_asked,
                a_terminal_shows_the_plan_and_asks,
            ],
        )
        .on_one_engine()
        .on_every_engine(promises![the_cleaners_test_host_is_cleaned_as_the_cleaner_expects])
        .without_engine(promises![an_engine_that_is_gone_is_exit_2_in_under_5_seconds])
}

fn clean(engine: &Engine, variables: &[(&str, &str)]) -> Command {
    // Only the docker-cleaner's own variables, and the age that its tests, a second old, need.
    let command = engine.dkb_in(&State::new()).arg("sweep").env("PRUNE_FILTER_UNTIL", "0s");
    variables.iter().fold(command, |command, (name, value)| command.env(*name, *value))
}

/// The section on test resources of the docker-cleaner's design.
fn the_cleaners_host(engine: &Engine) {
    let name = |what: &str, n: usize| format!("test-cleanup-{what}-{n}");
    for n in [1, 2] {
        engine.container("lab/base").name(&name("container-running", n)).label("test-cleanup", "true").running();
        engine.container("lab/base").name(&name("container-stopped", n)).label("test-cleanup", "true").created();
        engine.volume(&name("volume-unused", n), &[]);
        engine.network(&name("network-unused", n), &[]);
    }
    let image = engine.image().tag("test-cleanup-image:v1").make();
    engine.tag(&image, "test-cleanup-image:v2");
    for n in [1, 2] {
        let run = format!("RUN echo 'test layer {n}' >/tmp/test{n}");
        engine.build(engine.builders()[0], &Context::from_base(&run), &["-t", "test-cleanup-temp:latest"]).success();
    }
    engine.volume("test-cleanup-volume-used-1", &[]);
    engine.container("lab/base").name("vol-user-1").volume("test-cleanup-volume-used-1").running();
    engine.network("test-cleanup-network-used-1", &[]);
    engine.container("lab/base").name("net-user-1").network("test-cleanup-network-used-1").running();
}

/// What is there of the docker-cleaner's test resources, by name; untagged images as `<none>`.
fn inventory(engine: &Engine) -> Vec<String> {
    let api = engine.api();
    let names = |list: Vec<Value>, key: &'static str| {
        list.into_iter().map(move |one| one[key].as_str().unwrap_or_default().to_owned())
    };
    let containers = api.containers().into_iter().map(|one| one["Names"][0].as_str().unwrap_or_default().to_owned());
    let images = engine
        .images()
        .into_iter()
        .flat_map(|image| if image.is_dangling() { vec!["<none>".to_owned()] } else { image.tags });
    let mut all: Vec<String> =
        containers.chain(names(api.volumes(), "Name")).chain(names(api.networks(), "Name")).chain(images).collect();
    for name in &mut all {
        let short = name.trim_start_matches('/').trim_start_matches("localhost/").trim_start_matches("docker.io/");
        *name = short.trim_start_matches("library/").to_owned();
    }
    all.retain(|name| !["bridge", "host", "none", "podman"].contains(&name.as_str()));
    all.sort();
    all.dedup();
    all
}

fn is_there(engine: &Engine, names: &[&str]) -> Vec<bool> {
    let all = inventory(engine);
    names.iter().map(|name| all.iter().any(|known| known == name)).collect()
}

const RUNNING: [&str; 4] =
    ["test-cleanup-container-running-1", "test-cleanup-container-running-2", "vol-user-1", "net-user-1"];
const STOPPED: [&str; 2] = ["test-cleanup-container-stopped-1", "test-cleanup-container-stopped-2"];
const TAGGED: [&str; 2] = ["test-cleanup-image:v1", "test-cleanup-image:v2"];
const SPARE_VOLUMES: [&str; 2] = ["test-cleanup-volume-unused-1", "test-cleanup-volume-unused-2"];
const SPARE_NETWORKS: [&str; 2] = ["test-cleanup-network-unused-1", "test-cleanup-network-unused-2"];
const USED: [&str; 2] = ["test-cleanup-volume-used-1", "test-cleanup-network-used-1"];

fn the_cleaners_test_host_is_cleaned_as_the_cleaner_expects(engine: &Engine) {
    the_cleaners_host(engine);
    clean(engine, &[]).run().success().says("[CONTAINER] Removed 2 stopped containers");
    assert_eq!(is_there(engine, &RUNNING), [true; 4]);
    assert_eq!(is_there(engine, &USED), [true; 2]);
    assert_eq!(is_there(engine, &TAGGED), [true; 2]);
    assert_eq!(is_there(engine, &SPARE_VOLUMES), [true; 2], "volumes go only where they are asked for");
    assert_eq!(is_there(engine, &STOPPED), [false; 2]);
    assert_eq!(is_there(engine, &SPARE_NETWORKS), [false; 2]);
    assert_eq!(is_there(engine, &["<none>"]), [false]);

    clean(engine, &[("PRUNE_ALL", "true"), ("PRUNE_VOLUMES", "true")]).run().success();
    assert_eq!(is_there(engine, &RUNNING), [true; 4]);
    assert_eq!(is_there(engine, &USED), [true; 2]);
    assert_eq!(is_there(engine, &TAGGED), [false; 2]);
    assert_eq!(is_there(engine, &SPARE_VOLUMES), [false; 2]);
    assert!(engine.has("lab/base"), "containers run from it");
}

fn each_of_the_cleaners_variables_does_what_it_says(engine: &Engine) {
    the_cleaners_host(engine);
    let before = inventory(engine);
    let off = [
        ("CLEANUP_CONTAINERS", "false"),
        ("CLEANUP_IMAGES", "0"),
        ("CLEANUP_NETWORKS", "False"),
        ("CLEANUP_BUILD_CACHE", "FALSE"),
    ];
    clean(engine, &off).run().success().never_says("[CONTAINER]").never_says("[NETWORK]");
    assert_eq!(inventory(engine), before);
    clean(engine, &[("PRUNE_FILTER_UNTIL", "24h")]).run().success();
    assert_eq!(is_there(engine, &STOPPED), [true; 2], "they are too young");
    clean(engine, &[("PRUNE_FILTER_LABEL", "test-cleanup!=true"), ("CLEANUP_NETWORKS", "false")]).run().success();
    assert_eq!(is_there(engine, &STOPPED), [true; 2]);
    clean(engine, &[("PRUNE_FILTER_LABEL", "test-cleanup"), ("CLEANUP_VOLUMES", "true")]).run().success();
    assert_eq!(is_there(engine, &STOPPED), [false; 2]);
    assert_eq!(is_there(engine, &SPARE_NETWORKS), [true; 2], "they don't bear the label");
    assert_eq!(is_there(engine, &SPARE_VOLUMES), [true; 2]);
    clean(engine, &[("CLEANUP_VOLUMES", "1")]).run().success();
    assert_eq!(is_there(engine, &SPARE_VOLUMES), [false; 2]);
}

fn the_cleaners_dry_run_touches_nothing(engine: &Engine) {
    the_cleaners_host(engine);
    let before = inventory(engine);
    let all = [("DRY_RUN", "true"), ("PRUNE_ALL", "true"), ("PRUNE_VOLUMES", "true")];
    let said = clean(engine, &all).run().success().says("[VOLUME] Would remove 2 unused volumes");
    assert!(said.out().contains("Would remove test-cleanup-container-stopped-1: stopped"), "{}", said.out());
    assert_eq!(inventory(engine), before);
}

fn the_lines_are_the_cleaners_in_text_and_in_json(engine: &Engine) {
    engine.container("lab/base").created();
    let text = clean(engine, &[]).run().success().out();
    let lines: Vec<&str> = text.lines().collect();
    for line in &lines {
        let (time, rest) = line.split_once("] ").expect("a time");
        assert!(time.len() == 21 && time.ends_with('Z') && rest.starts_with('['), "{line}");
    }
    let operations: Vec<&str> = lines.iter().map(|line| line.split(['[', ']']).nth(5).unwrap_or_default()).collect();
    assert_eq!(operations, ["INIT", "CONTAINER", "IMAGE", "NETWORK", "BUILD_CACHE", "SUMMARY"]);
    assert!(lines[0].ends_with("[INFO] [INIT] Starting Docker cleanup on localhost"), "{text}");
    assert!(lines[1].ends_with("[INFO] [CONTAINER] Removed 1 stopped container (0 B freed)"), "{text}");
    assert!(lines[5].contains("[INFO] [SUMMARY] Total space freed: 0 B"), "{text}");

    engine.container("lab/base").created();
    let json = clean(engine, &[("LOG_FORMAT", "json"), ("LOG_LEVEL", "DEBUG")]).run().success().out();
    assert!(
        json.lines().all(|line| line.starts_with("{\"timestamp\":\"") && line.contains("\",\"level\":\"")),
        "{json}"
    );
    let lines: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let of = |operation: &str| lines.iter().rfind(|line| line["operation"] == operation).expect("a line");
    assert_eq!(of("INIT")["message"], "Starting Docker cleanup");
    assert_eq!(of("INIT")["hostname"], "localhost");
    assert_eq!(of("CONTAINER")["message"], "Removed stopped containers");
    assert_eq!((of("CONTAINER")["count"].as_u64(), of("CONTAINER")["space_freed_bytes"].as_u64()), (Some(1), Some(0)));
    assert_eq!(of("SUMMARY")["count"], 1);
    assert!(lines.iter().any(|line| line["level"] == "DEBUG"));

    let quiet = clean(engine, &[("QUIET", "true")]).run().success().out();
    assert_eq!(quiet.lines().count(), 1, "{quiet}");
    clean(engine, &[("LOG_LEVEL", "loud")])
        .run()
        .success()
        .warns("LOG_LEVEL: takes DEBUG, INFO, WARN or ERROR, not 'loud'");
    let both = clean(engine, &[("LOG_FORMAT", "json")]).args(["--format", "json"]).run().code(2);
    assert!(both.err().contains("LOG_FORMAT"), "{}", both.err());
}

fn a_bad_value_is_exit_2_and_nothing_is_touched(engine: &Engine) {
    let container = engine.container("lab/base").created();
    let proxy = engine.proxy();
    for (name, value, takes) in [
        ("PRUNE_ALL", "yes", "true, false, 1 or 0"),
        ("DRY_RUN", "maybe", "true, false, 1 or 0"),
        ("PRUNE_FILTER_UNTIL", "a while", "a duration"),
        ("PRUNE_FILTER_LABEL", "a b", "k!=v"),
    ] {
        let told = clean(engine, &[(name, value)]).env("DOCKER_HOST", proxy.host()).run().code(2);
        let told = told.warns(name).warns(takes).warns(&format!("'{value}'"));
        assert_eq!(told.out(), "");
    }
    assert!(proxy.requests().is_empty(), "the engine was not even asked");
    assert!(engine.api().containers().iter().any(|known| known["Id"] == container.as_str()));
}

fn only_one_who_says_yes_or_stands_in_for_the_container_is_not_asked(engine: &Engine) {
    let there = |id: &str| engine.api().containers().iter().any(|known| known["Id"] == id);
    let sweep = || engine.dkb().args(["sweep", "--until", "0s"]);
    let container = engine.container("lab/base").created();
    sweep().run().code(2).warns("--yes or set DKB_YES=true");
    sweep().env("PRUNE_ALL", "false").env("PRUNE_FORCE", "false").run().code(2).warns("PRUNE_FORCE");
    assert!(there(&container));
    for with in [sweep().arg("--yes"), sweep().env("PRUNE_FORCE", "true"), sweep().env("PRUNE_ALL", "false")] {
        let container = engine.container("lab/base").created();
        with.run().success();
        assert!(!there(&container));
    }
}

fn a_terminal_shows_the_plan_and_asks(engine: &Engine) {
    let container = engine.container("lab/base").name("over").created();
    let there = || engine.api().containers().iter().any(|known| known["Id"] == container.as_str());
    let sweep = || engine.dkb().args(["sweep", "--until", "0s"]).in_terminal();
    let mut terminal = sweep();
    terminal.expect("Remove 1 container? [y/N]");
    assert!(terminal.screen().contains("over"), "{}", terminal.screen());
    terminal.type_in("n\n");
    assert_eq!(terminal.wait().exit_code(), 0);
    assert!(there());
    let mut terminal = sweep();
    terminal.expect("Remove 1 container? [y/N]");
    terminal.type_in("y\n");
    terminal.expect("removed");
    assert_eq!(terminal.wait().exit_code(), 0);
    assert!(!there());
}

fn an_engine_that_is_gone_is_exit_2_in_under_5_seconds() {
    let state = State::new();
    let listener = std::os::unix::net::UnixListener::bind(state.work().join("mute.sock")).expect("a socket");
    for host in [None, Some(format!("unix://{}", state.work().join("mute.sock").display()))] {
        let command = state.dkb().args(["sweep", "--yes", "--log"]);
        let command = host.into_iter().fold(command, |command, host| command.env("DOCKER_HOST", host));
        let began = std::time::Instant::now();
        let told = command.run().code(2).warns("connecting to");
        assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
        assert!(told.out().contains("[ERROR] [INIT]"), "{}", told.out());
    }
    drop(listener);
}

//! Promise 5: an engine that is down, slow or refuses dkb's own questions costs a warning, never the build.

use std::time::{Duration, Instant};

use dkb_lab::{Builder, Context, Engine, Promises, promises};

use crate::building::{Maker, direct_docker, open_builds, own_lines, says_nothing_of_its_own, warns_once};

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on_every_builder(promises![
            an_engine_that_refuses_dkbs_questions_still_builds,
            an_engine_that_is_slow_with_dkb_still_builds_and_nobody_waits_for_it,
        ])
        .on(|name| name == "docker-28.5", promises![what_a_build_had_time_to_take_away_is_noted])
        .on_one_engine()
        .on_every_engine(promises![
            an_engine_that_is_down_fails_the_build_as_docker_does,
            a_name_that_docker_refuses_is_dockers_own_trouble,
            what_a_quiet_build_prints_hangs_on_no_question_of_dkbs,
        ])
}

/// Questions that only dkb asks, each answered with an error, rubbish or the end of the connection in its turn.
/// What dkb cannot do is left undone, and the next build does it.
fn an_engine_that_refuses_dkbs_questions_still_builds(engine: &Engine, builder: Builder) {
    let maker = Maker::new(engine, builder);
    let context = Context::from_base("COPY seed /seed").file("seed", "0");
    maker.build(&context, &["-t", "app"]).success();
    for (round, path) in
        ["/info", "/images/app", "/images/sha256", "/images/json", "/containers/json"].iter().enumerate()
    {
        // Nothing is left of the round before, whose books would be asked after in this one, without a word.
        maker.dkb().args(["clean", "--dry-run"]).run().success();
        // Such questions come from docker's own build too, if the builder asks them.
        let proxy = engine.proxy();
        match round % 3 {
            0 => proxy.on("GET", path).answer(500, "not today"),
            1 => proxy.on("GET", path).rubbish(b"\x00\xff no HTTP\r\n"),
            _ => proxy.on("GET", path).answer(403, "forbidden"),
        }
        context.write("seed", format!("round {round}"));
        let command = maker.command(&context, &["-t", "app"]).env("DOCKER_HOST", proxy.host());
        let before = engine.find("app").map(|image| image.id);
        let output = command.run().success();
        let asked = proxy.requests().iter().any(|request| request.is("GET", path));
        if asked {
            warns_once(&output);
        }
        assert_ne!(engine.find("app").map(|image| image.id), before, "{path}: it was built");
    }
    // All is well again: what could not be noted is, and what was to go goes.
    context.write("seed", "well again");
    let output = maker.build(&context, &["-t", "app"]).success();
    assert!(own_lines(&output).is_empty(), "{output}");
    assert!(maker.recorded().contains(&maker.id("app")));
    assert_eq!(open_builds(&maker.state), 0);
}

/// The engine answers dkb's first question after a minute. Docker asks it too, so it goes its own way here.
fn an_engine_that_is_slow_with_dkb_still_builds_and_nobody_waits_for_it(engine: &Engine, builder: Builder) {
    let maker = Maker::new(engine, builder);
    let context = Context::from_base("COPY seed /seed").file("seed", "1");
    let proxy = engine.proxy();
    proxy.on("GET", "/info").delay(Duration::from_secs(20));
    let folder = tempfile::tempdir().expect("a folder");
    let direct = direct_docker(engine, folder.path());
    let began = Instant::now();
    let command = maker.command(&context, &["-t", "app"]).env("DOCKER_HOST", proxy.host()).env("DKB_DOCKER", direct);
    let output = command.run().success();
    assert!(began.elapsed() < Duration::from_secs(15), "it took {:?}", began.elapsed());
    warns_once(&output);
    assert!(engine.has("app"));
}

/// The engine is slow to delete, and a build's books have no more than so much time.
fn what_a_build_had_time_to_take_away_is_noted(engine: &Engine) {
    let maker = Maker::new(engine, Builder::Classic);
    let context = Context::from_base("COPY seed /seed").file("seed", "0");
    let build = |host: &str, keep: &str| {
        let command = maker.command(&context, &["-q", "-t", "app"]).env("DOCKER_HOST", host);
        command.env("DKB_KEEP_SUPERSEDED", keep).run().success();
    };
    for version in 1..=3 {
        context.write("seed", version.to_string());
        build(&engine.host(), "9");
    }
    let proxy = engine.proxy();
    // One goes at once, and all after it far too late.
    for nth in 2..=9 {
        proxy.on("DELETE", "/images/").nth(nth).delay(Duration::from_secs(60));
    }
    context.write("seed", "4");
    build(&proxy.host(), "0");
    let said = maker.dkb().args(["log", "--format", "json"]).run().success();
    let log = said.json();
    let removals = log["removals"].as_array().expect("a list");
    assert!(removals.iter().any(|removal| removal["result"] == "done"), "{said}");
}

fn an_engine_that_is_down_fails_the_build_as_docker_does(engine: &Engine) {
    let maker = Maker::new(engine, engine.builders()[0]);
    let context = Context::from_base("ENV A=1");
    let nowhere = "unix:///nonexistent/docker.sock";
    let raw = engine.docker(["build"]).arg(context.path()).env("DOCKER_HOST", nowhere);
    let raw = raw.env("DOCKER_BUILDKIT", maker.builder.env()).run();
    let ours = maker.command(&context, &[]).env("DOCKER_HOST", nowhere).run();
    assert_eq!((ours.exit_code(), &ours.stdout), (raw.exit_code(), &raw.stdout), "{ours}");
    // In front of it docker may complain of its own race to the closed connection.
    let said = raw.err().lines().last().unwrap_or_default().to_owned();
    assert!(ours.err().contains(&said), "docker's own words\n{raw}\n{ours}");
    says_nothing_of_its_own(&ours);
}

fn a_name_that_docker_refuses_is_dockers_own_trouble(engine: &Engine) {
    let maker = Maker::new(engine, engine.builders()[0]);
    let context = Context::from_base("ENV A=1");
    for name in ["a:b:c", "a//b", "A", "app:"] {
        let output = maker.build(&context, &["-t", name]).fails();
        says_nothing_of_its_own(&output);
        assert_eq!(open_builds(&maker.state), 0);
    }
}

fn what_a_quiet_build_prints_hangs_on_no_question_of_dkbs(engine: &Engine) {
    let maker = Maker::new(engine, Builder::Classic);
    let context = Context::from_base("COPY seed /seed").file("seed", "1");
    let proxy = engine.proxy();
    proxy.on("GET", "/info").delay(Duration::from_secs(20));
    let output = maker.command(&context, &["-q", "-t", "app"]).env("DOCKER_HOST", proxy.host()).run().success();
    warns_once(&output);
    let raw = engine.build(Builder::Classic, &context, &["-q"]).success();
    let id = maker.id("app");
    let as_raw = if raw.out().starts_with("sha256:") { &id } else { &id["sha256:".len()..] };
    assert_eq!(output.out(), format!("{as_raw}\n"), "{raw}\n{output}");
}

//! Several dkb at once on one engine and one ledger: all succeed, and none touches what is another's.

use std::thread;
use std::time::Duration;

use dkb_lab::{Builder, Context, Engine, Promises, eventually, promises};

use crate::clean_host::{Books, PROJECT, SESSION, images, key};
use crate::guard_scene::{SOON, inside};

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on_every_engine(promises![two_jobs_of_a_matrix_never_touch_each_other])
        .on_every_builder(promises![two_cleans_and_a_build_at_once_all_succeed])
        .on_one_engine()
        .on_every_builder(promises![after_builds_of_all_kinds_nothing_is_left])
}

fn two_cleans_and_a_build_at_once_all_succeed(engine: &Engine, builder: Builder) {
    let books = Books::of(engine);
    let context = Context::from_base("COPY a /a\nRUN cat /a >/b\nRUN true").file("a", "0");
    let build = || {
        books.dkb(engine).env("DOCKER_BUILDKIT", builder.env()).args(["build", "-q", "-t", "app:1"]).arg(context.path())
    };
    build().run().success();
    for round in 0..2 {
        let placed = engine.many(20, |_, image| image);
        books.built_many(&key(PROJECT, SESSION), placed.iter().map(|image| &*image.id));
        context.write("a", round.to_string());
        let (first, second, build) = (books.dkb(engine).arg("clean"), books.dkb(engine).arg("clean"), build());
        let builds = thread::spawn(move || build.run());
        let cleans = thread::spawn(move || first.run());
        second.run().success();
        cleans.join().expect("a clean").success();
        builds.join().expect("a build").success();
        assert!(engine.has("app:1"));
        let left = images(engine);
        assert!(placed.iter().all(|image| !left.contains(&image.id)));
    }
    books.dkb(engine).args(["clean", "--session"]).run().success();
    assert!(engine.images().is_empty(), "{}", engine.inventory());
}

/// Builds that succeed, fail and are killed, one over the other: the end of the session takes all of it.
fn after_builds_of_all_kinds_nothing_is_left(engine: &Engine, builder: Builder) {
    let books = Books::of(engine);
    let dkb = |args: &[&str], context: &Context| {
        let dkb = books.dkb(engine).env("DOCKER_BUILDKIT", builder.env());
        dkb.arg("build").args(args.iter().copied()).arg(context.path())
    };
    let staged = "RUN echo one >/one\nRUN echo two >/two\nFROM lab/base\nCOPY --from=0 /one /one\nRUN cat /one >/three";
    let context = Context::from_base(staged);
    dkb(&["-t", "app:1"], &context).run().success();
    dkb(&["-t", "app:2", "--no-cache"], &context).run().success();
    dkb(&[], &context).run().success();
    let failing = Context::from_base("RUN echo here >/here\nRUN echo there >/there\nRUN false");
    dkb(&["-t", "app:3"], &failing).run().fails();
    let endless = Context::from_base("RUN echo begun >/begun\nRUN sleep 1000");
    let running = dkb(&["-t", "app:4"], &endless).spawn();
    // Docker that is asked to stop before it has sent anything ends with 0. Of BuildKit's steps nothing can be seen.
    // What Podman's builder worked in when it was interrupted stays for good, and dkb names it (see `build_podman`).
    let begun = || {
        let runs = |container: &serde_json::Value| container.to_string().contains("sleep");
        engine.is_podman() || engine.api().containers().iter().any(runs)
    };
    eventually(Duration::from_secs(4), begun);
    running.signal("INT");
    running.wait().fails();
    // The builder takes its own container away a moment after the build has ended; until then it is in use.
    let clean = || books.dkb(engine).args(["clean", "--session"]).run().success();
    let nothing_is_left = || engine.images().is_empty() || clean().out().is_empty() || engine.images().is_empty();
    assert!(eventually(SOON, nothing_is_left), "{}\n{}", clean(), engine.inventory());
}

fn two_jobs_of_a_matrix_never_touch_each_other(engine: &Engine) {
    let books = Books::of(engine);
    let builder = engine.builders()[0];
    let job = |runner: &str, run: u32| {
        let name = runner.to_owned();
        books
            .dkb(engine)
            .no_env("DKB_SESSION")
            .env("DOCKER_BUILDKIT", builder.env())
            .env("CI", "true")
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_REPOSITORY", "team/app")
            .env("GITHUB_RUN_ID", run.to_string())
            .env("GITHUB_RUN_ATTEMPT", "1")
            .env("GITHUB_JOB", "e2e")
            .env("RUNNER_NAME", name)
    };
    // What a job of the workflow runs; the one on runner a never gets to its last step.
    let steps = |runner: &str, run: u32| {
        let context = Context::from_base(&format!("RUN echo {runner} {run} >/tag"));
        let mark = books.state.work().join(format!("{runner}{run}"));
        let script = format!(
            "set -e
             dkb clean --stale
             dkb build -t app:{runner}{run} {context}
             touch {mark}
             while [ -e {mark} ] && [ ! -e {mark}.go ]; do sleep 0.05; done
             dkb clean --session",
            context = context.path().display(),
            mark = mark.display(),
        );
        let mut path = dkb_lab::dkb::dkb_path().parent().expect("the folder of the build").as_os_str().to_owned();
        path.push(":");
        path.push(&engine.env().into_iter().find(|(key, _)| key == "PATH").expect("the engine's PATH").1);
        let running = inside(&job(runner, run), "/bin/sh").env("PATH", path).args(["-c", &script]).spawn();
        (running, mark, context)
    };
    let tag = |runner: &str, run: u32| format!("app:{runner}{run}");
    for run in 1..=3 {
        // Both begin, build and clean at the same time.
        let (a, b) = (steps("a", run), steps("b", run));
        for (_, mark, _) in [&a, &b] {
            assert!(eventually(SOON, || mark.exists()), "{} never got ready", mark.display());
        }
        // A third runner's job begins: neither is over for it.
        job("c", run).args(["clean", "--stale"]).run().success();
        assert!(engine.has(&tag("a", run)) && engine.has(&tag("b", run)), "{}", engine.inventory());
        assert!(!engine.has(&tag("a", run - 1)), "the next job on a runner takes what the killed one left");
        a.0.signal("KILL");
        drop(a.0.wait());
        std::fs::write(b.1.with_extension("go"), "").expect("a mark");
        b.0.wait().success();
        assert!(engine.has(&tag("a", run)) && !engine.has(&tag("b", run)), "{}", engine.inventory());
        // A runner of the same name may be at work elsewhere, so a job that has just built something is not over.
        job("a", run + 1).args(["clean", "--stale"]).run().success();
        assert!(engine.has(&tag("a", run)), "{}", engine.inventory());
        books.later(Duration::from_secs(20 * 60));
    }
    job("a", 4).args(["clean", "--stale"]).run().success();
    assert!(engine.images().is_empty(), "{}", engine.inventory());
}

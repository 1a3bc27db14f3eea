//! What comes of a build, wherever it goes: what lies in the engine is noted, and what does not is no complaint.

use std::collections::{BTreeSet, HashSet};

use dkb_lab::registry::REGISTRY;
use dkb_lab::{Builder, Context, Engine, Promises, promises};

use crate::build_streams::buildkit;
use crate::building::{Maker, dangling, open_builds, own_lines, says_nothing_of_its_own};

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on_every_builder(promises![what_goes_elsewhere_is_noted_as_nothing])
        .on_one_engine()
        .on_every_builder(promises![
            the_newest_of_the_replaced_are_kept_where_that_is_asked,
            what_the_triggers_of_a_base_made_is_recorded,
        ])
        .on(
            buildkit,
            promises![
                what_a_builder_of_its_own_does_is_not_noted,
                an_image_that_comes_beside_files_is_noted,
                a_result_is_found_whatever_the_engine_says_the_quick_way,
            ],
        )
}

fn an_image_that_comes_beside_files_is_noted(engine: &Engine) {
    let maker = Maker::new(engine, Builder::BuildKit);
    let context = Context::from_base("COPY seed /seed");
    for version in 0..2 {
        context.write("seed", version.to_string());
        let out = format!("type=local,dest={}", maker.state.work().join("out").display());
        let build = maker.command(&context, &["-t", "app", "-o", "type=image", "-o", &out]).run();
        if build.exit_code() != Some(0) {
            // Old ones give one output only.
            return;
        }
        assert!(maker.recorded().contains(&maker.id("app")), "{build}\n{}", engine.inventory());
        assert_eq!(engine.images().iter().filter(|image| image.tags.is_empty()).count(), 0, "{}", engine.inventory());
    }
}

fn the_newest_of_the_replaced_are_kept_where_that_is_asked(engine: &Engine, builder: Builder) {
    let maker = Maker::new(engine, builder);
    let context = Context::from_base("COPY seed /seed");
    let build = |version: usize, keep: &str| {
        context.write("seed", version.to_string());
        let command = maker.command(&context, &["-t", "app"]).env("DKB_KEEP_SUPERSEDED", keep);
        says_nothing_of_its_own(&command.run().success());
        maker.id("app")
    };
    let mut made: Vec<String> = (0..5).map(|version| build(version, "2")).collect();
    let there = |made: &[String]| made.iter().map(|id| engine.has(id)).collect::<Vec<_>>();
    let now = there(&made);
    assert_eq!((&now[..2], now[4]), (&[false, false][..], true));
    // Where the engine itself drops what has lost its tag, there may be nothing to be kept.
    if !maker.engine_drops_untagged() {
        assert_eq!(now[2..4], [true, true]);
        engine.docker(["tag", &made[3], "app"]).run().success();
        assert_eq!(maker.id("app"), made[3], "going back");
    }
    made.push(build(5, "0"));
    assert_eq!(there(&made), [false, false, false, false, false, true]);
}

/// dkb asks for the history of a tag and, on containerd's store, for the events of a result. Both may be refused, and
/// without attestations docker names its result by something that the engine does not know.
fn a_result_is_found_whatever_the_engine_says_the_quick_way(engine: &Engine) {
    let maker = Maker::new(engine, Builder::BuildKit);
    let context = Context::from_base("COPY seed /seed");
    let proxy = engine.proxy();
    let refuse = || {
        proxy.on("GET", "/events").answer(403, "forbidden");
        proxy.on("GET", "/images/app:latest/history").answer(403, "forbidden");
    };
    let mut last = None;
    for (round, (attests, refuses)) in [(true, false), (false, false), (false, true), (true, true)].iter().enumerate() {
        context.write("seed", round.to_string());
        let command = maker.command(&context, &["-t", "app"]).env("DOCKER_HOST", proxy.host());
        let command = if *attests { command } else { command.env("BUILDX_NO_DEFAULT_ATTESTATIONS", "1") };
        if *refuses {
            refuse();
        }
        says_nothing_of_its_own(&command.run().success());
        let now = maker.id("app");
        assert!(maker.recorded().contains(&now), "round {round}: {now}");
        assert!(last.is_none_or(|last: String| last != now && !engine.has(&last)), "round {round}");
        last = Some(now);
    }
    assert!(proxy.requests().iter().any(|request| request.is("GET", "/images/app:latest/history")));
}

/// `ONBUILD`: steps that the classic builder does not show.
fn what_the_triggers_of_a_base_made_is_recorded(engine: &Engine, builder: Builder) {
    let maker = Maker::new(engine, builder);
    let base = Context::from_base("ONBUILD COPY seed /one\nONBUILD RUN cat /one >/two");
    engine.build(builder, &base, &["-t", "theirs"]).success();
    let before: BTreeSet<String> = dangling(engine);
    let context = Context::new().dockerfile("FROM theirs\nENV A=1\n").file("seed", "1");
    says_nothing_of_its_own(&maker.build(&context, &["-t", "app"]).success());
    let recorded = maker.recorded();
    assert!(dangling(engine).difference(&before).all(|id| recorded.contains(id)), "{:?}", maker.lost());
    assert!(recorded.contains(&maker.id("app")) && !recorded.contains(&maker.id("theirs")));
    maker.clean();
    assert!(engine.has("theirs"));
    assert_eq!(dangling(engine), before);
}

/// Into a registry, into files, into the cache, as far as the builder knows how.
fn what_goes_elsewhere_is_noted_as_nothing(engine: &Engine, builder: Builder) {
    let maker = Maker::new(engine, builder);
    let _registry = engine.registry();
    let name = format!("{REGISTRY}/team/app:1");
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (out, tar) = (file("out"), format!("type=tar,dest={}", file("tar")));
    let (oci, image) = (format!("type=oci,dest={}", file("oci")), format!("type=image,name={name},push=true"));
    for (n, words) in [
        &["-t", &name, "--push"][..],
        &["-t", &name, "-o", "type=registry"],
        &["-o", &image],
        &["-t", &name, "-o", &out],
        &["-o", &tar],
        &["-o", &oci],
        &["-t", &name, "-o", "type=cacheonly"],
        &["-t", &name, "--load"],
        &["-t", &name, "--iidfile", &file("id")],
    ]
    .iter()
    .enumerate()
    {
        let context = Context::from_base("COPY seed /seed").file("seed", n.to_string());
        let raw = engine.build(builder, &Context::from_base("COPY seed /raw").file("seed", n.to_string()), words);
        engine.docker(["image", "rm", "--no-prune", &name]).run();
        let before: HashSet<String> = engine.images().into_iter().map(|image| image.id).collect();
        let ours = maker.build(&context, words);
        assert_eq!(ours.exit_code(), raw.exit_code(), "{words:?}\n{raw}\n{ours}");
        assert!(own_lines(&ours).is_empty(), "{words:?}\n{ours}");
        let made = engine.images().into_iter().map(|image| image.id).filter(|id| !before.contains(id));
        let made: BTreeSet<String> = made.collect();
        let recorded: BTreeSet<String> = maker.recorded().into_iter().collect();
        assert_eq!(recorded, made, "{words:?}\n{ours}");
        assert_eq!(open_builds(&maker.state), 0, "{words:?}");
        maker.clean();
    }
}

/// It cannot start without a registry to fetch it from, which is what raw docker says too.
fn what_a_builder_of_its_own_does_is_not_noted(engine: &Engine) {
    let maker = Maker::new(engine, Builder::BuildKit);
    let docker = |args: &[&str]| {
        let command = engine.docker(args.iter().copied());
        command.env("DOCKER_CONFIG", maker.state.docker_config()).env("HOME", maker.state.home())
    };
    maker.dkb().args(["config"]).run();
    let create = ["buildx", "create", "--name", "farm", "--driver", "docker-container"];
    let image = "image=localhost:1/nothing/of/that/name";
    docker(&[&create[..], &["--driver-opt", image]].concat()).run().success();
    let context = Context::from_base("COPY seed /seed").file("seed", "1");
    let raw = docker(&["buildx", "build", "--builder", "farm", "-t", "app"]).arg(context.path()).run().fails();
    let ours = maker.dkb().args(["buildx", "build", "--builder", "farm", "-t", "app"]).arg(context.path()).run();
    assert_eq!((ours.exit_code(), own_lines(&ours)), (raw.exit_code(), vec![]), "{raw}\n{ours}");
    assert!(maker.recorded().is_empty());
    assert_eq!(open_builds(&maker.state), 0);
}

//! Promise 9: under Tilt an unchanged build keeps its ID, and changed ones leave a constant number of images.

use dkb_lab::{Builder, Context, Engine, Promises, promises};

use crate::building::{Maker, dangling, steady_stamp};

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on_every_builder(promises![
            changed_builds_under_tilt_leave_a_constant_number_of_images,
            what_is_built_beside_what_tilt_expects_stays
        ])
        .on_one_engine()
}

/// A custom build may build bases and tests too, and everything of a registry may be one repository.
fn what_is_built_beside_what_tilt_expects_stays(engine: &Engine, builder: Builder) {
    let maker = Maker::new(engine, builder);
    let build = |line: &str, tag: &str, expected: &str| {
        let context = Context::from_base(line);
        maker.command(&context, &["-t", tag]).env("EXPECTED_REF", expected).run().success();
    };
    build("RUN echo base >/base", "app:base", "app:tilt-build-0");
    build("RUN echo test >/test", "app:test", "app:tilt-build-0");
    let service = Context::from_base("COPY seed /service").file("seed", "0");
    maker
        .command(&service, &["-t", "app:service-tilt-build-0"])
        .env("EXPECTED_REF", "app:service-tilt-build-0")
        .run()
        .success();
    let context = Context::from_base("COPY seed /seed").file("seed", "0");
    for round in 1..5 {
        let reference = format!("app:tilt-build-{round}");
        context.write("seed", round.to_string());
        maker.command(&context, &["-t", &reference]).env("EXPECTED_REF", &reference).run().success();
        if round == 1 {
            engine.docker(["tag", &reference, "app:tilt-release"]).run().success();
        }
    }
    for stays in ["app:base", "app:test", "app:service-tilt-build-0", "app:tilt-release", "app:tilt-build-4"] {
        assert!(engine.has(stays), "{stays}: {}", engine.inventory());
    }
    assert!(!engine.has("app:tilt-build-2"), "{}", engine.inventory());
}

/// What Tilt's `custom_build` does: a tag that is used once, and then one of Tilt's own on the same image.
fn changed_builds_under_tilt_leave_a_constant_number_of_images(engine: &Engine, builder: Builder) {
    let maker = Maker::new(engine, builder);
    let context = Context::from_base("COPY seed /seed").file("seed", "0");
    let build = |round: usize| {
        let reference = format!("app:tilt-build-{round}");
        let command = maker.command(&context, &["-t", &reference]).env("DKB_STAMP", steady_stamp(engine));
        command.env("EXPECTED_REF", &reference).env("EXPECTED_IMAGE", "app").run().success();
        let id = maker.id(&reference);
        engine.docker(["tag", &reference, &format!("app:tilt-{}", &id[7..23])]).run().success();
        id
    };
    let repeatable = {
        let raw = Context::from_base("COPY seed /raw").file("seed", "0");
        let id = || {
            engine.build(builder, &raw, &["-t", "raw"]).success();
            maker.id("raw")
        };
        let first = id();
        first == id()
    };
    engine.docker(["tag", "lab/base", "app:mine"]).run().success();
    let first = build(0);
    let again = build(1);
    assert!(first == again || !repeatable, "an unchanged build is to keep its ID, or Tilt deploys it again");

    let mut counts = Vec::new();
    for round in 2..10 {
        context.write("seed", round.to_string());
        build(round);
        let tagged = engine.images().iter().filter(|image| !image.is_dangling()).count();
        counts.push((tagged, dangling(engine).len()));
    }
    assert_eq!(counts[7], counts[2], "tagged and untagged images after each round: {counts:?}");
    assert!(engine.has("app:mine"), "a name in the same repository that no build of ours gave");
    for kept in [8, 9] {
        assert!(engine.has(&format!("app:tilt-build-{kept}")), "the version before this one stays");
    }
}

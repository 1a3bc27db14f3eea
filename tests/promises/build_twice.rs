//! Promise 1: the same build twice is the same image, from the same cache, and leaves nothing behind.

use dkb_lab::{Builder, Context, Engine, Promises, promises};

use crate::building::{Maker, builds_of, dangling, says_nothing_of_its_own, steady_stamp};

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!()).on_every_builder(promises![the_same_build_twice_is_as_with_raw_docker])
}

fn the_same_build_twice_is_as_with_raw_docker(engine: &Engine, builder: Builder) {
    let context = |seed: &str| {
        let text = "FROM lab/base AS tool\nCOPY seed /tool\nRUN cat /tool >/made\nFROM lab/base\nCOPY --from=tool /made /made\n";
        Context::new().dockerfile(text).file("seed", seed)
    };
    // What raw docker does: whether the ID stays, and how many steps come out of the cache.
    let raw = context("raw");
    engine.build(builder, &raw, &["-t", "raw"]).success();
    let first = engine.find("raw").expect("it is built").id;
    let again = engine.build(builder, &raw, &["-t", "raw", PLAIN[usize::from(builder == Builder::BuildKit)]]).success();
    let keeps_its_id = engine.find("raw").expect("it is built").id == first;
    let cached_by_raw = cached(&again.out()) + cached(&again.err());

    let maker = Maker::new(engine, builder);
    let ours = context("ours");
    let build = |args: &[&str]| maker.command(&ours, args).env("DKB_STAMP", steady_stamp(engine)).run().success();
    says_nothing_of_its_own(&build(&["-t", "app"]));
    let (first, left) = (maker.id("app"), dangling(engine));
    let again = build(&["-t", "app", PLAIN[usize::from(builder == Builder::BuildKit)]]);
    says_nothing_of_its_own(&again);

    assert!(cached(&again.out()) + cached(&again.err()) >= cached_by_raw, "steps were built anew\n{again}");
    assert_eq!(maker.id("app") == first, keeps_its_id, "the ID is to stay where raw docker keeps it");
    if keeps_its_id {
        assert_eq!(dangling(engine), left);
    }
    assert_eq!(dangling(engine).len(), left.len());
    let books = maker.books();
    let builds = builds_of(&books, "app:latest");
    assert_eq!(builds.last().and_then(|build| build.result).map(|id| id.to_string()), Some(maker.id("app")));
}

/// The classic builder has no such flag, so it gets one that changes nothing.
const PLAIN: [&str; 2] = ["--rm", "--progress=plain"];

fn cached(text: &str) -> usize {
    text.lines().filter(|line| line.contains("Using cache") || line.ends_with(" CACHED")).count()
}

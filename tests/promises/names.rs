//! What a name says, and what it does not: of two builds that look alike, of a tag that changes hands, of a pattern.

use dkb_lab::{Builder, Context, Engine, Promises, promises};

use crate::building::Maker;

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on_every_builder(promises![the_base_of_what_is_kept_stays_however_alike_they_were_built])
}

fn the_base_of_what_is_kept_stays_however_alike_they_were_built(engine: &Engine, builder: Builder) {
    let maker = Maker::new(engine, builder);
    let from_stdin = |dockerfile: &str, tag: &str| maker.dkb().args(["build", "-t", tag, "-"]).stdin(dockerfile).run();
    from_stdin("FROM lab/base\nRUN echo 1 >/1\n", "stdin/base:1").success();
    from_stdin("FROM stdin/base:1\nRUN echo 2 >/2\n", "stdin/app:1").success();
    let one = Context::new().dockerfile("ARG BASE=lab/base\nARG N=3\nFROM $BASE\nARG N\nRUN echo $N >/$N\n");
    maker.build(&one, &["-t", "arg:base"]).success();
    maker.build(&one, &["-t", "arg:app", "--build-arg", "BASE=arg:base", "--build-arg", "N=4"]).success();
    let line = Context::from_base("RUN echo 5 >/5");
    maker.build(&line, &["-t", "line:1"]).success();
    maker.build(&line.dockerfile("FROM lab/base\nRUN echo 5 >/5\nRUN echo 6 >/6\n"), &["-t", "line:2"]).success();

    let keep = ["--keep", "stdin/app:*", "--keep", "arg:app", "--keep", "line:2"];
    maker.dkb().args(["clean", "--tagged"]).args(keep).run().success();
    for kept in ["stdin/app:1", "stdin/base:1", "arg:app", "arg:base", "line:2"] {
        assert!(engine.has(kept), "{kept} is gone\n{}", engine.inventory());
    }
    // Podman takes what shares layers for a child.
    assert!(engine.is_podman() || !engine.has("line:1"), "a former version is no base\n{}", engine.inventory());
}

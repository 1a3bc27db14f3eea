//! What clean says it freed is what the engine counts, or no more than that where it says "up to".

use dkb_lab::{Builder, Context, Engine, Promises, promises};
use serde_json::Value;

use crate::clean_host::Books;

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on_every_builder(promises![what_clean_says_it_freed_is_what_the_engine_counts_or_an_upper_bound])
}

/// All layers of all images, each counted once, as the engine counts them. Containerd's store counts what builds
/// have left to its next collection too, which comes with any deletion.
fn layers(engine: &Engine) -> u64 {
    let passing = engine.image().label("of", "this moment").make();
    engine.docker(["image", "rm", &passing.id]).run().success();
    engine.api().disk_usage()["LayersSize"].as_u64().expect("the size of all layers")
}

fn what_clean_says_it_freed_is_what_the_engine_counts_or_an_upper_bound(engine: &Engine, builder: Builder) {
    let context =
        Context::from_base("COPY common /common\nCOPY own /own\nCOPY more /more").file("common", vec![7; 100_000]);
    let build = |books: &Books, session: &str, n: usize, tag: &str| {
        // No two files are of one size, so that no two layers are.
        context.write("own", vec![1; 10_000 * n + 1]);
        context.write("more", vec![2; 3_000 * n + 2]);
        let build = books.dkb(engine).session(session).env("DOCKER_BUILDKIT", builder.env());
        build.args(["build", "-q", "-t", tag]).arg(context.path()).run().success();
    };
    // One image; several with a part in common; several whose common part stays with another session's.
    let shapes: [&[(&str, usize)]; 3] =
        [&[("job-1", 1)], &[("job-1", 2), ("job-1", 3), ("job-1", 4)], &[("job-1", 5), ("job-1", 6), ("other", 7)]];
    for shape in shapes {
        let books = Books::of(engine);
        for (session, n) in shape {
            build(&books, session, *n, &format!("app:{n}"));
        }
        let before = layers(engine);
        // What the cache takes is not among the layers; the promises of `build_cache` count it.
        let clean = books.dkb(engine).args(["clean", "--session", "--keep-cache", "--format", "json"]);
        let clean = clean.run().success().json();
        let freed = before.saturating_sub(layers(engine));
        let totals: &Value = &clean["totals"];
        let said = totals["bytes"].as_u64().expect("bytes") + totals["bytes_to_cache"].as_u64().expect("bytes");
        let up_to = totals["up_to"] == true;
        // Elsewhere an image's description counts too, and the list does not say how long it is.
        let counts_in_full = engine.name().starts_with("docker") && !engine.is_containerd_store();
        // Docker 20.10 lists no shared sizes.
        let exact = counts_in_full && engine.name() != "docker-20.10";
        let described = if counts_in_full { 0 } else { 4096 * totals["done"].as_u64().expect("a number") };
        let holds = freed <= said + described && (up_to || freed >= said);
        assert!(holds, "{shape:?}: the engine counts {freed} less\n{clean:#}");
        // What the base holds, which stays, is not in the bound.
        assert!(!exact || said == freed, "{shape:?}: the engine counts {freed} less\n{clean:#}");
        engine.wipe();
    }
}

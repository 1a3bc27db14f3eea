//! Promise 7: any number of builds at once, of one tag or of many, lose neither a record nor an image.

use dkb_lab::{Builder, Context, Engine, Promises, promises};

use crate::building::{Maker, builds_of, open_builds};

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on_every_builder(promises![two_builds_of_one_tag_at_once_lose_nothing])
        .on(modern, promises![fifty_builds_of_different_tags_at_once_lose_nothing])
}

/// Fifty builds take their time, so two stores stand for all.
fn modern(engine: &str) -> bool {
    engine.starts_with("docker-28.5")
}

fn two_builds_of_one_tag_at_once_lose_nothing(engine: &Engine, builder: Builder) {
    let maker = Maker::new(engine, builder);
    let recipe = |seed: &str| Context::from_base("COPY seed /seed\nRUN sleep 0.1\nENV A=1").file("seed", seed);
    for round in 0..2 {
        let contexts = [recipe(&format!("one {round}")), recipe(&format!("two {round}"))];
        let running: Vec<_> = contexts.iter().map(|context| maker.command(context, &["-t", "app"]).spawn()).collect();
        for build in running {
            build.wait().success();
        }
        what_came_too_late_is_noted_now(&maker);
        assert!(maker.recorded().contains(&maker.id("app")));
    }
    assert!(maker.lost().is_empty(), "untagged and unrecorded: {:?}", maker.lost());
    assert_eq!(open_builds(&maker.state), 0);
    maker.clean();
    assert_eq!(engine.images(), []);
}

fn fifty_builds_of_different_tags_at_once_lose_nothing(engine: &Engine) {
    let maker = Maker::new(engine, Builder::BuildKit);
    let contexts: Vec<Context> = (0..50)
        .map(|n| Context::new().dockerfile("FROM scratch\nCOPY seed /seed\n").file("seed", n.to_string()))
        .collect();
    let command = |n: usize| maker.command(&contexts[n], &["-q", "-t", &format!("app:{n}")]);
    let running: Vec<_> = (0..50).map(|n| command(n).spawn()).collect();
    for build in running {
        build.wait().success();
    }
    what_came_too_late_is_noted_now(&maker);
    let books = maker.books();
    for n in 0..50 {
        let id = maker.id(&format!("app:{n}"));
        let builds = builds_of(&books, &format!("/app:{n}"));
        let builds = if builds.is_empty() { builds_of(&books, &format!("app:{n}")) } else { builds };
        assert!(builds.iter().any(|build| build.result.is_some_and(|known| known.to_string() == id)), "app:{n}");
    }
    assert_eq!(open_builds(&maker.state), 0);
}

/// On a busy machine the engine may leave a question of dkb's unanswered for so long that a build is only noted by
/// the next dkb. Lost it is not.
fn what_came_too_late_is_noted_now(maker: &Maker) {
    maker.dkb().args(["clean", "--dry-run"]).run().success();
}

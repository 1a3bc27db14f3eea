//! Promise 7: any number of builds at once, of one tag or of many, lose neither a record nor an image.

use dkb_lab::promise::podman;
use dkb_lab::{Builder, Context, Engine, Promises, promises};

use crate::building::{Maker, builds_of, dangling, docker_script, open_builds};

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on(modern, promises![fifty_builds_of_different_tags_at_once_lose_nothing])
        .on_one_engine()
        .on_every_builder(promises![two_builds_of_one_tag_at_once_lose_nothing])
        .on(podman, promises![a_build_whose_tag_another_took_before_podman_read_it_is_recorded_all_the_same])
}

/// Fifty builds take their time, so two stores stand for all.
fn modern(engine: &str) -> bool {
    engine.starts_with("docker-28.5")
}

/// Docker itself may fail to give the tag on containerd's store, where it takes it away and sets it anew. What was
/// built is not lost then either.
fn two_builds_of_one_tag_at_once_lose_nothing(engine: &Engine, builder: Builder) {
    let maker = Maker::new(engine, builder);
    let recipe = |seed: &str| Context::from_base("COPY seed /seed\nRUN sleep 0.1\nENV A=1").file("seed", seed);
    let mut said = String::new();
    for round in 0..2 {
        let mut failed = false;
        let contexts = [recipe(&format!("one {round}")), recipe(&format!("two {round}"))];
        let running: Vec<_> = contexts.iter().map(|context| maker.command(context, &["-t", "app"]).spawn()).collect();
        for build in running {
            let build = build.wait();
            said += &build.to_string();
            let failed_to_tag = engine.is_containerd_store() && build.err().contains("already exists");
            assert!(build.exit_code() == Some(0) || failed_to_tag, "{build}");
            failed |= failed_to_tag;
        }
        what_came_too_late_is_noted_now(&maker);
        let is_recorded = engine.find("app").map(|app| maker.recorded().contains(&app.id));
        // Docker takes the former name away before it fails to give it anew.
        assert!(is_recorded.unwrap_or(failed), "round {round}\n{said}");
    }
    assert!(maker.lost().is_empty(), "untagged and unrecorded: {:?}\n{said}", maker.lost());
    assert_eq!(open_builds(&maker.state), 0, "{said}");
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

/// Podman reads the ID of what it built from the tag. The script stands for another build that took the tag in
/// that moment, which the promise above meets now and then.
fn a_build_whose_tag_another_took_before_podman_read_it_is_recorded_all_the_same(engine: &Engine) {
    let maker = Maker::new(engine, Builder::Classic);
    let folder = tempfile::tempdir().expect("a folder");
    let recipe = |seed: &str| Context::from_base("COPY seed /seed\nENV A=1").file("seed", seed);
    maker.build(&recipe("ours"), &["-t", "ours"]).success();
    let theirs = recipe("theirs");
    for (other, is_ours) in [("ours", true), ("theirs", false)] {
        let docker = engine.bin().join("docker");
        let script = format!(
            "[ {other} = ours ] || {docker} build -t theirs {theirs} >/dev/null\n\
             id=$({docker} image inspect --format '{{{{slice .Id 7}}}}' {other})\n\
             {docker} \"$@\" | sed -E \"/^COMMIT/,\\$ {{ s/[0-9a-f]{{64}}/$id/; s/( [0-9a-f]{{12}})$/ ${{id%${{id#????????????}}}}/ }}\"\n\
             {docker} tag {other} app",
            docker = docker.display(),
            theirs = theirs.path().display(),
        );
        let before = dangling(engine);
        let context = recipe(&format!("beside {other}"));
        let build = maker.command(&context, &["-t", "app"]);
        let output = build.env("DKB_DOCKER", docker_script(folder.path(), &script)).run().success();
        let taker = maker.id(other);
        assert!(output.out().contains(&taker["sha256:".len()..]), "{output}");
        let recorded = maker.recorded();
        let images = engine.images();
        let below = |id: &String| images.iter().find(|image| image.id == *id).map(|image| image.parent.clone());
        let others: Vec<String> = std::iter::successors(Some(taker.clone()), below).collect();
        let steps = others.iter().filter(|id| !before.contains(*id) && recorded.contains(*id));
        assert!(is_ours || steps.count() == 0, "a stranger's steps\n{output}");
        let new: Vec<String> = dangling(engine).difference(&before).cloned().collect();
        let made: Vec<String> = new.into_iter().filter(|id| !others.contains(id)).collect();
        assert!(made.len() == 3 && made.iter().all(|id| recorded.contains(id)), "{made:?}\n{output}");
        assert_eq!(recorded.contains(&taker), is_ours, "{output}");
    }
    maker.clean();
    assert_eq!(engine.images().iter().flat_map(|image| &image.tags).count(), 2, "theirs, by two names");
}

/// On a busy machine the engine may leave a question of dkb's unanswered for so long that a build is only noted by
/// the next dkb. Lost it is not.
fn what_came_too_late_is_noted_now(maker: &Maker) {
    maker.dkb().args(["clean", "--dry-run"]).run().success();
}

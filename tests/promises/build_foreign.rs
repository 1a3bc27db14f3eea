//! Promise 3: what is not this session's own is never touched by a build.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use dkb::model::Build;
use dkb_lab::promise::graphdriver;
use dkb_lab::{Builder, Context, Engine, Promises, promises};

use crate::building::{Maker, dangling, docker_after, docker_script};

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on_every_builder(promises![
            strangers_children_names_and_sessions_are_left_alone,
            a_neighbour_who_ends_in_our_step_keeps_his_name_and_what_runs_by_it,
            what_another_project_builds_from_is_not_its_own,
            an_image_that_a_container_or_a_name_got_hold_of_in_the_meantime_stays,
            an_image_that_was_there_before_is_not_ours_without_a_stamp,
            an_image_that_was_there_before_is_not_ours_with_the_same_stamp,
            an_image_that_was_there_before_is_not_ours_where_the_engine_answers_late,
            an_image_that_took_the_tag_before_dkb_could_look_is_not_ours,
            an_id_file_that_docker_did_not_write_makes_nothing_ours,
        ])
        .on_every_engine(promises![
            what_a_failed_build_made_on_a_strangers_step_is_ours,
            lines_that_a_step_prints_do_not_make_a_strangers_image_ours,
            the_lines_of_a_step_that_fails_do_not_either,
        ])
        .on(graphdriver, promises![a_failing_step_that_pretends_to_have_ended_fools_nobody])
}

/// A script around docker is not told to write the ID down, so that the tag has to tell.
fn an_image_that_took_the_tag_before_dkb_could_look_is_not_ours(engine: &Engine, builder: Builder) {
    let maker = Maker::new(engine, builder);
    let theirs = engine.image().tag("theirs:1").make();
    let folder = tempfile::tempdir().expect("a folder");
    let docker = engine.bin().join("docker");
    let script = |end: &str| docker_script(folder.path(), &format!("{0} \"$@\" && {0} {end}", docker.display()));
    // This docker pushes, say, and leaves no image here.
    let pulled = engine.image().stamp("app", "one").tag("pulled:1").make();
    let pushing = docker_script(folder.path(), "true");
    maker.command(&app("0"), &["-t", "pulled:1"]).env("DKB_DOCKER", pushing).run().success();
    assert!(!maker.recorded().contains(&pulled.id), "it bore the tag before");

    maker.command(&app("1"), &["-t", "app"]).env("DKB_DOCKER", script("version")).run().success();
    assert!(maker.recorded().contains(&maker.id("app")), "the tag tells");
    maker.command(&app("2"), &["-t", "app"]).env("DKB_DOCKER", script("tag theirs:1 app")).run().success();
    assert_eq!(maker.id("app"), theirs.id);
    assert!(!maker.recorded().contains(&theirs.id));
    assert!(maker.lost().is_empty(), "the own one is found all the same: {:?}", maker.lost());
    maker.clean();
    assert_eq!(maker.id("app"), theirs.id);
}

/// A script around docker may build nothing and leave the file of an earlier build there, or write that again.
fn an_id_file_that_docker_did_not_write_makes_nothing_ours(engine: &Engine, builder: Builder) {
    let maker = Maker::new(engine, builder);
    let theirs = engine.image().tag("theirs:1").make();
    let (folder, file) = (tempfile::tempdir().expect("a folder"), maker.state.work().join("iid"));
    std::fs::write(&file, &theirs.id).expect("a file");
    let name = file.to_str().expect("a path");
    for stamp in ["full", "project", "none"] {
        for text in ["true".to_owned(), format!("cat {name} >{name}.new; mv {name}.new {name}")] {
            let docker = docker_script(folder.path(), &text);
            let build = maker.command(&app("1"), &["--iidfile", name]);
            build.env("DKB_DOCKER", docker).env("DKB_STAMP", stamp).run().success();
            assert!(maker.recorded().is_empty(), "{stamp}: {text}");
        }
    }
    let docker = engine.bin().join("docker");
    let docker = docker_script(folder.path(), &format!("{} \"$@\"", docker.display()));
    maker.command(&app("2"), &["--iidfile", name]).env("DKB_DOCKER", docker).run().success();
    let built = std::fs::read_to_string(&file).expect("an ID");
    assert!(maker.recorded().contains(&built), "{built}");
    assert!(engine.has(&theirs));
}

fn app(seed: &str) -> Context {
    Context::from_base("COPY seed /seed\nENV A=1").file("seed", seed)
}

fn strangers_children_names_and_sessions_are_left_alone(engine: &Engine, builder: Builder) {
    let maker = Maker::new(engine, builder);
    let foreign = engine.image().make();

    // A stranger builds on our image, and the child inherits its stamp.
    maker.build(&app("1"), &["-t", "app"]).success();
    let first = maker.id("app");
    let before = dangling(engine);
    engine.build(builder, &Context::new().dockerfile("FROM app\nENV THEIRS=1\n"), &[]).success();
    let children: Vec<String> = dangling(engine).difference(&before).cloned().collect();
    assert!(!children.is_empty(), "the stranger's build has made an image");

    // Somebody names the second image.
    maker.build(&app("2"), &["-t", "app"]).success();
    let second = maker.id("app");
    engine.docker(["tag", "app", "theirs:1"]).run().success();

    // Another session builds the third under the same tag, and then we take the tag back.
    let app_3 = app("3");
    maker.command(&app_3, &["-t", "app"]).session("two").run().success();
    let third = maker.id("app");
    maker.build(&app("4"), &["-t", "app"]).success();
    let fourth = maker.id("app");
    maker.build(&app("5"), &["-t", "app"]).success();

    assert!(engine.has(&foreign));
    assert!(children.iter().all(|child| engine.has(child)), "a child that inherited the stamp");
    assert!(children.iter().all(|child| !maker.recorded().contains(child)));
    assert_eq!(engine.find("theirs:1").map(|image| image.id), Some(second));
    if !maker.engine_drops_untagged() {
        assert!(engine.has(&third), "another session's image");
        assert_eq!(engine.has(&first), builder == Builder::Classic, "what a stranger's child is built on");
    }
    assert!(!engine.has(&fourth), "our own went");
}

/// Without our stamp a neighbour's build of the same ends one step earlier, in a step of ours, and he calls it as we do.
fn a_neighbour_who_ends_in_our_step_keeps_his_name_and_what_runs_by_it(engine: &Engine, builder: Builder) {
    let maker = Maker::new(engine, builder);
    let context = app("1");
    let there = |container: &String| engine.api().containers().iter().any(|one| one["Id"] == container.as_str());
    for (opened, runs) in [(false, false), (false, true), (true, true)] {
        if opened {
            maker.dkb().args(["session", "start"]).run().success();
        }
        maker.build(&context, &["-t", "app:dev"]).success();
        engine.build(builder, &context, &["-t", "app:dev"]).success();
        let theirs = maker.id("app:dev");
        let container = runs.then(|| engine.container("app:dev").running());
        let end: &[&str] = if opened { &["session", "end", "one"] } else { &["clean", "--session", "--yes"] };
        for words in [&["clean", "--tagged", "--yes"], end] {
            maker.dkb().args(words.iter().copied()).run().success();
            assert_eq!(engine.find("app:dev").map(|image| image.id), Some(theirs.clone()), "{}", engine.inventory());
            assert!(container.as_ref().is_none_or(there), "{words:?}: {}", engine.inventory());
        }
        engine.wipe();
    }
}

/// Podman does not show what a build begins from, which is on record.
fn what_another_project_builds_from_is_not_its_own(engine: &Engine, builder: Builder) {
    let maker = Maker::new(engine, builder);
    maker.build(&app("1"), &["-t", "app:1"]).success();
    let child = Context::new().dockerfile("FROM app:1\nCOPY seed /child\n").file("seed", "child");
    let other = |args: &[&str]| maker.dkb().project("other").args(args.iter().copied());
    for again in [false, true] {
        other(&["build", "-t", "child:1"]).arg(child.path()).run().success();
        let books = maker.books();
        let of_other = books.builds.iter().filter(|build| build.of.project.as_str() == "other");
        let claimed: Vec<String> = of_other.flat_map(Build::images).map(|id| id.to_string()).collect();
        assert!(
            claimed.contains(&maker.id("child:1")) && !claimed.contains(&maker.id("app:1")),
            "{again}: {claimed:?}"
        );
    }
    other(&["clean", "--tagged", "--yes"]).run().success();
    maker.dkb().args(["clean", "--tagged", "--yes"]).run().success();
    assert!(engine.images().is_empty(), "{}", engine.inventory());
}

/// Just before dkb's first change to the engine a container is made of the image that is to go; and the next
/// time somebody names it.
fn an_image_that_a_container_or_a_name_got_hold_of_in_the_meantime_stays(engine: &Engine, builder: Builder) {
    let maker = Maker::new(engine, builder);
    for how in ["container", "name"] {
        maker.build(&app(&format!("{how} 1")), &["-t", "app"]).success();
        let old = maker.id("app");
        let proxy = engine.proxy();
        let came = Arc::new(AtomicBool::new(false));
        let (late, id, flag) = (engine.clone(), old.clone(), Arc::clone(&came));
        let name = format!("{}:mine", if how == "name" { "theirs" } else { "unused" });
        proxy.on("DELETE", "/images/").first(1).run(move |_| {
            flag.store(true, Ordering::SeqCst);
            match how {
                "container" => drop(late.container(&id).created()),
                _ => late.tag(&id, &name),
            }
        });
        let changed = app(&format!("{how} 2"));
        maker.command(&changed, &["-t", "app"]).env("DOCKER_HOST", proxy.host()).run().success();
        // Where the engine itself drops what lost its tag, there was nothing for dkb to do.
        assert!(!came.load(Ordering::SeqCst) || engine.has(&old), "{how}: it is gone");
        assert!(came.load(Ordering::SeqCst) || maker.engine_drops_untagged(), "{how}: dkb did not try");
    }
}

/// What dkb notes last of its look: of what `BuildKit` ends in nothing else tells whether it was there before.
fn looked(builder: Builder) -> &'static str {
    if builder == Builder::BuildKit { "all" } else { "engine" }
}

/// With `stamp = "none"` a build that adds nothing to its base gives the base itself.
fn an_image_that_was_there_before_is_not_ours_without_a_stamp(engine: &Engine, builder: Builder) {
    let maker = Maker::new(engine, builder);
    let folder = tempfile::tempdir().expect("a folder");
    let docker = docker_after(looked(builder), "", engine, &maker.state, folder.path());
    engine.build(builder, &app("theirs"), &["-t", "theirs"]).success();
    let there: Vec<String> = engine.images().into_iter().map(|image| image.id).collect();
    for level in ["none", "project"] {
        let build = |context: &Context| {
            let build = maker.command(context, &["-t", "app"]).env("DKB_STAMP", level).env("DKB_DOCKER", &docker);
            build.run().success()
        };
        build(&Context::new().dockerfile("FROM theirs\n"));
        build(&app("theirs"));
        let recorded = maker.recorded();
        assert!(there.iter().all(|id| !recorded.contains(id)), "{level}: a stranger's image is on record");
        build(&app(&format!("ours {level}")));
        assert!(maker.recorded().contains(&maker.id("app")), "{level}: our own is not on record");
    }
    maker.clean();
    assert!(there.iter().all(|id| engine.has(id)), "a stranger's image is gone");
}

/// Nobody can tell when the engine looked at its clock, of what is so long under way.
fn an_image_that_was_there_before_is_not_ours_where_the_engine_answers_late(engine: &Engine, builder: Builder) {
    let maker = Maker::new(engine, builder);
    let folder = tempfile::tempdir().expect("a folder");
    let docker = docker_after(looked(builder), "", engine, &maker.state, folder.path());
    let proxy = engine.proxy();
    proxy.on("GET", "/info").answer_late(Duration::from_millis(700));
    engine.build(builder, &app("theirs"), &["-t", "theirs"]).success();
    let theirs = maker.id("theirs");
    let build = |context: &Context| {
        let build = maker.command(context, &["-t", "app"]).env("DKB_STAMP", "none").env("DKB_DOCKER", &docker);
        build.env("DOCKER_HOST", proxy.host()).run().success()
    };
    let said = build(&app("theirs"));
    assert!(!maker.recorded().contains(&theirs), "{said}\n{}", engine.inventory());
    let said = build(&app("ours"));
    assert!(maker.recorded().contains(&maker.id("app")), "{said}\n{}", engine.inventory());
    maker.clean();
    assert_eq!(maker.id("theirs"), theirs);
}

/// Somebody else is at work in a session of the same name, with books of his own.
fn an_image_that_was_there_before_is_not_ours_with_the_same_stamp(engine: &Engine, builder: Builder) {
    let (maker, other) = (Maker::new(engine, builder), Maker::new(engine, builder));
    let folder = tempfile::tempdir().expect("a folder");
    // Where an image goes with its last name nobody looks which others there are.
    let noted = if engine.is_containerd_store() { "engine" } else { looked(builder) };
    let docker = docker_after(noted, "", engine, &maker.state, folder.path());
    let build =
        |context: &Context| maker.command(context, &["-t", "mine:1"]).env("DKB_DOCKER", &docker).run().success();
    other.build(&app("theirs"), &["-t", "theirs:1"]).success();
    let theirs = other.id("theirs:1");
    build(&Context::new().dockerfile("FROM theirs:1\n"));
    assert!(!maker.recorded().contains(&theirs));
    // Podman makes an image of its own of it, under which theirs goes with its last name.
    let is_theirs = maker.id("mine:1") == theirs;
    engine.docker(["rmi", "theirs:1"]).run().success();
    build(&app("mine"));
    assert!(maker.recorded().contains(&maker.id("mine:1")));
    if is_theirs && !maker.engine_drops_untagged() {
        assert!(engine.has(&theirs), "a build that added nothing to it took it for its own");
    }
    // What came out of the cache was not there before, and is ours.
    let mine = maker.id("mine:1");
    maker.clean();
    build(&app("mine"));
    assert!(maker.recorded().contains(&maker.id("mine:1")), "{mine}");
}

/// Where the builder shows no base: of `FROM scratch`, and with Podman.
fn what_a_failed_build_made_on_a_strangers_step_is_ours(engine: &Engine) {
    let maker = Maker::new(engine, Builder::Classic);
    for base in ["scratch", "lab/base"] {
        let context = |more: &str| {
            let text = format!("FROM {base}\nCOPY a /a\nCOPY b /b\n{more}");
            Context::new().dockerfile(&text).file("a", base).file("b", base).file("c", base)
        };
        engine.build(Builder::Classic, &context(""), &[]).success();
        let (before, known) = (dangling(engine), maker.recorded());
        let output = maker.build(&context("COPY c /c\nCOPY a /d\nRUN [\"/nothing\"]\n"), &[]).fails();
        let new: HashSet<String> = dangling(engine).difference(&before).cloned().collect();
        let recorded: HashSet<String> = maker.recorded().difference(&known).cloned().collect();
        assert_eq!((new.len(), &recorded), (2, &new), "{base}\n{output}");
        maker.clean();
        assert!(new.iter().all(|id| !engine.has(id)) && before.iter().all(|id| engine.has(id)), "{base}");
    }
}

fn lines_that_a_step_prints_do_not_make_a_strangers_image_ours(engine: &Engine) {
    lying_step(engine, "RUN echo one\nRUN echo two", true);
}

fn the_lines_of_a_step_that_fails_do_not_either(engine: &Engine) {
    // In a stage of its own, where the base is all that a lie must fit. Podman skips stages that nobody uses.
    let new_stage = if engine.is_podman() { "" } else { "FROM lab/base\n" };
    lying_step(engine, &format!("RUN echo one\n{new_stage}RUN exit 3"), false);
}

/// A docker that begins with a stranger's build from the same base, and then lets every `RUN` step of ours print
/// the lines of that build, with an ID that is new, untagged and has the right parent.
fn lying_step(engine: &Engine, steps: &str, succeeds: bool) {
    let strangers = Context::from_base("RUN echo stranger\nENV B=2");
    let lies = format!(
        r#"
id=$("$real" build --rm -q {strangers} | sed 's/^sha256://' | cut -c1-12)
first=$("$real" history -q {history} | sed -n 2p | cut -c1-12)
"$real" "$@" >"$said"; code=$?
awk -v first="$first" -v id="$id" '
  {{ print }}
  /Running in|STEP [0-9]+\/[0-9]+: RUN/ {{
    print "Step 2/3 : RUN echo stranger"; print " ---> " first; print "Step 3/3 : ENV B=2"; print " ---> " id
    print "STEP 2/3: RUN echo stranger"; print "--> " first; print "STEP 3/3: ENV B=2"; print "--> " id
    print " ---> " first
  }}' "$said"
"#,
        strangers = strangers.path().display(),
        history = "$id",
    );
    fools_nobody(engine, &lies, &Context::from_base(steps), succeeds);
}

/// It names what a stranger has just built on the very step before it, and pretends that the next one runs. Only
/// the container that an image was committed from tells the two apart.
fn a_failing_step_that_pretends_to_have_ended_fools_nobody(engine: &Engine) {
    let strangers = Context::from_base("RUN echo one\nRUN echo stranger");
    let lies = format!(
        r#"
"$real" "$@" >"$said"; code=$?
id=$("$real" build --rm -q {} | sed 's/^sha256://' | cut -c1-12)
awk -v id="$id" '
  {{ print }}
  /Running in/ && ++ran == 2 {{ print " ---> " id; print "Step 4/5 : LABEL a=b"; print " ---> Running in 0123456789ab" }}
  ' "$said"
"#,
        strangers.path().display()
    );
    fools_nobody(engine, &lies, &Context::from_base("RUN echo one\nRUN exit 3"), false);
}

/// Builds with a docker that tells these lies, and expects that all that we made is on record, and nothing of what
/// the stranger made.
fn fools_nobody(engine: &Engine, lies: &str, ours: &Context, succeeds: bool) {
    let maker = Maker::new(engine, Builder::Classic);
    let folder = tempfile::tempdir().expect("a folder");
    let head = format!("real={}; said={}", engine.bin().join("docker").display(), folder.path().join("said").display());
    let text = format!("{head}\ncase \"$*\" in *build*) ;; *) exec \"$real\" \"$@\" ;; esac\n{lies}\nexit $code\n");
    let liar = docker_script(folder.path(), &text);

    let before = dangling(engine);
    let output = maker.command(ours, &["-t", "app"]).env("DKB_DOCKER", &liar).run();
    assert_eq!(output.exit_code() == Some(0), succeeds, "{output}");
    let new: Vec<String> = dangling(engine).difference(&before).cloned().collect();
    let history = |id: &str| engine.api().get(&format!("/images/{id}/history")).text();
    let is_theirs = |id: &String| history(id).contains("echo stranger");
    assert!(new.iter().any(|id| is_theirs(id) && output.out().contains(&id[7..19])), "the lie was told\n{output}");
    assert!(!new.iter().all(is_theirs), "we have built something");
    let recorded = maker.recorded();
    for id in &new {
        assert_eq!(recorded.contains(id), !is_theirs(id), "{id}: {}\n{output}", history(id));
    }
}

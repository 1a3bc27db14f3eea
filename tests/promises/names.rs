//! What a name says, and what it does not: of two builds that look alike, of a tag that changes hands, of a pattern.

use dkb_lab::promise::containerd_store;
use dkb_lab::{Builder, Context, Engine, Promises, promises};

use crate::building::{Maker, docker_script};
use crate::clean_host::{Books, PROJECT, SESSION, key, reason};
use crate::guard_dead::opened;

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on_every_builder(promises![the_base_of_what_is_kept_stays_however_alike_they_were_built])
        .on_every_engine(promises![
            of_two_names_that_look_alike_each_goes_back_to_its_own,
            an_id_keeps_an_image_from_every_end,
        ])
        .on_one_engine()
        .on_every_engine(promises![
            a_strangers_name_that_looks_like_ours_is_the_strangers,
            a_tag_goes_back_to_whom_it_was_taken_from_last,
            every_spelling_of_a_name_keeps_it_from_clean,
            every_spelling_of_a_name_keeps_it_from_sweep,
        ])
        .on(containerd_store, promises![a_name_of_ours_that_a_killed_build_left_goes_at_the_sessions_end])
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

fn names_of_ours(engine: &Engine) -> usize {
    engine.images().into_iter().flat_map(|image| image.tags).filter(|tag| tag.contains("dkb.invalid")).count()
}

fn a_tag_goes_back_to_whom_it_was_taken_from_last(engine: &Engine) {
    for end in [&["clean", "--session"][..], &["session", "end", SESSION], &["clean", "--stale"]] {
        let books = Books::of(engine);
        let at_work = opened(&books, &key(PROJECT, SESSION));
        let theirs = |who: &str, tag: &str| engine.image().label("who", who).tag(tag).make().id.clone();
        let build = |line: &str, tags: &[&str]| {
            let context = Context::from_base(line);
            books.dkb(engine).args(["build", "-q"]).args(tags.iter().copied()).arg(context.path()).run().success();
        };
        let first = [theirs("first", "app:dev"), theirs("another", "app:tool")];
        build("RUN echo 1 >/1", &["-t", "app:dev", "-t", "app:tool"]);
        let last = [theirs("last", "app:dev"), theirs("owner", "app:tool")];
        build("RUN echo 2 >/2", &["-t", "app:dev"]);
        let dkb = books.dkb(engine);
        let dkb = match end[1] {
            "--stale" => {
                drop(at_work);
                dkb.session("another")
            }
            _ => dkb,
        };
        dkb.args(end.iter().copied()).run().success();

        let there = engine.inventory();
        assert_eq!(engine.find("app:dev").map(|image| image.id).as_ref(), Some(&last[0]), "{end:?}\n{there}");
        assert_eq!(engine.find("app:tool").map(|image| image.id).as_ref(), Some(&last[1]), "{end:?}\n{there}");
        assert_eq!(names_of_ours(engine), 0, "{end:?}\n{there}");
        // Their owners took their names from these, and the engine does with such images what it does.
        let left = usize::from(!engine.is_containerd_store()) * first.len();
        assert_eq!(engine.images().len(), last.len() + left, "{end:?}\n{there}");
        engine.wipe();
    }
}

/// The two names that `app:dev` may be taken for.
const ALIKE: [&str; 2] = ["docker.io/library/app:dev", "localhost/app:dev"];

/// What exactly this name means now.
fn named(engine: &Engine, name: &str) -> Option<String> {
    let inspect = engine.docker(["image", "inspect", "--format", "{{.Id}}", name]).run();
    (inspect.exit_code() == Some(0)).then(|| format!("sha256:{}", inspect.out().trim().trim_start_matches("sha256:")))
}

fn name(engine: &Engine, image: &str, name: &str) {
    engine.docker(["tag", image, name]).run().success();
}

fn a_strangers_name_that_looks_like_ours_is_the_strangers(engine: &Engine) {
    let ways = [(ALIKE[0], ALIKE[1]), (ALIKE[1], ALIKE[0])];
    // Where Podman has this machine's own name, docker can't give Docker Hub's.
    for (ours, theirs) in ways.into_iter().take(if engine.is_podman() { 1 } else { 2 }) {
        for end in [&["clean", "--session"][..], &["session", "end", SESSION]] {
            let books = Books::of(engine);
            let _at_work = opened(&books, &key(PROJECT, SESSION));
            let context = Context::from_base("RUN echo 1 >/1");
            books.dkb(engine).args(["build", "-q", "-t", ours]).arg(context.path()).run().success();
            name(engine, ours, theirs);
            let container = engine.container(theirs).running();
            let end = || books.dkb(engine).args(end.iter().copied()).run().success();
            let there = || (named(engine, theirs).is_some(), named(engine, ours).is_some());

            end();
            let runs = |one: &serde_json::Value| one["Id"] == container.as_str() && one["State"] == "running";
            assert!(engine.api().containers().iter().any(runs), "{}", engine.inventory());
            assert!(there().0, "{}", engine.inventory());
            engine.docker(["rm", "-f", &container]).run().success();
            end();
            assert_eq!(there(), (true, false), "{}", engine.inventory());
            engine.wipe();
        }
    }
}

fn of_two_names_that_look_alike_each_goes_back_to_its_own(engine: &Engine) {
    for written in ["app:dev", ALIKE[0], ALIKE[1]] {
        let books = Books::of(engine);
        let _at_work = opened(&books, &key(PROJECT, SESSION));
        let theirs = ALIKE.map(|alike| {
            let image = engine.image().label("who", alike).make();
            name(engine, &image.id, alike);
            image
        });
        let context = Context::from_base("RUN echo 1 >/1");
        books.dkb(engine).args(["build", "-q", "-t", written]).arg(context.path()).run().success();
        let now = || ALIKE.map(|alike| named(engine, alike));
        let before = theirs.each_ref().map(|image| Some(image.id.clone()));
        assert_ne!(now(), before, "{written}");
        books.dkb(engine).args(["session", "end", SESSION]).run().success();
        assert_eq!(now(), before, "{written}\n{}", engine.inventory());
        assert_eq!((engine.images().len(), names_of_ours(engine)), (2, 0), "{written}\n{}", engine.inventory());
        engine.wipe();
    }
}

fn an_id_keeps_an_image_from_every_end(engine: &Engine) {
    let books = Books::of(engine);
    let _at_work = opened(&books, &key(PROJECT, SESSION));
    let build = |line: &str, keep: &str| {
        let context = Context::from_base(line);
        let build = books.dkb(engine).args(["build", "-q", "-t", "app:dev"]).env("DKB_KEEP", keep);
        build.arg(context.path()).run().success();
        engine.find("app:dev").expect("it was built").id
    };
    let theirs = engine.image().label("who", "first").tag("app:dev").make();
    let first = build("RUN echo 1 >/1", &theirs.id);
    build("RUN echo 2 >/2", &first);
    // The store itself drops what loses its only name.
    assert!(engine.has(&first) || engine.is_containerd_store(), "{}", engine.inventory());
    // Its owner moves the tag on, and so nothing can go back to the image.
    engine.image().label("who", "owner").tag("app:dev").make();
    let keep = format!("{},{}", theirs.id, first);
    for end in [&["clean", "--session"][..], &["session", "end", SESSION]] {
        books.dkb(engine).args(end.iter().copied()).env("DKB_KEEP", &keep).run().success();
        assert!(engine.has(&theirs), "{end:?}\n{}", engine.inventory());
        assert!(engine.has(&first) || engine.is_containerd_store(), "{end:?}\n{}", engine.inventory());
    }
    books.dkb(engine).args(["session", "end", SESSION]).run().success();
    assert!(!engine.has(&first), "{}", engine.inventory());
}

fn a_name_of_ours_that_a_killed_build_left_goes_at_the_sessions_end(engine: &Engine) {
    let books = Books::of(engine);
    let at_work = opened(&books, &key(PROJECT, SESSION));
    let theirs = engine.image().tag("app:dev").make();
    let folder = tempfile::tempdir().expect("a folder");
    let docker = engine.bin().join("docker");
    let text = "case $1 in build) ;; *) exec DOCKER \"$@\" ;; esac
        until DOCKER image ls -q dkb.invalid/held | grep -q .; do :; done
        kill -KILL $PPID";
    let killer = docker_script(folder.path(), &text.replace("DOCKER", &docker.display().to_string()));
    let context = Context::from_base("RUN true");
    let build = books.dkb(engine).env("DKB_DOCKER", killer).args(["build", "-t", "app:dev"]).arg(context.path());
    build.run().fails();
    assert_eq!(names_of_ours(engine), 1, "{}", engine.inventory());
    drop(at_work);
    books.dkb(engine).session("another").args(["clean", "--stale"]).run().success();
    assert_eq!(names_of_ours(engine), 0, "{}", engine.inventory());
    assert_eq!(engine.find("app:dev").expect("theirs").id, theirs.id);
}

/// All that may be written for `postgres:16`.
fn spellings(id: &str) -> Vec<String> {
    let names = ["postgres", "library/postgres", "docker.io/postgres", "docker.io/library/postgres"];
    let names = names.into_iter().chain(["index.docker.io/library/postgres", "*/postgres", "docker.io/*/postgres"]);
    let ids = [id.to_owned(), id.trim_start_matches("sha256:").to_owned(), id[7..19].to_owned(), id[..19].to_owned()];
    names.flat_map(|name| [name.to_owned(), format!("{name}:16"), format!("{name}:*")]).chain(ids).collect()
}

fn every_spelling_of_a_name_keeps_it_from_clean(engine: &Engine) {
    let books = Books::of(engine);
    let ours = ["postgres:16", "tool:1"].map(|tag| {
        let image = engine.image().tag(tag).make();
        books.built(&key(PROJECT, SESSION), &image, &[tag]);
        image
    });
    let clean =
        |args: &[&str]| books.dkb(engine).args(["clean", "--tagged"]).args(args.iter().copied()).run().success();
    let mut patterns = spellings(&ours[0]);
    // What this engine calls it, and where it says one, its digest.
    let listed = engine.find("postgres:16").expect("it is there");
    patterns.extend(listed.tags.into_iter().chain(listed.digests));
    for pattern in patterns {
        let plan = clean(&["--dry-run", "--format", "json", "--keep", &pattern]);
        let plan = plan.never_warns("matches nothing").json();
        let reasons = [&ours[0], &ours[1]].map(|image| reason(&plan, image));
        assert_eq!(reasons, ["keep_pattern", "not kept"], "{pattern}\n{plan:#}");
    }
    // Podman writes it before each name that has no domain.
    engine.tag(&ours[1], "localhost/mine:16");
    for pattern in ["localhost/mine", "localhost/mine:16", "localhost/mine:*", "localhost/*", "mine:16", "mine"] {
        let plan = clean(&["--dry-run", "--format", "json", "--keep", pattern]);
        assert_eq!(reason(&plan.never_warns("matches nothing").json(), &ours[1]), "keep_pattern", "{pattern}");
    }
    engine.untag("localhost/mine:16");
    engine.volume("pgdata", &[]);
    clean(&["-n", "--keep", "pgdata"]).never_warns("matches nothing");
    let slip = clean(&["-n", "-q", "--keep", "docker.io/library/postgers:*"]);
    slip.warns("the keep pattern 'docker.io/library/postgers:*' matches nothing here; did you mean 'postgres:16'?");
    clean(&["--keep", "docker.io/library/postgres:*"]);
    assert_eq!(ours.map(|image| engine.has(&image)), [true, false]);
}

fn every_spelling_of_a_name_keeps_it_from_sweep(engine: &Engine) {
    let books = Books::of(engine);
    let images = ["postgres:16", "tool:1"].map(|tag| engine.image().tag(tag).make());
    let sweep = |args: &[&str]| {
        let sweep = books.dkb(engine).args(["sweep", "--all-images", "--until", "0s"]);
        sweep.args(args.iter().copied())
    };
    let plan = |pattern: &str| {
        let done = sweep(&["--dry-run", "--format", "json", "--keep", pattern]).run().success();
        done.never_warns("matches nothing").json()
    };
    for pattern in spellings(&images[0]) {
        let plan = plan(&pattern);
        let reasons = [&images[0], &images[1]].map(|image| reason(&plan, image));
        assert_eq!(reasons, ["keep_pattern", "not kept"], "{pattern}\n{plan:#}");
    }
    // The lab's Podman pulls from nowhere.
    if !engine.is_podman() {
        let node = engine.pulled_by_digest("kind/node");
        let digest = engine.find(&node).expect("it is there").digests.remove(0);
        let repository = digest.split('@').next().expect("a repository").to_owned();
        for pattern in [&digest, &repository, &format!("{repository}:*"), &digest.replace('@', ":1@")] {
            let plan = plan(pattern);
            assert_eq!(reason(&plan, &node), "keep_pattern", "{pattern}\n{plan:#}");
        }
    }
    engine.volume("pgdata", &[]);
    plan("pgdata");
    let slip = |format: &str| sweep(&["--dry-run", "--keep", "pgdta"]).env("LOG_FORMAT", format).run().success();
    let warning = "the keep pattern 'pgdta' matches nothing here; did you mean 'pgdata'?";
    slip("text").says(&format!("[WARN] [INIT] {warning}"));
    let lines = slip("json").out();
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    assert!(lines.iter().any(|line| line["level"] == "WARN" && line["message"] == warning), "{lines:?}");
    sweep(&["--yes", "--keep", "index.docker.io/library/postgres"]).run().success();
    assert_eq!(images.map(|image| engine.has(&image)), [true, false]);
}

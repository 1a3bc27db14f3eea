//! On a host with everything on it, every kind of clean takes exactly what is ours and meant, and nothing else.

use std::time::Duration;

use dkb_lab::{Builder, Context, Engine, Promises, promises};

use crate::building::{Maker, dangling};
use crate::clean_host::{Books, PROJECT, SESSION, images, key, reason, set, steps};

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on_every_engine(promises![
            every_kind_of_clean_takes_exactly_what_is_its_own,
            a_taken_tag_goes_back_at_the_sessions_end,
            a_strangers_untagged_steps_outlive_what_was_built_on_them,
            the_newest_of_every_repository_stay,
            a_plan_in_a_file_is_done_and_never_more,
            an_image_that_a_container_mounts_stays,
        ])
        .on(dkb_lab::promise::docker, promises![what_was_pushed_is_ours_still_and_what_was_pulled_is_not])
}

fn every_kind_of_clean_takes_exactly_what_is_its_own(engine: &Engine) {
    let books = Books::of(engine);
    let (here, other) = (key(PROJECT, SESSION), key(PROJECT, "job-2"));
    let (elsewhere, busy) = (key("tool", "job-1"), key(PROJECT, "job-3"));
    let spec = || engine.image().stamp(PROJECT, SESSION);
    let ours = |session, tags: &[&str]| {
        let image = tags.iter().fold(spec(), |spec, tag| spec.tag(tag)).make();
        books.built(session, &image, tags);
        image
    };

    let leftover = ours(&here, &[]);
    let of_other = ours(&other, &[]);
    let of_project = ours(&elsewhere, &[]);
    let of_busy = ours(&busy, &[]);
    let _at_work = books.alive(&busy);
    let running = ours(&here, &[]);
    let (stopped, created) = (ours(&here, &[]), ours(&here, &[]));
    engine.container(&running).name("runs").running();
    engine.container(&stopped).stopped();
    engine.container(&created).created();
    let tagged = ours(&here, &["app:1"]);
    let twice = ours(&here, &["app:2", "app:two"]);
    let named_by_user = ours(&here, &["app:3"]);
    engine.tag(&named_by_user, "mine:1");
    let base = ours(&here, &["base:1"]);
    let tagged_tool = ours(&elsewhere, &["tool:1"]);

    // Podman takes whatever shares layers for a child, and so keeps the base of what stays.
    let inheriting = |base| if engine.is_podman() { spec().make() } else { spec().child_of(base).make() };
    // None of these is on record.
    let child = spec().child_of(&base).tag("theirs:1").make();
    let foreign = [
        engine.image().make(),
        spec().make(),
        inheriting(&leftover),
        inheriting(&tagged),
        child,
        engine.image().tag("theirs:2").make(),
    ];
    // The lab's Podman pulls from nowhere.
    let node = if engine.is_podman() { engine.image().make().id } else { engine.pulled_by_digest("kind/node") };
    let mut there = images(engine);
    let dkb = |args: &[&str]| books.dkb(engine).args(args.iter().copied()).args(["--format", "json"]).run().success();
    let mut clean = |args: &[&str], expected: &[&str]| {
        let before = there.clone();
        let dry = dkb(&[&["clean", "--dry-run"], args].concat()).json();
        assert_eq!(images(engine), before, "a dry run does nothing");
        let done = dkb(&[&["clean"], args].concat()).json();
        there = images(engine);
        let gone = before.difference(&there).cloned().collect();
        assert_eq!(set(expected.iter().copied()), gone, "{args:?}: what is gone\n{done:#}");
        assert_eq!(steps(&dry, "image", None), gone, "{args:?}: what the dry run said");
        assert_eq!(steps(&done, "image", Some("done")), gone, "{args:?}: what the run said");
        done
    };

    let document = clean(&[], &[&leftover, &of_other]);
    for (image, why) in [
        (&running, "in_use"),
        (&stopped, "in_use"),
        (&created, "in_use"),
        (&of_busy, "session_alive"),
        (&of_project, "other_project"),
        (&tagged, "tagged"),
        (&named_by_user, "foreign_tag"),
        (&foreign[1], "unrecorded"),
    ] {
        assert_eq!(reason(&document, image), why, "{document:#}");
    }
    assert_eq!(reason(&document, &foreign[0]), "not kept", "what has nothing to do with us is not worth a line");
    clean(&[], &[]);

    clean(&["--session", "--keep-containers", "--keep-tagged"], &[]);
    let document = clean(&["--session"], &[&stopped, &tagged, &twice]);
    assert_eq!(reason(&document, &created), "in_use", "somebody may be about to start it");
    assert_eq!(reason(&document, &base), "base", "{document:#}");
    assert_eq!(reason(&document, &running), "in_use");
    let left = engine.find(&named_by_user).expect("somebody named it");
    assert!(left.tags.len() == 1 && left.tags[0].ends_with("mine:1"), "{left:?}");
    assert_eq!(engine.api().containers().len(), 2, "the one that runs, and the one that never has");

    clean(&["--all"], &[&of_project]);
    books.dkb(engine).args(["clean", "--all", "--tagged"]).run().code(2).warns("--yes");
    clean(&["--all", "--tagged", "--yes"], &[&tagged_tool]);
    let still: Vec<&str> =
        [&running, &created, &of_busy, &named_by_user, &base].into_iter().map(|image| &**image).collect();
    assert_eq!(there, set(still.into_iter().chain(foreign.iter().map(|image| &**image)).chain([node.as_str()])));
}

fn a_taken_tag_goes_back_at_the_sessions_end(engine: &Engine) {
    let books = Books::of(engine);
    let before = engine.image().tag("app:dev").make();
    let now = engine.image().make();
    engine.tag(&now, "app:dev");
    books.took(&key(PROJECT, SESSION), &now, "app:dev", &before);
    books.dkb(engine).args(["clean", "--session"]).run().success().says("gave back");
    assert!(!engine.has(&now));
    assert_eq!(engine.find("app:dev").expect("the tag").id, before.id);
}

/// An engine would take untagged parents along.
fn a_strangers_untagged_steps_outlive_what_was_built_on_them(engine: &Engine) {
    engine.build(Builder::Classic, &Context::from_base("ENV A=1\nENV B=2"), &["-t", "raw"]).success();
    let raw = engine.find("raw").expect("it is built").id;
    let theirs: Vec<String> = dangling(engine).into_iter().chain([raw]).collect();
    let maker = Maker::new(engine, Builder::Classic);
    maker.build(&Context::from_base("ENV A=1\nENV B=2\nENV C=3"), &["-t", "app"]).success();
    engine.docker(["image", "rm", "--no-prune", "raw"]).run().success();
    let there = || theirs.iter().filter(|id| engine.has(id)).count();
    let before = there();
    assert!(before > 0);
    maker.clean();
    assert_eq!((there(), engine.images().len()), (before, before), "{}", engine.inventory());
}

fn the_newest_of_every_repository_stay(engine: &Engine) {
    let books = Books::of(engine);
    let hours = |n: u64| Duration::from_secs(3600 * n);
    let versions: Vec<_> = (0..4)
        .map(|n| {
            let tag = format!("app:1.{n}");
            let image = engine.image().tag(&tag).make();
            let build = books.build(&key(PROJECT, "earlier"), &image, &[&tag], hours(10 - n));
            books.note(&[dkb::model::Record::Build(build)]);
            image
        })
        .collect();
    engine.tag(&versions[0], "tool:1");
    let clean =
        |args: &[&str]| books.dkb(engine).args(["clean", "--tagged"]).args(args.iter().copied()).run().success();
    clean(&["--keep-last", "2", "--older-than", "570m"]);
    assert!(versions.iter().all(|image| engine.has(image)), "the oldest is named by others, the next is younger");
    clean(&["--keep-last", "2"]);
    let there: Vec<bool> = versions.iter().map(|image| engine.has(image)).collect();
    assert_eq!(there, [true, false, true, true]);
    clean(&["--keep", "app:1.2"]);
    let there: Vec<bool> = versions.iter().map(|image| engine.has(image)).collect();
    assert_eq!(there, [true, false, true, false]);
}

fn a_plan_in_a_file_is_done_and_never_more(engine: &Engine) {
    let books = Books::of(engine);
    let of = key(PROJECT, SESSION);
    let images = engine.many(4, |_, image| image);
    books.built_many(&of, images[..3].iter().map(|image| &*image.id));
    let file = books.state.work().join("plan.json");
    let told = books.dkb(engine).args(["clean", "--plan", "plan.json"]).run().success();
    told.warns("the plan is in plan.json; what still holds of it is done by dkb clean --apply plan.json");
    assert!(images.iter().all(|image| engine.has(image)));
    // Since then one was used, one became somebody else's, and one more is ours.
    engine.container(&images[0]).created();
    engine.tag(&images[1], "mine:1");
    books.built(&of, &images[3], &[]);
    let text = std::fs::read_to_string(&file).expect("the plan");
    books.dkb(engine).args(["clean", "--apply", "plan.json"]).run().success();
    let there: Vec<bool> = images.iter().map(|image| engine.has(image)).collect();
    assert_eq!(there, [true, true, false, true]);
    let again = books.dkb(engine).args(["clean", "--apply", "plan.json", "--format", "json"]).run().success().json();
    assert_eq!(reason(&again, &images[2]), "already_gone", "what is not there did not change: {again:#}");
    books.dkb(engine).args(["clean", "--apply", "plan.json"]).run().says("gone").never_says("changed since");

    // A plan that somebody wrote by hand goes no further than dkb itself would.
    let stranger = engine.image().make();
    std::fs::write(&file, text.replace(&*images[2].id, &stranger.id)).expect("the plan");
    books.dkb(engine).args(["clean", "--apply", "plan.json"]).run().success();
    assert!(engine.has(&stranger));
    std::fs::write(&file, text.replace(&crate::clean_host::identity(engine), "another")).expect("the plan");
    books.dkb(engine).args(["clean", "--apply", "plan.json"]).run().code(2).warns("another");
    std::fs::write(&file, "{}").expect("the plan");
    books.dkb(engine).args(["clean", "--apply", "plan.json"]).run().code(2);
}

fn an_image_that_a_container_mounts_stays(engine: &Engine) {
    if !engine.mounts_images() {
        return;
    }
    let books = Books::of(engine);
    let of = key(PROJECT, SESSION);
    let mounted = engine.image().tag("data:1").make();
    books.built(&of, &mounted, &["data:1"]);
    engine.container("lab/base").mounting_image("data:1").created();
    let document = books.dkb(engine).args(["clean", "--session", "--format", "json"]).run().success().json();
    assert_eq!(reason(&document, &mounted), "in_use", "{document:#}");
    assert!(engine.has("data:1"));
}

fn what_was_pushed_is_ours_still_and_what_was_pulled_is_not(engine: &Engine) {
    let books = Books::of(engine);
    let of = key(PROJECT, SESSION);
    let registry = engine.registry();
    let name = format!("{}/team/app:1", dkb_lab::registry::REGISTRY);
    let pushed = engine.image().tag(&name).make();
    books.built(&of, &pushed, &[&name]);
    engine.docker(["push", "-q", &name]).run().success();
    drop(registry);
    // The next build takes the name; the former image has its digest left on some engines, or nothing.
    let next = engine.image().make();
    engine.tag(&next, &name);
    books.built(&of, &next, &[&name]);
    books.dkb(engine).arg("clean").run().success();
    assert!(!engine.has(&pushed), "{}", engine.inventory());
    assert_eq!(engine.find(&name).expect("the name").id, next.id);
}

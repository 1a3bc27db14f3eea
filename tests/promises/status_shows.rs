//! Status: what is ours, who is at work, what a clean would free, and why one image is kept.

use dkb::ledger::{KeptBy, State};
use dkb::model::Owner;
use dkb_lab::{Builder, Engine, Promises, promises};
use jiff::Timestamp;

use crate::clean_host::{Books, PROJECT, SESSION, key, reason, steps};

pub(crate) fn promises() -> Promises {
    let promises = Promises::of(module_path!()).on_every_engine(promises![
        what_is_ours_is_shown_by_session_with_who_is_at_work,
        an_images_status_says_whose_it_is_and_why_it_is_kept,
        a_status_takes_the_words_of_a_log_and_a_number_means_one_thing,
        the_doctor_says_what_is_used_and_what_is_broken,
        a_job_of_github_gets_annotations_and_a_table,
        a_job_of_gitlab_gets_a_result_that_folds,
    ]);
    promises.on_one_engine()
}

fn what_is_ours_is_shown_by_session_with_who_is_at_work(engine: &Engine) {
    let books = Books::of(engine);
    let (here, dead, elsewhere) = (key(PROJECT, SESSION), key(PROJECT, "job-0"), key("tool", "t"));
    let leftover = engine.image().make();
    let tagged = engine.image().tag("app:1").make();
    let of_dead = engine.image().tag("app:0").make();
    let of_tool = engine.image().make();
    books.built(&here, &leftover, &[]);
    books.built(&here, &tagged, &["app:1"]);
    books.built(&dead, &of_dead, &["app:0"]);
    books.built(&elsewhere, &of_tool, &[]);
    let state = State::at(books.state.state_dir());
    let machine = dkb::config::here::machine();
    let owner =
        |command: &str| Owner { machine: machine.clone(), since: Timestamp::now(), command: command.to_owned() };
    let open = |of, command| {
        let by = KeptBy { owner: owner(command), guard: true, copy: None };
        state.session(of).open(&by).expect("a lock").0
    };
    drop(open(&dead, "just"));
    // It built nothing, and what it ran may be there still.
    let ran = key(PROJECT, "ran-only");
    books.ci_session(&ran, "slot", std::time::Duration::ZERO);
    drop(open(&ran, "e2e"));
    let _alive = open(&here, "make");

    let said = books.dkb(engine).arg("status").run().success();
    let said = said.says("job-1, this one: at work for").says("(make)").says("job-0: left behind by just, opened");
    let said = said.says("ran-only: left behind by e2e, opened");
    let said = said.says("app:1").says("1 leftover").says("dkb clean would free");
    assert!(!said.out().contains("tool"), "{said}");
    books.dkb(engine).args(["status", "--all"]).run().success().says("session t: nobody keeps it open");
    let document = books.dkb(engine).args(["status", "--all", "--format", "json"]).run().success().json();
    assert_eq!(document["kind"], "status");
    assert_eq!(document["sessions"].as_array().expect("sessions").len(), 4);
    assert_eq!(steps(&document, "image", None), crate::clean_host::set([&*leftover.id, &*of_tool.id]));
    assert_eq!(reason(&document, &tagged), "tagged");
    assert_eq!(engine.images().len(), 4, "a status changes nothing");
    std::fs::write(books.state.work().join("status.json"), document.to_string()).expect("a file");
    books.dkb(engine).args(["clean", "--apply", "status.json"]).run().code(2);
}

fn an_images_status_says_whose_it_is_and_why_it_is_kept(engine: &Engine) {
    let books = Books::of(engine);
    let ours = engine.image().tag("app:1").make();
    books.built(&key(PROJECT, SESSION), &ours, &["app:1"]);
    let foreign = engine.image().tag("theirs:1").make();
    let stamped = engine.image().stamp(PROJECT, "lost").make();
    engine.container(&ours).name("e2e").stopped();
    let status = |image: &str| books.dkb(engine).args(["status", image]).run();
    let said = status("app:1").success().says("ours: built").says("session job-1").says("in use, e2e (exited)");
    assert!(said.out().lines().count() <= 6, "{said}");
    said.says("dkb clean --session removes it");
    let (spare, tool) = (engine.image().tag("app:2").make(), engine.image().make());
    books.built(&key(PROJECT, SESSION), &spare, &["app:2"]);
    books.built(&key("tool", "t"), &tool, &[]);
    let said = status("app:2").success().says("dkb clean keeps it: tagged");
    said.says("dkb clean --tagged removes it").says("dkb clean --session removes it");
    engine.tag(&spare, "mine:1");
    // Podman says each name in full.
    let full = engine.is_podman();
    let (mine, app) = if full { ("docker.io/library/mine:1", "localhost/app:2") } else { ("mine:1", "app:2") };
    let said = status("app:2").success().says(&format!("dkb clean keeps it: {mine} names it"));
    let tag_only = format!("takes the tag {app}; the image stays, {mine} names it");
    said.says(&format!("dkb clean --tagged {tag_only}")).says(&format!("dkb clean --session {tag_only}"));
    let said = status(&tool.id).success().says("dkb clean --project tool removes it");
    let command = said.out().lines().find_map(|line| line.strip_prefix("dkb clean ")).expect("a command").to_owned();
    let words = command.split(" removes it").next().expect("the words").split(' ').map(str::to_owned);
    books.dkb(engine).arg("clean").args(words).run().success();
    assert!(!engine.has(&tool), "the command that it names takes it");
    status(&ours.id[7..19]).success().says("app:1");
    status("theirs:1").success().says("not ours: no build of dkb made it");
    status(&stamped.id).success().says("not ours: the ledger does not know it, though stamped app lost");
    status("nothing:1").code(2).warns("no such image");
    assert!(engine.has(&foreign));
}

fn a_status_takes_the_words_of_a_log_and_a_number_means_one_thing(engine: &Engine) {
    let books = Books::of(engine);
    for tag in ["shop:1", "shop:2", "tool:1"] {
        let image = engine.image().tag(tag).make();
        books.built(&key(PROJECT, SESSION), &image, &[tag]);
    }
    let status = |words: &[&str]| books.dkb(engine).arg("status").args(words.iter().copied()).run().success();
    let said = status(&["shop:*"]).says("shop:1").says("shop:2");
    assert!(!said.out().contains("tool:1"), "{said}");
    let both = status(&["shop:*", "--json"]).json();
    assert_eq!(both["kept"].as_array().expect("what is kept").len(), 2, "{both:#}");
    let document = status(&["--json"]).json();
    let kept = document["kept"].as_array().expect("what is kept");
    let images = document["sessions"][0]["images"].as_array().expect("images");
    assert_eq!(images.len(), 3, "{document:#}");
    for image in images {
        let same = kept.iter().find(|kept| kept["id"] == image["id"]).expect("the same image");
        assert_eq!(image["bytes"], same["bytes"], "{document:#}");
    }
    let published = crate::schema::published();
    let as_published = |document: &serde_json::Value| {
        let faults = crate::schema::faults(&published, document);
        assert!(faults.is_empty(), "{faults:#?}");
    };
    [&both, &document].into_iter().for_each(as_published);
    for words in [
        &["clean", "-n"][..],
        &["clean", "--tagged", "--stale", "-n"],
        &["sweep", "-n"],
        &["session", "list"],
        &["log"],
        &["doctor"],
    ] {
        as_published(&books.dkb(engine).args(words.iter().copied()).arg("--json").run().success().json());
    }
    let list = books.dkb(engine).args(["session", "list"]).run().success().says(SESSION);
    assert!(list.out().contains("3 images"), "{list}");
    let quiet = books.dkb(engine).args(["clean", "--tagged", "-nq"]).run().success();
    let mut ids: Vec<String> = quiet.out().lines().map(str::to_owned).collect();
    ids.sort();
    let mut all: Vec<String> = images.iter().map(|image| image["id"].as_str().expect("an ID").to_owned()).collect();
    all.sort();
    assert_eq!(ids, all);
}

fn the_doctor_says_what_is_used_and_what_is_broken(engine: &Engine) {
    let books = Books::of(engine);
    let doctor = || books.dkb(engine).arg("doctor");
    let well = doctor().run().success().says("by DOCKER_HOST").says(PROJECT);
    assert!(!well.out().contains("broken"), "{well}");
    let document = doctor().arg("--json").run().success().json();
    assert!(document["findings"].as_array().is_some_and(|all| all.iter().all(|one| one["state"] != "broken")));
    if engine.builders().contains(&Builder::BuildKit) {
        let elsewhere = doctor().env("DOCKER_BUILDKIT", "1").env("BUILDX_BUILDER", "farm").run().success();
        elsewhere.says("docker buildx builds in farm").says("docker buildx prune --builder farm");
        assert!(!well.out().contains("docker buildx prune"), "{well}");
    }
    let gone = doctor().env("DOCKER_HOST", "unix:///nowhere.sock").run().code(1);
    gone.says("broken  engine").says("connecting to unix:///nowhere.sock (DOCKER_HOST)");
    let gone = books.dkb(engine).args(["--host", "unix:///nowhere.sock", "status"]).no_env("DOCKER_HOST").run().code(2);
    gone.warns("connecting to unix:///nowhere.sock (--host)");
}

fn a_job_of_github_gets_annotations_and_a_table(engine: &Engine) {
    let books = Books::of(engine);
    let summary = books.state.work().join("summary");
    std::fs::write(&summary, "").expect("the runner's file");
    let written = || std::fs::read_to_string(&summary).expect("the summary");
    let build = |tag: &str| {
        let image = engine.image().tag(tag).make();
        books.built(&key(PROJECT, SESSION), &image, &[tag]);
    };
    build("shop:1");
    let clean = || books.dkb(engine).args(["clean", "--tagged"]).env("GITHUB_STEP_SUMMARY", &summary);
    clean().arg("-n").env("GITHUB_ACTIONS", "true").run().success();
    assert_eq!(written(), "", "a dry run has done nothing");
    let slip = clean().args(["--keep", "shopp"]).env("GITHUB_ACTIONS", "true").run().success();
    slip.warns("::warning title=dkb::the keep pattern 'shopp' matches nothing here");
    let page = written();
    assert!(page.starts_with("### dkb: ") && page.contains("| removed | 1 | image |"), "{page}");
    build("shop:2");
    clean().args(["--keep", "shopp"]).run().success().warns("dkb: warning: the keep pattern");
    assert_eq!(written(), page, "elsewhere nothing is written");
}

fn a_job_of_gitlab_gets_a_result_that_folds(engine: &Engine) {
    let books = Books::of(engine);
    let clean = |flags: &[&str]| books.dkb(engine).args(["clean", "--tagged"]).args(flags);
    let build = || {
        let image = engine.image().tag("shop:1").make();
        books.built(&key(PROJECT, SESSION), &image, &["shop:1"]);
    };
    build();
    let in_a_job = |flags: &[&str]| clean(flags).env("GITLAB_CI", "true").run().success().out();
    for flags in [&["-n", "-q"][..], &["-n", "--json"]] {
        assert!(!in_a_job(flags).contains("section_"), "{flags:?} is for programs");
    }
    let told = in_a_job(&[]);
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines[0].starts_with("\u{1b}[0Ksection_start:") && lines[0].contains("\r\u{1b}[0K"), "{told}");
    assert!(
        lines[1..lines.len() - 1].iter().any(|line| line.starts_with("removed ") && line.contains("shop:1")),
        "{told}"
    );
    let end = lines.last().copied().unwrap_or_default();
    assert!(end.starts_with("\u{1b}[0Ksection_end:") && end.ends_with("\r\u{1b}[0K"), "{told}");
    build();
    assert!(!clean(&[]).run().success().out().contains("section_"), "elsewhere nothing is written");
}

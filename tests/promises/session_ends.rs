//! Whose a session is when it ends: what another working copy, a living guard or somebody later has stays, and what
//! is ended is over.

use std::path::{Path, PathBuf};
use std::time::Duration;

use dkb::model::{Record, SessionEntry};
use dkb_lab::dkb::{State, dkb_path};
use dkb_lab::promise::{docker, one_of_each_kind};
use dkb_lab::{Command, Context, Engine, Promises, eventually, promises};

use crate::clean_host::{Books, PROJECT, SESSION, key};
use crate::guard_scene::{SOON, Scene, inside, lose_power};
use crate::hostile_checkout;

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on(
            one_of_each_kind,
            promises![
                a_guard_leaves_what_another_working_copy_has_in_its_session,
                who_opens_another_working_copys_dead_session_leaves_it_as_it_was,
                a_session_whose_name_was_made_up_is_found_again_wherever_it_was_at_work,
                what_a_command_makes_once_its_guard_was_killed_goes_when_its_session_is_named,
                a_clean_leaves_what_a_living_guard_keeps_open,
                a_session_that_was_ended_is_over_whatever_it_kept,
                a_session_that_was_started_twice_takes_two_ends,
                what_a_sessions_volumes_held_is_counted_whoever_ends_it,
                a_name_that_nobody_knows_is_told_and_is_no_failure,
                tags_that_went_from_session_to_session_come_back_in_the_end,
                what_bears_the_label_is_narrowed_by_age_and_told_with_its_bytes,
                what_is_older_than_a_session_may_be_somebody_elses,
                what_two_sessions_built_goes_with_the_last_of_them,
            ],
        )
        .on(
            docker,
            promises![
                a_guard_that_was_killed_leaves_its_failure_for_a_look,
                the_command_of_a_guard_goes_to_the_engine_that_was_said_before_the_verb,
                a_guard_that_was_faster_than_its_watcher_is_known_later,
                what_a_session_built_on_another_engine_is_told_of,
            ],
        )
        .on_one_engine()
}

/// A working copy of acme/payments, by the remote of its git or only by its own word.
fn checkout(state: &State, name: &str, remote: bool) -> PathBuf {
    hostile_checkout::checkout(state, name, "acme/payments", remote)
}

/// The classic builder's first steps are the same in both.
fn what_two_sessions_built_goes_with_the_last_of_them(engine: &Engine) {
    let context = Context::from_base("RUN echo 1 >/1\nRUN echo 2 >/2");
    let before = engine.images().len();
    for end in [&["clean", "--session"][..], &["session", "end"]] {
        let books = Books::of(engine);
        let dkb = |session: &str| books.dkb(engine).session(session).env("DOCKER_BUILDKIT", "0");
        let build = |session: &str| {
            let build = dkb(session).args(["build", "-t", &format!("app:{session}")]);
            build.arg(context.path()).run().success();
        };
        let end = |session: &str| dkb(session).args(end.iter().copied()).arg(session).run().success();
        build("one");
        build("two");
        end("one").says("other session").says("two");
        assert!(!engine.has("app:one") && engine.has("app:two"), "{}", engine.inventory());
        dkb("three").args(["status", "--all"]).run().success().says("session two");
        // One that goes on builds again, and they are its own once more.
        build("one");
        end("two").says("other session").says("one");
        assert!(engine.images().len() > before + 1, "{}", engine.inventory());
        end("one");
        assert_eq!(engine.images().len(), before, "{}", engine.inventory());
    }
}

/// An image, a container of it, and one with the run label.
fn leave(engine: &Engine, dkb: &Command, tag: &str, label: &str) {
    let context = Context::from_base(&format!("RUN echo {tag} >/built"));
    dkb.clone().args(["build", "-q", "-t", tag]).arg(context.path()).run().success();
    engine.docker(["run", "-d", "--stop-timeout", "1", tag, "sleep", "1000"]).run().success();
    engine.container("lab/base").label("dev.dkb.run", label).running();
}

fn a_guard_leaves_what_another_working_copy_has_in_its_session(engine: &Engine) {
    let state = State::new();
    let (victim, hostile) = (checkout(&state, "victim", true), checkout(&state, "hostile", false));
    let dkb = |folder: &Path| engine.dkb_in(&state).cwd(folder).session("e2e");
    let there =
        || (engine.has("pay:1"), engine.api().containers().iter().filter(|one| one["State"] == "running").count());
    leave(engine, &dkb(&victim), "pay:1", "acme/payments:e2e");
    let told = dkb(&hostile).args(["guard", "--", "true"]).run().success();
    assert_eq!(there(), (true, 2), "{}\n{}", told.err(), engine.inventory());
    told.warns("another working copy").warns("dkb --project acme/payments session end e2e");
    // Its watcher is no way around that.
    let guard = dkb(&hostile).args(["guard", "--", "sh", "-c", "touch ready; exec sleep 1000"]).spawn();
    assert!(eventually(SOON, || hostile.join("ready").exists()));
    guard.signal("KILL");
    let session = dkb::ledger::State::at(state.state_dir()).session(&key("acme/payments", "e2e"));
    assert!(eventually(SOON, || session.owner(None).is_none()), "the watcher never went");
    assert_eq!(there(), (true, 2), "by the watcher\n{}", engine.inventory());
    // Whoever says the name means it, and so does whoever is in the working copy that made it all.
    dkb(&hostile).args(["--project", "acme/payments", "guard", "--", "true"]).run().success();
    assert_eq!(there(), (false, 0), "{}", engine.inventory());
    let own = || engine.dkb_in(&state).cwd(&victim).session("mine");
    leave(engine, &own(), "pay:1", "acme/payments:mine");
    own().args(["guard", "--", "true"]).run().success();
    assert_eq!(there(), (false, 0), "{}", engine.inventory());
}

/// A guard whose command has left an image and a container here, killed with its watcher as by a loss of power.
fn killed_guard(engine: &Engine, state: &State, dkb: &Command, folder: &Path, more: &str) {
    let context = Context::from_base("RUN echo dead >/built");
    let script = format!(
        "set -e; {dkb} build -q -t dead:1 {context}; \
         docker run -d --stop-timeout 1 --label $DKB_LABEL lab/base sleep 1000; {more}; touch ready; exec sleep 1000",
        dkb = dkb_path().display(),
        context = context.path().display(),
    );
    let _ = std::fs::remove_file(folder.join("ready"));
    let guard = dkb.clone().args(["guard", "--", "sh", "-c", &script]).spawn();
    assert!(eventually(SOON, || folder.join("ready").exists()), "{}", engine.inventory());
    lose_power(state);
    drop(guard.wait());
    assert!(engine.has("dead:1"));
}

fn who_opens_another_working_copys_dead_session_leaves_it_as_it_was(engine: &Engine) {
    let state = State::new();
    let (first, second) = (checkout(&state, "first", true), checkout(&state, "second", false));
    let dkb = |folder: &Path| engine.dkb_in(&state).cwd(folder);
    killed_guard(engine, &state, &dkb(&first).session("e2e"), &first, "true");
    // Engines tell whole seconds, and a few more are allowed for.
    std::thread::sleep(Duration::from_secs(7));
    dkb(&second).session("e2e").args(["guard", "--", "true"]).run().success().warns("another working copy");
    dkb(&second).session("e2e").args(["guard", "--", "no-such-program"]).run().code(127);
    // Its watcher knows no more than itself.
    let guard = dkb(&second).session("e2e").args(["guard", "--", "sh", "-c", "touch ready; exec sleep 1000"]).spawn();
    assert!(eventually(SOON, || second.join("ready").exists()));
    guard.signal("KILL");
    let books = dkb::ledger::State::at(state.state_dir());
    let openers = || books.openings(None).get(&key("acme/payments", "e2e")).map_or(0, |opening| opening.copies.len());
    assert!(eventually(SOON, || openers() == 1), "the watcher never went");
    dkb(&first).args(["clean", "--stale"]).run().success();
    let containers = || engine.api().containers().len();
    assert_eq!((engine.has("dead:1"), containers()), (false, 0), "{}", engine.inventory());
    // What the second has run there is not the first's to take.
    killed_guard(engine, &state, &dkb(&first).session("e3e"), &first, "true");
    std::thread::sleep(Duration::from_secs(7));
    let run = "docker run -d --stop-timeout 1 --label $DKB_LABEL lab/base sleep 1000";
    dkb(&second).session("e3e").args(["guard", "--", "sh", "-c", run]).run().success().warns("another working copy");
    dkb(&first).args(["clean", "--stale"]).run().success();
    assert_eq!((engine.has("dead:1"), containers()), (true, 2), "{}", engine.inventory());
    dkb(&first).args(["clean", "--stale", "--project", "acme/payments"]).run().success();
    assert_eq!((engine.has("dead:1"), containers()), (false, 0), "{}", engine.inventory());
}

fn a_session_whose_name_was_made_up_is_found_again_wherever_it_was_at_work(engine: &Engine) {
    let state = State::new();
    let (first, second) = (checkout(&state, "first", true), checkout(&state, "second", true));
    let dkb = |folder: &Path| engine.dkb_in(&state).cwd(folder);
    let context = Context::from_base("RUN echo there >/built");
    let there = format!(
        "cd {} && {} build -q -t there:1 {} && cd -",
        second.display(),
        dkb_path().display(),
        context.path().display()
    );
    killed_guard(engine, &state, &dkb(&first), &first, &there);
    let left = || (engine.has("dead:1"), engine.has("there:1"), engine.api().containers().len());
    assert_eq!(left(), (true, true, 1));
    dkb(&second).args(["clean", "--stale"]).run().success();
    assert_eq!(left(), (true, true, 1), "{}", engine.inventory());
    dkb(&first).args(["clean", "--stale"]).run().success();
    assert_eq!(left(), (false, false, 0), "{}", engine.inventory());
}

fn what_a_command_makes_once_its_guard_was_killed_goes_when_its_session_is_named(engine: &Engine) {
    let state = State::new();
    let folder = state.work().clone();
    let dkb = || engine.dkb_in(&state).cwd(&folder);
    let script = "echo $DKB_SESSION >name; touch ready; while [ ! -e go ]; do sleep 0.05; done; \
                  docker volume create --label $DKB_LABEL late; docker network create --label $DKB_LABEL late; \
                  docker run -d --stop-timeout 1 --label $DKB_LABEL -v late:/late lab/base sleep 1000; touch done";
    // The guard's end is nothing to a command in a process session of its own.
    let guard = dkb().args(["guard", "--", "setsid", "sh", "-c", script]).spawn();
    assert!(eventually(SOON, || folder.join("ready").exists()), "{}", engine.inventory());
    guard.signal("KILL");
    let books = dkb::ledger::State::at(state.state_dir());
    assert!(eventually(SOON, || books.openings(None).is_empty()), "its watcher never went");
    std::fs::write(folder.join("go"), "").expect("a mark");
    assert!(eventually(SOON, || folder.join("done").exists()), "{}", engine.inventory());
    dkb().args(["clean", "--stale"]).run().success();
    let left = || (engine.api().containers().len(), engine.api().volumes().len());
    assert_eq!(left(), (1, 1), "{}", engine.inventory());
    let name = std::fs::read_to_string(folder.join("name")).expect("the session's name");
    // Who has another ledger has never heard of it.
    let others = State::new();
    engine.dkb_in(&others).cwd(&folder).args(["session", "end", name.trim()]).run();
    assert_eq!(left(), (1, 1), "{}", engine.inventory());
    dkb().args(["session", "end", name.trim()]).run().success();
    assert_eq!(left(), (0, 0), "{}", engine.inventory());
    assert!(!engine.api().networks().iter().any(|network| network["Name"] == "late"), "{}", engine.inventory());
    // A name that nobody had is told.
    dkb().args(["session", "end", "run-0123456789ab"]).run().code(2).warns("has no such session");
    dkb().args(["session", "end", "run-0123456789ab"]).run().code(2).warns("has no such session");
}

fn a_clean_leaves_what_a_living_guard_keeps_open(engine: &Engine) {
    let scene = Scene::new(engine);
    let dkb = || engine.dkb_in(&scene.state).project("p");
    // Without a name, and with the label on something that has stopped.
    let untagged = Context::from_base("RUN echo untagged >/built");
    let inner = format!("{} clean >cleaned", dkb_path().display());
    let end = format!("while [ ! -e go ]; do sleep 0.05; done; {inner}");
    let guard = scene.guard(&[], &end).spawn();
    scene.wait_until_ready();
    dkb().session("s").args(["build", "-q"]).arg(untagged.path()).run().success();
    let seen = || {
        let api = engine.api();
        (engine.images().len(), api.containers().len(), api.volumes().len(), api.networks().len())
    };
    let before = seen();
    for (session, words) in [("s", &["clean"][..]), ("s", &["clean", "--session"]), ("t", &["clean", "--session", "s"])]
    {
        let told = dkb().session(session).args(words.iter().copied()).run().success();
        assert_eq!(seen(), before, "{session} {words:?}\n{}\n{}", told.err(), engine.inventory());
        if words.len() > 1 {
            told.warns("session s is still in use");
        }
    }
    // Its own command may.
    std::fs::write(scene.state.work().join("go"), "").expect("a mark");
    guard.wait().success();
    let cleaned = std::fs::read_to_string(scene.state.work().join("cleaned")).expect("what it said");
    assert!(cleaned.contains("removed   ") && !cleaned.contains("removed   0"), "{cleaned}");
    scene.is_clean();
}

fn start(dkb: &Command, ttl: &str) -> String {
    dkb.clone().args(["session", "start", "--ttl", ttl]).run().success().out().trim().to_owned()
}

fn build(dkb: &Command, session: &str, tag: &str) {
    let context = Context::from_base(&format!("RUN echo {session} >/built"));
    dkb.clone().session(session).args(["build", "-q", "-t", tag]).arg(context.path()).run().success();
}

fn is_alive(dkb: &Command) -> bool {
    dkb.clone().args(["status"]).run().success().out().contains("at work for")
}

fn a_session_that_was_ended_is_over_whatever_it_kept(engine: &Engine) {
    let state = State::new();
    let dkb = engine.dkb_in(&state).project("p");
    let session = start(&dkb, "15s");
    let over = std::time::Instant::now() + Duration::from_secs(17);
    build(&dkb, &session, "s:1");
    let run = || engine.container("s:1").label("dev.dkb.run", "x:y").running();
    let stranger = run();
    assert!(is_alive(&dkb));
    let ended = dkb.clone().args(["session", "end", &session]).run().success();
    assert!(!is_alive(&dkb), "nothing holds it");
    ended.warns("what is kept for now goes with dkb clean --stale");
    // What comes later is none of its business, nor of its watcher's.
    engine.docker(["rm", "-f", &stranger]).run().success();
    let later = engine.container("s:1").running();
    std::thread::sleep(over.saturating_duration_since(std::time::Instant::now()));
    let runs = engine.api().containers().iter().any(|one| one["Id"] == later.as_str() && one["State"] == "running");
    assert!(runs, "{}", engine.inventory());
    engine.docker(["rm", "-f", &later]).run().success();
    dkb.clone().args(["clean", "--stale"]).run().success().never_warns("was cut off");
    assert!(!engine.has("s:1"), "{}", engine.inventory());
}

fn a_session_that_was_started_twice_takes_two_ends(engine: &Engine) {
    let state = State::new();
    let dkb = engine.dkb_in(&state).project("p").session("twice");
    for _ in 0..2 {
        assert_eq!(start(&dkb, "600s"), "twice");
        dkb.clone().args(["session", "list"]).run().success().says("twice");
    }
    build(&dkb, "twice", "s:1");
    let end = || dkb.clone().args(["session", "end", "twice"]).run().success();
    end().warns("session twice is still in use");
    assert!(engine.has("s:1"), "{}", engine.inventory());
    end().never_warns("in use");
    assert!(!engine.has("s:1"), "{}", engine.inventory());
    assert!(eventually(SOON, || !is_alive(&dkb)), "nothing holds it");
    // Whoever goes is not counted again, however soon the next end comes.
    for _ in 0..3 {
        start(&dkb, "600s");
        for _ in 0..3 {
            start(&dkb, "600s");
            end().warns("session twice is still in use");
        }
        build(&dkb, "twice", "s:1");
        end().never_warns("in use");
        assert!(!engine.has("s:1"), "{}", engine.inventory());
    }
    // An end that comes while a guard runs in it leaves the rest to the guard.
    start(&dkb, "600s");
    build(&dkb, "twice", "s:1");
    let guard = dkb.clone().cwd(state.work()).args(["guard", "--", "sh", "-c", "touch ready; exec sleep 1000"]).spawn();
    assert!(eventually(SOON, || state.work().join("ready").exists()));
    end().warns("session twice is still in use");
    assert!(engine.has("s:1"), "{}", engine.inventory());
    guard.signal("TERM");
    drop(guard.wait());
    assert!(!engine.has("s:1"), "{}", engine.inventory());
}

fn tags_that_went_from_session_to_session_come_back_in_the_end(engine: &Engine) {
    let state = State::new();
    let dkb = engine.dkb_in(&state).project("p");
    let theirs = engine.image().tag("app:dev").make();
    let sessions = [start(&dkb, "1h"), start(&dkb, "1h"), start(&dkb, "1h")];
    for session in &sessions {
        build(&dkb, session, "app:dev");
    }
    for n in [1, 0, 2] {
        dkb.clone().args(["session", "end", &sessions[n]]).run().success();
    }
    assert!(eventually(SOON, || !is_alive(&dkb)), "nothing holds them");
    let now = || engine.find("app:dev").map(|image| image.id);
    assert_eq!(now(), Some(theirs.id.clone()), "past those that are over\n{}", engine.inventory());
    dkb.clone().args(["clean", "--stale"]).run().success();
    assert_eq!(now(), Some(theirs.id.clone()), "{}", engine.inventory());
    assert!(engine.images().iter().all(|image| !image.tags.is_empty()), "{}", engine.inventory());
}

fn a_guard_that_was_killed_leaves_its_failure_for_a_look(engine: &Engine) {
    // What leaves everything has no watcher where it only names the session.
    for flag in ["--keep-on-failure", "--no-clean"] {
        let scene = Scene::new(engine);
        let guard = scene.guard(&[flag], "exec sleep 1000").spawn();
        scene.wait_until_ready();
        let dkb = || engine.dkb_in(&scene.state).project("p");
        guard.signal("KILL");
        assert!(eventually(SOON, || !is_alive(&dkb())), "its watcher never went");
        dkb().session("next").args(["clean", "--stale"]).run().success().never_warns("was cut off");
        let running = |one: &serde_json::Value| one["Image"] == "app:latest" && one["State"] == "running";
        let runs = || engine.api().containers().iter().any(running);
        assert!(engine.has("app:latest") && runs(), "{flag}: {}", engine.inventory());
        dkb().args(["session", "end", "s"]).run().success();
        scene.is_clean();
        engine.wipe();
    }
}

fn the_command_of_a_guard_goes_to_the_engine_that_was_said_before_the_verb(engine: &Engine) {
    let scene = Scene::new(engine);
    let (nowhere, books) = ("unix:///nowhere.sock", scene.state.work().join("books"));
    let settings = scene.state.work().join("settings.toml");
    std::fs::write(&settings, format!("state_dir = \"{}\"\n", books.display())).expect("a file");
    inside(&engine.dkb_in(&scene.state), "docker")
        .args(["context", "create", "lab", "--docker"])
        .arg(format!("host={}", engine.host()))
        .run()
        .success();
    let script = scene.script("cd /; echo $DKB_STATE_DIR >$OLDPWD/told");
    for words in [["-H", &engine.host()], ["-c", "lab"]] {
        let dkb = engine.dkb_in(&scene.state).project("p").env("DOCKER_HOST", nowhere).no_env("DKB_STATE_DIR");
        let dkb = dkb.args(words).args(["--settings", "settings.toml"]);
        dkb.args(["guard", "--", "sh", "-c", &script]).run().success().warns("removed 4 containers");
        scene.is_clean();
        let told = std::fs::read_to_string(scene.state.work().join("told")).expect("what the command was told");
        assert_eq!(Path::new(told.trim()), books);
    }
    assert!(books.join("engines").exists() && !scene.state.state_dir().join("engines").exists());
}

fn what_a_session_built_on_another_engine_is_told_of(engine: &Engine) {
    let books = Books::of(engine);
    let of = key(PROJECT, SESSION);
    let wait = "touch ready; while [ ! -e go ]; do sleep 0.05; done";
    let guard = books.dkb(engine).args(["guard", "--", "sh", "-c", wait]).spawn();
    assert!(eventually(SOON, || books.state.work().join("ready").exists()));
    let other = |name: &str| dkb::ledger::State::at(books.state.state_dir()).ledger(name);
    let image = engine.image().make();
    let theirs = key(PROJECT, "t");
    let build = |of, age| Record::Build(books.build(of, &image, &["app:1"], age));
    other("BEFORE").append(&[build(&of, Duration::from_secs(3600))]).expect("a note");
    other("ANOTHERS").append(&[build(&theirs, Duration::ZERO)]).expect("a note");
    let known = Record::Session(SessionEntry::new(of.clone(), jiff::Timestamp::now()));
    other("OTHER").append(&[known, build(&of, Duration::ZERO)]).expect("a note");
    std::fs::write(books.state.work().join("go"), "").expect("a mark");
    let told = guard.wait().success().warns("built on another engine too, OTHER");
    told.never_warns("BEFORE").never_warns("ANOTHERS");
}

fn a_guard_that_was_faster_than_its_watcher_is_known_later(engine: &Engine) {
    let (state, proxy) = (State::new(), engine.proxy());
    // The first who asks is the watcher, and it waits for the answer when the guard is done.
    proxy.on("GET", "/info").first(1).delay(Duration::from_secs(20));
    let dkb = || engine.dkb_in(&state).project("p");
    let wait = "until [ -e go ]; do sleep 0.05; done";
    let guard = dkb().env("DOCKER_HOST", proxy.host()).session("e2e").args(["guard", "--", "sh", "-c", wait]).spawn();
    assert!(eventually(SOON, || proxy.count("GET", "/info") > 0), "the watcher never asked");
    std::fs::write(state.work().join("go"), "").expect("a mark");
    guard.wait().success();
    dkb().args(["session", "end", "e2e"]).run().success();
    dkb().args(["session", "end", "e3e"]).run().code(2).warns("p has no such session");
}

fn a_name_that_nobody_knows_is_told_and_is_no_failure(engine: &Engine) {
    let state = State::new();
    let dkb = |args: &[&str]| engine.dkb_in(&state).project("shop").args(args).run();
    let clean = |args: &[&str]| engine.dkb_in(&state).arg("clean").args(args).run().success();
    dkb(&["--session", "e2e-tests", "guard", "--", "true"]).success();
    engine.network("labelled", &[("dev.dkb.run", "shop:of-a-network")]);
    for args in [&["clean", "--session", "e2e-test"][..], &["clean", "--session", "e2e-test", "--dry-run"]] {
        dkb(args).success().warns("shop has no such session").warns("did you mean e2e-tests?");
    }
    for session in ["e2e-tests", "of-a-network"] {
        dkb(&["clean", "--session", session]).success().never_warns("no such session");
    }
    dkb(&["clean"]).success().never_warns("nothing here is known");
    clean(&["--project", "shopp"]).warns("nothing here is known of shopp").warns("did you mean shop?");
    // The job's own session has built nothing yet, and that is how it begins.
    let own = engine.dkb_in(&state).project("shop").session("fresh").args(["clean", "--session"]).run();
    own.success().never_warns("no such session");
    dkb(&["session", "end", "e2e-test"]).code(2).warns("did you mean e2e-tests?");
}

fn what_a_sessions_volumes_held_is_counted_whoever_ends_it(engine: &Engine) {
    let state = State::new();
    let dkb = || engine.dkb_in(&state).project("p").session("s");
    let fill = "docker volume create --label $DKB_LABEL data && \
                docker run --rm -v data:/data lab/base sh -c 'head -c 3000000 /dev/zero >/data/x'";
    let guard = |flags: &[&str]| {
        let guard = dkb().arg("guard").args(flags.iter().copied());
        guard.args(["--", "sh", "-c", fill]).run().success()
    };
    guard(&[]).warns("removed 1 volume");
    guard(&["--no-clean"]);
    dkb().args(["session", "end", "s"]).run().success().never_says("0 B");
    let log = dkb().args(["log", "--format", "json"]).run().success().json();
    let removed = log["removals"].as_array().expect("removals");
    assert!(!removed.is_empty() && removed.iter().all(|one| one["bytes"].as_u64() >= Some(3_000_000)), "{log:#}");
}

/// A stopped container, a network, and a volume with data, that bear this label.
fn label(engine: &Engine, label: &str) {
    let (key, value) = label.split_once('=').expect("a label");
    engine.container("lab/base").label(key, value).created();
    engine.network("labelled-net", &[(key, value)]);
    engine.volume("labelled-data", &[(key, value)]);
    let write = ["run", "--rm", "-v", "labelled-data:/data", "lab/base", "sh", "-c", "echo row >/data/rows"];
    engine.docker(write).run().success();
}

fn labelled(engine: &Engine) -> [bool; 3] {
    let api = engine.api();
    let named = |list: Vec<serde_json::Value>, name: &str| list.iter().any(|item| item["Name"] == name);
    [!api.containers().is_empty(), named(api.networks(), "labelled-net"), named(api.volumes(), "labelled-data")]
}

fn what_bears_the_label_is_narrowed_by_age_and_told_with_its_bytes(engine: &Engine) {
    let state = State::new();
    let dkb = engine.dkb_in(&state).project("p");
    build(&dkb, "nightly", "app:1");
    label(engine, "dev.dkb.run=p:nightly");
    let clean = |words: &[&str]| {
        let clean = dkb.clone().args(["clean", "--session"]).args(words.iter().copied());
        clean.args(["--yes", "--format", "json"])
    };
    let volume = |told: &serde_json::Value, list: &str| {
        let list = told[list].as_array().cloned().unwrap_or_default();
        list.into_iter().find(|one| one["type"] == "volume").unwrap_or_default()
    };
    for command in [clean(&["nightly", "--older-than", "7d"]), clean(&["nightly"]).env("DKB_OLDER_THAN", "7d")] {
        let told = command.run().success().json();
        assert_eq!(labelled(engine), [true; 3], "{told:#}");
        assert_eq!(volume(&told, "kept")["reason"], "too_young", "{told:#}");
    }
    let told = clean(&["nightly", "--dry-run"]).run().success().json();
    assert!(volume(&told, "steps")["bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{told:#}");
    clean(&["nightly"]).run().success();
    assert_eq!(labelled(engine), [false; 3], "{}", engine.inventory());
    // A working copy's own session goes on, and keeps its data.
    label(engine, dkb.clone().args(["session", "label"]).run().success().out().trim());
    let told = clean(&[]).run().success().json();
    assert_eq!(labelled(engine), [false, false, true], "{told:#}");
    assert_eq!(volume(&told, "kept")["reason"], "may_hold_data", "{told:#}");
    clean(&["--volumes"]).run().success();
    assert_eq!(labelled(engine), [false; 3], "{}", engine.inventory());
}

/// Two people use one name for a session, each with books of his own.
fn what_is_older_than_a_session_may_be_somebody_elses(engine: &Engine) {
    let (theirs, ours) = (State::new(), State::new());
    let dkb = |state: &State| engine.dkb_in(state).project("p").session("e2e");
    build(&engine.dkb_in(&theirs).project("p"), "e2e", "theirs:1");
    label(engine, "dev.dkb.run=p:e2e");
    // Engines tell whole seconds, and a few more are allowed for.
    std::thread::sleep(Duration::from_secs(7));
    let own = "docker network create --label $DKB_LABEL own-net";
    let is_there = || engine.api().networks().iter().any(|item| item["Name"] == "own-net");
    for round in 0..2 {
        dkb(&ours).args(["clean", "--session"]).run().success().says("made before the session");
        drop(dkb(&ours).args(["session", "end", "e2e"]).run());
        let told = dkb(&ours).args(["guard", "--", "sh", "-c", own]).run().success();
        told.warns("kept labelled-data: made before the session");
        // A name that was used before and is over begins anew.
        assert_eq!((labelled(engine), is_there()), ([true; 3], false), "{round}\n{}", engine.inventory());
    }
    dkb(&theirs).args(["clean", "--session"]).run().success();
    assert_eq!(labelled(engine), [false; 3], "{}", engine.inventory());
}

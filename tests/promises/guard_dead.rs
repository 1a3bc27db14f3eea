//! Sessions that died with guard and watcher: the next dkb says so once, and takes them away where it is told to.

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use dkb::ledger::{Intent, Keeper, KeptBy, SessionHold, State};
use dkb::model::{Build, Owner, Record, SessionEntry, SessionKey};
use dkb_lab::promise::{docker, one_of_each_kind};
use dkb_lab::{Command, Context, Engine, Placed, Promises, promises};
use jiff::Timestamp;

use crate::clean_host::{Books, PROJECT, key};

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on(
            one_of_each_kind,
            promises![
                a_dead_session_is_cleaned_by_builds_and_guards_that_are_told_to,
                only_the_dead_are_cleaned,
                who_opens_a_session_while_it_is_cleaned_keeps_what_is_left_of_it,
                what_is_built_again_while_it_is_cleaned_stays,
                who_builds_in_a_dead_session_while_it_is_cleaned_keeps_what_is_left_of_it,
                who_opens_a_session_while_a_host_is_swept_keeps_what_is_left_of_it,
                what_somebody_leaves_for_a_look_while_a_session_ends_stays,
                what_a_build_makes_while_its_session_ends_is_found_by_the_next_clean,
            ],
        )
        .on(
            docker,
            promises![
                the_next_dkb_of_any_kind_says_it_once,
                a_dead_session_that_will_not_go_changes_no_exit_code,
                a_session_that_was_opened_again_is_left_alone,
            ],
        )
        .on_one_engine()
}

/// Notes a session as one of this engine, opened here.
pub(crate) fn opened(books: &Books, of: &SessionKey) -> SessionHold {
    books.note(&[Record::Session(SessionEntry::new(of.clone(), Timestamp::now()))]);
    open(&books.state.state_dir(), of).0
}

fn open(state: &Path, of: &SessionKey) -> (SessionHold, Keeper) {
    let owner = Owner { machine: dkb::config::here::machine(), since: Timestamp::now(), command: "just".to_owned() };
    let by = KeptBy { owner, guard: true, copy: None };
    State::at(state).session(of).open(&by).expect("the session's lock")
}

/// What a session left behind.
pub(crate) struct Left<'e> {
    engine: &'e Engine,
    pub(crate) image: Placed,
    pub(crate) container: String,
    pub(crate) volume: String,
}

impl<'e> Left<'e> {
    fn by(engine: &'e Engine, books: &Books, of: &SessionKey) -> Self {
        let name = of.session.as_str();
        let tag = format!("app:{name}");
        let image = engine.image().tag(&tag).make();
        books.built(of, &image, &[&tag]);
        let container = engine.container("lab/base").label("dev.dkb.run", &of.run_label()).running();
        engine.volume(name, &[("dev.dkb.run", &of.run_label())]);
        Self { engine, image, container, volume: name.to_owned() }
    }

    pub(crate) fn there(&self) -> [bool; 3] {
        let api = self.engine.api();
        let container = api.containers().iter().any(|one| one["Id"] == self.container.as_str());
        [self.engine.has(&self.image), container, api.volumes().iter().any(|one| one["Name"] == self.volume.as_str())]
    }
}

pub(crate) fn dead<'e>(engine: &'e Engine, books: &Books, session: &str) -> Left<'e> {
    let of = key(PROJECT, session);
    drop(opened(books, &of));
    Left::by(engine, books, &of)
}

fn build(engine: &Engine, books: &Books, context: &Context) -> Command {
    books.dkb(engine).args(["build", "-q", "-t", "app:mine"]).arg(context.path())
}

fn guard(engine: &Engine, books: &Books) -> Command {
    books.dkb(engine).no_env("DKB_SESSION").args(["guard", "--", "sh", "-c", "exit 7"])
}

fn in_ci(command: Command) -> Command {
    command.env("CI", "true").env("GITLAB_CI", "true").env("CI_JOB_ID", "77").env("CI_PROJECT_PATH", "team/app")
}

fn a_dead_session_is_cleaned_by_builds_and_guards_that_are_told_to(engine: &Engine) {
    let books = Books::of(engine);
    let (fine, broken) = (Context::from_base("RUN true"), Context::from_base("RUN false"));
    let off = dead(engine, &books, "off");
    build(engine, &books, &fine).run().success().warns("session off of app (just, since");
    guard(engine, &books).run().code(7).never_warns("off");
    in_ci(build(engine, &books, &fine)).env("DKB_CLEAN_DEAD", "false").run().success();
    assert_eq!(off.there(), [true; 3], "nobody was told to clean it");

    in_ci(build(engine, &books, &fine)).run().success().never_warns("cut off");
    assert_eq!(off.there(), [false; 3], "in CI it is on");
    for (session, command, code) in [
        ("by-build", build(engine, &books, &fine), 0),
        ("by-broken-build", build(engine, &books, &broken), 1),
        ("by-guard", guard(engine, &books), 7),
    ] {
        let on = dead(engine, &books, session);
        command.env("DKB_CLEAN_DEAD", "true").run().code(code).never_warns("cut off");
        assert_eq!(on.there(), [false; 3], "{session}\n{}", engine.inventory());
    }
    books.dkb(engine).arg("status").run().success().never_says("dead");
}

fn only_the_dead_are_cleaned(engine: &Engine) {
    let books = Books::of(engine);
    let _at_work = opened(&books, &key(PROJECT, "alive"));
    let alive = Left::by(engine, &books, &key(PROJECT, "alive"));
    let unowned = Left::by(engine, &books, &key(PROJECT, "unowned"));
    let elsewhere = key("tool", "elsewhere");
    drop(opened(&books, &elsewhere));
    let elsewhere = Left::by(engine, &books, &elsewhere);
    let context = Context::from_base("RUN true");
    for command in [build(engine, &books, &context), guard(engine, &books)] {
        drop(in_ci(command).env("DKB_CLEAN_DEAD", "true").run());
        assert_eq!((alive.there(), unowned.there(), elsewhere.there()), ([true; 3], [true; 3], [true; 3]));
    }
}

fn the_next_dkb_of_any_kind_says_it_once(engine: &Engine) {
    let books = Books::of(engine);
    let context = Context::from_base("RUN true");
    let dkb = |args: &[&str]| books.dkb(engine).args(args.iter().copied());
    books.note(&[Record::Session(SessionEntry::new(key(PROJECT, "nobodys"), Timestamp::now()))]);
    for (n, next) in [
        build(engine, &books, &context),
        dkb(&["clean", "--dry-run"]),
        dkb(&["status"]),
        dkb(&["guard", "--", "true"]),
        dkb(&["session", "end", "nobodys"]),
        dkb(&["sweep", "--dry-run"]),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("dead-{n}");
        drop(opened(&books, &key(PROJECT, &name)));
        let word = format!("session {name} of app (just, since");
        let said = next.run().success().warns(&word);
        assert_eq!(said.err().matches("cut off").count(), 1, "{said}");
        next.run().success().never_warns("cut off");
    }
    for _ in 0..2 {
        // Whoever asks how things stand hears it as long as it is so, and how it ends from where he is.
        let said = dkb(&["status"]).run().success().warns("session dead-0 of app (just, since");
        said.warns("is over, and not all of it is gone; dkb clean --stale takes it away");
        dkb(&["status"]).project("tool").run().success().warns("; dkb --project app clean --stale takes it away");
    }
}

fn a_dead_session_that_will_not_go_changes_no_exit_code(engine: &Engine) {
    let (books, proxy) = (Books::of(engine), engine.proxy());
    let stuck = dead(engine, &books, "stuck");
    proxy.on("POST", "/stop").answer(500, "no strength left");
    let context = Context::from_base("RUN true");
    for (command, code) in [(build(engine, &books, &context), 0), (guard(engine, &books), 7)] {
        let command = command.env("DKB_CLEAN_DEAD", "true").env("DOCKER_HOST", proxy.host());
        command.run().code(code).never_warns("this build was not noted").never_warns("was not cleaned:");
        assert!(stuck.there()[1]);
    }
    drop(proxy);
    books.dkb(engine).args(["clean", "--stale"]).run().success();
    assert_eq!(stuck.there(), [false; 3], "what failed is found again");
}

fn a_session_that_was_opened_again_is_left_alone(engine: &Engine) {
    let (books, proxy) = (Books::of(engine), engine.proxy());
    let reopened = dead(engine, &books, "again");
    let state = State::at(books.state.state_dir());
    let hold = Mutex::new(None);
    // The build has ended, and the first of the looks that follow is for the dead.
    proxy.on("GET", "/containers/json").run(move |_| {
        let mut hold = hold.lock().expect("no test panics here");
        hold.get_or_insert_with(|| state.session(&key(PROJECT, "again")).hold().expect("its lock"));
    });
    let context = Context::from_base("RUN true");
    let command = build(engine, &books, &context).env("DKB_CLEAN_DEAD", "true").env("DOCKER_HOST", proxy.host());
    command.run().success();
    assert!(proxy.count("GET", "/containers/json") > 0, "the dead were looked at");
    assert_eq!(reopened.there(), [true; 3]);
}

/// While the engine waits for a container to stop there is time for very much.
fn who_opens_a_session_while_it_is_cleaned_keeps_what_is_left_of_it(engine: &Engine) {
    for verb in [&["clean", "--stale"] as &[&str], &["clean", "--session", "again"]] {
        let (books, proxy) = (Books::of(engine), engine.proxy());
        let reopened = dead(engine, &books, "again");
        let folder = books.state.state_dir();
        let hold = Mutex::new(None);
        proxy.on("POST", "/stop").run(move |_| {
            let mut hold = hold.lock().expect("no test panics here");
            hold.get_or_insert_with(|| open(&folder, &key(PROJECT, "again")));
        });
        // Whoever names a session leaves running what he did not open, and finds the time with a container that ended.
        if verb.len() > 2 {
            engine.api().post(&format!("/containers/{}/stop?t=0", reopened.container), &serde_json::Value::Null);
            let folder = books.state.state_dir();
            let hold = Mutex::new(None);
            proxy.on_request(|request| request.method == "DELETE").run(move |_| {
                let mut hold = hold.lock().expect("no test panics here");
                hold.get_or_insert_with(|| open(&folder, &key(PROJECT, "again")));
            });
        }
        let output = books.dkb(engine).args(verb.iter().copied()).env("DOCKER_HOST", proxy.host()).run();
        let [image, _, volume] = reopened.there();
        assert!(image && volume, "{verb:?}\n{output}\n{}", engine.inventory());
        output.says("changed since");
        drop(proxy);
        books.dkb(engine).args(["clean", "--stale"]).run().success();
        assert_eq!(reopened.there(), [false; 3], "{verb:?}, once nobody keeps it open\n{}", engine.inventory());
    }
}

fn what_is_built_again_while_it_is_cleaned_stays(engine: &Engine) {
    let (books, proxy) = (Books::of(engine), engine.proxy());
    let (again, other) = (dead(engine, &books, "again"), dead(engine, &books, "other"));
    let build = books.build(&key(PROJECT, "again"), &again.image.id, &["app:again"], Duration::ZERO);
    let ledger = books.ledger.clone();
    proxy.on("POST", "/stop").first(1).run(move |_| ledger.append(&[Record::Build(build.clone())]).expect("a note"));
    let output = books.dkb(engine).args(["clean", "--stale"]).env("DOCKER_HOST", proxy.host()).run();
    assert!(again.there()[0] && !other.there()[0], "{output}\n{}", engine.inventory());
    output.says("changed since");
}

fn who_builds_in_a_dead_session_while_it_is_cleaned_keeps_what_is_left_of_it(engine: &Engine) {
    for in_ci in [false, true] {
        let (books, proxy) = (Books::of(engine), engine.proxy());
        let rebuilt = dead(engine, &books, "again");
        let of = key(PROJECT, "again");
        let build = books.build(&of, &rebuilt.image.id, &["app:another"], Duration::ZERO);
        let folder = books.state.state_dir();
        let at_work = Mutex::new(None);
        proxy.on("POST", "/stop").run(move |_| {
            let mut at_work = at_work.lock().expect("no test panics here");
            at_work.get_or_insert_with(|| {
                let state = State::at(&folder);
                let hold = state.session(&of).hold().expect("the session's lock");
                (hold, state.begin(&intent(&build)).expect("a build"))
            });
        });
        // By whoever is told to, and by what a build does for its own project in CI.
        let dkb = books.dkb(engine).env("DOCKER_HOST", proxy.host());
        let fine = Context::from_base("RUN true");
        let dkb = if in_ci {
            dkb.env("DKB_CLEAN_DEAD", "true").args(["build", "-q", "-t", "app:mine"]).arg(fine.path())
        } else {
            dkb.args(["clean", "--stale"])
        };
        let output = dkb.run();
        let [image, _, volume] = rebuilt.there();
        assert!(image && volume, "in CI: {in_ci}\n{output}\n{}", engine.inventory());
        drop(proxy);
        books.dkb(engine).args(["clean", "--stale"]).run().success();
        assert_eq!(rebuilt.there(), [false; 3], "once nobody builds in it\n{}", engine.inventory());
    }
}

/// As a build that begins would note it.
fn intent(build: &Build) -> Intent {
    Intent {
        tags: build.tags.clone(),
        key: "another".to_owned(),
        stamp: build.of.clone().into(),
        ..Intent::new(build.build.clone(), build.of.clone(), Timestamp::now())
    }
}

fn who_opens_a_session_while_a_host_is_swept_keeps_what_is_left_of_it(engine: &Engine) {
    let (books, proxy) = (Books::of(engine), engine.proxy());
    let reopened = dead(engine, &books, "again");
    let strangers = engine.container("lab/base").running();
    for container in [&reopened.container, &strangers] {
        engine.api().post(&format!("/containers/{container}/stop?t=0"), &serde_json::Value::Null);
    }
    let folder = books.state.state_dir();
    let hold = Mutex::new(None);
    proxy.on_request(|request| request.method == "DELETE").run(move |_| {
        let mut hold = hold.lock().expect("no test panics here");
        hold.get_or_insert_with(|| open(&folder, &key(PROJECT, "again")));
    });
    let sweep = || {
        let flags = ["sweep", "--until", "0s", "--all-images", "--volumes", "--skip", "cache", "--yes"];
        books.dkb(engine).args(flags).env("DOCKER_HOST", proxy.host())
    };
    let output = sweep().run();
    let [image, _, volume] = reopened.there();
    assert!(image && volume, "{output}\n{}", engine.inventory());
    let gone = |id: &str| engine.api().containers().iter().all(|one| one["Id"] != id);
    assert!(gone(&strangers), "{output}");
    drop(proxy);
}

/// The end of one waits for a container, and a second one comes, fails, and is left as it is.
fn what_somebody_leaves_for_a_look_while_a_session_ends_stays(engine: &Engine) {
    let (books, proxy) = (Books::of(engine), engine.proxy());
    let left = dead(engine, &books, "again");
    let guard =
        books.dkb(engine).no_env("DKB_SESSION").args(["guard", "--session", "again", "--keep-on-failure", "--"]);
    let guard = guard.args(["sh", "-c", "exit 1"]);
    let guard = Mutex::new(Some(guard));
    proxy.on("POST", "/stop").run(move |_| {
        if let Some(guard) = guard.lock().expect("no test panics here").take() {
            guard.run().fails();
        }
    });
    let output = books.dkb(engine).args(["session", "end", "again"]).env("DOCKER_HOST", proxy.host()).run();
    output.clone().warns("somebody opened session again while it was to end, so it is left");
    let [image, _, volume] = left.there();
    assert!(image && volume, "{output}\n{}", engine.inventory());
    drop(proxy);
    books.dkb(engine).args(["clean", "--stale"]).run().success();
    assert!(left.there()[2], "it was left for a look\n{}", engine.inventory());
    books.dkb(engine).args(["session", "end", "again"]).run().success();
    assert_eq!(left.there(), [false; 3], "{}", engine.inventory());
}

fn what_a_build_makes_while_its_session_ends_is_found_by_the_next_clean(engine: &Engine) {
    let (books, proxy) = (Books::of(engine), engine.proxy());
    dead(engine, &books, "again");
    let context = Context::from_base("RUN echo late >/late");
    let build = books.dkb(engine).session("again").args(["build", "-q", "-t", "app:late"]).arg(context.path());
    let build = Mutex::new(Some(build));
    proxy.on("POST", "/stop").run(move |_| {
        if let Some(build) = build.lock().expect("no test panics here").take() {
            build.run().success();
        }
    });
    let output = books.dkb(engine).args(["session", "end", "again"]).env("DOCKER_HOST", proxy.host()).run();
    drop(proxy);
    assert!(engine.has("app:late"), "{output}\n{}", engine.inventory());
    let output = books.dkb(engine).args(["clean", "--stale"]).run().success();
    assert!(!engine.has("app:late"), "{output}\n{}", engine.inventory());
}

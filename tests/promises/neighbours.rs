//! Neighbours on one engine: what others run, own and build beside a session is theirs, whatever it looks like.

use std::time::Duration;

use dkb::model::{SessionKey, Stamp};
use dkb::plan::ci;
use dkb_lab::dkb::{State, dkb_path};
use dkb_lab::{Context, Engine, Promises, eventually, promises};
use serde_json::Value;

use crate::clean_host::{Books, PROJECT, SESSION, key, reason, steps};
use crate::guard_scene::SOON;
use crate::hostile_checkout;

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on_every_engine(promises![
            a_guard_that_opens_a_session_while_it_ends_keeps_what_is_left,
            the_session_of_a_colleague_is_not_stopped,
            a_job_that_is_at_work_in_our_slot_is_not_over,
            a_session_that_does_not_exist_is_not_ended,
            a_checkout_cleans_what_it_built_itself_whatever_it_calls_itself,
        ])
        .on_one_engine()
        .on_every_engine(promises![
            a_session_of_the_same_name_in_another_project_is_another_one,
            the_last_of_two_guards_of_one_session_ends_it,
            a_container_that_was_only_created_waits_for_whoever_starts_it,
            what_a_neighbour_runs_of_our_image_is_the_neighbours,
            what_only_looks_like_the_sessions_is_not,
            data_that_nobody_named_is_a_step_of_its_own,
        ])
}

/// A guard whose command leaves one of everything, named after `name`, and then waits to be told.
struct Guarded<'e> {
    engine: &'e Engine,
    state: &'e State,
    name: &'static str,
    running: Option<dkb_lab::command::Running>,
}

impl<'e> Guarded<'e> {
    fn new(engine: &'e Engine, state: &'e State, name: &'static str, project: &str, session: &str) -> Self {
        let context = Context::from_base(&format!("RUN echo {name} >/built"));
        let script = format!(
            "set -e
             {dkb} build -q -t {name}:1 {context} >{name}.id
             docker run -d --stop-signal KILL --name {name} --label \"$DKB_LABEL\" lab/base sleep 1000 >{name}.one
             docker run -d --stop-signal KILL {name}:1 sleep 1000 >{name}.two
             docker volume create --label \"$DKB_LABEL\" {name} >{name}.three
             docker network create --label \"$DKB_LABEL\" {name} >{name}.four
             touch {name}.ready
             while [ -e {name}.ready ] && [ ! -e {name}.go ]; do sleep 0.05; done",
            dkb = dkb_path().display(),
            context = context.path().display(),
        );
        let guard = engine.dkb_in(state).project(project).args(["guard", "--session", session, "--", "sh", "-c"]);
        let guarded = Self { engine, state, name, running: Some(guard.arg(script).spawn()) };
        assert!(eventually(SOON, || guarded.file("ready").exists()), "{}", engine.inventory());
        guarded
    }

    fn file(&self, of: &str) -> std::path::PathBuf {
        self.state.work().join(format!("{}.{of}", self.name))
    }

    /// Image, labelled container, unlabelled container, volume, network.
    fn there(&self) -> [bool; 5] {
        let api = self.engine.api();
        let named = |list: Vec<Value>| list.iter().any(|one| one["Name"] == self.name);
        let id = |of| std::fs::read_to_string(self.file(of)).expect("an ID").trim().to_owned();
        let runs =
            |id: String| api.containers().iter().any(|one| one["Id"] == id.as_str() && one["State"] == "running");
        [
            self.engine.has(&format!("{}:1", self.name)),
            runs(id("one")),
            runs(id("two")),
            named(api.volumes()),
            named(api.networks()),
        ]
    }

    fn end(&mut self) -> dkb_lab::command::Output {
        std::fs::write(self.file("go"), "").expect("a mark");
        self.running.take().expect("it runs").wait()
    }

    #[track_caller]
    fn is_whole(&self) {
        assert_eq!(self.there(), [true; 5], "{}\n{}", self.name, self.engine.inventory());
    }

    #[track_caller]
    fn is_gone(&self) {
        assert!(eventually(SOON, || self.there() == [false; 5]), "{:?}\n{}", self.there(), self.engine.inventory());
    }
}

fn a_session_of_the_same_name_in_another_project_is_another_one(engine: &Engine) {
    let state = State::new();
    let mut theirs = Guarded::new(engine, &state, "theirs", "q", "e2e");
    let dkb = || engine.dkb_in(&state).project("p");
    dkb().session("e2e").args(["guard", "--", "true"]).run().success();
    dkb().session("e2e").args(["clean", "--session", "--yes"]).run().success();
    dkb().args(["session", "end", "e2e"]).run().success();
    theirs.is_whole();
    theirs.end().success();
    theirs.is_gone();
}

fn the_last_of_two_guards_of_one_session_ends_it(engine: &Engine) {
    for killed in [false, true] {
        let state = State::new();
        let mut first = Guarded::new(engine, &state, "first", "p", "e2e");
        let mut second = Guarded::new(engine, &state, "second", "p", "e2e");
        if killed {
            first.running.as_ref().expect("it runs").signal("KILL");
            std::fs::write(first.file("go"), "").expect("a mark");
            drop(first.running.take().expect("it runs").wait());
        } else {
            first.end().success().warns("session e2e is still in use");
        }
        engine.dkb_in(&state).project("p").args(["session", "end", "e2e"]).run().success().warns("still in use");
        second.is_whole();
        first.is_whole();
        second.end().success();
        second.is_gone();
        first.is_gone();
        let status = engine.dkb_in(&state).project("p").args(["status"]).run().success();
        assert!(!String::from_utf8_lossy(&status.stderr).contains("was cut off"));
        engine.wipe();
    }
}

fn a_guard_that_opens_a_session_while_it_ends_keeps_what_is_left(engine: &Engine) {
    let (state, proxy) = (State::new(), engine.proxy());
    let dkb = || engine.dkb_in(&state).project("p").session("e2e");
    let run = "docker run -d --stop-signal KILL --label \"$DKB_LABEL\" lab/base sleep 1000 >one
               docker volume create --label \"$DKB_LABEL\" data >two";
    let second = std::sync::Arc::new(std::sync::Mutex::new(None));
    let (opens, keep) = (dkb().args(["guard", "--", "sh", "-c"]), std::sync::Arc::clone(&second));
    let (ready, go) = (state.work().join("ready"), state.work().join("go"));
    let waits = format!("touch {}; while [ ! -e {} ]; do sleep 0.05; done", ready.display(), go.display());
    proxy.on("POST", "/stop").first(1).run(move |_| {
        *keep.lock().expect("no test panics here") = Some(opens.clone().arg(&waits).spawn());
        assert!(eventually(SOON, || ready.exists()), "the second guard never got ready");
    });
    let first = dkb().env("DOCKER_HOST", proxy.host()).args(["guard", "--", "sh", "-c", run]).run().success();
    first.warns("session e2e is still in use");
    let there = || engine.api().volumes().iter().any(|one| one["Name"] == "data");
    assert!(there(), "the second one may use it");
    std::fs::write(&go, "").expect("a mark");
    second.lock().expect("no test panics here").take().expect("it was opened").wait().success();
    assert!(eventually(SOON, || !there()), "{}", engine.inventory());
}

fn what_a_neighbour_runs_of_our_image_is_the_neighbours(engine: &Engine) {
    let context = Context::from_base("RUN echo ours >/built");
    let state = State::new();
    // The tag by which the neighbour runs the image that the session built, a flag, and a keep pattern of the user's.
    for (tag, flag, keep) in [("theirs:1", "", ""), ("app:1", "--keep-tagged", ""), ("app:1", "", "app:*")] {
        let script = format!(
            "set -e; {dkb} build -q -t app:1 {context}; [ {tag} = app:1 ] || docker tag app:1 {tag}
             docker run -d --stop-signal KILL {tag} sleep 1000 >neighbour",
            dkb = dkb_path().display(),
            context = context.path().display(),
        );
        let guard = engine.dkb_in(&state).project("p").env("DKB_KEEP", keep).arg("guard");
        let guard = if flag.is_empty() { guard } else { guard.arg(flag) };
        guard.args(["--", "sh", "-c", &script]).run().success();
        let neighbour = std::fs::read_to_string(state.work().join("neighbour")).expect("an ID");
        let runs =
            engine.api().containers().iter().any(|one| one["Id"] == neighbour.trim() && one["State"] == "running");
        assert!(runs && engine.has(tag), "{tag} {flag} {keep}\n{}", engine.inventory());
        engine.wipe();
    }
}

/// Beside a living guard: a container whose image bears the guard's label, one of the guard's own image with the label of
/// another session, and one by the ID of an image that another session built as well.
fn what_only_looks_like_the_sessions_is_not(engine: &Engine) {
    let state = State::new();
    let ours = key("p", "e2e").run_label();
    let labelled = Context::from_base(&format!("LABEL dev.dkb.run={ours}"));
    engine.docker(["build", "-q", "-t", "theirs:1"]).arg(labelled.path()).run().success();
    let (app, both) = (Context::from_base("RUN echo ours >/built"), Context::from_base("RUN echo both >/built"));
    let script = "set -e
        build() { $DKB build -q -t $*; }
        run() { docker run -d --stop-signal KILL $* sleep 1000 >>neighbours; }
        run theirs:1
        build app:1 --label of=theirs $APP
        run --label dev.dkb.run=p:other app:1
        export DKB_STAMP=none BUILDX_NO_DEFAULT_ATTESTATIONS=1
        build both:1 $BOTH
        DKB_SESSION=other build both:2 $BOTH
        docker image inspect -f '{{.Id}}' both:1 both:2 >both
        run $(head -n 1 both)
        DKB_STAMP=full build own:1 $APP
        docker run -d --stop-signal KILL own:1 sleep 1000 >own";
    let guard = engine.dkb_in(&state).project("p").session("e2e").env("DKB", dkb_path());
    let guard = guard.env("APP", app.path()).env("BOTH", both.path()).args(["guard", "--", "sh", "-c", script]);
    guard.run().success();
    let lines = |name: &str| -> Vec<String> {
        let text = std::fs::read_to_string(state.work().join(name)).expect("what the script wrote");
        text.lines().map(str::to_owned).collect()
    };
    let both = lines("both");
    assert_eq!(both[0], both[1], "the same image by two sessions");
    let containers = engine.api().containers();
    let runs = |id: &String| containers.iter().any(|one| one["Id"] == id.as_str() && one["State"] == "running");
    let neighbours: Vec<bool> = lines("neighbours").iter().map(runs).collect();
    assert_eq!(neighbours, [true; 3], "{}", engine.inventory());
    assert!(!runs(&lines("own")[0]), "what nobody speaks for goes");
}

fn clean(engine: &Engine, books: &Books, words: &[&str]) -> Value {
    books.dkb(engine).arg("clean").args(words.iter().copied()).args(["--format", "json"]).run().success().json()
}

/// An image of the session, under a name that a build of an hour ago gave it.
fn built(engine: &Engine, books: &Books, of: &SessionKey, tag: &str) -> dkb_lab::Placed {
    let image = engine.image().tag(tag).make();
    books.note(&[dkb::model::Record::Build(books.build(of, &image, &[tag], Duration::from_secs(3600)))]);
    image
}

fn a_container_that_was_only_created_waits_for_whoever_starts_it(engine: &Engine) {
    let (books, of) = (Books::of(engine), key(PROJECT, SESSION));
    let (started, labelled) = (built(engine, &books, &of, "app:1"), built(engine, &books, &of, "app:2"));
    engine.container("app:1").created();
    engine.container("app:2").label("dev.dkb.run", &of.run_label()).created();
    for words in [&["--session"][..], &["--session", "--stale-after", "0s"]] {
        let document = clean(engine, &books, words);
        assert!(engine.has(&started) && engine.api().containers().len() == 1, "{document:#}");
        assert_eq!(reason(&document, &started), "in_use");
    }
    assert!(!engine.has(&labelled), "what bears the label is the session's");
    // A session that was cut off is no licence either.
    drop(crate::guard_dead::opened(&books, &key(PROJECT, "dead")));
    let dead = built(engine, &books, &key(PROJECT, "dead"), "app:3");
    engine.container("app:3").created();
    let document = clean(engine, &books, &["--stale"]);
    assert!(engine.has(&dead) && engine.api().containers().len() == 2, "{document:#}");
}

fn data_that_nobody_named_is_a_step_of_its_own(engine: &Engine) {
    let (books, of) = (Books::of(engine), key(PROJECT, SESSION));
    let write = ["sh", "-c", "dd if=/dev/zero of=/volume/rows bs=1000 count=300 2>/dev/null"];
    let ended = |n: u32, volume: &str| {
        let tag = format!("app:{n}");
        built(engine, &books, &of, &tag);
        let container = engine.container(&tag).command(&write).volume(volume);
        let id = container.running();
        let is_over =
            || engine.api().containers().iter().any(|one| one["Id"] == id.as_str() && one["State"] == "exited");
        assert!(eventually(SOON, is_over), "{}", engine.inventory());
    };
    ended(1, "");
    ended(2, "named");
    let volumes = || engine.api().volumes().len();
    let dry = clean(engine, &books, &["--session", "--dry-run"]);
    let kept: Vec<&Value> =
        dry["kept"].as_array().expect("a list").iter().filter(|kept| kept["type"] == "volume").collect();
    assert_eq!(kept.len(), 1, "{dry:#}");
    assert_eq!(kept[0]["reason"], "may_hold_data");
    assert!(kept[0]["bytes"].as_u64().is_some_and(|bytes| bytes >= 300_000), "{dry:#}");
    clean(engine, &books, &["--session"]);
    assert_eq!((engine.api().containers().len(), volumes()), (0, 2), "the data is still there");
    ended(3, "");
    let dry = clean(engine, &books, &["--session", "--volumes", "--dry-run"]);
    assert_eq!(steps(&dry, "volume", None).len(), 1, "{dry:#}");
    assert!(dry["totals"]["bytes"].as_u64().is_some_and(|bytes| bytes >= 300_000), "{dry:#}");
    clean(engine, &books, &["--session", "--volumes"]);
    assert_eq!(volumes(), 2, "its own, and neither the one of before nor the named one");
    // A guard takes the data of what it proved to be its own.
    let run = "docker run --label \"$DKB_LABEL\" -v /volume lab/base sh -c 'echo row >/volume/rows'
               docker run --label \"$DKB_LABEL\" -v named:/volume lab/base true";
    books.dkb(engine).args(["guard", "--", "sh", "-c", run]).run().success().warns("1 volume");
    assert_eq!((engine.api().containers().len(), volumes()), (0, 2));
}

fn the_session_of_a_colleague_is_not_stopped(engine: &Engine) {
    let (books, theirs) = (Books::of(engine), key(PROJECT, "local-0a1b2c3d"));
    let image = built(engine, &books, &theirs, "app:dev");
    let container = engine.container("app:dev").running();
    for words in [["session", "end", "local-0a1b2c3d"], ["clean", "--session", "local-0a1b2c3d"]] {
        books.dkb(engine).args(words).arg("--yes").run();
        books.dkb(engine).args(words).run().success();
        let runs =
            engine.api().containers().iter().any(|one| one["Id"] == container.as_str() && one["State"] == "running");
        assert!(runs && engine.has(&image), "{words:?}\n{}", engine.inventory());
    }
}

fn a_session_that_does_not_exist_is_not_ended(engine: &Engine) {
    let state = State::new();
    let _theirs = Guarded::new(engine, &state, "theirs", "q", "e2e").end();
    let end = |id: &str| engine.dkb_in(&state).project("p").args(["session", "end", id]).run().code(2);
    end("nowhere").warns("p has no such session").warns("dkb session list --all");
    end("e2e").warns("dkb --project q session end e2e");
}

fn a_job_that_is_at_work_in_our_slot_is_not_over(engine: &Engine) {
    const JOB: [(&str, &str); 4] =
        [("GITLAB_CI", "true"), ("CI_JOB_ID", "2"), ("CI_RUNNER_ID", "7"), ("CI_CONCURRENT_ID", "0")];
    let variable = |name: &str| JOB.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let slot = ci::vendor(&variable).and_then(|vendor| vendor.slot(&variable)).expect("a slot");
    let minutes = |n: u64| Duration::from_secs(60 * n);
    let former = key(PROJECT, "gl-1");
    let stale = |books: &Books| {
        let command = engine.dkb_in(&books.state).project(PROJECT).args(["clean", "--stale", "--format", "json"]);
        JOB.iter().fold(command, |command, (name, value)| command.env(*name, *value)).run().success().json()
    };
    // It began an hour ago, and built something so long ago.
    let job = |age| {
        let (books, image) = (Books::of(engine), engine.image().tag("app:1").make());
        books.ci_session(&former, slot.as_str(), minutes(60));
        books.note(&[dkb::model::Record::Build(books.build(&former, &image, &["app:1"], age))]);
        (books, image)
    };
    let (books, image) = job(minutes(2));
    let told = stale(&books);
    assert!(engine.has(&image), "it has just built something: {told:#}");
    let (books, image) = job(minutes(20));
    let container = engine.container("lab/base").label("dev.dkb.run", &former.run_label()).running();
    let told = stale(&books);
    assert!(engine.has(&image), "it runs something: {told:#}");
    engine.docker(["rm", "-f", &container]).run().success();
    let told = stale(&books);
    assert!(!engine.has(&image), "it is over: {told:#}");
}

fn a_checkout_cleans_what_it_built_itself_whatever_it_calls_itself(engine: &Engine) {
    let state = State::new();
    let context = Context::from_base("RUN echo payments >/built");
    let checkout = |name: &str, origin| hostile_checkout::checkout(&state, name, "acme/payments", origin);
    let victim = checkout("victim", true);
    let dkb = |folder: &std::path::Path| engine.dkb_in(&state).cwd(folder);
    dkb(&victim).args(["build", "-q", "-t", "payments:1"]).arg(context.path()).run().success();
    assert!(engine.find("payments:1").is_some_and(|image| {
        let labels = image.labels.iter().cloned().collect();
        Stamp::of(&labels).project.is_some_and(|project| project.as_str() == "acme/payments")
    }));
    for hostile in [checkout("hostile-toml", false), checkout("hostile-remote", true)] {
        for words in hostile_checkout::CLEANS {
            dkb(&hostile).args(words.iter().copied()).arg("--yes").run().success();
            assert!(engine.has("payments:1"), "{} {words:?}", hostile.display());
        }
        let told = dkb(&hostile).args(["clean", "--tagged", "--format", "json"]).run().success().json();
        assert_eq!(told["kept"][0]["reason"], "other_copy", "{told:#}");
    }
    // A guard hands the name on, and not as the user's word.
    let hostile = checkout("hostile-toml", false);
    let inner = format!("{} clean --tagged", dkb_path().display());
    dkb(&hostile).args(["guard", "--", "sh", "-c", &inner]).run().success();
    assert!(engine.has("payments:1"), "by a clean inside a guard");
    // Whoever says the name by hand means it.
    let hostile = checkout("hostile-toml", false);
    dkb(&hostile).args(["--project", "acme/payments", "clean", "--tagged"]).run().success();
    assert!(!engine.has("payments:1"));
}

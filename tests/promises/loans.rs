//! A tag that a session takes from somebody else's image, and what becomes of that image until it comes back.

use std::sync::Mutex;

use dkb_lab::promise::{containerd_store, docker, one_of_each_kind};
use dkb_lab::{Builder, Context, Engine, Promises, eventually, promises};

use crate::building::{docker_after, docker_script};
use crate::clean_host::{Books, PROJECT, SESSION, key, reason};
use crate::guard_dead::opened;
use crate::guard_scene::SOON;

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on(
            containerd_store,
            promises![
                what_a_session_holds_no_other_ledger_lets_go,
                a_tag_that_two_sessions_took_at_once_goes_back_past_both,
                what_two_builds_hold_at_once_the_first_that_fails_does_not_let_go,
                what_a_build_is_about_to_take_outlives_the_end_of_its_session,
                where_the_engine_refuses_to_hold_an_image_its_owner_is_told
            ],
        )
        .on(
            docker,
            promises![
                a_tag_goes_back_to_what_somebody_built_during_the_build,
                a_tag_that_two_sessions_took_in_turn_goes_back_whichever_ends_first,
            ],
        )
        .on(
            |engine| docker(engine) && !engine.starts_with("docker-20"),
            promises![
                a_tag_that_a_build_took_before_it_failed_goes_back,
                the_image_of_a_failed_build_on_an_image_of_its_own_session_is_known,
                what_gets_the_name_of_a_build_that_makes_nothing_is_not_its_image,
                a_build_that_fails_takes_nothing_of_somebody_else_in_a_session_of_that_name,
            ],
        )
        .on(
            one_of_each_kind,
            promises![
                a_tag_that_a_build_took_in_no_time_goes_back,
                a_tag_that_a_working_copy_took_goes_back_when_its_images_go,
                a_tag_that_is_taken_while_a_session_ends_still_goes_back_to_whom_that_took_it_from,
            ],
        )
}

/// What exactly bears this name.
fn bears(engine: &Engine, name: &str) -> Option<String> {
    engine.find(name).map(|image| image.id)
}

fn names_of_ours(engine: &Engine) -> usize {
    engine.images().into_iter().flat_map(|image| image.tags).filter(|tag| tag.contains("dkb.invalid")).count()
}

fn what_a_session_holds_no_other_ledger_lets_go(engine: &Engine) {
    let theirs = engine.image().label("who", "owner").tag("app:dev").make();
    let sessions = [SESSION, "job-2"];
    let books = sessions.map(|_| Books::of(engine));
    let [first, second] = [0, 1].map(|n| opened(&books[n], &key(PROJECT, sessions[n])));
    let dkb = |n: usize| books[n].dkb(engine).session(sessions[n]);
    let build = |n: usize| {
        let context = Context::from_base(&format!("RUN echo {n} >/n"));
        dkb(n).args(["build", "-q", "-t", "app:dev"]).arg(context.path()).run().success();
        bears(engine, "app:dev").expect("it was built")
    };
    let first_result = build(0);

    // Who knows nothing of the session sees an image that nobody named, and that somebody wants.
    let stranger = Books::of(engine);
    let sweep = || stranger.dkb(engine).args(["sweep", "--until", "0s", "--cache-until", "0s"]);
    let plan = sweep().args(["--dry-run", "--format", "json"]).run().success().json();
    assert_eq!(reason(&plan, &theirs), "lent", "{plan:#}");
    assert!(plan.to_string().contains("docker image rm dkb.invalid/held:"), "{plan:#}");
    sweep().arg("--yes").run().success();
    assert!(engine.has(&theirs), "{}", engine.inventory());

    // Another one's build that fails gives nothing back and takes nothing off; one that works takes the tag on.
    let context = Context::from_base("RUN false");
    dkb(1).args(["build", "-t", "app:dev"]).arg(context.path()).run().fails();
    build(1);
    dkb(0).args(["session", "end", sessions[0]]).run().success();
    assert!(engine.has(&theirs) && engine.has(&first_result), "{}", engine.inventory());
    dkb(1).args(["session", "end", sessions[1]]).run().success();
    drop(second);
    assert_eq!(bears(engine, "app:dev"), Some(first_result), "{}", engine.inventory());
    drop(first);
    books[0].dkb(engine).session("another").args(["clean", "--stale"]).run().success();
    assert_eq!(bears(engine, "app:dev").as_ref(), Some(&theirs.id), "{}", engine.inventory());
    assert_eq!((engine.images().len(), names_of_ours(engine)), (1, 0), "{}", engine.inventory());
}

fn what_two_builds_hold_at_once_the_first_that_fails_does_not_let_go(engine: &Engine) {
    let books = Books::of(engine);
    let at_work = opened(&books, &key(PROJECT, SESSION));
    let theirs = engine.image().label("who", "owner").tag("app:dev").make();
    let folder = tempfile::tempdir().expect("a folder");
    let go = folder.path().join("go");
    // docker waits with this build, and dkb has looked already.
    let wait = format!("case \"$*\" in *app:dev*) while ! [ -e {} ]; do sleep 0.05; done ;; esac", go.display());
    let docker =
        docker_script(folder.path(), &format!("{wait}\nexec {} \"$@\"\n", engine.bin().join("docker").display()));
    let build = |line: &str| {
        let context = Context::from_base(line);
        (books.dkb(engine).args(["build", "-q", "-t", "app:dev"]).arg(context.path()), context)
    };
    for (line, left) in [("RUN false", 0), ("RUN echo 2 >/2", 1)] {
        let (second, _context) = build(line);
        let second = second.env("DKB_DOCKER", &docker).spawn();
        assert!(eventually(SOON, || names_of_ours(engine) == 1), "{}", engine.inventory());
        let (first, _context) = build("RUN exit 3");
        first.run().fails();
        assert_eq!(names_of_ours(engine), 1, "the second may take the tag yet\n{}", engine.inventory());
        std::fs::write(&go, "").expect("a file");
        second.wait();
        assert!(engine.has(&theirs), "{line}: {}", engine.inventory());
        assert_eq!(names_of_ours(engine), left, "the last lets go, unless it took the tag: {}", engine.inventory());
        std::fs::remove_file(&go).expect("it was there");
    }
    drop(at_work);
    books.dkb(engine).args(["session", "end", SESSION]).run().success();
    assert_eq!(bears(engine, "app:dev").as_ref(), Some(&theirs.id), "{}", engine.inventory());
    assert_eq!((engine.images().len(), names_of_ours(engine)), (1, 0), "{}", engine.inventory());
}

/// The session is not cleaned while one of its builds runs, or nobody would give back what that one takes.
fn what_a_build_is_about_to_take_outlives_the_end_of_its_session(engine: &Engine) {
    for by_clean in [true, false] {
        let books = Books::of(engine);
        let at_work = opened(&books, &key(PROJECT, SESSION));
        let theirs = engine.image().label("who", "owner").tag("app:dev").make();
        let folder = tempfile::tempdir().expect("a folder");
        let go = folder.path().join("go");
        let wait = format!("until [ -e {} ]; do sleep 0.01; done", go.display());
        let script = docker_after(&theirs.id, &wait, engine, &books.state, folder.path());
        let context = Context::from_base(&format!("RUN echo {by_clean} >/made"));
        let build = books.dkb(engine).args(["build", "-q", "-t", "app:dev"]).arg(context.path());
        let build = build.env("DKB_DOCKER", script).spawn();
        assert!(eventually(SOON, || names_of_ours(engine) == 1), "{}", engine.inventory());
        drop(at_work);
        let end: &[&str] = if by_clean { &["clean", "--session"] } else { &["session", "end", SESSION] };
        books.dkb(engine).args(end).run();
        std::fs::write(&go, "").expect("a file");
        build.wait().success();
        assert!(engine.has(&theirs), "{}", engine.inventory());
        books.dkb(engine).args(["clean", "--session"]).run().success();
        assert_eq!(bears(engine, "app:dev").as_ref(), Some(&theirs.id), "{}", engine.inventory());
        assert_eq!((engine.images().len(), names_of_ours(engine)), (1, 0), "{}", engine.inventory());
        engine.wipe();
    }
}

fn where_the_engine_refuses_to_hold_an_image_its_owner_is_told(engine: &Engine) {
    let warning = "app:dev can't come back at the session's end";
    for status in [403, 500] {
        let books = Books::of(engine);
        let _at_work = opened(&books, &key(PROJECT, SESSION));
        let theirs = engine.image().label("who", "owner").tag("app:dev").make();
        let proxy = engine.proxy();
        proxy.on("POST", "held").answer(status, "no");
        let build = |line: &str, tag: &str| {
            let context = Context::from_base(line);
            let build = books.dkb(engine).env("DOCKER_HOST", proxy.host()).args(["build", "-q", "-t", tag]);
            build.arg(context.path()).run().success()
        };
        build("RUN echo 1 >/1", "app:dev").warns(warning).warns(&format!("docker tag {} NAME", &theirs.id[7..19]));
        assert!(!engine.has(&theirs), "{}", engine.inventory());
        // What has another name comes back by it.
        let theirs = engine.image().label("who", "other").tag("app:two").tag("app:three").make();
        build("RUN echo 2 >/2", "app:two").never_warns(warning);
        books.dkb(engine).args(["session", "end", SESSION]).run().success();
        assert_eq!(bears(engine, "app:dev"), None, "{}", engine.inventory());
        assert_eq!(bears(engine, "app:two").as_ref(), Some(&theirs.id), "{}", engine.inventory());
        engine.wipe();
    }
}

/// The second looks before the first takes the tag, and takes it from what the first made, which goes with its last name.
fn a_tag_that_two_sessions_took_at_once_goes_back_past_both(engine: &Engine) {
    for first_ends_first in [true, false] {
        let theirs = engine.image().label("who", "owner").tag("app:dev").make();
        let books = Books::of(engine);
        let sessions = [SESSION, "job-2"];
        let at_work = sessions.map(|session| opened(&books, &key(PROJECT, session)));
        let folder = tempfile::tempdir().expect("a folder");
        let go = folder.path().join("go");
        let wait = format!("until [ -e {} ]; do sleep 0.01; done", go.display());
        let script = docker_after(&theirs.id, &wait, engine, &books.state, folder.path());
        let contexts = [1, 2].map(|n| Context::from_base(&format!("RUN echo {first_ends_first} {n} >/n")));
        let build = |n: usize| {
            let dkb = books.dkb(engine).session(sessions[n]).args(["build", "-q", "-t", "app:dev"]);
            dkb.arg(contexts[n].path())
        };
        let second = build(1).env("DKB_DOCKER", script).spawn();
        assert!(eventually(SOON, || names_of_ours(engine) == 1), "{}", engine.inventory());
        build(0).run().success();
        std::fs::write(&go, "").expect("a file");
        second.wait().success();
        drop(at_work);
        let ends = if first_ends_first { [0, 1] } else { [1, 0] };
        for n in ends {
            books.dkb(engine).args(["session", "end", sessions[n]]).run().success();
        }
        assert_eq!(bears(engine, "app:dev").as_ref(), Some(&theirs.id), "{}", engine.inventory());
        assert_eq!((engine.images().len(), names_of_ours(engine)), (1, 0), "{}", engine.inventory());
        engine.wipe();
    }
}

/// The second one is a working copy's own, which nobody opened. The first may take it back in between, and who had it
/// before them may be one of ours too.
fn a_tag_that_two_sessions_took_in_turn_goes_back_whichever_ends_first(engine: &Engine) {
    for (first_ends_first, turns, of_ours) in
        [(true, 2, false), (false, 2, false), (true, 3, false), (false, 3, false), (true, 3, true), (false, 3, true)]
    {
        let books = Books::of(engine);
        let theirs = engine.image().label("who", "owner").tag("app:dev").make();
        if of_ours {
            books.built(&key("another", "local-1"), &theirs, &["app:dev"]);
        }
        let at_work = opened(&books, &key(PROJECT, SESSION));
        for (n, session) in [SESSION, "local", SESSION].into_iter().take(turns).enumerate() {
            let context = Context::from_base(&format!("RUN echo {first_ends_first} {turns} {n} >/n"));
            let dkb = books.dkb(engine).session(session).args(["build", "-q", "-t", "app:dev"]);
            dkb.arg(context.path()).run().success();
        }
        drop(at_work);
        let mut sessions = [SESSION, "local"];
        if !first_ends_first {
            sessions.reverse();
        }
        for session in sessions {
            books.dkb(engine).args(["session", "end", session]).run().success();
        }
        let told = || format!("{sessions:?} {turns}\n{}", engine.inventory());
        assert_eq!(bears(engine, "app:dev").as_ref(), Some(&theirs.id), "{}", told());
        let books = || std::fs::read_to_string(books.ledger.path()).expect("the books");
        assert_eq!((engine.images().len(), names_of_ours(engine)), (1, 0), "{}\n{}", told(), books());
        engine.wipe();
    }
}

/// Nobody opened it, and nobody waits for its end.
fn a_tag_that_a_working_copy_took_goes_back_when_its_images_go(engine: &Engine) {
    let theirs = engine.image().label("who", "owner").tag("app:dev").make();
    let books = Books::of(engine);
    let context = Context::from_base("RUN echo ours >/ours");
    books.dkb(engine).session("local").args(["build", "-q", "-t", "app:dev"]).arg(context.path()).run().success();
    let clean = || books.dkb(engine).session("local").args(["clean", "--tagged", "--yes"]).run().success();
    clean();
    // Where the engine drops what loses its last name, nothing is left to give it to.
    let left = engine.has(&theirs.id).then_some(theirs.id);
    assert_eq!((bears(engine, "app:dev"), engine.images().len()), (left.clone(), usize::from(left.is_some())));
    clean();
    assert_eq!(bears(engine, "app:dev"), left, "{}", engine.inventory());
}

/// A build is over before Podman has said what it is.
fn a_tag_that_a_build_took_in_no_time_goes_back(engine: &Engine) {
    let theirs = engine.image().label("who", "owner").tag("app:dev").make();
    let books = Books::of(engine);
    for n in 0..4 {
        let context = Context::from_base(&format!("ENV TURN={n}"));
        let dkb = books.dkb(engine).no_env("DKB_SESSION").args(["guard", "--"]).arg(dkb_lab::dkb::dkb_path());
        dkb.args(["build", "-q", "-t", "app:dev"]).arg(context.path()).run().success();
        assert_eq!(bears(engine, "app:dev").as_ref(), Some(&theirs.id), "{}", engine.inventory());
    }
}

/// Docker makes the image, names it, and then can't push it; each time out of the cache.
fn a_tag_that_a_build_took_before_it_failed_goes_back(engine: &Engine) {
    let theirs = engine.image().label("who", "owner").tag("app:dev").make();
    let books = Books::of(engine);
    let context = Context::from_base("RUN echo ours >/ours");
    engine.build(Builder::BuildKit, &context, &["-q"]).success();
    std::thread::sleep(std::time::Duration::from_secs(2));
    for _ in 0..2 {
        let dkb = books.dkb(engine).no_env("DKB_SESSION").env("DOCKER_BUILDKIT", "1").args(["guard", "--"]);
        let dkb =
            dkb.arg(dkb_lab::dkb::dkb_path()).args(["build", "-t", "localhost:1/app:dev", "-t", "app:dev", "--push"]);
        dkb.arg(context.path()).run().fails();
        assert_eq!(bears(engine, "app:dev").as_ref(), Some(&theirs.id), "{}", engine.inventory());
        assert!(!engine.has("localhost:1/app:dev") && names_of_ours(engine) == 0, "{}", engine.inventory());
    }
}

/// What it stands on has given it the stamp already; BuildKit alone can say that the build made it.
fn the_image_of_a_failed_build_on_an_image_of_its_own_session_is_known(engine: &Engine) {
    let theirs = engine.image().label("who", "owner").tag("app:dev").make();
    let books = Books::of(engine);
    let (base, child) = (Context::from_base("RUN echo base >/base"), Context::new());
    let child = child.dockerfile("FROM shop/base:1\nRUN echo ours >/ours\n");
    let long = Context::from_base("RUN sleep 5; false");
    let other = Context::new().dockerfile("FROM shop/base:1\nRUN echo other >/other\n");
    // And two at once, while somebody else builds on.
    let script = format!(
        "set -e; dkb=$0; $dkb build -q -t shop/base:1 {base}; docker build -q {long} >/dev/null 2>&1 & \
         ! $dkb build -t localhost:1/app:dev -t app:dev --push {child}; \
         ! $dkb build --metadata-file /nowhere/file {child}; \
         for context in {child} {other}; do $dkb build -t localhost:1/app:dev -t app:dev --push $context & done; \
         for context in {child} {other}; do $dkb build --metadata-file /nowhere/file $context & done; wait",
        base = base.path().display(),
        child = child.path().display(),
        other = other.path().display(),
        long = long.path().display(),
    );
    for _ in 0..2 {
        let dkb = books.dkb(engine).no_env("DKB_SESSION").env("DOCKER_BUILDKIT", "1").args(["guard", "--", "sh", "-c"]);
        dkb.arg(&script).arg(dkb_lab::dkb::dkb_path()).run().success();
        assert_eq!(bears(engine, "app:dev").as_ref(), Some(&theirs.id), "{}", engine.inventory());
        assert_eq!(engine.images().len(), 1, "{}", engine.inventory());
    }
}

/// What was ours once, and came back by somebody else's hand while a build failed that would have given its name.
fn what_gets_the_name_of_a_build_that_makes_nothing_is_not_its_image(engine: &Engine) {
    let (books, folder) = (Books::of(engine), tempfile::tempdir().expect("a folder"));
    let docker = |words: &[&str]| drop(engine.docker(words.iter().copied()).run().success());
    let file = folder.path().join("image.tar");
    let good = Context::from_base("RUN echo good >/good");
    books.dkb(engine).args(["build", "-q", "-t", "app:dev"]).arg(good.path()).run().success();
    docker(&["save", "-o", &file.to_string_lossy(), "app:dev"]);
    docker(&["image", "rm", "app:dev"]);
    books.dkb(engine).args(["status"]).run().success();
    let load = format!("{} load -q -i {}", engine.bin().join("docker").display(), file.display());
    let script = docker_after("engine", &load, engine, &books.state, folder.path());
    let bad = Context::from_base("RUN false");
    let build =
        books.dkb(engine).env("DOCKER_BUILDKIT", "1").env("DKB_DOCKER", script).args(["build", "-q", "-t", "app:dev"]);
    build.arg(bad.path()).run().fails();
    let told = books.dkb(engine).args(["clean", "--tagged", "-v"]).run().success();
    assert!(engine.has("app:dev"), "{}\n{}", told.out(), engine.inventory());
}

/// Whoever that is has a ledger of his own, builds the same tag or none, and BuildKit remembers both builds.
fn a_build_that_fails_takes_nothing_of_somebody_else_in_a_session_of_that_name(engine: &Engine) {
    for tag in ["-t app:dev", ""] {
        let (books, others, folder) = (Books::of(engine), Books::of(engine), tempfile::tempdir().expect("a folder"));
        let good = Context::from_base(&format!("RUN echo good >/good{}", tag.len()));
        let docker = engine.bin().join("docker");
        let build = format!(
            "DKB_STATE_DIR={} DKB_DOCKER={} {} build -q {tag} {}",
            others.state.state_dir().display(),
            docker.display(),
            dkb_lab::dkb::dkb_path().display(),
            good.path().display()
        );
        let script = docker_after("engine", &build, engine, &books.state, folder.path());
        let bad = Context::from_base("RUN false");
        let dkb = books.dkb(engine).env("DOCKER_BUILDKIT", "1").env("DKB_DOCKER", script).args(["build", "-q"]);
        dkb.args(tag.split_whitespace()).arg(bad.path()).run().fails();
        assert_eq!(engine.images().len(), 1, "{}", engine.inventory());
        let told = books.dkb(engine).args(["clean", "--tagged", "--yes", "-v"]).run().success();
        assert_eq!(engine.images().len(), 1, "{}", told.out());
        engine.wipe();
    }
}

/// dkb looks who bears the tag, then its owner builds anew, then docker builds.
fn a_tag_goes_back_to_what_somebody_built_during_the_build(engine: &Engine) {
    let books = Books::of(engine);
    let at_work = opened(&books, &key(PROJECT, SESSION));
    let old = engine.image().label("who", "owner").tag("app:dev").make();
    let new = engine.image().label("who", "owner, again").tag("elsewhere:1").make();
    let folder = tempfile::tempdir().expect("a folder");
    let tag = format!("{} tag elsewhere:1 app:dev", engine.bin().join("docker").display());
    let script = docker_after(&old.id, &tag, engine, &books.state, folder.path());
    let context = Context::from_base("RUN echo ours >/ours");
    let build = books.dkb(engine).env("DKB_DOCKER", script).args(["build", "-q", "-t", "app:dev"]);
    build.arg(context.path()).run().success();
    assert!(![&old, &new].iter().any(|image| bears(engine, "app:dev").as_ref() == Some(&image.id)));
    drop(at_work);
    books.dkb(engine).args(["session", "end", SESSION]).run().success();
    assert_eq!(bears(engine, "app:dev"), Some(new.id), "{}", engine.inventory());
    assert_eq!(names_of_ours(engine), 0, "{}", engine.inventory());
}

/// By another session, and by a build of the very session that ends.
fn a_tag_that_is_taken_while_a_session_ends_still_goes_back_to_whom_that_took_it_from(engine: &Engine) {
    for second in ["job-2", SESSION] {
        let (books, proxy) = (Books::of(engine), engine.proxy());
        let tag = format!("{second}:dev");
        let theirs = engine.image().label("who", "owner").tag(&tag).make();
        let holds = [SESSION, "job-2"].map(|session| opened(&books, &key(PROJECT, session)));
        let contexts = ["RUN echo 1 >/n", "RUN echo 2 >/n"].map(Context::from_base);
        let build = |session: &str, context: &Context| {
            books.dkb(engine).session(session).args(["build", "-q", "-t", &tag]).arg(context.path())
        };
        build(SESSION, &contexts[0]).run().success();
        let label = key(PROJECT, SESSION).run_label();
        engine.container("lab/base").label("dev.dkb.run", &label).running();
        let again = Mutex::new(Some(build(second, &contexts[1])));
        proxy.on("POST", "/stop").run(move |_| {
            if let Some(build) = again.lock().expect("no test panics here").take() {
                build.run().success();
            }
        });
        drop(holds);
        let end = |session: &str| books.dkb(engine).session("another").args(["session", "end", session]);
        let output = end(SESSION).env("DOCKER_HOST", proxy.host()).run();
        drop(proxy);
        for session in ["job-2", SESSION] {
            end(session).run();
        }
        let back = bears(engine, &tag);
        assert_eq!(back.as_ref(), Some(&theirs.id), "{second}\n{output}\n{}", engine.inventory());
    }
}

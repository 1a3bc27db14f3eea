//! `DKB_DOCKER=podman`: the real Podman builds, where it lives, and dkb finds its socket by the rule of the docs.

use std::collections::BTreeSet;
use std::time::Duration;

use dkb_lab::command::Command;
use dkb_lab::dkb::dkb_path;
use dkb_lab::promise::podman;
use dkb_lab::{Builder, Context, Engine, Promises, eventually, promises};

use crate::building::{books, dangling, says_nothing_of_its_own};
use crate::clean_host::{Books, PROJECT, SESSION, key};

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!()).on(
        podman,
        promises![
            what_the_real_podman_builds_is_recorded_and_cleaned,
            an_image_that_a_build_works_on_or_did_until_it_was_killed_is_kept_in_use,
            what_somebody_has_put_into_a_manifest_list_stays_there,
            the_name_of_a_manifest_list_comes_back_to_no_image_of_it,
        ],
    )
}

/// A machine that was ever booted has an ID of its own, and most containers have none.
const BOOTED: &str = "echo 0123456789abcdef0123456789abcdef >/etc/machine-id";
const CONTAINER: &str = "rm -f /etc/machine-id /var/lib/dbus/machine-id";

fn what_the_real_podman_builds_is_recorded_and_cleaned(engine: &Engine) {
    let shared = engine.shared();
    let (dkb, context, state) = (shared.join("dkb"), shared.join("context"), shared.join("state"));
    std::fs::copy(dkb_path(), &dkb).expect("a copy");
    std::fs::create_dir(&context).expect("a folder");
    // Where the lab's Podman has its images.
    let storage = "[storage]\ndriver = \"overlay\"\nrunroot = \"/run/podman\"\ngraphroot = \"/data/engine\"\n";
    std::fs::write(shared.join("storage.conf"), storage).expect("a file");
    engine.inside("ln").arg("-sf").arg(engine.socket()).arg("/run/podman/podman.sock").run().success();
    let write = |seed: &str, last: &str| {
        std::fs::write(context.join("seed"), seed).expect("a file");
        let text =
            format!("FROM lab/base AS one\nCOPY seed /seed\nFROM lab/base\nCOPY --from=one /seed /seed\n{last}\n");
        std::fs::write(context.join("Dockerfile"), text).expect("a file");
    };
    let host = engine.host();
    let command = |rule: Option<&str>, args: &[&str]| -> Command {
        let command = engine.inside(&dkb).args(args.iter().copied()).project("app").session("one");
        let command = command.env("DKB_DOCKER", "podman").env("DKB_STATE_DIR", &state).env("LANG", "C.UTF-8");
        let command = command.env("CONTAINERS_STORAGE_CONF", shared.join("storage.conf"));
        let command = command.env("CONTAINERS_CONF", shared.join("containers.conf"));
        rule.into_iter().fold(command, |command, name| command.env(name, &host))
    };
    let path = context.to_str().expect("a path");
    let foreign = engine.image().make();
    // Root's own socket, and the two variables. With CONTAINER_HOST Podman works on that socket itself.
    for (rule, machine) in
        [(None, CONTAINER), (None, BOOTED), (Some("CONTAINER_HOST"), BOOTED), (Some("DOCKER_HOST"), BOOTED)]
    {
        engine.inside("sh").args(["-c", machine]).run().success();
        for quiet in [&["build", "-t", "app", path][..], &["build", "-q", "-t", "app", path]] {
            write(&format!("{machine} {rule:?} {quiet:?}"), "RUN true");
            let output = command(rule, quiet).run().success();
            says_nothing_of_its_own(&output);
            let id = engine.find("app").expect("it is built").id;
            assert_eq!(output.out().lines().last(), Some(&id["sha256:".len()..]), "{output}");
            let recorded: BTreeSet<String> = books(&state).images().map(|id| id.to_string()).collect();
            let lost: Vec<String> = dangling(engine).into_iter().filter(|id| !recorded.contains(id)).collect();
            assert_eq!((recorded.contains(&id), lost), (true, vec![foreign.id.clone()]), "{output}");
        }
        write("another", "RUN exit 3");
        command(rule, &["build", "-t", "app", path]).run().fails();
        command(rule, &["clean", "--session", "--yes"]).run().success();
        assert_eq!(
            engine.images().into_iter().map(|image| image.id).collect::<Vec<_>>(),
            std::slice::from_ref(&foreign.id)
        );
    }
}

/// Podman's working containers, which Docker's part of the API does not list.
fn an_image_that_a_build_works_on_or_did_until_it_was_killed_is_kept_in_use(engine: &Engine) {
    let podman = || engine.inside("podman").args(["--root", "/data/engine", "--runroot", "/run/podman"]);
    let works = || podman().args(["ps", "--all", "--external", "--format", "{{.ImageID}}"]).run().success().out();
    let books = Books::of(engine);
    let (tagged, nameless) = (engine.image().tag("app:1").make(), engine.image().make());
    books.built(&key(PROJECT, SESSION), &tagged, &["app:1"]);
    books.built(&key(PROJECT, SESSION), &nameless, &[]);
    let context = Context::new().file("Dockerfile", "FROM app:1\nRUN sleep 100000\n");
    let build = engine.docker(["build"]).arg(context.path()).env("DOCKER_BUILDKIT", Builder::Classic.env()).spawn();
    let digits = &tagged.id["sha256:".len()..][..12];
    assert!(eventually(Duration::from_secs(30), || works().contains(digits)), "{}", works());

    // Of the first clean the other image goes: the one in use is all that is left.
    let clean = |of| books.dkb(engine).args(["clean", of, "--format", "json"]).run().success().json();
    let hint = "podman rm --force ";
    let kept = |document: &serde_json::Value| {
        assert_eq!(document["totals"]["failed"], 0, "{document:#}");
        let kept = document["kept"].as_array().expect("kept").iter().find(|kept| kept["id"] == tagged.id);
        let kept = kept.unwrap_or_else(|| panic!("it is kept: {document:#}"));
        assert_eq!(kept["reason"], "in_use", "{document:#}");
        let holder = kept["holders"][0].as_str().expect("a holder");
        let (_, command) = holder.split_once(hint).unwrap_or_else(|| panic!("the command that takes it: {holder}"));
        command.trim_end_matches(')').to_owned()
    };
    kept(&clean("--session"));
    assert!(!engine.has(&nameless) && engine.has("app:1"));
    engine.kill();
    engine.start_again();
    drop(build.wait());
    let name = kept(&clean("--session"));
    podman().args(["rm", "--force", &name]).run().success();
    clean("--session");
    assert!(!engine.has(&tagged));
}

fn what_somebody_has_put_into_a_manifest_list_stays_there(engine: &Engine) {
    let books = Books::of(engine);
    let (first, second) = (Context::from_base("RUN echo 1 >/n"), Context::from_base("RUN echo 2 >/n"));
    let build = |context: &Context| {
        books.dkb(engine).args(["build", "-q", "-t", "app:1"]).arg(context.path()).run().success();
        engine.find("app:1").expect("it is built")
    };
    let old = build(&first);
    let list = "/v4.0.0/libpod/manifests/docker.io/library/shop:1";
    engine.api().post(&format!("{list}?images=docker.io/library/app:1"), &serde_json::Value::Null);
    build(&second);
    assert!(engine.has(&old.id), "the build that takes its tag leaves it\n{}", engine.inventory());
    let told = books.dkb(engine).args(["clean", "--session", "--verbose"]).run().success();
    assert!(engine.has(&old.id) && !engine.has("app:1"), "{}", engine.inventory());
    told.says("docker.io/library/shop:1 (a manifest list");
    engine.api().delete(list);
    books.dkb(engine).args(["clean", "--session"]).run().success();
    assert!(!engine.has(&old.id), "{}", engine.inventory());
}

fn the_name_of_a_manifest_list_comes_back_to_no_image_of_it(engine: &Engine) {
    let books = Books::of(engine);
    let theirs = Context::from_base("ENV WHO=them");
    engine.docker(["build", "-q", "-t", "theirs:1"]).arg(theirs.path()).env("DOCKER_BUILDKIT", "0").run().success();
    let list = "/v4.0.0/libpod/manifests/docker.io/library/app:1?images=docker.io/library/theirs:1";
    let made = engine.api().post(list, &serde_json::Value::Null);
    assert!(made.status < 300, "{} {}", made.status, made.text());
    let context = Context::from_base("RUN echo 1 >/n");
    let build = [dkb_path().display().to_string(), "build".to_owned(), "-q".to_owned()];
    let guard = books.dkb(engine).args(["guard", "--"]).args(build).args(["-t", "app:1"]).arg(context.path());
    guard.run().success().never_warns("back to");
    let names = engine.find("theirs:1").expect("it is there").tags;
    assert_eq!(names.len(), 1, "{}", engine.inventory());
    assert!(!engine.has("app:1"), "{}", engine.inventory());
}

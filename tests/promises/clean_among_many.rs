//! A few things of ours among many that are not: where a list costs the engine by what it answers, dkb asks for what is
//! ours by name, and for more only where a rule does.

use dkb_lab::promise::containerd_store;
use dkb_lab::{Builder, Context, Engine, Placed, Promises, Proxy, State, promises};

use crate::clean_host::{Books, PROJECT, SESSION, key, reason, set, steps};

const MANY: usize = 40;

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on(
            containerd_store,
            promises![
                a_clean_asks_for_what_is_ours_and_for_nothing_else,
                what_a_stranger_built_on_ours_is_seen_wherever_it_may_be,
            ],
        )
        .on_builders_of(containerd_store, promises![a_build_asks_for_what_it_superseded])
}

/// Images of others, every other one under a name.
fn many(engine: &Engine) -> Vec<Placed> {
    engine.many(MANY, |n, image| if n % 2 == 0 { image.tag(&format!("far:{n}")) } else { image })
}

fn lists_of_all(proxy: &Proxy) -> usize {
    let lists = proxy.requests().into_iter().filter(|request| request.is("GET", "/images/json"));
    lists.filter(|request| !request.path.contains("filters=")).count()
}

fn lists_by_label(proxy: &Proxy) -> usize {
    proxy
        .requests()
        .into_iter()
        .filter(|request| request.is("GET", "/images/json") && request.path.contains("label"))
        .count()
}

fn a_clean_asks_for_what_is_ours_and_for_nothing_else(engine: &Engine) {
    let (books, proxy) = (Books::of(engine), engine.proxy());
    let foreign = many(engine);
    let here = key(PROJECT, SESSION);
    let spec = || engine.image().stamp(PROJECT, SESSION);
    let ours = |tags: &[&str]| {
        let image = tags.iter().fold(spec(), |spec, tag| spec.tag(tag)).make();
        books.built(&here, &image, tags);
        image
    };
    let (leftover, tagged, named_by_user) = (ours(&[]), ours(&["app:1"]), ours(&["app:2"]));
    engine.tag(&named_by_user, "mine:1");
    let dkb = || books.dkb(engine).env("DOCKER_HOST", proxy.host());

    let status = dkb().arg("status").run().success();
    assert!(status.out().contains("app:2") && !status.out().contains("far:"), "{}", status.out());
    dkb().args(["clean", "-q"]).run().success();
    assert_eq!((lists_of_all(&proxy), lists_by_label(&proxy)), (0, 0), "{:?}", proxy.requests());
    assert!(!engine.has(&leftover) && engine.has(&tagged));
    dkb().args(["clean", "--session", "-q"]).run().success();
    assert_eq!(lists_of_all(&proxy), 0, "{:?}", proxy.requests());
    assert!(lists_by_label(&proxy) > 0, "what goes by a name may be built on");
    assert!(!engine.has("app:1") && !engine.has("app:2") && engine.has("mine:1"));
    assert!(foreign.iter().all(|image| engine.has(&image.id)));
}

fn what_a_stranger_built_on_ours_is_seen_wherever_it_may_be(engine: &Engine) {
    let books = Books::of(engine);
    many(engine);
    let here = key(PROJECT, SESSION);
    let ours = |tags: &[&str]| {
        let spec = engine.image().stamp(PROJECT, SESSION);
        let image = tags.iter().fold(spec, |spec, tag| spec.tag(tag)).make();
        books.built(&here, &image, tags);
        image
    };
    let (bare, named, free) = (ours(&[]), ours(&["base:1"]), ours(&[]));
    // By another name than ours, and with other labels.
    let container = engine.container(&bare).created();
    engine.docker(["commit", "-c", "LABEL dev.dkb.project=theirs", &container, "theirs:1"]).run().success();
    engine.docker(["rm", &container]).run().success();
    let context = Context::new().dockerfile("FROM base:1\nCOPY a /a").file("a", "a");
    engine.build(Builder::BuildKit, &context, &["-t", "theirs:2"]);
    let proxy = engine.proxy();
    let dkb = || books.dkb(engine).env("DOCKER_HOST", proxy.host());
    let plan = dkb().args(["clean", "--session", "--format", "json", "--dry-run"]).run().success().json();
    assert_eq!(steps(&plan, "image", None), set([&*free]), "{plan:#}");
    assert_eq!((&*reason(&plan, &bare), &*reason(&plan, &named)), ("base", "base"), "{plan:#}");
    assert_eq!(lists_of_all(&proxy), 0, "what was built on ours bears the label");
    dkb().args(["clean", "-q"]).run().success();
    assert_eq!(lists_of_all(&proxy), 1, "a list by names says that something is built on it, and not what");
    dkb().args(["clean", "--session", "-q"]).run().success();
    assert!(!engine.has(&free) && engine.has(&bare) && engine.has("base:1"));
}

fn a_build_asks_for_what_it_superseded(engine: &Engine, builder: Builder) {
    let (home, proxy) = (State::new(), engine.proxy());
    many(engine);
    let build = |text: &str| {
        let context = Context::from_base(&format!("LABEL n={text}"));
        let dkb = engine.dkb_in(&home).project(PROJECT).session(SESSION).args(["build", "-q", "-t", "app:1"]);
        let dkb = dkb.arg(context.path()).env("DOCKER_HOST", proxy.host()).env("DOCKER_BUILDKIT", builder.env());
        dkb.run().success().out().trim().to_owned()
    };
    let first = build("1");
    // The store drops an image with its last name.
    engine.tag(&first, "mine:1");
    build("2");
    build("3");
    assert!(engine.has("mine:1") && engine.find("app:1").is_some());
    if builder == Builder::BuildKit {
        assert_eq!((lists_of_all(&proxy), lists_by_label(&proxy)), (0, 0), "{:?}", proxy.requests());
    }
}

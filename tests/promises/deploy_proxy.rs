//! A proxy in front of an engine that lets only some calls through: those that the page lists are enough for each verb,
//! and of one that is refused its user is told.

use std::path::Path;

use dkb_lab::promise::{Promises, docker};
use dkb_lab::proxy::{Proxy, Request};
use dkb_lab::{Builder, Command, Context, Engine, Output, State, promises};

pub(super) fn promises() -> Promises {
    Promises::of(module_path!())
        .on(docker, promises![each_verb_needs_only_the_calls_of_the_page, a_call_that_is_refused_is_named])
        .on_one_engine()
}

const PAGE: &str = "deploy/README.md";

/// A call of the page: its method, and its path with `*` for whatever stands there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Call {
    method: String,
    path: String,
}

impl Call {
    fn parse(text: &str) -> Self {
        let (method, path) = text.split_once(' ').expect("a method and a path");
        Self { method: method.to_owned(), path: path.to_owned() }
    }

    fn fits(&self, request: &Request) -> bool {
        let path = path_of(request);
        let path_fits = match self.path.split_once('*') {
            Some((before, after)) => {
                path.len() > before.len() + after.len() && path.starts_with(before) && path.ends_with(after)
            }
            None => path == self.path,
        };
        // Whoever lets a GET through lets a HEAD through.
        path_fits && (request.method == self.method || self.method == "GET" && request.method == "HEAD")
    }
}

/// Without the query and without the version, which a proxy's rules leave out too.
fn path_of(request: &Request) -> String {
    let path = request.path.split('?').next().unwrap_or_default();
    match path.strip_prefix("/v1.").and_then(|rest| rest.split_once('/')) {
        Some((_, rest)) => format!("/{rest}"),
        None => path.to_owned(),
    }
}

/// The table of the page: what stands in the first column, and the calls in the second.
fn calls(of: &str) -> Vec<Call> {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE)).expect("the page");
    let table = page.split("<!-- calls -->").nth(1).and_then(|rest| rest.split("<!-- end -->").next());
    let row = table.expect("a table").lines().find(|line| line.starts_with(&format!("| {of} |"))).expect(of);
    row.split('`').skip(1).step_by(2).filter(|text| text.contains(" /")).map(Call::parse).collect()
}

/// A proxy that lets these through.
fn only(engine: &Engine, allowed: Vec<Call>) -> Proxy {
    let proxy = engine.proxy();
    proxy.on_request(move |request| !allowed.iter().any(|call| call.fits(request))).answer(403, "not on the list");
    proxy
}

struct Desk<'e> {
    engine: &'e Engine,
    state: State,
    context: Context,
}

impl<'e> Desk<'e> {
    fn new(engine: &'e Engine) -> Self {
        Self { engine, state: State::new(), context: Context::from_base("RUN head -c 9999 /dev/urandom >/x") }
    }

    fn dkb(&self, host: &str, words: &[&str]) -> Command {
        let command = self.engine.dkb_in(&self.state).cwd(self.context.path()).project("shop").session("job");
        command.env("DOCKER_BUILDKIT", Builder::Classic.env()).env("DOCKER_HOST", host).args(words.iter().copied())
    }

    /// Something for each verb to do.
    fn fill(&self) {
        self.engine.wipe();
        let direct = self.engine.host();
        self.dkb(&direct, &["build", "--no-cache", "-t", "shop:1", "."]).run().success();
        self.dkb(&direct, &["build", "--no-cache", "-t", "shop:2", "."]).run().success();
        self.engine.container("shop:1").label("dev.dkb.run", "shop:job").created();
        self.engine.container("shop:1").stopped();
        // What it was made from has lost its tag.
        self.dkb(&direct, &["build", "--no-cache", "-t", "shop:1", "."]).run().success();
        self.engine.container("lab/base").created();
        self.engine.image().make();
        for (name, labels) in [("spare", &[][..]), ("ours", &[("dev.dkb.run", "shop:job")][..])] {
            self.engine.volume(name, labels);
            self.engine.network(name, labels);
        }
        let broken = Context::from_base("RUN head -c 9999 /dev/urandom >/y\nRUN false");
        self.engine.build(Builder::BuildKit, &broken, &["--no-cache"]);
    }
}

/// What each row of the table is tried with.
const VERBS: [(&str, &[&[&str]]); 5] = [
    ("`sweep`", &[&["sweep", "--until", "0s", "--volumes", "--keep", "*lab/base", "--yes"]]),
    ("`status`", &[&["status"], &["status", "--all"], &["status", "shop:1"]]),
    ("`clean`", &[&["clean", "--dry-run"], &["clean", "--tagged", "--yes"], &["clean", "--session", "--volumes"]]),
    ("`session`", &[&["session", "end", "job"]]),
    ("`build`", &[&["build", "--no-cache", "-t", "shop:2", "."]]),
];

fn each_verb_needs_only_the_calls_of_the_page(engine: &Engine) {
    let mut wrong = Vec::new();
    for (verb, tries) in VERBS {
        let desk = Desk::new(engine);
        let listed = calls(verb);
        let mut used = vec![false; listed.len()];
        for words in tries {
            desk.fill();
            let proxy = only(engine, listed.clone());
            let told = desk.dkb(&proxy.host(), words).run();
            let mut refused: Vec<String> = Vec::new();
            for request in proxy.requests() {
                match listed.iter().position(|call| call.fits(&request)) {
                    Some(at) => used[at] = true,
                    None => refused.push(format!("{} {}", request.method, path_of(&request))),
                }
            }
            refused.dedup();
            if !refused.is_empty() || told.exit_code() != Some(0) {
                wrong.push(format!("{verb} {words:?}: not listed: {refused:?}\n{told}"));
            }
        }
        // Which each kind of store has no need for.
        let other = if engine.is_containerd_store() { "POST /images/*/tag" } else { "GET /images/*/history" };
        let unused = listed.iter().zip(used).filter(|(call, used)| !used && **call != Call::parse(other));
        let unused: Vec<&Call> = unused.map(|(call, _)| call).collect();
        if !unused.is_empty() {
            wrong.push(format!("{verb}: listed and never asked: {unused:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn a_call_that_is_refused_is_named(engine: &Engine) {
    let mut silent = Vec::new();
    for call in calls("`sweep`") {
        let desk = Desk::new(engine);
        desk.fill();
        let proxy = engine.proxy();
        let refused = call.clone();
        proxy.on_request(move |request| refused.fits(request)).answer(403, "not on the list");
        let told: Output = desk.dkb(&proxy.host(), VERBS[0].1[0]).run();
        let said = told.out() + &told.err();
        let words = match call.path.as_str() {
            // No failure: the sums are less sure without it.
            "/images/*/json" => "up to",
            "/build/prune" => "deleting build cache: the engine, or a proxy before it, has no such call",
            _ => "not on the list",
        };
        let was_asked = proxy.requests().iter().any(|request| call.fits(request));
        if was_asked && !said.contains(words) {
            silent.push(format!("{call:?}: {told}"));
        }
    }
    assert!(silent.is_empty(), "{}", silent.join("\n\n"));
}

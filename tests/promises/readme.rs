//! The recipes of the README and its pages do what it says they do, with the real programs.

use std::ffi::OsString;
use std::path::PathBuf;

use dkb_lab::command::Command;
use dkb_lab::dkb::dkb_path;
use dkb_lab::promise::docker;
use dkb_lab::{Builder, Context, Engine, Promises, State, engine, promises};

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on(
            docker,
            promises![
                the_makefile_builds_and_leaves_nothing_behind,
                the_justfile_builds_and_leaves_nothing_behind,
                the_tiltfile_keeps_two_versions,
                a_job_of_github_actions_leaves_nothing_behind,
                a_job_of_gitlab_leaves_nothing_behind,
            ],
        )
        .on_every_engine(promises![every_console_block_runs])
        .on_one_engine()
}

/// A checkout of somebody's app, and their machine.
pub(crate) struct Checkout<'e> {
    engine: &'e Engine,
    pub(crate) context: Context,
    pub(crate) state: State,
}

impl<'e> Checkout<'e> {
    pub(crate) fn new(engine: &'e Engine) -> Self {
        let context = Context::from_base("COPY version /version").file("version", "1");
        // A stand-in for the reader's own tests.
        let e2e = "#!/bin/sh\nset -e\ndkb build -q -t shop:e2e .\ndocker inspect shop:e2e >inspected\n";
        let context = context.file("e2e", e2e).file(".dockerignore", "*\n!version\n");
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(context.join("e2e"), executable).expect("the file is there");
        Self { engine, context, state: State::new() }
    }

    /// A program in the checkout, with dkb, docker and just on PATH.
    pub(crate) fn program(&self, program: &str) -> Command {
        let mut path: OsString = dkb_path().parent().expect("a folder").into();
        for folder in [engine::runners(), self.engine.bin()] {
            path.push(":");
            path.push(folder);
        }
        path.push(":/usr/local/bin:/usr/bin:/bin");
        Command::new(find(program))
            .envs(self.engine.env())
            .env("PATH", path)
            .env("HOME", self.state.home())
            .env("DKB_STATE_DIR", self.state.state_dir())
            .env("DOCKER_BUILDKIT", self.builder().env())
            .cwd(self.context.path())
    }

    fn builder(&self) -> Builder {
        *self.engine.builders().last().expect("every engine has one")
    }

    pub(crate) fn shell(&self, line: &str) -> Command {
        self.program("sh").args(["-c", line])
    }

    fn change(&self, version: u32) {
        self.context.write("version", version.to_string());
    }

    fn dangling(&self) -> usize {
        self.engine.images().iter().filter(|image| image.is_dangling()).count()
    }
}

fn find(program: &str) -> PathBuf {
    let own = engine::runners().join(program);
    let folders = [own, PathBuf::from("/usr/bin").join(program), PathBuf::from("/bin").join(program)];
    folders.into_iter().find(|path| path.exists()).unwrap_or_else(|| panic!("there is no {program}"))
}

/// The README, and the pages that it sends its readers to for a recipe.
const PAGES: [&str; 4] = ["README.md", "docs/building.md", "docs/ci.md", "docs/cleaning.md"];

/// The fenced blocks of this kind.
fn blocks(kind: &str) -> Vec<String> {
    PAGES.iter().flat_map(|page| blocks_of(page, kind)).collect()
}

/// Those of a page.
pub(crate) fn blocks_of(page: &str, kind: &str) -> Vec<String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(page);
    let text = std::fs::read_to_string(path).expect("the page");
    let fence = format!("\n```{kind}\n");
    let fenced = text.split(&fence).skip(1).filter_map(|rest| rest.split_once("\n```"));
    fenced.map(|(block, _)| format!("{block}\n")).collect()
}

/// The first of them that contains the words.
fn block(kind: &str, words: &str) -> String {
    blocks(kind).into_iter().find(|block| block.contains(words)).expect("one of the pages has it")
}

fn every_console_block_runs(engine: &Engine) {
    let checkout = Checkout::new(engine);
    for block in blocks("console") {
        for command in block.lines().filter_map(|line| line.strip_prefix("$ ")) {
            checkout.shell(command).run().success();
        }
    }
}

fn the_makefile_builds_and_leaves_nothing_behind(engine: &Engine) {
    let checkout = Checkout::new(engine);
    checkout.context.write("Makefile", block("make", "image:"));
    for version in 1..=3 {
        checkout.change(version);
        checkout.program("make").arg("image").run().success();
    }
    assert!(engine.has("shop:dev"));
    assert_eq!(checkout.dangling(), 0);
}

fn the_justfile_builds_and_leaves_nothing_behind(engine: &Engine) {
    let checkout = Checkout::new(engine);
    checkout.context.write("justfile", block("just", "image "));
    for version in 1..=3 {
        checkout.change(version);
        checkout.program("just").arg("image").run().success();
    }
    checkout.program("just").args(["image", "v2"]).run().success();
    checkout.program("just").arg("clean").run().success();
    assert!(engine.has("shop:dev") && engine.has("shop:v2"));
    assert_eq!(checkout.dangling(), 0);
}

fn the_tiltfile_keeps_two_versions(engine: &Engine) {
    let checkout = Checkout::new(engine);
    let tiltfile = block("python", "custom_build");
    let command = tiltfile.lines().find_map(|line| line.trim().strip_prefix("'dkb ")).expect("the command");
    let command = format!("dkb {}", command.trim_end_matches("',"));
    for version in 1..=5 {
        checkout.change(version);
        checkout.shell(&command).env("EXPECTED_REF", format!("shop:tilt-build-{version}")).run().success();
    }
    let kept: Vec<bool> = (1..=5).map(|version| engine.has(&format!("shop:tilt-build-{version}"))).collect();
    assert_eq!(kept, [false, false, false, true, true]);
    assert_eq!(engine.images().len(), 2);
}

fn a_job_of_github_actions_leaves_nothing_behind(engine: &Engine) {
    let recipe = block("yaml", "actions/checkout");
    let steps: Vec<&str> = recipe.lines().filter_map(|line| line.split_once("run: ")).map(|(_, run)| run).collect();
    job(
        engine,
        &steps,
        &[
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_RUN_ID", "7"),
            ("GITHUB_RUN_ATTEMPT", "1"),
            ("GITHUB_JOB", "e2e"),
            ("GITHUB_REPOSITORY", "acme/shop"),
            ("RUNNER_NAME", "runner-1"),
        ],
    );
}

fn a_job_of_gitlab_leaves_nothing_behind(engine: &Engine) {
    let recipe = block("yaml", "script:");
    let steps: Vec<&str> = recipe.lines().filter_map(|line| line.trim().strip_prefix("- ")).collect();
    job(
        engine,
        &steps,
        &[
            ("GITLAB_CI", "true"),
            ("CI_JOB_ID", "7"),
            ("CI_RUNNER_ID", "1"),
            ("CI_CONCURRENT_ID", "0"),
            ("CI_PROJECT_PATH", "acme/shop"),
        ],
    );
}

/// Runs a job's steps in order, and expects the engine to be as it was.
fn job(engine: &Engine, steps: &[&str], env: &[(&str, &str)]) {
    let checkout = Checkout::new(engine);
    for step in steps {
        checkout.shell(step).envs(env.iter().copied()).run().success();
    }
    let inspected = std::fs::read_to_string(checkout.context.join("inspected"));
    assert!(inspected.is_ok_and(|text| text.contains("shop:e2e")), "the tests had their image");
    assert_eq!(engine.images(), []);
}

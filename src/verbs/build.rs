//! `dkb build`: docker's build, with the stamp on it, a note of what it made, and nothing left behind.
//!
//! Docker is what the user waits for. Whatever goes wrong on dkb's side is one warning, and the build runs as
//! docker runs it.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::app::{App, env};
use crate::building::{Job, become_docker, not_started, run};
use crate::cli::{BuildFlags, Invocation, Verb};
use crate::engine::endpoint::variable;
use crate::engine::{Program, ProgramKind, answer, program};
use crate::error::{Error, Result};
use crate::plan::argv::{self, Spelling, Tool};
use crate::processes::stdin::Stdin;
use crate::report;

const ASKING: &str = "asking docker what it is to bake";

/// Runs docker and says how it ended. `words` begin with the verb, `global` stood before it.
pub(crate) fn build(app: &App, global: &[OsString], words: &[OsString]) -> Result<u8> {
    let program = app.builder()?;
    let tool = match program.kind {
        ProgramKind::Docker => Tool::Docker,
        ProgramKind::Podman => Tool::Podman,
    };
    let Some((spelling, rest)) = Spelling::read(words) else {
        return Err(Error::usage("reading the command line", "this is no way to spell docker build"));
    };
    // Before docker starts: none is left alone by a dkb that could not go on.
    let runtime = match app.runtime() {
        Ok(runtime) => runtime,
        Err(error) => return Err(unnoted(&program, global, words, &error)),
    };
    let job = Job::new(app, program, spelling, argv::read(tool, rest));
    run(app, runtime, job, global, None)
}

/// `dkb bake`: many targets in one call of docker, each a build of its own in the books.
pub(crate) fn bake(app: &App, global: &[OsString], words: &[OsString]) -> Result<u8> {
    let program = app.builder()?;
    let words = if program.seat { words.to_vec() } else { as_docker_knows_it(words) };
    let Some((spelling, rest)) = Spelling::read_bake(&words) else {
        return Err(Error::usage("reading the command line", "this is no way to spell docker buildx bake"));
    };
    let bake = argv::read_bake(rest);
    let is_a_bake = bake.understood() && !bake.asks && !spelling.asks_for_help();
    // Of all else nothing comes that could be noted.
    if !is_a_bake || program.kind == ProgramKind::Podman {
        return Err(become_docker(&program, global, &words));
    }
    let runtime = match app.runtime() {
        Ok(runtime) => runtime,
        Err(error) => return Err(unnoted(&program, global, &words, &error)),
    };
    let separator = variable(&env, "BUILDX_BAKE_PATH_SEPARATOR").unwrap_or_else(|| ":".to_owned());
    let stdin = if bake.reads_stdin(env("BUILDX_BAKE_FILE").as_deref(), &separator) {
        Some(Stdin::read().map_err(|error| Error::failed("reading the definition on stdin", error))?)
    } else {
        None
    };
    let targets = match stdin.as_ref().map_or(Some(&[][..]), Stdin::whole) {
        Some(stdin) => {
            let mut asked = Command::new(&program.path);
            asked.args(global).args(bake.question(&spelling, &app.stamp()));
            program.tell_aside(&mut asked);
            runtime
                .block_on(answer(asked, stdin, ASKING))
                .and_then(|printed| argv::targets(&printed).map_err(|error| Error::failed(ASKING, error)))
        }
        None => Err(Error::failed(ASKING, "the definition on stdin is too long")),
    };
    let job = Job::of_bake(app, program, spelling, bake, targets);
    run(app, runtime, job, global, stdin)
}

/// dkb's words on its verb, and then docker's own, where a docker is found.
pub(crate) fn help(page: clap::Error, invocation: &Invocation) -> u8 {
    let code = report::clap(page);
    let docker = App::new(&invocation.cli, &invocation.typed).and_then(|app| app.program());
    if let (Ok(program), Verb::Build(build)) = (docker, &invocation.cli.verb) {
        let mut command = Command::new(&program.path);
        command.args(&build.docker).args(&build.spelling).arg("--help");
        program::as_child(&mut command, &program.path);
        report::warn(not_started(&program, &command.exec()));
    }
    code
}

/// What the user calls `bake` older versions of docker know as `buildx bake` only.
fn as_docker_knows_it(words: &[OsString]) -> Vec<OsString> {
    let buildx = words.first().filter(|verb| *verb == "bake").map(|_| OsString::from("buildx"));
    buildx.into_iter().chain(words.iter().cloned()).collect()
}

/// Becomes docker: whoever can't read what is to be kept, and where the books are, leaves both alone.
pub(crate) fn without_settings(app: &App, flags: &BuildFlags, why: &Error) -> Error {
    let program = match app.program() {
        Ok(program) => program,
        Err(error) => return error,
    };
    let words: Vec<OsString> = flags.spelling.iter().chain(&flags.args).cloned().collect();
    unnoted(&program, &flags.docker, &as_docker_knows_it(&words), why)
}

/// Becomes docker, where this machine gives dkb too little to do anything beside it. Comes back only if that fails.
fn unnoted(program: &Program, global: &[OsString], words: &[OsString], why: &Error) -> Error {
    report::warn(why.under("this build was not noted"));
    become_docker(program, global, words)
}

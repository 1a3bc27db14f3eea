//! `dkb build`: docker's build, with the stamp on it, a note of what it made, and nothing left behind.
//!
//! Docker is what the user waits for. Whatever goes wrong on dkb's side is one warning, and the build runs as
//! docker runs it.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use crate::app::App;
use crate::building::Job;
use crate::cli::{Invocation, Verb};
use crate::engine::{Program, ProgramKind, program};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Running;
use crate::plan::argv::{self, Spelling, Tool};
use crate::processes::child::{self, exit_code};
use crate::report;

/// How long dkb may keep the user waiting for the engine's first word after docker has ended.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs docker and says how it ended. `words` begin with the verb, `global` stood before it.
pub(crate) fn build(app: &App, global: &[OsString], words: &[OsString]) -> Result<u8> {
    let program = app.program()?;
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
        Err(error) => return Err(plainly(&program, global, words, &error)),
    };
    let words = argv::read(tool, rest);
    let mut job = Job::new(app, program, spelling, words);
    let started = Instant::now();
    let command = job.command(global);
    let locks: Vec<_> =
        job.running.iter().map(|running| &running.lock).chain(job.hold.iter().map(|hold| &hold.file)).collect();
    let journal = || job.running.as_ref().and_then(Running::journal);
    let mut child =
        child::start(command, job.stdout, &locks, journal()).map_err(|error| not_started(&job.program, &error))?;
    let journal = journal();
    runtime.block_on(async {
        let (status, before) = tokio::select! {
            ended = beside(&mut child, job.look(started, journal)) => ended,
            never = job.keep_id_file() => match never {},
        };
        let status = status.map_err(|error| Error::failed("waiting for docker", error))?;
        let mut seen = child.seen();
        job.show(status.success(), &mut seen);
        // Docker has said all; whoever presses a key now does not want to wait for dkb.
        tokio::select! {
            () = job.end(app, status.success(), &seen, before) => {}
            () = child.asked_to_stop() => {}
        }
        Ok(exit_code(status))
    })
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

/// Becomes docker, where this machine gives dkb too little to do anything beside it. Comes back only if that fails.
fn plainly(program: &Program, global: &[OsString], words: &[OsString], why: &Error) -> Error {
    report::warn(why.under("this build was not noted"));
    let mut command = Command::new(&program.path);
    command.args(global).args(words);
    program::as_child(&mut command, &program.path);
    not_started(program, &command.exec())
}

fn not_started(program: &Program, error: &io::Error) -> Error {
    Error::new(ErrorKind::NotFound, format!("starting {}", program.path.display()), error)
        .hint("Is it a program that this machine can run?")
}

/// Looks at the engine while docker builds. Once docker has ended, the look has little time left.
async fn beside<T>(
    child: &mut child::RunningChild,
    look: impl Future<Output = Result<T>>,
) -> (io::Result<ExitStatus>, Result<T>) {
    let mut look = std::pin::pin!(look);
    let mut ended = std::pin::pin!(child.ended());
    tokio::select! {
        seen = &mut look => (ended.await, seen),
        status = &mut ended => {
            let late = || Err(Error::new(ErrorKind::Unreachable, "asking the engine", "it did not answer in time"));
            (status, tokio::time::timeout(PATIENCE, look).await.unwrap_or_else(|_| late()))
        }
    }
}

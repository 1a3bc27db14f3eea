//! docker itself, from its start to the books.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::job::Job;
use crate::app::App;
use crate::engine::Program;
use crate::error::{Error, ErrorKind, Result};
use crate::processes::child::{self, exit_code};
use crate::processes::stdin::Stdin;

/// How long dkb may keep the user waiting for the engine's first word after docker has ended: as long again as docker
/// took, to whom the way was as slow, within these.
const PATIENCE: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(10)];

/// Runs docker and says how it ended. `global` stood before the verb.
pub(crate) fn run(app: &App, runtime: &Runtime, mut job: Job, global: &[OsString], stdin: Option<Stdin>) -> Result<u8> {
    let started = Instant::now();
    let command = job.command(global);
    let journal = job.journals().into_iter().next();
    let mut child = child::start(command, stdin, job.stdout, &job.locks(), journal)
        .map_err(|error| not_started(&job.program, &error))?;
    let journals = job.journals();
    runtime.block_on(async {
        let (status, before) = tokio::select! {
            ended = beside(&mut child, job.look(started, journals)) => ended,
            never = job.keep_file() => match never {},
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

/// Becomes docker. Comes back only if that fails.
pub(crate) fn become_docker(program: &Program, global: &[OsString], words: &[OsString]) -> Error {
    let mut command = Command::new(&program.path);
    command.args(global).args(words);
    program.tell(&mut command);
    not_started(program, &command.exec())
}

pub(crate) fn not_started(program: &Program, error: &io::Error) -> Error {
    Error::new(ErrorKind::NotFound, format!("starting {}", program.path.display()), error)
        .hint("Is it a program that this machine can run?")
}

/// Looks at the engine while docker builds. Once docker has ended, the look has little time left.
async fn beside<T>(
    child: &mut child::RunningChild,
    look: impl Future<Output = Result<T>>,
) -> (io::Result<ExitStatus>, Result<T>) {
    let began = Instant::now();
    let mut look = std::pin::pin!(look);
    let mut ended = std::pin::pin!(child.ended());
    tokio::select! {
        seen = &mut look => (ended.await, seen),
        status = &mut ended => {
            let late = || Err(Error::new(ErrorKind::Unreachable, "asking the engine", "it did not answer in time"));
            let [least, most] = PATIENCE;
            let patience = began.elapsed().clamp(least, most);
            (status, tokio::time::timeout(patience, look).await.unwrap_or_else(|_| late()))
        }
    }
}

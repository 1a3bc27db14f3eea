//! `dkb build`: docker's build, with the stamp on it, a note of what it made, and nothing left behind.
//!
//! Docker is what the user waits for. Whatever goes wrong on dkb's side is one warning, and the build runs as
//! docker runs it.

mod books;
pub(crate) mod child;
mod ended;
mod job;
mod lent;
mod look;
mod recovery;
mod route;
mod signals;
mod stream;
mod tap;

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use super::world::{World, runtime};
use crate::engine::ProgramKind;
use crate::error::{Error, Kind, Result};
use crate::ledger::Running;
use crate::plan::argv::{self, Spelling, Tool};
use job::Job;
pub use recovery::{recover, running};

/// How long dkb may keep the user waiting for the engine's first word after docker has ended.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs docker and says how it ended. `words` begin with the verb, `global` stood before it.
pub fn build(world: &World, global: &[OsString], words: &[OsString]) -> Result<u8> {
    let program = world.program()?;
    let tool = match program.kind {
        ProgramKind::Docker => Tool::Docker,
        ProgramKind::Podman => Tool::Podman,
    };
    let Some((spelling, rest)) = Spelling::read(words) else {
        return Err(Error::usage("reading the command line", "this is no way to spell docker build"));
    };
    let words = argv::read(tool, rest);
    let mut job = Job::new(world, program, spelling, words);
    let started = Instant::now();
    let command = job.command(global);
    let locks: Vec<_> =
        job.running.iter().map(|running| &running.lock).chain(job.hold.iter().map(|hold| &hold.file)).collect();
    let journal = || job.running.as_ref().and_then(Running::journal);
    let mut child = child::start(command, job.stdout, &locks, journal()).map_err(|error| {
        Error::new(Kind::NotFound, format!("starting {}", job.program.path.display()), error)
            .hint("Is it a program that this machine can run?")
    })?;
    let journal = journal();
    runtime()?.block_on(async {
        let (status, before) = tokio::select! {
            ended = beside(&mut child, job.look(world, started, journal)) => ended,
            never = job.keep_id_file() => match never {},
        };
        let status = status.map_err(|error| Error::failed("waiting for docker", error))?;
        let mut seen = child.seen();
        job.show(status.success(), &mut seen);
        // Docker has said all; whoever presses a key now does not want to wait for dkb.
        tokio::select! {
            () = job.end(world, status.success(), &seen, before) => {}
            () = child.asked_to_stop() => {}
        }
        Ok(exit_code(status))
    })
}

/// Looks at the engine while docker builds. Once docker has ended, the look has little time left.
async fn beside<T>(
    child: &mut child::Running,
    look: impl Future<Output = Result<T>>,
) -> (io::Result<ExitStatus>, Result<T>) {
    let mut look = std::pin::pin!(look);
    let mut ended = std::pin::pin!(child.ended());
    tokio::select! {
        seen = &mut look => (ended.await, seen),
        status = &mut ended => {
            let late = || Err(Error::new(Kind::Unreachable, "asking the engine", "it did not answer in time"));
            (status, tokio::time::timeout(PATIENCE, look).await.unwrap_or_else(|_| late()))
        }
    }
}

/// As a shell says it: the code, or 128 and the number of the signal.
pub(super) fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

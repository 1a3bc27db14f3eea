//! The docker that builds: started with the user's own streams, seen through where its steps are shown, and
//! handed the signals that were meant for it.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use tempfile::SpooledTempFile;
use tokio::sync::{Notify, oneshot};

use super::signals::{Recipient, forward, listen};
use super::stdin::Stdin;
use super::stream::Stream;
use super::tap::Tap;
use crate::ledger::Journal;
use crate::plan::classic::{ClassicReader, SeenBuild};
use crate::report;

/// What is kept in memory of a quiet build's output; more goes to a temporary file.
const IN_MEMORY: usize = 256 * 1024;

/// What happens to docker's stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stdout {
    /// It is the user's, and dkb never sees it.
    Untouched,
    /// It goes through dkb, which reads the steps in it.
    Watched,
    /// The same for a docker that was told to be quiet: if the build fails, its steps come on stderr after all.
    Quiet,
    /// The user asked for quiet, and docker was not told: it is held until it is known what docker would show.
    Held,
}

/// What was read in docker's stdout.
#[derive(Debug, Default)]
pub(crate) struct SeenOutput {
    pub build: SeenBuild,
    /// What was held, stdout and stderr.
    pub held: Option<(SpooledTempFile, SpooledTempFile)>,
}

pub(crate) struct RunningChild {
    reader: Option<JoinHandle<SeenOutput>>,
    errors: Option<JoinHandle<SpooledTempFile>>,
    /// Reads the steps that come on stderr.
    late: Option<JoinHandle<SeenOutput>>,
    done: Option<oneshot::Receiver<io::Result<ExitStatus>>>,
    signals: signal_hook::iterator::Handle,
    stop: Arc<Notify>,
}

/// Starts docker. The locks are inherited, so that a docker that outlives dkb still counts as a running build.
/// `stdin`: what was read of it already.
pub(crate) fn start(
    mut command: Command,
    stdin: Option<Stdin>,
    stdout: Stdout,
    locks: &[&File],
    journal: Option<Journal>,
) -> io::Result<RunningChild> {
    let tap = match stdout {
        Stdout::Untouched => None,
        Stdout::Watched => Some(Tap::on(&mut command)?),
        Stdout::Quiet => {
            let tap = Tap::on(&mut command)?;
            command.stderr(Stdio::piped());
            Some(tap)
        }
        Stdout::Held => {
            command.stdout(Stdio::piped()).stderr(Stdio::piped());
            None
        }
    };
    if stdin.is_some() {
        command.stdin(Stdio::piped());
    }
    let (ended, end) = io::pipe()?;
    let ended_too = ended.try_clone()?;
    // Before docker starts: a signal that comes between must not end dkb and leave docker alone.
    let signals = listen()?;
    let mut child = with_inheritable(locks, || command.spawn())?;
    // Its end of the stream is docker's alone from now on, so that the stream ends with docker.
    drop(command);
    if let (Some(stdin), Some(pipe)) = (stdin, child.stdin.take()) {
        stdin.feed(pipe);
    }
    let (journal, late_journal) = if stdout == Stdout::Quiet { (None, journal) } else { (journal, None) };
    let reader = match (tap, child.stdout.take()) {
        (Some(tap), _) => {
            Some(thread::spawn(move || watch(Stream::new(tap, ended), Some(report::pass_on_stdout), journal)))
        }
        (None, Some(pipe)) => Some(thread::spawn(move || watch(Stream::new(pipe, ended), None, journal))),
        (None, None) => None,
    };
    let (mut errors, mut late) = (None, None);
    match child.stderr.take() {
        Some(pipe) if stdout == Stdout::Quiet => {
            let pipe = Stream::new(pipe, ended_too);
            late = Some(thread::spawn(move || watch(pipe, Some(report::pass_on_stderr), late_journal)));
        }
        Some(pipe) => errors = Some(thread::spawn(move || hold(Stream::new(pipe, ended_too)))),
        None => {}
    }
    let handle = signals.handle();
    let (tell, done) = oneshot::channel();
    let target = Arc::new(Mutex::new(Recipient::Alive(Pid::from_child(&child))));
    let stop = Arc::new(Notify::new());
    forward(signals, Arc::clone(&target), Arc::clone(&stop));
    thread::spawn(move || {
        let status = wait(&mut child, &target);
        drop(end);
        let _ = tell.send(status);
    });
    Ok(RunningChild { reader, errors, late, done: Some(done), signals: handle, stop })
}

impl RunningChild {
    /// Waits until docker has ended. May be called once.
    pub(crate) async fn ended(&mut self) -> io::Result<ExitStatus> {
        match self.done.take() {
            Some(done) => done.await.unwrap_or_else(|_| Err(io::Error::other("nobody waits for docker any more"))),
            None => Err(io::Error::other("docker has ended before")),
        }
    }

    /// A signal came after docker had ended.
    pub(crate) async fn asked_to_stop(&self) {
        self.stop.notified().await;
    }

    /// What was read, once docker has ended.
    pub(crate) fn seen(&mut self) -> SeenOutput {
        let mut seen = self.reader.take().and_then(|reader| reader.join().ok()).unwrap_or_default();
        if let Some(errors) = self.errors.take().and_then(|errors| errors.join().ok()) {
            seen.held = seen.held.map(|(stdout, _)| (stdout, errors));
        }
        if let Some(late) = self.late.take().and_then(|late| late.join().ok()) {
            seen.build.shown = late.build.shown;
        }
        seen
    }
}

impl Drop for RunningChild {
    fn drop(&mut self) {
        self.signals.close();
    }
}

/// Waits without taking the process's number away, so that a signal can never reach somebody who got it next.
fn wait(child: &mut Child, target: &Mutex<Recipient>) -> io::Result<ExitStatus> {
    while let Err(rustix::io::Errno::INTR) =
        waitid(WaitId::Pid(Pid::from_child(child)), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)
    {}
    let mut target = target.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    *target = Recipient::EndedAt(Instant::now());
    child.wait()
}

fn with_inheritable<T>(files: &[&File], act: impl FnOnce() -> T) -> T {
    let set = |inherit: bool| {
        for file in files {
            if let Ok(flags) = fcntl_getfd(file.as_fd()) {
                let flags = if inherit { flags.difference(FdFlags::CLOEXEC) } else { flags | FdFlags::CLOEXEC };
                let _ = fcntl_setfd(file.as_fd(), flags);
            }
        }
    };
    set(true);
    let result = act();
    set(false);
    result
}

/// Reads what docker writes as it comes, and passes it on, or holds it where there is nowhere to pass it to.
fn watch(mut pipe: impl Read, pass: Option<fn(&[u8]) -> bool>, mut journal: Option<Journal>) -> SeenOutput {
    let mut reader = ClassicReader::default();
    let mut seen = SeenBuild::default();
    let mut take = |event| {
        if let (Some(line), Some(journal)) = (seen.take(event), &mut journal) {
            journal.note_shown(line);
        }
    };
    let mut hold = pass.is_none().then(|| SpooledTempFile::new(IN_MEMORY));
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let length = match pipe.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        let bytes = &buffer[..length];
        reader.feed(bytes, &mut take);
        let passed = match (&mut hold, pass) {
            (Some(hold), _) => {
                // Where even the temporary files are full, docker goes on, and less is shown of why it failed.
                let _ = hold.write_all(bytes);
                true
            }
            (None, pass) => pass.is_some_and(|pass| pass(bytes)),
        };
        if !passed {
            // Nobody reads any more: docker is to notice, as it would without dkb.
            break;
        }
    }
    reader.finish(take);
    SeenOutput { build: seen, held: hold.map(|hold| (hold, SpooledTempFile::new(IN_MEMORY))) }
}

fn hold(mut pipe: impl Read) -> SpooledTempFile {
    let mut held = SpooledTempFile::new(IN_MEMORY);
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(length @ 1..) = pipe.read(&mut buffer) {
        let _ = held.write_all(&buffer[..length]);
    }
    held
}

/// Shows what docker would have shown, had it been told to be quiet: on success the ID, on failure all that it
/// said, on stderr, before its last line there.
pub(crate) fn release(held: (SpooledTempFile, SpooledTempFile), id: Option<&str>) {
    let (mut stdout, mut stderr) = held;
    let mut words = Vec::new();
    let _ = stderr.rewind().and_then(|()| stderr.read_to_end(&mut words));
    if let Some(id) = id {
        report::pass_on_stderr(&words);
        report::pass_on_stdout(report::Page::of(id).as_bytes());
        return;
    }
    let text = words.strip_suffix(b"\n").unwrap_or(&words);
    let last = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end.saturating_add(1));
    report::pass_on_stderr(&words[..last]);
    let mut part = vec![0; 16 * 1024];
    let _ = stdout.rewind();
    while let Ok(length @ 1..) = stdout.read(&mut part) {
        report::pass_on_stderr(&part[..length]);
    }
    report::pass_on_stderr(&words[last..]);
}

/// As a shell says it: the code, or 128 and the number of the signal.
pub(crate) fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| signal.saturating_add(128)));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

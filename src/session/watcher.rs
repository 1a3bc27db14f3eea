//! Who cleans up if we can't: the watcher, as whoever starts one sees it. `verbs::watch` is its own life.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

use super::is_made;
use super::told::Told;
use crate::app::App;
use crate::cli::GuardFlags;
use crate::error::{Error, Result};
use crate::model::SessionKey;
use crate::processes::apart;

/// What a guard writes when it has cleaned up itself.
pub(crate) const DONE: u8 = b'd';

/// A watcher that a guard has started. Dropping it without [`Watcher::done`] lets it clean.
pub(crate) struct Watcher {
    child: Child,
    line: Option<ChildStdin>,
    ready: Option<ChildStdout>,
}

/// What the watcher waits for.
pub(crate) enum Until {
    /// Its stdin ends: the guard that keeps the session open under this name is gone.
    Line(String),
    Process(u32),
    Elapsed(Duration),
}

/// What a watcher leaves when it is its turn.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Leaves {
    pub(crate) tagged: bool,
    /// Everything, for a look: a command that was cut off has failed.
    pub(crate) all: bool,
}

impl Leaves {
    pub(crate) const fn of(flags: &GuardFlags) -> Self {
        Self { tagged: flags.keep_tagged, all: flags.keep_on_failure }
    }
}

/// Starts a watcher for this session. From now on it sees the end of a line, but it holds the session only once it
/// is ready.
pub(crate) fn start(app: &App, key: &SessionKey, until: &Until, leaves: Leaves, command: &str) -> Result<Watcher> {
    let failed = |error: std::io::Error| Error::failed("starting the watcher", error);
    let mut watcher = apart::another_dkb().map_err(failed)?;
    let vouched = is_made(app, key) || app.here().vouched;
    Told::to_another_dkb(app)?.in_session(key, vouched).tell(&mut watcher);
    watcher.arg("watch").args(["--command", command]);
    match until {
        Until::Line(keeper) => drop(watcher.args(["--keeper", keeper])),
        Until::Process(pid) => drop(watcher.args(["--pid", &pid.to_string()])),
        Until::Elapsed(time) => drop(watcher.args(["--ttl", &format!("{}s", time.as_secs())])),
    }
    if leaves.tagged {
        watcher.arg("--keep-tagged");
    }
    if leaves.all {
        watcher.arg("--keep-on-failure");
    }
    let line = if matches!(until, Until::Line(_)) { Stdio::piped() } else { Stdio::null() };
    watcher.stdin(line).stdout(Stdio::piped());
    let mut child = watcher.spawn().map_err(failed)?;
    Ok(Watcher { line: child.stdin.take(), ready: child.stdout.take(), child })
}

impl Watcher {
    /// Waits until it is ready.
    pub(crate) fn ready(&mut self) -> Result<()> {
        if self.ready.take().is_some_and(|mut stdout| stdout.read_exact(&mut [0]).is_ok()) {
            return Ok(());
        }
        let _ = self.child.wait();
        Err(Error::failed("starting the watcher", "it ended at once"))
    }

    /// The session has been cleaned, or is to be left: there is nothing to watch any more.
    pub(crate) fn done(mut self) {
        if let Some(mut line) = self.line.take() {
            let _ = line.write_all(&[DONE]);
        }
        let _ = self.child.wait();
    }
}

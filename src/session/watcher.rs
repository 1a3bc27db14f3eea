//! Who cleans up if we can't: the watcher, as whoever starts one sees it. `verbs::watch` is its own life.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::app::{App, env};
use crate::error::{Error, Result};
use crate::model::SessionKey;

/// What a guard writes when it has cleaned up itself.
pub(crate) const DONE: u8 = b'd';

/// Variables by which a CI runner finds processes that a job left behind: those of GitHub Actions, Azure Pipelines
/// and Jenkins. Others go by process group or session, and the watcher has its own. It is left behind on purpose.
const HUNTED: [&str; 7] = [
    "RUNNER_TRACKING_ID",
    "VSTS_PROCESS_LOOKUP_ID",
    "BUILD_ID",
    "JENKINS_NODE_COOKIE",
    "JENKINS_SERVER_COOKIE",
    "HUDSON_SERVER_COOKIE",
    "HUDSON_COOKIE",
];

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

/// Starts a watcher for this session. From now on it sees the end of a line, but it holds the session only once it
/// is ready.
pub(crate) fn start(app: &App, key: &SessionKey, until: &Until, keep_tagged: bool, command: &str) -> Result<Watcher> {
    let failed = |error: std::io::Error| Error::failed("starting the watcher", error);
    // What came through a pipe is drained, and the watcher would keep nothing that it said to keep.
    let named = app.settings_file.clone().or_else(|| env("DKB_SETTINGS").map(PathBuf::from));
    if let Some(file) = named.filter(|file| !file.as_os_str().is_empty() && !file.is_file()) {
        let why = format!("the settings in {} can be read only once", file.display());
        return Err(Error::failed("starting the watcher", why).hint("put them into a file"));
    }
    let own = std::env::current_exe().map_err(failed)?;
    let mut watcher = Command::new(own);
    for name in HUNTED {
        watcher.env_remove(name);
    }
    watcher.args(["--project", key.project.as_str(), "--session", key.session.as_str()]);
    if let Some(file) = &app.settings_file {
        watcher.arg("--settings").arg(file);
    }
    watcher.args(&app.docker.words).arg("watch").args(["--command", command]);
    match until {
        Until::Line(keeper) => drop(watcher.args(["--keeper", keeper])),
        Until::Process(pid) => drop(watcher.args(["--pid", &pid.to_string()])),
        Until::Elapsed(time) => drop(watcher.args(["--ttl", &format!("{}s", time.as_secs())])),
    }
    if keep_tagged {
        watcher.arg("--keep-tagged");
    }
    let line = if matches!(until, Until::Line(_)) { Stdio::piped() } else { Stdio::null() };
    watcher.stdin(line).stdout(Stdio::piped()).stderr(Stdio::null());
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

//! The watcher: a small process of its own that ends a session when the process it belongs to is gone.
//!
//! It is told of the end by the kernel, never by asking whether a process number still means the same process:
//! a guard holds the other end of its stdin, and another process is watched through a handle on it.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::end::{self, Manner};
use super::world::{BY_CHECKOUT, World, env, machine, runtime};
use crate::engine::Limits;
use crate::error::{Error, Result};
use crate::ledger::{KeptBy, SessionFile, State};
use crate::model::{Owner, Record, SessionEntry, SessionKey};
use crate::{cli, ui};

/// What a guard writes when it has cleaned up itself.
const DONE: u8 = b'd';
/// How often a session is looked at that somebody else may have ended.
const LOOK: Duration = Duration::from_secs(1);
/// How long an engine that does not answer is waited for. After that the session is dead, and the next dkb's.
const PATIENCE: Duration = Duration::from_secs(30);

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
pub(super) struct Watcher {
    child: Child,
    line: Option<ChildStdin>,
    ready: Option<ChildStdout>,
}

/// What the watcher waits for.
pub(super) enum Until {
    /// Its stdin ends: the guard that keeps the session open under this name is gone.
    Line(String),
    Process(u32),
    Elapsed(Duration),
}

/// Starts a watcher for this session. From now on it sees the end of a line, but it holds the session only once it
/// is ready.
pub(super) fn start(
    world: &World,
    key: &SessionKey,
    until: &Until,
    keep_tagged: bool,
    command: &str,
) -> Result<Watcher> {
    let failed = |error: std::io::Error| Error::failed("starting the watcher", error);
    // What came through a pipe is drained, and the watcher would keep nothing that it said to keep.
    let named = world.settings_file.clone().or_else(|| env("DKB_SETTINGS").map(PathBuf::from));
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
    if let Some(file) = &world.settings_file {
        watcher.arg("--settings").arg(file);
    }
    watcher.args(&world.docker.words).arg("watch").args(["--command", command]);
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
    pub(super) fn ready(&mut self) -> Result<()> {
        if self.ready.take().is_some_and(|mut stdout| stdout.read_exact(&mut [0]).is_ok()) {
            return Ok(());
        }
        let _ = self.child.wait();
        Err(Error::failed("starting the watcher", "it ended at once"))
    }

    /// The session has been cleaned, or is to be left: there is nothing to watch any more.
    pub(super) fn done(mut self) {
        if let Some(mut line) = self.line.take() {
            let _ = line.write_all(&[DONE]);
        }
        let _ = self.child.wait();
    }
}

/// The watcher's whole life.
pub(super) fn watch(world: &World, flags: &cli::Watch) -> Result<u8> {
    leave_the_guard();
    let key = world.key.clone();
    let state = world.state()?;
    let session = state.session(&key);
    let own = Owner { machine: machine(), since: Timestamp::now(), command: flags.command.clone() };
    // A guard keeps the session open itself.
    let (hold, keeper) = if flags.keeper.is_some() {
        (session.hold(None)?, None)
    } else {
        let (hold, keeper) = session.open(&KeptBy { owner: own, guard: false })?;
        (hold, Some(keeper))
    };
    let told = listen(flags)?;
    ui::pass_on_stdout(b"r");
    close_stdout();
    let runtime = runtime()?;
    let to_do = runtime.block_on(async {
        let mut over = pin!(over(told, &session));
        // The session is made known on the engine, so that the next dkb finds it even if this one is killed too.
        // An engine that takes its time over that keeps nobody waiting.
        tokio::select! {
            over = over.as_mut() => over,
            _ = introduce(world, &state) => over.await,
        }
    });
    if !to_do {
        drop(hold);
        session.clear();
        return Ok(0);
    }
    drop(keeper);
    let is_kept_open = || end::is_kept_open(&session, flags.keeper.as_deref());
    let manner = Manner { keep_tagged: flags.keep_tagged, opened: true, anywhere: true };
    let deadline = Instant::now() + PATIENCE;
    loop {
        while state.builds_in(&key) {
            thread::sleep(Duration::from_millis(50));
        }
        if is_kept_open() {
            return Ok(0);
        }
        match runtime.block_on(end::end(world, &key, manner, is_kept_open, std::future::pending())) {
            Ok(None) => return Ok(0),
            Ok(Some(ended)) if end::is_over(&ended.plan) => {
                drop(hold);
                session.disown()?;
                return Ok(0);
            }
            _ => {}
        }
        if Instant::now() > deadline {
            return Ok(1);
        }
        thread::sleep(Duration::from_millis(500));
    }
}

/// Waits for the end of what is watched; `false` where somebody else has ended the session.
async fn over(mut told: oneshot::Receiver<End>, session: &SessionFile) -> bool {
    loop {
        match tokio::time::timeout(LOOK, &mut told).await {
            Ok(Ok(End::Done)) => return false,
            Ok(_) => return true,
            Err(_) if session.owner().is_none() => return false,
            Err(_) => session.beat(),
        }
    }
}

enum End {
    /// The guard has cleaned up.
    Done,
    /// Whoever was watched is gone.
    Gone,
}

/// A session, a folder and file handles of its own: nothing ties the watcher to who started it.
fn leave_the_guard() {
    let _ = rustix::process::setsid();
    let _ = std::env::set_current_dir("/");
    let folder = if Path::new("/proc/self/fd").exists() { "/proc/self/fd" } else { "/dev/fd" };
    let open: Vec<i32> = std::fs::read_dir(folder)
        .map(|entries| entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
        .unwrap_or_default();
    for handle in open.into_iter().filter(|handle| *handle > 2) {
        let _ = nix::unistd::close(handle);
    }
}

/// Whoever waits for the guard's output must not wait for the watcher.
fn close_stdout() {
    if let Ok(null) = std::fs::File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(&null);
    }
}

fn listen(flags: &cli::Watch) -> Result<oneshot::Receiver<End>> {
    let (tell, told) = oneshot::channel();
    let ttl = flags.ttl.as_deref().map(crate::model::parse_duration).transpose();
    let ttl = ttl.map_err(|wrong| Error::usage("reading --ttl", wrong))?;
    match (flags.pid, ttl) {
        (Some(pid), _) => {
            let wait = process_end(pid)?;
            thread::spawn(move || {
                wait();
                let _ = tell.send(End::Gone);
            });
        }
        (None, Some(time)) => {
            thread::spawn(move || {
                thread::sleep(time);
                let _ = tell.send(End::Gone);
            });
        }
        (None, None) => {
            thread::spawn(move || {
                let mut word = [0];
                let done = std::io::stdin().read_exact(&mut word).is_ok() && word == [DONE];
                let _ = tell.send(if done { End::Done } else { End::Gone });
            });
        }
    }
    Ok(told)
}

/// Takes hold of a process now, and gives a way to wait for its end.
#[cfg(target_os = "linux")]
pub(super) fn process_end(pid: u32) -> Result<impl FnOnce() + Send> {
    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::process::{Pid, PidfdFlags, pidfd_open};
    let wrong = |why: &dyn std::fmt::Display| Error::usage(format!("watching process {pid}"), why);
    let number = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(|| wrong(&"it is no process number"))?;
    let handle = pidfd_open(number, PidfdFlags::empty()).map_err(|error| wrong(&error))?;
    Ok(move || while poll(&mut [PollFd::new(&handle, PollFlags::IN)], None).is_err() {})
}

#[cfg(not(target_os = "linux"))]
pub(super) fn process_end(pid: u32) -> Result<impl FnOnce() + Send> {
    use rustix::process::{Pid, test_kill_process};
    let wrong = |why: &dyn std::fmt::Display| Error::usage(format!("watching process {pid}"), why);
    let number = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(|| wrong(&"it is no process number"))?;
    test_kill_process(number).map_err(|error| wrong(&error))?;
    Ok(move || {
        while test_kill_process(number) != Err(rustix::io::Errno::SRCH) {
            thread::sleep(Duration::from_millis(200));
        }
    })
}

async fn introduce(world: &World, state: &State) -> Result<()> {
    let engine = world.engine(Limits::default()).await?;
    let Some(identity) = engine.info().await?.identity else { return Ok(()) };
    state.ledger(&identity).append(&[Record::Session(SessionEntry {
        ci: world.identity.ci.is_some(),
        slot: world.slot(),
        copies: [world.identity.copy.clone()].into(),
        ..SessionEntry::new(world.key.clone(), Timestamp::now())
    })])
}

/// The name of a command, and never its arguments.
pub(super) fn name_of(command: &std::ffi::OsStr) -> String {
    Path::new(command).file_name().unwrap_or(command).to_string_lossy().into_owned()
}

/// The guard that this process runs in, if it names a session that is alive.
pub(super) fn outer(state: &State, world: &World) -> Option<SessionKey> {
    let mark = env("DKB_GUARD")?.into_string().ok()?;
    let session = crate::model::Name::typed(mark.strip_suffix(BY_CHECKOUT).unwrap_or(&mark)).ok()?;
    let key = SessionKey { project: world.key.project.clone(), session };
    (state.session(&key).life(&machine()) == crate::model::Life::Alive).then_some(key)
}

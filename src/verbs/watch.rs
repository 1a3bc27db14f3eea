//! The life of a watcher: a small process of its own that ends a session when the process it belongs to is gone.
//!
//! It is told of the end by the kernel, never by asking whether a process number still means the same process:
//! a guard holds the other end of its stdin, and another process is watched through a handle on it.

use std::io::Read;
use std::pin::pin;
use std::thread;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::oneshot;

use crate::app::App;
use crate::config::here::machine;
use crate::engine::{Engine, Limits};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{KeptBy, OpeningFile, SessionFile, State};
use crate::model::Owner;
use crate::processes::{apart, process_end};
use crate::session::end::{self, Manner};
use crate::session::settle;
use crate::session::watcher::DONE;
use crate::{cli, report};

/// How often a session is looked at that somebody else may have ended.
const LOOK: Duration = Duration::from_secs(1);
/// How long an engine that does not answer is waited for. After that the session is dead, and the next dkb's.
const PATIENCE: Duration = Duration::from_secs(30);

/// The watcher's whole life.
pub(super) fn watch(app: &App, flags: &cli::WatchFlags) -> Result<u8> {
    apart::leave();
    let key = app.key.clone();
    let state = app.state()?;
    let session = state.session(&key);
    let own = Owner { machine: machine(), since: Timestamp::now(), command: flags.command.clone() };
    // A guard keeps the session open itself.
    let (opening, hold, keeper) = if let Some(keeper) = &flags.keeper {
        let opening = session.opening(keeper);
        let hold = opening.hold()?;
        (opening, hold, None)
    } else {
        let copy = Some(app.identity.copy.clone());
        let (hold, keeper) = session.open(&KeptBy { owner: own, guard: false, copy })?;
        (session.opening(&keeper.name()), Some(hold), Some(keeper))
    };
    let told = listen(flags)?;
    // Whoever waits for the word is to know if it can't watch.
    let runtime = app.runtime()?;
    report::pass_on_stdout(b"r");
    close_stdout();
    let to_do = runtime.block_on(async {
        let mut over = pin!(over(told, &session, &opening));
        // The session is made known on the engine, so that the next dkb finds it even if this one is killed too.
        // An engine that takes its time over that keeps nobody waiting.
        tokio::select! {
            over = over.as_mut() => over,
            _ = introduce(app, &state, &opening) => over.await,
        }
    });
    if !to_do {
        // Without its opening it would count as one who has not said yet what he keeps open.
        drop(keeper);
        drop(hold);
        session.clear();
        return Ok(0);
    }
    drop(keeper);
    let is_kept_open = |engine: Option<&str>| end::is_kept_open(&session, flags.keeper.as_deref(), engine);
    let manner = Manner { keep_tagged: flags.keep_tagged, opened: true, own: false };
    let leave_to_others = || {
        let _ = session.leave_to_others(&opening);
    };
    let began = Instant::now();
    loop {
        while state.builds_in(&key) {
            thread::sleep(Duration::from_millis(50));
        }
        settle(app, &session, &opening, flags.keeper.as_deref());
        if is_kept_open(opening.engine().as_deref()) {
            leave_to_others();
            return Ok(0);
        }
        // What is noted is noted before the lock is free: between the two the session would be dead.
        if flags.keep_on_failure {
            session.leave_for_a_look(&opening)?;
            drop(hold);
            return Ok(0);
        }
        match runtime.block_on(end::end(app, &key, manner, Some(&opening), is_kept_open, std::future::pending())) {
            Ok(None) => {
                leave_to_others();
                return Ok(0);
            }
            Ok(Some(ended)) if ended.is_over() => {
                session.disown(ended.engine.as_deref())?;
                drop(hold);
                session.clear();
                return Ok(0);
            }
            Err(error) if error.kind == ErrorKind::OutOfReach => {
                session.withdraw(&opening)?;
                drop(hold);
                session.clear();
                return Ok(0);
            }
            Ok(Some(_)) | Err(_) => {}
        }
        if began.elapsed() > PATIENCE {
            return Ok(1);
        }
        thread::sleep(Duration::from_millis(500));
    }
}

/// Waits for the end of what is watched; `false` where somebody else has ended the session.
async fn over(mut told: oneshot::Receiver<End>, session: &SessionFile, opening: &OpeningFile) -> bool {
    loop {
        match tokio::time::timeout(LOOK, &mut told).await {
            Ok(Ok(End::Done)) => return false,
            Ok(_) => return true,
            Err(_) if session.is_ended(opening) => return false,
            Err(_) => opening.beat(),
        }
    }
}

enum End {
    /// The guard has cleaned up.
    Done,
    /// Whoever was watched is gone.
    Gone,
}

/// Whoever waits for the guard's output must not wait for the watcher.
fn close_stdout() {
    if let Ok(null) = std::fs::File::options().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(&null);
    }
}

fn listen(flags: &cli::WatchFlags) -> Result<oneshot::Receiver<End>> {
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

async fn introduce(app: &App, state: &State, opening: &OpeningFile) -> Result<()> {
    let engine = app.engine(Limits::default()).await?;
    let Some(identity) = engine.info().await?.identity else { return Ok(()) };
    state.session(&app.key).is_on(opening, &identity)?;
    let ledger = state.ledger(&identity);
    let (books, _) = ledger.read_aside().await?;
    let opened = opening.opened().unwrap_or_else(Timestamp::now);
    ledger.append_aside(vec![end::introduction(app, &app.key, &books, opened)]).await
}

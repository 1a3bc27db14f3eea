//! Signals that were meant for docker: each reaches it once, and dkb outlives it.

use std::io;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getpid, getsid, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::raw::WithRawSiginfo;
use tokio::sync::Notify;

/// Whom a signal is for.
pub(crate) enum Recipient {
    Alive(Pid),
    EndedAt(Instant),
}

/// The key that ended docker reaches dkb too, perhaps a little later.
const SAME_KEY: Duration = Duration::from_millis(300);

pub(crate) fn listen() -> io::Result<SignalsInfo<WithRawSiginfo>> {
    let ignored = ignored_signals();
    let wanted = [SIGINT, SIGTERM, SIGHUP, SIGQUIT].into_iter().filter(|signal| (ignored << 1) & (1 << signal) == 0);
    SignalsInfo::new(wanted)
}

/// A file that may grow no further ends whoever writes to it, unless that one is ready for it: then the write fails, as
/// on a full disk. A program that dkb starts gets the signal's own answer back from the kernel.
pub(crate) fn outlive_limits_of_files() {
    if ignored_signals() & (1 << (SIGXFSZ - 1)) == 0 {
        // Without it dkb may be ended, and does nothing wrong.
        let _ = signal_hook::flag::register(SIGXFSZ, Arc::default());
    }
}

/// What was to be ignored when dkb started, as under nohup, stays ignored, for docker too.
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// Hands on what somebody sent to dkb alone. What the terminal sends reaches docker without us.
pub(crate) fn forward(mut signals: SignalsInfo<WithRawSiginfo>, target: Arc<Mutex<Recipient>>, stop: Arc<Notify>) {
    thread::spawn(move || {
        for info in &mut signals {
            match *target.lock().unwrap_or_else(std::sync::PoisonError::into_inner) {
                Recipient::Alive(pid) if is_for_us_alone(info.si_signo, info.si_code) => {
                    if let Some(signal) = Signal::from_named_raw(info.si_signo) {
                        let _ = kill_process(pid, signal);
                    }
                }
                Recipient::EndedAt(end) if end.elapsed() > SAME_KEY => stop.notify_one(),
                _ => {}
            }
        }
    });
}

/// The kernel marks what it sends itself with another code: a key on the terminal, which reaches all that run
/// there, and a terminal that closes, of which it tells only whoever leads the session.
fn is_for_us_alone(signal: i32, code: i32) -> bool {
    let is_from_a_process = code == libc::SI_USER || code < 0;
    is_from_a_process || signal == SIGHUP && getsid(None) == Ok(getpid())
}

/// Somebody wants this to end: at the keyboard, or whoever runs the CI job.
pub(crate) async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let term = async {
        match signal(SignalKind::terminate()) {
            Ok(mut term) => term.recv().await,
            Err(_) => std::future::pending().await,
        };
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = term => {}
    }
}

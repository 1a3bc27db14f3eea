//! What dkb is at, where that takes longer than half a second: one line, on a terminal only, that is gone before the
//! result stands there.

use std::cell::Cell;
use std::io::{self, IsTerminal};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::page::clean;
use super::words::shortened;
use crate::model::{Action, Moment, Step, human_bytes, total};

const PATIENCE: Duration = Duration::from_millis(500);
/// What is looked at, where there is one.
pub(crate) const ENGINE: &str = "what the engine has";

const TICK: Duration = Duration::from_millis(100);

/// There is one terminal. Whoever writes to it has the line out of the way meanwhile.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Writes with the line, if there is one, out of the way.
pub(super) fn aside<T>(write: impl FnOnce() -> T) -> T {
    let shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match shown {
        Some(line) => line.suspend(write),
        None => write(),
    }
}

/// Whether somebody watches, if nothing that was asked for speaks against it.
pub(crate) fn is_watched(is_wanted: bool) -> bool {
    is_wanted && io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// One line, gone once this is dropped.
pub(crate) struct Progress {
    line: ProgressBar,
    shows: Option<Shows>,
    freed: Cell<u64>,
    all: u64,
}

/// Shows the line once it has taken long enough; all that happens on the one thread of the runtime may be what is
/// waited for.
struct Shows {
    over: Sender<()>,
    thread: JoinHandle<()>,
}

impl Progress {
    /// Looking at this takes as long as it takes.
    pub(crate) fn of_a_look(is_watched: bool, at: &str) -> Self {
        let line = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        line.set_message(format!("looking at {}", clean(at)));
        Self::new(is_watched, line, "{spinner} {wide_msg}", 0)
    }

    pub(crate) fn of_steps(is_watched: bool, steps: &[Step]) -> Self {
        let line = ProgressBar::with_draw_target(Some(steps.len() as u64), ProgressDrawTarget::hidden());
        let all = total(steps.iter().map(|step| step.bytes));
        let progress = Self::new(is_watched, line, "{spinner} {pos} of {len}{prefix}, {eta} left: {wide_msg}", all);
        progress.tell_bytes();
        progress
    }

    fn new(is_watched: bool, line: ProgressBar, template: &str, all: u64) -> Self {
        if let Ok(style) = ProgressStyle::with_template(template) {
            line.set_style(style);
        }
        let shows = if is_watched { Shows::of(&line) } else { None };
        Self { line, shows, freed: Cell::new(0), all }
    }

    /// What becomes of a step.
    pub(crate) fn tell(&self, moment: Moment, step: &Step) {
        match moment {
            Moment::Begins => self.line.set_message(doing(step)),
            Moment::Ended(outcome) => {
                if outcome.is_done() {
                    self.freed.set(self.freed.get().saturating_add(step.bytes));
                }
                self.line.inc(1);
                self.tell_bytes();
            }
        }
    }

    fn tell_bytes(&self) {
        if self.all > 0 {
            let (freed, all) = (human_bytes(self.freed.get()), human_bytes(self.all));
            self.line.set_prefix(format!(", {freed} of {all}"));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(Shows { over, thread }) = self.shows.take() {
            drop(over);
            let _ = thread.join();
            SHOWN.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
        self.line.finish_and_clear();
    }
}

impl Shows {
    /// Nothing is shown where there is no room for a thread.
    fn of(line: &ProgressBar) -> Option<Self> {
        let (over, waits) = channel();
        let line = line.clone();
        let show = move || {
            if waits.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(line.clone());
                line.set_draw_target(ProgressDrawTarget::stderr());
                line.enable_steady_tick(TICK);
            }
        };
        let thread = thread::Builder::new().spawn(show).ok()?;
        Some(Self { over, thread })
    }
}

/// `stopping web`, `removing app:1.4`.
fn doing(step: &Step) -> String {
    let verb = match step.action() {
        Action::Stop => "stopping",
        Action::Remove => "removing",
        Action::Untag => "taking off",
        Action::GiveBack => "giving back",
    };
    let id = step.id();
    let name = step.names().first().map_or_else(|| super::words::short_id(&id).to_owned(), |name| shortened(name));
    format!("{verb} {}", clean(&name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::books_tests::id;
    use crate::model::{Deed, ImageGuard, Reason, Reference};

    #[test]
    fn what_is_done_is_said_by_its_name() {
        let named = |names: &[&str]| ImageGuard::of(names.iter().map(ToString::to_string).collect());
        let web = |name: &str| Deed::StopContainer { id: "c".repeat(64), name: name.to_owned() };
        for (deed, said) in [
            (web("web"), "stopping web".to_owned()),
            (web("web\u{1b}[2J"), "stopping web\\u{1b}[2J".to_owned()),
            (Deed::RemoveImage { id: id(1), guard: named(&["app:1", "app:2"]) }, "removing app:1".to_owned()),
            (
                Deed::RemoveImage { id: id(1), guard: named(&[]) },
                format!("removing {}", super::super::words::short_id(&id(1).to_string())),
            ),
            (
                Deed::Untag { image: id(1), name: Reference::written("app:1").expect("a name") },
                "taking off app:1".to_owned(),
            ),
            (Deed::RemoveVolume { name: "a1".repeat(32), created: None }, "removing a1a1a1a1a1a1".to_owned()),
        ] {
            assert_eq!(doing(&Step::new(deed, Reason::Unused, 0)), said);
        }
    }

    #[test]
    fn where_nobody_watches_nothing_is_shown() {
        let progress = Progress::of_a_look(false, "the engine");
        assert!(progress.shows.is_none() && progress.line.is_hidden());
    }
}

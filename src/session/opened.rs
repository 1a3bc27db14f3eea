//! A session that a guard keeps open.

use jiff::Timestamp;

use super::watcher::{self, Leaves, Until, Watcher};
use super::{end, is_made};
use crate::app::App;
use crate::cli::GuardFlags;
use crate::config::here::machine;
use crate::error::{Error, Result};
use crate::ledger::{Keeper, KeptBy, SessionFile, SessionHold, State};
use crate::model::{Owner, SessionKey};
use crate::report;

/// A session that is alive: its lock, and who cleans if we can't.
pub(crate) struct Opened {
    state: State,
    key: SessionKey,
    owner: Owner,
    hold: SessionHold,
    keeper: Option<Keeper>,
    watcher: Option<Watcher>,
}

impl Opened {
    pub(crate) fn new(app: &App, state: State, key: &SessionKey, flags: &GuardFlags, command: &str) -> Result<Self> {
        let owner = Owner { machine: machine(), since: Timestamp::now(), command: command.to_owned() };
        let session = state.session(key);
        let by = KeptBy {
            owner: owner.clone(),
            guard: true,
            copy: Some(app.identity.copy.clone()),
            made: is_made(app, key),
        };
        let (hold, keeper) = session.open(&by)?;
        if flags.no_clean || flags.keep_on_failure {
            session.left_if_cut_off(true)?;
        }
        let watcher = if flags.no_clean {
            None
        } else {
            let watcher = watcher::start(app, key, &Until::Line(keeper.name()), Leaves::of(flags), command);
            watcher.inspect_err(warn_of_no_watcher).ok()
        };
        Ok(Self { state, key: key.clone(), owner, hold, keeper: Some(keeper), watcher })
    }

    /// From now on it is being cleaned: what is cut off now goes on with that.
    pub(crate) fn begin_to_clean(&self) {
        let _ = self.state.session(&self.key).left_if_cut_off(false);
    }

    /// Of two that end at once each must see that the other is gone, so nobody looks before it has stepped down.
    pub(crate) fn step_down(&mut self) {
        self.keeper = None;
    }

    pub(crate) fn is_kept_by_others(&self) -> bool {
        end::is_kept_open(&self.state.session(&self.key), None)
    }

    /// Somebody cleans if this guard is killed.
    pub(crate) fn is_watched(&self) -> bool {
        self.watcher.is_some()
    }

    /// Waits until the watcher is ready; one that ended at once is none.
    pub(crate) fn wait_for_the_watcher(&mut self) {
        if let Some(Err(error)) = self.watcher.as_mut().map(Watcher::ready) {
            warn_of_no_watcher(&error);
            self.watcher = None;
        }
    }

    /// Whether a build of the session still runs.
    pub(crate) fn builds(&self) -> bool {
        self.state.builds_in(&self.key)
    }

    /// Others keep it open, or it stays on record as dead, for the next dkb.
    pub(crate) fn give_up(self) {
        self.part(|_| Ok(()));
    }

    /// The session is over, but for what somebody still uses. It stays on record for a later clean, and nobody need
    /// hear that it was cut off.
    pub(crate) fn leave_a_rest(self) {
        let session = self.state.session(&self.key);
        let _ = session.tell_once();
        end::say_that_a_rest_waits();
        self.give_up();
    }

    /// The session is over: nobody answers for it any more, unless somebody has come to keep it open.
    pub(crate) fn leave(self) {
        self.part(SessionFile::disown);
    }

    /// The session is what it was before we came.
    pub(crate) fn put_back(self) {
        self.part(SessionFile::put_back);
    }

    pub(crate) fn leave_for_a_look(self) {
        let owner = self.owner.clone();
        self.part(|session| session.leave_for_a_look(&owner));
    }

    fn part(mut self, note: impl FnOnce(&SessionFile) -> Result<()>) {
        if let Some(watcher) = self.watcher.take() {
            watcher.done();
        }
        let session = self.state.session(&self.key);
        self.step_down();
        // Noted before the lock is free: between the two the session would be dead.
        let _ = note(&session);
        drop(self.hold);
        session.clear();
    }
}

pub(crate) fn warn_of_no_watcher(error: &Error) {
    report::warn(error.under("if this guard is killed nobody will clean up"));
}

//! A session that a guard keeps open.

use jiff::Timestamp;

use super::watcher::{self, Leaves, Until, Watcher};
use super::{end, settle};
use crate::app::App;
use crate::cli::GuardFlags;
use crate::config::here::machine;
use crate::error::{Error, Result};
use crate::ledger::{Keeper, KeptBy, OpeningFile, SessionFile, SessionHold, State};
use crate::model::{Owner, SessionKey};
use crate::report;

/// A session that is alive: its lock, and who cleans if we can't.
pub(crate) struct Opened {
    state: State,
    key: SessionKey,
    opening: OpeningFile,
    hold: SessionHold,
    keeper: Option<Keeper>,
    watcher: Option<Watcher>,
}

impl Opened {
    pub(crate) fn new(app: &App, state: State, key: &SessionKey, flags: &GuardFlags, command: &str) -> Result<Self> {
        let owner = Owner { machine: machine(), since: Timestamp::now(), command: command.to_owned() };
        let session = state.session(key);
        let by = KeptBy { owner, guard: true, copy: Some(app.identity.copy.clone()) };
        let (hold, keeper) = session.open(&by)?;
        let opening = session.opening(&keeper.name());
        if flags.no_clean || flags.keep_on_failure {
            session.left_if_cut_off(&opening, true)?;
        }
        let watcher = if flags.no_clean {
            None
        } else {
            let watcher = watcher::start(app, key, &Until::Line(keeper.name()), Leaves::of(flags), command);
            watcher.inspect_err(warn_of_no_watcher).ok()
        };
        Ok(Self { state, key: key.clone(), opening, hold, keeper: Some(keeper), watcher })
    }

    /// From now on it is being cleaned: what is cut off now goes on with that.
    pub(crate) fn begin_to_clean(&self) {
        let _ = self.session().left_if_cut_off(&self.opening, false);
    }

    /// Of two that end at once each must see that the other is gone, so nobody looks before it has stepped down.
    pub(crate) fn step_down(&mut self) {
        self.keeper = None;
    }

    pub(crate) fn opening(&self) -> &OpeningFile {
        &self.opening
    }

    fn session(&self) -> SessionFile {
        self.state.session(&self.key)
    }

    /// The watcher may not have had the time to find out which engine this is.
    pub(crate) fn settle(&self, app: &App) {
        let own = self.keeper.as_ref().map(Keeper::name);
        settle(app, &self.session(), &self.opening, own.as_deref());
    }

    /// Whether others keep it open on this guard's engine. As long as that isn't known it may be any.
    pub(crate) fn is_kept_by_others(&self) -> bool {
        end::is_kept_open(&self.session(), None, self.opening.engine().as_deref())
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

    /// It stays on record as dead, for the next dkb.
    pub(crate) fn give_up(self) {
        self.part(|_, _| Ok(()));
    }

    /// Others keep it open, and end it for us too.
    pub(crate) fn leave_to_others(self) {
        self.part(SessionFile::leave_to_others);
    }

    /// The session is over, but for what somebody still uses. It stays on record for a later clean, and nobody need
    /// hear that it was cut off.
    pub(crate) fn leave_a_rest(self) {
        let _ = self.session().tell_once(self.opening.engine().as_deref());
        end::say_that_a_rest_waits();
        self.give_up();
    }

    /// The session is over: nobody answers for it any more, unless somebody has come to keep it open.
    pub(crate) fn leave(self, engine: Option<&str>) {
        self.part(|session, _| session.disown(engine));
    }

    /// The session is what it was before we came.
    pub(crate) fn put_back(self) {
        self.part(SessionFile::withdraw);
    }

    pub(crate) fn leave_for_a_look(self) {
        self.part(SessionFile::leave_for_a_look);
    }

    fn part(mut self, note: impl FnOnce(&SessionFile, &OpeningFile) -> Result<()>) {
        if let Some(watcher) = self.watcher.take() {
            watcher.done();
        }
        let session = self.session();
        self.step_down();
        // Noted before the lock is free: between the two the session would be dead.
        let _ = note(&session, &self.opening);
        drop(self.hold);
        session.clear();
    }
}

pub(crate) fn warn_of_no_watcher(error: &Error) {
    report::warn(error.under("if this guard is killed nobody will clean up"));
}

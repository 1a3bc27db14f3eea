//! Who has come to work since the look.

use std::ffi::OsString;

use super::Observation;
use crate::app::App;
use crate::config::here::machine;
use crate::ledger::State;
use crate::model::{Life, Scope, SessionKey, Step};
use crate::plan::clean::{CleanPolicy, Here, Layers, may_be_opened, takes_from};

impl Observation {
    /// Whether somebody has come to a session since the look that a step of this policy's plan may take something of.
    pub(crate) fn is_opened_since(&self, app: &App, here: &Here, policy: &CleanPolicy, step: &Step) -> bool {
        // What can't be found out may be so.
        let Ok(state) = app.state() else { return true };
        if state.session_files() == self.session_files && state.build_folders() == self.build_folders {
            return false;
        }
        let layers = Layers::new();
        let look = self.as_look(here, &layers);
        let mut opened = may_be_opened(&look, policy);
        opened.retain(|key| {
            // A guard's own clean is in it, and who cleans the session that he is in has it cleaned beside his builds.
            if **key == here.key && !matches!(policy.scope, Scope::Stale { .. }) {
                self.was_opened_since(&state, key) || app.here().shared
            } else {
                self.has_come_to(&state, key)
            }
        });
        takes_from(step, &opened, &self.books)
    }

    /// Whether somebody is at work in a session where nobody was at the look, or has opened it since.
    pub(crate) fn has_come_to(&self, state: &State, key: &SessionKey) -> bool {
        let is_alive = || state.session(key).life(&machine(), self.info.identity.as_deref()) == Life::Alive;
        self.was_opened_since(state, key) || self.lives.get(key) != Some(&Life::Alive) && is_alive()
    }

    /// The names of all files of sessions, as of the look.
    pub(crate) fn session_files(&self) -> &[OsString] {
        &self.session_files
    }

    /// Whether somebody has opened this session since the look.
    pub(crate) fn was_opened_since(&self, state: &State, key: &SessionKey) -> bool {
        state.session(key).is_opened_since(&self.session_files)
    }
}

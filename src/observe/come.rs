//! Who has come to work since the look.

use super::Observation;
use crate::app::App;
use crate::model::Step;
use crate::plan::clean::{CleanPolicy, Here, Layers, may_be_opened, takes_from};

impl Observation {
    /// Whether somebody has opened a session since the look that a step of this policy's plan may take something of.
    pub(crate) fn is_opened_since(&self, app: &App, here: &Here, policy: &CleanPolicy, step: &Step) -> bool {
        // What can't be found out may be so.
        let Ok(state) = app.state() else { return true };
        if state.session_files() == self.session_files {
            return false;
        }
        let layers = Layers::new();
        let look = self.as_look(here, &layers);
        let mut opened = state.kept_open(may_be_opened(&look, policy), self.info.identity.as_deref());
        // A guard's own clean is in it.
        opened.retain(|key| **key != here.key || app.here().shared);
        takes_from(step, &opened, &self.books)
    }
}

//! What `--quiet` says of a plan: what went or would go, one a line, for a pipe.

use super::Page;
use crate::model::{Action, Outcome, Plan};

/// The ID of whatever is removed, and the name of a tag that is taken.
pub(super) fn of(plan: &Plan) -> Page {
    let mut page = Page::default();
    let goes = |result: Option<Outcome>| result.is_none_or(|result| result == Outcome::Done);
    for step in plan.steps.iter().filter(|step| goes(step.result)) {
        match step.action() {
            Action::Remove => page.line(step.id()),
            Action::Untag => step.names().iter().for_each(|name| page.line(name)),
            Action::GiveBack | Action::Stop => {}
        }
    }
    page
}

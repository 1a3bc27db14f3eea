//! What a guard says when it has cleaned up: one line on stderr, since stdout is the command's.

use super::clean::{Loudness, plural};
use crate::model::{Action, Kind, Outcome, Plan, SessionKey};

pub fn show(loudness: Loudness, plan: &Plan, key: &SessionKey) {
    if loudness == Loudness::Quiet {
        return;
    }
    let gone = |kind: Kind, what: &'static str| {
        let went = |step: &&crate::model::Step| {
            step.kind == kind
                && step.action == Action::Remove
                && matches!(step.result, Some(Outcome::Done | Outcome::AlreadyGone))
        };
        let n = plan.steps.iter().filter(went).count();
        (n > 0).then(|| format!("{n} {}", plural(n, what)))
    };
    let kinds =
        [(Kind::Container, "container"), (Kind::Network, "network"), (Kind::Image, "image"), (Kind::Volume, "volume")];
    let parts: Vec<String> = kinds.into_iter().filter_map(|(kind, what)| gone(kind, what)).collect();
    let is_back = |step: &&crate::model::Step| step.action == Action::GiveBack && step.result == Some(Outcome::Done);
    for step in plan.steps.iter().filter(is_back) {
        let (tag, id) = (step.names.join(", "), super::clean::short_id(&step.id));
        super::say(format_args!("session {}: gave {tag} back to {id}", key.session));
    }
    if !parts.is_empty() {
        super::say(format_args!("session {}: removed {}", key.session, parts.join(", ")));
    }
    for kept in plan.kept.iter().filter(|kept| !kept.holders.is_empty()) {
        let name = kept.names.first().map_or_else(|| super::clean::short_id(&kept.id), String::as_str);
        super::say(format_args!("kept {name}: {} {}", super::clean::words(kept.reason), kept.holders.join(", ")));
    }
}

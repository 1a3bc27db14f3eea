//! What a guard says when it has cleaned up: one line on stderr, since stdout is the command's.

use super::words::{self, Loudness, held_by, short_id, words};
use crate::model::{Action, Deed, Kept, KeptReason, Kind, Outcome, Plan, SessionKey};

pub(crate) fn show(loudness: Loudness, plan: &Plan, key: &SessionKey) {
    if loudness == Loudness::Quiet {
        return;
    }
    let gone = |kind: Kind| {
        let went =
            |step: &&crate::model::Step| step.kind() == kind && step.action() == Action::Remove && step.is_done();
        let n = plan.steps.iter().filter(went).count();
        (n > 0).then(|| format!("{n} {}", words::kind(kind, n)))
    };
    let kinds = [Kind::Container, Kind::Network, Kind::Image, Kind::Volume];
    let parts: Vec<String> = kinds.into_iter().filter_map(gone).collect();
    for step in plan.steps.iter().filter(|step| step.result == Some(Outcome::Done)) {
        if let Deed::GiveBack { name, to, .. } = &step.deed {
            super::say(format_args!("session {}: gave {name} back to {}", key.session, to.short()));
        }
    }
    if !parts.is_empty() {
        super::say(format_args!("session {}: removed {}", key.session, parts.join(", ")));
    }
    // What bears the label and stays by its age is held by nobody, and may still run.
    let by_age = |kept: &Kept| {
        kept.kind != Kind::Image && matches!(kept.reason, KeptReason::BeforeSession | KeptReason::TooYoung)
    };
    for kept in plan.kept.iter().filter(|kept| !kept.holders.is_empty() || by_age(kept)) {
        let name = kept.names.first().map_or_else(|| short_id(&kept.id), String::as_str);
        super::say(format!("kept {name}: {} {}", words(kept.reason), held_by(kept)).trim_end());
    }
}

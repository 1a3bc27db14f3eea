//! A plan from a file is a filter on the plan that is made today, and nothing more.
//!
//! Whoever can write the file could write anything, so nothing of it is done: of today's steps those are done that
//! the file has too. In which order, under which guard and why, only today's plan says. The rest of a file is not
//! even read.

use std::borrow::Cow;
use std::collections::HashSet;

use jiff::Timestamp;
use serde::Deserialize;

use crate::model::{Action, Deed, Kept, KeptReason, Kind, Plan, Step};

/// All that a file says of a step.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Wanted {
    action: Action,
    #[serde(rename = "type")]
    kind: Kind,
    id: String,
    names: Vec<String>,
    #[serde(default)]
    guard: MadeAt,
}

/// When a thing was made that may come anew under its old ID: a volume's is its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
struct MadeAt {
    #[serde(default)]
    created: Option<Timestamp>,
}

/// What makes two steps the same.
type Same<'a> = (Action, Kind, Cow<'a, str>, Vec<&'a str>, Option<Timestamp>);

impl Wanted {
    pub(crate) const fn kind(&self) -> Kind {
        self.kind
    }

    fn same(&self) -> Same<'_> {
        let names = self.names.iter().map(String::as_str).collect();
        (self.action, self.kind, (&self.id).into(), sorted(names), self.guard.created)
    }
}

fn same(step: &Step) -> Same<'_> {
    let created = match step.deed {
        Deed::RemoveVolume { created, .. } | Deed::RemoveBuilderState { created, .. } => created,
        _ => None,
    };
    (step.action(), step.kind(), step.id(), sorted(step.names()), created)
}

fn sorted(mut names: Vec<&str>) -> Vec<&str> {
    names.sort_unstable();
    names
}

/// Today's plan, cut down to the steps that the file has too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Narrowed {
    pub plan: Plan,
    /// The file has all that would go today.
    pub whole: bool,
}

pub(crate) fn narrow(mut today: Plan, wanted: &[Wanted]) -> Narrowed {
    let asked: HashSet<Same> = wanted.iter().map(Wanted::same).collect();
    let (steps, left): (Vec<Step>, Vec<Step>) =
        std::mem::take(&mut today.steps).into_iter().partition(|step| asked.contains(&same(step)));
    // A thing is told of once: a container that has ended by itself need not be stopped, and goes all the same.
    let mut told: HashSet<(Kind, Cow<str>)> = steps.iter().map(|step| (step.kind(), step.id())).collect();
    told.extend(today.kept.iter().map(|kept| (kept.kind, (&kept.id).into())));
    let changed: Vec<&Wanted> = wanted.iter().filter(|step| told.insert((step.kind, (&step.id).into()))).collect();
    let changed: Vec<Kept> = changed.into_iter().map(Wanted::changed).collect();
    today.kept.extend(changed);
    if left.iter().any(|step| step.bytes > 0) {
        // What a step frees was counted with those before it.
        today.up_to = true;
    }
    today.steps = steps;
    Narrowed { plan: today, whole: left.is_empty() }
}

impl Narrowed {
    /// What the file has and nobody has any more did not change: it is gone.
    pub(crate) fn told_of_gone(mut self, is_gone: impl Fn(Kind, &str) -> bool) -> Self {
        let changed = self.plan.kept.iter_mut().filter(|kept| kept.reason == KeptReason::Changed);
        for kept in changed.filter(|kept| is_gone(kept.kind, &kept.id)) {
            kept.reason = KeptReason::AlreadyGone;
        }
        self
    }
}

impl Wanted {
    /// Today nothing is to be done with it, and nothing is known of it that would keep it.
    fn changed(&self) -> Kept {
        Kept {
            kind: self.kind,
            id: self.id.clone(),
            names: self.names.clone(),
            bytes: 0,
            reason: KeptReason::Changed,
            holders: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests;

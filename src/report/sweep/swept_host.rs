//! What became of a host, and of each kind on it.

use std::collections::HashMap;
use std::time::Duration;

use super::super::Words;
use crate::error::Error;
use crate::model::{DiskUse, Kept, Kind, Plan, Step};

/// Since when things have been idle, by what names them.
pub(super) type Since = HashMap<crate::plan::sweep::ThingKey, jiff::Timestamp>;

/// What became of one host.
#[derive(Debug, Default)]
pub(crate) struct SweptHost {
    pub host: String,
    pub plan: Option<Plan>,
    /// The kinds that were asked for.
    pub kinds: Vec<Kind>,
    /// Those that could not be listed.
    pub failed: Vec<(Kind, Error)>,
    pub errors: Vec<(Kind, Error)>,
    /// Why nothing was done there.
    pub error: Option<Error>,
    pub seconds: f64,
    /// How full it is, where it is swept for that.
    pub disk: Option<DiskUse>,
    pub interrupted: bool,
}

impl SweptHost {
    pub(crate) fn of(plan: Plan) -> Self {
        Self { plan: Some(plan), ..Self::default() }
    }

    fn steps(&self, kind: Kind) -> impl Iterator<Item = &Step> {
        self.plan.iter().flat_map(|plan| &plan.steps).filter(move |step| step.kind() == kind)
    }

    pub(super) fn failed_at_all(&self, kind: Kind) -> bool {
        self.failed.iter().any(|(of, _)| *of == kind) || self.steps(kind).any(Step::has_failed)
    }

    /// Nothing of this kind was done, though some was to be.
    pub(crate) fn failed_whole(&self, kind: Kind) -> bool {
        self.failed_at_all(kind) && !self.steps(kind).any(Step::is_done)
    }

    pub(crate) fn kinds_failed(&self) -> usize {
        self.kinds.iter().filter(|kind| self.failed_at_all(**kind)).count()
    }

    pub(super) fn removed(&self) -> usize {
        self.plan.as_ref().map_or(0, |plan| plan.totals().done)
    }

    pub(super) fn bytes(&self) -> u64 {
        self.plan.as_ref().map_or(0, |plan| plan.totals().bytes)
    }

    pub(super) fn up_to(&self) -> bool {
        self.plan.as_ref().is_some_and(|plan| plan.up_to)
    }
}

/// What became of one kind on one host.
pub(crate) struct Part<'a> {
    pub kind: Kind,
    /// The steps of this kind alone, and what of them stayed after all.
    pub plan: &'a Plan,
    /// What was to stay from the beginning.
    pub spared: &'a [&'a Kept],
    /// Why it could not be listed.
    pub unlisted: &'a [&'a Error],
    pub errors: &'a [Error],
    pub took: Duration,
}

/// Errors of one kind that are told one by one.
pub(super) const TOLD: usize = 5;

/// The first of them in one line each, and how many more there are.
pub(super) fn first_of(errors: &[&Error]) -> Vec<String> {
    let mut lines: Vec<String> = errors.iter().take(TOLD).map(|error| in_one_line(error)).collect();
    if errors.len() > TOLD {
        lines.push(format!("and {} more such errors", errors.len().saturating_sub(TOLD)));
    }
    lines
}

pub(super) fn in_one_line(error: &Error) -> String {
    Words::from(error).in_one_line()
}

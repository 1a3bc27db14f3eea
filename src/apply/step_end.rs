//! How one step ends.

use crate::bookkeeping::Need;
use crate::engine;
use crate::error::{Error, Result};
use crate::model::Outcome;

/// How one step ended, with the engine's own words where they help.
#[derive(Debug)]
pub(super) struct StepEnd {
    pub(super) outcome: Outcome,
    pub(super) why: Option<Error>,
    /// The engine is out of reach: what has not begun is not tried.
    pub(super) lost: bool,
    /// A build that has begun since may need it.
    pub(super) by_build: bool,
    /// The containers that stand on this one, where the engine refused for their sake.
    pub(super) for_others: Vec<String>,
}

impl StepEnd {
    pub(super) const fn plainly(outcome: Outcome) -> Self {
        Self { outcome, why: None, lost: false, by_build: false, for_others: Vec::new() }
    }

    /// What is needed by now is not tried.
    pub(super) fn of_need(need: Need) -> Option<Self> {
        let by_build = match need {
            Need::None => return None,
            Need::Build => true,
            Need::Since => false,
        };
        Some(Self { by_build, ..Self::plainly(Outcome::Kept) })
    }

    /// For the sake of what may have gone by then, or for a reason that the engine did not give.
    pub(super) fn is_worth_another_try(&self) -> bool {
        self.outcome == Outcome::Failed && !self.lost || !self.for_others.is_empty()
    }

    pub(super) fn failed(why: Error) -> Self {
        Self { why: Some(why), ..Self::plainly(Outcome::Failed) }
    }
}

/// Without an answer, only another look can tell whether it was done.
pub(super) async fn settle(outcome: engine::Answer, is_gone: impl AsyncFnOnce() -> Result<bool>) -> Result<StepEnd> {
    match outcome {
        engine::Answer::Unknown(error) => Ok(match is_gone().await {
            Ok(true) => StepEnd::plainly(Outcome::Done),
            Ok(false) => StepEnd::failed(error),
            Err(_) => StepEnd { lost: true, why: Some(error), ..StepEnd::plainly(Outcome::Unknown) },
        }),
        outcome => Ok(plainly(outcome, |()| Outcome::Done)),
    }
}

pub(super) fn plainly<T>(outcome: engine::Answer<T>, done: impl FnOnce(T) -> Outcome) -> StepEnd {
    match outcome {
        engine::Answer::Done(value) => StepEnd::plainly(done(value)),
        engine::Answer::Missing => StepEnd::plainly(Outcome::AlreadyGone),
        engine::Answer::Conflict(_) => StepEnd::plainly(Outcome::Kept),
        engine::Answer::Refused { status, message } => {
            StepEnd::failed(Error::failed(format!("the engine refused (status {status})"), message))
        }
        engine::Answer::Unknown(error) => StepEnd::failed(error),
    }
}

//! How an attempt to change something ended. The answer's code decides, never its English.

use super::fault::{Fault, clip};
use crate::error::{Error, Result};
use crate::model::ImageId;

#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub enum Answer<T = ()> {
    Done(T),
    /// It is not there: somebody else was quicker.
    Missing,
    /// In use, or changed since it was looked at; the engine's words say by what.
    Conflict(String),
    Refused {
        status: u16,
        message: String,
    },
    /// The limit passed or the connection broke off after the question was sent: look again to know.
    Unknown(Error),
}

/// What the engine says a deletion took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Removed {
    pub untagged: Vec<String>,
    /// The image's own ID if it is gone. Podman says nothing of an image that it took from under its children.
    pub deleted: Vec<ImageId>,
}

impl<T> Answer<T> {
    /// Sorts what went wrong: an `Err` is for what was never asked, because the engine could not be reached.
    pub(super) fn of(fault: Fault, tried: &str) -> Result<Self> {
        Ok(match fault {
            Fault::Answered { status: 404, .. } => Self::Missing,
            Fault::Answered { status: 409, message } => Self::Conflict(clip(&message)),
            Fault::Answered { status, message } => Self::Refused { status, message: clip(&message) },
            Fault::Unreached { .. } => return Err(fault.into_error(tried)),
            Fault::Lost(_) | Fault::Late(_) | Fault::Rubbish(_) => Self::Unknown(fault.into_error(tried)),
        })
    }

    pub fn map<U>(self, done: impl FnOnce(T) -> U) -> Answer<U> {
        match self {
            Self::Done(value) => Answer::Done(done(value)),
            Self::Missing => Answer::Missing,
            Self::Conflict(message) => Answer::Conflict(message),
            Self::Refused { status, message } => Answer::Refused { status, message },
            Self::Unknown(error) => Answer::Unknown(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::error::ErrorKind;

    fn answered(status: u16) -> Answer {
        Answer::of(Fault::Answered { status, message: "no".to_owned() }, "t").expect("an answer")
    }

    #[test]
    fn the_code_of_an_answer_decides() {
        assert_eq!(answered(404), Answer::Missing);
        assert_eq!(answered(409), Answer::Conflict("no".to_owned()));
        assert_eq!(answered(500), Answer::Refused { status: 500, message: "no".to_owned() });
    }

    #[test]
    fn what_was_asked_without_an_answer_is_unknown_and_what_was_not_asked_is_an_error() {
        for fault in [Fault::Lost(String::new()), Fault::Late(Duration::ZERO), Fault::Rubbish(String::new())] {
            assert!(matches!(Answer::<()>::of(fault, "t"), Ok(Answer::Unknown(_))));
        }
        let error = Answer::<()>::of(Fault::Unreached { why: String::new(), next: "" }, "t").expect_err("not asked");
        assert_eq!(error.kind, ErrorKind::Unreachable);
    }
}

//! What can go wrong between a question and its answer. The difference that matters is whether the engine
//! may have done what it was asked to do.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::time::Duration;

use crate::error::{Error, Kind};

#[derive(Debug)]
pub(super) enum Fault {
    /// No connection, so nothing was asked.
    Unreached { why: String, next: &'static str },
    /// Asked, but the connection ended before the answer did.
    Lost(String),
    /// Asked, and no full answer within the limit.
    Late(Duration),
    /// Answered with something that is no answer.
    Rubbish(String),
    /// Answered with an error.
    Answered { status: u16, message: String },
}

impl Fault {
    /// Reads a failed attempt to connect: the operating system's own error says what to do next.
    pub(super) fn unreached(error: &(dyn StdError + 'static)) -> Self {
        let next = match io_kind(error) {
            Some(io::ErrorKind::PermissionDenied) => {
                "This user may not open the engine's socket; add it to the engine's group, or use an engine of its own."
            }
            _ => "Is it running? Another engine is named by --context, DOCKER_CONTEXT or DOCKER_HOST.",
        };
        Self::Unreached { why: cause(error), next }
    }

    pub(super) fn lost(error: &(dyn StdError + 'static)) -> Self {
        Self::Lost(cause(error))
    }

    pub(super) fn into_error(self, tried: &str) -> Error {
        let kind = match self {
            Self::Unreached { .. } | Self::Lost(_) | Self::Late(_) => Kind::Unreachable,
            Self::Rubbish(_) | Self::Answered { .. } => Kind::Failed,
        };
        let error = Error::new(kind, tried, &self);
        match self {
            Self::Unreached { next, .. } => error.hint(next),
            Self::Lost(_) | Self::Late(_) => {
                error.hint("Is the engine overloaded or restarting? Running dkb again is safe.")
            }
            Self::Rubbish(_) => {
                error.hint("Does something else than Docker or Podman listen there, or a proxy in between?")
            }
            Self::Answered { .. } => error,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreached { why, .. } => f.write_str(why),
            Self::Lost(why) => write!(f, "the connection broke off: {why}"),
            Self::Late(limit) => write!(f, "no answer within {} s", limit.as_secs()),
            Self::Rubbish(why) => write!(f, "the answer makes no sense: {why}"),
            Self::Answered { status, message } => write!(f, "{} ({status})", clip(message)),
        }
    }
}

/// Library errors say little at the top; the cause is at the bottom.
fn cause(error: &(dyn StdError + 'static)) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    clip(&deepest.to_string())
}

fn io_kind(error: &(dyn StdError + 'static)) -> Option<io::ErrorKind> {
    let mut at = Some(error);
    while let Some(error) = at {
        if let Some(io) = error.downcast_ref::<io::Error>() {
            return Some(io.kind());
        }
        at = error.source();
    }
    None
}

/// An engine's words are shown on one line and never by the page, and they cannot steer the terminal.
pub(super) fn clip(text: &str) -> String {
    const MOST: usize = 300;
    let line: String = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).take(MOST + 1).collect();
    match line.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engines_words_stay_on_one_short_line() {
        assert_eq!(clip(" a\nb\u{1b}[31m "), "a b [31m");
        assert_eq!(clip(&"x".repeat(5000)).chars().count(), 301);
    }

    #[derive(Debug)]
    struct Wrapped(io::Error);

    impl fmt::Display for Wrapped {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("client error (Connect)")
        }
    }

    impl StdError for Wrapped {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn the_deepest_cause_is_told_and_decides_what_to_do_next() {
        let fault = Fault::unreached(&Wrapped(io::ErrorKind::PermissionDenied.into()));
        assert_eq!(fault.to_string(), "permission denied");
        assert!(matches!(&fault, Fault::Unreached { next, .. } if next.contains("group")));
    }
}

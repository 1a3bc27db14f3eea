//! What can go wrong between a question and its answer. The difference that matters is whether the engine
//! may have done what it was asked to do.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::time::Duration;

use crate::error::{Error, ErrorKind};

/// Where the socket itself tells no more.
const DENIED: &str =
    "This user may not open the engine's socket; add it to the engine's group, or use an engine of its own.";

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
            Some(io::ErrorKind::PermissionDenied) => DENIED,
            _ => "Is it running? Another engine is named by --context, DOCKER_CONTEXT or DOCKER_HOST.",
        };
        Self::Unreached { why: cause(error), next }
    }

    /// Whether the operating system refused it, and no engine did.
    pub(super) fn is_denied(&self) -> bool {
        matches!(self, Self::Unreached { next, .. } if *next == DENIED)
    }

    /// The same, where the system speaks of a file.
    pub(super) fn for_want_of_a_socket(self) -> Self {
        match self {
            Self::Unreached { next, .. } if next != DENIED => {
                Self::Unreached { why: "there is no socket".to_owned(), next }
            }
            other => other,
        }
    }

    /// Reads a connection that failed under way; what is no HTTP is rubbish.
    pub(super) fn lost(error: &(dyn StdError + 'static)) -> Self {
        let is_parse = chain(error).any(|error| error.downcast_ref().is_some_and(hyper::Error::is_parse));
        if is_parse { Self::Rubbish(cause(error)) } else { Self::Lost(cause(error)) }
    }

    /// Reads an engine's own error, which is `{"message": …}`.
    pub(super) fn answered(status: u16, body: &[u8]) -> Self {
        #[derive(serde::Deserialize)]
        struct Said {
            message: String,
        }
        let said = serde_json::from_slice(body).map(|Said { message }| message);
        Self::Answered { status, message: said.unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned()) }
    }

    /// Whoever set up a proxy that lets only some calls through wants to know which one it refused.
    pub(super) fn of(self, path: &str) -> Self {
        match self {
            Self::Answered { status: 403, message } => {
                Self::Answered { status: 403, message: format!("GET {path} is not allowed: {}", message.trim()) }
            }
            other => other,
        }
    }

    pub(super) fn into_error(self, tried: &str) -> Error {
        let kind = match self {
            Self::Unreached { .. } | Self::Lost(_) | Self::Late(_) => ErrorKind::Unreachable,
            Self::Rubbish(_) | Self::Answered { .. } => ErrorKind::Failed,
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
            Self::Answered { status, message } if message.trim().is_empty() => {
                write!(f, "the answer is error {status}")
            }
            Self::Answered { status, message } => write!(f, "{} (error {status})", clip(message)),
        }
    }
}

/// An error and what is behind it. Libraries say little at the top; the cause is at the bottom.
fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

fn cause(error: &(dyn StdError + 'static)) -> String {
    chain(error).last().map(|error| clip(&error.to_string())).unwrap_or_default()
}

fn io_kind(error: &(dyn StdError + 'static)) -> Option<io::ErrorKind> {
    chain(error).find_map(|error| error.downcast_ref::<io::Error>()).map(io::Error::kind)
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

    #[test]
    fn an_engines_error_is_its_message_and_anything_else_is_shown_as_it_is() {
        let shown = |body: &str| Fault::answered(500, body.as_bytes()).to_string();
        assert_eq!(shown(r#"{"message":"no space","cause":"x"}"#), "no space (error 500)");
        assert_eq!(shown("<html>"), "<html> (error 500)");
        assert_eq!(shown(""), "the answer is error 500");
    }

    #[test]
    fn a_call_that_is_refused_is_named() {
        let refused = Fault::answered(403, b"{\"message\":\"no\"}").of("/volumes").to_string();
        assert_eq!(refused, "GET /volumes is not allowed: no (error 403)");
        assert_eq!(Fault::answered(500, b"no").of("/volumes").to_string(), "no (error 500)");
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

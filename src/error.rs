//! What can go wrong, and what a user is told: what was tried, what happened, what to do next.

use std::fmt;

/// A result whose error can be told to a user.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kind decides the exit code, in this one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The command line, a variable or a settings file says something that dkb does not take.
    Usage,
    /// It is about what another working copy made, and nobody has said the project's name.
    OutOfReach,
    /// Another engine answered than the one that was meant.
    Elsewhere,
    /// The engine could not be reached, or did not answer in time.
    Unreachable,
    /// The engine, the disk or a program answered with a failure.
    Failed,
    /// A program that was to be run is not there.
    NotFound,
    /// The user, or a signal, asked to stop.
    Interrupted,
}

impl ErrorKind {
    /// How a run of dkb ends that it stopped.
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Usage | Self::OutOfReach | Self::Elsewhere | Self::Unreachable | Self::Failed => 2,
            Self::NotFound => 127,
            Self::Interrupted => 130,
        }
    }
}

/// What went wrong, in words. Whatever caused it is in them with its own causes: nobody decides by it later but by the
/// kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What sort of thing it was.
    pub kind: ErrorKind,
    tried: String,
    happened: String,
    next: Option<String>,
}

impl Error {
    /// What was tried, and what happened.
    pub fn new(kind: ErrorKind, tried: impl Into<String>, happened: impl fmt::Display) -> Self {
        Self { kind, tried: tried.into(), happened: in_one_line(happened.to_string()), next: None }
    }

    /// The user said something that dkb does not take.
    pub fn usage(tried: impl Into<String>, happened: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Usage, tried, happened)
    }

    /// The engine, the disk or a program failed.
    pub fn failed(tried: impl Into<String>, happened: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Failed, tried, happened)
    }

    /// The same, as a part of something larger.
    pub fn under(&self, what: impl fmt::Display) -> Self {
        Self { tried: format!("{what}: {}", self.tried), ..self.clone() }
    }

    /// The same, with where that was written which was tried.
    pub fn by(&self, origin: impl fmt::Display) -> Self {
        Self { tried: format!("{} ({origin})", self.tried), ..self.clone() }
    }

    /// The first line of it.
    pub fn what(&self) -> String {
        format!("{}: {}", self.tried, self.happened)
    }

    /// What to do next.
    pub fn next(&self) -> Option<&str> {
        self.next.as_deref()
    }

    /// The same, with what to do next.
    pub fn hint(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}

/// Engines and programs answer in several lines now and then, and the standard library puts the system's number for an
/// error behind its words, which say the same.
fn in_one_line(mut text: String) -> String {
    const NUMBER: &str = " (os error ";
    while let Some(at) = text.find(NUMBER)
        && let Some(length) = text[at..].find(')')
    {
        text.replace_range(at..=at.saturating_add(length), "");
    }
    if !text.contains('\n') {
        return text;
    }
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what())?;
        match &self.next {
            Some(next) => write!(f, "\n  {next}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_says_the_same_is_left_out() {
        let missing = std::io::Error::from_raw_os_error(2);
        let twice = format!("{missing}: {missing}");
        assert_eq!(Error::failed("reading a", missing).what(), "reading a: No such file or directory");
        let said = "reading a: No such file or directory: No such file or directory";
        assert_eq!(Error::failed("reading a", twice).what(), said);
        assert_eq!(Error::failed("a", "b (os error 2").what(), "a: b (os error 2");
    }
}

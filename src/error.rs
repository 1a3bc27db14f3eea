//! What can go wrong, and what a user is told: what was tried, what happened, what to do next.

use std::fmt;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The kind decides the exit code, in this one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The command line, a variable or a settings file says something that dkb does not take.
    Usage,
    /// The engine could not be reached, or did not answer in time.
    Unreachable,
    /// The engine, the disk or a program answered with a failure.
    Failed,
    /// A program that was to be run is not there.
    NotFound,
    /// The user, or a signal, asked to stop.
    Interrupted,
}

impl Kind {
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Usage | Self::Unreachable | Self::Failed => 2,
            Self::NotFound => 127,
            Self::Interrupted => 130,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub kind: Kind,
    tried: String,
    happened: String,
    next: Option<String>,
}

impl Error {
    pub fn new(kind: Kind, tried: impl Into<String>, happened: impl fmt::Display) -> Self {
        Self { kind, tried: tried.into(), happened: happened.to_string(), next: None }
    }

    pub fn usage(tried: impl Into<String>, happened: impl fmt::Display) -> Self {
        Self::new(Kind::Usage, tried, happened)
    }

    pub fn failed(tried: impl Into<String>, happened: impl fmt::Display) -> Self {
        Self::new(Kind::Failed, tried, happened)
    }

    pub fn hint(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.tried, self.happened)?;
        match &self.next {
            Some(next) => write!(f, "\n  {next}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

//! Which project and which session this run is in.
//!
//! Project: 1. what was given (flag, variable, `dkb.toml`); 2. the CI's repository; 3. the git remote `origin`;
//! 4. the main worktree's folder; 5. this folder; else `unnamed`. In the home folder and in `/`, 3 to 5 name nothing,
//! and a repository that *is* the home folder or `/` (somebody's dotfiles) names nothing of what lies in it.
//!
//! Session: 1. what was given (flag, variable); 2. the CI job; 3. this working copy on this machine, as `local-` and a
//! hash, so that no host, user or path gets into an image that may be pushed.

use std::fmt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::ci::{self, Variables};
use super::remote::project_of;
use crate::model::Name;

/// All that it depends on, gathered at the edge.
pub struct Facts<'a> {
    /// The names that somebody gave, and where.
    pub project: Option<(Name, String)>,
    pub session: Option<(Name, String)>,
    pub env: Variables<'a>,
    /// The working directory, without links in it.
    pub folder: &'a Path,
    pub home: Option<&'a Path>,
    pub checkout: Option<&'a Checkout>,
    /// What is the same for all runs on this machine, and for no other machine.
    pub machine: &'a str,
    pub user: &'a str,
}

/// What git says about the working directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkout {
    /// The top of this worktree.
    pub root: PathBuf,
    /// The top of the repository's main worktree.
    pub main: PathBuf,
    /// The address of the remote `origin`, as it was typed.
    pub origin: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub project: Name,
    pub project_from: Origin,
    pub session: Name,
    pub session_from: Origin,
    /// What names this working copy on this machine: the session of whoever is told no other.
    pub copy: Name,
    /// The CI job that this is, whatever the session's name.
    pub ci: Option<CiJob>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CiJob {
    pub vendor: &'static str,
    /// The session that the job alone would have.
    pub session: Name,
    pub slot: Option<Name>,
}

/// What a name was taken from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A flag, a variable, or a file and its line.
    Given(String),
    CiVariable(&'static str),
    CiJob(&'static str),
    Remote,
    MainWorktree,
    Folder,
    WorkingCopy,
    Nothing,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given(place) => f.write_str(place),
            Self::CiVariable(name) => f.write_str(name),
            Self::CiJob(vendor) => write!(f, "the {vendor} job"),
            Self::Remote => f.write_str("the git remote origin"),
            Self::MainWorktree => f.write_str("the main worktree's folder"),
            Self::Folder => f.write_str("this folder"),
            Self::WorkingCopy => f.write_str("this working copy on this machine"),
            Self::Nothing => f.write_str("nothing here names it"),
        }
    }
}

impl Identity {
    pub fn of(facts: &Facts) -> Self {
        let vendor = ci::vendor(facts.env);
        let repository = vendor.and_then(|vendor| vendor.repository(facts.env));
        let ci = vendor.and_then(|vendor| {
            Some(CiJob { vendor: vendor.name, session: vendor.session(facts.env)?, slot: vendor.slot(facts.env) })
        });
        let (project, project_from) = facts
            .project
            .clone()
            .map(|(name, place)| (name, Origin::Given(place)))
            .or_else(|| repository.map(|(name, variable)| (name, Origin::CiVariable(variable))))
            .or_else(|| facts.project_here())
            .unwrap_or_else(|| (Name::unnamed(), Origin::Nothing));
        let copy = facts.local_session();
        let (session, session_from) = match (&facts.session, &ci) {
            (Some((name, place)), _) => (name.clone(), Origin::Given(place.clone())),
            (None, Some(job)) => (job.session.clone(), Origin::CiJob(job.vendor)),
            (None, None) => (copy.clone(), Origin::WorkingCopy),
        };
        Self { project, project_from, session, session_from, copy, ci }
    }

    /// Whether this process is in its session by its CI job's own variables. Only then may a stamp alone prove an image
    /// to be ours: a name that was given may be that of a session which somebody else is in, with a ledger of his own.
    pub fn session_is_the_jobs(&self) -> bool {
        matches!(self.session_from, Origin::CiJob(_))
    }
}

/// Who named the project that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NamedBy {
    /// A flag, or the user's own file.
    User,
    /// A variable, which a guard may have handed on: whether that could vouch for the name, where this is in one.
    Variable {
        vouched: Option<bool>,
    },
    Checkout,
}

/// Whether the user or the CI said which project this is, and not the checkout, which may call itself anything: then it
/// may be cleaned wherever it was built.
pub(crate) const fn is_vouched(from: &Origin, by: NamedBy) -> bool {
    match (from, by) {
        (Origin::Given(_), NamedBy::Checkout | NamedBy::Variable { vouched: Some(false) }) => false,
        (Origin::Given(_) | Origin::CiVariable(_), _) => true,
        _ => false,
    }
}

impl Facts<'_> {
    fn is_nowhere(&self, folder: &Path) -> bool {
        folder.parent().is_none() || self.home == Some(folder)
    }

    fn checkout(&self) -> Option<&Checkout> {
        self.checkout.filter(|checkout| !self.is_nowhere(&checkout.root))
    }

    fn project_here(&self) -> Option<(Name, Origin)> {
        if self.is_nowhere(self.folder) {
            return None;
        }
        let checkout = self.checkout();
        let remote = checkout.and_then(|checkout| project_of(checkout.origin.as_deref()?));
        let main = || checkout.map(|checkout| checkout.main.as_path()).filter(|main| !self.is_nowhere(main));
        let main = || named_after(main()?).map(|name| (name, Origin::MainWorktree));
        remote
            .map(|name| (name, Origin::Remote))
            .or_else(main)
            .or_else(|| named_after(self.folder).map(|name| (name, Origin::Folder)))
    }

    fn local_session(&self) -> Name {
        let place = self.checkout().map_or(self.folder, |checkout| &checkout.root);
        let mut hash = Sha256::new();
        for part in [self.machine.as_bytes(), self.user.as_bytes(), place.as_os_str().as_encoded_bytes()] {
            hash.update(part.len().to_le_bytes());
            hash.update(part);
        }
        let digits = hex::encode(hash.finalize());
        Name::derived(&format!("local-{}", &digits[..8])).unwrap_or_else(Name::unnamed)
    }
}

fn named_after(folder: &Path) -> Option<Name> {
    let name = folder.file_name()?.to_string_lossy().into_owned();
    Name::derived(name.strip_suffix(".git").unwrap_or(&name))
}

#[cfg(test)]
mod tests;

//! Sessions: by what they are known, who answers for them, and what the books say of each.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{ImageId, Name, Reference};

/// One session of one project.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SessionKey {
    pub project: Name,
    pub session: Name,
}

/// Who opened a session and answers for its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub machine: String,
    pub since: Timestamp,
    /// The name of the command, never its arguments.
    pub command: String,
}

/// How a session that is not over was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// Since when somebody has kept it open, one after another.
    pub since: Timestamp,
    /// The working copies that opened it.
    pub copies: BTreeSet<Name>,
}

/// Whether a session is at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// Somebody holds its lock.
    Alive,
    /// It had an owner on this machine, and nobody holds its lock.
    Dead,
    /// It never had an owner, or had one on another machine.
    Unowned,
}

/// A tag that a build moved away from another image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    pub tag: Reference,
    pub from: ImageId,
    /// It bore a stamp of dkb's, and no record of this ledger: somebody else's session may have built it, and take it at
    /// its end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub may_go: bool,
}

impl Taken {
    pub const fn new(tag: Reference, from: ImageId) -> Self {
        Self { tag, from, may_go: false }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionEntry {
    #[serde(flatten)]
    pub key: SessionKey,
    /// Since it was last cleaned as a whole, where it was.
    pub first: Timestamp,
    pub last: Timestamp,
    /// Named by a CI job.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ci: bool,
    /// The executor that the CI job ran in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<Name>,
    /// When it was last cleaned as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cleaned: Option<Timestamp>,
    /// When it was over last, whatever stayed of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub over: Option<Timestamp>,
    /// The tags that it took from images that were not its own, with the image that had each of them last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub took: Vec<Taken>,
    /// The images that its builds gave the ledger's own name, so that they outlive the tag they are about to lose.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<ImageId>,
    /// The working copies that it was at work in, each by the name that its own session has; `unnamed`, where a line is
    /// lost that may have told of one.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub copies: BTreeSet<Name>,
}

impl SessionEntry {
    /// A session that was at work at this moment.
    pub fn new(key: SessionKey, at: Timestamp) -> Self {
        Self {
            key,
            first: at,
            last: at,
            ci: false,
            slot: None,
            cleaned: None,
            over: None,
            took: Vec::new(),
            held: Vec::new(),
            copies: BTreeSet::new(),
        }
    }

    /// Somebody was at work in it then. One that was cleaned as a whole begins anew.
    pub(super) fn be_at_work(&mut self, first: Timestamp, last: Timestamp) {
        let goes_on = self.cleaned.is_none_or(|at| first > at);
        if goes_on && self.is_cleaned() {
            self.first = first;
        } else if goes_on {
            self.first = self.first.min(first);
        }
        self.last = self.last.max(last);
    }

    /// It was cleaned as a whole, and nobody was at work in it since.
    pub fn is_cleaned(&self) -> bool {
        self.cleaned.is_some_and(|at| at >= self.last)
    }

    /// It was ended, and nobody was at work in it since. What is left of it stays for others.
    pub fn is_over(&self) -> bool {
        self.cleaned.max(self.over).is_some_and(|at| at >= self.last)
    }
}

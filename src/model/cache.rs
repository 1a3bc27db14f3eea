//! What dkb knows of an engine's build cache, as plain data.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{BuildId, ImageId, Name, Reference, SessionKey, Stamp};

/// A build of ours that has ended, and whose cache nobody has looked at yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedBuild {
    pub build: BuildId,
    #[serde(flatten)]
    pub of: SessionKey,
    /// The same build, whatever it is tagged: a hash of Dockerfile path and target.
    pub key: String,
    /// Which of its variants: a hash of its tags or, without any, of its context and platforms.
    #[serde(default)]
    pub variant: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compose: Option<Name>,
    pub stamp: Stamp,
    pub began: Timestamp,
    pub ended: Timestamp,
    pub ok: bool,
    /// How many versions before the newest are kept.
    pub keep: usize,
}

/// A build that the engine remembers, whoever started it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastBuild {
    /// The engine's name for it.
    pub id: String,
    pub began: Timestamp,
    /// `None` while it runs.
    pub ended: Option<Timestamp>,
    pub stamp: Stamp,
    /// `None` where the engine was not asked, or could not say.
    pub steps: Option<Vec<PastStep>>,
    /// The images that it wrote, with its parts before the whole, and what names it gave; asked with the steps.
    pub wrote: Vec<ImageId>,
    pub named: Vec<Reference>,
}

/// A step of such a build, named as the builder shows it: `[build 2/4] RUN make`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PastStep {
    pub digest: String,
    pub name: String,
    /// The digests of the steps that it is made from.
    pub inputs: Vec<String>,
    /// When it ran, as often as it did.
    pub ran: Vec<(Timestamp, Timestamp)>,
    pub cached: bool,
}

/// The cache of our builds on one engine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheBooks {
    /// Builds of ours, in the order in which they ended.
    pub builds: Vec<CachedBuild>,
    /// The records that they made, by the engine's IDs.
    pub records: BTreeMap<String, CacheClaim>,
}

/// One build of ours, and the cache of ours that the same build would find again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedBuild {
    /// What the engine calls it, or them: builds at once that can't be told apart are one.
    pub past: BTreeSet<String>,
    /// Its name in the ledger; books of before do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<BuildId>,
    #[serde(flatten)]
    pub of: SessionKey,
    pub key: String,
    #[serde(default)]
    pub variant: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compose: Option<Name>,
    pub at: Timestamp,
    pub ok: bool,
    pub keep: usize,
    pub needs: BTreeSet<String>,
}

/// A record that a build of ours made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheClaim {
    /// The words of its step, hashed: a Dockerfile may hold a secret.
    pub step: String,
    /// What the engine says of it, hashed: under another ID it still says so.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub told: String,
    /// When that ran.
    pub ran: (Timestamp, Timestamp),
    /// The records of ours that it was made from: what it stands on, and what was copied from.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub from: BTreeSet<String>,
    /// How often it had been used at the last look.
    pub used: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<Timestamp>,
    /// A build that was none of ours has used it, or may have.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
}

impl CacheBooks {
    /// The engine calls these records by another name now.
    pub fn rename(&mut self, names: &BTreeMap<String, String>) {
        let new = |id: String| names.get(&id).cloned().unwrap_or(id);
        let all = |ids: &mut BTreeSet<String>| *ids = std::mem::take(ids).into_iter().map(new).collect();
        self.records = std::mem::take(&mut self.records).into_iter().map(|(id, claim)| (new(id), claim)).collect();
        self.records.values_mut().for_each(|claim| all(&mut claim.from));
        self.builds.iter_mut().for_each(|build| all(&mut build.needs));
    }

    /// These records are gone.
    pub fn forget(&mut self, is_gone: impl Fn(&str) -> bool) {
        self.records.retain(|id, _| !is_gone(id));
        self.records.values_mut().for_each(|claim| claim.from.retain(|id| !is_gone(id)));
        self.builds.iter_mut().for_each(|build| build.needs.retain(|id| !is_gone(id)));
    }

    /// A stranger may have used these records, and so all that they were made from.
    pub fn share<'a>(&mut self, ids: impl IntoIterator<Item = &'a String>) {
        for id in self.with_origins(ids) {
            if let Some(claim) = self.records.get_mut(&id) {
                claim.shared = true;
            }
        }
    }

    /// These records and all that they were made from.
    pub fn with_origins<'a>(&self, ids: impl IntoIterator<Item = &'a String>) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        let mut next: Vec<&String> = ids.into_iter().collect();
        while let Some(id) = next.pop() {
            if let Some((id, claim)) = self.records.get_key_value(id)
                && all.insert(id.clone())
            {
                next.extend(&claim.from);
            }
        }
        all
    }
}

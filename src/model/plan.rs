//! A plan: what is to be done, in order, and what is kept, with the reason for each.
//!
//! The same plan is shown, written to a file and reported on, so that a dry run, a plan file and a run can never
//! differ.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Asked, EngineInfo, Holder, ImageId, Kind, Outcome, Step, total};

pub const SCHEMA: u32 = 1;

/// Why something stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeptReason {
    /// A container uses it, in whatever state, or mounts it; with Podman also one that a build works in.
    InUse,
    /// Ours and tagged, and this clean takes leftovers only.
    Tagged,
    /// It bears a name that no build of ours gave it.
    ForeignTag,
    /// Stamped, but the ledger does not know it.
    Unrecorded,
    /// Stamped and pulled: somebody else built it.
    Pulled,
    /// Stamped because it was built on an image of ours.
    Inherited,
    /// A kept image is built on it.
    Base,
    /// Another session of the project built it.
    OtherSession,
    /// Another working copy built it, and this one's project is named by nobody but the checkout itself.
    OtherCopy,
    /// Another project built it.
    OtherProject,
    /// A session that is at work built it.
    SessionAlive,
    /// A build that is running now may need it.
    BuildRunning,
    /// It was built too short a while ago.
    TooYoung,
    /// One of its names, a digest or its ID is to be kept.
    KeepPattern,
    /// It is among the newest of a repository.
    KeepLast,
    /// A session that is not over took its tag and will give it back.
    Lent,
    /// A filter on labels does not let it through.
    Filtered,
    /// An anonymous volume, which may hold data.
    MayHoldData,
    /// The engine's own.
    BuiltIn,
    /// Build cache whose bytes belong to an image too.
    Shared,
    /// So much build cache was to stay.
    CacheKeep,
    /// Enough came back without it.
    Enough,
    /// It changed between the look and its turn.
    Changed,
    /// The engine refused, or the connection was lost.
    Failed,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kept {
    #[serde(rename = "type")]
    pub kind: Kind,
    /// As it is told: where a file named something that is not there, in the words of the file.
    pub id: String,
    pub names: Vec<String>,
    pub bytes: u64,
    pub reason: KeptReason,
    pub holders: Vec<Holder>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineLabel {
    pub id: String,
    pub endpoint: String,
    pub version: String,
    /// `docker` or `podman`, for people.
    #[serde(skip)]
    pub name: &'static str,
}

impl EngineLabel {
    /// As people call it: `docker 28.5.2`.
    pub fn called(&self) -> String {
        format!("{} {}", self.name, self.version).trim().to_owned()
    }
}

impl From<&EngineInfo> for EngineLabel {
    fn from(engine: &EngineInfo) -> Self {
        Self {
            id: engine.identity.clone().unwrap_or_default(),
            endpoint: engine.endpoint.clone(),
            version: engine.version.clone(),
            name: engine.name,
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    pub steps: usize,
    pub done: usize,
    pub failed: usize,
    pub kept: usize,
    pub bytes: u64,
    /// Bytes that leave the images but stay on the disk as build cache.
    pub bytes_to_cache: u64,
    /// The bytes are an upper bound.
    pub up_to: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Plan {
    pub schema: u32,
    /// The verb that made it: `clean`, `sweep`.
    pub kind: &'static str,
    pub engine: EngineLabel,
    pub created: Timestamp,
    /// What a clean was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Asked>,
    pub steps: Vec<Step>,
    pub kept: Vec<Kept>,
    pub totals: Totals,
    /// Of which images how many bytes stay on the disk as build cache.
    #[serde(skip)]
    pub to_cache: HashMap<ImageId, u64>,
}

impl Kept {
    /// What a step was for stays.
    pub fn instead_of(step: &Step, reason: KeptReason) -> Self {
        Self {
            kind: step.kind(),
            id: step.id().into_owned(),
            names: step.names().into_iter().map(str::to_owned).collect(),
            bytes: step.bytes,
            reason,
            holders: Vec::new(),
        }
    }
}

impl Plan {
    pub fn new(kind: &'static str, engine: &EngineInfo, now: Timestamp, steps: Vec<Step>, kept: Vec<Kept>) -> Self {
        let mut plan = Self {
            schema: SCHEMA,
            kind,
            engine: engine.into(),
            created: now,
            scope: None,
            steps,
            kept,
            totals: Totals::default(),
            to_cache: HashMap::new(),
        };
        plan.count();
        plan
    }

    /// Counts again, after the steps have been given their results.
    pub fn count(&mut self) {
        let ended = |wanted: &[Outcome]| {
            self.steps.iter().filter(|step| step.result.is_some_and(|result| wanted.contains(&result))).count()
        };
        let gone = |step: &&Step| {
            !matches!(step.result, Some(Outcome::Kept | Outcome::Failed | Outcome::Unknown | Outcome::NotTried))
        };
        self.totals = Totals {
            steps: self.steps.len(),
            done: ended(&[Outcome::Done, Outcome::AlreadyGone]),
            failed: ended(&[Outcome::Failed, Outcome::Unknown, Outcome::NotTried]),
            kept: self.kept.len(),
            bytes: total(self.steps.iter().filter(gone).map(|step| step.bytes)),
            // A sweep knows the sum only, since its images share what moves.
            bytes_to_cache: if self.to_cache.is_empty() {
                self.totals.bytes_to_cache
            } else {
                total(
                    self.steps
                        .iter()
                        .filter(gone)
                        .filter_map(|step| self.to_cache.get(&step.removed_image()?).copied()),
                )
            },
            up_to: self.totals.up_to,
        };
    }
}

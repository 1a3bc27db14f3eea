//! A plan: what is to be done, in order, and what is kept, with the reason for each.
//!
//! The same plan is shown, written to a file and reported on, so that a dry run, a plan file and a run can never
//! differ.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

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
    /// A CI session built it that may still be at work: nobody holds it open, and it was not idle for long enough.
    MayBeAtWork,
    /// A session built it that is over only when somebody says so, or the session that asks.
    NotOver,
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
    /// It bears the session's run label, perhaps only by its image, which is not there any more to be asked.
    ImageGone,
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
    /// A plan's file has it, and it is not there any more.
    AlreadyGone,
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

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The verb that made it: `clean`, `sweep`.
    pub kind: &'static str,
    pub engine: EngineLabel,
    pub created: Timestamp,
    /// What a clean was asked for.
    pub scope: Option<Asked>,
    pub steps: Vec<Step>,
    pub kept: Vec<Kept>,
    /// Of which images how many bytes stay on the disk as build cache.
    pub to_cache: HashMap<ImageId, u64>,
    /// The bytes of its steps are an upper bound.
    pub up_to: bool,
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
        let to_cache = HashMap::new();
        Self { kind, engine: engine.into(), created: now, scope: None, steps, kept, to_cache, up_to: false }
    }

    /// What it comes to, by the results that its steps have by now.
    pub fn totals(&self) -> Totals {
        let ended = |wanted: &[Outcome]| {
            self.steps.iter().filter(|step| step.result.is_some_and(|result| wanted.contains(&result))).count()
        };
        let stays = |step: &&Step| {
            matches!(step.result, Some(Outcome::Kept | Outcome::Failed | Outcome::Unknown | Outcome::NotTried))
        };
        let gone = || self.steps.iter().filter(|step| !stays(step));
        let to_cache = |step: &Step| self.to_cache.get(&step.removed_image()?).copied();
        Totals {
            steps: self.steps.len(),
            done: ended(&[Outcome::Done, Outcome::AlreadyGone]),
            failed: ended(&[Outcome::Failed, Outcome::Unknown, Outcome::NotTried]),
            kept: self.kept.len(),
            bytes: total(gone().map(|step| step.bytes)),
            bytes_to_cache: total(gone().filter_map(to_cache)),
            up_to: self.up_to,
        }
    }
}

/// The document of schema 1.
impl Serialize for Plan {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Written<'a> {
            schema: u32,
            kind: &'static str,
            engine: &'a EngineLabel,
            created: Timestamp,
            #[serde(skip_serializing_if = "Option::is_none")]
            scope: &'a Option<Asked>,
            steps: &'a [Step],
            kept: &'a [Kept],
            totals: Totals,
        }
        let Self { kind, engine, created, scope, steps, kept, .. } = self;
        let (kind, created, totals) = (*kind, *created, self.totals());
        Written { schema: SCHEMA, kind, engine, created, scope, steps, kept, totals }.serialize(serializer)
    }
}

//! A plan: what is to be done, in order, and what is kept, with the reason for each.
//!
//! The same plan is shown, written to a file and reported on, so that a dry run, a plan file and a run can never
//! differ.

use std::collections::HashMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, Serializer};

use super::{Asked, EngineInfo, ImageId, Kept, Outcome, SessionKey, Step, total};

pub const SCHEMA: u32 = 1;

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
    /// What sessions that end have no more use for, and leave to others that built it too.
    pub left_to_others: Vec<LeftTo>,
}

/// An image that a session would take with it, had another one not built it too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftTo {
    pub of: SessionKey,
    pub to: SessionKey,
    pub image: ImageId,
}

impl Plan {
    pub fn new(kind: &'static str, engine: &EngineInfo, now: Timestamp, steps: Vec<Step>, kept: Vec<Kept>) -> Self {
        let (to_cache, left_to_others) = Default::default();
        Self {
            kind,
            engine: engine.into(),
            created: now,
            scope: None,
            steps,
            kept,
            to_cache,
            up_to: false,
            left_to_others,
        }
    }

    /// What it comes to, by the results that its steps have by now.
    pub fn totals(&self) -> Totals {
        let stays = |step: &Step| step.result == Some(Outcome::Kept) || step.has_failed();
        let gone = || self.steps.iter().filter(|step| !stays(step));
        let to_cache = |step: &Step| self.to_cache.get(&step.removed_image()?).copied();
        Totals {
            steps: self.steps.len(),
            done: self.steps.iter().filter(|step| step.is_done()).count(),
            failed: self.steps.iter().filter(|step| step.has_failed()).count(),
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

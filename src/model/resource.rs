//! What an engine holds besides images and containers.

use std::collections::HashMap;

use jiff::Timestamp;

use super::{CacheUse, Capabilities, Deed, Holder, Kept, KeptReason, Kind, Reason, Step};

/// What is known of a container that does not run, beyond the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// When it ended; when it was made, where it never ran.
    pub at: Option<Timestamp>,
    /// The bytes that it wrote.
    pub written: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    pub name: String,
    pub driver: String,
    pub created: Option<Timestamp>,
    pub labels: HashMap<String, String>,
    /// Asked for only where it is needed: the engine walks the whole volume to know it.
    pub size: Option<u64>,
}

impl Volume {
    pub fn removal(&self) -> Deed {
        Deed::RemoveVolume { name: self.name.clone(), created: self.created }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    pub id: String,
    pub name: String,
    pub driver: String,
    /// `local`, or `swarm` for networks of a whole cluster.
    pub scope: String,
    pub created: Option<Timestamp>,
    pub labels: HashMap<String, String>,
}

impl Network {
    pub fn removal(&self) -> Deed {
        Deed::RemoveNetwork { id: self.id.clone(), name: self.name.clone() }
    }
}

/// One record of the build cache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CacheRecord {
    pub id: String,
    pub parents: Vec<String>,
    /// `regular`, `source.local`, `exec.cachemount`, `frontend`, `internal` and the like.
    pub kind: String,
    /// The step that made it, in the words of BuildKit.
    pub description: String,
    pub in_use: bool,
    /// Its bytes belong to an image too, and stay while that image stays.
    pub shared: bool,
    pub size: u64,
    pub created: Option<Timestamp>,
    pub last_used: Option<Timestamp>,
    /// In how many builds.
    pub used: u64,
}

impl CacheRecord {
    pub const fn last_use(&self) -> CacheUse {
        CacheUse { at: self.last_used, builds: self.used }
    }

    /// A record has no name. What the engine says of it holds the words of a Dockerfile, which may be a secret, so it is
    /// called by its kind.
    pub fn removal(&self, reason: Reason, can: Capabilities) -> Step {
        // Shared bytes come back with the image, or not at all, unless they are there twice.
        let elsewhere = self.shared && !can.counts_shared_cache_twice;
        let deed = Deed::RemoveCache { id: self.id.clone(), kind: self.kind.clone(), last: self.last_use() };
        Step::new(deed, reason, if elsewhere { 0 } else { self.size })
    }

    pub fn kept(&self, reason: KeptReason, holders: Vec<Holder>) -> Kept {
        let names = if self.kind.is_empty() { Vec::new() } else { vec![self.kind.clone()] };
        Kept { kind: Kind::BuildCache, id: self.id.clone(), names, bytes: self.size, reason, holders }
    }
}

/// The bytes that the engine itself counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskUsage {
    /// All layers of all images, each counted once.
    pub layers: u64,
    /// What containers wrote.
    pub containers: u64,
    pub cache: u64,
}

//! What a sweep is asked for, and all that its plan is made from.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::model::{
    Books, CacheRecord, Ended, ImageId, Kind, KnownBuilders, LabelFilter, Life, Network, Pattern, RunningBuild,
    SessionKey, Snapshot, Volume,
};

/// What goes, for one host.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // one for each kind that can be left out
pub(crate) struct SweepPolicy {
    pub containers: bool,
    pub images: bool,
    pub volumes: bool,
    /// What is left of builders that are gone. `volumes` takes it too, as any that nothing uses.
    pub builder_state: bool,
    pub networks: bool,
    pub cache: bool,
    pub all_images: bool,
    pub until: Duration,
    pub filter: Vec<LabelFilter>,
    pub keep: Vec<Pattern>,
    pub keep_last: Option<usize>,
    pub cache_keep: Option<u64>,
    pub cache_until: Duration,
    /// Under disk pressure: how many bytes are to come back, and no more.
    pub need: Option<u64>,
    /// Where a plan from a file is carried out: when that was made. What somebody has used since stays.
    pub unused_since: Option<Timestamp>,
}

impl SweepPolicy {
    pub(crate) fn takes(&self, kind: Kind) -> bool {
        match kind {
            Kind::Container => self.containers,
            Kind::Image => self.images,
            Kind::Volume => self.volumes,
            Kind::BuilderState => self.builder_state,
            Kind::Network => self.networks,
            Kind::BuildCache => self.cache,
        }
    }
}

/// All that the plan is made from.
pub(crate) struct SweepLook<'a> {
    pub snapshot: &'a Snapshot,
    pub ended: &'a HashMap<String, Ended>,
    pub volumes: &'a [Volume],
    /// Asked for only where the state of builders may go.
    pub builders: &'a KnownBuilders,
    pub networks: &'a [Network],
    pub cache: &'a [CacheRecord],
    /// The layers of every image, lowest first.
    pub layers: &'a HashMap<ImageId, Vec<String>>,
    /// When an image was last given a name; asked for under disk pressure only.
    pub tagged: &'a HashMap<ImageId, Timestamp>,
    /// When images without a credible date were seen here first.
    pub first_seen: &'a HashMap<ImageId, Timestamp>,
    pub books: &'a Books,
    pub lives: &'a HashMap<SessionKey, Life>,
    pub running: &'a [RunningBuild],
    /// By the engine's clock.
    pub now: Timestamp,
}

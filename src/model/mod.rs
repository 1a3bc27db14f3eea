//! What there is, as plain data.

mod amount;
mod asked;
mod books;
mod build;
mod build_id;
mod builder_state;
mod cache;
mod cache_mounts;
mod capabilities;
mod disk_mark;
mod distance;
mod guard_mark;
mod hash;
mod history;
mod holder;
mod id;
mod kept;
mod label;
mod ledger_id;
mod name;
mod notice;
mod pattern;
mod plan;
mod reference;
mod resource;
mod session;
mod snapshot;
mod socket;
mod stamp;
mod step;
mod text;

pub use amount::{exact_bytes, exact_duration, human_bytes, human_duration, parse_bytes, parse_duration, total};
pub use asked::{Asked, Scope};
#[cfg(test)]
pub(crate) use books::tests as books_tests;
pub use books::{Books, More, Record, Tally, VERSION};
pub use build::{Build, RunningBuild, Shown, ShownImage, ShownLine};
pub use build_id::BuildId;
pub use builder_state::{KnownBuilders, node_of};
pub use cache::{CacheBooks, CacheClaim, CachedBuild, EndedBuild, PastBuild, PastStep};
pub use cache_mounts::MountNamespace;
pub use capabilities::Capabilities;
pub use disk_mark::{DiskMark, DiskUse};
pub use distance::slip;
pub use guard_mark::GuardMark;
pub use hash::short_hash;
#[cfg(test)]
pub(crate) use history::tests as history_tests;
pub use history::{Doer, Removal, RemovalsOf};
pub use holder::{GoesOn, Holder};
pub use id::ImageId;
pub use kept::{Kept, KeptReason, Stays};
pub use label::LabelFilter;
pub use ledger_id::LedgerId;
#[cfg(test)]
pub(crate) use ledger_id::tests::ledger;
pub use name::Name;
pub use notice::{Gap, Notice};
pub use pattern::Pattern;
pub use plan::{EngineLabel, LeftTo, Plan, SCHEMA, Totals};
pub use reference::{CanonicalName, Reference};
pub use resource::{CacheRecord, DiskUsage, Ended, Network, Volume};
pub use session::{Life, Opening, Owner, SessionEntry, SessionKey, Taken};
#[cfg(test)]
pub(crate) use snapshot::tests as image_tests;
pub use snapshot::{Container, ContainerState, EngineInfo, Image, ImageDetail, Snapshot};
pub use socket::{SocketDoor, SocketRights};
pub use stamp::{PROJECT_LABEL, RUN_LABEL, SESSION_LABEL, Stamp};
pub use step::{Action, CacheUse, Deed, ImageGuard, Kind, Moment, Outcome, Reason, Step};

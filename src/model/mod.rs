//! What there is, as plain data.

mod amount;
mod id;
mod name;
mod pattern;
mod reference;
mod resource;
mod snapshot;
mod stamp;

pub use amount::{human_bytes, human_duration, parse_bytes, parse_duration};
pub use id::ImageId;
pub use name::Name;
pub use pattern::Pattern;
pub use reference::Reference;
pub use resource::{CacheRecord, DiskUsage, Network, Volume};
pub use snapshot::{Container, ContainerState, EngineInfo, Flavour, Image, ImageDetail, Snapshot};
pub use stamp::{PROJECT_LABEL, RUN_LABEL, SESSION_LABEL, Stamp};

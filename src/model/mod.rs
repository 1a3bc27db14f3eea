//! What there is, as plain data.

mod amount;
mod id;
mod label;
mod mark;
mod name;
mod pattern;
mod reference;
mod snapshot;
mod stamp;

pub use amount::{exact_bytes, exact_duration, human_bytes, human_duration, parse_bytes, parse_duration};
pub use id::ImageId;
pub use label::LabelFilter;
pub use mark::DiskMark;
pub use name::Name;
pub use pattern::Pattern;
pub use reference::Reference;
pub use snapshot::{Container, ContainerState, EngineInfo, Flavour, Image, Snapshot};
pub use stamp::{PROJECT_LABEL, RUN_LABEL, SESSION_LABEL, Stamp};

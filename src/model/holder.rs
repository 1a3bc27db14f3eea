//! Who holds a thing that stays.

use std::fmt;

use serde::{Serialize, Serializer};

use super::{Container, ContainerState, ImageId};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A container, by its name, and what it does.
    Container { name: String, state: ContainerState },
    /// The container itself, by what it does.
    Itself(ContainerState),
    /// A tag or a digest.
    Name(String),
    /// An image that is built on it, and what that is called.
    Child { id: ImageId, name: Option<String> },
    /// A record of the build cache that was made from it.
    Record(String),
}

impl From<&Container> for Holder {
    fn from(container: &Container) -> Self {
        Self::Container { name: container.name.clone(), state: container.state.clone() }
    }
}

/// In a few words, for whoever asks why something stays.
impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Podman asks for force, and cannot tell a build that was killed from one that goes on. A person can.
            Self::Container { name, state: ContainerState::Working } => {
                write!(f, "{name} (of a build; if none runs: podman rm --force {name})")
            }
            Self::Container { name, state } => write!(f, "{name} ({})", state.as_str()),
            Self::Itself(state) => f.write_str(state.as_str()),
            Self::Child { id, name: None } => f.write_str(&id.short()),
            Self::Name(name) | Self::Child { name: Some(name), .. } | Self::Record(name) => f.write_str(name),
        }
    }
}

impl Serialize for Holder {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

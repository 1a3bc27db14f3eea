//! Who holds a thing that stays.

use std::fmt;
use std::time::Duration;

use jiff::SignedDuration;
use serde::{Serialize, Serializer};

use super::{Container, ContainerState, ImageId, Name, Reference, human_duration};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// A container, by its name, and what it does.
    Container { name: String, state: ContainerState },
    /// The container itself, by what it does.
    Itself(ContainerState),
    /// A tag or a digest.
    Name(String),
    /// The name by which a session holds it that another ledger knows.
    Hold(String),
    /// The name by which a session of this ledger holds it.
    OwnHold(String),
    /// An image that is built on it, and what that is called.
    Child { id: ImageId, name: Option<String> },
    /// A record of the build cache that was made from it.
    Record(String),
    /// A session that built it, and why that goes on.
    Session { name: Name, goes_on: GoesOn },
    /// A session, or all of a project, that built it too.
    Maker(Name),
}

/// Why a session that nobody holds open counts as going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoesOn {
    /// Its last build was so short a while ago. `overrules` what the settings say, which is less.
    Built { ago: Duration, over_after: SignedDuration, overrules: bool },
    /// Something of it runs.
    Runs,
    /// It is the session that asks.
    Asks,
    /// It is the own session of a working copy.
    HasNoEnd,
    /// Nobody has said that it is over.
    Unsaid,
}

impl Holder {
    /// Whoever relies on this name of an image.
    pub fn of_name(name: impl AsRef<str>) -> Self {
        let name = name.as_ref();
        let is_hold = Reference::listed(name).is_some_and(|name| name.is_hold());
        if is_hold { Self::Hold(name.to_owned()) } else { Self::Name(name.to_owned()) }
    }
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
            Self::Container { name, state: ContainerState::Pod(pod) } => {
                write!(f, "{name} (of pod {pod}; to take that: podman pod rm --force {pod})")
            }
            Self::Container { name, state: ContainerState::List } => {
                write!(f, "{name} (a manifest list; to take that: podman manifest rm {name})")
            }
            Self::Container { name, state } => write!(f, "{name} ({})", state.as_str()),
            Self::Itself(state) => f.write_str(state.as_str()),
            Self::Child { id, name: None } => f.write_str(&id.short()),
            Self::Session { name, goes_on } => match goes_on {
                GoesOn::Built { ago, over_after, overrules } => {
                    let at_least = if *overrules { ", whatever --stale-after says" } else { "" };
                    write!(f, "{name} (built {} ago; over after {over_after:#}{at_least})", human_duration(*ago))
                }
                GoesOn::Runs => write!(f, "{name} (a container of it runs)"),
                GoesOn::Asks => write!(f, "{name} (this session)"),
                GoesOn::HasNoEnd => write!(f, "{name} (a working copy, which has no end)"),
                GoesOn::Unsaid => write!(f, "{name} (until somebody says so: dkb session end {name})"),
            },
            Self::Maker(name) => f.write_str(name.as_str()),
            Self::Hold(name) => {
                write!(f, "a session of another ledger (if there is none any more: docker image rm {name})")
            }
            Self::OwnHold(name) => {
                write!(f, "held for a tag of this ledger's sessions, which comes back by it: {name}")
            }
            Self::Name(name) | Self::Child { name: Some(name), .. } | Self::Record(name) => f.write_str(name),
        }
    }
}

impl Serialize for Holder {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

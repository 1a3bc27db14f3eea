//! One line of the ledger, and how one that is too long becomes two.

use jiff::Timestamp;
use serde::Serialize;

use crate::model::{Build, BuildId, ImageId, LedgerId, Reference, SessionEntry, SessionKey, Taken};

/// One line of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "t", rename_all = "snake_case")]
pub enum Record {
    /// The first line. A higher version was written by a newer dkb and is not touched.
    Ledger {
        v: u32,
        engine: String,
        /// The file that it was written to, so that a copy knows itself: what ended since then is not in it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<u64>,
        /// What its holds on images are called by, once there are any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<LedgerId>,
        /// Said once more behind what was written anew as a whole, in which lines stand in no order of time: whether
        /// all lines could be read that it was made from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        whole: Option<bool>,
    },
    Session(SessionEntry),
    Build(Build),
    /// What did not fit into the line of a build that comes after it.
    More(More),
    /// These IDs were deleted by dkb or found missing; should one come back, it is not ours.
    Gone {
        at: Timestamp,
        ids: Vec<ImageId>,
    },
    /// These IDs were not on an engine that may be a copy of the one that built them: they are ours only where they
    /// were built.
    Missed {
        at: Timestamp,
        ids: Vec<ImageId>,
    },
    /// A session is over, and was cleaned.
    Cleaned {
        #[serde(flatten)]
        key: SessionKey,
        at: Timestamp,
        /// Something stayed that a later clean would take, so it is to be found again.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        rest: bool,
    },
    /// A session gave a tag that it had taken from this image back to it, and owes it no more.
    Back {
        #[serde(flatten)]
        key: SessionKey,
        at: Timestamp,
        tag: Reference,
        image: ImageId,
    },
    /// A session that was cleaned by then has no more use for these: they stayed only because another one built them
    /// too, whose they are now.
    Left {
        #[serde(flatten)]
        key: SessionKey,
        to: SessionKey,
        at: Timestamp,
        ids: Vec<ImageId>,
    },
}

impl Record {
    /// Two records that say the same, one after the other; `None` where there is nothing to part.
    pub fn halves(self) -> Option<(Self, Self)> {
        fn half<T>(list: &mut Vec<T>) -> Vec<T> {
            list.split_off(list.len().div_ceil(2))
        }
        match self {
            Self::Gone { at, mut ids } if ids.len() > 1 => {
                let rest = half(&mut ids);
                Some((Self::Gone { at, ids }, Self::Gone { at, ids: rest }))
            }
            Self::Missed { at, mut ids } if ids.len() > 1 => {
                let rest = half(&mut ids);
                Some((Self::Missed { at, ids }, Self::Missed { at, ids: rest }))
            }
            Self::Left { key, to, at, mut ids } if ids.len() > 1 => {
                let rest = half(&mut ids);
                let left = |ids| Self::Left { key: key.clone(), to: to.clone(), at, ids };
                Some((left(ids), left(rest)))
            }
            Self::Session(mut entry) if entry.took.len().max(entry.held.len()) > 1 => {
                let (took, held) = (half(&mut entry.took), half(&mut entry.held));
                let rest = SessionEntry { took, held, ..entry.clone() };
                Some((Self::Session(entry), Self::Session(rest)))
            }
            Self::Build(mut build) => {
                let mut more = More::of(build.build.clone());
                // The build itself comes last, and so is whole when it is read.
                let parts = (half(&mut build.tags), half(&mut build.steps), half(&mut build.took));
                more.tags = std::mem::replace(&mut build.tags, parts.0);
                more.steps = std::mem::replace(&mut build.steps, parts.1);
                more.took = std::mem::replace(&mut build.took, parts.2);
                (!more.is_empty()).then_some((Self::More(more), Self::Build(build)))
            }
            Self::More(mut more) => {
                let mut rest = More::of(more.build.clone());
                rest.tags = half(&mut more.tags);
                rest.steps = half(&mut more.steps);
                rest.took = half(&mut more.took);
                (!rest.is_empty()).then_some((Self::More(more), Self::More(rest)))
            }
            _ => None,
        }
    }
}

impl More {
    const fn of(build: BuildId) -> Self {
        Self { build, tags: Vec::new(), steps: Vec::new(), took: Vec::new() }
    }

    fn is_empty(&self) -> bool {
        self.tags.is_empty() && self.steps.is_empty() && self.took.is_empty()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct More {
    pub build: BuildId,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Reference>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<ImageId>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub took: Vec<Taken>,
}

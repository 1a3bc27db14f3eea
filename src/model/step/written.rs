//! How a step stands in the document: as text, in a shape of its own that schema 1 has fixed.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::{Action, Deed, ImageGuard, Kind, Outcome, Reason, Step};
use crate::model::ImageId;

#[derive(Serialize)]
struct Written<'a> {
    action: Action,
    #[serde(rename = "type")]
    kind: Kind,
    id: &'a str,
    names: Vec<&'a str>,
    bytes: u64,
    reason: Reason,
    guard: Still<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Outcome>,
}

/// What must still be true.
#[derive(Serialize)]
#[serde(rename_all = "snake_case", tag = "still")]
enum Still<'a> {
    Untagged,
    Pushed {
        digests: &'a [String],
    },
    Named {
        names: &'a [String],
    },
    NameOf {
        id: ImageId,
    },
    /// Created, exited or dead.
    Stopped,
    Unused,
    UnusedSince {
        created: Timestamp,
    },
}

impl<'a> Still<'a> {
    fn of(deed: &'a Deed) -> Self {
        match deed {
            Deed::StopContainer { .. } | Deed::RemoveContainer { .. } => Self::Stopped,
            Deed::RemoveImage { guard: ImageGuard::Untagged, .. } | Deed::GiveBack { from: None, .. } => Self::Untagged,
            Deed::RemoveImage { guard: ImageGuard::Pushed { digests }, .. } => Self::Pushed { digests },
            Deed::RemoveImage { guard: ImageGuard::Named { names }, .. } => Self::Named { names },
            Deed::Untag { image: id, .. } | Deed::GiveBack { from: Some(id), .. } => Self::NameOf { id: *id },
            Deed::RemoveVolume { created: Some(created), .. }
            | Deed::RemoveBuilderState { created: Some(created), .. } => Self::UnusedSince { created: *created },
            Deed::RemoveVolume { created: None, .. }
            | Deed::RemoveBuilderState { created: None, .. }
            | Deed::RemoveNetwork { .. }
            | Deed::RemoveCache { .. } => Self::Unused,
        }
    }
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = Written {
            action: self.action(),
            kind: self.kind(),
            id: &self.id(),
            names: self.names(),
            bytes: self.bytes,
            reason: self.reason,
            guard: Still::of(&self.deed),
            result: self.result,
        };
        written.serialize(serializer)
    }
}

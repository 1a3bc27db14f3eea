//! A build: what it showed while it ran, and what it made.

use std::collections::HashSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{BuildId, ImageId, Name, Reference, SessionKey, Taken};

/// One build and what it produced. Of the build's words only its tags and a hash are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    pub build: BuildId,
    #[serde(flatten)]
    pub of: SessionKey,
    pub at: Timestamp,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Reference>,
    /// A hash of Dockerfile path and target: the same build, whatever it is tagged.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    pub ok: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<ImageId>,
    /// The classic builder's intermediates, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<ImageId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub took: Vec<Taken>,
    /// Made under Tilt, which adds a tag of its own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tilt: bool,
    /// The project of compose's that it was built for, as compose called it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compose: Option<Name>,
    /// What tells the way to the engine that built it from the way to a copy of that engine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
    /// A line that came later could not be read: it may have ended an image of this one, or held it for somebody.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub doubted: bool,
}

impl Build {
    /// Everything it produced, children before parents.
    pub fn images(&self) -> impl Iterator<Item = ImageId> + '_ {
        self.result.into_iter().chain(self.steps.iter().rev().copied())
    }

    pub(super) fn forget(&mut self, gone: &HashSet<ImageId>) {
        self.result = self.result.filter(|id| !gone.contains(id));
        self.steps.retain(|id| !gone.contains(id));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.result.is_none() && self.steps.is_empty()
    }
}

/// A build that is running now, on any engine.
#[derive(Clone, Debug)]
pub struct RunningBuild {
    pub of: SessionKey,
    pub key: String,
    pub tags: Vec<Reference>,
}

/// An image that the classic builder's output named. It is believed only once the engine confirms it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownImage {
    /// The first digits of its ID.
    pub id: String,
    /// The number of the step whose line was the last before it.
    pub step: u32,
    /// Grows from stage to stage, in which Podman counts the steps anew.
    #[serde(default)]
    pub stage: u32,
    /// It stands behind `FROM`: a base, or the last image of an earlier stage, but not what triggers made of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub base: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cached: bool,
    /// The first container that was said to run since the line of the image before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ran: Option<String>,
}

/// What a classic build's output has shown so far, lines that a step printed among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    pub images: Vec<ShownImage>,
    /// The stage and the step that began last.
    pub stage: u32,
    pub step: u32,
    /// The first container that was said to run since the last image.
    pub ran: Option<String>,
}

/// What one line adds to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShownLine {
    /// A step begins: its stage, and its number.
    Step(u32, u32),
    /// A container runs for it.
    Ran(String),
    /// An image was named, behind all that ran for it.
    Image(ShownImage),
}

impl Shown {
    pub fn add(&mut self, line: ShownLine) {
        match line {
            ShownLine::Step(stage, step) => (self.stage, self.step) = (stage, step),
            ShownLine::Ran(container) => self.ran = Some(container),
            ShownLine::Image(image) => {
                self.ran = None;
                self.images.push(image);
            }
        }
    }

    /// Whether any container ran at all: before that every line is the builder's own.
    pub fn was_running(&self) -> bool {
        self.ran.is_some() || self.images.iter().any(|image| image.ran.is_some())
    }
}

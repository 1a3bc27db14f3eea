//! Whether a build may be given an `--iidfile`, or has one already, and what its ID would be worth.
//!
//! 1. buildx refuses an `--iidfile` next to files as output (`-o dir`, `-o -`, `type=local`, `type=tar`), even
//!    if another output makes an image; the CLI 20.10 fails at the end of such a build.
//! 2. A question (`--check`, `--call`, `--print`) leaves it empty.
//! 3. An ID counts only where the image comes to lie in the local engine. A result that is pushed from a builder
//!    of its own, or stays in it, can have the ID of an image that somebody else pulled here.
//! 4. Behind `docker build` an image that is pushed stays in the engine too.
//! 5. Podman makes an image whatever the output, and writes its ID without another word changed. With
//!    `--manifest` the file names the list, which may be older than this build; with several platforms it has
//!    one ID for many images.

use std::ffi::OsStr;

use super::{BuildWords, Tool};

/// Where the result lies when the words do not say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Builder {
    /// In the engine: what stands behind `docker build`, old or new, and Podman.
    Engine,
    /// In a builder of buildx's own, unless it is told to load it.
    Apart,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdFile<'w> {
    /// dkb may add its own.
    Ours,
    /// The user asked for one, which is read instead. It may be anything, a pipe too: only a plain file is read.
    Users(&'w OsStr),
    /// There is none to be had.
    No(NoIdFile),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoIdFile {
    /// A word was not understood.
    Unread,
    /// The help page is shown instead.
    Help,
    /// The build answers a question instead of making an image.
    Asks,
    /// The result is files.
    Files,
    /// It is files, and an image in the engine besides.
    FilesToo,
    /// The result goes to a registry from a builder of its own.
    Pushed,
    /// The result stays in a builder of its own, or becomes a file or nothing.
    NotLoaded,
    /// The result joins Podman's list of images.
    Manifest,
    /// There is one result for each of several platforms.
    Platforms,
    /// The user's `--iidfile=` turns it off.
    TurnedOff,
}

impl NoIdFile {
    /// Whether there is an image all the same, which the tags or the output of `-q` can name. Where there is
    /// none, an image that has these tags is not this build's.
    pub const fn leaves_image(self) -> bool {
        matches!(self, Self::FilesToo | Self::Manifest | Self::Platforms | Self::TurnedOff)
    }
}

pub fn id_file(words: &BuildWords, builder: Builder) -> IdFile<'_> {
    let no = if !words.understood() {
        Some(NoIdFile::Unread)
    } else if words.help {
        Some(NoIdFile::Help)
    } else if words.asks {
        Some(NoIdFile::Asks)
    } else {
        match words.tool {
            Tool::Docker => docker(words, builder),
            Tool::Podman => podman(words),
        }
    };
    match (no, words.iidfile.as_deref()) {
        (Some(no), _) => IdFile::No(no),
        (None, Some(file)) if file.is_empty() => IdFile::No(NoIdFile::TurnedOff),
        (None, Some(file)) => IdFile::Users(file),
        (None, None) => IdFile::Ours,
    }
}

fn docker(words: &BuildWords, builder: Builder) -> Option<NoIdFile> {
    let loads = words.load || words.outputs.iter().any(super::Output::is_load);
    let stays = match builder {
        Builder::Engine => words.push || words.outputs.is_empty() || words.outputs.iter().any(super::Output::is_image),
        Builder::Apart => false,
    };
    if words.outputs.iter().any(super::Output::is_files) {
        return Some(if loads || stays { NoIdFile::FilesToo } else { NoIdFile::Files });
    }
    if loads || stays {
        None
    } else if words.push || words.outputs.iter().any(super::Output::is_image) {
        Some(NoIdFile::Pushed)
    } else {
        Some(NoIdFile::NotLoaded)
    }
}

fn podman(words: &BuildWords) -> Option<NoIdFile> {
    if words.manifest.is_some() {
        Some(NoIdFile::Manifest)
    } else if words.platforms.len() > 1 || words.all_platforms {
        Some(NoIdFile::Platforms)
    } else {
        None
    }
}

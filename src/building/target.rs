//! One result of a call of docker: that of a build, or one target of a bake.

use crate::app::env;
use crate::ledger::{Intent, Running};
use crate::model::Reference;
use crate::plan::argv::{self, BakeTarget, BuildWords, Builder, IdFile, build_key};

pub(crate) struct Target {
    /// What it is called in a bake.
    pub(super) name: Option<String>,
    pub(super) words: BuildWords,
    /// It is going to bear our stamp.
    stamped: bool,
    pub(super) intent: Intent,
    /// Noted before docker starts, where there will be anything to note.
    pub(super) running: Option<Running>,
}

impl Target {
    pub(super) fn of_build(words: BuildWords, intent: &Intent) -> Self {
        let intent = Intent { tags: names(&words), key: key(&words), ..intent.clone() };
        Self { name: None, words, stamped: true, intent: under_tilt(intent), running: None }
    }

    /// Those of one bake. Each is a build of its own in the books.
    pub(super) fn of_bake(targets: Vec<BakeTarget>, intent: &Intent) -> Vec<Self> {
        let tags: Vec<(String, Vec<Reference>)> =
            targets.iter().map(|target| (target.name.clone(), names(&target.words))).collect();
        let target = |(nth, BakeTarget { name, words, stamp, compose }): (usize, BakeTarget)| {
            let others = tags.iter().filter(|(other, _)| *other != name);
            let intent = Intent {
                build: intent.build.nth(nth),
                tags: names(&words),
                key: key(&words),
                beside: others.flat_map(|(_, tags)| tags).cloned().collect(),
                compose,
                ..intent.clone()
            };
            // Where a word of the user's puts another stamp on it, nothing would prove that it is ours.
            let stamped = intent.stamp.is_part_of(&stamp);
            Self { name: Some(name), words, stamped, intent: under_tilt(intent), running: None }
        };
        targets.into_iter().enumerate().map(target).collect()
    }

    pub(super) fn id_file(&self, builder: Builder) -> IdFile<'_> {
        argv::id_file(&self.words, builder)
    }

    pub(super) fn makes_an_image(&self, builder: Builder) -> bool {
        self.stamped
            && match self.id_file(builder) {
                IdFile::Ours | IdFile::Users(_) => true,
                // Of words that were not understood nothing is inferred, but the classic builder's steps are seen.
                IdFile::No(why) => why.leaves_image() || self.intent.classic,
            }
    }
}

fn names(words: &BuildWords) -> Vec<Reference> {
    words.tags.iter().map(Reference::canonical).collect()
}

fn key(words: &BuildWords) -> String {
    build_key(words, &std::env::current_dir().unwrap_or_default()).to_string()
}

/// A custom build of Tilt's may build more than what is expected of it, and that is built as anybody's.
fn under_tilt(intent: Intent) -> Intent {
    let expected = env("EXPECTED_REF").and_then(|name| Reference::written(name.to_str()?));
    let tilt = expected.is_some_and(|expected| intent.tags.iter().any(|tag| tag.names_the_same(&expected)));
    Intent { tilt, ..intent }
}

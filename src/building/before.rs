//! dkb's own look at the engine, beside docker's start-up: who answers, and which image each tag names now.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};

use super::tag_loan::{self, TagLoan};
use crate::app::BUILD_LIMITS;
use crate::engine::{Docker, Endpoint, Engine};
use crate::error::Result;
use crate::ledger::{Journal, State};
use crate::model::{EngineInfo, ImageDetail, ImageId, Reference, SessionKey, Stamp};

pub(crate) struct Before {
    pub engine: Docker,
    pub info: EngineInfo,
    pub identity: String,
    /// When the build began, by the engine's clock, at the earliest: how long its answer took is not known.
    pub began: Timestamp,
    /// The same at the latest.
    pub surely_began: Timestamp,
    started: Instant,
    /// Of each target.
    pub names: Vec<Names>,
    /// Every image that was there and may be what the build ends in, where nothing else tells a new image from an old
    /// one.
    pub all: Option<HashSet<ImageId>>,
}

/// The names that one target will give.
#[derive(Default)]
pub(crate) struct Names {
    /// What they mean now.
    pub tags: Vec<(Reference, ImageId)>,
    /// As the engine lists them.
    pub gives: Vec<Reference>,
    /// What is held, so that it outlives the tag it is about to lose.
    pub(super) loan: TagLoan,
}

impl Names {
    /// The names that a build gives for these, and what has each now.
    async fn ask(engine: &impl Engine, tags: &[Reference]) -> Result<Self> {
        let mut names = Self::default();
        let by_history = engine.hello().tells_history_at_once();
        for tag in tags {
            let id = if by_history { engine.first_in_history(tag.as_str()).await? } else { None };
            let (name, id) = if id.is_some() {
                (tag.canonical(), id)
            } else {
                let found = engine.image(tag.as_str()).await?;
                let name = tag.given(found.as_ref().map_or(&[], |image| &image.tags));
                // Asked for a manifest list Podman answers with an image of it, which has not that name.
                let bears = |image: &ImageDetail| image.tags.iter().any(|known| known.names_the_same(&name));
                let id = found.filter(bears).map(|image| image.id);
                (name, id)
            };
            names.tags.extend(id.map(|id| (name.clone(), id)));
            names.gives.push(name);
        }
        Ok(names)
    }

    /// Whether any of them means another image by now.
    pub(super) async fn have_moved(&self, engine: &impl Engine) -> Result<bool> {
        for name in &self.gives {
            let before = self.tags.iter().find(|(tag, _)| tag.names_the_same(name)).map(|(_, id)| *id);
            let now = engine.image(name.as_str()).await?.map(|image| image.id);
            if now.is_some() && now != before {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl Before {
    /// Now, by the engine's clock; a moment ago, if anything.
    pub(super) fn now(&self) -> Timestamp {
        let since = SignedDuration::try_from(self.started.elapsed()).unwrap_or(SignedDuration::MAX);
        self.began.checked_add(since).unwrap_or(Timestamp::MAX)
    }

    /// Whether the engine has the image that docker said it built.
    pub(crate) async fn has(&self, id: ImageId) -> Result<bool> {
        // A tag that named it before names it still, and no question is needed.
        if self.names.iter().flat_map(|names| &names.tags).any(|(_, known)| *known == id) {
            return Ok(true);
        }
        let told = self.info.can.looks_cost && self.engine.told_of(id, self.began, self.now()).await;
        Ok(told || self.engine.image(&id.to_string()).await?.is_some())
    }
}

/// What a build wants to know beforehand.
pub(crate) struct Questions<'a> {
    /// The names that each target will give.
    pub tags: Vec<&'a [Reference]>,
    /// The result may be an image that is there, with this stamp: a build that adds nothing, or the very same one.
    pub may_be_old: Option<&'a Stamp>,
    /// The session gives back at its end what it takes now.
    pub lends: Option<(&'a State, &'a SessionKey)>,
}

pub(crate) async fn look(
    endpoint: Endpoint,
    wanted: &Questions<'_>,
    started: Instant,
    mut journals: Vec<Journal>,
) -> Result<Before> {
    let engine = Docker::connect(endpoint, BUILD_LIMITS).await?;
    // First of all: a small build may be over before the engine has said what it is.
    let mut names = Vec::with_capacity(wanted.tags.len());
    for tags in &wanted.tags {
        names.push(Names::ask(&engine, tags).await?);
    }
    let asked = started.elapsed();
    let info = engine.info().await?;
    let ago = |time: Duration| {
        let time = SignedDuration::try_from(time).unwrap_or(SignedDuration::ZERO);
        // An engine's clock may be as wrong as can be.
        info.now.checked_sub(time).unwrap_or(info.now)
    };
    let (began, surely_began) = (ago(started.elapsed()), ago(asked));
    let identity =
        info.known().map_err(|error| error.hint("dkb keeps no books on an engine that it could not know again"))?;
    let identity = identity.to_owned();
    let mut before = Before { engine, info, identity, began, surely_began, started, names, all: None };
    if let Some((state, of)) = wanted.lends.filter(|_| before.info.can.drops_nameless) {
        let ledger = state.ledger(&before.identity);
        for names in &mut before.names {
            let (books, _) = ledger.read_aside().await?;
            names.loan = tag_loan::hold(&before.engine, &names.tags, &ledger, &books, of).await?;
        }
    }
    for (journal, names) in journals.iter_mut().zip(&before.names) {
        names.tags.iter().for_each(|(tag, id)| journal.note_before(tag, *id));
        // Last, since it says that the others are whole.
        journal.note_engine(&before.identity, began);
    }
    // Where an image goes with its last name, it does so whoever built it.
    let goes_anyway = |stamp: &Stamp| stamp.is_whole() && before.info.can.drops_nameless;
    if let Some(stamp) = wanted.may_be_old.filter(|stamp| !goes_anyway(stamp)) {
        match before.engine.images(false).await {
            Ok(mut images) => {
                images.retain(|image| stamp.is_part_of(&Stamp::of(&image.labels)));
                let images: HashSet<ImageId> = images.into_iter().map(|image| image.id).collect();
                for journal in &mut journals {
                    journal.note_all(images.iter().copied());
                }
                before.all = Some(images);
            }
            // Of very many images a list takes too long, and there a whole stamp has to do.
            Err(_) if stamp.is_whole() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(before)
}

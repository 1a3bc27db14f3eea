//! dkb's own look at the engine, beside docker's start-up: who answers, and which image each tag names now.

use std::collections::HashSet;
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};

use crate::commands::world::BUILD_LIMITS;
use crate::engine::{Endpoint, Engine};
use crate::error::{Error, Kind, Result};
use crate::ledger::Journal;
use crate::model::{EngineInfo, ImageId, Reference};

pub(super) struct Before {
    pub engine: Engine,
    pub info: EngineInfo,
    pub identity: String,
    /// When the build began, by the engine's clock.
    pub began: Timestamp,
    pub tags: Vec<(Reference, ImageId)>,
    /// Every image that was there, where a label cannot tell a new image from an old one.
    pub all: Option<HashSet<ImageId>>,
}

pub(super) async fn look(
    endpoint: Endpoint,
    tags: &[Reference],
    all: bool,
    started: Instant,
    mut journal: Option<&mut Journal>,
) -> Result<Before> {
    let engine = Engine::connect(endpoint, BUILD_LIMITS).await?;
    let info = engine.info().await?;
    let began = info.now - SignedDuration::try_from(started.elapsed()).unwrap_or(SignedDuration::ZERO);
    let identity = info.identity.clone().ok_or_else(|| {
        Error::new(Kind::Failed, format!("asking {} who it is", info.endpoint), "it does not say")
            .hint("dkb keeps no books on an engine that it could not know again")
    })?;
    let mut before = Before { engine, info, identity, began, tags: Vec::new(), all: None };
    for tag in tags {
        if let Some(image) = before.engine.image(tag.as_str()).await? {
            before.tags.push((tag.clone(), image.id));
        }
    }
    if let Some(journal) = &mut journal {
        journal.note_engine(&before.identity, began);
        before.tags.iter().for_each(|(tag, id)| journal.note_before(tag, *id));
    }
    if all {
        let images: HashSet<ImageId> = before.engine.images(false).await?.into_iter().map(|image| image.id).collect();
        if let Some(journal) = journal {
            journal.note_all(images.iter().copied());
        }
        before.all = Some(images);
    }
    Ok(before)
}

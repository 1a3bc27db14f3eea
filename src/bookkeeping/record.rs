//! After a build: which images are its own, and the record of that.

use std::collections::{HashMap, HashSet};

use futures_util::StreamExt as _;
use futures_util::stream;
use jiff::Timestamp;

use super::home::home;
use crate::engine::Engine;
use crate::error::Result;
use crate::ledger::Intent;
use crate::model::{
    Books, Build, Capabilities, Image, ImageDetail, ImageId, Record, Reference, SessionEntry, Shown, Stamp, Taken,
};
use crate::plan::attribution::{self, Evidence};
use crate::plan::lost_result::Lost;
use crate::plan::taken::taken;

/// A build's steps are inspected one by one, a few at a time.
const AT_ONCE: usize = 4;
/// No Dockerfile has more steps; what descends further is not asked.
const DEEPEST: usize = 500;

/// What is known of a build once docker has ended, or was found ended.
pub(crate) struct BuildFacts<'a> {
    pub can: Capabilities,
    pub intent: &'a Intent,
    pub stamp: &'a Stamp,
    pub began: Timestamp,
    /// When it surely had begun, where that is known.
    pub surely_began: Option<Timestamp>,
    /// Now, by the engine's clock; a moment ago, if anything.
    pub now: Timestamp,
    pub before: &'a [(Reference, ImageId)],
    /// Every image that was there before, where that was asked.
    pub all: Option<&'a HashSet<ImageId>>,
    pub shown: &'a Shown,
    /// What docker said it built. An ID that the engine does not know counts as none.
    pub result: Option<ImageId>,
    pub ok: bool,
    /// A container ran whose image may not have been shown any more.
    pub ran: bool,
    /// dkb was killed, so that the end of the output is missing.
    pub cut_off: bool,
}

/// The record of a build, as far as it made anything.
pub(crate) async fn record(engine: &impl Engine, books: &Books, facts: &BuildFacts<'_>) -> Result<Build> {
    let (result, steps) = if facts.intent.classic {
        classic(engine, books, facts).await?
    } else {
        (buildkit(engine, books, facts).await?, Vec::new())
    };
    let took = if facts.ok { took(engine, books, facts).await? } else { Vec::new() };
    Ok(Build {
        build: facts.intent.build.clone(),
        of: facts.intent.of.clone(),
        at: Timestamp::now(),
        tags: facts.intent.tags.clone(),
        key: facts.intent.key.clone(),
        ok: facts.ok,
        result,
        steps,
        took,
        tilt: facts.intent.tilt,
        compose: facts.intent.compose.clone(),
        home: Some(home(engine)),
        doubted: false,
    })
}

/// From whom the build took its tags: of those that are still there the last.
async fn took(engine: &impl Engine, books: &Books, facts: &BuildFacts<'_>) -> Result<Vec<Taken>> {
    let (gives, before) = (&facts.intent.tags, facts.before);
    // Where nothing changed nobody need be asked.
    if facts.result.is_some_and(|result| gives.len() == before.len() && before.iter().all(|(_, id)| *id == result)) {
        return Ok(Vec::new());
    }
    let told = engine.tagged(facts.began, facts.now).await;
    let mut took = Vec::new();
    for (tag, bearers) in taken(gives, before, &told, facts.result) {
        for from in bearers {
            let bore_it = before.contains(&(tag.clone(), from));
            let is_known = books.has(from);
            let image = if bore_it && is_known { None } else { engine.image(&from.to_string()).await? };
            if bore_it || image.is_some() {
                let may_go = !is_known && image.is_some_and(|image| !Stamp::of(&image.labels).is_none());
                took.push(Taken { tag, from, may_go });
                break;
            }
        }
    }
    Ok(took)
}

/// The result, if it is this build's.
async fn buildkit(engine: &impl Engine, books: &Books, facts: &BuildFacts<'_>) -> Result<Option<ImageId>> {
    let Some(id) = facts.result.filter(|id| !books.has(*id)) else { return Ok(facts.result) };
    let there = facts.all.map(|all| all.contains(&id));
    // The look may have come when the build had already ended.
    let is_new = match there {
        Some(true) => engine.image(&id.to_string()).await?.and_then(|image| image.created),
        _ => None,
    };
    let is_new = is_new.zip(facts.surely_began).is_some_and(|(created, began)| created >= began);
    Ok(attribution::is_of_this_build(there, is_new, facts.stamp).then_some(id))
}

/// The result, if it is this build's, and its steps.
async fn classic(
    engine: &impl Engine,
    books: &Books,
    facts: &BuildFacts<'_>,
) -> Result<(Option<ImageId>, Vec<ImageId>)> {
    let known: Vec<ImageId> = books.images().collect();
    let (result, ours) = match attribution::all_cached(facts.shown, facts.result, &known) {
        Some(ours) if facts.ok && !facts.cut_off => (facts.result, ours),
        _ => verified(engine, books, facts).await?,
    };
    let result = result.filter(|id| ours.contains(id));
    Ok((result, ours.into_iter().filter(|id| Some(*id) != result).collect()))
}

/// The result, as far as anybody knows it, and all that is this build's.
async fn verified(
    engine: &impl Engine,
    books: &Books,
    facts: &BuildFacts<'_>,
) -> Result<(Option<ImageId>, Vec<ImageId>)> {
    let mut details = details(engine, facts).await?;
    let mut result = facts.result.filter(|_| facts.ok);
    let is_misnamed = |named: &ImageId| attribution::is_misnamed(facts.shown, *named, &details, facts.stamp);
    let misnamed = result.filter(|named| facts.can.may_misname_results && is_misnamed(named));
    if let Some(named) = misnamed
        && let Some(step) = attribution::last_step(facts.shown, named, &details)
        && let Some(own) = lost(engine, facts.can, facts.intent, (facts.began, facts.before), books, Some(step)).await?
    {
        details.extend(engine.step(&own.to_string()).await?);
        result = Some(own);
    }
    let evidence = Evidence {
        details: &details,
        began: facts.began,
        stamp: facts.stamp,
        result,
        // Where docker named another build's image at the end, its own end is missing.
        cut_off: facts.cut_off || misnamed.is_some(),
        shows_bases: facts.can.shows_bases,
        tells_containers: details.iter().any(|image| image.container.is_some()),
    };
    Ok((result, attribution::verify(facts.shown, &evidence, |id| books.has(id))))
}

/// The result that docker could not name, on top of a certain step where that is known, of a build that began then, when
/// its names meant these.
pub(crate) async fn lost(
    engine: &impl Engine,
    can: Capabilities,
    intent: &Intent,
    (began, before): (Timestamp, &[(Reference, ImageId)]),
    books: &Books,
    on: Option<ImageId>,
) -> Result<Option<ImageId>> {
    let mut images = engine.images(false).await?;
    images.retain(|image| on.is_none_or(|step| image.id == step || image.parent == Some(step)));
    let Capabilities { digest_means_travel, .. } = can;
    let Intent { stamp, tags, beside, .. } = intent;
    let lost = Lost { stamp, tags, beside, began, before, digest_means_travel };
    let mut details = Vec::new();
    for image in lost.stamped(&images) {
        details.extend(engine.image(&image.id.to_string()).await?);
    }
    Ok(lost.result(&images, &details, |id| books.has(id)))
}

/// Asks the engine for every image that the output named, and for what those descend from as far as it is new.
/// Of a build that was cut off, also for what was made on top of them.
async fn details(engine: &impl Engine, facts: &BuildFacts<'_>) -> Result<Vec<ImageDetail>> {
    let mut details = HashMap::new();
    let named = facts.shown.images.iter().map(|image| image.id.clone());
    inspect(engine, facts, named.chain(facts.result.map(|id| id.to_string())).collect(), &mut details).await?;
    if !facts.ok && facts.ran && facts.intent.classic {
        let began = facts.began.as_second();
        let is_on_top = |image: &Image| {
            let on_top = image.parent.is_none_or(|parent| details.contains_key(&parent));
            on_top && image.created >= began && !image.is_tagged() && !details.contains_key(&image.id)
        };
        let images = engine.images(false).await?;
        let on_top = images.into_iter().filter(is_on_top).map(|image| image.id.to_string()).collect();
        inspect(engine, facts, on_top, &mut details).await?;
    }
    Ok(details.into_values().collect())
}

async fn inspect(
    engine: &impl Engine,
    facts: &BuildFacts<'_>,
    mut next: Vec<String>,
    details: &mut HashMap<ImageId, ImageDetail>,
) -> Result<()> {
    let mut asked: HashSet<String> = HashSet::new();
    while !next.is_empty() && details.len() < DEEPEST {
        next.retain(|name| asked.insert(name.clone()));
        let mut answers =
            stream::iter(next.drain(..)).map(|name| async move { engine.step(&name).await }).buffer_unordered(AT_ONCE);
        let mut found = Vec::new();
        while let Some(answer) = answers.next().await {
            found.extend(answer?);
        }
        drop(answers);
        for image in found {
            let new = image.created.is_some_and(|created| created >= facts.began);
            if let Some(parent) = image.parent.filter(|parent| new && !details.contains_key(parent)) {
                next.push(parent.to_string());
            }
            details.insert(image.id, image);
        }
    }
    Ok(())
}

/// What goes into the ledger for a build: the session where it is new, and the build where it made anything.
pub(crate) fn records(books: &Books, intent: &Intent, build: &Build) -> Vec<Record> {
    if build.result.is_none() && build.steps.is_empty() {
        return Vec::new();
    }
    let known = books.sessions.get(&intent.of);
    let says_more = known.is_none_or(|known| {
        let is_new_copy = intent.copy.as_ref().is_some_and(|copy| !known.copies.contains(copy));
        known.ci != intent.ci || known.slot != intent.slot || is_new_copy
    });
    let entry = says_more.then(|| {
        Record::Session(SessionEntry {
            ci: intent.ci,
            slot: intent.slot.clone(),
            copies: intent.copy.iter().cloned().collect(),
            ..SessionEntry::new(intent.of.clone(), build.at)
        })
    });
    entry.into_iter().chain([Record::Build(build.clone())]).collect()
}

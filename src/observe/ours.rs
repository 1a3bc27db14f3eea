//! What is ours on a host, where a list costs the engine by what it answers: a session's ten images are then seen among
//! any number of others for what these ten cost.
//!
//! A list by names has two traps. It tells no name of an image but those that were asked for, so each image is asked for
//! all its names first; and of what is built on an image it says only whether there is anything. Whatever can't be
//! known for sure in this way is seen by a list of the whole host, as on any other engine.

use std::collections::{BTreeSet, HashMap, HashSet};

use futures_util::StreamExt as _;
use futures_util::stream;

use crate::engine::{Engine, nameless};
use crate::error::Result;
use crate::model::{Books, Container, EngineInfo, Image, ImageId, PROJECT_LABEL, RUN_LABEL, Reference, Snapshot};
use crate::plan::clean::Breadth;

/// Images that are asked for their names at the same time.
const AT_ONCE: usize = 8;
/// Names in one request: some proxies let no longer line through.
const TOGETHER: usize = 40;
/// An image that is seen in this way costs about two in a list of all.
const DEARER: usize = 2;

/// Some images of a host, each as a list of all would have it.
#[derive(Debug, Default)]
pub(crate) struct Ours {
    pub(crate) images: Vec<Image>,
    /// Those without a name that others name as their parent, which may be anybody's.
    pub(crate) bases: HashSet<ImageId>,
}

/// What was seen of a host.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) breadth: Breadth,
    pub(crate) images: Vec<Image>,
    /// As of [`Ours`], where not all were seen.
    pub(crate) bases: HashSet<ImageId>,
    pub(crate) containers: Vec<Container>,
}

/// The images that the rules of a clean ask about, or all.
pub(crate) async fn see(engine: &impl Engine, info: &EngineInfo, books: &Books, at_least: Breadth) -> Result<Seen> {
    let whole = |images, containers| Seen { breadth: Breadth::Whole, images, bases: HashSet::new(), containers };
    if at_least == Breadth::Whole || !info.can.lists_cost_by_answer {
        let (images, containers) = tokio::try_join!(engine.images(true), engine.containers())?;
        return Ok(whole(images, containers));
    }
    let containers = engine.containers().await?;
    Ok(match images_of(engine, info, asked_about(books, &containers)).await {
        Some(Ours { images, bases }) => Seen { breadth: Breadth::Ours, images, bases, containers },
        None => whole(engine.images(true).await?, containers),
    })
}

/// Adds what more there is to be seen.
pub(crate) async fn widen(engine: &impl Engine, snapshot: &mut Snapshot, wanted: Breadth) -> Result<()> {
    let more = match wanted {
        Breadth::Ours => return Ok(()),
        Breadth::Stamped => engine.images_labelled(PROJECT_LABEL).await?,
        Breadth::Whole => engine.images(true).await?,
    };
    if wanted == Breadth::Whole {
        // As of now, but for what containers alone still show.
        snapshot.images.retain(|image| image.dropped);
    }
    let known: HashSet<ImageId> = snapshot.images.iter().map(|image| image.id).collect();
    snapshot.images.extend(more.into_iter().filter(|image| !known.contains(&image.id)));
    Ok(())
}

/// These images, as far as they are there. `None` where only a list of all can tell, or costs less.
pub(crate) async fn images_of(
    engine: &impl Engine,
    info: &EngineInfo,
    ids: impl Iterator<Item = ImageId>,
) -> Option<Ours> {
    let ids: BTreeSet<ImageId> = ids.collect();
    if !info.can.lists_cost_by_answer || ids.len().saturating_mul(DEARER) > info.images {
        return None;
    }
    // Where such a question goes wrong, the list of all says why.
    see_these(engine, ids).await.ok().flatten()
}

async fn see_these(engine: &impl Engine, ids: BTreeSet<ImageId>) -> Result<Option<Ours>> {
    let mut names: Vec<(ImageId, Vec<Reference>)> = Vec::new();
    let mut asked = stream::iter(ids).map(|id| async move { (id, engine.names(id).await) }).buffer_unordered(AT_ONCE);
    while let Some((id, answer)) = asked.next().await {
        names.extend(answer?.map(|names| (id, names)));
    }
    drop(asked);
    names.sort_unstable_by_key(|(id, _)| *id);
    let mut found: HashMap<ImageId, Image> = HashMap::new();
    let nameless_ones = |names: &[(ImageId, Vec<Reference>)], found: &HashMap<ImageId, Image>| {
        let unseen = names.iter().filter(|(id, _)| !found.contains_key(id)).cloned();
        unseen.filter(|(_, names)| names.is_empty()).collect::<Vec<_>>()
    };
    list(engine, &names, false, &mut found).await?;
    let bases = nameless_ones(&names, &found);
    list(engine, &bases, true, &mut found).await?;
    // One that got or lost a name just now is in neither.
    if names.iter().any(|(id, _)| !found.contains_key(id)) {
        return Ok(None);
    }
    let bases = bases.into_iter().map(|(id, _)| id).collect();
    let mut images: Vec<Image> = found.into_values().collect();
    images.sort_unstable_by_key(|image| image.id);
    Ok(Some(Ours { images, bases }))
}

async fn list(
    engine: &impl Engine,
    wanted: &[(ImageId, Vec<Reference>)],
    intermediates: bool,
    found: &mut HashMap<ImageId, Image>,
) -> Result<()> {
    let mut rest = wanted;
    while !rest.is_empty() {
        // All names of an image in one request, or it would be told by some of them.
        let (mut asked, mut many): (Vec<String>, usize) = (Vec::new(), 0);
        for (id, names) in rest {
            if many > 0 && asked.len().saturating_add(names.len()) > TOGETHER {
                break;
            }
            match names.as_slice() {
                [] => asked.push(nameless(*id)),
                names => asked.extend(names.iter().map(ToString::to_string)),
            }
            many = many.saturating_add(1);
        }
        let (these, later) = rest.split_at(many);
        let listed = engine.images_named(&asked, intermediates).await?;
        // A name may have gone to another image since.
        let is_wanted = |image: &Image| these.iter().any(|(id, _)| *id == image.id);
        found.extend(listed.into_iter().filter(is_wanted).map(|image| (image.id, image)));
        rest = later;
    }
    Ok(())
}

/// The images of which the rules of a clean ask anything: what is on record, what sessions took tags from or hold, and
/// what a container was made from that bears a run label, since it may have that from its image.
fn asked_about(books: &Books, containers: &[Container]) -> impl Iterator<Item = ImageId> {
    let labelled = containers.iter().filter(|container| container.labels.contains_key(RUN_LABEL));
    let entries = books.sessions.values();
    let lenders = entries.clone().flat_map(|entry| entry.took.iter().map(|taken| taken.from));
    let held = entries.flat_map(|entry| entry.held.iter().copied());
    books.images().chain(lenders).chain(held).chain(labelled.filter_map(|container| container.image))
}

#[cfg(test)]
mod tests;

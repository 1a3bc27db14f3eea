//! How an image goes. Deletions are never forced and never take parents along. It depends on the names:
//!
//! - none: it gets our private name, and that name is deleted. If nobody named it meanwhile it goes with the
//!   name; if somebody did, only our name goes. Containerd's store has such a name for it already, which ends as
//!   soon as anybody gives it another.
//! - one, ours: by ID, one request after its names were read. A name that was added makes the engine refuse, a
//!   name that was moved leaves an untagged image of ours. What remains is a name moved away *and* another one
//!   added between these two requests: then the engine takes the new one with the image.
//! - several, all ours: each but the last is looked up and deleted in the next request, the last goes as above.
//!   What remains is a name that is moved between these two requests: it is lost to the image it went to.
//!
//! A name that is given back is looked up in the request before. What remains is a name that is moved on between the two:
//! it is given back all the same.
//!
//! A name that goes from an image that stays is looked up with the image's others in the request before. What remains is
//! that somebody takes the last of those away between the two: then the image goes with ours.
//!
//! So dkb's own gaps are those four of one request. No engine can delete or move a name on the condition that it still
//! means a certain image. The rest is the engine's own, inside the one request that deletes:
//!
//! - Docker looks for containers and names, and then deletes. A name that comes between is lost with the image. A
//!   container that is being made counts only once it is complete, and the engine names it to nobody before; one
//!   that is completed between keeps its files and loses its image. [`ImageDeleter`] keeps this as short as it can be.
//! - Podman looks for containers and deletes under one lock, and they lose nothing. Names it looks at before.
//!
//! A container that is complete holds its image against all of this; an image mounted into a container is seen only
//! when the engine is looked at, before the plan.

use std::collections::HashSet;

use tokio::sync::Mutex;

use super::step_end::{StepEnd, plainly};
use crate::engine::{self, Engine, Removed, ToDelete};
use crate::error::{Error, Result};
use crate::model::{Capabilities, ImageId, Outcome, Reference};

/// An engine that deletes by turns looks for containers and names first and then waits, and what comes meanwhile is
/// lost. So it is asked for one deletion at a time, as docker's own program does, and nothing waits.
pub(super) struct ImageDeleter<'e, E> {
    pub engine: &'e E,
    pub can: Capabilities,
    turn: Option<Mutex<()>>,
    /// Hears of each image before the engine is asked to delete it.
    going: &'e dyn Fn(ImageId),
}

impl<'e, E: Engine> ImageDeleter<'e, E> {
    pub(super) fn of(engine: &'e E, can: Capabilities, going: &'e dyn Fn(ImageId)) -> Self {
        Self { engine, can, turn: can.deletes_by_turns.then(Mutex::default), going }
    }

    /// Takes a name or a digest off an image that has others.
    async fn delete(&self, name: &Reference) -> Result<engine::Answer<Removed>> {
        self.ask(ToDelete::Name(name), None).await
    }

    /// Deletes an image by all that it has left.
    async fn delete_image(&self, id: ImageId, target: ToDelete<'_>) -> Result<engine::Answer<Removed>> {
        self.ask(target, Some(id)).await
    }

    async fn ask(&self, target: ToDelete<'_>, going: Option<ImageId>) -> Result<engine::Answer<Removed>> {
        let _alone = match &self.turn {
            Some(turn) => Some(turn.lock().await),
            None => None,
        };
        going.into_iter().for_each(self.going);
        self.engine.delete_image(target).await
    }

    /// Whether the image is gone, by what the engine says of a deletion by the image's ID or its own name for it, or
    /// by any other name. Where its word can't be trusted, another look tells.
    fn believes(&self, removed: &Removed, id: ImageId, by_name: bool) -> bool {
        removed.deleted.contains(&id) && !(by_name && self.can.feigns_deleting_bases)
    }
}

/// Deletes an image that nobody named, by compare-and-swap.
pub(super) async fn remove_untagged(deleter: &ImageDeleter<'_, impl Engine>, id: ImageId) -> Result<StepEnd> {
    if deleter.can.names_nameless {
        let target = ToDelete::Nameless(id);
        match deleter.delete_image(id, target).await? {
            // It is gone, or somebody has named it, or dkb itself once did: the long way tells.
            engine::Answer::Missing => {}
            answer => return judge(deleter, id, None, answer).await,
        }
    }
    remove_by_private_name(deleter, id).await
}

async fn remove_by_private_name(deleter: &ImageDeleter<'_, impl Engine>, id: ImageId) -> Result<StepEnd> {
    let private = id.private_tag();
    match deleter.engine.tag(id, &private).await? {
        engine::Answer::Done(()) => {
            let answer = deleter.delete_image(id, ToDelete::Name(&private)).await?;
            judge(deleter, id, None, answer).await
        }
        other => settle(deleter, id, plainly(other, |()| Outcome::Done)).await,
    }
}

/// Deletes an image that has no name but digests. A digest can't be moved to another image, and with our private
/// name in place none of them takes the image along.
pub(super) async fn remove_pushed(
    deleter: &ImageDeleter<'_, impl Engine>,
    id: ImageId,
    digests: &[String],
) -> Result<StepEnd> {
    match deleter.engine.tag(id, &id.private_tag()).await? {
        engine::Answer::Done(()) => {}
        other => return settle(deleter, id, plainly(other, |()| Outcome::Done)).await,
    }
    for digest in digests.iter().filter_map(|digest| Reference::listed(digest)) {
        match deleter.delete(&digest).await? {
            engine::Answer::Done(_) | engine::Answer::Missing => {}
            other => return settle(deleter, id, plainly(other, |_| Outcome::Done)).await,
        }
    }
    remove_by_private_name(deleter, id).await
}

/// Deletes an image if it has none but these names.
pub(super) async fn remove_named(
    deleter: &ImageDeleter<'_, impl Engine>,
    id: ImageId,
    known: &[String],
) -> Result<StepEnd> {
    let known: HashSet<&str> = known.iter().map(String::as_str).collect();
    // Each round takes one name; more rounds mean that somebody adds names as fast as they go.
    for _ in 0..known.len().saturating_add(3) {
        let Some(now) = deleter.engine.image(&id.to_string()).await? else {
            return Ok(StepEnd::plainly(Outcome::AlreadyGone));
        };
        let (private, mut names): (Vec<Reference>, Vec<Reference>) =
            now.tags.into_iter().partition(Reference::is_momentary);
        // A digest without a tag is a name too; the containerd store lists it among the tags.
        let digests = now.digests.iter().filter(|digest| known.contains(digest.as_str()));
        for digest in digests.filter_map(|digest| Reference::listed(digest)) {
            if !names.contains(&digest) {
                names.push(digest);
            }
        }
        if names.iter().any(|name| !known.contains(name.as_str())) {
            return Ok(StepEnd::plainly(Outcome::Kept));
        }
        let surplus = match (names.as_slice(), private.as_slice()) {
            ([], _) => return remove_by_private_name(deleter, id).await,
            // A tag of its repository, added in this moment, would go with the ID of a digest.
            ([only], []) if only.as_str().contains('@') => {
                return remove_pushed(deleter, id, &[only.to_string()]).await;
            }
            ([only], []) => {
                let answer = deleter.delete_image(id, ToDelete::Id(id)).await?;
                return judge(deleter, id, Some(only), answer).await;
            }
            // Left from a deletion that was cut off. Our own name can't have been moved by anybody else.
            ([_], [left, ..]) => left,
            ([first, ..], _) => {
                if deleter.engine.image(first.as_str()).await?.is_none_or(|image| image.id != id) {
                    continue;
                }
                first
            }
        };
        match deleter.delete(surplus).await? {
            engine::Answer::Done(removed) if deleter.believes(&removed, id, true) => {
                return Ok(StepEnd::plainly(Outcome::Done));
            }
            engine::Answer::Done(_) | engine::Answer::Missing => {}
            other => return Ok(plainly(other, |_| Outcome::Done)),
        }
    }
    Ok(StepEnd::plainly(Outcome::Kept))
}

/// What an answer to a deletion means for the image, which was to go with this name or with none of its own; where it
/// does not say, only another look can tell.
async fn judge(
    deleter: &ImageDeleter<'_, impl Engine>,
    id: ImageId,
    name: Option<&Reference>,
    answer: engine::Answer<Removed>,
) -> Result<StepEnd> {
    // By its ID the image goes with its name, by the engine's own name for it without any.
    let by_name = name.is_none() && matches!(&answer, engine::Answer::Done(removed) if !removed.untagged.is_empty());
    let (outcome, error) = match answer {
        engine::Answer::Done(removed) if deleter.believes(&removed, id, by_name) => {
            return Ok(StepEnd::plainly(Outcome::Done));
        }
        // Podman does not say so when an image that was a base is gone too.
        engine::Answer::Done(_) => (Outcome::Done, None),
        // Our private name is gone: another dkb took it, and the image only if nobody had named it.
        engine::Answer::Missing => (Outcome::AlreadyGone, None),
        engine::Answer::Unknown(error) => (Outcome::Done, Some(error)),
        engine::Answer::Conflict(message) if deleter.can.refuses_vaguely => {
            return held_or_failed(deleter, id, name, message).await;
        }
        other => return settle(deleter, id, plainly(other, |_| Outcome::Done)).await,
    };
    Ok(match (deleter.engine.image(&id.to_string()).await, error) {
        (Ok(None), _) => StepEnd::plainly(outcome),
        (Ok(Some(_)), None) => StepEnd::plainly(Outcome::Kept),
        (Ok(Some(_)), Some(error)) => StepEnd::failed(error),
        // It was asked for, and the engine went away before it said what came of it.
        (Err(lost), error) => {
            StepEnd { lost: true, why: Some(error.unwrap_or(lost)), ..StepEnd::plainly(Outcome::Unknown) }
        }
    })
}

/// The engine has one answer for an image that somebody holds and for one that it fails to delete. Whatever name it
/// has that is not the one it was to go with holds it.
async fn held_or_failed(
    deleter: &ImageDeleter<'_, impl Engine>,
    id: ImageId,
    name: Option<&Reference>,
    message: String,
) -> Result<StepEnd> {
    let Some(now) = deleter.engine.image(&id.to_string()).await? else {
        return Ok(StepEnd::plainly(Outcome::AlreadyGone));
    };
    let is_held = now.tags.iter().any(|tag| !tag.is_momentary() && Some(tag) != name)
        || deleter.engine.containers().await?.iter().any(|container| container.image == Some(id))
        || deleter.engine.images(false).await?.iter().any(|image| image.parent == Some(id));
    Ok(if is_held {
        StepEnd::plainly(Outcome::Kept)
    } else {
        StepEnd::failed(Error::failed("the engine refused", message))
    })
}

/// Two that delete an image at the same moment make some engines stumble: it is gone, and the answer is an
/// error of theirs. So after a failure the image is looked up.
async fn settle(deleter: &ImageDeleter<'_, impl Engine>, id: ImageId, ended: StepEnd) -> Result<StepEnd> {
    if ended.outcome == Outcome::Failed && deleter.engine.image(&id.to_string()).await?.is_none() {
        return Ok(StepEnd::plainly(Outcome::AlreadyGone));
    }
    Ok(ended)
}

/// Takes a name off an image that has others.
pub(super) async fn untag(deleter: &ImageDeleter<'_, impl Engine>, id: ImageId, name: &Reference) -> Result<StepEnd> {
    match deleter.engine.image(name.as_str()).await? {
        None => Ok(StepEnd::plainly(Outcome::AlreadyGone)),
        // With its last name the image would go too, and it was to stay.
        Some(now) if now.id != id || now.tags.len() < 2 => Ok(StepEnd::plainly(Outcome::Kept)),
        Some(_) => Ok(plainly(deleter.delete(name).await?, |_| Outcome::Done)),
    }
}

/// Lets a name that still means `from`, or nothing, mean `to` again, which needs to be held no more.
pub(super) async fn give_back(
    deleter: &ImageDeleter<'_, impl Engine>,
    from: Option<ImageId>,
    to: ImageId,
    name: &Reference,
    hold: Option<&Reference>,
) -> Result<StepEnd> {
    match deleter.engine.image(name.as_str()).await?.map(|now| now.id) {
        now if now == from => Ok(match deleter.engine.tag(to, name).await? {
            engine::Answer::Missing => StepEnd::plainly(Outcome::Kept),
            engine::Answer::Done(()) => {
                let let_go = match hold {
                    Some(hold) => untag(deleter, to, hold).await?,
                    None => StepEnd::plainly(Outcome::Done),
                };
                // Nobody would ask for the hold any more once the session counts as cleaned.
                match let_go.outcome {
                    Outcome::Failed | Outcome::Kept => let_go,
                    _ => StepEnd::plainly(Outcome::Done),
                }
            }
            outcome => plainly(outcome, |()| Outcome::Done),
        }),
        _ => Ok(StepEnd::plainly(Outcome::Kept)),
    }
}

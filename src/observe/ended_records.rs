//! Which records of the books a look ends: of images that went, or came back as somebody else's.

use std::collections::{HashMap, HashSet};

use jiff::{SignedDuration, Timestamp};

use crate::bookkeeping;
use crate::engine::Engine;
use crate::ledger::Ledger;
use crate::model::{Books, Container, EngineInfo, ImageId, Notice, Record, Snapshot};
use crate::plan::ended_records::{EndedRecords, ended};

/// Records of images that are no longer there, or were not all the time, end. A ledger that can't be written only
/// means that they end later.
pub(super) async fn end_records(
    engine: &impl Engine,
    ledger: &Ledger,
    books: &mut Books,
    snapshot: &Snapshot,
    ahead: SignedDuration,
) -> Vec<Notice> {
    let there: HashSet<ImageId> = snapshot.images.iter().map(|image| image.id).collect();
    let deleted = deleted(engine, books, ahead).await;
    let home = bookkeeping::home(engine);
    let EndedRecords { gone, missed } = ended(books, &there, &deleted, &used(snapshot, ahead), &home);
    let missed: Vec<ImageId> = missed.into_iter().filter(|id| !books.missed.contains(id)).collect();
    let mut notices: Vec<Notice> = (!missed.is_empty()).then_some(Notice::Missed(missed.len())).into_iter().collect();
    books.forget(&gone.iter().copied().collect());
    books.missed.extend(&missed);
    books.looked_from(&home);
    let at = Timestamp::now();
    let gone = (!gone.is_empty()).then_some(Record::Gone { at, ids: gone });
    let missed = (!missed.is_empty()).then_some(Record::Missed { at, ids: missed });
    if let Err(error) = ledger.append_aside(gone.into_iter().chain(missed).collect()).await {
        notices.push(Notice::Unwritten(error));
    }
    notices
}

/// How far our clock is ahead of the engine's.
pub(super) fn ahead(engine: &impl Engine, info: &EngineInfo) -> SignedDuration {
    let ahead = info.ahead.checked_neg().unwrap_or(SignedDuration::MAX);
    // Behind a socket of this machine it is one clock. What is seen then is how long the answer took, and that Podman
    // tells whole seconds.
    let local = engine.endpoint().socket_mark().is_some();
    if local && ahead.abs() < SignedDuration::from_secs(2) { SignedDuration::ZERO } else { ahead }
}

/// When recorded images were last deleted, by our clock, as far as the engine says so.
async fn deleted(engine: &impl Engine, books: &Books, ahead: SignedDuration) -> HashMap<ImageId, Timestamp> {
    let Some(oldest) = books.builds.iter().map(|build| build.at).min() else { return HashMap::new() };
    let by_engine = |time: Timestamp| time.checked_sub(ahead).unwrap_or(Timestamp::UNIX_EPOCH);
    let told = engine.deleted(by_engine(oldest).max(Timestamp::UNIX_EPOCH), by_engine(Timestamp::now())).await;
    // Where our clock can't say it, it was never before.
    told.into_iter().map(|(id, at)| (id, at.checked_add(ahead).unwrap_or(Timestamp::MAX))).collect()
}

/// When the last container was made from each image that is in no list, by our clock.
fn used(snapshot: &Snapshot, ahead: SignedDuration) -> HashMap<ImageId, Timestamp> {
    // An engine tells whole seconds, and it may have been any moment of that one.
    let made = |container: &Container| {
        let at = Timestamp::from_second(container.created.saturating_add(1)).ok();
        at.and_then(|at| at.checked_add(ahead).ok()).unwrap_or(Timestamp::MAX)
    };
    let of_dropped = snapshot.of_dropped().into_iter();
    of_dropped.filter_map(|(id, containers)| Some((id, containers.into_iter().map(made).max()?))).collect()
}

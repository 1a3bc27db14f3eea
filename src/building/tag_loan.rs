//! The image that a session's build is about to take a tag from. A graphdriver keeps it, nameless, until the tag
//! is given back; the containerd store drops an image with its last name, so there it gets dkb's private one.

use std::collections::HashSet;

use jiff::Timestamp;

use crate::engine::{Engine, Target};
use crate::error::Result;
use crate::ledger::Ledger;
use crate::model::{Books, Build, ImageId, Record, Reference, SessionEntry, SessionKey};

/// Keeps what the tags name now, unless the session made it itself. Only for sessions that somebody ends: for
/// others nobody would ever let go of it. The ledger knows first, so that a crash leaves no name that nobody takes off.
pub(super) async fn hold(
    engine: &impl Engine,
    tags: &[(Reference, ImageId)],
    ledger: &Ledger,
    books: &Books,
    of: &SessionKey,
) -> Result<Vec<ImageId>> {
    let own: HashSet<ImageId> = books.of_session(of).flat_map(Build::images).collect();
    let mut held: Vec<ImageId> = tags.iter().map(|(_, id)| *id).filter(|id| !own.contains(id)).collect();
    held.sort_unstable();
    held.dedup();
    let known = books.sessions.get(of).map_or(&[][..], |entry| &entry.held);
    if held.iter().any(|id| !known.contains(id)) {
        let entry = SessionEntry::new(of.clone(), Timestamp::now());
        ledger.append_aside(vec![Record::Session(SessionEntry { held: held.clone(), ..entry })]).await?;
    }
    for id in &held {
        let _ = engine.tag(*id, &id.private_tag()).await?;
    }
    Ok(held)
}

/// Lets go of what lost no tag after all, as the build failed or changed nothing, and of which no other is on loan.
pub(super) async fn release(
    engine: &impl Engine,
    held: &[ImageId],
    tags: &[(Reference, ImageId)],
    books: &Books,
    of: &SessionKey,
) -> Result<()> {
    let sessions = || books.sessions.values();
    for id in held {
        let Some(image) = engine.image(&id.to_string()).await? else { continue };
        let bears = |tag: &Reference| image.tags.iter().any(|known| known.canonical() == tag.canonical());
        let lost = tags.iter().any(|(tag, named)| named == id && !bears(tag))
            || sessions().flat_map(|entry| &entry.took).any(|taken| taken.from == *id && !bears(&taken.tag));
        let others = sessions().any(|entry| entry.key != *of && entry.held.contains(id));
        if !lost && !others {
            let _ = engine.delete_image(Target::Name(&id.private_tag())).await?;
        }
    }
    Ok(())
}

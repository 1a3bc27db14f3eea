//! The image that a session's build is about to take a tag from. A graphdriver keeps it, nameless, until the tag
//! is given back; the containerd store drops an image with its last name, so there it gets dkb's private one.

use super::look::Before;
use crate::engine::Target;
use crate::error::Result;
use crate::model::{Books, Build, ImageId, SessionKey};

/// Keeps what the tags name now, unless the session made it itself. Only for sessions that somebody ends: for
/// others nobody would ever let go of it.
pub(super) async fn hold(before: &Before, books: &Books, of: &SessionKey) -> Result<Vec<ImageId>> {
    let mut held = Vec::new();
    for (_, id) in &before.tags {
        let own = books.of_session(of).flat_map(Build::images).any(|made| made == *id);
        if !own && !held.contains(id) {
            let _ = before.engine.tag(*id, &id.private_tag()).await?;
            held.push(*id);
        }
    }
    Ok(held)
}

/// Lets go of what lost no tag after all: the build failed, or changed nothing.
pub(super) async fn release(before: &Before, held: &[ImageId]) -> Result<()> {
    for id in held {
        let names = before.engine.image(&id.to_string()).await?.map_or(0, |image| image.tags.len());
        if names > 1 {
            let _ = before.engine.delete_image(Target::Name(&id.private_tag())).await?;
        }
    }
    Ok(())
}

//! The image that a session's build is about to take a tag from. A graphdriver keeps it, nameless, until the tag
//! is given back; the containerd store drops an image with its last name, so there it gets one of dkb's own.

use std::collections::HashSet;

use jiff::Timestamp;

use crate::engine::{Answer, Engine, ToDelete};
use crate::error::{Error, Result};
use crate::ledger::Ledger;
use crate::model::RunningBuild;
use crate::model::{Books, Build, ImageId, Record, Reference, SessionEntry, SessionKey};
use crate::report;

/// What a build has done for the images that its tags meant before.
#[derive(Default)]
pub(super) struct TagLoan {
    /// Those that got a name by which the session holds them.
    held: Vec<(ImageId, Reference)>,
    /// Those for which the engine refused it, and which have no name but those that the build takes.
    unheld: Vec<ImageId>,
}

/// Keeps what the tags name now, unless the session made it itself. Only for sessions that somebody ends: for
/// others nobody would ever let go of it. The ledger knows first, so that a crash leaves no name that nobody takes off.
pub(super) async fn hold(
    engine: &impl Engine,
    tags: &[(Reference, ImageId)],
    ledger: &Ledger,
    books: &Books,
    of: &SessionKey,
) -> Result<TagLoan> {
    let own: HashSet<ImageId> = books.of_session(of).flat_map(Build::images).collect();
    let mut wanted: Vec<ImageId> = tags.iter().map(|(_, id)| *id).filter(|id| !own.contains(id)).collect();
    wanted.sort_unstable();
    wanted.dedup();
    if wanted.is_empty() {
        return Ok(TagLoan::default());
    }
    let by = match &books.id {
        Some(id) => id.clone(),
        None => ledger.id_aside().await?,
    };
    let known = books.sessions.get(of).map_or(&[][..], |entry| &entry.held);
    if wanted.iter().any(|id| !known.contains(id)) {
        let entry = SessionEntry::new(of.clone(), Timestamp::now());
        ledger.append_aside(vec![Record::Session(SessionEntry { held: wanted.clone(), ..entry })]).await?;
    }
    let mut loan = TagLoan::default();
    for id in wanted {
        let name = id.hold(&by);
        let why = match engine.tag(id, &name).await? {
            Answer::Done(()) => None,
            // Somebody else has taken it away since.
            Answer::Missing => continue,
            Answer::Conflict(message) | Answer::Refused { message, .. } => Some(Error::failed("naming it", message)),
            Answer::Unknown(error) => Some(error),
        };
        let Some(why) = why else {
            loan.held.push((id, name));
            continue;
        };
        let Some(image) = engine.image(&id.to_string()).await? else { continue };
        if image.tags.contains(&name) {
            loan.held.push((id, name));
        } else if image.tags.iter().all(|tag| tag.is_momentary() || taken(tags, id, tag)) {
            let taken: Vec<&str> = tags.iter().filter(|(_, of)| *of == id).map(|(tag, _)| tag.as_str()).collect();
            let taken = taken.join(" and ");
            report::warn(why.under(format!(
                "{taken} can't come back at the session's end: this engine drops {} once the build takes its last name, \
                 and did not let dkb hold it; to keep it, name it now: docker tag {} NAME",
                id.short(),
                id.short()
            )));
            loan.unheld.push(id);
        }
    }
    Ok(loan)
}

/// Whether this is one of the names that the build takes from the image.
fn taken(tags: &[(Reference, ImageId)], from: ImageId, name: &Reference) -> bool {
    tags.iter().any(|(tag, id)| *id == from && tag.names_the_same(name))
}

impl TagLoan {
    /// Lets go of what lost no tag after all, as the build failed or changed nothing, and of which no other is on loan.
    /// Builds beside this one may hold it by the same name, and not have taken the tag yet: the last one lets go.
    pub(super) async fn release(
        &self,
        engine: &impl Engine,
        tags: &[(Reference, ImageId)],
        books: &Books,
        of: &SessionKey,
        beside: impl Fn() -> Vec<RunningBuild>,
    ) -> Result<()> {
        let sessions = || books.sessions.values();
        for (id, name) in &self.held {
            // Before the image: what takes its tag from here on is one of these, or begins later.
            let running = beside();
            let Some(image) = engine.image(&id.to_string()).await? else { continue };
            let bears = |tag: &Reference| image.tags.iter().any(|known| known.names_the_same(tag));
            let lost = tags.iter().any(|(tag, named)| named == id && !bears(tag))
                || sessions().flat_map(|entry| &entry.took).any(|taken| taken.from == *id && !bears(&taken.tag));
            let others = sessions().any(|entry| entry.key != *of && entry.held.contains(id));
            let is_awaited = |running: &[RunningBuild]| running.iter().flat_map(|build| &build.tags).any(bears);
            if lost || others || is_awaited(&running) {
                continue;
            }
            let _ = engine.delete_image(ToDelete::Name(name)).await?;
            // One that has begun in this moment may have found the name that went.
            if is_awaited(&beside()) {
                let _ = engine.tag(*id, name).await?;
            }
        }
        Ok(())
    }

    /// Leaves out of what the build took the tags of images that it could not hold and that are gone: none of them
    /// comes back.
    pub(super) async fn without_lost(
        &self,
        engine: &impl Engine,
        tags: &[(Reference, ImageId)],
    ) -> Result<Vec<(Reference, ImageId)>> {
        let mut left = tags.to_vec();
        for id in &self.unheld {
            if engine.image(&id.to_string()).await?.is_none() {
                left.retain(|(_, from)| from != id);
            }
        }
        Ok(left)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::engine::fake::{Fake, Loaded, Store};
    use crate::model::LedgerId;
    use crate::model::books_tests::{id, key};

    /// Whether what is held has its name still once a build has ended that took nothing. `beside`: which tags a build
    /// gives that runs beside it, at each look.
    fn is_held_on(beside: impl Fn(usize) -> &'static [&'static str]) -> bool {
        let engine = Fake::new(Store::Containerd);
        let tag = |name: &str| Reference::written(name).expect(name);
        let of = key("p", "s");
        let name = id(1).hold(&LedgerId::parse("0123456789abcdef".to_owned()).expect("an ID"));
        let names = vec!["app:dev".to_owned(), name.to_string()];
        engine.world().load(Loaded { names, ..Loaded::new(id(1)) });
        let loan = TagLoan { held: vec![(id(1), name.clone())], unheld: Vec::new() };
        let looks = Cell::new(0);
        let running = || {
            let tags = beside(looks.replace(looks.get() + 1)).iter().map(|name| tag(name)).collect();
            vec![RunningBuild { of: of.clone(), key: "k".to_owned(), tags }]
        };
        let (tags, books) = ([(tag("app:dev"), id(1))], Books::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(loan.release(&engine, &tags, &books, &of, running)).expect("an answer");
        engine.world().names.contains_key(&name)
    }

    #[test]
    fn what_a_build_beside_may_take_is_held_on() {
        assert!(!is_held_on(|_| &["app:other"]));
        assert!(is_held_on(|_| &["app:other", "app:dev"]));
        assert!(is_held_on(|look| if look == 0 { &[] } else { &["app:dev"] }), "it found the name that went");
    }
}

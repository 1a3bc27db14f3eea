//! What is ours, by project and session, as a pure function of the look.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use super::cache::CacheBytes;
use super::clean::CleanLook;
use crate::model::{Image, ImageId, Life, Name, SessionEntry, SessionKey, total};

/// One session: what it left, and whether anybody is still at work in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionSummary {
    pub key: SessionKey,
    pub life: Life,
    /// The session that this run is in.
    pub here: bool,
    /// This working copy's own, under this project's name or another one.
    pub own: bool,
    /// When somebody was last at work in it, as far as the books know.
    pub last: Timestamp,
    /// When it was cleaned, if nobody was at work in it since: what it has yet stayed then.
    pub cleaned: Option<Timestamp>,
    pub images: Vec<Owned>,
    /// The build cache that its builds made or found, which others may have found too.
    pub cache: u64,
    /// How much of that builds of other sessions made or found too.
    pub shared_cache: u64,
}

/// An image that a build of the session produced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owned {
    pub id: ImageId,
    pub names: Vec<String>,
    pub built: Timestamp,
    /// As docker lists it, with what it shares.
    pub size: u64,
    /// What no other image has, and so what comes back if it goes, and with it what build cache holds the same.
    pub frees: u64,
    /// Its build ended in it: it is no step on the way.
    pub result: bool,
    /// The project of compose's that it was built for.
    pub compose: Option<Name>,
}

impl SessionSummary {
    pub(crate) fn frees(&self) -> u64 {
        total(self.images.iter().map(|image| image.frees))
    }
}

/// Of these sessions those that have an image left, are at work or died.
pub(crate) fn sessions(
    look: &CleanLook,
    cache: &CacheBytes,
    wanted: impl Fn(&SessionKey) -> bool,
) -> Vec<SessionSummary> {
    let mut found = every_session(look, cache, wanted);
    found.retain(|session| !session.images.is_empty() || session.cache > 0 || session.life != Life::Unowned);
    found
}

/// The sessions on record that `wanted` lets through, the newest first, each image with the last build that made it.
pub(crate) fn every_session(
    look: &CleanLook,
    cache: &CacheBytes,
    wanted: impl Fn(&SessionKey) -> bool,
) -> Vec<SessionSummary> {
    let listed: HashMap<ImageId, &Image> = look.snapshot.images.iter().map(|image| (image.id, image)).collect();
    let mut owned: BTreeMap<&SessionKey, Vec<Owned>> = BTreeMap::new();
    for image in listed.values() {
        if let Some(build) = look.books.claims(image.id).max_by_key(|build| build.at) {
            let below = image.parent.and_then(|parent| listed.get(&parent)).map_or(0, |parent| parent.size);
            let names = image.public_tags().map(ToString::to_string).collect();
            let size = image.size;
            let frees = size.saturating_sub(if below > 0 { below } else { image.shared.unwrap_or(0) });
            let (id, built, result) = (image.id, build.at, build.result == Some(image.id));
            owned.entry(&build.of).or_default().push(Owned {
                id,
                names,
                built,
                size,
                frees,
                result,
                compose: build.compose.clone(),
            });
        }
    }
    // Of one that has just been opened no book knows yet.
    let is_new = |key: &SessionKey| !look.books.sessions.contains_key(key);
    let new = look.opened.iter().filter(|(key, _)| is_new(key));
    let new: Vec<SessionEntry> = new.map(|(key, opening)| SessionEntry::new(key.clone(), opening.since)).collect();
    let all = look.books.sessions.values().chain(&new);
    let summaries = all.filter(|entry| wanted(&entry.key)).map(|entry| {
        let mut images = owned.remove(&entry.key).unwrap_or_default();
        // The newest first; among equals the order of IDs, so that two looks read the same.
        images.sort_by(|a, b| (b.built, a.id).cmp(&(a.built, b.id)));
        let life = look.lives.get(&entry.key).copied().unwrap_or(Life::Unowned);
        let (key, here) = (entry.key.clone(), entry.key == look.here.key);
        let own = key.session == look.here.copy;
        let bytes = |of: &BTreeMap<SessionKey, u64>| of.get(&key).copied().unwrap_or(0);
        let (cache, shared_cache) = (bytes(&cache.of), bytes(&cache.shared));
        let cleaned = entry.cleaned.filter(|_| entry.is_cleaned());
        SessionSummary { key, here, own, life, last: entry.last, cleaned, images, cache, shared_cache }
    });
    let mut found: Vec<SessionSummary> = summaries.collect();
    // The newest first, and all of one project together.
    let mut newest: HashMap<Name, Timestamp> = HashMap::new();
    for SessionSummary { key, last, .. } in &found {
        let newest = newest.entry(key.project.clone()).or_insert(*last);
        *newest = (*newest).max(*last);
    }
    let of = |session: &SessionSummary| newest.get(&session.key.project).copied();
    found.sort_by(|a, b| {
        (of(b), &a.key.project, b.last, &a.key.session).cmp(&(of(a), &b.key.project, a.last, &b.key.session))
    });
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::model::books_tests::key;
    use crate::model::image_tests::host;
    use crate::model::{Books, Opening};
    use crate::plan::clean::Here;

    #[test]
    fn a_session_that_was_just_opened_is_there_before_any_book_knows_of_it() {
        let (snapshot, books, here) = (host(Vec::new(), Vec::new()), Books::default(), Here::somebody(key("p", "s")));
        let opening = Opening { since: Timestamp::UNIX_EPOCH, copies: BTreeSet::new() };
        let opened = HashMap::from([(key("p", "new"), opening)]);
        let look = CleanLook { opened: &opened, ..CleanLook::of(&snapshot, &books, &here) };
        let found = every_session(&look, &CacheBytes::default(), |_| true);
        assert_eq!(found.iter().map(|session| &session.key).collect::<Vec<_>>(), [&key("p", "new")]);
        assert!(every_session(&look, &CacheBytes::default(), |of| of.project.as_str() == "q").is_empty());
    }
}

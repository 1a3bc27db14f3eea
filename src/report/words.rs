//! The words that every page has in common.

use std::collections::HashSet;

use serde::Serialize;

use crate::model::{Holder, Kept, KeptReason, Kind, Reason, human_bytes};

/// How much is to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loudness {
    Quiet,
    Normal,
    Verbose,
}

/// The reasons in words.
pub(crate) fn words(reason: KeptReason) -> &'static str {
    match reason {
        KeptReason::InUse => "in use",
        KeptReason::Tagged => "tagged",
        KeptReason::ForeignTag => "named by others",
        KeptReason::Unrecorded => "not recorded",
        KeptReason::LedgerDamaged => "ledger damaged",
        KeptReason::Pulled => "pulled",
        KeptReason::Inherited => "built on ours",
        KeptReason::Base => "under",
        KeptReason::OtherSession => "other session",
        KeptReason::OtherCompose => "other compose project",
        KeptReason::OtherCopy => "other working copy",
        KeptReason::OtherProject => "other project",
        KeptReason::SessionAlive => "session at work",
        KeptReason::MayBeAtWork => "may still be at work",
        KeptReason::NotOver => "session not over",
        KeptReason::BuildRunning => "build running",
        KeptReason::TooYoung => "too young",
        KeptReason::KeepPattern => "asked to keep",
        KeptReason::KeepLast => "among the last",
        KeptReason::Lent => "tag lent",
        KeptReason::BeforeSession => "made before the session",
        KeptReason::ImageGone => "image is not there to ask",
        KeptReason::Filtered => "filtered",
        KeptReason::MayHoldData => "may hold data",
        KeptReason::BuiltIn => "built in",
        KeptReason::BuilderKnown => "builder not gone",
        KeptReason::Shared => "shared",
        KeptReason::NextBuild => "for the next build",
        KeptReason::UsedByOthers => "used by others",
        KeptReason::CacheKeep => "cache to keep",
        KeptReason::Enough => "not needed",
        KeptReason::Changed => "changed since",
        KeptReason::AlreadyGone => "already gone",
        KeptReason::Failed => "failed",
    }
}

/// Whoever holds it, in one line.
pub(crate) fn held_by(kept: &Kept) -> String {
    kept.holders.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The first of so many names and IDs, and how many more there are.
pub(super) fn list(names: &[String], shown: usize) -> String {
    let more = names.len().saturating_sub(shown);
    let shown = names.iter().take(shown).cloned().collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}

/// Whoever holds these, each once. What stands on a base and is none itself: the steps of one build are a chain, and
/// its end says enough.
pub(super) fn holders(group: &[&Kept]) -> Vec<String> {
    let ids: HashSet<&str> = group.iter().map(|kept| &*kept.id).collect();
    let is_base = |holder: &&Holder| matches!(holder, Holder::Child { id, .. } if ids.contains(&*id.to_string()));
    let holders = group.iter().flat_map(|kept| &kept.holders).filter(|holder| !is_base(holder));
    let mut ends: Vec<String> = holders.map(ToString::to_string).collect();
    ends.sort();
    ends.dedup();
    ends
}

/// A volume that nobody named has 64 digits for a name, of which a dozen say enough.
pub(super) fn shortened(name: &str) -> String {
    let is_made_up = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_made_up { short_id(name).to_owned() } else { name.to_owned() }
}

pub(crate) fn short_id(id: &str) -> &str {
    let digits = id.strip_prefix("sha256:").unwrap_or(id);
    digits.get(..12).unwrap_or(digits)
}

/// What a clean or a sweep says that finds nothing to take.
pub(super) const NOTHING: &str = "nothing to remove";

/// So many bytes, which may be fewer.
pub(super) fn at_most(is_up_to: bool, bytes: u64) -> String {
    let up_to = if is_up_to && bytes > 0 { "up to " } else { "" };
    format!("{up_to}{}", human_bytes(bytes))
}

pub(crate) fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

pub(super) fn plural(n: usize, what: &'static str) -> &'static str {
    match (n, what) {
        (1, _) => what,
        (_, "image") => "images",
        (_, "tag") => "tags",
        (_, "step") => "steps",
        _ => what,
    }
}

/// So many of a kind; the number is said before it.
pub(super) const fn kind(kind: Kind, n: usize) -> &'static str {
    match (kind, n) {
        (Kind::Container, 1) => "container",
        (Kind::Container, _) => "containers",
        (Kind::Image, 1) => "image",
        (Kind::Image, _) => "images",
        (Kind::Volume, 1) => "volume",
        (Kind::Volume, _) => "volumes",
        (Kind::BuilderState, 1) => "builder state",
        (Kind::BuilderState, _) => "builder states",
        (Kind::Network, 1) => "network",
        (Kind::Network, _) => "networks",
        (Kind::BuildCache, 1) => "cache record",
        (Kind::BuildCache, _) => "cache records",
    }
}

/// A kind as a whole, as a heading or before an error.
pub(super) const fn all_of(of: Kind) -> &'static str {
    match of {
        Kind::BuildCache => "build cache",
        of => kind(of, 2),
    }
}

/// Why something goes. What has tags is not taken for having them.
pub(super) fn why(reason: Reason) -> String {
    match reason {
        Reason::Tagged => "--tagged asked for it".to_owned(),
        Reason::Outdated => "not the newest of its repository".to_owned(),
        Reason::ImagesGo => "its images go".to_owned(),
        _ => in_words(reason),
    }
}

/// As the JSON calls it, with spaces.
pub(super) fn in_words(value: impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    value.as_str().unwrap_or_default().replace('_', " ")
}

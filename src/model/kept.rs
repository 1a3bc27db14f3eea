//! What stays, and why.

use serde::{Deserialize, Serialize};

use super::{Holder, Kind, Step};

/// Why something stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeptReason {
    /// A container uses it, in whatever state, or mounts it; with Podman also one that a build works in.
    InUse,
    /// Ours and tagged, and this clean takes leftovers only.
    Tagged,
    /// It bears a name that no build of ours gave it.
    ForeignTag,
    /// Stamped, but the ledger does not know it.
    Unrecorded,
    /// A line of the ledger that came later can't be read: it may have said that the image was gone, or who needs it.
    LedgerDamaged,
    /// Stamped and pulled: somebody else built it.
    Pulled,
    /// Stamped because it was built on an image of ours.
    Inherited,
    /// A kept image is built on it.
    Base,
    /// Another session of the project built it.
    OtherSession,
    /// It was built for another project of compose's, or for none.
    OtherCompose,
    /// Another working copy built it, and this one's project is named by nobody but the checkout itself.
    OtherCopy,
    /// Another project built it.
    OtherProject,
    /// A session that is at work built it.
    SessionAlive,
    /// A CI session built it that may still be at work: nobody holds it open, and it was not idle for long enough.
    MayBeAtWork,
    /// A session built it that is over only when somebody says so, or the session that asks.
    NotOver,
    /// A build that is running now may need it.
    BuildRunning,
    /// It was built, or made, too short a while ago.
    TooYoung,
    /// One of its names, a digest or its ID is to be kept.
    KeepPattern,
    /// It is among the newest of a repository.
    KeepLast,
    /// A session that is not over took its tag and will give it back, or took the tag that it bears.
    Lent,
    /// It bears the session's run label, and is older than all that this ledger knows of the session: somebody else may
    /// use the name too.
    BeforeSession,
    /// It bears the session's run label, perhaps only by its image, which is not there any more to be asked.
    ImageGone,
    /// A filter on labels does not let it through.
    Filtered,
    /// An anonymous volume, which may hold data.
    MayHoldData,
    /// The engine's own.
    BuiltIn,
    /// A builder of that name is in a list of buildx's.
    BuilderKnown,
    /// Build cache whose bytes belong to an image too.
    Shared,
    /// Build cache in which the next build finds its steps.
    NextBuild,
    /// Build cache that somebody else has used, or may have.
    UsedByOthers,
    /// So much build cache was to stay.
    CacheKeep,
    /// Enough came back without it.
    Enough,
    /// It changed between the look and its turn.
    Changed,
    /// A plan's file has it, and it is not there any more.
    AlreadyGone,
    /// The engine refused, or the connection was lost.
    Failed,
}

/// How long a kept thing stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stays {
    /// It was asked for so, or is none of the session's.
    Always,
    /// Until it is old enough, or its children are gone, which nobody waits for.
    AWhile,
    /// Until whoever holds it lets go, or it can be tried again.
    Now,
}

impl KeptReason {
    /// Whether it stays for those alone who are not asked about: another project, session or compose project.
    pub const fn is_for_others(self) -> bool {
        matches!(self, Self::OtherProject | Self::OtherSession | Self::OtherCompose)
    }

    pub const fn stays(self) -> Stays {
        use KeptReason as R;
        match self {
            R::InUse | R::BuildRunning | R::Changed | R::Failed | R::Lent | R::ImageGone => Stays::Now,
            R::Base | R::TooYoung => Stays::AWhile,
            R::Tagged
            | R::ForeignTag
            | R::Unrecorded
            | R::LedgerDamaged
            | R::Pulled
            | R::Inherited
            | R::OtherSession
            | R::OtherCompose
            | R::OtherCopy
            | R::OtherProject
            | R::SessionAlive
            | R::MayBeAtWork
            | R::NotOver
            | R::KeepPattern
            | R::KeepLast
            | R::BeforeSession
            | R::Filtered
            | R::MayHoldData
            | R::BuiltIn
            | R::BuilderKnown
            | R::Shared
            | R::NextBuild
            | R::UsedByOthers
            | R::CacheKeep
            | R::Enough
            | R::AlreadyGone => Stays::Always,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Kept {
    #[serde(rename = "type")]
    pub kind: Kind,
    /// As it is told: where a file named something that is not there, in the words of the file.
    pub id: String,
    pub names: Vec<String>,
    pub bytes: u64,
    pub reason: KeptReason,
    pub holders: Vec<Holder>,
}

impl Kept {
    /// What a step was for stays.
    pub fn instead_of(step: &Step, reason: KeptReason) -> Self {
        Self {
            kind: step.kind(),
            id: step.id().into_owned(),
            names: step.names().into_iter().map(str::to_owned).collect(),
            bytes: step.bytes,
            reason,
            holders: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::KeptReason;

    #[test]
    fn what_stays_for_others_is_not_what_stays_in_doubt_of_who_we_are() {
        for (reason, is_for_others) in [
            (KeptReason::OtherProject, true),
            (KeptReason::OtherSession, true),
            (KeptReason::OtherCompose, true),
            (KeptReason::OtherCopy, false),
            (KeptReason::SessionAlive, false),
            (KeptReason::ForeignTag, false),
            (KeptReason::UsedByOthers, false),
        ] {
            assert_eq!(reason.is_for_others(), is_for_others, "{reason:?}");
        }
    }
}

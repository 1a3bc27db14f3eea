//! What is left of a session that was to end: whether a later clean is to find it again.

use crate::model::{Kept, KeptReason, Plan};

/// How long a kept thing stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stays {
    /// It was asked for so, or is none of the session's.
    Always,
    /// Until it is old enough, or its children are gone, which nobody waits for.
    AWhile,
    /// Until whoever holds it lets go, or it can be tried again.
    Now,
}

const fn stays(reason: KeptReason) -> Stays {
    use KeptReason as R;
    match reason {
        R::InUse | R::BuildRunning | R::Changed | R::Failed | R::Lent | R::ImageGone => Stays::Now,
        R::Base | R::TooYoung => Stays::AWhile,
        R::Tagged
        | R::ForeignTag
        | R::Unrecorded
        | R::Pulled
        | R::Inherited
        | R::OtherSession
        | R::OtherCopy
        | R::OtherProject
        | R::SessionAlive
        | R::MayBeAtWork
        | R::NotOver
        | R::KeepPattern
        | R::KeepLast
        | R::Filtered
        | R::MayHoldData
        | R::BuiltIn
        | R::Shared
        | R::CacheKeep
        | R::Enough
        | R::AlreadyGone => Stays::Always,
    }
}

fn longest(kept: &[Kept]) -> Stays {
    kept.iter().map(|kept| stays(kept.reason)).max().unwrap_or(Stays::Always)
}

/// Nothing of the session is held by anybody: whoever ended it has nothing more to do.
pub fn is_over(plan: &Plan) -> bool {
    plan.totals().failed == 0 && longest(&plan.kept) < Stays::Now
}

/// Nothing of the session is left that a later clean would take: it need not be found again.
pub fn is_cleaned(plan: &Plan) -> bool {
    plan.totals().failed == 0 && longest(&plan.kept) == Stays::Always
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::image_tests::host;
    use crate::model::{Deed, Outcome, Reason, Step};

    #[test]
    fn a_session_is_over_before_it_is_cleaned() {
        let volume = || Deed::RemoveVolume { name: "data".to_owned(), created: None };
        let plan = |kept: Option<KeptReason>, result| {
            let step = Step { result: Some(result), ..Step::new(volume(), Reason::OfSession, 0) };
            let kept = kept.map(|reason| Kept::instead_of(&step, reason)).into_iter().collect();
            Plan::new("clean", &host(Vec::new(), Vec::new()).engine, Timestamp::UNIX_EPOCH, vec![step], kept)
        };
        // What is kept and how a step ended → over, cleaned
        for (kept, result, want) in [
            (None, Outcome::Done, (true, true)),
            (None, Outcome::Failed, (false, false)),
            (Some(KeptReason::ForeignTag), Outcome::Done, (true, true)),
            (Some(KeptReason::KeepPattern), Outcome::Done, (true, true)),
            (Some(KeptReason::Base), Outcome::Done, (true, false)),
            (Some(KeptReason::TooYoung), Outcome::Done, (true, false)),
            (Some(KeptReason::InUse), Outcome::Done, (false, false)),
            (Some(KeptReason::Lent), Outcome::Done, (false, false)),
            (Some(KeptReason::ImageGone), Outcome::Done, (false, false)),
            (Some(KeptReason::Changed), Outcome::AlreadyGone, (false, false)),
        ] {
            let plan = plan(kept, result);
            assert_eq!((is_over(&plan), is_cleaned(&plan)), want, "{kept:?} {result:?}");
        }
    }
}

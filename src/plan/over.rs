//! What is left of a session that was to end: whether a later clean is to find it again.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::model::{ImageId, Kept, Kind, Plan, Record, SessionKey, Stays};

/// Cache is no part of a session: it is superseded whether that is over or not.
fn longest(kept: &[Kept]) -> Stays {
    kept.iter()
        .filter(|kept| kept.kind != Kind::BuildCache)
        .map(|kept| kept.reason.stays())
        .max()
        .unwrap_or(Stays::Always)
}

/// Nothing of the session is held by anybody: whoever ended it has nothing more to do.
pub(crate) fn is_over(plan: &Plan) -> bool {
    plan.totals().failed == 0 && longest(&plan.kept) < Stays::Now
}

/// Nothing of the session is left that a later clean would take: it need not be found again.
pub(crate) fn is_cleaned(plan: &Plan) -> bool {
    plan.totals().failed == 0 && longest(&plan.kept) == Stays::Always
}

/// What the books are told of what cleaned sessions have left to others. `at`: when the plan's look began; what was built
/// since was not seen.
pub(crate) fn left(plan: &Plan, at: Timestamp, goes_on: impl Fn(&SessionKey) -> bool) -> Vec<Record> {
    let mut left: BTreeMap<(&SessionKey, &SessionKey), Vec<ImageId>> = BTreeMap::new();
    for one in plan.left.iter().filter(|one| !goes_on(&one.of)) {
        left.entry((&one.of, &one.to)).or_default().push(one.image);
    }
    let record =
        |((key, to), ids): ((&SessionKey, &SessionKey), _)| Record::Left { key: key.clone(), to: to.clone(), at, ids };
    left.into_iter().map(record).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::image_tests::host;
    use crate::model::{Deed, KeptReason, Outcome, Reason, Step};

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

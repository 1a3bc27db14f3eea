//! What is left of a session that was to end: whether a later clean is to find it again.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::model::{Books, ImageId, Kept, KeptReason, Kind, Plan, Record, SessionKey, Snapshot, Stays};

/// Cache is no part of a session: it is superseded whether that is over or not.
fn longest<'k>(kept: impl IntoIterator<Item = &'k Kept>) -> Stays {
    kept.into_iter()
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

/// How one of several sessions stands that one plan ends, by what stays of it. What nobody can say whose it is counts as
/// of each, and so does what waits for a tag: that may come back by way of several sessions.
pub(crate) fn rest_of(plan: &Plan, key: &SessionKey, books: &Books, snapshot: &Snapshot) -> Stays {
    let images_of = |id: ImageId| books.claims(id).any(|build| build.of == *key);
    let held = books.sessions.get(key).map_or(&[][..], |entry| &entry.held);
    let is_of = |kept: &&Kept| match kept.kind {
        Kind::Image if kept.reason == KeptReason::Lent => true,
        Kind::Image => ImageId::parse(&kept.id).is_none_or(|id| images_of(id) || held.contains(&id)),
        Kind::Container => {
            let container = snapshot.containers.iter().find(|one| one.id == kept.id);
            let labelled = container.and_then(|one| SessionKey::running(&one.labels));
            let image = container.and_then(|one| one.image).filter(|id| books.has(*id));
            image.is_some_and(images_of) || labelled.as_ref() == Some(key) || labelled.is_none() && image.is_none()
        }
        Kind::Volume | Kind::BuilderState | Kind::Network | Kind::BuildCache => true,
    };
    if plan.totals().failed > 0 { Stays::Now } else { longest(plan.kept.iter().filter(is_of)) }
}

/// What the books are told of what cleaned sessions have left to others. `at`: when the plan's look began; what was built
/// since was not seen.
pub(crate) fn left_to_others(plan: &Plan, at: Timestamp, goes_on: impl Fn(&SessionKey) -> bool) -> Vec<Record> {
    let mut left: BTreeMap<(&SessionKey, &SessionKey), Vec<ImageId>> = BTreeMap::new();
    for one in plan.left_to_others.iter().filter(|one| !goes_on(&one.of)) {
        left.entry((&one.of, &one.to)).or_default().push(one.image);
    }
    let record =
        |((key, to), ids): ((&SessionKey, &SessionKey), _)| Record::Left { key: key.clone(), to: to.clone(), at, ids };
    left.into_iter().map(record).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::books_tests::{build, id, key};
    use crate::model::image_tests::{container, host};
    use crate::model::{
        Container, ContainerState, Deed, ImageGuard, KeptReason, Outcome, RUN_LABEL, Reason, SessionEntry, Step,
    };

    #[test]
    fn what_stays_of_one_session_keeps_no_other_open() {
        let keys = ["s", "t", "u"].map(|session| key("p", session));
        let mut books = Books::default();
        for (n, of) in [(1, &keys[0]), (2, &keys[1])] {
            books.apply(Record::Build(build(&n.to_string(), of, n, &[])));
        }
        let held = SessionEntry { held: vec![id(7)], ..SessionEntry::new(keys[2].clone(), Timestamp::UNIX_EPOCH) };
        books.apply(Record::Session(held));
        let labelled = Container {
            labels: [(RUN_LABEL.to_owned(), keys[1].run_label())].into(),
            ..container("labelled", 9, ContainerState::Running)
        };
        let bare = container("bare", 1, ContainerState::Running);
        let snapshot = host(Vec::new(), vec![labelled.clone(), bare.clone()]);
        let image = |n| Step::new(Deed::RemoveImage { id: id(n), guard: ImageGuard::Untagged }, Reason::OfSession, 0);
        let removal = |one: &Container| Step::new(one.removal(), Reason::OfSession, 0);
        let network = Step::new(Deed::RemoveNetwork { id: "n".into(), name: "n".into() }, Reason::OfSession, 0);
        // What stays, and of which sessions
        for (stays, reason, of) in [
            (image(1), KeptReason::InUse, vec![0]),
            (image(7), KeptReason::InUse, vec![2]),
            (image(8), KeptReason::Lent, vec![0, 1, 2]),
            (image(8), KeptReason::InUse, vec![]),
            (image(2), KeptReason::TooYoung, vec![1]),
            (removal(&labelled), KeptReason::InUse, vec![1]),
            (removal(&bare), KeptReason::InUse, vec![0]),
            (network, KeptReason::InUse, vec![0, 1, 2]),
        ] {
            let kept = vec![Kept::instead_of(&stays, reason)];
            let plan = Plan::new("clean", &snapshot.engine, Timestamp::UNIX_EPOCH, Vec::new(), kept);
            let open = (0..3).filter(|n| rest_of(&plan, &keys[*n], &books, &snapshot) != Stays::Always);
            assert_eq!(open.collect::<Vec<_>>(), of, "{stays:?}");
        }
    }

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

//! What is left of a session that was to end: whether a later clean is to find it again.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use crate::model::{Books, Container, ImageId, Kept, KeptReason, Kind, Plan, Record, SessionKey, Snapshot, Stays};

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

/// How several sessions stand that one plan ends, each by what stays of it. What nobody can say whose it is counts as of
/// each, and so does what waits for a tag: that may come back by way of several sessions.
pub(crate) struct Rest<'a> {
    of_each: Stays,
    of: HashMap<Cow<'a, SessionKey>, Stays>,
}

impl<'a> Rest<'a> {
    pub(crate) fn new(plan: &Plan, books: &'a Books, snapshot: &Snapshot) -> Self {
        let of_each = if plan.totals().failed > 0 { Stays::Now } else { Stays::Always };
        let mut rest = Self { of_each, of: HashMap::new() };
        let mut holders: HashMap<ImageId, Vec<&SessionKey>> = HashMap::new();
        for entry in books.sessions.values() {
            entry.held.iter().for_each(|id| holders.entry(*id).or_default().push(&entry.key));
        }
        let containers: HashMap<&str, &Container> = snapshot.containers.iter().map(|one| (&*one.id, one)).collect();
        for kept in plan.kept.iter().filter(|kept| kept.kind != Kind::BuildCache) {
            let makers = |id: ImageId| books.claims(id).map(|build| Cow::Borrowed(&build.of));
            let whose: Option<Vec<Cow<SessionKey>>> = match kept.kind {
                Kind::Image if kept.reason == KeptReason::Lent => None,
                Kind::Image => ImageId::parse(&kept.id).map(|id| {
                    let holders = holders.get(&id).into_iter().flatten().map(|key| Cow::Borrowed(*key));
                    makers(id).chain(holders).collect()
                }),
                Kind::Container => {
                    let container = containers.get(&*kept.id);
                    let labelled = container.and_then(|one| SessionKey::running(&one.labels));
                    let image = container.and_then(|one| one.image).filter(|id| books.has(*id));
                    let is_told = labelled.is_some() || image.is_some();
                    is_told.then(|| image.into_iter().flat_map(makers).chain(labelled.map(Cow::Owned)).collect())
                }
                Kind::Volume | Kind::BuilderState | Kind::Network | Kind::BuildCache => None,
            };
            let stays = kept.reason.stays();
            match whose {
                None => rest.of_each = rest.of_each.max(stays),
                Some(whose) => whose.into_iter().for_each(|key| {
                    let known = rest.of.entry(key).or_insert(stays);
                    *known = stays.max(*known);
                }),
            }
        }
        rest
    }

    pub(crate) fn of(&self, key: &SessionKey) -> Stays {
        self.of.get(key).copied().unwrap_or(Stays::Always).max(self.of_each)
    }
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
    use crate::model::{ContainerState, Deed, ImageGuard, KeptReason, Outcome, RUN_LABEL, Reason, SessionEntry, Step};

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
            let rest = Rest::new(&plan, &books, &snapshot);
            let open = (0..3).filter(|n| rest.of(&keys[*n]) != Stays::Always);
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

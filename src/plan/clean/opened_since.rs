//! Sessions that somebody opens while a plan is carried out: what the plan takes of them stays.

use std::collections::HashSet;

use super::look::{CleanLook, CleanPolicy, sessions};
use crate::model::{Books, Deed, Life, Scope, SessionKey, Step};

/// The sessions that this policy takes something of, and that nobody else kept open at the look.
pub(crate) fn may_be_opened<'a>(look: &'a CleanLook, policy: &'a CleanPolicy) -> HashSet<&'a SessionKey> {
    let named = match &policy.scope {
        Scope::Session(key) => Some(key),
        _ => None,
    };
    let is_free = |key: &&SessionKey| look.life(key) != Life::Alive || **key == look.here.key && !look.here.shared;
    sessions(look, policy).chain(named).filter(is_free).collect()
}

/// Whether a step may take something of these sessions. Whose an image is the books say; what else goes bears a label,
/// or a name that a session gave, and with it whoever has opened one of them is believed to be meant.
pub(crate) fn takes_from(step: &Step, opened: &HashSet<&SessionKey>, books: &Books) -> bool {
    match &step.deed {
        _ if opened.is_empty() => false,
        Deed::RemoveImage { id, .. } | Deed::Untag { image: id, .. } if !step.is_of_own_name() => {
            books.claims(*id).any(|build| opened.contains(&build.of))
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::books_tests::{build, id, key};
    use crate::model::{ImageGuard, Reason, Record, Reference};

    #[test]
    fn only_what_may_be_of_a_session_that_was_opened_stays() {
        let (opened, other) = (key("p", "opened"), key("p", "other"));
        let mut books = Books::default();
        for (n, of) in [(1, &opened), (2, &other), (3, &opened), (3, &other)] {
            books.apply(Record::Build(build(&format!("{n}{}", of.session), of, n, &[])));
        }
        let name = Reference::written("app:dev").expect("a name");
        let image = |n| Deed::RemoveImage { id: id(n), guard: ImageGuard::Untagged };
        let untag = |n| Deed::Untag { image: id(n), name: name.clone() };
        let back = Deed::GiveBack { name: name.clone(), from: Some(id(2)), to: id(9), hold: None };
        let container = || Deed::RemoveContainer { id: "c".to_owned(), name: "c".to_owned() };
        let volume = Deed::RemoveVolume { name: "v".to_owned(), created: None };
        for (deed, stays) in [
            (image(1), true),
            (image(2), false),
            (image(3), true),
            (image(4), false),
            (untag(1), true),
            (untag(2), false),
            (back, true),
            (container(), true),
            (Deed::StopContainer { id: "c".to_owned(), name: "c".to_owned() }, true),
            (volume, true),
        ] {
            let step = Step::new(deed, Reason::SessionOver, 0);
            assert_eq!(takes_from(&step, &HashSet::from([&opened]), &books), stays, "{step:?}");
            assert!(!takes_from(&step, &HashSet::new(), &books), "{step:?}");
        }
        let hold = Step::new(untag(2), Reason::OwnName, 0);
        assert!(takes_from(&hold, &HashSet::from([&opened]), &books), "it may hold what the session is about to want");
    }
}

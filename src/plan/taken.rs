//! From which image a build took each of its tags: it goes back there at the session's end.
//!
//! 1. It is what bore the tag when the build began.
//! 2. Whoever tagged or built anew meanwhile, before the build itself did, had it last. Where the engine has dropped
//!    that one since, it is whoever had it before.
//! 3. Nothing is taken from the build's own result.

use crate::model::{ImageId, Reference};

/// Who bore each of the tags before the build did, the last one first. `told` is what the engine tells of names that
/// were given since the build began, in that order.
pub(crate) fn taken(
    gives: &[Reference],
    before: &[(Reference, ImageId)],
    told: &[(Reference, ImageId)],
    result: Option<ImageId>,
) -> Vec<(Reference, Vec<ImageId>)> {
    let bearers = |tag: &Reference, bore: Option<ImageId>| {
        let name = tag.canonical();
        let mut since: Vec<ImageId> =
            told.iter().filter(|(given, _)| given.canonical() == name).map(|(_, id)| *id).collect();
        // What came after the build's own naming took the tag from it.
        if let Some(own) = since.iter().rposition(|id| Some(*id) == result) {
            since.truncate(own);
        }
        let all = bore.into_iter().chain(since).filter(|id| Some(*id) != result);
        let mut all: Vec<ImageId> = all.collect();
        all.reverse();
        (tag.clone(), all)
    };
    // The engine's own way to write a name counts.
    let is_new = |tag: &&Reference| before.iter().all(|(name, _)| name.short() != tag.short());
    let known = before.iter().map(|(tag, id)| bearers(tag, Some(*id)));
    known.chain(gives.iter().filter(is_new).map(|tag| bearers(tag, None))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(digit: char) -> ImageId {
        ImageId::parse(&digit.to_string().repeat(64)).expect("an ID")
    }

    #[test]
    fn a_tag_was_taken_from_whoever_bore_it_last() {
        let name = |text: &str| Reference::written(text).expect("a name");
        let (app, full, other) = (name("app:1"), name("docker.io/library/app:1"), name("other:1"));
        let (old, ours, theirs, later) = (id('1'), id('2'), id('3'), id('4'));
        let bore = [(app.clone(), old)];
        for (what, before, told, from) in [
            ("nobody had it", &[][..], vec![(&app, ours)], None),
            ("it had it itself", &[(app.clone(), ours)][..], vec![], None),
            ("nothing is told", &bore[..], vec![], Some(old)),
            ("nobody came", &bore[..], vec![(&app, ours)], Some(old)),
            ("somebody built meanwhile", &bore[..], vec![(&app, theirs), (&app, ours)], Some(theirs)),
            ("and twice", &bore[..], vec![(&app, theirs), (&full, later), (&app, ours)], Some(later)),
            ("where nobody had it", &[][..], vec![(&app, theirs), (&app, ours)], Some(theirs)),
            ("from the very same image", &[(app.clone(), ours)], vec![(&app, theirs), (&app, ours)], Some(theirs)),
            ("after it", &bore[..], vec![(&app, ours), (&app, theirs)], Some(old)),
            ("another name", &bore[..], vec![(&other, theirs), (&app, ours)], Some(old)),
            ("the build is not told of", &bore[..], vec![(&app, theirs)], Some(theirs)),
        ] {
            let told: Vec<_> = told.into_iter().map(|(name, id)| (name.clone(), id)).collect();
            let taken = taken(std::slice::from_ref(&app), before, &told, Some(ours));
            assert_eq!(taken[0].1.first().copied(), from, "{what}");
        }
        let told = [(app.clone(), theirs), (app.clone(), later), (app.clone(), ours)];
        let taken = taken(std::slice::from_ref(&app), &bore, &told, Some(ours));
        assert_eq!(taken, [(app, vec![later, theirs, old])], "past those that are gone");
    }
}

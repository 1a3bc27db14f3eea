//! Which records a look at an engine ends.
//!
//! 1. What the engine itself says was deleted after we built it. It may be there again, and is somebody else's then.
//! 2. What is not there any more, if this is the engine that built it: the way to it is the same as then, or an
//!    image is there that was built later, which a copy of the engine from before would not have.
//!
//! An image that containers were made from before it was deleted is there as long as they are, listed or not: containerd's
//! store drops one with its last name, whoever uses it.
//!
//! Of anything else that is not there the record stays, since the engine may be such a copy, or another one that
//! took its ID along. But from now on it counts only where it was built.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use crate::model::{Books, ImageDetail, ImageId};

/// Whether an image that the engine was asked to delete, at this time or later, was there ever since. One that came back
/// has lost its name of that moment, which nobody who loads an image gives it, and has got its names later, where the
/// engine says when that was: none tells the time of before.
pub(crate) fn never_went(image: &ImageDetail, asked: Option<Timestamp>) -> bool {
    let named_before = image.last_tagged.zip(asked).is_some_and(|(named, asked)| named < asked);
    image.tags.contains(&image.id.private_tag()) || named_before
}

/// What one look says of the records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct EndedRecords {
    pub gone: Vec<ImageId>,
    /// Not there, and not known to be gone.
    pub missed: Vec<ImageId>,
}

/// `deleted` says when images were last deleted, and `used` when the last container was made from one that is in no
/// list, both by the clock of the records.
pub(crate) fn ended(
    books: &Books,
    there: &HashSet<ImageId>,
    deleted: &HashMap<ImageId, Timestamp>,
    used: &HashMap<ImageId, Timestamp>,
    home: &str,
) -> EndedRecords {
    // A copy of an engine has nothing that was built after it was made.
    let newest = books.builds.iter().rposition(|build| build.images().any(|id| there.contains(&id))).unwrap_or(0);
    let mut ended = EndedRecords::default();
    for id in books.images() {
        let is_deleted = deleted.get(&id).is_some_and(|at| books.built(id) < Some(*at));
        if used.get(&id).is_some_and(|made| !is_deleted || deleted.get(&id) > Some(made)) {
            continue;
        }
        let built_here = books.claims(id).any(|build| build.home.as_deref() == Some(home));
        let outlived = books.last_place(id).is_some_and(|last| last < newest);
        if is_deleted || !there.contains(&id) && (built_here || outlived) {
            ended.gone.push(id);
        } else if !there.contains(&id) {
            ended.missed.push(id);
        }
    }
    ended.gone.sort_unstable();
    ended.missed.sort_unstable();
    ended
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::books_tests::{build, id, key};
    use crate::model::{Build, Record, Reference};

    /// Builds of the images 1, 2 and so on, each behind this way to an engine, a second after the other.
    fn books(homes: &[&str]) -> Books {
        let mut books = Books::default();
        for (n, home) in (1..).zip(homes) {
            let at = Timestamp::from_second(n.into()).expect("a time");
            let home = (!home.is_empty()).then(|| (*home).to_owned());
            books.apply(Record::Build(Build { at, home, ..build(&n.to_string(), &key("p", "s"), n, &[]) }));
        }
        books
    }

    fn found(homes: &[&str], there: &[u8], deleted: &[(u8, i64)], home: &str) -> (Vec<ImageId>, Vec<ImageId>) {
        let there = there.iter().copied().map(id).collect();
        let time = |second| Timestamp::from_second(second).expect("a time");
        let deleted = deleted.iter().map(|(n, second)| (id(*n), time(*second))).collect();
        let ended = ended(&books(homes), &there, &deleted, &HashMap::new(), home);
        (ended.gone, ended.missed)
    }

    #[test]
    fn what_containers_were_made_from_before_it_was_deleted_is_not_over_before_they_are() {
        let time = |second| Timestamp::from_second(second).expect("a time");
        let gone = |deleted: &[(u8, i64)], used: &[(u8, i64)]| {
            let times = |of: &[(u8, i64)]| of.iter().map(|(n, second)| (id(*n), time(*second))).collect();
            let ended = ended(&books(&["a", "a"]), &HashSet::from([id(2)]), &times(deleted), &times(used), "a");
            (ended.gone, ended.missed)
        };
        assert_eq!(gone(&[], &[]), (ids(&[1]), ids(&[])));
        assert_eq!(gone(&[], &[(1, 5)]), (ids(&[]), ids(&[])), "dropped with its last name");
        assert_eq!(gone(&[(1, 9)], &[(1, 5)]), (ids(&[]), ids(&[])), "deleted by its name");
        assert_eq!(gone(&[(1, 4)], &[(1, 5)]), (ids(&[1]), ids(&[])), "somebody had brought it back");
    }

    fn ids(numbers: &[u8]) -> Vec<ImageId> {
        numbers.iter().copied().map(id).collect()
    }

    #[test]
    fn what_was_there_ever_since_never_went() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let never = |tags: &[&Reference], named: Option<i64>, asked: Option<i64>| {
            let image = ImageDetail {
                id: id(1),
                parent: None,
                tags: tags.iter().map(|tag| (*tag).clone()).collect(),
                digests: Vec::new(),
                created: Some(at(1)),
                labels: HashMap::new(),
                layers: Vec::new(),
                container: None,
                last_tagged: named.map(at),
            };
            never_went(&image, asked.map(at))
        };
        let app = Reference::written("app").expect("a name");
        assert!(never(&[&app, &id(1).private_tag()], None, None), "it has dkb's name of that moment");
        assert!(never(&[&app], Some(9), Some(10)) && never(&[], Some(9), Some(10)), "it was named before");
        assert!(!never(&[&app], Some(10), Some(10)) && !never(&[&app], Some(11), Some(10)), "or since");
        assert!(!never(&[&app], None, Some(10)) && !never(&[&app], Some(9), None), "nobody knows");
        assert!(!never(&[&id(2).private_tag()], None, Some(10)), "another image's");
    }

    #[test]
    fn what_is_not_there_ends_where_it_was_built() {
        assert_eq!(found(&["a", "a"], &[], &[], "a"), (ids(&[1, 2]), ids(&[])));
        assert_eq!(found(&["a", "a"], &[1], &[], "a"), (ids(&[2]), ids(&[])));
    }

    #[test]
    fn an_engine_that_has_nothing_of_it_ends_no_record() {
        for homes in [["a", "a"], ["", ""]] {
            assert_eq!(found(&homes, &[], &[], "b"), (ids(&[]), ids(&[1, 2])));
        }
    }

    #[test]
    fn what_was_built_later_shows_that_it_is_no_copy_from_before() {
        assert_eq!(found(&["a", "a", "a"], &[2], &[], "b"), (ids(&[1]), ids(&[3])));
        assert_eq!(found(&["a", "a", "b"], &[3], &[], "b"), (ids(&[1, 2]), ids(&[])));
    }

    #[test]
    fn what_was_deleted_since_is_not_ours_there_or_not() {
        assert_eq!(found(&["a", "a"], &[1, 2], &[(1, 5)], "a"), (ids(&[1]), ids(&[])));
        assert_eq!(found(&["a", "a"], &[1, 2], &[(1, 5)], "b"), (ids(&[1]), ids(&[])));
        assert_eq!(found(&["a", "a"], &[1, 2], &[(2, 1)], "a"), (ids(&[]), ids(&[])), "before it was built");
        assert_eq!(found(&["a", "a"], &[], &[(2, 9)], "b"), (ids(&[2]), ids(&[1])));
    }
}

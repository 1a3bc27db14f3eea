use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::model::{BuildId, Name, Reference, Taken};

pub(crate) fn id(n: u8) -> ImageId {
    ImageId::parse(&format!("{n:02x}").repeat(32)).expect("an ID")
}

pub(crate) fn key(project: &str, session: &str) -> SessionKey {
    SessionKey { project: Name::typed(project).expect("a name"), session: Name::typed(session).expect("a name") }
}

pub(crate) fn build(name: &str, of: &SessionKey, result: u8, steps: &[u8]) -> Build {
    Build {
        build: BuildId::parse(name).expect("an ID"),
        of: of.clone(),
        at: Timestamp::UNIX_EPOCH,
        tags: vec![Reference::written("app").expect("a name")],
        key: "k".to_owned(),
        ok: result != 0,
        result: (result != 0).then(|| id(result)),
        steps: steps.iter().copied().map(id).collect(),
        took: Vec::new(),
        tilt: false,
        compose: None,
        home: None,
        doubted: false,
    }
}

/// Behind what was noted so far comes a line that can't be read.
pub(crate) fn with_a_line_lost(books: Books) -> Books {
    let mut tally = Tally::from(books);
    tally.lost();
    tally.books()
}

pub(crate) fn numbered(n: u32) -> ImageId {
    ImageId::parse(&format!("{n:064x}")).expect("an ID")
}

fn any_taken() -> impl Strategy<Value = Taken> {
    let parts = (0..4_u32, 1..9_u8, any::<bool>());
    parts.prop_map(|(tag, from, may_go)| Taken { may_go, ..Taken::new(tag_number(tag), id(from)) })
}

fn any_build() -> impl Strategy<Value = Build> {
    let took = vec(any_taken(), 0..12);
    let parts = (0..6_u8, any_key(), 0..4_u8, vec(1..9_u8, 0..12), vec(0..5_u32, 0..12), took, 0..3_i64);
    parts.prop_map(|(name, of, result, steps, tags, took, at)| Build {
        at: Timestamp::from_second(at).expect("a time"),
        tags: tags.into_iter().map(tag_number).collect(),
        took,
        compose: [None, Name::typed("dev").ok()][usize::from(name % 2)].clone(),
        ..build(&name.to_string(), &of, result, &steps)
    })
}

fn any_key() -> impl Strategy<Value = SessionKey> {
    (0..2_u8).prop_map(|n| key("p", &n.to_string()))
}

fn tag_number(n: u32) -> Reference {
    Reference::written(&format!("app:{n}")).expect("a name")
}

pub(crate) fn any_record() -> impl Strategy<Value = Record> {
    let at = Timestamp::UNIX_EPOCH;
    let ids = || vec((1..9_u8).prop_map(id), 0..12);
    prop_oneof![
        4 => any_build().prop_map(Record::Build),
        1 => ids().prop_map(move |ids| Record::Gone { at, ids }),
        1 => ids().prop_map(move |ids| Record::Missed { at, ids }),
        1 => (any_key(), any::<bool>()).prop_map(move |(key, rest)| Record::Cleaned { key, at, rest }),
        1 => (any_key(), 0..4_u32, 1..9_u8).prop_map(move |(key, tag, image)| {
            Record::Back { key, at, tag: tag_number(tag), image: id(image) }
        }),
        1 => (any_key(), any_key(), ids()).prop_map(|(key, to, ids)| {
            // After all builds of these.
            Record::Left { key, to, at: Timestamp::from_second(9).expect("a time"), ids }
        }),
        1 => (any_key(), vec(any_taken(), 0..12), ids()).prop_map(move |(key, took, held)| {
            Record::Session(SessionEntry { took, held, ..SessionEntry::new(key, at) })
        }),
    ]
}

/// What books say, worked out the plain way.
#[derive(Default, PartialEq, Eq, Debug)]
struct Plain {
    claims: Vec<(SessionKey, ImageId, BTreeSet<Reference>)>,
    made: BTreeSet<(SessionKey, ImageId)>,
    made_at: BTreeMap<(SessionKey, ImageId), usize>,
    took: Vec<(usize, SessionKey, Taken)>,
    place: usize,
    missed: BTreeSet<ImageId>,
}

impl Plain {
    fn count(&mut self, record: Record) {
        self.place += 1;
        match record {
            Record::Build(build) => {
                self.take(&build.of, build.took.clone());
                let tags: BTreeSet<Reference> = build.tags.iter().cloned().collect();
                for id in build.images() {
                    self.made.insert((build.of.clone(), id));
                    self.made_at.insert((build.of.clone(), id), self.place);
                    self.missed.remove(&id);
                    self.claims.push((build.of.clone(), id, tags.clone()));
                }
            }
            Record::Gone { ids, .. } => {
                for id in &ids {
                    self.hand_on(*id, &self.makers(*id), false);
                    self.made.retain(|(_, made)| made != id);
                }
                self.claims.retain(|(_, id, _)| !ids.contains(id));
                self.made.retain(|(_, id)| !ids.contains(id));
            }
            Record::Missed { ids, .. } => self.missed.extend(ids),
            Record::Back { key, tag, image, .. } => {
                let is_it = |of: &SessionKey, taken: &Taken| *of == key && taken.tag == tag;
                let last = self.took.iter().rposition(|(_, of, taken)| is_it(of, taken) && taken.from == image);
                let mut n = 0;
                self.took.retain(|(_, of, taken)| {
                    n += 1;
                    last.is_none_or(|last| n <= last || !is_it(of, taken))
                });
            }
            Record::Left { key, to, ids, .. } => {
                for id in ids {
                    if key == to || !self.made.contains(&(to.clone(), id)) {
                        continue;
                    }
                    self.claims.retain(|(of, claimed, _)| (of, claimed) != (&key, &id));
                    self.made.remove(&(key.clone(), id));
                }
            }
            Record::Session(entry) => self.take(&entry.key, entry.took),
            Record::Cleaned { key, rest, .. } => {
                let images: Vec<ImageId> = self.made.iter().filter(|(of, _)| *of == key).map(|(_, id)| *id).collect();
                for id in images {
                    self.hand_on(id, &BTreeSet::from([key.clone()]), true);
                }
                self.took.retain(|(_, of, _)| rest || *of != key);
            }
            Record::Ledger { .. } | Record::More(_) => {}
        }
    }

    /// What only the taker made was its own.
    fn take(&mut self, taker: &SessionKey, took: Vec<Taken>) {
        for taken in took {
            if !self.is_its_alone(taker, taken.from) {
                self.took.push((self.place, taker.clone(), taken));
            }
        }
    }

    fn makers(&self, image: ImageId) -> BTreeSet<SessionKey> {
        self.made.iter().filter(|(_, made)| *made == image).map(|(key, _)| key.clone()).collect()
    }

    fn is_its_alone(&self, session: &SessionKey, image: ImageId) -> bool {
        self.makers(image) == BTreeSet::from([session.clone()])
    }

    /// Whoever has a tag from it owes that to whom its makers have it from, or where it stays first to it.
    fn hand_on(&mut self, image: ImageId, makers: &BTreeSet<SessionKey>, stays: bool) {
        let owed = self.took();
        for (place, taker, taken) in std::mem::take(&mut self.took) {
            let others: Vec<&SessionKey> = makers.iter().filter(|maker| **maker != taker).collect();
            let lent = taken.from == image && !others.is_empty();
            for maker in others.into_iter().filter(|_| lent) {
                let before = owed.get(&(maker.clone(), taken.tag.clone())).into_iter().flatten();
                for before in before.filter(|before| before.from != image) {
                    if !self.is_its_alone(&taker, before.from) {
                        self.took.push((self.place, taker.clone(), before.clone()));
                    }
                }
            }
            if !lent || stays {
                self.took.push((place, taker, taken));
            }
        }
    }

    /// The last owner, and before it the last of each other session of ours and what may be somebody else's session's, up
    /// to the last that is nobody's.
    fn took(&self) -> BTreeMap<(SessionKey, Reference), Vec<Taken>> {
        let is_own = |place: &usize, of: &SessionKey, id: ImageId| {
            let made = self.made_at.get(&(of.clone(), id));
            let made_since = made.is_some_and(|made| made >= place) && self.makers(id).is_empty();
            made_since || self.is_its_alone(of, id)
        };
        let mut all: BTreeMap<_, Vec<Taken>> = BTreeMap::new();
        for (_, of, taken) in self.took.iter().filter(|(place, of, taken)| !is_own(place, of, taken.from)) {
            all.entry((of.clone(), taken.tag.clone())).or_default().push(taken.clone());
        }
        for owners in all.values_mut() {
            let (mut makers, mut abroad, mut kept) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
            for taken in owners.iter().rev() {
                let made = self.makers(taken.from);
                let is_new = match (made.is_empty(), taken.may_go) {
                    (true, true) => abroad.insert(taken.from),
                    (true, false) => true,
                    (false, _) => !made.is_subset(&makers),
                };
                if is_new {
                    kept.push(taken.clone());
                }
                if made.is_empty() && !taken.may_go {
                    break;
                }
                makers.extend(made);
            }
            kept.reverse();
            *owners = kept;
        }
        all
    }

    fn images(&self) -> BTreeMap<(ImageId, SessionKey), BTreeSet<Reference>> {
        let mut images: BTreeMap<_, BTreeSet<Reference>> = BTreeMap::new();
        for (of, id, tags) in &self.claims {
            images.entry((*id, of.clone())).or_default().extend(tags.iter().cloned());
        }
        images
    }
}

proptest::proptest! {
    #[test]
    fn many_records_say_what_they_say_one_by_one(records in vec(any_record(), 0..60)) {
        let (mut plain, mut tally) = (Plain::default(), Tally::default());
        for (n, mut record) in records.into_iter().enumerate() {
            if let Record::Build(build) = &mut record {
                build.build = BuildId::parse(n.to_string()).expect("an ID");
            }
            plain.count(record.clone());
            tally.count(record);
        }
        let books = tally.books();
        // What is written again says the same.
        let mut again = Tally::default();
        books.records("engine").into_iter().for_each(|record| again.count(record));
        for books in [books, again.books()] {
            prop_assert_eq!(claims(&books), plain.images());
            let mut took: BTreeMap<_, Vec<Taken>> = BTreeMap::new();
            for (key, taken) in books.sessions.iter().flat_map(|(key, of)| of.took.iter().map(move |one| (key, one))) {
                took.entry((key.clone(), taken.tag.clone())).or_default().push(taken.clone());
            }
            prop_assert_eq!(&took, &plain.took());
            let missed = plain.missed.iter().filter(|id| books.has(**id)).copied().collect();
            prop_assert_eq!(&books.missed, &missed);
        }
    }
}

/// Which session claims which image, by which names.
fn claims(books: &Books) -> BTreeMap<(ImageId, SessionKey), BTreeSet<Reference>> {
    let mut claims: BTreeMap<_, BTreeSet<Reference>> = BTreeMap::new();
    for build in &books.builds {
        for id in build.images() {
            claims.entry((id, build.of.clone())).or_default().extend(build.tags.iter().cloned());
        }
    }
    claims
}

/// Builds at once are noted in another order than the one in which they took the tag from each other.
#[test]
fn a_tag_goes_back_past_the_sessions_own_builds_whenever_they_are_noted() {
    let of = key("p", "s");
    let tag = Reference::written("app").expect("a name");
    let took = |name: &str, made: u8, from: u8| {
        Record::Build(Build { took: vec![Taken::new(tag.clone(), id(from))], ..build(name, &of, made, &[]) })
    };
    // X is 9; the builds make 1, 2 and 3, in that order.
    let builds = [took("1", 1, 9), took("2", 2, 1), took("3", 3, 2)];
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut tally = Tally::default();
        for n in order {
            tally.count(builds[n].clone());
        }
        assert_eq!(tally.books().sessions[&of].took, [Taken::new(tag.clone(), id(9))], "{order:?}");
    }
}

#[test]
fn a_tag_that_went_from_session_to_session_is_owed_to_whoever_had_it_first() {
    let keys = ["s", "t", "u"].map(|session| key("p", session));
    let tag = || Reference::written("app").expect("a name");
    let took = |n: usize, made: u8, from: u8| {
        let took = vec![Taken::new(tag(), id(from))];
        Record::Build(Build { took, tags: vec![tag()], ..build(&made.to_string(), &keys[n], made, &[]) })
    };
    let gone = |n: u8| Record::Gone { at: Timestamp::UNIX_EPOCH, ids: vec![id(n)] };
    let cleaned = |n: usize| Record::Cleaned { key: keys[n].clone(), at: Timestamp::MAX, rest: false };
    let hold = SessionEntry { held: vec![id(9)], ..SessionEntry::new(keys[0].clone(), Timestamp::UNIX_EPOCH) };
    // 9 is a stranger's; each session builds its own image over that of the one before.
    let all = [Record::Session(hold), took(0, 1, 9), took(1, 2, 1), took(2, 3, 2)];
    for ends in [&[1, 2][..], &[2, 1], &[1], &[2]] {
        let mut books = Books::default();
        for record in &all {
            books.apply(record.clone());
        }
        let mut looked = books.clone();
        for n in ends {
            books.apply(gone(*n));
            looked.forget(&HashSet::from([id(*n)]));
            books.apply(cleaned(usize::from(*n) - 1));
            looked.apply(cleaned(usize::from(*n) - 1));
        }
        assert_eq!(books.sessions, looked.sessions, "{ends:?}");
        let left = |n: u8| (1..n).rev().find(|image| !ends.contains(image)).unwrap_or(9);
        for n in (1..=3_u8).filter(|n| !ends.contains(n)) {
            let entry = &books.sessions[&keys[usize::from(n) - 1]];
            assert_eq!(entry.took, [Taken::new(tag(), id(left(n)))], "{ends:?} {n}");
            assert_eq!(entry.held.contains(&id(9)), n == 1 || left(n) == 9, "{ends:?} {n}");
        }
    }
    // The first one builds once more over what it took from the second.
    let again = [all[0].clone(), all[1].clone(), all[2].clone(), took(0, 4, 2)];
    for (ends, left, image) in [(0, 1, 2), (1, 0, 4)] {
        let mut books = Books::default();
        for record in again.iter().cloned() {
            books.apply(record);
        }
        let owed =
            |books: &Books, n: usize| books.sessions[&keys[n]].took.iter().map(|taken| taken.from).collect::<Vec<_>>();
        assert_eq!((owed(&books, 0), owed(&books, 1)), (vec![id(9), id(2)], vec![id(1)]));
        let own: &[u8] = if ends == 0 { &[1, 4] } else { &[2] };
        for n in own {
            books.apply(gone(*n));
        }
        books.apply(cleaned(ends));
        assert_eq!(owed(&books, left), [id(9)], "{image} gives it back to whoever had it first");
        assert!(books.sessions[&keys[left]].held.contains(&id(9)));
    }
    // And where that one is a session of ours, which goes on.
    let mine = Record::Build(Build { tags: vec![tag()], ..build("9", &keys[2], 9, &[]) });
    let mut books = Books::default();
    [mine].iter().chain(&again).for_each(|record| books.apply(record.clone()));
    for record in [gone(1), gone(4), cleaned(0)] {
        books.apply(record);
    }
    assert_eq!(books.sessions[&keys[1]].took, [Taken::new(tag(), id(9))]);
    // Somebody else has had it since.
    let mut books = Books::default();
    all[..3].iter().for_each(|record| books.apply(record.clone()));
    books.apply(took(1, 4, 8));
    books.apply(gone(1));
    assert_eq!(books.sessions[&keys[1]].took, [Taken::new(tag(), id(8))]);
}

#[test]
fn what_was_missed_elsewhere_is_ours_only_where_it_was_built() {
    let of = key("p", "s");
    let built = |name: &str, home: &str, result| Build { home: Some(home.to_owned()), ..build(name, &of, result, &[]) };
    let mut books = Books::default();
    books.apply(Record::Build(built("1", "here", 1)));
    books.apply(Record::Build(built("2", "here", 2)));
    books.apply(Record::Missed { at: Timestamp::UNIX_EPOCH, ids: vec![id(1)] });
    let ours = |home: &str, books: &Books| {
        let mut books = books.clone();
        books.looked_from(home);
        [1, 2].map(|n| books.has(id(n)))
    };
    assert_eq!((ours("here", &books), ours("there", &books)), ([true, true], [false, true]));
    books.apply(Record::Build(built("3", "there", 1)));
    assert_eq!(ours("anywhere", &books), [true, true], "it was built again");
}

#[test]
fn a_record_ends_when_its_image_is_gone_and_does_not_come_back() {
    let of = key("p", "s");
    let mut books = Books::default();
    books.apply(Record::Build(build("1", &of, 1, &[2, 3])));
    books.apply(Record::Gone { at: Timestamp::UNIX_EPOCH, ids: vec![id(1), id(3)] });
    assert_eq!(books.images().collect::<Vec<_>>(), [id(2)]);
    books.apply(Record::Gone { at: Timestamp::UNIX_EPOCH, ids: vec![id(2)] });
    assert!(books.builds.is_empty());
    assert!(books.sessions.contains_key(&of), "a session stays known");
}

#[test]
fn what_a_session_left_to_another_is_its_own_again_once_it_builds_it() {
    let (of, other, third) = (key("p", "s"), key("p", "t"), key("q", "s"));
    let at = |second| Timestamp::from_second(second).expect("a time");
    let left = |of: &SessionKey, to: &SessionKey, when| Record::Left {
        key: of.clone(),
        to: to.clone(),
        at: at(when),
        ids: vec![id(2), id(3)],
    };
    let built = |name: &str, of: &SessionKey, when| Build { at: at(when), ..build(name, of, 1, &[2]) };
    let mut books = Books::default();
    books.apply(Record::Build(built("1", &of, 10)));
    books.apply(left(&of, &other, 20));
    books.apply(left(&of, &of, 20));
    let makers = |books: &Books| books.claims(id(2)).map(|build| build.of.clone()).collect::<Vec<_>>();
    assert_eq!(makers(&books), std::slice::from_ref(&of), "there is nobody to leave it to");
    books.apply(Record::Build(built("2", &other, 15)));
    books.apply(left(&of, &other, 20));
    assert_eq!(makers(&books), std::slice::from_ref(&other));
    assert!(books.of_session(&of).flat_map(Build::images).eq([id(1)]), "the rest is its own");
    // Two that were cleaned at once each saw the other's claim.
    books.apply(left(&other, &of, 20));
    assert_eq!(makers(&books), std::slice::from_ref(&other), "the last one keeps it");
    books.apply(Record::Build(built("3", &of, 30)));
    assert_eq!(makers(&books), [other.clone(), of.clone()]);
    books.apply(left(&of, &other, 25));
    assert_eq!(makers(&books), [other.clone(), of.clone()], "a build since the look was not seen");
    books.apply(Record::Gone { at: at(40), ids: vec![id(2)] });
    books.apply(Record::Build(built("4", &third, 50)));
    books.apply(left(&third, &of, 60));
    assert_eq!(makers(&books), [third], "the others' is gone");
}

#[test]
fn what_was_asked_before_is_asked_anew_once_records_end() {
    let of = key("p", "s");
    let mut books = Books::default();
    for n in 1..=3 {
        books.apply(Record::Build(build(&n.to_string(), &of, n, &[4])));
    }
    let makers =
        |books: &Books, n| books.claims(id(n)).map(|build| build.build.as_str().to_owned()).collect::<Vec<_>>();
    assert_eq!(
        (makers(&books, 3), makers(&books, 4)),
        (vec!["3".to_owned()], ["1", "2", "3"].map(str::to_owned).into())
    );
    books.forget(&[id(1), id(4)].into());
    assert_eq!((makers(&books, 3), makers(&books, 4)), (vec!["3".to_owned()], vec![]));
    assert!(!books.has(id(1)) && books.has(id(2)) && books.images().count() == 2);
    books.missed = [id(2)].into();
    books.looked_from("elsewhere");
    assert_eq!((makers(&books, 3), books.has(id(2))), (vec!["3".to_owned()], false));
}

#[test]
fn a_build_recorded_twice_counts_once() {
    let of = key("p", "s");
    let mut books = Books::default();
    books.apply(Record::Build(build("1", &of, 1, &[2])));
    books.apply(Record::Build(build("1", &of, 1, &[2, 3])));
    assert_eq!(books.builds.len(), 1);
    assert_eq!(books.claims(id(1)).count(), 1);
}

#[test]
fn the_last_owner_of_a_tag_is_remembered_and_the_sessions_own_images_are_none() {
    let of = key("p", "s");
    let tag = Reference::written("app").expect("a name");
    let took = |from| vec![Taken::new(tag.clone(), id(from))];
    let mut books = Books::default();
    books.apply(Record::Build(Build { took: took(9), ..build("1", &of, 1, &[]) }));
    books.apply(Record::Build(Build { took: took(1), ..build("2", &of, 2, &[]) }));
    assert_eq!(books.sessions[&of].took, took(9));
    books.apply(Record::Build(Build { took: took(8), ..build("3", &of, 3, &[]) }));
    assert_eq!(books.sessions[&of].took, took(8));
    let entry = SessionEntry { took: Vec::new(), held: vec![id(9), id(8)], ..books.sessions[&of].clone() };
    books.apply(Record::Session(entry.clone()));
    books.apply(Record::Session(SessionEntry { held: vec![id(8), id(7)], ..entry }));
    assert_eq!((&books.sessions[&of].took, &*books.sessions[&of].held), (&took(8), &[id(7), id(8), id(9)][..]));
    books.apply(Record::Cleaned { key: of.clone(), at: Timestamp::UNIX_EPOCH, rest: false });
    assert!(books.sessions[&of].took.is_empty() && books.sessions[&of].held.is_empty());
}

/// What is in doubt: images, and sessions as to when they began.
type Doubt = (Vec<u8>, Vec<&'static str>);

/// A line of a ledger, or one that is lost.
fn read(lines: &[Option<Record>]) -> Books {
    let mut tally = Tally::default();
    for line in lines {
        match line {
            Some(record) => tally.count(record.clone()),
            None => tally.lost(),
        }
    }
    tally.books()
}

fn doubt(books: &Books) -> Doubt {
    let known = ["s", "t"].into_iter();
    let began = known.filter(|name| books.sessions.get(&key("p", name)).is_some_and(|it| it.first == Timestamp::MAX));
    ((1..9).filter(|n| books.is_doubted(id(*n))).collect(), began.collect())
}

#[test]
fn a_line_that_is_lost_puts_in_doubt_what_was_noted_before_it() {
    let at = |second| Timestamp::from_second(second).expect("a time");
    let made = |name: &str, session: &str, image, second| {
        Some(Record::Build(Build { at: at(second), ..build(name, &key("p", session), image, &[]) }))
    };
    let (one, two) = (made("1", "s", 1, 10), made("2", "t", 2, 20));
    let gone = |n| Some(Record::Gone { at: at(30), ids: vec![id(n)] });
    let whole = |of: &[Option<Record>]| {
        let mut lines: Vec<_> = read(of).records("engine").into_iter().map(Some).collect();
        lines.insert(1, None);
        lines
    };
    let cases: Vec<(&str, Vec<Option<Record>>, Doubt)> = vec![
        ("nothing is lost", vec![one.clone(), two.clone()], (vec![], vec![])),
        ("before", vec![None, one.clone(), two.clone()], (vec![], vec![])),
        ("between", vec![one.clone(), None, two.clone()], (vec![1], vec!["s"])),
        ("behind", vec![one.clone(), two.clone(), None], (vec![1, 2], vec!["s", "t"])),
        ("built again, from what was there", vec![one.clone(), None, made("3", "s", 1, 40)], (vec![1], vec![])),
        ("by another session", vec![one.clone(), None, made("3", "t", 1, 40)], (vec![1], vec!["s"])),
        ("noted twice", vec![one.clone(), None, one.clone()], (vec![1], vec![])),
        ("gone, and built anew", vec![one.clone(), None, gone(1), made("3", "s", 1, 40)], (vec![], vec![])),
        ("at work before and since", vec![one.clone(), None, made("3", "s", 3, 40), two.clone()], (vec![1], vec![])),
        ("of what was written as a whole", whole(&[one.clone(), two.clone()]), (vec![1, 2], vec!["s", "t"])),
        (
            "and what came then",
            whole(&[one]).into_iter().chain([two, made("3", "s", 3, 40)]).collect(),
            (vec![1], vec![]),
        ),
    ];
    for (what, lines, want) in cases {
        let books = read(&lines);
        assert_eq!(doubt(&books), want, "{what}");
        assert_eq!(books.damaged, lines.contains(&None), "{what}");
        // Written anew, and with what comes later, it is the same.
        let mut again = read(&books.records("engine").into_iter().map(Some).collect::<Vec<_>>());
        assert_eq!((doubt(&again), again.damaged), (want.clone(), books.damaged), "{what}, written anew");
        let later = made("9", "u", 9, 50).expect("a record");
        again.apply(later);
        assert_eq!((doubt(&again), again.damaged), (want, books.damaged), "{what}, and then a build");
    }
}

#[test]
fn the_same_work_for_two_projects_of_composes_counts_for_each() {
    let of = key("p", "s");
    let made =
        |name: &str, compose| Record::Build(Build { compose: Name::typed(compose).ok(), ..build(name, &of, 1, &[]) });
    let mut books = Books::default();
    for one in [made("1", "dev"), made("2", "test"), made("3", "dev"), made("4", "")] {
        books.apply(one);
    }
    let composes: Vec<Option<&str>> =
        books.claims(id(1)).map(|build| build.compose.as_ref().map(Name::as_str)).collect();
    assert_eq!(composes, [Some("test"), Some("dev"), None]);
}

#[test]
fn what_is_written_again_says_the_same() {
    let of = key("p", "s");
    let mut books = Books::default();
    books.apply(Record::Build(Build {
        took: vec![Taken::new(Reference::written("app").expect("a name"), id(9))],
        ..build("1", &of, 1, &[2])
    }));
    books.apply(Record::Build(build("2", &of, 4, &[])));
    books.apply(Record::Gone { at: Timestamp::UNIX_EPOCH, ids: vec![id(4)] });
    let mut again = Books::default();
    for record in books.records("engine") {
        let line = serde_json::to_string(&record).expect("a line");
        again.apply(serde_json::from_str(&line).expect("a record"));
    }
    assert_eq!(again, books);
}

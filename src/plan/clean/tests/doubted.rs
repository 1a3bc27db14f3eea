//! What a line of the ledger may have said that can't be read.

use super::*;
use crate::model::books_tests::with_a_line_lost;

fn lost(case: Case) -> Case {
    Case { books: with_a_line_lost(case.books), ..case }
}

#[test]
fn what_was_noted_before_a_line_that_is_lost_stays_with_its_names() {
    let (of, other) = (key("p", "s"), key("p", "t"));
    let took = Build { took: vec![Taken::new(reference("app"), id(7))], ..build("a", &of, 1, &[2]) };
    let both = [build("b", &of, 3, &[]), Build { tags: vec![], ..build("c", &other, 3, &[]) }];
    let images = vec![
        image(1).tag("app").parent(2).done(),
        image(2).done(),
        image(3).tag("app").tag("theirs").done(),
        image(4).parent(6).done(),
        image(6).done(),
        image(7).done(),
    ];
    let mut case = lost(case(images, [&[took], &both[..]].concat()));
    case.books.apply(Record::Build(Build { key: "new".into(), tags: vec![], ..build("d", &of, 4, &[2, 6]) }));
    let doubted = |also: &[u8]| also.iter().map(|n| (*n, KeptReason::LedgerDamaged)).collect::<Vec<_>>();
    assert_eq!(case.steps(&end_of_session()), ["-4", "-6"], "no tag is given back, and none taken off");
    assert_eq!(case.kept(&end_of_session()), doubted(&[1, 2, 3]));
    assert_eq!(case.steps(&leftovers()), ["-4", "-6"]);
    let of_the_other = CleanPolicy { scope: Scope::Session(other), ..end_of_session() };
    let told = [1, 2, 4, 6].map(|n| (n, KeptReason::OtherSession));
    assert_eq!(case.kept(&of_the_other), [&told[..2], &doubted(&[3]), &told[2..]].concat());
}

#[test]
fn no_container_goes_for_what_is_in_doubt() {
    let of = key("p", "s");
    let case = case(vec![image(1).done()], vec![build("a", &of, 1, &[])]).life(of, Life::Alive);
    let case = case.containers(vec![container("sha256:", 1, ContainerState::Exited)]);
    assert_eq!(lost(case).steps(&end_of_session()), [""; 0]);
}

#[test]
fn who_trusts_the_stamp_takes_what_bears_it_and_nobody_else_is_known_to_need() {
    let (of, other) = (key("p", "s"), key("p", "t"));
    let stamped = |n: u8| image(n).stamp(&of);
    let images = || {
        vec![
            stamped(1).done(),
            image(2).done(),
            stamped(3).tag("app").done(),
            stamped(4).digest("app@sha256:0").done(),
            stamped(5).done(),
            stamped(6).done(),
        ]
    };
    let builds: Vec<Build> = (1..=6).map(|n| build(&n.to_string(), &of, n, &[])).collect();
    let mut shared = case(images(), [builds, vec![build("7", &other, 5, &[])]].concat()).layers(1, &["a"]);
    shared = lost(shared.layers(6, &["a", "b"]));
    let trusting = CleanPolicy { trust_stamp: true, ..end_of_session() };
    assert_eq!(shared.steps(&trusting), ["-1"]);
    let mut want = [2, 3, 4, 6].map(|n| (n, KeptReason::LedgerDamaged)).to_vec();
    want.insert(3, (5, KeptReason::OtherSession));
    assert_eq!(shared.kept(&trusting), want);
    assert_eq!(shared.steps(&CleanPolicy { trust_stamp: true, scope: Scope::All, ..leftovers() }), [""; 0]);
    // Whether one that would come in has inherited its stamp, its layers tell.
    let look = |case: &Case| {
        let at_work = at_work(&case.snapshot, &case.books);
        let look = CleanLook {
            lives: &case.lives,
            beats: &case.beats,
            opened: &case.opened,
            at_work: &at_work,
            running: &case.running,
            now: case.now,
            ..CleanLook::of(&case.snapshot, &case.books, &case.here)
        };
        wants_layers(&look, &CleanPolicy { trust_stamp: true, ..leftovers() })
    };
    assert_eq!(look(&shared), [1, 3, 4, 5, 6].map(id));
}

#[test]
fn a_ledger_with_lines_that_are_lost_may_have_heard_of_any_session_and_copy() {
    let (of, own) = (key("p", "job-7"), key("p", "s"));
    let named = Here { by_ci: true, ..here(of.clone()) };
    let open = Case { here: named, ..case(vec![image(1).stamp(&of).done()], vec![]) };
    let ends = CleanPolicy { scope: Scope::Session(of), ..end_of_session() };
    assert_eq!(open.steps(&ends), ["-1"]);
    assert_eq!(lost(open).steps(&ends), [""; 0]);

    let copy = name("local-00000001");
    let entry = SessionEntry::new(own.clone(), Timestamp::UNIX_EPOCH);
    let introduced = Record::Session(SessionEntry { copies: [copy.clone()].into(), ..entry });
    let built = || Record::Build(build("a", &own, 1, &[]));
    let of_other_copy = vec![(1, KeptReason::OtherCopy)];
    let cases = [
        ("no line is lost", vec![Some(introduced.clone()), Some(built())], vec![]),
        ("before it was known", vec![None, Some(introduced.clone()), Some(built())], vec![]),
        ("since it was known", vec![Some(introduced.clone()), None, Some(built())], of_other_copy.clone()),
        ("its introduction", vec![None, Some(built()), Some(introduced)], of_other_copy),
    ];
    for (what, lines, want) in cases {
        let mut case = case(vec![image(1).done()], vec![]);
        for line in lines {
            match line {
                Some(record) => case.books.apply(record),
                None => case = lost(case),
            }
        }
        case.here = Here { vouched: false, copy: copy.clone(), ..here(key("p", "else")) };
        assert_eq!(case.kept(&leftovers()), want, "{what}");
        assert_eq!(case.steps(&leftovers()).is_empty(), !want.is_empty(), "{what}");
    }
}

#[test]
fn what_a_session_held_is_kept_while_another_may_hold_it_too() {
    let of = key("p", "s");
    let took = vec![Taken::new(reference("app"), id(7))];
    let images = |held| vec![image(1).done(), held, image(9).tag("app").done()];
    let session = |damaged: bool, held: Image| {
        let mut case = case(images(held), vec![]);
        if damaged {
            case = lost(case);
        }
        case.books.apply(Record::Build(Build { took: took.clone(), ..build("a", &of, 1, &[]) }));
        let entry = SessionEntry::new(of.clone(), Timestamp::UNIX_EPOCH);
        case.books.apply(Record::Session(SessionEntry { held: vec![id(7)], ..entry }));
        case.books.id = Some(ledger('a'));
        case
    };
    let held = || image(7).held('a');
    assert_eq!(session(false, held().done()).steps(&end_of_session()), ["-1", "-7"]);
    assert_eq!(session(true, held().done()).steps(&end_of_session()), ["-1"]);
    assert_eq!(session(true, held().done()).kept(&end_of_session()), [(7, KeptReason::LedgerDamaged)]);
    let untag = format!("untag 7 {}", id(7).hold(&ledger('a')));
    assert_eq!(session(true, held().tag("theirs").done()).steps(&end_of_session()), [&untag, "-1"]);
}

use std::fs;

use jiff::Timestamp;

use super::*;
use crate::model::Name;
use crate::model::books_tests::key;

fn owner() -> Owner {
    Owner { machine: "here".to_owned(), since: Timestamp::UNIX_EPOCH, command: "just".to_owned() }
}

fn by(guard: bool) -> KeptBy {
    KeptBy { owner: owner(), guard, copy: None }
}

/// Its last sign of life was so many seconds ago.
fn set_last_beat(opening: &OpeningFile, ago: u64) {
    let at = std::time::SystemTime::now() - std::time::Duration::from_secs(ago);
    File::options().append(true).open(opening.path()).and_then(|file| file.set_modified(at)).expect("a date");
}

/// What somebody opens, and what holds it.
fn opened(session: &SessionFile, by: &KeptBy) -> (OpeningFile, SessionHold, Keeper) {
    let (hold, keeper) = session.open(by).expect("a lock");
    (session.opening(&keeper.name()), hold, keeper)
}

/// As [`opened`], on this engine.
fn opened_on(session: &SessionFile, engine: &str) -> (OpeningFile, SessionHold, Keeper) {
    let opened = opened(session, &by(true));
    session.is_on(&opened.0, engine).expect("a note");
    opened
}

#[test]
fn a_session_lives_as_long_as_somebody_holds_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = State::at(folder.path()).session(&key("p", "s"));
    assert_eq!(session.life("here", None), Life::Unowned);
    let first = session.open(&by(true)).expect("a lock");
    let second = session.hold().expect("a lock");
    assert_eq!(session.life("here", None), Life::Alive);
    drop(first);
    assert_eq!(session.life("here", None), Life::Alive);
    drop(second);
    assert_eq!(session.life("here", None), Life::Dead);
    assert_eq!(session.life("elsewhere", None), Life::Unowned, "another machine's lock says nothing here");
    session.disown(None).expect("a note");
    assert_eq!(session.life("here", None), Life::Unowned);
}

#[test]
fn a_build_in_a_session_keeps_its_owner() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = State::at(folder.path());
    let session = state.session(&key("p", "s"));
    drop(session.open(&by(true)).expect("a lock"));
    drop(session.hold().expect("a lock"));
    assert_eq!(session.owner(None), Some(owner()));
    assert_eq!(state.sessions(), [(key("p", "s"), true)].into());
}

#[test]
fn a_session_is_disowned_once_its_last_keeper_is_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = State::at(folder.path());
    let session = state.session(&key("p", "s"));
    let kept_by = |command: &str| KeptBy { owner: Owner { command: command.to_owned(), ..owner() }, ..by(true) };
    let (first, second) = (kept_by("just"), kept_by("make"));
    let (hold, keeper) = session.open(&first).expect("a lock");
    let (other_hold, other_keeper) = session.open(&second).expect("a lock");
    let elsewhere = state.session(&key("q", "s")).open(&first).expect("a lock");
    assert_eq!(session.keepers(None, None).expect("a look").len(), 2);
    assert_eq!(session.keepers(Some(&keeper.name()), None).expect("a look"), std::slice::from_ref(&second));
    drop((hold, keeper));
    session.disown(None).expect("nothing to note");
    assert_eq!((session.owner(None), session.life("here", None)), (Some(second.owner), Life::Alive));
    drop((other_hold, other_keeper));
    assert_eq!((session.keepers(None, None).expect("a look"), session.life("here", None)), (vec![], Life::Dead));
    session.disown(None).expect("a note");
    assert_eq!((session.owner(None), session.life("here", None)), (None, Life::Unowned));
    drop(elsewhere);
}

#[test]
fn a_keeper_that_was_killed_keeps_nothing_open() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = State::at(folder.path()).session(&key("p", "s"));
    let (hold, keeper) = session.open(&by(true)).expect("a lock");
    let left = fs::read(&keeper.path).expect("its file");
    let path = keeper.path.clone();
    drop((hold, keeper));
    fs::write(&path, left).expect("what a killed one leaves");
    assert_eq!(session.keepers(None, None).expect("a look"), []);
    assert!(!path.exists());
}

#[test]
fn a_session_that_is_left_for_a_look_is_not_dead_and_has_still_been_opened() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = State::at(folder.path()).session(&key("p", "s"));
    let opening = opened(&session, &by(true)).0;
    session.leave_for_a_look(&opening).expect("a note");
    assert_eq!((session.life("here", None), session.owner(None)), (Life::Unowned, Some(owner())));
    session.disown(None).expect("a note");
    assert_eq!(session.owner(None), None);
}

#[test]
fn whose_a_session_is_while_it_is_open() {
    let (guard, watcher) = (by(true), by(false));
    for (keepers, outside, in_a_guard) in [
        (&[][..], false, false),
        (&[&watcher][..], false, false),
        (&[&guard], true, false),
        (&[&guard, &watcher], true, true),
        (&[&guard, &guard], true, true),
        (&[&watcher, &watcher], true, true),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let session = State::at(folder.path()).session(&key("p", "s"));
        let held: Vec<_> = keepers.iter().map(|by| session.open(by).expect("a lock")).collect();
        let is_shared = |inside| session.is_shared(inside).expect("a look");
        assert_eq!((is_shared(false), is_shared(true)), (outside, in_a_guard), "{keepers:?}");
        assert_eq!(session.ends_by_name(None).expect("a look"), !outside);
        drop(held);
    }
}

#[test]
fn a_session_that_is_ended_but_for_a_rest_is_dead_once_its_watcher_has_seen_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = State::at(folder.path()).session(&key("p", "s"));
    session.end_but_for_a_rest(None).expect("nothing to note");
    assert_eq!(session.owner(None), None, "nobody had opened it");
    let (opening, hold, keeper) = opened(&session, &by(false));
    assert!(!session.is_ended(&opening));
    session.end_but_for_a_rest(None).expect("a note");
    assert!(session.is_ended(&opening) && session.opened(None).is_some());
    drop((hold, keeper));
    assert_eq!(session.life("here", None), Life::Dead);
    assert!(!session.tell_once(None), "nobody need hear that it was cut off");
    let (again, hold, keeper) = opened(&session, &by(true));
    session.end_but_for_a_rest(None).expect("nothing to note");
    assert!(!session.is_ended(&again), "a guard keeps it open");
    drop((hold, keeper));
}

#[test]
fn a_session_that_is_to_be_left_if_it_is_cut_off_is_not_dead_then() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = State::at(folder.path()).session(&key("p", "s"));
    let (opening, hold, keeper) = opened(&session, &by(true));
    session.left_if_cut_off(&opening, true).expect("a note");
    assert_eq!(session.life("here", None), Life::Alive);
    drop((hold, keeper));
    assert_eq!((session.life("here", None), session.owner(None)), (Life::Unowned, Some(owner())));
    session.left_if_cut_off(&opening, false).expect("a note");
    assert_eq!(session.life("here", None), Life::Dead, "it was being cleaned");
}

#[test]
fn that_a_session_died_is_no_sign_of_life() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = State::at(folder.path()).session(&key("p", "s"));
    let opening = opened(&session, &by(true)).0;
    set_last_beat(&opening, 3600);
    let before = session.last_beat(None);
    assert!(session.tell_once(None) && !session.tell_once(None));
    assert_eq!(session.last_beat(None), before);
    opening.beat();
    assert!(session.last_beat(None) > before);
}

#[test]
fn probes_do_not_take_each_other_for_life() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = State::at(folder.path()).session(&key("p", "s"));
    drop(session.open(&by(true)).expect("a lock"));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    assert_eq!(session.life("here", None), Life::Dead);
                }
            });
        }
    });
}

#[test]
fn who_may_not_end_a_session_leaves_it_as_it_was_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = State::at(folder.path());
    let session = state.session(&key("p", "s"));
    let name = |name: &str| Name::typed(name).expect("a name");
    let guard = |command: &str, copy: &str| KeptBy {
        owner: Owner { command: command.to_owned(), ..owner() },
        copy: Some(name(copy)),
        ..by(true)
    };
    let copies =
        || state.openings(None).remove(&key("p", "s")).map(|opening| opening.copies.into_iter().collect::<Vec<_>>());
    let seen = || (session.life("here", None), session.owner(None).map(|owner| owner.command), session.last_beat(None));
    let withdraw = |opening: &OpeningFile| {
        session.withdraw(opening).expect("a note");
        session.clear();
    };
    // Nobody had opened it.
    withdraw(&opened(&session, &guard("make", "there")).0);
    assert_eq!(seen(), (Life::Unowned, None, None));
    // Its guard was killed an hour ago, and two others came and went.
    set_last_beat(&opened(&session, &guard("just", "here")).0, 3600);
    let (since, dead) = (session.opened(None), seen());
    assert_eq!((dead.0, copies()), (Life::Dead, Some(vec![name("here")])));
    let (first, first_hold, first_keeper) = opened(&session, &guard("make", "there"));
    let (second, second_hold, second_keeper) = opened(&session, &guard("cargo", "yonder"));
    assert_eq!(copies(), Some(["here", "there", "yonder"].map(name).to_vec()));
    drop(first_keeper);
    session.leave_to_others(&first).expect("a note");
    drop(first_hold);
    session.clear();
    assert_eq!(session.owner(None).map(|owner| owner.command).as_deref(), Some("cargo"), "somebody has it open");
    assert_eq!(copies(), Some(["here", "there", "yonder"].map(name).to_vec()), "and answers for both");
    drop(second_keeper);
    session.withdraw(&second).expect("a note");
    drop(second_hold);
    session.clear();
    assert_eq!((seen(), session.opened(None)), (dead, since));
    // One that was left for a look stays that.
    session.disown(None).expect("a note");
    let left = opened(&session, &guard("just", "here")).0;
    session.leave_for_a_look(&left).expect("a note");
    withdraw(&opened(&session, &guard("make", "there")).0);
    assert_eq!((seen().0, seen().1, copies()), (Life::Unowned, Some("just".to_owned()), Some(vec![name("here")])));
    // Whoever may end it ends it.
    drop(session.open(&guard("just", "here")).expect("a lock"));
    session.disown(None).expect("a note");
    assert_eq!((session.life("here", None), session.owner(None)), (Life::Unowned, None));
    assert_eq!(session.names().expect("a folder").len(), 0, "nothing is left of it");
}

const ENGINES: [Option<&str>; 3] = [Some("one"), Some("two"), None];

fn lives(session: &SessionFile) -> [Life; 3] {
    ENGINES.map(|engine| session.life("here", engine))
}

#[test]
fn a_session_is_dead_on_the_engine_alone_that_it_was_opened_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = State::at(folder.path()).session(&key("p", "s"));
    let (opening, hold, keeper) = opened(&session, &by(true));
    assert!(!session.is_elsewhere(Some("two")) && !session.is_elsewhere(None), "nobody has said where");
    session.is_on(&opening, "one").expect("a note");
    session.is_on(&opening, "two").expect("what was said first stands");
    assert_eq!(opening.engine().as_deref(), Some("one"));
    assert!(!session.is_elsewhere(Some("one")) && session.is_elsewhere(Some("two")) && session.is_elsewhere(None));
    assert_eq!(lives(&session), [Life::Alive; 3], "who is at work there may build here");
    drop((hold, keeper));
    assert_eq!(lives(&session), [Life::Dead, Life::Unowned, Life::Unowned]);
    // Whoever opens it anew may do so anywhere, as long as nobody knows where that is.
    let anywhere = opened(&session, &by(true)).0;
    assert_eq!(lives(&session), [Life::Dead; 3]);
    session.is_on(&anywhere, "two").expect("a note");
    assert_eq!(lives(&session), [Life::Dead, Life::Dead, Life::Unowned]);
    session.disown(Some("two")).expect("a note");
    assert_eq!(lives(&session), [Life::Dead, Life::Unowned, Life::Unowned]);
    session.disown(Some("one")).expect("a note");
    assert!(!session.is_elsewhere(Some("two")), "it is over");
}

#[test]
fn the_last_who_keeps_a_session_open_on_an_engine_ends_it_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = State::at(folder.path()).session(&key("p", "s"));
    let keepers = || ENGINES.map(|engine| session.keepers(None, engine).expect("a look").len());
    let (_, hold, keeper) = opened_on(&session, "one");
    let (_, other_hold, other_keeper) = opened_on(&session, "two");
    assert_eq!(keepers(), [1, 1, 2]);
    let (unknown, third_hold, third_keeper) = opened(&session, &by(true));
    assert_eq!(keepers(), [2, 2, 3], "it may be on any");
    session.is_on(&unknown, "two").expect("a note");
    assert_eq!(keepers(), [1, 2, 3]);
    assert!(session.is_kept_on("one") && !session.is_kept_on("three"));
    drop(keeper);
    session.disown(Some("one")).expect("a note");
    session.disown(Some("two")).expect("others keep it open there");
    drop(hold);
    session.clear();
    assert_eq!((keepers(), session.is_elsewhere(Some("one"))), ([0, 2, 2], true));
    // They are killed, and that they were there once is nobody's business on the first.
    drop((other_hold, other_keeper, third_hold, third_keeper));
    assert_eq!(lives(&session), [Life::Unowned, Life::Dead, Life::Unowned]);
}

#[test]
fn who_leaves_a_session_to_somebody_who_turns_out_to_be_elsewhere_is_found_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = State::at(folder.path()).session(&key("p", "s"));
    let leave = |(opening, hold, keeper): (OpeningFile, SessionHold, Keeper)| {
        drop(keeper);
        session.leave_to_others(&opening).expect("a note");
        drop(hold);
        session.clear();
    };
    let (here, there) = (opened_on(&session, "one"), opened(&session, &by(true)));
    leave(here);
    assert_eq!(lives(&session), [Life::Alive; 3], "it may be here");
    session.is_on(&there.0, "two").expect("a note");
    assert_eq!(lives(&session)[..2], [Life::Dead, Life::Alive]);
    let second = opened_on(&session, "two");
    leave(second);
    drop(there);
    session.disown(Some("two")).expect("a note");
    assert_eq!(lives(&session)[..2], [Life::Dead, Life::Unowned]);
}

#[test]
fn what_died_on_an_engine_stays_dead_there_whatever_is_opened_on_another() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = State::at(folder.path());
    let session = state.session(&key("p", "s"));
    let dead = opened_on(&session, "one").0;
    set_last_beat(&dead, 3600);
    let (beat, since) = (session.last_beat(Some("one")), session.opened(Some("one")));
    let (other, hold, keeper) = opened_on(&session, "two");
    assert_eq!(lives(&session)[..2], [Life::Dead, Life::Alive]);
    assert!(session.tell_once(Some("one")) && !session.tell_once(Some("one")), "of each once");
    drop((hold, keeper));
    assert!(session.tell_once(Some("two")));
    session.leave_for_a_look(&other).expect("a note");
    assert_eq!(lives(&session)[..2], [Life::Dead, Life::Unowned]);
    session.disown(Some("two")).expect("a note");
    assert_eq!(lives(&session)[..2], [Life::Dead, Life::Unowned]);
    assert_eq!((session.last_beat(Some("one")), session.opened(Some("one"))), (beat, since));
    assert_eq!(state.openings(Some("one")).remove(&key("p", "s")).map(|opening| Some(opening.since)), Some(since));
    // A build may be at work on any.
    let build = session.hold().expect("a lock");
    assert_eq!(lives(&session), [Life::Alive; 3]);
    drop(build);
    // Who opens it again where it died takes its place, and leaves it as it was where that ends nothing.
    let (again, hold, keeper) = opened_on(&session, "one");
    assert_eq!(lives(&session)[0], Life::Alive);
    drop(keeper);
    session.withdraw(&again).expect("a note");
    drop(hold);
    session.clear();
    assert_eq!((lives(&session)[0], session.last_beat(Some("one"))), (Life::Dead, beat));
    drop(opened_on(&session, "one"));
    session.disown(Some("one")).expect("a note");
    assert_eq!(lives(&session)[0], Life::Unowned);
}

#[test]
fn what_an_earlier_dkb_noted_means_what_it_meant() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = State::at(folder.path()).session(&key("p", "s"));
    let of_before = |engines: &[&str]| {
        let of = serde_json::json!({
            "project": "p", "session": "s", "owner": owner(), "opened": Timestamp::UNIX_EPOCH, "engines": engines,
        });
        session.folder.write(&session.name, of.to_string().as_bytes()).expect("a file");
    };
    of_before(&[]);
    assert_eq!(lives(&session), [Life::Dead; 3], "on whatever engine");
    session.disown(Some("two")).expect("a note");
    assert_eq!((lives(&session), session.owner(None)), ([Life::Unowned; 3], None));
    of_before(&["one", "two"]);
    assert_eq!(lives(&session), [Life::Dead, Life::Dead, Life::Unowned]);
    session.disown(Some("two")).expect("a note");
    assert_eq!(lives(&session), [Life::Dead, Life::Unowned, Life::Unowned]);
    // Whoever opens it now comes after that.
    let now = opened_on(&session, "one").0;
    session.leave_for_a_look(&now).expect("a note");
    assert_eq!(lives(&session)[0], Life::Unowned);
    session.disown(Some("one")).expect("a note");
    assert_eq!(session.names().expect("a folder").len(), 0, "nothing is left of it");
}

#[test]
fn who_has_opened_a_session_since_is_known_by_what_he_leaves() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = State::at(folder.path());
    let (session, other) = (state.session(&key("p", "s")), state.session(&key("p", "t")));
    let first = opened(&session, &by(true));
    let at_look = state.session_files();
    assert!(!session.is_opened_since(&at_look));
    drop(session.hold().expect("a lock"));
    drop(opened(&other, &by(true)));
    assert!(!session.is_opened_since(&at_look), "a build opens nothing, and another session is none of it");
    let (opening, hold, keeper) = opened(&session, &by(true));
    assert!(session.is_opened_since(&at_look) && !session.is_opened_since(&state.session_files()));
    drop((first, keeper));
    session.leave_for_a_look(&opening).expect("a note");
    drop(hold);
    assert!(session.is_opened_since(&at_look), "it is left for a look");
    session.withdraw(&opening).expect("a note");
    session.clear();
    assert!(!session.is_opened_since(&at_look), "it is as it was");
}

use jiff::Timestamp;

use super::*;
use crate::model::books_tests::key;

fn owner() -> Owner {
    Owner { machine: "here".to_owned(), since: Timestamp::UNIX_EPOCH, command: "just".to_owned() }
}

fn by(guard: bool) -> KeptBy {
    KeptBy { owner: owner(), guard, copy: None, made: false }
}

#[test]
fn a_session_lives_as_long_as_somebody_holds_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = State::at(folder.path()).session(&key("p", "s"));
    assert_eq!(session.life("here", None), Life::Unowned);
    let first = session.hold(Some(&owner())).expect("a lock");
    let second = session.hold(None).expect("a lock");
    assert_eq!(session.life("here", None), Life::Alive);
    drop(first);
    assert_eq!(session.life("here", None), Life::Alive);
    drop(second);
    assert_eq!(session.life("here", None), Life::Dead);
    assert_eq!(session.life("elsewhere", None), Life::Unowned, "another machine's lock says nothing here");
    session.disown().expect("a note");
    assert_eq!(session.life("here", None), Life::Unowned);
}

#[test]
fn a_build_in_a_session_keeps_its_owner() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = State::at(folder.path());
    let session = state.session(&key("p", "s"));
    drop(session.hold(Some(&owner())).expect("a lock"));
    drop(session.hold(None).expect("a lock"));
    assert_eq!(session.owner(), Some(owner()));
    assert_eq!(state.sessions(), [(key("p", "s"), Some(owner()))]);
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
    assert_eq!(session.keepers(None).expect("a look").len(), 2);
    assert_eq!(session.keepers(Some(&keeper.name())).expect("a look"), std::slice::from_ref(&second));
    drop((hold, keeper));
    session.disown().expect("nothing to note");
    assert_eq!((session.owner(), session.life("here", None)), (Some(second.owner), Life::Alive));
    drop((other_hold, other_keeper));
    assert_eq!((session.keepers(None).expect("a look"), session.life("here", None)), (vec![], Life::Dead));
    session.disown().expect("a note");
    assert_eq!((session.owner(), session.life("here", None)), (None, Life::Unowned));
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
    assert_eq!(session.keepers(None).expect("a look"), []);
    assert!(!path.exists());
}

#[test]
fn a_session_that_is_left_for_a_look_is_not_dead_and_has_still_been_opened() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = State::at(folder.path()).session(&key("p", "s"));
    drop(session.open(&by(true)).expect("a lock"));
    session.leave_for_a_look(&owner()).expect("a note");
    assert_eq!((session.life("here", None), session.owner()), (Life::Unowned, Some(owner())));
    session.disown().expect("a note");
    assert_eq!(session.owner(), None);
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
        assert_eq!(session.ends_by_name().expect("a look"), !outside);
        drop(held);
    }
}

#[test]
fn a_session_that_is_ended_but_for_a_rest_is_dead_once_its_watcher_has_seen_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = State::at(folder.path()).session(&key("p", "s"));
    session.end_but_for_a_rest().expect("nothing to note");
    assert_eq!(session.owner(), None, "nobody had opened it");
    let (hold, keeper) = session.open(&by(false)).expect("a lock");
    assert!(!session.is_ended());
    session.end_but_for_a_rest().expect("a note");
    assert!(session.is_ended() && session.opened().is_some());
    drop((hold, keeper));
    assert_eq!(session.life("here", None), Life::Dead);
    assert!(!session.tell_once(), "nobody need hear that it was cut off");
    let again = session.open(&by(true)).expect("a lock");
    assert!(!session.is_ended());
    session.end_but_for_a_rest().expect("nothing to note");
    assert!(!session.is_ended(), "a guard keeps it open");
    drop(again);
}

#[test]
fn a_session_that_is_to_be_left_if_it_is_cut_off_is_not_dead_then() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = State::at(folder.path()).session(&key("p", "s"));
    let opened = session.open(&by(true)).expect("a lock");
    session.left_if_cut_off(true).expect("a note");
    assert_eq!(session.life("here", None), Life::Alive);
    drop(opened);
    assert_eq!((session.life("here", None), session.owner()), (Life::Unowned, Some(owner())));
    session.left_if_cut_off(false).expect("a note");
    assert_eq!(session.life("here", None), Life::Dead, "it was being cleaned");
}

#[test]
fn that_a_session_died_is_no_sign_of_life() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = State::at(folder.path()).session(&key("p", "s"));
    drop(session.hold(Some(&owner())).expect("a lock"));
    let long_ago = SystemTime::now() - std::time::Duration::from_secs(3600);
    File::options().append(true).open(session.path()).and_then(|file| file.set_modified(long_ago)).expect("a date");
    let before = session.last_beat();
    assert!(session.tell_once() && !session.tell_once());
    assert_eq!(session.last_beat(), before);
    session.beat();
    assert!(session.last_beat() > before);
}

#[test]
fn probes_do_not_take_each_other_for_life() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = State::at(folder.path()).session(&key("p", "s"));
    drop(session.hold(Some(&owner())).expect("a lock"));
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
        || state.openings().remove(&key("p", "s")).map(|opening| opening.copies.into_iter().collect::<Vec<_>>());
    let seen = || (session.life("here", None), session.owner().map(|owner| owner.command), session.last_beat());
    // Nobody had opened it.
    drop(session.open(&guard("make", "there")).expect("a lock"));
    session.put_back().expect("a note");
    assert_eq!(seen(), (Life::Unowned, None, None));
    // Its guard was killed an hour ago, and two others came and went.
    drop(session.open(&guard("just", "here")).expect("a lock"));
    let long_ago = SystemTime::now() - std::time::Duration::from_secs(3600);
    session.file().expect("a file").expect("a file").set_modified(long_ago).expect("a date");
    let (opened, dead) = (session.opened(), seen());
    assert_eq!((dead.0, copies()), (Life::Dead, Some(vec![name("here")])));
    let first = session.open(&guard("make", "there")).expect("a lock");
    let second = session.open(&guard("cargo", "yonder")).expect("a lock");
    assert_eq!(copies(), Some(["here", "there", "yonder"].map(name).to_vec()));
    drop(first);
    session.put_back().expect("nothing to note");
    assert_eq!(session.owner().map(|owner| owner.command).as_deref(), Some("cargo"), "somebody has it open");
    drop(second);
    session.put_back().expect("a note");
    assert_eq!((seen(), session.opened(), copies()), (dead, opened, Some(vec![name("here")])));
    // One that was left for a look stays that.
    session.leave_for_a_look(&owner()).expect("a note");
    drop(session.open(&guard("make", "there")).expect("a lock"));
    session.put_back().expect("a note");
    assert_eq!(
        (session.life("here", None), session.owner(), copies()),
        (Life::Unowned, Some(owner()), Some(vec![name("here")]))
    );
    // Whoever may end it ends it.
    drop(session.open(&guard("just", "here")).expect("a lock"));
    session.disown().expect("a note");
    assert_eq!((session.life("here", None), session.owner()), (Life::Unowned, None));
}

#[test]
fn a_session_is_dead_on_the_engines_alone_that_it_was_opened_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let session = State::at(folder.path()).session(&key("p", "s"));
    let lives = |engines: [Option<&str>; 3]| engines.map(|engine| session.life("here", engine));
    let engines = [Some("one"), Some("two"), None];
    session.is_on("three").expect("nobody opened it");
    let first = session.open(&by(true)).expect("a lock");
    assert!(!session.is_elsewhere(Some("two")) && !session.is_elsewhere(None), "nobody has said where");
    session.is_on("one").expect("a note");
    assert!(!session.is_elsewhere(Some("one")) && session.is_elsewhere(Some("two")) && session.is_elsewhere(None));
    // A second guard that opens it meanwhile may be at work on another.
    let second = session.open(&by(true)).expect("a lock");
    drop(first);
    assert_eq!(lives(engines), [Life::Alive; 3]);
    drop(second);
    assert_eq!(lives(engines), [Life::Dead, Life::Unowned, Life::Unowned]);
    // Whoever opens it anew may do so elsewhere.
    drop(session.open(&by(true)).expect("a lock"));
    assert_eq!(lives(engines), [Life::Dead; 3]);
    session.is_on("two").expect("a note");
    session.disown().expect("a note");
    assert!(!session.is_elsewhere(Some("one")), "it is over");
}

use super::*;
use crate::model::ShownImage;
use crate::model::books_tests::{id, key};

fn intent(build: &str) -> Intent {
    Intent {
        tags: vec![Reference::written("app").expect("a name")],
        key: "k".to_owned(),
        stamp: key("p", "s").into(),
        classic: true,
        ..Intent::new(BuildId::parse(build).expect("an ID"), key("p", "s"), Timestamp::UNIX_EPOCH)
    }
}

/// A dkb of another version may have begun the build that this one finishes.
#[test]
fn what_a_build_means_to_do_is_written_and_read_as_ever() {
    let full = Intent { ci: true, slot: Name::derived("runner"), copy: Name::derived("local-1"), ..intent("18a-7") };
    let rest = r#""stamp":{"project":"p","session":"s"},"classic":true,"tilt":false"#;
    let head = r#""build":"18a-7","project":"p","session":"s","started":"1970-01-01T00:00:00Z","tags":["app:latest"]"#;
    let written = format!(r#"{{{head},"key":"k",{rest},"ci":true,"slot":"runner","copy":"local-1","socket":null}}"#);
    assert_eq!(serde_json::to_string(&full).expect("plain data"), written);
    assert_eq!(serde_json::from_str::<Intent>(&written).expect("an intent"), full);
    let of_compose = Intent { compose: Name::derived("dev"), ..full };
    let written = written.replace(r#""socket":null"#, r#""socket":null,"compose":"dev""#);
    assert_eq!(serde_json::to_string(&of_compose).expect("plain data"), written);
    assert_eq!(serde_json::from_str::<Intent>(&written).expect("an intent"), of_compose);
}

#[test]
fn a_build_that_was_cut_off_is_found_with_all_that_was_seen_of_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = State::at(folder.path());
    let running = state.begin(&intent("1")).expect("a build");
    let tag = Reference::written("app").expect("a name");
    let image = ShownImage { id: "0123456789ab".to_owned(), stage: 1, step: 2, base: false, cached: true, ran: None };
    let mut journal = running.journal().expect("a journal");
    journal.note_engine("engine", Timestamp::UNIX_EPOCH);
    journal.note_before(&tag, id(7));
    journal.note_shown(ShownLine::Image(image.clone()));
    journal.note_shown(ShownLine::Step(1, 3));
    journal.note_shown(ShownLine::Ran("ba9876543210".to_owned()));
    fs::write(running.iidfile(), id(1).to_string()).expect("docker's file");
    assert!(state.unfinished()[0].still_runs());
    drop(running);
    let found = state.unfinished().pop().expect("the build");
    assert!(!found.still_runs());
    assert_eq!(found.intent, intent("1"));
    assert_eq!(found.engine, Some(("engine".to_owned(), Timestamp::UNIX_EPOCH)));
    assert_eq!(found.before, [(tag, id(7))]);
    assert_eq!(found.shown, Shown { images: vec![image], stage: 1, step: 3, ran: Some("ba9876543210".to_owned()) });
    assert_eq!(found.result, Some(id(1)));
    assert!(state.unfinished()[0].still_runs(), "only one dkb at a time finishes its books");
    found.finish();
    assert!(state.unfinished().is_empty());
}

/// A dkb of another version may have seen the build that this one finishes.
#[test]
fn what_was_shown_is_written_as_ever() {
    let image = ShownImage { id: "0123456789ab".to_owned(), stage: 1, step: 2, base: false, cached: true, ran: None };
    for (line, written) in [
        (ShownLine::Step(1, 3), r#"{"step":[1,3]}"#),
        (ShownLine::Ran("ba9876543210".to_owned()), r#"{"ran":"ba9876543210"}"#),
        (ShownLine::Image(image), r#"{"image":{"id":"0123456789ab","step":2,"stage":1,"cached":true}}"#),
    ] {
        assert_eq!(serde_json::to_string(&BuildNote::Shown(line)).expect("plain data"), written);
        assert!(matches!(serde_json::from_str(written), Ok(BuildNote::Shown(_))), "{written}");
    }
    assert!(matches!(serde_json::from_str(r#"{"all":[]}"#), Ok(BuildNote::All(_))));
    assert!(serde_json::from_str::<BuildNote>(r#"{"step":[1]}"#).is_err());
}

#[test]
fn a_build_that_ended_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = State::at(folder.path());
    state.begin(&intent("1")).expect("a build").finish();
    assert!(state.unfinished().is_empty());
}

#[test]
fn an_image_ends_what_its_container_ran_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = State::at(folder.path());
    let running = state.begin(&intent("1")).expect("a build");
    let mut journal = running.journal().expect("a journal");
    let container = Some("ba9876543210".to_owned());
    let image =
        ShownImage { id: "0123456789ab".to_owned(), stage: 1, step: 2, base: false, cached: false, ran: container };
    journal.note_shown(ShownLine::Ran("ba9876543210".to_owned()));
    journal.note_shown(ShownLine::Image(image.clone()));
    drop(running);
    let found = state.unfinished().pop().expect("the build");
    assert_eq!((found.shown.ran, found.shown.images), (None, vec![image]));
}

#[test]
fn a_folder_without_an_intent_is_given_a_minute() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = folder.path().join("builds/1");
    fs::create_dir_all(&made).expect("a folder");
    File::create(made.join("lock")).expect("a file");
    let state = State::at(folder.path());
    assert!(state.unfinished().is_empty() && made.exists(), "somebody may be making it");
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(90);
    File::open(&made).and_then(|folder| folder.set_modified(old)).expect("a time");
    assert!(state.unfinished().is_empty() && !made.exists());
}

#[test]
fn nobody_ends_a_build_that_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = State::at(folder.path());
    let _running = state.begin(&intent("1")).expect("a build");
    state.unfinished().into_iter().for_each(Unfinished::finish);
    assert!(state.unfinished()[0].still_runs());
}

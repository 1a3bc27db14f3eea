use std::fs;

use super::*;
use crate::ledger::State;
use crate::model::books_tests::{any_record, build, id, key, numbered};
use crate::model::{Build, Reference, SessionEntry, Taken};

fn ledger() -> (tempfile::TempDir, Ledger) {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = State::at(folder.path()).ledger("engine");
    (folder, ledger)
}

#[test]
fn what_was_never_written_says_nothing() {
    let (_folder, ledger) = ledger();
    assert_eq!(ledger.read(), Ok((Books::default(), 0)));
}

#[test]
fn a_torn_last_line_costs_that_line_only() {
    let (_folder, ledger) = ledger();
    let of = key("p", "s");
    ledger.append(&[Record::Build(build("1", &of, 1, &[]))]).expect("a note");
    let whole = fs::read(ledger.path()).expect("the file");
    ledger.append(&[Record::Build(build("2", &of, 2, &[]))]).expect("a note");
    let all = fs::read(ledger.path()).expect("the file");
    for cut in whole.len()..all.len() {
        fs::write(ledger.path(), &all[..cut]).expect("a torn file");
        ledger.append(&[Record::Build(build("3", &of, 3, &[]))]).expect("a note");
        let (books, _) = ledger.read().expect("the ledger");
        assert!(books.has(id(1)) && books.has(id(3)), "cut at {cut}");
    }
}

#[test]
fn damage_is_counted_and_never_adds_a_record() {
    let (_folder, ledger) = ledger();
    ledger.append(&[Record::Build(build("1", &key("p", "s"), 1, &[]))]).expect("a note");
    let mut bytes = fs::read(ledger.path()).expect("the file");
    bytes.extend_from_slice(b"{\"t\":\"build\"}\n\xff\xfe\n{\"t\":\"unheard-of\"}\n\n");
    fs::write(ledger.path(), bytes).expect("a damaged file");
    let (books, damaged) = ledger.read().expect("the ledger");
    assert_eq!((books.builds.len(), damaged), (1, 3));
}

/// What makes a line unreadable, and whether it puts in doubt what stands before it.
#[test]
fn a_line_that_was_written_and_can_t_be_read_is_no_torn_one() {
    let of = key("p", "s");
    let gone = line(&Record::Gone { at: jiff::Timestamp::UNIX_EPOCH, ids: vec![id(1)] });
    let of_build = line(&Record::Build(Build {
        took: vec![Taken::new(Reference::written("app").expect("a name"), id(9))],
        home: Some("here".to_owned()),
        ..build("2", &of, 2, &[3])
    }));
    let doubts = |middle: &[u8]| {
        let (_folder, ledger) = ledger();
        ledger.append(&[Record::Build(build("1", &of, 1, &[]))]).expect("a note");
        let before = fs::read(ledger.path()).expect("the file");
        fs::write(ledger.path(), [&before, middle].concat()).expect("damage");
        let behind = ledger.read().expect("the ledger").0.is_doubted(id(1));
        ledger.append(&[Record::Build(build("3", &of, 3, &[]))]).expect("a note");
        let (books, damaged) = ledger.read().expect("the ledger");
        assert!(!books.is_doubted(id(3)) && books.damaged == (damaged > 0) && behind == books.is_doubted(id(1)));
        books.has(id(1)).then_some(behind)
    };
    // Whoever wrote it was killed in the middle, or the machine lost its power before any of it was on disk.
    for text in [&gone, &of_build] {
        for cut in 0..text.trim_end().len() {
            let torn = !text[..cut].ends_with('}');
            assert_eq!(doubts(&text.as_bytes()[..cut]), Some(!torn), "cut at {cut}");
            // Nobody writes behind half a line, so there it was damaged.
            let middle = [&text.as_bytes()[..cut], b"\n"].concat();
            assert_eq!(doubts(&middle), Some(cut > 0), "cut at {cut} in the middle");
        }
    }
    assert_eq!(doubts(gone.as_bytes()), None);
    assert_eq!(doubts(&vec![0; gone.len()]), Some(true));
    // Each of its letters in turn is another one; what can still be read says what it then says.
    let unreadable =
        |text: &[u8]| std::str::from_utf8(text).map_or(true, |text| serde_json::from_str::<Record>(text).is_err());
    for at in 0..gone.trim_end().len() {
        for other in *b"#x\0\xff\"" {
            let mut text = gone.clone().into_bytes();
            text[at] = other;
            if unreadable(&text) {
                assert_eq!(doubts(&text), Some(true), "{}", String::from_utf8_lossy(&text));
            }
        }
    }
}

#[test]
fn a_ledger_that_is_written_anew_is_as_sure_as_before() {
    let (_folder, ledger) = ledger();
    let of = key("p", "s");
    ledger.append(&[Record::Build(build("1", &of, 1, &[]))]).expect("a note");
    let whole = fs::read(ledger.path()).expect("the file");
    fs::write(ledger.path(), [&whole, &b"{\"t\":\"unheard-of\"}\n"[..]].concat()).expect("damage");
    let long = || {
        for _ in 0..4000 {
            ledger.append(&[Record::Build(build("again", &of, 2, &[]))]).expect("a note");
        }
        assert!(fs::metadata(ledger.path()).expect("the file").len() < 2 * COMPACT_FROM);
        let (books, damaged) = ledger.read().expect("the ledger");
        ([1, 2].map(|n| books.is_doubted(id(n))), books.damaged, damaged)
    };
    for _ in 0..2 {
        assert_eq!(long(), ([true, false], true, 0), "nothing is left that can't be read");
    }
}

#[test]
fn without_its_first_line_a_ledger_may_be_a_copy() {
    let (_folder, ledger) = ledger();
    ledger.append(&[Record::Build(build("1", &key("p", "s"), 1, &[]))]).expect("a note");
    let text = fs::read_to_string(ledger.path()).expect("the file");
    fs::write(ledger.path(), text.replacen("\"t\"", "\"x\"", 1)).expect("damage");
    let (books, damaged) = ledger.read().expect("the ledger");
    assert_eq!((books.copied, books.is_doubted(id(1)), damaged), (true, false, 1));
}

#[test]
fn a_newer_ledger_is_neither_read_nor_written() {
    let (_folder, ledger) = ledger();
    fs::create_dir_all(ledger.path().parent().expect("a folder")).expect("a folder");
    let newer = "{\"t\":\"ledger\",\"v\":2,\"engine\":\"engine\",\"more\":1}\n";
    fs::write(ledger.path(), newer).expect("a file");
    assert!(ledger.read().is_err());
    assert!(ledger.append(&[Record::Build(build("1", &key("p", "s"), 1, &[]))]).is_err());
    assert_eq!(fs::read_to_string(ledger.path()).expect("the file"), newer);
}

#[test]
fn the_ledger_of_another_engine_is_refused() {
    let (folder, ledger) = ledger();
    let other = State::at(folder.path()).ledger("other");
    other.append(&[Record::Build(build("1", &key("p", "s"), 1, &[]))]).expect("a note");
    fs::create_dir_all(ledger.path().parent().expect("a folder")).expect("a folder");
    fs::copy(other.path(), ledger.path()).expect("a copy");
    assert!(ledger.read().is_err());
}

#[test]
fn a_copy_knows_that_it_is_one() {
    let (folder, ledger) = ledger();
    ledger.append(&[Record::Build(build("1", &key("p", "s"), 1, &[]))]).expect("a note");
    assert!(!ledger.read().expect("the ledger").0.copied);
    let saved = folder.path().join("saved");
    fs::copy(ledger.path(), &saved).expect("a copy");
    fs::rename(&saved, ledger.path()).expect("the copy in its place");
    ledger.append(&[Record::Build(build("2", &key("p", "s"), 2, &[]))]).expect("a note");
    let (books, _) = ledger.read().expect("the ledger");
    assert!(books.copied && books.images().count() == 2);
}

#[test]
fn each_ledger_has_an_id_of_its_own_for_good_and_a_copy_another() {
    let (folder, ledger) = ledger();
    let of = key("p", "s");
    let first = ledger.id().expect("an ID");
    assert_ne!(State::at(folder.path()).ledger("other").id().expect("an ID"), first);
    let long = |ledger: &Ledger| {
        for n in 0..4000 {
            ledger.append(&[Record::Build(build(&n.to_string(), &of, 1, &[2]))]).expect("a note");
        }
        assert!(fs::metadata(ledger.path()).expect("the file").len() < 2 * COMPACT_FROM);
    };
    long(&ledger);
    assert_eq!(ledger.id().as_ref(), Ok(&first), "written anew");

    let saved = folder.path().join("saved");
    fs::copy(ledger.path(), &saved).expect("a copy");
    fs::rename(&saved, ledger.path()).expect("the copy in its place");
    assert_eq!(ledger.read().expect("the ledger").0.id, None);
    let second = ledger.id().expect("an ID");
    assert_ne!(second, first);
    long(&ledger);
    let (books, _) = ledger.read().expect("the ledger");
    assert_eq!((books.copied, books.id), (true, Some(second)));
}

#[test]
fn those_who_make_up_its_id_at_once_come_to_the_same() {
    let (_folder, ledger) = ledger();
    let ids: Vec<_> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..8).map(|_| scope.spawn(|| ledger.id().expect("an ID"))).collect();
        all.into_iter().map(|one| one.join().expect("an ID")).collect()
    });
    assert!(ids.windows(2).all(|pair| pair[0] == pair[1]), "{ids:?}");
}

#[test]
fn compaction_keeps_what_is_and_which_sessions_were() {
    let (_folder, ledger) = ledger();
    let (past, now) = (key("p", "past"), key("p", "now"));
    ledger.append(&[Record::Build(build("0", &past, 9, &[]))]).expect("a note");
    ledger.append(&[Record::Gone { at: jiff::Timestamp::UNIX_EPOCH, ids: vec![id(9)] }]).expect("a note");
    let mut longest = 0;
    for n in 0..4000 {
        ledger.append(&[Record::Build(build("again", &now, 1, &[2]))]).expect("a note");
        let length = fs::metadata(ledger.path()).expect("the file").len();
        assert!(length < 2 * COMPACT_FROM, "after {n}: {length}");
        longest = longest.max(length);
    }
    assert!(longest > fs::metadata(ledger.path()).expect("the file").len(), "it never got shorter");
    let (books, damaged) = ledger.read().expect("the ledger");
    assert_eq!(damaged, 0);
    assert_eq!(books.images().count(), 2);
    assert!(books.sessions.contains_key(&past) && books.sessions.contains_key(&now));
}

#[test]
fn what_has_been_written_anew_is_not_again_at_each_look() {
    let (_folder, ledger) = ledger();
    let tag = |n| Reference::written(&format!("registry.example/somebody/something:{n}")).expect("a name");
    let build = |n: u32| Build { tags: vec![tag(n)], ..build(&n.to_string(), &key("p", "s"), 1, &[]) };
    let builds: Vec<Record> = (0..60_000).map(|n| Record::Build(build(n))).collect();
    ledger.append(&builds).expect("a note");
    let written = || (number(&fs::File::open(ledger.path()).expect("the file")), ledger.read().expect("the ledger"));
    let ((first, books), (second, same)) = (written(), written());
    assert!(books == same && first == second && fs::read_to_string(ledger.path()).expect("it").contains("\"more\""));
}

#[test]
fn many_writers_lose_nothing() {
    let (_folder, ledger) = ledger();
    let of = key("p", "s");
    std::thread::scope(|scope| {
        for n in 0..50 {
            let (ledger, of) = (&ledger, &of);
            scope.spawn(move || {
                ledger.append(&[Record::Build(build(&n.to_string(), of, n + 1, &[]))]).expect("a note");
            });
        }
    });
    let (books, damaged) = ledger.read().expect("the ledger");
    assert_eq!((books.builds.len(), damaged), (50, 0));
}

proptest::proptest! {
    #[test]
    fn what_can_be_written_can_be_read(
        records in proptest::collection::vec(any_record(), 0..12), longest in 400_usize..2000,
    ) {
        let mut written = Tally::default();
        records.iter().cloned().for_each(|record| written.count(record));
        let mut read = Tally::default();
        for line in lines(&records, longest).expect("lines").lines() {
            proptest::prop_assert!(line.len() < longest, "{}", line);
            read.count(serde_json::from_str(line).expect("a record"));
        }
        proptest::prop_assert_eq!(read.books(), written.books());
    }
}

/// Each of these takes more than one line.
#[test]
fn nothing_is_too_long_to_be_read_again() {
    let of = key("p", "s");
    let tag = |n: u32| Reference::written(&format!("registry.example.com/team/app:{n}")).expect("a name");
    let taken = |n| Taken::new(tag(n), numbered(1_000_000 + n));
    let steps = Build { steps: (0..20_000).map(numbered).collect(), ..build("steps", &of, 1, &[]) };
    let tags = Build { tags: (0..32_000).map(tag).collect(), ..build("tags", &of, 2, &[]) };
    let took = Build { took: (0..12_000).map(taken).collect(), ..build("took", &of, 3, &[]) };
    let session = SessionEntry {
        ci: true,
        took: (0..12_000).map(taken).collect(),
        held: (0..20_000).map(numbered).collect(),
        ..SessionEntry::new(key("p", "other"), jiff::Timestamp::UNIX_EPOCH)
    };
    let (_folder, ledger) = ledger();
    for record in [Record::Build(steps.clone()), Record::Build(tags), Record::Build(took), Record::Session(session)] {
        assert!(line(&record).len() > LONGEST_LINE);
        let before = fs::metadata(ledger.path()).map_or(0, |file| file.len());
        ledger.append(&[record]).expect("a note");
        assert!(fs::metadata(ledger.path()).expect("the file").len() > before);
    }
    let (books, damaged) = ledger.read().expect("the ledger");
    assert_eq!(damaged, 0);
    assert_eq!(books.builds.iter().find(|build| build.build.as_str() == "steps").expect("it").steps, steps.steps);
    assert_eq!(books.builds.iter().find(|build| build.build.as_str() == "tags").expect("it").tags.len(), 32_000);
    assert_eq!(books.sessions[&of].took.len(), 12_000);
    assert_eq!(books.sessions[&key("p", "other")].took.len(), 12_000);

    let gone = Record::Gone { at: jiff::Timestamp::UNIX_EPOCH, ids: steps.steps };
    ledger.append(&[gone]).expect("a note");
    let (books, damaged) = ledger.read().expect("the ledger");
    assert_eq!((books.images().count(), damaged), (3, 0));
    let long = Record::Build(Build { key: "k".repeat(LONGEST_LINE), ..build("4", &of, 4, &[]) });
    assert!(ledger.append(&[long]).is_err(), "what can't be parted is not written");
    assert_eq!(ledger.read(), Ok((books, 0)));
}

/// Before lines had a limit, one could be longer.
#[test]
fn a_line_that_an_older_dkb_wrote_too_long_ends_records_all_the_same() {
    let (_folder, ledger) = ledger();
    let steps: Vec<_> = (0..20_000).map(numbered).collect();
    ledger.append(&[Record::Build(Build { steps, ..build("1", &key("p", "s"), 1, &[]) })]).expect("a note");
    let gone = line(&Record::Gone { at: jiff::Timestamp::UNIX_EPOCH, ids: (0..20_000).map(numbered).collect() });
    assert!(gone.len() > LONGEST_LINE);
    let mut text = fs::read(ledger.path()).expect("the file");
    text.extend(gone.as_bytes());
    fs::write(ledger.path(), text).expect("an older ledger");
    let (books, damaged) = ledger.read().expect("the ledger");
    assert_eq!((books.images().count(), damaged), (1, 0));
}

/// The limit is generous: what is quadratic takes minutes.
#[test]
fn one_image_that_gets_a_new_tag_with_every_build_is_read_in_no_time() {
    let (_folder, ledger) = ledger();
    let of = key("p", "s");
    let tag = |n: u32| Reference::written(&format!("app:{n}")).expect("a name");
    let records: Vec<_> = (0..20_000)
        .map(|n| Record::Build(Build { tags: vec![tag(n)], ..build(&n.to_string(), &of, 1, &[2]) }))
        .collect();
    let began = std::time::Instant::now();
    ledger.append(&records).expect("a note");
    // Two at once, neither of which waits in vain for the other.
    std::thread::scope(|scope| {
        for n in 0..2 {
            let (ledger, of) = (&ledger, &of);
            scope.spawn(move || {
                assert!(ledger.read().expect("the ledger").1 == 0);
                ledger.append(&[Record::Build(build(&format!("more {n}"), of, 3 + n, &[]))]).expect("a note");
            });
        }
    });
    let (books, _) = ledger.read().expect("the ledger");
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    assert_eq!((books.builds.len(), books.builds[0].tags.len()), (3, 20_000));
    assert_eq!(books.images().count(), 4);
}

#[test]
fn whoever_reads_a_ledger_of_what_is_past_leaves_a_short_one() {
    let (_folder, ledger) = ledger();
    let of = key("p", "s");
    let mut text = line(&Record::Ledger { v: VERSION, engine: "engine".to_owned(), file: None, id: None, whole: None });
    for n in 0..2000 {
        text += &line(&Record::Build(build(&n.to_string(), &of, 1, &[])));
    }
    ledger.append(&[Record::Build(build("1", &of, 1, &[]))]).expect("a note");
    fs::write(ledger.path(), &text).expect("a long ledger");
    let read = ledger.read().expect("the ledger");
    assert!(fs::metadata(ledger.path()).expect("the file").len() < text.len() as u64 / 100);
    assert_eq!(ledger.read(), Ok(read));
}

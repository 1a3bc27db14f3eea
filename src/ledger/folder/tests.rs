use std::os::unix::fs::{chown, symlink};

use super::*;

const ME: u32 = 1000;

fn facts(kind: FileKind, owner: u32, group: u32, mode: u32) -> FileFacts {
    FileFacts { kind, owner, group, mode, names: 1 }
}

#[test]
fn a_state_folder_is_ours_alone_or_a_groups_on_purpose() {
    let private = Ok(Access::Private);
    let refused = |why: &str| Err(Distrust::Rights(why.to_owned()));
    for (owner, group, mode, verdict) in [
        (ME, 100, 0o700, private.clone()),
        (ME, 100, 0o755, private.clone()),
        // The umask 002 of those who have a group of their own.
        (ME, ME, 0o775, private.clone()),
        (ME, 100, 0o775, refused("group 100 may write to it")),
        (ME, 100, 0o777, refused("everybody may write to it")),
        (ME, ME, 0o1777, refused("everybody may write to it")),
        (0, 0, 0o700, refused("it belongs to another user, number 0")),
        (7, ME, 0o755, refused("it belongs to another user, number 7")),
        // Setgid alone is how a folder comes out of one that a group shares.
        (ME, 100, 0o2755, private.clone()),
        (ME, 100, 0o2770, Ok(Access::Group)),
        (0, 100, 0o2770, Ok(Access::Group)),
        (0, 100, 0o2775, Ok(Access::Group)),
        (0, 100, 0o2777, refused("everybody may write to it")),
        (ME, 100, 0o2777, refused("everybody may write to it")),
    ] {
        let root = facts(FileKind::Folder, owner, group, mode);
        assert_eq!(judge_root(root, ME, &[100]), verdict, "{owner}:{group} {mode:o}");
    }
    assert!(judge_root(facts(FileKind::File, ME, 100, 0o2770), ME, &[100]).is_err());
    // Root may do everything, and for that very reason uses nobody else's: what it left there nobody else could use.
    assert!(judge_root(facts(FileKind::Folder, ME, ME, 0o700), 0, &[0]).is_err());
    // Neither does setgid make it a group's that only its owner is in.
    assert!(judge_root(facts(FileKind::Folder, 7, 7, 0o2770), 0, &[0]).is_err());
    assert_eq!(judge_root(facts(FileKind::Folder, 7, 7, 0o2770), ME, &[7]), Ok(Access::Group));
}

#[test]
fn rights_are_the_cure_only_where_they_are_what_is_wrong() {
    let place = tempfile::tempdir().expect("a folder");
    let (file, open) = (place.path().join("file"), place.path().join("open"));
    fs::write(&file, b"").expect("a file");
    fs::create_dir(&open).expect("a folder");
    set(&open, 0o777);
    let next = |root: &Path| Folder::at(root.to_owned()).look().expect_err("refused").next().map(str::to_owned);
    let (of_file, of_open) = (next(&file).expect("a hint"), next(&open).expect("a hint"));
    assert_eq!(of_file, "point DKB_STATE_DIR at a folder of your own");
    assert!(of_open.contains("chmod -R go-w"), "{of_open}");
}

#[test]
fn what_lies_in_it_is_of_its_kind_and_nobody_elses() {
    use Access::{Group, Private};
    for (access, kind, owner, group, mode, fine) in [
        (Private, FileKind::File, ME, 100, 0o600, true),
        (Private, FileKind::File, ME, 100, 0o644, true),
        (Private, FileKind::File, ME, ME, 0o664, true),
        (Private, FileKind::File, ME, 100, 0o664, false),
        (Private, FileKind::File, ME, 100, 0o666, false),
        (Private, FileKind::File, 0, 100, 0o600, false),
        (Private, FileKind::Link, ME, 100, 0o777, false),
        (Private, FileKind::Folder, ME, 100, 0o700, false),
        (Private, FileKind::Other, ME, 100, 0o600, false),
        (Group, FileKind::File, 7, 100, 0o660, true),
        (Group, FileKind::File, 7, 100, 0o640, true),
        (Group, FileKind::File, 7, 100, 0o666, false),
        (Group, FileKind::Link, ME, 100, 0o777, false),
    ] {
        let verdict = judge(facts(kind, owner, group, mode), FileKind::File, ME, access);
        assert_eq!(verdict.is_ok(), fine, "{access:?} {kind:?} {owner}:{group} {mode:o}: {verdict:?}");
    }
    // A hard link to a file elsewhere, which one of a group could have made.
    let linked = FileFacts { names: 2, ..facts(FileKind::File, 7, 100, 0o660) };
    assert!(judge(linked, FileKind::File, ME, Group).is_err());
    assert!(
        judge(FileFacts { owner: ME, mode: 0o600, ..linked }, FileKind::File, ME, Private).is_ok(),
        "a backup by hard links"
    );
}

fn mode(path: impl AsRef<Path>) -> u32 {
    fs::symlink_metadata(path).expect("a thing").mode() & 0o7777
}

fn set(path: impl AsRef<Path>, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
}

/// A state folder in a folder that is there for the test, with one note in it.
fn noted() -> (tempfile::TempDir, Folder) {
    let place = tempfile::tempdir().expect("a folder");
    let folder = Folder::at(place.path().join("state")).join("engines").join("one");
    folder.write("note", b"old").expect("a note");
    (place, folder)
}

#[test]
fn what_is_made_is_private() {
    let (place, folder) = noted();
    drop(folder.open_or_create("lock").expect("a lock"));
    folder.replace("ledger", |file| file.write_all(b"x")).expect("a file");
    for below in ["state", "state/engines", "state/engines/one"] {
        assert_eq!(mode(place.path().join(below)), 0o700, "{below}");
    }
    for name in ["note", "lock", "ledger"] {
        assert_eq!(mode(folder.path().join(name)), 0o600, "{name}");
    }
}

#[test]
fn what_an_older_dkb_left_open_for_reading_is_closed() {
    let (place, folder) = noted();
    let parts = ["state", "state/engines", "state/engines/one"].map(|below| place.path().join(below));
    for part in &parts {
        set(part, 0o755);
    }
    set(folder.path().join("note"), 0o644);
    assert_eq!(folder.read("note").expect("a note"), Some(b"old".to_vec()));
    assert_eq!(parts.map(mode), [0o700; 3]);
    assert_eq!(mode(folder.path().join("note")), 0o600);
}

#[test]
fn a_folder_that_holds_more_than_dkbs_notes_keeps_its_mode() {
    let (place, folder) = noted();
    let root = place.path().join("state");
    fs::write(root.join("index.html"), "").expect("a file");
    set(&root, 0o755);
    set(root.join("engines"), 0o755);
    folder.write("note", b"new").expect("a note");
    assert_eq!((mode(&root), mode(root.join("engines"))), (0o755, 0o700));
}

#[test]
fn what_others_may_write_to_is_refused_and_left_as_it_is() {
    let (place, folder) = noted();
    for below in ["state", "state/engines", "state/engines/one", "state/engines/one/note"] {
        let path = place.path().join(below);
        let before = mode(&path);
        set(&path, 0o777);
        for answer in [folder.read("note").map(|_| ()), folder.write("note", b"new")] {
            let why = answer.expect_err(below).to_string();
            assert!(why.contains("everybody may write to it"), "{below}: {why}");
        }
        assert_eq!(mode(&path), 0o777);
        set(&path, before);
    }
    assert_eq!(folder.read("note").expect("a note"), Some(b"old".to_vec()));
}

#[test]
fn no_link_is_followed_but_the_one_to_the_state_folder_itself() {
    let (place, folder) = noted();
    let aside = place.path().join("aside");
    fs::write(&aside, "precious").expect("a file");
    fs::remove_file(folder.path().join("note")).expect("no note");
    for target in [&aside, &place.path().join("nowhere")] {
        symlink(target, folder.path().join("note")).expect("a link");
        assert!(folder.open("note").is_err() && folder.write("note", b"x").is_err());
        assert!(folder.open_or_create("note").expect_err("a link").to_string().contains("it is a link"));
        fs::remove_file(folder.path().join("note")).expect("the link");
    }
    assert_eq!(fs::read_to_string(&aside).expect("a file"), "precious");
    assert!(!place.path().join("nowhere").exists());

    let moved = place.path().join("moved");
    fs::rename(folder.path(), &moved).expect("a folder elsewhere");
    symlink(&moved, folder.path()).expect("a link");
    assert!(folder.look().is_err() && folder.names().is_empty());

    let home = place.path().join("home");
    symlink(place.path().join("state"), &home).expect("a link");
    assert!(Folder::at(home).join("sessions").write("note", b"x").is_ok());
}

#[test]
fn a_pipe_or_a_folder_in_the_place_of_a_file_is_refused_at_once() {
    let (_place, folder) = noted();
    let made = std::process::Command::new("mkfifo").arg(folder.path().join("pipe")).status().expect("mkfifo");
    assert!(made.success());
    fs::create_dir(folder.path().join("folder")).expect("a folder");
    for name in ["pipe", "folder"] {
        assert!(folder.read(name).is_err() && folder.write(name, b"x").is_err(), "{name}");
        assert!(folder.open_or_create(name).is_err(), "{name}");
    }
}

#[test]
fn a_group_shares_what_is_set_up_for_it() {
    let place = tempfile::tempdir().expect("a folder");
    let root = place.path().join("state");
    fs::create_dir(&root).expect("a folder");
    set(&root, 0o2770);
    let folder = Folder::at(root.clone()).join("engines");
    folder.write("note", b"x").expect("a note");
    folder.replace("ledger", |file| file.write_all(b"x")).expect("a file");
    drop(folder.open_or_create("lock").expect("a lock"));
    assert_eq!((mode(&root), mode(folder.path())), (0o2770, 0o2770));
    for name in ["note", "ledger", "lock"] {
        assert_eq!(mode(folder.path().join(name)), 0o660, "{name}");
    }
}

/// Only root can give something away.
#[test]
fn what_belongs_to_another_user_is_refused_unless_a_group_shares_it() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let (place, folder) = noted();
    for below in ["state", "state/engines", "state/engines/one/note"] {
        let path = place.path().join(below);
        chown(&path, Some(1234), None).expect("another owner");
        let why = folder.write("note", b"new").expect_err(below).to_string();
        assert!(why.contains("it belongs to another user, number 1234"), "{below}: {why}");
        chown(&path, Some(0), None).expect("the owner");
    }
    let root = place.path().join("state");
    let belongs_to = |group| {
        for below in ["", "engines", "engines/one", "engines/one/note"] {
            chown(root.join(below), Some(1234), Some(group)).expect("another owner");
        }
        set(&root, 0o2770);
    };
    belongs_to(1234);
    folder.write("note", b"new").expect_err("a group that only its owner may be in");
    belongs_to(rustix::process::getegid().as_raw());
    assert!(folder.write("note", b"new").is_ok());
}

#[test]
fn what_is_larger_than_any_note_is_refused_unread() {
    let (_place, folder) = noted();
    let file = folder.open_or_create("note").expect("a file");
    file.set_len(LARGEST + 1).expect("a hole");
    let error = folder.read("note").expect_err("too large").to_string();
    assert!(error.contains("larger than anything that dkb writes"), "{error}");
    file.set_len(LARGEST).expect("a hole");
    assert_eq!(folder.read("note").expect("a note").map(|text| text.len() as u64), Some(LARGEST));
}

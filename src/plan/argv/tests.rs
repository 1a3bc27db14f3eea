mod lines;

use std::path::PathBuf;

use super::*;
use crate::model::Name;

fn words(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(OsString::from).collect()
}

fn docker(line: &str) -> BuildWords {
    read(Tool::Docker, &words(line))
}

fn stamp() -> Stamp {
    Stamp { project: Name::typed("me/app").ok(), session: Name::typed("local-1").ok() }
}

fn plain() -> Spelling {
    Spelling::read(&words("build")).expect("a spelling").0
}

fn injected(line: &str, injection: &Injection<'_>) -> String {
    let argv = inject(&plain(), &docker(line), injection);
    argv.iter().map(|word| word.to_str().expect("UTF-8")).collect::<Vec<_>>().join(" ")
}

#[test]
fn dkbs_words_stand_right_behind_build() {
    let stamp = stamp();
    let file = PathBuf::from("/tmp/id");
    let injection = Injection { id_file: Some(&file), ..Injection::of(&stamp) };
    assert_eq!(
        injected("-t x .", &injection),
        "build --rm --force-rm --label dev.dkb.project=me/app --label dev.dkb.session=local-1 --iidfile /tmp/id -t x ."
    );
    let project = Stamp { session: None, ..stamp };
    let injection = Injection::of(&project);
    assert_eq!(injected(".", &injection), "build --rm --force-rm --label dev.dkb.project=me/app .");
    let injection = Injection { stamp: &Stamp::default(), ..injection };
    assert_eq!(injected("--nonsense .", &injection), "build --rm --force-rm --nonsense .");
    assert_eq!(injected("--rm=false .", &injection), "build --rm --rm=false .");
    assert_eq!(injected("--rm=false --rm .", &injection), "build --rm --force-rm --rm=false --rm .");
}

/// Each line as pflag reads it, checked against the real docker 20.10 and 28.5.
#[test]
fn tags_are_read_in_every_shape() {
    for (line, tags) in [
        ("-t x .", "x"),
        ("-tx .", "x"),
        ("-t=x .", "x"),
        ("--tag x .", "x"),
        ("--tag=x .", "x"),
        ("-qt x .", "x"),
        ("-qtx .", "x"),
        ("-qt=x .", "x"),
        ("-tq .", "q"),
        ("-t -q .", "-q"),
        ("-t -- .", "--"),
        ("-t= .", "="),
        ("-t=a=b .", "a=b"),
        ("-t a -t b --tag=c .", "a b c"),
        (". -t x", "x"),
        ("-t x -- -t", "x"),
        ("-f -t .", ""),
        ("--build-arg -t=x .", ""),
        ("--label=-t=x .", ""),
        ("-q=true -t x .", "x"),
        ("--rm=false --pull=0 -t x .", "x"),
        ("-o type=image,name=n:1 .", "n:1"),
        ("-o type=oci,name=n:1 .", ""),
        ("-o type=docker,name=n:1,dest=f.tar .", ""),
        ("-o type=image,name=n:1 -t x .", "x"),
    ] {
        let read = docker(line);
        assert_eq!(read.unread, None, "{line}");
        let want: Vec<_> = tags.split_whitespace().filter_map(Reference::written).collect();
        assert_eq!(read.tags, want, "{line}");
    }
}

#[test]
fn nothing_is_inferred_from_what_docker_refuses_or_dkb_does_not_know() {
    for (line, word) in [
        ("-t x --nonsense .", "--nonsense"),
        ("-t x --nonsense=y .", "--nonsense=y"),
        ("-t x -qz .", "-qz"),
        ("-t x -q= .", "-q="),
        ("-t x -q=maybe .", "-q=maybe"),
        ("-t x --quiet=yes .", "--quiet=yes"),
        ("-t x --quiet= .", "--quiet="),
        ("-t x ---q .", "---q"),
        ("-t x --=q .", "--=q"),
        ("-t x --ta y .", "--ta"),
        ("-t x . --tag", "--tag"),
        ("-t x . -qt", "-qt"),
        ("-t x -é .", "-é"),
        ("-t x -- . -q", "-q"),
        ("-t x . .", "."),
        // Versions of pflag differ over what looks like a flag of `go test`.
        ("-t x -test.v .", "-test.v"),
        ("-qtest.v .", "-qtest.v"),
    ] {
        let read = docker(line);
        assert_eq!(read.unread.as_deref(), Some(OsStr::new(word)), "{line}");
        let blank = BuildWords { raw: Raw(words(line)), unread: read.unread.clone(), ..BuildWords::default() };
        assert_eq!(read, blank, "{line}");
    }
}

#[test]
fn the_last_of_single_values_wins() {
    let read = docker("-f a -f b --target a --target=b --push --push=false -q -q=0 .");
    assert_eq!((read.files, read.target), (vec!["b".into()], Some("b".into())));
    assert_eq!((read.push, read.quiet), (false, false));
    assert!(docker("--check .").asks && docker("--call=check,format=json .").asks && docker("--print=outline .").asks);
    for builds in ["--check=false .", "--check --call=build .", "--call=build,format=json .", "--call= ."] {
        assert!(!docker(builds).asks, "{builds}");
    }
    assert!(docker("--call=build --check .").asks);
    assert!(docker("-h").help && docker("--help .").help && !docker("--help=false .").help);
}

#[test]
fn podman_has_words_of_its_own() {
    let podman = |line| read(Tool::Podman, &words(line));
    let read = podman("-f a,b -f c --pull=never --layers --net host -v /a:/b --squash-all -t x");
    assert_eq!(read.unread, None);
    assert_eq!(read.files, ["a", "b", "c"]);
    assert_eq!(read.tags, [Reference::listed("localhost/x:latest").expect("a name")], "no domain is this machine");
    assert_eq!(podman("-t docker.io/me/x .").tags, docker("-t docker.io/me/x .").tags);
    assert!(!read.pull && podman("--pull .").pull && !podman("--pull=false .").pull);
    assert_eq!(podman("--pull never .").unread.as_deref(), Some(OsStr::new(".")), "--pull takes no next word");
    assert!(podman("--raw-iidfile f --purge=false .").understood(), "other names of its flags");
    for not_podmans in ["--push .", "--check .", "--builder x ."] {
        assert!(!podman(not_podmans).understood(), "{not_podmans}");
    }
}

#[test]
fn quiet_is_left_out_of_every_shape_and_nothing_else_is() {
    let stamp = Stamp::default();
    let injection = Injection { without_quiet: true, ..Injection::of(&stamp) };
    for (line, rest) in [
        ("-q .", "."),
        ("--quiet .", "."),
        ("--quiet=true .", "."),
        ("--quiet=1 -q -qq -q=T .", "."),
        ("-qt x .", "-t x ."),
        ("-qtx .", "-tx ."),
        ("-qt=x .", "-t=x ."),
        ("-Dq .", "-D ."),
        ("-Dqt x .", "-Dt x ."),
        ("-qDqt x .", "-Dt x ."),
        ("-Dq=true .", "-D ."),
        ("-tq .", "-tq ."),
        ("-t -q -q .", "-t -q ."),
        ("-q -- -q", "-- -q"),
        // What ends up quiet loses what made it so; what does not is left alone.
        ("--quiet=false -q .", "--quiet=false ."),
        ("-q --quiet=false .", "-q --quiet=false ."),
        ("-q=f .", "-q=f ."),
        ("-q --nonsense .", "-q --nonsense ."),
    ] {
        assert_eq!(injected(line, &injection), format!("build --rm --force-rm {rest}"), "{line}");
        let kept = Injection { without_quiet: false, ..injection };
        assert_eq!(injected(line, &kept), format!("build --rm --force-rm {line}"), "{line}");
    }
}

#[test]
fn an_id_file_is_added_only_where_it_changes_nothing() {
    use IdFile::{No, Ours, Users};
    use NoIdFile as Why;
    let users = Users(OsStr::new("f"));
    for (line, engine, apart) in [
        (".", Ours, No(Why::NotLoaded)),
        ("-t x -q .", Ours, No(Why::NotLoaded)),
        ("--load .", Ours, Ours),
        ("-o type=docker .", Ours, Ours),
        ("-o type=docker,dest=x.tar .", No(Why::NotLoaded), No(Why::NotLoaded)),
        ("-o type=image,name=x .", Ours, No(Why::Pushed)),
        ("-o type=registry -t x .", Ours, No(Why::Pushed)),
        ("--push -t x .", Ours, No(Why::Pushed)),
        ("--push --load -t x .", Ours, Ours),
        ("--platform a,b .", Ours, No(Why::NotLoaded)),
        ("-o type=cacheonly .", No(Why::NotLoaded), No(Why::NotLoaded)),
        ("-o type=oci,dest=x .", No(Why::NotLoaded), No(Why::NotLoaded)),
        ("-o type=local,dest=x .", No(Why::Files), No(Why::Files)),
        ("-o out .", No(Why::Files), No(Why::Files)),
        ("-o - .", No(Why::Files), No(Why::Files)),
        ("-o type=image -o out .", No(Why::FilesToo), No(Why::Files)),
        ("--load -o out .", No(Why::FilesToo), No(Why::FilesToo)),
        ("--check .", No(Why::Asks), No(Why::Asks)),
        ("--help", No(Why::Help), No(Why::Help)),
        ("--nonsense .", No(Why::Unread), No(Why::Unread)),
        ("--iidfile f .", users, No(Why::NotLoaded)),
        ("--iidfile f --load .", users, users),
        ("--iidfile f --iidfile= .", No(Why::TurnedOff), No(Why::NotLoaded)),
    ] {
        let words = docker(line);
        assert_eq!((id_file(&words, Builder::Engine), id_file(&words, Builder::Apart)), (engine, apart), "{line}");
    }
    for (line, want) in [
        (".", Ours),
        ("-o out .", Ours),
        ("--iidfile=f .", users),
        ("--manifest m .", No(Why::Manifest)),
        ("--platform=a,b .", No(Why::Platforms)),
        ("--all-platforms .", No(Why::Platforms)),
    ] {
        assert_eq!(id_file(&read(Tool::Podman, &words(line)), Builder::Engine), want, "{line}");
    }
}

#[test]
fn a_flag_of_dkbs_behind_build_is_noticed() {
    let ours = ["session", "project"];
    for (line, flag) in [
        ("--session x .", Some("session")),
        ("--project=x .", Some("project")),
        ("-t x --session", Some("session")),
        ("--sessions x .", None),
        ("--label --session .", None),
    ] {
        assert_eq!(docker(line).misplaced(&ours), flag, "{line}");
    }
}

#[test]
fn a_key_stands_for_dockerfile_and_target() {
    let key = |line: &str, here: &str| build_key(&docker(line), Path::new(here));
    let base = key(".", "/src");
    for same in ["./ -t x", "-f Dockerfile .", "-f ./Dockerfile elsewhere", "/src", "--no-cache -q ."] {
        assert_eq!(key(same, "/src"), base, "{same}");
    }
    for other in ["-f Other .", "--target x .", "sub", "-", "-f - .", "https://example.com/x.git"] {
        assert_ne!(key(other, "/src"), base, "{other}");
    }
    assert_ne!(key(".", "/other"), base);
    assert_ne!(key("-f - .", "/other"), key("-f - .", "/src"), "stdin is another Dockerfile elsewhere");
    assert_eq!(key("https://example.com/x.git", "/other"), key("https://example.com/x.git", "/src"));
    assert_eq!(base.to_string().len(), 32);
}

#[test]
fn a_key_says_where_one_dockerfile_may_come_to_different_things() {
    let key = |line: &str| build_key(&docker(line), Path::new("/src")).to_string();
    let base = key(".");
    assert!(is_one_file(&base, &key("-t x .")) && may_be_one_file(&base, &key("-t x .")));
    for open in ["--build-arg BASE=x .", "--build-context base=docker-image://x ."] {
        assert!(may_be_one_file(&base, &key(open)), "{open}");
        assert!(!is_one_file(&base, &key(open)) && !is_one_file(&key(open), &key(open)), "{open}");
    }
    assert!(may_be_one_file(&key("-"), &key("- -t x")) && !is_one_file(&key("-"), &key("-")));
    assert!(!is_one_file(&key("-f - ."), &key("-f - .")));
    assert!(!may_be_one_file(&base, &key("sub")) && !is_one_file(&base, &key("sub")));
    assert_eq!(key("--build-arg A=1 ."), key("--build-arg B=s3cret ."), "no argument gets into it");
}

#[test]
fn a_build_argument_is_not_shown_by_accident() {
    assert!(!format!("{:?}", docker("--build-arg TOKEN=s3cret --secret id=s3cret -t x .")).contains("s3cret"));
}

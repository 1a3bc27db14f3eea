use super::*;
use crate::model::Scope;
use crate::model::books_tests::key;

fn parsed(line: &[&str]) -> Invocation {
    match parse(line.iter().map(Into::into)).expect("a command line") {
        Parsed::Run(invocation) => *invocation,
        Parsed::BuildHelp(page, _) => panic!("{line:?}: {page}"),
        Parsed::Say(error) => panic!("{line:?}: {error}"),
    }
}

fn said(line: &[&str]) -> clap::Error {
    match parse(line.iter().map(Into::into)).expect("a command line") {
        Parsed::Run(invocation) => panic!("{line:?}: {invocation:?}"),
        Parsed::Say(error) | Parsed::BuildHelp(error, _) => error,
    }
}

fn refused(line: &[&str]) -> String {
    let error = parse(line.iter().map(Into::into)).expect_err("a refusal");
    assert_eq!(error.kind.exit_code(), 2, "{line:?}");
    error.to_string()
}

fn build(line: &[&str]) -> BuildFlags {
    match parsed(line).cli.verb {
        Verb::Build(build) => build,
        other => panic!("{line:?}: {other:?}"),
    }
}

fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}

#[test]
fn the_table_of_flags_is_sound() {
    Cli::command().debug_assert();
    for key in KEYS.iter().filter(|key| !key.flag.is_empty()) {
        let mut all = vec![Cli::command()];
        all.extend(Cli::command().get_subcommands().cloned());
        assert!(all.iter().any(|command| command.get_arguments().any(|arg| arg.get_id() == key.flag)), "{}", key.name);
    }
}

#[test]
fn help_fits_on_a_screen_and_names_every_verb() {
    let help = said(&["dkb", "--help"]).to_string();
    assert!(help.lines().count() < 24, "{}", help.lines().count());
    for line in help.lines() {
        assert!(line.chars().count() <= 60, "{line}");
    }
    for verb in Cli::command().get_subcommands().filter(|verb| !verb.is_hide_set()) {
        assert!(help.contains(verb.get_name()), "{}", verb.get_name());
    }
}

#[test]
fn the_short_help_has_the_flags_of_every_verb_in_one_line() {
    let lines = [&["dkb", "clean"][..], &["dkb", "sweep"], &["dkb", "session"], &["dkb", "session", "start"]];
    for line in lines.into_iter().chain([&["docker-dkb", "dkb", "status"][..]]) {
        let with = |flag| said(&[line, &[flag]].concat()).to_string();
        let (short, long) = (with("-h"), with("--help"));
        assert_eq!(short.lines().filter(|line| *line == IN_ONE_LINE).count(), 1, "{short}");
        assert!(!short.contains("Say less") && short.lines().count() < long.lines().count() - 8, "{short}");
        assert!(!long.contains(IN_ONE_LINE) && long.contains("\nEverywhere:\n"), "{long}");
        assert_eq!(short.contains("Example"), long.contains("Example"), "{short}");
        assert!(short.ends_with('\n') && !short.ends_with("\n\n"), "{short}");
        assert_eq!(short.lines().nth(2), long.lines().nth(2), "the usage is the same");
    }
    assert!(IN_ONE_LINE.len() < 80);
    for flag in command().get_arguments().filter(|flag| flag.get_help_heading() == Some(EVERYWHERE)) {
        let names =
            [flag.get_long().map(|long| format!(" --{long}")), flag.get_short().map(|short| format!(" -{short}"))];
        let is_there = names.iter().flatten().any(|name| IN_ONE_LINE.contains(name));
        // Its one value has a flag of its own.
        assert!(is_there || flag.get_id() == "format", "{}", flag.get_id());
    }
}

#[test]
fn a_plugin_is_called_as_it_was_typed() {
    for (line, usage) in [
        (&["/x/docker-dkb", "dkb", "status", "--help"][..], "Usage: docker dkb status "),
        (&["docker-dkb", "--context", "x", "dkb", "session", "end", "--help"], "Usage: docker dkb session end "),
        (&["cargo-dkb", "dkb", "status", "--help"], "Usage: cargo dkb status "),
        (&["docker-dkb", "dkb", "guard", "--help"], "Usage: docker dkb guard [OPTIONS] -- COMMAND..."),
        (&["docker-dkb", "dkb", "--help"], "Usage: docker dkb [FLAGS] VERB"),
        (&["/x/dkb", "guard", "--help"], "Usage: dkb guard [OPTIONS] -- COMMAND..."),
        (&["/x/dkb", "status", "--help"], "Usage: dkb status "),
    ] {
        let help = said(line).to_string();
        assert!(help.contains(usage), "{help}");
    }
}

#[test]
fn the_help_of_every_verb_has_an_example() {
    for verb in Cli::command().get_subcommands().filter(|verb| !verb.is_hide_set()) {
        let help = said(&["dkb", "help", verb.get_name()]).to_string();
        assert!(help.contains("Example") && help.contains("dkb "), "{help}");
    }
}

#[test]
fn every_spelling_of_build_keeps_its_words() {
    for (line, docker, spelling, args) in [
        (&["dkb", "build"][..], &[][..], &["build"][..], &[][..]),
        (&["dkb", "build", "-t", "x", "."], &[], &["build"], &["-t", "x", "."]),
        (&["dkb", "image", "build", "."], &[], &["image", "build"], &["."]),
        (&["dkb", "builder", "build", "."], &[], &["builder", "build"], &["."]),
        (&["dkb", "buildx", "build", "."], &[], &["buildx", "build"], &["."]),
        (&["dkb", "buildx", "b", "."], &[], &["buildx", "b"], &["."]),
        (
            &["dkb", "buildx", "--builder", "build", "-D", "build", "."],
            &[],
            &["buildx", "--builder", "build", "-D", "build"],
            &["."],
        ),
        (&["dkb", "--context", "build", "build", "."], &["--context", "build"], &["build"], &["."]),
        (&["dkb", "-H=unix:///x", "-l", "debug", "build"], &["-H=unix:///x", "-l", "debug"], &["build"], &[]),
        (
            &["dkb", "-qDv", "--tlsverify", "--tls=false", "build"],
            &["-D", "--tlsverify", "--tls=false"],
            &["build"],
            &[],
        ),
        (&["dkb", "--project", "p", "--session=s", "build", "--session", "x"], &[], &["build"], &["--session", "x"]),
        (&["dkb", "build", "--", "--help", "clean"], &[], &["build"], &["--", "--help", "clean"]),
        (&["dkb", "build", "-t", "--help", "."], &[], &["build"], &["-t", "--help", "."]),
        (&["docker-dkb", "dkb", "build", "."], &[], &["build"], &["."]),
        (&["/x/cargo-dkb", "dkb", "build", "."], &[], &["build"], &["."]),
        (&["docker-dkb", "--context", "dkb", "dkb", "build"], &["--context", "dkb"], &["build"], &[]),
    ] {
        let expected = BuildFlags { spelling: words(spelling), docker: words(docker), args: words(args) };
        assert_eq!(build(line), expected, "{line:?}");
    }
}

#[cfg(unix)]
#[test]
fn words_that_are_not_utf_8_arrive_whole() {
    use std::os::unix::ffi::OsStringExt;
    let odd = OsString::from_vec(b"--build-arg=x=\xff".to_vec());
    let line = ["dkb".into(), "build".into(), odd.clone(), OsString::from_vec(vec![0xfe])];
    let Parsed::Run(invocation) = parse(line).expect("a command line") else { panic!("help") };
    let Verb::Build(build) = invocation.cli.verb else { panic!("another verb") };
    assert_eq!(build.args, [odd, OsString::from_vec(vec![0xfe])]);
}

#[test]
fn help_behind_build_is_ours() {
    for line in [
        &["dkb", "build", "--help"][..],
        &["dkb", "build", ".", "--help"],
        &["dkb", "buildx", "build", "--pull=true", "--help"],
        &["dkb", "--project", "!", "build", "--help"],
    ] {
        let help = said(line);
        assert_eq!(help.exit_code(), 0, "{line:?}");
        assert!(help.to_string().contains("'docker build --help' tells of it"), "{help}");
    }
}

#[test]
fn flags_may_stand_on_either_side_of_a_verb_that_knows_them() {
    for line in [
        &["dkb", "clean", "-n", "--keep", "app", "--keep", "db", "--tagged"][..],
        &["dkb", "-n", "--keep", "app", "clean", "--keep", "db", "--tagged"],
        &["dkb", "--tagged", "--keep=app", "--keep", "db", "-n", "clean"],
    ] {
        let Invocation { cli, typed } = parsed(line);
        let Verb::Clean(clean) = cli.verb else { panic!("{line:?}") };
        assert!(clean.act.dry_run && clean.tagged, "{line:?}");
        let keep = Typed { id: "keep", flag: "--keep".into(), values: words(&["app", "db"]) };
        assert_eq!(typed, [keep], "{line:?}");
    }
    let contexts = parsed(&["dkb", "--context", "a", "sweep", "--context", "b"]).cli.common.context;
    assert_eq!(contexts, ["a", "b"]);
    assert_eq!(refused(&["dkb", "--dry-run", "status"]).lines().count(), 2);
    assert_eq!(refused(&["dkb", "--dry-run", "build", "."]).lines().count(), 2);
}

#[test]
fn the_session_before_the_verb_names_and_the_one_of_clean_is_the_scope() {
    let here = key("p", "here");
    let project = || here.project.clone();
    let (all, of) = (|| Scope::Project { project: project() }, |session: &str| Scope::Session(key("p", session)));
    for (line, named, scope) in [
        (&["dkb", "clean"][..], None, Some(all())),
        (&["dkb", "clean", "--session"], None, Some(of("here"))),
        (&["dkb", "clean", "--session", "a"], None, Some(of("a"))),
        (&["dkb", "clean", "--session=a"], None, Some(of("a"))),
        (&["dkb", "clean", "--session", ""], None, None),
        (&["dkb", "clean", "--session", "-n"], None, Some(of("here"))),
        (&["dkb", "--session", "a", "clean"], Some("a"), Some(all())),
        (&["dkb", "--session", "a", "clean", "--session"], Some("a"), Some(of("here"))),
        (&["dkb", "clean", "--all"], None, Some(Scope::All)),
        (&["dkb", "clean", "--stale"], None, Some(Scope::Stale { project: project() })),
    ] {
        let Invocation { cli, typed } = parsed(line);
        let Verb::Clean(clean) = &cli.verb else { panic!("{line:?}") };
        assert_eq!(clean.scope(&here).ok(), scope, "{line:?}");
        assert_eq!(clean.names_scope(), scope != Some(all()), "{line:?}");
        let session = typed.iter().find(|typed| typed.id == "session").map(|typed| &*typed.values);
        assert_eq!(session, named.map(|named| words(&[named])).as_deref(), "{line:?}");
    }
    for line in [&["dkb", "clean", "--all", "--stale"][..], &["dkb", "clean", "--all", "--trust-stamp"]] {
        refused(line);
    }
    // No image has no name.
    refused(&["dkb", "status", ""]);
}

#[test]
fn guard_takes_its_command_behind_two_dashes_or_from_the_first_word_on() {
    let Verb::Guard(guard) = parsed(&["dkb", "guard", "--keep-tagged", "--", "just", "--help"]).cli.verb else {
        panic!("another verb")
    };
    assert_eq!(guard.command, words(&["just", "--help"]));
    // Or at the first plain word, as those of sudo and env do.
    for (line, command, keeps) in [
        (&["dkb", "guard", "./e2e"][..], &["./e2e"][..], false),
        (
            &["dkb", "guard", "--keep-tagged", "just", "-q", "--json", "--help"],
            &["just", "-q", "--json", "--help"],
            true,
        ),
        (&["dkb", "guard", "just", "--", "--no-clean"], &["just", "--", "--no-clean"], false),
        (&["dkb", "guard", "--", "just", "--no-clean"], &["just", "--no-clean"], false),
        (&["dkb", "--session", "s", "guard", "clean", "--all"], &["clean", "--all"], false),
    ] {
        let Verb::Guard(guard) = parsed(line).cli.verb else { panic!("{line:?}") };
        assert_eq!((guard.command, guard.keep_tagged, guard.no_clean), (words(command), keeps, false), "{line:?}");
    }
    let own = "run: dkb guard --no-clean -- just …, or: dkb guard -- just … --no-clean";
    assert!(refused(&["dkb", "guard", "just", "e2e", "--no-clean"]).ends_with(own));
    assert!(refused(&["dkb", "guard", "just", "--session=x"]).contains("may be the guard's, or of just"));
    assert!(refused(&["dkb", "guard", "--keep-taged", "just"]).ends_with("did you mean --keep-tagged?"));
}

#[test]
fn sweep_names_its_kinds() {
    let typed = parsed(&["dkb", "sweep", "--only", "images,cache", "--skip", "cache"]).typed;
    let said: Vec<_> = typed.iter().map(|typed| (typed.id, typed.values[0].to_string_lossy().into_owned())).collect();
    let expected = [
        ("sweep.containers", "false"),
        ("sweep.images", "true"),
        ("sweep.volumes", "false"),
        ("sweep.builder_state", "false"),
        ("sweep.networks", "false"),
        ("sweep.build_cache", "false"),
    ];
    assert_eq!(said, expected.map(|(key, on)| (key, on.to_owned())));
}

#[test]
fn json_is_short_for_its_format_and_dockers_behind_build() {
    for line in [&["dkb", "status", "--json"][..], &["dkb", "--json", "clean", "-n"], &["dkb", "sweep", "-n", "--json"]]
    {
        let typed = Typed { id: "format", flag: "--json".into(), values: words(&["json"]) };
        assert_eq!(parsed(line).typed, [typed], "{line:?}");
    }
    refused(&["dkb", "--json", "status", "--format", "human"]);
    assert_eq!(build(&["dkb", "build", "--json"]).args, words(&["--json"]));
}

#[test]
fn older_than_has_another_name() {
    for name in ["--older-than", "--until"] {
        assert_eq!(parsed(&["dkb", "sweep", name, "7d"]).typed[0].values, words(&["7d"]));
    }
}

#[test]
fn dockers_other_verbs_are_dockers() {
    for (line, error) in [
        (
            &["dkb", "push", "app"][..],
            "dkb push: dkb builds and cleans up, docker does the rest\n  run: docker push …    (dkb --help says what dkb does)",
        ),
        (
            &["dkb", "-D", "image", "tag", "app"],
            "dkb image tag: dkb builds and cleans up, docker does the rest\n  run: docker image tag …    (dkb --help says what dkb does)",
        ),
        (
            &["dkb", "buildx", "create"],
            "dkb buildx create: dkb builds and cleans up, docker does the rest\n  run: docker buildx create …    (dkb --help says what dkb does)",
        ),
    ] {
        let got = parse(line.iter().map(Into::into)).expect_err("docker's verb");
        assert_eq!(got.to_string(), error);
        assert_eq!(got.kind.exit_code(), 2);
    }
    refused(&["dkb", "--session"]);
    assert_eq!(said(&["dkb"]).exit_code(), 2);
}

#[test]
fn habits_lead_to_the_verb_that_was_meant_and_to_none_that_takes_more() {
    let either = "\n  yours: dkb clean; the whole host: dkb sweep --dry-run";
    for verb in ["prune", "purge", "system prune", "image prune", "builder prune", "buildx prune", "volume prune"] {
        let line: Vec<&str> = ["dkb"].into_iter().chain(verb.split(' ')).chain(["-af"]).collect();
        assert_eq!(refused(&line), format!("dkb {verb}: a prune takes what is others' too{either}"));
    }
    for (line, next) in [
        (&["dkb", "ls"][..], "run: dkb status (--all: of every project)"),
        (&["dkb", "-q", "images", "-a"], "yours: dkb status; all that there is: docker images"),
        (&["dkb", "system", "df"], "run: dkb status (--all: of every project)"),
        (&["dkb", "gc"], "run: dkb clean --dry-run"),
        (&["dkb", "undo"], "what it was, when and why: dkb log"),
        (&["dkb", "version"], "run: dkb --version; docker's: docker version"),
        (&["dkb", "image", "rm", "x"], "yours: dkb clean; a thing by its name: docker image rm …"),
        (&["dkb", "cache", "prune"], "the cache alone: dkb clean --cache"),
        (&["dkb", "builder", "du"], "run: dkb status (--all: of every project)"),
        (&["dkb", "info"], "run: dkb doctor"),
        (&["dkb", "config", "list"], "run: dkb config"),
        (&["dkb", "clean", "--force"], "-y does not ask"),
        (&["dkb", "-f", "sweep"], "-y does not ask"),
        (&["dkb", "status", "-a"], "run: dkb status --all"),
        (&["dkb", "sweep", "--all"], "run: dkb sweep --all-images --dry-run"),
        (&["dkb", "sweep", "-af"], "run: dkb sweep --all-images --dry-run"),
        // A kind is no flag and no word, and the flag that is written nearly so takes more.
        (&["dkb", "sweep", "--images"], "run: dkb sweep --only images --dry-run"),
        (&["dkb", "sweep", "images"], "run: dkb sweep --only images --dry-run"),
        (&["dkb", "sweep", "volume"], "run: dkb sweep --only volumes --dry-run"),
        (&["dkb", "sweep", "--build-cache"], "run: dkb sweep --only cache --dry-run"),
        (&["dkb", "sweep", "--cache-kep", "1GB"], "did you mean --cache-keep?"),
        (&["dkb", "sweep", "--only", "image"], "did you mean images?"),
        (&["dkb", "sweep", "--only", "builder"], "did you mean builder-state?"),
        (&["dkb", "clean", "cache"], "did you mean --cache?"),
        (&["dkb", "clean", "all"], "did you mean --all?"),
        (
            &["dkb", "clean", "containers"],
            "yours: dkb clean --dry-run; all containers: dkb sweep --only containers --dry-run",
        ),
        (&["dkb", "clean", "volumes"], "yours: dkb clean --dry-run; all volumes: dkb sweep --only volumes --dry-run"),
        (&["dkb", "logs"], "run: dkb log; docker's: docker logs …"),
        (&["dkb", "config", "path"], "run: dkb config"),
        (&["dkb", "config", "keep_last"], "run: dkb config get keep_last"),
        (&["dkb", "status", "app:1", "app:2"], "dkb status 'app:*' is about all of that pattern"),
        (&["dkb", "--list"], "run: dkb status"),
        (&["dkb", "--force"], "clean and sweep: -y does not ask"),
        // Nobody's habit: the nearest word, if one is near, and none that is not for people.
        (&["dkb", "cleam"], "did you mean clean?"),
        (&["dkb", "wach"], "dkb --help shows what there is"),
        (&["dkb", "clean", "--dry-rn"], "did you mean --dry-run?"),
        (&["dkb", "clean", "--tag"], "did you mean --tagged?"),
        (&["dkb", "clean", "--older"], "did you mean --older-than?"),
        (&["dkb", "log", "--last", "x"], "dkb log --help shows what there is"),
        (&["dkb", "clean", "--older-than", "3", "days"], "a time is one word: 3d"),
        (&["dkb", "clean", "--dr"], "did you mean --dry-run?"),
        (&["dkb", "stat"], "did you mean status?"),
        (&["dkb", "clean", "--keep-"], "did you mean --keep?"),
        (&["dkb", "clean", "-a"], "every project: dkb clean --all -n; tagged images too: dkb clean --tagged -n"),
        (&["dkb", "log", "--all"], "run: dkb log"),
        (&["dkb", "config", "set", "keep", "x"], "settings stand in ~/.config/dkb/config.toml; what holds: dkb config"),
        (&["dkb", "help", "prune"], "yours: dkb clean; the whole host: dkb sweep --dry-run"),
        (&["dkb", "upgrade"], "install it again, as at first: cargo install --path . --locked"),
        (&["dkb", "uninstall"], "its links: dkb plugin uninstall; itself: cargo uninstall dkb"),
        (&["dkb", "watch"], "dkb --help shows what is for people"),
        // What clap refuses, in our words.
        (&["dkb", "guard"], "run: dkb guard [OPTIONS] -- COMMAND..."),
        (&["dkb", "session", "end"], "run: dkb session end <ID>"),
        (&["dkb", "completions", "foo"], "dkb completions --help shows what there is"),
        (
            &["dkb", "session", "start", "e2e"],
            "one of your own needs no start: export DKB_SESSION=e2e, and dkb session end e2e",
        ),
        (&["dkb", "status", "--color", "blue"], "dkb status --help shows what there is"),
        (&["dkb", "clean", "--session", "--stale"], "dkb clean --help shows what there is"),
        (&["dkb", "status", "--force"], "dkb status --help shows what there is"),
        (&["dkb", "status", "--contxt", "x"], "did you mean --context?"),
        (&["dkb", "session", "start", "--tl", "1h"], "did you mean --ttl?"),
        (&["dkb", "clean", "app:dev"], "what would become of it: dkb status app:dev; to take it: docker rmi app:dev"),
    ] {
        let refused = refused(line);
        assert_eq!(refused.lines().last().map(str::trim), Some(next), "{refused}");
    }
    for (line, happened) in [
        (&["dkb", "guard"][..], "dkb guard: COMMAND is missing"),
        (&["dkb", "completions", "foo"], "dkb completions: SHELL takes bash, elvish, fish, powershell, zsh, not 'foo'"),
        (&["dkb", "status", "--color", "blue"], "dkb status: --color takes auto, always, never, not 'blue'"),
        (
            &["dkb", "sweep", "--only", "image"],
            "dkb sweep: --only takes containers, images, volumes, builder-state, networks, cache, not 'image'",
        ),
        (&["dkb", "clean", "--session", "--stale"], "dkb clean: --session and --stale don't go together"),
        (&["dkb", "clean", "--stale", "--stale"], "dkb clean: --stale stands there twice"),
        (&["dkb", "log", "--since"], "dkb log: --since lacks its value"),
    ] {
        let refused = refused(line);
        assert_eq!(refused.lines().next(), Some(happened), "{refused}");
    }
    assert_eq!(parsed(&["dkb", "status", "ls"]).cli.verb.name(), "status", "an image may have any name");
    let verbs = refused(&["dkb", "-q"]);
    assert!(verbs.contains("there is: build, bake, compose, clean, ") && !verbs.contains("watch"), "{verbs}");
}

#[test]
fn no_verb_of_ours_is_taken_for_dockers() {
    for verb in Cli::command().get_subcommands() {
        assert!(!DOCKER_VERBS.contains(&verb.get_name()), "{}", verb.get_name());
    }
}

proptest::proptest! {
    /// Whatever stands behind `build`, and however many flags before it, docker's words are docker's words.
    #[test]
    fn docker_gets_exactly_the_words_behind_build(
        before in proptest::collection::vec(0..8_usize, 0..5),
        behind in proptest::collection::vec("-{0,2}[a-z=./:]{0,8}", 0..8),
    ) {
        let flags: [&[&str]; 8] = [
            &["--context", "build"], &["-c=x"], &["-q"], &["--project", "clean"], &["--host=--"], &["-Dl", "x"],
            &["--session", "-s"], &["--tlscert=build"],
        ];
        let behind: Vec<_> = behind.into_iter().filter(|word| word != "--help").collect();
        let mut line = vec!["dkb"];
        let mut seen = std::collections::HashSet::new();
        for flag in before.into_iter().filter(|flag| seen.insert(*flag)) {
            line.extend(flags[flag]);
        }
        line.push("build");
        line.extend(behind.iter().map(String::as_str));
        // A value that begins with a dash is clap's to refuse; docker's words are cut off before.
        let cut = split_at_verb::split(&Cli::command(), line.iter().map(Into::into).collect()).expect("a cut");
        let build = cut.build.expect("a build");
        proptest::prop_assert_eq!(build.args, behind.iter().map(OsString::from).collect::<Vec<_>>());
        proptest::prop_assert_eq!(build.spelling, words(&["build"]));
    }
}

//! What goes through `dkb build`: streams, words and exit codes, as with raw docker.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::{Duration, Instant};

use dkb::model::Life;
use dkb_lab::command::{Command, Output};
use dkb_lab::{Builder, Context, Engine, FakeDocker, Promises, State, eventually, promises};

use crate::building::{Maker, builds_of, docker_script, own_lines, says_nothing_of_its_own, warns_once};
use crate::clean_host::key;

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on_every_builder(promises![the_tags_that_dkb_reads_are_the_ones_docker_applies])
        .on_every_version()
        .on_every_builder(promises![a_quiet_build_by_a_script_around_docker_is_noted])
        .on_one_engine()
        .on_every_builder(promises![stdin_stdout_and_exit_codes_are_dockers])
        .on(buildkit, promises![the_engines_own_builder_is_known_under_buildx])
        .without_engine(promises![
            every_spelling_reaches_docker_byte_for_byte,
            a_flag_in_the_wrong_place_is_pointed_out,
            a_missing_program_is_127_and_an_endless_chain_ends,
            a_docker_that_lies_in_the_current_folder_is_not_run,
            podman_is_called_as_docker_is,
            settings_that_can_not_be_read_break_no_build,
            what_docker_leaves_running_is_not_waited_for_and_is_no_build,
            in_a_terminal_too_what_docker_leaves_running_is_not_waited_for,
        ])
}

pub(crate) fn buildkit(engine: &str) -> bool {
    engine.starts_with("docker-2") && !engine.starts_with("docker-20")
}

fn raw(maker: &Maker, args: &[&str], stdin: &[u8]) -> Output {
    maker
        .engine
        .docker(["build"])
        .args(args.iter().copied())
        .env("DOCKER_BUILDKIT", maker.builder.env())
        .stdin(stdin)
        .run()
}

fn stdin_stdout_and_exit_codes_are_dockers(engine: &Engine, builder: Builder) {
    let maker = Maker::new(engine, builder);
    let ours = |args: &[&str], stdin: &[u8]| maker.dkb().arg("build").args(args.iter().copied()).stdin(stdin).run();

    let output = ours(&["-q", "-t", "app", "-"], b"FROM lab/base\nENV FROM_STDIN=1\n").success();
    let said = output.out().trim_end().trim_start_matches("sha256:").to_owned();
    assert_eq!(format!("sha256:{said}\n"), format!("{}\n", maker.id("app")), "{output}");
    says_nothing_of_its_own(&output);
    assert!(maker.recorded().contains(&maker.id("app")));

    if builder == Builder::BuildKit {
        let output = ours(&["-o", "-", "-"], b"FROM scratch\nCOPY --from=lab/base /bin/busybox /here\n").success();
        let plain =
            raw(&maker, &["-o", "-", "-"], b"FROM scratch\nCOPY --from=lab/base /bin/busybox /here\n").success();
        assert_eq!(output.stdout.len(), plain.stdout.len(), "a tar and nothing else");
        says_nothing_of_its_own(&output);
    }

    for dockerfile in ["FROM lab/base\nRUN exit 7\n", "FRM lab/base\n", "FROM lab/nothing-of-that-name\n"] {
        for quiet in [&["-"][..], &["-q", "-"]] {
            let (ours, raw) = (ours(quiet, dockerfile.as_bytes()), raw(&maker, quiet, dockerfile.as_bytes()));
            assert_eq!(ours.exit_code(), raw.exit_code(), "{raw}\n{ours}");
            if quiet.len() == 2 {
                assert_eq!(ours.out(), raw.out(), "{raw}\n{ours}");
            }
            assert!(own_lines(&ours).is_empty(), "{ours}");
        }
    }
}

fn the_tags_that_dkb_reads_are_the_ones_docker_applies(engine: &Engine, builder: Builder) {
    let maker = Maker::new(engine, builder);
    let context = Context::from_base("ENV A=1");
    let path = context.path().to_str().expect("a path");
    for (n, line) in
        ["-tx:N PATH", "-t=x:N PATH", "PATH --tag x:N", "--tag=x:N -t y:N PATH", "-qtx:N -- PATH", "-t x:N PATH -tz:N"]
            .iter()
            .enumerate()
    {
        let line = line.replace('N', &n.to_string());
        let before: Vec<String> = engine.images().into_iter().flat_map(|image| image.tags).collect();
        let words = line.split(' ').map(|word| if word == "PATH" { path } else { word });
        let noted = || maker.books().builds.iter().flat_map(|build| build.tags.clone()).collect::<Vec<_>>();
        let noted_before = noted();
        maker.dkb().arg("build").args(words.map(OsString::from)).run().success();
        let mut applied: Vec<String> = engine.images().into_iter().flat_map(|image| image.tags).collect();
        applied.retain(|tag| !before.contains(tag));
        // Builds with one result are one in the books, with the names of all.
        let mut noted = noted();
        noted.retain(|tag| !noted_before.contains(tag));
        assert_eq!(applied.len(), noted.len(), "{line}: {applied:?} {noted:?}");
        assert!(
            noted.iter().all(|tag| applied.iter().any(|there| there.ends_with(tag.as_str()))),
            "{line}: {applied:?}"
        );
    }
}

/// Such a docker may do anything with an `--iidfile`, so it is given none, and prints the ID itself.
fn a_quiet_build_by_a_script_around_docker_is_noted(engine: &Engine, builder: Builder) {
    let maker = Maker::new(engine, builder);
    let folder = tempfile::tempdir().expect("a folder");
    let real = engine.bin().join("docker");
    let script = docker_script(folder.path(), &format!("exec {} \"$@\"\n", real.display()));
    for words in [&["-q"][..], &["-q", "-t", "app"]] {
        let context = Context::from_base("COPY seed /seed\nRUN true\nENV A=1").file("seed", words.concat());
        let output = maker.command(&context, words).env("DKB_DOCKER", &script).run().success();
        says_nothing_of_its_own(&output);
        let said = output.out();
        let id = said.trim_end().trim_start_matches("sha256:");
        assert!(id.len() == 64 && engine.has(&format!("sha256:{id}")), "{output}");
        assert!(maker.recorded().contains(&format!("sha256:{id}")), "{words:?}");
        assert!(maker.lost().is_empty(), "steps: {:?}", maker.lost());
    }
    // If it fails, the classic builder shows the steps on stderr after all; Podman shows none.
    let failing = Context::from_base("COPY seed /seed\nRUN exit 3").file("seed", "a step");
    let output = maker.command(&failing, &["-q"]).env("DKB_DOCKER", &script).run().fails();
    assert!(output.err().contains("exit 3") && output.out().is_empty(), "{output}");
    if !engine.is_podman() {
        assert!(maker.lost().is_empty(), "steps: {:?}\n{output}", maker.lost());
        maker.clean();
        assert_eq!(engine.images(), []);
    }
}

fn the_engines_own_builder_is_known_under_buildx(engine: &Engine) {
    let maker = Maker::new(engine, Builder::BuildKit);
    for (n, line) in
        [&["buildx", "build"][..], &["buildx", "b"], &["builder", "build"], &["image", "build"]].iter().enumerate()
    {
        let context = Context::from_base("COPY seed /seed").file("seed", n.to_string());
        maker.dkb().args(line.iter().copied()).args(["-t", "app"]).arg(context.path()).run().success();
        assert!(maker.recorded().contains(&maker.id("app")), "{line:?}");
    }
    assert_eq!(builds_of(&maker.books(), "app:latest").len(), 1);
}

fn every_spelling_reaches_docker_byte_for_byte() {
    let odd = OsString::from_vec(b"--build-arg=X=\xff \n*'\"".to_vec());
    for spelling in
        [&["build"][..], &["image", "build"], &["builder", "build"], &["buildx", "build"], &["buildx", "-D", "b"]]
    {
        let docker = FakeDocker::new();
        let state = State::new();
        let user: Vec<OsString> = vec!["-t".into(), "x".into(), odd.clone(), "".into(), "--".into(), ".".into()];
        let global: Vec<OsString> = vec!["--log-level".into(), "error".into()];
        let dkb = state.dkb().with_docker(&docker).project("p").session("s").env("DOCKER_CLI_PLUGIN_SOCKET", "@x");
        let dkb = dkb.args(global.clone()).args(spelling.iter().copied()).args(user.clone());
        dkb.run().success();
        let calls = docker.calls_of(spelling[spelling.len() - 1]);
        let call = calls.last().expect("docker was called");
        assert!(call.args.ends_with(&user), "{:?}", call.words());
        let verb = call.args.iter().position(|word| *word == *spelling[0]).expect("the verb");
        assert!(call.words()[verb..].starts_with(&spelling.iter().map(ToString::to_string).collect::<Vec<_>>()));
        let injected = &call.words()[verb + spelling.len()..call.args.len() - user.len()];
        assert!(
            injected.starts_with(&["--rm", "--force-rm", "--label", "dev.dkb.project=p", "--label"].map(String::from))
        );
        assert_eq!(call.var("DOCKER_CLI_PLUGIN_SOCKET"), None);
    }
    let docker = FakeDocker::new();
    let output = State::new().dkb().with_docker(&docker).args(["run", "-it", "x"]).run();
    assert!(output.exit_code() == Some(2) && docker.calls().is_empty(), "{output}");
    assert!(output.err().contains("docker"), "{output}");
    let help = State::new().dkb().with_docker(&docker).args(["build", "--help"]).run().success();
    let calls = docker.calls();
    assert!(help.out().contains("dkb's own flags stand") && calls.len() == 1, "{help}");
    assert_eq!(calls[0].words(), ["build", "--help"]);
}

fn a_flag_in_the_wrong_place_is_pointed_out() {
    let docker = FakeDocker::new();
    docker.reply_to("build").stderr("unknown flag: --session\n").code(125);
    let dkb = State::new().dkb().with_docker(&docker).args(["build", "--session", "x", "."]);
    let output = dkb.run().code(125).warns("unknown flag: --session\n").warns("before the verb");
    assert_eq!(own_lines(&output).iter().filter(|line| line.contains("--session")).count(), 1, "{output}");
}

fn a_missing_program_is_127_and_an_endless_chain_ends() {
    let dkb = State::new().dkb().env("PATH", "/nonexistent").args(["build", "."]);
    dkb.run().code(127).warns("docker");
    let folder = tempfile::tempdir().expect("a folder");
    let shim = folder.path().join("docker");
    std::os::unix::fs::symlink(dkb_lab::dkb::dkb_path(), &shim).expect("a link");
    let dkb = State::new().dkb().env("PATH", folder.path()).args(["build", "."]);
    dkb.run().code(127).warns("dkb itself");
    std::fs::remove_file(&shim).expect("a link");
    let script = format!("#!/bin/sh\nexec {} \"$@\"\n", dkb_lab::dkb::dkb_path().display());
    std::fs::write(&shim, script).expect("a script");
    std::fs::set_permissions(&shim, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("a program");
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    State::new()
        .dkb()
        .env("PATH", path)
        .env("DOCKER_BUILDKIT", "1")
        .args(["build", "."])
        .run()
        .code(2)
        .warns("endlessly");
}

fn podman_is_called_as_docker_is() {
    let docker = FakeDocker::new();
    let podman = docker.program().with_file_name("podman");
    std::fs::copy(docker.program(), &podman).expect("a copy");
    // The copy finds its folder by its own name.
    let script = std::fs::read_to_string(&podman).expect("a script").replace("/bin/docker", "/bin/podman");
    std::fs::write(&podman, script).expect("a script");
    let dkb = State::new().dkb().with_docker(&docker).no_env("DOCKER_HOST").project("p").session("s");
    let dkb = dkb.env("CONTAINER_HOST", "unix:///nonexistent/podman.sock");
    dkb.env("DKB_DOCKER", "podman").args(["build", "-t", "x", "."]).run().success().warns("/nonexistent/podman.sock");
    let call = docker.calls().pop().expect("podman was called").words();
    assert!(
        call.starts_with(&["build", "--rm", "--force-rm", "--label", "dev.dkb.project=p"].map(String::from)),
        "{call:?}"
    );
    assert!(call.ends_with(&["-t", "x", "."].map(String::from)), "{call:?}");
}

fn settings_that_can_not_be_read_break_no_build() {
    type Breaks = fn(&State, Command) -> Command;
    let in_a_checkout = |state: &State, dkb: Command| {
        std::fs::write(state.work().join("dkb.toml"), "keep_last = \"x\"\n").expect("a file");
        dkb
    };
    let breaks: [(&str, Breaks); 4] = [
        ("dkb.toml:1: ", in_a_checkout),
        ("DKB_KEEP_SUPERSEDED", |_, dkb| dkb.env("DKB_KEEP_SUPERSEDED", "many")),
        ("DKB_PROJECT", |_, dkb| dkb.env("DKB_PROJECT", "no name!")),
        ("DKB_SETTINGS", |_, dkb| dkb.env("DKB_SETTINGS", "nowhere.toml")),
    ];
    for (said, broken) in breaks {
        let state = State::new();
        let dkb = |docker: &FakeDocker| broken(&state, state.dkb().cwd(state.work()).with_docker(docker));
        for (typed, docker_words) in [
            (&["build", "-t", "x", "."][..], &["build", "-t", "x", "."][..]),
            (&["buildx", "build", "."], &["buildx", "build", "."]),
            (&["bake", "web"], &["buildx", "bake", "web"]),
            (&["compose", "up", "--build"], &["compose", "up", "--build"]),
        ] {
            let docker = FakeDocker::new();
            docker.reply().code(7);
            let output = dkb(&docker).args(typed).run().code(7).warns("this build was not noted").warns(said);
            warns_once(&output);
            assert_eq!(docker.calls().remove(0).words(), docker_words);
        }
        // What was typed is not docker's, and what deletes has to know what stays.
        for words in [&["--session", "no name!", "build", "."][..], &["clean"], &["guard", "--", "true"]] {
            let docker = FakeDocker::new();
            dkb(&docker).args(words).run().code(2);
            assert!(docker.calls().is_empty(), "{words:?}");
        }
        let doctor = dkb(&FakeDocker::new()).args(["doctor"]).run().code(1).says("settings").says(said);
        assert!(doctor.out().contains("state folder"), "it goes on: {doctor}");
    }
}

/// By an empty part of PATH, by a dot, and by a folder below: a checkout could have brought it.
fn a_docker_that_lies_in_the_current_folder_is_not_run() {
    for path in ["", ".", "./", ":/nowhere", "/nowhere:", "/nowhere:.:/bin", "tools"] {
        let state = State::new();
        std::fs::create_dir(state.work().join("tools")).expect("a folder");
        for folder in ["", "tools"] {
            let ran = docker_script(&state.work().join(folder), "touch ran");
            assert!(ran.ends_with("docker"));
        }
        let dkb = state.dkb().env("PATH", path).no_env("DKB_DOCKER").args(["build", "."]);
        dkb.run().code(127).warns("current folder");
        assert!(!state.work().join("ran").exists(), "PATH={path}");
    }
}

/// A script around docker starts something that outlives it, with or without docker's streams.
fn what_docker_leaves_running_is_not_waited_for_and_is_no_build() {
    for (helper, words) in [
        ("sleep 60 2>/dev/null &", &["build", "."][..]),
        ("sleep 60 &", &["build", "-q", "."]),
        ("sleep 60 &", &["build", "-q", "--iidfile", "iid", "."]),
        ("sleep 60 >/dev/null 2>&1 &", &["build", "."]),
    ] {
        let (docker, state) = (FakeDocker::new(), State::new());
        let said = "Step 1/1 : FROM base\n".repeat(2000);
        // A failed build shows all that it said, also where it was to be quiet.
        let fails = words.contains(&"--iidfile");
        let pid = state.work().join("pid");
        let script = format!("{helper} echo $! >{}", pid.display());
        docker.reply_to("build").script(&script).stdout(&said).code(u8::from(fails));
        let began = Instant::now();
        let dkb = state.dkb().with_docker(&docker).env("DOCKER_BUILDKIT", "0").project("app").session("one");
        let mut running = dkb.args(words.iter().copied()).spawn();
        let ended = eventually(Duration::from_secs(10), || !running.is_running());
        let notes = dkb::ledger::State::at(state.state_dir());
        let (life, open) = (notes.session(&key("app", "one")).life("here", None), notes.unfinished());
        let helper = std::fs::read_to_string(&pid).expect("the helper's number");
        let killed = std::process::Command::new("kill").arg(helper.trim()).status();
        assert!(ended && killed.is_ok_and(|killed| killed.success()), "{words:?} took {:?}", began.elapsed());
        let output = running.wait().code(i32::from(fails));
        let shown = output.out() + &output.err();
        assert!(shown.contains(&said), "{words:?}: {} of {} bytes", shown.len(), said.len());
        assert_ne!(life, Life::Alive, "{words:?}");
        assert!(open.iter().all(|build| !build.still_runs()), "{words:?}");
    }
}

fn in_a_terminal_too_what_docker_leaves_running_is_not_waited_for() {
    let (docker, state) = (FakeDocker::new(), State::new());
    let pid = state.work().join("pid");
    let script = format!("sleep 60 2>/dev/null & echo $! >{}", pid.display());
    docker.reply_to("build").script(&script).stdout("Step 1/1 : FROM base\n".repeat(500) + "the end\n");
    let dkb = state.dkb().with_docker(&docker).env("DOCKER_BUILDKIT", "0").args(["build", "."]);
    let began = Instant::now();
    let mut terminal = dkb.in_terminal();
    let status = terminal.wait();
    let helper = std::fs::read_to_string(&pid).expect("the helper's number");
    let killed = std::process::Command::new("kill").arg(helper.trim()).status();
    assert!(killed.is_ok_and(|killed| killed.success()), "it took {:?}", began.elapsed());
    assert!(status.success() && terminal.seen().contains("the end"), "{}", terminal.screen());
}

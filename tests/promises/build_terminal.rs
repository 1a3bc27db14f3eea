//! Whoever sits in front of `dkb build` sees and ends it as they would see and end docker's own.

use std::time::Duration;

use dkb_lab::command::Command;
use dkb_lab::promise::docker;
use dkb_lab::registry::REGISTRY;
use dkb_lab::{Builder, Context, Engine, FakeDocker, Promises, State, eventually, promises};

use crate::build_streams::buildkit;
use crate::building::Maker;

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on_every_builder(promises![ctrl_c_ends_the_build_and_what_it_made_is_noted])
        .on(docker, promises![a_terminal_shows_the_classic_builder_as_docker_does])
        .on(buildkit, promises![a_terminal_shows_buildkits_own_progress])
        .without_engine(promises![
            a_signal_to_dkb_alone_is_handed_on_once_and_the_code_comes_back,
            ctrl_c_in_a_terminal_reaches_docker_once,
            a_terminal_that_closes_is_told_to_docker_once,
            under_nohup_a_hangup_reaches_nobody,
            what_a_build_writes_to_one_stream_stays_in_order,
        ])
}

const LIMIT: Duration = Duration::from_secs(10);

/// Without a stamp and with all in the cache, both builds show the same IDs, so every byte can be compared.
fn a_terminal_shows_the_classic_builder_as_docker_does(engine: &Engine) {
    let maker = Maker::new(engine, Builder::Classic);
    let _registry = engine.registry();
    let pushed = format!("{REGISTRY}/team/base:1");
    // Of some size, so that there is progress to be shown.
    let base = Context::from_base("RUN head -c 4000000 /dev/urandom >/big");
    engine.build(Builder::Classic, &base, &["-t", &pushed]).success();
    engine.docker(["push", "-q", &pushed]).run().success();
    engine.wipe();
    let recipe =
        |last: &str| Context::new().dockerfile(&format!("FROM {pushed}\nRUN echo red >&2; echo one\n{last}\n"));
    let raw = |context: &Context, args: &[&str]| {
        let raw = engine.docker(["build", "--rm", "--force-rm"]).env("DOCKER_BUILDKIT", "0");
        raw.env("DOCKER_CONFIG", maker.state.docker_config()).args(args.iter().copied()).arg(context.path())
    };
    for last in ["RUN echo two", "RUN echo why >&2; exit 3"] {
        let context = recipe(last);
        // The first time everything is new, and the base is pulled.
        maker.command(&context, &[]).env("DKB_STAMP", "none").run();
        let mut raw = raw(&context, &["--pull"]).in_terminal();
        let mut ours = maker.command(&context, &["--pull"]).env("DKB_STAMP", "none").in_terminal();
        let codes = (raw.wait().exit_code(), ours.wait().exit_code());
        assert_eq!(codes.0, codes.1, "{}", ours.screen());
        assert_eq!(plain(&ours.seen()), plain(&raw.seen()), "{last}");
    }
    // How a pull goes on is drawn over and over, by those that draw it at all.
    let context = recipe("ENV A=1");
    let draws = |command: Command| {
        engine.wipe();
        let mut terminal = command.in_terminal();
        assert!(terminal.wait().success(), "{}", terminal.screen());
        (terminal.seen().contains("\x1b[1A"), terminal.seen())
    };
    let (raw, ours) = (draws(raw(&context, &["--no-cache"])), draws(maker.command(&context, &["--no-cache"])));
    assert_eq!(raw.0, ours.0, "{}\n{}", raw.1, ours.1);
}

/// Without the digits that differ from run to run.
fn plain(seen: &str) -> String {
    let words = seen.split_inclusive([' ', '\r', '\n']);
    let is_id = |word: &str| {
        let word = word.trim_end();
        word.len() == 12 && word.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    words.map(|word| if is_id(word) { word.replace(word.trim_end(), "ID") } else { word.to_owned() }).collect()
}

/// As in `dkb build … >log 2>&1`: the error at the end is still the last line.
fn what_a_build_writes_to_one_stream_stays_in_order() {
    let docker = FakeDocker::new();
    docker.reply_to("build").script("head -c 60000 /dev/zero | tr '\\0' x; echo the end >&2");
    let state = State::new();
    let dkb = state.dkb().with_docker(&docker).env("DOCKER_BUILDKIT", "0").args(["build", "."]);
    for _ in 0..20 {
        let log = state.work().join("log");
        let stdout = std::fs::File::create(&log).expect("a file");
        let stderr = stdout.try_clone().expect("the same file");
        let ended = dkb.to_std().stdout(stdout).stderr(stderr).status();
        assert!(ended.is_ok_and(|status| status.success()));
        let said = std::fs::read_to_string(&log).expect("a file");
        let own = said.find("dkb: ").unwrap_or(said.len());
        assert!(said[..own].ends_with("xxxthe end\n"), "{}", &said[said.len().saturating_sub(200)..]);
    }
}

fn ctrl_c_ends_the_build_and_what_it_made_is_noted(engine: &Engine, builder: Builder) {
    let maker = Maker::new(engine, builder);
    let context = Context::from_base("COPY seed /seed\nENV A=1\nRUN echo now; sleep 60").file("seed", "1");
    let mut terminal = maker.command(&context, &["-t", "app", "--force-rm"]).in_terminal();
    terminal.expect("sleep 60");
    // The step is shown before its container runs.
    eventually(Duration::from_secs(5), || !engine.api().containers().is_empty() || builder == Builder::BuildKit);
    terminal.interrupt();
    let status = terminal.wait();
    assert_ne!(status.exit_code(), 0, "{}", terminal.screen());
    assert!(!terminal.seen().contains("dkb: "), "{}", terminal.screen());
    // The engine takes the build's container away in its own time.
    assert!(eventually(Duration::from_secs(30), || engine.api().containers().is_empty()));
    maker.dkb().args(["clean", "--dry-run"]).run();
    assert!(maker.lost().is_empty(), "steps of the interrupted build: {:?}", maker.lost());
}

fn a_terminal_shows_buildkits_own_progress(engine: &Engine) {
    let maker = Maker::new(engine, Builder::BuildKit);
    let context = Context::from_base("RUN true");
    let mut terminal = maker.command(&context, &["-t", "app"]).in_terminal();
    assert!(terminal.wait().success(), "{}", terminal.screen());
    assert!(terminal.screen().contains("[+] Building"), "{}", terminal.screen());
    assert!(terminal.seen().contains("\x1b["), "it moves");
}

/// What makes a docker note every signal the moment it comes, and end by TERM, with 7.
fn notes_signals(on_hup: &str) -> String {
    format!(
        r#"sleep 1000 &
        trap 'echo INT >>"$call/got"' INT
        trap 'echo HUP >>"$call/got"; {on_hup}' HUP
        trap 'echo TERM >>"$call/got"; kill $!; exit 7' TERM
        : >"$call/ready"
        while :; do wait; done"#
    )
}

/// What comes twice comes before the TERM that is sent after it.
fn a_signal_to_dkb_alone_is_handed_on_once_and_the_code_comes_back() {
    for signal in ["INT", "HUP"] {
        let docker = FakeDocker::new();
        docker.reply_to("build").script(&notes_signals(":"));
        let state = State::new();
        let running = state.dkb().with_docker(&docker).env("DOCKER_BUILDKIT", "1").args(["build", "."]).spawn();
        assert!(eventually(LIMIT, || noted(&docker, "ready").is_some()), "docker starts");
        running.signal(signal);
        assert!(eventually(LIMIT, || noted(&docker, "got").is_some_and(|got| got.ends_with('\n'))), "{signal}");
        running.signal("TERM");
        running.wait().code(7);
        assert_eq!(noted(&docker, "got").as_deref(), Some(&*format!("{signal}\nTERM\n")), "once");
    }
    let docker = FakeDocker::new();
    docker.reply_to("build").signal("KILL");
    State::new().dkb().with_docker(&docker).env("DOCKER_BUILDKIT", "1").args(["build", "."]).run().code(137);
}

fn ctrl_c_in_a_terminal_reaches_docker_once() {
    for builder in ["0", "1"] {
        let docker = FakeDocker::new();
        docker.reply_to("build").script(&notes_signals(":"));
        let state = State::new();
        let dkb = state.dkb().with_docker(&docker).env("DOCKER_BUILDKIT", builder).args(["build", "."]);
        let mut terminal = dkb.in_terminal();
        assert!(eventually(LIMIT, || noted(&docker, "ready").is_some()), "docker starts");
        terminal.interrupt();
        assert!(eventually(LIMIT, || noted(&docker, "got").is_some_and(|got| got.ends_with('\n'))), "{builder}");
        let kill = std::process::Command::new("kill").args(["-TERM", &terminal.id().to_string()]).status();
        assert!(kill.is_ok_and(|status| status.success()));
        assert_eq!(terminal.wait().exit_code(), 7, "{}", terminal.screen());
        assert_eq!(noted(&docker, "got").as_deref(), Some("INT\nTERM\n"), "once");
    }
}

/// The kernel tells only whoever leads the session, which is dkb where the terminal runs nothing else.
fn a_terminal_that_closes_is_told_to_docker_once() {
    let docker = FakeDocker::new();
    docker.reply_to("build").script(&notes_signals("kill -TERM $$"));
    let state = State::new();
    let dkb = state.dkb().with_docker(&docker).env("DOCKER_BUILDKIT", "1").args(["build", "."]);
    let status = dkb.in_terminal_that_closes(|| noted(&docker, "ready").is_some());
    assert_eq!(status.exit_code(), 7);
    assert_eq!(noted(&docker, "got").as_deref(), Some("HUP\nTERM\n"), "once");
}

fn under_nohup_a_hangup_reaches_nobody() {
    let docker = FakeDocker::new();
    let build = docker.reply_to("build").script(": >\"$call/ready\"").held().code(9);
    let state = State::new();
    let dkb = state.dkb().with_docker(&docker).env("DOCKER_BUILDKIT", "1");
    let std = dkb.to_std();
    let mut nohup = Command::new("/usr/bin/nohup").arg(std.get_program()).args(["build", "."]);
    for (key, value) in std.get_envs() {
        nohup = nohup.env(key, value.unwrap_or_default());
    }
    let running = nohup.cwd(state.work()).spawn();
    assert!(eventually(LIMIT, || noted(&docker, "ready").is_some()), "docker starts");
    running.signal("HUP");
    build.release();
    running.wait().code(9);
}

/// What the call of `build` wrote into a file of its own.
fn noted(docker: &FakeDocker, name: &str) -> Option<String> {
    let calls = docker.program().parent()?.parent()?.join("calls");
    let found =
        std::fs::read_dir(calls).ok()?.flatten().map(|call| call.path().join(name)).find(|path| path.exists())?;
    std::fs::read_to_string(found).ok()
}

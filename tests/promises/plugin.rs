//! `dkb plugin install --every-build` and `--as-docker`: dkb before docker's buildx, or docker itself, put there and taken
//! away again, and never in the way.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use dkb_lab::command::Command;
use dkb_lab::dkb::dkb_path;
use dkb_lab::{Builder, Context, Engine, FakeDocker, Promises, State, promises};

use crate::building::Maker;

pub(crate) fn promises() -> Promises {
    Promises::of(module_path!())
        .on(
            |engine| engine.starts_with("docker-28"),
            promises![
                one_command_and_every_build_is_tidied_up_after_until_dkb_is_gone,
                a_tool_that_is_told_which_docker_to_use_gets_all_of_it,
            ],
        )
        .on_one_engine()
        .without_engine(promises![
            the_place_is_taken_and_given_back_to_the_byte,
            what_others_changed_meanwhile_stays,
            settings_that_are_none_or_somebody_elses_are_left_alone,
            what_somebody_else_put_there_stays,
            settings_are_changed_where_a_link_leads,
            a_build_goes_to_dkb_and_all_else_to_the_real_one,
            a_dkb_that_is_gone_or_broken_or_too_old_is_passed_over,
            docker_is_answered_wherever_its_buildx_went,
            root_puts_nothing_into_the_settings_of_somebody_else,
            the_doctor_says_how_it_stands_with_the_place,
            what_is_no_build_is_dockers_by_the_name_docker,
            builds_are_ours_by_the_name_docker_and_so_is_docker_dkb,
            docker_by_its_name_is_never_dkb_again,
            a_link_by_the_name_docker_is_made_and_taken_away,
        ])
}

/// What docker asks each plugin first.
const METADATA: &str = "docker-cli-plugin-metadata";

/// A user who has docker's buildx, and dkb on PATH.
struct User {
    state: State,
    buildx: FakeDocker,
    bin: tempfile::TempDir,
}

impl User {
    fn new() -> Self {
        let user = Self { state: State::new(), buildx: FakeDocker::new(), bin: tempfile::tempdir().expect("a folder") };
        symlink(dkb_path(), user.dkb()).expect("a link");
        let plugins = user.state.docker_config().join("cli-plugins");
        fs::create_dir(&plugins).expect("a folder");
        program(&plugins.join("docker-buildx"), &format!("exec {} \"$@\"", user.buildx.program().display()));
        user.buildx.reply_to(METADATA).stdout("{}");
        user
    }

    /// Where PATH finds dkb.
    fn dkb(&self) -> PathBuf {
        self.bin.path().join("dkb")
    }

    fn config(&self) -> PathBuf {
        self.state.docker_config().join("config.json")
    }

    fn script(&self) -> PathBuf {
        self.state.docker_config().join("dkb-seat/docker-buildx")
    }

    fn run(&self, program: &Path) -> Command {
        let dkb = self.state.dkb().to_std();
        let mut command = Command::new(program).cwd(self.state.work());
        for (key, value) in dkb.get_envs() {
            command = command.env(key, value.unwrap_or_default());
        }
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", self.bin.path().display());
        command.env("PATH", path).project("p").session("s")
    }

    fn plugin(&self, words: &[&str]) -> Command {
        self.run(dkb_path()).arg("plugin").args(words.iter().copied())
    }

    fn install(&self) {
        self.plugin(&["install", "--every-build"]).run().success().says("every build installed, before ");
    }

    /// All that is in the folder of docker's settings.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.state.docker_config()).expect("a folder").flatten();
        let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}

fn program(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).expect("a program");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a mode");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("a file").permissions().mode() & 0o777
}

fn the_place_is_taken_and_given_back_to_the_byte() {
    let texts = [
        "{\n\t\"auths\": {\n\t\t\"r\": {\n\t\t\t\"auth\": \"c2VjcmV0\"\n\t\t}\n\t},\n\t\"credsStore\": \"x\"\n}\n",
        "{}",
        "{\"cliPluginsExtraDirs\":[\"/x\",\n\"/y\"], \"currentContext\" : \"far\"}  ",
        "{ \"CLIPluginsExtraDirs\" : [\"/x\"] }\nand more",
    ];
    for (text, mode_of_it) in texts.into_iter().zip([0o600, 0o644, 0o640, 0o400]) {
        let user = User::new();
        // A name that dkb once gave its copy, and that is the user's own.
        fs::write(user.config().with_file_name("config.json.before-dkb"), "theirs").expect("a file");
        fs::write(user.config(), text).expect("settings");
        fs::set_permissions(user.config(), fs::Permissions::from_mode(mode_of_it)).expect("a mode");
        let before = user.files();
        user.install();
        let installed = fs::read_to_string(user.config()).expect("settings");
        let folder = user.script().parent().expect("a folder").display().to_string();
        assert!(installed.contains(&format!("[\"{folder}\"")), "{installed}");
        assert_eq!(mode(&user.config()), mode_of_it);
        // No second file holds the credentials.
        assert!(user.files().iter().all(|name| before.contains(name) || name == "dkb-seat"), "{:?}", user.files());

        user.install();
        assert_eq!(fs::read_to_string(user.config()).expect("settings"), installed, "once is enough");
        user.plugin(&["status"]).run().success().says("every build installed, before ");

        user.plugin(&["uninstall"]).run().success().says("to the byte");
        assert_eq!(fs::read_to_string(user.config()).expect("settings"), text);
        assert_eq!((mode(&user.config()), user.files()), (mode_of_it, before));
        user.plugin(&["uninstall"]).run().success().says("every build not installed");
    }
    let user = User::new();
    let before = user.files();
    user.install();
    // There may be credentials in it some day.
    assert_eq!(mode(&user.config()), 0o600);
    user.plugin(&["uninstall", "--every-build"]).run().success();
    assert_eq!(user.files(), before, "where there were no settings there are none again");
}

fn what_others_changed_meanwhile_stays() {
    let user = User::new();
    fs::write(user.config(), "{\"credsStore\": \"x\"}").expect("settings");
    user.install();
    // As docker does at a login: all of it, in its own order.
    let text = fs::read_to_string(user.config()).expect("settings");
    let mut settings: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    settings["auths"] = serde_json::json!({"r": {}});
    fs::write(user.config(), serde_json::to_string_pretty(&settings).expect("JSON")).expect("settings");
    user.plugin(&["uninstall"]).run().success().says("all else in");
    let text = fs::read_to_string(user.config()).expect("settings");
    assert_eq!(text, "{\n  \"auths\": {\n    \"r\": {}\n  },\n  \"credsStore\": \"x\"\n}");
    assert_eq!(user.files(), ["cli-plugins", "config.json"]);
}

fn settings_that_are_none_or_somebody_elses_are_left_alone() {
    for text in ["{", "[]", "{\"cliPluginsExtraDirs\": \"/x\"}"] {
        let user = User::new();
        fs::write(user.config(), text).expect("a file");
        let before = user.files();
        let output = user.plugin(&["install", "--every-build"]).run().code(2);
        output.says("no JSON object").says("nothing was changed");
        assert_eq!((fs::read_to_string(user.config()).expect("the file"), user.files()), (text.to_owned(), before));
    }
    let user = User::new();
    fs::write(user.config(), "{}").expect("a file");
    fs::remove_file(user.state.docker_config().join("cli-plugins/docker-buildx")).expect("no buildx");
    let output = user.plugin(&["install", "--every-build"]).run();
    // Unless this machine has one for everybody.
    if output.exit_code() != Some(0) {
        output.code(2).says("docker has no buildx here");
        assert_eq!(fs::read_to_string(user.config()).expect("the file"), "{}");
    }
    let (user, theirs) = (User::new(), tempfile::NamedTempFile::new().expect("a file"));
    fs::write(&theirs, "{}").expect("a file");
    if chown(theirs.path(), Some(12_345), None).is_ok() {
        symlink(theirs.path(), user.config()).expect("a link");
        user.plugin(&["install", "--every-build"]).run().code(2).says("belongs to somebody else");
        assert_eq!(fs::read_to_string(&theirs).expect("the file"), "{}");
        assert_eq!(user.files(), ["cli-plugins", "config.json"]);
    }
}

fn what_somebody_else_put_there_stays() {
    let user = User::new();
    let (theirs, folder) = (tempfile::tempdir().expect("a folder"), user.state.docker_config().join("dkb-seat"));
    let script = theirs.path().join("docker-buildx");
    fs::write(&script, "#!/bin/sh\necho mine\n").expect("a script");
    symlink(theirs.path(), &folder).expect("a link");
    let refused = user.plugin(&["install", "--every-build"]).run().code(2);
    refused.says("something else stands there").says("move it away");
    user.plugin(&["uninstall"]).run();
    assert_eq!(fs::read_to_string(&script).expect("the script"), "#!/bin/sh\necho mine\n");
    fs::remove_file(&folder).expect("the link");
    user.install();
    fs::write(folder.join("docker-buildx"), "#!/bin/sh\necho mine\n").expect("a script");
    user.plugin(&["uninstall"]).run().success();
    assert!(folder.join("docker-buildx").exists(), "it is not what dkb wrote any more");
}

fn settings_are_changed_where_a_link_leads() {
    let (user, dotfiles) = (User::new(), tempfile::tempdir().expect("a folder"));
    let kept = dotfiles.path().join("docker.json");
    fs::write(&kept, "{\"a\": 1}\n").expect("settings");
    symlink(&kept, user.config()).expect("a link");
    user.install();
    assert!(fs::read_to_string(&kept).expect("settings").contains("dkb-seat"));
    user.plugin(&["uninstall"]).run().success();
    assert_eq!(fs::read_to_string(&kept).expect("settings"), "{\"a\": 1}\n");
    assert_eq!(fs::read_link(user.config()).expect("a link"), kept);
    assert_eq!(fs::read_dir(dotfiles.path()).expect("a folder").count(), 1);
}

fn a_build_goes_to_dkb_and_all_else_to_the_real_one() {
    let user = User::new();
    user.install();
    for reply in [user.buildx.reply(), user.buildx.reply_to(METADATA)] {
        reply.stdout(b"said \xff\0").stderr("and more").code(9).reads_stdin();
    }
    for words in [&[METADATA][..], &["buildx", "version"], &["buildx", "bake", "--print"], &[]] {
        let output = user.run(&user.script()).args(words.iter().copied()).stdin("given").run().code(9);
        assert_eq!((output.stdout.as_slice(), &*output.err()), (&b"said \xff\0"[..], "and more"));
        let call = user.buildx.calls().pop().expect("a call");
        assert_eq!(call.words(), words.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(call.stdin.as_deref(), Some(&b"given"[..]));
    }
    let told = |command: Command| {
        command.args(["buildx", "build", "-t", "x", "."]).run().code(9);
        user.buildx.calls().pop().expect("a call").words()
    };
    let words = told(user.run(&user.script()));
    assert!(words.contains(&"dev.dkb.project=p".to_owned()), "{words:?}");
    // As after `docker --config`: nothing but its own path says whose settings these are.
    let elsewhere = user.run(&user.script()).no_env("DOCKER_CONFIG").no_env("HOME");
    elsewhere.arg(METADATA).run().code(9);
    let off = told(user.run(&user.script()).env("DKB_SEAT", "off"));
    assert_eq!(off, ["buildx", "build", "-t", "x", "."]);
}

fn a_dkb_that_is_gone_or_broken_or_too_old_is_passed_over() {
    let user = User::new();
    user.install();
    user.buildx.reply().stdout("built").code(3).reads_stdin();
    let run = |what: &str| {
        let output = user.run(&user.script()).args(["buildx", "build", "-t", "x", "."]).stdin("given").run().code(3);
        assert_eq!((&*output.out(), &*output.err()), ("built", ""), "{what}");
        let call = user.buildx.calls().pop().expect("a call");
        assert_eq!(call.words(), ["buildx", "build", "-t", "x", "."], "{what}");
        assert_eq!(call.stdin.as_deref(), Some(&b"given"[..]), "{what}");
    };
    let dkb = user.dkb();
    fs::remove_file(&dkb).expect("no dkb");
    run("gone");
    symlink("/nowhere/dkb", &dkb).expect("a link");
    run("a link to nothing");
    let no_program: [(&str, &[u8], u32); 7] = [
        ("a file that was never written", b"", 0o755),
        ("half a file", b"\x7fELF\x02\x01\x01", 0o755),
        ("for another machine", b"#!/nowhere/interpreter\n", 0o755),
        ("no program", b"x", 0o644),
        ("an old one", b"#!/bin/sh\necho 'dkb: there is no such verb' >&2\nexit 2\n", 0o755),
        ("one that hangs", b"#!/bin/sh\nexec sleep 1000\n", 0o755),
        ("one that crashes", b"#!/bin/sh\nkill -SEGV $$\n", 0o755),
    ];
    for (what, text, mode) in no_program {
        fs::remove_file(&dkb).expect("the former");
        fs::write(&dkb, text).expect("a file");
        fs::set_permissions(&dkb, fs::Permissions::from_mode(mode)).expect("a mode");
        run(what);
    }
    fs::remove_file(&dkb).expect("no dkb");
    fs::create_dir(&dkb).expect("a folder");
    run("a folder");
}

fn docker_is_answered_wherever_its_buildx_went() {
    let user = User::new();
    user.install();
    let settings = fs::read_to_string(user.config()).expect("settings");
    let there = user.state.docker_config().join("cli-plugins/docker-buildx");
    let elsewhere = user.state.docker_config().join("else where");
    fs::create_dir(&elsewhere).expect("a folder");
    let moved = elsewhere.join("docker-buildx");
    fs::rename(&there, &moved).expect("moved");
    let seat = user.script().parent().expect("a folder").display().to_string();
    for text in [
        settings.replace("\"]", &format!("\", \"{}\"]", elsewhere.display())),
        format!(
            "{{\"a\": [\"/x\"],\n\"CLIPluginsExtraDirs\":\n[\n\"{seat}\",\n\"{}\"\n]}}\nand more",
            elsewhere.display()
        ),
    ] {
        fs::write(user.config(), &text).expect("settings");
        let dkb = user.dkb();
        for (is_there, off) in [(true, ""), (true, "off"), (false, "")] {
            if !is_there {
                fs::remove_file(&dkb).expect("no dkb");
            }
            // As after `docker --config`.
            let script = user.run(&user.script()).env("DKB_SEAT", off).no_env("DOCKER_CONFIG").no_env("HOME");
            assert_eq!(script.arg(METADATA).run().success().out(), "{}", "{text} {is_there} {off}");
        }
        symlink(dkb_path(), &dkb).expect("a link");
        user.plugin(&["status"]).run().success().says(&format!("every build installed, before {}", moved.display()));
    }
    // It is there, and says nothing.
    user.buildx.reply_to(METADATA).stdout("").code(1);
    user.plugin(&["status"]).run().success().says("every build lost: ");
    let doctor = user.run(dkb_path()).arg("doctor").run();
    doctor.says("not seen any more: docker asks");
}

fn root_puts_nothing_into_the_settings_of_somebody_else() {
    let user = User::new();
    let before = user.files();
    // Only root can make it somebody else's.
    let folders = [user.state.docker_config(), user.state.docker_config().join("cli-plugins")];
    if folders.iter().all(|folder| chown(folder, Some(12_345), None).is_ok()) {
        let refused = user.plugin(&["install", "--every-build"]).run().code(2);
        refused.says("belongs to somebody else").says("run this as that user");
        user.plugin(&["install"]).run().code(1).says("belongs to somebody else");
        assert_eq!(user.files(), before);
    }
}

fn the_doctor_says_how_it_stands_with_the_place() {
    let user = User::new();
    let says = |state: &str, text: &str| {
        let output = user.run(dkb_path()).args(["doctor", "--json"]).run();
        let said = output.json();
        let finding = said["findings"].as_array().expect("findings").iter().find(|row| row["name"] == "every build");
        let finding = finding.expect("a word on it");
        assert_eq!(finding["state"], state, "{finding}");
        assert!(finding["found"].as_str().is_some_and(|found| found.contains(text)), "{finding}");
    };
    says("better", "started by its name");
    user.install();
    says("fine", "cli-plugins/docker-buildx");
    fs::remove_file(user.dkb()).expect("no dkb");
    says("broken", "is gone, or does not work");
    symlink(dkb_path(), user.dkb()).expect("a link");
    let settings = fs::read_to_string(user.config()).expect("settings");
    // What an update, or a hand, may do.
    fs::write(user.config(), "{}").expect("settings");
    says("broken", "does not name its folder any more");
    let other = user.state.docker_config().join("other");
    fs::create_dir(&other).expect("a folder");
    program(&other.join("docker-buildx"), "echo {}");
    fs::write(user.config(), settings.replace("[\"", &format!("[\"{}\", \"", other.display()))).expect("settings");
    says("broken", "before it");
    user.install();
    says("fine", "other/docker-buildx");
    fs::remove_file(user.script()).expect("no script");
    says("broken", "is gone");
    user.install();
    says("fine", "other/docker-buildx");
}

fn one_command_and_every_build_is_tidied_up_after_until_dkb_is_gone(engine: &Engine) {
    let maker = Maker::new(engine, Builder::BuildKit);
    let bin = tempfile::tempdir().expect("a folder");
    symlink(dkb_path(), bin.path().join("dkb")).expect("a link");
    let dkb = || {
        let path = format!("{}:{}:/usr/bin:/bin", bin.path().display(), engine.bin().display());
        maker.dkb().env("PATH", path)
    };
    let before = fs::read(maker.state.docker_config().join("config.json")).ok();
    dkb().args(["plugin", "install", "--every-build"]).run().success();
    let compose = "services:\n  web:\n    build: .\n    command: [\"true\"]\n";
    let bake = "target \"default\" {\n  tags = [\"baked:dev\"]\n}\n";
    let context = Context::from_base("COPY seed /seed")
        .file("compose.yaml", compose)
        .file("docker-bake.hcl", bake)
        .file("seed", "0");
    let docker = |words: &[&str]| {
        let mut docker = engine.docker(words.iter().copied()).cwd(context.path());
        for (key, value) in maker.dkb().to_std().get_envs() {
            docker = docker.env(key, value.unwrap_or_default());
        }
        docker.env("COMPOSE_PROJECT_NAME", "compose")
    };
    let builds: &[(&str, &[&str])] = &[
        ("built:dev", &["build", "-t", "built:dev", "."]),
        ("baked:dev", &["buildx", "bake", "-f", "docker-bake.hcl"]),
        ("compose-web", &["compose", "up", "--build"]),
    ];
    for round in 0..3 {
        for (n, (tag, words)) in builds.iter().enumerate() {
            context.write("seed", format!("{round} {n}"));
            docker(words).run().success();
            docker(&["compose", "down"]).run().success();
            maker.is_tidy(&words.join(" "));
            assert!(maker.recorded().contains(&maker.id(tag)), "{words:?}");
        }
    }
    maker.dkb().arg("doctor").run().says("seen by dkb");
    // Whoever takes dkb away, and its place not, has docker as it was.
    fs::remove_file(bin.path().join("dkb")).expect("no dkb");
    for (n, (tag, words)) in builds.iter().enumerate() {
        context.write("seed", format!("without {n}"));
        docker(words).run().success();
        assert!(!maker.recorded().contains(&maker.id(tag)), "{words:?}");
    }
    docker(&["buildx", "version"]).run().success();
    maker.dkb().args(["plugin", "uninstall"]).run().success();
    let after = fs::read(maker.state.docker_config().join("config.json")).ok();
    assert!(before.is_none_or(|before| after == Some(before)));
}

/// A folder in which dkb is docker.
fn docker_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    symlink(dkb_path(), folder.path().join("docker")).expect("a link");
    folder
}

/// dkb by the name of docker, with these folders on PATH.
fn as_docker(state: &State, link: &Path, path: &[&Path]) -> Command {
    let dkb = state.dkb().to_std();
    let mut command = Command::new(link).cwd(state.work());
    for (key, value) in dkb.get_envs() {
        command = command.env(key, value.unwrap_or_default());
    }
    let path: Vec<_> = path.iter().map(|folder| folder.display().to_string()).collect();
    command.env("PATH", format!("{}:/usr/bin:/bin", path.join(":"))).project("p").session("s")
}

fn what_is_no_build_is_dockers_by_the_name_docker() {
    let (real, state, folder) = (FakeDocker::new(), State::new(), docker_folder());
    real.reply().stdout(b"said \xff\0").stderr("and more").code(125).reads_stdin();
    let link = folder.path().join("docker");
    for words in [
        &["run", "--rm", "x", "build", "."][..],
        &["--version"],
        &["--config", "/c", "-D", "ps", "-a"],
        &["buildx", "version"],
        &["build", "--help"],
        &["--project", "x", "build", "."],
        &["--no-such-flag", "build", "."],
        &["clean"],
        &["pull", "x"],
        &["plugin", "install", "x"],
        &["system", "prune", "--force"],
        &["__complete", "build", ""],
        &[],
    ] {
        let output = as_docker(&state, &link, &[folder.path(), &real.bin()]).args(words.iter().copied());
        let output = output.stdin("given").run().code(125);
        assert_eq!((output.stdout.as_slice(), &*output.err()), (&b"said \xff\0"[..], "and more"), "{words:?}");
        let call = real.calls().pop().expect("a call");
        assert_eq!(call.words(), words.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(call.stdin.as_deref(), Some(&b"given"[..]));
    }
    real.reply_to("kill").signal("TERM");
    assert_eq!(as_docker(&state, &link, &[folder.path(), &real.bin()]).args(["kill", "x"]).run().signal(), Some(15));
}

fn builds_are_ours_by_the_name_docker_and_so_is_docker_dkb() {
    let (real, state, folder) = (FakeDocker::new(), State::new(), docker_folder());
    real.reply().code(4);
    let link = folder.path().join("docker");
    let run = || as_docker(&state, &link, &[folder.path(), &real.bin()]);
    for words in [
        &["build", "-t", "x", "."][..],
        &["image", "build", "."],
        &["-D", "--context", "default", "buildx", "build", "."],
    ] {
        run().args(words.iter().copied()).run().code(4);
        let told = real.calls().pop().expect("a call").words();
        assert!(told.contains(&"dev.dkb.project=p".to_owned()), "{told:?}");
    }
    run().args(["dkb", "--version"]).run().success().says("dkb ");
    run().args(["--config", "/c", "dkb", "clean", "--help"]).run().success().says("Usage: docker dkb clean");
    run().args(["dkb", "pull", "x"]).run().code(2).warns("docker does the rest");

    // A docker that dkb has started, and that calls docker again.
    let inside = run().env("DKB_INSIDE", real.program()).args(["build", "."]);
    inside.run().code(4);
    assert_eq!(real.calls().pop().expect("a call").words(), ["build", "."]);
    let broken = state.work().join("dkb.toml");
    fs::write(&broken, "no key of ours = 1\n").expect("a file");
    run().args(["build", "."]).run().code(4).warns("this build was not noted");
    assert_eq!(real.calls().pop().expect("a call").words(), ["build", "."]);
    assert!(run().args(["ps"]).run().code(4).err().is_empty());
}

fn docker_by_its_name_is_never_dkb_again() {
    let (real, state, folder) = (FakeDocker::new(), State::new(), docker_folder());
    real.reply().code(4);
    let link = folder.path().join("docker");
    let real_bin = real.bin();
    let around = tempfile::tempdir().expect("a folder");
    program(&around.path().join("docker"), &format!("exec {} \"$@\"", link.display()));
    let another = tempfile::tempdir().expect("a folder");
    program(&another.path().join("dkb"), "exit 99");
    symlink(another.path().join("dkb"), another.path().join("docker")).expect("a link");
    for path in [
        &[folder.path(), around.path(), folder.path()][..],
        &[around.path(), folder.path(), another.path()],
        &[another.path(), folder.path()],
        &[&real_bin, folder.path()],
        &[],
    ] {
        let path: Vec<&Path> = path.iter().copied().chain([&*real_bin]).collect();
        let is_endless = path.first() == Some(&folder.path());
        let calls = || real.calls_of("ps").len() + real.calls_of("build").len();
        let before = calls();
        for words in [["ps", "-a"], ["build", "."]] {
            let output = as_docker(&state, &link, &path).args(words).run();
            if is_endless {
                // The script stands behind dkb there, and calls it again.
                output.code(2).warns("Name the real docker in DKB_DOCKER");
            } else {
                output.code(4);
            }
        }
        assert_eq!(calls() - before, if is_endless { 0 } else { 2 }, "{path:?}");
    }
    let named = as_docker(&state, &link, &[folder.path(), around.path()]).env("DKB_DOCKER", real.program());
    named.args(["ps"]).run().code(4);
    let none = as_docker(&state, &link, &[folder.path(), another.path()]).args(["ps"]).run();
    // Unless this machine has one.
    if none.exit_code() == Some(127) {
        none.warns("it is dkb itself");
    }
}

fn a_link_by_the_name_docker_is_made_and_taken_away() {
    let (real, state) = (FakeDocker::new(), State::new());
    let folder = state.home().join("bin");
    let path = format!("{}:{}:/usr/bin:/bin", folder.display(), real.bin().display());
    let plugin = |words: &[&str]| {
        let folder = folder.to_str().expect("a path");
        let words = words.iter().map(|word| if *word == "DIR" { folder } else { word });
        state.dkb().env("PATH", &path).arg("plugin").args(words).run()
    };
    let link = folder.join("docker");
    plugin(&["install", "--as-docker", "DIR"]).success().says(&format!("before {}", real.program().display()));
    assert_eq!(fs::canonicalize(&link).expect("a link"), fs::canonicalize(dkb_path()).expect("a path"));
    plugin(&["install", "--as-docker", "DIR"]).success().never_says("not by PATH");
    plugin(&["status"]).success().says(&format!("as docker   installed ({})", link.display()));
    plugin(&["uninstall", "--as-docker", "DIR"]).success();
    assert!(!link.exists());
    plugin(&["install", "--as-docker", "DIR"]).success();
    plugin(&["uninstall"]).success();
    assert!(!link.exists());
    program(&link, "theirs");
    plugin(&["install", "--as-docker", "DIR"]).code(2).says("something else stands there");
    plugin(&["uninstall", "--as-docker", "DIR"]).success();
    assert_eq!(fs::read_to_string(&link).expect("the file"), "#!/bin/sh\ntheirs\n");
}

fn a_tool_that_is_told_which_docker_to_use_gets_all_of_it(engine: &Engine) {
    let (maker, folder) = (Maker::new(engine, Builder::BuildKit), docker_folder());
    let context = Context::from_base("COPY seed /seed").file("seed", "0");
    let context = context.file("compose.yaml", "services:\n  web:\n    build: .\n    command: [\"true\"]\n");
    let docker = |words: &[&str]| {
        let mut docker = Command::new(folder.path().join("docker")).cwd(context.path());
        for (key, value) in maker.dkb().to_std().get_envs() {
            docker = docker.env(key, value.unwrap_or_default());
        }
        docker.env("COMPOSE_PROJECT_NAME", "compose").args(words.iter().copied())
    };
    for seed in ["1", "2", "3"] {
        context.write("seed", seed);
        docker(&["build", "-t", "built:dev", "."]).run().success();
        maker.is_tidy("a build");
        docker(&["compose", "up", "--build"]).run().success();
        docker(&["compose", "down"]).run().success();
        maker.is_tidy("compose");
    }
    docker(&["run", "--rm", "built:dev", "sh", "-c", "exit 7"]).run().code(7);
    docker(&["version", "--format", "{{.Client.Version}}"]).run().success().says("28");
    docker(&["no-such-verb"]).run().fails().warns("docker");
    docker(&["dkb", "clean", "--session", "--yes"]).run().success();
    assert_eq!(engine.images(), []);
}

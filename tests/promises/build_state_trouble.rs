//! Promise 6: a state folder that is missing, read-only, full or damaged costs a warning, never the build.

use std::ffi::OsStr;
use std::path::Path;

use dkb_lab::command::{Command, Output};
use dkb_lab::{Builder, Context, Engine, Promises, promises};

use crate::building::{Maker, dangling, ledgers, open_builds, says_nothing_of_its_own, warns_once};

pub(crate) fn promises() -> Promises {
    let promises = Promises::of(module_path!())
        .on_every_builder(promises![an_id_file_whose_memory_fills_during_a_build_is_written_all_the_same])
        .on_every_version();
    let promises = promises.on_every_builder(promises![
        a_state_folder_that_is_missing_is_made,
        a_state_folder_that_cannot_be_written_costs_a_warning,
        a_full_state_folder_costs_a_warning,
        a_disk_that_fills_during_a_build_costs_a_warning,
        a_limit_that_docker_can_build_under_costs_a_warning,
        an_id_file_whose_place_goes_during_a_build_is_written_all_the_same,
        a_damaged_ledger_costs_what_it_said_and_no_more,
    ]);
    promises.on_one_engine()
}

fn context() -> Context {
    Context::from_base("COPY seed /seed").file("seed", "1")
}

fn a_state_folder_that_is_missing_is_made(engine: &Engine, builder: Builder) {
    let maker = Maker::new(engine, builder);
    let folder = maker.state.state_dir();
    std::fs::remove_dir(&folder).expect("an empty folder");
    says_nothing_of_its_own(&maker.build(&context(), &["-t", "app"]).success());
    assert!(maker.recorded().contains(&maker.id("app")));
    assert_eq!(open_builds(&maker.state), 0);
}

/// A file stands where the folder should be: not even root writes there.
fn a_state_folder_that_cannot_be_written_costs_a_warning(engine: &Engine, builder: Builder) {
    let maker = Maker::new(engine, builder);
    let folder = maker.state.state_dir();
    std::fs::remove_dir(&folder).expect("an empty folder");
    std::fs::write(&folder, "").expect("a file");
    let context = context();
    let output = maker.build(&context, &["-q", "-t", "app"]).success();
    warns_once(&output);
    assert!(output.out().trim_end().ends_with(maker.id("app").trim_start_matches("sha256:")), "{output}");
}

/// A tmpfs of its own, full to the last byte and then with a few left: enough for dkb to begin, and not enough
/// for docker to write the ID of a build that went well.
fn a_full_state_folder_costs_a_warning(engine: &Engine, builder: Builder) {
    let maker = Maker::new(engine, builder);
    let (context, folder) = (context(), maker.state.state_dir());
    let command = maker.command(&context, &["-t", "app"]).env("DKB_STATE_DIR", &folder);
    for room in ["0", "8", "24"] {
        let output = in_full_folder(&folder, room, &command).success();
        warns_once(&output);
        assert!(engine.has("app"));
    }
}

/// Runs the command in mounts of its own, where the folder is a small file system with so many KiB left.
fn in_full_folder(folder: &Path, room: &str, command: &Command) -> Output {
    let script = r#"
        mount -t tmpfs -o size=64k,nr_inodes=64,mode=700 none "$1"
        cat /dev/zero >"$1/full" 2>/dev/null
        truncate -s "$((64 - $2))K" "$1/full"
        shift 2
        exec "$@""#;
    in_script(script, &[folder.as_os_str(), room.as_ref()], command)
}

/// The command's words are the script's last ones.
pub(crate) fn in_script(script: &str, first: &[&OsStr], command: &Command) -> Output {
    let std = command.to_std();
    let words = first.iter().copied().chain([std.get_program()]).chain(std.get_args());
    let mut wrapped = Command::new("/usr/bin/unshare").args(["--mount", "sh", "-c", script, "sh"]);
    for (key, value) in std.get_envs() {
        wrapped = wrapped.env(key, value.unwrap_or_default());
    }
    wrapped.args(words).cwd(std.get_current_dir().unwrap_or(Path::new("/"))).run()
}

/// Docker waits for its Dockerfile, which comes once dkb has begun and the disk is full.
fn a_disk_that_fills_during_a_build_costs_a_warning(engine: &Engine, builder: Builder) {
    let maker = Maker::new(engine, builder);
    let folder = maker.state.state_dir();
    let command = maker.dkb().args(["build", "-t", "app", "-"]).env("DKB_STATE_DIR", &folder);
    let script = r#"
        mount -t tmpfs -o size=4m none "$1"
        state=$1; shift
        {
            n=0; until cat "$state"/builds/*/intent.json >/dev/null 2>&1 || [ $n = 1000 ]; do n=$((n + 1)); sleep 0.01; done
            cat /dev/zero >"$state/full" 2>/dev/null
            printf 'FROM lab/base\nENV A=1\n'
        } | "$@"
        code=$?
        # What this build could not note, the next dkb would, and the state folder ends here.
        rm -rf $(cat "$state"/builds/*/iid-at)
        exit $code"#;
    let output = in_script(script, &[folder.as_os_str()], &command).success();
    warns_once(&output);
    assert!(engine.has("app"));
}

/// Too few handles for dkb, or files that may not grow as its ledger has to: docker builds, so a build is what there is.
fn a_limit_that_docker_can_build_under_costs_a_warning(engine: &Engine, builder: Builder) {
    let maker = Maker::new(engine, builder);
    let context = context();
    for n in 0..4 {
        context.write("seed", format!("{n}"));
        maker.build(&context, &["-t", "app"]).success();
    }
    let within = |limit: &str, command: &Command| {
        let std = command.to_std();
        let words = ["-c", "ulimit $1; shift; exec \"$@\"", "sh", limit].map(OsStr::new);
        let words = words.into_iter().chain([std.get_program()]).chain(std.get_args());
        let mut limited = Command::new("/bin/sh").args(words).cwd(std.get_current_dir().unwrap_or(Path::new("/")));
        for (key, value) in std.get_envs() {
            limited = limited.env(key, value.unwrap_or_default());
        }
        limited.run()
    };
    for limit in ["-n 8", "-n 10", "-n 12", "-n 14", "-n 20", "-n 30", "-f 1", "-f 4"] {
        context.write("seed", limit);
        let raw = || {
            let raw = engine.docker(["build", "-q", "--no-cache", "-t", "raw"]).arg(context.path());
            within(limit, &raw.env("DOCKER_BUILDKIT", builder.env())).exit_code() == Some(0)
        };
        let can = raw();
        let output = within(limit, &maker.command(&context, &["-t", "app"]));
        // Some builders need more than the smallest of these limits themselves, and with some it is a matter of luck.
        if can && (output.exit_code() == Some(0) || (0..10).all(|_| raw())) {
            warns_once(&output.success());
        }
    }
    context.write("seed", "without a limit");
    says_nothing_of_its_own(&maker.build(&context, &["-t", "app"]).success());
}

/// Docker waits for its Dockerfile, which comes once it has begun, has taken its file away and has got another one, and
/// not a byte and not a name more has room.
fn an_id_file_whose_memory_fills_during_a_build_is_written_all_the_same(engine: &Engine, builder: Builder) {
    let maker = Maker::new(engine, builder);
    let command = maker.dkb().args(["build", "-t", "app", "-"]);
    let script = r#"
        mount -t tmpfs -o size=2m,nr_inodes=64,mode=1777 none /dev/shm
        {
            n=0; until at=$(ls -d /dev/shm/dkb-* 2>/dev/null) || [ $n = 1000 ]; do n=$((n + 1)); sleep 0.01; done
            n=0; until grep -qsa "$at" /proc/[0-9]*/cmdline || [ $n = 1000 ]; do n=$((n + 1)); sleep 0.01; done
            sleep 1
            n=0; until [ -s "$at/iid" ] || [ $n = 1000 ]; do n=$((n + 1)); sleep 0.01; done
            : >/dev/shm/full
            n=0; while true >"/dev/shm/$n"; do n=$((n + 1)); done 2>/dev/null
            cat /dev/zero >/dev/shm/full 2>/dev/null
            printf 'FROM lab/base\nENV A=1\n'
        } | "$@"
        code=$?
        ls -d /dev/shm/dkb-*
        exit $code"#;
    let output = in_script(script, &[], &command).success().never_says("/dev/shm");
    says_nothing_of_its_own(&output);
    assert!(maker.recorded().contains(&maker.id("app")));
}

/// As the memory of a user who logs out may be cleared of all that is theirs.
fn an_id_file_whose_place_goes_during_a_build_is_written_all_the_same(engine: &Engine, builder: Builder) {
    let maker = Maker::new(engine, builder);
    let folder = maker.state.state_dir();
    let command = maker.dkb().args(["build", "-t", "app", "-"]).env("DKB_STATE_DIR", &folder);
    let script = r#"
        state=$1; shift
        {
            n=0; until at=$(cat "$state"/builds/*/iid-at 2>/dev/null) || [ $n = 1000 ]; do n=$((n + 1)); sleep 0.01; done
            case $at in /dev/shm/dkb-*) rm -r "$at"; n=0; until [ -d "$at" ] || [ $n = 1000 ]; do n=$((n + 1)); sleep 0.01; done ;; esac
            printf 'FROM lab/base\nENV A=1\n'
        } | "$@""#;
    says_nothing_of_its_own(&in_script(script, &[folder.as_os_str()], &command).success());
    assert!(maker.recorded().contains(&maker.id("app")));
    assert_eq!(open_builds(&maker.state), 0);
}

fn a_damaged_ledger_costs_what_it_said_and_no_more(engine: &Engine, builder: Builder) {
    let maker = Maker::new(engine, builder);
    let foreign = engine.image().make();
    let context = context();
    maker.build(&context, &["-t", "app"]).success();
    let old = maker.id("app");
    let ledger = ledgers(&maker.state.state_dir()).pop().expect("a ledger");
    let text = std::fs::read(&ledger).expect("a ledger");
    let torn = &text[..text.len() - 40];
    for damage in [torn, b"\x00\xff\xfe{{{\n", b"{\"t\":\"build\"}\n{\"t\":\"gone\",\"ids\":17}\n"] {
        std::fs::write(&ledger, damage).expect("a damaged ledger");
        context.write("seed", format!("{damage:?}"));
        maker.build(&context, &["-t", "app"]).success();
        assert!(maker.recorded().contains(&maker.id("app")), "what is built now is noted");
    }
    if !maker.engine_drops_untagged() {
        assert!(engine.has(&old), "what is no longer on record is foreign");
    }
    // A ledger of a newer dkb is neither read nor written.
    let newer = "{\"t\":\"ledger\",\"v\":99,\"engine\":\"?\"}\n";
    std::fs::write(&ledger, newer).expect("a ledger");
    context.write("seed", "newer");
    let before = dangling(engine);
    warns_once(&maker.build(&context, &["-t", "app"]).success());
    assert_eq!(std::fs::read_to_string(&ledger).expect("a ledger"), newer);
    if !maker.engine_drops_untagged() {
        assert!(dangling(engine).is_superset(&before));
    }
    assert!(engine.has(&foreign));
}

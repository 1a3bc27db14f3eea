//! The image of `deploy/`: what is in it, as whom it sweeps, and how it ends.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process;
use std::time::{Duration, Instant};

use dkb_lab::command::Command;
use dkb_lab::dkb::dkb_path;
use dkb_lab::promise::Promises;
use dkb_lab::{Engine, Output, State, eventually, promises};
use tempfile::TempDir;

use crate::readme::Checkout;

pub(super) fn promises() -> Promises {
    Promises::of(module_path!())
        .on(
            with_todays_buildkit,
            promises![
                two_builds_of_the_image_are_one_and_it_holds_nothing_else,
                the_image_sweeps_with_every_door_shut,
                the_image_ends_when_it_is_told_to,
            ],
        )
        .on(
            with_compose,
            promises![what_a_host_runs_sweeps_it, what_a_swarm_is_given_can_be_read, a_job_sweeps_a_node_of_a_swarm],
        )
        .on_one_engine()
}

/// Only this engine of the lab comes with compose.
fn with_compose(name: &str) -> bool {
    name == "docker-28.5"
}

/// An older one does not take the time of an image from outside.
fn with_todays_buildkit(name: &str) -> bool {
    name.starts_with("docker-28")
}

pub(crate) fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(file)
}

/// The program under test, which is not static: its libraries go along, at their own places.
struct Program(TempDir);

impl Program {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let strip = process::Command::new("strip").arg("-o").arg(folder.path().join("dkb")).arg(dkb_path()).status();
        assert!(strip.is_ok_and(|status| status.success()));
        let said = process::Command::new("ldd").arg(dkb_path()).output().expect("ldd");
        let said = String::from_utf8(said.stdout).expect("text");
        for path in said.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from) {
            let to = folder.path().join("more").join(path.strip_prefix("/").expect("a path from the root"));
            std::fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
            std::fs::copy(&path, to).expect("a library");
        }
        Self(folder)
    }
}

/// Builds it with dkb, by the script that people call.
pub(crate) fn build_image(engine: &Engine, tag: &str, flags: &[&str]) -> Output {
    let program = Program::new();
    let state = State::new();
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", engine.bin().display());
    Command::new(deploy("image"))
        .envs(engine.env())
        .env("PATH", path)
        .env("HOME", state.home())
        .env("DKB_STATE_DIR", state.state_dir())
        .env("BUILDER", dkb_path())
        .env("MORE", program.0.path().join("more"))
        .env("SOURCE_DATE_EPOCH", "1750000000")
        .env("REVISION", "0123456789abcdef")
        .arg(program.0.path().join("dkb"))
        .args([arch, "-t", tag])
        .args(flags.iter().copied())
        .run()
        .success()
}

fn two_builds_of_the_image_are_one_and_it_holds_nothing_else(engine: &Engine) {
    build_image(engine, "dkb:one", &[]);
    build_image(engine, "dkb:two", &["--no-cache"]);
    let id = |tag: &str| engine.find(tag).expect("it was built").id;
    assert_eq!(id("dkb:one"), id("dkb:two"));

    let folder = tempfile::tempdir().expect("a folder");
    let tar = folder.path().join("image.tar");
    engine.docker(["save", "-o"]).arg(&tar).arg("dkb:one").run().success();
    let list = "tar -xf image.tar && for blob in blobs/sha256/*; do tar -tvf $blob 2>/dev/null; done; true";
    let bash = Command::new("/bin/sh").env("PATH", "/usr/bin:/bin").cwd(folder.path()).args(["-c", list]);
    let out = bash.run().success().out();
    let mut files: Vec<&str> = out.lines().filter(|line| !line.contains(" lib")).collect();
    files.sort_unstable();
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let mut told: Vec<String> =
        files.iter().map(|line| words(line)).map(|words| format!("{} {} {}", words[0], words[1], words[5])).collect();
    told.sort();
    let wanted = [
        "-rw-r--r-- 0/0 etc/group",
        "-rw-r--r-- 0/0 etc/passwd",
        "-rwxr-xr-x 0/0 dkb",
        "drwx------ 1000/1000 state/",
        "drwxr-xr-x 0/0 etc/",
    ];
    assert_eq!(told, wanted, "{out}");

    let labels = engine.find("dkb:one").expect("it is there");
    for (label, value) in [
        ("org.opencontainers.image.title", "dkb"),
        ("org.opencontainers.image.licenses", env!("CARGO_PKG_LICENSE")),
        ("org.opencontainers.image.version", env!("CARGO_PKG_VERSION")),
        ("org.opencontainers.image.revision", "0123456789abcdef"),
        ("org.opencontainers.image.created", "2025-06-15T15:06:40Z"),
    ] {
        assert_eq!(labels.label(label), Some(value), "{label}");
    }
    assert_eq!(labels.label("dev.dkb.project"), None, "who built it is nobody's business");
}

/// Where the engine's own socket is mounted, and its group.
fn mounted(engine: &Engine) -> (String, String) {
    let group = std::fs::metadata(engine.socket()).expect("the socket").gid();
    (format!("{}:/var/run/docker.sock", engine.socket().display()), group.to_string())
}

fn the_image_sweeps_with_every_door_shut(engine: &Engine) {
    build_image(engine, "dkb:test", &[]);
    let (mount, group) = mounted(engine);
    let shut = ["--rm", "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=none"];
    let root = ["--cap-add=SETUID", "--cap-add=SETGID"].map(str::to_owned);
    let user = ["--user=1000".to_owned(), format!("--group-add={group}")];
    for (who, notes) in [(&root, true), (&user, true), (&root, false), (&user, false)] {
        let old = engine.image().created("2025-01-01T00:00:00Z").make();
        let mut run = engine.docker(["run"]).args(shut).args(who.iter()).arg("-v").arg(&mount);
        if notes {
            run = run.args(["-v", "notes:/state"]);
        }
        let told = run.arg("dkb:test").run().success();
        assert!(!engine.has(&old.id), "{told}");
        assert!(told.out().contains("[IMAGE] Removed 1 dangling image"), "{told}");
        assert!(engine.has("dkb:test"), "its own image is at work");
    }
    // A word behind the image is a flag of the sweep, and a variable is the container's.
    let old = engine.image().created("2025-01-01T00:00:00Z").make();
    for more in [&["dkb:test", "--dry-run"][..], &["-e", "DRY_RUN=true", "dkb:test"][..]] {
        let run = engine.docker(["run"]).args(shut).args(root.iter()).arg("-v").arg(&mount).args(more.iter().copied());
        let told = run.run().success();
        assert!(told.out().contains("Would remove 1 dangling image"), "{told}");
        assert!(engine.has(&old.id));
    }
    // Without the group, and without the right to take it.
    let alone = engine.docker(["run"]).args(shut).args(["--user", "1000", "-v"]).arg(&mount).arg("dkb:test");
    alone.run().code(2).says(&format!("in a container add --group-add {group}"));
    let bare = engine.docker(["run"]).args(shut).arg("-v").arg(&mount).arg("dkb:test");
    bare.run().code(2).says(&format!("or start it with --user 1000 --group-add {group}"));
}

/// A file of `deploy/`, with this engine's socket in place of the usual one.
fn file_for(engine: &Engine, file: &str) -> String {
    let text = std::fs::read_to_string(deploy(file)).expect(file);
    text.replace("/var/run/docker.sock:/", &format!("{}:/", engine.socket().display()))
}

/// The words of a folded block, as a shell gets them.
fn folded(text: &str, begin: &str) -> String {
    let block = text.split(begin).nth(1).expect(begin);
    block.lines().skip(1).map(str::trim).collect::<Vec<_>>().join(" ")
}

fn what_a_host_runs_sweeps_it(engine: &Engine) {
    build_image(engine, "docker-cleaner:latest", &[]);
    let checkout = Checkout::new(engine);
    for file in ["compose/one-shot.yaml", "compose/with-profile.yaml"] {
        let name = file.split('/').next_back().expect("a name");
        checkout.context.write(name, file_for(engine, file));
    }
    let cron = file_for(engine, "cron/docker-cleaner");
    let gitlab = folded(&file_for(engine, "gitlab/.gitlab-ci.yml"), "- >-");
    let github = folded(&file_for(engine, "github/cleanup.yml"), "run: >-");
    let compose = "docker compose -f one-shot.yaml up --exit-code-from docker-cleaner".to_owned();
    let profile = "docker compose -f with-profile.yaml run --rm docker-cleaner".to_owned();
    for line in [cron, gitlab, github, compose, profile] {
        let old = engine.image().created("2025-01-01T00:00:00Z").make();
        let told = checkout.shell(&line).run().success();
        assert!(!engine.has(&old.id), "{line}: {told}");
        assert!(told.out().contains("[SUMMARY] Total space freed"), "{line}: {told}");
        assert!(engine.has("docker-cleaner:latest"), "{line}");
    }
    // The service runs it without a container.
    let unit = file_for(engine, "systemd/dkb-sweep.service");
    let setting = |name: &str| unit.lines().find_map(|line| line.strip_prefix(name)).expect(name);
    let words = setting("ExecStart=").strip_prefix("/usr/local/bin/dkb ").expect("dkb by its full path").split(' ');
    let variables = setting("Environment=").split(' ').map(|pair| pair.split_once('=').expect("a variable"));
    let variables = variables.filter(|(name, _)| *name != "DKB_STATE_DIR");
    let old = engine.image().created("2025-01-01T00:00:00Z").make();
    engine.dkb().envs(variables).args(words).run().success();
    assert!(!engine.has(&old.id));
}

fn what_a_swarm_is_given_can_be_read(engine: &Engine) {
    let checkout = Checkout::new(engine);
    for (file, mode) in [("swarm/every-node.yaml", "global-job"), ("swarm/nightly.yaml", "global")] {
        let line = format!("docker compose -f {} config --format json", deploy(file).display());
        let told = checkout.shell(&line).run().success().json();
        assert_eq!(told["services"]["docker-cleaner"]["deploy"]["mode"], mode, "{file}");
    }
}

/// Ends the swarm with the test, however that ends: the next one gets the same engine.
struct Swarm<'e>(&'e Engine);

impl Drop for Swarm<'_> {
    fn drop(&mut self) {
        self.0.docker(["swarm", "leave", "--force"]).run();
    }
}

fn a_job_sweeps_a_node_of_a_swarm(engine: &Engine) {
    build_image(engine, "docker-cleaner:latest", &[]);
    let _swarm = Swarm(engine);
    engine.docker(["swarm", "init", "--advertise-addr", "127.0.0.1"]).run().success();
    engine.docker(["network", "create", "-d", "overlay", "spare"]).run().success();
    let networks = || engine.docker(["network", "ls", "--format", "{{.Name}}"]).run().success().out();
    let old = engine.image().created("2025-01-01T00:00:00Z").make();
    let checkout = Checkout::new(engine);
    let file = file_for(engine, "swarm/every-node.yaml");
    let here = format!("source: {},", engine.socket().display());
    checkout.context.write("stack.yaml", file.replace("source: /var/run/docker.sock,", &here));
    checkout.shell("docker stack deploy --detach=true --resolve-image never -c stack.yaml cleaner").run().success();
    let before = networks();
    let logs = || engine.docker(["service", "logs", "--raw", "cleaner_docker-cleaner"]).run();
    assert!(eventually(Duration::from_secs(60), || logs().out().contains("[SUMMARY]")), "{}", logs());
    assert!(!engine.has(&old.id), "{}", logs());
    engine.dkb().args(["sweep", "--until", "0s", "--yes"]).run().success();
    assert_eq!(networks(), before, "they are the swarm's, whichever of its nodes uses them");
}

/// As the first process of a container it gets no signal that it has not asked for.
fn the_image_ends_when_it_is_told_to(engine: &Engine) {
    build_image(engine, "dkb:test", &[]);
    for user in ["0", "1000"] {
        let name = format!("waits-{user}");
        let run = engine.docker(["run", "-d", "--name", &name, "--user", user, "dkb:test", "--wait", "10m"]);
        run.run().success();
        let began = Instant::now();
        // It may still be before its first line, when it hears nothing yet: so more than once.
        let ended = || {
            engine.docker(["kill", "-s", "TERM", &name]).run();
            engine.docker(["inspect", "-f", "{{.State.ExitCode}} {{.State.Running}}", &name]).run().out()
                == "130 false\n"
        };
        assert!(eventually(Duration::from_secs(10), ended), "{}", engine.docker(["logs", &name]).run());
        assert!(began.elapsed() < Duration::from_secs(10));
        engine.docker(["logs", &name]).run().says("asked to stop before anything was removed").says("[SUMMARY]");
    }
}

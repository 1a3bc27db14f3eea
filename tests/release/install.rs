//! `packaging/install.sh`, from a server on this machine: what it installs, and that it leaves nothing where it can't.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::made::{make, stand_in};
use super::server::{Answer, serve};
use super::{root, run, said, text, version};

/// All that the script calls, but for what fetches.
const TOOLS: [&str; 14] =
    ["sh", "uname", "mktemp", "mkdir", "rmdir", "rm", "cp", "mv", "chmod", "cat", "cut", "awk", "tar", "gzip"];
const SUMMERS: [&str; 2] = ["sha256sum", "shasum"];
const FETCHERS: [&str; 2] = ["curl", "wget"];

/// A machine that has these programs and no others, an old dkb, and an empty folder for what is temporary.
struct Machine {
    folder: TempDir,
}

impl Machine {
    fn with(fetcher: &[&str]) -> Self {
        let machine = Self { folder: tempfile::tempdir().expect("a folder") };
        for folder in ["bin", "tmp", "to"] {
            fs::create_dir(machine.path(folder)).expect("a folder");
        }
        fs::write(machine.path("to/dkb"), "the old one").expect("a file");
        for tool in TOOLS.iter().chain(&SUMMERS).chain(fetcher) {
            if let Ok(path) = which::which(tool) {
                symlink(path, machine.path("bin").join(tool)).expect("a link");
            }
        }
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A program in the place of another one.
    fn put(&self, name: &str, script: &str) {
        let path = self.path("bin").join(name);
        let _ = fs::remove_file(&path);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).expect("a program");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("its mode");
    }

    fn script(&self, script: &Path, args: &[&str]) -> Command {
        let mut command = Command::new("/bin/sh");
        command.arg(script).args(args).current_dir(self.folder.path()).stdin(Stdio::null());
        command.env_clear().env("PATH", self.path("bin")).env("TMPDIR", self.path("tmp"));
        command.env("HOME", self.path("home"));
        command
    }

    /// The script as it stands here, told which release to take.
    fn install(&self, from: &str, args: &[&str]) -> Output {
        let named = ["--from", from, "--version", "1.2.3", "--to", "to"];
        run(&mut self.script(&root().join("packaging/install.sh"), &[&named, args].concat()))
    }

    fn has_nothing_new(&self) {
        assert_eq!(listed(&self.path("tmp")), [""; 0]);
        assert_eq!(listed(self.folder.path()), ["bin", "tmp", "to"]);
        assert_eq!(listed(&self.path("to")), ["dkb"]);
        assert_eq!(fs::read_to_string(self.path("to/dkb")).expect("the old one"), "the old one");
    }
}

fn listed(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<_> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The target that the script takes here.
fn target() -> String {
    let system = if cfg!(target_os = "macos") { "apple-darwin" } else { "unknown-linux-musl" };
    format!("{}-{system}", std::env::consts::ARCH)
}

fn archive_name() -> String {
    format!("dkb-1.2.3-{}.tar.gz", target())
}

/// The archive of a release with this program in it.
fn archive(program: &str) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let name = format!("dkb-1.2.3-{}", target());
    fs::create_dir(folder.path().join(&name)).expect("a folder");
    fs::write(folder.path().join(&name).join("dkb"), program).expect("a program");
    let archive = folder.path().join("archive");
    said(Command::new("tar").arg("-czf").arg(&archive).arg("-C").arg(folder.path()).arg(&name));
    fs::read(archive).expect("the archive")
}

fn sums(of: &[u8]) -> String {
    format!("{}  other\n{}  {}\n", "0".repeat(64), hex::encode(Sha256::digest(of)), archive_name())
}

/// A server with these two files of a release.
fn release(sums: Option<String>, archive: Option<Answer>) -> String {
    let sums = sums.map(|text| ("SHA256SUMS".to_owned(), Answer::Whole(text.into_bytes())));
    let archive = archive.map(|answer| (archive_name(), answer));
    let files = sums.into_iter().chain(archive);
    serve(files.map(|(name, answer)| (format!("/v1.2.3/{name}"), answer)).collect())
}

const PROGRAM: &str = "#!/bin/sh\necho dkb 1.2.3\n";

pub(super) fn it_installs_with_whatever_fetches() {
    let mut tried = 0;
    for fetcher in FETCHERS.iter().filter(|fetcher| which::which(fetcher).is_ok()) {
        let machine = Machine::with(&[fetcher]);
        let archive = archive(PROGRAM);
        let from = release(Some(sums(&archive)), Some(Answer::Whole(archive)));
        let output = machine.install(&from, &[]);
        assert!(output.status.success() && output.stderr.is_empty(), "{fetcher}: {}", text(&output.stderr));
        let placed = fs::canonicalize(machine.path("to/dkb")).expect("the program");
        assert_eq!(fs::read_to_string(&placed).expect("the program"), PROGRAM);
        assert_eq!(fs::metadata(&placed).expect("the program").permissions().mode() & 0o777, 0o755);
        assert_eq!((listed(&machine.path("tmp")), listed(&machine.path("to"))), (vec![], vec!["dkb".to_owned()]));
        let said = text(&output.stdout);
        let rest = said.strip_prefix(&*placed.to_string_lossy()).unwrap_or_else(|| panic!("{said}"));
        let expected = " is dkb 1.2.3\n  add its folder to PATH, or call it by that name\n  \
                        dkb doctor says what it works with\n";
        assert_eq!(rest, expected);
        tried += 1;
    }
    assert!(tried > 0, "neither {FETCHERS:?} is here");
}

pub(super) fn what_it_can_not_hold_to_its_release_is_refused_and_leaves_nothing() {
    let good = archive(PROGRAM);
    let good_sums = || Some(sums(&good));
    let whole = || Some(Answer::Whole(good.clone()));
    let broken = archive("#!/bin/sh\nexit 3\n");
    let other = b"something else".to_vec();
    let name = archive_name();
    let no_archive = format!("{name} could not be fetched\n  nothing was installed; ");
    let cases = [
        (
            "another archive",
            release(good_sums(), Some(Answer::Whole(other))),
            format!("and its release says {}", hex::encode(Sha256::digest(&good))),
        ),
        ("no archive", release(good_sums(), None), no_archive.clone()),
        ("half of one", release(good_sums(), Some(Answer::Half(good.clone()))), no_archive),
        ("no sums", release(None, whole()), "SHA256SUMS could not be fetched\n  nothing was installed; ".into()),
        (
            "no sum of it",
            release(Some("0  other\n".into()), whole()),
            format!("the checksums of 1.2.3 name no {name}\n"),
        ),
        ("nobody there", "http://127.0.0.1:1".into(), "SHA256SUMS could not be fetched\n".into()),
        (
            "no archive at all",
            release(Some(sums(b"no")), Some(Answer::Whole(b"no".into()))),
            format!("{name} could not be unpacked\n"),
        ),
        (
            "one that does not run",
            release(Some(sums(&broken)), Some(Answer::Whole(broken))),
            "this dkb does not run on this machine\n".into(),
        ),
    ];
    for fetcher in FETCHERS.iter().filter(|fetcher| which::which(fetcher).is_ok()) {
        for (what, from, expected) in &cases {
            for folder in ["to", "new"] {
                let machine = Machine::with(&[fetcher]);
                let output = machine.install(from, &["--to", folder]);
                let said = text(&output.stderr);
                assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), String::new()), "{what}: {said}");
                assert!(said.contains("install.sh: ") && said.contains(expected), "{fetcher}, {what}: {said}");
                machine.has_nothing_new();
            }
        }
    }
}

pub(super) fn a_machine_that_it_can_not_serve_is_told_why() {
    let good = archive(PROGRAM);
    let from = release(Some(sums(&good)), Some(Answer::Whole(good)));
    let refused = |machine: &Machine, args: &[&str], expected: &str| {
        let output = machine.install(&from, args);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), String::new()));
        assert_eq!(text(&output.stderr), format!("install.sh: {expected}\n"));
        machine.has_nothing_new();
    };
    let compile = "\n  with Rust it can be compiled: cargo install dkb --locked";
    let machine = Machine::with(&FETCHERS);
    machine.put("uname", "case $1 in -s) echo Linux ;; -m) echo riscv64 ;; esac");
    refused(&machine, &[], &format!("there is no archive for Linux on riscv64{compile}"));
    machine.put("uname", "case $1 in -s) echo FreeBSD ;; -m) echo amd64 ;; esac");
    refused(&machine, &[], &format!("there is no archive for FreeBSD on amd64{compile}"));
    let install = "\n  install one of them and try again";
    refused(&Machine::with(&[]), &[], &format!("neither curl nor wget is here{install}"));
    let machine = Machine::with(&FETCHERS);
    for tool in SUMMERS {
        let _ = fs::remove_file(machine.path("bin").join(tool));
    }
    refused(&machine, &[], &format!("neither sha256sum nor shasum is here to check the download with{install}"));
    let machine = Machine::with(&FETCHERS);
    refused(&machine, &["--force"], "'--force' means nothing here\n  --help says what there is");
    refused(&machine, &["--to"], "--to needs a value\n  --help says which");
    refused(&machine, &["--version", "../1"], "'../1' is no version\n  a version looks like 1.2.3");
    let output = run(&mut machine.script(&root().join("packaging/install.sh"), &[]));
    let unnamed =
        "install.sh: this copy belongs to no release\n  take a release's, or name one: --from URL --version VERSION\n";
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(1), unnamed.into()));
    machine.has_nothing_new();
}

/// A file stands where the folder would be; to root every folder is open.
pub(super) fn a_folder_that_can_not_be_written_to_is_told() {
    let good = archive(PROGRAM);
    let from = release(Some(sums(&good)), Some(Answer::Whole(good)));
    let machine = Machine::with(&FETCHERS);
    let output = machine.install(&from, &["--to", "to/dkb/bin"]);
    let told = text(&output.stderr);
    let expected = "/to/dkb/bin can't be written to\n  nothing was installed; name another folder: --to DIR\n";
    assert!(output.status.code() == Some(1) && told.ends_with(expected), "{told}");
    machine.has_nothing_new();
    // What stands in the program's own place is no file.
    let machine = Machine::with(&FETCHERS);
    let folder = machine.path("home/.local/bin");
    fs::create_dir_all(folder.join("dkb/full")).expect("a folder");
    let script = root().join("packaging/install.sh");
    let output = run(&mut machine.script(&script, &["--from", &from, "--version", "v1.2.3"]));
    let told = text(&output.stderr);
    assert!(output.status.code() == Some(1) && told.contains("/.local/bin/dkb is a folder\n"), "{told}");
    assert_eq!(listed(&folder), ["dkb"]);
}

/// As Ctrl-C does: all that runs there is told.
pub(super) fn what_is_interrupted_leaves_nothing() {
    let good = archive(PROGRAM);
    let from = release(Some(sums(&good)), Some(Answer::Silence(good)));
    let machine = Machine::with(&["curl"]);
    let script = root().join("packaging/install.sh");
    let mut command = machine.script(&script, &["--from", &from, "--version", "1.2.3", "--to", "new"]);
    let mut child = command.process_group(0).stderr(Stdio::null()).spawn().expect("the script");
    let started = Instant::now();
    let is_at_it = || {
        fs::read_dir(machine.path("tmp")).is_ok_and(|mut folders| {
            folders.any(|folder| folder.is_ok_and(|folder| folder.path().join("archive").exists()))
        })
    };
    while !is_at_it() {
        assert!(started.elapsed() < Duration::from_secs(20), "it never began to fetch");
        thread::sleep(Duration::from_millis(20));
    }
    said(Command::new("kill").args(["-INT", "--", &format!("-{}", child.id())]));
    assert!(!child.wait().expect("its end").success());
    machine.has_nothing_new();
}

/// The whole way: what a release gives away, by the script that it gives away.
pub(super) fn a_release_installs_itself() {
    let out = tempfile::tempdir().expect("a folder");
    let stand = Machine::with(&FETCHERS);
    // The address is in the script before the server is there, so it goes by way of a second one.
    make(out.path(), "@ADDRESS@");
    let read = |name: &str| fs::read(out.path().join(name)).expect("a file");
    let prefix = format!("/releases/download/v{}", version());
    let files: BTreeMap<_, _> =
        listed(out.path()).iter().map(|name| (format!("{prefix}/{name}"), Answer::Whole(read(name)))).collect();
    let address = serve(files);
    let script = out.path().join("install.sh");
    fs::write(&script, text(&read("install.sh")).replace("@ADDRESS@", &address)).expect("the script");
    let output = run(&mut stand.script(&script, &[]));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let placed = stand.path("home/.local/bin/dkb");
    assert_eq!(fs::read_to_string(placed).expect("the program"), stand_in(&target()));
}

pub(super) fn the_scripts_pass_shellcheck() {
    let folder = fs::read_dir(root().join("packaging")).expect("a folder");
    let files = folder.map(|file| file.expect("a file").path());
    let scripts: Vec<_> = files.filter(|path| fs::read(path).expect("a file").starts_with(b"#!/")).collect();
    assert!(scripts.len() > 2, "{scripts:?}");
    said(Command::new("shellcheck").args(scripts));
}

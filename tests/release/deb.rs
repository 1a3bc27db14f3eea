//! Debian's package, installed into a root of its own, in which there is nothing else.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::made::{make, stand_in};
use super::{said, text, version};

/// What Debian calls this machine.
fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

/// Every file below it, by its path there.
fn files(root: &Path) -> Vec<String> {
    fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { collect(&path, files) } else { files.push(path) }
        }
    }
    let mut found = Vec::new();
    collect(root, &mut found);
    let paths = found.iter().map(|path| path.strip_prefix(root).expect("below it").to_string_lossy().into_owned());
    let mut paths: Vec<_> = paths.filter(|path| !path.starts_with("var/")).collect();
    paths.sort();
    paths
}

pub(super) fn it_installs_into_a_bare_root_and_is_gone_again() {
    let out = tempfile::tempdir().expect("a folder");
    make(out.path(), "https://github.com/acme/dkb");
    let package = out.path().join(format!("dkb_{}_{}.deb", version(), architecture()));
    let bare = tempfile::tempdir().expect("a folder");
    let books = bare.path().join("var/lib/dpkg");
    for folder in ["info", "updates"] {
        fs::create_dir_all(books.join(folder)).expect("a folder");
    }
    fs::write(books.join("status"), "").expect("a file");
    let dpkg = |args: &[&str]| {
        let mut command = Command::new("dpkg");
        // Its own hooks and lists are the machine's, and none of this root's.
        command.arg(format!("--root={}", bare.path().display())).args(["--force-bad-path", "--log=/dev/null"]);
        said(command.args(args))
    };
    dpkg(&["--install", &package.to_string_lossy()]);
    assert_eq!(said(Command::new(bare.path().join("usr/bin/dkb")).arg("--version")), format!("dkb {}\n", version()));

    // Each manual page and each completion is where man and the shells look for them.
    let there = files(bare.path());
    for (name, printed) in dkb::verbs::completions::files() {
        let place = match name.as_str() {
            "dkb.bash" => "usr/share/bash-completion/completions/dkb".into(),
            "_dkb" => "usr/share/zsh/vendor-completions/_dkb".into(),
            "dkb.fish" => "usr/share/fish/vendor_completions.d/dkb.fish".into(),
            page if Path::new(page).extension().is_some_and(|end| end == "1") => {
                format!("usr/share/man/man1/{page}.gz")
            }
            // Debian has no place for those of other shells.
            _ => continue,
        };
        assert!(there.contains(&place), "{place} is not in {there:#?}");
        let path = bare.path().join(&place);
        let is_page = place.starts_with("usr/share/man/");
        let unpacked = || said(Command::new("gzip").arg("-cd").arg(&path));
        let written = if is_page { unpacked() } else { fs::read_to_string(&path).expect("a file") };
        assert!(written == text(&printed), "{place} is not what dkb prints");
    }
    assert!(there.contains(&"usr/share/doc/dkb/copyright".into()), "{there:#?}");

    dpkg(&["--purge", "dkb"]);
    assert_eq!(files(bare.path()), [""; 0]);
}

pub(super) fn it_says_what_it_is() {
    let out = tempfile::tempdir().expect("a folder");
    make(out.path(), "https://github.com/acme/dkb");
    for (architecture, target) in [("amd64", "x86_64-unknown-linux-musl"), ("arm64", "aarch64-unknown-linux-musl")] {
        let package = out.path().join(format!("dkb_{}_{architecture}.deb", version()));
        let field = |name: &str| said(Command::new("dpkg-deb").arg("--field").arg(&package).arg(name));
        assert_eq!(field("Package") + &field("Architecture"), format!("dkb\n{architecture}\n"));
        assert_eq!(field("Version"), format!("{}\n", version().replacen('-', "~", 1)));
        assert_eq!(field("Homepage"), "https://github.com/acme/dkb\n");
        assert_eq!(field("Description").lines().next(), Some("docker build that leaves nothing behind"));
        // Static: it depends on nothing, and brings no engine along unasked.
        assert_eq!(field("Depends").trim().to_owned() + field("Recommends").trim(), "");
        let unpacked = tempfile::tempdir().expect("a folder");
        said(Command::new("dpkg-deb").arg("--extract").arg(&package).arg(unpacked.path()));
        assert_eq!(fs::read_to_string(unpacked.path().join("usr/bin/dkb")).expect("it"), stand_in(target));
        let listed = said(Command::new("dpkg-deb").arg("--contents").arg(&package));
        for line in listed.lines() {
            let is_root = line.split_whitespace().nth(1) == Some("root/root");
            assert!(is_root && &line[5..6] != "w" && &line[8..9] != "w", "{line}");
        }
    }
}

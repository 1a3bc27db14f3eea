//! What `packaging/` makes of the binaries of a release.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use super::{manifest, root, run, said, text, version};

pub(super) const TARGETS: [&str; 4] =
    ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl", "x86_64-apple-darwin", "aarch64-apple-darwin"];

/// A release of programs that only say which dkb they would be.
pub(super) fn make(out: &Path, repository: &str) {
    let binaries = tempfile::tempdir().expect("a folder");
    for target in TARGETS {
        let folder = binaries.path().join(target);
        fs::create_dir(&folder).expect("a folder");
        fs::write(folder.join("dkb"), stand_in(target)).expect("a program");
        fs::write(folder.join("THIRD-PARTY.txt"), "licences\n").expect("a text");
    }
    said(Command::new(root().join("packaging/make")).arg(binaries.path()).arg(repository).arg(out));
}

pub(super) fn stand_in(target: &str) -> String {
    format!("#!/bin/sh\n# For {target}.\necho dkb {}\n", version())
}

pub(super) fn each_archive_is_where_cargo_binstall_looks() {
    let out = tempfile::tempdir().expect("a folder");
    make(out.path(), "https://github.com/acme/dkb");
    let version = version();
    let binstall = &manifest()["package"]["metadata"]["binstall"];
    let filled = |key: &str, target: &str| {
        let pairs = [("name", "dkb"), ("bin", "dkb"), ("version", &version), ("target", target), ("repo", "REPO")];
        let template = binstall[key].as_str().expect("a template").to_owned();
        pairs.iter().fold(template, |text, (name, value)| text.replace(&format!("{{ {name} }}"), value))
    };
    for target in TARGETS {
        let url = filled("pkg-url", target);
        let archive = url.strip_prefix(&format!("REPO/releases/download/v{version}/")).expect("GitHub's address");
        let path = out.path().join(archive);
        let unpacked = tempfile::tempdir().expect("a folder");
        said(Command::new("tar").arg("-xzf").arg(&path).arg("-C").arg(unpacked.path()));
        let program = unpacked.path().join(filled("bin-dir", target));
        assert_eq!(fs::read_to_string(&program).expect("the program"), stand_in(target));
        assert_eq!(fs::metadata(&program).expect("the program").permissions().mode() & 0o777, 0o755);
        let folder = program.parent().expect("a folder");
        let texts = ["README.md", "LICENSE-MIT", "LICENSE-APACHE", "THIRD-PARTY.txt"];
        for beside in texts.into_iter().chain(["completions/dkb.1", "completions/dkb.bash"]) {
            assert!(folder.join(beside).is_file(), "{archive}: {beside}");
        }
    }
    assert_eq!(binstall["pkg-fmt"].as_str(), Some("tgz"));
    let sums = fs::read_to_string(out.path().join("SHA256SUMS")).expect("the sums");
    let summed: BTreeSet<&str> = sums.lines().filter_map(|line| line.split_once("  ")).map(|(_, name)| name).collect();
    let there: Vec<_> = fs::read_dir(out.path()).expect("a folder").map(|file| file.expect("a file").path()).collect();
    let there = there.iter().filter_map(|path| path.file_name()?.to_str()).filter(|name| *name != "SHA256SUMS");
    assert_eq!(summed, there.collect(), "each file has its sum");
    said(Command::new("sha256sum").args(["--check", "--strict", "SHA256SUMS"]).current_dir(out.path()));
}

pub(super) fn the_same_binaries_make_the_same_bytes() {
    let sums = [(), ()].map(|()| {
        let out = tempfile::tempdir().expect("a folder");
        make(out.path(), "https://github.com/acme/dkb");
        fs::read_to_string(out.path().join("SHA256SUMS")).expect("the sums")
    });
    assert_eq!(sums[0], sums[1]);
}

pub(super) fn a_tag_that_is_no_release_is_refused() {
    const ADDRESS: &str = "https://github.com/acme/dkb";
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("packaging")).expect("a folder");
    let check = folder.path().join("packaging/check");
    fs::copy(root().join("packaging/check"), &check).expect("the script");
    let write = |cargo: &str, changelog: &str| {
        fs::write(folder.path().join("Cargo.toml"), cargo).expect("a file");
        fs::write(folder.path().join("CHANGELOG.md"), changelog).expect("a file");
    };
    let check = |tag: &str| {
        let output = run(Command::new(&check).args([tag, ADDRESS]));
        (output.status.success(), text(&output.stdout) + &text(&output.stderr))
    };
    let cargo = format!("[package]\nname = \"dkb\"\nversion = \"1.2.3\"\nrepository = \"{ADDRESS}\"\n\n[x]\n");
    let news = "# Changelog\n\n## Unreleased\n\n## 1.2.3 - 2031-05-06\n\n- It flies.\n\n## 1.2.2\n\n- It walks.\n";
    write(&cargo, news);
    assert_eq!(check("v1.2.3"), (true, "\n- It flies.\n".into()));
    let wrong_tag = "packaging/check: the tag is v1.2.4, and Cargo.toml has version 1.2.3\n  \
                     tag a commit that has both alike\n";
    assert_eq!(check("v1.2.4"), (false, wrong_tag.into()));
    write(&cargo.replace("repository", "#repository"), news);
    let no_address = "packaging/check: Cargo.toml's repository is '', not https://github.com/acme/dkb\n  \
                      write repository = \"https://github.com/acme/dkb\" there\n";
    assert_eq!(check("v1.2.3"), (false, no_address.into()));
    write(&cargo, "# Changelog\n\n## Unreleased\n\n- It flies.\n\n## 1.2.30\n\n- It dives.\n");
    let no_news = "packaging/check: CHANGELOG.md says nothing of 1.2.3\n  \
                   give what stands below 'Unreleased' there the heading '## 1.2.3'\n";
    assert_eq!(check("v1.2.3"), (false, no_news.into()));
}

pub(super) fn all_that_a_binary_is_made_of_has_its_licence() {
    let told = said(Command::new(root().join("packaging/licences")).arg(host()));
    let (list, texts) = told.split_once("\n-----").expect("texts below a list");
    let tree = ["tree", "--locked", "--offline", "--edges", "normal", "--prefix", "none", "--format", "{p}"];
    let tree = said(Command::new(env!("CARGO")).args(tree).args(["--target", &host()]).current_dir(root()));
    let names =
        tree.lines().filter_map(|line| line.split(' ').next()).filter(|name| !name.is_empty() && *name != "dkb");
    for name in names {
        assert!(list.lines().any(|line| line.starts_with(&format!("{name} "))), "{name} is not listed");
    }
    assert!(texts.contains("Apache License") && texts.contains("Permission is hereby granted"), "{list}");
    assert!(list.contains("the Rust standard library"));
}

fn host() -> String {
    let told = said(Command::new("rustc").arg("-vV"));
    told.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host").to_owned()
}

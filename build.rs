//! Tells the crate which commit it is made of: from `.cargo_vcs_info.json` in a packaged crate, else from git,
//! and without complaint where there is neither.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let commit = packaged().or_else(checked_out).unwrap_or_default();
    let version = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let version = if commit.is_empty() { version } else { format!("{version} ({commit})") };
    println!("cargo::rustc-env=DKB_VERSION={version}");
}

fn packaged() -> Option<String> {
    let info = std::fs::read_to_string(".cargo_vcs_info.json").ok()?;
    let sha = info.split("\"sha1\"").nth(1)?.split('"').nth(1)?;
    sha.get(..9).map(str::to_owned)
}

fn checked_out() -> Option<String> {
    // The prefix is empty at the top of a repository: in somebody else's, this crate is only vendored.
    let git =
        Command::new("git").args(["rev-parse", "--show-prefix", "--git-path", "logs/HEAD", "HEAD"]).output().ok()?;
    let said = String::from_utf8(git.stdout).ok().filter(|_| git.status.success())?;
    let mut lines = said.lines();
    let (prefix, log, head) = (lines.next()?, lines.next()?, lines.next()?);
    // Every commit and checkout writes a line to this log, whichever branch it is on.
    if Path::new(log).exists() {
        println!("cargo::rerun-if-changed={log}");
    }
    head.get(..9).filter(|_| prefix.is_empty()).map(str::to_owned)
}

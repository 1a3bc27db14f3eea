//! What a release gives away, and how it gets onto a machine. What can't be tried on this one is counted as ignored.

mod deb;
mod elsewhere;
mod install;
mod made;
mod server;
mod workflow;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Output};

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    // GNU's tar and Debian's tools make what is given away.
    let makes = cfg!(target_os = "linux") && which::which("dpkg-deb").is_ok();
    let is_root = rustix::process::geteuid().is_root();
    let has = |program: &str| which::which(program).is_ok();
    let fetches = has("curl") || has("wget");
    let tests = [
        test("each_archive_is_where_cargo_binstall_looks", makes, made::each_archive_is_where_cargo_binstall_looks),
        test("the_same_binaries_make_the_same_bytes", makes, made::the_same_binaries_make_the_same_bytes),
        test("all_that_a_binary_is_made_of_has_its_licence", true, made::all_that_a_binary_is_made_of_has_its_licence),
        test("a_tag_that_is_no_release_is_refused", true, made::a_tag_that_is_no_release_is_refused),
        test("it_builds_for_every_target", true, workflow::it_builds_for_every_target_that_is_given_away),
        test("its_actions_are_pinned", true, workflow::its_actions_are_pinned_and_only_the_draft_may_write),
        test("debs_say_what_they_are", makes, deb::it_says_what_it_is),
        test(
            "a_deb_installs_into_a_bare_root_and_is_gone_again",
            makes && is_root,
            deb::it_installs_into_a_bare_root_and_is_gone_again,
        ),
        test("it_installs_with_whatever_fetches", fetches, install::it_installs_with_whatever_fetches),
        test(
            "what_it_can_not_hold_to_its_release_is_refused_and_leaves_nothing",
            fetches,
            install::what_it_can_not_hold_to_its_release_is_refused_and_leaves_nothing,
        ),
        test("a_machine_that_it_can_not_serve_is_told_why", true, install::a_machine_that_it_can_not_serve_is_told_why),
        test(
            "a_folder_that_can_not_be_written_to_is_told",
            fetches,
            install::a_folder_that_can_not_be_written_to_is_told,
        ),
        test("what_is_interrupted_leaves_nothing", has("curl"), install::what_is_interrupted_leaves_nothing),
        test("a_release_installs_itself", makes && fetches, install::a_release_installs_itself),
        test(
            "homebrew_takes_each_archive_with_its_checksum",
            makes && has("ruby"),
            elsewhere::homebrew_takes_each_archive_with_its_checksum,
        ),
        test(
            "nix_reads_the_flake_as_cargo_has_it",
            has("nix-instantiate"),
            elsewhere::nix_reads_the_flake_as_cargo_has_it,
        ),
        test("the_scripts_pass_shellcheck", has("shellcheck"), install::the_scripts_pass_shellcheck),
    ];
    libtest_mimic::run(&Arguments::from_args(), tests.into()).exit_code()
}

fn test(name: &str, can_run: bool, body: fn()) -> Trial {
    let run = move || {
        body();
        Ok(())
    };
    Trial::test(name, run).with_ignored_flag(!can_run)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// What stands in Cargo.toml.
fn manifest() -> toml::Value {
    let text = std::fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    toml::from_str(&text).expect("TOML")
}

fn version() -> String {
    manifest()["package"]["version"].as_str().expect("a version").to_owned()
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What it said, where it did well.
fn said(command: &mut Command) -> String {
    let output = run(command);
    assert!(output.status.success(), "{command:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

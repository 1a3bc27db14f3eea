//! `dkb completions` and `dkb man`: made of the same table of flags that the command line is read with.

use clap::{Arg, ArgAction, Command, ValueHint};
use clap_complete::Shell;

use crate::cli;
use crate::error::{Error, Result};
use crate::plan::argv::{ShownFlag, docker_flags};
use crate::report;

/// Prints the completions of a shell.
pub(super) fn run(shell: Shell) {
    report::out_as_it_is(&script(shell));
}

/// Prints a manual page.
pub(super) fn run_man(verb: &[String]) -> Result<()> {
    report::out_as_it_is(&page(verb)?);
    Ok(())
}

/// The completions of one shell.
pub fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut as_typed(cli::command()), "dkb", &mut script);
    script
}

/// The command with the flags that each verb takes. Behind docker's verbs all is docker's, so what dkb takes everywhere
/// is offered at the others alone.
fn as_typed(command: Command) -> Command {
    let everywhere: Vec<Arg> = command.get_arguments().filter(|flag| flag.is_global_set()).cloned().collect();
    let everywhere: Vec<Arg> = everywhere.into_iter().map(|flag| flag.global(false)).collect();
    let command = command.mut_args(|flag| flag.global(false));
    let of_dockers = |verb: &Command| ["build", "bake", "compose"].into_iter().find(|name| *name == verb.get_name());
    command.mut_subcommands(|verb| match of_dockers(&verb) {
        Some(name) => of_docker(name, &verb),
        None => with(verb, &everywhere),
    })
}

fn with(command: Command, flags: &[Arg]) -> Command {
    command.args(flags).mut_subcommands(|verb| with(verb, flags))
}

fn of_docker(name: &'static str, verb: &Command) -> Command {
    let about = verb.get_about().cloned().unwrap_or_default();
    let flags = docker_flags(name).into_iter().filter(|flag| flag.long != "help").map(
        |ShownFlag { long, short, takes_value }| {
            let flag = Arg::new(long).long(long).help("docker's");
            let flag = short.map_or(flag.clone(), |letter| flag.short(letter));
            if takes_value { flag.value_hint(ValueHint::AnyPath) } else { flag.action(ArgAction::SetTrue) }
        },
    );
    let words = Arg::new("ARG").num_args(0..).value_hint(ValueHint::AnyPath);
    Command::new(name).about(about).args(flags).arg(words)
}

/// The manual page of dkb, or of one of its verbs.
pub fn page(verb: &[String]) -> Result<Vec<u8>> {
    let mut root = cli::command();
    root.build();
    let mut command = &root;
    for word in verb {
        let verbs: Vec<_> = command.get_subcommands().filter(|verb| !verb.is_hide_set()).collect();
        command = verbs.iter().find(|verb| verb.get_name() == word).ok_or_else(|| {
            let names: Vec<_> = verbs.iter().map(|verb| verb.get_name()).collect();
            let error = Error::usage(
                format!("dkb man {}", verb.join(" ")),
                format!("there is no verb '{}'", word.escape_debug()),
            );
            if names.is_empty() { error } else { error.hint(format!("there is: {}", names.join(", "))) }
        })?;
    }
    Ok(roff(command))
}

fn roff(command: &Command) -> Vec<u8> {
    let mut page = Vec::new();
    // Writing into memory does not fail.
    let _ = clap_mangen::Man::new(command.clone()).render(&mut page);
    page
}

/// All that stands in `completions/`: the name of each file there, and its text.
pub fn files() -> Vec<(String, Vec<u8>)> {
    let shells = [
        (Shell::Bash, "dkb.bash"),
        (Shell::Zsh, "_dkb"),
        (Shell::Fish, "dkb.fish"),
        (Shell::PowerShell, "_dkb.ps1"),
        (Shell::Elvish, "dkb.elv"),
    ];
    let mut files: Vec<_> = shells.iter().map(|(shell, name)| ((*name).to_owned(), script(*shell))).collect();
    let mut root = cli::command();
    root.build();
    let mut left = vec![&root];
    while let Some(command) = left.pop() {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name());
        files.push((format!("{name}.1"), roff(command)));
        left.extend(command.get_subcommands().filter(|verb| !verb.is_hide_set()));
    }
    files.sort();
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_completes_every_verb_that_is_for_people() {
        for (name, text) in files().iter().filter(|(name, _)| !name.ends_with(".1")) {
            let text = String::from_utf8_lossy(text);
            for verb in ["watch", "tidy-cache", "docker-cli-plugin-metadata"] {
                let text = text.replace("watch-pid", "");
                assert!(!text.contains(verb), "{name} {verb}");
            }
            for verb in ["build", "clean", "status", "guard", "sweep", "keep-last"] {
                assert!(text.contains(verb), "{name} {verb}");
            }
        }
    }

    #[test]
    fn behind_dockers_verbs_its_own_flags_are_offered_and_none_of_ours() {
        let command = as_typed(cli::command());
        let longs = |verb: &str| -> Vec<&str> {
            let verb = command.find_subcommand(verb).expect(verb);
            verb.get_arguments().filter_map(Arg::get_long).collect()
        };
        for verb in ["build", "bake", "compose"] {
            assert!(!longs(verb).iter().any(|flag| ["json", "settings", "color"].contains(flag)), "{verb}");
        }
        assert!(["tag", "file", "target"].iter().all(|flag| longs("build").contains(flag)));
        assert!(longs("bake").contains(&"set") && longs("compose").is_empty());
        assert!(longs("clean").contains(&"json"));
        let end = command.find_subcommand("session").and_then(|verb| verb.find_subcommand("end")).expect("a verb");
        assert!(end.get_arguments().any(|flag| flag.get_long() == Some("settings")));
    }

    #[test]
    fn every_verb_has_a_page_with_its_flags() {
        let page = |words: &[&str]| page(&words.iter().map(ToString::to_string).collect::<Vec<_>>());
        let text = |words: &[&str]| String::from_utf8_lossy(&page(words).expect("a page")).into_owned();
        assert!(text(&[]).contains("dkb\\-clean(1)"), "{}", text(&[]));
        assert!(text(&["clean"]).contains("keep\\-last") && text(&["clean"]).contains("dkb clean \\-\\-dry\\-run"));
        assert!(text(&["session", "start"]).contains("watch\\-pid"));
        let error = page(&["push"]).expect_err("no such verb").to_string();
        assert!(
            error.starts_with("dkb man push: there is no verb 'push'\n  there is: build, bake, compose, clean, "),
            "{error}"
        );
    }

    #[test]
    fn pages_and_completions_do_not_change_with_the_commit() {
        let commit = cli::VERSION.split_once(" (").map(|(_, commit)| commit.trim_end_matches(')'));
        for (name, text) in files() {
            let text = String::from_utf8_lossy(&text).into_owned();
            assert!(commit.is_none_or(|commit| !text.contains(commit)), "{name}");
        }
    }
}

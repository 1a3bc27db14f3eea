//! `dkb completions` and `dkb man`: made of the same table of flags that the command line is read with.
//!
//! What a shell is told is to ask dkb, at each press of the key, so that what is there is offered: see `offered`.

mod offered;

use std::ffi::{OsStr, OsString};

use clap::{Arg, ArgAction, Command, ValueHint};
use clap_complete::Shell;
use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter};
use clap_complete::env::Shells;

use crate::app::env;
use crate::cli;
use crate::error::{Error, Result};
use crate::plan::argv::{ShownFlag, docker_flags};
use crate::report;
use offered::DockersOffer;

/// Prints the completions of a shell.
pub(super) fn run(shell: Shell) {
    report::out_as_it_is(&script(shell));
}

/// Prints a manual page.
pub(super) fn run_man(verb: &[String]) -> Result<()> {
    report::out_as_it_is(&page(verb)?);
    Ok(())
}

/// By which a shell that asks what could stand there says which shell it is.
const ASKED: &str = "_DKB_COMPLETE";

/// Some shells say besides which word is being typed; otherwise it is the last.
const PLACE: &str = "_CLAP_COMPLETE_INDEX";

/// The completions of one shell.
pub fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    let shells = Shells::builtins();
    if let Some(shell) = shells.completer(&shell.to_string()) {
        // Writing into memory does not fail.
        let _ = shell.write_registration(ASKED, "dkb", "dkb", "dkb", &mut script);
    }
    if shell == Shell::Zsh {
        script.extend_from_slice(ZSH_AT_ONCE.as_bytes());
    }
    script
}

/// zsh loads the file when the key is pressed for the first time, and would offer nothing that once.
const ZSH_AT_ONCE: &str = r#"
if [[ "${funcstack[1]}" == _dkb ]]; then
    _clap_dynamic_completer_dkb "$@"
fi
"#;

/// Answers a shell that asks what could stand there, if that is who calls. What goes wrong offers nothing: the user is
/// typing.
pub(super) fn answer(args: &[OsString]) -> bool {
    let Some(shell) = env(ASKED) else { return false };
    let words = args.iter().skip_while(|word| *word != "--").skip(1).cloned().collect::<Vec<_>>();
    if let Some(shell) = Shells::builtins().completer(&shell.to_string_lossy()).filter(|_| !words.is_empty()) {
        let mut offered = Vec::new();
        let mut command = by_docker(&words).unwrap_or_else(|| {
            let at = env(PLACE).and_then(|place| place.to_str()?.parse().ok()).unwrap_or(words.len().saturating_sub(1));
            let types_a_flag = words.get(at).is_some_and(|word: &OsString| word.as_encoded_bytes().starts_with(b"-"));
            let command = as_typed(cli::command());
            if types_a_flag { command } else { without_flags(command) }
        });
        if shell.write_complete(&mut command, words, None, &mut offered).is_ok() {
            report::out_as_it_is(&offered);
        }
    }
    true
}

/// Whoever types no dash is offered flags only where there is nothing else.
fn without_flags(command: Command) -> Command {
    command
        .disable_help_flag(true)
        .mut_args(|argument| if argument.is_positional() { argument } else { argument.hide(true) })
        .mut_subcommands(without_flags)
}

/// A command that takes any words, the last of which docker completes.
fn by_docker(words: &[OsString]) -> Option<Command> {
    let [_, verb, rest @ ..] = words else { return None };
    let verb = match verb.to_str()? {
        "build" => &["build"][..],
        "bake" => &["buildx", "bake"],
        "compose" => &["compose"],
        _ => return None,
    };
    if rest.is_empty() {
        return None;
    }
    let offered = DockersOffer::behind(verb, rest, ASKED)?;
    let starting = move |typed: &OsStr| offered.starting(typed);
    let words = Arg::new("ARG").num_args(0..).allow_hyphen_values(true).add(ArgValueCompleter::new(starting));
    Some(Command::new("dkb").disable_help_flag(true).disable_version_flag(true).arg(words))
}

/// The command with the flags that each verb takes. Behind docker's verbs all is docker's, so what dkb takes everywhere
/// is offered at the others alone.
fn as_typed(command: Command) -> Command {
    let everywhere: Vec<Arg> = command.get_arguments().filter(|flag| flag.is_global_set()).cloned().collect();
    let everywhere: Vec<Arg> = everywhere.into_iter().map(|flag| flag.global(false)).collect();
    let command = command.mut_args(|flag| flag.global(false));
    let of_dockers = |verb: &Command| ["build", "bake", "compose"].into_iter().find(|name| *name == verb.get_name());
    let command = command.mut_subcommands(|verb| match of_dockers(&verb) {
        Some(name) => of_docker(name, &verb),
        None => with(verb, &everywhere),
    });
    offering(command)
}

fn with(command: Command, flags: &[Arg]) -> Command {
    command.args(flags).mut_subcommands(|verb| with(verb, flags))
}

/// With what there is to name.
fn offering(command: Command) -> Command {
    let verb = command.get_name().to_owned();
    let command = command.mut_args(|argument| match offered::for_argument(&verb, &argument) {
        Some(offer) => argument.add(ArgValueCandidates::new(offer)),
        None => argument,
    });
    command.mut_subcommands(offering)
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
    use clap_complete::CompletionCandidate;

    use super::*;

    #[test]
    fn every_shell_completes_every_verb_that_is_for_people() {
        for (name, text) in files().iter().filter(|(name, _)| !name.ends_with(".1")) {
            assert!(String::from_utf8_lossy(text).contains(ASKED), "{name}");
        }
        let offered = completed(&["dkb", ""]);
        for verb in ["watch", "tidy-cache", "docker-cli-plugin-metadata"] {
            assert!(!offered.contains(&verb.to_owned()), "{verb}");
        }
        for verb in ["build", "clean", "status", "guard", "sweep"] {
            assert!(offered.contains(&verb.to_owned()), "{verb}: {offered:?}");
        }
        assert_eq!(completed(&["dkb", "clean", "--keep-l"]), ["--keep-last"]);
        assert_eq!(completed(&["dkb", "config", "get", "keep_l"]), ["keep_last"]);
        assert_eq!(completed(&["dkb", "sweep", "--only", "net"]), ["networks"]);
        assert_eq!(completed(&["dkb", "man", "sw"]), ["sweep"]);
    }

    fn completed(words: &[&str]) -> Vec<String> {
        let last = words.len() - 1;
        let words = words.iter().map(OsString::from).collect();
        let offered = clap_complete::engine::complete(&mut as_typed(cli::command()), words, last, None);
        let text = |one: &CompletionCandidate| one.get_value().to_string_lossy().into_owned();
        offered.expect("what could stand there").iter().map(text).collect()
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

//! Commands and flags, and nothing else: what was typed. What it means is [`crate::config`]'s.
//!
//! The words behind `build` are docker's and must arrive there byte for byte, so the command line is cut at the
//! verb by hand (`split_at_verb`) before clap sees it. dkb's own flags may stand on either side of a verb that knows them.

mod docker_flags;
mod key_flags;
mod reflexes;
mod split_at_verb;
mod verbs;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser};

use crate::config::Typed;
use crate::config::keys::KEYS;
use crate::error::{Error, Result};
use key_flags::{KeyFlags, Printing, Project, RunSession};
pub use split_at_verb::DOCKER_VERBS;
pub use verbs::*;

/// The version and, where it is known, the commit.
pub const VERSION: &str = env!("DKB_VERSION");

#[derive(Debug, Parser)]
#[command(name = "dkb", version = VERSION, about = verbs::ABOUT, override_help = verbs::SCREEN)]
#[command(arg_required_else_help = true, propagate_version = false, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub docker: DockerGlobals,
    #[command(flatten)]
    _session: KeyFlags<RunSession>,
    #[command(subcommand)]
    pub verb: Verb,
}

/// Flags that every verb takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = EVERYWHERE)]
pub struct Common {
    /// Use this docker context; sweep takes several
    #[arg(short = 'c', long, global = true, value_name = "NAME")]
    pub context: Vec<String>,
    /// Use the engine at this address
    #[arg(short = 'H', long, global = true, value_name = "URL")]
    pub host: Vec<String>,
    #[command(flatten)]
    _project: KeyFlags<Project>,
    /// Read this file in place of ~/.config/dkb/config.toml
    #[arg(long, global = true, value_name = "FILE")]
    pub settings: Option<PathBuf>,
    #[command(flatten)]
    _printing: KeyFlags<Printing>,
    /// The same as --format json
    #[arg(long, global = true, conflicts_with = "format")]
    pub json: bool,
    /// Say less
    #[arg(short, long, global = true, overrides_with = "verbose")]
    pub quiet: bool,
    /// Say more: each image and its reason
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

/// Docker's own global flags. They are handed to docker, and dkb's own look at the engine goes by them.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Docker's own, before the verb")]
#[allow(clippy::struct_excessive_bools)] // docker's flags, not ours
pub struct DockerGlobals {
    /// Take docker's settings from this folder
    #[arg(long, value_name = "FOLDER")]
    pub config: Option<PathBuf>,
    // This one and the next are for docker alone, which gets them among the words that were typed.
    /// Let docker say what it does
    #[arg(short = 'D', long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub debug: Option<String>,
    /// Let docker log from this level on
    #[arg(short = 'l', long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// Use TLS
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub tls: Option<String>,
    /// Trust certificates signed by this authority only
    #[arg(long, value_name = "FILE")]
    pub tlscacert: Option<PathBuf>,
    /// Use this certificate
    #[arg(long, value_name = "FILE")]
    pub tlscert: Option<PathBuf>,
    /// Use this key
    #[arg(long, value_name = "FILE")]
    pub tlskey: Option<PathBuf>,
    /// Use TLS and check the engine's certificate
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    pub tlsverify: Option<String>,
}

/// The heading of the flags that every verb takes, and what `-h` says of them.
const EVERYWHERE: &str = "Everywhere";
const IN_ONE_LINE: &str = "Everywhere, as --help says: -c -H --project --settings --json --color -q -v";

/// With the help that `-h` shows: those flags in one line. Clap's own short help would make the long one twice as long.
fn short(command: clap::Command) -> clap::Command {
    let examples = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let after = format!("{IN_ONE_LINE}\n\n{examples}");
    let command = command.mut_args(|flag| {
        let is_everywhere = flag.get_help_heading() == Some(EVERYWHERE);
        flag.hide_short_help(is_everywhere)
    });
    command.after_help(after.trim_end().to_owned()).mut_subcommands(short)
}

/// A whole command line.
#[derive(Debug)]
pub struct Invocation {
    pub cli: Cli,
    /// The flags that set keys of the settings.
    pub typed: Vec<Typed>,
}

/// What a command line comes to.
#[derive(Debug)]
pub enum Parsed {
    Run(Box<Invocation>),
    /// `dkb build --help`: dkb's own words, and then docker's.
    BuildHelp(clap::Error, Box<Invocation>),
    /// Help, the version, or what is wrong with the command line: clap prints it and knows the exit code.
    Say(clap::Error),
}

/// Reads a command line, the program's own name first.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Parsed> {
    let mut command = Cli::command();
    let cut = split_at_verb::split(&command, args.into_iter().collect())?;
    // As a plugin it is called by another name, and so in these two usages, which are written by hand.
    if let Some(name) = cut.words.first().and_then(|name| name.to_str()).filter(|name| name.ends_with(" dkb")) {
        let screen = verbs::SCREEN.replace("Usage: dkb", &format!("Usage: {name}"));
        let usage = verbs::GUARD_USAGE.replacen("dkb", name, 1);
        command = command.override_help(screen).mut_subcommand("guard", |guard| guard.override_usage(usage));
    }
    let page = cut.asks_for_help.then(|| command.try_get_matches_from_mut(["dkb", "help", "build"]).err()).flatten();
    let matches = match command.try_get_matches_from_mut(&cut.words) {
        Ok(matches) => matches,
        Err(refusal) => {
            let is_short = refusal.kind() == ErrorKind::DisplayHelp && cut.words.iter().any(|word| word == "-h");
            if let Some(help) =
                is_short.then(|| short(command.clone()).try_get_matches_from(&cut.words).err()).flatten()
            {
                return Ok(Parsed::Say(help));
            }
            return reflexes::of_refusal(&refusal, &command, &cut.verbs).map_or(Ok(Parsed::Say(refusal)), Err);
        }
    };
    let mut typed = typed(&matches);
    let mut cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => return Ok(Parsed::Say(error)),
    };
    if let (Verb::Build(build) | Verb::Bake(build) | Verb::Compose(build), Some(docker)) = (&mut cli.verb, cut.build) {
        *build = docker;
    }
    if let Verb::Guard(guard) = &cli.verb {
        unclear(&command, &cut.words, &guard.command).map_or(Ok(()), Err)?;
    }
    if let Verb::Sweep(sweep) = &cli.verb {
        typed.extend(sweep.kinds_typed());
    }
    if cli.common.json {
        typed.push(Typed { id: "format", flag: "--json".to_owned(), values: vec!["json".into()] });
    }
    let invocation = Box::new(Invocation { cli, typed });
    Ok(match page {
        Some(page) => Parsed::BuildHelp(page, invocation),
        None => Parsed::Run(invocation),
    })
}

/// The first plain word begins what a guard runs, but where the two dashes are left out and a flag of the guard stands
/// behind it, either may be meant, and what the guard then cleans is not the same.
fn unclear(command: &clap::Command, words: &[OsString], run: &[OsString]) -> Option<Error> {
    let before = words.len().checked_sub(run.len().saturating_add(1))?;
    if words[before] == "--" {
        return None;
    }
    let of_guard = |word: &str| {
        let name = word.strip_prefix("--").map(|word| word.split_once('=').map_or(word, |(name, _)| name));
        let mut flags = command.find_subcommand("guard").into_iter().flat_map(clap::Command::get_arguments);
        name.is_some_and(|name| {
            flags.any(|flag| !flag.is_global_set() && flag.get_long() == Some(name) && name != "help")
        })
    };
    let mut theirs = run.iter().take_while(|word| *word != "--").filter_map(|word| word.to_str());
    let flag = theirs.find(|word| of_guard(word))?;
    let program = run.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    let error = Error::usage("dkb guard", format!("'{flag}' may be the guard's, or of {program}"));
    Some(error.hint(format!("run: dkb guard {flag} -- {program} …, or: dkb guard -- {program} … {flag}")))
}

/// Reads the flags that set keys off the table of keys, so that a new one needs no line here.
fn typed(matches: &clap::ArgMatches) -> Vec<Typed> {
    let mut levels = vec![matches];
    while let Some((_, below)) = levels.last().and_then(|last| last.subcommand()) {
        levels.push(below);
    }
    let mut found: Vec<Typed> = Vec::new();
    for key in KEYS.iter().filter(|key| !key.flag.is_empty()) {
        if found.iter().any(|typed| typed.id == key.flag) {
            continue;
        }
        // The deepest level first: there clap gathers what stood on either side of the verb.
        let values = levels.iter().rev().find_map(|level| {
            let typed = level.try_contains_id(key.flag).is_ok_and(|there| there)
                && level.value_source(key.flag) == Some(clap::parser::ValueSource::CommandLine);
            typed.then(|| level.get_raw(key.flag).into_iter().flatten().map(ToOwned::to_owned).collect::<Vec<_>>())
        });
        if let (Some(mut values), Some(flag)) = (values, key.flag()) {
            if values.is_empty() {
                values.push("true".into());
            }
            found.push(Typed { id: key.flag, flag, values });
        }
    }
    found
}

/// The whole command, for completions and man pages, without the verbs that nobody types.
pub fn command() -> clap::Command {
    let whole = Cli::command();
    clap::Command::new("dkb")
        // Without the commit: these pages are kept in the repository and would differ with each one.
        .version(env!("CARGO_PKG_VERSION"))
        .about(verbs::ABOUT)
        .disable_help_subcommand(true)
        .subcommand_required(true)
        .args(whole.get_arguments())
        .subcommands(reflexes::visible(&whole))
}

#[cfg(test)]
mod tests;

//! Commands and flags, and nothing else: what was typed. What it means is [`crate::config`]'s.
//!
//! The words behind `build` are docker's and must arrive there byte for byte, so the command line is cut at the
//! verb by hand ([`cut`]) before clap sees it. dkb's own flags may stand on either side of a verb that knows them.

mod cut;
mod help;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::config::keys::{COLORS, FORMATS, KEYS};
use crate::error::Result;
pub use cut::DOCKER_VERBS;

/// The version and, where it is known, the commit.
pub const VERSION: &str = env!("DKB_VERSION");

#[derive(Debug, Parser)]
#[command(name = "dkb", version = VERSION, about = help::ABOUT, override_help = help::SCREEN)]
#[command(arg_required_else_help = true, propagate_version = false, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub common: Common,
    #[command(flatten)]
    pub docker: DockerFlags,
    /// Name the session that this run belongs to; before the verb
    #[arg(long, value_name = "ID")]
    pub session: Option<String>,
    #[command(subcommand)]
    pub verb: Verb,
}

/// Flags that every verb takes.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Common {
    /// Use this docker context; sweep takes several
    #[arg(short = 'c', long, global = true, value_name = "NAME")]
    pub context: Vec<String>,
    /// Use the engine at this address
    #[arg(short = 'H', long, global = true, value_name = "URL")]
    pub host: Vec<String>,
    /// Name the project; otherwise the repository's name
    #[arg(long, global = true, value_name = "NAME")]
    pub project: Option<String>,
    /// Read this file in place of ~/.config/dkb/config.toml
    #[arg(long, global = true, value_name = "FILE")]
    pub settings: Option<PathBuf>,
    /// Print results for people or for programs
    #[arg(long, global = true, value_name = "FORMAT", value_parser = FORMATS.to_vec())]
    pub format: Option<String>,
    /// Use colour
    #[arg(long, global = true, value_name = "WHEN", value_parser = COLORS.to_vec())]
    pub color: Option<String>,
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
pub struct DockerFlags {
    /// Take docker's settings from this folder
    #[arg(long, value_name = "FOLDER")]
    pub config: Option<PathBuf>,
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

#[derive(Debug, Subcommand)]
pub enum Verb {
    #[command(about = help::BUILD.0, after_help = help::BUILD.1, disable_help_flag = true, override_usage = "dkb [FLAGS] build ARG...")]
    Build(Build),
    #[command(about = help::CLEAN.0, after_help = help::CLEAN.1)]
    Clean(Clean),
    #[command(about = help::STATUS.0, after_help = help::STATUS.1)]
    Status(Status),
    #[command(about = help::GUARD.0, after_help = help::GUARD.1)]
    Guard(Guard),
    #[command(about = help::SWEEP.0, after_help = help::SWEEP.1)]
    Sweep(Sweep),
    #[command(about = help::SESSION.0, after_help = help::SESSION.1, subcommand, arg_required_else_help = true)]
    Session(Session),
    #[command(about = help::CONFIG.0, after_help = help::CONFIG.1)]
    Config,
    #[command(about = help::PLUGIN.0, after_help = help::PLUGIN.1, subcommand, arg_required_else_help = true)]
    Plugin(Plugin),
    #[command(about = help::COMPLETIONS.0, after_help = help::COMPLETIONS.1)]
    Completions { shell: clap_complete::Shell },
    #[command(about = help::MAN.0, after_help = help::MAN.1)]
    Man {
        /// The verb whose page it is; otherwise the page of dkb
        verb: Option<String>,
    },
    /// What a guard starts to be outlived by
    #[command(hide = true)]
    Watch(Watch),
    /// What docker asks of a plugin
    #[command(name = "docker-cli-plugin-metadata", hide = true)]
    PluginMetadata,
}

/// `dkb build`, in any of docker's spellings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct Build {
    /// docker's words up to and with its verb: `build`, `image build`, `buildx --builder b build`
    #[arg(skip)]
    pub spelling: Vec<OsString>,
    /// docker's global flags that stood before the verb, as they were typed
    #[arg(skip)]
    pub docker: Vec<OsString>,
    /// Everything behind the verb, docker's and untouched
    #[arg(value_name = "ARG", trailing_var_arg = true, allow_hyphen_values = true)]
    pub args: Vec<OsString>,
}

#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools)] // flags as they are typed
#[command(group = clap::ArgGroup::new("scope").multiple(false))]
pub struct Clean {
    /// Clean this session of the project, and its tags with it
    #[arg(id = "scope_session", long = "session", group = "scope", value_name = "ID", num_args = 0..=1, help_heading = "Scope")]
    pub session: Option<Option<String>>,
    /// Clean sessions that are over and were never cleaned, and their tags with them
    #[arg(long, group = "scope", help_heading = "Scope")]
    pub stale: bool,
    /// Clean every project
    #[arg(long, group = "scope", help_heading = "Scope")]
    pub all: bool,
    /// Take away tags too, those that dkb's builds gave
    #[arg(long, conflicts_with = "keep_tagged", help_heading = "What goes")]
    pub tagged: bool,
    /// Leave tagged images where --session and --stale would take them
    #[arg(long, help_heading = "What goes")]
    pub keep_tagged: bool,
    /// Leave created and exited containers, and so the images they use
    #[arg(long, help_heading = "What goes")]
    pub keep_containers: bool,
    /// Take the stamp for a proof where the ledger knows nothing of an image
    #[arg(long, conflicts_with = "all", help_heading = "What goes")]
    pub trust_stamp: bool,
    /// Let an unowned CI session count as over after this long
    #[arg(long, value_name = "DUR", help_heading = "What stays")]
    pub stale_after: Option<String>,
    #[command(flatten)]
    pub retention: Retention,
    #[command(flatten)]
    pub act: Act,
}

/// What `dkb clean` is to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    Project,
    /// This session; the one that this run is in where no ID was typed.
    Session(Option<String>),
    Stale,
    All,
}

impl Clean {
    pub fn scope(&self) -> Scope {
        match &self.session {
            Some(id) => Scope::Session(id.clone()),
            None if self.stale => Scope::Stale,
            None if self.all => Scope::All,
            None => Scope::Project,
        }
    }
}

#[derive(Debug, Args)]
#[command(next_help_heading = "What stays")]
pub struct Retention {
    /// Keep what matches; may be repeated
    #[arg(long, value_name = "PATTERN")]
    pub keep: Vec<String>,
    /// Keep the newest N of every repository
    #[arg(long, value_name = "N")]
    pub keep_last: Option<String>,
    /// Keep what is younger
    #[arg(long, visible_alias = "until", value_name = "DUR")]
    pub older_than: Option<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "How")]
pub struct Act {
    /// Show what would be done, exactly, and do nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Write the plan to a file, and do nothing
    #[arg(long, value_name = "FILE", conflicts_with = "apply")]
    pub plan: Option<PathBuf>,
    /// Do what a plan says, each step checked again, and never more
    #[arg(long, value_name = "FILE")]
    pub apply: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Status {
    /// Show every project
    #[arg(long, conflicts_with = "image")]
    pub all: bool,
    /// Say whose this image is, and why it is kept
    pub image: Option<String>,
}

#[derive(Debug, Args)]
pub struct Guard {
    /// Use this session; otherwise a fresh one
    #[arg(long, value_name = "ID")]
    pub session: Option<String>,
    /// Leave tagged images
    #[arg(long)]
    pub keep_tagged: bool,
    /// Leave everything for a look when the command failed
    #[arg(long)]
    pub keep_on_failure: bool,
    /// Name the session, and leave everything
    #[arg(long)]
    pub no_clean: bool,
    /// The command and its words
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

#[derive(Debug, Args)]
pub struct Watch {
    #[arg(long)]
    pub command: String,
    #[arg(long)]
    pub pid: Option<u32>,
    #[arg(long)]
    pub ttl: Option<String>,
    #[arg(long)]
    pub keep_tagged: bool,
}

/// The kinds of things that `dkb sweep` knows, by the name they have in `--only` and `--skip`.
pub const SWEEP_KINDS: &[(&str, &str)] = &[
    ("containers", "sweep.containers"),
    ("images", "sweep.images"),
    ("volumes", "sweep.volumes"),
    ("networks", "sweep.networks"),
    ("cache", "sweep.build_cache"),
];

#[derive(Debug, Args)]
pub struct Sweep {
    /// Sweep these kinds and no other: containers, images, volumes, networks, cache
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = kinds(), hide_possible_values = true, help_heading = "What goes")]
    pub only: Vec<String>,
    /// Leave these kinds out
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = kinds(), hide_possible_values = true, help_heading = "What goes")]
    pub skip: Vec<String>,
    /// Sweep all unused images, not only untagged ones
    #[arg(long, help_heading = "What goes")]
    pub all_images: bool,
    /// Sweep unused volumes, named ones too
    #[arg(long, help_heading = "What goes")]
    pub volumes: bool,
    /// Sweep only what this lets through: label=K, label=K=V, label!=K, label!=K=V; may be repeated
    #[arg(long, value_name = "FILTER", help_heading = "What goes")]
    pub filter: Vec<String>,
    #[command(flatten)]
    pub retention: Retention,
    /// Keep this much build cache
    #[arg(long, value_name = "SIZE", help_heading = "What stays")]
    pub cache_keep: Option<String>,
    /// Keep build cache that was used since
    #[arg(long, value_name = "DUR", help_heading = "What stays")]
    pub cache_until: Option<String>,
    /// Do nothing unless the engine's disk is fuller: 85%, 200GB
    #[arg(long, value_name = "MARK", help_heading = "Disk pressure")]
    pub when_disk_above: Option<String>,
    /// Then sweep the least valuable first, down to here and no further
    #[arg(long, value_name = "MARK", help_heading = "Disk pressure")]
    pub down_to: Option<String>,
    /// Sweep every docker context
    #[arg(long, conflicts_with_all = ["context", "host"], help_heading = "Many hosts")]
    pub all_contexts: bool,
    #[command(flatten)]
    pub act: Act,
}

fn kinds() -> Vec<&'static str> {
    SWEEP_KINDS.iter().map(|(name, _)| *name).collect()
}

#[derive(Debug, Subcommand)]
pub enum Session {
    /// Open a session and print its ID
    #[command(after_help = "Example:\n  DKB_SESSION=$(dkb session start --watch-pid $$)")]
    Start {
        /// End the session when this process ends
        #[arg(long, value_name = "PID", conflicts_with = "ttl")]
        watch_pid: Option<u32>,
        /// End it after this long
        #[arg(long, value_name = "DUR", default_value = "24h")]
        ttl: String,
    },
    /// End a session and clean what it left
    #[command(after_help = "Example:\n  dkb session end \"$DKB_SESSION\"")]
    End {
        id: String,
        /// Leave tagged images
        #[arg(long)]
        keep_tagged: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Subcommand)]
pub enum Plugin {
    /// Link dkb into docker's plugin folder and cargo's bin
    Install,
    /// Take these links away
    Uninstall,
    /// Say which links there are
    Status,
}

/// A flag that sets a key, as it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Typed {
    /// The flag's ID in the table of keys.
    pub id: &'static str,
    /// With its dashes, for errors.
    pub flag: String,
    pub values: Vec<OsString>,
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
    /// Help, the version, or what is wrong with the command line: clap prints it and knows the exit code.
    Say(clap::Error),
}

/// Reads a command line, the program's own name first.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Parsed> {
    let command = Cli::command();
    let cut = cut::cut(&command, args.into_iter().collect())?;
    let matches = match command.try_get_matches_from(cut.words) {
        Ok(matches) => matches,
        Err(error) => return Ok(Parsed::Say(error)),
    };
    let mut typed = typed(&matches);
    let mut cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => return Ok(Parsed::Say(error)),
    };
    if let (Verb::Build(build), Some(docker)) = (&mut cli.verb, cut.build) {
        *build = docker;
    }
    if let Verb::Sweep(sweep) = &cli.verb {
        typed.extend(kinds_typed(sweep));
    }
    Ok(Parsed::Run(Box::new(Invocation { cli, typed })))
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

/// `--only` and `--skip` in the words of the keys.
fn kinds_typed(sweep: &Sweep) -> impl Iterator<Item = Typed> + '_ {
    SWEEP_KINDS.iter().filter_map(|(name, key)| {
        let named = |list: &[String]| list.iter().any(|kind| kind == name);
        let (flag, on) = match (named(&sweep.skip), named(&sweep.only)) {
            (true, _) => ("--skip", false),
            (_, true) => ("--only", true),
            _ if !sweep.only.is_empty() => ("--only", false),
            _ => return None,
        };
        Some(Typed { id: key, flag: flag.to_owned(), values: vec![on.to_string().into()] })
    })
}

/// The whole command, for completions and man pages.
pub fn command() -> clap::Command {
    // Without the commit: these pages are kept in the repository and would differ with each one.
    Cli::command().version(env!("CARGO_PKG_VERSION")).disable_help_subcommand(true)
}

#[cfg(test)]
mod tests;

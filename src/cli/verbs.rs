//! The flags of each verb.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};

use super::key_flags::{DiskPressure, GuardSession, KeyFlags, Retention, Swept, SweptCache, Trust, Unasked};
use crate::config::Typed;

/// `dkb build`, in any of docker's spellings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct BuildFlags {
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
pub struct CleanFlags {
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
    /// Take the anonymous volumes of the containers that go, and the data in them
    #[arg(id = "clean_volumes", long = "volumes", conflicts_with = "keep_containers", help_heading = "What goes")]
    pub volumes: bool,
    #[command(flatten)]
    _trust: KeyFlags<Trust>,
    #[command(flatten)]
    _retention: KeyFlags<Retention>,
    #[command(flatten)]
    pub act: Act,
}

/// What `dkb clean` is to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CleanScope {
    Project,
    /// This session; the one that this run is in where no ID was typed.
    Session(Option<String>),
    Stale,
    All,
}

impl CleanFlags {
    pub fn scope(&self) -> CleanScope {
        match &self.session {
            Some(id) => CleanScope::Session(id.clone()),
            None if self.stale => CleanScope::Stale,
            None if self.all => CleanScope::All,
            None => CleanScope::Project,
        }
    }

    /// It was said what to look at; otherwise a plan from a file says it.
    pub fn names_scope(&self) -> bool {
        self.scope() != CleanScope::Project
    }
}

#[derive(Debug, Args)]
#[command(next_help_heading = "How")]
pub struct Act {
    /// Show what would be done, exactly, and do nothing
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    #[command(flatten)]
    _yes: KeyFlags<Unasked>,
    /// Write the plan to a file or a pipe, and do nothing
    #[arg(long, value_name = "FILE", conflicts_with = "apply")]
    pub plan: Option<PathBuf>,
    /// Do those steps of a plan that would be done today too, and never more
    #[arg(long, value_name = "FILE")]
    pub apply: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct StatusFlags {
    /// Show every project
    #[arg(long, conflicts_with = "image")]
    pub all: bool,
    /// Say whose this image is, and why it is kept
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    pub image: Option<String>,
}

#[derive(Debug, Args)]
pub struct LogFlags {
    /// Show what became of this image: a tag, an ID, a pattern; of a container, a volume or a network by its name
    pub image: Option<String>,
    /// Show what went since then
    #[arg(long, value_name = "DUR")]
    pub since: Option<String>,
}

#[derive(Debug, Args)]
pub struct GuardFlags {
    #[command(flatten)]
    _session: KeyFlags<GuardSession>,
    /// Leave tagged images
    #[arg(long)]
    pub keep_tagged: bool,
    /// Leave everything for a look when the command failed, or the guard was killed
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
pub struct WatchFlags {
    #[arg(long)]
    pub command: String,
    #[arg(long)]
    pub pid: Option<u32>,
    #[arg(long)]
    pub ttl: Option<String>,
    #[arg(long)]
    pub keeper: Option<String>,
    #[arg(long)]
    pub keep_tagged: bool,
    #[arg(long)]
    pub keep_on_failure: bool,
    #[arg(long)]
    pub made: bool,
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
pub struct SweepFlags {
    /// Sweep these kinds and no other: containers, images, volumes, networks, cache
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = kinds(), hide_possible_values = true, help_heading = "What goes")]
    pub only: Vec<String>,
    /// Leave these kinds out
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = kinds(), hide_possible_values = true, help_heading = "What goes")]
    pub skip: Vec<String>,
    #[command(flatten)]
    _swept: KeyFlags<Swept>,
    #[command(flatten)]
    _retention: KeyFlags<Retention>,
    #[command(flatten)]
    _cache: KeyFlags<SweptCache>,
    #[command(flatten)]
    _disk: KeyFlags<DiskPressure>,
    /// Sweep every docker context
    #[arg(long, conflicts_with_all = ["context", "host"], help_heading = "Many hosts")]
    pub all_contexts: bool,
    #[command(flatten)]
    pub act: Act,
}

impl SweepFlags {
    /// `--only` and `--skip` in the words of the keys.
    pub(super) fn kinds_typed(&self) -> impl Iterator<Item = Typed> + '_ {
        SWEEP_KINDS.iter().filter_map(|(name, key)| {
            let named = |list: &[String]| list.iter().any(|kind| kind == name);
            let (flag, on) = match (named(&self.skip), named(&self.only)) {
                (true, _) => ("--skip", false),
                (_, true) => ("--only", true),
                _ if !self.only.is_empty() => ("--only", false),
                _ => return None,
            };
            Some(Typed { id: key, flag: flag.to_owned(), values: vec![on.to_string().into()] })
        })
    }
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
    /// Print the run label of a session, for containers, volumes and networks
    #[command(after_help = "Example:\n  docker run --label \"$(dkb session label)\" app:test")]
    Label {
        /// The session; the one that this run is in where none is named
        id: Option<String>,
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

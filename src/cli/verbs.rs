//! The verbs: for each its name, its words in `--help` and its flags.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};

use super::key_flags::{
    DiskPressure, GuardSession, KeyFlags, Patience, Retention, Swept, SweptCache, SweptRetention, Trust, Unasked,
};
use crate::config::Typed;
use crate::config::cleaner::LogFormat;
use crate::error::{Error, Result};
use crate::model::{Name, Scope, SessionKey, parse_bytes};

pub(super) const ABOUT: &str =
    "docker build that leaves nothing behind, and a clean-up that takes what is yours and nothing else";

/// `dkb --help`: one screen of 60 by 24. A test holds that, and that every verb stands here.
pub(super) const SCREEN: &str = "\
dkb: docker build that leaves nothing behind

Usage: dkb [FLAGS] VERB [ARG...]

  build ARG...     Build as docker does, and tidy up after
  bake, compose    The same for many targets at once
  clean            Remove what dkb's builds left, no more
  status [IMAGE]   Show what is ours, and why it stays
  log [IMAGE]      Show what went, when and why
  guard -- CMD...  Run a command, and clean up after it
  sweep            Clean the whole host; --dry-run is exact
  session          Open and end sessions by hand
  config, doctor   Show the settings, and what is amiss here
  plugin           See every build, or be docker dkb too
  completions, man Print completions, or a manual page

  --project NAME, --session ID     name them, before VERB
  -c, --context NAME, -H, --host URL         which engine
  --settings FILE  in place of ~/.config/dkb/config.toml
  --json, --color WHEN, -q, -v    how results are printed
  -h, --help, -V, --version       also: dkb help VERB

docker's own flags go before VERB. First: dkb build -t app .";

pub(super) const GUARD_USAGE: &str = "dkb guard [OPTIONS] -- COMMAND...";

#[derive(Debug, Subcommand)]
pub enum Verb {
    #[command(about = BUILD.0, after_help = BUILD.1, disable_help_flag = true, override_usage = "dkb [FLAGS] build ARG...")]
    Build(BuildFlags),
    #[command(about = BAKE.0, after_help = BAKE.1, disable_help_flag = true, override_usage = "dkb [FLAGS] bake ARG...")]
    Bake(BuildFlags),
    #[command(about = COMPOSE.0, after_help = COMPOSE.1, disable_help_flag = true, override_usage = "dkb [FLAGS] compose ARG...")]
    Compose(BuildFlags),
    #[command(about = CLEAN.0, after_help = CLEAN.1)]
    Clean(CleanFlags),
    #[command(about = STATUS.0, after_help = STATUS.1)]
    Status(StatusFlags),
    #[command(about = LOG.0, after_help = LOG.1)]
    Log(LogFlags),
    #[command(about = GUARD.0, after_help = GUARD.1, override_usage = GUARD_USAGE)]
    Guard(GuardFlags),
    #[command(about = SWEEP.0, after_help = SWEEP.1)]
    Sweep(SweepFlags),
    #[command(about = SESSION.0, after_help = SESSION.1, subcommand, arg_required_else_help = true)]
    Session(Session),
    #[command(about = CONFIG.0, after_help = CONFIG.1)]
    Config(ConfigFlags),
    #[command(about = DOCTOR.0, after_help = DOCTOR.1)]
    Doctor,
    #[command(about = PLUGIN.0, after_help = PLUGIN.1, subcommand, arg_required_else_help = true)]
    Plugin(Plugin),
    #[command(about = COMPLETIONS.0, after_help = COMPLETIONS.1)]
    Completions { shell: clap_complete::Shell },
    #[command(about = MAN.0, after_help = MAN.1)]
    Man {
        /// The verb whose page it is; otherwise the page of dkb
        verb: Vec<String>,
    },
    /// What a guard starts to be outlived by
    #[command(hide = true)]
    Watch(WatchFlags),
    /// What a build leaves to a process that nobody waits for
    #[command(hide = true)]
    TidyCache,
    /// What docker asks of a plugin
    #[command(name = "docker-cli-plugin-metadata", hide = true)]
    PluginMetadata,
}

/// A verb of docker's, which dkb hands on with its words as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DockersVerb {
    Build,
    Bake,
    Compose,
}

impl Verb {
    /// Which of docker's verbs it is, and what was typed to it.
    pub fn into_dockers(self) -> Option<(DockersVerb, BuildFlags)> {
        match self {
            Self::Build(flags) => Some((DockersVerb::Build, flags)),
            Self::Bake(flags) => Some((DockersVerb::Bake, flags)),
            Self::Compose(flags) => Some((DockersVerb::Compose, flags)),
            _ => None,
        }
    }

    /// As it is typed.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Build(_) => "build",
            Self::Bake(_) => "bake",
            Self::Compose(_) => "compose",
            Self::Clean(_) => "clean",
            Self::Status(_) => "status",
            Self::Log(_) => "log",
            Self::Guard(_) => "guard",
            Self::Sweep(_) => "sweep",
            Self::Session(_) => "session",
            Self::Config(_) => "config",
            Self::Doctor => "doctor",
            Self::Plugin(_) => "plugin",
            Self::Completions { .. } => "completions",
            Self::Man { .. } => "man",
            Self::Watch(_) => "watch",
            Self::TidyCache => "tidy-cache",
            Self::PluginMetadata => "docker-cli-plugin-metadata",
        }
    }
}

type HelpPage = (&'static str, &'static str);

const BUILD: HelpPage = (
    "Build as docker build does, and take away what it leaves behind",
    "\
Everything behind 'build' is docker's, and 'docker build --help' tells of it. dkb's own flags stand before the verb. \
'dkb image build', 'dkb builder build' and 'dkb buildx build' are the same.

Examples:
  dkb build -t app:dev .
  dkb --project acme/shop build --target test .
",
);

const BAKE: HelpPage = (
    "Build many targets as docker buildx bake does, and tidy up after each",
    "\
Everything behind 'bake' is docker's; 'dkb bake --help' is docker's page. dkb's own flags stand before the verb. \
'dkb buildx bake' is the same.

Examples:
  dkb bake
  dkb bake -f docker-compose.yml web worker",
);

const COMPOSE: HelpPage = (
    "Run docker compose, and tidy up after what it builds",
    "\
Everything behind 'compose' is docker's; 'dkb compose --help' is docker's page. dkb's own flags stand before the verb. \
Containers, networks and volumes are left to compose.

Examples:
  dkb compose up --build
  dkb compose build web",
);

const CLEAN: HelpPage = (
    "Remove what dkb's builds left here, with --tagged their tagged images too, and nothing else",
    "\
Examples:
  dkb clean --dry-run               what would go, of this working copy
  dkb clean --session               after a CI job: all that it made, tags too
  dkb clean --tagged --keep-last 2  outdated versions as well",
);

const STATUS: HelpPage = (
    "Show what is ours, and what clean would free",
    "\
Examples:
  dkb status --all
  dkb status app:dev    whose is it, and why is it kept?",
);

const LOG: HelpPage = (
    "Show what dkb took away: what, when, why, and in whose name",
    "\
Examples:
  dkb log app:1.4       what became of it?
  dkb log --since 7d",
);

const GUARD: HelpPage = (
    "Run a command in a session of its own, and clean up after it however it ends",
    "\
What dkb build builds in it goes, with containers of that; every build, after dkb plugin install --every-build. What \
else it makes goes by the label in DKB_LABEL, which it finds in its environment.

Examples:
  dkb guard -- just e2e
  dkb guard -- sh -c 'docker run -d --label \"$DKB_LABEL\" postgres:16; ./e2e'",
);

const SWEEP: HelpPage = (
    "Clean the whole host: containers, images, volumes, networks, build cache",
    "\
Examples:
  dkb sweep --dry-run
  dkb sweep --all-images --older-than 7d --keep 'postgres*' --yes
  dkb sweep --when-disk-above 85% --down-to 80% --yes",
);

const SESSION: HelpPage = (
    "Open and end sessions by hand, for test harnesses that can't be wrapped",
    "\
Example:
  export DKB_SESSION=$(dkb session start --watch-pid $$)",
);

const CONFIG: HelpPage = (
    "Show every setting that is in effect and where it comes from",
    "\
Examples:
  dkb config
  dkb config get keep_last
  dkb config --json",
);

const DOCTOR: HelpPage = (
    "Show which engine, docker and ledger are used here and why, and what is amiss",
    "\
It removes nothing. The exit code is 1 where something is broken.

Examples:
  dkb doctor
  dkb --context nas doctor",
);

const PLUGIN: HelpPage = (
    "Make dkb a plugin of docker and of cargo, or part of every build",
    "\
Examples:
  dkb plugin install && docker dkb build .
  dkb plugin install --every-build && docker compose up --build
  dkb plugin install --as-docker ~/bin",
);

const COMPLETIONS: HelpPage = (
    "Print a shell's completions",
    "\
Example:
  mkdir -p ~/.local/share/bash-completion/completions
  dkb completions bash > ~/.local/share/bash-completion/completions/dkb",
);

const MAN: HelpPage = (
    "Print a manual page",
    "\
Examples:
  dkb man | man -l -
  dkb man clean > dkb-clean.1",
);

/// `dkb build`, `dkb bake` and `dkb compose`, in any of docker's spellings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct BuildFlags {
    /// docker's words up to and with its verb: `build`, `image build`, `buildx --builder b build`, `buildx bake`
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
    /// Clean this session of the project, with its tags and what bears its run label: stopped containers, networks,
    /// volumes and their data
    #[arg(id = "scope_session", long = "session", group = "scope", value_name = "ID", num_args = 0..=1, help_heading = "Scope")]
    pub session: Option<Option<String>>,
    /// Clean sessions that are over and were never cleaned, and their tags with them
    #[arg(long, group = "scope", help_heading = "Scope")]
    pub stale: bool,
    /// Clean every project
    #[arg(long, group = "scope", help_heading = "Scope")]
    pub all: bool,
    /// Of that only what docker compose built for this project of its own, whose name is compose's -p
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new(), help_heading = "Scope")]
    pub compose: Option<String>,
    /// Take away tags too, those that dkb's builds gave
    #[arg(long, conflicts_with = "keep_tagged", help_heading = "What goes")]
    pub tagged: bool,
    /// Leave tagged images where --session and --stale would take them, but not what bears the run label
    #[arg(long, help_heading = "What goes")]
    pub keep_tagged: bool,
    /// Leave created and exited containers, and so the images they use, and networks and volumes
    #[arg(long, help_heading = "What goes")]
    pub keep_containers: bool,
    /// Take the anonymous volumes of the containers that go too, and those with the run label of a working copy's own
    /// session, and the data in them
    #[arg(id = "clean_volumes", long = "volumes", conflicts_with = "keep_containers", help_heading = "What goes")]
    pub volumes: bool,
    /// Take the build cache of these builds, and nothing else
    #[arg(long, conflicts_with_all = ["tagged", "keep_tagged", "keep_containers", "clean_volumes", "keep_cache"], help_heading = "What goes")]
    pub cache: bool,
    /// Take the cache mounts that only this working copy's builds have: those under the setting `own_cache_mounts`
    #[arg(long, conflicts_with = "keep_cache", help_heading = "What goes")]
    pub cache_mounts: bool,
    /// Leave the build cache
    #[arg(long, help_heading = "What goes")]
    pub keep_cache: bool,
    /// Keep this much build cache
    #[arg(id = "clean_cache_keep", long = "cache-keep", value_name = "SIZE", value_parser = size, conflicts_with = "keep_cache", help_heading = "What stays")]
    pub cache_keep: Option<u64>,
    #[command(flatten)]
    _trust: KeyFlags<Trust>,
    #[command(flatten)]
    _retention: KeyFlags<Retention>,
    #[command(flatten)]
    pub act: Act,
}

fn log_format(typed: &str) -> Result<LogFormat, String> {
    match typed {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("text or json".to_owned()),
    }
}

fn size(typed: &str) -> Result<u64, String> {
    parse_bytes(typed)
}

impl CleanFlags {
    /// Which sessions are meant; where no ID was typed, the one that this run is in.
    pub fn scope(&self, here: &SessionKey) -> Result<Scope> {
        let project = here.project.clone();
        Ok(match &self.session {
            Some(None) => Scope::Session(here.clone()),
            Some(Some(id)) => {
                let session = Name::typed(id).map_err(|wrong| Error::usage("reading --session", wrong))?;
                Scope::Session(SessionKey { project, session })
            }
            None if self.stale => Scope::Stale { project },
            None if self.all => Scope::All,
            None => Scope::Project { project },
        })
    }

    /// It was said what to look at; otherwise a plan from a file says it.
    pub const fn names_scope(&self) -> bool {
        self.session.is_some() || self.stale || self.all
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
    /// Say whose this image is, and why it is kept: a tag, an ID, or a pattern of several
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
    /// Show the last of it, so many things
    #[arg(long, short = 'n', visible_alias = "tail", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub last: Option<u32>,
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
    #[arg(trailing_var_arg = true, required = true, value_name = "COMMAND")]
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
}

/// The kinds of things that `dkb sweep` knows, by the name they have in `--only` and `--skip`.
pub const SWEEP_KINDS: &[(&str, &str)] = &[
    ("containers", "sweep.containers"),
    ("images", "sweep.images"),
    ("volumes", "sweep.volumes"),
    ("builder-state", "sweep.builder_state"),
    ("networks", "sweep.networks"),
    ("cache", "sweep.build_cache"),
];

#[derive(Debug, Args)]
pub struct SweepFlags {
    /// Sweep these kinds and no other: containers, images, volumes, builder-state, networks, cache
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = kinds(), hide_possible_values = true, help_heading = "What goes")]
    pub only: Vec<String>,
    /// Leave these kinds out
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = kinds(), hide_possible_values = true, help_heading = "What goes")]
    pub skip: Vec<String>,
    #[command(flatten)]
    _swept: KeyFlags<Swept>,
    #[command(flatten)]
    _retention: KeyFlags<SweptRetention>,
    #[command(flatten)]
    _cache: KeyFlags<SweptCache>,
    #[command(flatten)]
    _disk: KeyFlags<DiskPressure>,
    /// Print lines for a log, as docker-cleaner does: text or json
    #[arg(long, value_name = "FORMAT", num_args = 0..=1, require_equals = true, default_missing_value = "text", value_parser = log_format, help_heading = "How")]
    pub(crate) log: Option<LogFormat>,
    /// Sweep every docker context
    #[arg(long, conflicts_with_all = ["context", "host"], help_heading = "Many hosts")]
    pub all_contexts: bool,
    #[command(flatten)]
    _patience: KeyFlags<Patience>,
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

#[derive(Debug, Args)]
pub struct ConfigFlags {
    #[command(subcommand)]
    pub verb: Option<Config>,
}

#[derive(Debug, Subcommand)]
pub enum Config {
    /// Print what one setting is, a value a line
    #[command(after_help = "Example:\n  dkb config get keep_last")]
    Get { key: String },
}

#[derive(Debug, Subcommand)]
pub enum Session {
    /// Show the sessions of this project, the newest first, and who is at work in them
    #[command(visible_alias = "ls", after_help = "Example:\n  dkb session list --all")]
    List {
        /// Show those of every project
        #[arg(long)]
        all: bool,
    },
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

#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Plugin {
    /// Link dkb into docker's plugin folder and cargo's bin, or put it where it is told
    #[command(after_help = "Examples:\n  dkb plugin install\n  dkb plugin install --every-build")]
    Install(PluginPlaces),
    /// Take all of that away again, or only what is told
    Uninstall(PluginPlaces),
    /// Say what there is of it
    Status,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct PluginPlaces {
    /// Before docker's buildx: every build with BuildKit is seen, compose's and other tools' too, as if by dkb build
    #[arg(long)]
    pub every_build: bool,
    /// By the name docker in this folder, for tools that are told which docker to use: builds are dkb's, all else docker's
    #[arg(long, value_name = "DIR")]
    pub as_docker: Option<PathBuf>,
}

//! What `--help` says beside the flags: for each verb its first line, imperative, and an example or two.

pub(super) const ABOUT: &str =
    "docker build that leaves nothing behind, and a clean-up that takes what is yours and nothing else";

/// `dkb --help`: one screen of 80 by 24. A test holds that, and that every verb stands here.
pub(super) const SCREEN: &str = "\
dkb: docker build that leaves nothing behind, and a clean-up of what is yours

Usage: dkb [FLAGS] VERB [ARG...]

  build ARG...     Build as docker build does; take away what it leaves behind
  clean            Remove what dkb's builds made here, and nothing else
  status [IMAGE]   Show what is ours, what clean would free, why an image stays
  log [IMAGE]      Show what dkb took away, when and why
  guard -- CMD...  Run a command, and clean up after it however it ends
  sweep            Clean the whole host, in order, with an exact dry run
  session          Open and end sessions by hand, for test harnesses
  config           Show every setting and where it comes from
  plugin           Make it docker dkb and cargo dkb too
  completions      Print a shell's completions;  man: print a manual page

  --project NAME, --session ID    name the project, the session (before VERB)
  -c, --context NAME, -H, --host URL                   which engine to work on
  --settings FILE                 in place of ~/.config/dkb/config.toml
  --format human|json, --color auto|always|never       how results are printed
  -q, --quiet, -v, --verbose      say less, say more
  -h, --help, -V, --version       also: dkb VERB --help

docker's own global flags may stand before the verb. Start with: dkb build .";

type Page = (&'static str, &'static str);

pub(super) const BUILD: Page = (
    "Build as docker build does, and take away what it leaves behind",
    "\
Everything behind 'build' is docker's: see docker build --help for it. dkb's own
flags stand before the verb. 'dkb image build', 'dkb builder build' and
'dkb buildx build' are the same.

Examples:
  dkb build -t app:dev .
  dkb --project acme/shop build --target test .",
);

pub(super) const CLEAN: Page = (
    "Remove what dkb's builds made here, and nothing else",
    "\
Examples:
  dkb clean --dry-run               what would go, from this project
  dkb clean --session               after a CI job: all that it made, tags too
  dkb clean --tagged --keep-last 2  outdated versions as well",
);

pub(super) const STATUS: Page = (
    "Show what is ours, and what clean would free",
    "\
Examples:
  dkb status --all
  dkb status app:dev    whose is it, and why is it kept?",
);

pub(super) const LOG: Page = (
    "Show what dkb took away: what, when, why, and in whose name",
    "\
Examples:
  dkb log app:1.4       what became of it?
  dkb log --since 7d",
);

pub(super) const GUARD: Page = (
    "Run a command in a session of its own, and clean up after it however it ends",
    "\
Images that it builds go, and containers of them. What else it makes goes by the
label in DKB_LABEL, which it finds in its environment.

Examples:
  dkb guard -- just e2e
  dkb guard -- sh -c 'docker run -d --label \"$DKB_LABEL\" postgres:16; ./e2e'",
);

pub(super) const SWEEP: Page = (
    "Clean the whole host: containers, images, volumes, networks, build cache",
    "\
Examples:
  dkb sweep --dry-run
  dkb sweep --all-images --older-than 7d --keep 'postgres*' --yes
  dkb sweep --when-disk-above 85% --down-to 80% --yes",
);

pub(super) const SESSION: Page = (
    "Open and end sessions by hand, for test harnesses that can't be wrapped",
    "\
Example:
  export DKB_SESSION=$(dkb session start --watch-pid $$)",
);

pub(super) const CONFIG: Page = (
    "Show every setting that is in effect and where it comes from",
    "\
Examples:
  dkb config
  dkb config --format json",
);

pub(super) const PLUGIN: Page = (
    "Make dkb a plugin of docker and of cargo",
    "\
Example:
  dkb plugin install && docker dkb build .",
);

pub(super) const COMPLETIONS: Page = (
    "Print a shell's completions",
    "\
Example:
  dkb completions bash > ~/.local/share/bash-completion/completions/dkb",
);

pub(super) const MAN: Page = (
    "Print a manual page",
    "\
Examples:
  dkb man | man -l -
  dkb man clean > dkb-clean.1",
);

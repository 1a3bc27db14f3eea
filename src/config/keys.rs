//! The one table of keys. Parsing, errors, `dkb config` and the table in the docs are read off it.

use std::fmt::Write;

use super::printing::{Color, Format};

/// What a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    Name,
    Choice(&'static [&'static str]),
    Bool,
    Count,
    Duration,
    Size,
    Mark,
    /// A program: a name for PATH, or a path.
    Program,
    Folder,
    Contexts,
    Patterns,
    Filters,
    /// `host` in `[hosts.NAME]` only.
    Text,
}

impl ValueKind {
    /// What a value must look like, for errors: "… takes a whole number".
    pub fn takes(self) -> String {
        match self {
            Self::Name => "a name of up to 128 A-Z a-z 0-9 . _ / -, beginning with a letter or digit".to_owned(),
            Self::Choice(words) => {
                let quoted: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
                format!("one of {}", quoted.join(", "))
            }
            Self::Bool => "true or false".to_owned(),
            Self::Count => "a whole number, 0 or more".to_owned(),
            Self::Duration => "a duration such as \"90s\", \"15m\", \"24h\" or \"7d\"".to_owned(),
            Self::Size => "a size such as \"500MB\", \"5GB\" or \"5GiB\"".to_owned(),
            Self::Mark => "a share such as \"85%\" or a size such as \"200GB\"".to_owned(),
            Self::Program => "a program's name or path".to_owned(),
            Self::Folder => "a folder's path".to_owned(),
            Self::Contexts => "the name of a docker context, or a list of them".to_owned(),
            Self::Patterns => "a list of patterns such as [\"app:*\", \"postgres*\"]".to_owned(),
            Self::Filters => "a list of filters such as [\"label=ci\", \"label!=keep=true\"]".to_owned(),
            Self::Text => "a text".to_owned(),
        }
    }

    /// Lists that narrow add up over all places that name some, so that a pattern in one file is never lost
    /// because somebody typed another.
    pub fn adds_up(self) -> bool {
        matches!(self, Self::Patterns | Self::Filters)
    }

    pub fn is_list(self) -> bool {
        self.adds_up() || self == Self::Contexts
    }
}

/// Who may set a key. A checkout's `dkb.toml` is written by whoever wrote the checkout: it names, keeps and
/// narrows, and never decides what runs, on which engine, or that more is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A checkout's file too; it goes before the user's own.
    Anyone,
    /// A checkout's file too, where it keeps more than the user's own file or the default.
    Narrowing,
    /// The user's own file, the environment and flags.
    User,
    /// The environment and flags: what holds for one run.
    Run,
    /// A flag only: what must be said each time.
    Flag,
}

#[derive(Debug)]
pub struct Key {
    /// As in a file; `sweep.` stands for the table `[sweep]`.
    pub name: &'static str,
    /// The ID of its flag, empty where there is none.
    pub flag: &'static str,
    pub kind: ValueKind,
    pub by: By,
    /// As it would be typed; empty for none.
    pub default: &'static str,
    pub doc: &'static str,
}

impl Key {
    pub fn variable(&self) -> String {
        format!("DKB_{}", self.name.replace('.', "_").to_ascii_uppercase())
    }

    pub fn flag(&self) -> Option<String> {
        (!self.flag.is_empty()).then(|| format!("--{}", self.flag.replace('_', "-")))
    }
}

pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

const fn key(
    name: &'static str,
    flag: &'static str,
    kind: ValueKind,
    by: By,
    default: &'static str,
    doc: &'static str,
) -> Key {
    Key { name, flag, kind, by, default, doc }
}

pub const STAMPS: &[&str] = &["full", "project", "none"];

#[rustfmt::skip]
pub static KEYS: &[Key] = {
    use By::{Anyone, Flag, Narrowing, Run, User};
    use ValueKind::{Bool, Choice, Contexts, Count, Duration, Filters, Folder, Mark, Name, Patterns, Program, Size};
    &[
        key("project", "project", Name, Anyone, "", "the software that is built here, across checkouts and machines"),
        key("session", "session", Name, Run, "", "the stretch of work that this run belongs to"),
        key("stamp", "", Choice(STAMPS), Anyone, "full", "which labels a built image gets"),
        key("keep_superseded", "", Count, Narrowing, "0", "how many versions of an image, and of its cache, are kept for going back"),
        key("own_cache_mounts", "", Bool, Anyone, "false", "builds share their cache mounts with nobody, so that clean --cache-mounts can take them"),
        key("keep", "keep", Patterns, Anyone, "", "images whose names match are never deleted"),
        key("keep_last", "keep_last", Count, Narrowing, "", "the newest N of every repository stay"),
        key("older_than", "older_than", Duration, Narrowing, "", "only what was built or made longer ago is deleted"),
        key("stale_after", "stale_after", Duration, Narrowing, "6h", "how long after its last build a CI session that nobody keeps open is over, 10 minutes at the least"),
        key("docker", "", Program, User, "docker", "the program that builds"),
        key("state_dir", "", Folder, User, "", "where the ledger is; else $XDG_STATE_HOME/dkb, else ~/.local/state/dkb"),
        key("trust_stamp", "trust_stamp", Bool, Flag, "false", "take the stamp for a proof where the ledger knows nothing"),
        key("yes", "yes", Bool, User, "false", "never ask"),
        key("clean_dead", "", Bool, User, "", "build and guard clean dead sessions by themselves; by default in CI jobs only"),
        key("format", "format", Choice(Format::NAMES), User, "human", "how results are printed"),
        key("color", "color", Choice(Color::NAMES), User, "auto", "when to use colour"),
        key("context", "context", Contexts, User, "", "the docker context to work on; sweep takes several"),
        key("sweep.containers", "", Bool, User, "true", "sweep stopped containers"),
        key("sweep.images", "", Bool, User, "true", "sweep images"),
        key("sweep.volumes", "volumes", Bool, User, "false", "sweep unused volumes, named ones too"),
        key("sweep.builder_state", "", Bool, User, "false", "sweep what builders of buildx that are gone left in volumes"),
        key("sweep.networks", "", Bool, User, "true", "sweep unused networks"),
        key("sweep.build_cache", "", Bool, User, "true", "sweep the build cache"),
        key("sweep.all_images", "all_images", Bool, User, "false", "all unused images, not only untagged ones"),
        key("sweep.until", "older_than", Duration, User, "24h", "nothing younger is swept"),
        key("sweep.filter", "filter", Filters, User, "label!=keep=true", "only what all filters let through is swept"),
        key("sweep.keep", "keep", Patterns, User, "", "images, volumes, networks and containers never swept, beside 'keep'"),
        key("sweep.keep_last", "keep_last", Count, User, "", "the newest N of every repository stay"),
        key("sweep.cache_keep", "cache_keep", Size, User, "", "how much build cache stays"),
        key("sweep.cache_until", "cache_until", Duration, User, "", "no younger build cache is swept; else sweep.until"),
        key("sweep.when_disk_above", "when_disk_above", Mark, User, "", "sweep only when the engine's disk is fuller"),
        key("sweep.down_to", "down_to", Mark, User, "", "and then the least valuable first, down to here"),
        key("sweep.wait", "wait", Duration, User, "0s", "how long an engine that is not there yet is waited for"),
    ]
};

/// The table for the docs.
pub fn markdown() -> String {
    let mut table = "| key | flag | variable | takes | default | in a checkout's file | what it is |\n|---|---|---|---|---|---|---|\n".to_owned();
    for key in KEYS {
        let code = |text: &str| if text.is_empty() { "-".to_owned() } else { format!("`{text}`") };
        let checkout = match key.by {
            By::Anyone => "yes",
            By::Narrowing => "where it keeps more",
            By::User | By::Run | By::Flag => "no",
        };
        let variable = if key.by == By::Flag { String::new() } else { key.variable() };
        let row = [
            code(key.name),
            code(&key.flag().unwrap_or_default()),
            code(&variable),
            key.kind.takes(),
            code(key.default),
            checkout.to_owned(),
            key.doc.to_owned(),
        ];
        let _ = writeln!(table, "| {} |", row.join(" | "));
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_stands_once_and_is_named_for_its_variable() {
        for (n, key) in KEYS.iter().enumerate() {
            assert!(KEYS[..n].iter().all(|other| other.name != key.name && other.variable() != key.variable()));
        }
        assert_eq!(find("sweep.keep_last").expect("a key").variable(), "DKB_SWEEP_KEEP_LAST");
    }

    #[test]
    fn a_checkout_sets_only_what_names_keeps_or_narrows() {
        let allowed: Vec<_> =
            KEYS.iter().filter(|key| matches!(key.by, By::Anyone | By::Narrowing)).map(|key| key.name).collect();
        let expected = [
            "project",
            "stamp",
            "keep_superseded",
            "own_cache_mounts",
            "keep",
            "keep_last",
            "older_than",
            "stale_after",
        ];
        assert_eq!(allowed, expected);
    }
}

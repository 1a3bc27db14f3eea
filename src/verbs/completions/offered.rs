//! What could stand at a place of a command line: out of dkb's own books, docker's settings, and behind docker's verbs
//! out of docker itself. No engine is asked, and where something can't be found out nothing is offered.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::process::Command;
use std::time::Duration;

use clap::Arg;
use clap_complete::CompletionCandidate;
use clap_complete::engine::{PathCompleter, ValueCompleter as _};
use jiff::Timestamp;

use crate::app::{App, env};
use crate::cli::{self, Parsed};
use crate::config::keys::KEYS;
use crate::engine::answer;
use crate::engine::cli_files::{config_dir, contexts};
use crate::model::{Books, Reference, SessionKey};
use crate::report::page::clean;

/// Whoever presses a key does not want to wait.
const PATIENCE: Duration = Duration::from_secs(1);

type Offer = fn() -> Vec<CompletionCandidate>;

/// What is offered for this argument of this verb.
pub(super) fn for_argument(verb: &str, argument: &Arg) -> Option<Offer> {
    match (verb, argument.get_long().unwrap_or_else(|| argument.get_id().as_str())) {
        (_, "project") => Some(projects),
        (_, "session") | ("end" | "label", "id") => Some(sessions),
        (_, "context") => Some(names_of_contexts),
        ("clean", "compose") => Some(compose_projects),
        (_, "keep") | ("status" | "log", "image") => Some(images),
        ("get", "key") => Some(keys),
        ("man", "verb") => Some(verbs),
        _ => None,
    }
}

fn candidates<T: ToString>(names: impl IntoIterator<Item = T>) -> Vec<CompletionCandidate> {
    let names: BTreeSet<String> = names.into_iter().map(|name| name.to_string()).collect();
    let typed = names.into_iter().filter(|name| clean(name) == name.as_str());
    typed.map(CompletionCandidate::new).collect()
}

fn projects() -> Vec<CompletionCandidate> {
    candidates(known().1.into_iter().map(|key| key.project))
}

fn sessions() -> Vec<CompletionCandidate> {
    let (here, known) = known();
    let own = known.into_iter().filter(|key| here.as_ref().is_some_and(|here| here.project == key.project));
    candidates(own.map(|key| key.session))
}

fn images() -> Vec<CompletionCandidate> {
    let books = app().map(|app| all_books(&app)).unwrap_or_default();
    candidates(books.iter().flat_map(|books| &books.builds).flat_map(|build| &build.tags).map(Reference::short))
}

fn compose_projects() -> Vec<CompletionCandidate> {
    let books = app().map(|app| all_books(&app)).unwrap_or_default();
    candidates(books.iter().flat_map(|books| &books.builds).filter_map(|build| build.compose.as_ref()))
}

fn names_of_contexts() -> Vec<CompletionCandidate> {
    candidates(contexts(config_dir(None, &env).as_deref()).into_iter().chain(["default".to_owned()]))
}

fn keys() -> Vec<CompletionCandidate> {
    candidates(KEYS.iter().map(|key| key.name))
}

fn verbs() -> Vec<CompletionCandidate> {
    let command = cli::command();
    candidates(command.get_subcommands().filter(|verb| !verb.is_hide_set()).map(clap::Command::get_name))
}

/// The session that this is, and all that the books of any engine know or somebody has opened.
fn known() -> (Option<SessionKey>, BTreeSet<SessionKey>) {
    let Some(app) = app() else { return (None, BTreeSet::new()) };
    let opened = app.state().map(|state| state.sessions()).unwrap_or_default();
    let built = all_books(&app).into_iter().flat_map(|books| books.sessions.into_keys());
    let known = opened.into_keys().chain(built).collect();
    (Some(app.key), known)
}

fn all_books(app: &App) -> Vec<Books> {
    let (Ok(state), Ok(runtime)) = (app.state(), app.runtime()) else { return Vec::new() };
    let all = async {
        let mut all = Vec::new();
        for ledger in state.ledgers_since(Timestamp::MIN) {
            all.extend(ledger.read_aside().await.map(|(books, _)| books));
        }
        all
    };
    runtime.block_on(async { tokio::time::timeout(PATIENCE, all).await }).unwrap_or_default()
}

/// As a verb without any flags would have it.
fn app() -> Option<App> {
    match cli::parse(["dkb", "status"].map(OsString::from)) {
        Ok(Parsed::Run(invocation)) => App::new(&invocation.cli, &invocation.typed).ok(),
        _ => None,
    }
}

/// What docker offers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DockersOffer {
    /// Each with docker's word on it.
    words: Vec<(String, String)>,
    files: bool,
    folders: bool,
}

impl DockersOffer {
    /// Behind these words of docker's own, the last of which is being typed; nothing where it knows no more than dkb.
    pub(super) fn behind(verb: &[&str], words: &[OsString], not_in_its_environment: &str) -> Option<Self> {
        let app = app()?;
        let program = app.program().ok()?;
        let mut asked = Command::new(&program.path);
        asked.arg("__complete").args(verb).args(words);
        program.tell_aside(&mut asked);
        asked.env_remove(not_in_its_environment);
        let told = app.runtime().ok()?.block_on(async {
            tokio::time::timeout(PATIENCE, answer(asked, b"", "asking docker what could stand here")).await.ok()?.ok()
        })?;
        Self::read(&String::from_utf8_lossy(&told))
    }

    /// A line each, with a word on it behind a tab, and at last a number that says what may stand there besides.
    fn read(told: &str) -> Option<Self> {
        let (lines, besides) = told.trim_end().rsplit_once('\n').unwrap_or(("", told.trim_end()));
        let besides: u32 = besides.strip_prefix(':')?.parse().ok()?;
        let lines = lines.lines().filter(|line| !line.is_empty() && !line.starts_with("_activeHelp_"));
        let words = lines.map(|line| line.split_once('\t').unwrap_or((line, "")));
        Some(Self {
            words: words
                .filter(|(word, _)| clean(word) == *word)
                .map(|(word, help)| (word.to_owned(), clean(help).into_owned()))
                .collect(),
            files: besides & (NO_FILES | FOLDERS) == 0,
            folders: besides & FOLDERS != 0,
        })
    }

    pub(super) fn starting(&self, typed: &OsStr) -> Vec<CompletionCandidate> {
        let start = typed.to_string_lossy();
        let words = self.words.iter().filter(|(word, _)| word.starts_with(&*start));
        let mut offered: Vec<CompletionCandidate> = words
            .map(|(word, help)| {
                let help = Some(help.clone()).filter(|help| !help.is_empty());
                CompletionCandidate::new(word).help(help.map(Into::into))
            })
            .collect();
        if !start.starts_with('-') && (self.files || self.folders) {
            let paths = if self.files { PathCompleter::any() } else { PathCompleter::dir() };
            offered.extend(paths.complete(typed));
        }
        offered
    }
}

/// No files may stand there; folders alone may.
const NO_FILES: u32 = 4;
const FOLDERS: u32 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_docker_offers_is_read_with_its_words_and_without_its_notes() {
        let values = |told: &str, typed: &str| {
            let offered = DockersOffer::read(told)?.starting(OsStr::new(typed));
            Some(offered.iter().map(|one| one.get_value().to_string_lossy().into_owned()).collect::<Vec<_>>())
        };
        let these = |words: &[&str]| Some(words.iter().map(ToString::to_string).collect());
        for (told, typed, offered) in [
            ("--tag\tName\n--target\tStage\n:4\n", "--ta", these(&["--tag", "--target"])),
            ("--tag\tName\n--file\tFile\n:0\n", "--f", these(&["--file"])),
            ("_activeHelp_ hm\nweb\n:4", "", these(&["web"])),
            ("a\u{1b}[2J\tb\nweb\n:4", "", these(&["web"])),
            (":4\n", "", these(&[])),
            ("", "", None),
            ("unknown command\n", "", None),
            (":0\n", "Cargo.t", these(&["Cargo.toml"])),
            (":16\n", "sr", these(&["src/"])),
            (":16\n", "Cargo.t", these(&[])),
            (":20\n", "sr", these(&["src/"])),
            (":4\n", "sr", these(&[])),
        ] {
            assert_eq!(values(told, typed), offered, "{told:?} {typed:?}");
        }
    }
}

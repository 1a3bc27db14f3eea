//! What hands that know docker type by habit, and what was most likely meant: the verb that leads there, and never one
//! that takes more. The one table of it; and the words for a verb or flag that there is not.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};

use super::verbs::SWEEP_KINDS;
use crate::config::keys;
use crate::error::Error;
use crate::model::slip;

/// What is typed, what is so, and what to do. `{}` is what was typed.
type Reflex = (&'static [&'static str], &'static str, &'static str);

const VERBS: &[Reflex] = &[
    (
        &[
            "prune",
            "purge",
            "system prune",
            "image prune",
            "images prune",
            "builder prune",
            "buildx prune",
            "volume prune",
            "container prune",
            "network prune",
        ],
        "a prune takes what is others' too",
        "yours: dkb clean; the whole host: dkb sweep --dry-run",
    ),
    (&["cache", "cache prune", "cache clean"], "clean takes the cache along", "the cache alone: dkb clean --cache"),
    (&["gc", "cleanup", "clear", "tidy"], "that is clean here", "run: dkb clean --dry-run"),
    (
        &["ls", "list", "df", "du", "system df", "builder du", "buildx du"],
        "that is status here",
        "run: dkb status (--all: of every project)",
    ),
    (
        &["images", "ps", "image ls", "image list", "container ls", "container list", "container ps", "volume ls"],
        "status shows what is yours",
        "yours: dkb status; all that there is: docker {}",
    ),
    (&["check", "diagnose", "info"], "that is doctor here", "run: dkb doctor"),
    (
        &["config set", "config unset", "config edit"],
        "config shows, and a file says",
        "settings stand in ~/.config/dkb/config.toml; what holds: dkb config",
    ),
    (
        &["update", "upgrade", "self-update", "self update"],
        "dkb does not fetch itself anew",
        "install it again, as at first: cargo install --path . --locked",
    ),
    (&["uninstall"], "dkb does not take itself away", "its links: dkb plugin uninstall; itself: cargo uninstall dkb"),
    (
        &["config list", "config show", "config path", "config file", "config where"],
        "config shows all of it, and where each comes from",
        "run: dkb config",
    ),
    (&["logs"], "log tells what dkb took away", "run: dkb log; docker's: docker logs …"),
    (&["why", "explain"], "that is status here", "run: dkb status IMAGE"),
    (&["history"], "log tells what dkb took away", "run: dkb log; the layers of an image: docker history"),
    (&["undo", "restore", "rollback"], "what was removed is gone", "what it was, when and why: dkb log"),
    (&["version"], "that is a flag here", "run: dkb --version; docker's: docker version"),
    (
        &["rm", "rmi", "image rm", "image remove", "container rm", "volume rm", "network rm"],
        "clean takes what dkb's builds made, and docker what you name",
        "yours: dkb clean; a thing by its name: docker {} …",
    ),
    (
        &["remove", "delete", "del"],
        "that is clean here",
        "run: dkb clean --dry-run; an image by its name: docker rmi …",
    ),
    (&["session stop", "session close", "session rm", "session clean"], "that is end here", "run: dkb session end ID"),
    (
        &["install", "setup"],
        "dkb runs as it is",
        "for every build there is: dkb plugin install --every-build; to have docker dkb and cargo dkb too: dkb plugin install",
    ),
];

/// The same for flags without their dashes, with the verbs that they are typed at; without one, at any.
const FLAGS: &[(&[&str], Reflex)] = &[
    (&["clean", "sweep"], (&["force", "f"], "nothing is forced: what is in use stays", "-y does not ask")),
    (&["sweep"], (&["all", "a"], "tagged images go by --all-images here", "run: dkb sweep --all-images --dry-run")),
    (&["clean", "sweep"], (&["dry", "simulate", "what-if"], "that has another name here", "dkb {} --dry-run")),
    (
        &["clean"],
        (
            &["a"],
            "that has another name here",
            "every project: dkb clean --all -n; tagged images too: dkb clean --tagged -n",
        ),
    ),
    (&["log"], (&["all", "a"], "log is of all projects anyway", "run: dkb log")),
    (&["status"], (&["a"], "that is a word here", "run: dkb status --all")),
    (&[], (&["list", "ls"], "that is status here", "run: dkb status")),
    (&[], (&["undo"], "what was removed is gone", "what it was, when and why: dkb log")),
    (&[""], (&["force", "f"], "nothing is forced: what is in use stays", "clean and sweep: -y does not ask")),
];

/// What to say of these words, the first of which stands where a verb does.
pub(super) fn of_verb(words: &[OsString], is_ours: bool) -> Option<Error> {
    let typed: Vec<&str> = words.iter().take(2).filter_map(|word| word.to_str()).collect();
    let find =
        |typed: &str| VERBS.iter().find(|(reflexes, ..)| reflexes.contains(&typed)).map(|row| (row, typed.to_owned()));
    // A verb of ours has words of its own; only two together can be a habit.
    let one = || typed.first().filter(|_| !is_ours).and_then(|word| find(word));
    let ((_, happened, next), typed) = find(&typed.join(" ")).or_else(one)?;
    Some(Error::usage(format!("dkb {typed}"), happened).hint(next.replace("{}", &typed)))
}

/// What to say of a verb or flag that there is not; nothing where clap says it better.
pub(super) fn of_refusal(refusal: &clap::Error, command: &Command, verbs: &[String]) -> Option<Error> {
    let mut at = command;
    for verb in verbs {
        at = at.find_subcommand(verb)?;
    }
    if at.is_hide_set() {
        let next = "dkb --help shows what is for people";
        return Some(Error::usage(format!("dkb {}", at.get_name()), "dkb starts that by itself").hint(next));
    }
    let tried = ["dkb"].into_iter().chain(verbs.iter().map(String::as_str)).collect::<Vec<_>>().join(" ");
    let typed = |kind| match refusal.get(kind) {
        Some(ContextValue::String(typed)) => Some(typed.as_str()),
        _ => None,
    };
    let help = format!("{tried} --help shows what there is");
    let read = if verbs.is_empty() { "reading the command line" } else { &tried };
    let meant = |nearest: Option<String>| nearest.map_or(help.clone(), |name| format!("did you mean {name}?"));
    match refusal.kind() {
        ErrorKind::InvalidSubcommand => {
            let typed = typed(ContextKind::InvalidSubcommand)?;
            if let Some(habit) = of_verb(&[typed.into()], false) {
                return Some(habit);
            }
            if tried == "dkb config" && keys::find(typed).is_some() {
                let next = format!("run: dkb config get {typed}");
                return Some(Error::usage(format!("{tried} {typed}"), "get prints one setting").hint(next));
            }
            let names = visible(at).map(Command::get_name);
            Some(Error::usage(format!("{tried} {typed}"), "there is no such verb").hint(meant(nearest(typed, names))))
        }
        ErrorKind::MissingSubcommand => {
            let names: Vec<_> = visible(at).map(Command::get_name).collect();
            Some(Error::usage(read, "a verb is missing").hint(format!("there is: {}", names.join(", "))))
        }
        ErrorKind::UnknownArgument => {
            let typed = typed(ContextKind::InvalidArg)?;
            let verb = verbs.first().map_or("", String::as_str);
            if let Some((happened, next)) = flag_reflex(verb, typed) {
                return Some(Error::usage(format!("{tried} {typed}"), happened).hint(next.replace("{}", verb)));
            }
            if let Some(misplaced) = of_word(at, verb, typed, read) {
                return Some(misplaced);
            }
            if !typed.starts_with('-') {
                return Some(Error::usage(read, format!("it takes no word like '{typed}'")).hint(help));
            }
            let flags = at.get_arguments().chain(command.get_arguments().filter(|arg| arg.is_global_set()));
            let nearest = nearest(typed.trim_start_matches('-'), flags.filter_map(Arg::get_long));
            let nearest = nearest.map(|long| format!("--{long}"));
            Some(Error::usage(read, format!("there is no flag '{typed}'")).hint(meant(nearest)))
        }
        ErrorKind::MissingRequiredArgument => {
            let Some(ContextValue::Strings(missing)) = refusal.get(ContextKind::InvalidArg) else { return None };
            let missing: Vec<&str> = missing.iter().map(|arg| bare(arg)).collect();
            let usage = refusal.get(ContextKind::Usage).map(ToString::to_string).unwrap_or_default();
            let next = usage.trim().strip_prefix("Usage: ").map_or(help, |usage| format!("run: {usage}"));
            Some(Error::usage(read, format!("{} is missing", missing.join(" "))).hint(next))
        }
        ErrorKind::InvalidValue => {
            let (arg, value) = (bare(typed(ContextKind::InvalidArg)?), typed(ContextKind::InvalidValue)?);
            let valid = match refusal.get(ContextKind::ValidValue) {
                Some(ContextValue::Strings(valid)) if !valid.is_empty() => valid,
                _ => {
                    return (value.is_empty()).then(|| Error::usage(read, format!("{arg} lacks its value")).hint(help));
                }
            };
            let not = if value.is_empty() { String::new() } else { format!(", not '{value}'") };
            let next = meant(nearest(value, valid.iter().map(String::as_str)));
            Some(Error::usage(read, format!("{arg} takes {}{not}", valid.join(", "))).hint(next))
        }
        ErrorKind::ValueValidation => {
            let (arg, value) = (bare(typed(ContextKind::InvalidArg)?), typed(ContextKind::InvalidValue)?);
            let why = std::error::Error::source(refusal).map(|why| format!(": {why}")).unwrap_or_default();
            Some(Error::usage(read, format!("{arg} does not take '{value}'{why}")).hint(help))
        }
        ErrorKind::ArgumentConflict => {
            let prior = match refusal.get(ContextKind::PriorArg)? {
                ContextValue::String(one) => bare(one),
                ContextValue::Strings(all) => bare(all.first()?),
                _ => return None,
            };
            let arg = bare(typed(ContextKind::InvalidArg)?);
            let happened = if arg == prior {
                format!("{arg} stands there twice")
            } else {
                format!("{arg} and {prior} don't go together")
            };
            Some(Error::usage(read, happened).hint(help))
        }
        _ => None,
    }
}

/// What to say of a word, or of a kind in the place of a flag, that stands where the verb takes none.
fn of_word(at: &Command, verb: &str, typed: &str, read: &str) -> Option<Error> {
    let is_word = !typed.starts_with('-');
    let (happened, next) = match (verb, kind_meant(typed)) {
        ("sweep", Some(kind)) => {
            ("kinds are named behind --only".to_owned(), format!("run: dkb sweep --only {kind} --dry-run"))
        }
        _ if !is_word => return None,
        ("session", _) if at.get_name() == "start" => (
            "its name is made up".to_owned(),
            format!("one of your own needs no start: export DKB_SESSION={typed}, and dkb session end {typed}"),
        ),
        ("clean", _) if typed != "volumes" && at.get_arguments().any(|flag| flag.get_long() == Some(typed)) => {
            (format!("it takes no word like '{typed}'"), format!("did you mean --{typed}?"))
        }
        ("clean", Some(kind)) => (
            "it takes what was built here, and no kinds".to_owned(),
            format!("yours: dkb clean --dry-run; all {kind}: dkb sweep --only {kind} --dry-run"),
        ),
        ("clean", None) if matches!(typed, "seconds" | "minutes" | "hours" | "days") => {
            (format!("it takes no word like '{typed}'"), format!("a time is one word: 3{}", &typed[..1]))
        }
        ("clean", None) => (
            "it takes what was built here, and no names".to_owned(),
            format!("what would become of it: dkb status {typed}; to take it: docker rmi {typed}"),
        ),
        ("status" | "log", _) => (
            format!("one image, or a pattern, and no second '{typed}'"),
            format!("dkb {verb} 'app:*' is about all of that pattern"),
        ),
        _ => return None,
    };
    Some(Error::usage(read, happened).hint(next))
}

/// An argument by its name, without what it takes: `--color <WHEN>`, `<SHELL>`.
fn bare(arg: &str) -> &str {
    arg.split(' ').next().unwrap_or(arg).trim_matches(['<', '>', '.', '[', ']'])
}

fn flag_reflex(verb: &str, typed: &str) -> Option<(&'static str, &'static str)> {
    let fits = |at: &[&str]| at.is_empty() || at.contains(&verb);
    let name = typed.strip_prefix("--").or_else(|| typed.strip_prefix('-'))?;
    let row = FLAGS.iter().find(|(at, (reflexes, ..))| fits(at) && reflexes.contains(&name));
    row.map(|(_, (_, happened, next))| (*happened, *next))
}

/// A kind of sweep's that was typed where none stands. A flag must name it plainly, since another flag may be meant.
fn kind_meant(typed: &str) -> Option<&'static str> {
    let word = typed.trim_start_matches('-');
    let is = |kind: &str| word.len() > 2 && kind.starts_with(word) || word == "build-cache" && kind == "cache";
    SWEEP_KINDS.iter().map(|(kind, _)| *kind).find(|kind| is(kind))
}

/// What is for people to type.
pub(super) fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|verb| !verb.is_hide_set())
}

/// What begins so, if nothing else does; else what is written nearly so.
fn nearest<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Option<String> {
    let names: Vec<&str> = names.collect();
    let mut begins = names.iter().filter(|name| typed.len() > 1 && name.starts_with(typed));
    if let (Some(name), None) = (begins.next(), begins.next()) {
        return Some((*name).to_owned());
    }
    let (_, name) = names.into_iter().filter_map(|name| Some((slip(typed, name)?, name))).min()?;
    Some(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::{Parsed, command, parse};
    use super::*;

    #[test]
    fn every_habit_leads_to_words_that_dkb_takes() {
        let verbs = VERBS.iter().chain(FLAGS.iter().map(|(_, row)| row));
        for (typed, happened, next) in verbs {
            let text = format!("{happened}; {next}");
            assert!(!text.contains("docker") || !text.contains("prune"), "{text}: docker's prune takes more than ours");
            let widens = text.contains("--all-images") && !next.ends_with("--dry-run");
            assert!(!widens && !text.contains("--yes"), "{text}");
            for words in next.replace("{}", "clean").split("; ").filter_map(|part| part.split_once("dkb ")) {
                let words =
                    words.1.split([' ', ';']).take_while(|word| !word.starts_with('(')).filter(|word| *word != "…");
                let line: Vec<OsString> = ["dkb"].into_iter().chain(words).map(OsString::from).collect();
                if line.contains(&"docker".into()) || next.contains("docker dkb") {
                    continue;
                }
                let taken = matches!(parse(line.clone()), Ok(Parsed::Run(_) | Parsed::Say(_)));
                assert!(taken, "{typed:?}: {line:?}");
            }
            for word in *typed {
                assert!(visible(&command()).all(|verb| verb.get_name() != *word), "{word} is a verb");
            }
        }
    }
}

//! Cuts the command line at the verb, so that docker's words never pass through a parser.
//!
//! 1. Words before the verb are flags, and values of flags that take one. Which do is read off clap's own table.
//! 2. Behind a spelling of `build`, `bake` or `compose` everything is docker's.
//! 3. For any other verb, flags that it knows may stand before it too: they move behind it.

// Places within words that lie in memory.
#![allow(clippy::arithmetic_side_effects)]

use std::ffi::{OsStr, OsString};

use clap::{Arg, Command};

use super::reflexes;
use super::verbs::BuildFlags;
use crate::error::{Error, Result};

/// Verbs of docker that dkb has no part in.
pub const DOCKER_VERBS: &[&str] = &[
    "attach",
    "builder",
    "buildx",
    "checkpoint",
    "commit",
    "container",
    "context",
    "cp",
    "create",
    "debug",
    "diff",
    "events",
    "exec",
    "export",
    "history",
    "image",
    "images",
    "import",
    "info",
    "init",
    "inspect",
    "kill",
    "load",
    "login",
    "logout",
    "logs",
    "manifest",
    "model",
    "network",
    "node",
    "pause",
    "port",
    "ps",
    "pull",
    "push",
    "rename",
    "restart",
    "rm",
    "rmi",
    "run",
    "save",
    "scout",
    "search",
    "secret",
    "service",
    "stack",
    "start",
    "stats",
    "stop",
    "swarm",
    "system",
    "tag",
    "top",
    "trust",
    "unpause",
    "update",
    "version",
    "volume",
    "wait",
];

/// docker's global flags, by the ID they have in [`super::Cli`]: what is handed on to `docker build`.
const DOCKERS: &[&str] =
    &["context", "host", "config", "debug", "log_level", "tls", "tlscacert", "tlscert", "tlskey", "tlsverify"];

pub(super) struct Cut {
    /// What clap is to read.
    pub(super) words: Vec<OsString>,
    /// What docker is to get, where this is a build.
    pub(super) build: Option<BuildFlags>,
    /// It is about the verb's own page, whatever else was said.
    pub(super) asks_for_help: bool,
    /// The verb, and a verb of its own below it.
    pub(super) verbs: Vec<String>,
}

pub(super) fn split(command: &Command, mut args: Vec<OsString>) -> Result<Cut> {
    drop_plugin_word(command, &mut args);
    let before = BeforeVerb::read(command, &args);
    let Some(verb) = args.get(before.verb_at).and_then(|word| word.to_str()) else {
        return Ok(Cut { words: args, build: None, asks_for_help: false, verbs: Vec::new() });
    };
    if let Some((name, end)) = build_ends(&args, before.verb_at) {
        let behind = args.split_off(end);
        let spelling = args.split_off(before.verb_at);
        let mut words = args;
        words.push(name.into());
        // The pages of the others are docker's.
        let asks_for_help = name == "build" && asks_for_help(&behind);
        let build = BuildFlags { spelling, docker: before.docker, args: behind };
        return Ok(Cut { words, build: Some(build), asks_for_help, verbs: vec![name.to_owned()] });
    }
    let sub = command.find_subcommand(verb);
    let is_ours = verb == "help" || sub.is_some();
    if let Some(error) = reflexes::of_verb(&args[before.verb_at..], is_ours) {
        return Err(error);
    }
    if !is_ours && DOCKER_VERBS.contains(&verb) {
        return Err(not_ours(&args[before.verb_at..]));
    }
    let below = args[before.verb_at..].iter().skip(1).filter_map(|word| sub?.find_subcommand(word));
    let verbs = sub.into_iter().chain(below.take(1)).map(|verb| verb.get_name().to_owned()).collect();
    let mut words = vec![args[0].clone()];
    words.extend(before.stay);
    words.push(args[before.verb_at].clone());
    words.extend(before.moved);
    words.extend(args.drain(before.verb_at + 1..));
    Ok(Cut { words, build: None, asks_for_help: false, verbs })
}

/// As docker's or cargo's plugin dkb gets its own name as a word: `docker-dkb dkb build`, `cargo-dkb dkb build`.
fn drop_plugin_word(command: &Command, args: &mut Vec<OsString>) {
    let called = args.first().map(std::path::Path::new).and_then(|path| path.file_stem());
    let typed = match called.and_then(|name| name.to_str()) {
        Some("docker-dkb") => "docker dkb",
        Some("cargo-dkb") => "cargo dkb",
        _ => return,
    };
    let at = BeforeVerb::read(command, args).verb_at;
    if args.get(at).is_some_and(|word| word == "dkb") {
        args.remove(at);
        // That is what help calls it.
        args[0] = typed.into();
    }
}

/// Where the spelling of `build`, `bake` or `compose` that begins here ends, if one does, and of which.
fn build_ends(args: &[OsString], at: usize) -> Option<(&'static str, usize)> {
    let word = |at: usize| args.get(at).and_then(|word| word.to_str());
    match word(at)? {
        "build" => Some(("build", at + 1)),
        "bake" => Some(("bake", at + 1)),
        "compose" => Some(("compose", at + 1)),
        "image" | "builder" if word(at + 1) == Some("build") => Some(("build", at + 2)),
        "buildx" => {
            let mut next = at + 1;
            while let Some(flag) = word(next).filter(|word| word.starts_with('-')) {
                next += if flag == "--builder" { 2 } else { 1 };
            }
            match word(next)? {
                "build" | "b" => Some(("build", next + 1)),
                "bake" | "f" => Some(("bake", next + 1)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// `--help` among docker's words, unless it may be the value of the flag before it or stands behind `--`.
/// Where that is not clear the word goes to docker, which then shows its own page.
fn asks_for_help(words: &[OsString]) -> bool {
    let words: Vec<_> = words.iter().map(|word| word.as_encoded_bytes()).take_while(|word| *word != b"--").collect();
    words.iter().enumerate().any(|(n, word)| {
        let after_bare_flag =
            n > 0 && words[n - 1].starts_with(b"-") && words[n - 1] != b"-" && !words[n - 1].contains(&b'=');
        *word == b"--help" && !after_bare_flag
    })
}

fn not_ours(words: &[OsString]) -> Error {
    let words: Vec<_> = words.iter().take(2).map(|word| word.to_string_lossy()).collect();
    let group = matches!(&*words[0], "image" | "builder" | "buildx") && words.len() > 1;
    let verb = if group { words.join(" ") } else { words[0].to_string() };
    Error::usage(format!("dkb {verb}"), "dkb builds and cleans up, docker does the rest")
        .hint(format!("run: docker {verb} …    (dkb --help says what dkb does)"))
}

/// The words before the verb.
#[derive(Default)]
struct BeforeVerb {
    verb_at: usize,
    /// Flags that only stand before a verb.
    stay: Vec<OsString>,
    /// Flags that the verb takes too.
    moved: Vec<OsString>,
    /// docker's own among them.
    docker: Vec<OsString>,
}

impl BeforeVerb {
    fn read(command: &Command, args: &[OsString]) -> Self {
        let mut before = Self { verb_at: args.len(), ..Self::default() };
        let mut at = 1;
        while let Some(word) = args.get(at) {
            let bytes = word.as_encoded_bytes();
            if !bytes.starts_with(b"-") || bytes.len() < 2 || bytes == b"--" {
                before.verb_at = at;
                break;
            }
            let flags = flags_of(command, word);
            let takes_next = flags.last().is_some_and(|flag| flag.wants_next);
            let words = &args[at..args.len().min(at + 1 + usize::from(takes_next))];
            let moves = flags.iter().all(|flag| flag.arg.is_some_and(|(_, top)| !top)) && !flags.is_empty();
            if moves { &mut before.moved } else { &mut before.stay }.extend(words.iter().cloned());
            for flag in flags.iter().filter(|flag| flag.arg.is_some_and(|(id, _)| DOCKERS.contains(&id))) {
                before.docker.push(flag.alone.clone());
                if flag.wants_next {
                    before.docker.extend(words.get(1).cloned());
                }
            }
            at += words.len();
        }
        before
    }
}

/// One flag of a word: `-qD` has two.
struct DockerFlag<'a> {
    /// Its ID, and whether it stands before the verb only; `None` for one that nobody knows.
    arg: Option<(&'a str, bool)>,
    /// The flag as it would be typed alone, with a value that hangs on it.
    alone: OsString,
    /// Its value is the next word.
    wants_next: bool,
}

fn flags_of<'a>(command: &'a Command, word: &OsStr) -> Vec<DockerFlag<'a>> {
    let Some(text) = word.to_str() else {
        // Only a value can be anything but UTF-8, so it hangs on the flag: `--context=…`.
        let name = word.to_string_lossy();
        let arg = name.split_once('=').and_then(|(name, _)| find(command, |arg| long(arg, name)));
        return vec![DockerFlag {
            arg: arg.map(|(arg, top)| (arg.get_id().as_str(), top)),
            alone: word.to_owned(),
            wants_next: false,
        }];
    };
    if text.starts_with("--") {
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        let arg = find(command, |arg| long(arg, name));
        let wants_next = value.is_none() && arg.is_some_and(|(arg, _)| wants_value(arg));
        return vec![DockerFlag {
            arg: arg.map(|(arg, top)| (arg.get_id().as_str(), top)),
            alone: word.to_owned(),
            wants_next,
        }];
    }
    let mut flags = Vec::new();
    for (at, letter) in text.char_indices().skip(1) {
        let arg = find(command, |arg| arg.get_short() == Some(letter));
        let rest = &text[at + letter.len_utf8()..];
        let valued = arg.is_some_and(|(arg, _)| wants_value(arg));
        let hangs_on = valued && !rest.is_empty() || rest.starts_with('=');
        flags.push(DockerFlag {
            arg: arg.map(|(arg, top)| (arg.get_id().as_str(), top)),
            alone: format!("-{letter}{}", if hangs_on { rest } else { "" }).into(),
            wants_next: valued && !hangs_on,
        });
        if valued || hangs_on {
            break;
        }
    }
    flags
}

/// Looks for a flag: dkb's own level first, then the verbs'. A flag means the same wherever it stands.
fn find(command: &Command, is: impl Fn(&Arg) -> bool + Copy) -> Option<(&Arg, bool)> {
    let mut own = command.get_arguments();
    if let Some(arg) = own.find(|arg| is(arg)) {
        return Some((arg, !arg.is_global_set()));
    }
    command.get_subcommands().flat_map(Command::get_arguments).find(|arg| is(arg)).map(|arg| (arg, false))
}

fn long(arg: &Arg, name: &str) -> bool {
    let name = name.trim_start_matches('-');
    arg.get_long() == Some(name) || arg.get_all_aliases().is_some_and(|all| all.contains(&name))
}

fn wants_value(arg: &Arg) -> bool {
    arg.get_action().takes_values() && !arg.is_require_equals_set()
}

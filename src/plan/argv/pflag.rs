//! Words into flags, exactly as pflag reads them, the Go library behind docker and podman.
//!
//! 1. A word that does not begin with `-`, and `-` alone, is plain: the context, wherever it stands.
//! 2. `--` ends the flags.
//! 3. `--name=value`, `--name value`. A name is never shortened.
//! 4. `-abc` is a group of shorthands. The first that needs a value takes the rest of the group, or the next
//!    word where there is no rest. `=` behind a shorthand ends the group: `-t=x` is `x`, `-q=false` is `false`.
//!    But `-t=` is the value `=`, and `-q=` an error, since pflag looks for `=` only with something behind it.
//! 5. A switch is true alone and never takes the next word. Its value is one of Go's twelve booleans.

// Places within words that lie in memory.
#![allow(clippy::arithmetic_side_effects)]

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;

use super::flags::{FlagTable, Takes};

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token<'w> {
    Plain(&'w OsStr),
    Flag(Flag<'w>),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Flag<'w> {
    pub(super) name: &'static str,
    /// `None` where the flag stands alone and needs no value.
    pub(super) value: Option<&'w OsStr>,
    /// The word that holds the flag, and the bytes of it that this flag takes up.
    pub(super) word: usize,
    pub(super) bytes: Range<usize>,
}

impl Flag<'_> {
    /// What a switch was set to. The reader has made sure that its value is a boolean.
    pub(super) fn is_on(&self) -> bool {
        self.value.is_none_or(|value| parse_bool(value.as_bytes()) == Some(true))
    }
}

/// The tokens, or the first word that docker would refuse, or that this table does not know.
pub(super) fn tokens<'w>(table: &FlagTable, words: &'w [OsString]) -> Result<Vec<Token<'w>>, &'w OsStr> {
    let mut reader = FlagReader { table, words, next: 0 };
    let mut tokens = Vec::with_capacity(words.len());
    while reader.read(&mut tokens)? {}
    Ok(tokens)
}

/// The flags in front of the first plain word, and where that word stands.
pub(super) fn leading<'w>(table: &FlagTable, words: &'w [OsString]) -> Option<(Vec<Flag<'w>>, usize)> {
    let mut reader = FlagReader { table, words, next: 0 };
    let mut flags = Vec::new();
    loop {
        let at = reader.next;
        if words.get(at)? == "--" {
            return None;
        }
        let mut tokens = Vec::new();
        reader.read(&mut tokens).ok()?;
        for token in tokens {
            match token {
                Token::Plain(_) => return Some((flags, at)),
                Token::Flag(flag) => flags.push(flag),
            }
        }
    }
}

/// The words that Go takes for booleans, and no others.
pub(crate) fn parse_bool(text: &[u8]) -> Option<bool> {
    match text {
        b"1" | b"t" | b"T" | b"TRUE" | b"true" | b"True" => Some(true),
        b"0" | b"f" | b"F" | b"FALSE" | b"false" | b"False" => Some(false),
        _ => None,
    }
}

struct FlagReader<'t, 'w> {
    table: &'t FlagTable,
    words: &'w [OsString],
    next: usize,
}

impl<'w> FlagReader<'_, 'w> {
    fn word(&mut self) -> Option<&'w OsStr> {
        let word = self.words.get(self.next)?;
        self.next += 1;
        Some(word)
    }

    /// Reads one word and what belongs to it; false behind the last.
    fn read(&mut self, tokens: &mut Vec<Token<'w>>) -> Result<bool, &'w OsStr> {
        let at = self.next;
        let Some(word) = self.word() else { return Ok(false) };
        match word.as_bytes() {
            b"--" => {
                tokens.extend(self.words[self.next..].iter().map(|word| Token::Plain(word)));
                self.next = self.words.len();
            }
            [b'-', b'-', ..] => tokens.push(Token::Flag(self.long(at, word).ok_or(word)?)),
            [b'-', _, ..] => self.group(at, word, tokens)?,
            _ => tokens.push(Token::Plain(word)),
        }
        Ok(true)
    }

    fn long(&mut self, at: usize, word: &'w OsStr) -> Option<Flag<'w>> {
        let bytes = word.as_bytes();
        let (name, glued) = match bytes.iter().position(|&byte| byte == b'=') {
            Some(equals) => (&bytes[2..equals], Some(OsStr::from_bytes(&bytes[equals + 1..]))),
            None => (&bytes[2..], None),
        };
        let (name, takes) = self.table.long(name)?;
        let value = match (glued, takes) {
            (Some(value), _) => Some(value),
            (None, Takes::Value) => Some(self.word()?),
            (None, Takes::Switch | Takes::MaybeValue) => None,
        };
        checked(Flag { name, value, word: at, bytes: 0..bytes.len() }, takes)
    }

    fn group(&mut self, at: usize, word: &'w OsStr, tokens: &mut Vec<Token<'w>>) -> Result<(), &'w OsStr> {
        let bytes = word.as_bytes();
        let mut from = 1;
        while from < bytes.len() {
            // Newer versions of pflag skip what looks like a flag of `go test`, older ones read it.
            if bytes[from..].starts_with(b"test.") {
                return Err(word);
            }
            let (name, takes) = self.table.short(bytes[from]).ok_or(word)?;
            let rest = &bytes[from + 1..];
            let (value, to) = match (rest, takes) {
                ([b'=', value @ ..], _) if !value.is_empty() => (Some(OsStr::from_bytes(value)), bytes.len()),
                (_, Takes::Switch | Takes::MaybeValue) => (None, from + 1),
                ([], Takes::Value) => (Some(self.word().ok_or(word)?), bytes.len()),
                (value, Takes::Value) => (Some(OsStr::from_bytes(value)), bytes.len()),
            };
            let flag = Flag { name, value, word: at, bytes: from..to };
            tokens.push(Token::Flag(checked(flag, takes).ok_or(word)?));
            from = to;
        }
        Ok(())
    }
}

/// A switch set to something that is no boolean ends docker with an error.
fn checked(flag: Flag<'_>, takes: Takes) -> Option<Flag<'_>> {
    let fits = takes != Takes::Switch || flag.value.is_none_or(|value| parse_bool(value.as_bytes()).is_some());
    fits.then_some(flag)
}

/// The words without some of their flags; each of these must be one that stands alone or has its value glued on.
pub(super) fn without<'w>(words: &'w [OsString], gone: &[(usize, Range<usize>)]) -> Vec<Cow<'w, OsStr>> {
    let left = |(at, word): (usize, &'w OsString)| {
        let mut ranges = gone.iter().filter(|(from, _)| *from == at).map(|(_, range)| range).peekable();
        if ranges.peek().is_none() {
            return Some(Cow::Borrowed(word.as_os_str()));
        }
        let mut bytes = word.as_bytes().to_vec();
        // From the back, so that what is gone moves nothing that is still to go.
        for range in ranges.collect::<Vec<_>>().into_iter().rev() {
            bytes.drain(range.clone());
        }
        (!matches!(bytes.as_slice(), b"" | b"-")).then(|| Cow::Owned(OsStr::from_bytes(&bytes).to_owned()))
    };
    words.iter().enumerate().filter_map(left).collect()
}

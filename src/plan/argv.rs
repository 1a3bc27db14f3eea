//! The words behind `build`: what docker will make of them, and the argv that docker is started with.
//!
//! Reading never changes anything. What a user wrote goes to docker byte for byte; dkb's own words come right
//! behind `build`, where they cannot be taken for the value of anything, and where the user's, being later, win.

mod bake;
mod flags;
mod id_file;
mod key;
mod output;
mod pflag;
mod spelling;
mod targets;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::model::{MountNamespace, Reference, Stamp};

pub use bake::{BakeWords, read_bake};
pub use flags::{ShownFlag, Tool, docker_flags};
pub use id_file::{Builder, IdFile, NoIdFile, id_file};
pub use key::{BuildKey, build_key, is_one_file, may_be_one_file};
pub use output::Output;
pub use spelling::Spelling;
pub use targets::{BakeTarget, targets};

pub(crate) use pflag::parse_bool;
use pflag::{Flag, Token};

/// What the tool will make of the words behind `build`. Of single values the last one counts, as in docker.
///
/// Where a word was not understood, `unread` names it and all else is as if nothing had been written: nothing
/// is inferred from half a reading. Build arguments and secrets are in the words alone, which go to docker and
/// are shown nowhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are the tool's own switches")]
pub struct BuildWords {
    raw: Raw,
    pub tool: Tool,
    /// The first word that the tool will refuse, or whose flag dkb does not know. It may hold a secret.
    pub unread: Option<OsString>,
    /// The names that the result will get, as the engine will list them: `-t`, or else `-o type=image,name=…`.
    pub tags: Vec<Reference>,
    /// `-t` as it was written.
    pub raw_tags: Vec<OsString>,
    /// `-f`: at most one with Docker; Podman joins several.
    pub files: Vec<OsString>,
    pub target: Option<OsString>,
    /// It has arguments or contexts beside its Dockerfile, any of which may name another base.
    pub may_vary: bool,
    pub quiet: bool,
    /// The user's own `--iidfile`, an empty one too, which turns an earlier one off.
    pub iidfile: Option<OsString>,
    pub outputs: Vec<Output>,
    pub push: bool,
    pub load: bool,
    /// `--check`, `--call`, `--print`: the build answers a question instead of making an image.
    pub asks: bool,
    pub no_cache: bool,
    /// `--rm=false`: the containers of the steps are to stay.
    pub leaves_containers: bool,
    /// A newer base may be fetched although one is there.
    pub pull: bool,
    pub platforms: Vec<OsString>,
    pub all_platforms: bool,
    /// `--builder` behind `build`; one in front of it stands in [`Spelling`].
    pub builder: Option<OsString>,
    /// Podman's `--manifest`: the result joins a list of images.
    pub manifest: Option<OsString>,
    pub context: Option<OsString>,
    pub help: bool,
    /// Where `--quiet` was turned on: the word, and the bytes of it.
    quiet_at: Vec<(usize, Range<usize>)>,
}

#[derive(Clone, Default, PartialEq, Eq)]
struct Raw(Vec<OsString>);

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} words", self.0.len())
    }
}

impl BuildWords {
    pub fn understood(&self) -> bool {
        self.unread.is_none()
    }

    /// Whether the build reads a Dockerfile or a context from stdin.
    pub fn reads_stdin(&self) -> bool {
        self.context.iter().chain(&self.files).any(|word| word == "-")
    }

    /// The long flag that ended the reading, if it is one of `ours`: somebody put it behind `build`.
    pub fn misplaced<'o>(&self, ours: &[&'o str]) -> Option<&'o str> {
        let word = self.unread.as_ref()?.to_str()?.strip_prefix("--")?;
        let name = word.split_once('=').map_or(word, |(name, _)| name);
        ours.iter().find(|known| **known == name).copied()
    }

    fn set(&mut self, flag: &Flag<'_>) {
        let value = flag.value.unwrap_or_default();
        let text = || (!value.is_empty()).then(|| value.to_owned());
        match flag.name {
            "tag" => self.raw_tags.push(value.to_owned()),
            "file" if self.tool == Tool::Docker => self.files = text().into_iter().collect(),
            "file" => self.files.extend(commas(value)),
            "target" => self.target = text(),
            "build-arg" | "build-arg-file" | "build-context" | "from" => self.may_vary = true,
            "iidfile" => self.iidfile = Some(value.to_owned()),
            "output" => self.outputs.extend(Output::read(value)),
            "platform" => self.platforms.extend(commas(value)),
            "builder" => self.builder = text(),
            "manifest" => self.manifest = text(),
            "call" | "print" => self.asks = asks(value),
            "check" => self.asks |= flag.is_on(),
            "quiet" => {
                self.quiet = flag.is_on();
                if self.quiet {
                    self.quiet_at.push((flag.word, flag.bytes.clone()));
                }
            }
            "push" => self.push = flag.is_on(),
            "load" => self.load = flag.is_on(),
            "no-cache" => self.no_cache = flag.is_on(),
            "all-platforms" => self.all_platforms = flag.is_on(),
            "rm" => self.leaves_containers = !flag.is_on(),
            "help" => self.help = flag.is_on(),
            "pull" => self.pull = !matches!(value.as_bytes(), b"never" | b"missing") && pulls(value),
            _ => {}
        }
    }
}

fn pulls(value: &OsStr) -> bool {
    pflag::parse_bool(value.as_bytes()).unwrap_or(true)
}

fn commas(value: &OsStr) -> impl Iterator<Item = OsString> {
    let parts = value.as_bytes().split(|&byte| byte == b',').filter(|part| !part.is_empty());
    parts.map(|part| OsStr::from_bytes(part).to_owned())
}

/// `--call=build,format=json` still builds; any other method only answers.
fn asks(value: &OsStr) -> bool {
    let mut fields = value.as_bytes().split(|&byte| byte == b',');
    fields.any(|field| !field.is_empty() && field != b"build" && !field.contains(&b'='))
}

pub fn read(tool: Tool, words: &[OsString]) -> BuildWords {
    let blank = || BuildWords { tool, raw: Raw(words.to_vec()), ..BuildWords::default() };
    understand(blank(), words).unwrap_or_else(|word| BuildWords { unread: Some(word.to_owned()), ..blank() })
}

fn understand(mut read: BuildWords, words: &[OsString]) -> Result<BuildWords, &OsStr> {
    for token in pflag::tokens(read.tool.build_flags(), words)? {
        match token {
            Token::Flag(flag) => read.set(&flag),
            Token::Plain(second) if read.context.is_some() => return Err(second),
            Token::Plain(word) => read.context = Some(word.to_owned()),
        }
    }
    read.tags = names(&read);
    Ok(read)
}

/// buildx takes the names of an output only where there is no `-t`.
fn names(words: &BuildWords) -> Vec<Reference> {
    let of_podman = words.tool == Tool::Podman;
    let read = |name: &str| Reference::written(name).map(|name| if of_podman { name.local() } else { name });
    if !words.raw_tags.is_empty() {
        return words.raw_tags.iter().filter_map(|tag| read(tag.to_str()?)).collect();
    }
    let landing = words.outputs.iter().filter(|output| output.is_image());
    landing.flat_map(|output| &output.names).filter_map(|name| read(name)).collect()
}

/// What dkb adds to a build.
#[derive(Clone, Copy, Debug)]
pub struct Injection<'a> {
    /// A label is added for each half that is there: the setting `stamp` decides which are.
    pub stamp: &'a Stamp,
    /// What the build's cache mounts are called by, where they are to be its own.
    pub mounts: Option<&'a MountNamespace>,
    /// dkb's own `--iidfile`, where [`id_file`] allows one.
    pub id_file: Option<&'a Path>,
    /// Leaves `--quiet` out, so that the classic builder shows its steps. Whoever asks for this owes the user
    /// what docker would have shown, measured on 20.10 and 28.5:
    ///
    /// - On success stdout is the full ID, `sha256:` and 64 digits, and a newline (through a Podman engine the
    ///   64 digits alone), and nothing of the steps.
    /// - On failure stdout is empty, and stderr has all that would have been on stdout, the line `Sending build
    ///   context …` included, between docker's notes and its last error line. Through a Podman engine it has
    ///   that first line only.
    /// - A user's own `--iidfile` ends with a newline under `--quiet`, and without one otherwise.
    pub without_quiet: bool,
}

impl<'a> Injection<'a> {
    /// The labels alone.
    pub const fn of(stamp: &'a Stamp) -> Self {
        Self { stamp, mounts: None, id_file: None, without_quiet: false }
    }
}

/// What the tool is started with, its own name and global flags left to the caller.
pub fn inject(spelling: &Spelling, words: &BuildWords, injection: &Injection<'_>) -> Vec<OsString> {
    let mut argv = spelling.words().to_vec();
    // What the user says wins: `--force-rm` would beat a later `--rm=false`.
    let ours = if words.leaves_containers { &["--rm"][..] } else { &["--rm", "--force-rm"] };
    argv.extend(ours.iter().map(OsString::from));
    for (label, value) in injection.stamp.labels() {
        argv.extend(["--label".into(), format!("{label}={value}").into()]);
    }
    if let Some(mounts) = injection.mounts {
        argv.extend(["--build-arg".into(), mounts.argument().into()]);
    }
    if let Some(file) = injection.id_file {
        argv.extend(["--iidfile".into(), file.into()]);
    }
    let gone = if injection.without_quiet && words.quiet { words.quiet_at.as_slice() } else { &[] };
    argv.extend(pflag::without(&words.raw.0, gone).into_iter().map(Cow::into_owned));
    argv
}

//! Where settings are looked for: the edge to the disk and to the environment.

use std::ffi::OsString;
use std::fmt::Display;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::Settings;
use super::file::{self, Entry, File, Whose};
use super::keys::{By, KEYS, Key};
use super::merge::Layered;
use super::typed::Typed;
use super::value::{Base, Source, Value};
use crate::error::{Error, Result};
use crate::files;

/// The name of a checkout's file.
pub(crate) const CHECKOUT_FILE: &str = "dkb.toml";

pub(crate) type Environment<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The folders that settings and names depend on.
#[derive(Clone, Debug)]
pub struct Places {
    pub folder: PathBuf,
    pub home: Option<PathBuf>,
    /// The user's own file where none is named; `None` for a user without a home.
    pub own: Option<PathBuf>,
    /// The ledger's folder where none is set.
    pub state: Option<PathBuf>,
}

impl Places {
    pub fn new(folder: PathBuf, env: Environment) -> Self {
        // The XDG rules: a relative path in one of these is to be ignored.
        let absolute = |name: &str| env(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = absolute("HOME").map(|home| fs::canonicalize(&home).unwrap_or(home));
        let below_home = |folder: &str| home.as_ref().map(|home| home.join(folder));
        let config = absolute("XDG_CONFIG_HOME").or_else(|| below_home(".config"));
        let state = absolute("XDG_STATE_HOME").or_else(|| below_home(".local/state"));
        // What root notes does not get into the home of somebody else, whose `HOME` it may go by.
        let state = state.map(|state| {
            if files::is_anothers_for_root(&state.join("dkb")) { roots_home().join(".local/state") } else { state }
        });
        let own = config.map(|config| config.join("dkb/config.toml"));
        Self { folder, own, state: state.map(|state| state.join("dkb")), home }
    }

    fn base(&self) -> Base<'_> {
        Base { folder: &self.folder, home: self.home.as_deref() }
    }

    /// The nearest `dkb.toml`, upwards from the working directory, whatever it is.
    fn checkout_file(&self) -> Option<PathBuf> {
        self.folder.ancestors().map(|folder| folder.join(CHECKOUT_FILE)).find(|path| is_there(path))
    }
}

/// By passwd.
fn roots_home() -> PathBuf {
    let users = files::read_text(Path::new("/etc/passwd"), files::SETTINGS).unwrap_or_default();
    let root = users.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|user| user.get(2) == Some(&"0"));
    root.and_then(|user| Some(PathBuf::from(user.get(5)?))).filter(|home| home.is_absolute()).unwrap_or("/root".into())
}

/// Reads all there is and makes settings of it. `settings_flag` is `--settings`; `borrowed` are variables of
/// other tools that a verb takes in their place.
pub fn load(
    places: &Places,
    env: Environment,
    settings_flag: Option<&Path>,
    typed: &[Typed],
    borrowed: Vec<Entry>,
) -> Result<Settings> {
    let (own, own_path) = own_file(places, env, settings_flag)?;
    let layers = Layered {
        flags: flags(typed, places.base())?,
        environment: environment(env, places.base()).collect::<Result<_>>()?,
        borrowed,
        checkout: checkouts_file(places, &own_path)?.entries,
        host: Vec::new(),
        own: own.entries,
    };
    Settings::new(&layers, &own.hosts, places.state.clone(), places.base())
}

/// What is left of the settings without the files and variables that can't be read: enough to find docker by, and what
/// `dkb doctor` looks at. Nothing that is to be kept may hang on it.
pub fn load_what_can_be_read(places: &Places, env: Environment, typed: &[Typed]) -> Result<Settings> {
    let (own, own_path) = own_file(places, env, None).unwrap_or_default();
    let layers = Layered {
        flags: flags(typed, places.base())?,
        environment: environment(env, places.base()).flatten().collect(),
        checkout: checkouts_file(places, &own_path).unwrap_or_default().entries,
        own: own.entries,
        ..Layered::default()
    };
    Settings::new(&layers, &[], places.state.clone(), places.base())
}

/// The user's own file, and where it lies.
fn own_file(places: &Places, env: Environment, settings_flag: Option<&Path>) -> Result<(File, PathBuf)> {
    let variable = env("DKB_SETTINGS").filter(|path| !path.is_empty()).map(PathBuf::from);
    let named =
        settings_flag.map(|path| (path.to_owned(), "--settings")).or(variable.map(|path| (path, "DKB_SETTINGS")));
    let (path, text) = match named {
        None => {
            let text = places.own.as_deref().map(|path| read(path, files::read_text)).transpose()?;
            let text = text.flatten().unwrap_or_default();
            (places.own.clone().unwrap_or_default(), text)
        }
        Some((path, by)) => {
            let path = places.folder.join(path);
            let text = read(&path, files::read_named_text)?.ok_or_else(|| {
                Error::usage(format!("{by} {}", path.display()), "there is no such file")
                    .hint("name a settings file that exists, or leave it out")
            })?;
            (path, text)
        }
    };
    Ok((file::read(&text, &path, Whose::User, places.home.as_deref())?, path))
}

fn checkouts_file(places: &Places, own: &Path) -> Result<File> {
    // The same file can be both, when somebody names the checkout's by hand: then they have vouched for it.
    let same =
        |path: &PathBuf| fs::canonicalize(path).is_ok_and(|path| fs::canonicalize(own).is_ok_and(|own| own == path));
    let Some(path) = places.checkout_file().filter(|path| !same(path)) else { return Ok(File::default()) };
    let text = read(&path, files::read_text)?.unwrap_or_default();
    file::read(&text, &path, Whose::Checkout { own }, places.home.as_deref())
}

/// A link that leads nowhere is there.
fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// A file that is not there is no error; one that is there and can't be read is, since it may say what to keep.
fn read(path: &Path, how: fn(&Path, u64) -> io::Result<String>) -> Result<Option<String>> {
    let unreadable = |why: &dyn Display| {
        Error::usage(format!("reading {}", path.display()), why).hint("dkb does nothing before it knows what to keep")
    };
    match how(path, files::SETTINGS) {
        Ok(text) => Ok(Some(text)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            if is_there(path) {
                Err(unreadable(&"it is a link to nothing"))
            } else {
                Ok(None)
            }
        }
        Err(error) => Err(unreadable(&error)),
    }
}

fn flags(typed: &[Typed], base: Base) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for Typed { id, flag, values } in typed {
        // `--only` and `--skip` name keys that have no flag of their own.
        let named = |key: &&Key| if id.contains('.') { key.name == *id } else { key.flag == *id };
        for key in KEYS.iter().filter(named) {
            let source = Source::Flag(flag.clone());
            let value = if key.kind.is_list() {
                // A flag is repeated rather than parted at commas.
                let texts = values.iter().map(|value| utf8(value, &source)).collect::<Result<Vec<_>>>()?;
                Value::from_list(key.kind, texts.into_iter()).ok_or_else(|| bad(key, &source, &texts_of(values)))?
            } else {
                let Some(last) = values.last() else { continue };
                let text = utf8(last, &source)?;
                Value::from_text(key.kind, text, base).ok_or_else(|| bad(key, &source, text))?
            };
            entries.push(Entry { key, value, source });
        }
    }
    Ok(entries)
}

fn texts_of(values: &[OsString]) -> String {
    values.iter().map(|value| value.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// An empty variable is one that is not set, as CI systems leave them behind.
fn environment(env: Environment, base: Base) -> impl Iterator<Item = Result<Entry>> {
    KEYS.iter().filter_map(move |key| {
        let raw = env(&key.variable()).filter(|raw| !raw.is_empty())?;
        Some(variable(key, &raw, base))
    })
}

fn variable(key: &'static Key, raw: &OsString, base: Base) -> Result<Entry> {
    let source = Source::Variable(key.variable());
    if key.by == By::Flag {
        let flag = key.flag().unwrap_or_default();
        return Err(Error::usage(source.to_string(), format!("'{}' is taken from its flag only", key.name))
            .hint(format!("say {flag} each time")));
    }
    let text = utf8(raw, &source)?;
    let value = Value::from_text(key.kind, text, base).ok_or_else(|| bad(key, &source, text))?;
    Ok(Entry { key, value, source })
}

fn utf8<'a>(raw: &'a OsString, source: &Source) -> Result<&'a str> {
    raw.to_str().ok_or_else(|| Error::usage(source.to_string(), format!("'{}' is not UTF-8", raw.to_string_lossy())))
}

fn bad(key: &Key, source: &Source, got: &str) -> Error {
    Error::usage(source.to_string(), format!("takes {}, not '{}'", key.kind.takes(), got.escape_debug()))
        .hint(format!("{}: {}", key.name, key.doc))
}

#[cfg(test)]
mod tests;

//! Flags, environment and files, made into [`Settings`] once.
//!
//! - [`keys`]: the one table of what can be set.
//! - `value`, `file`, `merge`: what was said, read and brought together; pure.
//! - `places`: where files are and what the environment says; the edge to the disk.
//! - `cleaner`: the variables of the docker-cleaner container, which `sweep` takes too.
//! - `git`, [`here`]: what a working copy says about itself, and who we are in it; the other edge.

pub(crate) mod cleaner;
pub(crate) mod file;
pub(crate) mod git;
pub mod here;
pub mod keys;
pub(crate) mod merge;
pub(crate) mod places;
mod printing;
mod typed;
pub(crate) mod value;
pub(crate) mod variables;

use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::model::{DiskMark, LabelFilter, Name, Pattern};
use crate::plan::sweep::SweepPolicy;
use file::HostEntries;
use merge::{Effective, Layered};
pub use places::{Places, load, load_what_can_be_read};
pub use printing::{Color, Format};
pub use typed::Typed;
use value::{Base, Source, Value};

/// Which labels a built image gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StampLevel {
    Full,
    /// The project's label alone, so that the digest is the same from session to session.
    Project,
    None,
}

/// What this run goes by, validated.
#[derive(Clone, Debug)]
pub struct Settings {
    pub project: Option<Name>,
    pub session: Option<Name>,
    pub stamp: StampLevel,
    pub keep_superseded: usize,
    pub own_cache_mounts: bool,
    pub keep: Vec<Pattern>,
    pub keep_last: Option<usize>,
    pub older_than: Option<Duration>,
    pub stale_after: Duration,
    /// A name for PATH, or a path.
    pub docker: PathBuf,
    /// `None` where neither a setting nor a home folder says where it could be.
    pub state_dir: Option<PathBuf>,
    pub trust_stamp: bool,
    pub yes: bool,
    /// `None`: in CI jobs only.
    pub clean_dead: Option<bool>,
    pub format: Format,
    pub color: Color,
    /// Empty: the context that docker itself would use.
    pub contexts: Vec<String>,
    pub sweep: SweepSettings,
    pub hosts: Vec<HostSettings>,
    /// Every key with its value and where it comes from, in the table's order.
    pub effective: Vec<Effective>,
}

/// What `dkb sweep` goes by, for one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepSettings {
    pub(crate) policy: SweepPolicy,
    pub disk: Option<DiskPressure>,
    /// For an engine that is not there yet.
    pub wait: Duration,
}

/// Above the high mark something is swept, down to the low one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskPressure {
    pub above: DiskMark,
    pub down_to: DiskMark,
}

/// A host of the user's own file, for `dkb sweep`.
#[derive(Clone, Debug)]
pub struct HostSettings {
    pub name: String,
    pub at: HostAddress,
    pub sweep: SweepSettings,
    pub source: Source,
    /// What it sets otherwise than `[sweep]`, and what then holds.
    pub overrides: Vec<Effective>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostAddress {
    Context(String),
    Host(String),
}

impl Settings {
    /// Brings the layers together. Pure: all that comes from outside is in its arguments.
    pub fn new(layers: &Layered, hosts: &[HostEntries], state_dir: Option<PathBuf>, base: Base) -> Result<Self> {
        let mut all = Merged(merge::merge(layers, base));
        if let Some(unset) = all.0.iter_mut().find(|one| one.key.name == "state_dir" && one.value.is_none()) {
            unset.value = state_dir.map(Value::Path);
        }
        let hosts = hosts.iter().map(|host| HostSettings::new(host, layers, base)).collect::<Result<_>>()?;
        Ok(Self {
            project: all.name("project")?,
            session: all.name("session")?,
            stamp: match all.text("stamp").as_str() {
                "project" => StampLevel::Project,
                "none" => StampLevel::None,
                _ => StampLevel::Full,
            },
            keep_superseded: all.count("keep_superseded").unwrap_or(0),
            own_cache_mounts: all.is("own_cache_mounts"),
            keep: all.patterns("keep")?,
            keep_last: all.count("keep_last"),
            older_than: all.duration("older_than"),
            stale_after: all.duration("stale_after").unwrap_or_default(),
            docker: all.path("docker").unwrap_or_else(|| "docker".into()),
            state_dir: all.path("state_dir"),
            trust_stamp: all.is("trust_stamp"),
            yes: all.is("yes"),
            clean_dead: all.bool("clean_dead"),
            format: Format::named(&all.text("format")),
            color: Color::named(&all.text("color")),
            contexts: all.list("context"),
            sweep: SweepSettings::new(&all)?,
            hosts,
            effective: all.0,
        })
    }

    /// Where the value of a key comes from; of a list that added up, the nearest place.
    pub fn source(&self, key: &str) -> Option<&Source> {
        self.effective.iter().find(|one| one.key.name == key && one.value.is_some())?.sources.first()
    }

    /// Whether a flag says it, for this one run.
    pub fn is_typed(&self, key: &str) -> bool {
        matches!(self.source(key), Some(Source::Flag(_)))
    }

    /// Whether anybody says it, anywhere.
    pub fn is_set(&self, key: &str) -> bool {
        self.source(key).is_some_and(|source| *source != Source::Default)
    }
}

impl SweepSettings {
    fn new(all: &Merged) -> Result<Self> {
        let disk = match (all.mark("sweep.when_disk_above"), all.mark("sweep.down_to")) {
            (None, None) => None,
            (Some(above), down_to) => Some(DiskPressure { above, down_to: down_to.unwrap_or(above) }),
            (None, Some(_)) => {
                return Err(all.error(
                    "sweep.down_to",
                    "says down to where, but nothing says from where",
                    "set when_disk_above too",
                ));
            }
        };
        match disk.and_then(|disk| {
            disk.down_to
                .is_within(disk.above)
                .map_or(Some("is of another kind than"), |low| (!low).then_some("is above"))
        }) {
            Some(wrong) => Err(all.error(
                "sweep.down_to",
                &format!("{wrong} when_disk_above"),
                "both are shares or both are sizes, down_to the lower one",
            )),
            None => Ok(Self { policy: policy(all)?, disk, wait: all.duration("sweep.wait").unwrap_or_default() }),
        }
    }
}

/// The patterns of `keep` hold for a sweep too.
fn policy(all: &Merged) -> Result<SweepPolicy> {
    let until = all.duration("sweep.until").unwrap_or_default();
    let mut keep = all.patterns("keep")?;
    for pattern in all.patterns("sweep.keep")? {
        if !keep.contains(&pattern) {
            keep.push(pattern);
        }
    }
    Ok(SweepPolicy {
        containers: all.is("sweep.containers"),
        images: all.is("sweep.images"),
        volumes: all.is("sweep.volumes"),
        builder_state: all.is("sweep.builder_state"),
        networks: all.is("sweep.networks"),
        cache: all.is("sweep.build_cache"),
        all_images: all.is("sweep.all_images"),
        until,
        filter: all.read("sweep.filter", &all.list("sweep.filter"), |text| {
            LabelFilter::parse(text).ok_or("no filter on labels")
        })?,
        keep,
        keep_last: all.count("sweep.keep_last"),
        cache_keep: all.size("sweep.cache_keep"),
        cache_until: all.duration("sweep.cache_until").unwrap_or(until),
        need: None,
        unused_since: None,
    })
}

impl HostSettings {
    fn new(entries: &HostEntries, layers: &Layered, base: Base) -> Result<Self> {
        let layers = Layered { host: entries.sweep.clone(), ..layers.clone() };
        let at = match (&entries.context, &entries.host) {
            (Some(context), _) => HostAddress::Context(context.clone()),
            (None, host) => HostAddress::Host(host.clone().unwrap_or_default()),
        };
        let mut all = Merged(merge::merge(&layers, base));
        let sweep = SweepSettings::new(&all)?;
        all.0.retain(|one| entries.sweep.iter().any(|entry| std::ptr::eq(entry.key, one.key)));
        Ok(Self { name: entries.name.clone(), at, sweep, source: entries.source.clone(), overrides: all.0 })
    }
}

/// The merged values by name. A key's kind decides which of these finds it; a test asks for every key.
struct Merged(Vec<Effective>);

impl Merged {
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|one| one.key.name == name)?.value.as_ref()
    }

    fn error(&self, name: &str, what: &str, next: &str) -> Error {
        let source = self.0.iter().find(|one| one.key.name == name).and_then(|one| one.sources.first());
        let at = source.map_or_else(|| name.to_owned(), Source::to_string);
        Error::usage(at, format!("'{name}' {what}")).hint(next)
    }

    fn bool(&self, name: &str) -> Option<bool> {
        if let Some(Value::Bool(value)) = self.get(name) { Some(*value) } else { None }
    }

    fn is(&self, name: &str) -> bool {
        self.bool(name).unwrap_or(false)
    }

    fn count(&self, name: &str) -> Option<usize> {
        if let Some(Value::Count(value)) = self.get(name) {
            Some(usize::try_from(*value).unwrap_or(usize::MAX))
        } else {
            None
        }
    }

    fn duration(&self, name: &str) -> Option<Duration> {
        if let Some(Value::Duration(value)) = self.get(name) { Some(*value) } else { None }
    }

    fn size(&self, name: &str) -> Option<u64> {
        if let Some(Value::Size(value)) = self.get(name) { Some(*value) } else { None }
    }

    fn mark(&self, name: &str) -> Option<DiskMark> {
        if let Some(Value::Mark(value)) = self.get(name) { Some(*value) } else { None }
    }

    fn text(&self, name: &str) -> String {
        if let Some(Value::Text(value)) = self.get(name) { value.clone() } else { String::new() }
    }

    fn name(&self, name: &str) -> Result<Option<Name>> {
        Ok(self.read(name, &[self.text(name)], Name::typed)?.pop())
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        if let Some(Value::Path(value)) = self.get(name) { Some(value.clone()) } else { None }
    }

    fn list(&self, name: &str) -> Vec<String> {
        if let Some(Value::List(value)) = self.get(name) { value.clone() } else { Vec::new() }
    }

    fn patterns(&self, name: &str) -> Result<Vec<Pattern>> {
        self.read(name, &self.list(name), Pattern::new)
    }

    /// What was let through as text. A word that is nothing after all must not be left out: more would go without it.
    fn read<T, E: Display>(&self, name: &str, texts: &[String], read: impl Fn(&str) -> Result<T, E>) -> Result<Vec<T>> {
        let set = texts.iter().filter(|text| !text.is_empty());
        set.map(|text| read(text).map_err(|wrong| self.error(name, &format!("can't be '{text}'"), &wrong.to_string())))
            .collect()
    }
}

#[cfg(test)]
mod tests;

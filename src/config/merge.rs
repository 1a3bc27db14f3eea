//! Many places, one value a key.
//!
//! 1. A flag goes before a variable, a variable before a checkout's `dkb.toml`, that before the user's own file,
//!    that before the default.
//! 2. Keep patterns and filters add up over all places.
//! 3. A checkout's retention counts only where it keeps more than the user's own file, or else the default:
//!    cloning something never deletes more. A flag or variable of the user's own may ask for less.

use super::file::Entry;
use super::keys::{By, KEYS, Key};
use super::value::{Base, Source, Value};

/// What one run was told, place by place.
#[derive(Clone, Debug, Default)]
pub struct Layered {
    pub flags: Vec<Entry>,
    pub environment: Vec<Entry>,
    /// Variables of other tools that a verb takes in their place (`sweep`), below dkb's own.
    pub borrowed: Vec<Entry>,
    pub checkout: Vec<Entry>,
    /// What `[hosts.NAME]` says, for the settings of that host.
    pub host: Vec<Entry>,
    pub own: Vec<Entry>,
}

/// What holds for one key, and why.
#[derive(Clone, Debug)]
pub struct Effective {
    pub key: &'static Key,
    /// `None` where nothing is set and there is no default.
    pub value: Option<Value>,
    /// More than one where lists added up.
    pub sources: Vec<Source>,
    /// What a checkout asked for in vain, since it would have kept less.
    pub passed_over: Option<(Value, Source)>,
}

pub(crate) fn merge(layers: &Layered, base: Base) -> Vec<Effective> {
    KEYS.iter().map(|key| effective(key, layers, base)).collect()
}

fn effective(key: &'static Key, layers: &Layered, base: Base) -> Effective {
    let default = || {
        let value = (!key.default.is_empty()).then(|| Value::from_text(key.kind, key.default, base)).flatten();
        (value, Source::Default)
    };
    if key.kind.adds_up() {
        return added_up(key, layers, default().0);
    }
    let said = |layer: &[Entry]| {
        // Within one place the last word holds: a repeated flag, or one the host's table repeats.
        let entry = layer.iter().rfind(|entry| std::ptr::eq(entry.key, key))?;
        Some((Some(entry.value.clone()), entry.source.clone()))
    };
    let checkout = said(&layers.checkout);
    let own = said(&layers.host).or_else(|| said(&layers.own));
    let mut passed_over = None;
    let run = said(&layers.flags).or_else(|| said(&layers.environment)).or_else(|| said(&layers.borrowed));
    let (value, source) = run.unwrap_or_else(|| match checkout {
        Some((Some(asked), from)) if key.by == By::Narrowing => {
            let ours = own.unwrap_or_else(default);
            if asked.keeps() > ours.0.as_ref().map_or(0, Value::keeps) {
                (Some(asked), from)
            } else {
                passed_over = Some((asked, from)).filter(|(asked, _)| ours.0.as_ref() != Some(asked));
                ours
            }
        }
        Some(checkout) => checkout,
        None => own.unwrap_or_else(default),
    });
    Effective { key, value, sources: vec![source], passed_over }
}

fn added_up(key: &'static Key, layers: &Layered, default: Option<Value>) -> Effective {
    let places = [&layers.flags, &layers.environment, &layers.borrowed, &layers.checkout, &layers.host, &layers.own];
    let entries = places.into_iter().flatten().filter(|entry| std::ptr::eq(entry.key, key));
    let default = default.map(|value| (value, Source::Default));
    let (mut parts, mut sources) = (Vec::new(), Vec::new());
    for (value, source) in entries.map(|entry| (entry.value.clone(), entry.source.clone())).chain(default) {
        if let Value::List(more) = value {
            sources.push(source);
            for part in more {
                if !parts.contains(&part) {
                    parts.push(part);
                }
            }
        }
    }
    if sources.is_empty() {
        sources.push(Source::Default);
    }
    Effective { key, value: (!parts.is_empty()).then_some(Value::List(parts)), sources, passed_over: None }
}

#[cfg(test)]
mod tests;

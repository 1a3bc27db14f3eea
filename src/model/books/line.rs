//! How a line of the ledger is read. A ledger may have hundreds of thousands, and serde's own way to read records
//! of many kinds, which keeps every field before it knows the kind, takes five times as long.

use std::borrow::Cow;
use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de};

use super::{Build, More, Record, SessionEntry, SessionKey};
use crate::model::{BuildId, ImageId, LedgerId, Name, Reference, Taken};

/// Every field of every kind.
#[derive(Deserialize)]
struct RecordLine<'a> {
    #[serde(borrow)]
    t: Cow<'a, str>,
    v: Option<u32>,
    engine: Option<String>,
    file: Option<u64>,
    project: Option<Name>,
    session: Option<Name>,
    to: Option<SessionKey>,
    build: Option<BuildId>,
    at: Option<Timestamp>,
    #[serde(default)]
    tags: Vec<Reference>,
    #[serde(default)]
    key: String,
    ok: Option<bool>,
    result: Option<ImageId>,
    #[serde(default)]
    steps: Vec<ImageId>,
    #[serde(default)]
    took: Vec<Taken>,
    #[serde(default)]
    held: Vec<ImageId>,
    #[serde(default)]
    copies: BTreeSet<Name>,
    #[serde(default)]
    tilt: bool,
    compose: Option<Name>,
    home: Option<String>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    #[serde(default)]
    ci: bool,
    slot: Option<Name>,
    cleaned: Option<Timestamp>,
    over: Option<Timestamp>,
    #[serde(default)]
    rest: bool,
    ids: Option<Vec<ImageId>>,
    id: Option<String>,
    whole: Option<bool>,
    tag: Option<Reference>,
    image: Option<ImageId>,
    #[serde(default)]
    doubted: bool,
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let line = RecordLine::deserialize(deserializer)?;
        let kind = line.t.clone();
        line.record().ok_or_else(|| de::Error::custom(format_args!("no record of the kind '{kind}'")))
    }
}

impl RecordLine<'_> {
    /// `None` for a kind that nobody here knows, and where something is missing.
    fn record(self) -> Option<Record> {
        Some(match &*self.t {
            "ledger" => Record::Ledger {
                v: self.v?,
                engine: self.engine?,
                file: self.file,
                id: self.id.and_then(LedgerId::parse),
                whole: self.whole,
            },
            "session" => Record::Session(SessionEntry {
                key: SessionKey { project: self.project?, session: self.session? },
                first: self.first?,
                last: self.last?,
                ci: self.ci,
                slot: self.slot,
                cleaned: self.cleaned,
                over: self.over,
                took: self.took,
                held: self.held,
                copies: self.copies,
            }),
            "build" => Record::Build(Build {
                build: self.build?,
                of: SessionKey { project: self.project?, session: self.session? },
                at: self.at?,
                tags: self.tags,
                key: self.key,
                ok: self.ok?,
                result: self.result,
                steps: self.steps,
                took: self.took,
                tilt: self.tilt,
                compose: self.compose,
                home: self.home,
                doubted: self.doubted,
            }),
            "more" => Record::More(More { build: self.build?, tags: self.tags, steps: self.steps, took: self.took }),
            "gone" => Record::Gone { at: self.at?, ids: self.ids? },
            "missed" => Record::Missed { at: self.at?, ids: self.ids? },
            "cleaned" => Record::Cleaned {
                key: SessionKey { project: self.project?, session: self.session? },
                at: self.at?,
                rest: self.rest,
            },
            "back" => Record::Back {
                key: SessionKey { project: self.project?, session: self.session? },
                at: self.at?,
                tag: self.tag?,
                image: self.image?,
            },
            "left" => Record::Left {
                key: SessionKey { project: self.project?, session: self.session? },
                to: self.to?,
                at: self.at?,
                ids: self.ids?,
            },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests;

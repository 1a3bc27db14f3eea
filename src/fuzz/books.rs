//! What lies in dkb's own folder and in a plan's file, where somebody else may have written too.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use serde::Deserialize;

use crate::model::{
    Action, Books, Deed, EngineLabel, ImageGuard, ImageId, Kind, Outcome, Pattern, Plan, Reason, Record, Reference,
    Removal, Step, Tally,
};
use crate::plan::narrow::narrow;
use crate::plan_file::PlanFile;
use crate::report::{Page, Style, log};

/// The lines of a ledger.
///
/// - What can be read can be written, and says the same when it is read again, whole or in halves.
/// - Nothing is ours that no line of a build names, and once everything is gone nothing is.
/// - Lines that can't be read make nothing ours for sure, and put in doubt all that stands before the last of them.
/// - A ledger that is written anew says the same.
pub fn ledger(data: &[u8]) -> bool {
    let lines = data.split(|byte| *byte == b'\n');
    let read: Vec<Option<Record>> = lines.map(|line| serde_json::from_slice(line).ok()).collect();
    let records: Vec<Record> = read.iter().flatten().cloned().collect();
    let mut named = BTreeSet::new();
    for record in &records {
        let written = serde_json::to_string(record).expect("plain data");
        assert_eq!(serde_json::from_str::<Record>(&written).ok().as_ref(), Some(record), "{written}");
        match record {
            Record::Build(build) => named.extend(build.images()),
            Record::More(more) => named.extend(more.steps.iter().copied()),
            _ => {}
        }
    }
    let books = count(records.iter().cloned());
    let ours = images(&books);
    assert!(ours.is_subset(&named), "{ours:?}");

    let damaged = with_lost(read.iter().cloned());
    assert!(ours.is_subset(&images(&damaged)) && images(&damaged).is_subset(&named));
    assert!(images(&damaged).iter().all(|id| ours.contains(id) || damaged.is_doubted(*id)));
    let behind = with_lost(read.into_iter().chain([None]));
    assert!(behind.images().all(|id| behind.is_doubted(id)));
    for books in [&damaged, &behind] {
        let again = count(books.records("engine").into_iter());
        assert!(ours.iter().all(|id| again.is_doubted(*id) == books.is_doubted(*id)));
        assert_eq!(again.damaged, books.damaged);
    }

    let halves = records.iter().cloned().flat_map(|record| match record.clone().halves() {
        Some((one, other)) => vec![one, other],
        None => vec![record],
    });
    assert_eq!(images(&count(halves)), ours);

    let again = count(books.records("engine").into_iter());
    assert_eq!(images(&again), ours);
    assert_eq!((&again.missed, again.sessions.len()), (&books.missed, books.sessions.len()));

    let gone = Record::Gone { at: Timestamp::UNIX_EPOCH, ids: named.into_iter().collect() };
    assert_eq!(count(records.iter().cloned().chain([gone])).builds, []);
    !records.is_empty()
}

fn count(records: impl Iterator<Item = Record>) -> Books {
    let mut tally = Tally::default();
    records.for_each(|record| tally.count(record));
    tally.books()
}

/// The same with the lines that can't be read.
fn with_lost(lines: impl Iterator<Item = Option<Record>>) -> Books {
    let mut tally = Tally::default();
    for line in lines {
        match line {
            Some(record) => tally.count(record),
            None => tally.lost(),
        }
    }
    tally.books()
}

fn images(books: &Books) -> BTreeSet<ImageId> {
    books.images().collect()
}

/// What somebody looks for, and the lines of a history.
///
/// - What can be read can be written, in one line, and says the same when it is read again.
/// - Whatever it says, it is shown in one line.
pub fn history(data: &[u8]) -> bool {
    let (wanted, lines) = super::head(data);
    let wanted = Pattern::new(wanted).ok();
    let removals: Vec<Removal> = lines.split(|byte| *byte == b'\n').filter_map(Removal::read).collect();
    for removal in &removals {
        let line = removal.line();
        assert_eq!(line.find('\n'), Some(line.len() - 1), "{line}");
        assert_eq!(Removal::read(line.as_bytes()).as_ref(), Some(removal), "{line}");
        if let Some(wanted) = &wanted {
            let _ = removal.is_called(wanted);
        }
    }
    let shown = log::human(&removals, None, true, Style::PLAIN);
    assert_eq!(shown.as_str().lines().count(), removals.len().max(1), "{}", shown.as_str());
    !removals.is_empty()
}

/// A plan's file.
///
/// - Of what stands there a step is made only if it makes sense, and that is written in the same words again.
/// - Narrowed by its own file a plan is whole, in whatever order names stand there; by any other it has no step that
///   it did not have.
pub fn plan(data: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Lines {
        steps: Vec<WrittenStep>,
    }
    let Ok(file) = serde_json::from_slice::<PlanFile>(data) else { return false };
    let Ok(Lines { steps }) = serde_json::from_slice(data) else { return false };
    let steps: Vec<Step> = steps.iter().filter_map(WrittenStep::step).collect();
    let plan = of_steps(steps);
    let half = narrow(plan.clone(), &file.steps[file.steps.len() / 2..]);
    assert!(half.plan.steps.iter().all(|step| plan.steps.contains(step)));
    assert!(half.plan.steps.len() >= plan.steps.len().saturating_sub(file.steps.len() / 2));

    let own = narrow(plan.clone(), &file.steps);
    assert!(own.whole, "{plan:#?}");
    assert_eq!(own.plan.steps, plan.steps);
    let mut turned = plan;
    for step in &mut turned.steps {
        if let Deed::RemoveImage { guard: ImageGuard::Named { names }, .. } = &mut step.deed {
            names.reverse();
        }
    }
    assert!(narrow(turned, &file.steps).whole);
    true
}

fn of_steps(steps: Vec<Step>) -> Plan {
    let text = String::new;
    Plan {
        kind: "clean",
        engine: EngineLabel { id: text(), endpoint: text(), version: text(), name: "" },
        created: Timestamp::UNIX_EPOCH,
        scope: None,
        steps,
        kept: Vec::new(),
        up_to: false,
        to_cache: HashMap::new(),
        left_to_others: Vec::new(),
    }
}

/// A step as it is written.
#[derive(Debug, PartialEq, Deserialize)]
struct WrittenStep {
    action: Action,
    #[serde(rename = "type")]
    kind: Kind,
    id: String,
    names: Vec<String>,
    bytes: u64,
    reason: Reason,
    guard: WrittenGuard,
    result: Option<Outcome>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", tag = "still")]
enum WrittenGuard {
    Untagged,
    Pushed { digests: Vec<String> },
    Named { names: Vec<String> },
    NameOf { id: ImageId },
    Stopped,
    Unused,
    UnusedSince { created: Timestamp },
}

impl WrittenStep {
    /// The step that these words mean, if they mean one.
    fn step(&self) -> Option<Step> {
        let step = Step { result: self.result, ..Step::new(self.deed()?, self.reason, self.bytes) };
        let written = Page::json(&step);
        let again: Option<Self> = serde_json::from_str(written.as_str()).ok();
        (again.as_ref() == Some(self)).then_some(step)
    }

    fn deed(&self) -> Option<Deed> {
        let (id, name) = (|| self.id.clone(), || self.names.first().cloned());
        let (image, tag) = (|| ImageId::parse(&self.id), || Reference::listed(self.names.first()?));
        let removed = |guard| Some(Deed::RemoveImage { id: image()?, guard });
        match (self.action, self.kind, &self.guard) {
            (Action::Stop, Kind::Container, _) => Some(Deed::StopContainer { id: id(), name: name()? }),
            (Action::Remove, Kind::Container, _) => Some(Deed::RemoveContainer { id: id(), name: name()? }),
            (Action::Remove, Kind::Image, WrittenGuard::Untagged) => removed(ImageGuard::Untagged),
            (Action::Remove, Kind::Image, WrittenGuard::Pushed { digests }) => {
                removed(ImageGuard::Pushed { digests: digests.clone() })
            }
            (Action::Remove, Kind::Image, WrittenGuard::Named { names }) => {
                removed(ImageGuard::Named { names: names.clone() })
            }
            (Action::Untag, Kind::Image, _) => Some(Deed::Untag { image: image()?, name: tag()? }),
            (Action::GiveBack, Kind::Image, WrittenGuard::NameOf { id: from }) => {
                Some(Deed::GiveBack { name: tag()?, from: Some(*from), to: image()?, hold: None })
            }
            (Action::GiveBack, Kind::Image, _) => {
                Some(Deed::GiveBack { name: tag()?, from: None, to: image()?, hold: None })
            }
            (Action::Remove, Kind::Volume, WrittenGuard::UnusedSince { created }) => {
                Some(Deed::RemoveVolume { name: id(), created: Some(*created) })
            }
            (Action::Remove, Kind::Volume, _) => Some(Deed::RemoveVolume { name: id(), created: None }),
            (Action::Remove, Kind::BuilderState, WrittenGuard::UnusedSince { created }) => {
                Some(Deed::RemoveBuilderState { name: id(), created: Some(*created) })
            }
            (Action::Remove, Kind::BuilderState, _) => Some(Deed::RemoveBuilderState { name: id(), created: None }),
            (Action::Remove, Kind::Network, _) => Some(Deed::RemoveNetwork { id: id(), name: name()? }),
            (Action::Remove, Kind::BuildCache, _) => Some(Deed::RemoveCache {
                id: id(),
                kind: name().unwrap_or_default(),
                last: crate::model::CacheUse::default(),
            }),
            _ => None,
        }
    }
}

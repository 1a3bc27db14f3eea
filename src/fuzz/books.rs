//! What lies in dkb's own folder and in a plan's file, where somebody else may have written too.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Deserialize;

use crate::model::{Books, ImageId, Pattern, Plan, Record, Removal, Tally};
use crate::plan::narrow::{Wanted, narrow};
use crate::report::{Page, Style, log};

/// The lines of a ledger.
///
/// - What can be read can be written, and says the same when it is read again, whole or in halves.
/// - Nothing is ours that no line of a build names, and once everything is gone nothing is.
/// - A ledger that is written anew says the same.
pub fn ledger(data: &[u8]) -> bool {
    let lines = data.split(|byte| *byte == b'\n');
    let records: Vec<Record> = lines.filter_map(|line| serde_json::from_slice(line).ok()).collect();
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

fn images(books: &Books) -> BTreeSet<ImageId> {
    books.images().into_keys().collect()
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
/// - What can be read is the same when it is written and read again.
/// - Narrowed by its own file a plan is whole, in whatever order names stand there; by any other it has no step that it did not have.
pub fn plan(data: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct File {
        steps: Vec<Wanted>,
    }
    let (Ok(plan), file) = (serde_json::from_slice::<Plan>(data), serde_json::from_slice::<File>(data)) else {
        return false;
    };
    let written = Page::json(&plan);
    assert_eq!(serde_json::from_str::<Plan>(written.as_str()).ok().as_ref(), Some(&plan), "{}", written.as_str());

    let file = file.expect("a plan's steps can be asked for");
    let own = narrow(plan.clone(), &file.steps);
    assert!(own.whole, "{}", written.as_str());
    assert_eq!(own.plan.steps, plan.steps);
    let mut turned = plan.clone();
    turned.steps.iter_mut().for_each(|step| step.names.reverse());
    assert!(narrow(turned, &file.steps).whole, "{}", written.as_str());
    let half = narrow(plan.clone(), &file.steps[file.steps.len() / 2..]);
    assert!(half.plan.steps.iter().all(|step| plan.steps.contains(step)));
    assert!(half.plan.steps.len() >= plan.steps.len() - file.steps.len() / 2);
    true
}

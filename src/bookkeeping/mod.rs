//! Keeping the books: what a build made, what a killed one had made, what was taken away, and which builds run now.

mod cache;
mod home;
mod open;
mod record;
mod recovery;
mod removals;
mod running;

pub(crate) use cache::{SOON, SeenCache};
pub(crate) use home::home;
pub(crate) use open::{OpenBooks, open_books};
pub(crate) use record::{BuildFacts, lost, record, records};
pub(crate) use recovery::recover;
pub(crate) use removals::Removals;
pub(crate) use running::{Need, NeededByBuilds, running, running_since};

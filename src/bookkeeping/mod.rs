//! Keeping the books: what a build made, what a killed one had made, and which builds run now.

mod home;
mod open;
mod record;
mod recovery;
mod running;

pub(crate) use home::home;
pub(crate) use open::{OpenBooks, open_books};
pub(crate) use record::{Facts, lost, record, records};
pub(crate) use recovery::recover;
pub(crate) use running::{NeededByBuilds, running};

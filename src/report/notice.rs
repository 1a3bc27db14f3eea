//! What a look finds that is no failure.

use std::path::Path;
use std::sync::Once;

use super::words::count;
use super::{Words, say, warn};
use crate::model::{Gap, Notice};

/// That the history can't be written is the same for whatever went, on however many hosts.
static TOLD: Once = Once::new();

pub(crate) fn tell(notices: &[Notice]) {
    notices.iter().for_each(tell_one);
}

fn tell_one(notice: &Notice) {
    match notice {
        Notice::Damaged { lines, ledger } => warn(format_args!(
            "{} in {}: images noted before may be somebody else's by now, and stay; after a look at \
             them, dkb clean --trust-stamp takes those that bear the stamp",
            count(*lines, "damaged line"),
            ledger.display()
        )),
        Notice::Missed(images) => warn(format_args!(
            "{images} recorded {} not on this engine, which may be another one with the same ID: the records stay, for \
             the engine that has them",
            if *images == 1 { "image is" } else { "images are" },
        )),
        Notice::CacheWaits => {
            say("whose the cache of the last builds is can't be told while others build beside them: it stays for now");
        }
        Notice::Unwritten(error) => warn(error),
        Notice::Unremembered(error) => TOLD.call_once(|| warn(error.under("dkb log will not know of this"))),
    }
}

/// A plan was written that somebody may look at, change and then have done.
pub(crate) fn tell_of_plan(verb: &str, file: Option<&Path>) {
    if let Some(file) = file.filter(|file| file.is_file()) {
        let file = file.display();
        say(format_args!("the plan is in {file}; what still holds of it is done by dkb {verb} --apply {file}"));
    }
}

pub(super) fn words_of(gap: &Gap) -> Words {
    match gap {
        Gap::NoCacheCalls => Words::from("Skipped: this engine has no calls for its build cache"),
        Gap::Undated(error) => Words::from(error),
        Gap::Unmeasured(error) => Words::from(error).under("Sizes are not known"),
    }
}

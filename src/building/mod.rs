//! One `dkb build`: the words, the look before, docker itself, the record after, and what goes with it.

mod before;
pub(crate) mod builder_choice;
mod cache;
mod finish;
mod job;
mod tag_loan;
mod tidy;

pub(crate) use cache::tidy as tidy_cache;
pub(crate) use job::Job;

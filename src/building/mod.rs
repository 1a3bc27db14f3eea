//! One `dkb build`, or one `dkb bake` with many results: the words, the look before, docker itself, the record after, and what goes with it.

mod before;
pub(crate) mod builder_choice;
mod cache;
mod finish;
mod job;
mod result;
mod run;
mod tag_loan;
mod target;
mod tidy;

pub(crate) use cache::take_superseded_cache;
pub(crate) use job::Job;
pub(crate) use run::{become_docker, not_started, run};

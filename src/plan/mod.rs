//! What to do, as pure functions of what there is: no engine, no file, no clock, no environment.

pub mod argv;
pub(crate) mod attribution;
pub(crate) mod cache;
pub mod ci;
pub(crate) mod classic;
pub(crate) mod clean;
pub(crate) mod ended_records;
pub(crate) mod identity;
pub(crate) mod lost_result;
pub(crate) mod narrow;
pub(crate) mod newest;
pub(crate) mod news;
pub(crate) mod order;
pub(crate) mod over;
pub(crate) mod remote;
pub(crate) mod session_end;
pub(crate) mod status;
pub(crate) mod superseded;
pub(crate) mod sweep;
pub(crate) mod taken;
pub(crate) mod unknown;
pub(crate) mod unmatched;
pub(crate) mod uses;

#[cfg(test)]
mod tests;

//! What to do, as pure functions of what there is: no engine, no file, no clock, no environment.

pub mod argv;
pub mod attribution;
pub mod cache;
pub mod ci;
pub mod classic;
pub mod clean;
pub mod ended;
pub mod identity;
pub mod lost;
pub mod narrow;
pub(crate) mod newest;
pub mod order;
pub mod over;
pub mod remote;
pub mod session_end;
pub mod status;
pub mod superseded;
pub mod sweep;
pub mod unmatched;

#[cfg(test)]
mod tests;

//! What to do, as pure functions of what is known: no engine, no file, no clock, no environment in here.

pub mod ci;
pub mod identity;
pub mod remote;

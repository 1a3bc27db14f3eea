//! What to do, as pure functions of what was read and seen: no engine, no file, no clock, no environment.

pub mod argv;
pub mod classic;

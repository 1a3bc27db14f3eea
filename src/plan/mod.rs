//! What to do, as pure functions of what there is: no engine, no file, no clock, no environment.

pub mod attribution;
pub mod clean;
pub mod order;
pub mod superseded;
//! What to do, as pure functions of what was read and seen: no engine, no file, no clock, no environment.
pub mod argv;
pub mod classic;

//! dkb: docker build that leaves nothing behind, and a clean-up that takes what is ours and nothing else.
//!
//! The map of the house. Every verb goes the same way: *observe → plan → show → apply → report*.
//!
//! - [`model`]: what there is, as plain data.
//! - [`plan`]: what to do about it, as pure functions of that data.
//! - [`engine`]: the only door to Docker.
//! - [`ledger`]: dkb's own note of what its builds produced, and who is at work.
//! - [`config`]: flags, environment and files, made into settings once.
//! - [`commands`]: one file a verb.
//! - [`files`]: how files that others wrote are read.
//! - [`ui`]: plans and reports, shown to people and to programs.
//!
//! `fuzz` is there for tests alone: a function for each parser of what others wrote.
//!
//! `plan` and `model` know no engine, no file, no clock and no environment; a test holds that wall.

pub mod cli;
pub mod commands;
pub mod config;
pub mod engine;
pub mod error;
pub mod files;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod ledger;
pub mod model;
pub mod plan;
pub mod ui;

pub use error::{Error, Result};

//! dkb: docker build that leaves nothing behind, and a clean-up that takes what is ours and nothing else.
//!
//! The map of the house. Every verb goes the same way: *observe → plan → apply → report*. A room knows those below it,
//! and never one above:
//!
//! - [`verbs`]: one file a verb. `cli`: what was typed.
//! - `session`: how a session is named, kept open, watched and ended. `building`: one `dkb build`.
//! - `observe`: what there is. `apply`: doing what a plan says.
//! - `bookkeeping`: what a build made, written down. `plan_file`: a plan on disk. `processes`: other programs.
//! - `app`: the settings, who we are, and the way to the engine and the books. `runtime`: what waits for answers.
//! - `engine`: the only door to Docker. `ledger`: dkb's own notes, and who is at work. `config`: flags,
//!   environment and files, made into settings once. `report`: plans and what became of them, shown to people and
//!   to programs. `files`: how files that others wrote are read.
//! - `plan`: what to do, as pure functions of plain data. `model`: that data.
//!
//! `fuzz` is there for tests alone: a function for each parser of what others wrote.
//!
//! `plan` and `model` know no engine, no file, no clock and no environment; a test holds the walls.
//!
//! What is public is what the binary calls. The rooms that are hidden here are open to the tests outside, and promised
//! to nobody.

#![warn(missing_docs)]
// Engines, files and people may say any number.
#![cfg_attr(not(any(test, fuzzing)), warn(clippy::arithmetic_side_effects))]

mod app;
mod apply;
mod bookkeeping;
mod building;
#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod config;
#[doc(hidden)]
pub mod engine;
mod error;
mod files;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzz;
#[doc(hidden)]
pub mod ledger;
#[doc(hidden)]
pub mod model;
mod observe;
#[doc(hidden)]
pub mod plan;
mod plan_file;
mod processes;
mod report;
mod runtime;
mod session;
pub mod verbs;

pub use error::{Error, ErrorKind, Result};

//! The only door to Docker: which engine, which docker program, and the few calls that dkb makes.
//!
//! - [`endpoint`]: which engine is meant, decided as the Docker CLI decides it.
//! - `program`: which docker program to run, and what it is.
//! - `builder`: which builder that program is going to use; `cli_files`: docker's own settings, and
//!   `docker_json` how docker reads them; `seat`: dkb's place before
//!   buildx, on disk, and `extra_dirs` the words by which docker comes by.
//! - `builder_lists`: which builders buildx knows, of everybody whose list can be read.
//! - `buildkit`, `protobuf` and `past_builds`: what BuildKit remembers of builds, asked in its own language.
//! - `wire` and `dial`: byte streams to the engine, by socket or through the Docker CLI.
//! - `api`: the calls that dkb makes to any engine; `docker` and `inspect`: how a real one is asked them, Podman by the
//!   same API, of which only some answers mean something else there.
//! - `fake`: an engine in memory, for tests.
//! - `capabilities`: what each engine can do, in one table.
//! - `ask`: questions and their limits; `answer`: what of the engine's answers is read.

// What an engine says may be any number.
#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::ffi::OsString;

mod answer;
mod answer_disk;
mod api;
mod ask;
pub(crate) mod builder;
pub(crate) mod builder_lists;
mod buildkit;
pub(crate) mod capabilities;
pub(crate) mod cli_files;
mod dial;
mod docker;
mod docker_json;
pub mod endpoint;
mod extra_dirs;
#[doc(hidden)]
pub mod fake;
mod fault;
#[cfg(test)]
mod faults;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod identity;
mod inspect;
pub(crate) mod origin;
mod outcome;
mod past_builds;
pub(crate) mod private_config;
pub(crate) mod program;
mod protobuf;
mod question;
pub(crate) mod seat;
pub(crate) mod socket;
mod wire;
mod working;

pub(crate) use api::nameless;
pub use api::{Engine, Limits, ToDelete};
pub use ask::Hello;
pub use docker::{Docker, is_no_such_call};
pub use endpoint::{DockerFlags, Endpoint};
pub use outcome::{Answer, Removed};
pub use past_builds::Buildx;
pub use program::{Program, ProgramKind};
pub(crate) use question::answer;

/// The environment as a question, so that a test can answer it.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

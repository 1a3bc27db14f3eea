//! The only door to Docker: which engine, which docker program, and the few calls that dkb makes.
//!
//! Which engine, and how it is reached:
//! - [`endpoint`]: which engine is meant, decided as the Docker CLI decides it; `origin`: who said so.
//! - `wire` and `dial`: byte streams to the engine, by socket or through the Docker CLI; `socket`: a socket as a file.
//!
//! What is asked of it:
//! - `api`: the calls that dkb makes to any engine, and their limits; `docker` and `inspect`: how a real one is asked
//!   them, Podman by the same API, of which only some answers mean something else there; `working`: what only Podman's
//!   own API lists.
//! - `ask`: who answers, and answers read within a limit; `answer` and `answer_disk`: what is read of them; `outcome`
//!   and `fault`: how a question ended, or did not.
//! - `capabilities`: what each engine can do, in one table; `identity`: what names one for good.
//! - `buildkit`, `protobuf` and `past_builds`: what BuildKit remembers of builds, asked in its own language.
//! - `fake`: an engine in memory, for tests; `faults`: real ones that misbehave.
//!
//! The docker program, and what lies beside it:
//! - `program`: which docker program to run, and what it is; `first_line`: how a program is asked for that; `question`:
//!   what docker's answers beside or before a build.
//! - `builder`: which builder that program is going to use; `builder_lists`: which builders buildx knows, of everybody
//!   whose list can be read.
//! - `cli_files`: docker's own settings, and `docker_json` how docker reads them; `private_config`: a copy of them for
//!   a docker of ours.
//! - `seat`: dkb's place before buildx, on disk, and `extra_dirs` the words by which docker comes by.

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
mod first_line;
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

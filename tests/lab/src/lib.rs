//! The lab: real, private container engines for dkb's tests, and a fluent way to say what is on them.
//!
//! `README.md` beside this crate says how a test is written.

pub mod api;
mod archive;
pub mod command;
pub mod containers;
pub mod context;
pub mod dkb;
pub mod engine;
pub mod fake_docker;
pub mod host;
mod pool;
pub mod promise;
pub mod proxy;
pub mod pty;
pub mod registry;
pub mod wait;
mod wipe;

pub use api::{Api, Image};
pub use command::{Command, Output};
pub use context::Context;
pub use dkb::{State, set_dkb};
pub use engine::{Builder, Engine};
pub use fake_docker::FakeDocker;
pub use host::{ImageSpec, Placed};
pub use promise::Promises;
pub use proxy::Proxy;
pub use pty::Terminal;
pub use wait::eventually;

//! Other programs: docker and what a guard runs, their streams and signals, and the end of any process.

pub(crate) mod apart;
pub(crate) mod child;
mod end;
pub(crate) mod signals;
pub(crate) mod stdin;
mod stream;
mod tap;
pub(crate) mod user;

use std::ffi::OsStr;
use std::path::Path;

pub(crate) use end::process_end;

/// The name of a command, and never its arguments.
pub(crate) fn name_of(command: &OsStr) -> String {
    Path::new(command).file_name().unwrap_or(command).to_string_lossy().into_owned()
}

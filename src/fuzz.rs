//! The one door for fuzzing: a function for each parser of words that others wrote, and the laws that hold for them
//! whatever was written. `fuzz/` gives them to libFuzzer, and `cargo test` gives them what lies in `fuzz/corpus/`.
//!
//! Each takes any bytes, breaks where a law is broken, and says whether the parser made something of them.

// A law that is broken is what these look for.
#![allow(clippy::missing_panics_doc)]

mod books;
mod build;
mod engine;
mod settings;
#[cfg(test)]
mod tests;

pub use books::{history, ledger, plan};
pub use build::{argv, classic};
pub use engine::{answers, contexts};
pub use settings::settings;

/// Breaks where a law is broken; whether the parser made something of the bytes.
pub type FuzzTarget = fn(&[u8]) -> bool;

/// Each by the name that its file and its corpus in `fuzz/` have.
pub const TARGETS: [(&str, FuzzTarget); 8] = [
    ("answers", answers),
    ("argv", argv),
    ("classic", classic),
    ("contexts", contexts),
    ("history", history),
    ("ledger", ledger),
    ("plan", plan),
    ("settings", settings),
];

/// The first line, and all behind it.
fn head(data: &[u8]) -> (&str, &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (first, rest) = data.split_at(end);
    (std::str::from_utf8(first).unwrap_or_default(), rest.get(1..).unwrap_or_default())
}

//! One short file a verb, and what they share.

mod apply;
pub mod build;
pub mod completions;
pub mod config;
pub mod world;

//! One short file a verb, and what they share.

mod apply;
pub mod build;
pub mod world;

//! What was typed, as far as it sets a key.

use std::ffi::OsString;

/// A flag that sets a key, as it was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Typed {
    /// The flag's ID in the table of keys.
    pub id: &'static str,
    /// With its dashes, for errors.
    pub flag: String,
    pub values: Vec<OsString>,
}

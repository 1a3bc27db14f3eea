//! How results are printed.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Human,
    Json,
}

impl Format {
    pub const NAMES: &[&str] = &["human", "json"];

    /// One document, whole, that programs read.
    pub fn is_document(self) -> bool {
        self != Self::Human
    }

    pub(super) fn named(name: &str) -> Self {
        match name {
            "json" => Self::Json,
            _ => Self::Human,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Color {
    Auto,
    Always,
    Never,
}

impl Color {
    pub const NAMES: &[&str] = &["auto", "always", "never"];

    pub(super) fn named(name: &str) -> Self {
        match name {
            "always" => Self::Always,
            "never" => Self::Never,
            _ => Self::Auto,
        }
    }
}

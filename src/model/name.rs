//! The name of a project or a session: `[A-Za-z0-9][A-Za-z0-9._/-]{0,127}`.
//!
//! What somebody typed must be of that form; what dkb derives is mapped into it and never fails.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

const MADE_UP: &str = "run-";

/// One text, however often the name is copied: a ledger has few names, and each very often.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    pub const LONGEST: usize = 128;

    /// Takes a name that somebody typed.
    pub fn typed(text: &str) -> Result<Self, String> {
        let fits = text.len() <= Self::LONGEST
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.bytes().all(|byte| allowed(byte.into()));
        if fits {
            Ok(Self(text.into()))
        } else {
            Err(format!(
                "'{}' is no name: up to {} of A-Z a-z 0-9 . _ / -, beginning with a letter or digit",
                text.escape_debug(),
                Self::LONGEST
            ))
        }
    }

    /// Maps anything into a name; `None` where nothing of it is left.
    pub fn derived(text: &str) -> Option<Self> {
        let mapped: String = text.chars().map(|c| if allowed(c) { c } else { '-' }).collect();
        let mapped = mapped.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        let mapped = mapped.get(..Self::LONGEST).unwrap_or(mapped);
        (!mapped.is_empty()).then(|| Self(mapped.into()))
    }

    /// The project of a place that nothing names.
    pub fn unnamed() -> Self {
        Self("unnamed".into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The session of a run that nobody gave a name to, after twelve digits that nobody else has.
    pub fn made_up(digits: &str) -> Option<Self> {
        Self::typed(&format!("{MADE_UP}{digits}")).ok().filter(Self::is_made_up)
    }

    /// Nobody else comes to the same one.
    pub fn is_made_up(&self) -> bool {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        self.0.strip_prefix(MADE_UP).is_some_and(|digits| digits.len() == 12 && digits.bytes().all(is_digit))
    }

    /// Sessions that dkb named after a working copy; they never end by themselves.
    pub fn is_local(&self) -> bool {
        self.0.starts_with("local-")
    }
}

fn allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '/' | '-')
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::typed(text)
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::text::parsed(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typed_name_is_taken_whole_or_refused() {
        for good in ["a", "0", "owner/repo", "a.b_c-d", &"x".repeat(128)] {
            assert_eq!(Name::typed(good).expect(good).as_str(), good);
        }
        for bad in ["", "-a", "/a", ".a", "a b", "ä", "a\n", "a=b", &"x".repeat(129)] {
            assert!(Name::typed(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_name_that_was_made_up_is_known_by_its_form() {
        let made = Name::made_up("0123456789ab").expect("a name");
        assert_eq!((made.as_str(), made.is_made_up()), ("run-0123456789ab", true));
        assert_eq!((Name::made_up("7"), Name::made_up("0123456789AB")), (None, None));
        for typed in ["run-7", "run-0123456789abc", "run-e2e-nightly1", "local-0123456789ab"] {
            assert!(!Name::typed(typed).expect(typed).is_made_up(), "{typed}");
        }
    }

    #[test]
    fn a_derived_name_is_always_one_that_could_be_typed() {
        for (from, to) in [("owner/repo", "owner/repo"), ("my app", "my-app"), ("--x", "x"), ("größe", "gr--e")] {
            assert_eq!(Name::derived(from).expect(from).as_str(), to);
        }
        assert_eq!(Name::derived("///"), None);
        assert_eq!(Name::derived(&"x".repeat(300)).expect("a name").as_str().len(), 128);
    }
}

//! What a guard tells those that run inside it.

use std::fmt;

use super::Name;

/// Behind the session where its project was named by a checkout and by nobody else: in the variable for the project
/// the name would look like the user's own word.
const BY_CHECKOUT: &str = ":checkout";

/// A guard's mark in the environment of its command, `e2e` or `e2e:checkout`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardMark {
    pub session: Name,
    /// The project was named by the user or the CI, not by the checkout alone.
    pub vouched: bool,
}

impl GuardMark {
    pub const VARIABLE: &str = "DKB_GUARD";

    /// `None` for what no guard would write.
    pub fn parse(text: &str) -> Option<Self> {
        let (session, vouched) = text.strip_suffix(BY_CHECKOUT).map_or((text, true), |session| (session, false));
        Some(Self { session: Name::typed(session).ok()?, vouched })
    }
}

impl fmt::Display for GuardMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.session, if self.vouched { "" } else { BY_CHECKOUT })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        for (text, session, vouched) in [("e2e", "e2e", true), ("a/b-1:checkout", "a/b-1", false)] {
            let mark = GuardMark::parse(text).expect(text);
            assert_eq!((mark.session.as_str(), mark.vouched), (session, vouched));
            assert_eq!(mark.to_string(), text);
        }
        for nobodys in ["", ":checkout", "e2e:", "e2e:other", "e2e:checkout:checkout", "a b", "-x"] {
            assert_eq!(GuardMark::parse(nobodys), None, "{nobodys}");
        }
    }
}

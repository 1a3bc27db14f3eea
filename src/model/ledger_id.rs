//! What tells one ledger from all others: whose hold on an image it is.

use std::fmt;

use serde::Serialize;

/// Sixteen hex digits, made up once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct LedgerId(String);

impl LedgerId {
    pub fn parse(text: impl Into<String>) -> Option<Self> {
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        Some(text.into()).filter(|text| text.len() == 16 && text.bytes().all(is_digit)).map(Self)
    }
}

impl fmt::Display for LedgerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The ledger whose ID is this digit.
    pub(crate) fn ledger(digit: char) -> LedgerId {
        LedgerId::parse(digit.to_string().repeat(16)).expect("a digit")
    }

    #[test]
    fn it_is_sixteen_digits_and_nothing_else() {
        assert_eq!(LedgerId::parse("0123456789abcdef").map(|id| id.to_string()).as_deref(), Some("0123456789abcdef"));
        for text in ["", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF", "0123456789abcde/"] {
            assert_eq!(LedgerId::parse(text), None, "{text}");
        }
    }
}

//! The ID of an image: the engine's `sha256:` and 64 hex digits, kept as the 32 bytes they stand for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "String")]
pub struct ImageId([u8; 32]);

impl ImageId {
    /// Reads `sha256:<64 hex>`, or the 64 digits alone as Podman writes them.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("sha256:").unwrap_or(text);
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// The twelve digits that docker shows.
    pub fn short(&self) -> String {
        hex::encode(&self.0[..6])
    }

    /// All 64 digits, without the algorithm: what a private tag is named after.
    pub fn digits(&self) -> String {
        hex::encode(self.0)
    }

    /// Whether the digits of this ID begin with these, as in docker's short IDs.
    pub fn starts_with(&self, digits: &str) -> bool {
        let own = self.0.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let mut own = own.map(|digit| char::from_digit(digit.into(), 16));
        digits.chars().all(|digit| own.next().flatten() == Some(digit))
    }

    /// The name under which an untagged image is deleted: nobody else uses it, so it works as a compare-and-swap.
    pub fn private_tag(&self) -> Reference {
        Reference::private(&self.digits())
    }

    /// The name by which this ledger's sessions keep an image whose tag they took.
    pub fn hold(&self, ledger: &LedgerId) -> Reference {
        Reference::hold(&self.digits(), ledger)
    }
}

use super::{LedgerId, Reference};

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.digits())
    }
}

impl fmt::Debug for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

impl FromStr for ImageId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text).ok_or_else(|| format!("'{text}' is no image ID"))
    }
}

impl<'de> Deserialize<'de> for ImageId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        super::text::parsed(deserializer)
    }
}

impl From<ImageId> for String {
    fn from(id: ImageId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_it_was_written() {
        let text = format!("sha256:{}", "0123456789abcdef".repeat(4));
        let id = ImageId::parse(&text).expect("an ID");
        assert_eq!(id.to_string(), text);
        assert_eq!(id.short(), "0123456789ab");
        assert_eq!(ImageId::parse(&text[7..]), Some(id));
        let digits = &text[7..];
        assert!((0..=64).all(|length| id.starts_with(&digits[..length])));
        assert!(!id.starts_with("1") && !id.starts_with("012g") && !id.starts_with(&format!("{digits}0")));
    }

    #[test]
    fn anything_else_is_no_id() {
        let long = "0".repeat(65);
        for text in ["", "sha256:", "sha256:0123", "latest", &long, "sha512:00"] {
            assert_eq!(ImageId::parse(text), None, "{text}");
        }
    }
}

//! What tells one build from all others, on every engine and in every ledger.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct BuildId(String);

impl BuildId {
    /// Of a build that begins at this moment in this process.
    pub fn of(began: Timestamp, process: u32) -> Self {
        Self(format!("{:x}-{process:x}", began.as_nanosecond()))
    }

    /// That of another target of the same bake. The first is the bake's own.
    pub fn nth(&self, nth: usize) -> Self {
        if nth == 0 { self.clone() } else { Self(format!("{}-{nth:x}", self.0)) }
    }

    /// When that was, where it is told by such an ID.
    pub fn began(&self) -> Option<Timestamp> {
        let (began, _) = self.0.split_once('-')?;
        Timestamp::from_nanosecond(i128::from_str_radix(began, 16).ok()?).ok()
    }

    /// Nothing at all names no build.
    pub fn parse(text: impl Into<String>) -> Option<Self> {
        Some(text.into()).filter(|text| !text.is_empty()).map(Self)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for BuildId {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(text).ok_or("a build without an ID")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_as_it_was_written_and_nothing_is_none() {
        let id = BuildId::of(Timestamp::from_second(1).expect("a time"), 255);
        assert_eq!(id.began(), Timestamp::from_second(1).ok());
        assert_eq!((id.nth(0), id.nth(11).as_str(), id.nth(11).began()), (id.clone(), "3b9aca00-ff-b", id.began()));
        assert_eq!(["7", "x-1", "-1"].map(|text| BuildId::parse(text).and_then(|id| id.began())), [None; 3]);
        assert_eq!(serde_json::to_string(&id).expect("plain data"), r#""3b9aca00-ff""#);
        assert_eq!(serde_json::from_str::<BuildId>(r#""3b9aca00-ff""#).expect("an ID"), id);
        assert!(serde_json::from_str::<BuildId>(r#""""#).is_err());
        assert_eq!(BuildId::parse(""), None);
    }
}

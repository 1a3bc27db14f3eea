//! A mark on a disk: a share of it, or a number of bytes.

use std::fmt;

use super::parse_bytes;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskMark {
    Percent(u8),
    Bytes(u64),
}

/// How full a disk is, and what its marks ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskUse {
    pub used: u64,
    /// What there is; `None` where only the engine's own things are counted.
    pub all: Option<u64>,
    pub above: DiskMark,
    pub down_to: DiskMark,
    /// The bytes that are to come back; none below the mark.
    pub need: u64,
}

impl DiskMark {
    /// `85%` or `200GB`. A number alone is refused: percent or bytes?
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(number) = text.strip_suffix('%') {
            return number.parse().ok().filter(|percent| (1..=100).contains(percent)).map(Self::Percent);
        }
        let unit = text.ends_with(|c: char| c.is_ascii_alphabetic());
        parse_bytes(text).ok().filter(|bytes| unit && *bytes > 0).map(Self::Bytes)
    }

    /// Whether this mark is at or below the other; `None` where one is a share and the other a size.
    pub fn is_within(self, other: Self) -> Option<bool> {
        match (self, other) {
            (Self::Percent(a), Self::Percent(b)) => Some(a <= b),
            (Self::Bytes(a), Self::Bytes(b)) => Some(a <= b),
            _ => None,
        }
    }
}

impl fmt::Display for DiskMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Percent(percent) => write!(f, "{percent}%"),
            Self::Bytes(bytes) => f.write_str(&super::exact_bytes(*bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_a_share_or_a_size() {
        assert_eq!(DiskMark::parse("85%"), Some(DiskMark::Percent(85)));
        assert_eq!(DiskMark::parse("200GB"), Some(DiskMark::Bytes(200_000_000_000)));
        for text in ["", "%", "85", "0%", "101%", "-1%", "0GB", "85 %", "many"] {
            assert_eq!(DiskMark::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn shares_and_sizes_do_not_compare() {
        let mark = |text| DiskMark::parse(text).expect(text);
        assert_eq!(mark("80%").is_within(mark("85%")), Some(true));
        assert_eq!(mark("6GB").is_within(mark("5GB")), Some(false));
        assert_eq!(mark("80%").is_within(mark("5GB")), None);
    }
}

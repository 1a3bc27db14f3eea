//! Durations and sizes, as people type and read them.

use std::time::Duration;

/// `90s 15m 24h 7d`, and combinations such as `1h30m`. A number alone is refused: seconds or days?
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{}' is no duration: write 90s, 15m, 24h or 7d", text.escape_debug());
    if text.is_empty() || text.bytes().all(|b| b.is_ascii_digit()) && text != "0" {
        return Err(wrong());
    }
    humantime::parse_duration(text).map_err(|_| wrong())
}

/// `500MB` (decimal, as docker prints) and `5GiB` (binary). A number alone is bytes.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("'{}' is no size: write 500MB, 5GB or 5GiB", text.escape_debug());
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        // Who writes 10 means 10 GB, or none of them.
        "" if number.trim_matches('0').is_empty() => 1,
        "b" => 1,
        "k" | "kb" => 1000,
        "m" | "mb" => 1000_u64.pow(2),
        "g" | "gb" => 1000_u64.pow(3),
        "t" | "tb" => 1000_u64.pow(4),
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return Err(wrong()),
    };
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    // Nine digits of fraction are more than anybody types; the rest cannot change a byte count that matters.
    let fraction = fraction.get(..9).unwrap_or(fraction);
    let scale = 10_u64.pow(u32::try_from(fraction.len()).unwrap_or(0));
    let part: u64 = fraction.parse().map_err(|_| wrong())?;
    let part = u128::from(part).saturating_mul(u128::from(factor)).checked_div(u128::from(scale)).unwrap_or(0);
    whole.checked_mul(factor).and_then(|n| n.checked_add(u64::try_from(part).ok()?)).ok_or_else(wrong)
}

/// All of them together. An engine may say anything, so the sum of what it says ends at the largest number.
pub fn total(amounts: impl IntoIterator<Item = u64>) -> u64 {
    amounts.into_iter().fold(0, u64::saturating_add)
}

/// Decimal, as docker prints sizes: `212.4 MB`.
pub fn human_bytes(bytes: u64) -> String {
    let digits = usize::from(bytes >= 1000);
    humansize::format_size(bytes, humansize::DECIMAL.decimal_places(digits))
}

/// A size as it can be typed again, without losing a byte: `5GB`, `5GiB`, `1234`.
pub fn exact_bytes(bytes: u64) -> String {
    let units = [(1 << 40, "TiB"), (1_000_000_000_000, "TB"), (1 << 30, "GiB"), (1_000_000_000, "GB")];
    let units = units.into_iter().chain([(1 << 20, "MiB"), (1_000_000, "MB"), (1 << 10, "KiB"), (1000, "kB")]);
    let whole = units.into_iter().find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit));
    whole.map_or_else(
        || if bytes == 0 { "0".to_owned() } else { format!("{bytes}B") },
        |(unit, name)| format!("{}{name}", bytes.checked_div(unit).unwrap_or(0)),
    )
}

/// A duration as it can be typed again: `90s`, `15m`, `24h`, `7d`.
pub fn exact_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    // A single day is written in hours, as everybody types it.
    let (unit, name) = match seconds {
        0 => (1, "s"),
        _ if seconds > 86_400 && seconds.is_multiple_of(86_400) => (86_400, "d"),
        _ if seconds.is_multiple_of(3600) => (3600, "h"),
        _ if seconds.is_multiple_of(60) => (60, "m"),
        _ => (1, "s"),
    };
    format!("{}{name}", seconds.checked_div(unit).unwrap_or(0))
}

/// The largest unit that fits: `3 days`, `2 hours`, `40 seconds`.
pub fn human_duration(age: Duration) -> String {
    let seconds = age.as_secs();
    let (number, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3600 => (seconds / 60, "minute"),
        3600..172_800 => (seconds / 3600, "hour"),
        172_800..63_072_000 => (seconds / 86_400, "day"),
        _ => (seconds / 31_536_000, "year"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("24h", 86_400), ("7d", 604_800), ("1h30m", 5400)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "7", "d", "-1h", "7 parsecs", "99999999999999999999d"] {
            assert!(parse_duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes) in
            [("500MB", 500_000_000), ("5GiB", 5 << 30), ("1.5GB", 1_500_000_000), ("12B", 12), ("0", 0), ("2 kb", 2000)]
        {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "12", "1.5", "MB", "-1", "5 apples", "1.2.3GB", "99999999999TB", "."] {
            assert!(parse_bytes(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn sizes_read_as_docker_prints_them() {
        assert_eq!(human_bytes(0), "0 B");
        assert_eq!(human_bytes(999), "999 B");
        assert_eq!(human_bytes(212_400_000), "212.4 MB");
    }

    #[test]
    fn what_is_written_exactly_can_be_typed_again() {
        for text in ["90s", "15m", "24h", "7d", "36h", "61s", "0s"] {
            assert_eq!(exact_duration(parse_duration(text).expect(text)), text);
        }
        for text in ["5GB", "5GiB", "500MB", "1234B", "0", "3kB", "2TiB"] {
            assert_eq!(exact_bytes(parse_bytes(text).expect(text)), text);
        }
    }

    #[test]
    fn ages_read_in_their_largest_unit() {
        for (seconds, text) in
            [(1, "1 second"), (120, "2 minutes"), (7200, "2 hours"), (259_200, "3 days"), (195_091_200, "6 years")]
        {
            assert_eq!(human_duration(Duration::from_secs(seconds)), text);
        }
    }
}

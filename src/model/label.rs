//! A filter on labels, as docker writes it: `label=key`, `label=key=value`, `label!=key`, `label!=key=value`.

use std::collections::HashMap;
use std::fmt;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelFilter {
    key: String,
    value: Option<String>,
    /// What has the label is kept, instead of what lacks it.
    negated: bool,
}

impl LabelFilter {
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.trim().strip_prefix("label")?;
        let (negated, rest) = match rest.strip_prefix("!=") {
            Some(rest) => (true, rest),
            None => (false, rest.strip_prefix('=')?),
        };
        let (key, value) = match rest.split_once('=') {
            Some((key, value)) => (key, Some(value.to_owned())),
            None => (rest, None),
        };
        let fits = !key.is_empty() && !key.contains(|c: char| c.is_whitespace() || c == '!');
        fits.then(|| Self { key: key.to_owned(), value, negated })
    }

    /// Whether something with these labels may go.
    pub fn lets_through(&self, labels: &HashMap<String, String>) -> bool {
        let has = labels.get(&self.key).is_some_and(|value| self.value.as_ref().is_none_or(|wanted| wanted == value));
        has != self.negated
    }
}

impl fmt::Display for LabelFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "label{}={}", if self.negated { "!" } else { "" }, self.key)?;
        self.value.as_ref().map_or(Ok(()), |value| write!(f, "={value}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_reads_back_as_it_was_written() {
        for text in ["label=ci", "label=ci=yes", "label!=keep", "label!=keep=true", "label=a=b=c"] {
            assert_eq!(LabelFilter::parse(text).expect(text).to_string(), text);
        }
        for text in ["", "label", "label=", "label!=", "labels=x", "until=24h", "label=k!=v", "label=a b"] {
            assert_eq!(LabelFilter::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_filter_lets_through_what_docker_would() {
        let labels = HashMap::from([("keep".to_owned(), "true".to_owned())]);
        for (filter, through) in [
            ("label=keep", true),
            ("label=keep=true", true),
            ("label=keep=no", false),
            ("label=other", false),
            ("label!=keep", false),
            ("label!=keep=true", false),
            ("label!=keep=no", true),
        ] {
            assert_eq!(LabelFilter::parse(filter).expect(filter).lets_through(&labels), through, "{filter}");
        }
    }
}

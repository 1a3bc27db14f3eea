//! Keep patterns that keep nothing: most often a slip of the pen, so the name that comes nearest is said with them.

use std::collections::BTreeSet;
use std::fmt;

use crate::model::{Image, Pattern, Reference, slip};

/// A container, a volume or a network.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Named<'a> {
    pub name: &'a str,
    pub id: &'a str,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unmatched {
    pub pattern: Pattern,
    pub nearest: Option<String>,
}

impl fmt::Display for Unmatched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the keep pattern '{}' matches nothing here", self.pattern.as_str().escape_debug())?;
        let Some(nearest) = &self.nearest else { return Ok(()) };
        write!(f, "; did you mean '{}'?", nearest.escape_debug())
    }
}

/// The patterns that match none of all these things.
pub(crate) fn unmatched(patterns: &[Pattern], images: &[Image], named: &[Named]) -> Vec<Unmatched> {
    let keeps_any = |pattern: &Pattern| {
        images.iter().any(|image| pattern.keeps(image))
            || named.iter().any(|thing| pattern.keeps_named(thing.name, thing.id))
    };
    let left: Vec<&Pattern> = patterns.iter().filter(|pattern| !keeps_any(pattern)).collect();
    if left.is_empty() {
        return Vec::new();
    }
    let tags = images.iter().flat_map(Image::public_tags);
    let tags = tags.map(|tag| tag.short().to_string());
    let known: BTreeSet<String> = tags.chain(named.iter().map(|thing| thing.name.to_owned())).collect();
    left.into_iter().map(|pattern| Unmatched { pattern: pattern.clone(), nearest: nearest(pattern, &known) }).collect()
}

/// The name that somebody may have meant: whole, without its tag, or by its last part, and at most a third of it
/// written otherwise.
fn nearest(pattern: &Pattern, names: &BTreeSet<String>) -> Option<String> {
    let written = Reference::listed(pattern.as_str()).map(|name| name.without_hub().to_lowercase())?;
    let written = written.replace(['*', '?'], "");
    let written = written.trim_end_matches(':');
    let apart = |name: &String| {
        let last = name.rsplit('/').next().unwrap_or(name);
        let bare = |text: &str| text.rsplit_once(':').map_or(text, |(repository, _)| repository).to_owned();
        let forms = [name.clone(), bare(name), last.to_owned(), bare(last)];
        forms.iter().filter_map(|form| slip(written, form)).min()
    };
    names.iter().filter_map(|name| Some((apart(name)?, name))).min().map(|(_, name)| name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::image_tests::image;

    #[test]
    fn a_pattern_that_keeps_nothing_is_named_with_what_may_have_been_meant() {
        let images = [
            image(1).tag("postgres:16").done(),
            image(2).tag("registry.example/team/shop:1.2").tag("shop-api").done(),
            image(3).digest("kind/node@sha256:00").done(),
        ];
        let named = [Named { name: "pgdata", id: "pgdata" }, Named { name: "web", id: "0123456789abcdef" }];
        let said = |pattern: &str| {
            let found = unmatched(&[Pattern::new(pattern).expect("a pattern")], &images, &named);
            found.into_iter().next().map(|found| found.to_string())
        };
        for pattern in ["postgres", "docker.io/*", "shop*", "kind/node", "pgdata", "web", "0123456789ab", "*"] {
            assert_eq!(said(pattern), None, "{pattern}");
        }
        for (pattern, meant) in [
            ("postgers:*", "postgres:16"),
            ("docker.io/library/postgre:16", "postgres:16"),
            ("postgres:17", "postgres:16"),
            ("Shop-API:*", "shop-api:latest"),
            ("registry.example/team/shpo", "registry.example/team/shop:1.2"),
            ("pg-data", "pgdata"),
        ] {
            let expected = format!("the keep pattern '{pattern}' matches nothing here; did you mean '{meant}'?");
            assert_eq!(said(pattern), Some(expected));
        }
        for pattern in ["redis:*", "sha256:ffff", "\u{1b}[2J"] {
            let said = said(pattern).expect("a warning");
            assert!(said.ends_with("matches nothing here") && !said.contains('\u{1b}'), "{said}");
        }
        assert_eq!(unmatched(&[], &images, &named), []);
        assert_eq!(unmatched(&[Pattern::new("x").expect("a pattern")], &[], &[]).len(), 1, "an empty host");
    }
}

//! A keep pattern: `*` stands for any run of characters, `?` for one. It matches a whole name, the part
//! before the tag, or the last part of a path, so that `app*` keeps `registry.example/team/app:1` too. Of an image
//! it matches every spelling of a name, the digests, and the ID. When in doubt it keeps more.

// Places within words that lie in memory.
#![allow(clippy::arithmetic_side_effects)]

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::{Image, Reference};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pattern(String);

impl Pattern {
    pub fn new(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("an empty pattern matches nothing: name something to keep, such as 'app:*'".to_owned());
        }
        Ok(Self(text.trim().to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn keeps(&self, image: &Image) -> bool {
        let digests = || image.digests.iter().chain(&image.beside);
        let repositories = digests().filter_map(|digest| Reference::listed(digest));
        let mut names = image.tags.iter().cloned().chain(repositories).filter(|name| !name.is_private());
        let mut hashes = digests().filter_map(|digest| digest.split_once("@sha256:")).map(|(_, hash)| hash);
        names.any(|name| self.matches_image(&name))
            || self.matches_id(&image.id.digits())
            || hashes.any(|hash| self.matches_id(hash))
    }

    /// The one question that comes before every deletion of an image.
    pub fn any_keeps(patterns: &[Self], image: &Image) -> bool {
        patterns.iter().any(|pattern| pattern.keeps(image))
    }

    /// The same for a container, a volume or a network.
    pub fn any_keeps_named(patterns: &[Self], name: &str, id: &str) -> bool {
        patterns.iter().any(|pattern| pattern.keeps_named(name, id))
    }

    /// A container, a volume or a network.
    pub fn keeps_named(&self, name: &str, id: &str) -> bool {
        self.matches(name) || self.matches_id(id)
    }

    pub fn matches_image(&self, name: &Reference) -> bool {
        name.spellings().iter().any(|spelling| self.matches(spelling))
    }

    pub fn matches(&self, name: &str) -> bool {
        let pattern = self.name();
        let last = name.rsplit('/').next().unwrap_or(name);
        [name, last].into_iter().any(|text| {
            let Some((repository, _)) = text.split_once('@') else {
                let before_tag = text.rfind(':').map_or(text, |colon| &text[..colon]);
                return glob(&pattern, text) || glob(&pattern, before_tag);
            };
            // `repo` and `repo:*` keep what was pulled by digest too, and the first digits of a digest are enough.
            [text, repository, &format!("{repository}:")].into_iter().any(|text| glob(&pattern, text))
                || pattern.contains('@') && glob(&format!("{pattern}*"), text)
        })
    }

    /// The pattern for names: of `app:1@sha256:…` the engine keeps no tag.
    fn name(&self) -> Cow<'_, str> {
        let Some((name, digest)) = self.0.split_once('@') else { return Cow::Borrowed(&self.0) };
        let path = name.rfind('/').map_or(0, |slash| slash + 1);
        let repository = name[path..].find(':').map_or(name, |colon| &name[..path + colon]);
        Cow::Owned(format!("{repository}@{digest}"))
    }

    /// `sha256:` and digits, or at least as many digits as docker shows.
    fn matches_id(&self, digits: &str) -> bool {
        let text = self.0.to_ascii_lowercase();
        match text.strip_prefix("sha256:") {
            Some(start) => !start.is_empty() && glob(&format!("{start}*"), digits),
            None => text.len() >= 12 && text.bytes().all(|c| c.is_ascii_hexdigit()) && digits.starts_with(&text),
        }
    }
}

/// Linear in the text for each star: on a mismatch it goes back to the last star only.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == b'?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    t = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert, proptest};

    use super::*;
    use crate::model::image_tests::image;

    #[test]
    fn a_pattern_keeps_what_a_reader_would_expect() {
        let keeps = |pattern: &str, name: &str| Pattern::new(pattern).expect("a pattern").matches(name);
        for (pattern, name) in [
            ("app", "app:1"),
            ("app:*", "app:1"),
            ("app*", "registry.example/team/app:1"),
            ("registry.example/*", "registry.example/team/app:1"),
            ("*:release-?", "app:release-1"),
            ("*", "anything"),
        ] {
            assert!(keeps(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("app", "application:1"), ("app:1", "app:12"), ("?", "ab"), ("b*", "a/cb:1")] {
            assert!(!keeps(pattern, name), "{pattern} {name}");
        }
        assert!(Pattern::new(" ").is_err());
    }

    fn keeps(pattern: &str, image: &Image) -> bool {
        Pattern::new(pattern).expect("a pattern").keeps(image)
    }

    fn named(name: &str) -> Image {
        Image { tags: vec![Reference::listed(name).expect("a name")], ..image(1).done() }
    }

    #[test]
    fn a_pattern_keeps_an_image_however_the_engine_writes_its_name() {
        for name in ["team/app:1", "localhost/team/app:1", "docker.io/team/app:1"] {
            assert!(keeps("team/*", &named(name)) && keeps("team/app", &named(name)), "{name}");
        }
        assert!(keeps("localhost/*", &named("localhost/app:1")) && !keeps("team/*", &named("other/team/app:1")));
    }

    #[test]
    fn every_way_to_write_a_name_keeps_it_and_nothing_of_another_domain() {
        for (patterns, kept, not) in [
            (
                "postgres postgres:16 postgres:* library/postgres docker.io/postgres:1? docker.io/library/postgres:* \
                 index.docker.io/library/postgres:16 index.docker.io/postgres docker.io/* */postgres:* */*/postgres:* \
                 postgres:16@sha256:* docker.io/library/postgres@sha256:0123456789ab*",
                "postgres:16 docker.io/library/postgres:16 library/postgres:16",
                "quay.io/me/other:16 quay.io/postgresql:16",
            ),
            (
                "docker.io/library/postgres docker.io/library/* index.docker.io/* library/*",
                "postgres:16 docker.io/library/postgres:16",
                "quay.io/postgres:16 host:5000/postgres:16 localhost:5000/library/postgres:16",
            ),
            ("postgres library/postgres docker.io/postgres:*", "postgres:16", "postgresql:16 docker.io/me/other:16"),
            (
                "me/app docker.io/me/* index.docker.io/me/app:1 docker.io/* */app:1",
                "me/app:1 docker.io/me/app:1",
                "quay.io/me/other:1 host:80/app:2",
            ),
            (
                "localhost/app localhost/* app library/app docker.io/library/app:1",
                "app:1 localhost/app:1",
                "quay.io/x:1",
            ),
            ("localhost/*", "localhost/app:1 app:1 me/app:1", "docker.io/library/app:1 localhost:5000/app:1"),
            ("quay.io/* quay.io/me/app */me/app:* app", "quay.io/me/app:1", "quay.io.example/me/b:1 b:app"),
            ("localhost:5000/* localhost:5000/app", "localhost:5000/app:1", "localhost/b:1 b:5000"),
        ] {
            for pattern in patterns.split_whitespace() {
                for name in kept.split_whitespace() {
                    let repository = Reference::listed(name).expect(name).repository().to_owned();
                    let digest = format!("{repository}@sha256:{}", "0123456789abcdef".repeat(4));
                    let image = Image { beside: vec![digest], ..named(name) };
                    assert!(keeps(pattern, &image), "{pattern} keeps {name}");
                }
                for name in not.split_whitespace() {
                    assert!(!keeps(pattern, &named(name)), "{pattern} has nothing to do with {name}");
                }
            }
        }
    }

    #[test]
    fn an_id_or_a_digest_keeps_the_image() {
        let hash = "0123456789abcdef".repeat(4);
        let own = image(0xab).done();
        let pulled = Image { digests: vec![format!("kind/node@sha256:{hash}")], ..image(1).done() };
        let tagged = Image { beside: vec![format!("kind/node@sha256:{hash}")], ..named("kind/node:1") };
        let id = "ab".repeat(32);
        for pattern in [&id, &id[..12], &format!("sha256:{id}"), "sha256:abab", "sha256:ab*", "ABABABABABABAB"] {
            assert!(keeps(pattern, &own) && !keeps(pattern, &pulled), "{pattern}");
        }
        for pattern in
            ["abab", "abababababa", "sha256:", "sha256:bab", "abababababac", "ababababababx", &format!("{id}ab")]
        {
            assert!(!keeps(pattern, &own), "{pattern}");
        }
        for pattern in [
            &format!("kind/node@sha256:{hash}"),
            &format!("docker.io/kind/node@sha256:{hash}"),
            &format!("kind/node:1@sha256:{hash}"),
            &format!("sha256:{hash}"),
            &hash[..12],
            "kind/node@sha256:0123456789ab",
            "kind/node@*",
            "kind/node",
            "kind/node:*",
            "node",
        ] {
            assert!(keeps(pattern, &pulled) && keeps(pattern, &tagged), "{pattern}");
        }
        for pattern in ["kind/other@*", "kind/node@sha256:1", "other/node@sha256:0123456789ab", "kind/node:2"] {
            assert!(!keeps(pattern, &pulled) && !keeps(pattern, &tagged), "{pattern}");
        }
    }

    #[test]
    fn our_own_names_keep_nothing() {
        let mut held = image(1).done();
        held.tags.push(held.id.private_tag());
        assert!(!keeps("*", &held) && !keeps("dkb.invalid/*", &held));
    }

    proptest! {
        #[test]
        fn every_spelling_of_one_name_gives_the_same_answer(
            path in "[ab]{1,2}(/[ab]{1,2})?",
            tag in "[12]{1,2}",
            pattern in "(docker\\.io/|library/|index\\.docker\\.io/)?[ab*?]{1,2}(/[ab*?]{1,2})?(:[12*?]{1,2})?",
        ) {
            let full = if path.contains('/') { path.clone() } else { format!("library/{path}") };
            let names = [path.clone(), full.clone(), format!("docker.io/{full}"), format!("index.docker.io/{full}")];
            let answers: Vec<bool> = names.iter().map(|name| keeps(&pattern, &named(&format!("{name}:{tag}")))).collect();
            prop_assert!(answers.iter().all(|answer| *answer == answers[0]), "{pattern} {names:?} {answers:?}");
            for written in names.iter().chain([&format!("docker.io/{path}"), &format!("localhost/{path}")]) {
                for name in names.iter().take(if written.starts_with("localhost") { 2 } else { 4 }) {
                    let name = named(&format!("{name}:{tag}"));
                    prop_assert!(keeps(written, &name) && keeps(&format!("{written}:{tag}"), &name), "{written}");
                    let (any, other) = (format!("{written}:*"), format!("{written}:0"));
                    prop_assert!(keeps(&any, &name) && !keeps(&other, &name), "{any} {other}");
                }
            }
        }

        #[test]
        fn no_text_is_too_odd_for_a_pattern(pattern in "\\PC{1,20}", name in "\\PC{1,20}") {
            let image = Image { digests: vec![name.clone()], ..image(1).done() };
            if let Ok(pattern) = Pattern::new(&pattern) {
                let _ = (pattern.keeps(&image), pattern.keeps_named(&name, &name));
            }
        }
    }
}

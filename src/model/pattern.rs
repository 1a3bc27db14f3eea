//! A keep pattern: `*` stands for any run of characters, `?` for one. It matches a whole name, the part
//! before the tag, or the last part of a path, so that `app*` keeps `registry.example/team/app:1` too.

use serde::{Deserialize, Serialize};

use super::Reference;

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

    /// Podman and the user may write one image's name in two ways; either keeps it.
    pub fn matches_image(&self, name: &Reference) -> bool {
        self.matches(name.as_str()) || self.matches(name.canonical().as_str())
    }

    pub fn matches(&self, name: &str) -> bool {
        let last = name.rsplit('/').next().unwrap_or(name);
        [name, last].into_iter().any(|text| {
            let before_tag = text.rfind(':').map_or(text, |colon| &text[..colon]);
            glob(self.0.as_bytes(), text.as_bytes()) || glob(self.0.as_bytes(), before_tag.as_bytes())
        })
    }
}

/// Linear in the text for each star: on a mismatch it goes back to the last star only.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
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
    use super::*;

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

    #[test]
    fn a_pattern_keeps_an_image_however_the_engine_writes_its_name() {
        let keeps = |pattern: &str, name: &str| {
            let name = Reference::listed(name).expect("a name");
            Pattern::new(pattern).expect("a pattern").matches_image(&name)
        };
        for name in ["team/app:1", "localhost/team/app:1", "docker.io/team/app:1"] {
            assert!(keeps("team/*", name) && keeps("team/app", name), "{name}");
        }
        assert!(keeps("localhost/*", "localhost/app:1") && !keeps("team/*", "other/team/app:1"));
    }
}

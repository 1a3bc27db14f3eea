//! An image's name as the engine lists it: a repository and a tag.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Names below this are always dkb's own: the host does not exist, so nothing is ever pulled or pushed there.
const PRIVATE_REPOSITORY: &str = "dkb.invalid/bin";

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reference(String);

impl Reference {
    /// Takes a name as the engine lists it; `<none>` in either half is no name.
    pub fn listed(text: &str) -> Option<Self> {
        (!text.is_empty() && !text.contains("<none>")).then(|| Self(text.to_owned()))
    }

    /// Makes of what a user wrote behind `-t` the name that the engine will list, as the Docker CLI does:
    /// the tag `latest` where there is none, no `docker.io/` and no `docker.io/library/` in front.
    pub fn written(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() || text.contains('@') || text.contains(char::is_whitespace) {
            return None;
        }
        let short = ["docker.io/library/", "index.docker.io/library/", "docker.io/", "index.docker.io/"]
            .iter()
            .find_map(|prefix| text.strip_prefix(prefix))
            .unwrap_or(text);
        let name = Self(short.to_owned());
        Some(if name.split().1.is_some() { name } else { Self(format!("{short}:latest")) })
    }

    pub fn private(digits: &str) -> Self {
        Self(format!("{PRIVATE_REPOSITORY}:{digits}"))
    }

    pub fn is_private(&self) -> bool {
        self.0.starts_with("dkb.invalid/")
    }

    fn split(&self) -> (&str, Option<&str>) {
        // A colon before the last slash is a registry's port.
        let name_at = self.0.rfind('/').map_or(0, |slash| slash + 1);
        match self.0[name_at..].find(':') {
            Some(colon) => (&self.0[..name_at + colon], Some(&self.0[name_at + colon + 1..])),
            None => (&self.0, None),
        }
    }

    pub fn repository(&self) -> &str {
        self.split().0
    }

    pub fn tag(&self) -> &str {
        self.split().1.unwrap_or("latest")
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name that the engine lists, with Podman's `localhost/` and `docker.io/library/` spellings made one
    /// with Docker's, so that a tag the user wrote and a tag the engine lists can be compared.
    pub fn canonical(&self) -> Self {
        let bare = self.0.strip_prefix("localhost/").unwrap_or(&self.0);
        Self::written(bare).unwrap_or_else(|| self.clone())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_becomes_what_the_engine_lists() {
        for (written, listed) in [
            ("app", "app:latest"),
            ("app:1", "app:1"),
            ("docker.io/library/app", "app:latest"),
            ("docker.io/me/app:2", "me/app:2"),
            ("localhost:5000/app", "localhost:5000/app:latest"),
            ("host.example:5000/a/b:c", "host.example:5000/a/b:c"),
        ] {
            assert_eq!(Reference::written(written).expect(written).as_str(), listed);
        }
        for nothing in ["", "  ", "app@sha256:00", "a b"] {
            assert_eq!(Reference::written(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn a_port_is_no_tag() {
        let name = Reference::listed("localhost:5000/app:1").expect("a name");
        assert_eq!((name.repository(), name.tag()), ("localhost:5000/app", "1"));
    }

    #[test]
    fn podman_and_docker_mean_the_same_image() {
        let canonical = |text| Reference::listed(text).expect(text).canonical();
        assert_eq!(canonical("localhost/app:1"), canonical("app:1"));
        assert_eq!(canonical("docker.io/library/app:1"), canonical("app:1"));
        assert_ne!(canonical("other/app:1"), canonical("app:1"));
    }

    #[test]
    fn what_has_no_name_has_no_reference() {
        assert_eq!(Reference::listed("<none>:<none>"), None);
        assert_eq!(Reference::listed("app:<none>"), None);
    }
}

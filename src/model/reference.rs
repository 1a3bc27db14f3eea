//! An image's name as the engine lists it: a repository and a tag.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Names below this are always dkb's own: the host does not exist, so nothing is ever pulled or pushed there.
const PRIVATE_REPOSITORY: &str = "dkb.invalid/bin";
/// Docker Hub's own domains, which Docker leaves out of a name and Podman does not.
const HUB: [&str; 2] = ["docker.io/", "index.docker.io/"];
/// What Podman puts before a name that has no domain.
const LOCAL: &str = "localhost/";

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reference(String);

impl Reference {
    /// Takes a name as the engine lists it; `<none>` in either half is no name.
    pub fn listed(text: &str) -> Option<Self> {
        (!text.is_empty() && !text.contains("<none>")).then(|| Self(text.to_owned()))
    }

    /// Makes of what a user wrote behind `-t` the name that the engine will list, as the Docker CLI does:
    /// the tag `latest` where there is none, and Docker Hub left out.
    pub fn written(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() || text.contains('@') || text.contains(char::is_whitespace) {
            return None;
        }
        Some(Self(without_hub(text).to_owned()).with_tag())
    }

    fn with_tag(self) -> Self {
        if self.split().1.is_some() { self } else { Self(format!("{}:latest", self.0)) }
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
        match self.0.strip_prefix(LOCAL).filter(|bare| !bare.contains('@')) {
            Some(bare) => Self(bare.to_owned()).with_tag(),
            None => Self::written(&self.0).unwrap_or_else(|| self.clone()),
        }
    }

    pub fn without_hub(&self) -> &str {
        without_hub(&self.0)
    }

    /// Every way to write this name, or this digest of a repository. A name without a domain may be Docker Hub's or
    /// this machine's own; Podman says which.
    pub fn spellings(&self) -> Vec<String> {
        let short = self.0.strip_prefix(LOCAL).unwrap_or_else(|| without_hub(&self.0));
        if has_domain(short) {
            return vec![self.0.clone()];
        }
        let full = if short.contains('/') { short.to_owned() } else { format!("library/{short}") };
        let domains = std::iter::once("").chain(HUB);
        let mut all: Vec<String> =
            domains.flat_map(|domain| [short, &full].map(|path| format!("{domain}{path}"))).collect();
        if !HUB.iter().any(|hub| self.0.starts_with(hub)) {
            all.push(format!("{LOCAL}{short}"));
        }
        all
    }
}

/// The name as Docker lists it: `docker.io/library/app` is `app`, and `docker.io/me/app` is `me/app`.
fn without_hub(text: &str) -> &str {
    let path = HUB.iter().find_map(|hub| text.strip_prefix(hub)).unwrap_or(text);
    path.strip_prefix("library/").filter(|name| !name.contains('/')).unwrap_or(path)
}

/// As Docker tells a registry from the first part of a path.
fn has_domain(name: &str) -> bool {
    name.split_once('/').is_some_and(|(first, _)| first == "localhost" || first.contains(['.', ':']))
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
            ("index.docker.io/library/app:1", "app:1"),
            ("library/app", "app:latest"),
            ("docker.io/app", "app:latest"),
            ("docker.io/library/me/app", "library/me/app:latest"),
            ("host.example/library/app", "host.example/library/app:latest"),
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
        assert_ne!(canonical("localhost/library/app:1"), canonical("app:1"));
    }

    #[test]
    fn what_has_no_name_has_no_reference() {
        assert_eq!(Reference::listed("<none>:<none>"), None);
        assert_eq!(Reference::listed("app:<none>"), None);
    }
}

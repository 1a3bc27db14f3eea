//! An image's name as the engine lists it: a repository and a tag.

// Places within words that lie in memory.
#![allow(clippy::arithmetic_side_effects)]

use std::fmt;

use serde::{Deserialize, Serialize};

use super::LedgerId;

/// Names below this are always dkb's own: the host does not exist, so nothing is ever pulled or pushed there.
const PRIVATE: &str = "dkb.invalid/";
/// Of the moment between two requests. Any dkb takes such a name off.
const MOMENT: &str = "dkb.invalid/bin:";
/// Of an image whose tag a session took, until the tag comes back. Only the ledger that gave it takes it off.
const HOLD: &str = "dkb.invalid/held:";
/// Docker Hub's own domains, which Docker leaves out of a name and Podman does not.
const HUB: [&str; 2] = ["docker.io/", "index.docker.io/"];
/// What Podman puts before a name that has no domain.
const LOCAL: &str = "localhost/";

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reference(String);

/// The two halves of a name that is [canonical](Reference::canonical), where many are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CanonicalName<'t> {
    pub repository: &'t str,
    pub tag: &'t str,
}

impl Reference {
    /// Takes a name as the engine lists it; `<none>` in either half is no name.
    pub fn listed(text: &str) -> Option<Self> {
        (!text.is_empty() && !text.contains("<none>")).then(|| Self(text.to_owned()))
    }

    /// What a user wrote behind `-t`, with the tag `latest` where there is none.
    pub fn written(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.is_empty() || text.contains('@') || text.contains(char::is_whitespace) {
            return None;
        }
        Some(Self(text.to_owned()).with_tag())
    }

    /// As `podman build` reads what was written: a name without a domain is this machine's own.
    pub fn local(self) -> Self {
        if has_domain(&self.0) { self } else { Self(format!("{LOCAL}{}", self.0)) }
    }

    /// The name that a build will give for this written one, by the names of the image that the engine finds under it
    /// now. Docker lists a name as it was written; Podman, where a docker asks for a name without a domain, takes this
    /// machine's own if there is one, and Docker Hub's if there is none.
    pub fn given(&self, found: &[Self]) -> Self {
        let (canonical, local) = (self.canonical(), self.clone().local());
        if found.contains(&local) && !found.contains(&canonical) { local.canonical() } else { canonical }
    }

    fn with_tag(self) -> Self {
        if split(&self.0).1.is_some() { self } else { Self(format!("{}:latest", self.0)) }
    }

    pub fn private(digits: &str) -> Self {
        Self(format!("{MOMENT}{digits}"))
    }

    /// The name by which this ledger's sessions hold an image.
    pub fn hold(digits: &str, ledger: &LedgerId) -> Self {
        Self(format!("{HOLD}{digits}-{ledger}"))
    }

    pub fn is_private(&self) -> bool {
        self.0.starts_with(PRIVATE)
    }

    /// Whether a session holds the image by this name, of whatever ledger.
    pub fn is_hold(&self) -> bool {
        self.0.starts_with(HOLD)
    }

    /// Whether nobody relies on it: left from a deletion that was cut off, or of one that goes on.
    pub fn is_momentary(&self) -> bool {
        self.is_private() && !self.is_hold()
    }

    pub fn repository(&self) -> &str {
        split(&self.0).0
    }

    pub fn tag(&self) -> &str {
        split(&self.0).1.unwrap_or("latest")
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as Docker lists it, Docker Hub left out, so that a tag the user wrote and a tag the engine lists can
    /// be compared. No engine lists a name with and without Docker Hub's domain, but any may list `localhost/app`
    /// beside `app`: those are two names.
    pub fn canonical(&self) -> Self {
        if self.0.contains('@') { self.clone() } else { Self(without_hub(&self.0).to_owned()).with_tag() }
    }

    pub fn canonical_name(&self) -> CanonicalName<'_> {
        if self.0.contains('@') {
            return CanonicalName { repository: &self.0, tag: "" };
        }
        let (repository, tag) = split(without_hub(&self.0));
        CanonicalName { repository, tag: tag.unwrap_or("latest") }
    }

    /// Whether an engine takes both for one name, however they are written.
    pub fn names_the_same(&self, other: &Self) -> bool {
        self == other || self.canonical_name() == other.canonical_name()
    }

    /// The same for all names that Podman may take for one another. Only where that keeps more.
    pub fn short(&self) -> Self {
        let bare = self.0.strip_prefix(LOCAL).filter(|bare| !bare.contains('@'));
        bare.map_or_else(|| self.canonical(), |bare| Self(bare.to_owned()).with_tag())
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
    // Most names are none of Docker Hub's, and very many are compared.
    if !text.starts_with(['d', 'i', 'l']) {
        return text;
    }
    let path = HUB.iter().find_map(|hub| text.strip_prefix(hub)).unwrap_or(text);
    path.strip_prefix("library/").filter(|name| !name.contains('/')).unwrap_or(path)
}

/// The repository, and the tag where there is one.
fn split(name: &str) -> (&str, Option<&str>) {
    // A colon before the last slash is a registry's port.
    let name_at = name.rfind('/').map_or(0, |slash| slash + 1);
    match name[name_at..].find(':') {
        Some(colon) => (&name[..name_at + colon], Some(&name[name_at + colon + 1..])),
        None => (name, None),
    }
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
    fn what_is_written_becomes_what_docker_lists() {
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
            assert_eq!(Reference::written(written).expect(written).canonical().as_str(), listed);
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
    fn what_an_engine_lists_apart_are_two_names() {
        let listed = |text| Reference::listed(text).expect(text);
        assert_eq!(listed("docker.io/library/app:1").canonical(), listed("app:1").canonical());
        for other in ["localhost/app:1", "other/app:1", "localhost/library/app:1", "localhost:80/app:1"] {
            assert_ne!(listed(other).canonical(), listed("app:1").canonical(), "{other}");
        }
        assert_eq!(listed("localhost/app:1").short(), listed("app:1").short());
        assert_ne!(listed("localhost/library/app:1").short(), listed("app:1").short());
    }

    #[test]
    fn a_short_name_is_what_the_engine_makes_of_it() {
        for (written, found, docker, podman) in [
            ("app", "", "app:latest", "localhost/app:latest"),
            ("app", "app:latest localhost/app:latest", "app:latest", "localhost/app:latest"),
            ("library/app", "app:latest localhost/library/app:latest", "app:latest", "localhost/library/app:latest"),
            ("app", "docker.io/library/app:latest", "app:latest", "localhost/app:latest"),
            ("app", "localhost/app:latest", "localhost/app:latest", "localhost/app:latest"),
            (
                "app",
                "docker.io/library/app:latest localhost/app:latest",
                "localhost/app:latest",
                "localhost/app:latest",
            ),
            ("docker.io/me/app:1", "localhost/me/app:1 docker.io/me/app:1", "me/app:1", "docker.io/me/app:1"),
            ("localhost/app", "app:latest localhost/app:latest", "localhost/app:latest", "localhost/app:latest"),
            ("quay.io/app:1", "localhost/app:1 quay.io/app:1", "quay.io/app:1", "quay.io/app:1"),
        ] {
            let written = Reference::written(written).expect(written);
            let found: Vec<Reference> = found.split_whitespace().filter_map(Reference::listed).collect();
            assert_eq!(written.given(&found).as_str(), docker, "{written} {found:?}");
            assert_eq!(written.clone().local().as_str(), podman, "{written}");
        }
    }

    #[test]
    fn what_has_no_name_has_no_reference() {
        assert_eq!(Reference::listed("<none>:<none>"), None);
        assert_eq!(Reference::listed("app:<none>"), None);
    }
}

//! The cache mounts of one working copy's builds, where it gives them a namespace of their own.

use std::fmt;

use super::{CacheRecord, Name, short_hash};

/// What BuildKit puts in front of the ID of every cache mount of a build that is given it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountNamespace(String);

impl MountNamespace {
    /// That of this project in this working copy. Nobody comes to it by chance.
    pub fn of(project: &Name, copy: &Name) -> Self {
        Self(format!("dkb-{}", short_hash(&[project.as_str(), copy.as_str()])))
    }

    /// The build argument by which BuildKit is told.
    pub fn argument(&self) -> String {
        format!("BUILDKIT_CACHE_MOUNT_NS={self}")
    }

    /// Whether the record is a mount of this namespace. The engine's description of one ends in its ID, in quotes, in
    /// which a quote of the ID's own has a backslash before it; what stands before that is a command of anybody's.
    pub fn has(&self, record: &CacheRecord) -> bool {
        let id = record.description.strip_suffix('"').and_then(|text| text.rsplit_once(" with id \""));
        let path = id.and_then(|(_, id)| id.strip_prefix(self.0.as_str()));
        record.kind == "exec.cachemount" && path.is_some_and(|path| path.starts_with('/'))
    }
}

impl fmt::Display for MountNamespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespace(project: &str, copy: &str) -> MountNamespace {
        let name = |text| Name::typed(text).expect("a name");
        MountNamespace::of(&name(project), &name(copy))
    }

    #[test]
    fn a_mount_is_known_by_the_end_of_what_the_engine_says_of_it() {
        let own = namespace("shop", "local-1");
        let has = |kind: &str, description: String| {
            own.has(&CacheRecord { kind: kind.to_owned(), description, ..CacheRecord::default() })
        };
        let from = "cached mount /c from exec /bin/sh -c make";
        assert!(has("exec.cachemount", format!("{from} with id \"{own}//c\"")));
        assert!(has("exec.cachemount", format!("{from} with id \"{own}/named\"")));
        for (what, kind, description) in [
            ("everybody's", "exec.cachemount", format!("{from} with id \"//c\"")),
            ("another's", "exec.cachemount", format!("{from} with id \"{}//c\"", namespace("shop", "local-2"))),
            ("one that begins alike", "exec.cachemount", format!("{from} with id \"{own}x//c\"")),
            ("words in a command", "exec.cachemount", format!("{from} with id \"{own}//c\" with id \"//c\"")),
            ("words in an ID", "exec.cachemount", format!("{from} with id \"/a\\\" with id \\\"{own}//c\"")),
            ("words at the end of a command", "exec.cachemount", format!("{from} with id \"{own}//c\" x")),
            ("an engine that tells no ID", "exec.cachemount", from.to_owned()),
            ("a step", "regular", format!("{from} with id \"{own}//c\"")),
        ] {
            assert!(!has(kind, description), "{what}");
        }
    }

    #[test]
    fn each_project_and_working_copy_has_its_own() {
        assert_eq!(namespace("shop", "local-1"), namespace("shop", "local-1"));
        assert_ne!(namespace("shop", "local-1"), namespace("shop", "local-2"));
        assert_ne!(namespace("shop", "local-1"), namespace("bar", "local-1"));
    }
}

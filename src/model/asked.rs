//! What a plan was asked to cover.

use serde::{Deserialize, Serialize};

use super::{Name, SessionKey, Stamp};

/// Stands in a plan's file, so that a later plan can be asked for the same. It widens nothing: whoever does what
/// the file says is asked as if they had typed this.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    #[serde(flatten)]
    pub of: Scope,
    /// Of that only what was built for this project of compose's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compose: Option<Name>,
    /// Tags too, those that our builds gave.
    pub tagged: bool,
    /// Containers of what goes too.
    pub containers: bool,
    /// Of the build cache alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cache: bool,
}

/// Which sessions are to be cleaned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "of", rename_all = "snake_case")]
pub enum Scope {
    Project {
        project: Name,
    },
    Session(SessionKey),
    /// Sessions of this project that are over and were never cleaned.
    Stale {
        project: Name,
    },
    All,
}

impl Scope {
    /// Only a whole session has an end.
    pub(crate) const fn is_of_sessions(&self) -> bool {
        matches!(self, Self::Session(_) | Self::Stale { .. })
    }

    /// The one project that it is about.
    pub(crate) const fn project(&self) -> Option<&Name> {
        match self {
            Self::Project { project } | Self::Stale { project } | Self::Session(SessionKey { project, .. }) => {
                Some(project)
            }
            Self::All => None,
        }
    }

    /// Whether somebody who asks for this may wonder why an image with such a stamp stays. A shared runner is full of
    /// those of others.
    pub(crate) fn may_mean(&self, stamp: &Stamp) -> bool {
        match self {
            Self::Project { project } => stamp.project.as_ref() == Some(project),
            Self::Session(key) => *stamp == Stamp::from(key.clone()),
            // What is in no ledger was in no session that this one could call over.
            Self::Stale { .. } => false,
            Self::All => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_read_as_it_was_written() {
        let name = |text| Name::typed(text).expect(text);
        let session = SessionKey { project: name("app"), session: name("job-1") };
        for (of, tagged, written) in [
            (Scope::Project { project: name("app") }, false, r#"{"of":"project","project":"app","#),
            (Scope::Session(session), true, r#"{"of":"session","project":"app","session":"job-1","#),
            (Scope::Stale { project: name("app") }, true, r#"{"of":"stale","project":"app","#),
            (Scope::All, false, r#"{"of":"all","#),
        ] {
            for (compose, said) in [(None, ""), (Some(name("dev")), r#""compose":"dev","#)] {
                let asked = Asked { of: of.clone(), compose, tagged, containers: tagged, cache: false };
                let text = serde_json::to_string(&asked).expect("plain data");
                assert_eq!(text, format!(r#"{written}{said}"tagged":{tagged},"containers":{tagged}}}"#));
                assert_eq!(serde_json::from_str::<Asked>(&text).expect(&text), asked);
            }
        }
    }

    #[test]
    fn what_names_nothing_is_refused() {
        let flags = r#""tagged":true,"containers":true}"#;
        for of in [r#"{"of":"everything","#, r#"{"of":"project","#, r#"{"of":"stale","project":"a\u001b[2J","#, "{"] {
            assert!(serde_json::from_str::<Asked>(&format!("{of}{flags}")).is_err(), "{of}");
        }
    }
}

//! The labels that dkb puts on what it builds. They are a hint, never a proof: a child inherits them.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::{Name, SessionKey};

pub const PROJECT_LABEL: &str = "dev.dkb.project";
pub const SESSION_LABEL: &str = "dev.dkb.session";
/// On containers, volumes and networks only. Images never carry it, since containers inherit their labels.
pub const RUN_LABEL: &str = "dev.dkb.run";

impl SessionKey {
    /// What the run label says. A colon stands in no name, so no two sessions have one value.
    pub fn run_label(&self) -> String {
        format!("{}:{}", self.project, self.session)
    }

    /// The session whose run label is among these.
    pub fn running(labels: &HashMap<String, String>) -> Option<Self> {
        Self::of_run_label(labels.get(RUN_LABEL)?)
    }

    /// The session that a value of the run label means; `None` for what dkb would never write.
    pub fn of_run_label(value: &str) -> Option<Self> {
        let (project, session) = value.split_once(':')?;
        Some(Self { project: Name::typed(project).ok()?, session: Name::typed(session).ok()? })
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stamp {
    #[serde(default)]
    pub project: Option<Name>,
    #[serde(default)]
    pub session: Option<Name>,
}

impl From<SessionKey> for Stamp {
    fn from(key: SessionKey) -> Self {
        Self { project: Some(key.project), session: Some(key.session) }
    }
}

impl Stamp {
    /// Reads the stamp from a set of labels; values that dkb would never write count as none.
    pub fn read<'a>(label: impl Fn(&str) -> Option<&'a str>) -> Self {
        let name = |key| label(key).and_then(|value| Name::typed(value).ok());
        Self { project: name(PROJECT_LABEL), session: name(SESSION_LABEL) }
    }

    pub fn of(labels: &HashMap<String, String>) -> Self {
        Self::read(|key| labels.get(key).map(String::as_str))
    }

    /// The labels that say it.
    pub fn labels(&self) -> impl Iterator<Item = (&'static str, &Name)> {
        let labels = [(PROJECT_LABEL, &self.project), (SESSION_LABEL, &self.session)];
        labels.into_iter().filter_map(|(label, value)| Some((label, value.as_ref()?)))
    }

    pub fn is_none(&self) -> bool {
        self.project.is_none() && self.session.is_none()
    }

    /// Only a whole one tells a session from all others.
    pub fn is_whole(&self) -> bool {
        self.project.is_some() && self.session.is_some()
    }

    /// Whether an image that bears the other stamp may have been given this one.
    pub fn is_part_of(&self, other: &Self) -> bool {
        let has = |given: &Option<Name>, found: &Option<Name>| given.is_none() || given == found;
        has(&self.project, &other.project) && has(&self.session, &other.session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::books_tests::key;

    #[test]
    fn a_run_label_means_one_session_of_one_project() {
        let (one, other) = (key("team/app", "e2e"), key("team", "app/e2e"));
        assert_ne!(one.run_label(), other.run_label());
        for of in [one, other] {
            assert_eq!(SessionKey::of_run_label(&of.run_label()), Some(of));
        }
        for nobodys in ["", "e2e", "team/app", ":e2e", "team:", "a:b:c", "a b:c"] {
            assert_eq!(SessionKey::of_run_label(nobodys), None, "{nobodys}");
        }
    }
}

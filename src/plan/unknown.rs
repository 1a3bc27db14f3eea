//! A session or a project that was named and that nobody knows: a job that has built nothing yet, or a slip of the
//! pen, so the name that comes nearest is said with it.

use std::collections::BTreeSet;

use crate::error::Error;
use crate::model::{Name, SessionKey, slip};

/// The sessions and projects that the ledger, the engine's labels or somebody at work know.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    pub sessions: BTreeSet<SessionKey>,
    pub projects: BTreeSet<Name>,
    /// Projects of compose's, each with the project that they were built in.
    pub composes: BTreeSet<(Name, Name)>,
}

impl Known {
    fn has_project(&self, project: &Name) -> bool {
        self.projects.contains(project) || self.sessions.iter().any(|key| key.project == *project)
    }

    fn all_projects(&self) -> impl Iterator<Item = &Name> {
        self.projects.iter().chain(self.sessions.iter().map(|key| &key.project))
    }
}

/// What was named, and for what.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Subject<'a> {
    Project(&'a Name),
    /// With the verb that takes it: another project may have a session of this name.
    Session(&'a SessionKey, &'a str),
    /// A project of compose's, in a project or in any.
    Compose(Option<&'a Name>, &'a Name),
}

/// What is to be said where nobody knows it.
pub(crate) fn unknown(tried: &str, named: Subject, known: &Known) -> Option<Error> {
    let mut all = "dkb session list --all shows every session that there is".to_owned();
    let (happened, nearest, elsewhere) = match named {
        Subject::Project(project) if known.has_project(project) => return None,
        Subject::Session(key, _) if known.sessions.contains(key) => return None,
        Subject::Compose(of, name) => {
            let is_in = |(project, _): &&(Name, Name)| of.is_none_or(|of| of == project);
            let (here, elsewhere): (Vec<_>, Vec<_>) = known.composes.iter().partition(is_in);
            if here.iter().any(|(_, other)| other == name) {
                return None;
            }
            let elsewhere = elsewhere.into_iter().find(|(_, other)| other == name);
            let whose = of.map_or("of what is on record nothing".to_owned(), |of| format!("of {of} nothing on record"));
            let there: BTreeSet<&Name> = here.into_iter().map(|(_, other)| other).collect();
            all = on_record(&there);
            (
                format!("{whose} was built for it"),
                nearest(name, there.into_iter()),
                elsewhere.map(|(project, _)| format!("dkb --project {project} clean --compose {name}")),
            )
        }
        Subject::Project(project) => {
            (format!("nothing here is known of {project}"), nearest(project, known.all_projects()), None)
        }
        Subject::Session(key, verb) => {
            let of_project = known.sessions.iter().filter(|other| other.project == key.project);
            let elsewhere = known.sessions.iter().find(|other| other.session == key.session);
            (
                format!("{} has no such session", key.project),
                nearest(&key.session, of_project.map(|other| &other.session)),
                elsewhere.map(|other| format!("dkb --project {} {verb} {}", other.project, other.session)),
            )
        }
    };
    let meant = nearest.map(|name| format!("did you mean {name}?"));
    let next = elsewhere.or(meant).unwrap_or(all);
    Some(Error::usage(tried, happened).hint(next))
}

/// Names of one kind that one line shows.
const SHOWN: usize = 5;

fn on_record(composes: &BTreeSet<&Name>) -> String {
    let shown: Vec<&str> = composes.iter().take(SHOWN).map(|name| name.as_str()).collect();
    match composes.len().saturating_sub(SHOWN) {
        _ if shown.is_empty() => {
            "no compose project is on record here: dkb compose notes it with each build".to_owned()
        }
        0 => format!("compose projects on record here: {}", shown.join(", ")),
        more => format!("compose projects on record here: {} and {more} more", shown.join(", ")),
    }
}

/// The name that somebody may have meant: at most a third of it typed otherwise. Names that only count on, as those of
/// jobs do, are another job's.
fn nearest<'a>(typed: &Name, names: impl Iterator<Item = &'a Name>) -> Option<&'a Name> {
    let letters = |name: &Name| name.as_str().replace(|c: char| c.is_ascii_digit(), "");
    let (of_typed, typed) = (letters(typed), typed.as_str().to_lowercase());
    let others = names.filter(|name| letters(name) != of_typed);
    let slips = others.filter_map(|name| Some((slip(&typed, &name.as_str().to_lowercase())?, name)));
    slips.min().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::books_tests::key;

    fn known(sessions: &[(&str, &str)], projects: &[&str]) -> Known {
        Known {
            sessions: sessions.iter().map(|(project, session)| key(project, session)).collect(),
            projects: projects.iter().map(|name| Name::typed(name).expect(name)).collect(),
            ..Known::default()
        }
    }

    #[test]
    fn a_compose_project_that_nobody_knows_is_told_with_the_one_that_was_meant() {
        let name = |text: &str| Name::typed(text).expect("a name");
        let composes = [("shop", "shop-test"), ("tool", "nightly")];
        let composes = composes.map(|(project, compose)| (name(project), name(compose))).into();
        let known = Known { composes, ..Known::default() };
        let said = |of: Option<&str>, compose: &str| {
            let (of, compose) = (of.map(name), name(compose));
            unknown("cleaning it", Subject::Compose(of.as_ref(), &compose), &known).map(|error| error.to_string())
        };
        assert_eq!([said(Some("shop"), "shop-test"), said(None, "nightly")], [None, None]);
        let none = "no compose project is on record here: dkb compose notes it with each build";
        for (of, compose, happened, next) in [
            (Some("shop"), "shop-tests", "of shop nothing on record", "did you mean shop-test?"),
            (Some("shop"), "nightly", "of shop nothing on record", "dkb --project tool clean --compose nightly"),
            (Some("shop"), "else", "of shop nothing on record", "compose projects on record here: shop-test"),
            (Some("empty"), "else", "of empty nothing on record", none),
            (None, "nightli", "of what is on record nothing", "did you mean nightly?"),
        ] {
            let expected = format!("cleaning it: {happened} was built for it\n  {next}");
            assert_eq!(said(of, compose), Some(expected), "{compose}");
        }
    }

    #[test]
    fn a_session_that_nobody_knows_is_told_with_the_one_that_was_meant() {
        let known = known(&[("shop", "e2e-tests"), ("shop", "job-41"), ("tool", "nightly")], &[]);
        let said = |project: &str, session: &str| {
            let key = key(project, session);
            unknown("cleaning it", Subject::Session(&key, "clean --session"), &known).map(|error| error.to_string())
        };
        assert_eq!(said("shop", "e2e-tests"), None);
        let all = "dkb session list --all shows every session that there is";
        for (session, next) in [
            ("e2e-test", "did you mean e2e-tests?"),
            ("E2E-tests", "did you mean e2e-tests?"),
            ("nightly", "dkb --project tool clean --session nightly"),
            ("nosuch", all),
            // The next job's, which nobody has mistyped.
            ("job-42", all),
        ] {
            let expected = format!("cleaning it: shop has no such session\n  {next}");
            assert_eq!(said("shop", session), Some(expected), "{session}");
        }
        assert!(said("tool", "e2e-test").is_some_and(|said| said.ends_with(all)), "another project's is not meant");
    }

    #[test]
    fn a_project_that_nobody_knows_is_told_with_the_one_that_was_meant() {
        let known = known(&[("acme/shop", "x")], &["stamped"]);
        let said = |project: &str| {
            let project = Name::typed(project).expect(project);
            unknown("cleaning it", Subject::Project(&project), &known).map(|error| error.to_string())
        };
        assert_eq!((said("acme/shop"), said("stamped")), (None, None));
        assert!(said("acme/shp").is_some_and(|said| said.ends_with("did you mean acme/shop?")));
        assert!(
            said("nosuch")
                .is_some_and(|said| said.contains("nothing here is known of nosuch\n  dkb session list --all"))
        );
        assert!(unknown("cleaning it", Subject::Project(&key("a", "b").project), &Known::default()).is_some());
    }
}

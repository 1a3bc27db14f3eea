//! Who is at work in a session, in words.

use jiff::Timestamp;

use super::images::age;
use crate::model::{Life, Owner, SessionKey, human_duration};

/// How a session stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct SessionState<'a> {
    pub(super) life: Life,
    /// A build of it runs.
    pub(super) builds: bool,
    pub(super) owner: Option<&'a Owner>,
    /// Whoever kept it open left it for a look.
    pub(super) left: bool,
    pub(super) cleaned: Option<Timestamp>,
}

/// `at work for 12 minutes (just)`, `left behind by just, opened 2 hours ago`, `this working copy, last at work …`, `left
/// for a look, …`, `nobody keeps it open, …`, `cleaned 5 minutes ago, …`.
pub(super) fn at_work(of: WhoseSession, standing: SessionState, moments: Moments) -> String {
    let Moments { last, now } = moments;
    let SessionState { life, builds, owner, left, cleaned } = standing;
    match (life, owner) {
        (Life::Alive, Some(owner)) => {
            format!("at work for {} ({})", human_duration(age(owner.since, now)), owner.command)
        }
        (Life::Alive, None) if builds => "at work, a build is running".to_owned(),
        // A watcher sees within a second that its session was ended.
        (Life::Alive, None) => "at work, somebody begins or ends it".to_owned(),
        (Life::Dead, Some(owner)) => format!("left behind by {}, opened {}", owner.command, ago(owner.since, now)),
        (Life::Dead, None) => format!("left behind, last at work {}", ago(last, now)),
        (Life::Unowned, _) => {
            let cleaned = cleaned.map(|at| format!("cleaned {}", ago(at, now)));
            let state = match of {
                WhoseSession::ThisCopy => Some("this working copy"),
                WhoseSession::AnotherCopy => Some("another working copy"),
                WhoseSession::Named if cleaned.is_some() => None,
                WhoseSession::Named if left => Some("left for a look, until dkb session end"),
                WhoseSession::Named => Some("nobody keeps it open"),
            };
            let last = format!("last at work {}", ago(last, now));
            let parts = state.map(str::to_owned).into_iter().chain(cleaned).chain([last]);
            parts.collect::<Vec<_>>().join(", ")
        }
    }
}

/// A working copy has its own session, which nobody opens and nobody ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WhoseSession {
    ThisCopy,
    AnotherCopy,
    /// By a user or a CI job.
    Named,
}

impl WhoseSession {
    pub(super) fn of(key: &SessionKey, own: bool) -> Self {
        match (key.session.is_local(), own) {
            (true, true) => Self::ThisCopy,
            (true, false) => Self::AnotherCopy,
            (false, _) => Self::Named,
        }
    }
}

#[derive(Clone, Copy)]
pub(super) struct Moments {
    pub(super) last: Timestamp,
    pub(super) now: Timestamp,
}

pub(super) fn state(life: Life) -> &'static str {
    match life {
        Life::Alive => "alive",
        Life::Dead => "dead",
        Life::Unowned => "unowned",
    }
}

pub(super) fn ago(at: Timestamp, now: Timestamp) -> String {
    match age(at, now) {
        age if age.as_secs() == 0 => "just now".to_owned(),
        age => format!("{} ago", human_duration(age)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::books_tests::key;

    #[test]
    fn what_was_a_moment_ago_was_just_now() {
        let at = |millis| Timestamp::from_millisecond(millis).expect("a moment");
        assert_eq!([ago(at(0), at(999)), ago(at(0), at(1000))], ["just now", "1 second ago"]);
    }

    #[test]
    fn who_is_alive_without_an_owner_builds_only_if_a_build_runs() {
        let (then, now) = (Timestamp::UNIX_EPOCH, Timestamp::from_second(60).expect("a time"));
        let at_work = |life, builds| {
            let standing = SessionState { life, builds, owner: None, left: false, cleaned: None };
            at_work(WhoseSession::Named, standing, Moments { last: then, now })
        };
        assert_eq!(at_work(Life::Alive, true), "at work, a build is running");
        assert_eq!(at_work(Life::Alive, false), "at work, somebody begins or ends it");
        assert_eq!(at_work(Life::Unowned, false), "nobody keeps it open, last at work 1 minute ago");
    }

    #[test]
    fn who_is_at_work_is_said_in_words() {
        let at = |second| Timestamp::from_second(second).expect("a moment");
        let moments = Moments { last: at(3600), now: at(7200) };
        let owner = Owner { machine: String::new(), since: at(0), command: "just".to_owned() };
        let with = |life| SessionState { life, builds: true, owner: None, left: false, cleaned: None };
        let (unowned, dead) = (with(Life::Unowned), with(Life::Dead));
        let opened = |standing| SessionState { owner: Some(&owner), ..standing };
        let cleaned = SessionState { cleaned: Some(at(7140)), ..unowned };
        let left = SessionState { left: true, ..opened(unowned) };
        for (session, here, standing, said) in [
            ("local-0a1b2c3d", true, unowned, "this working copy, last at work 1 hour ago"),
            ("local-0a1b2c3d", false, unowned, "another working copy, last at work 1 hour ago"),
            ("job-1", true, unowned, "nobody keeps it open, last at work 1 hour ago"),
            ("job-1", false, left, "left for a look, until dkb session end, last at work 1 hour ago"),
            ("job-1", false, cleaned, "cleaned 1 minute ago, last at work 1 hour ago"),
            ("job-1", false, dead, "left behind, last at work 1 hour ago"),
            ("job-1", false, opened(dead), "left behind by just, opened 2 hours ago"),
            ("local-0a1b2c3d", true, with(Life::Alive), "at work, a build is running"),
        ] {
            let whose = WhoseSession::of(&key("app", session), here);
            assert_eq!(at_work(whose, standing, moments), said);
        }
    }
}

//! Which CI job this run is: the one table of vendors.
//!
//! 1. A job is one job on one executor. Two legs of a matrix that run at once on one engine have different
//!    sessions, or one leg's clean-up would take the other's images.
//! 2. A variable that tells jobs apart and is not set makes it no CI job: the working copy names the session then.
//!    A session that two jobs share by mistake is worse than one that no rule ends.
//! 3. Numbers and job names are shown; what may hold a host, a user or a path goes into the hash only, since the
//!    session ends up in images that may be pushed.
//! 4. A slot is the executor. It never leaves the ledger, so it may be named after a machine. Where a vendor does not
//!    say which executor it is, or lets one run several jobs at once, there is no slot.
//!
//! GitHub's job name is the same for all legs of a matrix; the runner's name tells them apart, since a runner runs
//! one job at a time. Runners of Gitea, Forgejo and `act` set GitHub's variables but run several at once.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::remote::project_of;
use crate::model::Name;

/// How the CI names the repository.
#[derive(Clone, Copy, Debug)]
pub enum Repository {
    /// `owner/repo`
    Path(&'static str),
    /// Where it was cloned from.
    Url(&'static str),
    Unknown,
}

#[derive(Debug)]
pub struct Vendor {
    pub name: &'static str,
    prefix: &'static str,
    /// It is this vendor if one of these is set, to this value if there is one.
    here: &'static [(&'static str, &'static str)],
    /// Its jobs can't be told apart if one of these is set.
    blurred_by: &'static [&'static str],
    /// Must be set; shown in the session's name.
    shown: &'static [&'static str],
    /// Must be set; in the hash only.
    hashed: &'static [&'static str],
    /// In the hash if set.
    also: &'static [&'static str],
    /// Must be set for there to be a slot; shown in its name.
    slot: &'static [&'static str],
    slot_also: &'static [&'static str],
    repository: Repository,
    /// Its log makes annotations of lines such as `::warning::`, and the job has a page, the file of which this variable
    /// names.
    pub page: Option<&'static str>,
    /// Its log folds what stands between two marks.
    pub folds: bool,
}

const NO_VENDOR: Vendor = Vendor {
    name: "",
    prefix: "",
    here: &[],
    blurred_by: &[],
    shown: &[],
    hashed: &[],
    also: &[],
    slot: &[],
    slot_also: &[],
    repository: Repository::Unknown,
    page: None,
    folds: false,
};

/// Jenkins stands last: a machine that hosts it may set its variables for everybody.
pub static VENDORS: &[Vendor] = &[
    Vendor {
        name: "GitHub Actions",
        prefix: "gh",
        here: &[("GITHUB_ACTIONS", "true")],
        blurred_by: &["GITEA_ACTIONS", "FORGEJO_ACTIONS", "ACT"],
        shown: &["GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT", "GITHUB_JOB"],
        hashed: &["RUNNER_NAME"],
        also: &["GITHUB_SERVER_URL"],
        slot: &["RUNNER_NAME"],
        // Runners of two repositories on one machine often bear the machine's name, both.
        slot_also: &["GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "RUNNER_TEMP"],
        repository: Repository::Path("GITHUB_REPOSITORY"),
        page: Some("GITHUB_STEP_SUMMARY"),
        folds: false,
    },
    Vendor {
        name: "GitLab",
        prefix: "gl",
        here: &[("GITLAB_CI", "true")],
        shown: &["CI_JOB_ID"],
        also: &["CI_SERVER_URL"],
        slot: &["CI_RUNNER_ID", "CI_CONCURRENT_ID"],
        slot_also: &["CI_SERVER_URL"],
        repository: Repository::Path("CI_PROJECT_PATH"),
        folds: true,
        ..NO_VENDOR
    },
    Vendor {
        name: "Buildkite",
        prefix: "bk",
        here: &[("BUILDKITE", "true")],
        shown: &["BUILDKITE_BUILD_NUMBER"],
        hashed: &["BUILDKITE_JOB_ID"],
        slot: &["BUILDKITE_AGENT_NAME"],
        slot_also: &["BUILDKITE_ORGANIZATION_SLUG", "BUILDKITE_BUILD_PATH"],
        repository: Repository::Url("BUILDKITE_REPO"),
        ..NO_VENDOR
    },
    Vendor {
        name: "CircleCI",
        prefix: "circle",
        here: &[("CIRCLECI", "true")],
        shown: &["CIRCLE_BUILD_NUM", "CIRCLE_NODE_INDEX"],
        hashed: &["CIRCLE_WORKFLOW_JOB_ID"],
        repository: Repository::Url("CIRCLE_REPOSITORY_URL"),
        ..NO_VENDOR
    },
    Vendor {
        name: "Azure Pipelines",
        prefix: "az",
        here: &[("TF_BUILD", "true")],
        shown: &["BUILD_BUILDID", "SYSTEM_JOBATTEMPT"],
        hashed: &["SYSTEM_JOBID", "AGENT_NAME"],
        also: &["SYSTEM_JOBPOSITIONINPHASE", "SYSTEM_COLLECTIONURI"],
        slot: &["AGENT_NAME"],
        slot_also: &["AGENT_ID", "SYSTEM_COLLECTIONURI"],
        repository: Repository::Url("BUILD_REPOSITORY_URI"),
        ..NO_VENDOR
    },
    // Before Drone, whose variables it has set too.
    Vendor {
        name: "Woodpecker",
        prefix: "wp",
        here: &[("CI", "woodpecker"), ("CI_SYSTEM_NAME", "woodpecker")],
        shown: &["CI_PIPELINE_NUMBER", "CI_WORKFLOW_NUMBER"],
        hashed: &["CI_REPO"],
        also: &["CI_SYSTEM_URL"],
        repository: Repository::Path("CI_REPO"),
        ..NO_VENDOR
    },
    Vendor {
        name: "Drone",
        prefix: "drone",
        here: &[("DRONE", "true")],
        shown: &["DRONE_BUILD_NUMBER", "DRONE_STAGE_NUMBER"],
        hashed: &["DRONE_REPO"],
        also: &["DRONE_SYSTEM_HOST"],
        repository: Repository::Path("DRONE_REPO"),
        ..NO_VENDOR
    },
    Vendor {
        name: "Bitbucket",
        prefix: "bb",
        here: &[("BITBUCKET_BUILD_NUMBER", "")],
        shown: &["BITBUCKET_BUILD_NUMBER"],
        hashed: &["BITBUCKET_STEP_UUID", "BITBUCKET_REPO_FULL_NAME"],
        also: &["BITBUCKET_STEP_RUN_NUMBER", "BITBUCKET_PARALLEL_STEP"],
        repository: Repository::Path("BITBUCKET_REPO_FULL_NAME"),
        ..NO_VENDOR
    },
    Vendor {
        name: "TeamCity",
        prefix: "tc",
        here: &[("TEAMCITY_VERSION", "")],
        // A build's number is made by a format of the user's own; its address holds the server's ID of it.
        hashed: &["BUILD_URL", "BUILD_NUMBER"],
        also: &["TEAMCITY_PROJECT_NAME", "TEAMCITY_BUILDCONF_NAME"],
        ..NO_VENDOR
    },
    Vendor {
        name: "Travis",
        prefix: "travis",
        here: &[("TRAVIS", "true")],
        shown: &["TRAVIS_JOB_ID"],
        hashed: &["TRAVIS_REPO_SLUG"],
        repository: Repository::Path("TRAVIS_REPO_SLUG"),
        ..NO_VENDOR
    },
    Vendor {
        name: "Jenkins",
        prefix: "jenkins",
        here: &[("JENKINS_URL", ""), ("JENKINS_HOME", "")],
        shown: &["BUILD_NUMBER"],
        // Parallel branches of one build share its tag and may share a node, but no executor.
        hashed: &["BUILD_TAG", "NODE_NAME", "EXECUTOR_NUMBER"],
        also: &["WORKSPACE", "JENKINS_URL"],
        slot: &["NODE_NAME", "EXECUTOR_NUMBER"],
        slot_also: &["JENKINS_URL"],
        ..NO_VENDOR
    },
];

/// The environment. An empty variable counts as one that is not set.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The vendor whose CI this is.
pub fn vendor(env: Variables) -> Option<&'static Vendor> {
    VENDORS.iter().find(|vendor| {
        let is = |(name, value): &(&str, &str)| {
            get(env, name).is_some_and(|got| value.is_empty() || got.eq_ignore_ascii_case(value))
        };
        vendor.here.iter().any(is)
    })
}

impl Vendor {
    /// Why the job can't be told from another one; `None` where it can.
    pub fn blur(&self, env: Variables) -> Option<String> {
        let blurs = self.blurred_by.iter().find(|name| get(env, name).is_some());
        let lacks = || self.shown.iter().chain(self.hashed).find(|name| get(env, name).is_none());
        blurs.map(|name| format!("{name} is set")).or_else(|| lacks().map(|name| format!("{name} is not set")))
    }

    /// The session of the job that this is; `None` where it can't be told from another job.
    pub fn session(&self, env: Variables) -> Option<Name> {
        if self.blur(env).is_some() {
            return None;
        }
        let shown = all(env, self.shown)?;
        Some(name(self.prefix, &shown, &digest(env, &[self.shown, self.hashed, self.also])))
    }

    /// The executor that the job runs in.
    pub fn slot(&self, env: Variables) -> Option<Name> {
        let shown = all(env, self.slot).filter(|values| !values.is_empty())?;
        Some(name(self.prefix, &shown, &digest(env, &[self.slot, self.slot_also])))
    }

    /// The repository, and the variable that says so.
    pub fn repository(&self, env: Variables) -> Option<(Name, &'static str)> {
        let (repository, variable) = match self.repository {
            Repository::Path(variable) => (Name::derived(&get(env, variable)?), variable),
            Repository::Url(variable) => (project_of(&get(env, variable)?), variable),
            Repository::Unknown => return None,
        };
        Some((repository?, variable))
    }
}

fn get(env: Variables, name: &str) -> Option<String> {
    env(name).filter(|value| !value.trim().is_empty())
}

fn all(env: Variables, names: &[&str]) -> Option<Vec<String>> {
    names.iter().map(|name| get(env, name)).collect()
}

/// A hash of variables with their names and lengths, so that no two sets of values run into one.
fn digest(env: Variables, groups: &[&[&str]]) -> String {
    let mut hash = Sha256::new();
    for name in groups.iter().copied().flatten() {
        let value = get(env, name).unwrap_or_default();
        hash.update(format!("{name}={}:{value}\n", value.len()));
    }
    hex::encode(hash.finalize())
}

/// `gh-<shown>-…-<8 digits>`, cut before the digits where it would get too long. Where nothing is shown that
/// tells two apart, there are more digits.
fn name(prefix: &str, shown: &[String], digest: &str) -> Name {
    let digits = &digest[..if shown.is_empty() { 16 } else { 8 }];
    let head = [prefix.to_owned()].into_iter().chain(shown.iter().cloned()).collect::<Vec<_>>().join("-");
    let head = Name::derived(&head).map_or_else(|| prefix.to_owned(), |name| name.to_string());
    let head = head.get(..Name::LONGEST.saturating_sub(digits.len()).saturating_sub(1)).unwrap_or(&head);
    // The prefix begins with a letter and derived names are ASCII, so this is always a name.
    Name::derived(&format!("{head}-{digits}")).unwrap_or_else(Name::unnamed)
}

/// The table for the docs.
pub fn markdown() -> String {
    let mut table =
        "| CI | known by | shown in the session | in its hash | slot | repository |\n|---|---|---|---|---|---|\n"
            .to_owned();
    for vendor in VENDORS {
        let code = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        let here = vendor.here.iter().map(|(name, value)| match *value {
            "" => format!("`{name}`"),
            value => format!("`{name}={value}`"),
        });
        let repository = match vendor.repository {
            Repository::Path(name) | Repository::Url(name) => format!("`{name}`"),
            Repository::Unknown => String::new(),
        };
        let cells = [
            vendor.name.to_owned(),
            here.collect::<Vec<_>>().join(" or "),
            code(vendor.shown),
            code(&[vendor.hashed, vendor.also].concat()),
            code(&[vendor.slot, vendor.slot_also].concat()),
            repository,
        ];
        let cells = cells.map(|cell| if cell.is_empty() { "-".to_owned() } else { cell });
        let _ = writeln!(table, "| {} |", cells.join(" | "));
    }
    table
}

#[cfg(test)]
mod tests;

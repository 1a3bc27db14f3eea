use std::collections::HashMap;

use super::*;

fn session(job: &[(&str, &str)]) -> Option<String> {
    let env = |name: &str| job.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    Some(vendor(&env)?.session(&env)?.to_string())
}

fn with<'a>(job: &[(&'a str, &'a str)], name: &'a str, value: &'a str) -> Vec<(&'a str, &'a str)> {
    job.iter().map(|(key, old)| (*key, if *key == name { value } else { *old })).collect()
}

const GITHUB: &[(&str, &str)] = &[
    ("CI", "true"),
    ("GITHUB_ACTIONS", "true"),
    ("GITHUB_JOB", "e2e"),
    ("GITHUB_REPOSITORY", "acme/shop"),
    ("GITHUB_RUN_ATTEMPT", "2"),
    ("GITHUB_RUN_ID", "11223344556"),
    ("GITHUB_SERVER_URL", "https://github.com"),
    ("RUNNER_NAME", "Build Host 7"),
    ("RUNNER_TEMP", "/home/joe/runner/_work/_temp"),
];

/// Vendor, a realistic environment, what the session begins with, what the slot begins with, the repository, and
/// the variables that differ between two legs of a matrix or two parallel jobs.
type Case = (
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
    Option<&'static str>,
    Option<&'static str>,
    &'static [&'static str],
);

const CASES: &[Case] = &[
    ("GitHub Actions", GITHUB, "gh-11223344556-2-e2e-", Some("gh-Build-Host-7-"), Some("acme/shop"), &["RUNNER_NAME"]),
    (
        "GitLab",
        &[
            ("CI", "true"),
            ("GITLAB_CI", "true"),
            ("CI_JOB_ID", "998877"),
            ("CI_CONCURRENT_ID", "3"),
            ("CI_RUNNER_ID", "42"),
            ("CI_PROJECT_PATH", "group/sub/shop"),
            ("CI_SERVER_URL", "https://gitlab.example"),
        ],
        "gl-998877-",
        Some("gl-42-3-"),
        Some("group/sub/shop"),
        &["CI_JOB_ID"],
    ),
    (
        "Buildkite",
        &[
            ("BUILDKITE", "true"),
            ("BUILDKITE_JOB_ID", "01890c5c-7f3d-4b5e-9d1a-0242ac120002"),
            ("BUILDKITE_BUILD_NUMBER", "314"),
            ("BUILDKITE_AGENT_NAME", "joes-mac-1"),
            ("BUILDKITE_ORGANIZATION_SLUG", "acme"),
            ("BUILDKITE_REPO", "git@github.com:acme/shop.git"),
        ],
        "bk-314-",
        Some("bk-joes-mac-1-"),
        Some("acme/shop"),
        &["BUILDKITE_JOB_ID"],
    ),
    (
        "CircleCI",
        &[
            ("CIRCLECI", "true"),
            ("CIRCLE_BUILD_NUM", "77"),
            ("CIRCLE_NODE_INDEX", "0"),
            ("CIRCLE_WORKFLOW_JOB_ID", "3f2f5fdd-8287-4036-8dac-af16268664dc"),
            ("CIRCLE_REPOSITORY_URL", "https://github.com/acme/shop"),
        ],
        "circle-77-0-",
        None,
        Some("acme/shop"),
        &["CIRCLE_NODE_INDEX", "CIRCLE_WORKFLOW_JOB_ID"],
    ),
    (
        "Azure Pipelines",
        &[
            ("TF_BUILD", "True"),
            ("BUILD_BUILDID", "8"),
            ("SYSTEM_JOBATTEMPT", "1"),
            ("SYSTEM_JOBID", "12f1170f-54f2-53f3-20dd-22fc7dff55f9"),
            ("SYSTEM_JOBPOSITIONINPHASE", "1"),
            ("SYSTEM_COLLECTIONURI", "https://dev.azure.com/acme/"),
            ("AGENT_NAME", "joes-agent"),
            ("AGENT_ID", "5"),
            ("BUILD_REPOSITORY_URI", "https://acme@dev.azure.com/acme/web/_git/shop"),
        ],
        "az-8-1-",
        Some("az-joes-agent-"),
        Some("acme/web/shop"),
        &["SYSTEM_JOBID", "SYSTEM_JOBPOSITIONINPHASE"],
    ),
    (
        "Drone",
        &[
            ("CI", "true"),
            ("DRONE", "true"),
            ("DRONE_BUILD_NUMBER", "12"),
            ("DRONE_STAGE_NUMBER", "1"),
            ("DRONE_STAGE_MACHINE", "drone-agent001"),
            ("DRONE_REPO", "acme/shop"),
            ("DRONE_SYSTEM_HOST", "192.168.77.132"),
        ],
        "drone-12-1-",
        None,
        Some("acme/shop"),
        &["DRONE_STAGE_NUMBER"],
    ),
    (
        "Woodpecker",
        &[
            ("CI", "woodpecker"),
            ("CI_PIPELINE_NUMBER", "8"),
            ("CI_WORKFLOW_NUMBER", "2"),
            ("CI_REPO", "acme/shop"),
            ("CI_MACHINE", "joes-server"),
            ("CI_SYSTEM_URL", "https://ci.example"),
            ("DRONE", "true"),
        ],
        "wp-8-2-",
        None,
        Some("acme/shop"),
        &["CI_WORKFLOW_NUMBER"],
    ),
    (
        "Bitbucket",
        &[
            ("CI", "true"),
            ("BITBUCKET_BUILD_NUMBER", "55"),
            ("BITBUCKET_STEP_UUID", "{5a50dd52-5ab7-4225-831c-4db9451375a2}"),
            ("BITBUCKET_STEP_RUN_NUMBER", "1"),
            ("BITBUCKET_PARALLEL_STEP", "0"),
            ("BITBUCKET_REPO_FULL_NAME", "acme/shop"),
        ],
        "bb-55-",
        None,
        Some("acme/shop"),
        &["BITBUCKET_STEP_UUID", "BITBUCKET_STEP_RUN_NUMBER", "BITBUCKET_PARALLEL_STEP"],
    ),
    (
        "TeamCity",
        &[
            ("TEAMCITY_VERSION", "2024.03 (build 156166)"),
            ("TEAMCITY_PROJECT_NAME", "Shop"),
            ("TEAMCITY_BUILDCONF_NAME", "Build"),
            ("BUILD_NUMBER", "1.2.5-joe"),
            ("BUILD_URL", "https://teamcity.example/buildConfiguration/Shop_Build/4711"),
        ],
        "tc-",
        None,
        None,
        &["BUILD_URL"],
    ),
    (
        "Travis",
        &[("CI", "true"), ("TRAVIS", "true"), ("TRAVIS_JOB_ID", "123"), ("TRAVIS_REPO_SLUG", "acme/shop")],
        "travis-123-",
        None,
        Some("acme/shop"),
        &["TRAVIS_JOB_ID"],
    ),
    (
        "Jenkins",
        &[
            ("JENKINS_URL", "https://jenkins.example/"),
            ("BUILD_NUMBER", "9"),
            ("BUILD_TAG", "jenkins-shop-main-9"),
            ("NODE_NAME", "joes-node"),
            ("EXECUTOR_NUMBER", "1"),
            ("WORKSPACE", "/var/jenkins/joe/workspace/shop@2"),
        ],
        "jenkins-9-",
        Some("jenkins-joes-node-1-"),
        None,
        &["BUILD_TAG", "NODE_NAME", "EXECUTOR_NUMBER", "WORKSPACE"],
    ),
];

#[test]
fn every_vendor_is_known_by_its_environment() {
    assert_eq!(CASES.len(), VENDORS.len());
    for (name, job, starts, slot_starts, repository, _) in CASES {
        let env = |key: &str| job.iter().find(|(name, _)| *name == key).map(|(_, value)| (*value).to_owned());
        let found = vendor(&env).expect(name);
        assert_eq!(found.name, *name);
        let session = found.session(&env).expect(name).to_string();
        assert!(session.starts_with(starts), "{session}");
        assert!(Name::typed(&session).is_ok(), "{session}");
        match (found.slot(&env), slot_starts) {
            (Some(slot), Some(starts)) => assert!(slot.as_str().starts_with(starts), "{slot}"),
            (slot, expected) => assert_eq!(slot.is_some(), expected.is_some(), "{name}"),
        }
        let found = found.repository(&env).map(|(name, _)| name.to_string());
        assert_eq!(found.as_deref(), *repository, "{name}");
    }
}

#[test]
fn legs_of_a_matrix_that_run_at_once_have_different_sessions() {
    for (name, job, _, _, _, differing) in CASES {
        for variable in *differing {
            assert_ne!(session(job), session(&with(job, variable, "5")), "{name} {variable}");
        }
    }
}

#[test]
fn no_host_user_or_path_gets_into_a_session() {
    for (name, job, ..) in CASES {
        let session = session(job).expect(name).to_lowercase();
        for private in ["joe", "host", "example", "192.168", "home", "var"] {
            assert!(!session.contains(private), "{session}");
        }
    }
}

#[test]
fn a_job_that_can_not_be_told_from_another_is_none() {
    for missing in ["GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT", "GITHUB_JOB", "RUNNER_NAME"] {
        assert_eq!(session(&with(GITHUB, missing, "")), None, "{missing}");
    }
    // Their runners run several jobs at once under one name.
    for blurred in ["GITEA_ACTIONS", "FORGEJO_ACTIONS", "ACT"] {
        assert_eq!(session(&[GITHUB, &[(blurred, "true")]].concat()), None, "{blurred}");
    }
    assert_eq!(session(&[("CI", "true")]), None);
    assert_eq!(session(&[]), None);
}

#[test]
fn steps_of_one_job_have_one_session() {
    // A docker action sees other folders than a run step.
    let action = with(GITHUB, "RUNNER_TEMP", "/github/runner_temp");
    assert_eq!(session(GITHUB), session(&action));
}

#[test]
fn two_runners_of_one_name_are_two_slots() {
    let slot = |job: &[(&str, &str)]| {
        let env = |name: &str| job.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        vendor(&env).and_then(|vendor| vendor.slot(&env))
    };
    assert_eq!(slot(GITHUB), slot(&with(GITHUB, "GITHUB_RUN_ID", "1")));
    for variable in ["GITHUB_REPOSITORY", "RUNNER_TEMP", "GITHUB_SERVER_URL"] {
        assert_ne!(slot(GITHUB), slot(&with(GITHUB, variable, "other")), "{variable}");
    }
}

#[test]
fn a_long_job_name_is_cut_and_still_told_apart() {
    let long = "j".repeat(300);
    let longer = format!("{long}x");
    let (a, b) = (session(&with(GITHUB, "GITHUB_JOB", &long)), session(&with(GITHUB, "GITHUB_JOB", &longer)));
    assert_eq!(a.as_ref().expect("a session").len(), Name::LONGEST);
    assert_ne!(a, b);
}

#[test]
fn the_table_for_the_docs_names_every_vendor() {
    let table = markdown();
    for vendor in VENDORS {
        assert!(table.contains(vendor.name) && table.contains(vendor.here[0].0));
    }
}

proptest::proptest! {
    /// Whatever the variables hold: the session is a name, is the same for the same job, and differs as soon as
    /// one variable that tells jobs apart does.
    #[test]
    fn sessions_are_names_and_tell_jobs_apart(
        case in 0..CASES.len(), values in proptest::collection::vec("\\PC{1,40}", 12), changed in "\\PC{1,40}", at in 0..12_usize,
    ) {
        let (name, job, ..) = CASES[case];
        let vendor = VENDORS.iter().find(|vendor| vendor.name == name).expect("a vendor");
        let telling: Vec<_> = [vendor.shown, vendor.hashed].concat();
        let mut env: HashMap<_, _> = job.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        for (name, value) in telling.iter().zip(&values) {
            env.insert((*name).to_owned(), format!("x{value}"));
        }
        let of = |env: &HashMap<String, String>| vendor.session(&|name| env.get(name).cloned()).map(|name| name.to_string());
        let before = of(&env).expect("a session");
        proptest::prop_assert!(Name::typed(&before).is_ok(), "{}", before);
        let variable = telling[at % telling.len()];
        let changed = format!("y{changed}");
        env.insert(variable.to_owned(), changed);
        proptest::prop_assert_ne!(Some(before), of(&env));
    }
}

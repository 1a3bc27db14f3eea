//! The workflow that makes a release says what the rest goes by.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use super::made::TARGETS;
use super::root;

fn source() -> String {
    fs::read_to_string(root().join(".github/workflows/release.yml")).expect("the workflow")
}

fn workflow() -> Value {
    serde_norway::from_str(&source()).expect("YAML")
}

/// Every step of every job, with the job's name.
fn steps(workflow: &Value) -> Vec<(String, Value)> {
    let jobs = workflow["jobs"].as_object().expect("jobs");
    let of = |(name, job): (&String, &Value)| {
        let steps = job["steps"].as_array().expect("steps").clone();
        steps.into_iter().map(|step| (name.clone(), step)).collect::<Vec<_>>()
    };
    jobs.iter().flat_map(of).collect()
}

pub(super) fn it_builds_for_every_target_that_is_given_away() {
    let workflow = workflow();
    let matrix = workflow["jobs"]["binary"]["strategy"]["matrix"]["include"].as_array().expect("a matrix");
    let built: Vec<_> = matrix.iter().map(|row| row["target"].as_str().expect("a target")).collect();
    assert_eq!(built, TARGETS);
    let deny = fs::read_to_string(root().join("deny.toml")).expect("deny.toml");
    for target in built {
        assert!(deny.contains(&format!("\"{target}\"")), "deny.toml checks nothing for {target}");
    }
    // Each binary lies where `packaging/make` looks for it: in a folder with its target's name.
    let is_upload = |step: &&(String, Value)| {
        step.0 == "binary" && step.1["uses"].as_str().is_some_and(|uses| uses.starts_with("actions/upload-artifact@"))
    };
    let steps = steps(&workflow);
    let uploads: Vec<_> = steps.iter().filter(is_upload).collect();
    assert_eq!(uploads.len(), 1);
    assert_eq!(uploads[0].1["with"]["name"], "${{ matrix.target }}");
    assert_eq!(uploads[0].1["with"]["path"], "given");
    let runs: Vec<_> =
        steps.iter().filter(|step| step.0 == "binary").filter_map(|step| step.1["run"].as_str()).collect();
    for wanted in [
        "packaging/licences \"$TARGET\" >THIRD-PARTY.txt",
        "mkdir given && mv \"target/$TARGET/release/dkb\" THIRD-PARTY.txt given",
    ] {
        assert!(runs.contains(&wanted), "{runs:?}");
    }
}

pub(super) fn its_actions_are_pinned_and_only_the_draft_may_write() {
    let uses: Vec<_> = source().lines().filter_map(|line| Some(line.split_once("uses: ")?.1.to_owned())).collect();
    assert!(uses.len() > 5, "{uses:?}");
    let mut versions = BTreeSet::new();
    for action in uses {
        let (name, rest) = action.split_once('@').expect("a version");
        let (commit, version) = rest.split_once(" # v").unwrap_or_else(|| panic!("{action} names no version"));
        assert!(commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()), "{action}");
        versions.insert((name.to_owned(), commit.to_owned(), version.to_owned()));
    }
    let names: BTreeSet<_> = versions.iter().map(|(name, ..)| name).collect();
    assert_eq!(names.len(), versions.len(), "one action, one version: {versions:?}");

    let workflow = workflow();
    assert_eq!(workflow["permissions"], serde_json::json!({}));
    for (name, job) in workflow["jobs"].as_object().expect("jobs") {
        let writes = job["permissions"].as_object().expect("what it may").values().any(|what| what == "write");
        assert_eq!(writes, name == "draft", "{name}");
        assert!(job["timeout-minutes"].is_number(), "{name} may hang");
    }
    // What may write runs nothing that was fetched, and words of GitHub's come into a script as variables alone.
    for (job, step) in steps(&workflow) {
        let script = step["run"].as_str().unwrap_or_default();
        assert!(!script.contains("${{"), "{script}");
        assert!(job != "draft" || !script.contains("cargo"), "{script}");
        for word in script.split_whitespace().filter(|word| word.starts_with("packaging/")) {
            let mode = fs::metadata(root().join(word)).unwrap_or_else(|error| panic!("{word}: {error}")).permissions();
            assert!(mode.mode() & 0o111 != 0, "{word} can't be run");
        }
    }
}

//! The files of `deploy/` say what its pages promise: each can be read, and none opens a door that the cleaner does not
//! need. What of them can be run here is run by the promises.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file below `deploy/`, by its path there.
fn files() -> Vec<String> {
    fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { collect(&path, files) } else { files.push(path) }
        }
    }
    let (mut files, base) = (Vec::new(), root().join("deploy"));
    collect(&base, &mut files);
    files.sort();
    files.iter().map(|path| path.strip_prefix(&base).expect("below it").to_string_lossy().into_owned()).collect()
}

fn is_yaml(path: &str) -> bool {
    path.rsplit('.').next().is_some_and(|ending| ending == "yaml" || ending == "yml")
}

/// The documents of a YAML file.
fn documents(path: &str) -> Vec<Value> {
    let text = read(Path::new("deploy").join(path));
    let one = |document| Value::deserialize(document).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_norway::Deserializer::from_str(&text).map(one).collect()
}

/// Every table in it, with those that it stands in, the innermost last.
fn tables<'v>(value: &'v Value, above: &[&'v Value], found: &mut Vec<Vec<&'v Value>>) {
    match value {
        Value::Object(fields) => {
            let here: Vec<&Value> = above.iter().copied().chain([value]).collect();
            fields.values().for_each(|field| tables(field, &here, found));
            found.push(here);
        }
        Value::Array(list) => list.iter().for_each(|one| tables(one, above, found)),
        _ => {}
    }
}

fn is_cleaner(table: &Value) -> bool {
    table["image"].as_str().is_some_and(|image| image.split(':').next() == Some("docker-cleaner"))
}

/// What each file starts of the cleaner's image, with what it stands in.
fn cleaners(of: &[&str], mut look: impl FnMut(&str, &[&Value])) {
    let mut seen = 0;
    for path in files().iter().filter(|path| is_yaml(path) && of.iter().any(|folder| path.starts_with(folder))) {
        for document in documents(path) {
            let mut found = Vec::new();
            tables(&document, &[], &mut found);
            for tables in found.iter().filter(|tables| tables.last().is_some_and(|table| is_cleaner(table))) {
                look(path, tables);
                seen += 1;
            }
        }
    }
    assert!(seen >= of.len(), "{seen} in {of:?}");
}

fn has(list: &Value, word: &str) -> bool {
    list.as_array().is_some_and(|list| list.iter().any(|one| one == word))
}

#[test]
fn what_compose_and_swarm_start_has_every_door_shut() {
    cleaners(&["compose/", "swarm/"], |path, tables| {
        let service = tables.last().expect("a service");
        assert_eq!(service["read_only"], true, "{path}");
        assert!(has(&service["cap_drop"], "ALL") && service["privileged"].is_null(), "{path}");
        assert_eq!(service["cap_add"], serde_json::json!(["SETUID", "SETGID"]), "{path}");
        if path.starts_with("compose/") {
            assert!(has(&service["security_opt"], "no-new-privileges:true"), "{path}");
            assert_eq!(service["network_mode"], "none", "{path}");
            assert!(service["mem_limit"].is_string() && service["restart"] == "no", "{path}");
        } else {
            assert!(service["deploy"]["resources"]["limits"]["memory"].is_string(), "{path}");
            assert_eq!(service["deploy"]["restart_policy"]["condition"], "none", "{path}");
        }
    });
}

#[test]
fn what_kubernetes_starts_passes_for_restricted_but_for_the_socket() {
    cleaners(&["kubernetes/"], |path, tables| {
        let own = &tables.last().expect("a container")["securityContext"];
        let pod = tables.iter().rev().find(|table| !table["containers"].is_null()).expect("a pod");
        let said = |key: &str| if own[key].is_null() { &pod["securityContext"][key] } else { &own[key] };
        assert_eq!(own["allowPrivilegeEscalation"], false, "{path}");
        assert_eq!(own["readOnlyRootFilesystem"], true, "{path}");
        assert!(has(&own["capabilities"]["drop"], "ALL") && own["privileged"].is_null(), "{path}");
        assert_eq!((said("runAsNonRoot"), said("runAsUser")), (&true.into(), &1000.into()), "{path}");
        assert_eq!(said("seccompProfile")["type"], "RuntimeDefault", "{path}");
        assert!(tables.last().expect("a container")["resources"]["limits"]["memory"].is_string(), "{path}");
        assert_eq!(pod["automountServiceAccountToken"], false, "{path}");
    });
}

#[test]
fn nothing_is_privileged_but_an_engine_in_a_pod() {
    for path in files().iter().filter(|path| is_yaml(path)) {
        for document in documents(path) {
            let mut found = Vec::new();
            tables(&document, &[], &mut found);
            for tables in found.iter().filter(|tables| tables.last().is_some_and(|own| own["privileged"] == true)) {
                let container = tables[tables.len() - 2];
                assert!(path.starts_with("kubernetes/dind/") && container["name"] == "engine", "{path}");
            }
        }
    }
    for path in ["cron/docker-cleaner", "gitlab/.gitlab-ci.yml", "github/cleanup.yml"] {
        let text = read(Path::new("deploy").join(path));
        assert!(!text.contains("--privileged"), "{path}");
        let shut = ["--read-only", "--network none", "--cap-drop ALL", "--security-opt no-new-privileges"];
        for flag in shut {
            assert!(text.contains(flag), "{path}: {flag}");
        }
    }
}

/// The variables of the page on sweeping and of the table of keys.
fn known() -> String {
    read("docs/sweep.md") + &read("docs/reference.md")
}

#[test]
fn every_variable_and_flag_that_a_file_gives_is_one_of_a_sweep() {
    let known = known();
    let check = |path: &str, name: &str| assert!(known.contains(&format!("`{name}`")), "{path}: {name}");
    cleaners(&["compose/", "swarm/", "kubernetes/"], |path, tables| {
        let own = tables.last().expect("a container");
        let by_name = own["environment"].as_object().into_iter().flatten().map(|(name, _)| name.as_str());
        let in_a_list = own["env"].as_array().into_iter().flatten().filter_map(|one| one["name"].as_str());
        by_name.chain(in_a_list).for_each(|name| check(path, name));
        let words = own["args"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let line = ["dkb", "sweep"].into_iter().chain(words).map(Into::into);
        assert!(matches!(dkb::cli::parse(line), Ok(dkb::cli::Parsed::Run(_))), "{path}");
    });
    for literal in documents("kubernetes/base/kustomization.yaml")[0]["configMapGenerator"][0]["literals"]
        .as_array()
        .expect("settings")
    {
        check("kubernetes/base", literal.as_str().and_then(|text| text.split('=').next()).expect("a variable"));
    }
    for path in ["cron/docker-cleaner", "gitlab/.gitlab-ci.yml", "github/cleanup.yml"] {
        let text = read(Path::new("deploy").join(path));
        let given = text.split("-e ").skip(1).filter_map(|rest| rest.split('=').next()).map(str::to_owned);
        given.for_each(|name| check(path, &name));
    }
}

#[test]
fn every_file_is_named_where_people_look() {
    let pages = read("deploy/README.md") + &read("docs/sweep.md") + &read("justfile");
    for path in files().into_iter().filter(|path| path != "README.md") {
        let folder = path.split('/').next().expect("a part");
        assert!(pages.contains(&path) || pages.contains(&format!("({folder})")), "{path}");
    }
    // A kustomization names what stands beside it.
    for path in files().iter().filter(|path| path.ends_with("kustomization.yaml")) {
        let folder = Path::new("deploy").join(path);
        for resource in documents(path)[0]["resources"].as_array().expect("resources") {
            let named = root().join(folder.parent().expect("a folder")).join(resource.as_str().expect("a path"));
            assert!(named.exists(), "{path}: {resource}");
        }
    }
}

#[test]
fn every_test_that_the_page_on_hardening_names_is_there() {
    let page = read("deploy/hardening.md");
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| ") && !line.contains("kept by")).collect();
    assert_eq!(rows.len(), 14, "the list has as many points");
    for row in rows {
        let quoted = row.split('`').skip(1).step_by(2);
        for word in quoted.filter(|word| word.starts_with("sweep_") || word.starts_with("deploy") || word == &"log") {
            assert!(root().join(format!("tests/promises/{word}.rs")).exists() || word.ends_with('/'), "{word}");
        }
        let quoted = row.split('`').skip(1).step_by(2);
        for path in quoted.filter(|word| word.starts_with("src/") || word.starts_with("tests/")) {
            assert!(root().join(path).exists(), "{path}");
        }
    }
}

/// Only where there is one; both look at the files alone.
#[test]
fn systemd_takes_the_units_and_finds_nothing_open() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["dkb-sweep.service", "dkb-sweep.timer"] {
        let unit =
            read(Path::new("deploy/systemd").join(name)).replace("/usr/local/bin/dkb", env!("CARGO_BIN_EXE_dkb"));
        fs::write(folder.path().join(name), unit).expect("a unit");
    }
    let service = folder.path().join("dkb-sweep.service");
    let verify = ["verify", "--man=no"];
    let units = [&service, &folder.path().join("dkb-sweep.timer")];
    let told = Command::new("systemd-analyze").args(verify).args(units).output().expect("it is there");
    assert!(told.status.success() && told.stderr.is_empty(), "{}", String::from_utf8_lossy(&told.stderr));
    // In tenths; it fails where more is open.
    let security = ["security", "--offline=true", "--threshold=10", "--no-pager"];
    let told = Command::new("systemd-analyze").args(security).arg(&service).output().expect("it is there");
    assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stdout));
}

/// Only where there is one; it asks no cluster.
#[test]
fn kubectl_builds_each_kustomization() {
    for folder in ["base", "nodes", "dind"] {
        let mut kubectl = Command::new("kubectl");
        let Ok(told) = kubectl.arg("kustomize").arg(root().join("deploy/kubernetes").join(folder)).output() else {
            return;
        };
        let said = String::from_utf8_lossy(&told.stdout);
        assert!(told.status.success() && said.contains("image: docker-cleaner:latest"), "{folder}: {said}");
    }
}

//! buildx's lists of builders: this user's, and those of everybody on this machine that this user may read.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{Env, cli_files};
use crate::error::{Error, Result};
use crate::files;
use crate::model::KnownBuilders;

const PASSWD: &str = "/etc/passwd";

/// `config`: docker's `--config`. What this user should be able to read and can't is an error, since nobody knows then
/// which builders are gone; of others' lists what can't be read says nothing.
pub(crate) fn known_builders(config: Option<&Path>, env: Env<'_>) -> Result<KnownBuilders> {
    let passwd = files::read_text(Path::new(PASSWD), files::SETTINGS).unwrap_or_default();
    read(&own(config, env), &others(&passwd))
}

/// Where buildx keeps the list of whoever runs this, now or under other settings.
fn own(config: Option<&Path>, env: Env<'_>) -> Vec<PathBuf> {
    let set = |name| env(name).filter(|value: &OsString| !value.is_empty()).map(PathBuf::from);
    let beside = |dir: Option<PathBuf>| Some(dir?.join("buildx"));
    let places = [
        set("BUILDX_CONFIG"),
        beside(cli_files::config_dir(config, env)),
        beside(cli_files::config_dir(None, env)),
        set("HOME").map(|home| of_home(&home)),
    ];
    places.into_iter().flatten().collect()
}

fn others(passwd: &str) -> Vec<PathBuf> {
    let homes = passwd.lines().filter_map(|line| line.split(':').nth(5)).filter(|home| home.len() > 1);
    homes.map(|home| of_home(Path::new(home))).collect()
}

fn of_home(home: &Path) -> PathBuf {
    home.join(".docker/buildx")
}

fn read(own: &[PathBuf], others: &[PathBuf]) -> Result<KnownBuilders> {
    let mut known = KnownBuilders::default();
    for root in own {
        let dir = root.join("instances");
        for file in list(&dir).map_err(|error| unread(&dir, error))? {
            let nodes = nodes(&file).map_err(|error| unread(&file, error))?;
            known.add(&name(&file), nodes.iter().map(String::as_str));
        }
    }
    for file in others.iter().flat_map(|root| list(&root.join("instances")).unwrap_or_default()) {
        let nodes = nodes(&file).unwrap_or_default();
        known.add(&name(&file), nodes.iter().map(String::as_str));
    }
    Ok(known)
}

fn unread(path: &Path, error: impl std::fmt::Display) -> Error {
    Error::failed(format!("reading buildx's list of builders, {}", path.display()), error)
        .hint("what builders left stays, since nobody can say which are gone; docker buildx ls shows what buildx knows")
}

/// A file for each builder. What buildx was writing when it was killed begins with a dot.
fn list(dir: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(dir) {
        Ok(entries) => {
            let files: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
            Ok(files.into_iter().filter(|file| !name(file).starts_with('.')).collect())
        }
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn nodes(file: &Path) -> io::Result<Vec<String>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct ListedBuilder {
        nodes: Option<Vec<ListedNode>>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct ListedNode {
        name: String,
    }
    let instance: ListedBuilder = serde_json::from_slice(&files::read(file, files::SETTINGS)?)?;
    Ok(instance.nodes.into_iter().flatten().map(|node| node.name).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(path, text).expect("a file");
    }

    #[test]
    fn a_builder_in_any_list_is_known_and_one_that_cant_be_read_is_an_error_in_ones_own() {
        let dir = tempfile::tempdir().expect("a folder");
        let (mine, theirs) = (dir.path().join("mine"), dir.path().join("theirs"));
        let read = |own: &Path, others: &Path| super::read(&[own.to_path_buf()], &[others.to_path_buf()]);
        assert_eq!(read(&mine, &theirs).expect("no list at all"), KnownBuilders::default());
        write(
            &mine.join("instances/farm"),
            r#"{"Name":"farm","Driver":"docker-container","Nodes":[{"Name":"farm0","Endpoint":"unix:///x"},{"Name":"arm"}]}"#,
        );
        write(&mine.join("instances/.tmp-farm123"), "");
        write(&theirs.join("instances/ci"), r#"{"Name":"ci","Nodes":null}"#);
        write(&theirs.join("instances/odd"), "{");
        let known = read(&mine, &theirs).expect("lists");
        let have = ["farm0", "arm", "ci0", "odd3", "gone0"].map(|node| known.have(node));
        assert_eq!(have, [true, true, true, true, false]);
        let error = read(&theirs, &mine).expect_err("a file that can't be read").to_string();
        assert!(error.contains("instances/odd"), "{error}");
    }

    #[test]
    fn lists_are_looked_for_wherever_buildx_may_have_kept_one() {
        let env = |name: &str| match name {
            "HOME" => Some(OsString::from("/home/me")),
            "BUILDX_CONFIG" => Some(OsString::from("/b")),
            "DOCKER_CONFIG" => Some(OsString::from("/d")),
            _ => None,
        };
        let paths = |all: &[&str]| all.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(
            own(Some(Path::new("/c")), &env),
            paths(&["/b", "/c/buildx", "/d/buildx", "/home/me/.docker/buildx"])
        );
        assert!(own(None, &|_| None).is_empty());
        let passwd = "root:x:0:0:root:/root:/bin/sh\nnobody:x:1:1::/:/x\nodd\nme:x:2:2::/home/me:/bin/sh\n";
        assert_eq!(others(passwd), paths(&["/root/.docker/buildx", "/home/me/.docker/buildx"]));
    }
}

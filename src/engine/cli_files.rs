//! The Docker CLI's own files: its settings and its contexts. Credentials stand in the same folder; of
//! `config.json` only the fields named here are kept, and never `auths`.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::from_str;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::Env;
use super::docker_json::{is_named, members};
use crate::error::{Error, Result};
use crate::files;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CliConfig {
    pub current_context: String,
    pub cli_plugins_extra_dirs: Vec<PathBuf>,
    builder_alias: bool,
}

impl CliConfig {
    /// As docker does, a file that is missing or can't be read counts as empty; docker itself warns about it.
    pub(crate) fn read(dir: Option<&Path>) -> Self {
        dir.and_then(|dir| read(&dir.join("config.json")).ok()).and_then(|text| Self::parse(&text)).unwrap_or_default()
    }

    /// What is of another kind than it should be is passed over, and all else counts.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let (text, mut config) = (String::from_utf8_lossy(text), Self::default());
        for (name, value) in members(&text).ok()? {
            let value = value.get();
            if is_named(&name, "currentContext") {
                config.current_context = from_str(value).unwrap_or(config.current_context);
            } else if is_named(&name, EXTRA_DIRS) {
                if let Ok(dirs) = from_str::<Option<Vec<&RawValue>>>(value) {
                    let dirs = dirs.into_iter().flatten().filter_map(|dir| from_str(dir.get()).ok());
                    config.cli_plugins_extra_dirs = dirs.collect();
                }
            } else if is_named(&name, "aliases") {
                let aliases = members(value).unwrap_or_default().into_iter().filter(|(name, _)| name == "builder");
                for (_, verb) in aliases {
                    config.builder_alias = from_str::<String>(verb.get()).is_ok_and(|verb| !verb.is_empty());
                }
            }
        }
        Some(config)
    }

    /// `docker buildx install` makes buildx the builder by an alias.
    pub(crate) const fn has_builder_alias(&self) -> bool {
        self.builder_alias
    }
}

/// The key of docker's `config.json` by which it looks for plugins elsewhere too.
pub(super) const EXTRA_DIRS: &str = "cliPluginsExtraDirs";

/// What docker may have, dkb reads: it would choose another engine without.
const LARGEST: u64 = 64 << 20;

fn read(path: &Path) -> io::Result<Vec<u8>> {
    files::read(path, LARGEST)
}

/// The folder of docker's settings: `--config`, `DOCKER_CONFIG`, `~/.docker`.
pub(crate) fn config_dir(flag: Option<&Path>, env: Env<'_>) -> Option<PathBuf> {
    let set = |name| env(name).filter(|value: &OsString| !value.is_empty()).map(PathBuf::from);
    flag.map(Path::to_path_buf).or_else(|| set("DOCKER_CONFIG")).or_else(|| Some(set("HOME")?.join(".docker")))
}

/// What a context says of its engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ContextHost {
    pub(super) host: String,
    pub(super) tls: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Meta {
    endpoints: Endpoints,
}

#[derive(Deserialize)]
struct Endpoints {
    docker: Option<DockerEndpoint>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct DockerEndpoint {
    host: String,
    #[serde(rename = "SkipTLSVerify")]
    skip_tls_verify: bool,
}

pub(super) fn read_context(dir: Option<&Path>, name: &str) -> Result<ContextHost> {
    let tried = format!("looking up docker's context '{name}'");
    let missing = || Error::usage(&tried, "there is no such context").hint("docker context ls lists them.");
    let dir = dir.ok_or_else(missing)?.join("contexts");
    let hash = hex::encode(Sha256::digest(name));
    let text = read(&dir.join("meta").join(&hash).join("meta.json")).map_err(|error| match error.kind() {
        ErrorKind::NotFound => missing(),
        _ => Error::failed(&tried, error),
    })?;
    let has_certificates = dir.join("tls").join(&hash).join("docker").is_dir();
    context_host(&text, has_certificates).map_err(|error| Error::failed(&tried, error))
}

/// What a context's `meta.json` says.
pub(super) fn context_host(text: &[u8], has_certificates: bool) -> serde_json::Result<ContextHost> {
    let docker = serde_json::from_slice::<Meta>(text)?.endpoints.docker.unwrap_or_default();
    Ok(ContextHost { host: docker.host, tls: docker.skip_tls_verify || has_certificates })
}

/// The names of all contexts but `default`, in their order.
pub(crate) fn contexts(dir: Option<&Path>) -> Vec<String> {
    #[derive(Deserialize)]
    struct Named {
        #[serde(rename = "Name")]
        name: String,
    }
    let entries = dir.and_then(|dir| fs::read_dir(dir.join("contexts/meta")).ok());
    let texts = entries.into_iter().flatten().flatten().filter_map(|entry| read(&entry.path().join("meta.json")).ok());
    let mut names: Vec<String> =
        texts.filter_map(|text| serde_json::from_slice::<Named>(&text).ok()).map(|named| named.name).collect();
    names.sort();
    names
}

/// What buildx remembers of builders, beside docker's settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct BuildxFiles {
    /// Builders that somebody made.
    pub instances: HashSet<String>,
    /// What `docker buildx use` named, for whatever engine.
    pub used: HashSet<String>,
}

impl BuildxFiles {
    /// From `BUILDX_CONFIG`, or the folder of docker's settings.
    pub(crate) fn read(own: Option<PathBuf>, dir: Option<&Path>) -> Self {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Current {
            name: String,
        }
        let Some(root) = own.filter(|path| !path.as_os_str().is_empty()).or_else(|| Some(dir?.join("buildx"))) else {
            return Self::default();
        };
        let names = |folder: &str| -> Vec<PathBuf> {
            fs::read_dir(root.join(folder))
                .map_or_else(|_| Vec::new(), |files| files.flatten().map(|f| f.path()).collect())
        };
        let file_name = |path: &PathBuf| Some(path.file_name()?.to_string_lossy().into_owned());
        let current = read(&root.join("current")).ok().and_then(|text| serde_json::from_slice::<Current>(&text).ok());
        let defaults = names("defaults").into_iter().filter_map(|path| files::read_text(&path, files::SETTINGS).ok());
        Self {
            instances: names("instances").iter().filter_map(file_name).collect(),
            used: current
                .map(|current| current.name)
                .into_iter()
                .chain(defaults.map(|name| name.trim().to_owned()))
                .collect(),
        }
    }
}

/// The name of buildx among them.
pub(crate) const BUILDX: &str = "docker-buildx";

/// Where docker looks for the plugins of everybody.
pub(super) const SYSTEM_PLUGINS: [&str; 5] = [
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
    // Where Homebrew's docker looks.
    "/opt/homebrew/lib/docker/cli-plugins",
];

/// What docker finds under the name of buildx where it looks for plugins, the one that it takes first.
pub(crate) fn buildx_plugins(dir: Option<&Path>, config: &CliConfig) -> impl Iterator<Item = PathBuf> {
    let own = dir.map(|dir| dir.join("cli-plugins"));
    let extra = config.cli_plugins_extra_dirs.clone();
    let dirs = extra.into_iter().chain(own).chain(SYSTEM_PLUGINS.map(PathBuf::from));
    dirs.map(|dir| dir.join(BUILDX)).filter(|plugin| plugin.is_file())
}

/// Whether docker finds buildx among its plugins.
pub(crate) fn has_buildx(dir: Option<&Path>, config: &CliConfig) -> bool {
    buildx_plugins(dir, config).next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().expect("a folder")
    }

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(path, text).expect("a file");
    }

    #[test]
    fn settings_are_read_past_everything_else_and_damage_counts_as_empty() {
        let dir = folder();
        assert_eq!(CliConfig::read(Some(dir.path())), CliConfig::default());
        write(
            &dir.path().join("config.json"),
            r#"{"auths":{"r":{"auth":"secret"}},"currentContext":"far",
            "aliases":{"builder":"buildx"},"cliPluginsExtraDirs":["/x"],"plugins":{"a":{"b":"c"}}}"#,
        );
        let config = CliConfig::read(Some(dir.path()));
        assert!(config.has_builder_alias() && !format!("{config:?}").contains("secret"));
        assert_eq!(config.current_context, "far");
        write(&dir.path().join("config.json"), "{");
        assert_eq!(CliConfig::read(Some(dir.path())), CliConfig::default());
    }

    #[test]
    fn settings_are_read_as_docker_reads_them() {
        for (text, folders) in [
            (r#"{"cliPluginsExtraDirs": ["/x"]} and more"#, &["/x"][..]),
            ("{\"cliPluginsExtraDirs\": [\"/x\"]}\n\n{}", &["/x"]),
            (r#"{"CLIPluginsExtraDirs": ["/x"]}"#, &["/x"]),
            ("{\"CLIPLUGIN\u{17f}EXTRADIR\u{17f}\": [\"/x\"]}", &["/x"]),
            (r#"{"cliPluginsExtraDirs": ["/x"], "cliPluginsExtraDirs": ["/y", "/z"]}"#, &["/y", "/z"]),
            (r#"{"cliPluginsExtraDirs": null, "clipluginsextradirs": ["/x"]}"#, &["/x"]),
            (r#"{"clipluginsextradirs": ["/x"], "cliPluginsExtraDirs": null}"#, &[]),
            (r#"{"cliPluginsExtraDirs": ["/x"], "clipluginsextradirs": "/y", "currentContext": 1}"#, &["/x"]),
            (r#"{"a": "\ud800", "b": 1e999, "cliPluginsExtraDirs": ["/x", 1]}"#, &["/x"]),
            (r#"{"a": {"cliPluginsExtraDirs": ["/x"]}}"#, &[]),
            (r#"{"cliPluginsExtraDirs": ["/x"],}"#, &[]),
        ] {
            let config = CliConfig::parse(text.as_bytes()).unwrap_or_default();
            assert_eq!(config.cli_plugins_extra_dirs, folders.iter().map(PathBuf::from).collect::<Vec<_>>(), "{text}");
        }
        let config =
            CliConfig::parse(b"{\"CURRENTCONTEXT\": \"far\", \"a\": \"\xff\", \"Aliases\": {\"builder\": \"x\"}}");
        let config = config.expect("settings");
        assert!(config.has_builder_alias() && config.current_context == "far");
    }

    #[test]
    fn a_context_lies_below_the_hash_of_its_name() {
        let dir = folder();
        let hash = hex::encode(Sha256::digest("far"));
        let meta = dir.path().join("contexts/meta").join(&hash).join("meta.json");
        write(
            &meta,
            r#"{"Name":"far","Metadata":{},"Endpoints":{"docker":{"Host":"ssh://me@far","SkipTLSVerify":false}}}"#,
        );
        let host = |tls| ContextHost { host: "ssh://me@far".to_owned(), tls };
        assert_eq!(read_context(Some(dir.path()), "far").expect("a context"), host(false));
        write(&dir.path().join("contexts/tls").join(&hash).join("docker/ca.pem"), "");
        assert_eq!(read_context(Some(dir.path()), "far").expect("a context"), host(true));
        assert!(read_context(Some(dir.path()), "near").expect_err("no context").to_string().contains("'near'"));
    }

    #[test]
    fn buildx_is_found_where_docker_looks() {
        let dir = folder();
        let config = CliConfig { cli_plugins_extra_dirs: vec![dir.path().join("extra")], ..CliConfig::default() };
        write(&dir.path().join("extra/docker-buildx"), "");
        assert!(has_buildx(None, &config));
        write(&dir.path().join("home/cli-plugins/docker-buildx"), "");
        assert!(has_buildx(Some(&dir.path().join("home")), &CliConfig::default()));
    }
}

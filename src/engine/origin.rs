//! Where an engine's address came from, in the words of whoever wrote it there: for whoever wonders why it is this one.

use super::cli_files::{CliConfig, config_dir};
use super::program::ProgramKind;
use super::{DockerFlags, Env};

/// Read in the order of [`super::Endpoint::resolve`].
pub(crate) fn origin(flags: &DockerFlags, env: Env<'_>, kind: Option<ProgramKind>) -> String {
    let set = |name: &str| env(name).is_some_and(|value| !value.is_empty());
    let podman = kind == Some(ProgramKind::Podman);
    let context = flags.context.as_deref().filter(|_| !podman);
    match context {
        Some(name) if !matches!(name, "" | "default") => return format!("--context {name}"),
        _ if !flags.hosts.is_empty() => return "--host".to_owned(),
        _ => {}
    }
    let variables = if podman { ["CONTAINER_HOST", "DOCKER_HOST"].as_slice() } else { &["DOCKER_HOST"] };
    if let Some(name) = variables.iter().find(|name| set(name)) {
        return (*name).to_owned();
    }
    if podman {
        return "where Podman listens by default".to_owned();
    }
    if context == Some("default") {
        return "--context default".to_owned();
    }
    if let Some(name) = env("DOCKER_CONTEXT").filter(|name| !name.is_empty()) {
        return format!("DOCKER_CONTEXT={}", name.to_string_lossy());
    }
    let dir = config_dir(flags.config.as_deref(), env);
    let current = CliConfig::read(dir.as_deref()).current_context;
    match dir.filter(|_| !matches!(&*current, "" | "default")) {
        Some(dir) => format!("context {current} of {}", dir.join("config.json").display()),
        None => "docker's default".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn an_address_is_told_with_where_it_came_from() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("config.json");
        let of = |flags: DockerFlags, variables: &[(&str, &str)], kind| {
            let find = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
            let flags = DockerFlags { config: Some(PathBuf::from(dir.path())), ..flags };
            origin(&flags, &|name| -> Option<OsString> { find(name) }, kind)
        };
        let none = DockerFlags::default;
        let host = DockerFlags { hosts: vec!["tcp://x".to_owned()], ..none() };
        let context = |name: &str| DockerFlags { context: Some(name.to_owned()), ..none() };
        assert_eq!(of(none(), &[], None), "docker's default");
        assert_eq!(of(none(), &[], Some(ProgramKind::Podman)), "where Podman listens by default");
        std::fs::write(&file, r#"{"currentContext":"nas"}"#).expect("a file");
        let written = format!("context nas of {}", file.display());
        let all = [("DOCKER_HOST", "unix:///x"), ("DOCKER_CONTEXT", "lab"), ("CONTAINER_HOST", "unix:///y")];
        for (flags, variables, kind, said) in [
            (host.clone(), &all[..], None, "--host"),
            (host, &all[..], Some(ProgramKind::Podman), "--host"),
            (context("lab"), &all[..], None, "--context lab"),
            (context("default"), &all[..], None, "DOCKER_HOST"),
            (context("default"), &all[1..], None, "--context default"),
            (none(), &all[..], None, "DOCKER_HOST"),
            (none(), &all[..], Some(ProgramKind::Podman), "CONTAINER_HOST"),
            (none(), &all[..2], Some(ProgramKind::Podman), "DOCKER_HOST"),
            (none(), &all[1..], None, "DOCKER_CONTEXT=lab"),
            (none(), &[][..], None, &*written),
            (none(), &[("DOCKER_HOST", "")][..], None, &*written),
        ] {
            assert_eq!(of(flags, variables, kind), said);
        }
    }
}

//! `dkb plugin`: the links by which docker and cargo find dkb as a verb of their own, and its place before docker's buildx.

use std::io::ErrorKind;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use crate::app::env;
use crate::cli::{self, Plugin, PluginPlaces};
use crate::engine::cli_files::config_dir;
use crate::engine::program;
use crate::engine::seat::{Seat, SeatStanding};
use crate::error::{Error, Result};
use crate::files;
use crate::report::{self, Page};

/// What docker asks a plugin before it lists it.
pub(super) fn metadata() -> u8 {
    let metadata = serde_json::json!({
        "SchemaVersion": "0.1.0",
        "Vendor": "dkb",
        "Version": cli::VERSION,
        "ShortDescription": "Build and leave nothing behind; clean what is yours and nothing else",
    });
    report::out(&Page::of_json(&metadata.to_string()));
    0
}

/// A place where a link makes dkb somebody's verb.
struct LinkPlace {
    command: &'static str,
    link: PathBuf,
    /// Whose verb it becomes has to be there.
    wanted: bool,
}

/// What stands at such a place.
#[derive(Debug, PartialEq, Eq)]
enum There {
    Nothing,
    Ours,
    /// A link to a dkb elsewhere, or to one that is gone.
    AnotherDkb(PathBuf),
    Foreign,
}

pub(super) fn plugin(verb: &Plugin, docker_config: Option<&Path>) -> Result<u8> {
    let own = program::own_path().map_err(|error| Error::failed("looking for the dkb that runs", error))?;
    let mut said: Vec<(&str, Result<String>)> = Vec::new();
    // Where nothing is named it is about the links; what is taken away, or shown, is all of it.
    let (links, every_build) = match verb {
        Plugin::Install(places) => (*places == PluginPlaces::default(), places.every_build),
        Plugin::Uninstall(places) if *places != PluginPlaces::default() => (false, places.every_build),
        Plugin::Uninstall(_) | Plugin::Status => (true, true),
    };
    for place in places(docker_config).iter().filter(|_| links) {
        said.push((place.command, link(verb, place, &own)));
    }
    if let Some(place) = as_docker(verb) {
        said.push((place.command, docker(verb, &place, &own)));
    }
    if every_build {
        said.push(("every build", seat(verb, docker_config, &own)));
    }
    let mut page = Page::default();
    let failed = said.iter().filter(|(_, said)| said.is_err()).count();
    for (command, said) in &said {
        match said {
            Ok(text) => {
                for (n, line) in text.lines().enumerate() {
                    page.line(format_args!("{:<11} {line}", if n == 0 { command } else { "" }));
                }
            }
            Err(error) => {
                page.line(format_args!("{command:<11} {}", error.what()));
                if let Some(next) = error.next() {
                    page.line(format_args!("{:<11} {next}", ""));
                }
            }
        }
    }
    report::out(&page);
    Ok(match failed {
        0 => 0,
        failed if failed == said.len() => 2,
        _ => 1,
    })
}

fn link(verb: &Plugin, place: &LinkPlace, own: &Path) -> Result<String> {
    let there = look(&place.link, own);
    match verb {
        Plugin::Install(_) if place.wanted => install(place, &there, own),
        Plugin::Install(_) => Ok(format!("left out: there is no {}", folder_of(&place.link).display())),
        Plugin::Uninstall(_) => uninstall(place, &there),
        Plugin::Status => Ok(state(place, &there)),
    }
}

/// Where dkb is called docker, or is to be: in the folder that was named, else where PATH has it.
fn as_docker(verb: &Plugin) -> Option<LinkPlace> {
    let named = match verb {
        Plugin::Install(places) => Some(places.as_docker.as_ref()?),
        Plugin::Uninstall(places) if *places != PluginPlaces::default() => Some(places.as_docker.as_ref()?),
        Plugin::Uninstall(_) | Plugin::Status => None,
    };
    let link = match named {
        Some(folder) => std::path::absolute(folder).unwrap_or_else(|_| folder.clone()).join("docker"),
        None => program::as_docker(&env)?,
    };
    Some(LinkPlace { command: "as docker", link, wanted: true })
}

fn docker(verb: &Plugin, place: &LinkPlace, own: &Path) -> Result<String> {
    if !matches!(verb, Plugin::Install(_)) {
        return link(verb, place, own);
    }
    // Nothing is put in the place of a docker that is not there.
    let real = program::behind_docker(env("DKB_DOCKER").as_deref(), &env)?;
    let said = link(verb, place, own)?;
    let found = program::as_docker(&env).is_some_and(|docker| docker == place.link);
    let named = if found { String::new() } else { format!("\nnot by PATH: name {} to the tool", place.link.display()) };
    Ok(format!("{said}, before {}{named}", real.path.display()))
}

/// dkb before docker's buildx.
fn seat(verb: &Plugin, docker_config: Option<&Path>, own: &Path) -> Result<String> {
    let dir = config_dir(docker_config, &env).ok_or_else(|| {
        Error::failed("looking for docker's settings", "there is no home folder").hint("name them in DOCKER_CONFIG")
    })?;
    let seat = Seat::new(&dir);
    match verb {
        Plugin::Install(_) => {
            let settings = seat.take(own)?;
            Ok([taken(&seat.standing(), &seat), added(&settings, &seat)].join("\n"))
        }
        Plugin::Uninstall(_) => Ok(match seat.leave()? {
            None => taken(&SeatStanding::Absent, &seat),
            Some(settings) => format!("removed; all else in {} is as it was, to the byte", settings.display()),
        }),
        Plugin::Status => Ok(taken(&seat.standing(), &seat)),
    }
}

fn taken(standing: &SeatStanding, seat: &Seat) -> String {
    let off = program::seat_is_off(&env);
    match standing {
        SeatStanding::Absent => format!("not installed ({})", seat.folder().display()),
        SeatStanding::Taken(buildx) if off => format!("installed, and off by {}: {}", program::SEAT, buildx.display()),
        SeatStanding::Taken(buildx) => format!("installed, before {}", buildx.display()),
        SeatStanding::Lost(why) => format!("lost: {why}"),
        SeatStanding::Empty(dkb) => format!("builds without dkb: {} is gone, or does not work", dkb.display()),
    }
}

/// What was changed in the user's own file, and how it is changed back.
fn added(settings: &Path, seat: &Seat) -> String {
    format!(
        "{}: {} is first in cliPluginsExtraDirs, all else is as it was\noff: {}=off, or for good: dkb plugin uninstall",
        settings.display(),
        seat.folder().display(),
        program::SEAT
    )
}

fn places(docker_config: Option<&Path>) -> Vec<LinkPlace> {
    let home = env("HOME").map(PathBuf::from);
    let docker = config_dir(docker_config, &env).map(|dir| dir.join("cli-plugins/docker-dkb"));
    let cargo = env("CARGO_HOME").map(PathBuf::from).or_else(|| Some(home?.join(".cargo")));
    let cargo = cargo.map(|dir| dir.join("bin/cargo-dkb"));
    let docker = docker.map(|link| LinkPlace { command: "docker dkb", link, wanted: true });
    let cargo = cargo.map(|link| LinkPlace { command: "cargo dkb", wanted: folder_of(&link).is_dir(), link });
    docker.into_iter().chain(cargo).collect()
}

fn folder_of(link: &Path) -> &Path {
    link.parent().unwrap_or(Path::new("/"))
}

fn look(link: &Path, own: &Path) -> There {
    let own = std::fs::canonicalize(own).unwrap_or_default();
    let Ok(target) = std::fs::read_link(link) else {
        return if link.exists() { There::Foreign } else { There::Nothing };
    };
    match std::fs::canonicalize(link) {
        Ok(real) if real == own => There::Ours,
        _ if target.file_name().is_some_and(|name| name == "dkb") => There::AnotherDkb(target),
        _ => There::Foreign,
    }
}

fn state(place: &LinkPlace, there: &There) -> String {
    let link = place.link.display();
    match there {
        There::Nothing => format!("not installed ({link})"),
        There::Ours => format!("installed ({link})"),
        There::AnotherDkb(target) => format!("another dkb: {} ({link})", target.display()),
        There::Foreign => format!("something else stands there ({link})"),
    }
}

fn install(place: &LinkPlace, there: &There, own: &Path) -> Result<String> {
    let tried = || format!("linking {}", place.link.display());
    match there {
        There::Ours => return Ok(state(place, there)),
        There::Foreign => {
            return Err(Error::failed(tried(), "something else stands there").hint("move it away, if it is not needed"));
        }
        There::Nothing | There::AnotherDkb(_) => {}
    }
    if files::is_anothers_for_root(&place.link) {
        let whose = format!("{} belongs to somebody else", folder_of(&place.link).display());
        return Err(Error::failed(tried(), whose).hint("run this as that user"));
    }
    std::fs::create_dir_all(folder_of(&place.link)).map_err(|error| Error::failed(tried(), error))?;
    remove(&place.link).map_err(|error| Error::failed(tried(), error))?;
    symlink(own, &place.link).map_err(|error| Error::failed(tried(), error))?;
    Ok(state(place, &There::Ours))
}

fn uninstall(place: &LinkPlace, there: &There) -> Result<String> {
    match there {
        There::Ours | There::AnotherDkb(_) => remove(&place.link)
            .map(|()| format!("removed ({})", place.link.display()))
            .map_err(|error| Error::failed(format!("removing {}", place.link.display()), error)),
        There::Nothing | There::Foreign => Ok(state(place, there)),
    }
}

fn remove(link: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(link) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_to_a_dkb_are_ever_replaced_or_removed() {
        let folder = tempfile::tempdir().expect("a folder");
        let own = folder.path().join("dkb");
        std::fs::write(&own, "").expect("a file");
        let own = std::fs::canonicalize(own).expect("a path");
        let place = |name: &str| LinkPlace { command: "x", link: folder.path().join(name), wanted: true };
        let fresh = place("plugins/docker-dkb");
        install(&fresh, &look(&fresh.link, &own), &own).expect("a link");
        assert_eq!(look(&fresh.link, &own), There::Ours);
        uninstall(&fresh, &There::Ours).expect("no link");
        assert_eq!(look(&fresh.link, &own), There::Nothing);

        let old = place("old");
        symlink("/gone/dkb", &old.link).expect("a link");
        install(&old, &look(&old.link, &own), &own).expect("a link");
        assert_eq!(look(&old.link, &own), There::Ours);

        let foreign = place("foreign");
        std::fs::write(&foreign.link, "theirs").expect("a file");
        assert!(install(&foreign, &look(&foreign.link, &own), &own).is_err());
        uninstall(&foreign, &look(&foreign.link, &own)).expect("nothing to do");
        assert_eq!(std::fs::read_to_string(&foreign.link).expect("the file"), "theirs");
    }
}

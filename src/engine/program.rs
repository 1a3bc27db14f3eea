//! The docker program: where it is, that it is not dkb itself, and what kind of program it is.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Env;
use super::first_line::first_line;
use crate::error::{Error, ErrorKind, Result};

/// `off`, where a dkb that stands in buildx's place is to be the next buildx behind it, and nothing more.
pub(crate) const SEAT: &str = "DKB_SEAT";
pub(crate) const OFF: &str = "off";

/// How the script begins that stands there.
pub(super) const SEAT_MARK: &str = "#!/bin/sh\n# dkb before docker's buildx.";

/// The first word by which that script calls dkb, the second being its own path, and how dkb answers where there is
/// none: a dkb that can't is none for it.
pub(crate) const SEATED: &str = "docker-buildx";
pub(crate) const READY: &str = "ready";

/// Set for every docker that dkb starts: the programs that have been started so, one within the other. A docker
/// that is a script around dkb would otherwise start dkb, which starts docker, without end.
pub(crate) const INSIDE: &str = "DKB_INSIDE";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramKind {
    Docker,
    Podman,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    pub path: PathBuf,
    pub kind: ProgramKind,
    /// A script: what it does with its arguments can't be known.
    pub wrapper: bool,
    /// From a snap, which sees little of the disk.
    pub snap: bool,
    /// A Windows program, called from WSL, which knows other paths.
    pub windows: bool,
    /// docker's buildx, in whose place dkb was called.
    pub seat: bool,
}

impl Program {
    /// The program that is named in the settings, else the first `docker` on PATH that is not dkb. As with docker's
    /// own programs, one that lies in the current folder by chance is no choice, and ends the search.
    pub fn find(setting: Option<&OsStr>, env: Env<'_>) -> Result<Self> {
        let name = setting.filter(|name| !name.is_empty()).unwrap_or_else(|| OsStr::new("docker"));
        let tried = format!("looking for {}", name.display());
        let not_found = |what: &str| {
            Error::new(ErrorKind::NotFound, &tried, what).hint(if name == "docker" {
                "Install the docker command, or name it in DKB_DOCKER. Podman works in its place: DKB_DOCKER=podman."
            } else {
                "That is the name in DKB_DOCKER, or 'docker' in the settings. Install it, or name one that is there."
            })
        };
        let found: Vec<Found> = search(name, &env("PATH").unwrap_or_default());
        let found_any = !found.is_empty();
        let found = found.into_iter().find(|found| !is_dkb(&found.path));
        let Found { path, by_chance } =
            found.ok_or_else(|| not_found(if found_any { "it is dkb itself" } else { "there is no such program" }))?;
        if by_chance {
            let what = format!("{} is only there because this is the current folder", path.display());
            return Err(Error::new(ErrorKind::NotFound, &tried, what)
                .hint("Take the empty part, or the relative one, out of PATH, or name the program in DKB_DOCKER."));
        }
        if let Some(chain) = env(INSIDE).filter(|_| is_inside(&path, env)) {
            return Err(Error::usage(
                &tried,
                format!("{} starts dkb again, endlessly ({INSIDE}={})", path.display(), chain.display()),
            )
            .hint("It seems to be a script around dkb. Name the real docker in DKB_DOCKER."));
        }
        let whole = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
        let facts = classify(&path, &whole, &head(&whole));
        Ok(Self { path, ..facts })
    }
}

/// How a dkb is called that becomes another program, and ends with who started it.
pub(crate) const BOUND: &str = "dkb-bound-to-its-parent";

/// The program of this very process, also where another one lies in its place by now.
const ITSELF: &str = "/proc/self/exe";

impl Program {
    /// What is to be started, and ended by dkb's end where it is a plugin: compose kills what it takes for buildx.
    pub(crate) fn command(&self) -> Command {
        if !self.seat || !Path::new(ITSELF).exists() {
            return Command::new(&self.path);
        }
        let mut command = Command::new(ITSELF);
        command.arg0(BOUND).arg(&self.path);
        command
    }

    /// Makes a command of this program know where it is.
    pub(crate) fn tell(&self, command: &mut Command) {
        if self.seat {
            // What docker has told its plugin is for the real one.
            command.env(SEAT, OFF);
        } else {
            as_child(command, &self.path);
        }
    }

    /// The same for a question beside it, of which docker is not to hear.
    pub(crate) fn tell_aside(&self, command: &mut Command) {
        self.tell(command);
        command.env_remove("DOCKER_CLI_PLUGIN_SOCKET");
    }
}

/// Becomes the program that the first word names, which ends when who started dkb does. Comes back only if that fails.
pub(crate) fn become_bound(words: &[OsString]) -> io::Error {
    let Some((program, words)) = words.split_first() else { return io::ErrorKind::InvalidInput.into() };
    #[cfg(target_os = "linux")]
    {
        let parent = rustix::process::getppid();
        if let Err(error) = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)) {
            return error.into();
        }
        // He may have ended before.
        if rustix::process::getppid() != parent {
            return io::ErrorKind::Interrupted.into();
        }
    }
    Command::new(program).args(words).exec()
}

/// The buildx behind a dkb that was called in its place: the next one where docker looks, in its order, or the first
/// where this place is none of those.
pub(crate) fn behind(seat: &Path, plugins: &[PathBuf]) -> Option<PathBuf> {
    // Never one before it: that may be another dkb, behind which this one stands.
    let here = plugins.iter().position(|plugin| plugin == seat);
    let next = plugins.iter().skip(here.map_or(0, |here| here.saturating_add(1)));
    next.filter(|plugin| !is_dkb(plugin)).find(|plugin| is_executable(plugin)).cloned()
}

/// Whether dkb is to do nothing in buildx's place.
pub(crate) fn seat_is_off(env: Env<'_>) -> bool {
    env(SEAT).is_some_and(|said| said == OFF)
}

/// This dkb, another one, or what leads to one.
fn is_dkb(path: &Path) -> bool {
    let whole = fs::canonicalize(path).unwrap_or_default();
    whole.file_name().is_some_and(|name| name == "dkb") || is_this_one(path) || is_a_seat(path)
}

/// The docker behind a dkb that was called by that name: on PATH the next one, so that what stands before dkb there may
/// well be a script around it.
pub(crate) fn behind_docker(setting: Option<&OsStr>, env: Env<'_>) -> Result<Program> {
    let find = |path: &OsStr| {
        let path = path.to_owned();
        Program::find(setting, &move |name| (name == "PATH").then(|| path.clone()))
    };
    let path = env("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = env::split_paths(&path).collect();
    let at = folders.iter().position(|folder| is_this_one(&folder.join("docker")));
    let behind = folders.iter().skip(at.map_or(0, |at| at.saturating_add(1)));
    find(&env::join_paths(behind).unwrap_or_default()).or_else(|_| find(&path))
}

/// Whether dkb started that program, and this dkb was started by it.
pub(crate) fn is_inside(path: &Path, env: Env<'_>) -> bool {
    env(INSIDE).is_some_and(|chain| env::split_paths(&chain).any(|inside| inside == path))
}

/// Where PATH has this dkb by the name of docker.
pub(crate) fn as_docker(env: Env<'_>) -> Option<PathBuf> {
    let path = env("PATH").unwrap_or_default();
    env::split_paths(&path).map(|folder| folder.join("docker")).find(|docker| is_this_one(docker))
}

/// Where this dkb is found, also by the next version of it: as PATH names it, else where it lies.
pub(crate) fn own_path() -> io::Result<PathBuf> {
    let mut named = search(OsStr::new("dkb"), &env::var_os("PATH").unwrap_or_default()).into_iter();
    let named = named.find(|found| !found.by_chance && is_this_one(&found.path)).map(|found| found.path);
    named.map_or_else(|| env::current_exe().and_then(fs::canonicalize), Ok)
}

fn is_this_one(path: &Path) -> bool {
    env::current_exe().and_then(fs::metadata).is_ok_and(|own| is_same_file(path, &own))
}

/// What dkb writes to stand before buildx.
pub(super) fn is_a_seat(path: &Path) -> bool {
    head(path).starts_with(SEAT_MARK.as_bytes())
}

fn is_executable(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

struct Found {
    path: PathBuf,
    /// PATH leads there from this folder, and from another one elsewhere.
    by_chance: bool,
}

/// All that a name may mean, in the order of PATH. A path of its own means itself.
fn search(name: &OsStr, path: &OsStr) -> Vec<Found> {
    let here = env::current_dir().unwrap_or_default();
    let one = |folder: &Path| which::which_in_all(name, Some(folder), &here).ok()?.next();
    if Path::new(name).components().count() > 1 {
        return one(&here).map(|path| Found { path, by_chance: false }).into_iter().collect();
    }
    let folders = env::split_paths(path).collect::<Vec<_>>().into_iter();
    let by_chance = |folder: &Path| !folder.is_absolute() && !folder.starts_with("~");
    folders.filter_map(|folder| Some(Found { path: one(&folder)?, by_chance: by_chance(&folder) })).collect()
}

/// Through symlinks and hard links alike.
fn is_same_file(path: &Path, own: &Metadata) -> bool {
    fs::metadata(path).is_ok_and(|file| (file.dev(), file.ino()) == (own.dev(), own.ino()))
}

fn head(path: &Path) -> Vec<u8> {
    const ENOUGH_FOR_A_SCRIPT: u64 = 4096;
    let mut head = Vec::new();
    if let Ok(file) = File::open(path) {
        let _ = file.take(ENOUGH_FOR_A_SCRIPT).read_to_end(&mut head);
    }
    head
}

fn classify(path: &Path, whole: &Path, head: &[u8]) -> Program {
    let names_podman = |path: &Path| path.file_stem().is_some_and(|name| name.to_string_lossy().starts_with("podman"));
    let wrapper = head.starts_with(b"#!");
    // The package podman-docker brings a `docker` that is three lines of shell around Podman.
    let runs_podman = wrapper
        && String::from_utf8_lossy(head).lines().filter_map(|line| line.trim().strip_prefix("exec ")).any(|line| {
            line.split_whitespace().next().is_some_and(|word| names_podman(Path::new(word.trim_matches(['"', '\'']))))
        });
    let podman = names_podman(path) || names_podman(whole) || runs_podman;
    Program {
        path: path.to_path_buf(),
        kind: if podman { ProgramKind::Podman } else { ProgramKind::Docker },
        wrapper,
        // Every program of a snap is a link to `snap` itself.
        snap: path.starts_with("/snap") || whole.starts_with("/snap") || whole.ends_with("bin/snap"),
        seat: false,
        windows: [path, whole].iter().any(|path| path.extension().is_some_and(|ext| ext.eq_ignore_ascii_case("exe"))),
    }
}

/// Makes a docker that dkb starts know where it is, and nothing of how dkb itself was started: as docker's plugin
/// it was given variables that are for plugins only.
pub(crate) fn as_child(command: &mut Command, docker: &Path) {
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("DOCKER_CLI_PLUGIN_")) {
        command.env_remove(name);
    }
    // What it starts of buildx is seen already.
    command.env(INSIDE, inside_mark(docker)).env(SEAT, OFF);
}

/// What [`INSIDE`] is to say for this program.
pub(crate) fn inside_mark(docker: &Path) -> OsString {
    let chain = env::var_os(INSIDE).unwrap_or_default();
    let chain = env::split_paths(&chain).filter(|path| !path.as_os_str().is_empty()).chain([docker.to_path_buf()]);
    env::join_paths(chain).unwrap_or_else(|_| docker.into())
}

/// On macOS Podman runs in a machine of its own, and forwards its socket to a path that it only tells when asked.
pub(super) fn podman_machine_socket(podman: &Path) -> Result<PathBuf> {
    let tried = "asking Podman for the socket of its machine";
    let mut asked = Command::new(podman);
    asked.args(["machine", "inspect", "--format", "{{.ConnectionInfo.PodmanSocket.Path}}"]);
    let said = first_line(&mut asked).map_err(|error| Error::new(ErrorKind::Unreachable, tried, error))?;
    match said {
        path if path.starts_with('/') => Ok(path.into()),
        _ => Err(Error::new(ErrorKind::Unreachable, tried, "it names none")
            .hint("Start it with podman machine start, or name the socket in CONTAINER_HOST.")),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_program_is_known_by_its_name_its_place_and_its_first_lines() {
        let script = b"#!/usr/bin/sh\n[ -e /etc/containers/nodocker ] || \\\necho \"Emulate Docker CLI using podman.\" >&2\nexec /usr/bin/podman \"$@\"\n";
        let other = b"#!/bin/sh\n# not for podman\nexec /opt/docker \"$@\"\n";
        let elf = b"\x7fELF";
        // path, what it links to, content → podman, wrapper, snap, windows
        for (path, whole, head, want) in [
            ("/usr/bin/docker", "/usr/bin/docker", &elf[..], [false, false, false, false]),
            ("/usr/bin/podman", "/usr/bin/podman", elf, [true, false, false, false]),
            ("/usr/bin/docker", "/usr/bin/podman", elf, [true, false, false, false]),
            ("/opt/podman-remote", "/opt/podman-remote", elf, [true, false, false, false]),
            ("/usr/bin/docker", "/usr/bin/docker", script, [true, true, false, false]),
            ("/usr/bin/docker", "/usr/bin/docker", other, [false, true, false, false]),
            ("/snap/bin/docker", "/usr/bin/snap", elf, [false, false, true, false]),
            ("/mnt/c/docker.exe", "/mnt/c/docker.exe", b"MZ", [false, false, false, true]),
        ] {
            let got = classify(Path::new(path), Path::new(whole), head);
            let got = [got.kind == ProgramKind::Podman, got.wrapper, got.snap, got.windows];
            assert_eq!(got, want, "{path} → {whole}");
        }
    }

    fn program(path: &Path) {
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(path, "x").expect("a file");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a mode");
    }

    #[test]
    fn a_docker_that_is_this_very_program_is_passed_over() {
        let dir = tempfile::tempdir().expect("a folder");
        let (first, second, real) = (dir.path().join("a"), dir.path().join("b"), dir.path().join("c/docker"));
        let own = env::current_exe().expect("a path");
        for link in [&first, &second] {
            fs::create_dir_all(link).expect("a folder");
        }
        symlink(&own, first.join("docker")).expect("a link");
        // Across file systems there are no hard links, and nothing to be passed over.
        let _ = fs::hard_link(&own, second.join("docker"));
        let search = |folders: &[&Path]| env::join_paths(folders).expect("a path");
        let only = search(&[&first, &second]);
        let error = Program::find(None, &|name| (name == "PATH").then(|| only.clone())).expect_err("only dkb");
        assert_eq!(error.kind, ErrorKind::NotFound);
        assert!(error.next().is_some_and(|next| next.ends_with("DKB_DOCKER=podman.")), "{error}");
        let podman = Program::find(Some(OsStr::new("podman")), &|_| Some(only.clone())).expect_err("no podman");
        assert!(podman.next().is_some_and(|next| !next.contains("DKB_DOCKER=podman")), "{podman}");
        program(&real);
        let all = search(&[&first, &second, real.parent().expect("a parent")]);
        let found = Program::find(None, &|name| (name == "PATH").then(|| all.clone())).expect("the real one");
        assert_eq!(found.path, real);
    }

    #[test]
    fn a_docker_that_started_this_dkb_is_not_started_again() {
        let dir = tempfile::tempdir().expect("a folder");
        let docker = dir.path().join("docker");
        program(&docker);
        let env = |inside: Option<&Path>| {
            let (path, inside) = (dir.path().as_os_str().to_owned(), inside.map(|path| path.as_os_str().to_owned()));
            move |name: &str| match name {
                "PATH" => Some(path.clone()),
                INSIDE => inside.clone(),
                _ => None,
            }
        };
        let error = Program::find(None, &env(Some(&docker))).expect_err("endless").to_string();
        assert!(error.contains("DKB_DOCKER"), "{error}");
        assert!(Program::find(None, &env(Some(Path::new("/else/docker")))).is_ok());
        assert!(Program::find(Some(docker.as_os_str()), &env(None)).is_ok());
        assert!(Program::find(Some(OsStr::new("podman-none")), &env(None)).is_err());
    }

    #[test]
    fn a_docker_in_the_current_folder_is_not_run_by_chance() {
        let here = env::current_dir().expect("a folder");
        let dir = tempfile::tempdir_in(&here).expect("a folder");
        program(&dir.path().join("docker"));
        let relative = dir.path().strip_prefix(&here).expect("below").as_os_str().to_owned();
        let find = |name: Option<&OsStr>, path: &OsStr| {
            let path = path.to_owned();
            Program::find(name, &move |name| (name == "PATH").then(|| path.clone()))
        };
        let error = find(None, &relative).expect_err("by chance");
        assert_eq!(error.kind, ErrorKind::NotFound);
        assert!(error.to_string().contains("current folder"), "{error}");
        let both = env::join_paths([Path::new(&relative), dir.path()]).expect("a path");
        assert!(find(None, &both).is_err(), "the first one counts");
        let both = env::join_paths([dir.path(), Path::new(&relative)]).expect("a path");
        assert_eq!(find(None, &both).expect("the first one").path, dir.path().join("docker"));
        // Somebody who writes a path means it.
        let named = Path::new(&relative).join("docker");
        assert_eq!(find(Some(named.as_os_str()), OsStr::new("")).expect("as named").path, dir.path().join("docker"));
    }

    #[test]
    fn behind_dkb_stands_the_next_buildx_that_is_not_dkb() {
        let dir = tempfile::tempdir().expect("a folder");
        let place = |name: &str| dir.path().join(name).join("docker-buildx");
        for name in ["one", "three", "four", "dkb-elsewhere"] {
            program(&place(name));
        }
        let other = dir.path().join("elsewhere/dkb");
        program(&other);
        fs::create_dir_all(dir.path().join("two")).expect("a folder");
        symlink(&other, place("two")).expect("a link");
        let all = ["one", "two", "three", "four"].map(place);
        assert_eq!(behind(&place("one"), &all), Some(place("three")), "past another dkb");
        assert_eq!(behind(&place("three"), &all), Some(place("four")), "and never back");
        assert_eq!(behind(&place("four"), &all), None);
        assert_eq!(behind(&place("dkb-elsewhere"), &all), Some(place("one")));
    }
}

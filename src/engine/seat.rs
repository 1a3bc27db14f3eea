//! dkb's place before buildx, on disk: a script in a folder of its own beside docker's `config.json`, and that folder's
//! name in front of all others there.
//!
//! A script, since docker builds with no buildx at all, or fails, where what stands there can't be run: it asks dkb
//! whether it is there and well, and is the real buildx where it is not.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::cli_files::{BUILDX, CliConfig, EXTRA_DIRS, SYSTEM_PLUGINS, buildx_plugins};
use super::extra_dirs;
use super::first_line::first_line;
use super::program::{self, READY, SEAT_MARK, SEATED};
use crate::error::{Error, Result};
use crate::files;

/// The name of its folder.
const SEAT_FOLDER: &str = "dkb-seat";

/// The seat that belongs to one folder of docker's settings.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    config_dir: PathBuf,
}

/// The buildx that docker finds behind what stands there, by its settings in this folder.
pub(crate) fn behind(seat: &Path, config_dir: Option<&Path>) -> Option<PathBuf> {
    let plugins = |dir: Option<&Path>| -> Vec<PathBuf> { buildx_plugins(dir, &CliConfig::read(dir)).collect() };
    let told = plugins(config_dir);
    // A plugin that is asked what it is hears nothing of `docker --config`: where it lies says it.
    let beside = seat.parent().and_then(Path::parent).filter(|_| !told.iter().any(|plugin| plugin == seat));
    let beside = beside.map(|dir| plugins(Some(dir))).filter(|plugins| plugins.iter().any(|plugin| plugin == seat));
    program::behind(seat, &beside.unwrap_or(told))
}

/// How it stands with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SeatStanding {
    Absent,
    /// Before this buildx.
    Taken(PathBuf),
    /// Docker does not come by any more, and why.
    Lost(String),
    /// Docker comes by, and this dkb is gone or can't do it: its builds are docker's alone.
    Empty(PathBuf),
}

impl Seat {
    pub(crate) fn new(config_dir: &Path) -> Self {
        Self { config_dir: std::path::absolute(config_dir).unwrap_or_else(|_| config_dir.to_owned()) }
    }

    /// What docker is told to look into.
    pub(crate) fn folder(&self) -> PathBuf {
        self.config_dir.join(SEAT_FOLDER)
    }

    fn script(&self) -> PathBuf {
        self.folder().join(BUILDX)
    }

    fn name(&self) -> Result<String> {
        let folder = self.folder();
        let name = folder.to_str().map(str::to_owned);
        name.ok_or_else(|| Error::failed(format!("naming {}", folder.display()), "it is not UTF-8, as JSON is"))
    }

    /// The buildx that docker would call without dkb.
    pub(crate) fn buildx(&self) -> Option<PathBuf> {
        behind(&self.script(), Some(&self.config_dir))
    }

    /// Whether docker is told of its folder.
    fn is_named(&self) -> bool {
        CliConfig::read(Some(&self.config_dir)).cli_plugins_extra_dirs.contains(&self.folder())
    }

    pub(crate) fn standing(&self) -> SeatStanding {
        let (dir, script) = (Some(&*self.config_dir), self.script());
        let plugins: Vec<PathBuf> = buildx_plugins(dir, &CliConfig::read(dir)).collect();
        match (self.is_named(), script.is_file()) {
            (false, false) => return SeatStanding::Absent,
            (false, true) => {
                return SeatStanding::Lost("docker's config.json does not name its folder any more".to_owned());
            }
            (true, false) => return SeatStanding::Lost(format!("{} is gone", script.display())),
            (true, true) => {}
        }
        if let Some(first) = plugins.first().filter(|first| **first != script) {
            return SeatStanding::Lost(format!("docker finds {} before it", first.display()));
        }
        let Some(buildx) = program::behind(&script, &plugins) else {
            return SeatStanding::Lost("there is no buildx behind it".to_owned());
        };
        match dkb_of(&script) {
            None => SeatStanding::Lost(format!("{} is not what dkb wrote", script.display())),
            Some(_) if !is_a_plugin(&script) => {
                SeatStanding::Lost(format!("docker asks {} what it is, and gets no answer", script.display()))
            }
            Some(dkb) if !answers(&dkb) => SeatStanding::Empty(dkb),
            Some(_) => SeatStanding::Taken(buildx),
        }
    }

    /// Puts this dkb there, and says in which file docker is told so.
    pub(crate) fn take(&self, dkb: &Path) -> Result<PathBuf> {
        const TRIED: &str = "taking the place before docker's buildx";
        let Some(buildx) = self.buildx() else {
            return Err(Error::failed(TRIED, "docker has no buildx here").hint("install docker's buildx plugin first"));
        };
        if files::is_anothers_for_root(&self.folder()) {
            let whose = format!("{} belongs to somebody else", self.config_dir.display());
            return Err(Error::failed(TRIED, whose).hint(AS_OWNER));
        }
        let (settings, name) = (self.settings()?, self.name()?);
        let text = extra_dirs::with(&settings.text, &name).map_err(|why| settings.refused(&why))?;
        let failed = |error: io::Error| Error::failed(TRIED, error);
        let utf8 = |path: &Path| {
            let text = path.to_str().map(str::to_owned);
            text.ok_or_else(|| Error::failed(TRIED, format!("{} is not UTF-8, as a script is", path.display())))
        };
        let there = self.script();
        if fs::symlink_metadata(&there).is_ok() && !program::is_a_seat(&there) {
            return Err(Error::failed(TRIED, format!("something else stands there ({})", there.display()))
                .hint("move it away, if it is not needed"));
        }
        let script = script(&utf8(dkb)?, &utf8(&buildx)?);
        fs::create_dir_all(self.folder()).map_err(failed)?;
        replace(&self.script(), &script, 0o755).map_err(failed)?;
        if text != settings.text {
            settings.replace(&text)?;
        }
        Ok(settings.file)
    }

    /// Gives the place back, and says where docker was told of it. `None` where dkb was not there.
    pub(crate) fn leave(&self) -> Result<Option<PathBuf>> {
        if !self.is_named() && !self.script().exists() {
            return Ok(None);
        }
        let (settings, name) = (self.settings()?, self.name()?);
        // There was no such file, or nothing in it.
        if extra_dirs::with("", &name).is_ok_and(|text| text == settings.text) {
            fs::remove_file(&settings.file).map_err(|error| settings.failed(error))?;
        } else {
            let text = extra_dirs::without(&settings.text, &name).map_err(|why| settings.refused(&why))?;
            if text != settings.text {
                settings.replace(&text)?;
            }
        }
        // Somebody may have put something of his own there since.
        let is_ours = program::is_a_seat(&self.script());
        match if is_ours { fs::remove_file(self.script()) } else { Ok(()) } {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(Error::failed(format!("removing {}", self.script().display()), error));
            }
            _ => {}
        }
        // Whatever else lies in it is not dkb's.
        let _ = fs::remove_dir(self.folder());
        Ok(Some(settings.file))
    }

    /// docker's settings, through a link where they are one, if they are this user's.
    fn settings(&self) -> Result<DockerSettings> {
        let named = self.config_dir.join("config.json");
        let tried = || format!("reading docker's settings in {}", named.display());
        let target = match fs::canonicalize(&named) {
            Ok(target) => target,
            Err(error) if error.kind() == ErrorKind::NotFound && fs::symlink_metadata(&named).is_err() => {
                return Ok(DockerSettings { file: named, text: String::new(), mode: None });
            }
            Err(error) => return Err(Error::failed(tried(), error)),
        };
        let meta = fs::metadata(&target).map_err(|error| Error::failed(tried(), error))?;
        let text = files::read_text(&target, MOST).map_err(|error| Error::failed(tried(), error))?;
        if meta.uid() != rustix::process::geteuid().as_raw() {
            let whose = format!("{} belongs to somebody else", target.display());
            return Err(
                Error::failed(format!("changing docker's settings in {}", named.display()), whose).hint(AS_OWNER)
            );
        }
        Ok(DockerSettings { file: target, text, mode: Some(meta.permissions().mode() & 0o7777) })
    }
}

const AS_OWNER: &str = "run this as that user, or let DOCKER_CONFIG name a folder of your own";

/// What docker may have.
const MOST: u64 = 64 << 20;

struct DockerSettings {
    file: PathBuf,
    text: String,
    /// `None` where there is no such file yet.
    mode: Option<u32>,
}

impl DockerSettings {
    fn mode(&self) -> u32 {
        // As docker makes it: there may be credentials in it some day.
        self.mode.unwrap_or(0o600)
    }

    fn failed(&self, error: impl std::fmt::Display) -> Error {
        Error::failed(format!("changing docker's settings in {}", self.file.display()), error)
    }

    fn refused(&self, why: &str) -> Error {
        self.failed(format!("they are no JSON object that dkb understands: {why}")).hint("nothing was changed")
    }

    fn replace(&self, text: &str) -> Result<()> {
        let now = match files::read_text(&self.file, MOST) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            read => read.map_err(|error| self.failed(error))?,
        };
        if now != self.text {
            return Err(self.failed("somebody else changed them just now").hint("try again"));
        }
        replace(&self.file, text, self.mode()).map_err(|error| self.failed(error))
    }
}

/// A file that is to take another's place begins with this, and six letters follow.
const UNFINISHED: &str = ".dkb-";

/// So long nobody takes to write one.
const ABANDONED: Duration = Duration::from_secs(60);

/// Takes away what a dkb that was killed has left half-written: it may hold what the settings held then.
pub(crate) fn clear_away(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_ours = entry
            .file_name()
            .to_str()
            .and_then(|name| name.strip_prefix(UNFINISHED))
            .is_some_and(|rest| rest.len() == 6 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let age =
            entry.metadata().ok().filter(fs::Metadata::is_file).and_then(|file| file.modified().ok()?.elapsed().ok());
        if is_ours && age.is_some_and(|age| age > ABANDONED) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Either the old one is there or the new one, whoever looks and whenever.
fn replace(file: &Path, text: &str, mode: u32) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("/"));
    clear_away(folder);
    let mut new = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder)?;
    new.write_all(text.as_bytes())?;
    if let Ok(old) = fs::metadata(file) {
        // Who may not give it to that group keeps it for his own.
        let _ = std::os::unix::fs::fchown(new.as_file(), None, Some(old.gid()));
    }
    new.as_file().set_permissions(Permissions::from_mode(mode))?;
    new.as_file().sync_all()?;
    new.persist(file)?;
    Ok(())
}

/// How many seconds a dkb may take to say that it is there: fewer than it takes until the script itself counts as lost.
const ANSWERS_WITHIN: u64 = 5;

/// `buildx`: the one that docker finds without dkb by now.
fn script(dkb: &str, buildx: &str) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let letter = |c: char| format!("[{}{}]", c.to_ascii_lowercase(), c.to_ascii_uppercase());
    format!(
        r#"{SEAT_MARK} Made by: dkb plugin install --every-build
# Where dkb is gone, broken or DKB_SEAT=off, this is the buildx that docker would find without it.
dkb={dkb}
command -v timeout >/dev/null && limit='timeout {seconds}' || limit=
if [ "${{DKB_SEAT-}}" != off ] && [ -x "$dkb" ] &&
	{{ [ "$($limit "$dkb" {SEATED} </dev/null)" = {READY} ]; }} 2>/dev/null; then
	exec "$dkb" {SEATED} "$0" "$@"
fi
here=${{0%/*}}
config=${{here%/*}}
set -f
# The folders that config.json names: what stands between quotes behind that word, up to the end of the list.
find_buildx() {{
	is_in=
	while IFS= read -r line || [ -n "$line" ]; do
		IFS='"'
		for word in $line; do
			case $word in
			{key}) set -- && is_in=yes ;;
			/*) [ -z "$is_in" ] || set -- "$@" "$word" ;;
			*]* | *}}* | *null*) is_in= ;;
			esac
		done
		unset IFS
	done
	for folder in "$@" "$config/cli-plugins" {system}; do
		# Never itself, nor another one of these.
		case ${{folder%/}} in "$here" | */{SEAT_FOLDER}) continue ;; esac
		buildx=$folder/{BUILDX}
		[ -f "$buildx" ] && [ -x "$buildx" ] && return
	done
	buildx={buildx}
}}
settings=$config/config.json
[ -f "$settings" ] && [ -r "$settings" ] || settings=/dev/null
find_buildx <"$settings"
exec "$buildx" "$@"
"#,
        dkb = quoted(dkb),
        seconds = ANSWERS_WITHIN,
        key = EXTRA_DIRS.chars().map(letter).collect::<String>(),
        system = SYSTEM_PLUGINS.join(" "),
        buildx = quoted(buildx),
    )
}

/// Whether docker would take it for a plugin.
fn is_a_plugin(script: &Path) -> bool {
    first_line(Command::new(script).arg("docker-cli-plugin-metadata")).is_ok_and(|said| said.starts_with('{'))
}

/// The dkb that such a script calls.
fn dkb_of(script: &Path) -> Option<PathBuf> {
    let text = files::read_text(script, files::SETTINGS).ok().filter(|_| program::is_a_seat(script))?;
    let quoted = text.lines().find_map(|line| line.strip_prefix("dkb='")?.strip_suffix('\''))?;
    Some(PathBuf::from(quoted.replace(r"'\''", "'")))
}

/// Whether it is there, can be run and knows what it is called for.
fn answers(dkb: &Path) -> bool {
    let mut command = Command::new(dkb);
    command.arg(SEATED).stdin(Stdio::null());
    dkb.is_file() && first_line(&mut command).is_ok_and(|said| OsStr::new(&said) == READY)
}

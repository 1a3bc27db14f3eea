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

use super::cli_files::{BUILDX, CliConfig, SYSTEM_PLUGINS, buildx_plugins};
use super::extra_dirs;
use super::program::{self, READY, SEAT_MARK, SEATED, first_line};
use crate::error::{Error, Result};
use crate::files;

/// The seat that belongs to one folder of docker's settings.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    config_dir: PathBuf,
}

/// The buildx that docker finds behind what stands there, by its settings in this folder.
pub(crate) fn behind(seat: &Path, config_dir: Option<&Path>) -> Option<PathBuf> {
    let plugins: Vec<PathBuf> = buildx_plugins(config_dir, &CliConfig::read(config_dir)).collect();
    program::behind(seat, &plugins)
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

/// What was changed for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Changed {
    /// docker's settings, the file itself.
    pub(crate) settings: PathBuf,
    /// How they were before, where there were any and they had to be changed.
    pub(crate) copy: Option<PathBuf>,
    /// They say, or say again, byte for byte, what they would without dkb.
    pub(crate) whole: bool,
}

impl Seat {
    pub(crate) fn new(config_dir: &Path) -> Self {
        Self { config_dir: std::path::absolute(config_dir).unwrap_or_else(|_| config_dir.to_owned()) }
    }

    /// What docker is told to look into.
    pub(crate) fn folder(&self) -> PathBuf {
        self.config_dir.join("dkb-seat")
    }

    fn script(&self) -> PathBuf {
        self.folder().join(BUILDX)
    }

    fn copy(&self) -> PathBuf {
        self.config_dir.join("config.json.before-dkb")
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

    pub(crate) fn standing(&self) -> SeatStanding {
        let (dir, script) = (Some(&*self.config_dir), self.script());
        let config = CliConfig::read(dir);
        let plugins: Vec<PathBuf> = buildx_plugins(dir, &config).collect();
        let is_named = config.cli_plugins_extra_dirs.contains(&self.folder());
        match (is_named, script.is_file()) {
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
            Some(dkb) if !answers(&dkb) => SeatStanding::Empty(dkb),
            Some(_) => SeatStanding::Taken(buildx),
            None => SeatStanding::Lost(format!("{} is not what dkb wrote", script.display())),
        }
    }

    /// Puts this dkb there.
    pub(crate) fn take(&self, dkb: &Path) -> Result<Changed> {
        const TRIED: &str = "taking the place before docker's buildx";
        if self.buildx().is_none() {
            return Err(Error::failed(TRIED, "docker has no buildx here").hint("install docker's buildx plugin first"));
        }
        let (settings, name) = (self.settings()?, self.name()?);
        let as_it_was = extra_dirs::without(&settings.text, &name).map_err(|why| settings.refused(&why))?;
        let text = extra_dirs::with(&settings.text, &name).map_err(|why| settings.refused(&why))?;
        let own = self.config_dir.join("cli-plugins").to_string_lossy().into_owned();
        let others: Vec<String> = extra_dirs::named(&as_it_was).into_iter().chain([own]).collect();
        let failed = |error: io::Error| Error::failed(TRIED, error);
        let dkb =
            dkb.to_str().ok_or_else(|| Error::failed(TRIED, "the path of this dkb is not UTF-8, as a script is"))?;
        fs::create_dir_all(self.folder()).map_err(failed)?;
        replace(&self.script(), &script(dkb, &others), 0o755).map_err(failed)?;
        let mut copy = None;
        if text != settings.text {
            if settings.mode.is_some() {
                replace(&self.copy(), &as_it_was, settings.mode()).map_err(failed)?;
                copy = Some(self.copy());
            }
            settings.replace(&text)?;
        }
        Ok(Changed { settings: settings.file, copy, whole: false })
    }

    /// Gives the place back. `None` where dkb was not there.
    pub(crate) fn leave(&self) -> Result<Option<Changed>> {
        if self.standing() == SeatStanding::Absent && !self.copy().exists() {
            return Ok(None);
        }
        let (settings, name) = (self.settings()?, self.name()?);
        let copy = files::read_text(&self.copy(), MOST).ok();
        let is_untouched = |before: &str| extra_dirs::with(before, &name).is_ok_and(|text| text == settings.text);
        let whole = match &copy {
            Some(copy) if is_untouched(copy) => {
                settings.replace(copy)?;
                true
            }
            None if is_untouched("") => {
                fs::remove_file(&settings.file).map_err(|error| settings.failed(error))?;
                true
            }
            _ => {
                let text = extra_dirs::without(&settings.text, &name).map_err(|why| settings.refused(&why))?;
                if text != settings.text {
                    settings.replace(&text)?;
                }
                false
            }
        };
        for file in [self.script(), self.copy()] {
            match fs::remove_file(&file) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(Error::failed(format!("removing {}", file.display()), error));
                }
                _ => {}
            }
        }
        // Whatever else lies in it is not dkb's.
        let _ = fs::remove_dir(self.folder());
        Ok(Some(Changed { settings: settings.file, copy: None, whole }))
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
            return Err(Error::failed(format!("changing docker's settings in {}", named.display()), whose)
                .hint("run this as that user, or let DOCKER_CONFIG name a folder of your own"));
        }
        Ok(DockerSettings { file: target, text, mode: Some(meta.permissions().mode() & 0o7777) })
    }
}

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

/// Either the old one is there or the new one, whoever looks and whenever.
fn replace(file: &Path, text: &str, mode: u32) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("/"));
    let mut new = tempfile::Builder::new().prefix(".dkb-").tempfile_in(folder)?;
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

/// `others`: the folders that docker looks into besides, before those of everybody.
fn script(dkb: &str, others: &[String]) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
    let others: String = others.iter().map(|folder| quoted(folder) + " ").collect();
    format!(
        r#"{SEAT_MARK} Made by: dkb plugin install --every-build
# Where dkb is gone, broken or DKB_SEAT=off, this is the buildx that docker would find without it.
dkb={dkb}
for folder in {others}{system}; do
	buildx=$folder/{BUILDX}
	[ -f "$buildx" ] && [ -x "$buildx" ] && break
done
if [ "${{1-}}" != docker-cli-plugin-metadata ] && [ "${{DKB_SEAT-}}" != off ] && [ -x "$dkb" ] &&
	{{ [ "$("$dkb" {SEATED} </dev/null)" = {READY} ]; }} 2>/dev/null; then
	exec "$dkb" {SEATED} "$0" "$@"
fi
exec "$buildx" "$@"
"#,
        dkb = quoted(dkb),
        system = SYSTEM_PLUGINS.join(" "),
    )
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

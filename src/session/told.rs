//! What a process that we start is told: which engine and which books it works on, and which session it is in. A
//! command hears it in its environment, in docker's own words and ours; another dkb by the flags that we were given.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;

use crate::app::{App, env};
use crate::error::Result;
use crate::model::{GuardMark, SessionKey};

#[derive(Default)]
pub(crate) struct Told {
    flags: Vec<OsString>,
    /// Variables with what they are to say; `None` where they must say nothing.
    variables: Vec<(&'static str, Option<OsString>)>,
}

impl Told {
    /// For a command: one that went by another engine or other books would leave there what nobody cleans up.
    pub(crate) fn to_a_command(app: &App) -> Result<Self> {
        let path = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).into_os_string();
        let mut told = Self::default();
        if let Some(config) = &app.docker.config {
            told.say("DOCKER_CONFIG", path(config));
        }
        if let Some(host) = app.docker.hosts.first() {
            told.say("DOCKER_HOST", host);
            if env("CONTAINER_HOST").is_some() {
                told.say("CONTAINER_HOST", host);
            }
        }
        if let Some(context) = app.docker.context.as_ref().filter(|context| !context.is_empty()) {
            told.say("DOCKER_CONTEXT", context);
            // The context of this name is whatever the variable says.
            if context != "default" {
                told.variables.push(("DOCKER_HOST", None));
            }
        }
        if let Some(file) = app.settings_to_hand_on()? {
            told.say("DKB_SETTINGS", file);
        }
        if let Some(folder) = &app.settings.state_dir {
            told.say("DKB_STATE_DIR", path(folder));
        }
        Ok(told)
    }

    /// For another dkb. Without the settings it would keep nothing that they say to keep.
    pub(crate) fn to_another_dkb(app: &App) -> Result<Self> {
        let settings = app.settings_to_hand_on()?.map(|file| ["--settings".into(), file.into_os_string()]);
        let flags = settings.into_iter().flatten().chain(app.flags().words.iter().cloned());
        Ok(Self { flags: flags.collect(), variables: Vec::new() })
    }

    /// The session that it is in. `vouched`: its project is not the checkout's word alone.
    pub(crate) fn in_session(mut self, key: &SessionKey, vouched: bool) -> Self {
        self.say("DKB_SESSION", key.session.as_str());
        self.say("DKB_PROJECT", key.project.as_str());
        self.say(GuardMark::VARIABLE, GuardMark { session: key.session.clone(), vouched }.to_string());
        self
    }

    fn say(&mut self, name: &'static str, value: impl Into<OsString>) {
        self.variables.push((name, Some(value.into())));
    }

    pub(crate) fn tell(self, command: &mut Command) {
        for (name, value) in self.variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.args(self.flags);
    }
}

//! After a build: what it put into the cache is looked at by a process of its own, for which nobody waits.

use std::os::unix::process::CommandExt as _;

use jiff::Timestamp;

use super::before::Before;
use super::job::Job;
use crate::app::App;
use crate::error::{Error, Result};
use crate::model::EndedBuild;
use crate::plan::argv::Builder;
use crate::processes::apart;

impl Job {
    /// Whether the engine's own BuildKit built, by a clock that is ours too, and what it leaves in the cache can be told
    /// and taken without harm to the rest.
    pub(super) fn leaves_cache(&self, before: &Before) -> bool {
        let own = !self.classic && self.builder == Builder::Engine && self.intent.socket.is_some();
        own && before.info.can.prune_leaves_cache
    }

    pub(super) fn ended_build(&self, app: &App, ended: Timestamp, ok: bool) -> EndedBuild {
        EndedBuild {
            build: self.intent.build.clone(),
            of: self.intent.of.clone(),
            key: self.intent.key.clone(),
            stamp: self.stamp.clone(),
            began: self.intent.started,
            ended,
            ok,
            keep: app.settings.keep_superseded,
        }
    }
}

/// Notes the build, and starts whoever looks. One that looks already sees what was noted.
pub(super) fn hand_over(app: &App, identity: &str, build: &EndedBuild) -> Result<()> {
    app.state()?.cache(identity).add(build)?;
    let failed = |error| Error::failed("starting what looks after the build cache", error);
    let mut other = apart::another_dkb().map_err(failed)?;
    // All that it needs of the settings, which may have come through a pipe.
    other.env_remove("DKB_SETTINGS").env("DKB_DOCKER", &app.settings.docker);
    if let Some(folder) = &app.settings.state_dir {
        other.env("DKB_STATE_DIR", folder);
    }
    other.args(["--project", build.of.project.as_str(), "--session", build.of.session.as_str()]);
    other.args(&app.docker.words).arg("tidy-cache");
    // Or a terminal that closes now would end it before it has left.
    other.process_group(0);
    // It has its own life, and init sees it end.
    other.spawn().map(drop).map_err(failed)
}

//! After a build: what it put into the cache is looked at by a process of its own, for which nobody waits. What the
//! build superseded there goes.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::os::unix::process::CommandExt as _;

use jiff::Timestamp;

use super::before::Before;
use super::job::Job;
use super::target::Target;
use crate::app::App;
use crate::apply::Applier;
use crate::bookkeeping::SeenCache;
use crate::engine::{Buildx, Engine};
use crate::error::{Error, Result};
use crate::ledger::{CacheTurn, State};
use crate::model::{
    Doer, EndedBuild, EngineInfo, Plan, Reason, Reference, SessionEntry, SessionKey, Snapshot, short_hash,
};
use crate::plan::argv::Builder;
use crate::plan::cache::superseded;
use crate::processes::apart;

impl Job {
    /// Whether the engine's own BuildKit built, by a clock that is ours too, and what it leaves in the cache can be told
    /// and taken without harm to the rest.
    pub(super) fn leaves_cache(&self, before: &Before) -> bool {
        let has_socket = self.targets.iter().any(|target| target.intent.socket.is_some());
        let own = !self.classic && self.builder == Builder::Engine && has_socket;
        own && before.info.can.prune_leaves_cache
    }
}

impl Target {
    /// What tells it from other builds of its Dockerfile: its tags. Tilt's are new each time. Of arguments nothing is
    /// written down, which may be secrets.
    fn variant(&self) -> String {
        let tags: BTreeSet<&str> = self.intent.tags.iter().map(Reference::as_str).collect();
        let here = std::env::current_dir().unwrap_or_default();
        if !tags.is_empty() && !self.intent.tilt {
            return short_hash(&tags.into_iter().collect::<Vec<_>>());
        }
        let context = here.join(self.words.context.as_deref().unwrap_or_default());
        let platforms = self.words.platforms.iter().map(|platform| platform.to_string_lossy());
        let mut words: Vec<Cow<str>> = std::iter::once(context.to_string_lossy()).chain(platforms).collect();
        // Of one Dockerfile a bake may build several that have no tags.
        words.extend(self.name.as_deref().map(Cow::Borrowed));
        short_hash(&words.iter().map(Cow::as_ref).collect::<Vec<_>>())
    }

    pub(super) fn ended_build(&self, app: &App, ended: Timestamp, ok: bool) -> EndedBuild {
        EndedBuild {
            build: self.intent.build.clone(),
            of: self.intent.of.clone(),
            key: self.intent.key.clone(),
            variant: self.variant(),
            compose: self.intent.compose.clone(),
            stamp: self.intent.stamp.clone(),
            began: self.intent.started,
            ended,
            ok,
            keep: app.settings.keep_superseded,
        }
    }
}

/// Notes the builds, and starts whoever looks. One that looks already sees what was noted.
pub(super) fn hand_over(app: &App, identity: &str, builds: &[EndedBuild]) -> Result<()> {
    let [first, ..] = builds else { return Ok(()) };
    let notes = app.state()?.cache(identity);
    builds.iter().try_for_each(|build| notes.add(build))?;
    let failed = |error| Error::failed("starting what looks after the build cache", error);
    let mut other = apart::another_dkb().map_err(failed)?;
    // All that it needs of the settings, which may have come through a pipe.
    other.env_remove("DKB_SETTINGS").env("DKB_DOCKER", &app.settings.docker);
    if let Some(folder) = &app.settings.state_dir {
        other.env("DKB_STATE_DIR", folder);
    }
    other.args(["--project", first.of.project.as_str(), "--session", first.of.session.as_str()]);
    other.args(&app.docker.words).arg("tidy-cache");
    // Or a terminal that closes now would end it before it has left.
    other.process_group(0);
    // It has its own life, and init sees it end.
    other.spawn().map(drop).map_err(failed)
}

/// Enters the builds that ended, and takes away what they superseded. Whether that must wait.
pub(crate) async fn take_superseded_cache(
    doer: Doer<'_>,
    state: &State,
    turn: CacheTurn,
    engine: &impl Engine,
    info: &EngineInfo,
    buildx: Buildx<'_>,
) -> Result<bool> {
    let seen = SeenCache::look(turn, engine, buildx).await?;
    let waits = seen.as_ref().is_some_and(|seen| seen.waits);
    let Some(cache) = seen.filter(|_| !waits) else { return Ok(waits) };
    let ledger = state.ledger(info.known()?);
    let (books, _) = ledger.read_aside().await?;
    let is_over = |of: &SessionKey| books.sessions.get(of).is_some_and(SessionEntry::is_cleaned);
    let going = superseded(&cache.books, &cache.records, is_over);
    let steps = going.into_iter().map(|record| record.removal(Reason::Superseded, info.can)).collect();
    let mut plan = Plan::new("build", info, Timestamp::now(), steps, Vec::new());
    let snapshot = Snapshot { engine: info.clone(), images: Vec::new(), containers: Vec::new() };
    let applier = Applier::new(engine, &snapshot, (state, &ledger, &books), doer);
    applier.carry_out(&mut plan, std::future::pending(), |_, _| {}).await;
    cache.forget(&plan)?;
    applier.note(&plan, Vec::new(), Vec::new(), std::future::pending()).await.map(|_| false)
}

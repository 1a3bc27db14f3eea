//! One look at a host: all that its plan is made from. What can't be listed fails its kind and no other.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;

use futures_util::StreamExt as _;
use futures_util::stream;
use jiff::{SignedDuration, Timestamp};

use super::unmatched::{self, AlreadyListed};
use super::{disk, lives};
use crate::app::{App, env};
use crate::bookkeeping::{self, OpenBooks, open_books};
use crate::engine::{Docker, Engine, builder_lists};
use crate::error::{Error, Result};
use crate::ledger::{Ledger, State};
use crate::model::{
    Books, BuildId, CacheRecord, Container, ContainerState, DiskUsage, Ended, EngineInfo, Gap, ImageId, Kind,
    KnownBuilders, Life, Network, Notice, RunningBuild, SessionKey, Snapshot, Step, Volume, node_of, total,
};
use crate::plan::sweep::{SweepLook, SweepPolicy, Swept, needs_first_sight, plan};
use crate::plan::unmatched::Unmatched;

/// How many questions are asked at a time.
const AT_ONCE: usize = 8;

pub(crate) struct HostObservation {
    pub(crate) engine: Docker,
    pub(crate) info: EngineInfo,
    pub(crate) ledger: Ledger,
    pub(crate) snapshot: Snapshot,
    pub(crate) policy: SweepPolicy,
    /// The kinds that were asked for and could not be listed.
    pub(crate) failed: Vec<(Kind, Error)>,
    pub(crate) gaps: Vec<Gap>,
    pub(crate) notices: Vec<Notice>,
    pub(crate) state: State,
    pub(crate) books: Books,
    pub(crate) lives: HashMap<SessionKey, Life>,
    running: Vec<RunningBuild>,
    /// Builds that had ended before the look.
    over: HashSet<BuildId>,
    ended: HashMap<String, Ended>,
    volumes: Vec<Volume>,
    builders: KnownBuilders,
    networks: Vec<Network>,
    cache: Vec<CacheRecord>,
    layers: HashMap<ImageId, Vec<String>>,
    tagged: HashMap<ImageId, Timestamp>,
    first_seen: HashMap<ImageId, Timestamp>,
    /// The names of the files of sessions and of builds, before their lives were looked at.
    at_work: AtWork,
    /// What may go by who has come to work since, as of these names.
    since: RefCell<Option<MayGo>>,
}

/// What may go while these are at work.
struct MayGo {
    at_work: AtWork,
    things: HashSet<(Kind, String)>,
}

#[derive(Clone, PartialEq, Eq)]
struct AtWork {
    sessions: Vec<OsString>,
    builds: Vec<OsString>,
}

impl AtWork {
    fn now(state: &State) -> Self {
        Self { sessions: state.session_files(), builds: state.build_folders() }
    }
}

impl HostObservation {
    /// `policy` may be wider than what the host's settings say, to check a plan from a file.
    pub(crate) async fn look(app: &App, engine: Docker, policy: SweepPolicy) -> Result<Self> {
        let state = app.state()?;
        state.check()?;
        let info = engine.info().await?;
        let OpenBooks { ledger, books, damage, over } = open_books(&engine, &info, &state).await?;
        let at_work = AtWork::now(&state);
        let mut seen = Self {
            at_work,
            since: RefCell::default(),
            snapshot: Snapshot { engine: info.clone(), images: Vec::new(), containers: Vec::new() },
            lives: lives(&state, &books, info.identity.as_deref()),
            running: bookkeeping::running_since(&state, &over),
            over,
            engine,
            info,
            ledger,
            policy,
            state,
            books,
            failed: Vec::new(),
            gaps: Vec::new(),
            notices: damage.into_iter().collect(),
            ended: HashMap::new(),
            volumes: Vec::new(),
            builders: KnownBuilders::default(),
            networks: Vec::new(),
            cache: Vec::new(),
            layers: HashMap::new(),
            tagged: HashMap::new(),
            first_seen: HashMap::new(),
        };
        seen.list().await;
        if seen.policy.builder_state {
            match known_builders(app) {
                Ok(known) => seen.builders = known,
                Err(error) => seen.fail(Kind::BuilderState, error),
            }
        }
        seen.look_into_containers().await;
        let ids: Vec<_> = seen.snapshot.images.iter().filter(|image| needs_first_sight(image)).map(|i| i.id).collect();
        if seen.policy.images {
            let now = seen.info.now;
            seen.first_seen = seen.ledger.first_seen(&ids, now).unwrap_or_else(|error| {
                seen.gaps.push(Gap::Undated(error));
                HashMap::new()
            });
        }
        Ok(seen)
    }

    async fn list(&mut self) {
        let (engine, policy) = (&self.engine, &self.policy);
        let (containers, images, volumes, networks, cache) = tokio::join!(
            engine.containers(),
            async { if policy.images { engine.images(true).await } else { Ok(Vec::new()) } },
            async { if policy.volumes || policy.builder_state { engine.volumes().await } else { Ok(Vec::new()) } },
            async { if policy.networks { engine.networks().await } else { Ok(Vec::new()) } },
            async { if policy.cache || policy.images { engine.cache().await } else { Ok(None) } },
        );
        self.snapshot.images = self.or_fail(Kind::Image, images);
        if let Err(error) = &volumes {
            self.fail(Kind::BuilderState, error.clone());
        }
        self.volumes = self.or_fail(Kind::Volume, volumes);
        self.networks = self.or_fail(Kind::Network, networks);
        match cache {
            // It is asked for what it shares with images too.
            cache if !self.policy.cache => self.cache = cache.ok().flatten().unwrap_or_default(),
            Ok(None) => {
                self.policy.cache = false;
                self.gaps.push(Gap::NoCacheCalls);
            }
            cache => self.cache = self.or_fail(Kind::BuildCache, cache.map(Option::unwrap_or_default)),
        }
        match containers {
            Ok(containers) => self.snapshot.containers = containers,
            // Without them nobody can say what is used.
            Err(error) => {
                for kind in [Kind::Container, Kind::Image, Kind::Volume, Kind::BuilderState, Kind::Network] {
                    self.fail(kind, error.clone());
                }
            }
        }
    }

    fn or_fail<T>(&mut self, kind: Kind, list: Result<Vec<T>>) -> Vec<T> {
        list.unwrap_or_else(|error| {
            self.fail(kind, error);
            Vec::new()
        })
    }

    fn fail(&mut self, kind: Kind, error: Error) {
        let policy = &mut self.policy;
        let takes = match kind {
            Kind::Container => &mut policy.containers,
            Kind::Image => &mut policy.images,
            Kind::Volume => &mut policy.volumes,
            Kind::BuilderState => &mut policy.builder_state,
            Kind::Network => &mut policy.networks,
            Kind::BuildCache => &mut policy.cache,
        };
        if std::mem::replace(takes, false) {
            self.failed.push((kind, error));
        }
    }

    /// Asks when stopped containers ended, one question each; not of those that were made too late anyway.
    async fn look_into_containers(&mut self) {
        if !self.policy.containers {
            return;
        }
        let until = SignedDuration::try_from(self.policy.until).unwrap_or(SignedDuration::MAX);
        let now = self.info.now;
        let old = |container: &&Container| {
            until.is_zero() || container.made().is_some_and(|made| now.duration_since(made) >= until)
        };
        let (engine, containers) = (&self.engine, &self.snapshot.containers);
        let asked: Vec<_> = stream::iter(containers.iter().filter(|c| c.is_stopped()).filter(old))
            .map(|container| async move { (container.id.clone(), engine.ended(&container.id).await) })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let young = containers.iter().filter(|c| c.state == ContainerState::Created);
        self.ended.extend(young.map(|c| (c.id.clone(), Ended { at: c.made(), written: 0 })));
        for (id, ended) in asked {
            match ended {
                Ok(ended) => self.ended.extend(ended.map(|ended| (id, ended))),
                // What does not say when it ended is young, and stays.
                Err(error) => self.failed.push((Kind::Container, error)),
            }
        }
        self.failed.dedup_by(|a, b| a == b);
    }

    /// Looks closer at images and volumes where a plan takes any: that alone says which bytes come back.
    pub(crate) async fn plan(&mut self) -> Swept {
        let rough = self.plan_now();
        let takes = |kind| rough.plan.steps.iter().any(|step| step.kind() == kind);
        if takes(Kind::Volume) || takes(Kind::BuilderState) {
            self.measure_volumes().await;
        }
        if takes(Kind::Image) {
            self.look_into_images().await;
        }
        self.plan_now()
    }

    /// The engine walks every volume for this, so it is asked once at most.
    async fn measure_volumes(&mut self) {
        if self.volumes.iter().any(|volume| volume.size.is_some()) {
            return;
        }
        match self.engine.volume_sizes().await {
            Ok(sizes) => self.volumes.iter_mut().for_each(|volume| volume.size = sizes.get(&volume.name).copied()),
            Err(error) => self.gaps.push(Gap::Unmeasured(error)),
        }
    }

    async fn look_into_images(&mut self) {
        let engine = &self.engine;
        let images = self.snapshot.images.iter();
        // One that shares nothing is known without a look; only its last name is not, which counts under pressure.
        let all = self.policy.need.is_some() || !self.info.can.tells_who_shares;
        let asked = images.filter(|image| all || image.shared != Some(0));
        let details: Vec<_> = stream::iter(asked.map(|image| image.id))
            .map(|id| async move { engine.image(&id.to_string()).await })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        // One that can't be looked into makes the count an upper bound, and no more.
        for detail in details.into_iter().flatten().flatten() {
            self.tagged.extend(detail.last_tagged.map(|at| (detail.id, at)));
            self.layers.insert(detail.id, detail.layers);
        }
    }

    fn plan_now(&self) -> Swept {
        self.plan_for(&self.lives, &self.running, &self.policy)
    }

    /// Whether this step would not be taken any more: somebody has come to work since the look, in a session or with a
    /// build, and the same plan with him in it leaves it.
    pub(crate) fn is_left_since(&self, step: &Step) -> bool {
        let now = AtWork::now(&self.state);
        if now == self.at_work {
            return false;
        }
        let mut since = self.since.borrow_mut();
        let stale = since.as_ref().is_none_or(|known| known.at_work != now);
        if stale {
            let mut lives = lives(&self.state, &self.books, self.info.identity.as_deref());
            let known = self.state.sessions().into_keys().chain(self.books.sessions.keys().cloned());
            let opened = known.filter(|key| self.state.session(key).is_opened_since(&self.at_work.sessions));
            lives.extend(opened.map(|key| (key, Life::Alive)));
            let running = bookkeeping::running_since(&self.state, &self.over);
            // What was to be enough says nothing of what may go.
            let policy = SweepPolicy { need: None, ..self.policy.clone() };
            let steps = self.plan_for(&lives, &running, &policy).plan.steps;
            let things = steps.iter().map(|step| (step.kind(), step.id().into_owned())).collect();
            *since = Some(MayGo { at_work: now, things });
        }
        since.as_ref().is_some_and(|known| !known.things.contains(&(step.kind(), step.id().into_owned())))
    }

    fn plan_for(&self, lives: &HashMap<SessionKey, Life>, running: &[RunningBuild], policy: &SweepPolicy) -> Swept {
        let look = SweepLook {
            snapshot: &self.snapshot,
            ended: &self.ended,
            volumes: &self.volumes,
            builders: &self.builders,
            networks: &self.networks,
            cache: &self.cache,
            layers: &self.layers,
            tagged: &self.tagged,
            first_seen: &self.first_seen,
            books: &self.books,
            lives,
            running,
            now: self.info.now,
        };
        plan(&look, policy)
    }

    /// The keep patterns that match nothing here. What could not be listed may match.
    pub(crate) async fn unmatched(&self) -> Vec<Unmatched> {
        let Snapshot { images, containers, .. } = &self.snapshot;
        let keep = if self.failed.is_empty() { &*self.policy.keep } else { &[] };
        unmatched::find(&self.engine, keep, AlreadyListed { images, all: self.policy.images, containers }).await
    }

    /// What the engine holds, as it counts itself; volumes where some may go.
    pub(crate) async fn disk(&mut self) -> Result<u64> {
        if self.policy.volumes || self.policy.builder_state {
            self.measure_volumes().await;
        }
        let DiskUsage { layers, containers, cache } = self.engine.disk_usage().await?;
        let may_go = |volume: &&Volume| self.policy.volumes || node_of(volume).is_some();
        let volumes = total(self.volumes.iter().filter(may_go).filter_map(|volume| volume.size));
        let rest = if self.info.can.layers_count_all { [0, 0] } else { [containers, cache] };
        Ok(total([layers, volumes].into_iter().chain(rest)))
    }

    /// Whether the engine's folder is a folder of this machine: it holds the very images that the engine lists.
    pub(crate) fn is_root_here(&self) -> bool {
        self.info.can.marks_its_root && disk::is_root_here(&self.info, &self.snapshot.images)
    }
}

/// The builders in buildx's lists.
pub(crate) fn known_builders(app: &App) -> Result<KnownBuilders> {
    builder_lists::known_builders(app.docker.config.as_deref(), &env)
}

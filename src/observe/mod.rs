//! What there is: one look at an engine and the books, before anything is decided. This one is what the clean-up of
//! our own things starts from; [`host`] is that of a whole host.

mod disk;
pub(crate) mod host;
pub(crate) mod pressure;
pub(crate) mod unknown;
pub(crate) mod unmatched;

use std::collections::{HashMap, HashSet};

use futures_util::StreamExt as _;
use futures_util::stream;
use jiff::{SignedDuration, Timestamp};

use crate::app::App;
use crate::bookkeeping::{self, OpenBooks, SeenCache, open_books};
use crate::config::here::machine;
use crate::engine::{Buildx, Docker, Engine, Limits};
use crate::error::Result;
use crate::ledger::{CacheNotes, Ledger, State};
use crate::model::{
    Books, Build, CacheBooks, CacheRecord, Container, EngineInfo, ImageId, Kind, Life, Notice, Opening, Plan, Record,
    Scope, SessionKey, Snapshot,
};
use crate::plan::cache::{self, CacheBytes};
use crate::plan::clean::{
    CacheWish, CleanLook, CleanPolicy, Here, Layers, RunningBuild, anonymous, at_work, builds_in, leave_bases,
    may_be_anonymous, may_share_with_cache, plan, share_with_cache, wants_bases, wants_layers,
};
use crate::plan::ended::{EndedRecords, ended};
use crate::plan::session_end::{self, Extras};

/// Images that are asked for their layers at the same time.
const AT_ONCE: usize = 8;

/// An engine, what it said, and what the ledger says of it.
pub(crate) struct Observation {
    pub(crate) engine: Docker,
    pub(crate) info: EngineInfo,
    pub(crate) ledger: Ledger,
    pub(crate) books: Books,
    pub(crate) snapshot: Snapshot,
    cache: Vec<CacheRecord>,
    /// What of the cache is ours, where somebody has asked for it.
    pub(crate) seen_cache: Option<SeenCache>,
    /// Builds have ended whose cache nobody has looked at yet.
    cache_pending: bool,
    pub(crate) lives: HashMap<SessionKey, Life>,
    /// The last sign of life of those that are dead.
    beats: HashMap<SessionKey, Timestamp>,
    /// Those that somebody has opened and nobody has ended.
    pub(crate) opened: HashMap<SessionKey, Opening>,
    /// The sessions whose containers run.
    at_work: HashSet<SessionKey>,
    pub(crate) running: Vec<RunningBuild>,
    /// Before anything was asked: what ended later is not in it.
    pub(crate) began: Timestamp,
    pub(crate) notices: Vec<Notice>,
}

impl Observation {
    /// The one look: images and containers are listed once each.
    pub(crate) async fn look(app: &App) -> Result<Self> {
        let began = Timestamp::now();
        let state = app.state()?;
        state.check()?;
        let engine = app.engine(Limits::default()).await?;
        let info = engine.info().await?;
        let ahead = ahead(&engine, &info);
        // Read before the engine is asked, so that what a build notes meanwhile cannot seem to be missing.
        let OpenBooks { ledger, mut books, damage } = open_books(&engine, &info, &state).await?;
        let mut notices: Vec<Notice> = damage.into_iter().collect();
        let (images, mut containers, cache) =
            tokio::try_join!(engine.images(true), engine.containers(), cache_of(&engine, &books))?;
        ask_for_names(&engine, &books, &mut containers).await?;
        let mut snapshot = Snapshot { engine: info.clone(), images, containers };
        notices.extend(end_records(&engine, &ledger, &mut books, &snapshot, ahead).await);
        snapshot.add_dropped(|id| books.has(id));
        let lives = lives(&state, &books);
        let dead = lives.iter().filter(|(_, life)| **life == Life::Dead).map(|(key, _)| key);
        let beats = dead.filter_map(|key| Some((key.clone(), state.session(key).last_beat()?))).collect();
        let opened = state.openings();
        let at_work = at_work(&snapshot, &books);
        let running = bookkeeping::running(&state, &[]);
        Ok(Self {
            engine,
            info,
            ledger,
            books,
            snapshot,
            cache,
            seen_cache: None,
            cache_pending: false,
            lives,
            beats,
            opened,
            at_work,
            running,
            began,
            notices,
        })
    }

    /// Looks at what of the cache is ours, for whoever wants to take it.
    pub(crate) async fn look_at_cache(&mut self, app: &App) -> Result<()> {
        if let Some(notes) = self.cache_notes(app)? {
            let program = app.program()?;
            let buildx = Buildx { docker: &program.path, flags: &app.docker.words };
            self.seen_cache = SeenCache::wait(&notes, &self.engine, buildx).await?;
            if self.seen_cache.as_ref().is_some_and(|seen| seen.waits) {
                self.notices.push(Notice::CacheWaits);
            }
        }
        Ok(())
    }

    /// The same for whoever only wants to know, and does not wait.
    pub(crate) async fn recall_cache(&mut self, app: &App) -> Result<()> {
        if let Some(notes) = self.cache_notes(app)?.filter(CacheNotes::are_there) {
            if self.cache.is_empty() {
                // There may be some yet of images that are gone.
                self.cache = self.engine.cache().await.ok().flatten().unwrap_or_default();
            }
            self.cache_pending = notes.has_ended();
            self.seen_cache = SeenCache::of_before(&notes, self.cache.clone());
        }
        Ok(())
    }

    /// Where some of it can go without harm to the rest.
    fn cache_notes(&self, app: &App) -> Result<Option<CacheNotes>> {
        let known = self.info.identity.as_deref().filter(|_| self.info.can.prune_leaves_cache);
        known.map(|identity| Ok(app.state()?.cache(identity))).transpose()
    }

    pub(crate) fn cache_bytes(&self) -> CacheBytes {
        let nothing = CacheBooks::default();
        let books = self.seen_cache.as_ref().map_or(&nothing, |seen| &seen.books);
        CacheBytes { pending: self.cache_pending, ..CacheBytes::new(books, &self.cache) }
    }

    /// The plan for this policy, and the few questions that it takes besides the look.
    pub(crate) async fn plan(&self, here: &Here, policy: &CleanPolicy) -> Result<Plan> {
        match policy.scope {
            _ if policy.cache == CacheWish::Only => {
                let (layers, now) = (Layers::new(), Timestamp::now());
                let plan = Plan::new("clean", &self.info, now, Vec::new(), Vec::new());
                self.weighed(plan, &self.as_look(here, &layers), policy).await
            }
            Scope::Session(_) | Scope::Stale { .. } if policy.containers => {
                self.plan_end(here, policy, &self.extras().await?).await
            }
            _ => {
                let layers = self.layers(here, policy).await?;
                let look = self.as_look(here, &layers);
                self.weighed(plan(&look, policy), &look, policy).await
            }
        }
    }

    /// The plan for sessions that end: what they have run goes too.
    pub(crate) async fn plan_end(&self, here: &Here, policy: &CleanPolicy, extras: &Extras) -> Result<Plan> {
        let layers = self.layers(here, policy).await?;
        let look = self.as_look(here, &layers);
        self.weighed(session_end::plan(&look, extras, policy), &look, policy).await
    }

    /// The plan with what goes of the cache, its bytes, and the anonymous volumes of containers that go.
    async fn weighed(&self, mut plan: Plan, look: &CleanLook<'_>, policy: &CleanPolicy) -> Result<Plan> {
        if let Some(seen) = &self.seen_cache {
            cache::clean(&mut plan, look, policy, &seen.books, &seen.records);
        }
        self.count_bytes(&mut plan).await?;
        self.add_anonymous_volumes(&mut plan, policy).await?;
        if plan.steps.iter().any(|step| step.kind() == Kind::Volume)
            || plan.kept.iter().any(|kept| kept.kind == Kind::Volume)
        {
            self.measure_volumes(&mut plan).await;
        }
        Ok(plan)
    }

    async fn add_anonymous_volumes(&self, plan: &mut Plan, policy: &CleanPolicy) -> Result<()> {
        if may_be_anonymous(&self.snapshot, plan) {
            anonymous(&self.snapshot, &self.engine.volumes().await?, plan, policy);
        }
        Ok(())
    }

    /// The engine walks every volume for this. Where it does not say, nothing is counted.
    async fn measure_volumes(&self, plan: &mut Plan) {
        let sizes = self.engine.volume_sizes().await.unwrap_or_default();
        let size = |name: &str| sizes.get(name).copied().unwrap_or(0);
        plan.steps.iter_mut().filter(|step| step.kind() == Kind::Volume).for_each(|step| step.bytes = size(&step.id()));
        plan.kept.iter_mut().filter(|kept| kept.kind == Kind::Volume).for_each(|kept| kept.bytes = size(&kept.id));
    }

    /// Counts what stays: with the bases of what goes, and, apart, on the disk as build cache.
    async fn count_bytes(&self, plan: &mut Plan) -> Result<()> {
        let wanted = wants_bases(plan, &self.snapshot);
        if !wanted.is_empty() {
            leave_bases(plan, &self.snapshot, &self.layers_of(wanted).await?);
        }
        let records = self.seen_cache.as_ref().map_or(&self.cache, |seen| &seen.records);
        share_with_cache(plan, &self.books, records);
        Ok(())
    }

    /// What a session can leave besides containers and images.
    pub(crate) async fn extras(&self) -> Result<Extras> {
        let networks = self.engine.networks().await?;
        Ok(Extras { networks, volumes: self.engine.volumes().await? })
    }

    /// What of these is not there: images and containers by the look, networks and volumes by a list of their own.
    pub(crate) async fn missing(&self, kinds: &HashSet<Kind>) -> Result<impl Fn(Kind, &str) -> bool> {
        let mut there: HashSet<(Kind, String)> = HashSet::new();
        there.extend(self.snapshot.images.iter().map(|image| (Kind::Image, image.id.to_string())));
        there.extend(self.snapshot.containers.iter().map(|one| (Kind::Container, one.id.clone())));
        let asks = kinds.contains(&Kind::Network) || kinds.contains(&Kind::Volume);
        let Extras { networks, volumes } = if asks { self.extras().await? } else { Extras::default() };
        there.extend(networks.into_iter().map(|network| (Kind::Network, network.id)));
        there.extend(volumes.into_iter().map(|volume| (Kind::Volume, volume.name)));
        Ok(move |kind, id: &str| kind != Kind::BuildCache && !there.contains(&(kind, id.to_owned())))
    }

    async fn layers(&self, here: &Here, policy: &CleanPolicy) -> Result<Layers> {
        let empty = Layers::new();
        self.layers_of(wants_layers(&self.as_look(here, &empty), policy)).await
    }

    async fn layers_of(&self, wanted: Vec<ImageId>) -> Result<Layers> {
        let mut asked = stream::iter(wanted)
            .map(|id| async move { self.engine.image(&id.to_string()).await.map(|image| (id, image)) })
            .buffer_unordered(AT_ONCE);
        let mut layers = Layers::new();
        while let Some(answer) = asked.next().await {
            if let (id, Some(image)) = answer? {
                layers.insert(id, image.layers);
            }
        }
        drop(asked);
        Ok(layers)
    }

    /// Whether a build of this session ran at the time of the look.
    pub(crate) fn builds_in(&self, session: &SessionKey) -> bool {
        builds_in(&self.running, session)
    }

    /// What the books are told of a session of which nothing is left, as of the look: what was built since was not
    /// seen. Of a build that ran then nobody knows yet what it made and took.
    pub(crate) fn cleaned(&self, session: &SessionKey) -> Option<Record> {
        (!self.builds_in(session)).then(|| Record::Cleaned { key: session.clone(), at: self.began })
    }

    pub(crate) fn as_look<'a>(&'a self, here: &'a Here, layers: &'a Layers) -> CleanLook<'a> {
        CleanLook {
            snapshot: &self.snapshot,
            books: &self.books,
            lives: &self.lives,
            beats: &self.beats,
            opened: &self.opened,
            at_work: &self.at_work,
            running: &self.running,
            layers,
            here,
            now: Timestamp::now(),
        }
    }
}

/// The build cache, where there is anything that may share its bytes. An engine that does not say keeps none.
async fn cache_of(engine: &impl Engine, books: &Books) -> Result<Vec<CacheRecord>> {
    Ok(if may_share_with_cache(books) { engine.cache().await.ok().flatten().unwrap_or_default() } else { Vec::new() })
}

/// A list names a container's image by its ID once its name has moved on. By which name it was made tells whose it is.
async fn ask_for_names(engine: &impl Engine, books: &Books, containers: &mut [Container]) -> Result<()> {
    let is_unclear = |container: &&mut Container| {
        let digits = container.image_name.strip_prefix("sha256:").unwrap_or(&container.image_name);
        container.image.is_some_and(|id| id.starts_with(digits))
    };
    let mut unclear: Vec<&mut Container> = containers.iter_mut().filter(is_unclear).collect();
    if unclear.is_empty() {
        return Ok(());
    }
    let recorded: HashSet<ImageId> = books.builds.iter().flat_map(Build::images).collect();
    unclear.retain(|container| container.image.is_some_and(|id| recorded.contains(&id)));
    let mut asked = stream::iter(unclear)
        .map(|container| async move { (engine.image_as_written(&container.id).await, container) })
        .buffer_unordered(AT_ONCE);
    while let Some((written, container)) = asked.next().await {
        if let Some(written) = written? {
            container.image_name = written;
        }
    }
    Ok(())
}

/// Records of images that are no longer there, or were not all the time, end. A ledger that can't be written only
/// means that they end later.
async fn end_records(
    engine: &impl Engine,
    ledger: &Ledger,
    books: &mut Books,
    snapshot: &Snapshot,
    ahead: SignedDuration,
) -> Vec<Notice> {
    let there: HashSet<ImageId> = snapshot.images.iter().map(|image| image.id).collect();
    let deleted = deleted(engine, books, ahead).await;
    let home = bookkeeping::home(engine);
    let EndedRecords { gone, missed } = ended(books, &there, &deleted, &used(snapshot, ahead), &home);
    let missed: Vec<ImageId> = missed.into_iter().filter(|id| !books.missed.contains(id)).collect();
    let mut notices: Vec<Notice> = (!missed.is_empty()).then_some(Notice::Missed(missed.len())).into_iter().collect();
    books.forget(&gone.iter().copied().collect());
    books.missed.extend(&missed);
    books.look_from(&home);
    let at = Timestamp::now();
    let gone = (!gone.is_empty()).then_some(Record::Gone { at, ids: gone });
    let missed = (!missed.is_empty()).then_some(Record::Missed { at, ids: missed });
    if let Err(error) = ledger.append_aside(gone.into_iter().chain(missed).collect()).await {
        notices.push(Notice::Unwritten(error));
    }
    notices
}

/// How far our clock is ahead of the engine's.
fn ahead(engine: &impl Engine, info: &EngineInfo) -> SignedDuration {
    let ahead = -info.ahead;
    // Behind a socket of this machine it is one clock. What is seen then is how long the answer took, and that Podman
    // tells whole seconds.
    let local = engine.endpoint().socket_mark().is_some();
    if local && ahead.abs() < SignedDuration::from_secs(2) { SignedDuration::ZERO } else { ahead }
}

/// When recorded images were last deleted, by our clock, as far as the engine says so.
async fn deleted(engine: &impl Engine, books: &Books, ahead: SignedDuration) -> HashMap<ImageId, Timestamp> {
    let Some(oldest) = books.builds.iter().map(|build| build.at).min() else { return HashMap::new() };
    let by_engine = |time: Timestamp| time.checked_sub(ahead).unwrap_or(Timestamp::UNIX_EPOCH);
    let told = engine.deleted(by_engine(oldest).max(Timestamp::UNIX_EPOCH), by_engine(Timestamp::now())).await;
    // Where our clock can't say it, it was never before.
    told.into_iter().map(|(id, at)| (id, at.checked_add(ahead).unwrap_or(Timestamp::MAX))).collect()
}

/// When the last container was made from each image that is in no list, by our clock.
fn used(snapshot: &Snapshot, ahead: SignedDuration) -> HashMap<ImageId, Timestamp> {
    // An engine tells whole seconds, and it may have been any moment of that one.
    let made = |container: &Container| {
        let at = Timestamp::from_second(container.created.saturating_add(1)).ok();
        at.and_then(|at| at.checked_add(ahead).ok()).unwrap_or(Timestamp::MAX)
    };
    let of_dropped = snapshot.of_dropped().into_iter();
    of_dropped.filter_map(|(id, containers)| Some((id, containers.into_iter().map(made).max()?))).collect()
}

pub(crate) fn lives(state: &State, books: &Books) -> HashMap<SessionKey, Life> {
    let mut lives = state.lives(books.sessions.keys(), &machine());
    // Who is at work may not have come into the books. The dead may have died on another engine.
    let mut others: Vec<SessionKey> = state.sessions().into_iter().map(|(key, _)| key).collect();
    others.retain(|key| !lives.contains_key(key));
    lives.extend(state.lives(&others, &machine()).into_iter().filter(|(_, life)| *life == Life::Alive));
    lives
}

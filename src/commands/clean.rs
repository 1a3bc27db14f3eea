//! `dkb clean`: one look, a plan, and then what the plan says.

use std::collections::{HashMap, HashSet};
use std::io::{IsTerminal, Write};
use std::path::Path;

use jiff::Timestamp;

use super::apply::{self, Report};
use super::build;
use super::end;
use super::world::{World, machine, runtime};
use crate::cli::{self, Clean};
use crate::config::Format;
use crate::engine::{Engine, Limits};
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::ledger::{Ledger, State};
use crate::model::{
    Action, Books, EngineInfo, Kept, KeptReason, Kind, Life, Name, Plan, Record, SCHEMA, SessionKey, Snapshot, Step,
};
use crate::plan::clean::{Layers, Look, Policy, RunningBuild, Scope, missing, plan, sessions, wants_layers};
use crate::plan::{order, session_end};
use crate::ui;

/// An engine, what it said, and what the ledger says of it.
pub struct Seen {
    pub engine: Engine,
    pub info: EngineInfo,
    pub ledger: Ledger,
    pub books: Books,
    pub snapshot: Snapshot,
    pub lives: HashMap<SessionKey, Life>,
    pub running: Vec<RunningBuild>,
}

impl Seen {
    /// The one look. The ledger is read before the engine is asked, so that what a build notes meanwhile can't
    /// seem to be missing.
    pub async fn look(world: &World) -> Result<Self> {
        let state = world.state()?;
        let engine = world.engine(Limits::default()).await?;
        let info = engine.info().await?;
        let Some(identity) = &info.identity else {
            return Err(Error::new(
                ErrorKind::Failed,
                format!("asking {} who it is", info.endpoint),
                "it does not say",
            )
            .hint("dkb deletes nothing on an engine that it could not know again"));
        };
        let ledger = state.ledger(identity);
        build::recover(&engine, identity, &state, &ledger).await?;
        let (mut books, damaged) = ledger.read()?;
        if damaged > 0 {
            ui::warn(format_args!(
                "{damaged} damaged line{} in {}: what they said is forgotten, and left alone",
                if damaged == 1 { "" } else { "s" },
                ledger.path().display()
            ));
        }
        let images = engine.images(true).await?;
        let containers = engine.containers().await?;
        let snapshot = Snapshot { engine: info.clone(), images, containers };
        end_records(&ledger, &mut books, &snapshot);
        let lives = lives(&state, &books);
        let running = build::running(&state, "");
        Ok(Self { engine, info, ledger, books, snapshot, lives, running })
    }

    pub async fn layers(&self, world: &World, policy: &Policy) -> Result<Layers> {
        let here = world.here();
        let empty = Layers::new();
        let wanted = wants_layers(&self.as_look(&here, &empty), policy);
        let mut layers = Layers::new();
        for id in wanted {
            if let Some(image) = self.engine.image(&id.to_string()).await? {
                layers.insert(id, image.layers);
            }
        }
        Ok(layers)
    }

    pub async fn extras(&self) -> Result<session_end::Extras> {
        let networks = self.engine.networks().await?;
        Ok(session_end::Extras { networks, volumes: self.engine.volumes().await? })
    }

    /// All that any clean could take now: a plan from a file may not go beyond it.
    async fn widest(&self, world: &World, policy: &Policy) -> Result<Plan> {
        let here = world.here();
        let scope = if policy.trust_stamp { Scope::Project(world.key.project.clone()) } else { Scope::All };
        let wide = Policy {
            scope,
            tags: true,
            containers: true,
            keep: Vec::new(),
            keep_last: None,
            older_than: None,
            ..policy.clone()
        };
        let layers = self.layers(world, &wide).await?;
        Ok(plan(&self.as_look(&here, &layers), &wide))
    }

    pub fn as_look<'a>(&'a self, here: &'a crate::plan::clean::Here, layers: &'a Layers) -> Look<'a> {
        Look {
            snapshot: &self.snapshot,
            books: &self.books,
            lives: &self.lives,
            running: &self.running,
            layers,
            here,
            now: Timestamp::now(),
        }
    }
}

/// Records of images that are no longer there end. A ledger that can't be written only means that they end later.
fn end_records(ledger: &Ledger, books: &mut Books, snapshot: &Snapshot) {
    let missing = missing(books, snapshot);
    if missing.is_empty() {
        return;
    }
    books.forget(&missing);
    let gone = Record::Gone { at: Timestamp::now(), ids: missing.into_iter().collect() };
    if let Err(error) = ledger.append(&[gone]) {
        ui::warn(error);
    }
}

pub fn lives(state: &State, books: &Books) -> HashMap<SessionKey, Life> {
    let machine = machine();
    books.sessions.keys().map(|key| (key.clone(), state.session(key).life(&machine))).collect()
}

pub fn clean(world: &World, flags: &Clean) -> Result<u8> {
    runtime()?.block_on(async {
        let seen = Seen::look(world).await?;
        let policy = policy(world, flags)?;
        end::tell_of_the_dead(world, &seen.lives);
        let mut made = match &flags.act.apply {
            Some(file) => {
                let mut plan = read_plan(file, &seen.info)?;
                drop_what_no_longer_holds(&mut plan, &seen.widest(world, &policy).await?);
                plan
            }
            None => {
                let layers = seen.layers(world, &policy).await?;
                let here = world.here();
                let look = seen.as_look(&here, &layers);
                match policy.scope {
                    // What a session that died still runs goes too.
                    Scope::Stale(_) => session_end::plan(&look, &seen.extras().await?, &policy),
                    _ => plan(&look, &policy),
                }
            }
        };
        if let Some(file) = &flags.act.plan {
            write_plan(file, &made)?;
            show(world, &made, &policy, false);
            return Ok(0);
        }
        if flags.act.dry_run {
            show(world, &made, &policy, false);
            return Ok(0);
        }
        if must_ask(&policy, &made) && !world.settings.yes && !agreed(world, &made, &policy)? {
            return Ok(0);
        }
        let depths = order::depths(seen.snapshot.images.iter());
        let bar = ui::progress::Bar::new(wants_bar(world), made.steps.len());
        let stop = async {
            let _ = tokio::signal::ctrl_c().await;
        };
        let report =
            apply::apply(&seen.engine, &mut made, &depths, seen.info.containerd_store, stop, |_| bar.step()).await;
        bar.end();
        note(world, &seen, &policy, &made, &report);
        show(world, &made, &policy, true);
        for error in &report.errors {
            ui::say(error);
        }
        Ok(exit_code(&made, &report))
    })
}

fn show(world: &World, plan: &Plan, policy: &Policy, done: bool) {
    let whose = ui::clean::whose(&policy.scope, world.key.project.as_str());
    ui::clean::show(&world.settings, world.loudness(), plan, &whose, done);
}

fn wants_bar(world: &World) -> bool {
    !world.quiet && world.settings.format == Format::Human && std::io::stderr().is_terminal()
}

pub fn exit_code(plan: &Plan, report: &Report) -> u8 {
    match (report.interrupted, plan.totals.failed, plan.totals.done) {
        (true, ..) => ErrorKind::Interrupted.exit_code(),
        (_, 0, _) => 0,
        (_, _, 0) => 2,
        _ => 1,
    }
}

/// What is gone leaves the ledger, and sessions that were cleaned whole are over.
fn note(world: &World, seen: &Seen, policy: &Policy, plan: &Plan, report: &Report) {
    let now = Timestamp::now();
    let mut records = Vec::new();
    if !report.gone.is_empty() {
        records.push(Record::Gone { at: now, ids: report.gone.clone() });
    }
    let ends = policy.tags && matches!(policy.scope, Scope::Session(_) | Scope::Stale(_));
    let waits = plan.kept.iter().any(|kept| {
        matches!(
            kept.reason,
            KeptReason::InUse | KeptReason::BuildRunning | KeptReason::Changed | KeptReason::Failed | KeptReason::Base
        )
    });
    if ends && plan.totals.failed == 0 && !waits {
        let (layers, here) = (Layers::new(), world.here());
        let look = seen.as_look(&here, &layers);
        for key in sessions(&look, policy) {
            records.push(Record::Cleaned { key: key.clone(), at: now });
            if let Ok(state) = world.state()
                && seen.lives.get(key) == Some(&Life::Dead)
            {
                let _ = state.session(key).disown();
            }
        }
    }
    if let Err(error) = seen.ledger.append(&records) {
        ui::warn(error);
    }
}

fn policy(world: &World, flags: &Clean) -> Result<Policy> {
    let project = world.key.project.clone();
    let settings = &world.settings;
    let scope = match flags.scope() {
        cli::Scope::Project => Scope::Project(project),
        cli::Scope::Session(None) => Scope::Session(world.key.clone()),
        cli::Scope::Session(Some(id)) => {
            let session = Name::typed(&id).map_err(|wrong| Error::usage("reading --session", wrong))?;
            Scope::Session(SessionKey { project, session })
        }
        cli::Scope::Stale => Scope::Stale(project),
        cli::Scope::All => Scope::All,
    };
    let ends = matches!(scope, Scope::Session(_) | Scope::Stale(_));
    Ok(Policy {
        tags: flags.tagged || ends && !flags.keep_tagged,
        containers: ends && !flags.keep_containers,
        keep: settings.keep.clone(),
        keep_last: settings.keep_last,
        older_than: settings.older_than,
        stale_after: settings.stale_after,
        trust_stamp: settings.trust_stamp && scope != Scope::All,
        scope,
    })
}

/// Tags that somebody may still want: of every project, or of this working copy.
fn must_ask(policy: &Policy, plan: &Plan) -> bool {
    let wide = match &policy.scope {
        Scope::All => true,
        Scope::Session(key) => key.session.is_local() && std::io::stdin().is_terminal(),
        Scope::Project(_) | Scope::Stale(_) => false,
    };
    wide && policy.tags && plan.steps.iter().any(|step| !step.names.is_empty())
}

fn agreed(world: &World, plan: &Plan, policy: &Policy) -> Result<bool> {
    if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
        return Err(Error::usage("cleaning the tags of every project", "there is nobody to ask")
            .hint("say --yes, after a look at what --dry-run shows"));
    }
    show(world, plan, policy, false);
    ui::err("Remove all this? [y/N] ");
    let mut answer = String::new();
    let _ = std::io::stdin().read_line(&mut answer);
    let yes = matches!(answer.trim(), "y" | "Y" | "yes");
    if !yes {
        ui::say("nothing was removed");
    }
    Ok(yes)
}

fn write_plan(path: &Path, plan: &Plan) -> Result<()> {
    let failed = |error: std::io::Error| Error::failed(format!("writing the plan {}", path.display()), error);
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    let text = serde_json::to_string_pretty(plan).unwrap_or_default();
    file.write_all(text.as_bytes()).and_then(|()| file.write_all(b"\n")).map_err(failed)?;
    file.persist(path).map(drop).map_err(|error| failed(error.error))
}

/// A plan is for one engine, and says which.
fn read_plan(path: &Path, engine: &EngineInfo) -> Result<Plan> {
    let tried = || format!("reading the plan {}", path.display());
    let text = std::fs::read(path).map_err(|error| Error::usage(tried(), error))?;
    let mut plan: Plan = serde_json::from_slice(&text)
        .map_err(|error| Error::usage(tried(), error).hint("make one with dkb clean --plan FILE"))?;
    if plan.schema != SCHEMA {
        return Err(Error::usage(tried(), format!("its schema is {}, and this dkb knows {SCHEMA}", plan.schema)));
    }
    if Some(&plan.engine.id) != engine.identity.as_ref() {
        return Err(Error::usage(
            tried(),
            format!("it was made for the engine at {}, and this is another one", plan.engine.endpoint),
        )
        .hint("make a new plan here with dkb clean --plan FILE"));
    }
    for step in &mut plan.steps {
        step.result = None;
    }
    Ok(plan)
}

/// A step whose image or container is no longer ours to take, or is used now, falls out and is kept.
fn drop_what_no_longer_holds(plan: &mut Plan, widest: &Plan) {
    let allowed: HashSet<(Kind, &str)> = widest
        .steps
        .iter()
        .filter(|step| step.action == Action::Remove)
        .map(|step| (step.kind, step.id.as_str()))
        .collect();
    let (steps, dropped): (Vec<Step>, Vec<Step>) = std::mem::take(&mut plan.steps)
        .into_iter()
        .partition(|step| step.action != Action::Remove || allowed.contains(&(step.kind, step.id.as_str())));
    plan.steps = steps;
    plan.kept.extend(dropped.into_iter().map(|step| {
        let now = widest.kept.iter().find(|kept| kept.id == step.id).cloned();
        now.unwrap_or(Kept {
            kind: step.kind,
            id: step.id,
            names: step.names,
            bytes: step.bytes,
            reason: KeptReason::Changed,
            holders: Vec::new(),
        })
    }));
    plan.count();
}

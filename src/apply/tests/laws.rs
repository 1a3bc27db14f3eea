//! What holds, whatever comes between.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::run::{Between, Ran};
use super::scenes::Staged;
use super::stranger::Meddling;
use crate::engine::fake::{Request, Trouble, World};
use crate::model::{Action, Deed, ImageGuard, ImageId, KeptReason, Kind, Outcome, Plan, Reference, Step};

pub(super) fn removes_image(step: &Step) -> bool {
    step.kind() == Kind::Image && step.action() == Action::Remove
}

/// What is not dkb's to take: all that no step names, and all that a stranger does from then on.
#[derive(Clone, Debug, Default)]
pub(super) struct Claims {
    names: BTreeMap<Reference, ImageId>,
    images: BTreeSet<ImageId>,
    /// With the image of each, if it was there, and whether it runs.
    containers: BTreeMap<String, (Option<ImageId>, bool)>,
    volumes: BTreeSet<String>,
    networks: BTreeSet<String>,
    cache: BTreeSet<String>,
    /// What the plan names, which a stranger may come to use.
    planned: BTreeSet<String>,
}

impl Claims {
    pub(super) fn of(world: &World, plan: &Plan) -> Self {
        let mut planned = BTreeSet::new();
        for step in &plan.steps {
            if step.kind() != Kind::Image || step.action() == Action::Remove {
                planned.insert(step.id().into_owned());
            }
            if step.kind() == Kind::Image {
                planned.extend(step.names().into_iter().map(str::to_owned));
            }
            if let Deed::GiveBack { hold, .. } = &step.deed {
                planned.extend(hold.iter().map(ToString::to_string));
            }
            if let Deed::RemoveImage { guard: ImageGuard::Pushed { digests }, .. } = &step.deed {
                planned.extend(digests.iter().cloned());
            }
        }
        let mut claims = Self { planned, ..Self::default() };
        claims
            .names
            .extend(world.names.iter().filter(|(name, _)| !name.is_momentary()).map(|(name, id)| (name.clone(), *id)));
        claims.images.extend(world.ids());
        claims.note_the_rest(world);
        let planned = &claims.planned;
        claims.names.retain(|name, _| !planned.contains(name.as_str()));
        // With the last tag of a repository a graphdriver takes the digests under which it was pushed.
        let repositories: BTreeSet<&str> = planned.iter().filter_map(|name| Some(name.rsplit_once(':')?.0)).collect();
        claims.names.retain(|name, _| name.as_str().split_once('@').is_none_or(|(of, _)| !repositories.contains(of)));
        claims.images.retain(|id| !planned.contains(&id.to_string()));
        claims.containers.retain(|id, _| !planned.contains(id));
        claims.volumes.retain(|name| !planned.contains(name));
        claims.networks.retain(|id| !planned.contains(id));
        claims.cache.retain(|id| !planned.contains(id));
        claims
    }

    fn note_the_rest(&mut self, world: &World) {
        for container in world.containers.values() {
            let image = container.image.filter(|image| world.has(*image));
            self.containers.insert(container.id.clone(), (image, !container.is_stopped()));
        }
        self.volumes.extend(world.volumes.keys().cloned());
        self.networks.extend(world.networks.keys().cloned());
        self.cache.extend(world.cache.keys().cloned());
    }

    /// What a stranger has just changed is his.
    fn add_what_changed(&mut self, before: &World, world: &World) {
        // What he took away himself is nobody's any more.
        self.names.retain(|name, id| world.names.get(name) == Some(id));
        // With his last name he meant the image, which only names that go may hold now.
        let planned = &self.planned;
        let named = |world: &World, id: ImageId, but: &BTreeSet<String>| {
            world.names_of(id).any(|name| !name.is_momentary() && !but.contains(name.as_str()))
        };
        let stays_named = |id: ImageId, but: &BTreeSet<String>| named(world, id, but) || !named(before, id, but);
        let none = BTreeSet::new();
        self.images.retain(|id| world.has(*id) && stays_named(*id, &none) && stays_named(*id, planned));
        self.containers.retain(|id, _| world.containers.contains_key(id));
        self.volumes.retain(|name| world.volumes.contains_key(name));
        self.networks.retain(|id| world.networks.contains_key(id));
        for (name, id) in world.names.iter().filter(|(name, id)| before.names.get(*name) != Some(*id)) {
            self.names.insert(name.clone(), *id);
        }
        self.images
            .extend(world.ids().into_iter().filter(|id| !before.has(*id) && !self.planned.contains(&id.to_string())));
        for container in world.containers.values() {
            let now = (container.image.filter(|image| world.has(*image)), !container.is_stopped());
            let was = before.containers.get(&container.id);
            if was.is_none_or(|was| was.state != container.state) {
                self.containers.insert(container.id.clone(), now);
                // Whoever uses them needs them.
                self.volumes.extend(container.volumes.iter().cloned());
                let connected = world.networks.values().filter(|network| container.networks.contains(&network.name));
                self.networks.extend(connected.map(|network| network.id.clone()));
            }
        }
        let used = |record: &&crate::model::CacheRecord| {
            record.in_use && before.cache.get(&record.id).is_some_and(|was| !was.in_use)
        };
        self.cache.extend(world.cache.values().filter(used).map(|record| record.id.clone()));
    }

    pub(super) fn broken(&self, world: &World) -> Vec<String> {
        let mut broken = Vec::new();
        for (name, id) in &self.names {
            match world.names.get(name) {
                Some(now) if now == id => {}
                now => broken.push(format!("{name} was {id:?}'s and is {now:?}'s")),
            }
        }
        broken.extend(self.images.iter().filter(|id| !world.has(**id)).map(|id| format!("image {id:?} is lost")));
        for (id, (image, runs)) in &self.containers {
            match world.containers.get(id) {
                None => broken.push(format!("container {id} is lost")),
                Some(now) if *runs && now.is_stopped() => broken.push(format!("container {id} was stopped")),
                Some(_) => {}
            }
            if let Some(image) = image.filter(|image| !world.has(*image)) {
                broken.push(format!("container {id} has lost its image {image:?}"));
            }
        }
        broken.extend(
            self.volumes
                .iter()
                .filter(|name| !world.volumes.contains_key(*name))
                .map(|v| format!("volume {v} is lost")),
        );
        broken.extend(
            self.networks.iter().filter(|id| !world.networks.contains_key(*id)).map(|n| format!("network {n} is lost")),
        );
        broken.extend(
            self.cache.iter().filter(|id| !world.cache.contains_key(*id)).map(|r| format!("record {r} is lost")),
        );
        broken
    }
}

/// Every thing that there is.
fn all_of(world: &World) -> BTreeSet<Thing> {
    let of = |kind: Kind| move |id: &String| Thing::Other(kind, id.clone());
    let images = world.ids().into_iter().map(Thing::Image);
    let containers = world.containers.keys().map(of(Kind::Container));
    let volumes = world.volumes.keys().map(of(Kind::Volume));
    let networks = world.networks.keys().map(of(Kind::Network));
    let cache = world.cache.keys().map(of(Kind::BuildCache));
    images.chain(containers).chain(volumes).chain(networks).chain(cache).collect()
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Thing {
    Image(ImageId),
    Other(Kind, String),
}

fn thing_of(step: &Step) -> Thing {
    let image = ImageId::parse(&step.id()).filter(|_| step.kind() == Kind::Image);
    // What a builder left lies in a volume.
    let kind = if step.kind() == Kind::BuilderState { Kind::Volume } else { step.kind() };
    image.map_or_else(|| Thing::Other(kind, step.id().into_owned()), Thing::Image)
}

/// Whether what a step was to take is there.
pub(super) fn is_there(step: &Step, world: &World) -> bool {
    all_of(world).contains(&thing_of(step))
}

/// As many deletions as any engine is asked for at a time.
const AT_ONCE: usize = 8;

/// What happens at each request, and what came of it.
pub(super) struct Watch {
    between: Between,
    pub(super) claims: Claims,
    pub(super) count: usize,
    /// What a look said of an image or a name, until something is done about it.
    looks: HashMap<String, Vec<String>>,
    /// Losses in the gaps that no engine lets a client close, as the head of `image.rs` names them.
    pub(super) gaps: usize,
    pub(super) broken: Vec<String>,
    /// What was done before which request.
    pub(super) acted: Vec<(usize, Meddling)>,
    /// What a stranger brought, and what he took away.
    pub(super) brought: BTreeSet<Thing>,
    pub(super) taken: BTreeSet<Thing>,
    done: usize,
    /// The last of what was done changed nothing.
    pub(super) idle: bool,
    /// The images of the plan that were there at first.
    there: BTreeSet<ImageId>,
    /// What whoever finishes the books would take for gone, if dkb were killed now.
    going: BTreeSet<ImageId>,
}

impl Watch {
    pub(super) fn new(claims: Claims, between: Between) -> Self {
        Self {
            between,
            claims,
            count: 0,
            looks: HashMap::new(),
            gaps: 0,
            broken: Vec::new(),
            acted: Vec::new(),
            brought: BTreeSet::new(),
            taken: BTreeSet::new(),
            done: 0,
            idle: false,
            there: BTreeSet::new(),
            going: BTreeSet::new(),
        }
    }

    pub(super) fn going(&mut self, image: ImageId) {
        self.going.insert(image);
    }

    pub(super) fn ended(&mut self, step: &Step, outcome: Outcome) {
        if let Some(image) = step.removed_image().filter(|_| matches!(outcome, Outcome::Kept | Outcome::Failed)) {
            self.going.remove(&image);
        }
    }

    /// A kill may come at any moment: what went is noted by then, and of what is there no more than is asked for now.
    fn mind_a_kill(&mut self, world: &World) {
        if self.count == 1 {
            let planned = |id: &ImageId| self.claims.planned.contains(&id.to_string());
            self.there = world.ids().into_iter().filter(planned).collect();
        }
        if !self.between.acts.is_empty() {
            return;
        }
        let unnoted = self.there.iter().filter(|id| !world.has(**id) && !self.going.contains(*id));
        self.broken.extend(unnoted.map(|id| format!("{id:?} is gone, and a kill would have lost that")));
        let there = self.going.iter().filter(|id| world.has(**id)).count();
        if there > AT_ONCE {
            self.broken.push(format!("{there} images are there that a kill would leave"));
        }
    }

    /// Everything that was to come between has come.
    pub(super) fn is_done(&self) -> bool {
        self.done == self.between.acts.len() && self.between.trouble.is_none_or(|(at, _)| at < self.count)
    }

    pub(super) fn at(&mut self, request: &Request, world: &mut World) -> Option<Trouble> {
        let now = self.count;
        self.count += 1;
        self.mind_a_kill(world);
        while let Some((_, act)) = self.between.acts.get(self.done).filter(|(at, _)| *at == now).cloned() {
            self.broken.extend(self.claims.broken(world));
            let before = world.clone();
            self.done += 1;
            act.perform(world, u8::try_from(self.done).expect("a few"));
            self.idle = before.holds_the_same(world);
            self.claims.add_what_changed(&before, world);
            let (was, is) = (all_of(&before), all_of(world));
            self.brought.extend(is.difference(&was).cloned());
            self.taken.extend(was.difference(&is).cloned());
            self.acted.push((now, act));
        }
        self.mind_the_gaps(request, world);
        self.between.trouble.filter(|(at, _)| *at == now).map(|(_, trouble)| trouble)
    }

    /// A deletion or a tag that follows the look right before it may meet what came between the two.
    fn mind_the_gaps(&mut self, request: &Request, world: &World) {
        let said = |key: &str| -> Vec<String> {
            let Some(id) = world.find_image(key) else { return Vec::new() };
            let means = ImageId::parse(key).is_none().then(|| id.to_string());
            means.into_iter().chain(world.names_of(id).map(ToString::to_string)).collect()
        };
        let key = match request {
            Request::Look("inspecting", key) => {
                self.looks.insert(key.clone(), said(key));
                return;
            }
            Request::Delete(key) => key.clone(),
            Request::Tag(_, name) => name.to_string(),
            _ => return,
        };
        let Some(seen) = self.looks.remove(&key) else { return };
        let now = said(&key);
        if seen == now {
            return;
        }
        // The name means what it meant, and has become the last one.
        if ImageId::parse(&key).is_none() && seen.first() == now.first() {
            let id = now.first().and_then(|id| ImageId::parse(id)).filter(|_| now.len() == 2);
            if matches!(request, Request::Delete(_))
                && let Some(id) = id
            {
                self.gaps += usize::from(self.claims.images.remove(&id));
            }
            return;
        }
        let lost: Vec<String> = match (request, ImageId::parse(&key)) {
            // The one name that it has is another than the one that was read.
            (Request::Delete(_), Some(_)) if now.len() == 1 => now,
            (Request::Delete(_), Some(_)) => return,
            _ => vec![key],
        };
        for name in lost {
            let Some(name) = Reference::listed(&name) else { continue };
            if let Some(id) = self.claims.names.remove(&name) {
                self.gaps += 1;
                // Its last name, and nobody's container.
                if matches!(request, Request::Delete(_)) && world.names_of(id).count() == 1 {
                    self.claims.images.remove(&id);
                }
            }
        }
    }
}

/// Holds everything that was to hold against what came of a run.
pub(super) fn hold(staged: &Staged, between: &Between, ran: &Ran) -> Vec<String> {
    let Ran { fake, plan, report, watch, .. } = ran;
    let world = fake.world();
    let mut broken = watch.broken.clone();
    broken.extend(watch.claims.broken(&world));
    let over = report.interrupted || report.lost;
    let there = all_of(&world);
    for step in &plan.steps {
        let Some(result) = step.result else {
            broken.push(format!("{} has no result", step.id()));
            continue;
        };
        let thing = thing_of(step);
        let there = there.contains(&thing);
        let came_back = watch.brought.contains(&thing);
        let was_taken = watch.taken.contains(&thing);
        let told = plan.kept.iter().find(|kept| kept.kind == step.kind() && kept.id == step.id());
        match (step.action(), result) {
            (Action::Remove, Outcome::Done | Outcome::AlreadyGone) if there && !came_back => {
                broken.push(format!("{} is said to be gone, and is there", step.id()));
            }
            (Action::Remove, Outcome::Kept | Outcome::Failed) if !over => {
                if told.is_none() {
                    broken.push(format!("{} stayed, and no reason is told", step.id()));
                }
                if step.kind() == Kind::Image && !there && !was_taken && between.is_undisturbed() {
                    broken.push(format!("{} is said to have stayed, and is gone", step.id()));
                }
            }
            (_, Outcome::Unknown | Outcome::NotTried) if !over => {
                broken.push(format!("{} is {result:?}, and it was not over", step.id()));
            }
            _ => {}
        }
        if result == Outcome::Failed && between.is_undisturbed() {
            broken.push(format!("{} failed, where nothing was in the way but others", step.id()));
        }
        if let Some(kept) = told
            && kept.reason == KeptReason::InUse
            && kept.holders.is_empty()
        {
            broken.push(format!("{} is in use, and by whom is not told", step.id()));
        }
    }
    let is_gone = |step: &&Step| removes_image(step) && step.is_done();
    let gone: Vec<String> = plan.steps.iter().filter(is_gone).map(|step| step.id().into_owned()).collect();
    if gone != report.gone.iter().map(ToString::to_string).collect::<Vec<_>>() {
        broken.push("what is reported to the books is not what the steps say".to_owned());
    }
    if between.is_undisturbed() && (!report.errors.is_empty() || over) {
        broken.push(format!("errors where nothing failed: {:?}", report.errors));
    }
    if fake.waited() > 0 {
        broken.push("a deletion waited inside the engine".to_owned());
    }
    broken.extend(only_own_names_given(staged, ran));
    if between.is_undisturbed() && between.needed.is_none() {
        broken.extend(own_names_left(staged, &world));
    }
    broken
}

/// dkb gives no name but its own, and those that it gives back.
fn only_own_names_given(staged: &Staged, ran: &Ran) -> Vec<String> {
    let backs: Vec<&Step> = staged.plan.steps.iter().filter(|step| step.action() == Action::GiveBack).collect();
    let given = ran.fake.asked().into_iter().filter_map(|request| match request {
        Request::Tag(id, name) => Some((id, name)),
        _ => None,
    });
    let is_due = |id: &ImageId, name: &Reference| {
        *name == id.private_tag()
            || backs.iter().any(|step| step.id() == id.to_string() && step.names().contains(&name.as_str()))
    };
    given.filter(|(id, name)| !is_due(id, name)).map(|(id, name)| format!("{id:?} was named {name}")).collect()
}

/// None of our own names is left on what nobody uses, but for those that no step was about.
pub(super) fn own_names_left(staged: &Staged, world: &World) -> Vec<String> {
    let used = |id: ImageId| world.containers.values().any(|container| container.image == Some(id));
    let left = world.names.iter().filter(|(name, id)| name.is_private() && !used(**id));
    left.filter(|(name, _)| !staged.world.names.contains_key(*name))
        .map(|(name, _)| format!("our own name {name} is left"))
        .collect()
}

//! What the end of a session takes from the engine, beyond its images: what the session ran.
//!
//! 1. Containers that bear the session's run label, and containers of images that only this session built, in
//!    whatever state. A label that images carry never makes a container ours: it may be inherited.
//! 2. Then networks with the run label, then the images as [`clean`] takes them, then volumes with the label.
//!
//! The images are planned as if the containers were gone already.

use std::collections::HashSet;

use super::clean::{self, Look, Policy, Scope};
use crate::model::{
    Action, Container, ContainerState, Guard, ImageId, Kind, Life, Network, Plan, RUN_LABEL, Reason, SessionKey,
    Snapshot, Step, Volume,
};

/// What the engine holds that can bear a run label, besides containers.
#[derive(Clone, Debug, Default)]
pub struct Extras {
    pub networks: Vec<Network>,
    pub volumes: Vec<Volume>,
}

pub fn plan(look: &Look, extras: &Extras, policy: &Policy) -> Plan {
    let own: Vec<&SessionKey> = match &policy.scope {
        // A session that never built anything is not in the books, and may have run things all the same.
        Scope::Session(key) => vec![key],
        // What runs is stopped only where somebody answered for the session and is gone.
        _ => clean::sessions(look, policy).filter(|key| look.lives.get(key) == Some(&Life::Dead)).collect(),
    };
    let runs = |label: Option<&String>| label.is_some_and(|run| own.iter().any(|key| key.session.as_str() == run));
    let built = built_by(look, &own);
    let (going, staying): (Vec<Container>, Vec<Container>) =
        look.snapshot.containers.iter().cloned().partition(|container| {
            // A builder's own is neither stopped nor removed over the API.
            container.state != ContainerState::Working
                && (runs(container.labels.get(RUN_LABEL)) || container.image.is_some_and(|id| built.contains(&id)))
        });
    let after = Snapshot { containers: staying, ..look.snapshot.clone() };
    let images = clean::plan(&Look { snapshot: &after, ..*look }, policy);

    let mut going: Vec<&Container> = going.iter().collect();
    going.sort_by(|a, b| a.id.cmp(&b.id));
    let at_work = |container: &&&Container| !container.state.is_over() && container.state != ContainerState::Dead;
    let mut steps: Vec<Step> = going.iter().filter(at_work).map(|container| stop(container)).collect();
    steps.extend(going.iter().map(|container| step(Kind::Container, &container.id, &container.name, Guard::Stopped)));
    let networks = extras.networks.iter().filter(|network| runs(network.labels.get(RUN_LABEL)));
    steps.extend(networks.map(|network| step(Kind::Network, &network.id, &network.name, Guard::Unused)));
    steps.extend(images.steps);
    let volumes = extras.volumes.iter().filter(|volume| runs(volume.labels.get(RUN_LABEL)));
    steps.extend(volumes.map(|volume| step(Kind::Volume, &volume.name, &volume.name, volume.guard())));
    let mut plan = Plan::new("clean", &look.snapshot.engine, look.now, steps, images.kept);
    plan.totals.up_to = images.totals.up_to;
    plan
}

/// Images that these sessions built and no other did.
fn built_by(look: &Look, own: &[&SessionKey]) -> HashSet<ImageId> {
    let images = look.books.images().into_iter();
    images.filter(|(_, builds)| builds.iter().all(|build| own.contains(&&build.of))).map(|(id, _)| id).collect()
}

fn stop(container: &Container) -> Step {
    Step { action: Action::Stop, ..step(Kind::Container, &container.id, &container.name, Guard::Stopped) }
}

fn step(kind: Kind, id: &str, name: &str, guard: Guard) -> Step {
    Step {
        action: Action::Remove,
        kind,
        id: id.to_owned(),
        names: vec![name.to_owned()],
        bytes: 0,
        reason: Reason::OfSession,
        guard,
        result: None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;
    use crate::model::books_tests::{build, key};
    use crate::model::image_tests::{container, host, image};
    use crate::model::{Books, Record};
    use crate::plan::clean::{Here, Layers};

    fn labelled(labels: &[(&str, &str)]) -> HashMap<String, String> {
        labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn network(name: &str, run: &str) -> Network {
        Network {
            id: format!("{name}-id"),
            name: name.to_owned(),
            driver: "bridge".to_owned(),
            scope: "local".to_owned(),
            created: None,
            labels: labelled(&[(RUN_LABEL, run)]),
        }
    }

    fn volume(name: &str, run: &str) -> Volume {
        let labels = labelled(&[(RUN_LABEL, run)]);
        Volume { name: name.to_owned(), driver: "local".to_owned(), created: None, labels, size: None }
    }

    #[test]
    fn a_sessions_end_takes_what_it_ran_and_built_and_nothing_else() {
        let (own, other) = (key("p", "s"), key("p", "t"));
        let mut books = Books::default();
        for (n, of) in [(1, &own), (2, &other), (3, &own), (3, &other)] {
            books.apply(Record::Build(build(&format!("{n}{}", of.session), of, n, &[])));
        }
        let mut labelled_one = container("labelled", 9, ContainerState::Exited);
        labelled_one.labels = labelled(&[(RUN_LABEL, "s")]);
        let mut inherited = container("inherited", 8, ContainerState::Running);
        inherited.labels = labelled(&[("dev.dkb.session", "s"), ("dev.dkb.project", "p")]);
        let mut theirs = container("theirs", 9, ContainerState::Running);
        theirs.labels = labelled(&[(RUN_LABEL, "t")]);
        let containers = vec![
            container("of-our-image", 1, ContainerState::Running),
            labelled_one,
            inherited,
            theirs,
            container("of-their-image", 2, ContainerState::Exited),
            container("of-a-shared-image", 3, ContainerState::Exited),
        ];
        let snapshot = host([1, 2, 3, 8, 9].map(|n| image(n).done()).to_vec(), containers);
        let extras = Extras {
            networks: vec![network("ours", "s"), network("theirs", "t")],
            volumes: vec![volume("our-data", "s"), volume("their-data", "t")],
        };
        let here = Here { key: own.clone(), named: true, slot: None };
        let lives = HashMap::from([(own.clone(), Life::Alive)]);
        let look = Look {
            snapshot: &snapshot,
            books: &books,
            lives: &lives,
            running: &[],
            layers: &Layers::new(),
            here: &here,
            now: Timestamp::UNIX_EPOCH,
        };
        let policy = Policy {
            scope: Scope::Session(own),
            tags: true,
            containers: true,
            keep: Vec::new(),
            keep_last: None,
            older_than: None,
            stale_after: Duration::ZERO,
            trust_stamp: false,
        };
        let steps: Vec<String> = plan(&look, &extras, &policy)
            .steps
            .iter()
            .map(|step| match step.kind {
                Kind::Image => format!("image {}", &step.id[7..9]),
                _ => format!("{:?} {:?} {}", step.action, step.kind, step.names[0]),
            })
            .collect();
        assert_eq!(
            steps,
            [
                "Stop Container of-our-image",
                "Remove Container labelled",
                "Remove Container of-our-image",
                "Remove Network ours",
                "image 01",
                "Remove Volume our-data",
            ]
        );
    }
}

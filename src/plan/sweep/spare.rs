//! Volumes and networks: those that no container which stays refers to.

use jiff::Timestamp;

use super::builder_state;
use super::rules::{SweepRules, Thing};
use super::sorted::{self, Removable, Sorted};
use crate::model::{Container, Deed, Holder, Kept, KeptReason, Kind, Network, Pattern, Reason, Step, Volume};

/// The networks that engines make for themselves.
const BUILT_IN: [&str; 7] = ["bridge", "host", "none", "default", "podman", "ingress", "docker_gwbridge"];

/// What volumes and networks have in common.
struct Spare<'a> {
    removal: Deed,
    name: &'a str,
    labels: &'a std::collections::HashMap<String, String>,
    created: Option<Timestamp>,
    bytes: u64,
    built_in: bool,
}

pub(super) fn sort_volumes(rules: &SweepRules, sorted: &mut Sorted) {
    if !rules.policy.volumes {
        return;
    }
    let others = rules.look.volumes.iter().filter(|volume| !builder_state::goes(rules, volume));
    let mut volumes: Vec<&Volume> = others.collect();
    volumes.sort_by(|a, b| a.name.cmp(&b.name));
    for volume in volumes {
        let spare = Spare {
            removal: volume.removal(),
            name: &volume.name,
            labels: &volume.labels,
            created: volume.created,
            bytes: volume.size.unwrap_or(0),
            built_in: false,
        };
        let used = |container: &Container| container.volumes.contains(&volume.name);
        sort(rules, sorted, spare, used);
    }
}

pub(super) fn sort_networks(rules: &SweepRules, sorted: &mut Sorted) {
    if !rules.policy.networks {
        return;
    }
    let mut networks: Vec<&Network> = rules.look.networks.iter().collect();
    networks.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    for network in networks {
        let own_driver = matches!(network.driver.as_str(), "host" | "null");
        let spare = Spare {
            removal: network.removal(),
            name: &network.name,
            labels: &network.labels,
            created: network.created,
            bytes: 0,
            built_in: own_driver || network.scope == "swarm" || BUILT_IN.contains(&network.name.as_str()),
        };
        let used = |container: &Container| {
            container.networks.iter().any(|network_of| *network_of == network.id || *network_of == network.name)
        };
        sort(rules, sorted, spare, used);
    }
}

fn sort(rules: &SweepRules, sorted: &mut Sorted, spare: Spare, used: impl Fn(&Container) -> bool) {
    let leaving = sorted::containers(&sorted.going);
    let users: Vec<&Container> = rules.look.snapshot.containers.iter().filter(|container| used(container)).collect();
    let staying: Vec<Holder> =
        users.iter().filter(|user| !leaving.contains(&*user.id)).map(|user| Holder::from(*user)).collect();
    let step = Step::new(spare.removal, Reason::Unused, spare.bytes);
    let asked_for = Pattern::any_keeps_named(&rules.policy.keep, spare.name, &step.id());
    let thing = Thing { image: None, labels: spare.labels, asked_for, since: spare.created };
    let keep = if spare.built_in {
        Some(KeptReason::BuiltIn)
    } else if !staying.is_empty() {
        Some(KeptReason::InUse)
    } else {
        rules.retained(&thing)
    };
    if let Some(reason) = keep {
        let holders = if reason == KeptReason::InUse { staying } else { Vec::new() };
        sorted.kept.push(Kept { holders, ..Kept::instead_of(&step, reason) });
        return;
    }
    let last_use = users.iter().filter_map(|user| rules.end(user)).chain(spare.created).max();
    sorted.going.push(Removable {
        step,
        since: spare.created,
        last_use: last_use.unwrap_or(Timestamp::MIN),
        after: users.iter().map(|user| (Kind::Container, user.id.clone())).collect(),
    });
}

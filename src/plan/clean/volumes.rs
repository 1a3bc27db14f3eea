//! The anonymous volumes of containers that go. They may hold data, so each is a step of its own, or is kept in so
//! many words.
//!
//! A volume is a container's own anonymous one if the engine says so, or has given it a name of 64 hex digits and no
//! label, and if it was made together with the container. Who else uses it keeps it.

use std::collections::{HashMap, HashSet};

use jiff::SignedDuration;

use super::look::CleanPolicy;
use crate::model::{Container, Deed, Holder, Kept, KeptReason, Kind, Pattern, Plan, Reason, Snapshot, Step, Volume};

/// What Docker from 23.0 on says on a volume that nobody named.
const ANONYMOUS: &str = "com.docker.volume.anonymous";
/// A container's volumes are made within this time after it; the data of its image may have to be copied first.
const MADE_WITH: SignedDuration = SignedDuration::from_mins(5);

/// Adds a step for each anonymous volume of the containers that go in this plan, where volumes go too, or where the
/// container bore the label of a session that somebody had opened: its guard would have taken it. Else it is kept.
pub(crate) fn anonymous(snapshot: &Snapshot, volumes: &[Volume], plan: &mut Plan, policy: &CleanPolicy) {
    let by: HashMap<&str, Reason> = containers(plan).collect();
    // What bears a run label has been decided on by that.
    let stays = plan.kept.iter().filter(|kept| kept.kind == Kind::Volume).map(|kept| &*kept.id);
    let decided: HashSet<&str> = plan.steps.iter().filter_map(volume_of).chain(stays).collect();
    let (going, staying): (Vec<&Container>, Vec<&Container>) = snapshot
        .containers
        .iter()
        .filter(|container| !container.volumes.is_empty())
        .partition(|container| by.contains_key(&*container.id));
    let (mut steps, mut kept) = (Vec::new(), Vec::new());
    for volume in volumes.iter().filter(|volume| !decided.contains(&*volume.name)) {
        let mut owners = going.iter().filter(|container| is_of(volume, container)).peekable();
        if owners.peek().is_none() {
            continue;
        }
        let labelled = owners.any(|container| by.get(&*container.id) == Some(&Reason::OfSession));
        let goes = policy.volumes || policy.stops && labelled;
        let users = staying.iter().filter(|container| container.volumes.contains(&volume.name));
        let holders: Vec<Holder> = users.map(|container| Holder::from(*container)).collect();
        let step = Step::new(volume.removal(), Reason::OfSession, volume.size.unwrap_or(0));
        let reason = if !holders.is_empty() {
            KeptReason::InUse
        } else if Pattern::any_keeps_named(&policy.keep, &volume.name, &step.id()) {
            KeptReason::KeepPattern
        } else if goes {
            steps.push(step);
            continue;
        } else {
            KeptReason::MayHoldData
        };
        kept.push(Kept { holders, ..Kept::instead_of(&step, reason) });
    }
    steps.sort_by(|a, b| a.id().cmp(&b.id()));
    kept.sort_by(|a, b| a.id.cmp(&b.id));
    plan.steps.extend(steps);
    plan.kept.extend(kept);
}

/// Whether the plan takes containers that have volumes at all.
pub(crate) fn may_be_anonymous(snapshot: &Snapshot, plan: &Plan) -> bool {
    let with: HashSet<&str> =
        snapshot.containers.iter().filter(|container| !container.volumes.is_empty()).map(|one| &*one.id).collect();
    containers(plan).any(|(id, _)| with.contains(id))
}

/// The containers that go, and why.
fn containers(plan: &Plan) -> impl Iterator<Item = (&str, Reason)> {
    plan.steps.iter().filter_map(|step| match &step.deed {
        Deed::RemoveContainer { id, .. } => Some((&**id, step.reason)),
        _ => None,
    })
}

fn volume_of(step: &Step) -> Option<&str> {
    if let Deed::RemoveVolume { name, .. } = &step.deed { Some(name) } else { None }
}

fn is_of(volume: &Volume, container: &Container) -> bool {
    let nameless = volume.name.len() == 64 && volume.name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let anonymous = volume.labels.contains_key(ANONYMOUS) || nameless && volume.labels.is_empty();
    let made = container.made();
    let with = volume.created.zip(made).is_some_and(|(volume, container)| {
        let after = volume.duration_since(container);
        !after.is_negative() && after <= MADE_WITH
    });
    anonymous && with && container.volumes.contains(&volume.name)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::ContainerState;
    use crate::model::image_tests::{container, host};
    use crate::plan::clean::steps::of_containers;

    const NAMELESS: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn volume(name: &str, created: i64, labels: &[(&str, &str)]) -> Volume {
        Volume {
            name: name.to_owned(),
            driver: "local".to_owned(),
            created: Timestamp::from_second(created).ok(),
            labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            size: Some(7),
        }
    }

    fn with(name: &str, volume: &str) -> Container {
        Container { created: 100, volumes: vec![volume.to_owned()], ..container(name, 1, ContainerState::Exited) }
    }

    /// What becomes of the volume of a container that goes, beside another container that stays.
    fn fate(volume: &Volume, other: &str, go: bool) -> Option<Result<u64, KeptReason>> {
        fate_by(Reason::HoldsImage, volume, other, go)
    }

    fn fate_by(reason: Reason, volume: &Volume, other: &str, go: bool) -> Option<Result<u64, KeptReason>> {
        let snapshot = host(Vec::new(), vec![with("goes", &volume.name), with("stays", other)]);
        let steps = of_containers(snapshot.containers[..1].iter(), reason);
        let mut plan = Plan::new("clean", &snapshot.engine, Timestamp::UNIX_EPOCH, steps, Vec::new());
        assert!(may_be_anonymous(&snapshot, &plan));
        let policy = CleanPolicy { volumes: go, stops: true, ..crate::plan::clean::tests::leftovers() };
        anonymous(&snapshot, std::slice::from_ref(volume), &mut plan, &policy);
        let step = plan.steps.iter().find(|step| volume_of(step).is_some()).map(|step| Ok(step.bytes));
        step.or_else(|| plan.kept.first().map(|kept| Err(kept.reason)))
    }

    #[test]
    fn an_anonymous_volume_goes_where_volumes_go_and_is_named_where_not() {
        for volume in [volume(NAMELESS, 100, &[]), volume("any", 101, &[(ANONYMOUS, "")])] {
            assert_eq!(fate(&volume, "else", true), Some(Ok(7)));
            assert_eq!(fate(&volume, "else", false), Some(Err(KeptReason::MayHoldData)));
            assert_eq!(fate_by(Reason::OfSession, &volume, "else", false), Some(Ok(7)), "a guard would have taken it");
            assert_eq!(fate(&volume, &volume.name, true), Some(Err(KeptReason::InUse)), "who stays uses it");
        }
    }

    #[test]
    fn a_volume_that_somebody_named_or_that_was_there_before_is_none_of_ours() {
        for volume in [
            volume("data", 100, &[]),
            volume(NAMELESS, 100, &[("owner", "me")]),
            volume(NAMELESS, 98, &[]),
            volume(NAMELESS, 500, &[]),
            Volume { created: None, ..volume(NAMELESS, 100, &[]) },
        ] {
            assert_eq!(fate(&volume, "else", true), None, "{volume:?}");
        }
    }
}

//! What the end of a session takes from the engine, beyond its images: what the session ran.
//!
//! 1. Containers that bear the session's run label themselves, and with its images the containers that are proven to
//!    be the session's own ([`clean`]). Those that run are stopped first, where somebody had opened the session.
//! 2. Then networks with the run label, then the images as [`clean`] takes them, then volumes with the label: those
//!    that no container which stays refers to.
//!
//! What bears the label stays where it is older than the session or too young, and where a working copy's own session,
//! which goes on, is cleaned, so do its volumes, unless volumes were asked for.
//!
//! A container whose image the engine has dropped may have the label from that image. Where nothing else shows whose it
//! is, it is kept in so many words.
//!
//! The images are planned as if the labelled containers were gone already.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::clean::steps::of_containers;
use super::clean::{self, CLOCKS_DIFFER, CleanLook, CleanPolicy, Ending, stays_by_age};
use crate::model::{
    Container, Deed, Holder, Kept, KeptReason, Kind, Life, Network, Pattern, Plan, Reason, Scope, SessionKey, Snapshot,
    Step, Volume,
};

/// What the engine holds that can bear a run label, besides containers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extras {
    pub networks: Vec<Network>,
    pub volumes: Vec<Volume>,
}

/// Whether something bears the session's run label that may have been made since then.
pub(crate) fn ran_since(snapshot: &Snapshot, extras: &Extras, key: &SessionKey, since: Timestamp) -> bool {
    let is_own = |labels: &HashMap<String, String>| SessionKey::running(labels).as_ref() == Some(key);
    let ahead = snapshot.engine.ahead;
    let is_since = |made: Option<Timestamp>| {
        // What nobody can say counts as made since.
        made.and_then(|at| at.checked_sub(ahead).ok()).is_none_or(|at| at.duration_since(since) >= -CLOCKS_DIFFER)
    };
    let containers = snapshot.containers.iter().filter(|one| is_own(&one.labels));
    let networks = extras.networks.iter().filter(|one| is_own(&one.labels));
    let volumes = extras.volumes.iter().filter(|one| is_own(&one.labels));
    let made = containers.map(Container::made);
    made.chain(networks.map(|one| one.created)).chain(volumes.map(|one| one.created)).any(is_since)
}

pub(crate) fn plan(look: &CleanLook, extras: &Extras, policy: &CleanPolicy) -> Plan {
    let ending = Ending::new(look, policy);
    let own: HashSet<&SessionKey> = match &policy.scope {
        // A session that never built anything is not in the books, and may have run things all the same.
        Scope::Session(key) => Some(key).filter(|key| look.reaches(key) && !look.is_others(key)).into_iter().collect(),
        // What an unowned session made besides images is left: nobody answered for it.
        _ => clean::sessions(look, policy).filter(|key| look.lives.get(key) == Some(&Life::Dead)).collect(),
    };
    let owner = |labels: &HashMap<String, String>| SessionKey::running(labels).filter(|key| own.contains(key));
    let is_own = |container: &Container| owner(&container.labels).is_some();
    let (labelled, others): (Vec<Container>, Vec<Container>) = look
        .snapshot
        .containers
        .iter()
        .cloned()
        .partition(|container| is_own(container) && ending.takes_labelled(container));
    let after = Snapshot { containers: others, ..look.snapshot.clone() };
    let images = clean::plan(&CleanLook { snapshot: &after, ..*look }, policy);

    let (containers, images_steps): (Vec<Step>, Vec<Step>) =
        images.steps.into_iter().partition(|step| step.kind() == Kind::Container);
    let mut steps = of_containers(labelled.iter(), Reason::OfSession);
    steps.extend(containers);
    steps.sort_by(|a, b| (a.action(), a.id()).cmp(&(b.action(), b.id())));
    let mut kept = images.kept;
    // One that goes with its image needs no word of its label.
    let goes: HashSet<String> = steps.iter().map(|step| step.id().into_owned()).collect();
    let staying = after.containers.iter().filter(|one| is_own(one) && !goes.contains(&one.id));
    kept.extend(staying.filter_map(|container| {
        let (reason, holders) = ending.keeps_labelled(container)?;
        let step = Step::new(container.removal(), Reason::OfSession, 0);
        Some(Kept { holders, ..Kept::instead_of(&step, reason) })
    }));
    let staying: Vec<&Container> =
        look.snapshot.containers.iter().filter(|container| !goes.contains(&container.id)).collect();
    let mut add = |steps: &mut Vec<Step>, deed: Deed, name: &str, stays: Option<KeptReason>| {
        let users = staying.iter().filter(|container| container.uses(&deed));
        let holders: Vec<Holder> = users.map(|container| Holder::from(*container)).collect();
        let step = Step::new(deed, Reason::OfSession, 0);
        if !holders.is_empty() {
            kept.push(Kept { holders, ..Kept::instead_of(&step, KeptReason::InUse) });
        } else if Pattern::any_keeps_named(&policy.keep, name, &step.id()) {
            kept.push(Kept::instead_of(&step, KeptReason::KeepPattern));
        } else if let Some(reason) = stays {
            kept.push(Kept::instead_of(&step, reason));
        } else {
            steps.push(step);
        }
    };
    for network in &extras.networks {
        if let Some(key) = owner(&network.labels) {
            add(&mut steps, network.removal(), &network.name, stays_by_age(look, policy, &key, network.created));
        }
    }
    steps.extend(images_steps);
    for volume in &extras.volumes {
        if let Some(key) = owner(&volume.labels) {
            let goes_on = key.session.is_local() && !policy.volumes;
            let stays = stays_by_age(look, policy, &key, volume.created);
            add(&mut steps, volume.removal(), &volume.name, stays.or(goes_on.then_some(KeptReason::MayHoldData)));
        }
    }
    let mut plan = Plan::new("clean", &look.snapshot.engine, look.now, steps, kept);
    plan.up_to = images.up_to;
    plan.left_to_others = images.left_to_others;
    plan
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::books_tests::{build, key};
    use crate::model::image_tests::{container, host, image};
    use crate::model::{Books, ContainerState, Name, RUN_LABEL, Record, SessionEntry};
    use crate::plan::clean::Here;

    fn labelled(labels: &[(&str, &str)]) -> HashMap<String, String> {
        labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn network(name: &str, run: &str) -> Network {
        Network {
            id: format!("{name}-id"),
            name: name.to_owned(),
            driver: "bridge".to_owned(),
            scope: "local".to_owned(),
            created: Some(Timestamp::UNIX_EPOCH),
            labels: labelled(&[(RUN_LABEL, run)]),
        }
    }

    fn volume(name: &str, run: &str) -> Volume {
        let labels = labelled(&[(RUN_LABEL, run)]);
        Volume {
            name: name.to_owned(),
            driver: "local".to_owned(),
            created: Some(Timestamp::UNIX_EPOCH),
            labels,
            size: None,
        }
    }

    #[test]
    fn a_sessions_end_takes_what_it_ran_and_built_and_nothing_else() {
        let (own, other) = (key("p", "s"), key("p", "t"));
        let mut books = Books::default();
        for (n, of) in [(1, &own), (2, &other), (3, &own), (3, &other)] {
            books.apply(Record::Build(build(&format!("{n}{}", of.session), of, n, &[])));
        }
        let mut labelled_one = container("labelled", 9, ContainerState::Exited);
        labelled_one.labels = labelled(&[(RUN_LABEL, "p:s")]);
        let mut inherited = container("inherited", 8, ContainerState::Running);
        inherited.labels = labelled(&[("dev.dkb.session", "s"), ("dev.dkb.project", "p")]);
        let mut theirs = container("theirs", 9, ContainerState::Running);
        theirs.labels = labelled(&[(RUN_LABEL, "p:t")]);
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
            networks: vec![network("ours", "p:s"), network("theirs", "p:t")],
            volumes: vec![volume("our-data", "p:s"), volume("their-data", "p:t")],
        };
        let here = Here { by_ci: true, copy: Name::unnamed(), ..Here::somebody(own.clone()) };
        let lives = HashMap::from([(own.clone(), Life::Alive)]);
        let look = CleanLook { lives: &lives, ..CleanLook::of(&snapshot, &books, &here) };
        let policy = CleanPolicy {
            scope: Scope::Session(own),
            tags: true,
            containers: true,
            stops: true,
            volumes: true,
            ..clean::tests::leftovers()
        };
        // Of a session that somebody else keeps open nothing goes, whoever names it.
        for here in [Here { shared: true, ..here.clone() }, Here { key: other, ..here.clone() }] {
            assert_eq!(plan(&CleanLook { here: &here, ..look }, &extras, &policy).steps, []);
        }
        let keep = ["our-data", "ours"].map(|name| crate::model::Pattern::new(name).expect("a pattern")).to_vec();
        let kept = plan(&look, &extras, &CleanPolicy { keep, ..policy.clone() });
        let stays = |kind| kept.kept.iter().any(|kept| kept.kind == kind && kept.reason == KeptReason::KeepPattern);
        assert!(stays(Kind::Network) && stays(Kind::Volume));
        assert!(!kept.steps.iter().any(|step| matches!(step.kind(), Kind::Network | Kind::Volume)));
        let steps: Vec<String> = plan(&look, &extras, &policy)
            .steps
            .iter()
            .map(|step| match step.kind() {
                Kind::Image => format!("image {}", &step.id()[7..9]),
                kind => format!("{:?} {kind:?} {}", step.action(), step.names()[0]),
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

    #[test]
    fn what_a_session_runs_and_nobody_may_stop_is_told() {
        let own = key("p", "s");
        let run = labelled(&[(RUN_LABEL, &own.run_label())]);
        let of = |name: &str, state| Container { labels: run.clone(), ..container(name, 9, state) };
        let of_a_pod = of("infra", ContainerState::Pod("web".to_owned()));
        let containers = vec![of("web", ContainerState::Running), of_a_pod, of("over", ContainerState::Exited)];
        let (snapshot, books) = (host(vec![image(9).done()], containers), Books::default());
        let here = Here { by_ci: true, alone: true, ..Here::somebody(own.clone()) };
        let look = CleanLook::of(&snapshot, &books, &here);
        for (stops, told) in [(false, &["web", "infra"][..]), (true, &["infra"])] {
            let scope = Scope::Session(own.clone());
            let policy = CleanPolicy { scope, containers: true, stops, ..clean::tests::leftovers() };
            let plan = plan(&look, &Extras::default(), &policy);
            let kept: Vec<(&str, KeptReason)> =
                plan.kept.iter().map(|kept| (kept.names[0].as_str(), kept.reason)).collect();
            assert_eq!(kept, told.iter().map(|name| (*name, KeptReason::InUse)).collect::<Vec<_>>(), "{stops}");
        }
    }

    /// What becomes of a stopped container, a network and a volume with the session's label.
    fn fates(session: &str, made: i64, policy: impl FnOnce(CleanPolicy) -> CleanPolicy) -> [Option<KeptReason>; 3] {
        let (own, made) = (key("p", session), Timestamp::from_second(made).expect("a time"));
        let run = own.run_label();
        let mut books = Books::default();
        books.apply(Record::Session(SessionEntry::new(own.clone(), Timestamp::from_second(1000).expect("a time"))));
        let one = Container {
            labels: labelled(&[(RUN_LABEL, &run)]),
            created: made.as_second(),
            ..container("c", 9, ContainerState::Exited)
        };
        let snapshot = host(vec![image(9).done()], vec![one]);
        let extras = Extras {
            networks: vec![Network { created: Some(made), ..network("n", &run) }],
            volumes: vec![Volume { created: Some(made), ..volume("v", &run) }],
        };
        let here = Here::somebody(own.clone());
        let now = Timestamp::from_second(2000).expect("a time");
        let look = CleanLook { now, ..CleanLook::of(&snapshot, &books, &here) };
        let whole =
            CleanPolicy { scope: Scope::Session(own), tags: true, containers: true, ..clean::tests::leftovers() };
        let plan = plan(&look, &extras, &policy(whole));
        ["c-id", "n-id", "v"].map(|id| {
            let kept = plan.kept.iter().find(|kept| kept.id == id).map(|kept| kept.reason);
            assert_eq!(plan.steps.iter().any(|step| step.id() == id), kept.is_none(), "{id}: {plan:#?}");
            kept
        })
    }

    #[test]
    fn what_bears_the_label_stays_by_its_age_and_says_so() {
        use KeptReason::{BeforeSession, TooYoung};
        assert_eq!(fates("s", 1500, |policy| policy), [None; 3]);
        assert_eq!(fates("s", 900, |policy| policy), [Some(BeforeSession); 3]);
        let older = |policy| CleanPolicy { older_than: Some(Duration::from_secs(600)), ..policy };
        assert_eq!(fates("s", 1500, older), [Some(TooYoung); 3]);
        assert_eq!(fates("s", 1300, older), [None; 3]);
        // To these an image's number among its like, and its tag, say nothing.
        let images = |policy| CleanPolicy { keep_last: Some(5), tags: false, ..policy };
        assert_eq!(fates("s", 1500, images), [None; 3]);
    }

    #[test]
    fn the_data_of_a_working_copys_own_session_goes_only_where_volumes_do() {
        assert_eq!(fates("local-0a1b2c3d", 1500, |policy| policy), [None, None, Some(KeptReason::MayHoldData)]);
        let volumes = |policy| CleanPolicy { volumes: true, ..policy };
        assert_eq!(fates("local-0a1b2c3d", 1500, volumes), [None; 3]);
    }

    #[test]
    fn what_was_made_since_is_what_bears_the_label_and_is_no_older() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let container = |run: &str, created| Container {
            labels: labelled(&[(RUN_LABEL, run)]),
            created,
            ..container("c", 1, ContainerState::Exited)
        };
        let ran = |containers: Vec<Container>, volumes: Vec<Volume>, ahead: i64| {
            let mut snapshot = host(Vec::new(), containers);
            snapshot.engine.ahead = jiff::SignedDuration::from_secs(ahead);
            ran_since(&snapshot, &Extras { volumes, ..Extras::default() }, &key("p", "s"), at(1000))
        };
        for (run, created, ahead, want) in [
            ("p:s", 1000, 0, true),
            ("p:s", 996, 0, true),
            ("p:s", 994, 0, false),
            ("p:s", 1094, 100, false),
            ("p:s", 894, -100, false),
            ("p:s", 900, -100, true),
            ("p:t", 1000, 0, false),
            ("q:s", 1000, 0, false),
        ] {
            assert_eq!(ran(vec![container(run, created)], Vec::new(), ahead), want, "{run} {created} {ahead}");
            let made = Volume { created: Some(at(created)), ..volume("v", run) };
            assert_eq!(ran(Vec::new(), vec![made], ahead), want, "{run} {created} {ahead}");
        }
        let undated = Volume { created: None, ..volume("v", "p:s") };
        assert!(ran(Vec::new(), vec![undated], 0), "it may have been any time");
    }
}

//! Random hosts against a tiny model that is written another way: it asks of one thing at a time whether it may
//! stay for ever, and follows who holds whom, instead of sorting things into a plan.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// A host in numbers: what is built on or uses what, what is kept, what is young.
#[derive(Clone, Debug)]
struct Host {
    /// Tagged, young, kept by label, parent (a smaller number).
    images: Vec<(bool, bool, bool, Option<usize>)>,
    /// State, young, kept, image, volume, network.
    containers: Vec<(u8, bool, bool, usize, usize, usize)>,
    /// Young, kept.
    volumes: Vec<(bool, bool)>,
    networks: Vec<(bool, bool)>,
    /// In use, young, shared, parent.
    cache: Vec<(bool, bool, bool, Option<usize>)>,
    all_images: bool,
    without_containers: bool,
}

fn hosts() -> impl Strategy<Value = Host> {
    let flag = || prop::bool::weighted(0.3);
    let below = || prop::option::of(0..8_usize);
    (
        prop::collection::vec((any::<bool>(), flag(), flag(), below()), 0..8),
        prop::collection::vec((0..4_u8, flag(), flag(), 0..8_usize, 0..4_usize, 0..4_usize), 0..6),
        prop::collection::vec((flag(), flag()), 0..4),
        prop::collection::vec((flag(), flag()), 0..4),
        prop::collection::vec((flag(), flag(), any::<bool>(), below()), 0..8),
        any::<bool>(),
        flag(),
    )
        .prop_map(|(images, containers, volumes, networks, cache, all_images, without_containers)| Host {
            images,
            containers,
            volumes,
            networks,
            cache,
            all_images,
            without_containers,
        })
}

fn parent(n: usize, below: Option<usize>) -> Option<usize> {
    below.filter(|below| *below < n)
}

fn number(n: usize) -> u8 {
    u8::try_from(n + 1).expect("small")
}

impl Host {
    fn case(&self) -> Case {
        let labels = |kept: bool| if kept { labelled("keep", "true") } else { HashMap::new() };
        let age = |young: bool| if young { 60 } else { 2 * DAY };
        let images = self.images.iter().enumerate().map(|(n, (tagged, young, kept, below))| {
            let draft =
                parent(n, *below).map_or_else(|| image(number(n)), |below| image(number(n)).parent(number(below)));
            let draft = if *tagged { draft.tag(&format!("app:{n}")) } else { draft };
            Image { labels: labels(*kept), ..aged(draft.done(), age(*young)) }
        });
        let states = [ContainerState::Exited, ContainerState::Created, ContainerState::Dead, ContainerState::Running];
        let containers = self.containers.iter().enumerate().map(|(n, (state, _, kept, image, volume, network))| {
            let mut one = container(&format!("c{n}"), number(*image), states[usize::from(*state)].clone());
            one.labels = labels(*kept);
            one.volumes = vec![format!("v{volume}")];
            one.networks = vec![if network % 2 == 0 { format!("n{network}-id") } else { format!("n{network}") }];
            one
        });
        let mut case = super::case(images.collect(), containers.collect());
        for (n, (_, young, ..)) in self.containers.iter().enumerate() {
            case.ended.insert(format!("c{n}-id"), Ended { at: Some(ago(age(*young))), written: 0 });
        }
        for (n, (young, kept)) in self.volumes.iter().enumerate() {
            let created = Some(ago(age(*young)));
            case.volumes.push(Volume { created, labels: labels(*kept), ..volume(&format!("v{n}")) });
        }
        for (n, (young, kept)) in self.networks.iter().enumerate() {
            let created = Some(ago(age(*young)));
            case.networks.push(Network { created, labels: labels(*kept), ..network(&format!("n{n}")) });
        }
        for (n, (in_use, young, shared, below)) in self.cache.iter().enumerate() {
            let parents: Vec<String> = parent(n, *below).map(|below| format!("r{below}")).into_iter().collect();
            let parents: Vec<&str> = parents.iter().map(String::as_str).collect();
            let (in_use, shared) = (*in_use, *shared);
            case.cache.push(CacheRecord { in_use, shared, ..record(&format!("r{n}"), &parents, age(*young)) });
        }
        case
    }

    fn stays_container(&self, n: usize) -> bool {
        let (state, young, kept, ..) = self.containers[n];
        self.without_containers || state == 3 || young || kept
    }

    fn stays_image(&self, n: usize) -> bool {
        let (tagged, young, kept, _) = self.images[n];
        let used = (0..self.containers.len()).any(|c| self.containers[c].3 == n && self.stays_container(c));
        let carries = (0..self.images.len())
            .any(|other| parent(other, self.images[other].3) == Some(n) && self.stays_image(other));
        used || carries || young || kept || tagged && !self.all_images
    }

    fn stays_record(&self, n: usize) -> bool {
        let (in_use, young, shared, _) = self.cache[n];
        let carries = (0..self.cache.len())
            .any(|other| parent(other, self.cache[other].3) == Some(n) && self.stays_record(other));
        in_use || young || carries || shared && !self.all_images
    }

    fn gone(&self) -> BTreeSet<String> {
        let used = |of: &dyn Fn(usize) -> bool| (0..self.containers.len()).any(|c| of(c) && self.stays_container(c));
        let containers = (0..self.containers.len()).filter(|n| !self.stays_container(*n)).map(|n| format!("c{n}"));
        let images = (0..self.images.len()).filter(|n| !self.stays_image(*n)).map(|n| number(n).to_string());
        let volumes = (0..self.volumes.len())
            .filter(|n| !self.volumes[*n].0 && !self.volumes[*n].1 && !used(&|c| self.containers[c].4 == *n))
            .map(|n| format!("v{n}"));
        let networks = (0..self.networks.len())
            .filter(|n| !self.networks[*n].0 && !self.networks[*n].1 && !used(&|c| self.containers[c].5 == *n))
            .map(|n| format!("n{n}"));
        let cache = (0..self.cache.len()).filter(|n| !self.stays_record(*n)).map(|n| format!("r{n}"));
        containers.chain(images).chain(volumes).chain(networks).chain(cache).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_plan_takes_what_a_tiny_model_takes(host in hosts()) {
        let case = host.case();
        let policy = SweepPolicy { all_images: host.all_images, containers: !host.without_containers, ..policy() };
        let goes = case.goes(&policy);
        prop_assert_eq!(goes.iter().cloned().collect::<BTreeSet<_>>(), host.gone());
        prop_assert_eq!(&goes, &host.case().goes(&policy), "the same host, the same plan");
    }

    #[test]
    fn nothing_goes_before_what_is_built_on_it_or_uses_it(host in hosts()) {
        let case = host.case();
        let goes = case.goes(&SweepPolicy { all_images: true, until: Duration::ZERO, cache_until: Duration::ZERO, ..policy() });
        let place = |name: &str| goes.iter().position(|one| one == name);
        let before = |first: String, then: String| match (place(&first), place(&then)) {
            (Some(first), Some(then)) => first < then,
            (None, Some(_)) => false,
            _ => true,
        };
        for (n, image) in host.images.iter().enumerate() {
            if let Some(below) = parent(n, image.3) {
                prop_assert!(before(number(n).to_string(), number(below).to_string()), "{goes:?}");
            }
        }
        for (n, record) in host.cache.iter().enumerate() {
            if let Some(below) = parent(n, record.3) {
                prop_assert!(before(format!("r{n}"), format!("r{below}")), "{goes:?}");
            }
        }
        for (n, container) in host.containers.iter().enumerate() {
            for used in [number(container.3).to_string(), format!("v{}", container.4), format!("n{}", container.5)] {
                prop_assert!(before(format!("c{n}"), used), "{goes:?}");
            }
        }
    }

    #[test]
    fn under_pressure_a_plan_is_a_part_of_the_whole_one_and_reaches_what_is_needed(host in hosts(), need in 0_u64..2000) {
        let case = host.case();
        let whole = SweepPolicy { all_images: true, ..policy() };
        let narrow = SweepPolicy { need: Some(need), ..whole.clone() };
        let all: BTreeSet<String> = case.goes(&whole).into_iter().collect();
        let part = case.plan(&narrow);
        let names: BTreeSet<String> = part.steps.iter().map(|step| name(step.kind(), &step.id())).collect();
        prop_assert!(names.is_subset(&all));
        let without_networks = all.iter().filter(|name| !name.starts_with('n')).count();
        prop_assert!(part.totals().bytes >= need || names.len() == without_networks);
        prop_assert!(need > 0 || names.is_empty());
    }
}

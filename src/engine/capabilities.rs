//! The table of what each engine can do. Nobody outside of this room asks who an engine is.

use super::ask::Flavour;
use crate::model::Capabilities;

/// The first version of Docker's API at which containerd's store takes its name for a nameless image in a deletion.
const TAKES_ITS_NAMES: (u32, u32) = (1, 44);
/// The first at which that store is known to answer a list by names as it should.
const LISTS_BY_NAMES: (u32, u32) = (1, 51);

/// Docker 28, the first whose history of builds is known to tell what a look at the cache needs.
const TELLS_BUILDS: (u32, u32) = (1, 48);

/// Where images go one at a time, the requests before a deletion are made beside the one before it.
const BY_TURNS: usize = 4;
/// The containerd store gathers the collections of requests that come together, and gains up to about so many.
const GATHERED: usize = 32;
/// Podman gains nothing, and the more it was asked for the longer it works on when somebody wants it to end. What it is
/// asked beside a deletion makes the moment longer between its look at an image's names and the deletion.
const PODMANS: usize = 1;

/// Docker with a storage driver of its own.
pub(crate) const GRAPHDRIVER: Capabilities = Capabilities {
    digest_means_travel: true,
    drops_nameless: false,
    names_nameless: false,
    feigns_deleting_bases: false,
    looks_cost: false,
    lists_cost_by_answer: false,
    shared_sizes_add_up: true,
    tells_who_shares: true,
    layers_count_all: false,
    counts_shared_cache_twice: false,
    prune_leaves_cache: true,
    marks_its_root: true,
    deletes_by_turns: true,
    images_at_once: BY_TURNS,
    others_at_once: GATHERED,
    refuses_vaguely: false,
    guards_networks_by_name: false,
    shows_bases: true,
    may_misname_results: false,
};

/// Docker with its images in containerd's store.
pub(crate) const CONTAINERD: Capabilities = Capabilities {
    digest_means_travel: false,
    drops_nameless: true,
    names_nameless: true,
    feigns_deleting_bases: true,
    looks_cost: true,
    lists_cost_by_answer: true,
    // It leaves out the compressed layers.
    shared_sizes_add_up: false,
    tells_who_shares: true,
    layers_count_all: true,
    counts_shared_cache_twice: true,
    // After a prune that took anything at all, its builder finds no step any more, whoever built it.
    prune_leaves_cache: false,
    marks_its_root: true,
    deletes_by_turns: false,
    images_at_once: GATHERED,
    others_at_once: GATHERED,
    refuses_vaguely: false,
    guards_networks_by_name: false,
    shows_bases: true,
    may_misname_results: false,
};

pub(crate) const PODMAN: Capabilities = Capabilities {
    digest_means_travel: false,
    drops_nameless: false,
    names_nameless: false,
    feigns_deleting_bases: false,
    looks_cost: false,
    lists_cost_by_answer: false,
    // It says of every image that it shares nothing.
    shared_sizes_add_up: false,
    tells_who_shares: false,
    layers_count_all: false,
    counts_shared_cache_twice: false,
    prune_leaves_cache: false,
    marks_its_root: false,
    deletes_by_turns: true,
    images_at_once: PODMANS,
    others_at_once: PODMANS,
    refuses_vaguely: true,
    guards_networks_by_name: true,
    shows_bases: false,
    may_misname_results: true,
};

pub(super) fn of(flavour: Flavour, containerd_store: bool, api: Option<(u32, u32)>) -> Capabilities {
    match (flavour, containerd_store) {
        (Flavour::Podman, _) => PODMAN,
        (Flavour::Docker, false) => Capabilities { prune_leaves_cache: api >= Some(TELLS_BUILDS), ..GRAPHDRIVER },
        (Flavour::Docker, true) => Capabilities {
            names_nameless: api >= Some(TAKES_ITS_NAMES),
            lists_cost_by_answer: api >= Some(LISTS_BY_NAMES),
            ..CONTAINERD
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_engine_has_its_row_by_flavour_store_and_version() {
        let of_before = Capabilities { lists_cost_by_answer: false, ..CONTAINERD };
        let untold = Capabilities { prune_leaves_cache: false, ..GRAPHDRIVER };
        let of_old = Capabilities { names_nameless: false, ..of_before };
        for (engine, flavour, containerd_store, api, row) in [
            ("docker 20.10", Flavour::Docker, false, Some((1, 41)), untold),
            ("docker 26.1", Flavour::Docker, false, Some((1, 45)), untold),
            ("docker 28.5", Flavour::Docker, false, Some((1, 51)), GRAPHDRIVER),
            ("docker 24.0 on containerd", Flavour::Docker, true, Some((1, 43)), of_old),
            ("docker 25.0 on containerd", Flavour::Docker, true, Some((1, 44)), of_before),
            ("docker 28.5 on containerd", Flavour::Docker, true, Some((1, 51)), CONTAINERD),
            ("one behind a proxy that hides its version", Flavour::Docker, true, None, of_old),
            ("podman 5.4", Flavour::Podman, false, Some((1, 41)), PODMAN),
            ("a podman that says what docker says", Flavour::Podman, true, Some((1, 44)), PODMAN),
        ] {
            assert_eq!(of(flavour, containerd_store, api), row, "{engine}");
        }
    }

    /// What hangs together, whoever comes into the table.
    #[test]
    fn no_row_contradicts_itself() {
        for row in [GRAPHDRIVER, CONTAINERD, PODMAN] {
            assert!(row.tells_who_shares || !row.shared_sizes_add_up, "no sum of what is not told: {row:?}");
            assert!(
                !(row.names_nameless && row.deletes_by_turns),
                "that name is no compare-and-swap by turns: {row:?}"
            );
            assert!(row.looks_cost || !row.lists_cost_by_answer, "nothing is gained by it: {row:?}");
            assert!(row.images_at_once > 0 && row.others_at_once > 0, "or nothing would ever go: {row:?}");
        }
    }
}

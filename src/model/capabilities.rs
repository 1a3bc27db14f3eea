//! What an engine can do, and what its words mean: whatever differs between engines, asked for by what it is about
//! and never by who has it. The engine's own room has the table.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Any digest says that the image was pushed or pulled. Elsewhere every image with a name has one, and the digest
    /// that it was pulled by stands among its names.
    pub digest_means_travel: bool,
    /// An image that loses its last name goes at once, unless something else holds it.
    pub drops_nameless: bool,
    /// It gives an image without a name one of its own, which ends as soon as anybody names the image, and by which
    /// the image can be deleted.
    pub names_nameless: bool,
    /// Asked to delete the last name of an image that others are built on, it says that it has deleted the image, and
    /// keeps it without a name.
    pub feigns_deleting_bases: bool,
    /// Looking at an image costs it milliseconds, and a list as many for each.
    pub looks_cost: bool,
    /// So it does, for each image that is in its answer, and next to nothing for those that a filter passes over. A list
    /// by names leaves out, where it is to, just those without a name that others name as their parent, and an image's
    /// history tells all names that it has, for little.
    pub lists_cost_by_answer: bool,

    /// What it says that images share adds up to what is on the disk.
    pub shared_sizes_add_up: bool,
    /// An image that shares nothing by its word does share nothing.
    pub tells_who_shares: bool,
    /// Its layers are all that it holds, the cache's and the containers' too.
    pub layers_count_all: bool,
    /// Build cache that an image shares takes its bytes once more.
    pub counts_shared_cache_twice: bool,
    /// What a prune of build cache leaves is still found by the next build.
    pub prune_leaves_cache: bool,
    /// Its folder holds its ID, or those of its images, so that it can be known to be the engine's.
    pub marks_its_root: bool,

    /// It looks for containers and names first and then waits for its turn to delete an image: what comes meanwhile
    /// is lost.
    pub deletes_by_turns: bool,
    /// From how many deletions at a time it gains.
    pub images_at_once: usize,
    /// The same for volumes and networks.
    pub others_at_once: usize,
    /// It has one answer for an image that somebody holds and for one that it fails to delete.
    pub refuses_vaguely: bool,
    /// It guards a network for the containers that use it only if it is told the network's name.
    pub guards_networks_by_name: bool,
    /// The output of its builds names the image that a stage begins from.
    pub shows_bases: bool,
    /// The ID that a build ends with may be another build's.
    pub may_misname_results: bool,
}

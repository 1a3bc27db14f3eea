//! Variables that look as if they were dkb's and are not: whoever sets one thinks that it holds.

use super::keys::KEYS;
use crate::model::slip;

/// What dkb reads or sets beside the variables of keys: what names a file, what is a mark between two of dkb's own
/// processes, and what a command finds in its environment.
const OTHERS: &[&str] =
    &["DKB_SETTINGS", "DKB_USER", "DKB_SEAT", "DKB_INSIDE", "DKB_AS_DOCKER", "DKB_GUARD", "DKB_LABEL"];

/// What the tests of dkb itself are told.
const OF_TESTS: &[&str] = &["DKB_LAB", "DKB_SOAK", "DKB_SEED"];

/// A warning for each of these names that nothing reads.
pub(crate) fn unknown(set: impl Iterator<Item = String>) -> Vec<String> {
    let of_keys = KEYS.iter().map(super::keys::Key::variable);
    let known: Vec<String> = of_keys.chain(OTHERS.iter().map(ToString::to_string)).collect();
    let is_known = |name: &String| known.contains(name) || OF_TESTS.iter().any(|of| name.starts_with(of));
    let mut unknown: Vec<String> = set.filter(|name| name.starts_with("DKB_") && !is_known(name)).collect();
    unknown.sort();
    let nearest = |typed: &str| known.iter().filter_map(|name| Some((slip(typed, name)?, name))).min();
    let said = unknown.into_iter().map(|name| match nearest(&name) {
        Some((_, meant)) => format!("nothing reads the variable {name}; did you mean {meant}?"),
        None => format!("nothing reads the variable {name}; dkb config shows what there is"),
    });
    said.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_nothing_reads_is_named_with_the_one_that_was_meant() {
        let said = |names: &[&str]| unknown(names.iter().map(ToString::to_string));
        let known = [
            "PATH",
            "DKB_KEEP_LAST",
            "DKB_SWEEP_UNTIL",
            "DKB_LABEL",
            "DKB_SEAT",
            "DKB_AS_DOCKER",
            "DKB_LAB_CACHE",
            "DKBX",
        ];
        assert_eq!(said(&known), [""; 0]);
        assert_eq!(
            said(&["DKB_KEEP_LSAT", "DKB_COLOUR_OF_IT"]),
            [
                "nothing reads the variable DKB_COLOUR_OF_IT; dkb config shows what there is",
                "nothing reads the variable DKB_KEEP_LSAT; did you mean DKB_KEEP_LAST?",
            ]
        );
    }
}

//! Which images a classic build made, of all those that its output names.
//!
//! A RUN step may print anything, lines that look like the builder's own too, with the ID of a stranger's
//! image in them. So a line is only a hint where to look, and the engine's word decides:
//!
//! 1. A step is the child of the verified step before it; the first of a stage is the child of its base.
//! 2. It was made after this build began, by the engine's clock, or it is from the cache *and* on record as ours.
//! 3. It has no tag, unless it is the result.
//! 4. Its stamp is the one it inherits, or is on the way to ours.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use crate::model::{Candidate, ImageDetail, ImageId, Stamp};

/// Clocks are read at two moments, and engines date images by their own.
const SLACK: SignedDuration = SignedDuration::from_millis(50);

pub struct Evidence<'a> {
    /// What the engine says of each ID that the output named; those it does not know are missing.
    pub details: &'a HashMap<String, ImageDetail>,
    /// When the build began, by the engine's clock.
    pub began: Timestamp,
    /// What this build stamps its result with.
    pub stamp: &'a Stamp,
    pub result: Option<ImageId>,
}

/// The steps that are this build's, oldest first. A step that was reused counts where `recorded` knows it.
pub fn verify(candidates: &[Candidate], evidence: &Evidence, recorded: impl Fn(ImageId) -> bool) -> Vec<ImageId> {
    let mut ours: Vec<ImageId> = Vec::new();
    // The image that the next step must be a child of; a stage that begins from scratch has none.
    let mut last: Option<&ImageDetail> = None;
    for candidate in candidates {
        let Some(image) = evidence.details.get(&candidate.id) else { continue };
        if candidate.base {
            last = Some(image);
            continue;
        }
        if image.parent != last.map(|parent| parent.id) {
            continue;
        }
        let inherited = last.map(|parent| Stamp::of(&parent.labels)).unwrap_or_default();
        last = Some(image);
        let made = if candidate.cached {
            recorded(image.id)
        } else {
            image.created.is_some_and(|created| created + SLACK >= evidence.began)
        };
        let named = image.tags.iter().any(|tag| !tag.is_private()) && evidence.result != Some(image.id);
        let stamp = Stamp::of(&image.labels);
        if made && !named && (stamp == inherited || is_on_the_way(&stamp, &inherited, evidence.stamp)) {
            ours.push(image.id);
        }
    }
    ours.dedup();
    ours
}

/// The classic builder adds a step a label, so a stamp appears one half after the other.
fn is_on_the_way(stamp: &Stamp, inherited: &Stamp, ours: &Stamp) -> bool {
    (stamp.project == ours.project || stamp.project == inherited.project)
        && (stamp.session == ours.session || stamp.session == inherited.session)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::books_tests::{id, key};
    use crate::model::{PROJECT_LABEL, Reference, SESSION_LABEL, SessionKey};

    const BEGAN: i64 = 1000;

    fn detail(n: u8, parent: u8, created: i64) -> ImageDetail {
        ImageDetail {
            id: id(n),
            parent: (parent != 0).then(|| id(parent)),
            tags: Vec::new(),
            digests: Vec::new(),
            created: Timestamp::from_second(created).ok(),
            labels: HashMap::new(),
            layers: Vec::new(),
            container: None,
        }
    }

    fn stamped(mut image: ImageDetail, key: &SessionKey) -> ImageDetail {
        image.labels.insert(PROJECT_LABEL.to_owned(), key.project.to_string());
        image.labels.insert(SESSION_LABEL.to_owned(), key.session.to_string());
        image
    }

    fn line(n: u8, kind: &str) -> Candidate {
        Candidate { id: id(n).short(), base: kind == "base", cached: kind == "cached" }
    }

    fn verify_all(candidates: &[Candidate], images: Vec<ImageDetail>, recorded: &[u8], result: u8) -> Vec<ImageId> {
        let details = images.into_iter().map(|image| (image.id.short(), image)).collect();
        let of = key("p", "s");
        let stamp = Stamp { project: Some(of.project), session: Some(of.session) };
        let began = Timestamp::from_second(BEGAN).expect("a time");
        let evidence = Evidence { details: &details, began, stamp: &stamp, result: Some(id(result)) };
        verify(candidates, &evidence, |image| recorded.iter().any(|&n| id(n) == image))
    }

    #[test]
    fn a_chain_from_its_base_is_ours_and_the_base_is_not() {
        let candidates = [line(1, "base"), line(2, "new"), line(3, "new")];
        let images = vec![detail(1, 0, 5), detail(2, 1, BEGAN), detail(3, 2, BEGAN + 1)];
        assert_eq!(verify_all(&candidates, images, &[], 3), [id(2), id(3)]);
    }

    #[test]
    fn every_stage_has_a_chain_of_its_own_and_may_begin_from_scratch() {
        let candidates = [line(2, "new"), line(1, "base"), line(3, "new"), line(2, "base"), line(4, "new")];
        let images =
            vec![detail(1, 0, 5), detail(2, 0, BEGAN), detail(3, 1, BEGAN), detail(4, 2, BEGAN), detail(5, 0, BEGAN)];
        assert_eq!(verify_all(&candidates, images, &[], 4), [id(2), id(3), id(4)]);
    }

    #[test]
    fn rule_1_a_line_that_names_a_strangers_image_fools_nobody() {
        // Image 9 is a stranger's, made this very second on the same base; 8 hangs on nothing of ours.
        let candidates = [line(1, "base"), line(2, "new"), line(8, "new"), line(9, "new"), line(3, "new")];
        let images =
            vec![detail(1, 0, 5), detail(2, 1, BEGAN), detail(3, 2, BEGAN), detail(8, 7, BEGAN), detail(9, 1, BEGAN)];
        assert_eq!(verify_all(&candidates, images, &[], 3), [id(2), id(3)]);
    }

    #[test]
    fn rule_2_what_is_older_than_the_build_is_ours_only_if_it_is_on_record() {
        let candidates = [line(1, "base"), line(2, "cached"), line(3, "cached"), line(4, "new"), line(5, "new")];
        let images =
            || vec![detail(1, 0, 5), detail(2, 1, 6), detail(3, 2, 7), detail(4, 3, BEGAN), detail(5, 4, BEGAN - 60)];
        assert_eq!(verify_all(&candidates, images(), &[3], 4), [id(3), id(4)]);
    }

    #[test]
    fn rule_3_a_step_with_a_name_belongs_to_whoever_named_it() {
        let mut named = detail(2, 1, BEGAN);
        named.tags.push(Reference::written("theirs").expect("a name"));
        let mut result = detail(3, 2, BEGAN);
        result.tags.push(Reference::written("app").expect("a name"));
        let candidates = [line(1, "base"), line(2, "new"), line(3, "new")];
        assert_eq!(verify_all(&candidates, vec![detail(1, 0, 5), named, result], &[], 3), [id(3)]);
    }

    #[test]
    fn rule_4_a_foreign_stamp_is_a_strangers_and_an_inherited_one_is_not() {
        let (ours, other) = (key("p", "s"), key("q", "t"));
        let candidates = [line(1, "base"), line(2, "new"), line(3, "new")];
        let on_theirs = vec![
            stamped(detail(1, 0, 5), &other),
            stamped(detail(2, 1, BEGAN), &other),
            stamped(detail(3, 2, BEGAN), &ours),
        ];
        assert_eq!(verify_all(&candidates, on_theirs, &[], 3), [id(2), id(3)]);
        let theirs = vec![detail(1, 0, 5), detail(2, 1, BEGAN), stamped(detail(3, 2, BEGAN), &other)];
        assert_eq!(verify_all(&candidates, theirs, &[], 2), [id(2)]);
    }
}

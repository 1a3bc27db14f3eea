//! Which images a build made: of all those that the output of a classic one names, and the one that BuildKit ends in.
//!
//! A RUN step may print anything, lines that look like the builder's own too, with the ID of a stranger's
//! image in them. So a line is only a hint where to look, and the engine's word decides:
//!
//! 1. Before the first container runs, every line is the builder's. From then on its step may write, until a
//!    line names the image that was committed from that very container. Where the engine does not say from
//!    which one it was (the containerd store, Podman), what a step prints comes before the builder's own line
//!    about it: of several lines for one step the last counts, what went before it for later steps does not,
//!    and of the last step of a build that failed none does, unless that step completed our stamp, which no lie
//!    can do. What is left there to a step that fails and lies is an image that somebody made during this very
//!    build on the very step before it.
//! 2. A step descends from the verified step before it; the first of a stage from its base. In a build that
//!    failed, the first line that does not hold ends all belief: the failing step may have written the rest.
//! 3. It was made after this build began, by the engine's clock, or is on record as ours. What came out of the
//!    cache and is not on record was made by somebody else, however new it is.
//! 4. It has no tag, unless it is the result.
//! 5. Its stamp is the one it inherits, or is on the way to ours.
//!
//! The ID of the result does not come from the output, so what it descends from needs no line at all. Nor does
//! an image that was committed from the container that ran when the output ended.
//!
//! Where dkb was killed, the rest of the output is lost, and with it the word that a step came out of the cache.
//! Then the output counts as that of a failed build, and of what no line named only those steps are believed
//! which gave the result a half of its stamp.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use crate::model::{ImageDetail, ImageId, Shown, ShownImage, Stamp};

pub(crate) struct Evidence<'a> {
    /// What the engine says of the images that the output named, and of what these descend from.
    pub details: &'a [ImageDetail],
    /// When the build began, by the engine's clock: a moment before docker was started.
    pub began: Timestamp,
    /// What this build stamps its result with.
    pub stamp: &'a Stamp,
    /// What docker said it built; `None` where the build failed.
    pub result: Option<ImageId>,
    /// The output was not read to its end.
    pub cut_off: bool,
    /// The output names what a stage begins from.
    pub shows_bases: bool,
    /// The engine says of an image which container it was committed from.
    pub tells_containers: bool,
}

impl<'a> Evidence<'a> {
    pub(crate) fn is_new(&self, image: &ImageDetail) -> bool {
        image.created.is_some_and(|created| created >= self.began)
    }

    /// The output ended with the builder's own word, not in the middle of a step that may have written it.
    fn is_whole(&self) -> bool {
        self.result.is_some() && !self.cut_off
    }

    /// How many images a stage has made up to this step. Where a base's triggers run inside of its `FROM` nobody knows;
    /// elsewhere that one makes none.
    fn most(&self, step: u32) -> usize {
        let made = usize::try_from(step).unwrap_or(usize::MAX).saturating_sub(1);
        if self.shows_bases || made == 0 { usize::MAX } else { made }
    }

    fn named(&self, candidate: &ShownImage) -> Option<&'a ImageDetail> {
        self.details.iter().find(|image| image.id.starts_with(&candidate.id))
    }

    /// Whether the image of this line bears the whole stamp, and what it is built on does not.
    fn completes_the_stamp(&self, line: &ShownImage, known: &HashMap<ImageId, &ImageDetail>) -> bool {
        let bears_it = |image: &ImageDetail| Stamp::of(&image.labels) == *self.stamp;
        self.stamp.is_whole() && self.named(line).is_some_and(|image| bears_it(image) && stamp_here(image, known))
    }

    /// Rule 1, and the container whose image no line has named.
    fn believed<'s>(
        &self,
        shown: &'s Shown,
        known: &HashMap<ImageId, &ImageDetail>,
    ) -> (Vec<&'s ShownImage>, Option<&'s str>) {
        if !self.tells_containers {
            let mut believed = the_builders_own(&shown.images);
            let may_lie = |line: &&ShownImage| {
                (line.stage, line.step) == (shown.stage, shown.step) && !self.completes_the_stamp(line, known)
            };
            while !self.is_whole() && believed.last().is_some_and(may_lie) {
                believed.pop();
            }
            return (believed, None);
        }
        let mut running: Option<&str> = None;
        let mut believed = Vec::new();
        for candidate in &shown.images {
            running = running.or(candidate.ran.as_deref());
            if running.is_none_or(|container| self.named(candidate).is_some_and(|image| is_of(image, container))) {
                running = None;
                believed.push(candidate);
            }
        }
        (believed, running.or(shown.ran.as_deref()))
    }
}

/// Whether an image that BuildKit ended in and that is not on record is this build's. One that was there before is
/// whosever it was, also under our own stamp: a build may add nothing to it, or repeat somebody else's. Where nobody
/// looked for it before, only a whole stamp speaks for it.
pub(crate) fn is_of_this_build(was_there: Option<bool>, is_new: bool, stamp: &Stamp) -> bool {
    was_there.map_or(stamp.is_whole(), |was_there| is_new || !was_there)
}

fn is_of(image: &ImageDetail, container: &str) -> bool {
    image.container.as_ref().is_some_and(|known| known.starts_with(container))
}

/// A build that took every step out of the cache, of which the engine need not be asked: such a step is ours where
/// it is on record, and a stranger's elsewhere. `None` where it made a step, or ended in an image that is not on record.
pub(crate) fn all_cached(shown: &Shown, result: Option<ImageId>, recorded: &[ImageId]) -> Option<Vec<ImageId>> {
    let result = result.filter(|result| recorded.contains(result))?;
    let ends_in_it = shown.images.last().is_some_and(|last| result.starts_with(&last.id));
    if !ends_in_it || shown.images.iter().any(|image| !image.base && !image.cached) {
        return None;
    }
    let mut ours = Vec::new();
    for candidate in shown.images.iter().filter(|image| image.cached) {
        ours.extend(recorded.iter().find(|id| id.starts_with(&candidate.id) && !ours.contains(*id)));
    }
    Some(ours)
}

/// Whether docker named another build's image as the result: one without the stamp that this build gave, or one that
/// is not built on the last step. Podman looks the ID up by the tag, which another build may just have moved.
pub(crate) fn is_misnamed(shown: &Shown, result: ImageId, details: &[ImageDetail], stamp: &Stamp) -> bool {
    let known = by_id(details);
    let Some(image) = known.get(&result) else { return false };
    !stamp.is_part_of(&Stamp::of(&image.labels))
        || last_step(shown, result, details)
            .is_some_and(|step| way_down(image, &known).iter().all(|below| below.id != step))
}

/// The last step of the result's own stage that the output names before the result.
pub(crate) fn last_step(shown: &Shown, result: ImageId, details: &[ImageDetail]) -> Option<ImageId> {
    let mut lines = the_builders_own(&shown.images).into_iter().rev();
    let line = lines.find(|line| line.stage == shown.stage && !line.base && !result.starts_with(&line.id))?;
    details.iter().find(|image| image.id.starts_with(&line.id)).map(|image| image.id)
}

/// The images that are this build's, oldest first, its result among them if it is.
pub(crate) fn verify(shown: &Shown, evidence: &Evidence, recorded: impl Fn(ImageId) -> bool) -> Vec<ImageId> {
    let known = by_id(evidence.details);
    let (candidates, running) = evidence.believed(shown, &known);
    let (mut strangers, mut made) = (HashSet::new(), HashSet::new());
    for (candidate, image) in candidates.iter().filter_map(|line| Some((line, evidence.named(line)?))) {
        // A step that another stage took from the cache later may have been made by this very build; and a build
        // that adds nothing to its base has made nothing.
        if made.contains(&image.id) {
            continue;
        }
        if candidate.cached {
            // Somebody else made it, and with it what it is built on, unless a line has named that before.
            strangers.extend(way_down(image, &known).iter().map(|below| below.id).filter(|id| !made.contains(id)));
        } else if candidate.base && evidence.result == Some(image.id) {
            strangers.insert(image.id);
        } else if !candidate.base {
            made.insert(image.id);
        }
    }
    let is_ours = |image: &ImageDetail| {
        let (stamp, inherited) = (Stamp::of(&image.labels), inherited(image, &known));
        let untagged = image.tags.iter().all(crate::model::Reference::is_momentary);
        recorded(image.id)
            || evidence.is_new(image)
                && !strangers.contains(&image.id)
                && (untagged || evidence.result == Some(image.id))
                && is_on_the_way(&stamp, &inherited, evidence.stamp)
    };
    let mut claimed: Vec<&ImageDetail> = Vec::new();
    // The stage that is being read: what it begins from, `None` for scratch, and what was believed of it so far.
    let mut base: Option<ImageId> = None;
    let mut stage: Vec<&ImageDetail> = Vec::new();
    let mut at = None;
    for candidate in &candidates {
        let Some(image) = evidence.named(candidate) else { continue };
        if at.replace(candidate.stage) != Some(candidate.stage) || candidate.base {
            claimed.append(&mut stage);
            base = None;
        }
        if candidate.base {
            base = Some(image.id);
            continue;
        }
        // A step out of a stranger's cache is neither new nor on record, and what was made on it is ours all the same.
        let is_step = |image: &ImageDetail| {
            evidence.is_new(image) || recorded(image.id) || stage.iter().any(|step| step.id == image.id)
        };
        let Some(path) = ancestry(image, &known, base, evidence.most(candidate.step), is_step) else {
            if !evidence.is_whole() {
                break;
            }
            continue;
        };
        let agrees = stage.iter().zip(path.iter().rev()).take_while(|(one, other)| one.id == other.id).count();
        if agrees < stage.len() && !evidence.is_whole() {
            break;
        }
        // What was believed before and is no ancestor of this was not the builder's word.
        stage = path.into_iter().rev().collect();
    }
    if let Some(container) = running {
        let parent = stage.last().map(|image| image.id).or(base);
        let committed = |image: &&ImageDetail| is_of(image, container) && image.parent == parent;
        stage.extend(evidence.details.iter().find(committed));
    }
    claimed.append(&mut stage);
    if let Some(result) = evidence.result.and_then(|id| known.get(&id)) {
        let mut path = way_down(result, &known);
        let end = path.iter().position(|image| Some(image.id) == base || !is_ours(image));
        path.truncate(end.unwrap_or(path.len()));
        path.truncate(evidence.most(shown.step));
        path.retain(|image| !evidence.cut_off || stamp_here(image, &known));
        claimed.extend(path.into_iter().rev());
    }
    let mut ours: Vec<ImageId> = Vec::new();
    for image in claimed.into_iter().filter(|image| is_ours(image)) {
        if !ours.contains(&image.id) {
            ours.push(image.id);
        }
    }
    ours
}

/// Of several lines for one step the last, and nothing of what went before it for later ones.
fn the_builders_own(candidates: &[ShownImage]) -> Vec<&ShownImage> {
    let at = |candidate: &ShownImage| (candidate.stage, candidate.step);
    let mut own: Vec<&ShownImage> = Vec::new();
    for candidate in candidates {
        while own.last().is_some_and(|last| at(last) >= at(candidate)) {
            own.pop();
        }
        own.push(candidate);
    }
    own
}

fn by_id(details: &[ImageDetail]) -> HashMap<ImageId, &ImageDetail> {
    details.iter().map(|image| (image.id, image)).collect()
}

/// The image and what it descends from, as far as the engine was asked.
fn way_down<'a>(image: &'a ImageDetail, known: &HashMap<ImageId, &'a ImageDetail>) -> Vec<&'a ImageDetail> {
    let mut path = vec![image];
    while let Some(parent) = path.last().and_then(|last| known.get(&last.parent?)) {
        if path.len() > known.len() {
            break;
        }
        path.push(parent);
    }
    path
}

/// The way from the image down to its base, which is not part of it; `None` if it does not lead there. Podman
/// does not show the base: there it is the first image on the way that is no step, neither new nor on record nor
/// believed of this stage before, and at the latest the one that lies below as many as there were steps: it may be on
/// record itself, of another build.
fn ancestry<'a>(
    image: &'a ImageDetail,
    known: &HashMap<ImageId, &'a ImageDetail>,
    base: Option<ImageId>,
    steps: usize,
    is_step: impl Fn(&ImageDetail) -> bool,
) -> Option<Vec<&'a ImageDetail>> {
    let mut path = way_down(image, known);
    let is_first = |(at, image): (usize, &&ImageDetail)| match base {
        Some(_) => image.parent == base,
        None => {
            at.saturating_add(1) >= steps
                || image.parent.and_then(|parent| known.get(&parent)).is_none_or(|parent| !is_step(parent))
        }
    };
    path.truncate(path.iter().enumerate().position(is_first)?.saturating_add(1));
    Some(path)
}

fn inherited(image: &ImageDetail, known: &HashMap<ImageId, &ImageDetail>) -> Stamp {
    image.parent.and_then(|id| known.get(&id)).map(|parent| Stamp::of(&parent.labels)).unwrap_or_default()
}

/// Whether the image has another stamp than what it is built on.
fn stamp_here(image: &ImageDetail, known: &HashMap<ImageId, &ImageDetail>) -> bool {
    Stamp::of(&image.labels) != inherited(image, known)
}

/// The classic builder adds a step a label, so a stamp appears one half after the other.
fn is_on_the_way(stamp: &Stamp, inherited: &Stamp, ours: &Stamp) -> bool {
    (stamp.project == ours.project || stamp.project == inherited.project)
        && (stamp.session == ours.session || stamp.session == inherited.session)
}

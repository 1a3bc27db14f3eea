//! What a build that has just ended leaves without a purpose, and takes away itself.
//!
//! 1. The results of earlier builds of the same session whose tags this build has taken, but for the newest
//!    `keep` of them. Of builds that gave the reference which Tilt expects, and which is new each time, those of the
//!    same file and, but for its number, the same reference, but for the newest two, this one included.
//! 2. The classic intermediates of those builds, and of failed tries at this very build, that nothing else
//!    on record uses.
//!
//! A candidate goes only if it is still there, nobody but us named it, nobody uses it, no other session
//! claims it, nor may have done so by a line of the ledger that is lost, no keep pattern means it, and nothing that
//! stays is built on it.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::argv::{is_one_file, may_be_one_file};
use super::clean::GivenNames;
use super::order;
use super::uses::{needed_by_builds, users};
use crate::model::RunningBuild;
use crate::model::{Books, Build, Deed, Image, ImageGuard, ImageId, Pattern, Reason, Reference, Snapshot, Step};

/// Tilt goes back to the version before when a deploy fails.
const KEPT_UNDER_TILT: usize = 2;

/// What may have lost its purpose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Candidates {
    pub results: Vec<ImageId>,
    pub steps: Vec<ImageId>,
}

impl Candidates {
    pub(crate) fn is_empty(&self) -> bool {
        self.results.is_empty() && self.steps.is_empty()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = ImageId> {
        self.results.iter().chain(&self.steps).copied()
    }
}

/// The candidates after the targets of one bake, in the order in which they stand in the books already. What one of them
/// has just made stays, unless a later one has taken its tag.
pub(crate) fn candidates_of_all(books: &Books, done: &[Build], keep: usize) -> Candidates {
    let newest: HashSet<ImageId> = done
        .iter()
        .enumerate()
        .filter(|(n, one)| !done.iter().skip(*n).skip(1).any(|later| share(one, later, Reference::as_str)))
        .filter_map(|(_, one)| one.result)
        .collect();
    let mut all = Candidates::default();
    let mut seen = (HashSet::new(), HashSet::new());
    for one in done {
        let Candidates { results, steps } = candidates(books, one, keep);
        all.results.extend(results.into_iter().filter(|id| !newest.contains(id) && seen.0.insert(*id)));
        all.steps.extend(steps.into_iter().filter(|id| !newest.contains(id) && seen.1.insert(*id)));
    }
    all
}

/// The candidates after `done`, which stands in the books already.
pub(crate) fn candidates(books: &Books, done: &Build, keep: usize) -> Candidates {
    let earlier = || books.of_session(&done.of).filter(|build| build.build != done.build);
    let mut newest: HashMap<ImageId, Timestamp> = HashMap::new();
    if done.ok {
        let same_name = |build: &Build| {
            if done.tilt && build.tilt {
                share(build, done, one_of_tilts) && may_be_one_file(&build.key, &done.key)
            } else {
                share(build, done, Reference::as_str)
            }
        };
        for build in earlier().filter(|build| same_name(build)) {
            if let Some(id) = build.result.filter(|id| Some(*id) != done.result) {
                newest.insert(id, build.at);
            }
        }
    }
    let kept = if done.tilt { keep.max(KEPT_UNDER_TILT - 1) } else { keep };
    let mut results: Vec<(Timestamp, ImageId)> = newest.into_iter().map(|(id, at)| (at, id)).collect();
    results.sort_by(|a, b| b.cmp(a));
    let results: Vec<ImageId> = results.into_iter().skip(kept).map(|(_, id)| id).collect();
    let replaced: HashSet<ImageId> = results.iter().copied().collect();

    let past = |build: &Build| match build.result {
        Some(id) => replaced.contains(&id),
        None => build.tags == done.tags && is_same_work(build, done),
    };
    let is_past = |build: &&Build| build.of == done.of && build.build != done.build && past(build);
    let used: HashSet<ImageId> = books.builds.iter().filter(|build| !is_past(build)).flat_map(Build::images).collect();
    let mut seen = HashSet::new();
    let steps = books
        .builds
        .iter()
        .filter(is_past)
        .flat_map(|build| build.steps.iter().rev().copied())
        .filter(|id| !used.contains(id) && !replaced.contains(id) && seen.insert(*id))
        .collect();
    Candidates { results: results.into_iter().filter(|id| !used.contains(id)).collect(), steps }
}

/// Whether one is another try at the other. Dockerfiles on stdin are told apart by their tags only.
fn is_same_work(one: &Build, other: &Build) -> bool {
    is_one_file(&one.key, &other.key) || !one.tags.is_empty() && may_be_one_file(&one.key, &other.key)
}

/// The references that Tilt makes up for one image differ by their number alone, also where all images of a registry are
/// one repository. Where somebody has told it a tag, that is the whole name.
fn one_of_tilts(tag: &Reference) -> &str {
    let name = tag.as_str();
    let stem = name.trim_end_matches(|digit: char| digit.is_ascii_digit());
    if stem.ends_with("tilt-build-") { stem } else { name }
}

fn share<'a>(one: &'a Build, other: &'a Build, part: impl Fn(&'a Reference) -> &'a str) -> bool {
    one.tags.iter().any(|a| other.tags.iter().any(|b| part(a) == part(b)))
}

/// The steps that take the candidates away, children first.
pub(crate) fn steps(
    snapshot: &Snapshot,
    books: &Books,
    running: &[RunningBuild],
    keep: &[Pattern],
    candidates: &Candidates,
) -> Vec<Step> {
    let wanted: HashSet<ImageId> = candidates.results.iter().chain(&candidates.steps).copied().collect();
    let used = users(snapshot);
    let needed = needed_by_builds(books, running);
    let free = |image: &&Image| {
        let held = used.contains_key(&image.id) || needed.contains(&image.id) || Pattern::any_keeps(keep, image);
        wanted.contains(&image.id) && !held && !books.is_doubted(image.id) && {
            let builds: Vec<&Build> = books.claims(image.id).collect();
            let one_session = builds.windows(2).all(|pair| pair[0].of == pair[1].of);
            // Whoever holds it wants to give a tag back to it.
            let lent = image.tags.iter().any(Reference::is_hold);
            let by_tilt = GivenNames::new(image.id, builds.into_iter().filter(|build| build.tilt));
            one_session && !lent && image.public_tags().all(|tag| by_tilt.has(tag))
        }
    };
    let mut going: HashMap<ImageId, &Image> =
        snapshot.images.iter().filter(free).map(|image| (image.id, image)).collect();
    let mut staying: Vec<&Image> = snapshot.images.iter().filter(|image| !going.contains_key(&image.id)).collect();
    while let Some(child) = staying.pop() {
        staying.extend(child.parent.and_then(|parent| going.remove(&parent)));
    }
    let depths = order::depths(snapshot.images.iter());
    let mut images: Vec<&Image> = going.into_values().collect();
    images.sort_by_key(|image| (std::cmp::Reverse(depths.get(&image.id).copied()), image.id));
    images.into_iter().map(step).collect()
}

fn step(image: &Image) -> Step {
    let guard = ImageGuard::of(image.public_tags().map(ToString::to_string).collect());
    Step::new(Deed::RemoveImage { id: image.id, guard }, Reason::Superseded, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::books_tests::{build, id, key, with_a_line_lost};
    use crate::model::image_tests::{container, host, image};
    use crate::model::{ContainerState, Record, SessionKey};

    fn books(builds: &[Build]) -> Books {
        let mut books = Books::default();
        for (second, build) in (0..).zip(builds) {
            let at = jiff::Timestamp::from_second(second).expect("a time");
            books.apply(Record::Build(Build { at, ..build.clone() }));
        }
        books
    }

    fn of() -> SessionKey {
        key("p", "s")
    }

    fn found(builds: &[Build], keep: usize) -> (Vec<ImageId>, Vec<ImageId>) {
        let books = books(builds);
        let found = candidates(&books, books.builds.last().expect("a build"), keep);
        (found.results, found.steps)
    }

    #[test]
    fn the_image_that_lost_its_tag_goes_with_the_steps_that_only_it_used() {
        let builds = [build("1", &of(), 1, &[11, 12]), build("2", &of(), 2, &[11, 13])];
        assert_eq!(found(&builds, 0), (vec![id(1)], vec![id(12)]));
        assert_eq!(found(&builds, 1), (vec![], vec![]), "kept for going back");
    }

    #[test]
    fn a_build_that_changed_nothing_takes_nothing() {
        let builds = [build("1", &of(), 1, &[11]), build("2", &of(), 1, &[11])];
        assert_eq!(found(&builds, 0), (vec![], vec![]));
    }

    #[test]
    fn other_sessions_other_tags_and_other_builds_are_left_alone() {
        let other = Build {
            tags: vec![Reference::written("tool").expect("a name")],
            key: "t".into(),
            ..build("1", &of(), 1, &[11])
        };
        let builds = [other, build("2", &key("p", "t"), 2, &[12]), build("3", &of(), 3, &[13])];
        assert_eq!(found(&builds, 0), (vec![], vec![]));
    }

    #[test]
    fn the_steps_of_a_failed_try_wait_for_the_next_try() {
        let first = [build("1", &of(), 1, &[11]), build("2", &of(), 0, &[11, 12])];
        assert_eq!(found(&first, 0), (vec![], vec![]), "a failed build takes nothing of its own");
        let again = [first[0].clone(), first[1].clone(), build("3", &of(), 0, &[11, 13])];
        assert_eq!(found(&again, 0), (vec![], vec![id(12)]), "failed again, by another way");
        let fixed = [first[0].clone(), first[1].clone(), build("3", &of(), 3, &[11, 14])];
        assert_eq!(found(&fixed, 0), (vec![id(1)], vec![id(12)]));
    }

    #[test]
    fn the_steps_of_other_sessions_and_other_kinds_of_builds_are_not_waste() {
        let named = |build: Build| Build { tags: vec![Reference::written("tool").expect("a name")], ..build };
        let keyed = |build: Build| Build { key: "other".to_owned(), ..build };
        let failed = [
            build("1", &key("p", "t"), 0, &[11]),
            named(build("2", &of(), 0, &[12])),
            keyed(build("3", &of(), 0, &[13])),
            build("4", &of(), 0, &[14]),
        ];
        let builds = [&failed[..], &[build("5", &of(), 5, &[])]].concat();
        assert_eq!(found(&builds, 0), (vec![], vec![id(14)]));
    }

    #[test]
    fn of_dockerfiles_on_stdin_only_the_tags_tell_that_they_are_one() {
        let open = |build: Build| Build { key: "k~".to_owned(), ..build };
        let untagged = |build: Build| Build { tags: Vec::new(), ..open(build) };
        let two = [untagged(build("1", &of(), 0, &[11])), untagged(build("2", &of(), 0, &[12]))];
        assert_eq!(found(&two, 0), (vec![], vec![]), "they may have nothing in common");
        let again = [open(build("1", &of(), 0, &[11])), open(build("2", &of(), 0, &[12]))];
        assert_eq!(found(&again, 0), (vec![], vec![id(11)]));
        let with_arguments = [build("1", &of(), 0, &[11]), open(build("2", &of(), 0, &[12]))];
        assert_eq!(found(&with_arguments, 0), (vec![], vec![id(11)]));
    }

    #[test]
    fn an_image_that_is_a_step_of_another_build_stays() {
        let named = |build: Build| Build { tags: vec![Reference::written("tool").expect("a name")], ..build };
        let builds = [build("1", &of(), 1, &[]), named(build("2", &of(), 2, &[1])), build("3", &of(), 3, &[])];
        assert_eq!(found(&builds, 0), (vec![], vec![]));
    }

    #[test]
    fn under_tilt_the_newest_two_of_a_repository_stay() {
        let tilt = |n: u8| Build {
            tilt: true,
            tags: vec![Reference::written(&format!("app:tilt-build-{n}")).expect("a name")],
            ..build(&n.to_string(), &of(), n, &[])
        };
        assert_eq!(found(&[tilt(1), tilt(2)], 0), (vec![], vec![]));
        assert_eq!(found(&[tilt(1), tilt(2), tilt(3)], 0), (vec![id(1)], vec![]));
        let many = [tilt(1), tilt(2), tilt(3), tilt(4), tilt(5)];
        assert_eq!(found(&many, 3), (vec![id(1)], vec![]), "more are to be kept");
        let elsewhere = |n: u8| Build { key: "another file".to_owned(), ..tilt(n) };
        assert_eq!(
            found(&[elsewhere(1), elsewhere(2), tilt(3), tilt(4)], 0),
            (vec![], vec![]),
            "a registry of one name"
        );
        let service = |n: u8, name: &str| {
            let tags = vec![Reference::written(&format!("dev:{name}-tilt-build-{n}")).expect("a name")];
            Build { tags, ..tilt(n) }
        };
        let open = |n: u8| Build { key: "k~".to_owned(), ..tilt(n) };
        assert_eq!(found(&[open(1), open(2), open(3)], 0), (vec![id(1)], vec![]), "with arguments, or from stdin");
        let told =
            |n: u8| Build { tags: vec![Reference::written(&format!("app:py31{n}")).expect("a name")], ..tilt(n) };
        assert_eq!(found(&[told(1), told(2), told(3)], 0), (vec![], vec![]), "tags that somebody has told it");
        let services = [service(1, "a"), service(2, "b"), service(3, "b"), service(4, "a"), service(5, "a")];
        assert_eq!(found(&services, 0), (vec![id(1)], vec![]), "of one file");
        let by_hand = Build { tilt: false, ..tilt(1) };
        assert_eq!(found(&[by_hand, tilt(2), tilt(3), tilt(4)], 0), (vec![id(2)], vec![]), "not Tilt's");
    }

    #[test]
    fn what_somebody_holds_stays_with_all_it_is_built_on() {
        let books = books(&[build("1", &of(), 1, &[11]), build("2", &of(), 2, &[])]);
        let wanted = candidates(&books, &books.builds[1], 0);
        let went = |images: Vec<Image>, containers, running: &[RunningBuild]| -> Vec<String> {
            steps(&host(images, containers), &books, running, &[], &wanted)
                .into_iter()
                .map(|step| step.id()[7..9].to_owned())
                .collect()
        };
        let chain = || vec![image(11).done(), image(1).parent(11).done(), image(2).tag("app").done()];
        assert_eq!(went(chain(), vec![], &[]), ["01", "0b"]);
        assert_eq!(went(chain(), vec![container("x", 1, ContainerState::Exited)], &[]), [""; 0]);
        let tagged = vec![image(11).done(), image(1).parent(11).tag("theirs").done()];
        assert_eq!(went(tagged, vec![], &[]), [""; 0]);
        let held = vec![image(11).done(), image(1).parent(11).held('b').done()];
        assert_eq!(went(held, vec![], &[]), [""; 0], "a session gives its tag back to it");
        let strangers_child = vec![image(11).done(), image(1).parent(11).done(), image(9).parent(11).done()];
        assert_eq!(went(strangers_child, vec![], &[]), ["01"]);
        let deep = vec![image(12).done(), image(11).parent(12).done(), image(9).parent(11).done()];
        let all = Candidates { results: vec![], steps: vec![id(11), id(12)] };
        assert_eq!(steps(&host(deep, vec![]), &books, &[], &[], &all), [], "all the way down");
        let still_named = vec![image(11).done(), image(1).parent(11).tag("app").done()];
        assert_eq!(went(still_named, vec![], &[]), [""; 0], "by our own build, with another of its tags");
        let running = RunningBuild { of: of(), key: "k".into(), tags: vec![] };
        assert_eq!(went(chain(), vec![], &[running]), [""; 0]);
    }

    #[test]
    fn the_targets_of_a_bake_leave_one_another_what_they_have_just_made() {
        let named = |name: &str, result: u8, tags: &[&str]| Build {
            tags: tags.iter().map(|tag| Reference::written(tag).expect("a name")).collect(),
            key: name.to_owned(),
            ..build(name, &of(), result, &[])
        };
        let old = [named("1", 1, &["a"]), named("2", 2, &["b"])];
        let after = |new: &[Build]| {
            let books = books(&[&old, new].concat());
            let mut results = candidates_of_all(&books, &books.builds[2..], 0).results;
            results.sort_unstable();
            results
        };
        assert_eq!(after(&[named("3", 3, &["a"]), named("4", 4, &["b"])]), [id(1), id(2)]);
        assert_eq!(after(&[named("3", 3, &["a"]), named("4", 1, &["b"])]), [id(2)], "the other one made it again");
        assert_eq!(after(&[named("3", 3, &["a"]), named("4", 4, &["a"])]), [id(1), id(3)], "with the tag of the other");
        assert_eq!(after(&[named("3", 3, &["a"]), named("4", 3, &["a"])]), [id(1)], "both made the same");
    }

    #[test]
    fn what_a_line_that_is_lost_may_have_given_to_another_session_stays() {
        let books = with_a_line_lost(books(&[build("1", &of(), 1, &[])]));
        let mut again = books.clone();
        again.apply(Record::Build(build("2", &of(), 1, &[])));
        again.apply(Record::Build(build("3", &of(), 2, &[])));
        again.apply(Record::Build(build("4", &of(), 3, &[])));
        let wanted = candidates(&again, again.builds.last().expect("a build"), 0);
        let host = host(vec![image(1).done(), image(2).done(), image(3).tag("app").done()], vec![]);
        let went: Vec<_> = steps(&host, &again, &[], &[], &wanted).iter().filter_map(Step::image).collect();
        assert_eq!((wanted.results, went), (vec![id(2), id(1)], vec![id(2)]));
    }

    #[test]
    fn what_a_keep_pattern_means_stays_with_all_it_is_built_on() {
        let books = books(&[build("1", &of(), 1, &[11]), build("2", &of(), 2, &[])]);
        let wanted = candidates(&books, &books.builds[1], 0);
        let host = host(vec![image(11).done(), image(1).parent(11).done(), image(2).tag("app").done()], vec![]);
        for (pattern, goes) in [(&id(1).to_string(), 0), (&id(11).digits(), 1), (&id(2).to_string(), 2)] {
            let keep = [Pattern::new(pattern).expect("a pattern")];
            assert_eq!(steps(&host, &books, &[], &keep, &wanted).len(), goes, "{pattern}");
        }
    }

    #[test]
    fn what_another_session_built_too_stays() {
        let books = books(&[build("1", &of(), 1, &[]), build("2", &key("p", "t"), 1, &[]), build("3", &of(), 2, &[])]);
        let wanted = Candidates { results: vec![id(1)], steps: vec![] };
        assert_eq!(steps(&host(vec![image(1).done()], vec![]), &books, &[], &[], &wanted), []);
    }
}

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
        last_tagged: None,
    }
}

fn stamped(mut image: ImageDetail, key: &SessionKey) -> ImageDetail {
    image.labels.insert(PROJECT_LABEL.to_owned(), key.project.to_string());
    image.labels.insert(SESSION_LABEL.to_owned(), key.session.to_string());
    image
}

fn line(n: u8, step: u32, kind: &str) -> ShownImage {
    ShownImage { id: id(n).short(), step, stage: 1, base: kind == "base", cached: kind == "cached", ran: None }
}

impl<'a> Evidence<'a> {
    /// Of an output that was read to its end, where the engine tells of no containers.
    fn of(details: &'a [ImageDetail], stamp: &'a Stamp, result: Option<ImageId>) -> Self {
        let began = Timestamp::from_second(BEGAN).expect("a time");
        Self { details, began, stamp, result, cut_off: false, shows_bases: true, tells_containers: false }
    }
}

/// With `result` 0 the build failed.
fn verify_all(candidates: &[ShownImage], details: &[ImageDetail], recorded: &[u8], result: u8) -> Vec<ImageId> {
    let of = key("p", "s");
    let stamp = Stamp { project: Some(of.project), session: Some(of.session) };
    let result = (result != 0).then(|| id(result));
    let tells_containers = details.iter().any(|image| image.container.is_some());
    let evidence = Evidence { tells_containers, ..Evidence::of(details, &stamp, result) };
    // Unless a test says more, a step began after the last line.
    let step = candidates.iter().map(|line| line.step).max().unwrap_or(0) + 1;
    let shown = Shown { images: candidates.to_vec(), stage: 9, step, ran: None };
    verify(&shown, &evidence, |image| recorded.iter().any(|&n| id(n) == image))
}

#[test]
fn a_chain_from_its_base_is_ours_and_the_base_is_not() {
    let candidates = [line(1, 1, "base"), line(2, 2, "new"), line(3, 3, "new")];
    let images = [detail(1, 0, 5), detail(2, 1, BEGAN), detail(3, 2, BEGAN + 1)];
    assert_eq!(verify_all(&candidates, &images, &[], 3), [id(2), id(3)]);
    assert_eq!(verify_all(&candidates, &images, &[], 0), [id(2), id(3)], "a failed build's steps are its own too");
}

#[test]
fn every_stage_has_a_chain_of_its_own_and_may_begin_from_scratch() {
    let images = [detail(1, 0, 5), detail(2, 0, BEGAN), detail(3, 1, BEGAN), detail(4, 2, BEGAN), detail(5, 0, BEGAN)];
    let docker = [line(2, 2, "new"), line(1, 3, "base"), line(3, 4, "new"), line(2, 5, "base"), line(4, 6, "new")];
    assert_eq!(verify_all(&docker, &images, &[], 4), [id(2), id(3), id(4)]);
    // Podman shows no image behind FROM, and counts anew in every stage.
    let of = |stage, line| ShownImage { stage, ..line };
    let podman = [of(1, line(2, 2, "new")), of(2, line(3, 2, "new")), of(3, line(4, 2, "new"))];
    assert_eq!(verify_all(&podman, &images, &[], 4), [id(2), id(3), id(4)]);
    let reused = [of(1, line(2, 2, "new")), of(2, line(2, 2, "cached")), of(2, line(4, 3, "new"))];
    assert_eq!(verify_all(&reused, &images, &[], 4), [id(2), id(4)], "the cache is this build's own");
}

#[test]
fn rule_1_what_a_container_was_committed_to_is_proved_by_it() {
    let ran = |container: &str, line| ShownImage { ran: Some(container.to_owned()), ..line };
    let by = |container: &str, image| ImageDetail { container: Some(container.repeat(6)), ..image };
    // While a1 runs it names 9, of a stranger's container, and pretends that another container runs.
    let images = [detail(1, 0, 5), by("a1", detail(2, 1, BEGAN)), by("ff", detail(9, 1, BEGAN)), detail(3, 2, BEGAN)];
    let lines = [line(1, 1, "base"), ran("a1a1", line(9, 2, "new")), ran("ffff", line(9, 3, "new"))];
    assert_eq!(verify_all(&lines, &images, &[], 0), [id(2)], "its own line has not come yet, and is not needed");
    let lines = [&lines[..], &[ran("ffff", line(2, 2, "new")), line(3, 3, "new")]].concat();
    assert_eq!(verify_all(&lines, &images, &[], 0), [id(2), id(3)]);
}

#[test]
fn an_image_that_was_committed_when_the_output_ended_is_found_by_its_container() {
    let by = |container: &str, image| ImageDetail { container: Some(container.repeat(6)), ..image };
    let images =
        [detail(1, 0, 5), by("a1", detail(2, 1, BEGAN)), by("b2", detail(3, 2, BEGAN)), by("ff", detail(9, 2, BEGAN))];
    let of = key("p", "s");
    let stamp = Stamp { project: Some(of.project), session: Some(of.session) };
    let evidence = Evidence { tells_containers: true, ..Evidence::of(&images, &stamp, None) };
    let one = ShownImage { ran: Some("a1a1".to_owned()), ..line(2, 2, "new") };
    let shown = Shown { images: vec![line(1, 1, "base"), one], stage: 1, step: 3, ran: Some("b2b2".to_owned()) };
    assert_eq!(verify(&shown, &evidence, |_| false), [id(2), id(3)]);
}

#[test]
fn rule_1_of_several_lines_for_a_step_the_last_is_the_builders() {
    // While step 2 runs, it names 9, a stranger's image made this very second on the same base, and then
    // pretends that a later stage begins. The builder's own words come after that.
    let images = [
        detail(1, 0, 5),
        detail(2, 1, BEGAN),
        detail(3, 2, BEGAN),
        detail(4, 3, BEGAN),
        detail(7, 0, 5),
        detail(8, 7, BEGAN),
        detail(9, 1, BEGAN),
    ];
    let lines = [
        line(1, 1, "base"),
        line(9, 2, "new"),
        line(7, 3, "base"),
        line(8, 4, "new"),
        line(2, 4, "new"),
        line(3, 3, "new"),
        line(4, 4, "new"),
    ];
    assert_eq!(verify_all(&lines, &images, &[], 4), [id(2), id(3), id(4)]);
}

#[test]
fn rule_2_what_does_not_descend_from_the_build_is_not_of_it() {
    let images = [detail(1, 0, 5), detail(2, 1, BEGAN), detail(7, 0, 5), detail(8, 7, BEGAN), detail(9, 8, BEGAN)];
    let lines = [line(1, 1, "base"), line(2, 2, "new"), line(9, 3, "new"), line(7, 4, "base"), line(8, 5, "new")];
    assert_eq!(verify_all(&lines, &images, &[], 0), [id(2)], "the failing step wrote the rest");
}

#[test]
fn rule_3_what_is_older_than_the_build_is_ours_only_if_it_is_on_record() {
    let lines = [line(1, 1, "base"), line(2, 2, "cached"), line(3, 3, "cached"), line(4, 4, "new"), line(5, 5, "new")];
    let images = [detail(1, 0, 5), detail(2, 1, 6), detail(3, 2, 7), detail(4, 3, BEGAN), detail(5, 4, BEGAN - 60)];
    assert_eq!(verify_all(&lines, &images, &[3], 0), [id(3), id(4)]);
    let new_but_cached = [detail(1, 0, 5), detail(2, 1, BEGAN + 1), detail(3, 2, BEGAN + 2)];
    assert_eq!(verify_all(&lines[..3], &new_but_cached, &[], 3), [], "a stranger built it meanwhile");
}

#[test]
fn rule_4_a_step_with_a_name_belongs_to_whoever_named_it() {
    let mut named = detail(2, 1, BEGAN);
    named.tags.push(Reference::written("theirs").expect("a name"));
    let mut result = detail(3, 2, BEGAN);
    result.tags.push(Reference::written("app").expect("a name"));
    let lines = [line(1, 1, "base"), line(2, 2, "new"), line(3, 3, "new")];
    assert_eq!(verify_all(&lines, &[detail(1, 0, 5), named, result], &[], 3), [id(3)]);
}

#[test]
fn rule_5_a_foreign_stamp_is_a_strangers_and_an_inherited_one_is_not() {
    let (ours, other) = (key("p", "s"), key("q", "t"));
    let lines = [line(1, 1, "base"), line(2, 2, "new"), line(3, 3, "new")];
    let on_theirs =
        [stamped(detail(1, 0, 5), &other), stamped(detail(2, 1, BEGAN), &other), stamped(detail(3, 2, BEGAN), &ours)];
    assert_eq!(verify_all(&lines, &on_theirs, &[], 3), [id(2), id(3)]);
    let theirs = [detail(1, 0, 5), detail(2, 1, BEGAN), stamped(detail(3, 2, BEGAN), &other)];
    assert_eq!(verify_all(&lines, &theirs, &[], 0), [id(2)]);
}

#[test]
fn what_the_result_descends_from_needs_no_line() {
    // The triggers of a base run in steps that the builder does not show.
    let images = [detail(1, 0, 5), detail(2, 1, BEGAN), detail(3, 2, BEGAN), detail(4, 3, BEGAN)];
    assert_eq!(verify_all(&[], &images, &[], 4), [id(2), id(3), id(4)]);
    assert_eq!(verify_all(&[line(3, 1, "new"), line(4, 2, "new")], &images, &[], 4), [id(2), id(3), id(4)]);
}

#[test]
fn where_the_output_was_cut_off_only_what_gave_the_stamp_needs_no_line() {
    let of = key("p", "s");
    let stamp = Stamp { project: Some(of.project.clone()), session: Some(of.session.clone()) };
    let half = |image| {
        let mut image = stamped(image, &of);
        image.labels.remove(SESSION_LABEL);
        image
    };
    // 3 may have come out of a stranger's cache: the line that said so is lost.
    let images = [
        detail(1, 0, 5),
        detail(2, 1, BEGAN),
        detail(3, 2, BEGAN),
        half(detail(4, 3, BEGAN)),
        stamped(detail(5, 4, BEGAN), &of),
    ];
    let found = |step, cut_off| {
        let evidence = Evidence { cut_off, ..Evidence::of(&images, &stamp, Some(id(5))) };
        let shown = Shown { images: vec![line(1, 1, "base"), line(2, 2, "new")], stage: 1, step, ran: None };
        verify(&shown, &evidence, |_| false)
    };
    assert_eq!(found(3, false), [id(2), id(3), id(4), id(5)]);
    assert_eq!(found(3, true), [id(2), id(4), id(5)]);
    assert_eq!(found(2, true), [id(4), id(5)], "the step that was running may have written its own line");
}

#[test]
fn the_step_that_completed_the_stamp_is_no_lie_even_where_the_build_failed_after_it() {
    // Docker may fail to give the tag after all steps are done.
    let (ours, other) = (key("p", "s"), key("p", "t"));
    let after = |base: ImageDetail, step: ImageDetail, last: ImageDetail, stamp: Stamp| {
        let images = [base, step, last];
        let evidence = Evidence::of(&images, &stamp, None);
        let images = vec![line(1, 1, "base"), line(2, 2, "new"), line(3, 3, "new")];
        verify(&Shown { images, stage: 1, step: 3, ran: None }, &evidence, |_| false)
    };
    let found = |last, stamp| after(detail(1, 0, 5), detail(2, 1, BEGAN), last, stamp);
    let stamp = Stamp::from(ours.clone());
    assert_eq!(found(stamped(detail(3, 2, BEGAN), &ours), stamp.clone()), [id(2), id(3)]);
    assert_eq!(found(detail(3, 2, BEGAN), stamp.clone()), [id(2)], "anybody may have made it");
    assert_eq!(found(stamped(detail(3, 2, BEGAN), &other), stamp.clone()), [id(2)]);
    assert_eq!(found(stamped(detail(3, 2, BEGAN - 1), &ours), stamp.clone()), [id(2)], "it was there before");
    assert_eq!(found(stamped(detail(3, 7, BEGAN), &ours), stamp), [id(2)], "it is not built on this");
    assert_eq!(found(detail(3, 2, BEGAN), Stamp::default()), [id(2)], "no stamp proves nothing");
    let half = Stamp { session: None, ..Stamp::from(ours.clone()) };
    let mut of_project = stamped(detail(3, 2, BEGAN), &ours);
    of_project.labels.remove(SESSION_LABEL);
    assert_eq!(found(of_project, half), [id(2)], "any session of the project may have made it");
    let made = |n, parent, created| stamped(detail(n, parent, created), &ours);
    let inherited = after(made(1, 0, 5), made(2, 1, BEGAN), made(3, 2, BEGAN), Stamp::from(ours.clone()));
    assert_eq!(inherited, [id(2)], "it came with the base");
}

#[test]
fn a_result_that_is_not_built_on_the_last_step_or_bears_another_stamp_is_another_builds() {
    let ours = key("p", "s");
    let made = |n, parent| stamped(detail(n, parent, BEGAN), &ours);
    let images =
        [detail(1, 0, 5), detail(2, 1, BEGAN), made(3, 2), detail(4, 2, BEGAN), detail(8, 1, BEGAN), made(9, 8)];
    let ask = |lines: &[ShownImage], result, stamp: &Stamp| {
        let shown = Shown { images: lines.to_vec(), stage: 1, step: 3, ran: None };
        (is_misnamed(&shown, id(result), &images, stamp), last_step(&shown, id(result), &images))
    };
    let (whole, none) = (Stamp::from(ours.clone()), Stamp::default());
    let lines = |last: &[u8]| {
        let last = last.iter().map(|&n| line(n, 3, "new"));
        [line(1, 1, "base"), line(2, 2, "cached")].into_iter().chain(last).collect::<Vec<_>>()
    };
    assert_eq!(ask(&lines(&[3]), 3, &whole), (false, Some(id(2))));
    assert_eq!(ask(&lines(&[9]), 9, &whole), (true, Some(id(2))), "not built on the last step");
    assert_eq!(ask(&lines(&[4]), 4, &whole), (true, Some(id(2))), "not stamped");
    assert_eq!(ask(&lines(&[4]), 4, &none), (false, Some(id(2))), "no stamp was given");
    let of_another_stage = [ShownImage { stage: 0, ..line(8, 2, "new") }, line(3, 3, "new")];
    assert_eq!(ask(&of_another_stage, 3, &whole), (false, None), "a stage may be no more than its base and the stamp");
    assert_eq!(ask(&[], 4, &whole), (true, None), "of a quiet build there is no step");
    assert_eq!(ask(&[], 3, &whole), (false, None));

    // Of the line that named the other's image nothing is believed.
    for other in [9, 4] {
        let result = Some(id(3));
        let evidence = Evidence { cut_off: true, ..Evidence::of(&images, &whole, result) };
        let shown = Shown { images: vec![line(2, 2, "new"), line(other, 3, "new")], stage: 1, step: 3, ran: None };
        assert_eq!(verify(&shown, &evidence, |_| false), [id(2), id(3)], "{other}");
    }
}

#[test]
fn a_build_that_adds_nothing_to_its_base_has_made_nothing() {
    let just_pulled = [detail(1, 0, BEGAN)];
    assert_eq!(verify_all(&[line(1, 1, "base")], &just_pulled, &[], 1), []);
}

#[test]
fn rule_2_a_line_that_leads_elsewhere_ends_all_belief_in_a_failed_build() {
    let images = [detail(1, 0, 5), detail(2, 1, BEGAN), detail(3, 2, BEGAN), detail(9, 1, BEGAN)];
    let lines = [line(1, 1, "base"), line(2, 2, "new"), line(3, 3, "new"), line(9, 4, "new")];
    assert_eq!(verify_all(&lines, &images, &[], 0), [id(2), id(3)]);
}

#[test]
fn what_was_committed_last_must_be_built_on_the_step_before_it() {
    let by = |container: &str, image| ImageDetail { container: Some(container.repeat(6)), ..image };
    let images = [detail(1, 0, 5), by("a1", detail(2, 1, BEGAN)), by("b2", detail(3, 7, BEGAN))];
    let stamp = Stamp::from(key("p", "s"));
    let evidence = Evidence { tells_containers: true, ..Evidence::of(&images, &stamp, None) };
    let one = ShownImage { ran: Some("a1a1".to_owned()), ..line(2, 2, "new") };
    let shown = Shown { images: vec![line(1, 1, "base"), one], stage: 1, step: 3, ran: Some("b2b2".to_owned()) };
    assert_eq!(verify(&shown, &evidence, |_| false), [id(2)]);
}

#[test]
fn below_a_strangers_step_nothing_is_ours() {
    let images = [detail(1, 0, 5), detail(3, 1, BEGAN), detail(4, 3, BEGAN), detail(5, 4, BEGAN)];
    let lines = [line(1, 1, "base"), line(4, 3, "cached")];
    assert_eq!(verify_all(&lines, &images, &[], 5), [id(5)]);
}

#[test]
fn what_stands_on_a_strangers_step_is_ours_also_where_no_base_is_shown() {
    // From scratch, or with Podman. A stranger made 2 and 3 long ago, or one of them; we made 4 and 5.
    let images = [detail(2, 1, 5), detail(3, 2, 6), detail(4, 3, BEGAN), detail(5, 4, BEGAN)];
    let other = [detail(2, 1, 5), detail(3, 2, 6), detail(4, 3, BEGAN), detail(9, 2, BEGAN), detail(8, 7, BEGAN)];
    let begins = [line(2, 2, "cached"), line(3, 3, "cached")];
    let with = |last: &[ShownImage]| [&begins[..], last].concat();
    for recorded in [&[][..], &[2], &[3]] {
        let ours: Vec<ImageId> = recorded.iter().copied().chain([4, 5]).map(id).collect();
        let lines = with(&[line(4, 4, "new"), line(5, 5, "new")]);
        assert_eq!(verify_all(&lines, &images, recorded, 0), ours, "the build failed");
        assert_eq!(verify_all(&lines, &images, recorded, 5), ours, "what the long way says too");
        // What a failing step names must stand on the step before it all the same.
        for lie in [9, 8] {
            let ours: Vec<ImageId> = recorded.iter().copied().map(id).collect();
            assert_eq!(verify_all(&with(&[line(lie, 4, "new")]), &other, recorded, 0), ours, "{lie}");
            let ours: Vec<ImageId> = ours.into_iter().chain([id(4)]).collect();
            let lines = with(&[line(4, 4, "new"), line(lie, 5, "new")]);
            assert_eq!(verify_all(&lines, &other, recorded, 0), ours, "{lie}");
        }
    }
    // In the next stage a step of the one before is no longer what counts.
    let next = ShownImage { stage: 2, ..line(9, 3, "new") };
    let first = ShownImage { stage: 2, ..line(7, 2, "cached") };
    assert_eq!(verify_all(&with(&[first, next]), &[&other[..], &[detail(7, 0, 5)]].concat(), &[], 0), []);
}

#[test]
fn rule_5_both_halves_of_a_stamp_must_be_ours() {
    let lines = [line(1, 1, "base"), line(2, 2, "new"), line(3, 3, "new")];
    for other in [key("q", "s"), key("p", "t")] {
        let images = [detail(1, 0, 5), detail(2, 1, BEGAN), stamped(detail(3, 2, BEGAN), &other)];
        assert_eq!(verify_all(&lines, &images, &[], 0), [id(2)]);
    }
}

#[test]
fn parents_that_lead_in_a_circle_end_somewhere() {
    let images = [detail(2, 3, BEGAN), detail(3, 2, BEGAN)];
    verify_all(&[line(2, 2, "new"), line(3, 3, "new")], &images, &[], 3);
}

#[test]
fn the_base_of_the_result_is_not_ours_however_new_it_is() {
    let images = [detail(3, 1, BEGAN), detail(4, 3, BEGAN), detail(5, 4, BEGAN)];
    assert_eq!(verify_all(&[line(4, 1, "base")], &images, &[], 5), [id(5)]);
    // Podman does not show it, but whoever made it has named it.
    let mut named = images.clone();
    named[1].tags.push(Reference::written("theirs").expect("a name"));
    assert_eq!(verify_all(&[], &named, &[], 5), [id(5)]);
}

#[test]
fn a_build_out_of_the_cache_needs_no_question() {
    let ask = |lines: &[ShownImage], recorded: &[u8], result: u8| {
        let shown = Shown { images: lines.to_vec(), stage: 1, step: 3, ran: None };
        all_cached(&shown, Some(id(result)), &recorded.iter().map(|&n| id(n)).collect::<Vec<_>>())
    };
    let lines = [line(1, 1, "base"), line(2, 2, "cached"), line(3, 3, "cached")];
    let images = [detail(1, 0, 5), detail(2, 1, 6), detail(3, 2, 7)];
    assert_eq!(ask(&lines, &[2, 3], 3), Some(vec![id(2), id(3)]));
    assert_eq!(ask(&lines, &[2, 3], 3), Some(verify_all(&lines, &images, &[2, 3], 3)), "what the long way says too");
    assert_eq!(ask(&lines, &[3, 9], 3), Some(vec![id(3)]), "a stranger's step stays one");
    assert_eq!(ask(&lines, &[3, 9], 3), Some(verify_all(&lines, &images, &[3, 9], 3)));
    assert_eq!(ask(&lines, &[2], 3), None, "nobody knows the result");
    assert_eq!(ask(&lines, &[2, 3, 4], 4), None, "another result than the last line's");
    assert_eq!(ask(&[line(2, 2, "cached"), line(3, 3, "new")], &[2, 3], 3), None, "a step was made");
    assert_eq!(ask(&[], &[3], 3), None, "nothing was shown");
}

#[test]
fn what_was_there_before_a_build_is_not_its_own() {
    let whole = Stamp::from(key("p", "s"));
    // Was it in the list, is it new, has it the whole stamp → is it ours
    for (there, new, stamp, ours) in [
        (Some(false), true, &whole, true),
        // It came out of the cache, and had been deleted.
        (Some(false), false, &whole, true),
        (Some(true), false, &whole, false),
        // The list came late.
        (Some(true), true, &whole, true),
        (Some(true), false, &Stamp::default(), false),
        (Some(false), false, &Stamp::default(), true),
        (None, false, &whole, true),
        (None, true, &Stamp::default(), false),
    ] {
        assert_eq!(is_of_this_build(there, new, stamp), ours, "{there:?} {new} {stamp:?}");
    }
}

/// Podman does not show what a stage begins from, which may be on record as what another build of ours ended in.
#[test]
fn a_base_on_record_that_nobody_showed_is_no_step() {
    let of = key("p", "s");
    let stamp = Stamp { project: Some(of.project), session: Some(of.session) };
    let details = [detail(1, 0, 5), detail(2, 1, 5), detail(3, 2, BEGAN), detail(4, 3, BEGAN)];
    for (lines, step) in [(vec![line(3, 2, "new"), line(4, 3, "new")], 3), (vec![line(4, 3, "new")], 3)] {
        let evidence = |result| Evidence { shows_bases: false, ..Evidence::of(&details, &stamp, result) };
        let shown = Shown { images: lines, stage: 1, step, ran: None };
        let on_record = |image| [id(1), id(2)].contains(&image);
        assert_eq!(verify(&shown, &evidence(Some(id(4))), on_record), [id(3), id(4)]);
        let failed = Shown { step: 4, ..shown };
        assert_eq!(verify(&failed, &evidence(None), on_record), [id(3), id(4)]);
    }
}

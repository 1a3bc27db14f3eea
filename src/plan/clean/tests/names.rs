//! Which names are ours, and what becomes of an image that has others.

use super::*;

#[test]
fn rule_7_tags_go_only_where_tags_go_and_a_foreign_one_keeps_the_image() {
    let of = key("p", "s");
    let case = case(
        vec![
            image(1).tag("app").done(),
            image(2).tag("app:2").tag("theirs").done(),
            image(3).tag("theirs:3").done(),
            image(4).tag("docker.io/library/app:4").done(),
            image(5).tag("app:5").tag("localhost/app:5").done(),
            image(6).tag("localhost/app:6").done(),
        ],
        (1..=6)
            .map(|n| Build {
                tags: vec![reference(if n == 1 { "app".to_owned() } else { format!("app:{n}") }.as_str())],
                ..build(&n.to_string(), &of, n, &[])
            })
            .collect(),
    );
    assert_eq!(case.steps(&leftovers()), [""; 0]);
    assert_eq!(
        case.kept(&leftovers()),
        [
            (1, KeptReason::Tagged),
            (2, KeptReason::ForeignTag),
            (3, KeptReason::ForeignTag),
            (4, KeptReason::Tagged),
            (5, KeptReason::ForeignTag),
            (6, KeptReason::ForeignTag)
        ]
    );
    assert_eq!(case.steps(&end_of_session()), ["untag 2 app:2", "untag 5 app:5", "-1", "-4"]);
}

#[test]
fn rule_7_the_tag_that_tilt_adds_is_ours_under_tilt_only() {
    let of = key("p", "s");
    let digits = &id(1).digits()[..16];
    let steps = |given: &str, added: &str, tilt: bool| {
        let build = Build { tilt, tags: vec![reference(given)], ..build("a", &of, 1, &[]) };
        case(vec![image(1).tag(given).tag(added).done()], vec![build]).steps(&end_of_session())
    };
    let (given, added) = ("app:tilt-build-1", format!("app:tilt-{digits}"));
    assert_eq!(steps(given, &added, true), ["-1"]);
    assert_eq!(steps(given, &added, false), ["untag 1 app:tilt-build-1"]);
    let of_one_name = ("dev:a-tilt-build-1", format!("dev:a-tilt-{digits}"));
    assert_eq!(steps(of_one_name.0, &of_one_name.1, true), ["-1"]);
    for theirs in ["app:tilt-release", "app:tilt-0123456789abcdef", "app:tilt-01", "app:tilt-", "tool:tilt-build-1"] {
        assert_eq!(steps(given, theirs, true), ["untag 1 app:tilt-build-1"], "{theirs}");
    }
}

#[test]
fn rule_7_a_private_name_is_nobodys() {
    let of = key("p", "s");
    let mut left = image(1).done();
    left.tags.push(id(1).private_tag());
    let case = case(vec![left], vec![build("a", &of, 1, &[])]);
    assert_eq!(case.plan(&leftovers()).steps[0].deed, Deed::RemoveImage { id: id(1), guard: ImageGuard::Untagged });
}

#[test]
fn rule_10_dkbs_own_name_goes_where_others_hold_the_image_and_no_build_may_want_it() {
    let of = key("p", "s");
    let mut left = image(1).tag("theirs").done();
    left.tags.push(id(1).private_tag());
    let untag = format!("untag 1 {}", id(1).private_tag());
    let mut case = case(vec![left], vec![build("a", &of, 1, &[])]);
    assert_eq!(case.steps(&leftovers()), [untag]);
    case.running =
        vec![RunningBuild { of: key("q", "t"), key: "another".to_owned(), tags: vec![reference("another")] }];
    assert_eq!(case.steps(&leftovers()), [""; 0], "it may be about to take the tag");
    case.running.clear();
    let took = Build { took: vec![Taken::new(reference("theirs"), id(1))], ..build("b", &key("p", "t"), 7, &[]) };
    case.books.apply(Record::Build(took));
    assert_eq!(case.steps(&leftovers()), [""; 0], "a session that took the tag will give it back");
}

/// By the cache somebody else's build may end in a step of ours, and give that a name of his own: be it the one that our
/// build gave to what it ended in.
#[test]
fn a_build_gives_its_names_to_what_it_ends_in_alone() {
    let of = key("p", "s");
    let made = [build("1", &of, 1, &[2]), Build { result: None, ok: false, ..build("2", &of, 0, &[3]) }];
    for n in [2, 3] {
        let images = vec![image(1).done(), image(n).tag("app").done()];
        let mut theirs = case(images, made.to_vec());
        let runs = Container { image_name: "app".to_owned(), ..container("theirs", n, ContainerState::Running) };
        for containers in [vec![], vec![runs]] {
            let reason = if containers.is_empty() { KeptReason::ForeignTag } else { KeptReason::InUse };
            theirs.snapshot.containers = containers;
            let stops = CleanPolicy { stops: true, ..end_of_session() };
            for policy in [end_of_session(), stops, CleanPolicy { tags: true, ..leftovers() }] {
                let goes = theirs.steps(&policy);
                assert!(!goes.iter().any(|step| step.contains(&n.to_string()) || step.contains("theirs")), "{goes:?}");
                assert!(theirs.kept(&policy).contains(&(n, reason)), "{n} {policy:?}");
            }
        }
    }
}

/// A step is as old as what it is a step of, and what somebody calls it is no version of ours.
#[test]
fn the_newest_by_number_are_those_that_our_builds_named() {
    let of = key("p", "s");
    for step in [2, 9] {
        let images = vec![image(5).tag("app:1").done(), image(step).tag("app:plain").done()];
        let tags = vec![reference("app:1")];
        let named = case(images, vec![Build { tags, ..build("1", &of, 5, &[step]) }]);
        let last = CleanPolicy { tags: true, keep_last: Some(1), ..leftovers() };
        assert_eq!(named.steps(&last), [""; 0], "{step}");
        assert!(named.kept(&last).contains(&(5, KeptReason::KeepLast)), "{step}");
    }
}

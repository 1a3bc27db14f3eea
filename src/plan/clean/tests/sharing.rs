//! What several sessions built.

use super::*;

#[test]
fn rule_3_an_image_that_another_session_built_too_stays() {
    let (of, other) = (key("p", "s"), key("p", "t"));
    let case = case(
        vec![
            image(1).done(),
            image(2).tag("app").tag("other").done(),
            image(3).tag("both").done(),
            image(4).tag("app").done(),
        ],
        vec![
            build("a", &of, 1, &[]),
            build("b", &other, 1, &[]),
            build("g", &of, 4, &[]),
            Build { tags: vec![], ..build("h", &other, 4, &[]) },
            build("c", &of, 2, &[]),
            Build { tags: vec![reference("other")], ..build("d", &other, 2, &[]) },
            Build { tags: vec![reference("both")], ..build("e", &of, 3, &[]) },
            Build { tags: vec![reference("both")], ..build("f", &other, 3, &[]) },
        ],
    );
    let why = "the other session gave the third one's tag too, and with its last tag the fourth would go";
    assert_eq!(case.steps(&end_of_session()), ["untag 2 app:latest"], "{why}");
    let kept = [1, 2, 3, 4].map(|n| (n, KeptReason::OtherSession));
    assert_eq!(case.kept(&end_of_session()), kept);
    assert_eq!(case.steps(&leftovers()), ["-1"], "both are of the project");
}

#[test]
fn rule_4_what_a_build_needs_that_runs_keeps_its_names_though_another_session_built_it_too() {
    let (of, other) = (key("p", "s"), key("p", "t"));
    let mut case = case(
        vec![image(2).tag("app").tag("other").done()],
        vec![build("a", &of, 2, &[]), Build { tags: vec![reference("other")], ..build("b", &other, 2, &[]) }],
    );
    assert_eq!(case.steps(&end_of_session()), ["untag 2 app:latest"]);
    case.running = vec![RunningBuild { of, key: "k".to_owned(), tags: Vec::new() }];
    assert_eq!(case.steps(&end_of_session()), [""; 0]);
    assert_eq!(case.kept(&end_of_session()), [(2, KeptReason::OtherSession)], "that is told first");
}

#[test]
fn rule_3_what_a_cleaned_session_left_to_another_goes_with_that_one() {
    let (of, other) = (key("p", "s"), key("p", "t"));
    let images =
        || [1, 2].map(|n| image(n).parent(4).done()).into_iter().chain([image(3).done(), image(4).parent(3).done()]);
    let builds = |at| {
        let at = Timestamp::from_second(at).expect("a time");
        vec![Build { at, ..build("a", &of, 1, &[3, 4]) }, Build { at, ..build("b", &other, 2, &[3, 4]) }]
    };
    let end_of_other = CleanPolicy { scope: Scope::Session(other.clone()), ..end_of_session() };
    let mut case = case(images().collect(), builds(10));
    assert_eq!(case.steps(&end_of_session()), ["-1"]);
    assert_eq!(
        case.kept(&end_of_other),
        [(1, KeptReason::OtherSession), (3, KeptReason::OtherSession), (4, KeptReason::OtherSession)]
    );
    assert_eq!(case.plan(&leftovers()).left_to_others, [], "the project's sessions go on");
    let ends = case.plan(&end_of_session());
    assert!(
        ends.kept
            .iter()
            .filter(|kept| kept.id != id(2).to_string())
            .all(|kept| kept.holders == [crate::model::Holder::Maker(name("t"))]),
        "{ends:#?}"
    );
    let at = Timestamp::from_second(20).expect("a time");
    assert_eq!(crate::plan::over::left_to_others(&ends, at, |_| true), [], "it goes on");
    for record in crate::plan::over::left_to_others(&ends, at, |_| false) {
        case.books.apply(record);
    }
    case.snapshot.images.retain(|image| image.id != id(1));
    assert_eq!(case.steps(&end_of_other), ["-2", "-4", "-3"]);
    // A session that goes on has built it again.
    case.books.apply(Record::Build(Build {
        at: Timestamp::from_second(30).expect("a time"),
        build: crate::model::BuildId::parse("c").expect("an ID"),
        ..builds(30).remove(0)
    }));
    assert_eq!(case.steps(&end_of_other), ["-2"]);
}

#[test]
fn what_a_session_would_have_kept_anyhow_it_leaves_to_nobody() {
    let (of, other) = (key("p", "s"), key("p", "t"));
    let gave = |name: &str, of: &SessionKey, tags: &[&str]| Build {
        tags: tags.iter().map(|tag| reference(tag)).collect(),
        ..build(name, of, 1, &[])
    };
    let shared = |image: Image, ours: &[&str], theirs: &[&str]| {
        case(vec![image], vec![gave("a", &of, ours), gave("b", &other, theirs)])
    };
    let left = |case: &Case, policy: &CleanPolicy| case.plan(policy).left_to_others.len();
    let plain = || shared(image(1).done(), &[], &[]);
    let (end, keep_tagged) = (end_of_session(), CleanPolicy { tags: false, ..end_of_session() });
    assert_eq!((left(&plain(), &end), left(&plain(), &keep_tagged)), (1, 1));
    // Whose names it bears → how many sessions leave it: at the end, and where tags stay
    for (ours, theirs, bears, want) in [
        (&["app"][..], &["app"][..], &["app"][..], (1, 0)),
        (&["app"], &["b"], &["app", "b"], (1, 0)),
        (&["app"], &["b"], &["b"], (1, 0)),
        (&["app"], &["b"], &["app"], (0, 0)),
        (&["app"], &["b"], &["b", "strangers"], (0, 0)),
    ] {
        let image = bears.iter().fold(image(1), |image, tag| image.tag(tag)).done();
        let case = shared(image, ours, theirs);
        assert_eq!((left(&case, &end), left(&case, &keep_tagged)), want, "{ours:?} {theirs:?} {bears:?}");
    }
    let used = plain().containers(vec![container("c", 1, ContainerState::Exited)]);
    let mut needed = plain();
    needed.running = vec![RunningBuild { of: of.clone(), key: "k".to_owned(), tags: Vec::new() }];
    assert_eq!((left(&used, &end), left(&needed, &end)), (0, 0));
    let tagged = shared(image(1).tag("app").done(), &["app"], &["app"]);
    let asked = CleanPolicy { keep: vec![Pattern::new("app").expect("a pattern")], ..end_of_session() };
    let young = CleanPolicy { older_than: Some(Duration::from_secs(2_000_000)), ..end_of_session() };
    assert_eq!((left(&tagged, &asked), left(&tagged, &young)), (0, 0));
    let doubted =
        case(vec![image(1).done()], vec![Build { doubted: true, ..gave("a", &of, &[]) }, gave("b", &other, &[])]);
    assert_eq!(left(&doubted, &end), 0, "what is in doubt stays in doubt");
}

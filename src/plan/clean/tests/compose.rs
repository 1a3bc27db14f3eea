//! A clean of what was built for one of compose's projects.

use super::*;

fn of(compose: Option<&str>, made: Build) -> Build {
    Build { compose: compose.map(name), ..made }
}

fn asked(policy: CleanPolicy) -> CleanPolicy {
    CleanPolicy { compose: Some(name("dev")), ..policy }
}

fn tagged() -> CleanPolicy {
    CleanPolicy { tags: true, ..leftovers() }
}

#[test]
fn what_was_built_for_another_project_of_composes_or_for_none_stays() {
    let here = key("p", "s");
    let case = case(
        vec![image(1).done(), image(2).done(), image(3).done(), image(4).done(), image(5).stamp(&here).done()],
        vec![
            of(Some("dev"), build("a", &here, 1, &[])),
            of(Some("test"), build("b", &here, 2, &[])),
            of(None, build("c", &here, 3, &[])),
            of(Some("dev"), build("d", &key("q", "t"), 4, &[])),
        ],
    );
    assert_eq!(case.steps(&leftovers()), ["-1", "-2", "-3"]);
    assert_eq!(case.steps(&asked(leftovers())), ["-1"]);
    let stays = [
        (2, KeptReason::OtherCompose),
        (3, KeptReason::OtherCompose),
        (4, KeptReason::OtherProject),
        (5, KeptReason::Unrecorded),
    ];
    assert_eq!(case.kept(&asked(leftovers())), stays);
    assert_eq!(case.steps(&asked(CleanPolicy { scope: Scope::All, ..leftovers() })), ["-1", "-4"]);
    // A stamp says nothing of compose.
    let trusting = CleanPolicy { trust_stamp: true, ..leftovers() };
    assert_eq!(case.steps(&trusting), ["-1", "-2", "-3", "-5"]);
    assert_eq!(case.steps(&asked(trusting)), ["-1"]);
}

#[test]
fn what_stays_for_another_project_of_composes_keeps_its_base_and_what_both_built() {
    let here = key("p", "s");
    let images = vec![image(1).done(), image(2).parent(1).done(), image(3).tag("app").done(), image(4).done()];
    let case = case(
        images,
        vec![
            of(Some("dev"), build("a", &here, 1, &[])),
            of(None, build("b", &here, 2, &[])),
            of(Some("dev"), build("c", &here, 3, &[])),
            of(Some("test"), build("d", &here, 4, &[])),
            of(Some("dev"), build("e", &here, 4, &[])),
        ],
    );
    assert_eq!(case.steps(&tagged()), ["-2", "-1", "-3", "-4"]);
    assert_eq!(case.steps(&asked(tagged())), ["-3"]);
    let stays = [(1, KeptReason::Base), (2, KeptReason::OtherCompose), (4, KeptReason::OtherCompose)];
    assert_eq!(case.kept(&asked(tagged())), stays);
    let keep = vec![Pattern::new("app").expect("a pattern")];
    assert_eq!(case.steps(&asked(CleanPolicy { keep, ..tagged() })), [""; 0]);
}

#[test]
fn no_session_ends_with_one_of_composes_projects_and_no_tag_goes_that_it_will_give_back() {
    let here = key("p", "s");
    let taken = Taken::new(reference("app"), id(7));
    let images = vec![image(1).tag("app").done(), image(2).tag("tool").done(), image(7).done()];
    let tool = Build { tags: vec![reference("tool")], ..build("b", &here, 2, &[]) };
    let builds = vec![of(Some("dev"), Build { took: vec![taken], ..build("a", &here, 1, &[]) }), of(Some("dev"), tool)];
    let case = case(images, builds).containers(vec![container(&id(2).to_string(), 2, ContainerState::Exited)]);
    for life in [Life::Unowned, Life::Alive] {
        let case = Case { lives: HashMap::from([(here.clone(), life)]), ..case_of(&case) };
        assert!(case.steps(&end_of_session()).contains(&"give 7 app:latest".to_owned()), "{life:?}");
        let part = case.steps(&asked(end_of_session()));
        assert_eq!(part.iter().filter(|step| !step.starts_with("container")).collect::<Vec<_>>(), ["-2"], "{life:?}");
        assert!(case.kept(&asked(end_of_session())).contains(&(1, KeptReason::Lent)), "{life:?}");
    }
}

fn case_of(case: &Case) -> Case {
    Case {
        snapshot: case.snapshot.clone(),
        books: case.books.clone(),
        lives: HashMap::new(),
        beats: HashMap::new(),
        opened: HashMap::new(),
        running: Vec::new(),
        layers: Layers::new(),
        here: case.here.clone(),
        now: case.now,
    }
}

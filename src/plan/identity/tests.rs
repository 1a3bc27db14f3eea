use super::*;

/// A desk: nothing is given, no CI, no git.
struct Desk {
    project: Option<&'static str>,
    session: Option<&'static str>,
    env: &'static [(&'static str, &'static str)],
    folder: &'static str,
    home: Option<&'static str>,
    checkout: Option<Checkout>,
    machine: &'static str,
    user: &'static str,
}

const DESK: Desk = Desk {
    project: None,
    session: None,
    env: &[],
    folder: "/home/joe/src/shop/web",
    home: Some("/home/joe"),
    checkout: None,
    machine: "m1",
    user: "1000",
};

const JOB: &[(&str, &str)] = &[
    ("GITHUB_ACTIONS", "true"),
    ("GITHUB_RUN_ID", "1"),
    ("GITHUB_RUN_ATTEMPT", "1"),
    ("GITHUB_JOB", "e2e"),
    ("GITHUB_REPOSITORY", "acme/from-ci"),
    ("RUNNER_NAME", "r"),
];

fn at(root: &str, main: &str, origin: Option<&str>) -> Checkout {
    Checkout { root: root.into(), main: main.into(), origin: origin.map(str::to_owned) }
}

fn identity(desk: &Desk) -> Identity {
    let given = |name: Option<&str>, place: &str| name.map(|name| (Name::typed(name).expect(name), place.to_owned()));
    Identity::of(&Facts {
        project: given(desk.project, "--project"),
        session: given(desk.session, "DKB_SESSION"),
        env: &|name| desk.env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned()),
        folder: Path::new(desk.folder),
        home: desk.home.map(Path::new),
        checkout: desk.checkout.as_ref(),
        machine: desk.machine,
        user: desk.user,
    })
}

#[test]
fn a_project_is_named_by_the_first_that_can() {
    let remote = || at("/home/joe/src/shop", "/home/joe/src/shop", Some("git@x:acme/shop.git"));
    let given = Origin::Given("--project".to_owned());
    for (desk, project, from) in [
        (Desk { project: Some("p"), env: JOB, checkout: Some(remote()), ..DESK }, "p", given),
        (Desk { env: JOB, checkout: Some(remote()), ..DESK }, "acme/from-ci", Origin::CiVariable("GITHUB_REPOSITORY")),
        (Desk { checkout: Some(remote()), ..DESK }, "acme/shop", Origin::Remote),
        (Desk { checkout: Some(at("/w/feature", "/w/shop", None)), ..DESK }, "shop", Origin::MainWorktree),
        (Desk { checkout: Some(at("/w/shop", "/w/shop.git", Some(""))), ..DESK }, "shop", Origin::MainWorktree),
        (DESK, "web", Origin::Folder),
    ] {
        let got = identity(&desk);
        assert_eq!((got.project.as_str(), got.project_from), (project, from));
    }
}

#[test]
fn home_and_the_root_name_nothing() {
    let dotfiles = || at("/home/joe", "/home/joe", Some("git@x:joe/dotfiles"));
    for (desk, project, from) in [
        (Desk { folder: "/home/joe", ..DESK }, "unnamed", Origin::Nothing),
        (Desk { folder: "/", ..DESK }, "unnamed", Origin::Nothing),
        (Desk { folder: "/", home: None, ..DESK }, "unnamed", Origin::Nothing),
        (Desk { folder: "/home/joe", checkout: Some(dotfiles()), ..DESK }, "unnamed", Origin::Nothing),
        (Desk { folder: "/home/joe/shop", checkout: Some(dotfiles()), ..DESK }, "shop", Origin::Folder),
        (Desk { folder: "/srv/---", ..DESK }, "unnamed", Origin::Nothing),
        // A worktree of the dotfiles is not named after the user either.
        (Desk { folder: "/tmp/wt", checkout: Some(at("/tmp/wt", "/home/joe", None)), ..DESK }, "wt", Origin::Folder),
        (Desk { folder: "/", env: JOB, ..DESK }, "acme/from-ci", Origin::CiVariable("GITHUB_REPOSITORY")),
    ] {
        let got = identity(&desk);
        assert_eq!((got.project.as_str(), got.project_from), (project, from), "{}", desk.folder);
    }
}

#[test]
fn a_session_is_what_was_given_or_the_job_or_the_working_copy() {
    let given = identity(&Desk { session: Some("s"), env: JOB, ..DESK });
    assert_eq!((given.session.as_str(), &given.session_from), ("s", &Origin::Given("DKB_SESSION".to_owned())));
    assert!(!given.session_is_the_jobs(), "another job may have been given the same");
    // The job is still known: its slot says what is over.
    assert_eq!(given.ci.expect("a job").session.as_str(), identity(&Desk { env: JOB, ..DESK }).session.as_str());

    let job = identity(&Desk { env: JOB, ..DESK });
    assert!(job.session.as_str().starts_with("gh-1-1-e2e-") && job.session_is_the_jobs());
    assert_eq!(job.session_from, Origin::CiJob("GitHub Actions"));

    let local = identity(&DESK);
    assert!(local.session.is_local() && local.session.as_str().len() == "local-".len() + 8);
    assert!(!local.session_is_the_jobs() && local.ci.is_none());
}

#[test]
fn a_job_that_can_not_be_told_apart_still_names_the_project() {
    const UNSURE: &[(&str, &str)] = &[("GITHUB_ACTIONS", "true"), ("GITHUB_REPOSITORY", "acme/shop")];
    let got = identity(&Desk { env: UNSURE, ..DESK });
    assert_eq!(got.project.as_str(), "acme/shop");
    assert!(got.ci.is_none() && got.session.is_local());
}

#[test]
fn a_local_session_is_the_working_copys_on_this_machine() {
    let session = |desk: &Desk| identity(desk).session;
    let shop = || at("/home/joe/src/shop", "/home/joe/src/shop", None);
    let here = Desk { checkout: Some(shop()), ..DESK };
    assert_eq!(session(&here), session(&Desk { folder: "/home/joe/src/shop", checkout: Some(shop()), ..DESK }));
    for other in [
        Desk { checkout: Some(at("/home/joe/src/wt", "/home/joe/src/shop", None)), ..DESK },
        Desk { checkout: Some(shop()), machine: "m2", ..DESK },
        Desk { checkout: Some(shop()), user: "1001", ..DESK },
        Desk { folder: "/home/joe/src/other", ..DESK },
    ] {
        assert_ne!(session(&here), session(&other));
    }
}

proptest::proptest! {
    #[test]
    fn whatever_folders_are_called_there_is_a_name(folder in "(/\\PC{0,20}){0,4}", origin in ".{0,40}") {
        let checkout = Checkout { root: (&folder).into(), main: (&folder).into(), origin: Some(origin) };
        let got = Identity::of(&Facts {
            project: None, session: None, env: &|_| None, folder: Path::new(&folder), home: None,
            checkout: Some(&checkout), machine: "", user: "",
        });
        proptest::prop_assert!(Name::typed(got.project.as_str()).is_ok(), "{}", got.project);
        proptest::prop_assert!(got.session.is_local());
    }
}

#[test]
fn a_checkout_vouches_for_no_name_of_its_own() {
    let given = || Origin::Given("somewhere".to_owned());
    let variable = |vouched| NamedBy::Variable { vouched };
    for (from, by, vouched) in [
        (given(), NamedBy::User, true),
        (given(), NamedBy::Checkout, false),
        (given(), variable(None), true),
        (given(), variable(Some(true)), true),
        (given(), variable(Some(false)), false),
        (Origin::CiVariable("CI_PROJECT_PATH"), NamedBy::User, true),
        (Origin::Remote, NamedBy::User, false),
        (Origin::MainWorktree, NamedBy::User, false),
        (Origin::Folder, NamedBy::User, false),
        (Origin::Nothing, NamedBy::User, false),
    ] {
        assert_eq!(is_vouched(&from, by), vouched, "{from:?} {by:?}");
    }
}

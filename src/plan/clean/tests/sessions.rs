//! Whose sessions a clean reaches, and which are over.

use super::*;

#[test]
fn stale_sessions_are_the_dead_the_former_of_the_slot_and_old_ci_ones() {
    let entry = |session: &str, ci: bool, slot: Option<&str>, last: i64| SessionEntry {
        last: Timestamp::from_second(last).expect("a time"),
        ci,
        slot: slot.map(name),
        ..SessionEntry::new(key("p", session), Timestamp::UNIX_EPOCH)
    };
    let over = |entry: SessionEntry| SessionEntry { over: Some(entry.last), ..entry };
    let now = 1_000_000;
    let entries = [
        (entry("dead", false, None, now), Life::Dead, true),
        (entry("alive", true, Some("slot"), 0), Life::Alive, false),
        (entry("former", true, Some("slot"), now - 601), Life::Unowned, true),
        (entry("just-now", true, Some("slot"), now - 599), Life::Unowned, false),
        (entry("runs", true, Some("slot"), now - 601), Life::Unowned, false),
        (entry("runs-for-hours", true, None, now - 7 * 3600), Life::Unowned, false),
        (entry("elsewhere", true, Some("other"), now - 601), Life::Unowned, false),
        (entry("old", true, None, now - 7 * 3600), Life::Unowned, true),
        (entry("young", true, None, now - 3600), Life::Unowned, false),
        (entry("local-12345678", false, None, 0), Life::Unowned, false),
        (entry("s", true, Some("slot"), 0), Life::Unowned, false),
        (entry("unsaid", false, None, 0), Life::Unowned, false),
        // Each was ended, and something of it had to stay. A working copy's own goes on, and a CI's may.
        (over(entry("ended", false, None, 0)), Life::Unowned, true),
        (over(entry("local-87654321", false, None, 0)), Life::Unowned, false),
        (over(entry("ended-job", true, None, now - 3600)), Life::Unowned, false),
        (over(entry("ended-and-open", false, None, 0)), Life::Alive, false),
        (SessionEntry { last: Timestamp::MAX, ..over(entry("again", false, None, 0)) }, Life::Unowned, false),
    ];
    let cleaned = SessionEntry { cleaned: Some(Timestamp::MAX), ..entry("cleaned", true, None, 0) };
    let labelled = |name: &str, state| Container {
        labels: HashMap::from([(RUN_LABEL.to_owned(), format!("p:{name}"))]),
        ..container(name, 9, state)
    };
    let mut case = case(Vec::new(), Vec::new()).containers(vec![
        labelled("runs", ContainerState::Running),
        labelled("runs-for-hours", ContainerState::Paused),
        labelled("former", ContainerState::Exited),
    ]);
    case.here.slot = Some(name("slot"));
    case.books.apply(Record::Session(cleaned));
    for (entry, life, _) in &entries {
        case.books.apply(Record::Session(entry.clone()));
        case.lives.insert(entry.key.clone(), *life);
    }
    let policy = CleanPolicy { scope: Scope::Stale { project: name("p") }, ..end_of_session() };
    let look = CleanLook {
        lives: &case.lives,
        beats: &case.beats,
        at_work: &at_work(&case.snapshot, &case.books),
        layers: &case.layers,
        now: case.now,
        ..CleanLook::of(&case.snapshot, &case.books, &case.here)
    };
    let found: Vec<&str> = sessions(&look, &policy).map(|key| key.session.as_str()).collect();
    let mut expected: Vec<&str> =
        entries.iter().filter(|(.., stale)| *stale).map(|(entry, ..)| entry.key.session.as_str()).collect();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn what_a_session_built_that_is_not_over_is_told_with_why() {
    let ci = |session: &str, slot: Option<&str>, idle: i64| SessionEntry {
        ci: true,
        slot: slot.map(name),
        last: Timestamp::from_second(1_000_000 - idle).expect("a time"),
        ..SessionEntry::new(key("p", session), Timestamp::UNIX_EPOCH)
    };
    let ours = |session: &str| SessionEntry { ci: false, ..ci(session, None, 0) };
    let with = |after: u64| CleanPolicy {
        scope: Scope::Stale { project: name("p") },
        stale_after: Duration::from_secs(after),
        ..end_of_session()
    };
    for (entry, runs, stale_after, told) in [
        (ci("job", None, 12), false, 5400, "may_be_at_work job (built 12 seconds ago; over after 1h 30m)"),
        (ci("job", None, 700), false, 5400, "may_be_at_work job (built 11 minutes ago; over after 1h 30m)"),
        (ci("job", Some("slot"), 12), false, 5400, "may_be_at_work job (built 12 seconds ago; over after 10m)"),
        (
            ci("job", None, 12),
            false,
            1,
            "may_be_at_work job (built 12 seconds ago; over after 10m, whatever --stale-after says)",
        ),
        (ci("job", None, 9000), true, 5400, "may_be_at_work job (a container of it runs)"),
        (ours("run-7"), false, 1, "not_over run-7 (until somebody says so: dkb session end run-7)"),
        (ours("local-12345678"), false, 1, "not_over local-12345678 (a working copy, which has no end)"),
        (ours("s"), false, 1, "not_over s (this session)"),
    ] {
        let of = entry.key.clone();
        let state = if runs { ContainerState::Running } else { ContainerState::Exited };
        let container =
            Container { labels: HashMap::from([(RUN_LABEL.to_owned(), of.run_label())]), ..container("c", 9, state) };
        let images = vec![image(1).tag("app").done()];
        let mut case = case(images, vec![build("a", &of, 1, &[])]).containers(vec![container]);
        case.here.slot = Some(name("slot"));
        case.books.apply(Record::Session(entry));
        let plan = case.plan(&with(stale_after));
        assert_eq!(plan.steps, []);
        let kept =
            plan.kept.iter().map(|kept| format!("{} {}", snake(kept.reason), kept.holders[0])).collect::<Vec<_>>();
        assert_eq!(kept, [told]);
    }
}

fn snake(reason: KeptReason) -> String {
    let word = serde_json::to_value(reason).expect("a word");
    word.as_str().expect("a word").to_owned()
}

#[test]
fn a_checkout_that_calls_itself_a_project_cleans_what_it_built_itself() {
    let in_copies = |session: &str, copies: &[&str]| {
        let copies = copies.iter().map(|copy| name(copy)).collect();
        Record::Session(SessionEntry { copies, ..SessionEntry::new(key("p", session), Timestamp::UNIX_EPOCH) })
    };
    let made_up = "run-0123456789ab";
    let sessions = ["local-00000001", "local-00000002", "here", "there", "both", "before", made_up];
    let images = (1..=7).map(|n| image(n).tag("app").done()).collect();
    let builds = (1..).zip(sessions).map(|(n, session)| build(session, &key("p", session), n, &[])).collect();
    let mut case = case(images, builds);
    case.here = here(key("p", "local-00000001"));
    case.books.apply(in_copies("here", &["local-00000001"]));
    case.books.apply(in_copies("there", &["local-00000002"]));
    for session in ["both", made_up] {
        case.books.apply(in_copies(session, &["local-00000001", "local-00000002"]));
    }
    let tagged = CleanPolicy { tags: true, ..leftovers() };
    assert_eq!(case.kept(&tagged), [], "the user has said which project it is");
    case.here.vouched = false;
    let others = [2, 4, 5, 6, 7].map(|n| (n, KeptReason::OtherCopy));
    assert_eq!(case.kept(&tagged), others);
    assert_eq!(case.kept(&leftovers())[1], others[0]);
    let session = |name| CleanPolicy { scope: Scope::Session(key("p", name)), ..end_of_session() };
    assert_eq!(case.steps(&session("there")), [""; 0]);
    assert_eq!(case.steps(&session("here")), ["-3"]);
    // A name that is given to a session may be one that others gave too; a CI job's own is not.
    case.here.key = key("p", "there");
    assert_eq!(case.steps(&session("there")), [""; 0]);
    case.here.alone = true;
    assert_eq!(case.steps(&session("there")), ["-4"]);
    // What somebody has opened elsewhere may have something there that nobody has noted.
    let mut open = |session: &str, copies: &[&str]| {
        let copies = copies.iter().map(|copy| name(copy)).collect();
        case.opened.insert(key("p", session), Opening { since: Timestamp::UNIX_EPOCH, copies });
        case.steps(&CleanPolicy { scope: Scope::Session(key("p", session)), ..end_of_session() })
    };
    assert_eq!(open("here", &["local-00000002"]), [""; 0]);
    assert_eq!(open("here", &["local-00000001"]), ["-3"]);
    // One whose name dkb made up is all of whoever opened it, wherever it was at work.
    assert_eq!(open("both", &["local-00000001"]), [""; 0]);
    assert_eq!(open(made_up, &["local-00000002"]), [""; 0]);
    assert_eq!(open(made_up, &["local-00000001"]), ["-7"]);
    assert_eq!(case.kept(&CleanPolicy { scope: Scope::All, ..tagged }), [], "whoever says all means all");
}

#[test]
fn what_somebody_else_keeps_open_is_not_ours_to_take() {
    let of = key("p", "s");
    let mut case =
        case(vec![image(1).done(), image(2).tag("app").done()], vec![build("a", &of, 1, &[]), build("b", &of, 2, &[])])
            .life(of, Life::Alive);
    for policy in [leftovers(), end_of_session(), CleanPolicy { scope: Scope::All, ..leftovers() }] {
        case.here.shared = false;
        assert!(case.steps(&policy).contains(&"-1".to_owned()), "{policy:?}");
        case.here.shared = true;
        assert_eq!(case.steps(&policy), [""; 0], "{policy:?}");
        assert_eq!(case.kept(&policy), [(1, KeptReason::SessionAlive), (2, KeptReason::SessionAlive)], "{policy:?}");
    }
}

//! Tags on loan, and the images that wait for them.

use super::*;
use crate::model::image_tests::Draft;

#[test]
fn rule_9_a_taken_tag_goes_back_and_what_it_was_taken_from_waits_for_it() {
    let (of, other) = (key("p", "s"), key("p", "t"));
    let took = Build { took: vec![Taken::new(reference("app"), id(7))], ..build("a", &of, 1, &[]) };
    let images = || vec![image(1).tag("app").done(), image(7).done()];
    let foreign = case(images(), vec![took.clone()]);
    assert_eq!(foreign.steps(&end_of_session()), ["give 7 app:latest", "-1"]);
    let untagged = Deed::RemoveImage { id: id(1), guard: ImageGuard::Untagged };
    assert_eq!(foreign.plan(&end_of_session()).steps[1].deed, untagged, "its only name has gone back");
    let moved = case(vec![image(1).done(), image(7).done(), image(9).tag("app").done()], vec![took.clone()]);
    assert_eq!(moved.steps(&end_of_session()), ["-1"], "somebody has moved the tag since");
    let apart = vec![image(9).tag("localhost/app").done(), image(1).tag("app").done(), image(7).done()];
    let apart = case(apart, vec![took.clone()]);
    assert_eq!(apart.steps(&end_of_session()), ["give 7 app:latest", "-1"], "another name, whatever it looks like");
    let gone = case(vec![image(1).tag("app").done()], vec![took.clone()]);
    assert_eq!(gone.steps(&end_of_session()), ["-1"]);
    let dropped = Image { dropped: true, ..image(7).done() };
    let dropped = case(vec![image(1).tag("app").done(), dropped], vec![took.clone()]);
    assert_eq!(dropped.steps(&end_of_session()), ["-1"], "no name brings back what the engine has dropped");
    assert_eq!(foreign.steps(&CleanPolicy { tags: false, ..end_of_session() }), [""; 0], "--keep-tagged keeps it");
    // Nobody waits for the end of a session that nobody opened.
    let tagged = CleanPolicy { tags: true, ..leftovers() };
    assert_eq!(foreign.steps(&tagged), ["give 7 app:latest", "-1"]);
    let opened = case(images(), vec![took.clone()]).life(of.clone(), Life::Dead);
    assert_eq!(opened.steps(&tagged), [""; 0], "until it ends");
    let used = case(images(), vec![took.clone()]).containers(vec![container("x", 1, ContainerState::Exited)]);
    assert_eq!(used.steps(&tagged), [""; 0], "with its name");
    let named = case(vec![image(1).tag("app").tag("theirs").done(), image(7).done()], vec![took.clone()]);
    assert_eq!(named.steps(&tagged), ["give 7 app:latest"], "it stays for somebody else");

    let theirs = |life| {
        let mut case = case(images(), vec![build("b", &other, 7, &[]), took.clone()]).life(of.clone(), life);
        case.here.key = key("p", "third");
        case
    };
    assert_eq!(theirs(Life::Alive).kept(&leftovers()), [(1, KeptReason::SessionAlive), (7, KeptReason::Lent)]);
    assert_eq!(theirs(Life::Unowned).kept(&leftovers()), [(1, KeptReason::Tagged)]);
}

#[test]
fn rule_10_what_a_session_held_is_let_go_once_no_tag_can_come_back_to_it() {
    let (of, other) = (key("p", "s"), key("p", "t"));
    let end = end_of_session;
    let private = |image: Image| Image { tags: [image.tags.clone(), vec![image.id.private_tag()]].concat(), ..image };
    let took = |from| vec![Taken::new(reference("app"), id(from))];
    let holds = |key: &SessionKey, images: &[u8]| {
        let held = images.iter().copied().map(id).collect();
        Record::Session(SessionEntry { held, ..SessionEntry::new(key.clone(), Timestamp::UNIX_EPOCH) })
    };
    // Session s took app from 7 and gave it to 1; 7 is on a store that would have dropped it.
    let session = |images: Vec<Image>, builds: Vec<Build>| {
        let mut case = case(images, [vec![Build { took: took(7), ..build("a", &of, 1, &[]) }], builds].concat());
        case.books.apply(holds(&of, &[7]));
        case
    };
    let held = || private(image(7).done());
    let ours = || image(1).tag("app").done();
    let untag = format!("untag 7 {}", id(7).private_tag());

    assert_eq!(session(vec![ours(), held()], vec![]).steps(&end()), ["give 7 app:latest", "-1"]);
    let moved = || vec![image(1).done(), held(), image(9).tag("app").done()];
    assert_eq!(session(moved(), vec![]).steps(&end()), ["-1", "-7"], "its owner moved the tag on");
    // Whoever took it off need not have meant what had it before.
    let taken_off = || session(vec![image(1).done(), held()], vec![]);
    assert_eq!(taken_off().steps(&end()), ["give 7 app:latest", "-1"]);
    let named = session(vec![image(1).done(), private(image(7).tag("theirs").done())], vec![]);
    assert_eq!(named.steps(&end()), [&untag, "-1"], "it stays by another name");
    let later = Build { took: took(8), ..build("b", &of, 2, &[]) };
    let mut later = session(vec![image(1).done(), image(2).done(), held(), private(image(8).done())], vec![later]);
    later.books.apply(holds(&of, &[8]));
    assert_eq!(later.steps(&end()), ["give 8 app:latest", "-1", "-2", "-7"], "to who had it last");
    let keep = vec![Pattern::new(&id(7).to_string()).expect("a pattern")];
    let meant = (session(moved(), vec![]), CleanPolicy { keep, ..end() });
    assert_eq!(meant.0.steps(&meant.1), ["-1"]);
    assert_eq!(meant.0.kept(&meant.1), [(7, KeptReason::KeepPattern)]);
    let named = vec![image(1).done(), private(image(7).tag("theirs").done()), image(9).tag("app").done()];
    assert_eq!(session(named, vec![]).steps(&end()), [&untag, "-1"]);
    let back = vec![image(1).done(), private(image(7).tag("app").done())];
    assert_eq!(session(back, vec![]).steps(&end()), [&untag, "-1"], "somebody gave it back by hand");

    // The session took the tag once more, from 8: 7 had lost it by then.
    let again = vec![Build { took: took(8), ..build("b", &of, 2, &[]) }];
    let mut twice = session(vec![image(1).done(), image(2).tag("app").done(), held(), private(image(8).done())], again);
    twice.books.apply(holds(&of, &[8]));
    assert_eq!(twice.steps(&end()), ["give 8 app:latest", "-1", "-2", "-7"]);

    // The tag stays where it is, for good or for now.
    let stays = || session(vec![ours(), held()], vec![]);
    let leaves_tags = CleanPolicy { tags: false, ..end() };
    assert_eq!(stays().steps(&leaves_tags), [""; 0], "a later clean gives the tag back");
    assert_eq!(stays().steps(&CleanPolicy { stops: true, ..leaves_tags }), ["-7"], "no one comes after its end");
    let keep = vec![Pattern::new("app").expect("a pattern")];
    assert_eq!(stays().steps(&CleanPolicy { keep, ..end() }), ["-7"]);
    assert_eq!(stays().steps(&CleanPolicy { older_than: Some(Duration::MAX), ..end() }), [""; 0]);
    let mut building = stays();
    building.running = vec![RunningBuild { of: of.clone(), key: "k".to_owned(), tags: Vec::new() }];
    assert_eq!(building.steps(&end()), [""; 0]);
    let mut building = session(moved(), vec![]);
    building.running = vec![RunningBuild { of: of.clone(), key: "other".to_owned(), tags: Vec::new() }];
    assert_eq!(building.steps(&end()), ["-1"], "it may have taken the tag and not said so yet");
    let lent_on = vec![Build { took: took(1), ..build("b", &other, 2, &[]) }];
    let lent_on = session(vec![image(1).done(), held(), image(2).tag("app").done()], lent_on);
    assert_eq!(
        lent_on.life(other.clone(), Life::Alive).steps(&end()),
        ["-1"],
        "to a living session, which owes it now"
    );

    // Others.
    let mut shared = session(moved(), vec![]);
    shared.books.apply(holds(&other, &[7]));
    assert_eq!(shared.steps(&end()), ["-1"], "another session holds it too");
    let container = || vec![container("x", 7, ContainerState::Exited)];
    let used = session(moved(), vec![]).containers(container());
    assert_eq!((used.steps(&end()), used.kept(&end())), (vec!["-1".to_owned()], vec![(7, KeptReason::InUse)]));
    assert_eq!(session(moved(), vec![build("b", &other, 7, &[])]).steps(&end()), ["-1"], "it has its own session");
    assert_eq!(session(moved(), vec![]).steps(&leftovers()), ["-1"], "the session has not ended");
    let nameless = vec![image(1).done(), image(7).done(), image(9).tag("app").done()];
    assert_eq!(session(nameless, vec![]).steps(&end()), ["-1"], "a store that needs no name of ours");
}

#[test]
fn rule_10_what_another_ledger_holds_is_left_to_it() {
    let (of, other) = (key("p", "s"), key("p", "t"));
    let (mine, theirs) = ('a', 'b');
    let end = end_of_session;
    // Session s took app from 7 and gave it to 1; 7 is on a store that would have dropped it.
    let session = |images: Vec<Image>| {
        let took = vec![Taken::new(reference("app"), id(7))];
        let mut case = case(images, vec![Build { took, ..build("a", &of, 1, &[]) }]);
        let entry = SessionEntry::new(of.clone(), Timestamp::UNIX_EPOCH);
        case.books.apply(Record::Session(SessionEntry { held: vec![id(7)], ..entry }));
        case.books.id = Some(ledger(mine));
        case
    };
    let held = |by: &[char]| by.iter().fold(image(7), |image, by| image.held(*by)).done();
    let ours = || image(1).tag("app").done();
    let moved = |held: Image| vec![image(1).done(), held, image(9).tag("app").done()];
    let untag = |n: u8, by: char| format!("untag {n} {}", id(n).hold(&ledger(by)));

    let back = session(vec![ours(), held(&[mine])]);
    assert_eq!(back.steps(&end()), ["give 7 app:latest", "-1"]);
    let holds = |step: &Step| matches!(&step.deed, Deed::GiveBack { hold: Some(name), .. } if *name == id(7).hold(&ledger(mine)));
    assert!(back.plan(&end()).steps.iter().any(holds));
    let gone = session(moved(held(&[mine])));
    assert_eq!(gone.steps(&end()), ["-1", "-7"]);
    let guard = |plan: &Plan| {
        plan.steps.iter().find(|step| step.removed_image() == Some(id(7))).map(|step| step.names().join(" "))
    };
    assert_eq!(guard(&gone.plan(&end())), Some(id(7).hold(&ledger(mine)).to_string()));

    let taken_off = |held: Image| session(vec![image(1).done(), held]).steps(&end());
    assert_eq!(taken_off(held(&[mine])), ["give 7 app:latest", "-1"]);
    assert_eq!(taken_off(held(&[mine, theirs])), [&untag(7, mine), "-1"], "it waits for another ledger's session");
    assert_eq!(taken_off(image(7).done()), ["give 7 app:latest", "-1"], "a store that needs no name of ours");
    assert_eq!(taken_off(image(7).tag("theirs").done()), ["-1"]);

    // Another ledger's session holds it too, or alone.
    assert_eq!(session(moved(held(&[mine, theirs]))).steps(&end()), [&untag(7, mine), "-1"]);
    assert_eq!(session(moved(held(&[theirs]))).steps(&end()), ["-1"]);
    let mut unknown = session(moved(held(&[mine])));
    unknown.books.id = None;
    assert_eq!(unknown.steps(&end()), ["-1"], "a copy of the ledger");

    // It has taken the tag from our image: once it comes back here, it goes back to where we had it from.
    let lent_on = session(vec![image(1).held(theirs).done(), held(&[mine]), image(9).tag("app").done()]);
    assert_eq!(lent_on.steps(&end()), [""; 0]);
    assert_eq!(lent_on.kept(&end()), [(1, KeptReason::Lent)]);
    let plan = lent_on.plan(&end());
    assert!(plan.kept[0].holders[0].to_string().contains(&format!("docker image rm {}", id(1).hold(&ledger(theirs)))));
    assert_eq!(lent_on.kept(&leftovers()), [(1, KeptReason::Lent)]);
    let named = session(vec![image(1).tag("app").held(theirs).done()]);
    assert_eq!(named.steps(&end()), ["untag 1 app:latest"]);
    assert_eq!(named.kept(&end()), [(1, KeptReason::Lent)]);

    // Our own hold is no name by which a stranger knows it, but a session that is not over wants it.
    let own = || session(vec![image(1).held(mine).done()]);
    assert_eq!(own().steps(&leftovers()), ["-1"]);
    let mut waits = own();
    let entry = SessionEntry::new(other.clone(), Timestamp::UNIX_EPOCH);
    waits.books.apply(Record::Session(SessionEntry { held: vec![id(1)], ..entry }));
    assert_eq!(waits.life(other, Life::Alive).kept(&leftovers()), [(1, KeptReason::Lent)]);

    // And no stamp opens a door to what somebody holds.
    let stamped = |image: Draft| case(vec![image.stamp(&of).done()], Vec::new());
    let trusting = CleanPolicy { trust_stamp: true, ..leftovers() };
    assert_eq!(stamped(image(5)).steps(&trusting), ["-5"]);
    assert_eq!(stamped(image(5).held(theirs)).steps(&trusting), [""; 0]);
}

#[test]
fn a_tag_goes_back_past_all_the_sessions_that_end() {
    // X is image 9; A, B and C took its tag one after the other.
    let [a, b, c] = ["a", "b", "c"].map(|session| key("p", session));
    let stale = || CleanPolicy { scope: Scope::Stale { project: name("p") }, tags: true, ..leftovers() };
    let of = |key: &SessionKey| CleanPolicy { scope: Scope::Session(key.clone()), ..stale() };
    let host = |holder: u8| {
        let tagged = |n: u8| {
            let image = image(n);
            let image = if n == holder { image.tag("app:dev") } else { image };
            if n == 9 { image.tag(id(9).private_tag().as_str()).done() } else { image.done() }
        };
        let took = |n: u8, key: &SessionKey, from: u8| Build {
            took: vec![Taken::new(reference("app:dev"), id(from))],
            tags: vec![reference("app:dev")],
            ..build(key.session.as_str(), key, n, &[])
        };
        let mut case = case([1, 2, 3, 9].map(tagged).to_vec(), vec![took(1, &a, 9), took(2, &b, 1), took(3, &c, 2)]);
        if let Some(entry) = case.books.sessions.get_mut(&a) {
            entry.held.push(id(9));
        }
        case.here = here(key("p", "next"));
        case
    };
    let (dead, alive) = (Life::Dead, Life::Alive);
    // Two that died: the third still has the tag, and owes it to whom these had it from, who waits.
    let third = host(3).life(a.clone(), dead).life(b.clone(), dead).life(c.clone(), alive);
    assert_eq!(third.steps(&stale()), ["-1", "-2"]);
    assert_eq!(third.kept(&stale()), [(3, KeptReason::SessionAlive)]);
    // A is ended while B is over.
    assert_eq!(host(3).life(b.clone(), dead).life(c.clone(), alive).steps(&of(&a)), ["-1"]);
    // And once C has given it back, and B has still to.
    assert_eq!(host(2).life(b.clone(), dead).steps(&of(&a)), ["-1"]);
    // All of them at once, and what is left of them once C has given it back to B.
    let all = host(3).life(a.clone(), dead).life(b.clone(), dead).life(c.clone(), dead);
    assert_eq!(all.steps(&stale())[0], "give 9 app:dev");
    let two = host(2).life(a.clone(), dead).life(b.clone(), dead);
    assert_eq!(two.steps(&stale())[0], "give 9 app:dev");
    // C alone ends: past those that died, who would only give it on, to one that goes on, or to what all had it from.
    let of_c = |a_is: Life| host(3).life(a.clone(), a_is).life(b.clone(), dead);
    assert_eq!(of_c(alive).steps(&of(&c)), ["give 1 app:dev", "-3"]);
    assert_eq!(of_c(dead).steps(&of(&c)), ["give 9 app:dev", "-3"]);
    // Where that is gone, the last who had it keeps it.
    let mut gone = of_c(dead);
    gone.snapshot.images.retain(|image| image.id != id(9));
    assert_eq!(gone.steps(&of(&c)), ["give 2 app:dev", "-3"]);
    let kept_or_given = |plan: &Plan| plan.steps.iter().all(|step| step.removed_image() != Some(id(9)));
    assert!(kept_or_given(&all.plan(&stale())) && kept_or_given(&two.plan(&stale())));
}

/// What stays of a session that is over stays for others: who took the tag from it owes that to whom the session had it
/// from.
#[test]
fn a_tag_goes_back_past_what_stays_of_a_session_for_somebody_else() {
    let (of, over) = (key("p", "s"), key("p", "o"));
    let took = |from| vec![Taken::new(reference("app"), id(from))];
    // 7 is a stranger's, 1 the image of o, which somebody has named as well, and 2 that of s.
    let host_with = |friend: Option<&str>, before: Vec<Taken>, rest: bool| {
        let one = friend.into_iter().fold(image(1), Draft::tag).done();
        let builds = vec![
            Build { took: before, ..build("a", &over, 1, &[]) },
            Build { took: took(1), ..build("b", &of, 2, &[]) },
        ];
        let mut case = case(vec![one, image(2).tag("app").done(), image(7).done()], builds);
        let held = SessionEntry { held: vec![id(7)], ..SessionEntry::new(over.clone(), Timestamp::UNIX_EPOCH) };
        case.books.apply(Record::Session(held));
        case.books.apply(Record::Cleaned { key: over.clone(), at: Timestamp::MAX, rest });
        case
    };
    let host = |friend, before| host_with(friend, before, false);
    let rest = host_with(Some("friend"), took(7), true);
    assert_eq!(rest.steps(&end_of_session()), ["give 7 app:latest", "-2"], "with steps that stand under it");
    let named = || host(Some("friend"), took(7));
    assert!(named().books.sessions[&of].held.contains(&id(7)));
    assert_eq!(named().steps(&end_of_session()), ["give 7 app:latest", "-2"]);
    let keep = vec![Pattern::new("friend").expect("a pattern")];
    assert_eq!(named().steps(&CleanPolicy { keep, ..end_of_session() }), ["give 1 app:latest", "-2"], "it is meant");
    let opened = named().life(over.clone(), Life::Alive);
    assert_eq!(opened.steps(&end_of_session()), ["give 1 app:latest", "-2"], "somebody is at work in it again");
    assert_eq!(host(Some("friend"), Vec::new()).steps(&end_of_session()), ["give 1 app:latest", "-2"]);
    // That one ends once more, and nobody else has a name on its image any more.
    let unnamed = host(None, took(7)).life(of.clone(), Life::Alive);
    let again = CleanPolicy { scope: Scope::Session(over.clone()), ..end_of_session() };
    assert_eq!(unnamed.steps(&again), ["-1"]);
    let mut unnamed = host(None, took(7));
    unnamed.books.apply(Record::Gone { at: Timestamp::UNIX_EPOCH, ids: vec![id(1)] });
    unnamed.snapshot.images.retain(|image| image.id != id(1));
    assert_eq!(unnamed.steps(&end_of_session()), ["give 7 app:latest", "-2"]);
}

/// The owner of a tag that the session took has built anew, by the cache, and ended in one of our steps.
#[test]
fn a_tag_on_a_step_of_ours_is_not_given_back() {
    let of = key("p", "s");
    let took = Build { took: vec![Taken::new(reference("app"), id(7))], ..build("1", &of, 1, &[2]) };
    let theirs = case(vec![image(1).done(), image(2).tag("app").done(), image(7).done()], vec![took]);
    let plan = theirs.plan(&end_of_session());
    assert!(plan.steps.iter().all(|step| !matches!(step.deed, Deed::GiveBack { .. })), "{plan:#?}");
    assert!(theirs.kept(&end_of_session()).contains(&(2, KeptReason::ForeignTag)));
}

/// What a session took that goes on stays where it is, or nothing could come back by it: neither a project's clean takes
/// it, nor the session's own under a build of its that runs.
#[test]
fn a_tag_on_loan_stays_with_our_image_until_it_comes_back() {
    let (of, next) = (key("p", "s"), key("p", "t"));
    let took = Build { took: vec![Taken::new(reference("app"), id(7))], ..build("a", &of, 1, &[2]) };
    let host = || {
        let images = vec![image(1).tag("app").tag("app:more").done(), image(2).done(), image(7).done()];
        let tags = vec![reference("app"), reference("app:more")];
        let mut case = case(images, vec![Build { tags, ..took.clone() }]).life(of.clone(), Life::Dead);
        case.here.key = next.clone();
        case
    };
    let tagged = CleanPolicy { tags: true, ..leftovers() };
    let all = CleanPolicy { scope: Scope::All, ..tagged.clone() };
    for policy in [&tagged, &all] {
        assert_eq!(host().kept(policy), [(1, KeptReason::Lent)]);
        assert_eq!(host().steps(policy), ["-2"]);
    }
    let stale = CleanPolicy { scope: Scope::Stale { project: name("p") }, ..end_of_session() };
    assert_eq!(host().steps(&stale), ["give 7 app:latest", "-1", "-2"]);
    // A build of another Dockerfile, that may take more.
    let mut runs = host();
    runs.here.key = of.clone();
    runs.running = vec![RunningBuild { of, key: "other".to_owned(), tags: vec![reference("tool")] }];
    assert_eq!(runs.kept(&end_of_session()), [(1, KeptReason::Lent)]);
    runs.lives.clear();
    assert_eq!(runs.kept(&end_of_session()), [(1, KeptReason::Lent)], "its next clean gives it back all the same");
    runs.running.clear();
    assert_eq!(runs.steps(&end_of_session()), ["give 7 app:latest", "-1", "-2"]);
}

/// With a stamp that is no session's, two of them may give one image one name.
#[test]
fn a_tag_that_another_session_gave_too_comes_back_once_that_one_is_over() {
    let (of, other) = (key("p", "s"), key("p", "t"));
    let took = Build { took: vec![Taken::new(reference("app"), id(7))], ..build("a", &of, 1, &[]) };
    let both = || {
        let builds = vec![took.clone(), build("b", &other, 1, &[])];
        case(vec![image(1).tag("app").done(), image(7).done()], builds)
    };
    let alive = both().life(other.clone(), Life::Alive);
    assert_eq!(alive.steps(&end_of_session()), [""; 0]);
    assert_eq!(alive.kept(&end_of_session()), [(1, KeptReason::SessionAlive), (7, KeptReason::Lent)]);
    // That image may bear somebody's stamp, and be kept as that.
    let mut stamped = both().life(other.clone(), Life::Alive);
    stamped.snapshot.images[1] = image(7).stamp(&key("q", "x")).done();
    assert_eq!(stamped.kept(&end_of_session()), [(1, KeptReason::SessionAlive), (7, KeptReason::Lent)]);
    // The other one ends first, and leaves all to the one that has the loan.
    let mut first = both().life(of.clone(), Life::Alive);
    first.here.key = other.clone();
    let plan = first.plan(&CleanPolicy { scope: Scope::Session(other.clone()), ..end_of_session() });
    assert_eq!(
        plan.left_to_others.iter().map(|left| (&left.of, &left.to, left.image)).collect::<Vec<_>>(),
        [(&other, &of, id(1))]
    );
    let mut over = both();
    let left = Record::Left { key: other, to: of, at: Timestamp::from_second(9).expect("a time"), ids: vec![id(1)] };
    over.books.apply(left);
    assert_eq!(over.steps(&end_of_session()), ["give 7 app:latest", "-1"]);
}

#[test]
fn what_a_session_held_waits_for_another_that_has_taken_the_tag_on() {
    let (of, other) = (key("p", "s"), key("p", "t"));
    let took = |from| vec![Taken::new(reference("app"), id(from))];
    let private = |image: Image| Image { tags: [image.tags.clone(), vec![image.id.private_tag()]].concat(), ..image };
    // s took app from 7, and t took it from what s built.
    let case = |images: Vec<Image>| {
        let builds = vec![
            Build { took: took(7), ..build("a", &of, 1, &[]) },
            Build { took: took(1), ..build("b", &other, 2, &[]) },
        ];
        let mut case = case(images, builds);
        let held = SessionEntry { held: vec![id(7)], ..SessionEntry::new(of.clone(), Timestamp::UNIX_EPOCH) };
        case.books.apply(Record::Session(held));
        case
    };
    let held = || private(image(7).done());
    let on = case(vec![image(1).done(), image(2).tag("app").done(), held()]);
    assert_eq!(on.steps(&end_of_session()), ["-1"], "t owes it now");
    let off = case(vec![image(1).done(), image(2).done(), held(), image(9).tag("app").done()]);
    assert_eq!(off.steps(&end_of_session()), ["-1", "-7"], "its owner moved the tag on");
}

/// Two ledgers by turns: what the other one built goes at its own session's end.
#[test]
fn who_had_a_tag_before_another_ledgers_session_is_still_known() {
    let of = key("p", "s");
    let took = |n: u8, taken: Taken| Build { took: vec![taken], ..build(&n.to_string(), &of, n, &[]) };
    let app = || reference("app");
    // 7 is a stranger's; s built 1 over it, another ledger's session 5 over that, and s 2 over that.
    let host = |may_go: bool| {
        let builds = vec![took(1, Taken::new(app(), id(7))), took(2, Taken { may_go, ..Taken::new(app(), id(5)) })];
        case(vec![image(1).done(), image(2).tag("app").done(), image(5).done(), image(7).done()], builds)
    };
    assert_eq!(host(true).steps(&end_of_session()), ["give 5 app:latest", "-1", "-2"]);
    let gone = |may_go: bool| {
        let mut gone = host(may_go);
        gone.snapshot.images.retain(|image| image.id != id(5));
        gone.steps(&end_of_session())
    };
    assert_eq!(gone(true), ["give 7 app:latest", "-1", "-2"]);
    assert_eq!(gone(false), ["-1", "-2"], "its owner took the tag from 7 and has none any more");
}

/// The tag was another session's on an image that both made.
#[test]
fn a_tag_goes_back_past_what_two_sessions_made() {
    let (of, other) = (key("p", "s"), key("p", "t"));
    let app = || reference("app");
    let builds = || {
        vec![
            Build { took: vec![Taken::new(app(), id(7))], ..build("a", &other, 1, &[]) },
            Build { tags: vec![reference("other")], ..build("b", &of, 1, &[]) },
            Build { took: vec![Taken::new(app(), id(1))], ..build("c", &of, 2, &[]) },
        ]
    };
    let host = || case(vec![image(1).tag("other").done(), image(2).tag("app").done(), image(7).done()], builds());
    let first = host().life(other.clone(), Life::Alive);
    assert_eq!(first.steps(&end_of_session()), ["give 1 app:latest", "-2"]);
    let mut last = host();
    last.books.apply(Record::Cleaned { key: other, at: Timestamp::MAX, rest: false });
    assert_eq!(last.steps(&end_of_session())[0], "give 7 app:latest");
}

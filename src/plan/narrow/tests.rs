use serde_json::{Value, json};

use super::*;
use crate::model::books_tests::id;
use crate::model::image_tests::host;
use crate::model::{ContainerState, Holder, ImageGuard, ImageId, Reason, Reference};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn volume(name: &str, created: Option<Timestamp>) -> Deed {
    Deed::RemoveVolume { name: name.to_owned(), created }
}

fn of_image(n: u8) -> String {
    id(n).to_string()
}

/// One step of every kind that there is, in today's order.
fn every_step() -> Vec<Step> {
    let box_of = |name: &str| (format!("{name}-id"), name.to_owned());
    let removed = |name: &str| {
        let (id, name) = box_of(name);
        Deed::RemoveContainer { id, name }
    };
    let image = |n, guard| Deed::RemoveImage { id: id(n), guard };
    let tag = |name: &str| Reference::written(name).expect(name);
    let (ran_id, ran) = box_of("ran");
    let (net_id, net) = box_of("net");
    let app = ["app:1".to_owned(), "app:one".to_owned()];
    let steps = [
        (Deed::StopContainer { id: ran_id, name: ran }, Reason::OfSession),
        (removed("ran"), Reason::OfSession),
        (removed("held"), Reason::HoldsImage),
        (Deed::RemoveNetwork { id: net_id, name: net }, Reason::OfSession),
        (Deed::GiveBack { name: tag("app:dev"), from: Some(id(2)), to: id(1), hold: None }, Reason::TakenTag),
        (Deed::Untag { image: id(3), name: tag("app:2") }, Reason::SessionOver),
        (image(4, ImageGuard::Named { names: app.to_vec() }), Reason::SessionOver),
        (image(5, ImageGuard::Pushed { digests: vec!["app@sha256:1".to_owned()] }), Reason::Leftover),
        (image(6, ImageGuard::Untagged), Reason::Leftover),
        (volume("old", None), Reason::OfSession),
        (volume("data", Some(at(7))), Reason::OfSession),
        (
            Deed::RemoveCache { id: "record".to_owned(), kind: String::new(), last: crate::model::CacheUse::default() },
            Reason::Unused,
        ),
    ];
    steps.into_iter().map(|(deed, reason)| Step::new(deed, reason, 10)).collect()
}

fn today() -> Plan {
    let in_use = Kept {
        kind: Kind::Image,
        id: of_image(9),
        names: vec!["theirs:1".to_owned()],
        bytes: 5,
        reason: KeptReason::InUse,
        holders: vec![Holder::Container { name: "web".to_owned(), state: ContainerState::Running }],
    };
    Plan::new("clean", &host(Vec::new(), Vec::new()).engine, at(100), every_step(), vec![in_use])
}

fn file(steps: &[Step]) -> Vec<Value> {
    steps.iter().map(|step| serde_json::to_value(step).expect("plain data")).collect()
}

fn read(steps: Vec<Value>) -> Vec<Wanted> {
    serde_json::from_value(Value::Array(steps)).expect("steps of a file")
}

fn kept_as_changed(plan: &Plan) -> Vec<&str> {
    plan.kept.iter().filter(|kept| kept.reason == KeptReason::Changed).map(|kept| kept.id.as_str()).collect()
}

#[test]
fn what_has_not_changed_is_done_whole() {
    let narrowed = narrow(today(), &read(file(&every_step())));
    assert_eq!(narrowed, Narrowed { plan: today(), whole: true });
}

/// Every field of every step, forged: what the file says of it is done as today's plan has it, or not at all.
#[test]
fn no_forged_field_is_obeyed() {
    let foreign = of_image(99);
    let guards = [
        json!({ "still": "untagged" }),
        json!({ "still": "pushed", "digests": ["theirs@sha256:2"] }),
        json!({ "still": "named", "names": ["theirs:1"] }),
        json!({ "still": "name_of", "id": foreign }),
        json!({ "still": "stopped" }),
        json!({ "still": "unused" }),
        json!({ "still": "unused_since", "created": "1970-01-01T00:00:07Z" }),
        json!({ "still": "unused_since", "created": "2020-01-01T00:00:00Z" }),
        json!({ "still": "gone mad" }),
    ];
    let mut forgeries: Vec<(&str, Value)> =
        vec![("bytes", json!(0)), ("bytes", json!("many")), ("result", json!("done"))];
    forgeries.extend(["stopped", "holds_image", "own_name", "no reason"].map(|reason| ("reason", json!(reason))));
    forgeries.extend(guards.map(|guard| ("guard", guard)));
    forgeries.extend(["stop", "remove", "untag", "give_back"].map(|action| ("action", json!(action))));
    forgeries.extend(["container", "image", "volume", "network", "build_cache"].map(|kind| ("type", json!(kind))));
    forgeries.extend([&*foreign, "", "theirs-id", "/../x"].map(|id| ("id", json!(id))));
    forgeries.extend([json!([]), json!(["theirs:1"]), json!(["app:1", "theirs:1"])].map(|names| ("names", names)));
    let today = today();
    for (at, step) in every_step().iter().enumerate() {
        for (field, forged) in &forgeries {
            let mut steps = file(&every_step());
            steps[at][*field] = forged.clone();
            let narrowed = narrow(today.clone(), &read(steps.clone()));
            let case = format!("{field} of {step:?} as {forged}");
            let mut without = every_step();
            without.remove(at);
            if narrowed.plan.steps == without {
                assert!(!narrowed.whole, "{case}");
                assert!(!matches!(*field, "bytes" | "reason" | "result"), "{case}: it says nothing of what is meant");
            } else {
                assert_eq!(narrowed.plan.steps, today.steps, "{case}");
                let is_same = steps[at][*field] == file(&every_step())[at][*field];
                let is_said_today = matches!(*field, "bytes" | "reason" | "result") || *field == "guard";
                assert!(is_same || is_said_today, "{case}");
            }
        }
    }
}

#[test]
fn steps_that_today_has_not_are_never_done() {
    let forged = [
        json!({ "action": "stop", "type": "container", "id": "theirs-id", "names": ["theirs"] }),
        json!({ "action": "remove", "type": "container", "id": "theirs-id", "names": ["theirs"] }),
        json!({ "action": "untag", "type": "image", "id": of_image(9), "names": ["theirs:1"] }),
        json!({ "action": "give_back", "type": "image", "id": of_image(9), "names": ["app:dev"] }),
        json!({ "action": "remove", "type": "image", "id": of_image(9), "names": [], "guard": { "still": "untagged" } }),
        json!({ "action": "remove", "type": "volume", "id": "", "names": [] }),
        json!({ "action": "remove", "type": "volume", "id": "\u{1b}[2J\r\n", "names": ["\u{202e}"] }),
    ];
    let narrowed = narrow(today(), &read(forged.to_vec()));
    assert_eq!((narrowed.plan.steps, narrowed.whole), (Vec::new(), false));
    let reasons: Vec<(&str, KeptReason)> =
        narrowed.plan.kept.iter().map(|kept| (kept.id.as_str(), kept.reason)).collect();
    let nine = of_image(9);
    let changed = |id| (id, KeptReason::Changed);
    let expected = [(&*nine, KeptReason::InUse), changed("theirs-id"), changed(""), changed("\u{1b}[2J\r\n")];
    assert_eq!(reasons, expected, "what today's plan keeps says why, and nothing is told twice");
}

#[test]
fn neither_order_nor_number_comes_from_the_file() {
    let mut steps = file(&every_step());
    steps.reverse();
    let twice = [steps.clone(), steps].concat();
    assert_eq!(narrow(today(), &read(twice)), Narrowed { plan: today(), whole: true });
    let mut steps = file(&every_step());
    steps[6]["names"] = json!(["app:one", "app:1"]);
    assert!(narrow(today(), &read(steps)).whole, "names have no order");
}

#[test]
fn a_thing_that_came_anew_under_its_old_name_is_another() {
    let mut plan = today();
    plan.steps[10].deed = volume("data", Some(at(8)));
    let narrowed = narrow(plan, &read(file(&every_step())));
    assert_eq!(kept_as_changed(&narrowed.plan), ["data"]);
}

#[test]
fn what_ended_by_itself_need_not_be_stopped() {
    let mut plan = today();
    plan.steps.remove(0);
    let narrowed = narrow(plan.clone(), &read(file(&every_step())));
    assert_eq!(narrowed, Narrowed { plan, whole: true });
}

#[test]
fn bytes_that_were_counted_with_what_stays_are_an_upper_bound() {
    let steps = file(&every_step()[8..9]);
    let Narrowed { plan, whole } = narrow(today(), &read(steps));
    assert_eq!((plan.totals().steps, plan.totals().bytes, plan.up_to, whole), (1, 10, true, false));
}

#[test]
fn a_long_file_takes_no_long_time() {
    let forged = |n: usize| json!({ "action": "remove", "type": "image", "id": format!("{n}"), "names": ["a", "b"] });
    let steps: Vec<Value> = (0..200_000).map(forged).chain(file(&every_step())).collect();
    let narrowed = narrow(today(), &read(steps));
    assert_eq!((narrowed.plan.steps.len(), narrowed.plan.kept.len()), (12, 200_001));
}

#[test]
fn an_id_is_no_pattern() {
    let all = [ImageId::parse(&of_image(6)).expect("an ID").short(), "*".to_owned(), of_image(6).to_uppercase()];
    let wild = |id: &String| json!({ "action": "remove", "type": "image", "id": id, "names": [] });
    assert_eq!(narrow(today(), &read(all.iter().map(wild).collect())).plan.steps, []);
}

#[test]
fn what_a_file_has_and_is_not_there_any_more_is_gone_and_not_changed() {
    let nothing = Plan { steps: Vec::new(), ..today() };
    let is_gone = |kind: Kind, id: &str| kind == Kind::Image && id == of_image(6);
    let told = narrow(nothing, &read(file(&every_step()))).told_of_gone(is_gone).plan;
    let gone: Vec<&str> =
        told.kept.iter().filter(|kept| kept.reason == KeptReason::AlreadyGone).map(|kept| kept.id.as_str()).collect();
    assert_eq!(gone, [of_image(6)]);
    assert!(kept_as_changed(&told).contains(&of_image(5).as_str()));
    assert_eq!(told.kept[0], today().kept[0], "what is kept for a reason of today stays so");
}

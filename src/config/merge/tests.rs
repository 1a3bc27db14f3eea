use std::path::Path;

use super::*;
use crate::config::keys::{ValueKind, find};

fn base() -> Base<'static> {
    Base { folder: Path::new("/work"), home: None }
}

fn entry(key: &str, text: &str, place: &str) -> Entry {
    let key = find(key).expect(key);
    let value = Value::from_text(key.kind, text, base()).expect(text);
    Entry { key, value, source: Source::Variable(place.to_owned()) }
}

fn one(layers: &Layered, key: &str) -> (String, Vec<String>, Option<String>) {
    let found = merge(layers, base()).into_iter().find(|one| one.key.name == key).expect(key);
    (
        found.value.map(|value| value.to_string()).unwrap_or_default(),
        found.sources.iter().map(ToString::to_string).collect(),
        found.passed_over.map(|(value, source)| format!("{value} {source}")),
    )
}

/// One value in every layer, and each must win as soon as the ones before it are silent.
#[test]
fn a_flag_goes_before_a_variable_before_a_checkout_before_the_own_file_before_the_default() {
    let mut layers = Layered {
        flags: vec![entry("stamp", "none", "flag")],
        environment: vec![entry("stamp", "project", "environment")],
        borrowed: vec![entry("stamp", "none", "borrowed")],
        checkout: vec![entry("stamp", "project", "checkout")],
        host: vec![entry("stamp", "none", "host")],
        own: vec![entry("stamp", "project", "own")],
    };
    let takers: [fn(&mut Layered) -> &mut Vec<Entry>; 6] = [
        |l| &mut l.flags,
        |l| &mut l.environment,
        |l| &mut l.borrowed,
        |l| &mut l.checkout,
        |l| &mut l.host,
        |l| &mut l.own,
    ];
    for (layer, taker) in ["flag", "environment", "borrowed", "checkout", "host", "own"].iter().zip(takers) {
        assert_eq!(one(&layers, "stamp").1, [*layer]);
        taker(&mut layers).clear();
    }
    assert_eq!(one(&layers, "stamp"), ("full".to_owned(), vec!["default".to_owned()], None));
}

#[test]
fn the_last_of_a_repeated_flag_holds() {
    let flags = vec![entry("keep_last", "1", "a"), entry("keep_last", "2", "b")];
    assert_eq!(one(&Layered { flags, ..Layered::default() }, "keep_last").0, "2");
}

#[test]
fn keep_patterns_and_filters_add_up_over_all_places() {
    let layers = Layered {
        flags: vec![entry("keep", "a", "flag")],
        environment: vec![entry("keep", "b", "environment")],
        checkout: vec![entry("keep", "c,a", "checkout")],
        own: vec![entry("keep", "d", "own"), entry("sweep.filter", "label=ci", "own")],
        ..Layered::default()
    };
    let (value, sources, _) = one(&layers, "keep");
    assert_eq!(
        (value.as_str(), sources),
        ("a, b, c, d", ["flag", "environment", "checkout", "own"].map(str::to_owned).to_vec())
    );
    // What is labelled keep=true stays, whatever else is filtered.
    assert_eq!(one(&layers, "sweep.filter").0, "label=ci, label!=keep=true");
}

#[test]
fn a_checkouts_retention_counts_only_where_it_keeps_more() {
    for (key, own, checkout, holds, by) in [
        ("keep_last", "", "3", "3", "checkout"),
        ("keep_last", "2", "3", "3", "checkout"),
        ("keep_last", "5", "3", "5", "own"),
        ("keep_last", "3", "3", "3", "own"),
        ("keep_last", "", "0", "", "default"),
        ("older_than", "", "1h", "1h", "checkout"),
        ("older_than", "7d", "1h", "7d", "own"),
        ("stale_after", "", "1h", "6h", "default"),
        ("stale_after", "", "9h", "9h", "checkout"),
        ("stale_after", "2h", "3h", "3h", "checkout"),
        ("keep_superseded", "", "2", "2", "checkout"),
        ("keep_superseded", "3", "2", "3", "own"),
    ] {
        let own = (!own.is_empty()).then(|| entry(key, own, "own")).into_iter().collect();
        let layers = Layered { own, checkout: vec![entry(key, checkout, "checkout")], ..Layered::default() };
        let (value, sources, passed_over) = one(&layers, key);
        assert_eq!((value.as_str(), sources[0].as_str()), (holds, by), "{key} {checkout}");
        let in_vain = (by != "checkout" && holds != checkout).then(|| format!("{checkout} checkout"));
        assert_eq!(passed_over, in_vain, "{key} {checkout}");
    }
}

#[test]
fn a_flag_of_the_users_own_may_keep_less_than_a_checkout_asks() {
    let layers = Layered {
        flags: vec![entry("keep_last", "1", "flag")],
        checkout: vec![entry("keep_last", "5", "checkout")],
        ..Layered::default()
    };
    assert_eq!(one(&layers, "keep_last"), ("1".to_owned(), vec!["flag".to_owned()], None));
}

proptest::proptest! {
    /// Whatever a checkout says: with it nothing is kept for a shorter time or in a smaller number, and no pattern is lost.
    #[test]
    fn a_checkout_never_makes_more_be_deleted(
        own in proptest::option::of(0..9_u64), checkout in 0..9_u64, patterns in proptest::collection::vec("[a-c]", 0..3),
    ) {
        for key in KEYS.iter().filter(|key| key.by == By::Narrowing) {
            let text = |number: u64| if key.kind == ValueKind::Count { number.to_string() } else { format!("{number}h") };
            let mut layers = Layered::default();
            layers.own.extend(own.map(|own| entry(key.name, &text(own), "own")));
            layers.own.push(entry("keep", &format!("x,{}", patterns.join(",")), "own"));
            let keeps = |layers: &Layered| {
                let all = merge(layers, base());
                let found = all.iter().find(|one| one.key.name == key.name).expect("the key");
                let keep = all.iter().find(|one| one.key.name == "keep").expect("keep").value.clone();
                (found.value.as_ref().map_or(0, Value::keeps), keep)
            };
            let without = keeps(&layers);
            layers.checkout.push(entry(key.name, &text(checkout), "checkout"));
            layers.checkout.push(entry("keep", "y", "checkout"));
            let with = keeps(&layers);
            proptest::prop_assert!(with.0 >= without.0);
            let (Some(Value::List(before)), Some(Value::List(after))) = (without.1, with.1) else { panic!("lists") };
            proptest::prop_assert!(before.iter().all(|pattern| after.contains(pattern)));
        }
    }
}

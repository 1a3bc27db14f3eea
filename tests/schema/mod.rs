//! As much of JSON Schema as `docs/schema.json` uses, so that what dkb writes is held to what it publishes.

use serde_json::Value;

/// The published schema.
pub(crate) fn published() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/schema.json");
    serde_json::from_str(&std::fs::read_to_string(path).expect("the schema")).expect("JSON")
}

/// Where a document is not as the schema says; empty where it is.
pub(crate) fn faults(schema: &Value, document: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    check(schema, schema, document, "", &mut faults);
    faults
}

fn check(root: &Value, schema: &Value, document: &Value, at: &str, faults: &mut Vec<String>) {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.strip_prefix("#/$defs/").expect("a definition of its own");
        let named = root["$defs"].get(name).unwrap_or_else(|| panic!("nobody defines {name}"));
        return check(root, named, document, at, faults);
    }
    for (word, one) in [("oneOf", true), ("anyOf", false)] {
        if let Some(all) = schema[word].as_array() {
            let tried = all.iter().map(|schema| {
                let mut faults = Vec::new();
                check(root, schema, document, at, &mut faults);
                faults
            });
            let tried: Vec<Vec<String>> = tried.collect();
            let fitting = tried.iter().filter(|faults| faults.is_empty()).count();
            if fitting == 0 || one && fitting > 1 {
                faults.push(format!("{at}: {fitting} of {} fit: {tried:?}", all.len()));
            }
        }
    }
    let is_of = |kind: &str| match kind {
        "object" => document.is_object(),
        "array" => document.is_array(),
        "string" => document.is_string(),
        "boolean" => document.is_boolean(),
        "integer" => document.is_u64(),
        "null" => document.is_null(),
        kind => panic!("a type {kind}"),
    };
    if let Some(kind) = schema["type"].as_str().filter(|kind| !is_of(kind)) {
        faults.push(format!("{at}: no {kind}: {document}"));
    }
    let is_listed = schema["enum"].as_array().is_none_or(|all| all.contains(document));
    if !is_listed || schema.get("const").is_some_and(|only| only != document) {
        faults.push(format!("{at}: {document} is none of those"));
    }
    for item in document.as_array().into_iter().flatten().filter(|_| schema.get("items").is_some()) {
        check(root, &schema["items"], item, &format!("{at}[]"), faults);
    }
    let Some(fields) = document.as_object() else { return };
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    faults.extend(required.filter(|key| !fields.contains_key(*key)).map(|key| format!("{at}.{key} is missing")));
    for (key, value) in fields {
        match schema["properties"].get(key) {
            Some(schema) => check(root, schema, value, &format!("{at}.{key}"), faults),
            None if schema["additionalProperties"] == false => faults.push(format!("{at}.{key} is not published")),
            None => {}
        }
    }
}

use super::*;

mod golden;

fn read_text(text: impl AsRef<[u8]>) -> Result<PlanFile> {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("plan.json");
    std::fs::write(&path, text).expect("a file");
    read(&path, "clean")
}

#[test]
fn what_is_no_plan_is_refused() {
    let engine = r#""engine": { "id": "a", "endpoint": "b", "version": "c" }, "steps": []"#;
    let plan = format!(r#"{{ "schema": 1, "kind": "clean", {engine} }}"#);
    assert!(read_text(&plan).is_ok(), "nothing else is read of it");
    let deep = |before: &str| format!(r#"{{ "schema": 1, {before}{}"#, "[".repeat(100_000));
    for (text, why) in [
        ("", "EOF"),
        ("{}", "missing field"),
        ("[]", "expected"),
        ("null", "invalid type"),
        (&plan[1..], "expected"),
        (&format!("{plan}{plan}"), "trailing"),
        (&plan.replace(r#""schema": 1"#, r#""schema": 2"#), "its schema is 2"),
        (&plan.replace(r#""schema": 1"#, r#""schema": -1"#), "invalid value"),
        (&plan.replace(r#""clean""#, r#""sweep""#), "it is for sweep"),
        (&plan.replace("[]", r#"[{"action":"burn","type":"image","id":"","names":[]}]"#), "unknown variant"),
        (&plan.replace("[]", r#"[{"action":"stop","type":"image","id":7,"names":[]}]"#), "invalid type"),
        (&plan.replace("[]", r#"[], "scope": "everything""#), "invalid type"),
        (&plan.replace("[]", r#"[], "scope": { "of": "all" }"#), "missing field"),
        (&deep(r#""kept": "#), "EOF"),
        (&deep(r#""steps": [{ "guard": { "still": "#), "EOF"),
        (&deep(r#""scope": { "of": "#), "recursion limit"),
    ] {
        let error = read_text(text).expect_err("no plan").to_string();
        assert!(error.contains(why), "{text:.200}: {error}");
    }
    assert!(read_text(b"\xff\xfe").is_err());
    for path in ["/dev/zero", "/dev/null", "/", "/none"] {
        assert!(read(Path::new(path), "clean").is_err(), "{path}");
    }
}

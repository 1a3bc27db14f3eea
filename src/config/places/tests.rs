use std::collections::HashMap;

use super::*;

/// A home, a checkout in it, and an environment.
struct Desk {
    top: tempfile::TempDir,
    env: HashMap<String, OsString>,
}

impl Desk {
    fn new() -> Self {
        let top = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(top.path().join("shop/a/b")).expect("a folder");
        let env = HashMap::from([("HOME".to_owned(), top.path().as_os_str().to_owned())]);
        Self { top, env }
    }

    fn file(self, path: &str, text: &str) -> Self {
        let path = self.top.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
        self
    }

    fn var(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.insert(name.to_owned(), value.into());
        self
    }

    fn load(&self, typed: &[Typed], settings: Option<&str>) -> Result<Settings> {
        let env = |name: &str| self.env.get(name).cloned();
        let places = Places::new(self.top.path().join("shop/a/b"), &env);
        load(&places, &env, settings.map(Path::new), typed, Vec::new())
    }

    fn error(&self, typed: &[Typed], settings: Option<&str>) -> String {
        let error = self.load(typed, settings).expect_err("an error");
        assert_eq!(error.kind.exit_code(), 2);
        error.to_string().replace(&self.top.path().display().to_string(), "~")
    }

    fn keep_last(&self) -> (Option<usize>, String) {
        let settings = self.load(&[], None).expect("settings");
        let source = settings.source("keep_last").map(ToString::to_string).unwrap_or_default();
        (settings.keep_last, source.replace(&self.top.path().display().to_string(), "~"))
    }
}

fn typed(id: &'static str, values: &[&str]) -> Typed {
    Typed { id, flag: format!("--{}", id.replace('_', "-")), values: values.iter().map(Into::into).collect() }
}

#[test]
fn the_nearest_file_upwards_is_the_checkouts() {
    let desk = Desk::new().file("shop/dkb.toml", "keep_last = 2").file("dkb.toml", "keep_last = 3");
    assert_eq!(desk.keep_last(), (Some(2), "~/shop/dkb.toml:1".to_owned()));
    let desk = desk.file("shop/a/dkb.toml", "\nkeep_last = 4");
    assert_eq!(desk.keep_last(), (Some(4), "~/shop/a/dkb.toml:2".to_owned()));
}

#[test]
fn our_own_file_is_found_as_xdg_says() {
    let desk = Desk::new().file(".config/dkb/config.toml", "keep_last = 1").file("x/dkb/config.toml", "keep_last = 2");
    assert_eq!(desk.keep_last(), (Some(1), "~/.config/dkb/config.toml:1".to_owned()));
    let relative = Desk { top: desk.top, env: desk.env }.var("XDG_CONFIG_HOME", "x");
    assert_eq!(relative.keep_last().0, Some(1));
    let x = relative.top.path().join("x");
    assert_eq!(relative.var("XDG_CONFIG_HOME", x).keep_last().0, Some(2));
}

#[test]
fn without_a_home_there_is_no_file_of_our_own() {
    let desk = Desk::new().file("shop/dkb.toml", "yes = true").var("HOME", "");
    let error = desk.error(&[], None);
    assert!(error.ends_with("set it in the file that --settings names or by DKB_YES or by --yes"), "{error}");
    let desk = Desk::new().var("HOME", "");
    assert_eq!(desk.load(&[], None).expect("settings").state_dir, None);
}

#[test]
fn a_named_file_stands_in_for_our_own() {
    let desk = Desk::new().file(".config/dkb/config.toml", "yes = true").file("shop/a/b/mine.toml", "keep_last = 9");
    let got = desk.load(&[], Some("mine.toml")).expect("settings");
    assert_eq!((got.yes, got.keep_last), (false, Some(9)));
    let desk = desk.var("DKB_SETTINGS", "mine.toml");
    assert_eq!(desk.load(&[], None).expect("settings").keep_last, Some(9));
    let flag_first = desk.error(&[], Some("none.toml"));
    assert_eq!(
        flag_first,
        "--settings ~/shop/a/b/none.toml: there is no such file\n  name a settings file that exists, or leave it out"
    );
}

#[test]
fn a_checkouts_file_that_we_name_ourselves_is_our_own() {
    let desk = Desk::new().file("shop/a/b/dkb.toml", "yes = true");
    assert!(desk.load(&[], None).is_err());
    assert!(desk.load(&[], Some("dkb.toml")).expect("settings").yes);
}

#[test]
fn every_key_has_a_variable() {
    for key in KEYS.iter().filter(|key| key.by != By::Flag) {
        let text = match key.kind {
            super::super::keys::ValueKind::Choice(words) => words[1],
            super::super::keys::ValueKind::Bool => "TRUE",
            super::super::keys::ValueKind::Count => "3",
            super::super::keys::ValueKind::Duration => "3h",
            super::super::keys::ValueKind::Size => "3GB",
            super::super::keys::ValueKind::Mark => "90%",
            super::super::keys::ValueKind::Filters => "label=x",
            _ => "name",
        };
        let mut desk = Desk::new().var(&key.variable(), text);
        if key.name == "sweep.down_to" {
            desk = desk.var("DKB_SWEEP_WHEN_DISK_ABOVE", "95%");
        }
        let settings = desk.load(&[], None).expect(key.name);
        assert_eq!(settings.source(key.name), Some(&Source::Variable(key.variable())), "{}", key.name);
        // An empty one is none.
        let empty = Desk::new().var(&key.variable(), "").load(&[], None).expect(key.name);
        assert!(!empty.is_set(key.name), "{}", key.name);
    }
}

#[test]
fn a_bad_word_is_an_error_that_names_where_it_stands() {
    let desk = Desk::new();
    for (typed, error) in [
        (
            typed("keep_last", &["two"]),
            "--keep-last: takes a whole number, 0 or more, not 'two'\n  keep_last: the newest N of every repository stay",
        ),
        (
            typed("project", &["a b"]),
            "--project: takes a name of up to 128 A-Z a-z 0-9 . _ / -, beginning with a letter or digit, not 'a b'\n  \
             project: the software that is built here, across checkouts and machines",
        ),
        (
            typed("keep", &["a", ""]),
            "--keep: takes a list of patterns such as [\"app:*\", \"postgres*\"], not 'a '\n  keep: images whose names \
             match are never deleted",
        ),
        (
            typed("session", &[""]),
            "--session: takes a name of up to 128 A-Z a-z 0-9 . _ / -, beginning with a letter or digit, not ''\n  \
             session: the stretch of work that this run belongs to",
        ),
    ] {
        assert_eq!(desk.error(&[typed], None), error);
    }
    for (name, value, error) in [
        ("DKB_YES", "maybe", "DKB_YES: takes true or false, not 'maybe'\n  yes: never ask"),
        (
            "DKB_TRUST_STAMP",
            "true",
            "DKB_TRUST_STAMP: 'trust_stamp' is taken from its flag only\n  say --trust-stamp each time",
        ),
    ] {
        assert_eq!(Desk::new().var(name, value).error(&[], None), error);
    }
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_utf_8_is_refused() {
    use std::os::unix::ffi::OsStringExt;
    let error = Desk::new().var("DKB_PROJECT", OsString::from_vec(vec![b'a', 0xff])).error(&[], None);
    assert_eq!(error, "DKB_PROJECT: 'a\u{fffd}' is not UTF-8");
}

#[test]
fn patterns_in_flags_are_not_parted_and_the_last_scalar_holds() {
    let desk = Desk::new();
    let got = desk.load(&[typed("keep", &["a,b", "c"]), typed("older_than", &["1h", "2h"])], None).expect("settings");
    assert_eq!(got.keep.iter().map(crate::model::Pattern::as_str).collect::<Vec<_>>(), ["a,b", "c"]);
    // One flag, two keys: the retention of clean and that of sweep.
    assert_eq!(
        (got.older_than, got.sweep.policy.until),
        (Some(std::time::Duration::from_secs(7200)), got.older_than.expect("2h"))
    );
}

#[test]
fn a_file_that_can_not_be_read_stops_everything() {
    let desk = Desk::new();
    fs::create_dir_all(desk.top.path().join(".config/dkb/config.toml")).expect("a folder");
    let error = desk.error(&[], None);
    assert!(error.starts_with("reading ~/.config/dkb/config.toml: "), "{error}");
    assert!(error.ends_with("\n  dkb does nothing before it knows what to keep"), "{error}");
    let huge = Desk::new().file("shop/dkb.toml", &"#".repeat(2 << 20)).error(&[], None);
    assert!(huge.starts_with("reading ~/shop/dkb.toml: it is larger than"), "{huge}");
    let folder: fn(&Path) -> io::Result<()> = |path| fs::create_dir(path);
    let nowhere: fn(&Path) -> io::Result<()> = |path| std::os::unix::fs::symlink("nowhere", path);
    let device: fn(&Path) -> io::Result<()> = |path| std::os::unix::fs::symlink("/dev/null", path);
    for (put, why) in [(folder, "no plain file"), (nowhere, "a link to nothing"), (device, "no plain file")] {
        for place in ["shop/dkb.toml", ".config/dkb/config.toml"] {
            let desk = Desk::new().file(".config/dkb/other", "").file("dkb.toml", "keep_last = 3");
            put(&desk.top.path().join(place)).expect("something");
            let error = desk.error(&[], None);
            assert!(error.starts_with(&format!("reading ~/{place}: it is {why}\n")), "{error}");
        }
    }
}

#[test]
fn the_ledger_stands_where_xdg_says() {
    let desk = Desk::new();
    let state = |desk: &Desk| desk.load(&[], None).expect("settings").state_dir.expect("a folder");
    let home = desk.top.path().canonicalize().expect("a home");
    assert_eq!(state(&desk), home.join(".local/state/dkb"));
    assert_eq!(state(&desk.var("XDG_STATE_HOME", "/x")), Path::new("/x/dkb"));
    let own = Desk::new().var("DKB_STATE_DIR", "rel");
    assert_eq!(state(&own), own.top.path().join("shop/a/b/rel"));
}

#[test]
fn root_notes_nothing_in_the_home_of_somebody_else() {
    let home = tempfile::tempdir().expect("a folder");
    let state = |key: &'static str| {
        let home = home.path().to_owned();
        let places = Places::new("/".into(), &move |name| (name == key).then(|| home.clone().into_os_string()));
        places.state.expect("a folder")
    };
    assert!(state("HOME").starts_with(fs::canonicalize(home.path()).expect("a path")));
    assert!(state("XDG_STATE_HOME").starts_with(home.path()));
    // Only root can make it somebody else's.
    if std::os::unix::fs::chown(home.path(), Some(12_345), None).is_ok() {
        for key in ["HOME", "XDG_STATE_HOME"] {
            assert_eq!(state(key), super::roots_home().join(".local/state/dkb"));
        }
    }
}

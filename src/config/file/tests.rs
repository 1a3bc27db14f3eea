use super::*;

fn own(text: &str) -> Result<File> {
    read(text, Path::new("/c.toml"), Whose::User, None)
}

fn checkout(text: &str) -> Result<File> {
    read(text, Path::new("/w/dkb.toml"), Whose::Checkout { own: Path::new("/c.toml") }, None)
}

#[test]
fn every_value_knows_its_line() {
    let text = "# mine\nproject = \"p\"\nkeep = [\n  \"a\",\n  \"b\",\n]\nsweep.until = \"2h\"\n";
    let seen: Vec<_> = own(text)
        .expect("a file")
        .entries
        .iter()
        .map(|entry| (entry.key.name, entry.value.to_string(), entry.source.to_string()))
        .collect();
    let expected = [("project", "p", "/c.toml:2"), ("keep", "a, b", "/c.toml:3"), ("sweep.until", "2h", "/c.toml:7")];
    assert_eq!(seen, expected.map(|(key, value, at)| (key, value.to_owned(), at.to_owned())));
}

/// Every error that a user's own file can get, whole.
#[test]
fn an_error_names_the_line_the_key_and_what_is_accepted() {
    for (text, error) in [
        (
            "\nkeeplast = 2",
            "/c.toml:2: unknown key 'keeplast'\n  did you mean 'keep_last'? accepted here: project, stamp, \
             keep_superseded, own_cache_mounts, keep, keep_last, older_than, stale_after, docker, state_dir, yes, clean_dead, format, \
             color, context",
        ),
        (
            "[sweep]\nall-images = true",
            "/c.toml:2: unknown key 'all-images' in this table\n  did you mean 'all_images'? accepted here: \
             containers, images, volumes, builder_state, networks, build_cache, all_images, until, filter, keep, keep_last, \
             cache_keep, cache_until, when_disk_above, down_to, wait",
        ),
        (
            "[hosts.nas]\ncontext = \"nas\"\nqwertyuiop = 1",
            "/c.toml:3: unknown key 'qwertyuiop' in this table\n  accepted here: context, host, containers, images, \
             volumes, builder_state, networks, build_cache, all_images, until, filter, keep, keep_last, cache_keep, cache_until, \
             when_disk_above, down_to, wait",
        ),
        (
            "keep_last = \"two\"",
            "/c.toml:1: 'keep_last' takes a whole number, 0 or more, not \"two\"\n  keep_last: the newest N of every \
             repository stay",
        ),
        (
            "keep_last = -1",
            "/c.toml:1: 'keep_last' takes a whole number, 0 or more, not -1\n  keep_last: the newest N of every \
             repository stay",
        ),
        (
            "older_than = 7",
            "/c.toml:1: 'older_than' takes a duration such as \"90s\", \"15m\", \"24h\" or \"7d\", not 7\n  \
             older_than: only what was built or made longer ago is deleted",
        ),
        (
            "stamp = \"half\"",
            "/c.toml:1: 'stamp' takes one of \"full\", \"project\", \"none\", not \"half\"\n  stamp: which labels a \
             built image gets",
        ),
        ("yes = \"true\"", "/c.toml:1: 'yes' takes true or false, not \"true\"\n  yes: never ask"),
        (
            "project = \"a b\"",
            "/c.toml:1: 'project' takes a name of up to 128 A-Z a-z 0-9 . _ / -, beginning with a letter or digit, \
             not \"a b\"\n  project: the software that is built here, across checkouts and machines",
        ),
        (
            "keep = [\"a\", 1]",
            "/c.toml:1: 'keep' takes a list of patterns such as [\"app:*\", \"postgres*\"], not [\"a\", 1]\n  keep: \
             images whose names match are never deleted",
        ),
        (
            "[sweep]\nfilter = [\"until=1h\"]",
            "/c.toml:2: 'filter' takes a list of filters such as [\"label=ci\", \"label!=keep=true\"], not \
             [\"until=1h\"]\n  filter: only what all filters let through is swept",
        ),
        (
            "[sweep]\ncache_keep = \"5 apples\"",
            "/c.toml:2: 'cache_keep' takes a size such as \"500MB\", \"5GB\" or \"5GiB\", not \"5 apples\"\n  \
             cache_keep: how much build cache stays",
        ),
        (
            "[sweep]\nwhen_disk_above = \"85\"",
            "/c.toml:2: 'when_disk_above' takes a share such as \"85%\" or a size such as \"200GB\", not \"85\"\n  \
             when_disk_above: sweep only when the engine's disk is fuller",
        ),
        ("session = \"s\"", "/c.toml:1: 'session' is not taken from a file\n  set it by DKB_SESSION or by --session"),
        ("trust_stamp = true", "/c.toml:1: 'trust_stamp' is not taken from a file\n  set it by --trust-stamp"),
        ("sweep = 1", "/c.toml:1: 'sweep' is a table\n  write [sweep] and its keys below"),
        ("[hosts]\nnas = \"x\"", "/c.toml:2: 'hosts.nas' is a table\n  write [hosts.nas] and its keys below"),
        (
            "[hosts.nas]\nuntil = \"1h\"",
            "/c.toml:1: 'hosts.nas' needs either 'context' or 'host'\n  context = \"nas\", or host = \"ssh://me@nas\"",
        ),
        (
            "[hosts.nas]\ncontext = 1",
            "/c.toml:2: 'context' takes a text, not 1\n  context: the docker context that leads there",
        ),
    ] {
        assert_eq!(own(text).expect_err(text).to_string(), error, "{text}");
    }
}

#[test]
fn what_is_no_toml_is_an_error_with_its_line() {
    let error = own("a = 1\nb = \n").expect_err("no TOML").to_string();
    assert!(
        error.starts_with("/c.toml:2: ") && error.ends_with("the file must be TOML: key = value, one a line"),
        "{error}"
    );
    let twice = own("yes = true\nyes = true").expect_err("twice").to_string();
    assert!(twice.starts_with("/c.toml:2: "), "{twice}");
}

#[test]
fn the_first_error_in_the_file_is_the_one_that_is_named() {
    let error = own("yes = 1\nolder_than = 2\nkeep_last = true").expect_err("errors").to_string();
    assert!(error.starts_with("/c.toml:1: 'yes'"), "{error}");
}

#[test]
fn a_checkout_may_name_keep_and_narrow() {
    let text = "project = \"p\"\nstamp = \"project\"\nkeep_superseded = 1\nkeep = [\"a\"]\nkeep_last = 3\n\
                older_than = \"1h\"\nstale_after = \"9h\"";
    assert_eq!(checkout(text).expect("a file").entries.len(), 7);
}

#[test]
fn a_checkout_may_not_decide_what_runs_or_widen_what_is_deleted() {
    let narrow = "is not taken from a checkout's file, which may only name, keep and narrow";
    for (text, key, next) in [
        ("docker = \"./evil\"", "docker", "in /c.toml or by DKB_DOCKER"),
        ("state_dir = \"x\"", "state_dir", "in /c.toml or by DKB_STATE_DIR"),
        ("trust_stamp = true", "trust_stamp", "by --trust-stamp"),
        ("yes = true", "yes", "in /c.toml or by DKB_YES or by --yes"),
        ("clean_dead = true", "clean_dead", "in /c.toml or by DKB_CLEAN_DEAD"),
        ("context = \"prod\"", "context", "in /c.toml or by DKB_CONTEXT or by --context"),
        ("session = \"x\"", "session", "by DKB_SESSION or by --session"),
        ("[sweep]\nvolumes = true", "sweep", "in /c.toml"),
        ("sweep.volumes = true", "sweep", "in /c.toml"),
        ("[hosts.nas]\ncontext = \"nas\"", "hosts", "in /c.toml"),
    ] {
        let expected = format!("/w/dkb.toml:1: '{key}' {narrow}\n  set it {next}");
        assert_eq!(checkout(text).expect_err(text).to_string(), expected);
    }
    let unknown = checkout("keeps = 1").expect_err("unknown").to_string();
    assert!(unknown.contains("did you mean 'keep'? ") && !unknown.contains("docker"), "{unknown}");
}

proptest::proptest! {
    #[test]
    fn any_file_is_read_or_refused_with_a_line(text in "([a-z_]{1,12} = ([0-9]{1,3}|\"[a-z%0-9]{0,5}\"|true|\\[\\])\n|\\[[a-z.]{1,8}\\]\n|\\PC{0,10}){0,6}") {
        if let Err(error) = own(&text) {
            let error = error.to_string();
            proptest::prop_assert!(error.starts_with("/c.toml:") && error.contains("\n  "), "{}", error);
        }
    }
}

use std::path::Path;

use super::file::{File, Whose, read};
use super::*;

fn base() -> Base<'static> {
    Base { folder: Path::new("/work"), home: None }
}

fn settings(own: &str) -> Result<Settings> {
    let File { entries, hosts } = read(own, Path::new("/c.toml"), Whose::User, None)?;
    Settings::new(&Layered { own: entries, ..Layered::default() }, &hosts, Some("/state/dkb".into()), base())
}

#[test]
fn without_any_settings_the_defaults_hold() {
    let got = settings("").expect("settings");
    assert_eq!((got.stamp, got.keep_superseded, got.keep_last), (StampLevel::Full, 0, None));
    assert_eq!(got.stale_after, Duration::from_secs(6 * 3600));
    assert_eq!((got.docker.to_str(), got.clean_dead), (Some("docker"), None));
    assert_eq!(got.state_dir.as_deref(), Some(Path::new("/state/dkb")));
    let day = Duration::from_secs(86_400);
    let policy = SweepPolicy {
        containers: true,
        images: true,
        volumes: false,
        builder_state: false,
        networks: true,
        cache: true,
        all_images: false,
        until: day,
        filter: vec![LabelFilter::parse("label!=keep=true").expect("a filter")],
        keep: Vec::new(),
        keep_last: None,
        cache_keep: None,
        cache_until: day,
        need: None,
        unused_since: None,
    };
    assert_eq!(got.sweep, SweepSettings { policy, disk: None, wait: Duration::ZERO });
}

/// Every key is set to something else than its default, so a key that nothing reads is noticed.
#[test]
fn every_key_reaches_the_settings() {
    let own = r#"
        project = "acme/shop"
        stamp = "none"
        keep_superseded = 1
        own_cache_mounts = true
        keep = ["a"]
        keep_last = 2
        older_than = "3h"
        stale_after = "4h"
        docker = "podman"
        state_dir = "state"
        yes = true
        clean_dead = true
        format = "json"
        color = "never"
        context = ["nas"]
        [sweep]
        containers = false
        images = false
        volumes = true
        builder_state = true
        networks = false
        build_cache = false
        all_images = true
        until = "5h"
        filter = "label=ci"
        keep = ["b"]
        keep_last = 6
        cache_keep = "7GB"
        cache_until = "8h"
        when_disk_above = "90%"
        down_to = "80%"
        wait = "90s"
    "#;
    let got = settings(own).expect("settings");
    assert_eq!(got.project.as_ref().map(Name::as_str), Some("acme/shop"));
    assert_eq!((got.stamp, got.keep_superseded, got.keep_last), (StampLevel::None, 1, Some(2)));
    assert!(got.own_cache_mounts);
    let hours = |n: u64| Duration::from_secs(n * 3600);
    assert_eq!((got.older_than, got.stale_after), (Some(hours(3)), hours(4)));
    assert_eq!((got.docker.to_str(), got.state_dir.as_deref()), (Some("podman"), Some(Path::new("/state"))));
    assert_eq!((got.yes, got.clean_dead, got.format, got.color), (true, Some(true), Format::Json, Color::Never));
    assert_eq!(got.contexts, ["nas"]);
    let pattern = |text| Pattern::new(text).expect(text);
    let filter = |text| LabelFilter::parse(text).expect(text);
    let policy = SweepPolicy {
        containers: false,
        images: false,
        volumes: true,
        builder_state: true,
        networks: false,
        cache: false,
        all_images: true,
        until: hours(5),
        filter: vec![filter("label=ci"), filter("label!=keep=true")],
        keep: vec![pattern("a"), pattern("b")],
        keep_last: Some(6),
        cache_keep: Some(7_000_000_000),
        cache_until: hours(8),
        need: None,
        unused_since: None,
    };
    let disk = Some(DiskPressure { above: DiskMark::Percent(90), down_to: DiskMark::Percent(80) });
    assert_eq!(got.sweep, SweepSettings { policy, disk, wait: Duration::from_secs(90) });
    // What only a run or a flag may set has no place in a file.
    let left: Vec<_> =
        got.effective.iter().filter(|one| one.sources == [Source::Default]).map(|one| one.key.name).collect();
    assert_eq!(left, ["session", "trust_stamp"]);
}

#[test]
fn a_host_overrides_what_all_hosts_share() {
    let own = "[sweep]\nuntil = \"2h\"\nvolumes = true\n[hosts.nas]\ncontext = \"nas\"\nuntil = \"3h\"\n\
               [hosts.ci]\nhost = \"ssh://ci\"\n";
    let got = settings(own).expect("settings");
    let seen: Vec<_> = got
        .hosts
        .iter()
        .map(|host| (host.name.as_str(), &host.at, host.sweep.policy.until.as_secs() / 3600, host.sweep.policy.volumes))
        .collect();
    let (nas, ci) = (HostAddress::Context("nas".to_owned()), HostAddress::Host("ssh://ci".to_owned()));
    assert_eq!(seen, [("nas", &nas, 3, true), ("ci", &ci, 2, true)]);
}

#[test]
fn marks_that_contradict_each_other_are_refused() {
    for (own, error) in [
        ("[sweep]\ndown_to = \"80%\"", "/c.toml:2: 'sweep.down_to' says down to where, but nothing says from where"),
        (
            "[sweep]\nwhen_disk_above = \"80%\"\ndown_to = \"85%\"",
            "/c.toml:3: 'sweep.down_to' is above when_disk_above",
        ),
        (
            "[sweep]\nwhen_disk_above = \"80%\"\ndown_to = \"5GB\"",
            "/c.toml:3: 'sweep.down_to' is of another kind than when_disk_above",
        ),
    ] {
        let got = settings(own).expect_err(own).to_string();
        assert_eq!(got.lines().next(), Some(error));
    }
    let one = settings("[sweep]\nwhen_disk_above = \"80%\"").expect("settings").sweep.disk.expect("marks");
    assert_eq!(one.down_to, one.above);
}

use super::*;

fn flags(context: Option<&str>, hosts: &[&str]) -> DockerFlags {
    let hosts = hosts.iter().map(|&host| host.to_owned()).collect();
    DockerFlags { context: context.map(str::to_owned), hosts, ..DockerFlags::default() }
}

/// `--context`, `-H`, `DOCKER_HOST`, `DOCKER_CONTEXT`, `currentContext`, and what follows.
type Row<'a> = (Option<&'a str>, &'a [&'a str], &'a str, &'a str, &'a str, Option<Choice>);

#[test]
fn flags_win_over_the_environment_and_that_over_the_settings() {
    let host = |text: &str| Some(Choice::Host(text.to_owned()));
    let context = |text: &str| Some(Choice::Context(text.to_owned()));
    let table: [Row<'_>; 13] = [
        (None, &[], "", "", "", host("")),
        (None, &[], "", "", "cur", context("cur")),
        (None, &[], "", "", "default", host("")),
        (None, &[], "", "env", "cur", context("env")),
        (None, &[], "", "default", "cur", host("")),
        (None, &[], "tcp://h", "env", "cur", host("tcp://h")),
        (None, &["tcp://f"], "tcp://h", "env", "cur", host("tcp://f")),
        (Some("flag"), &[], "tcp://h", "env", "cur", context("flag")),
        (Some("default"), &[], "tcp://h", "env", "cur", host("tcp://h")),
        (Some("default"), &[], "", "env", "cur", host("")),
        (Some(""), &[], "", "env", "cur", context("env")),
        (Some("flag"), &["tcp://f"], "", "", "", None),
        (None, &["tcp://f", "tcp://g"], "", "", "", None),
    ];
    for (flag, hosts, docker_host, docker_context, current, want) in table {
        let env = |name: &str| match name {
            "DOCKER_HOST" => Some(docker_host.into()),
            "DOCKER_CONTEXT" => Some(docker_context.into()),
            _ => None,
        };
        let row = format!("{flag:?} {hosts:?} {docker_host} {docker_context} {current}");
        assert_eq!(choose(&flags(flag, hosts), &env, current).ok(), want, "{row}");
    }
}

#[test]
fn sockets_and_plain_tcp_are_direct_and_all_else_goes_through_docker() {
    let unix = |path: &str| Some(Way::Unix(path.into()));
    let tcp = |address: &str| Some(Way::Tcp(address.to_owned()));
    for (host, tls, want) in [
        ("", false, unix(DEFAULT_SOCKET)),
        ("", true, None),
        ("unix://", false, unix(DEFAULT_SOCKET)),
        ("unix:///run/x.sock", false, unix("/run/x.sock")),
        ("unix:///run/x.sock", true, unix("/run/x.sock")),
        ("unix://@abstract", false, None),
        ("tcp://h:1", false, tcp("h:1")),
        ("tcp://h:1/", false, tcp("h:1")),
        ("tcp://h", false, tcp("h:2375")),
        ("tcp://", false, tcp("localhost:2375")),
        ("h:1", false, tcp("h:1")),
        (":1", false, tcp("localhost:1")),
        ("tcp://[::1]:5", false, tcp("[::1]:5")),
        ("tcp://[::1]", false, tcp("[::1]:2375")),
        ("tcp://h:1/base", false, None),
        ("tcp://h:2376", true, None),
        ("ssh://me@h", false, None),
        ("npipe:////./pipe/x", false, None),
    ] {
        assert_eq!(direct(&ContextHost { host: host.to_owned(), tls }), want, "{host} {tls}");
    }
}

#[test]
fn an_address_shows_no_password() {
    for (host, shown) in [
        ("ssh://me:secret@far:22/run", "ssh://me@far:22/run"),
        ("ssh://me@far", "ssh://me@far"),
        ("https://far/x?token=secret", "https://far/x"),
        ("ssh://a:p@ss@far", "ssh://a@far"),
        ("http://a:p/a?s#s@far", "http://a@far"),
        ("https://far/x?token=p@ss", "https://far@ss"),
        ("a:pass@far", "a@far"),
        ("a:pass@far://x", "a@far://x"),
        ("tcp://far:2375", "tcp://far:2375"),
    ] {
        assert_eq!(without_password(host), shown);
        let endpoint = Endpoint { way: Way::Unix(PathBuf::new()), written: host.to_owned(), shown: shown.to_owned() };
        for words in [format!("no way to {host}: {host:?}"), format!("{host} is none")] {
            let told = endpoint.tell(&words);
            assert!(told.contains(shown) && (host == shown || !told.contains(host)), "{told}");
        }
    }
    assert_eq!(Endpoint::unix(DEFAULT_SOCKET).to_string(), "unix:///var/run/docker.sock");
}

#[test]
fn podmans_socket_is_the_users_own() {
    for (user, dir, socket) in [
        (0, Some("/run/user/0"), "/run/podman/podman.sock"),
        (1000, Some("/tmp/me"), "/tmp/me/podman/podman.sock"),
        (1000, None, "/run/user/1000/podman/podman.sock"),
    ] {
        assert_eq!(podman_socket(user, dir), Path::new(socket));
    }
}

#[test]
fn what_dockers_settings_chose_is_settled_and_what_was_typed_is_that_already() {
    /// `--context`, `-H`, `DOCKER_CONTEXT`, and the context that it is settled on.
    type Row<'a> = (Option<&'a str>, &'a [&'a str], &'a str, Option<&'a str>);
    let table: [Row<'_>; 6] = [
        (None, &[], "", Some("default")),
        (None, &[], "env", Some("env")),
        (Some(""), &[], "env", Some("env")),
        (Some("typed"), &[], "env", Some("typed")),
        (None, &["tcp://h"], "env", None),
        (Some("default"), &[], "env", Some("default")),
    ];
    for (typed, hosts, docker_context, settled) in table {
        let env = |name: &str| match name {
            "DOCKER_CONTEXT" => Some(docker_context.into()),
            "DOCKER_CONFIG" => Some("/nowhere".into()),
            _ => None,
        };
        let flags = flags(typed, hosts).settled(&env, None);
        assert_eq!(flags.context.as_deref(), settled, "{typed:?} {hosts:?} {docker_context}");
        let said =
            flags.words.iter().any(|word| word.to_str() == settled.map(|name| format!("--context={name}")).as_deref());
        assert!(said || typed.is_some_and(|name| !name.is_empty()) || !hosts.is_empty());
        assert_eq!(flags.settled(&env, None), flags, "once and for all");
    }
}

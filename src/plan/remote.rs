//! Which project a git remote stands for: `owner/repo`, or `group/sub/repo` where there are more parts.

use crate::model::Name;

/// 1. Of a URL and of `user@host:path` the path counts, without `.git`; host, user and password never do.
/// 2. Of a path on a disk, here or on a server, only the last part counts: the rest may name a user.
pub(crate) fn project_of(url: &str) -> Option<Name> {
    let url = url.trim();
    let (path, is_disk) = match url.split_once("://") {
        Some((scheme, rest)) => {
            // A password may hold a slash, so all up to the last @ is who, not where.
            let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
            let path = rest.split_once('/').map_or("", |(_, path)| path);
            let path = path.split(['?', '#']).next().unwrap_or(path);
            (path, scheme.eq_ignore_ascii_case("file") || on_a_disk(path))
        }
        // A colon before the first slash parts a host from a path; with one letter before it, it is a drive.
        None => match url.split_once(':').filter(|(host, _)| host.len() > 1 && !host.contains(['/', '\\'])) {
            Some((_, path)) => (path, path.starts_with('/') || on_a_disk(path)),
            None => (url, true),
        },
    };
    let parts = path.split(['/', '\\']).filter(|part| !matches!(*part, "" | "." | ".." | "_git" | ".git"));
    let mut parts: Vec<_> = parts.collect();
    // Azure's ssh addresses begin with the version of their own form.
    if parts.len() == 4 && parts[0] == "v3" {
        parts.remove(0);
    }
    if is_disk {
        parts.drain(..parts.len().saturating_sub(1));
    }
    let joined = parts.join("/");
    Name::derived(joined.strip_suffix(".git").unwrap_or(&joined))
}

/// Whether the path of a URL leads into a server's folders rather than to an owner's repository.
fn on_a_disk(path: &str) -> bool {
    let first = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    first.starts_with('~') || matches!(first, "home" | "Users" | "srv" | "var" | "opt" | "mnt" | "root" | "tmp")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remote_is_its_owner_and_repository() {
        for (url, project) in [
            ("https://github.com/acme/shop.git", "acme/shop"),
            ("https://github.com/acme/shop/", "acme/shop"),
            ("https://joe:s3cr/et@git.example:8443/acme/shop.git?x=1#y", "acme/shop"),
            ("ssh://git@git.example:2222/acme/shop.git", "acme/shop"),
            ("git@github.com:acme/shop.git", "acme/shop"),
            ("gh:acme/shop", "acme/shop"),
            ("git@gitlab.example:group/sub/shop.git", "group/sub/shop"),
            ("https://org@dev.azure.com/org/shop/_git/app", "org/shop/app"),
            ("git@ssh.dev.azure.com:v3/org/shop/app", "org/shop/app"),
            ("https://git.example/größe/app", "gr--e/app"),
        ] {
            assert_eq!(project_of(url).expect(url).as_str(), project, "{url}");
        }
    }

    #[test]
    fn of_a_path_on_a_disk_only_the_last_part_counts() {
        for url in [
            "/home/joe/src/shop.git",
            "file:///home/joe/shop",
            "../shop.git",
            "shop",
            "joe@server:/home/joe/shop.git",
            "server:~joe/shop.git",
            "ssh://server/home/joe/shop.git",
            "ssh://joe@server/~joe/shop",
            "C:\\Users\\joe\\shop.git",
            "/home/joe/shop/.git",
        ] {
            assert_eq!(project_of(url).expect(url).as_str(), "shop", "{url}");
        }
    }

    #[test]
    fn what_names_nothing_is_nothing() {
        for url in ["", " ", "https://", "https://github.com", "https://github.com/", "/", "..", "git@host:", "://"] {
            assert_eq!(project_of(url), None, "{url:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_host_user_or_password_gets_into_a_name(
            user in "USER[A-Z]{1,4}", password in "PASS[A-Z/:@]{0,4}", host in "HOST[A-Z]{1,4}",
            path in "[a-z]{1,5}/[a-z]{1,5}",
        ) {
            let urls = [
                format!("https://{user}:{password}@{host}/{path}"),
                format!("ssh://{user}@{host}:22/{path}.git"),
                format!("{user}@{host}:{path}.git"),
                format!("/home/{user}/{path}"),
                format!("{host}:/home/{user}/{path}"),
            ];
            for url in urls {
                let name = project_of(&url).expect("a name").to_string();
                proptest::prop_assert!(!name.chars().any(|c| c.is_ascii_uppercase()), "{} {}", url, name);
            }
        }

        #[test]
        fn nothing_a_config_says_makes_it_fail(url in ".{0,200}") {
            let _ = project_of(&url);
        }
    }
}

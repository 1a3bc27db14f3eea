//! The laws of what engines answer and of how they are found, for [`crate::fuzz`].

use serde::de::DeserializeOwned;

use super::answer::{Info, Read, events, plain};
use super::answer_disk::{Usage, Volumes};
use super::cli_files::{CliConfig, ContextHost, context_host};
use super::endpoint::{Way, direct, without_password};
use super::fault::Fault;
use crate::model::{Container, Ended, Holder, Image, ImageDetail, Network, Reference};

/// The names and texts in an answer to this question; `None` where it is no answer to it.
pub(crate) fn names_in(question: &str, body: &[u8]) -> Option<Vec<String>> {
    match question {
        "images" => Some(list::<Image>(body)?.into_iter().flat_map(image).collect()),
        "image" => {
            let Read(image) = json::<Read<ImageDetail>>(body)?;
            assert!(image.container != Some(String::new()) && image.created.is_none_or(|at| at.as_second() > 0));
            Some([texts(&image.tags), image.digests, image.labels.into_values().collect()].concat())
        }
        "containers" => {
            let containers = list::<Container>(body)?;
            assert!(containers.iter().all(|container| !container.image_mounts.contains(&String::new())));
            Some(containers.iter().map(|container| Holder::from(container).to_string()).collect())
        }
        "container" => json::<Read<Ended>>(body).map(|_| Vec::new()),
        "info" => {
            let info = json::<Info>(body)?;
            let _ = info.has_containerd_store();
            Some([info.id, info.server_version, info.docker_root_dir].into_iter().flatten().collect())
        }
        "volumes" => Some(plain(json::<Volumes>(body)?.volumes).into_iter().map(|volume| volume.name).collect()),
        "networks" => Some(list::<Network>(body)?.into_iter().map(|network| network.name).collect()),
        "usage" => usage(body),
        "events" => {
            let told: Vec<_> = events(body).collect();
            assert!(told.len() <= body.len() / 64, "an ID alone is as long");
            let names = || told.iter().filter_map(|event| Some(event.name.as_ref()?.to_string())).collect();
            (!told.is_empty()).then(names)
        }
        "error" => {
            let shown = Fault::answered(500, body).to_string();
            assert!(shown.chars().count() < 400 && !shown.contains(char::is_control), "{shown:?}");
            Some(vec![shown])
        }
        _ => None,
    }
}

/// A name is one, a digest stands beside a tag of its repository or alone, and only what has one has travelled.
fn image(image: Image) -> Vec<String> {
    assert!(image.tags.iter().all(|tag| !tag.as_str().is_empty() && !tag.as_str().contains("<none>")), "{image:?}");
    let has_tag = |digest: &String| {
        let repository = digest.split_once('@').map(|(repository, _)| repository);
        image.tags.iter().any(|tag| Some(tag.repository()) == repository)
    };
    assert!(!image.digests.iter().any(has_tag), "{image:?}");
    assert_eq!(image.travelled, !image.digests.is_empty() || !image.beside.is_empty(), "{image:?}");
    [texts(&image.tags), image.digests, image.beside].concat()
}

/// What is shared counts with the images, and no sum overflows.
fn usage(body: &[u8]) -> Option<Vec<String>> {
    let read = || json::<Usage>(body);
    let (cache, totals) = (read()?.cache(), read()?.totals());
    let own = cache.iter().filter(|record| !record.shared);
    assert_eq!(totals.cache, own.fold(0, |sum: u64, record| sum.saturating_add(record.size)));
    let volumes = read()?.volumes().into_iter().map(|volume| volume.name);
    Some(cache.into_iter().map(|record| record.id).chain(volumes).collect())
}

/// An address never shows a password, and leads to a path or to a host and a port, or to nowhere without docker.
pub(crate) fn address(host: &str) {
    let shown = without_password(host);
    assert_eq!(without_password(&shown), shown, "{host:?}");
    if let Some((_, rest)) = shown.split_once("://") {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        assert!(!authority.rsplit_once('@').is_some_and(|(who, _)| who.contains(':')), "{shown:?} of {host:?}");
    }
    for tls in [false, true] {
        match direct(&ContextHost { host: host.to_owned(), tls }) {
            Some(Way::Unix(path)) => assert!(!path.as_os_str().is_empty(), "{host:?}"),
            Some(Way::Tcp(address)) => {
                assert!(!tls && address.contains(':') && !address.contains(['/', '@', '?', '#']), "{address:?}");
            }
            Some(way @ Way::ThroughCli { .. }) => panic!("{way:?}"),
            None => {}
        }
    }
}

/// Of docker's settings nothing is kept that was not asked for.
pub(crate) fn docker_files(text: &[u8]) -> bool {
    let config = CliConfig::parse(text);
    if let Some(config) = &config {
        let kept = format!("{config:?}").len();
        assert!(kept <= text.len().saturating_mul(12).saturating_add(200), "{kept} bytes of {}", text.len());
        let _ = config.has_builder_alias();
    }
    let context = context_host(text, false).ok();
    if let Some(context) = &context {
        address(&context.host);
    }
    config.is_some_and(|config| config != CliConfig::default()) || context.is_some()
}

fn json<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    serde_json::from_slice(body).ok()
}

fn list<T>(body: &[u8]) -> Option<Vec<T>>
where
    Read<T>: DeserializeOwned,
{
    json::<Option<Vec<Read<T>>>>(body).map(plain)
}

fn texts(names: &[Reference]) -> Vec<String> {
    names.iter().map(|name| name.as_str().to_owned()).collect()
}

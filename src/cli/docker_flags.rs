//! Docker's global flags, as they were typed.

use std::ffi::OsString;
use std::path::PathBuf;

use super::{Cli, Verb};
use crate::engine::DockerFlags;

impl Cli {
    /// Docker's global flags, as the docker that is started gets them and as dkb's own look goes by them.
    pub(crate) fn docker_flags(&self) -> DockerFlags {
        let docker = &self.docker;
        let words = match &self.verb {
            Verb::Build(build) | Verb::Bake(build) | Verb::Compose(build) => build.docker.clone(),
            _ => self.flags_again(),
        };
        let tls = [docker.tlscacert.is_some(), docker.tlscert.is_some(), docker.tlskey.is_some()];
        DockerFlags {
            words,
            config: docker.config.clone(),
            context: self.common.context.last().cloned(),
            hosts: self.common.host.clone(),
            tls: tls.contains(&true) || docker.tls.is_some() || docker.tlsverify.is_some(),
        }
    }

    /// The flags that lead a docker, or another dkb, to the same engine.
    fn flags_again(&self) -> Vec<OsString> {
        let docker = &self.docker;
        let path = |path: &Option<PathBuf>| path.clone().map(PathBuf::into_os_string);
        let text = |text: &Option<String>| text.clone().map(OsString::from);
        let hosts = self.common.host.iter().map(|host| ("--host", Some(host.into())));
        let flags = [
            ("--config", path(&docker.config)),
            ("--context", self.common.context.last().map(Into::into)),
            ("--tls", text(&docker.tls)),
            ("--tlscacert", path(&docker.tlscacert)),
            ("--tlscert", path(&docker.tlscert)),
            ("--tlskey", path(&docker.tlskey)),
            ("--tlsverify", text(&docker.tlsverify)),
        ];
        let joined = |(flag, value): (&str, Option<OsString>)| {
            let mut word = OsString::from(flag);
            word.push("=");
            word.push(value?);
            Some(word)
        };
        flags.into_iter().chain(hosts).filter_map(joined).collect()
    }
}

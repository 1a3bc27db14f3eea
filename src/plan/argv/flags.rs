//! The flags of `build`, tool by tool, as data: the one place to touch when a tool learns a new one.
//!
//! A flag that is missing here costs the build nothing. Its words are passed on as they are, and dkb infers
//! nothing from them. So experimental flags stay out until they are stable.

/// Whose command line it is. The engine behind it may be the other's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tool {
    #[default]
    Docker,
    Podman,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// Eats the next word where no `=value` is glued on.
    Value,
    /// True alone, or `=` and one of Go's booleans; never the next word.
    Switch,
    /// Means something alone, or takes any `=value`; never the next word.
    MaybeValue,
}

/// Names with blanks between them; of a pair `a=b`, `a` is another spelling of `b`.
pub(super) struct FlagTable {
    values: &'static str,
    switches: &'static str,
    maybe_values: &'static str,
    shorthands: &'static str,
    aliases: &'static str,
}

impl FlagTable {
    pub(super) fn long(&self, name: &[u8]) -> Option<(&'static str, Takes)> {
        let name = stands_for(self.aliases, name).map_or(name, str::as_bytes);
        [(self.values, Takes::Value), (self.switches, Takes::Switch), (self.maybe_values, Takes::MaybeValue)]
            .into_iter()
            .find_map(|(names, takes)| {
                let known = names.split_ascii_whitespace().find(|known| known.as_bytes() == name)?;
                Some((known, takes))
            })
    }

    pub(super) fn short(&self, letter: u8) -> Option<(&'static str, Takes)> {
        self.long(stands_for(self.shorthands, &[letter])?.as_bytes())
    }
}

/// A flag of docker's, for whoever completes a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShownFlag {
    pub long: &'static str,
    pub short: Option<char>,
    pub takes_value: bool,
}

/// Docker's flags behind one of its verbs that dkb has too; none for a verb whose flags it does not know.
pub fn docker_flags(verb: &str) -> Vec<ShownFlag> {
    let table = match verb {
        "build" => &DOCKER,
        "bake" => &BAKE,
        _ => return Vec::new(),
    };
    let short = |long: &str| {
        let mut pairs = table.shorthands.split_ascii_whitespace().filter_map(|pair| pair.split_once('='));
        pairs.find(|(_, name)| *name == long).and_then(|(letter, _)| letter.chars().next())
    };
    let all = [(table.values, true), (table.switches, false), (table.maybe_values, false)];
    let all = all.into_iter().flat_map(|(names, value)| names.split_ascii_whitespace().map(move |name| (name, value)));
    all.map(|(long, takes_value)| ShownFlag { long, short: short(long), takes_value }).collect()
}

fn stands_for(pairs: &'static str, spelling: &[u8]) -> Option<&'static str> {
    let mut pairs = pairs.split_ascii_whitespace().filter_map(|pair| pair.split_once('='));
    pairs.find(|(known, _)| known.as_bytes() == spelling).map(|(_, name)| name)
}

impl Tool {
    pub(super) fn build_flags(self) -> &'static FlagTable {
        match self {
            Self::Docker => &DOCKER,
            Self::Podman => &PODMAN,
        }
    }
}

/// The classic builder and buildx, from the Docker CLI 20.10 and buildx 0.13 on. Which of them runs is decided
/// elsewhere, so this is both; a flag that both know takes a value in both or in neither.
static DOCKER: FlagTable = FlagTable {
    values: "\
        add-host allow annotation attest build-arg build-context builder cache-from cache-to call \
        cgroup-parent cpu-period cpu-quota cpu-shares cpuset-cpus cpuset-mems file iidfile isolation label \
        memory memory-swap metadata-file network no-cache-filter output platform policy print progress \
        provenance resource sbom secret security-opt shm-size ssh tag target ulimit",
    switches: "\
        check compress debug disable-content-trust force-rm help load no-cache pull push quiet rm squash \
        stream",
    maybe_values: "",
    shorthands: "D=debug c=cpu-shares f=file h=help m=memory o=output q=quiet t=tag",
    aliases: "",
};

/// `podman build`, 4.x to 5.x, with the flags that every Podman command takes.
static PODMAN: FlagTable = FlagTable {
    values: "\
        add-host annotation arch authfile blob-cache build-arg build-arg-file build-context cache-from \
        cache-to cache-ttl cap-add cap-drop cdi-config-dir cdi-spec-dir cert-dir cgroup-manager \
        cgroup-parent cgroupns compression-format compression-level conmon cpp-flag cpu-period cpu-profile \
        cpu-quota cpu-shares cpuset-cpus cpuset-mems creds cw decryption-key default-mounts-file device dns \
        dns-option dns-search env events-backend file format from group-add hooks-dir ignorefile iidfile \
        iidfile-raw imagestore ipc isolation jobs label layer-label log-level logfile loglevel manifest \
        max-workers memory memory-profile memory-swap metadata-file mount namespace network network-backend \
        network-cmd-path network-config-dir os os-feature os-version output pid platform progress \
        pull-option registries-conf retry retry-delay root runroot runtime runtime-flag rusage-logfile sbom \
        sbom-image-output sbom-image-purl-output sbom-merge-strategy sbom-output sbom-purl-output \
        sbom-scanner-command sbom-scanner-image secret security-opt shm-size sign-by signature-policy \
        source-date-epoch source-policy-file ssh storage-driver storage-opt tag target timestamp tmpdir \
        ulimit unsetannotation unsetenv unsetlabel userns userns-gid-map userns-gid-map-group userns-uid-map \
        userns-uid-map-user uts variant volume volumepath",
    switches: "\
        all-platforms compat-volumes compress created-annotation disable-compression disable-content-trust \
        force-compression force-rm help http-proxy identity-label inherit-annotations inherit-labels layers \
        load log-rusage logsplit no-cache no-hostname no-hosts omit-history pull-always pull-never quiet \
        rewrite-timestamp rm save-stages skip-unused-stages squash squash-all stage-labels stdin syslog \
        tls-verify trace transient-store",
    maybe_values: "pull",
    shorthands: "D=disable-compression c=cpu-shares f=file h=help m=memory o=output q=quiet t=tag v=volume",
    aliases: "net=network override-arch=arch override-os=os purge=rm raw-iidfile=iidfile-raw",
};

/// What stands between `buildx` (or `builder`) and its verb.
pub(super) static BUILDX: FlagTable = FlagTable {
    values: "builder",
    switches: "debug help",
    maybe_values: "",
    shorthands: "D=debug h=help",
    aliases: "",
};

/// docker's global flags, which stand before its verb and reach its plugins.
pub(super) static GLOBAL: FlagTable = FlagTable {
    values: "config context host log-level tlscacert tlscert tlskey",
    switches: "debug tls tlsverify",
    maybe_values: "",
    shorthands: "D=debug H=host c=context l=log-level",
    aliases: "",
};

/// The flags of `bake`, of buildx 0.13 on. Where a value need not be given, it hangs on the flag.
pub(super) static BAKE: FlagTable = FlagTable {
    values: "allow builder call file metadata-file progress provenance sbom set",
    switches: "check debug help list-targets list-variables load no-cache print pull push",
    maybe_values: "list",
    shorthands: "D=debug f=file h=help",
    aliases: "",
};

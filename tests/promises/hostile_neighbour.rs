//! Somebody else on the same host, whose things look as much like a session's as they can without being it.

use dkb::model::SessionKey;
use dkb_lab::Engine;

/// His containers with their state, his volumes and his networks.
pub(crate) struct Neighbour {
    has: Vec<String>,
}

impl Neighbour {
    /// He has so many things, picked by these dice.
    pub(crate) fn beside(
        engine: &Engine,
        session: &SessionKey,
        count: usize,
        mut roll: impl FnMut(usize) -> usize,
    ) -> Self {
        let (project, name) = (&session.project, &session.session);
        let ours = session.run_label();
        let looks = [
            ("dev.dkb.run", name.to_string()),
            ("dev.dkb.run", project.to_string()),
            ("dev.dkb.run", format!("{ours}0")),
            ("dev.dkb.run", format!("{ours}/")),
            ("dev.dkb.run", format!(" {ours}")),
            ("dev.dkb.run", ours.to_uppercase()),
            ("dev.dkb.run", format!("other:{name}")),
            ("dev.dkb.run", format!("{project}:other")),
            ("dev.dkb.runs", ours.clone()),
            ("DEV.DKB.RUN", ours.clone()),
            ("dev.dkb.session", name.to_string()),
            ("dev.dkb.project", project.to_string()),
        ];
        for n in 0..count {
            let (key, value) = &looks[roll(looks.len())];
            let labels = [(*key, value.as_str()), ("dev.dkb.id", "1")];
            let (called, own) = (format!("neighbour-{n}"), format!("neighbour-{n}-data"));
            let container = || engine.container("lab/base").name(&called).label(key, value).volume(&own);
            match roll(5) {
                0 => drop(container().created()),
                1 => drop(container().running()),
                2 => drop(container().stopped()),
                3 => engine.volume(&called, &labels),
                _ => drop(engine.network(&called, &labels)),
            }
        }
        Self { has: Self::there(engine) }
    }

    fn there(engine: &Engine) -> Vec<String> {
        let api = engine.api();
        let containers = api.containers().into_iter().map(|one| format!("{} {}", one["Names"], one["State"]));
        let others = api.volumes().into_iter().chain(api.networks()).map(|one| one["Name"].to_string());
        let mut all: Vec<String> = containers.chain(others).filter(|one| one.contains("neighbour-")).collect();
        all.sort();
        all
    }

    pub(crate) fn assert_nothing_is_lost(&self, engine: &Engine, story: &str) {
        assert_eq!(Self::there(engine), self.has, "what a neighbour has\n{story}");
    }
}

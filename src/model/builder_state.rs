//! What a builder in a container of its own leaves behind: buildx's names for it, and buildx's lists of builders.

use std::collections::BTreeSet;

use super::{Container, Deed, Volume};

/// What buildx puts before a node's name to call its container, and behind that to call its volume.
const CONTAINER: &str = "buildx_buildkit_";
const STATE: &str = "_state";

/// The node of a builder to which a volume belongs, by the name that buildx gives it. It gives it no label, and no driver
/// but the engine's own.
pub fn node_of(volume: &Volume) -> Option<&str> {
    (volume.driver == "local" && volume.labels.is_empty()).then(|| node_in(&volume.name))?
}

fn node_in(volume: &str) -> Option<&str> {
    let node = volume.strip_prefix(CONTAINER)?.strip_suffix(STATE)?;
    let letters = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let is_name = node.starts_with(|first: char| first.is_ascii_alphabetic()) && node.bytes().all(letters);
    is_name.then_some(node)
}

impl Volume {
    pub fn state_removal(&self) -> Deed {
        Deed::RemoveBuilderState { name: self.name.clone(), created: self.created }
    }
}

impl Container {
    /// Whether it is the builder's whose state this volume is, or uses the volume.
    pub fn holds_state(&self, volume: &str) -> bool {
        let is_builder = volume.strip_suffix(STATE).is_some_and(|name| self.name == name);
        is_builder || self.volumes.iter().any(|used| used == volume)
    }
}

/// The builders that stand in buildx's lists, as far as these can be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownBuilders {
    names: BTreeSet<String>,
    nodes: BTreeSet<String>,
}

impl KnownBuilders {
    /// buildx writes builders in small letters and takes any.
    pub fn add<'a>(&mut self, name: &str, nodes: impl IntoIterator<Item = &'a str>) {
        self.names.insert(name.to_ascii_lowercase());
        self.nodes.extend(nodes.into_iter().map(str::to_ascii_lowercase));
    }

    /// Whether they have the builder whose state lies in this volume.
    pub fn have_that_of(&self, volume: &str) -> bool {
        node_in(volume).is_some_and(|node| self.have(node))
    }

    /// Whether the node is one of them, or bears the name that buildx would give the builder's next one: a number behind
    /// its own.
    pub fn have(&self, node: &str) -> bool {
        let node = node.to_ascii_lowercase();
        let name = node.trim_end_matches(|digit: char| digit.is_ascii_digit());
        let is_next = |at| node.is_char_boundary(at) && self.names.contains(&node[..at]);
        self.nodes.contains(&node) || (name.len()..=node.len()).any(is_next)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn volume(name: &str) -> Volume {
        Volume { name: name.to_owned(), driver: "local".to_owned(), created: None, labels: HashMap::new(), size: None }
    }

    #[test]
    fn a_volume_is_a_builders_by_buildxs_own_name_for_it() {
        for (name, node) in [
            ("buildx_buildkit_farm0_state", Some("farm0")),
            ("buildx_buildkit_builder-2a-9.x_y0_state", Some("builder-2a-9.x_y0")),
            ("buildx_buildkit__state", None),
            ("buildx_buildkit_state", None),
            ("buildx_buildkit_0farm_state", None),
            ("buildx_buildkit_farm 0_state", None),
            ("buildx_buildkit_farm0", None),
            ("my_buildx_buildkit_farm0_state", None),
            ("buildx_buildkit_farm0_state_old", None),
        ] {
            assert_eq!(node_of(&volume(name)), node, "{name}");
        }
        let mut other = volume("buildx_buildkit_farm0_state");
        other.driver = "nfs".to_owned();
        assert_eq!(node_of(&other), None, "buildx asks for no driver");
        other = volume("buildx_buildkit_farm0_state");
        other.labels.insert("com.docker.compose.project".to_owned(), "x".to_owned());
        assert_eq!(node_of(&other), None, "buildx gives no label");
    }

    #[test]
    fn a_node_is_known_by_its_own_name_or_by_its_builders() {
        let mut known = KnownBuilders::default();
        known.add("farm", ["farm0", "Far"]);
        known.add("ci2", []);
        for (node, is_known) in [
            ("farm0", true),
            ("FARM0", true),
            ("far", true),
            ("farm", true),
            ("farm12", true),
            ("ci2", true),
            ("ci20", true),
            ("ci1", false),
            ("farmer0", false),
            ("far0", false),
            ("fa", false),
        ] {
            assert_eq!(known.have(node), is_known, "{node}");
        }
    }
}

//! All that somebody else can do to an engine while dkb works on it.

use super::scenes::{OTHER, OTHERS_NAME, Scene, Staged, image, on};
use crate::engine::fake::{Request, World, container_of};
use crate::model::books_tests::id;
use crate::model::{Container, ContainerState, Kind};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// Gives the image a name of his own.
    Tag,
    /// Moves his name from an image of his to this one.
    MoveHere,
    /// Builds on it with the classic builder.
    BuildOn,
    Run,
    Create,
    Commit,
    Delete,
    Load,
    LoadNamed,
}

/// The same about a name that a build of ours gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NameAct {
    Untag,
    /// Lets it mean an image of his.
    MoveAway,
    /// Builds another image under it.
    Rebuild,
    RunByName,
}

/// About what is no image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ThingAct {
    Start,
    Remove,
    /// Makes a container that uses the volume, or is connected to the network.
    Use,
}

#[derive(Clone, Debug)]
pub(super) enum Meddling {
    Image(Act, u8),
    Name(NameAct, &'static str),
    Container(ThingAct, String),
    Volume(ThingAct, String),
    Network(ThingAct, String),
    /// A builder takes the record up.
    Cache(String),
}

const ACTS: [Act; 9] =
    [Act::Tag, Act::MoveHere, Act::BuildOn, Act::Run, Act::Create, Act::Commit, Act::Delete, Act::Load, Act::LoadNamed];
const NAME_ACTS: [NameAct; 4] = [NameAct::Untag, NameAct::MoveAway, NameAct::Rebuild, NameAct::RunByName];

/// Everything that can be done in a scene.
pub(super) fn all(scene: &Scene, staged: &Staged) -> Vec<Meddling> {
    let plan = &staged.plan;
    let images = scene.subjects.iter().flat_map(|of| ACTS.map(|act| Meddling::Image(act, *of)));
    let known = |name: &&&str| staged.world.find_image(name).is_some();
    let names = scene.names.iter().filter(known).flat_map(|of| NAME_ACTS.map(|act| Meddling::Name(act, of)));
    let mut all: Vec<Meddling> = images.chain(names).collect();
    for step in &plan.steps {
        let id = || step.id().into_owned();
        match step.kind() {
            Kind::Container => {
                all.extend([ThingAct::Start, ThingAct::Remove].map(|act| Meddling::Container(act, id())));
            }
            Kind::Volume | Kind::BuilderState => {
                all.extend([ThingAct::Remove, ThingAct::Use].map(|act| Meddling::Volume(act, id())));
            }
            Kind::Network => {
                for name in step.names() {
                    all.extend([ThingAct::Remove, ThingAct::Use].map(|act| Meddling::Network(act, name.to_owned())));
                }
            }
            Kind::BuildCache => all.push(Meddling::Cache(id())),
            Kind::Image => {}
        }
    }
    all.dedup_by(|a, b| format!("{a:?}") == format!("{b:?}"));
    all
}

impl Meddling {
    /// Whether both are about the same thing, or about what is built on it, uses it or is called by it.
    pub(super) fn is_related(&self, other: &Self, staged: &Staged) -> bool {
        match (self, other) {
            (Self::Image(_, one), Self::Image(_, two)) => {
                staged.families.get(&id(*one)).is_none_or(|family| family.contains(&id(*two).digits()))
            }
            (Self::Image(..) | Self::Name(..), Self::Image(..) | Self::Name(..))
            | (Self::Volume(..) | Self::Container(..), Self::Volume(..) | Self::Container(..))
            | (Self::Network(..), Self::Network(..) | Self::Container(..))
            | (Self::Container(..), Self::Network(..))
            | (Self::Cache(_), Self::Cache(_)) => true,
            _ => false,
        }
    }

    /// Whether it makes a difference that this comes before or after a request. Where it makes none, it need not be
    /// tried on both sides.
    pub(super) fn concerns(&self, request: &Request, staged: &Staged) -> bool {
        let about = match request {
            Request::Look("inspecting", key) | Request::Delete(key) => key.clone(),
            Request::Tag(_, name) => name.to_string(),
            Request::Look("inspecting volume", _) | Request::Change("removing volume", _) => {
                return matches!(self, Self::Container(..) | Self::Volume(..));
            }
            Request::Change("removing network", _) => return matches!(self, Self::Container(..) | Self::Network(..)),
            Request::Change("deleting build cache", _) => return matches!(self, Self::Cache(_)),
            // A container that is gone holds no image any more.
            Request::Change("removing container", _) => return !matches!(self, Self::Cache(_)),
            Request::Change("stopping container", _) => return matches!(self, Self::Container(..)),
            // A list has everything, and explains what stayed by what there is then.
            Request::Look(..) | Request::Change(..) => return true,
        };
        match self {
            Self::Image(_, of) => {
                let digits = about.rsplit(':').next().unwrap_or_default();
                digits.len() != 64 || staged.families.get(&id(*of)).is_none_or(|family| family.contains(digits))
            }
            Self::Volume(..) | Self::Network(..) | Self::Cache(_) => false,
            Self::Name(..) | Self::Container(..) => true,
        }
    }

    /// Does it, where it can be done. `nth` tells what he makes this time from what he made before.
    pub(super) fn perform(&self, world: &mut World, nth: u8) {
        let at = world.now().as_second();
        let running = |of: &str| container_of(&format!("his-{nth}"), of, ContainerState::Running, at);
        let new = 200 + nth;
        // What an engine refuses he does not do.
        let _ = match self {
            Self::Image(act, of) => {
                let (of, text) = (id(*of), id(*of).to_string());
                match act {
                    Act::Tag => world.tag(of, &format!("theirs:{nth}")),
                    Act::MoveHere => world.tag(of, OTHERS_NAME),
                    Act::BuildOn if world.has(of) => {
                        world.load(on_it(self, image(new, &[&format!("child:{nth}")])));
                        Ok(())
                    }
                    Act::BuildOn => Ok(()),
                    Act::Run => world.create_container(running(&text)),
                    Act::Create => {
                        world.create_container(Container { state: ContainerState::Created, ..running(&text) })
                    }
                    Act::Commit => {
                        let made =
                            world.create_container(Container { state: ContainerState::Exited, ..running(&text) });
                        made.and_then(|()| world.commit(&format!("his-{nth}"), id(new), Some(&format!("new:{nth}"))))
                            .and_then(|()| world.remove_container(&format!("his-{nth}")))
                    }
                    Act::Delete => world.remove_image(&text),
                    Act::Load => {
                        world.load(self.same(Vec::new()));
                        Ok(())
                    }
                    Act::LoadNamed => {
                        world.load(self.same(vec![format!("loaded:{nth}")]));
                        Ok(())
                    }
                }
            }
            Self::Name(act, name) => match act {
                NameAct::Untag => world.remove_image(name),
                NameAct::MoveAway => world.tag(id(OTHER), name),
                NameAct::Rebuild => {
                    world.build(image(new, &[name]));
                    Ok(())
                }
                NameAct::RunByName => world.create_container(running(name)),
            },
            Self::Container(ThingAct::Start, of) => world.start_container(of),
            Self::Container(_, of) => world.remove_container(of),
            Self::Volume(ThingAct::Use, of) => {
                world.create_container(Container { volumes: vec![of.clone()], ..running(OTHERS_NAME) })
            }
            Self::Volume(_, of) => world.remove_volume(of),
            Self::Network(ThingAct::Use, of) => {
                world.create_container(Container { networks: vec![of.clone()], ..running(OTHERS_NAME) })
            }
            Self::Network(_, of) => world.remove_network(of),
            Self::Cache(of) => {
                world.use_cache(of, true);
                Ok(())
            }
        };
    }

    /// The image itself, as an archive has it.
    fn same(&self, names: Vec<String>) -> crate::engine::fake::Loaded {
        let Self::Image(_, of) = self else { unreachable!("only images are loaded") };
        crate::engine::fake::Loaded { names, ..image(*of, &[]) }
    }
}

fn on_it(meddling: &Meddling, child: crate::engine::fake::Loaded) -> crate::engine::fake::Loaded {
    let Meddling::Image(_, of) = meddling else { unreachable!("only on images is built") };
    on(*of, child)
}

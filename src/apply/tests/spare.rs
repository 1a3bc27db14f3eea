//! What a builder left, and the builder that comes back.

use std::collections::HashMap;

use jiff::Timestamp;

use super::run::block_on;
use crate::apply::spare::remove_builder_state;
use crate::engine::fake::{Fake, Store};
use crate::model::image_tests::container;
use crate::model::{Container, ContainerState, Outcome, Volume};

#[test]
fn what_a_builder_left_stays_once_the_builder_is_back() {
    let name = "buildx_buildkit_farm0_state";
    let (driver, labels) = ("local".to_owned(), HashMap::new());
    let left = Volume { name: name.to_owned(), driver, created: Some(Timestamp::UNIX_EPOCH), labels, size: None };
    let outcome = |called: &str, created| {
        let fake = Fake::new(Store::Graphdriver);
        fake.world().put_volume(left.clone());
        let back = Container { image: None, ..container(called, 1, ContainerState::Created) };
        fake.world().containers.insert(back.id.clone(), back);
        block_on(remove_builder_state(&fake, name, created)).expect("an engine").outcome
    };
    assert_eq!(outcome("buildx_buildkit_farm0", left.created), Outcome::Kept);
    assert_eq!(outcome("else", Some(Timestamp::MAX)), Outcome::Kept, "another one of that name");
    assert_eq!(outcome("buildx_buildkit_farm1", left.created), Outcome::Done);
}

//! What the lines of one build say, added up.

use super::Event;
use crate::model::{ImageId, Shown, ShownImage, ShownLine};

#[derive(Debug, Default)]
pub(crate) struct SeenBuild {
    pub(crate) shown: Shown,
    /// The ID that the last line gave, where it gave a whole one.
    pub(crate) id: Option<ImageId>,
    /// It was Podman that built, whatever the program.
    pub(crate) podman: bool,
    /// The triggers of a base run in containers of their own, of which no image is shown.
    triggers: bool,
}

impl SeenBuild {
    /// What is new in `shown` by it, for whoever writes that down.
    pub(crate) fn take(&mut self, event: Event) -> Option<ShownLine> {
        let shown = &self.shown;
        let line = match event {
            Event::Step { number, stage, podman } => {
                self.podman |= podman;
                ShownLine::Step(stage, number)
            }
            Event::Triggers => {
                self.triggers = shown.ran.is_none();
                return None;
            }
            Event::RunningIn(container) if shown.ran.is_none() && !self.triggers => ShownLine::Ran(container),
            Event::Image(image) => {
                self.triggers = false;
                ShownLine::Image(ShownImage {
                    id: image.digits,
                    step: shown.step,
                    stage: shown.stage,
                    base: image.after_from && !image.triggered,
                    cached: image.cached,
                    ran: shown.ran.clone(),
                })
            }
            Event::Built(id) => {
                self.id = ImageId::parse(&id);
                return None;
            }
            Event::UsingCache | Event::RunningIn(_) => return None,
        };
        self.shown.add(line.clone());
        Some(line)
    }
}

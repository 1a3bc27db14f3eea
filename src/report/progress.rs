//! A bar for what takes longer than half a second, on a terminal only.

use std::cell::Cell;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const PATIENCE: Duration = Duration::from_millis(500);

pub(crate) struct Bar {
    line: ProgressBar,
    began: Instant,
    shown: Cell<bool>,
}

impl Bar {
    pub(crate) fn new(wanted: bool, length: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some(length as u64), ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{pos}/{len} {wide_bar} {eta}") {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { line: bar, began: Instant::now(), shown: Cell::new(!wanted) }
    }

    pub(crate) fn step(&self) {
        self.line.inc(1);
        if !self.shown.get() && self.began.elapsed() > PATIENCE {
            self.shown.set(true);
            self.line.set_draw_target(ProgressDrawTarget::stderr());
        }
    }

    pub(crate) fn end(&self) {
        self.line.finish_and_clear();
    }
}

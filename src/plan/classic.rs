//! What the classic builder and Podman print while they build, read for the IDs in it.
//!
//! Nothing here is believed. A RUN step may print any of these lines, so all that comes out is a candidate,
//! in the order of the stream, for somebody who can ask the engine for its parent and its age.
//!
//! The shapes, measured on Docker 20.10 and 28.5, on Podman 5.4, and on Podman behind Docker's CLI:
//!
//! | Docker | Podman |
//! |---|---|
//! | `Step 2/7 : RUN …` | `STEP 2/7: RUN …`, `[1/2] STEP 2/7: RUN …`, `[linux/arm64] [1/2] STEP …` |
//! | `# Executing 2 build triggers` | – |
//! | ` ---> Using cache` | `--> Using cache <64 digits>` |
//! | ` ---> Running in <12 digits>` | – |
//! | ` ---> <12 digits>` | `--> <12 digits>`, 11 in older versions |
//! | `Successfully built <12 digits>` | `<64 digits>` |
//! | `sha256:<64 digits>`, with `-q` | `<64 digits>` |
//!
//! What a step prints without a newline at its end stands in front of the next of these on the same line, so
//! an ID is looked for at the end of a line. What it prints to stderr is wrapped in colours, whose end comes
//! behind the newline, so a line may begin with `ESC[0m`. Progress bars overwrite themselves with `\r`, which
//! therefore ends a line as `\n` does.

// Places within words that lie in memory.
#![allow(clippy::arithmetic_side_effects)]

mod seen;
#[cfg(test)]
mod tests;

pub(crate) use seen::SeenBuild;

/// No line of the builder's own that matters is longer, but for a step, and of a step the beginning is enough.
const LONGEST_LINE: usize = 4096;
/// No Dockerfile has more.
const MOST_STAGES: u32 = 1000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Step {
        number: u32,
        /// Grows from stage to stage.
        stage: u32,
        /// Said as Podman says it.
        podman: bool,
    },
    /// The `ONBUILD` triggers of a base run as part of its `FROM` step.
    Triggers,
    /// The step was there already. The line that follows names it.
    UsingCache,
    RunningIn(String),
    /// The result of a step.
    Image(NamedImage),
    /// The result of the build.
    Built(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamedImage {
    /// The first 11 to 12 digits of the ID, in lower case.
    pub digits: String,
    /// It stands behind a `FROM` step: a base, or the last image of an earlier stage.
    pub after_from: bool,
    /// Triggers ran in this step: behind `FROM` it is not the base itself but made from it, by way of images
    /// that were not shown.
    pub triggered: bool,
    /// Taken from the cache: it may be of another build.
    pub cached: bool,
}

/// Takes the stream in pieces of any size, and gives the same events however it is cut.
#[derive(Debug, Default)]
pub(crate) struct ClassicReader {
    line: Vec<u8>,
    /// The line was longer than what is kept of it.
    cut: bool,
    step: StepRead,
}

#[derive(Debug, Default)]
struct StepRead {
    /// Where the builder is in its own count; what does not go on from there was printed by a step.
    count: Option<Count>,
    stage: u32,
    /// What the stages of the platforms before this one are counted as.
    earlier: u32,
    from: bool,
    triggered: bool,
    origin: StepOrigin,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum StepOrigin {
    #[default]
    Unsaid,
    Cache,
    /// Nothing that follows comes from a cache: what says so was printed by the step.
    Run,
}

impl ClassicReader {
    pub(crate) fn feed(&mut self, mut bytes: &[u8], mut on: impl FnMut(Event)) {
        while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            self.keep(&bytes[..end]);
            self.end_line(&mut on);
            bytes = &bytes[end + 1..];
        }
        self.keep(bytes);
    }

    /// The stream is over; its last line may lack a newline.
    pub(crate) fn finish(mut self, mut on: impl FnMut(Event)) {
        self.end_line(&mut on);
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = LONGEST_LINE - self.line.len();
        self.cut |= bytes.len() > room;
        self.line.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn end_line(&mut self, on: &mut impl FnMut(Event)) {
        let text = String::from_utf8_lossy(&self.line);
        if let Some(event) = self.step.event(plain(&text), self.cut) {
            on(event);
        }
        self.line.clear();
        self.cut = false;
    }
}

impl StepRead {
    fn event(&mut self, line: &str, cut: bool) -> Option<Event> {
        if let Some(step) = step(line) {
            let (count, from) = step;
            if self.count.as_ref().is_some_and(|last| !last.leads_to(&count)) {
                return None;
            }
            let again = count.platform && self.count.as_ref().is_some_and(|last| last.stage > count.stage);
            let earlier = self.earlier.saturating_add(if again { MOST_STAGES } else { 0 });
            let stage = match (count.podman, from) {
                (true, _) => earlier.saturating_add(count.stage),
                (false, true) => count.number,
                (false, false) => self.stage,
            };
            let event = Event::Step { number: count.number, stage, podman: count.podman };
            *self = Self { count: Some(count), from, stage, earlier, ..Self::default() };
            return Some(event);
        }
        // The end of a line that was cut is not its end.
        if cut {
            return None;
        }
        if line.starts_with("# Executing ") && line.contains(" build trigger") {
            self.triggered = true;
            return Some(Event::Triggers);
        }
        if let Some(id) = line.strip_prefix("Successfully built ").and_then(short) {
            return Some(Event::Built(id));
        }
        if let Some(id) = long(line.strip_prefix("sha256:").unwrap_or(line)) {
            return Some(Event::Built(id));
        }
        let (_, said) = line.rsplit_once("--> ")?;
        if let Some(id) = short(said) {
            let (after_from, triggered, cached) = (self.from, self.triggered, self.origin == StepOrigin::Cache);
            return Some(Event::Image(NamedImage { digits: id, after_from, triggered, cached }));
        }
        if let Some(container) = said.strip_prefix("Running in ").and_then(short) {
            self.origin = StepOrigin::Run;
            return Some(Event::RunningIn(container));
        }
        if !said.starts_with("Using cache") || self.origin == StepOrigin::Run {
            return None;
        }
        self.origin = StepOrigin::Cache;
        Some(Event::UsingCache)
    }
}

/// Without the colours in front.
fn plain(mut line: &str) -> &str {
    while let Some((code, rest)) = line.strip_prefix("\x1b[").and_then(|rest| rest.split_once('m')) {
        if !code.bytes().all(|byte| byte.is_ascii_digit() || byte == b';') {
            break;
        }
        line = rest;
    }
    line
}

/// `Step 2/7 : RUN …`, or `STEP 2/7: RUN …` behind any number of `[…] `.
#[derive(Debug, PartialEq, Eq)]
struct Count {
    /// Docker counts through all stages, and has one here.
    stage: u32,
    stages: u32,
    number: u32,
    of: u32,
    podman: bool,
    /// Podman builds for several platforms, each from the start.
    platform: bool,
}

impl Count {
    fn leads_to(&self, next: &Self) -> bool {
        // Podman counts the triggers of a base as steps of their own, once it has seen the base.
        let same_length = self.of == next.of || self.podman && self.number == 1 && self.of < next.of;
        let goes_on = self.stage == next.stage && same_length && self.number.checked_add(1) == Some(next.number);
        let new_stage = next.podman && self.stage < next.stage && next.number == 1;
        self.podman == next.podman
            && (self.platform && next.platform || self.stages == next.stages && (goes_on || new_stage))
    }
}

fn step(line: &str) -> Option<(Count, bool)> {
    let (mut rest, mut stages, mut platform) = (line, (1, 1), false);
    while let Some((said, behind)) = rest.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
        match fraction(said) {
            Some(counted) => stages = counted,
            None => platform = true,
        }
        rest = behind;
    }
    let (count, instruction) = match line.strip_prefix("Step ") {
        Some(rest) => rest.split_once(" : ")?,
        None => rest.strip_prefix("STEP ")?.split_once(": ")?,
    };
    let (number, of) = fraction(count)?;
    let word = instruction.split_ascii_whitespace().next().unwrap_or_default();
    let podman = !line.starts_with("Step ");
    let count = Count { stage: stages.0, stages: stages.1, number, of, podman, platform };
    Some((count, word.eq_ignore_ascii_case("from")))
}

fn fraction(text: &str) -> Option<(u32, u32)> {
    let (number, of) = text.split_once('/')?;
    Some((number.parse().ok()?, of.parse().ok()?))
}

fn short(text: &str) -> Option<String> {
    digits(text, 11..=12)
}

fn long(text: &str) -> Option<String> {
    digits(text, 64..=64)
}

fn digits(text: &str, length: std::ops::RangeInclusive<usize>) -> Option<String> {
    let lower = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (length.contains(&text.len()) && text.bytes().all(lower)).then(|| text.to_owned())
}

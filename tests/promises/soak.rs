//! How many random hosts a run tries, and how one that failed is made again.
//!
//! `DKB_SOAK=10000` tries so many in all that nobody has tried yet, spread over the engines that run; without it there
//! are 40 over the lab's engines, the same each time, so that a run fails for a change and not for luck. `DKB_SEED=17` makes the one host of this seed again, `DKB_SEED=17+8` it and the seven after it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use dkb_lab::Engine;
use dkb_lab::engine::{names, picked};

const USUAL: u64 = 40;
/// A slow machine tries fewer, and says so; a soak has all the time it needs.
const PATIENCE: Duration = Duration::from_secs(180);

/// Which random hosts are to be tried on one engine.
pub(crate) enum Seeds {
    These(Vec<u64>),
    /// From here on, as long as there is time.
    From {
        first: u64,
        count: u64,
        soak: bool,
    },
}

impl Seeds {
    pub(crate) fn of_this_run() -> Self {
        Self::of_this_run_or(USUAL.div_ceil(names().len() as u64))
    }

    /// So many in a usual run.
    pub(crate) fn of_this_run_or(usual: u64) -> Self {
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
        if let Ok(given) = std::env::var("DKB_SEED") {
            let (first, count) = given.split_once('+').unwrap_or((&given, "1"));
            let number = |text: &str| text.parse::<u64>().expect("DKB_SEED is a number, or two as in 17+8");
            return Self::These((number(first)..).take(usize::try_from(number(count)).expect("few")).collect());
        }
        let Some(all) = number("DKB_SOAK") else {
            return Self::From { first: 1, count: usual, soak: false };
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_nanos();
        let first = u64::try_from(now % 1_000_000_000_000).expect("it fits");
        Self::From { first, count: all.div_ceil(picked().len() as u64), soak: true }
    }

    /// Tries them without an engine.
    pub(crate) fn each(self, test: &str, body: impl Fn(u64)) {
        let seeds: Vec<u64> = match self {
            Self::These(seeds) => seeds,
            Self::From { first, count, .. } => (first..first + count).collect(),
        };
        for seed in seeds {
            let done = catch_unwind(AssertUnwindSafe(|| body(seed)));
            assert!(done.is_ok(), "again: DKB_SEED={seed} cargo test --test promises {test}");
        }
    }

    /// Tries them so many at a time. Of those that fail it says how they are made again, and only they.
    #[allow(clippy::print_stderr)] // what was not tried is said beside the results
    pub(crate) fn each_batch(self, engine: &Engine, at_once: usize, test: &str, body: impl Fn(&[u64])) {
        let (seeds, soak): (Vec<u64>, bool) = match self {
            Self::These(seeds) => (seeds, true),
            Self::From { first, count, soak } => ((first..first + count).collect(), soak),
        };
        let began = Instant::now();
        for (nth, batch) in seeds.chunks(at_once).enumerate() {
            if !soak && began.elapsed() > PATIENCE {
                let (tried, all) = (nth * at_once, seeds.len());
                eprintln!("dkb-lab: {}: {tried} of {all} random hosts in {PATIENCE:?}", engine.name());
                return;
            }
            if catch_unwind(AssertUnwindSafe(|| body(batch))).is_err() {
                let seed = match batch {
                    [one] => one.to_string(),
                    _ => format!("{}+{}", batch[0], batch.len()),
                };
                panic!("again: DKB_SEED={seed} DKB_LAB={} cargo test --test promises {test}", engine.name());
            }
        }
    }
}

//! The engines of one test run: started when first needed, held by one test at a time, clean for the next.

use std::collections::BTreeMap;
use std::sync::Mutex;

use crate::engine::{self, Engine};

/// More images than this go faster with the whole engine than one by one.
const WORTH_WIPING: usize = 40;

#[derive(Debug, Default)]
pub(crate) struct Pool {
    idle: Mutex<Vec<Engine>>,
    seen: Mutex<BTreeMap<String, String>>,
    most_idle: usize,
}

impl Pool {
    pub(crate) fn new(most_idle: usize) -> Self {
        Self { most_idle, ..Self::default() }
    }

    pub(crate) fn take(&self, name: &str) -> Engine {
        let idle = {
            let mut idle = lock(&self.idle);
            idle.iter().position(|e| e.name() == name).map(|i| idle.swap_remove(i))
        };
        idle.unwrap_or_else(|| {
            let engine = Engine::start(name);
            lock(&self.seen).entry(name.to_owned()).or_insert_with(|| describe(&engine));
            engine
        })
    }

    /// Takes back an engine from a test that passed. After a failure nobody knows what state one is in, so
    /// those don't come back.
    pub(crate) fn give_back(&self, engine: Engine) {
        if !engine.api().answers() || engine.images().len() > WORTH_WIPING {
            return;
        }
        engine.wipe();
        let surplus = {
            let mut idle = lock(&self.idle);
            idle.push(engine);
            (idle.len() > self.most_idle).then(|| idle.remove(0))
        };
        drop(surplus);
    }

    /// One line for each kind of engine that was used: `docker-28.5: 28.5.2 overlay2`.
    pub(crate) fn close(&self) -> Vec<String> {
        lock(&self.idle).clear();
        let used = !lock(&self.seen).is_empty();
        if used {
            engine::sweep();
        }
        lock(&self.seen).values().cloned().collect()
    }
}

/// Debian moves on under the lab's names; a name that is no longer true is said, not failed.
fn describe(engine: &Engine) -> String {
    let driver = engine.api().info()["Driver"].as_str().unwrap_or("?").to_owned();
    let (name, version) = (engine.name(), engine.version());
    let promised = name.split('-').nth(1).and_then(|v| v.split('.').next()).unwrap_or_default();
    let note =
        if version.split('.').next() == Some(promised) { "" } else { " (Debian has moved on from what the name says)" };
    format!("{name}: {version} {driver}{note}")
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

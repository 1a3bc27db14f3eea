//! What waits for answers: one runtime for all of dkb.

use std::cell::OnceCell;
use std::io;

use tokio::runtime::{Builder, Runtime};

use crate::error::{Error, Result};

/// The most handles that dkb has open beside those that it was started with, with room to spare.
const HANDLES: usize = 40;

/// Whether so many more can be had.
fn has_handles(wanted: usize) -> io::Result<()> {
    let stdin = io::stdin();
    let handles: Result<Vec<_>, _> = (0..wanted).map(|_| rustix::io::fcntl_dupfd_cloexec(&stdin, 0)).collect();
    handles.map(drop).map_err(Into::into)
}

/// Made when it is first needed, and once: a watcher first closes every handle that it was started with. One thread is
/// enough, since dkb waits most of the time.
#[derive(Default)]
pub(crate) struct LateRuntime(OnceCell<Runtime>);

impl LateRuntime {
    pub(crate) fn get(&self) -> Result<&Runtime> {
        if let Some(runtime) = self.0.get() {
            return Ok(runtime);
        }
        // Where these are missing tokio panics, and dkb would leave a docker alone that it has started.
        has_handles(HANDLES).map_err(|error| {
            Error::failed("starting", error)
                .hint(format!("dkb wants {HANDLES} handles to spare; ulimit -n says how many there may be"))
        })?;
        let made = Builder::new_current_thread().enable_all().build();
        let made = made.map_err(|error| Error::failed("starting", error))?;
        Ok(self.0.get_or_init(|| made))
    }
}

/// Whoever still waits for a lock then is not waited for.
impl Drop for LateRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

//! Threads that are away from the interpreter, inside the core, when it ends. Whoever asks for it by then is ended by Python in
//! the midst of what it does, and no Rust code lives through that: the process is aborted. So the end waits for all of
//! them, and from then on none goes away.

use pyo3::prelude::*;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

static AWAY: AtomicUsize = AtomicUsize::new(0);
static IS_ENDING: AtomicBool = AtomicBool::new(false);
static BACK: Back = Back { lock: Mutex::new(()), changed: Condvar::new() };

/// A thread that was told to stop is away a few times more at most.
const ROUNDS: usize = 1_000;

struct Back {
    /// Taken only when the interpreter ends: a forked process may have it for good.
    lock: Mutex<()>,
    changed: Condvar,
}

/// A thread that lets go of the interpreter, or calls what may do so. It is made and dropped with the interpreter held.
pub(crate) struct Visit;

impl Visit {
    pub(crate) fn begin() -> Self {
        AWAY.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if AWAY.fetch_sub(1, Ordering::SeqCst) == 1 && is_over() {
            drop(BACK.lock.lock().unwrap_or_else(PoisonError::into_inner));
            BACK.changed.notify_all();
        }
    }
}

/// Whether threads are to keep the interpreter, since it ends.
pub(crate) fn is_over() -> bool {
    IS_ENDING.load(Ordering::SeqCst)
}

/// Waits until no thread is inside the core without the interpreter, for so many seconds; hardly one goes there from now on.
#[pyfunction]
pub(crate) fn end_visits(py: Python<'_>, seconds: f64) {
    IS_ENDING.store(true, Ordering::SeqCst);
    let are_away = || AWAY.load(Ordering::SeqCst) > 0;
    let come_back = || {
        let lock = BACK.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = BACK.changed.wait_timeout_while(lock, Duration::from_secs_f64(seconds), |()| are_away());
        waited.is_ok_and(|(_, waited)| !waited.timed_out())
    };
    // One that came back may be away again, in pyarrow, by the time that we have the interpreter.
    for _ in 0..ROUNDS {
        if !py.detach(come_back) || !are_away() {
            break;
        }
    }
}

/// A forked process has none of the threads that were away.
#[pyfunction]
pub(crate) fn forget_visits() {
    AWAY.store(0, Ordering::SeqCst);
}

//! Where a replay stands: shared by the consumer, who commits, and by all who read.

use crate::reused::Reused;
use crate::tape_names::Names;
use backtape_core::account::Account;
use backtape_core::digest::Digest;
use backtape_core::loaded::Loaded;
use backtape_core::mark::Mark;
use backtape_core::replay::Window;
use backtape_engine::pace::{Pace, Run};
use pyo3::prelude::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a session brings along for Python.
pub(crate) struct SessionFacts {
    /// The Python `Session`.
    pub(crate) session: Py<PyAny>,
    /// Names by tape.
    pub(crate) names: Names,
    /// Events that are handed out again.
    pub(crate) reused: Reused,
    /// Sessions before this one, oldest first.
    pub(crate) history: Vec<Arc<Loaded>>,
}

/// A window of planned events, and how many of them are committed. To take an event is to store one number.
pub(crate) struct Progress {
    pub(crate) window: Window,
    pub(crate) facts: Arc<SessionFacts>,
    /// How many events are committed. Only the consumer stores it.
    taken: AtomicUsize,
    /// How many events may be taken before the consumer must ask again: for what is due, and for commands.
    allowed: AtomicUsize,
}

impl Progress {
    pub(crate) const fn new(window: Window, facts: Arc<SessionFacts>) -> Self {
        Self { window, facts, taken: AtomicUsize::new(0), allowed: AtomicUsize::new(0) }
    }

    pub(crate) fn len(&self) -> usize {
        self.window.order.len()
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }

    pub(crate) fn allowed(&self) -> usize {
        self.allowed.load(Ordering::Acquire)
    }

    /// Makes the events before this place visible. One thread at a time takes events: it holds the interpreter.
    pub(crate) fn commit(&self, taken: usize) {
        self.taken.store(taken, Ordering::Release);
    }

    pub(crate) fn mark(&self) -> Mark {
        self.window.mark(self.taken())
    }
}

/// What readers and commands meet at. The lock is held for a few loads and stores, never while anything waits.
pub(crate) struct Shared {
    pub(crate) pace: Pace,
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    progress: Option<Arc<Progress>>,
    settled: Account,
    /// Whether the current session is part of `settled`.
    is_settled: bool,
}

impl Shared {
    pub(crate) fn new(speed: f64) -> Self {
        Self { pace: Pace::new(speed), current: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The window that is being played.
    pub(crate) fn progress(&self) -> Option<Arc<Progress>> {
        self.lock().progress.clone()
    }

    /// Takes up a new window. What it replaces is dropped outside the lock.
    pub(crate) fn install(&self, progress: Arc<Progress>) {
        let before = {
            let mut current = self.lock();
            current.is_settled = false;
            current.progress.replace(progress)
        };
        drop(before);
    }

    /// Allows the events known up to `due_ns`, unless a command came in between.
    pub(crate) fn allow(&self, progress: &Progress, due_ns: i64) -> bool {
        let allowed = progress.window.order.at_ns.partition_point(|&at_ns| at_ns <= due_ns);
        let _current = self.lock();
        if self.pace.run() != Run::Running {
            return false;
        }
        progress.allowed.store(allowed, Ordering::Release);
        true
    }

    /// Gives a command to the pace, then makes the consumer ask again before it takes another event.
    pub(crate) fn command(&self, command: impl FnOnce(&Pace)) {
        command(&self.pace);
        let current = self.lock();
        if let Some(progress) = &current.progress {
            progress.allowed.store(0, Ordering::Release);
        }
    }

    pub(crate) fn settle(&self, settled: Account) {
        let mut current = self.lock();
        current.settled = settled;
        current.is_settled = true;
    }

    /// All settled sessions, and the current one as it stands.
    pub(crate) fn account(&self) -> Account {
        let (mut account, progress) = {
            let current = self.lock();
            let open = if current.is_settled { None } else { current.progress.clone() };
            (current.settled.clone(), open)
        };
        if let Some(progress) = progress {
            account.add(&progress.window.loaded, &progress.mark());
        }
        account
    }

    pub(crate) fn digest(&self) -> Digest {
        let progress = self.progress();
        progress.map_or_else(Digest::default, |progress| progress.window.digest(progress.taken()))
    }
}

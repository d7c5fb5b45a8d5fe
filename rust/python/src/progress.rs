//! Where a replay stands: shared by the consumer, who commits, and by all who read.

use crate::moment::Gathered;
use crate::reused::Reused;
use crate::tape_names::Names;
use backtape_core::account::Account;
use backtape_core::digest::Digest;
use backtape_core::key::Kind;
use backtape_core::loaded::Loaded;
use backtape_core::mark::Mark;
use backtape_core::replay::Window;
use backtape_engine::pace::{Pace, Run};
use pyo3::prelude::*;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

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
    /// The window's columns for moments, gathered on first use.
    pub(crate) gathered: OnceLock<Arc<Gathered>>,
    /// How many events are committed. Only the consumer stores it.
    taken: AtomicUsize,
    /// How many events may be taken before the consumer must ask again: for what is due, and for commands.
    allowed: AtomicUsize,
    /// The last timer that went off, ns UTC. Later than the last event taken, it is what the time is.
    ticked_ns: AtomicI64,
    /// How many events were committed in the windows before.
    first: u64,
}

impl Progress {
    /// `before`: the window before this one, of the same session.
    pub(crate) fn new(window: Window, facts: Arc<SessionFacts>, before: Option<&Self>) -> Self {
        let (taken, allowed) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let same = before.filter(|before| Arc::ptr_eq(&before.facts, &facts));
        let ticked_ns = AtomicI64::new(same.map_or(i64::MIN, |before| before.ticked_ns.load(Ordering::Acquire)));
        let first = before.map_or(0, Self::committed);
        Self { window, facts, gathered: OnceLock::new(), taken, allowed, ticked_ns, first }
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
        let mark = self.window.mark(self.taken());
        let ticked_ns = self.ticked_ns.load(Ordering::Acquire);
        if ticked_ns > mark.now_ns { Mark::at_timer(ticked_ns, &self.window.loaded) } else { mark }
    }

    /// A timer goes off: all before it is taken.
    pub(crate) fn tick(&self, at_ns: i64) {
        self.ticked_ns.store(at_ns, Ordering::Release);
    }

    /// How many events of the replay are committed.
    pub(crate) fn committed(&self) -> u64 {
        self.first + self.taken() as u64
    }

    /// The place of the first event that comes after a timer: bars and boundaries of its instant come before it (C1).
    pub(crate) fn place_after(&self, timer_ns: i64) -> usize {
        let at_ns = &self.window.order.at_ns;
        let from = at_ns.partition_point(|&at| at < timer_ns);
        let of_instant = at_ns[from..].iter().take_while(|&&at| at == timer_ns).count();
        (from..from + of_instant).find(|&place| self.window.kind(place) >= Kind::Quote).unwrap_or(from + of_instant)
    }

    /// A timer was set: events after it are not to be taken before the consumer asks again.
    pub(crate) fn limit(&self, timer_ns: i64) {
        self.allowed.fetch_min(self.place_after(timer_ns), Ordering::AcqRel);
    }
}

/// What readers and commands meet at. The lock is held for a few loads and stores, never while anything waits.
pub(crate) struct Shared {
    pub(crate) pace: Pace,
    current: Mutex<Current>,
    /// Signalled when events were committed while somebody waits for them, and at the end.
    arrived: Condvar,
}

#[derive(Default)]
struct Current {
    progress: Option<Arc<Progress>>,
    settled: Account,
    /// Whether the current session is part of `settled`.
    is_settled: bool,
    /// How many threads wait for events to be committed.
    watchers: usize,
    /// Whether nothing more will be committed.
    is_over: bool,
}

impl Shared {
    pub(crate) fn new(speed: f64) -> Self {
        Self { pace: Pace::new(speed), current: Mutex::default(), arrived: Condvar::new() }
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

    /// Allows the events known up to `due_ns` and before a timer, unless a command came in between. While somebody waits
    /// for events, one instant at a time: its end is where the consumer comes by to say so.
    pub(crate) fn allow(&self, progress: &Progress, due_ns: i64, timer_ns: Option<i64>) -> bool {
        let due = progress.window.order.at_ns.partition_point(|&at_ns| at_ns <= due_ns);
        let mut allowed = timer_ns.map_or(due, |timer_ns| due.min(progress.place_after(timer_ns)));
        let current = self.lock();
        if self.pace.run() != Run::Running {
            return false;
        }
        if current.watchers > 0 && progress.taken() < allowed {
            allowed = allowed.min(progress.window.instant_end(progress.taken()));
        }
        progress.allowed.store(allowed, Ordering::Release);
        true
    }

    /// Tells whoever waits for events that the consumer came by.
    pub(crate) fn tell(&self) {
        if self.lock().watchers > 0 {
            self.arrived.notify_all();
        }
    }

    /// Nothing more will be committed.
    pub(crate) fn end(&self) {
        self.lock().is_over = true;
        self.arrived.notify_all();
    }

    /// Waits until more than `seen` events are committed; returns how many are, and whether more may come.
    pub(crate) fn wait_for_data(&self, seen: u64, at_most: Duration) -> (u64, bool) {
        let committed = |current: &Current| current.progress.as_ref().map_or(0, |progress| progress.committed());
        let mut current = self.lock();
        current.watchers += 1;
        if let Some(progress) = &current.progress {
            progress.allowed.store(0, Ordering::Release);
        }
        if committed(&current) <= seen && !current.is_over {
            current = self.arrived.wait_timeout(current, at_most).unwrap_or_else(PoisonError::into_inner).0;
        }
        current.watchers -= 1;
        (committed(&current), !current.is_over)
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

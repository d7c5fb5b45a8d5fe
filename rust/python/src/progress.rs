//! Where a replay stands: shared by the consumer, who commits, and by all who read.

use crate::batch_form::Keys;
use crate::flags::Flags;
use crate::history::History;
use crate::moment::Gathered;
use crate::reused::Reused;
use crate::tape_names::Names;
use backtape_core::account::Account;
use backtape_core::digest::Digest;
use backtape_core::loaded::Loaded;
use backtape_core::mark::Mark;
use backtape_core::window::Window;
use backtape_engine::pace::{Pace, Waited};
use backtape_engine::turnstile::{Steps, Turnstile};
use pyo3::prelude::*;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// What a session brings along for Python.
pub(crate) struct SessionFacts {
    /// The Python `Session`.
    pub(crate) session: Py<PyAny>,
    /// Names by tape.
    pub(crate) names: Names,
    /// Events that are handed out again.
    pub(crate) reused: Reused,
    /// The sessions before this one.
    pub(crate) history: History,
    /// What follows from the keys of its tapes, once it is asked for.
    pub(crate) keys: OnceLock<Keys>,
}

impl SessionFacts {
    /// What follows from the keys of the session's tapes.
    pub(crate) fn keys(&self, loaded: &Loaded) -> &Keys {
        self.keys.get_or_init(|| Keys::of(loaded))
    }
}

/// A window of planned events, and how many of them are committed. To take an event is to store one number.
pub(crate) struct Progress {
    pub(crate) window: Window,
    pub(crate) facts: Arc<SessionFacts>,
    /// The marks of its events by tape, where all of a tape have the same.
    flags: OnceLock<Option<Vec<u8>>>,
    /// The window's columns for moments, gathered on first use.
    pub(crate) gathered: OnceLock<Arc<Gathered>>,
    /// How far the consumer is.
    steps: Arc<Steps>,
    /// The last timer that went off, ns UTC. Later than the last event taken, it is what the time is.
    ticked_ns: AtomicI64,
}

impl Progress {
    /// `before`: the window before this one, of the same session.
    pub(crate) fn new(window: Window, facts: Arc<SessionFacts>, before: Option<&Self>) -> Self {
        let same = before.filter(|before| Arc::ptr_eq(&before.facts, &facts));
        let ticked_ns = AtomicI64::new(same.map_or(i64::MIN, |before| before.ticked_ns.load(Ordering::Acquire)));
        let steps = Arc::new(Steps::new(before.map_or(0, Self::committed)));
        Self { window, facts, flags: OnceLock::new(), gathered: OnceLock::new(), steps, ticked_ns }
    }

    /// The marks of the event of a place.
    pub(crate) fn flags(&self, place: usize) -> Flags {
        let (loaded, order) = (&self.window.loaded, &self.window.order);
        let tape = order.lanes[place] as usize;
        match self.flags.get_or_init(|| Flags::by_tape(loaded, order.at_ns.first().copied())) {
            Some(by_tape) => Flags::from_bits(by_tape[tape]),
            None => Flags::of(loaded, tape, order.rows[place] as usize, order.at_ns[place]),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.window.order.len()
    }

    pub(crate) fn taken(&self) -> usize {
        self.steps.taken()
    }

    pub(crate) fn allowed(&self) -> usize {
        self.steps.allowed()
    }

    /// Makes the events before this place visible. One thread at a time takes events: it holds the interpreter.
    pub(crate) fn commit(&self, taken: usize) {
        self.steps.commit(taken);
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
        self.steps.committed()
    }

    /// The place of the first event that comes after a timer: bars and boundaries of its instant come before it (C1).
    pub(crate) fn place_after(&self, timer_ns: i64) -> usize {
        let at_ns = &self.window.order.at_ns;
        let from = at_ns.partition_point(|&at| at < timer_ns);
        let of_instant = at_ns[from..].iter().take_while(|&&at| at == timer_ns).count();
        let end = from + of_instant;
        (from..end).find(|&place| self.window.kind(place).follows_timers()).unwrap_or(end)
    }

    /// When the next events are due: catch-up at once, and a window that is taken whole when its last event is.
    fn due_at(&self, whole: bool, timer_ns: Option<i64>) -> i64 {
        let end = timer_ns.map_or(self.len(), |timer_ns| self.place_after(timer_ns));
        let at_ns = match timer_ns {
            Some(timer_ns) if end <= self.taken() => timer_ns,
            _ => self.window.order.at_ns[if whole { end - 1 } else { self.taken() }],
        };
        if at_ns < self.window.loaded.catch_up_until_ns { i64::MIN } else { at_ns }
    }

    /// A timer was set: events after it are not to be taken before the consumer asks again.
    pub(crate) fn limit(&self, timer_ns: i64) {
        self.steps.limit(self.place_after(timer_ns));
    }
}

/// Whether the next events may be taken.
pub(crate) enum Due {
    Now {
        /// A timer goes off before them.
        is_timer: bool,
    },
    NotYet,
    /// There are none, or the replay was stopped.
    Never,
}

/// What readers and commands meet at. The lock is held for a few loads and stores, never while anything waits.
pub(crate) struct Shared {
    pub(crate) turnstile: Turnstile,
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
        Self { turnstile: Turnstile::new(Pace::new(speed)), current: Mutex::default() }
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
        let steps = Arc::clone(&progress.steps);
        let before = {
            let mut current = self.lock();
            current.is_settled = false;
            current.progress.replace(progress)
        };
        self.turnstile.install(steps);
        drop(before);
    }

    /// Waits until the next events are due, then allows them: all of the window at once, if it is taken whole.
    pub(crate) fn wait_for(&self, progress: &Progress, whole: bool, timer_ns: Option<i64>, at_most: Duration) -> Due {
        match self.turnstile.pace.wait(progress.due_at(whole, timer_ns), at_most) {
            Waited::Due(due_ns) => {
                let due_ns = due_ns.max(progress.window.loaded.catch_up_until_ns.saturating_sub(1));
                if !self.allow(progress, due_ns, timer_ns) {
                    return Due::NotYet;
                }
                let is_timer = timer_ns.is_some_and(|timer_ns| progress.place_after(timer_ns) <= progress.taken());
                Due::Now { is_timer }
            }
            Waited::NotYet => Due::NotYet,
            Waited::Stopped => Due::Never,
        }
    }

    /// Allows the events known up to `due_ns` and before a timer, unless a command came in between.
    fn allow(&self, progress: &Progress, due_ns: i64, timer_ns: Option<i64>) -> bool {
        let due = progress.window.order.at_ns.partition_point(|&at_ns| at_ns <= due_ns);
        let place = timer_ns.map_or(due, |timer_ns| due.min(progress.place_after(timer_ns)));
        self.turnstile.allow(&progress.steps, place, || progress.window.instant_end(progress.taken()))
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
            // Whether it balances is told once the session is over.
            drop(account.add(&progress.window.loaded, &progress.mark()));
        }
        account
    }

    pub(crate) fn digest(&self) -> Digest {
        let progress = self.progress();
        progress.map_or_else(Digest::default, |progress| progress.window.digest(progress.taken()))
    }
}

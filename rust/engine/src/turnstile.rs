//! Where the consumer passes, one event after the other, and where commands and waiting readers meet it.
//!
//! To take an event is one store. A command takes all allowance away, so that the consumer comes back and asks; a reader
//! that waits for events does the same, and is woken when the consumer comes by.

use crate::pace::{Pace, Run};
use crate::sync::{AtomicUsize, Condvar, Mutex, MutexGuard, Ordering, lock, wait};
use crate::wall::{MachineWall, Wall};
use std::sync::Arc;
use std::time::Duration;

/// How far the consumer is in a window of planned events, and how far it may go.
#[derive(Debug)]
pub struct Steps {
    /// How many events were taken in the windows before.
    first: u64,
    /// How many events are taken. Only the consumer stores it.
    taken: AtomicUsize,
    /// How many events may be taken before the consumer must ask again: for what is due, and for commands.
    allowed: AtomicUsize,
}

impl Steps {
    /// A window of which nothing is taken, and nothing may be yet. `first`: events taken before it.
    pub fn new(first: u64) -> Self {
        Self { first, taken: AtomicUsize::new(0), allowed: AtomicUsize::new(0) }
    }

    /// How many events of the window are taken.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }

    /// How many events of the window may be taken.
    pub fn allowed(&self) -> usize {
        self.allowed.load(Ordering::Acquire)
    }

    /// Makes the events before this place visible. One thread at a time takes events.
    pub fn commit(&self, taken: usize) {
        self.taken.store(taken, Ordering::Release);
    }

    /// How many events are taken, those of the windows before among them.
    pub fn committed(&self) -> u64 {
        self.first + self.taken() as u64
    }

    /// The consumer is to ask again before it takes the event of this place.
    pub fn limit(&self, place: usize) {
        self.allowed.fetch_min(place, Ordering::AcqRel);
    }
}

#[derive(Debug, Default)]
struct State {
    steps: Option<Arc<Steps>>,
    /// How many threads wait for events to be taken.
    watchers: usize,
    /// How many events were taken when they were last told of it.
    told: u64,
    /// Whether nothing more will be taken.
    is_over: bool,
}

impl State {
    fn committed(&self) -> u64 {
        self.steps.as_ref().map_or(0, |steps| steps.committed())
    }
}

/// The turnstile of one replay. Its lock is held for a few loads and stores, never while anything else waits.
#[derive(Debug)]
pub struct Turnstile<W: Wall = MachineWall> {
    /// When events are due, and whether they may be taken at all.
    pub pace: Pace<W>,
    state: Mutex<State>,
    /// Signalled when the consumer comes by while somebody waits for events, and at the end.
    arrived: Condvar,
}

impl<W: Wall> Turnstile<W> {
    /// A turnstile that nobody has passed.
    pub fn new(pace: Pace<W>) -> Self {
        Self { pace, state: Mutex::default(), arrived: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Takes up a new window.
    pub fn install(&self, steps: Arc<Steps>) {
        let before = self.lock().steps.replace(steps);
        drop(before);
    }

    /// Allows the events before a place, unless a command came in between. While somebody waits for events, only those
    /// before `instant_end`: there the consumer comes by to say that they are taken.
    pub fn allow(&self, steps: &Steps, place: usize, instant_end: impl FnOnce() -> usize) -> bool {
        let state = self.lock();
        if self.pace.run() != Run::Running {
            return false;
        }
        let place = if state.watchers > 0 && steps.taken() < place { place.min(instant_end()) } else { place };
        steps.allowed.store(place, Ordering::Release);
        true
    }

    /// Gives a command to the pace, then makes the consumer ask again before it takes another event.
    pub fn command(&self, command: impl FnOnce(&Pace<W>)) {
        command(&self.pace);
        let state = self.lock();
        if let Some(steps) = &state.steps {
            steps.limit(0);
        }
    }

    /// The consumer comes by: whoever waits for events may look.
    pub fn tell(&self) {
        let mut state = self.lock();
        let committed = state.committed();
        if state.watchers > 0 && committed > state.told {
            state.told = committed;
            self.arrived.notify_all();
        }
    }

    /// Nothing more will be taken.
    pub fn end(&self) {
        self.lock().is_over = true;
        self.arrived.notify_all();
    }

    /// Waits until more than `seen` events are taken; returns how many are, and whether more may come.
    pub fn wait_for_data(&self, seen: u64, at_most: Duration) -> (u64, bool) {
        let mut state = self.lock();
        state.watchers += 1;
        if let Some(steps) = &state.steps {
            steps.limit(0);
        }
        if state.committed() <= seen && !state.is_over {
            state.told = state.committed();
            state = wait(&self.arrived, state, at_most);
        }
        state.watchers -= 1;
        (state.committed(), !state.is_over)
    }
}

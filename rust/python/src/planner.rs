//! `Planner`: works windows out ahead, on threads of its own, while those before are taken.

use backtape_core::account::Account;
use backtape_core::error::Result;
use backtape_core::loaded::Loaded;
use backtape_core::mark::Mark;
use backtape_core::replay::{Replay, Room};
use backtape_core::window::{Job, Sketch, Tiles, Window};
use backtape_engine::ahead::{Ahead, Begun};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Windows know nothing of each other, so several are worked out at a time.
const THREADS: usize = 2;
/// So many windows are under way while one is taken, those of the next sessions among them: what is to be done between two
/// sessions is no time to wait.
const AHEAD: usize = 2;
/// A window of so few rows is worked out on the spot: to hand it to another thread and back would take longer.
const FEW_ROWS: usize = 2_048;

enum Planned {
    Begun(Begun<Sketch>),
    Done(Box<Sketch>),
}

impl Planned {
    fn done(sketch: Sketch) -> Self {
        Self::Done(Box::new(sketch))
    }

    fn sketch(self) -> Option<Sketch> {
        match self {
            Self::Begun(begun) => begun.take(),
            Self::Done(sketch) => Some(*sketch),
        }
    }
}

/// Replays often follow each other: the memory of one serves the next, up to so many bytes.
const SPARE_BYTES_MAX: usize = 32 << 20;

static SPARE: Mutex<Option<Room>> = Mutex::new(None);

fn spare() -> MutexGuard<'static, Option<Room>> {
    SPARE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A replay whose windows are worked out ahead. One thread takes windows; any thread may say what comes next.
pub(crate) struct Planner {
    state: Mutex<State>,
}

impl Default for Planner {
    fn default() -> Self {
        let replay = Replay::within(spare().take().unwrap_or_default());
        Self { state: Mutex::new(State { replay, ..State::default() }) }
    }
}

#[derive(Default)]
struct State {
    replay: Replay,
    /// Windows of the session that plays, in order.
    next: VecDeque<Planned>,
    /// Windows of the sessions that come next, session by session.
    foreseen: VecDeque<VecDeque<Planned>>,
    ahead: Option<Ahead<Job, Sketch>>,
    tiles: Tiles,
}

impl Planner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that a session is the next one after all that are known. Its first events are worked out meanwhile, `rows` or
    /// so a window.
    pub(crate) fn foresee(&self, loaded: Arc<Loaded>, rows: usize) {
        let mut state = self.state();
        state.replay.foresee(loaded);
        state.foreseen.push_back(VecDeque::new());
        state.go_ahead(rows);
    }

    /// Takes up the next session; all events of the one before were asked for.
    pub(crate) fn begin(&self, loaded: Arc<Loaded>, now_ns: i64) -> Result<()> {
        let state = &mut *self.state();
        debug_assert!(state.next.is_empty(), "what is planned is taken before a session ends");
        state.next.clear();
        if state.replay.begin(loaded, now_ns)? {
            state.next = state.foreseen.pop_front().unwrap_or_default();
        } else {
            state.foreseen.clear();
        }
        Ok(())
    }

    /// Takes up the same session with more rows of fed tapes.
    pub(crate) fn grow(&self, loaded: Arc<Loaded>) {
        self.state().replay.grow(loaded);
    }

    /// About `rows` next events; `None` at the end of what is known. The ones after them are worked out meanwhile. While
    /// it waits, the next session may be foreseen.
    pub(crate) fn window(&self, rows: usize) -> Option<Window> {
        let next = self.state().next(rows)?;
        let sketch = next.sketch()?;
        Some(self.state().replay.take_up(sketch))
    }

    /// Ends the session where the consumer stands. Returns the account of all sessions that were ended.
    pub(crate) fn settle(&self, mark: &Mark) -> Result<Account> {
        let mut state = self.state();
        state.next.clear();
        state.replay.settle(mark)?;
        Ok(state.replay.settled().clone())
    }

    /// Nothing more is to be planned.
    pub(crate) fn end(&self) {
        let mut state = self.state();
        state.next.clear();
        state.foreseen.clear();
        state.ahead = None;
        *spare() = Some(state.replay.end(SPARE_BYTES_MAX));
    }
}

impl State {
    /// The next window, and those after it begun.
    fn next(&mut self, rows: usize) -> Option<Planned> {
        self.go_ahead(rows);
        self.next.pop_front()
    }

    /// Begins windows, session by session, until so many are under way.
    fn go_ahead(&mut self, rows: usize) {
        let mut under_way = self.next.len() + self.foreseen.iter().map(VecDeque::len).sum::<usize>();
        while under_way <= AHEAD
            && let Some(job) = self.replay.next_job(rows)
        {
            let planned = self.planned(job);
            self.next.push_back(planned);
            under_way += 1;
        }
        for session in 0..self.foreseen.len() {
            while under_way <= AHEAD
                && let Some(job) = self.replay.next_job_ahead(session, rows)
            {
                let planned = self.planned(job);
                self.foreseen[session].push_back(planned);
                under_way += 1;
            }
        }
    }

    /// Where the system gives no thread, all work is done on the spot.
    fn planned(&mut self, job: Job) -> Planned {
        if job.rows() <= FEW_ROWS {
            return Planned::done(job.done(&mut self.tiles));
        }
        let ahead = self.ahead.get_or_insert_with(|| Ahead::new("backtape-plan", THREADS, Job::done));
        ahead.begin(job).map_or_else(|job| Planned::done(job.done(&mut self.tiles)), Planned::Begun)
    }
}

//! `Planner`: works windows out ahead, on threads of its own, while those before are taken.

use backtape_core::error::Result;
use backtape_core::loaded::Loaded;
use backtape_core::mark::Mark;
use backtape_core::replay::Replay;
use backtape_core::window::{Job, Sketch, Window};
use backtape_engine::ahead::{Ahead, Begun};
use std::collections::VecDeque;
use std::sync::Arc;

/// Windows know nothing of each other, so several are worked out at a time.
const THREADS: usize = 2;
/// So many windows of a session are under way while one is taken.
const AHEAD: usize = 2;
/// Of a session that comes next only the first one: more would keep more memory.
const AHEAD_OF_NEXT: usize = 1;

enum Planned {
    Begun(Begun<Sketch>),
    Done(Sketch),
}

/// A replay whose windows are worked out ahead.
#[derive(Default)]
pub(crate) struct Planner {
    replay: Replay,
    /// Windows of the session that plays, in order.
    next: VecDeque<Planned>,
    /// Windows of the sessions that come next, session by session.
    foreseen: VecDeque<Vec<Planned>>,
    ahead: Option<Ahead<Job, Sketch>>,
}

impl Planner {
    pub(crate) const fn replay(&self) -> &Replay {
        &self.replay
    }

    /// Says that a session is the next one after all that are known. Its first events are worked out meanwhile, `rows` or
    /// so a window.
    pub(crate) fn foresee(&mut self, loaded: Arc<Loaded>, rows: usize) {
        self.replay.foresee(loaded);
        let mut begun = Vec::with_capacity(AHEAD_OF_NEXT);
        for _ in 0..AHEAD_OF_NEXT {
            let job = self.replay.next_job_ahead(rows);
            begun.extend(job.map(|job| self.planned(job)));
        }
        self.foreseen.push_back(begun);
    }

    /// Takes up the next session; all events of the one before were asked for.
    pub(crate) fn begin(&mut self, loaded: Arc<Loaded>, now_ns: i64) -> Result<()> {
        debug_assert!(self.next.is_empty(), "what is planned is taken before a session ends");
        self.next.clear();
        if self.replay.begin(loaded, now_ns)? {
            self.next = self.foreseen.pop_front().unwrap_or_default().into();
        } else {
            self.foreseen.clear();
        }
        Ok(())
    }

    /// Takes up the same session with more rows of fed tapes.
    pub(crate) fn grow(&mut self, loaded: Arc<Loaded>) {
        self.replay.grow(loaded);
    }

    /// About `rows` next events; `None` at the end of what is known. The ones after them are worked out meanwhile.
    pub(crate) fn window(&mut self, rows: usize) -> Option<Window> {
        while self.next.len() <= AHEAD
            && let Some(job) = self.replay.next_job(rows)
        {
            let planned = self.planned(job);
            self.next.push_back(planned);
        }
        let sketch = match self.next.pop_front()? {
            Planned::Begun(begun) => begun.take()?,
            Planned::Done(sketch) => sketch,
        };
        Some(self.replay.take_up(sketch))
    }

    /// Ends the session where the consumer stands.
    pub(crate) fn settle(&mut self, mark: &Mark) -> Result<()> {
        self.next.clear();
        self.replay.settle(mark)
    }

    /// Nothing more is to be planned.
    pub(crate) fn end(&mut self) {
        self.next.clear();
        self.foreseen.clear();
        self.replay.end();
        self.ahead = None;
    }

    /// Where the system gives no thread, work is done on the spot.
    fn planned(&mut self, job: Job) -> Planned {
        if self.ahead.is_none() {
            self.ahead = Ahead::new("backtape-plan", THREADS, Job::done).ok();
        }
        let Some(ahead) = &self.ahead else {
            return Planned::Done(job.done());
        };
        ahead.begin(job).map_or_else(|job| Planned::Done(job.done()), Planned::Begun)
    }
}

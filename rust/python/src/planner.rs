//! `Planner`: plans the next events while those before are taken.

use backtape_core::error::Result;
use backtape_core::loaded::Loaded;
use backtape_core::mark::Mark;
use backtape_core::replay::{Replay, Window};
use backtape_engine::ahead::Ahead;
use backtape_engine::threads::side_by_side;
use std::sync::Arc;

type Planned = (Replay, Option<Window>);

/// A replay, which is here or on the thread that plans ahead.
pub(crate) struct Planner {
    here: Replay,
    /// The events that were planned ahead.
    next: Option<Window>,
    ahead: Option<Ahead<(Replay, usize), Planned>>,
}

fn plan((mut replay, rows): (Replay, usize)) -> Planned {
    let window = replay.window(rows);
    (replay, window)
}

impl Default for Planner {
    fn default() -> Self {
        Self { here: Replay::new(side_by_side), next: None, ahead: None }
    }
}

impl Planner {
    /// The replay, once it is back with what was planned ahead.
    pub(crate) fn replay(&mut self) -> &mut Replay {
        if let Some((replay, window)) = self.ahead.as_mut().and_then(Ahead::take) {
            (self.here, self.next) = (replay, window);
        }
        &mut self.here
    }

    /// Takes up the next session; all events of the one before were asked for.
    pub(crate) fn begin(&mut self, loaded: Arc<Loaded>, now_ns: i64) -> Result<()> {
        self.replay().begin(loaded, now_ns)?;
        debug_assert!(self.next.is_none(), "what is planned is taken before a session ends");
        Ok(())
    }

    /// About `rows` next events; `None` at the end of what is known. The ones after them are planned meanwhile.
    pub(crate) fn window(&mut self, rows: usize) -> Option<Window> {
        self.replay();
        let window = self.next.take().or_else(|| self.here.window(rows))?;
        if self.ahead.is_none() {
            self.ahead = Ahead::new("backtape-plan", plan).ok();
        }
        if let Some(ahead) = &mut self.ahead {
            ahead.start((std::mem::take(&mut self.here), rows));
        }
        Some(window)
    }

    /// Ends the session where the consumer stands.
    pub(crate) fn settle(&mut self, mark: &Mark) -> Result<()> {
        self.replay().settle(mark)
    }
}

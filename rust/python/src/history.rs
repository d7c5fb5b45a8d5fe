//! Bars of the sessions before: put behind each other once, however often a strategy asks for them.

use crate::columns::Columns;
use backtape_core::beside::known_bars;
use backtape_core::key::TapeKey;
use backtape_core::loaded::{Loaded, LoadedTape};
use backtape_core::mark::Mark;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many bars are kept: 100 symbols over a week, about 20 MB.
const KEPT_ROWS_MAX: usize = 1 << 18;

/// The sessions before the one that plays.
pub(crate) struct History {
    /// Oldest first.
    pub(crate) sessions: Vec<Arc<Loaded>>,
    /// The lock is held to look something up or to add it.
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    by_tape: BTreeMap<TapeKey, Columns>,
    rows: usize,
}

impl History {
    pub(crate) fn new(sessions: Vec<Arc<Loaded>>) -> Self {
        Self { sessions, kept: Mutex::default() }
    }

    /// A tape's bars of all sessions.
    pub(crate) fn bars(&self, tape: &LoadedTape) -> Columns {
        if let Some(bars) = self.kept().by_tape.get(&tape.key) {
            return bars.part(0..bars.rows.len());
        }
        let bars =
            Columns::concat(tape, self.sessions.iter().filter_map(|loaded| whole_bars(loaded, &tape.key)).collect());
        let mut kept = self.kept();
        if kept.rows + bars.rows.len() > KEPT_ROWS_MAX {
            *kept = Kept::default();
        }
        if bars.rows.len() <= KEPT_ROWS_MAX {
            let other = kept.by_tape.insert(tape.key.clone(), bars.part(0..bars.rows.len()));
            kept.rows += bars.rows.len() - other.map_or(0, |other| other.rows.len());
        }
        drop(kept);
        bars
    }

    /// A tape's bars of one session, by its label.
    pub(crate) fn bars_of(&self, tape: &LoadedTape, label: &str) -> Columns {
        let asked = self.sessions.iter().filter(|loaded| &**loaded.session.label() == label);
        Columns::concat(tape, asked.filter_map(|loaded| whole_bars(loaded, &tape.key)).collect())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bars of a session that is over.
fn whole_bars(loaded: &Loaded, key: &TapeKey) -> Option<Columns> {
    let own = loaded.symbols.get(&key.symbol)?;
    let tape = &loaded.tapes[*own.bars.get(&key.interval_ns)?];
    let all = Mark::after(i64::MAX, loaded.tapes.len(), 0, true);
    let known = known_bars(loaded, &all, own, key.interval_ns).map(|known| Columns::of_known(tape, known));
    Some(known.unwrap_or_else(|| Columns::of_tape(tape, 0..tape.rows.len())))
}

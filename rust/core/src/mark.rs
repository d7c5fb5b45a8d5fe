//! How far a consumer has come in a session, and what it may see from there (C2, C3).

use crate::error::Result;
use crate::gaps::{Gap, gaps, gaps_until, quality_percent, slots_expected, slots_present};
use crate::key::{Kind, TapeKey};
use crate::ledger::{Ledger, Tally};
use crate::loaded::{Loaded, LoadedTape, Part, SymbolTapes};
use crate::metrics::Metrics;
use std::sync::Arc;

/// The last committed event of a session. All that is visible follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Backtest time.
    pub now_ns: i64,
    /// The tape of the last committed event; 0 before the first.
    tape: usize,
    /// How many rows of that tape are committed.
    rows: usize,
    /// The time up to which minutes count as due: `now_ns` once all bars of that instant are committed.
    due_ns: i64,
}

impl Mark {
    /// Before the first event of a session.
    pub const fn start(now_ns: i64) -> Self {
        Self { now_ns, tape: 0, rows: 0, due_ns: i64::MIN }
    }

    /// After an event.
    pub const fn after(now_ns: i64, tape: usize, row: usize, bars_done: bool) -> Self {
        let due_ns = if bars_done { now_ns } else { now_ns - 1 };
        Self { now_ns, tape, rows: row + 1, due_ns }
    }

    /// At a timer: after the bars and boundaries of that instant, before its quotes and trades (C1).
    pub fn at_timer(now_ns: i64, loaded: &Loaded) -> Self {
        let tape = loaded.tapes.partition_point(|tape| !tape.key.kind.follows_timers());
        let rows = loaded.tapes.get(tape).map_or(0, |tape| tape.known_before(now_ns));
        Self { now_ns, tape, rows, due_ns: now_ns }
    }

    /// Whether any event of the session is committed.
    pub const fn has_begun(&self) -> bool {
        self.due_ns != i64::MIN
    }

    /// Whether the session's close is committed.
    pub fn has_closed(&self, loaded: &Loaded) -> bool {
        let close = loaded.tapes.partition_point(|tape| tape.key.kind < Kind::SessionClose);
        close < loaded.tapes.len() && self.visible(loaded, close) > 0
    }

    /// How many rows of a tape are visible.
    pub fn visible(&self, loaded: &Loaded, tape: usize) -> usize {
        if !self.has_begun() {
            return 0;
        }
        match tape.cmp(&self.tape) {
            std::cmp::Ordering::Less => loaded.tapes[tape].known_at(self.now_ns),
            std::cmp::Ordering::Equal => self.rows,
            std::cmp::Ordering::Greater => loaded.tapes[tape].known_before(self.now_ns),
        }
    }

    /// Volume, high and low of a symbol so far: from its base bars, or from its trades where it has no bars.
    pub fn metrics(&self, loaded: &Loaded, symbol: &SymbolTapes) -> Option<Metrics> {
        let index = symbol.base.or(symbol.trades)?;
        let of_tape = |index: usize| {
            let tape = &loaded.tapes[index];
            let [high, low, volume] = tape.metric_columns();
            tape.running().at(high, low, volume, self.visible(loaded, index))
        };
        let late = symbol.base.and_then(|_| symbol.late_fills(loaded)).and_then(of_tape);
        match (of_tape(index), late) {
            (Some(own), Some(late)) => Some(own.with(&late)),
            (own, late) => own.or(late),
        }
    }

    /// Slots of the base interval that are due, and how many of them hold a bar: fed, and fed or filled.
    pub fn slots(&self, loaded: &Loaded, symbol: &SymbolTapes) -> Slots {
        let Some(base) = symbol.base.map(|index| &loaded.tapes[index]) else {
            return Slots::default();
        };
        let (spans, interval_ns) = (loaded.session.spans(), base.key.interval_ns);
        let present = slots_present(&base.rows.ts_ns, spans, interval_ns, self.due_ns);
        let is_due = |&&ts: &&i64| ts.saturating_add(interval_ns) <= self.due_ns;
        let late = self.filled_late(loaded, symbol).iter().filter(is_due).count() as u64;
        Slots {
            expected: slots_expected(spans, interval_ns, self.due_ns),
            present: present - filled_slots(base, loaded, self.due_ns),
            present_or_filled: present + late,
        }
    }

    /// The stamps of the base bars that were filled in while the session was played, as far as they are visible.
    fn filled_late<'a>(&self, loaded: &'a Loaded, symbol: &SymbolTapes) -> &'a [i64] {
        let late = symbol.late_fills(loaded);
        late.map_or(&[], |late| &loaded.tapes[late].rows.ts_ns[..self.visible(loaded, late)])
    }

    /// The gaps of a symbol's base bars, up to the last slot that is due.
    pub fn gaps(&self, loaded: &Loaded, symbol: &SymbolTapes) -> Vec<Gap> {
        let Some(base) = symbol.base.map(|index| &loaded.tapes[index]) else {
            return Vec::new();
        };
        let (interval_ns, late) = (base.key.interval_ns, self.filled_late(loaded, symbol));
        if late.is_empty() {
            return gaps_until(&base.gaps, interval_ns, self.due_ns);
        }
        let mut ts_ns = [&base.rows.ts_ns, late].concat();
        ts_ns.sort_unstable();
        gaps_until(&gaps(&ts_ns, loaded.session.spans(), interval_ns), interval_ns, self.due_ns)
    }

    /// What became of every row of the session, if the replay ended here.
    pub fn ledger(&self, loaded: &Loaded) -> Ledger {
        let mut ledger = Ledger::default();
        drop(self.add_to(&mut ledger, loaded)); // whether it balances is for the replay to say, once the session is over
        ledger
    }

    /// Adds what became of every row of the session.
    ///
    /// # Errors
    /// [`Error::LedgerUnbalanced`](crate::error::Error::LedgerUnbalanced) names the first tape whose rows are not all
    /// accounted for.
    pub(crate) fn add_to(&self, ledger: &mut Ledger, loaded: &Loaded) -> Result<()> {
        let (mut near, mut near_derived, mut balanced) = (0, 0, Ok(()));
        for (index, tape) in loaded.tapes.iter().enumerate() {
            let (key, visible) = (&tape.key, self.visible(loaded, index));
            let filled = tape.rows.filled_before(visible);
            let delivered = visible as u64 - filled;
            match tape.part {
                Part::Derived | Part::Revised => *ledger.derived.of(key, &mut near_derived) += delivered,
                Part::Filled => ledger.tapes.of(key, &mut near).filled += delivered,
                Part::Flat => ledger.tapes.of(key, &mut near).flat += delivered,
                Part::Fed if Kind::ROWS.contains(&key.kind) => {
                    let fed = tape.rows.len() as u64 - tape.rows.filled_before(tape.rows.len());
                    let tally = Tally { delivered, unread: fed - delivered, filled, ..tape.tally };
                    balanced = balanced.and_then(|()| tally.check(key, loaded.session.label()));
                    ledger.tapes.of(key, &mut near).add(&tally);
                }
                Part::Fed => {}
            }
        }
        balanced
    }

    /// Quality of every symbol that has base bars.
    pub fn quality(&self, loaded: &Loaded) -> Vec<(Arc<str>, TapeKey, Slots)> {
        let with_base = loaded.symbols.iter().filter_map(|(symbol, own)| own.base.map(|base| (symbol, own, base)));
        let slots = with_base
            .map(|(symbol, own, base)| (Arc::clone(symbol), loaded.tapes[base].key.clone(), self.slots(loaded, own)));
        slots.collect()
    }
}

fn filled_slots(base: &LoadedTape, loaded: &Loaded, until_ns: i64) -> u64 {
    let Some(filled) = &base.rows.filled else {
        return 0;
    };
    let interval_ns = base.key.interval_ns;
    let within = loaded.session.spans().iter().flat_map(|&span| crate::span::rows_within(&base.rows.ts_ns, span));
    within.filter(|&row| filled[row] != 0 && base.rows.ts_ns[row] + interval_ns <= until_ns).count() as u64
}

/// Slots of a base interval: how many are due, and how many of these hold a bar (C6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Slots {
    /// Slots that are due.
    pub expected: u64,
    /// Slots with a bar that was fed.
    pub present: u64,
    /// Slots with a bar that was fed or filled.
    pub present_or_filled: u64,
}

impl Slots {
    /// Adds the slots of another stretch of time.
    pub const fn add(&mut self, other: &Self) {
        self.expected += other.expected;
        self.present += other.present;
        self.present_or_filled += other.present_or_filled;
    }

    /// Fed bars as a percentage of those due; 100 before the first is due.
    pub fn quality(&self) -> f64 {
        quality_percent(self.present, self.expected)
    }

    /// Fed or filled bars as a percentage of those due; 100 before the first is due.
    pub fn quality_filled(&self) -> f64 {
        quality_percent(self.present_or_filled, self.expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loaded::Hours;
    use crate::loaded::tests::{MINUTE, loaded, tapes};

    #[test]
    fn rows_of_the_same_instant_are_visible_up_to_the_last_event_only() {
        let tapes = tapes(&[(Kind::Bar, "A", &[10, 11]), (Kind::Bar, "B", &[10, 11]), (Kind::Trade, "A", &[11])]);
        let loaded = loaded(&tapes, Hours::Regular, &[]);
        let visible = |mark: Mark| [0, 1, 4].map(|tape| mark.visible(&loaded, tape));
        assert_eq!(visible(Mark::start(11 * MINUTE)), [0, 0, 0]);
        assert_eq!(visible(Mark::after(11 * MINUTE, 0, 0, false)), [1, 0, 0]);
        assert_eq!(visible(Mark::after(11 * MINUTE, 1, 0, true)), [1, 1, 0]);
        assert_eq!(visible(Mark::after(11 * MINUTE, 4, 0, true)), [1, 1, 1]);
        assert_eq!(visible(Mark::after(12 * MINUTE, 0, 1, false)), [2, 1, 1]);
    }

    #[test]
    fn a_timer_comes_after_the_bars_of_its_instant_and_before_its_quotes_and_trades() {
        let tapes = tapes(&[(Kind::Bar, "A", &[10, 11]), (Kind::Quote, "A", &[11]), (Kind::Trade, "A", &[10, 11])]);
        let loaded = loaded(&tapes, Hours::Regular, &[]);
        let mark = Mark::at_timer(11 * MINUTE, &loaded);
        let visible: Vec<usize> = (0..loaded.tapes.len()).map(|tape| mark.visible(&loaded, tape)).collect();
        assert_eq!(visible, [1, 0, 1, 0, 1], "bar, close, open, quote, trade");
        let slots = mark.slots(&loaded, &loaded.symbols["A"]);
        assert_eq!((slots.present, slots.expected), (1, 1));
    }

    #[test]
    fn a_minute_is_due_once_all_bars_of_its_instant_are_there() {
        let tapes = tapes(&[(Kind::Bar, "A", &[10]), (Kind::Bar, "B", &[10, 12])]);
        let loaded = loaded(&tapes, Hours::Regular, &[]);
        let slots = |mark: Mark, symbol: &str| {
            let slots = mark.slots(&loaded, &loaded.symbols[symbol]);
            (slots.present, slots.expected)
        };
        assert_eq!(slots(Mark::start(0), "A"), (0, 0));
        assert_eq!(slots(Mark::after(11 * MINUTE, 0, 0, false), "A"), (0, 0));
        assert_eq!(slots(Mark::after(11 * MINUTE, 1, 0, true), "B"), (1, 1));
        assert_eq!(slots(Mark::after(13 * MINUTE, 1, 1, true), "A"), (1, 3));
        assert_eq!(slots(Mark::after(13 * MINUTE, 1, 1, true), "B"), (2, 3));
        assert_eq!(Mark::after(13 * MINUTE, 1, 1, true).gaps(&loaded, &loaded.symbols["A"]).len(), 1);
    }

    #[test]
    fn rows_that_were_not_reached_are_unread() {
        let tapes = tapes(&[(Kind::Bar, "A", &[5, 10, 11, 12])]);
        let loaded = loaded(&tapes, Hours::Regular, &[]);
        let ledger = Mark::after(11 * MINUTE, 0, 0, true).ledger(&loaded);
        let tally = ledger.tapes.values().next().expect("one tape");
        assert_eq!((tally.rows_in, tally.delivered, tally.out_of_hours, tally.unread), (4, 1, 1, 2));
        assert_eq!(tally.accounted(), tally.rows_in);
    }
}

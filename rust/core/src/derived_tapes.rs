//! What follows from a session's base bars, as tapes: derived bars, those that late fills change, flat bars.

use crate::batch_kernels::{bar_slices, check_interval};
use crate::derive::{DerivedBars, with_room_for};
use crate::error::{Error, Result};
use crate::flat::flat_bars;
use crate::key::{Kind, TapeKey};
use crate::late::{beside, filled_tape, revised_tape, window_of, with_late};
use crate::ledger::Tally;
use crate::loaded::{Counts, LoadedTape, Part, Settings};
use crate::numbers::Numbers;
use crate::rows::Rows;
use crate::runs::Runs;
use crate::session::Session;
use crate::tapes::Tapes;
use arrow_buffer::ScalarBuffer;
use std::ops::Range;

/// The finest bar tape of each symbol, in the order of symbols. The tapes stand in the order of their keys.
fn base_tapes(tapes: &[LoadedTape]) -> Vec<&LoadedTape> {
    let is_base = |tape: &&LoadedTape| tape.key.kind == Kind::Bar && tape.part == Part::Fed;
    let mut bases: Vec<&LoadedTape> = tapes.iter().filter(is_base).collect();
    bases.sort_by(|one, other| one.key.symbol.cmp(&other.key.symbol));
    bases.dedup_by(|later, finest| later.key.symbol == finest.key.symbol);
    bases
}

/// A symbol's finest bars, and where fills may come late, the tape of these.
type Base<'a> = (&'a LoadedTape, Option<LoadedTape>);

/// The tapes that follow from the base bars.
///
/// # Errors
/// [`Error::IntervalNotMultiple`], [`Error::TapeTwice`] where an interval was fed as well.
pub(crate) fn made_from_bases(
    session: &Session,
    ready: &[LoadedTape],
    tapes: &Tapes,
    settings: &Settings,
) -> Result<Vec<LoadedTape>> {
    if settings.derived_ns.is_empty() && settings.flat_ns == 0 && !settings.late_fills {
        return Ok(Vec::new());
    }
    let mut bases: Vec<Base<'_>> = Vec::new();
    for base in base_tapes(ready) {
        check_derived(ready, base, &settings.derived_ns)?;
        let fills = tapes.late_fills(&base.key);
        let late = settings.late_fills.then(|| filled_tape(base.key.clone(), fills, session.range()));
        bases.push((base, late));
    }
    let mut made = derived(session, &bases, &settings.derived_ns);
    for (base, late) in bases {
        made.extend(late);
        if settings.flat_ns > 0 {
            let interval_ns = base.key.interval_ns;
            let rows = flat_bars(&base.rows, session.spans(), interval_ns, (settings.flat_ns / interval_ns) as u64);
            let at_ns = rows.ts_ns.iter().map(|ts| ts + interval_ns).collect();
            let counts = vec![(0, 1, 0, 0); rows.len()];
            made.push(beside(base.key.clone(), Part::Flat, rows, at_ns, &counts));
        }
    }
    Ok(made)
}

/// Checks that bars of some intervals can be derived from a symbol's finest bars. The tapes stand in the order of their keys.
fn check_derived(tapes: &[LoadedTape], base: &LoadedTape, derived_ns: &[i64]) -> Result<()> {
    for &interval_ns in derived_ns {
        check_interval(interval_ns, base.key.interval_ns)?;
        let key = TapeKey { interval_ns, ..base.key.clone() };
        if tapes.binary_search_by(|tape| tape.key.cmp(&key)).is_ok() {
            let (source_first, source_name) = ("the source".into(), "derived".into());
            return Err(Error::TapeTwice { tape: key, source_first, source_name });
        }
    }
    Ok(())
}

/// The bars of some intervals from the finest bars of each symbol, and where fills may come late, those that they change.
fn derived(session: &Session, bases: &[Base<'_>], intervals_ns: &[i64]) -> Vec<LoadedTape> {
    let spans = session.spans();
    let mut made = Vec::with_capacity(bases.len() * intervals_ns.len());
    let rows = bases.iter().map(|(base, _)| base.rows.len()).sum();
    let mut all = with_room_for(bases.len(), rows, spans, intervals_ns);
    // Symbol by symbol: what one interval has read is still near for the next.
    for (base, late) in bases {
        for (&interval_ns, (bars, places)) in intervals_ns.iter().zip(&mut all) {
            let intervals = (base.key.interval_ns, interval_ns);
            let Some(late) = late else {
                let filled = base.rows.filled.as_deref();
                places.push(bars.add(bar_slices(&base.rows), filled, (&base.runs, spans), intervals));
                continue;
            };
            // What is filled in by the end of a window is in its bar.
            let in_time =
                |ts, at_ns| window_of(session, interval_ns, ts).is_some_and(|window| at_ns <= window.end_ns());
            let rows = with_late(&base.rows, late, in_time);
            let runs = Runs::of(&rows.ts_ns, spans, base.key.interval_ns);
            places.push(bars.add(bar_slices(&rows), rows.filled.as_deref(), (&runs, spans), intervals));
            made.push(revised_tape(session, base, late, TapeKey { interval_ns, ..base.key.clone() }));
        }
    }
    for (&interval_ns, (bars, places)) in intervals_ns.iter().zip(all) {
        let columns = Columns::of(bars, interval_ns);
        for ((base, _), rows) in bases.iter().zip(places) {
            made.push(columns.tape(TapeKey { interval_ns, ..base.key.clone() }, rows));
        }
    }
    made
}

/// Derived bars of several tapes. Each tape is a part of the columns: memory is asked for once, and not tape by tape.
struct Columns {
    ts_ns: ScalarBuffer<i64>,
    /// When each bar is known; `None` where that is one interval after its stamp, since no window was cut.
    available_ns: Option<ScalarBuffer<i64>>,
    values: Numbers,
    present: ScalarBuffer<u32>,
    expected: ScalarBuffer<u32>,
    filled: ScalarBuffer<u32>,
}

impl Columns {
    fn of(bars: DerivedBars, interval_ns: i64) -> Self {
        let are_whole =
            bars.ts_ns.iter().zip(&bars.available_ns).all(|(ts_ns, at_ns)| at_ns.wrapping_sub(*ts_ns) == interval_ns);
        Self {
            ts_ns: bars.ts_ns.into(),
            available_ns: (!are_whole).then(|| bars.available_ns.into()),
            values: [bars.open, bars.high, bars.low, bars.close, bars.volume]
                .map(ScalarBuffer::from)
                .into_iter()
                .collect(),
            present: bars.n_present.into(),
            expected: bars.n_expected.into(),
            filled: bars.n_filled.into(),
        }
    }

    fn tape(&self, key: TapeKey, rows: Range<usize>) -> LoadedTape {
        let (first, len) = (rows.start, rows.len());
        let own = Rows::new(Kind::Bar, self.ts_ns.slice(first, len), self.values.slice(rows));
        let lag_ns = key.interval_ns;
        let mut tape = LoadedTape::new(key, own, lag_ns, std::iter::once(0..len).collect(), Tally::default());
        tape = tape.of_part(Part::Derived);
        tape.available = self.available_ns.as_ref().map(|available_ns| available_ns.slice(first, len));
        let [present, expected, filled] =
            [&self.present, &self.expected, &self.filled].map(|column| column.slice(first, len));
        tape.counts = Some(Counts { present, expected, filled });
        tape
    }
}

//! What follows from a session's base bars, as tapes: derived bars, those that late fills change, flat bars.

use crate::batch_kernels::{bar_slices, check_interval};
use crate::derive::derive;
use crate::error::{Error, Result};
use crate::flat::flat_bars;
use crate::key::{Kind, TapeKey};
use crate::late::{beside, filled_tape, revised_tape, window_of, with_late};
use crate::ledger::Tally;
use crate::loaded::{Counts, LoadedTape, Part, Settings};
use crate::rows::Rows;
use crate::session::Session;
use crate::tapes::Tapes;
use arrow_buffer::ScalarBuffer;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The finest bar tape of each symbol.
pub(crate) fn base_tapes(tapes: &[LoadedTape]) -> BTreeMap<Arc<str>, usize> {
    let mut bases = BTreeMap::new();
    let bars = |tape: &LoadedTape| tape.key.kind == Kind::Bar && tape.part == Part::Fed;
    for (index, tape) in tapes.iter().enumerate().filter(|(_, tape)| bars(tape)) {
        let finest = bases.entry(Arc::clone(&tape.key.symbol)).or_insert(index);
        if tape.key.interval_ns < tapes[*finest].key.interval_ns {
            *finest = index;
        }
    }
    bases
}

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
    let (mut made, bases) = (Vec::new(), base_tapes(ready));
    for base in bases.values().map(|&index| &ready[index]) {
        let fills = tapes.late_fills(&base.key);
        let late = settings.late_fills.then(|| filled_tape(base.key.clone(), fills, session.range()));
        made.extend(derive_all(session, ready, base, late.as_ref(), &settings.derived_ns)?);
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

/// The bars of every derived interval from a symbol's finest bars, and where fills may come late, those that they change.
fn derive_all(
    session: &Session,
    tapes: &[LoadedTape],
    base: &LoadedTape,
    late: Option<&LoadedTape>,
    derived_ns: &[i64],
) -> Result<Vec<LoadedTape>> {
    let mut derived = Vec::new();
    for &interval_ns in derived_ns {
        check_interval(interval_ns, base.key.interval_ns)?;
        let key = TapeKey { interval_ns, ..base.key.clone() };
        if tapes.iter().any(|tape| tape.key == key) {
            let (source_first, source_name) = ("the source".into(), "derived".into());
            return Err(Error::TapeTwice { tape: key, source_first, source_name });
        }
        // What is filled in by the end of a window is in its bar.
        let in_time = |ts, at_ns| window_of(session, interval_ns, ts).is_some_and(|window| at_ns <= window.end_ns());
        let rows = late.map_or_else(|| base.rows.clone(), |late| with_late(&base.rows, late, in_time));
        derived.push(derive_one(session, &rows, base.key.interval_ns, key.clone()));
        derived.extend(late.map(|late| revised_tape(session, base, late, key)));
    }
    Ok(derived)
}

fn derive_one(session: &Session, rows: &Rows, base_ns: i64, key: TapeKey) -> LoadedTape {
    let bars = derive(bar_slices(rows), rows.filled.as_deref(), session.spans(), base_ns, key.interval_ns);
    let regular = std::iter::once(0..bars.ts_ns.len()).collect();
    let values = [bars.open, bars.high, bars.low, bars.close, bars.volume];
    let rows = Rows::new(Kind::Bar, bars.ts_ns.into(), values.into_iter().map(ScalarBuffer::from).collect());
    let mut tape = LoadedTape::new(key, rows, 0, regular, Tally::default()).of_part(Part::Derived);
    tape.available = Some(bars.available_ns.into());
    tape.counts =
        Some(Counts { present: bars.n_present.into(), expected: bars.n_expected.into(), filled: bars.n_filled.into() });
    tape
}

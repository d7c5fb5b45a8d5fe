//! Derived bars and gaps of many tapes at once, for those who need no replay.

use crate::derive::{BarSlices, OfTapes, with_room_for};
use crate::error::{Error, Result};
use crate::gaps::{Gap, gaps_between, slots_expected};
use crate::key::{Kind, TapeKey, interval_name};
use crate::rows::Rows;
use crate::runs::Runs;
use crate::span::Span;
use crate::tapes::Tape;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The five number columns of bars, as the derive kernel takes them.
pub fn bar_slices(rows: &Rows) -> BarSlices<'_> {
    let [open, high, low, close, volume] = [0, 1, 2, 3, 4].map(|column| &rows.values[column]);
    BarSlices { ts_ns: &rows.ts_ns, open, high, low, close, volume }
}

/// Checks that bars of `interval_ns` can be derived from bars of `base_ns`.
///
/// # Errors
/// [`Error::IntervalNotMultiple`].
pub fn check_interval(interval_ns: i64, base_ns: i64) -> Result<()> {
    if interval_ns > base_ns && interval_ns % base_ns == 0 {
        return Ok(());
    }
    Err(Error::IntervalNotMultiple { interval: interval_name(interval_ns), base: interval_name(base_ns) })
}

/// The finest bar tape of each symbol.
pub fn base_tapes(tapes: &BTreeMap<TapeKey, Tape>) -> BTreeMap<Arc<str>, (&TapeKey, &Tape)> {
    let mut bases = BTreeMap::new();
    for (key, tape) in tapes.iter().filter(|(key, _)| key.kind == Kind::Bar) {
        // Keys ascend by interval, so the first of a symbol is its finest.
        bases.entry(Arc::clone(&key.symbol)).or_insert((key, tape));
    }
    bases
}

/// Checks that bars of some intervals can be derived from all of these tapes.
///
/// # Errors
/// [`Error::IntervalNotMultiple`].
pub fn check_intervals(bases: &BTreeMap<Arc<str>, (&TapeKey, &Tape)>, intervals_ns: &[i64]) -> Result<()> {
    let bases_ns = || bases.values().map(|(key, _)| key.interval_ns);
    intervals_ns
        .iter()
        .try_for_each(|&interval_ns| bases_ns().try_for_each(|base_ns| check_interval(interval_ns, base_ns)))
}

/// Longer bars of some symbols, interval by interval. The intervals were checked.
pub fn aggregate(bases: &[(&TapeKey, &Tape)], spans: &[Span], intervals_ns: &[i64]) -> Vec<OfTapes> {
    let rows = bases.iter().map(|(_, tape)| tape.rows.len()).sum();
    let mut all = with_room_for(bases.len(), rows, spans, intervals_ns);
    let mut runs = Runs::default();
    for (key, Tape { rows, .. }) in bases {
        runs.find(&rows.ts_ns, spans, key.interval_ns);
        for (&interval_ns, (bars, places)) in intervals_ns.iter().zip(&mut all) {
            let intervals = (key.interval_ns, interval_ns);
            places.push(bars.add(bar_slices(rows), rows.filled.as_deref(), (&runs, spans), intervals));
        }
    }
    all
}

/// Gaps of a symbol's base bars, and how many bars are expected and present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SymbolGaps {
    /// The symbol.
    pub symbol: Arc<str>,
    /// The interval of its base bars.
    pub interval_ns: i64,
    /// Bars that there should be.
    pub expected: u64,
    /// Bars that are there.
    pub present: u64,
    /// Runs of missing bars.
    pub gaps: Vec<Gap>,
}

/// The gaps of a symbol's base bars within spans.
pub fn find_gaps(key: &TapeKey, tape: &Tape, spans: &[Span]) -> SymbolGaps {
    let interval_ns = key.interval_ns;
    let runs = Runs::of(&tape.rows.ts_ns, spans, interval_ns);
    SymbolGaps {
        symbol: Arc::clone(&key.symbol),
        interval_ns,
        expected: slots_expected(spans, interval_ns, i64::MAX),
        present: runs.rows() as u64,
        gaps: gaps_between(&runs, spans, interval_ns),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::tests::bars;

    const MINUTE: i64 = 60_000_000_000;

    fn tapes(minutes: &[(&str, i64, &[i64])]) -> BTreeMap<TapeKey, Tape> {
        let tape = |(symbol, interval_ns, minutes): &(&str, i64, &[i64])| {
            let ts: Vec<i64> = minutes.iter().map(|minute| minute * MINUTE).collect();
            let key = TapeKey { kind: Kind::Bar, interval_ns: *interval_ns, symbol: (*symbol).into() };
            (key, Tape { rows: bars(&ts), dropped: Vec::new() })
        };
        minutes.iter().map(tape).collect()
    }

    #[test]
    fn the_finest_tape_of_a_symbol_is_its_base() {
        let tapes = tapes(&[("A", MINUTE, &[0, 1]), ("A", MINUTE / 60, &[0]), ("B", MINUTE, &[2])]);
        let bases: Vec<(String, i64)> =
            base_tapes(&tapes).iter().map(|(symbol, (key, _))| (symbol.to_string(), key.interval_ns)).collect();
        assert_eq!(bases, [("A".to_owned(), MINUTE / 60), ("B".to_owned(), MINUTE)]);
    }

    #[test]
    fn gaps_and_bars_come_by_symbol() -> Result<()> {
        let tapes = tapes(&[("B", MINUTE, &[0, 1, 4]), ("A", MINUTE, &[0, 1, 2, 3, 4])]);
        let spans = [Span::new(0, 5 * MINUTE)?];
        let bases = base_tapes(&tapes);
        let found: Vec<SymbolGaps> = bases.values().map(|(key, tape)| find_gaps(key, tape, &spans)).collect();
        assert_eq!(
            found.iter().map(|own| (&*own.symbol, own.present, own.gaps.len())).collect::<Vec<_>>(),
            [("A", 5, 0), ("B", 3, 1)]
        );
        let all: Vec<_> = bases.values().copied().collect();
        let made = aggregate(&all, &spans, &[5 * MINUTE, 2 * MINUTE]);
        let counts: Vec<_> = made.iter().map(|(bars, places)| (bars.n_present.as_slice(), places.as_slice())).collect();
        assert_eq!(counts, [(&[5, 3][..], &[0..1, 1..2][..]), (&[2, 2, 1, 2, 1], &[0..3, 3..5])]);
        assert_eq!(check_intervals(&bases, &[2 * MINUTE, 5 * MINUTE]), Ok(()));
        let fault = check_intervals(&bases, &[5 * MINUTE, MINUTE]);
        assert!(matches!(fault, Err(Error::IntervalNotMultiple { .. })));
        Ok(())
    }
}

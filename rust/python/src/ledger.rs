//! `Ledger`: where every row went.

use crate::interval::interval_name;
use backtape_core::key::{Kind, TapeKey};
use backtape_core::ledger::{Ledger as Counted, Tally};
use pyo3::prelude::*;

/// What became of the rows of one tape: `rows_in == delivered + out_of_hours + stale + duplicate + rejected + unread`.
///
/// `filled`, `flat` and `negative_prices` are counts beside that sum.
#[pyclass(frozen, eq, get_all, module = "backtape")]
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct LedgerRow {
    /// "bar", "quote", "trade"; "total" in the sum of all.
    kind: String,
    /// "1s" or "1m" for bars, else "".
    interval: String,
    /// Symbol.
    symbol: String,
    /// Rows of the tape within the sessions loaded.
    rows_in: u64,
    /// Rows that became events.
    delivered: u64,
    /// Rows outside trading hours.
    out_of_hours: u64,
    /// Rows that were fed too late.
    stale: u64,
    /// Identical bars under one stamp, but for the first.
    duplicate: u64,
    /// Bad rows that were quarantined.
    rejected: u64,
    /// Rows that were not reached.
    unread: u64,
    /// Rows filled in from another source.
    filled: u64,
    /// Flat bars that bridged gaps.
    flat: u64,
    /// Rows with a negative price, which is legal.
    negative_prices: u64,
}

impl LedgerRow {
    fn new(kind: &str, interval: String, symbol: &str, tally: &Tally) -> Self {
        Self {
            kind: kind.to_owned(),
            interval,
            symbol: symbol.to_owned(),
            rows_in: tally.rows_in,
            delivered: tally.delivered,
            out_of_hours: tally.out_of_hours,
            stale: tally.stale,
            duplicate: tally.duplicate,
            rejected: tally.rejected,
            unread: tally.unread,
            filled: tally.filled,
            flat: tally.flat,
            negative_prices: tally.negative_prices,
        }
    }
}

#[pymethods]
impl LedgerRow {
    fn __repr__(&self) -> String {
        let name = [self.kind.as_str(), &self.interval, &self.symbol].join(" ");
        format!(
            "LedgerRow({}: {} rows in = {} delivered + {} out of hours + {} stale + {} duplicate + {} rejected + {} unread)",
            name.trim(),
            self.rows_in,
            self.delivered,
            self.out_of_hours,
            self.stale,
            self.duplicate,
            self.rejected,
            self.unread
        )
    }
}

/// Where every row of the replay went, by tape.
#[pyclass(frozen, eq, module = "backtape")]
#[derive(PartialEq, Eq)]
pub(crate) struct Ledger(pub(crate) Counted);

#[pymethods]
impl Ledger {
    /// One row a tape, in the order of tapes.
    #[getter]
    fn rows(&self) -> Vec<LedgerRow> {
        let row =
            |(key, tally): (&TapeKey, &Tally)| LedgerRow::new(key.kind.name(), interval_of(key), &key.symbol, tally);
        self.0.tapes.iter().map(row).collect()
    }

    /// The sum of all tapes.
    #[getter]
    fn total(&self) -> LedgerRow {
        let mut total = Tally::default();
        for tally in self.0.tapes.values() {
            total.add(tally);
        }
        LedgerRow::new("total", String::new(), "", &total)
    }

    /// Derived bars delivered, all tapes together.
    #[getter]
    fn derived(&self) -> u64 {
        self.0.derived.values().sum()
    }

    /// Derived bars delivered, as (interval, symbol, bars).
    #[getter]
    fn derived_rows(&self) -> Vec<(String, String, u64)> {
        let row = |(key, &bars): (&TapeKey, &u64)| (interval_name(key.interval_ns), key.symbol.to_string(), bars);
        self.0.derived.iter().map(row).collect()
    }

    #[pyo3(signature = () -> "tuple[object, ...]")]
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, (Vec<TapeCounts>, Vec<TapeCounts>))> {
        let name = |key: &TapeKey| (key.kind.name().to_owned(), key.interval_ns, key.symbol.to_string());
        let tapes = self.0.tapes.iter().map(|(key, tally)| (name(key), counts(tally))).collect();
        let derived = self.0.derived.iter().map(|(key, &bars)| (name(key), vec![bars])).collect();
        Ok((py.get_type::<Self>().getattr("_restore")?, (tapes, derived)))
    }

    #[staticmethod]
    fn _restore(tapes: Vec<TapeCounts>, derived: Vec<TapeCounts>) -> Self {
        let key = |(kind, interval_ns, symbol): (String, i64, String)| TapeKey {
            kind: Kind::ROWS.into_iter().find(|known| known.name() == kind).unwrap_or(Kind::Bar),
            interval_ns,
            symbol: symbol.into(),
        };
        Self(Counted {
            tapes: tapes.into_iter().map(|(name, counts)| (key(name), tally(&counts))).collect(),
            derived: derived.into_iter().map(|(name, bars)| (key(name), bars.iter().sum())).collect(),
        })
    }

    fn __repr__(&self) -> String {
        let total = self.total();
        format!(
            "Ledger({} tapes: {} rows in = {} delivered + {} out of hours + {} stale + {} duplicate + {} rejected + {} unread; {} derived bars)",
            self.0.tapes.len(),
            total.rows_in,
            total.delivered,
            total.out_of_hours,
            total.stale,
            total.duplicate,
            total.rejected,
            total.unread,
            self.derived()
        )
    }
}

fn interval_of(key: &TapeKey) -> String {
    if key.kind == Kind::Bar { interval_name(key.interval_ns) } else { String::new() }
}

/// A tape by kind, interval and symbol, and its counts, as pickled.
type TapeCounts = ((String, i64, String), Vec<u64>);

fn counts(tally: &Tally) -> Vec<u64> {
    let Tally { rows_in, delivered, out_of_hours, stale, duplicate, rejected, unread, filled, flat, negative_prices } =
        *tally;
    vec![rows_in, delivered, out_of_hours, stale, duplicate, rejected, unread, filled, flat, negative_prices]
}

fn tally(counts: &[u64]) -> Tally {
    let at = |place: usize| counts.get(place).copied().unwrap_or(0);
    Tally {
        rows_in: at(0),
        delivered: at(1),
        out_of_hours: at(2),
        stale: at(3),
        duplicate: at(4),
        rejected: at(5),
        unread: at(6),
        filled: at(7),
        flat: at(8),
        negative_prices: at(9),
    }
}

//! `Bar`: one bar as it was delivered.

use crate::cells::{Count, Real, Stamp};
use crate::flags::Flags;
use crate::reused::Event;
use crate::tape_names::{Names, TapeNames};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};
use std::hash::{DefaultHasher, Hash, Hasher};

/// A bar: open, high, low, close and volume over `[ts, ts + interval)`, known at `available_at`.
///
/// Stamps are int nanoseconds UTC. Bars are frozen, comparable, hashable and picklable, and hold nothing of the
/// replay that delivered them.
#[pyclass(frozen, module = "backtape")]
pub(crate) struct Bar {
    names: Names,
    tape: Count,
    /// Start of the bar's interval, ns UTC.
    #[pyo3(get)]
    ts: Stamp,
    /// When the bar is known, ns UTC: the end of its interval, or of its window where the close cuts it.
    #[pyo3(get)]
    available_at: Stamp,
    /// First price.
    #[pyo3(get)]
    open: Real,
    /// Highest price.
    #[pyo3(get)]
    high: Real,
    /// Lowest price.
    #[pyo3(get)]
    low: Real,
    /// Last price.
    #[pyo3(get)]
    close: Real,
    /// Volume traded.
    #[pyo3(get)]
    volume: Real,
    /// Base bars that a derived bar was made from; 1 for a base bar that was fed, 0 for one that was filled or is flat.
    #[pyo3(get)]
    n_present: Count,
    /// Base bars that there should be.
    #[pyo3(get)]
    n_expected: Count,
    /// Base bars that were filled in from another source.
    #[pyo3(get)]
    n_filled: Count,
    /// 0 for the first delivery of a bar, n for its nth revision.
    #[pyo3(get)]
    revision: Count,
    flags: Count,
}

/// What a bar tells.
#[derive(Clone, Copy, PartialEq, Default)]
pub(crate) struct BarValues {
    pub(crate) ts: i64,
    pub(crate) available_at: i64,
    pub(crate) open: f64,
    pub(crate) high: f64,
    pub(crate) low: f64,
    pub(crate) close: f64,
    pub(crate) volume: f64,
    pub(crate) n_present: u32,
    pub(crate) n_expected: u32,
    pub(crate) n_filled: u32,
    pub(crate) revision: u32,
    pub(crate) flags: Flags,
}

impl Event for Bar {
    type Values = BarValues;

    fn of(names: Names, tape: u32, values: &BarValues) -> Self {
        Self {
            names,
            tape: Count::new(tape),
            ts: Stamp::new(values.ts),
            available_at: Stamp::new(values.available_at),
            open: Real::new(values.open),
            high: Real::new(values.high),
            low: Real::new(values.low),
            close: Real::new(values.close),
            volume: Real::new(values.volume),
            n_present: Count::new(values.n_present),
            n_expected: Count::new(values.n_expected),
            n_filled: Count::new(values.n_filled),
            revision: Count::new(values.revision),
            flags: Count::new(values.flags.bits().into()),
        }
    }

    fn set(&self, tape: u32, values: &BarValues) {
        self.tape.set(tape);
        self.ts.set(values.ts);
        self.available_at.set(values.available_at);
        self.open.set(values.open);
        self.high.set(values.high);
        self.low.set(values.low);
        self.close.set(values.close);
        self.volume.set(values.volume);
        self.n_present.set(values.n_present);
        self.n_expected.set(values.n_expected);
        self.n_filled.set(values.n_filled);
        self.revision.set(values.revision);
        self.flags.set(values.flags.bits().into());
    }
}

#[pymethods]
impl Bar {
    #[new]
    #[pyo3(signature = (symbol, interval, ts, open, high, low, close, volume, *, available_at=None, n_present=1,
                        n_expected=1, n_filled=0, revision=0, flags=0, zone=None))]
    #[expect(clippy::too_many_arguments, reason = "they are the bar's fields")]
    fn new(
        py: Python<'_>,
        symbol: &str,
        interval: &str,
        ts: i64,
        open: f64,
        high: f64,
        low: f64,
        close: f64,
        volume: f64,
        available_at: Option<i64>,
        n_present: u32,
        n_expected: u32,
        n_filled: u32,
        revision: u32,
        flags: u8,
        zone: Option<&str>,
    ) -> PyResult<Self> {
        let interval_ns = crate::interval::parse(py, interval)?;
        let names = TapeNames::alone(py, symbol, interval_ns, &crate::zone::named(py, zone)?)?;
        let available_at = available_at.unwrap_or(ts + interval_ns);
        let flags = Flags::from_bits(flags);
        let values = BarValues {
            ts,
            available_at,
            open,
            high,
            low,
            close,
            volume,
            n_present,
            n_expected,
            n_filled,
            revision,
            flags,
        };
        Ok(Self::of(names, 0, &values))
    }

    /// Symbol.
    #[getter]
    pub(crate) fn symbol(&self, py: Python<'_>) -> Py<PyString> {
        self.names().symbol.clone_ref(py)
    }

    /// Interval as a word: "1m", "5m".
    #[getter]
    fn interval(&self, py: Python<'_>) -> Py<PyString> {
        self.names().interval.clone_ref(py)
    }

    /// `available_at` as an aware datetime in the exchange's time zone.
    #[getter]
    fn time<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.names().datetime(py, self.available_at.get())
    }

    /// Whether no base bar is missing: `n_present + n_filled == n_expected`.
    #[getter]
    fn complete(&self) -> bool {
        self.n_present.get() + self.n_filled.get() == self.n_expected.get()
    }

    /// Where the bar comes from: "primary", "fill", "derived", or "flat" for a synthetic one that bridges a gap.
    #[getter]
    fn origin(&self) -> &'static str {
        self.values().flags.origin()
    }

    /// Whether it was delivered as catch-up of a replay that starts within a session.
    #[getter]
    fn catch_up(&self) -> bool {
        self.values().flags.has(Flags::CATCH_UP)
    }

    /// Whether it lies within trading hours and grace.
    #[getter]
    fn regular(&self) -> bool {
        !self.values().flags.has(Flags::IRREGULAR)
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Self>().is_ok_and(|other| {
            self.values() == other.get().values() && self.names().same(other.get().names(), other.py())
        })
    }

    fn __hash__(&self) -> u64 {
        let now = self.values();
        let mut hasher = DefaultHasher::new();
        (now.ts, now.available_at, now.close.to_bits()).hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let now = self.values();
        let (names, time) = (self.names(), self.time(py)?);
        Ok(format!(
            "Bar({} {} known {}: open {} high {} low {} close {} volume {}{})",
            names.symbol.bind(py),
            names.interval.bind(py),
            time.str()?,
            now.open,
            now.high,
            now.low,
            now.close,
            now.volume,
            if self.complete() { String::new() } else { format!(", {} of {} bars", now.n_present, now.n_expected) },
        ))
    }

    #[pyo3(signature = () -> "tuple[object, ...]")]
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let now = self.values();
        let names = self.names();
        let prices = (now.open, now.high, now.low, now.close, now.volume);
        let counts = (now.n_present, now.n_expected, now.n_filled, now.revision, now.flags.bits());
        let zone = names.zone.bind(py).str()?;
        let fields = (&names.symbol, &names.interval, now.ts, now.available_at, prices, counts, zone);
        let rebuild = py.get_type::<Self>().getattr("_restore")?;
        Ok((rebuild, fields.into_pyobject(py)?))
    }

    #[staticmethod]
    #[expect(clippy::too_many_arguments, reason = "they are the bar's fields")]
    fn _restore(
        py: Python<'_>,
        symbol: &str,
        interval: &str,
        ts: i64,
        available_at: i64,
        prices: (f64, f64, f64, f64, f64),
        counts: (u32, u32, u32, u32, u8),
        zone: &str,
    ) -> PyResult<Self> {
        let (open, high, low, close, volume) = prices;
        let (present, expected, filled, revision, flags) = counts;
        let at = Some(available_at);
        Self::new(
            py,
            symbol,
            interval,
            ts,
            open,
            high,
            low,
            close,
            volume,
            at,
            present,
            expected,
            filled,
            revision,
            flags,
            Some(zone),
        )
    }
}

impl Bar {
    fn names(&self) -> &TapeNames {
        self.names[self.tape.get() as usize].get()
    }

    fn values(&self) -> BarValues {
        BarValues {
            ts: self.ts.get(),
            available_at: self.available_at.get(),
            open: self.open.get(),
            high: self.high.get(),
            low: self.low.get(),
            close: self.close.get(),
            volume: self.volume.get(),
            n_present: self.n_present.get(),
            n_expected: self.n_expected.get(),
            n_filled: self.n_filled.get(),
            revision: self.revision.get(),
            flags: Flags::from_bits(self.flags.get() as u8),
        }
    }
}

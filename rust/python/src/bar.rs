//! `Bar`: one bar as it was delivered.

use crate::flags::Flags;
use crate::tape_names::TapeNames;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};
use std::hash::{DefaultHasher, Hash, Hasher};

/// A bar: open, high, low, close and volume over `[ts, ts + interval)`, known at `available_at`.
///
/// Stamps are int nanoseconds UTC. Bars are frozen, comparable, hashable and picklable, and hold nothing of the
/// replay that delivered them.
#[pyclass(frozen, module = "backtape")]
pub(crate) struct Bar {
    pub(crate) names: Py<TapeNames>,
    /// Start of the bar's interval, ns UTC.
    #[pyo3(get)]
    pub(crate) ts: i64,
    /// When the bar is known, ns UTC: the end of its interval, or of its window where the close cuts it.
    #[pyo3(get)]
    pub(crate) available_at: i64,
    /// First price.
    #[pyo3(get)]
    pub(crate) open: f64,
    /// Highest price.
    #[pyo3(get)]
    pub(crate) high: f64,
    /// Lowest price.
    #[pyo3(get)]
    pub(crate) low: f64,
    /// Last price.
    #[pyo3(get)]
    pub(crate) close: f64,
    /// Volume traded.
    #[pyo3(get)]
    pub(crate) volume: f64,
    /// Base bars that a derived bar was made from; 1 for a base bar that was fed, 0 for one that was filled.
    #[pyo3(get)]
    pub(crate) n_present: u32,
    /// Base bars that there should be.
    #[pyo3(get)]
    pub(crate) n_expected: u32,
    /// Base bars that were filled in from another source.
    #[pyo3(get)]
    pub(crate) n_filled: u32,
    /// 0 for the first delivery of a bar, n for its nth revision.
    #[pyo3(get)]
    pub(crate) revision: u32,
    pub(crate) flags: Flags,
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
        let names = TapeNames::new(py, symbol, interval_ns, &crate::zone::named(py, zone)?)?;
        let available_at = available_at.unwrap_or(ts + interval_ns);
        let flags = Flags::from_bits(flags);
        Ok(Self {
            names,
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
        })
    }

    /// Symbol.
    #[getter]
    fn symbol(&self, py: Python<'_>) -> Py<PyString> {
        self.names.get().symbol.clone_ref(py)
    }

    /// Interval as a word: "1m", "5m".
    #[getter]
    fn interval(&self, py: Python<'_>) -> Py<PyString> {
        self.names.get().interval.clone_ref(py)
    }

    /// `available_at` as an aware datetime in the exchange's time zone.
    #[getter]
    fn time<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.names.get().datetime(py, self.available_at)
    }

    /// Whether no base bar is missing: `n_present + n_filled == n_expected`.
    #[getter]
    const fn complete(&self) -> bool {
        self.n_present + self.n_filled == self.n_expected
    }

    /// Where the bar comes from: "primary", "fill" or "derived".
    #[getter]
    const fn origin(&self) -> &'static str {
        self.flags.origin()
    }

    /// Whether it was delivered as catch-up of a replay that starts within a session.
    #[getter]
    const fn catch_up(&self) -> bool {
        self.flags.has(Flags::CATCH_UP)
    }

    /// Whether it lies within trading hours and grace.
    #[getter]
    const fn regular(&self) -> bool {
        !self.flags.has(Flags::IRREGULAR)
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Self>().is_ok_and(|other| {
            self.fields() == other.get().fields() && self.names.get().same(other.get().names.get(), other.py())
        })
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.ts, self.available_at, self.close.to_bits()).hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (names, time) = (self.names.get(), self.time(py)?);
        Ok(format!(
            "Bar({} {} known {}: open {} high {} low {} close {} volume {}{})",
            names.symbol.bind(py),
            names.interval.bind(py),
            time.str()?,
            self.open,
            self.high,
            self.low,
            self.close,
            self.volume,
            if self.complete() { String::new() } else { format!(", {} of {} bars", self.n_present, self.n_expected) },
        ))
    }

    #[pyo3(signature = () -> "tuple[object, ...]")]
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let names = self.names.get();
        let prices = (self.open, self.high, self.low, self.close, self.volume);
        let counts = (self.n_present, self.n_expected, self.n_filled, self.revision, self.flags.bits());
        let zone = names.zone.bind(py).str()?;
        let fields = (&names.symbol, &names.interval, self.ts, self.available_at, prices, counts, zone);
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
    const fn fields(&self) -> ([i64; 2], [f64; 5], [u32; 4], u8) {
        (
            [self.ts, self.available_at],
            [self.open, self.high, self.low, self.close, self.volume],
            [self.n_present, self.n_expected, self.n_filled, self.revision],
            self.flags.bits(),
        )
    }
}

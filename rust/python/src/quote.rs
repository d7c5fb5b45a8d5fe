//! `Quote`: one quote as it was delivered.

use crate::cells::{Count, Real, Stamp};
use crate::flags::Flags;
use crate::reused::Event;
use crate::tape_names::{Names, TapeNames};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};
use std::hash::{DefaultHasher, Hash, Hasher};

/// A quote: the best bid and ask from `ts` on. An absent side is NaN with size 0.
///
/// Stamps are int nanoseconds UTC. Quotes are frozen, comparable, hashable and picklable, and hold nothing of the
/// replay that delivered them.
#[pyclass(frozen, module = "backtape")]
pub(crate) struct Quote {
    names: Names,
    tape: Count,
    /// When the quote happened, ns UTC.
    #[pyo3(get)]
    ts: Stamp,
    /// When it is known, ns UTC: the same as `ts`, unless it was fed late.
    #[pyo3(get)]
    available_at: Stamp,
    /// Best bid price.
    #[pyo3(get)]
    bid: Real,
    /// Best ask price.
    #[pyo3(get)]
    ask: Real,
    /// Size at the bid.
    #[pyo3(get)]
    bid_size: Real,
    /// Size at the ask.
    #[pyo3(get)]
    ask_size: Real,
    flags: Count,
}

/// What a quote tells.
#[derive(Clone, Copy, PartialEq, Default)]
pub(crate) struct QuoteValues {
    pub(crate) ts: i64,
    pub(crate) available_at: i64,
    pub(crate) bid: f64,
    pub(crate) ask: f64,
    pub(crate) bid_size: f64,
    pub(crate) ask_size: f64,
    pub(crate) flags: Flags,
}

impl QuoteValues {
    /// The same to the last bit that matters: an absent number is NaN, and equals another one.
    fn same(&self, other: &Self) -> bool {
        let mut numbers = [
            (self.bid, other.bid),
            (self.ask, other.ask),
            (self.bid_size, other.bid_size),
            (self.ask_size, other.ask_size),
        ]
        .into_iter();
        self.ts == other.ts
            && self.available_at == other.available_at
            && self.flags == other.flags
            && numbers.all(|(a, b)| a == b || (a.is_nan() && b.is_nan()))
    }
}

impl Event for Quote {
    type Values = QuoteValues;

    fn of(names: Names, tape: u32, values: &QuoteValues) -> Self {
        Self {
            names,
            tape: Count::new(tape),
            ts: Stamp::new(values.ts),
            available_at: Stamp::new(values.available_at),
            bid: Real::new(values.bid),
            ask: Real::new(values.ask),
            bid_size: Real::new(values.bid_size),
            ask_size: Real::new(values.ask_size),
            flags: Count::new(values.flags.bits().into()),
        }
    }

    fn set(&self, tape: u32, values: &QuoteValues) {
        self.tape.set(tape);
        self.ts.set(values.ts);
        self.available_at.set(values.available_at);
        self.bid.set(values.bid);
        self.ask.set(values.ask);
        self.bid_size.set(values.bid_size);
        self.ask_size.set(values.ask_size);
        self.flags.set(values.flags.bits().into());
    }
}

#[pymethods]
impl Quote {
    #[new]
    #[pyo3(signature = (symbol, ts, bid, ask, bid_size, ask_size, *, available_at=None, flags=0, zone=None))]
    #[expect(clippy::too_many_arguments, reason = "they are the quote's fields")]
    fn new(
        py: Python<'_>,
        symbol: &str,
        ts: i64,
        bid: f64,
        ask: f64,
        bid_size: f64,
        ask_size: f64,
        available_at: Option<i64>,
        flags: u8,
        zone: Option<&str>,
    ) -> PyResult<Self> {
        let names = TapeNames::alone(py, symbol, 0, &crate::zone::named(py, zone)?)?;
        let available_at = available_at.unwrap_or(ts);
        let values = QuoteValues { ts, available_at, bid, ask, bid_size, ask_size, flags: Flags::from_bits(flags) };
        Ok(Self::of(names, 0, &values))
    }

    /// Symbol.
    #[getter]
    pub(crate) fn symbol(&self, py: Python<'_>) -> Py<PyString> {
        self.names().symbol.clone_ref(py)
    }

    /// `available_at` as an aware datetime in the exchange's time zone.
    #[getter]
    fn time<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.names().datetime(py, self.available_at.get())
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
        let py = other.py();
        other.cast::<Self>().is_ok_and(|other| {
            let other = other.get();
            self.values().same(&other.values()) && self.names().same(other.names(), py)
        })
    }

    fn __hash__(&self) -> u64 {
        let now = self.values();
        let mut hasher = DefaultHasher::new();
        (now.ts, now.available_at).hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let now = self.values();
        let (symbol, time) = (&self.names().symbol, self.time(py)?);
        Ok(format!(
            "Quote({} {}: bid {} ask {} sizes {} x {})",
            symbol.bind(py),
            time.str()?,
            now.bid,
            now.ask,
            now.bid_size,
            now.ask_size
        ))
    }

    #[pyo3(signature = () -> "tuple[object, ...]")]
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let now = self.values();
        let names = self.names();
        let zone = names.zone.bind(py).str()?;
        let fields = (
            &names.symbol,
            now.ts,
            now.bid,
            now.ask,
            now.bid_size,
            now.ask_size,
            now.available_at,
            now.flags.bits(),
            zone,
        );
        Ok((py.get_type::<Self>().getattr("_restore")?, fields.into_pyobject(py)?))
    }

    #[staticmethod]
    #[expect(clippy::too_many_arguments, reason = "they are the quote's fields")]
    fn _restore(
        py: Python<'_>,
        symbol: &str,
        ts: i64,
        bid: f64,
        ask: f64,
        bid_size: f64,
        ask_size: f64,
        available_at: i64,
        flags: u8,
        zone: &str,
    ) -> PyResult<Self> {
        Self::new(py, symbol, ts, bid, ask, bid_size, ask_size, Some(available_at), flags, Some(zone))
    }
}

impl Quote {
    fn names(&self) -> &TapeNames {
        self.names[self.tape.get() as usize].get()
    }

    fn values(&self) -> QuoteValues {
        QuoteValues {
            ts: self.ts.get(),
            available_at: self.available_at.get(),
            bid: self.bid.get(),
            ask: self.ask.get(),
            bid_size: self.bid_size.get(),
            ask_size: self.ask_size.get(),
            flags: Flags::from_bits(self.flags.get() as u8),
        }
    }
}

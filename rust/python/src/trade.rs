//! `Trade`: one trade as it was delivered.

use crate::cells::{Count, Real, Stamp};
use crate::flags::Flags;
use crate::reused::Event;
use crate::tape_names::{Names, TapeNames};
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};
use std::hash::{DefaultHasher, Hash, Hasher};

/// A trade at `ts`.
///
/// Stamps are int nanoseconds UTC. Trades are frozen, comparable, hashable and picklable, and hold nothing of the
/// replay that delivered them.
#[pyclass(frozen, module = "backtape")]
pub(crate) struct Trade {
    names: Names,
    tape: Count,
    /// When the trade happened, ns UTC.
    #[pyo3(get)]
    ts: Stamp,
    /// When it is known, ns UTC: the same as `ts`, unless it was fed late.
    #[pyo3(get)]
    available_at: Stamp,
    /// Price.
    #[pyo3(get)]
    price: Real,
    /// Size.
    #[pyo3(get)]
    size: Real,
    flags: Count,
}

/// What a trade tells.
#[derive(Clone, Copy, PartialEq, Default)]
pub(crate) struct TradeValues {
    pub(crate) ts: i64,
    pub(crate) available_at: i64,
    pub(crate) price: f64,
    pub(crate) size: f64,
    pub(crate) flags: Flags,
}

impl TradeValues {
    /// The same to the last bit that matters: an absent number is NaN, and equals another one.
    fn same(&self, other: &Self) -> bool {
        let mut numbers = [(self.price, other.price), (self.size, other.size)].into_iter();
        self.ts == other.ts
            && self.available_at == other.available_at
            && self.flags == other.flags
            && numbers.all(|(a, b)| a == b || (a.is_nan() && b.is_nan()))
    }
}

impl Event for Trade {
    type Values = TradeValues;

    fn of(names: Names, tape: u32, values: &TradeValues) -> Self {
        Self {
            names,
            tape: Count::new(tape),
            ts: Stamp::new(values.ts),
            available_at: Stamp::new(values.available_at),
            price: Real::new(values.price),
            size: Real::new(values.size),
            flags: Count::new(values.flags.bits().into()),
        }
    }

    fn set(&self, tape: u32, values: &TradeValues) {
        self.tape.set(tape);
        self.ts.set(values.ts);
        self.available_at.set(values.available_at);
        self.price.set(values.price);
        self.size.set(values.size);
        self.flags.set(values.flags.bits().into());
    }
}

#[pymethods]
impl Trade {
    #[new]
    #[pyo3(signature = (symbol, ts, price, size, *, available_at=None, flags=0, zone=None))]
    #[expect(clippy::too_many_arguments, reason = "they are the trade's fields")]
    fn new(
        py: Python<'_>,
        symbol: &str,
        ts: i64,
        price: f64,
        size: f64,
        available_at: Option<i64>,
        flags: u8,
        zone: Option<&str>,
    ) -> PyResult<Self> {
        let names = TapeNames::alone(py, symbol, 0, &crate::zone::named(py, zone)?)?;
        let available_at = available_at.unwrap_or(ts);
        let values = TradeValues { ts, available_at, price, size, flags: Flags::from_bits(flags) };
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
        Ok(format!("Trade({} {}: {} x {})", symbol.bind(py), time.str()?, now.price, now.size))
    }

    #[pyo3(signature = () -> "tuple[object, ...]")]
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let now = self.values();
        let names = self.names();
        let zone = names.zone.bind(py).str()?;
        let fields = (&names.symbol, now.ts, now.price, now.size, now.available_at, now.flags.bits(), zone);
        Ok((py.get_type::<Self>().getattr("_restore")?, fields.into_pyobject(py)?))
    }

    #[staticmethod]
    #[expect(clippy::too_many_arguments, reason = "they are the trade's fields")]
    fn _restore(
        py: Python<'_>,
        symbol: &str,
        ts: i64,
        price: f64,
        size: f64,
        available_at: i64,
        flags: u8,
        zone: &str,
    ) -> PyResult<Self> {
        Self::new(py, symbol, ts, price, size, Some(available_at), flags, Some(zone))
    }
}

impl Trade {
    fn names(&self) -> &TapeNames {
        self.names[self.tape.get() as usize].get()
    }

    fn values(&self) -> TradeValues {
        TradeValues {
            ts: self.ts.get(),
            available_at: self.available_at.get(),
            price: self.price.get(),
            size: self.size.get(),
            flags: Flags::from_bits(self.flags.get() as u8),
        }
    }
}

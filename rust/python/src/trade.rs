//! `Trade`: one trade as it was delivered.

use crate::flags::Flags;
use crate::tape_names::TapeNames;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};
use std::hash::{DefaultHasher, Hash, Hasher};

/// A trade at `ts`.
///
/// Stamps are int nanoseconds UTC. Trades are frozen, comparable, hashable and picklable, and hold nothing of the
/// replay that delivered them.
#[pyclass(frozen, module = "backtape")]
pub(crate) struct Trade {
    pub(crate) names: Py<TapeNames>,
    /// When the trade happened, ns UTC.
    #[pyo3(get)]
    pub(crate) ts: i64,
    /// When it is known, ns UTC: the same as `ts`, unless it was fed late.
    #[pyo3(get)]
    pub(crate) available_at: i64,
    /// Price.
    #[pyo3(get)]
    pub(crate) price: f64,
    /// Size.
    #[pyo3(get)]
    pub(crate) size: f64,
    pub(crate) flags: Flags,
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
        let names = TapeNames::new(py, symbol, 0, &crate::zone::named(py, zone)?)?;
        let available_at = available_at.unwrap_or(ts);
        Ok(Self { names, ts, available_at, price, size, flags: Flags::from_bits(flags) })
    }

    /// Symbol.
    #[getter]
    fn symbol(&self, py: Python<'_>) -> Py<PyString> {
        self.names.get().symbol.clone_ref(py)
    }

    /// `available_at` as an aware datetime in the exchange's time zone.
    #[getter]
    fn time<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        self.names.get().datetime(py, self.available_at)
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
        let py = other.py();
        other.cast::<Self>().is_ok_and(|other| {
            let (other, same) = (other.get(), |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan()));
            self.ts == other.ts
                && self.available_at == other.available_at
                && self.flags == other.flags
                && self.numbers().into_iter().zip(other.numbers()).all(|(a, b)| same(a, b))
                && self.names.get().same(other.names.get(), py)
        })
    }

    fn __hash__(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.ts, self.available_at).hash(&mut hasher);
        hasher.finish()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let (symbol, time) = (&self.names.get().symbol, self.time(py)?);
        Ok(format!("Trade({} {}: {} x {})", symbol.bind(py), time.str()?, self.price, self.size))
    }

    #[pyo3(signature = () -> "tuple[object, ...]")]
    fn __reduce__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyTuple>)> {
        let names = self.names.get();
        let zone = names.zone.bind(py).str()?;
        let fields = (&names.symbol, self.ts, self.price, self.size, self.available_at, self.flags.bits(), zone);
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
    const fn numbers(&self) -> [f64; 2] {
        [self.price, self.size]
    }
}

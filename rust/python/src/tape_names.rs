//! What all events of one tape share: made once a session, referred to by each event.

use crate::instants::datetime_in;
use backtape_core::key::interval_name;
use backtape_core::loaded::Loaded;
use pyo3::prelude::*;
use pyo3::types::PyString;
use std::sync::Arc;

/// The names of all tapes of a session, in its order of tapes.
pub(crate) type Names = Arc<[Py<TapeNames>]>;

/// The names of a tape as Python objects.
#[pyclass(frozen, module = "backtape._core")]
pub(crate) struct TapeNames {
    pub(crate) symbol: Py<PyString>,
    pub(crate) interval: Py<PyString>,
    pub(crate) interval_ns: i64,
    /// A `zoneinfo.ZoneInfo`: the exchange's time zone.
    pub(crate) zone: Py<PyAny>,
}

impl TapeNames {
    /// The names of one tape alone.
    pub(crate) fn alone(py: Python<'_>, symbol: &str, interval_ns: i64, zone: &Bound<'_, PyAny>) -> PyResult<Names> {
        Ok(Arc::new([Self::new(py, symbol, interval_ns, zone)?]))
    }

    fn new(py: Python<'_>, symbol: &str, interval_ns: i64, zone: &Bound<'_, PyAny>) -> PyResult<Py<Self>> {
        let interval = if interval_ns == 0 { String::new() } else { interval_name(interval_ns) };
        let names = Self {
            symbol: PyString::intern(py, symbol).unbind(),
            interval: PyString::intern(py, &interval).unbind(),
            interval_ns,
            zone: zone.clone().unbind(),
        };
        Py::new(py, names)
    }

    /// The names of all tapes of a session, in its order of tapes.
    pub(crate) fn of_session(py: Python<'_>, loaded: &Loaded, zone: &Bound<'_, PyAny>) -> PyResult<Names> {
        let names = loaded.tapes.iter().map(|tape| Self::new(py, &tape.key.symbol, tape.key.interval_ns, zone));
        names.collect()
    }

    /// Whether two events are of the same tape.
    pub(crate) fn same(&self, other: &Self, py: Python<'_>) -> bool {
        let (symbol, theirs) = (self.symbol.bind(py), other.symbol.bind(py));
        self.interval_ns == other.interval_ns && (symbol.is(theirs) || symbol.as_any().eq(theirs).unwrap_or(false))
    }

    /// An instant as an aware datetime in the exchange's time zone, rounded down to the microsecond.
    pub(crate) fn datetime<'py>(&self, py: Python<'py>, ts_ns: i64) -> PyResult<Bound<'py, PyAny>> {
        datetime_in(py, ts_ns, self.zone.bind(py))
    }
}

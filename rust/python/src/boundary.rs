//! `SessionOpen` and `SessionClose`: the edges of a trading day as events.

use crate::instants::datetime_in;
use crate::ledger::Ledger;
use pyo3::prelude::*;
use std::collections::BTreeMap;

/// The session opens. Quotes and trades at this instant follow it.
#[pyclass(frozen, module = "backtape")]
pub(crate) struct SessionOpen {
    /// The trading day: label, spans, open, close, is_half_day.
    #[pyo3(get)]
    pub(crate) session: Py<PyAny>,
    /// The open, ns UTC.
    #[pyo3(get)]
    pub(crate) ts: i64,
    /// The same as `ts`.
    #[pyo3(get)]
    pub(crate) available_at: i64,
}

#[pymethods]
impl SessionOpen {
    #[new]
    const fn new(session: Py<PyAny>, ts: i64) -> Self {
        Self { session, ts, available_at: ts }
    }

    /// The open as an aware datetime in the exchange's time zone.
    #[getter]
    fn time<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        time_of(py, &self.session, self.ts)
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> PyResult<bool> {
        match other.cast::<Self>() {
            Ok(other) => Ok(self.ts == other.get().ts && self.session.bind(other.py()).eq(&other.get().session)?),
            Err(_) => Ok(false),
        }
    }

    fn __hash__(&self) -> i64 {
        self.ts
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("SessionOpen({} at {})", label_of(py, &self.session)?, self.time(py)?.str()?))
    }

    #[pyo3(signature = () -> "tuple[object, ...]")]
    fn __reduce__<'py>(&self, py: Python<'py>) -> (Bound<'py, PyAny>, (Py<PyAny>, i64)) {
        (py.get_type::<Self>().into_any(), (self.session.clone_ref(py), self.ts))
    }
}

/// The session closes, at its last close plus grace. All bars of this instant come before it.
#[pyclass(frozen, module = "backtape")]
pub(crate) struct SessionClose {
    /// The trading day: label, spans, open, close, is_half_day.
    #[pyo3(get)]
    pub(crate) session: Py<PyAny>,
    /// The last close plus grace, ns UTC.
    #[pyo3(get)]
    pub(crate) ts: i64,
    /// The same as `ts`.
    #[pyo3(get)]
    pub(crate) available_at: i64,
    /// Where the session's rows went, up to this event.
    #[pyo3(get)]
    pub(crate) ledger: Py<Ledger>,
    /// Bars present as a percentage of those due, by symbol.
    #[pyo3(get)]
    pub(crate) quality: BTreeMap<String, f64>,
}

#[pymethods]
impl SessionClose {
    #[new]
    const fn new(session: Py<PyAny>, ts: i64, ledger: Py<Ledger>, quality: BTreeMap<String, f64>) -> Self {
        Self { session, ts, available_at: ts, ledger, quality }
    }

    /// The instant as an aware datetime in the exchange's time zone.
    #[getter]
    fn time<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        time_of(py, &self.session, self.ts)
    }

    fn __eq__(&self, other: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = other.py();
        let Ok(other) = other.cast::<Self>() else {
            return Ok(false);
        };
        let other = other.get();
        Ok(self.ts == other.ts
            && self.ledger.get() == other.ledger.get()
            && self.session.bind(py).eq(&other.session)?
            && self.quality == other.quality)
    }

    fn __hash__(&self) -> i64 {
        self.ts
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("SessionClose({} at {})", label_of(py, &self.session)?, self.time(py)?.str()?))
    }

    #[pyo3(signature = () -> "tuple[object, ...]")]
    fn __reduce__<'py>(
        &self,
        py: Python<'py>,
    ) -> (Bound<'py, PyAny>, (Py<PyAny>, i64, Py<Ledger>, BTreeMap<String, f64>)) {
        let fields = (self.session.clone_ref(py), self.ts, self.ledger.clone_ref(py), self.quality.clone());
        (py.get_type::<Self>().into_any(), fields)
    }
}

fn label_of<'py>(py: Python<'py>, session: &Py<PyAny>) -> PyResult<Bound<'py, PyAny>> {
    session.bind(py).getattr("label")
}

fn time_of<'py>(py: Python<'py>, session: &Py<PyAny>, ts: i64) -> PyResult<Bound<'py, PyAny>> {
    let zone = crate::zone::named(py, Some(&session.bind(py).getattr("zone")?.extract::<String>()?))?;
    datetime_in(py, ts, &zone)
}

//! One table: each fault of the core and of fed streams, its Python class, and the facts that the exception carries.

use backtape_core::error::{Error, Place};
use backtape_core::key::TapeKey;
use backtape_engine::feeds::Fault;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// The Python exception of a fault. Its facts are attributes of the exception.
pub(crate) fn to_python(py: Python<'_>, error: &Error) -> PyErr {
    build(py, error).unwrap_or_else(|failure| failure)
}

/// The Python exception of what is wrong with a fed stream.
pub(crate) fn feed_fault(py: Python<'_>, fault: &Fault) -> PyErr {
    let facts = PyDict::new(py);
    let class = feed_class_and_facts(fault, &facts);
    class.and_then(|class| raise(py, class, &fault.to_string(), &facts)).unwrap_or_else(|failure| failure)
}

fn build(py: Python<'_>, error: &Error) -> PyResult<PyErr> {
    let facts = PyDict::new(py);
    let class = class_and_facts(error, &facts)?;
    raise(py, class, &error.to_string(), &facts)
}

/// An exception of `backtape.errors` by the name of its class.
pub(crate) fn raise(py: Python<'_>, class: &str, message: &str, facts: &Bound<'_, PyDict>) -> PyResult<PyErr> {
    let class = py.import("backtape.errors")?.getattr(class)?;
    Ok(PyErr::from_value(class.call((message,), Some(facts))?))
}

/// A [`raise`] without facts.
pub(crate) fn plain(py: Python<'_>, class: &str, message: &str) -> PyErr {
    raise(py, class, message, &PyDict::new(py)).unwrap_or_else(|failure| failure)
}

fn tape_facts(tape: &TapeKey, facts: &Bound<'_, PyDict>) -> PyResult<()> {
    facts.set_item("tape", tape.to_string())?;
    facts.set_item("symbol", &*tape.symbol)?;
    facts.set_item("kind", tape.kind.name())?;
    facts.set_item("interval_ns", tape.interval_ns)
}

fn place_facts(place: &Place, facts: &Bound<'_, PyDict>) -> PyResult<()> {
    tape_facts(&place.tape, facts)?;
    facts.set_item("source", &*place.source_name)?;
    facts.set_item("row", place.row)
}

fn class_and_facts(error: &Error, facts: &Bound<'_, PyDict>) -> PyResult<&'static str> {
    Ok(match error {
        Error::NullTime { place } => {
            place_facts(place, facts)?;
            "NullTimeError"
        }
        Error::Unsorted { place, ts_ns, ts_prev_ns } => {
            place_facts(place, facts)?;
            facts.set_item("ts_ns", ts_ns)?;
            facts.set_item("ts_ns_prev", ts_prev_ns)?;
            "UnsortedError"
        }
        Error::NotFinite { place, ts_ns, column, value } => {
            place_facts(place, facts)?;
            facts.set_item("ts_ns", ts_ns)?;
            facts.set_item("column", column)?;
            facts.set_item("value", value)?;
            "NotFiniteError"
        }
        Error::HighBelowLow { place, ts_ns, high, low } => {
            place_facts(place, facts)?;
            facts.set_item("ts_ns", ts_ns)?;
            facts.set_item("high", high)?;
            facts.set_item("low", low)?;
            "HighLowError"
        }
        Error::Negative { place, ts_ns, column, value } => {
            place_facts(place, facts)?;
            facts.set_item("ts_ns", ts_ns)?;
            facts.set_item("column", column)?;
            facts.set_item("value", value)?;
            "NegativeError"
        }
        Error::OffGrid { place, ts_ns, grid_ns, .. } => {
            place_facts(place, facts)?;
            facts.set_item("ts_ns", ts_ns)?;
            facts.set_item("grid_ns", grid_ns)?;
            "OffGridError"
        }
        Error::Conflict { place, ts_ns, column, value, value_first, source_first, row_first } => {
            place_facts(place, facts)?;
            facts.set_item("ts_ns", ts_ns)?;
            facts.set_item("column", column)?;
            facts.set_item("value", value)?;
            facts.set_item("value_prev", value_first)?;
            facts.set_item("source_prev", &**source_first)?;
            facts.set_item("row_prev", row_first)?;
            "ConflictError"
        }
        other => return setup_facts(other, facts),
    })
}

fn setup_facts(error: &Error, facts: &Bound<'_, PyDict>) -> PyResult<&'static str> {
    Ok(match error {
        Error::TapeTwice { tape, source_first, source_name } => {
            tape_facts(tape, facts)?;
            facts.set_item("source_prev", &**source_first)?;
            facts.set_item("source", &**source_name)?;
            "DuplicateTapeError"
        }
        Error::BaseInterval { tape, interval } => {
            tape_facts(tape, facts)?;
            facts.set_item("interval", interval)?;
            "IntervalError"
        }
        Error::IntervalNotMultiple { interval, base } => {
            facts.set_item("interval", interval)?;
            facts.set_item("base", base)?;
            "IntervalError"
        }
        Error::SpanInverted { start_ns, end_ns } => {
            facts.set_item("start_ns", start_ns)?;
            facts.set_item("end_ns", end_ns)?;
            "SpanError"
        }
        Error::SpanMisplaced { label, index, start_ns, end_ns, .. } => {
            facts.set_item("label", &**label)?;
            facts.set_item("index", index)?;
            facts.set_item("start_ns", start_ns)?;
            facts.set_item("end_ns", end_ns)?;
            "SpanError"
        }
        Error::SessionWithoutSpans { label } => {
            facts.set_item("label", &**label)?;
            "SpanError"
        }
        Error::SessionOutOfOrder { label, label_prev, .. } => {
            facts.set_item("label", &**label)?;
            facts.set_item("label_prev", &**label_prev)?;
            "StateError"
        }
        Error::LedgerUnbalanced { label, tape, rows_in, accounted } => {
            facts.set_item("label", &**label)?;
            facts.set_item("tape", tape.to_string())?;
            facts.set_item("rows_in", rows_in)?;
            facts.set_item("accounted", accounted)?;
            "LedgerError"
        }
        Error::PhaseStep { from, .. } => {
            facts.set_item("state", from)?;
            "StateError"
        }
        _ => "BacktapeError",
    })
}

fn feed_class_and_facts(fault: &Fault, facts: &Bound<'_, PyDict>) -> PyResult<&'static str> {
    Ok(match fault {
        Fault::Rows(error) => return class_and_facts(error, facts),
        Fault::Stopped => {
            facts.set_item("state", "stopped")?;
            "StateError"
        }
        Fault::Ended { stream } | Fault::Backwards { stream, .. } => {
            facts.set_item("stream", stream)?;
            "FeedError"
        }
        Fault::Stalled { stream, waiting_for, rows, bytes, bytes_max } => {
            facts.set_item("stream", stream)?;
            facts.set_item("waiting_for", waiting_for)?;
            facts.set_item("rows", rows)?;
            facts.set_item("bytes", bytes)?;
            facts.set_item("bytes_max", bytes_max)?;
            "FeedStalledError"
        }
        Fault::Abandoned { stream, rows } => {
            facts.set_item("stream", stream)?;
            facts.set_item("rows", rows)?;
            "FeedAbandonedError"
        }
        Fault::Miscounted { stream, rows, rows_expected } => {
            facts.set_item("stream", stream)?;
            facts.set_item("rows", rows)?;
            facts.set_item("rows_expected", rows_expected)?;
            "FeedAbandonedError"
        }
        Fault::Silent { streams, seconds } => {
            facts.set_item("stream", streams)?;
            facts.set_item("seconds", seconds)?;
            "FeedTimeoutError"
        }
    })
}

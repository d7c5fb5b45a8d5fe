//! Intervals as Python writes them.

use crate::errors::raise;
pub(crate) use backtape_core::key::interval_name;
use backtape_core::key::parse_interval;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// The longest bar interval: a day.
const INTERVAL_NS_MAX: i64 = 24 * 3_600_000_000_000;

/// Return the nanoseconds of a bar interval written as seconds, minutes or hours: "1s", "5m", "1h".
///
/// >>> from backtape.model import interval_ns
/// >>> interval_ns("5m")
/// 300000000000
///
/// Raises `IntervalError` for another form, zero, or longer than a day.
#[pyfunction]
#[pyo3(name = "interval_ns")]
pub(crate) fn parse(py: Python<'_>, interval: &str) -> PyResult<i64> {
    let interval_ns = parse_interval(interval);
    if let Some(interval_ns) = interval_ns.filter(|&ns| ns <= INTERVAL_NS_MAX) {
        return Ok(interval_ns);
    }
    let facts = PyDict::new(py);
    facts.set_item("setting", "interval")?;
    facts.set_item("value", interval)?;
    facts.set_item("interval", interval)?;
    facts.set_item("interval_ns", interval_ns)?;
    let message = match interval_ns {
        Some(_) => format!("interval '{interval}' is longer than a day (24h)"),
        None => format!("interval '{interval}' cannot be read: write a count and s, m or h, such as 30s, 5m or 1h"),
    };
    Err(raise(py, "IntervalError", &message, &facts)?)
}

/// Return the short name of a bar interval given in nanoseconds, in the largest unit that divides it.
///
/// >>> from backtape.model import interval_name
/// >>> interval_name(60_000_000_000), interval_name(90_000_000_000), interval_name(3_600_000_000_000)
/// ('1m', '90s', '1h')
///
/// Raises `IntervalError` for what is not a whole number of seconds, not positive, or longer than a day.
#[pyfunction]
#[pyo3(name = "interval_name")]
pub(crate) fn checked_name(py: Python<'_>, interval_ns: i64) -> PyResult<String> {
    if interval_ns > 0 && interval_ns <= INTERVAL_NS_MAX && interval_ns % 1_000_000_000 == 0 {
        return Ok(interval_name(interval_ns));
    }
    let facts = PyDict::new(py);
    facts.set_item("setting", "interval")?;
    facts.set_item("value", interval_ns)?;
    facts.set_item("interval_ns", interval_ns)?;
    let message = format!("{interval_ns} ns is no bar interval: it is whole seconds, from 1s to 24h");
    Err(raise(py, "IntervalError", &message, &facts)?)
}

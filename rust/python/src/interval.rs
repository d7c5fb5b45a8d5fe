//! Intervals as Python writes them.

use crate::errors::raise;
use backtape_core::key::{interval_name as name, parse_interval};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// The longest bar interval: a day.
const INTERVAL_NS_MAX: i64 = 24 * 3_600_000_000_000;

/// Nanoseconds of an interval written as seconds, minutes or hours: "1s", "5m", "1h".
///
/// Raises `IntervalError` for another form, zero, or longer than a day.
#[pyfunction]
#[pyo3(name = "interval_ns")]
pub(crate) fn parse(py: Python<'_>, interval: &str) -> PyResult<i64> {
    if let Some(interval_ns) = parse_interval(interval).filter(|&ns| ns <= INTERVAL_NS_MAX) {
        return Ok(interval_ns);
    }
    let facts = PyDict::new(py);
    facts.set_item("interval", interval)?;
    let message = format!(
        "interval \"{interval}\" can't be used: write a whole number above 0 and s, m or h, such as 30s, 5m or 1h, up to 24h"
    );
    Err(raise(py, "IntervalError", &message, &facts)?)
}

/// The short name of a bar interval given in nanoseconds, in the largest unit that divides it.
#[pyfunction]
pub(crate) fn interval_name(interval_ns: i64) -> String {
    name(interval_ns)
}

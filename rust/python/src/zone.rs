//! Time zones by name.

use pyo3::prelude::*;

/// A `zoneinfo.ZoneInfo`; UTC where no name is given.
pub(crate) fn named<'py>(py: Python<'py>, name: Option<&str>) -> PyResult<Bound<'py, PyAny>> {
    py.import("zoneinfo")?.getattr("ZoneInfo")?.call1((name.unwrap_or("UTC"),))
}

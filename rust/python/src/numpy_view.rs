//! Columns as read-only numpy arrays.

use arrow_buffer::{ArrowNativeType, ScalarBuffer};
use numpy::{Element, PyArray1, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3_arrow::buffer::PyArrowBuffer;

/// Columns up to this size are copied: that is faster than a view, and keeps nothing alive.
const COPY_BYTES_MAX: usize = 16_384;

/// A read-only numpy array of a column. It reaches no row outside the column that it is given.
pub(crate) fn read_only<'py, T: Element + ArrowNativeType>(
    py: Python<'py>,
    column: &ScalarBuffer<T>,
) -> PyResult<Bound<'py, PyAny>> {
    if std::mem::size_of_val::<[T]>(column) <= COPY_BYTES_MAX {
        return Ok(copied(py, column));
    }
    let view = PyDict::new(py);
    view.set_item("dtype", T::get_dtype(py))?;
    let buffer = Py::new(py, PyArrowBuffer::new(column.inner().clone()))?;
    py.import("numpy")?.getattr("frombuffer")?.call((buffer,), Some(&view))
}

/// A read-only numpy array that owns its values.
pub(crate) fn copied<'py, T: Element + Copy>(py: Python<'py>, column: &[T]) -> Bound<'py, PyAny> {
    let array = PyArray1::from_slice(py, column);
    array.readwrite().make_nonwriteable().as_any().clone()
}

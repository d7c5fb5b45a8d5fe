//! Rows to Arrow, without a copy of the numbers.

use crate::columns::{Columns, Symbols};
use crate::visits::Visit;
use arrow_array::types::UInt32Type;
use arrow_array::{
    ArrayRef, DictionaryArray, Float64Array, RecordBatch, StringArray, TimestampNanosecondArray, UInt32Array,
};
use arrow_buffer::{NullBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field, Schema, TimeUnit};
use backtape_core::key::Kind;
use pyo3::prelude::*;
use pyo3_arrow::PyRecordBatch;
use std::sync::Arc;

/// The Arrow type of every stamp: ns UTC.
pub(crate) fn stamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))
}

/// A column of stamps.
pub(crate) fn stamps(ts_ns: ScalarBuffer<i64>) -> ArrayRef {
    Arc::new(TimestampNanosecondArray::new(ts_ns, None).with_timezone("UTC"))
}

/// A column of symbols as a dictionary.
pub(crate) fn symbols(
    ids: ScalarBuffer<u32>,
    nulls: Option<NullBuffer>,
    names: &[Arc<str>],
) -> Result<ArrayRef, ArrowError> {
    let names = StringArray::from_iter_values(names.iter().map(|name| &**name));
    let column = DictionaryArray::<UInt32Type>::try_new(UInt32Array::new(ids, nulls), Arc::new(names))?;
    Ok(Arc::new(column))
}

/// A record batch of named columns; those of `nullable` may hold nulls.
pub(crate) fn batch(columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch, ArrowError> {
    let field = |(name, column): &(&str, ArrayRef)| Field::new(*name, column.data_type().clone(), column.is_nullable());
    let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
    let arrays = columns.into_iter().map(|(_, column)| column).collect();
    RecordBatch::try_new(Arc::new(schema), arrays)
}

/// Columns as one record batch: ts, available_at, symbol, the kind's numbers, and for bars their counts.
pub(crate) fn to_batch(columns: &Columns) -> Result<RecordBatch, ArrowError> {
    let rows = &columns.rows;
    let symbol = match &columns.symbols {
        Symbols::One(symbol) => symbols(vec![0_u32; rows.len()].into(), None, std::slice::from_ref(symbol))?,
        Symbols::Each(ids, names) => symbols(ids.clone(), None, names)?,
    };
    let mut named: Vec<(&str, ArrayRef)> =
        vec![("ts", stamps(rows.ts_ns.clone())), ("available_at", stamps(columns.available_ns())), ("symbol", symbol)];
    for (place, name) in rows.kind.columns().iter().enumerate() {
        named.push((name, Arc::new(Float64Array::new(rows.values.buffer(place), None))));
    }
    if rows.kind == Kind::Bar {
        for name in ["n_present", "n_expected", "n_filled"] {
            named.push((name, Arc::new(UInt32Array::new(columns.counted(name), None))));
        }
    }
    batch(named)
}

/// A record batch as pyarrow's own, which lets go of the interpreter to take it.
pub(crate) fn handed_out(py: Python<'_>, batch: RecordBatch) -> PyResult<Bound<'_, PyAny>> {
    let _visit = Visit::begin();
    PyRecordBatch::new(batch).into_pyarrow(py)
}

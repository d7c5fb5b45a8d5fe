//! `HandedTables`: many tables of one kind, handed over in one go. There may be thousands, and each handing over costs more
//! than its rows.

use crate::arrow_in::{StampFacts, facts_of_stamps, read_pieces};
use crate::tapes::unreadable;
use arrow_array::RecordBatch;
use backtape_engine::threads::in_halves;
use pyo3::prelude::*;
use pyo3_arrow::PyRecordBatchReader;

/// Tables of one schema with a column `ts`, as they are; no row is looked at yet.
#[pyclass(frozen, module = "backtape._core")]
pub(crate) struct HandedTables(pub(crate) Vec<RecordBatch>);

#[pymethods]
impl HandedTables {
    /// `tables`: an Arrow stream of all of them. `rows`: how many of its rows are of each table, in order.
    #[new]
    fn new(py: Python<'_>, tables: PyRecordBatchReader, rows: Vec<usize>) -> PyResult<Self> {
        let reader = tables.into_reader()?;
        let batches = py.detach(|| read_pieces(reader, rows.into_iter()));
        batches.map(Self).map_err(|fault| unreadable(py, fault, "a table"))
    }

    /// What the stamps of each table tell: the lowest, the highest (ns UTC), how many there are, how many steps between
    /// them are one minute, and whether one falls. `None` for a table without rows, or with nulls among its stamps.
    fn stamp_facts(&self, py: Python<'_>) -> Vec<Option<StampFacts>> {
        let told = |batch: &RecordBatch| batch.column_by_name("ts").and_then(facts_of_stamps);
        py.detach(|| in_halves(&self.0, RecordBatch::num_rows, |some| some.iter().map(told).collect()))
    }
}

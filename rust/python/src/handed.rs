//! `HandedTables`: many tables of one kind, handed over in one go. There may be thousands, and each handing over costs more
//! than its rows.

use crate::arrow_in::{StampFacts, facts_of_stamps, read_pieces};
use crate::enter::Enter;
use crate::tapes::unreadable;
use arrow_array::RecordBatch;
use backtape_engine::threads::{in_halves, side_by_side};
use pyo3::prelude::*;
use pyo3_arrow::PyRecordBatchReader;

/// Tables of one schema with a column `ts`; no row is looked at yet.
#[pyclass(frozen, module = "backtape._core")]
pub(crate) struct HandedTables(pub(crate) Vec<RecordBatch>);

#[pymethods]
impl HandedTables {
    /// `early`, `late`: Arrow streams, of all tables together, and how many rows of each are of each table, in order. Both
    /// are read at the same time.
    #[new]
    #[pyo3(signature = (early, late=None))]
    fn new(
        py: Python<'_>,
        early: (PyRecordBatchReader, Vec<usize>),
        late: Option<(PyRecordBatchReader, Vec<usize>)>,
    ) -> PyResult<Self> {
        let mut early = Some((early.0.into_reader()?, early.1));
        let mut late = late.map(|(tables, rows)| tables.into_reader().map(|reader| (reader, rows))).transpose()?;
        let batches = py.out(|| {
            let read = |one: &mut Option<_>| {
                one.take()
                    .map_or(Ok(Vec::new()), |(reader, rows): (_, Vec<usize>)| read_pieces(reader, rows.into_iter()))
            };
            if late.is_none() {
                return read(&mut early);
            }
            let (mut first, mut second) = (Ok(Vec::new()), Ok(Vec::new()));
            side_by_side(&mut || second = read(&mut late), &mut || first = read(&mut early));
            let mut all = first?;
            all.extend(second?);
            Ok(all)
        });
        batches.map(Self).map_err(|fault| unreadable(py, fault, "a table"))
    }

    /// What the stamps of each table tell: the lowest, the highest (ns UTC), how many there are, how many steps between
    /// them are one minute, and whether one falls. `None` for a table without rows, or with nulls among its stamps.
    fn stamp_facts(&self, py: Python<'_>) -> Vec<Option<StampFacts>> {
        let told = |batch: &RecordBatch| batch.column_by_name("ts").and_then(facts_of_stamps);
        py.out(|| in_halves(&self.0, RecordBatch::num_rows, |some| some.iter().map(told).collect()))
    }
}

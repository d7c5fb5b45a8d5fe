//! Batches of one schema on their way to pyarrow. It takes them out of a stream, since it reads the schema of a stream
//! once: to read it again with each batch takes longer than the columns of a short one do.

use crate::visits::Visit;
use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{ArrowError, SchemaRef};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3_arrow::PyRecordBatchReader;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A stream that has the batch which was put into it last.
pub(crate) struct BatchStream {
    schema: SchemaRef,
    /// The stream as pyarrow's own and what is put into it; who hands a batch out has it to itself meanwhile.
    ready: Mutex<Option<Ready>>,
}

struct Ready {
    reader: Py<PyAny>,
    next: Arc<Next>,
}

/// The batch that pyarrow takes next. The lock is held for a load or a store.
#[derive(Default)]
struct Next(Mutex<Option<RecordBatch>>);

impl BatchStream {
    pub(crate) fn new(schema: SchemaRef) -> Self {
        Self { schema, ready: Mutex::default() }
    }

    /// A batch of this schema as pyarrow's own, which lets go of the interpreter to take it.
    pub(crate) fn handed_out<'py>(&self, py: Python<'py>, batch: RecordBatch) -> PyResult<Bound<'py, PyAny>> {
        let _visit = Visit::begin();
        let ready = locked(&self.ready).take();
        let ready = ready.map_or_else(|| self.opened(py), Ok)?;
        *locked(&ready.next.0) = Some(batch);
        let handed = ready.reader.bind(py).call_method0(intern!(py, "read_next_batch"))?;
        let others = locked(&self.ready).replace(ready);
        drop(others);
        Ok(handed)
    }

    fn opened(&self, py: Python<'_>) -> PyResult<Ready> {
        let next = Arc::new(Next::default());
        let taken = Taken { schema: Arc::clone(&self.schema), next: Arc::clone(&next) };
        let reader = PyRecordBatchReader::new(Box::new(taken)).into_pyarrow(py)?.unbind();
        Ok(Ready { reader, next })
    }
}

fn locked<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// pyarrow's end of the stream.
struct Taken {
    schema: SchemaRef,
    next: Arc<Next>,
}

impl Iterator for Taken {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        locked(&self.next.0).take().map(Ok)
    }
}

impl RecordBatchReader for Taken {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

//! The one door out of the interpreter: what is done inside it runs while other Python threads do.

use crate::errors::to_python;
use crate::visits::{Visit, is_over};
use backtape_core::error::Result;
use pyo3::marker::Ungil;
use pyo3::prelude::*;

/// Runs core code with the interpreter released, then turns a fault into its exception and hears Ctrl-C.
///
/// Locks are taken inside, never before: a thread that holds a lock must not wait for the interpreter.
pub(crate) trait Enter {
    /// Runs `work` with the interpreter released.
    fn enter<T: Ungil + Send, F: Ungil + FnOnce() -> Result<T>>(self, work: F) -> PyResult<T>;

    /// The same and no more: for work whose faults and signals are the caller's.
    fn out<T: Ungil + Send, F: Ungil + FnOnce() -> T>(self, work: F) -> T;
}

impl Enter for Python<'_> {
    fn enter<T: Ungil + Send, F: Ungil + FnOnce() -> Result<T>>(self, work: F) -> PyResult<T> {
        let done = self.out(work).map_err(|error| to_python(self, &error))?;
        self.check_signals()?;
        Ok(done)
    }

    fn out<T: Ungil + Send, F: Ungil + FnOnce() -> T>(self, work: F) -> T {
        if is_over() {
            return work();
        }
        let _visit = Visit::begin();
        self.detach(work)
    }
}

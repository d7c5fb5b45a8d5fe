//! Numbers of an event that are written again when nobody else holds the event any more.
//!
//! All reading and writing happens with the interpreter held, so the atomics order nothing: they are what lets an
//! object be written to without `unsafe`, and cost what a plain load or store costs.

#[cfg(feature = "stubs")]
use pyo3::inspect::PyStaticExpr;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt};
use std::convert::Infallible;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering::Relaxed};

/// A stamp, ns UTC.
pub(crate) struct Stamp(AtomicI64);

impl Stamp {
    pub(crate) const fn new(stamp_ns: i64) -> Self {
        Self(AtomicI64::new(stamp_ns))
    }

    pub(crate) fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }

    pub(crate) fn set(&self, stamp_ns: i64) {
        self.0.store(stamp_ns, Relaxed);
    }
}

/// A price or size.
pub(crate) struct Real(AtomicU64);

impl Real {
    pub(crate) const fn new(value: f64) -> Self {
        Self(AtomicU64::new(value.to_bits()))
    }

    pub(crate) fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Relaxed))
    }

    pub(crate) fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Relaxed);
    }
}

/// A count, or the number of a tape.
pub(crate) struct Count(AtomicU32);

impl Count {
    pub(crate) const fn new(count: u32) -> Self {
        Self(AtomicU32::new(count))
    }

    pub(crate) fn get(&self) -> u32 {
        self.0.load(Relaxed)
    }

    pub(crate) fn set(&self, count: u32) {
        self.0.store(count, Relaxed);
    }
}

impl<'py> IntoPyObject<'py> for &Stamp {
    type Target = PyInt;
    type Output = Bound<'py, PyInt>;
    type Error = Infallible;
    #[cfg(feature = "stubs")]
    const OUTPUT_TYPE: PyStaticExpr = i64::OUTPUT_TYPE;

    fn into_pyobject(self, py: Python<'py>) -> Result<Self::Output, Infallible> {
        self.get().into_pyobject(py)
    }
}

impl<'py> IntoPyObject<'py> for &Real {
    type Target = PyFloat;
    type Output = Bound<'py, PyFloat>;
    type Error = Infallible;
    #[cfg(feature = "stubs")]
    const OUTPUT_TYPE: PyStaticExpr = f64::OUTPUT_TYPE;

    fn into_pyobject(self, py: Python<'py>) -> Result<Self::Output, Infallible> {
        self.get().into_pyobject(py)
    }
}

impl<'py> IntoPyObject<'py> for &Count {
    type Target = PyInt;
    type Output = Bound<'py, PyInt>;
    type Error = Infallible;
    #[cfg(feature = "stubs")]
    const OUTPUT_TYPE: PyStaticExpr = u32::OUTPUT_TYPE;

    fn into_pyobject(self, py: Python<'py>) -> Result<Self::Output, Infallible> {
        self.get().into_pyobject(py)
    }
}

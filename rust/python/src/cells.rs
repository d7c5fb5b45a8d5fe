//! Numbers of an event that are written again when nobody else holds the event any more.
//!
//! All reading and writing happens with the interpreter held, so the atomics order nothing: they are what lets an
//! object be written to without `unsafe`, and cost what a plain load or store costs.

#[cfg(feature = "stubs")]
use pyo3::inspect::PyStaticExpr;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyInt};
use std::convert::{Infallible, identity};
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering::Relaxed};

/// A cell for one number: what it holds, how that lies in an atomic, and what it is in Python.
macro_rules! cell {
    ($(#[$doc:meta])* $name:ident: $held:ty as $python:ty, $atomic:ty, $into:path, $from:path) => {
        $(#[$doc])*
        pub(crate) struct $name($atomic);

        impl $name {
            pub(crate) const fn new(value: $held) -> Self {
                Self(<$atomic>::new($into(value)))
            }

            pub(crate) fn get(&self) -> $held {
                $from(self.0.load(Relaxed))
            }

            pub(crate) fn set(&self, value: $held) {
                self.0.store($into(value), Relaxed);
            }
        }

        impl<'py> IntoPyObject<'py> for &$name {
            type Target = $python;
            type Output = Bound<'py, $python>;
            type Error = Infallible;
            #[cfg(feature = "stubs")]
            const OUTPUT_TYPE: PyStaticExpr = <$held>::OUTPUT_TYPE;

            fn into_pyobject(self, py: Python<'py>) -> Result<Self::Output, Infallible> {
                self.get().into_pyobject(py)
            }
        }
    };
}

cell! {
    /// A stamp, ns UTC.
    Stamp: i64 as PyInt, AtomicI64, identity, identity
}

cell! {
    /// A price or size.
    Real: f64 as PyFloat, AtomicU64, f64::to_bits, f64::from_bits
}

cell! {
    /// A count, or the number of a tape.
    Count: u32 as PyInt, AtomicU32, identity, identity
}

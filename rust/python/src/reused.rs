//! Event objects that are handed out again once the consumer has let go of them: a loop that looks at one event after
//! the other makes no object at all. What a consumer keeps is never touched.

use crate::bar::{Bar, BarValues};
use crate::quote::{Quote, QuoteValues};
use crate::tape_names::Names;
use crate::trade::{Trade, TradeValues};
use pyo3::PyClass;
use pyo3::prelude::*;

/// An event class whose objects can take up the values of another event.
pub(crate) trait Event: PyClass<Frozen = pyo3::pyclass::boolean_struct::True> + Sync + Sized {
    type Values;
    fn of(names: Names, tape: u32, values: &Self::Values) -> Self;
    fn set(&self, tape: u32, values: &Self::Values);
}

/// Two are enough for a loop: its variable still holds the last event while the next one is made.
pub(crate) struct Pair<E>([Py<E>; 2]);

impl<E: Event> Pair<E>
where
    E: Into<PyClassInitializer<E>>,
{
    fn new(py: Python<'_>, names: &Names, values: &E::Values) -> PyResult<Self> {
        let event = || Py::new(py, E::of(names.clone(), 0, values));
        Ok(Self([event()?, event()?]))
    }

    /// An event with these values, which nobody else holds.
    pub(crate) fn event(&self, py: Python<'_>, names: &Names, tape: u32, values: &E::Values) -> PyResult<Py<PyAny>> {
        for event in &self.0 {
            if is_ours_alone(event, py) {
                event.get().set(tape, values);
                return Ok(event.clone_ref(py).into_any());
            }
        }
        Ok(Py::new(py, E::of(names.clone(), tape, values))?.into_any())
    }
}

/// True where the one reference to an object is the one we hold. No interpreter with a global lock can make another
/// reference of it then.
#[expect(deprecated, reason = "what took its place is unsafe code, and this crate has none")]
fn is_ours_alone<E>(event: &Py<E>, py: Python<'_>) -> bool {
    event.get_refcnt(py) == 1
}

/// The events that a session hands out again.
pub(crate) struct Reused {
    pub(crate) bars: Pair<Bar>,
    pub(crate) quotes: Pair<Quote>,
    pub(crate) trades: Pair<Trade>,
}

impl Reused {
    pub(crate) fn new(py: Python<'_>, names: &Names) -> PyResult<Self> {
        Ok(Self {
            bars: Pair::new(py, names, &BarValues::default())?,
            quotes: Pair::new(py, names, &QuoteValues::default())?,
            trades: Pair::new(py, names, &TradeValues::default())?,
        })
    }
}

//! Instants as datetimes. Who looks at the time of one event after the other mostly stays in an hour, and with many symbols
//! at an instant: then the time zone, which takes longer than to make an event, is not asked again.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use std::sync::{Mutex, MutexGuard, PoisonError};

const SECOND_US: i64 = 1_000_000;
const MINUTE_US: i64 = 60 * SECOND_US;
const HOUR_US: i64 = 60 * MINUTE_US;

/// What was asked for last. The lock is held for a load or a store, with the interpreter held.
static RECENT: Mutex<Option<Recent>> = Mutex::new(None);

struct Recent {
    zone: Py<PyAny>,
    at_us: i64,
    datetime: Py<PyAny>,
    /// The hour that it lies in, where the one before lay near.
    hour: Option<Hour>,
}

/// An hour of a clock on the wall that runs through: it is not set within it, and does not come twice.
#[derive(Clone, Copy)]
struct Hour {
    start_us: i64,
    /// Year, month, day, hour.
    fields: (i32, u8, u8, u8),
}

/// An instant (ns UTC) as an aware datetime in a time zone, rounded down to the microsecond.
///
/// Raises `OverflowError` where no datetime can say it.
#[pyfunction]
pub(crate) fn datetime_in<'py>(py: Python<'py>, ts_ns: i64, zone: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let at_us = ts_ns.div_euclid(1_000);
    let before = recent().take(); // what is let go of may run Python code, and not under the lock
    let before = before.filter(|before| before.zone.is(zone));
    let (datetime, hour) = match before {
        Some(before) if before.at_us == at_us => (before.datetime.into_bound(py), before.hour),
        Some(Recent { hour: Some(hour), .. }) if hour.holds(at_us) => (hour.datetime(at_us, zone)?, Some(hour)),
        before => {
            let datetime = converted(at_us, zone)?;
            let is_near = before.is_some_and(|before| before.at_us.abs_diff(at_us) < HOUR_US.unsigned_abs());
            let hour = if is_near { Hour::around(at_us, &datetime, zone)? } else { None };
            (datetime, hour)
        }
    };
    let now = Recent { zone: zone.clone().unbind(), at_us, datetime: datetime.clone().unbind(), hour };
    let others = recent().replace(now);
    drop(others);
    Ok(datetime)
}

fn recent() -> MutexGuard<'static, Option<Recent>> {
    RECENT.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hour {
    /// The hour on the wall around an instant. `None` where the clock is set in it, or shows it for the second time.
    fn around(at_us: i64, datetime: &Bound<'_, PyAny>, zone: &Bound<'_, PyAny>) -> PyResult<Option<Self>> {
        let (fields, since_us, _) = on_the_wall(datetime)?;
        let start_us = at_us - since_us;
        let is_there = |since_us: i64| -> PyResult<bool> {
            let (own, own_since_us, fold) = on_the_wall(&converted(start_us + since_us, zone)?)?;
            Ok((own, own_since_us, fold) == (fields, since_us, 0))
        };
        let runs_through = is_there(0).unwrap_or(false) && is_there(HOUR_US - 1).unwrap_or(false);
        Ok(runs_through.then_some(Self { start_us, fields }))
    }

    fn holds(&self, at_us: i64) -> bool {
        (self.start_us..self.start_us + HOUR_US).contains(&at_us)
    }

    fn datetime<'py>(&self, at_us: i64, zone: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let ((year, month, day, hour), since_us) = (self.fields, at_us - self.start_us);
        let (minute, second, micro) = (since_us / MINUTE_US, since_us % MINUTE_US / SECOND_US, since_us % SECOND_US);
        let module = Module::of(zone.py())?;
        module.datetime.bind(zone.py()).call1((year, month, day, hour, minute, second, micro, zone))
    }
}

/// Year, month, day and hour of a datetime, the microseconds since then, and whether the clock shows it a second time.
fn on_the_wall(datetime: &Bound<'_, PyAny>) -> PyResult<((i32, u8, u8, u8), i64, u8)> {
    let number = |name| datetime.getattr(name)?.extract::<i64>();
    let since_us = number("minute")? * MINUTE_US + number("second")? * SECOND_US + number("microsecond")?;
    let small = |name| datetime.getattr(name)?.extract::<u8>();
    let fields = (datetime.getattr("year")?.extract()?, small("month")?, small("day")?, small("hour")?);
    Ok((fields, since_us, small("fold")?))
}

/// What Python makes of an instant.
fn converted<'py>(at_us: i64, zone: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = zone.py();
    let module = Module::of(py)?;
    let since = module.timedelta.bind(py).call1((0, 0, at_us))?;
    module.epoch.bind(py).add(since)?.call_method1(intern!(py, "astimezone"), (zone,))
}

/// What is used of Python's `datetime`.
struct Module {
    datetime: Py<PyAny>,
    timedelta: Py<PyAny>,
    /// 1970 in UTC.
    epoch: Py<PyAny>,
}

impl Module {
    fn of(py: Python<'_>) -> PyResult<&Self> {
        static MODULE: PyOnceLock<Module> = PyOnceLock::new();
        MODULE.get_or_try_init(py, || {
            let module = py.import("datetime")?;
            let (datetime, utc) = (module.getattr("datetime")?, module.getattr("timezone")?.getattr("utc")?);
            let epoch = datetime.call1((1970, 1, 1, 0, 0, 0, 0, utc))?.unbind();
            Ok(Self { datetime: datetime.unbind(), timedelta: module.getattr("timedelta")?.unbind(), epoch })
        })
    }
}

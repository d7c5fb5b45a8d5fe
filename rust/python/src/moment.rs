//! `Moment`: all events of one instant, as columns.

use crate::chunk::event;
use crate::columns::{Columns, Symbols};
use crate::enter::Enter;
use crate::instants::datetime_in;
use crate::interval::interval_name;
use crate::progress::Progress;
use arrow_buffer::ScalarBuffer;
use backtape_core::gather::{gather, slice_or_empty};
use backtape_core::key::Kind;
use backtape_core::loaded::{Counts, Loaded};
use backtape_core::numbers::Numbers;
use backtape_core::room::Room;
use backtape_core::rows::Rows;
use pyo3::exceptions::PyStopIteration;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::ops::Range;
use std::sync::Arc;

/// The columns of a whole window in the order of its events; an instant is a slice of them. It holds nothing of the
/// session.
pub(crate) struct Gathered {
    ts_ns: ScalarBuffer<i64>,
    filled: Option<ScalarBuffer<u8>>,
    counts: Option<Counts>,
    symbol_ids: ScalarBuffer<u32>,
    symbols: Arc<[Arc<str>]>,
    at_ns: ScalarBuffer<i64>,
    groups: Vec<Group>,
}

/// Tapes that follow each other in the order of C1 and have one kind and interval.
struct Group {
    kind: Kind,
    interval_ns: i64,
    tapes: Range<u32>,
    /// The kind's numbers of all events of the window.
    values: Numbers,
}

fn groups(loaded: &Loaded, values: &[ScalarBuffer<f64>]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (number, tape) in loaded.tapes.iter().enumerate() {
        let (kind, interval_ns, number) = (tape.key.kind, tape.key.interval_ns, number as u32);
        match groups.last_mut() {
            Some(group) if group.kind == kind && group.interval_ns == interval_ns => group.tapes.end = number + 1,
            _ => {
                let values = values.iter().take(kind.columns().len()).cloned().collect();
                groups.push(Group { kind, interval_ns, tapes: number..number + 1, values });
            }
        }
    }
    groups
}

impl Gathered {
    fn of(progress: &Progress) -> Self {
        let (window, keys) = (&progress.window, progress.facts.keys(&progress.window.loaded));
        let (loaded, order, all) = (&window.loaded, &window.order, 0..window.order.len());
        let tapes = &loaded.tapes;
        let filled: Vec<&[u8]> = tapes.iter().map(|tape| slice_or_empty(tape.rows.filled.as_ref())).collect();
        Self {
            ts_ns: window.ts_ns.clone(),
            filled: filled.iter().any(|filled| !filled.is_empty()).then(|| gather(order, all.clone(), &filled).into()),
            counts: window.counts.clone(),
            symbol_ids: keys.symbols_of(order, all, &mut Room::default()),
            symbols: Arc::clone(&keys.symbol_names),
            at_ns: order.at_ns.clone(),
            groups: groups(loaded, &window.values),
        }
    }

    fn columns(&self, group: &Group, events: Range<usize>) -> Columns {
        let (from, len) = (events.start, events.len());
        Columns {
            rows: Rows {
                kind: group.kind,
                ts_ns: self.ts_ns.slice(from, len),
                values: group.values.slice(events),
                filled: self.filled.as_ref().map(|filled| filled.slice(from, len)),
                signed: true,
            },
            interval_ns: group.interval_ns,
            lag_ns: 0,
            available: Some(self.at_ns.slice(from, len)),
            counts: self.counts.as_ref().filter(|_| group.kind == Kind::Bar).map(|counts| counts.slice(from, len)),
            symbols: Symbols::Each(self.symbol_ids.slice(from, len), Arc::clone(&self.symbols)),
        }
    }
}

/// The instants of a chunk, one after the other.
#[pyclass(frozen, module = "backtape._core")]
pub(crate) struct Moments {
    progress: Arc<Progress>,
    gathered: Arc<Gathered>,
}

impl Moments {
    pub(crate) fn new(py: Python<'_>, progress: Arc<Progress>) -> Self {
        let gathered = py.out(|| progress.gathered.get_or_init(|| Arc::new(Gathered::of(&progress))).clone());
        Self { progress, gathered }
    }

    /// The instant that the last event taken was the last one of. The columns of a window are gathered once.
    pub(crate) fn ended(py: Python<'_>, progress: &Arc<Progress>) -> PyResult<Option<Py<Moment>>> {
        let (end, at_ns) = (progress.taken(), &progress.window.order.at_ns);
        let Some(&last_ns) = end.checked_sub(1).and_then(|last| at_ns.get(last)) else {
            return Ok(None);
        };
        if at_ns.get(end) == Some(&last_ns) {
            return Ok(None);
        }
        let start = at_ns[..end].partition_point(|&at| at < last_ns);
        let gathered = py.out(|| progress.gathered.get_or_init(|| Arc::new(Gathered::of(progress))).clone());
        let moment = Moment { available_at: last_ns, events: start..end, progress: Arc::clone(progress), gathered };
        Py::new(py, moment).map(Some)
    }
}

#[pymethods]
impl Moments {
    const fn __iter__(slf: PyRef<'_, Self>) -> PyRef<'_, Self> {
        slf
    }

    /// Takes the next instant: all of it becomes visible at once.
    fn __next__(&self, py: Python<'_>) -> PyResult<Py<Moment>> {
        let place = self.progress.taken();
        let allowed = self.progress.allowed();
        if place >= allowed {
            return Err(PyStopIteration::new_err(()));
        }
        let end = self.progress.window.instant_end(place).min(allowed);
        let moment = Moment {
            available_at: self.gathered.at_ns[place],
            events: place..end,
            progress: Arc::clone(&self.progress),
            gathered: Arc::clone(&self.gathered),
        };
        let moment = Py::new(py, moment)?;
        self.progress.commit(end);
        Ok(moment)
    }
}

/// All events of one instant, as columns.
#[pyclass(frozen, module = "backtape")]
pub(crate) struct Moment {
    /// The instant, ns UTC.
    #[pyo3(get)]
    available_at: i64,
    events: Range<usize>,
    progress: Arc<Progress>,
    gathered: Arc<Gathered>,
}

impl Moment {
    /// The events of a group of tapes: within an instant, tapes ascend.
    fn of_group(&self, group: &Group) -> Range<usize> {
        let lanes = &self.progress.window.order.lanes[self.events.clone()];
        let start = lanes.partition_point(|&lane| lane < group.tapes.start);
        let end = lanes.partition_point(|&lane| lane < group.tapes.end);
        self.events.start + start..self.events.start + end
    }

    fn bars_of(&self, interval_ns: i64) -> Option<Columns> {
        let bars = |group: &&Group| group.kind == Kind::Bar && group.interval_ns == interval_ns;
        let group = self.gathered.groups.iter().find(bars)?;
        Some(self.gathered.columns(group, self.of_group(group)))
    }

    fn of_kind(&self, kind: Kind) -> Columns {
        let group = self.gathered.groups.iter().find(|group| group.kind == kind);
        group.map_or_else(|| Columns::empty(kind, 0, ""), |group| self.gathered.columns(group, self.of_group(group)))
    }
}

#[pymethods]
impl Moment {
    /// Bars of this instant by interval: `moment.bars["1m"]`. An interval without bars gives columns of length 0.
    #[getter]
    const fn bars(slf: Py<Self>) -> MomentBars {
        MomentBars { moment: slf }
    }

    /// Quotes of this instant.
    #[getter]
    fn quotes(&self) -> Columns {
        self.of_kind(Kind::Quote)
    }

    /// Trades of this instant.
    #[getter]
    fn trades(&self) -> Columns {
        self.of_kind(Kind::Trade)
    }

    /// The instant as an aware datetime in the exchange's time zone.
    #[getter]
    fn time<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let zone = &self.progress.facts.names[0].get().zone;
        datetime_in(py, self.available_at, zone.bind(py))
    }

    /// The same events as objects, session open and close among them.
    fn events(&self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
        self.events.clone().map(|place| event(py, &self.progress, place)).collect()
    }

    fn __len__(&self) -> usize {
        self.events.len()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("Moment({}, {} events)", self.time(py)?.str()?, self.events.len()))
    }
}

/// The bars of an instant by interval, as a mapping of those that are there.
#[pyclass(frozen, mapping, module = "backtape")]
pub(crate) struct MomentBars {
    moment: Py<Moment>,
}

impl MomentBars {
    fn intervals(&self) -> Vec<i64> {
        let moment = self.moment.get();
        let bars = moment.gathered.groups.iter().filter(|group| group.kind == Kind::Bar);
        bars.filter(|group| !moment.of_group(group).is_empty()).map(|group| group.interval_ns).collect()
    }
}

#[pymethods]
impl MomentBars {
    fn __getitem__(&self, py: Python<'_>, interval: &str) -> PyResult<Columns> {
        let interval_ns = crate::interval::parse(py, interval)?;
        let columns = self.moment.get().bars_of(interval_ns);
        Ok(columns.unwrap_or_else(|| Columns::empty(Kind::Bar, interval_ns, "")))
    }

    fn __contains__(&self, py: Python<'_>, interval: &str) -> PyResult<bool> {
        Ok(self.intervals().contains(&crate::interval::parse(py, interval)?))
    }

    fn __len__(&self) -> usize {
        self.intervals().len()
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.keys().into_pyobject(py)?.try_iter()?.into_any())
    }

    /// Intervals that have bars at this instant, short before long.
    fn keys(&self) -> Vec<String> {
        self.intervals().into_iter().map(interval_name).collect()
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let bars = PyDict::new(py);
        for interval in self.keys() {
            let len = self.__getitem__(py, &interval)?.rows.len();
            bars.set_item(interval, len)?;
        }
        Ok(format!("MomentBars({})", bars.str()?))
    }
}

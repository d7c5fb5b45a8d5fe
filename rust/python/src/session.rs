//! `Session` and `LoadedSession`: one trading day, and one that is ready to play.

use crate::enter::Enter;
use crate::errors::{plain, to_python};
use crate::kernels::{GapColumns, QualityRow, gap_columns, quality_rows};
use crate::tapes::{Tapes, on_bad_of};
use backtape_core::gaps::Gap;
use backtape_core::label::LabelEvidence;
use backtape_core::loaded::{Hours, Loaded, Settings};
use backtape_core::mark::Mark;
use backtape_core::session::Session as Day;
use backtape_core::span::Span;
use pyo3::prelude::*;
use std::sync::Arc;

/// A session that is ready to play.
#[pyclass(frozen, module = "backtape._core")]
pub(crate) struct LoadedSession {
    pub(crate) loaded: Arc<Loaded>,
    /// The Python `Session`.
    pub(crate) session: Py<PyAny>,
}

pub(crate) fn hours_of(py: Python<'_>, word: &str) -> PyResult<Hours> {
    match word {
        "regular" => Ok(Hours::Regular),
        "all" => Ok(Hours::All),
        _ => Err(plain(py, "ConfigError", &format!("hours is \"{word}\": it must be \"regular\" or \"all\""))),
    }
}

/// Spans from (start, end) pairs.
pub(crate) fn spans_of(py: Python<'_>, pairs: &[(i64, i64)]) -> PyResult<Vec<Span>> {
    let span = |&(start_ns, end_ns): &(i64, i64)| Span::new(start_ns, end_ns).map_err(|error| to_python(py, &error));
    pairs.iter().map(span).collect()
}

/// A session, and the bounds of what is delivered of it.
type Asked<'py> = (Bound<'py, PyAny>, Option<i64>, Option<i64>);

/// Makes sessions ready to play from the rows that belong to the range of each, as many as can be, the first at least.
///
/// `sessions`: the trading days, with label, spans, range and is_half_day, each with two bounds or None: events known
/// before the first are catch-up; those known at the second or later are not delivered. `derived_ns`: intervals of bars
/// to derive. `flat_ns`: how much of a gap is bridged with flat bars, 0 for none. `late_fills`: whether bars may be filled
/// in later. Raises the subclass of `DataError` or `ConfigError` that names the fault of the first one.
#[pyfunction]
#[pyo3(signature = (sessions, tapes, *, hours, grace_ns, derived_ns, on_bad_rows, flat_ns=0, late_fills=false))]
#[expect(clippy::too_many_arguments, reason = "named in Python")]
pub(crate) fn load_sessions(
    py: Python<'_>,
    sessions: Vec<Asked<'_>>,
    tapes: &Bound<'_, Tapes>,
    hours: &str,
    grace_ns: i64,
    derived_ns: Vec<i64>,
    on_bad_rows: &str,
    flat_ns: i64,
    late_fills: bool,
) -> PyResult<Vec<LoadedSession>> {
    let (hours, on_bad) = (hours_of(py, hours)?, on_bad_of(py, on_bad_rows)?);
    let common =
        Settings { hours, derived_ns, flat_ns, late_fills, on_bad, catch_up_until_ns: i64::MIN, until_ns: i64::MAX };
    let days = sessions.iter().map(|(session, ..)| day_of(session, grace_ns)).collect::<PyResult<Vec<Day>>>()?;
    let bounds: Vec<_> =
        sessions.iter().map(|&(_, catch_up_until_ns, until_ns)| (catch_up_until_ns, until_ns)).collect();
    let tapes = tapes.get();
    let loaded = py.enter(|| {
        let tapes = Arc::clone(&tapes.lock());
        let mut ready = Vec::with_capacity(days.len());
        for (day, (catch_up_until_ns, until_ns)) in days.into_iter().zip(bounds) {
            let settings = Settings {
                catch_up_until_ns: catch_up_until_ns.unwrap_or(i64::MIN),
                until_ns: until_ns.unwrap_or(i64::MAX),
                ..common.clone()
            };
            match Loaded::new(day, &tapes, &settings) {
                Ok(loaded) => ready.push(Arc::new(loaded)),
                Err(fault) if ready.is_empty() => return Err(fault),
                Err(_) => break,
            }
        }
        Ok(ready)
    })?;
    let with_session = |(loaded, (session, ..)): (_, Asked<'_>)| LoadedSession { loaded, session: session.unbind() };
    Ok(loaded.into_iter().zip(sessions).map(with_session).collect())
}

fn day_of(session: &Bound<'_, PyAny>, grace_ns: i64) -> PyResult<Day> {
    let py = session.py();
    let label: String = session.getattr("label")?.str()?.extract()?;
    let pairs: Vec<(i64, i64)> = session.getattr("spans")?.extract()?;
    let (start_ns, end_ns): (i64, i64) = session.getattr("range")?.extract()?;
    let half_day: bool = session.getattr("is_half_day")?.extract()?;
    let spans = spans_of(py, &pairs)?;
    let day = Span::new(start_ns, end_ns).and_then(|range| Day::new(label.into(), spans, range, grace_ns, half_day));
    day.map_err(|error| to_python(py, &error))
}

#[pymethods]
impl LoadedSession {
    /// The Python `Session`.
    #[getter]
    fn session(&self, py: Python<'_>) -> Py<PyAny> {
        self.session.clone_ref(py)
    }

    /// Memory of the session's columns.
    #[getter]
    fn bytes(&self) -> usize {
        self.loaded.bytes()
    }

    /// Quality of each symbol that has bars: (symbol, interval_ns, expected, present, filled, rows_in, out_of_hours,
    /// duplicate, rejected, first stamp, last stamp).
    fn quality_rows(&self) -> Vec<QualityRow> {
        quality_rows(&self.loaded)
    }

    /// Gaps of the finest bars of each symbol: symbol, interval_ns, start, end (ns UTC, half-open), bars missing. Those
    /// that are due at `at_ns`; all of them without.
    #[pyo3(signature = (at_ns=None))]
    fn base_gaps(&self, at_ns: Option<i64>) -> Vec<(String, i64, i64, i64, u64)> {
        let loaded = &self.loaded;
        let mark = Mark::after(at_ns.unwrap_or(i64::MAX), loaded.tapes.len(), 0, true);
        let own = loaded.symbols.iter().filter_map(|(symbol, own)| Some((symbol, own, own.base?)));
        let gaps = own.flat_map(|(symbol, own, base)| {
            let interval_ns = loaded.tapes[base].key.interval_ns;
            let gap =
                move |gap: Gap| (symbol.to_string(), interval_ns, gap.span.start_ns(), gap.span.end_ns(), gap.slots);
            mark.gaps(loaded, own).into_iter().map(gap)
        });
        gaps.collect()
    }

    /// All gaps in the base bars, by symbol: the symbols' names, and as int64 columns the place of each gap's symbol among
    /// these, start and end (ns UTC, half-open), bars missing.
    fn gap_columns<'py>(&self, py: Python<'py>) -> GapColumns<'py> {
        gap_columns(py, &self.loaded)
    }

    /// Tapes whose stamps contradict the declared label: (tape, first stamp, last stamp, whether they are late).
    fn label_contradictions(&self) -> Vec<(String, i64, i64, bool)> {
        let odd = self.loaded.labels.iter().filter_map(|seen| match seen.evidence {
            LabelEvidence::LateByOne => Some((seen.tape.to_string(), seen.first_ns, seen.last_ns, true)),
            LabelEvidence::EarlyByOne => Some((seen.tape.to_string(), seen.first_ns, seen.last_ns, false)),
            LabelEvidence::Consistent | LabelEvidence::Unclear => None,
        });
        odd.collect()
    }

    /// How many tapes agree with the declared label.
    fn label_confirmations(&self) -> usize {
        self.loaded.labels.iter().filter(|seen| seen.evidence == LabelEvidence::Consistent).count()
    }

    fn __repr__(&self) -> String {
        let (session, tapes) = (&self.loaded.session, self.loaded.tapes.len());
        format!("LoadedSession({}, {tapes} tapes, {} bytes)", session.label(), self.loaded.bytes())
    }
}

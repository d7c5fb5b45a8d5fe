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

/// Makes a session ready to play from the rows that belong to its range.
///
/// `session`: the trading day, with label, spans, range and is_half_day. `derived_ns`: intervals of bars to derive.
/// `flat_ns`: how much of a gap is bridged with flat bars, 0 for none. `late_fills`: whether bars may be filled in later.
/// `catch_up_until_ns`, `until_ns`: events known before the first are catch-up; those known at the second or later are
/// not delivered. Raises the subclass of `DataError` or `ConfigError` that names the fault.
#[pyfunction]
#[pyo3(signature = (session, tapes, *, hours, grace_ns, derived_ns, on_bad_rows, flat_ns=0, late_fills=false,
                    catch_up_until_ns=None, until_ns=None))]
#[expect(clippy::too_many_arguments, reason = "named in Python")]
pub(crate) fn load_session(
    py: Python<'_>,
    session: &Bound<'_, PyAny>,
    tapes: &Bound<'_, Tapes>,
    hours: &str,
    grace_ns: i64,
    derived_ns: Vec<i64>,
    on_bad_rows: &str,
    flat_ns: i64,
    late_fills: bool,
    catch_up_until_ns: Option<i64>,
    until_ns: Option<i64>,
) -> PyResult<LoadedSession> {
    let label: String = session.getattr("label")?.str()?.extract()?;
    let pairs: Vec<(i64, i64)> = session.getattr("spans")?.extract()?;
    let range: (i64, i64) = session.getattr("range")?.extract()?;
    let half_day: bool = session.getattr("is_half_day")?.extract()?;
    let spans = spans_of(py, &pairs)?;
    let settings = Settings {
        hours: hours_of(py, hours)?,
        derived_ns,
        flat_ns,
        late_fills,
        on_bad: on_bad_of(py, on_bad_rows)?,
        catch_up_until_ns: catch_up_until_ns.unwrap_or(i64::MIN),
        until_ns: until_ns.unwrap_or(i64::MAX),
    };
    let tapes = tapes.get();
    let loaded = py.enter(|| {
        let range = Span::new(range.0, range.1)?;
        let day = Day::new(label.into(), spans, range, grace_ns, half_day)?;
        let tapes = Arc::clone(&tapes.lock());
        Loaded::new(day, &tapes, &settings)
    })?;
    Ok(LoadedSession { loaded: Arc::new(loaded), session: session.clone().unbind() })
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

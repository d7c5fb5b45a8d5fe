//! `SymbolData`: what is known of one symbol in the current session, up to `now` and no further.

use crate::columns::Columns;
use crate::errors::raise;
use crate::flags::Flags;
use crate::interval::{interval_name, parse};
use crate::progress::{Progress, Shared};
use crate::quote::{Quote, QuoteValues};
use crate::reused::Event;
use backtape_core::beside::known_bars;
use backtape_core::key::Kind;
use backtape_core::loaded::{Loaded, LoadedTape, SymbolTapes};
use backtape_core::mark::{Mark, Slots};
use backtape_core::metrics::Metrics;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use std::sync::Arc;

/// What is known of one symbol in the current session, up to `now` and no further. It may be read from any thread.
#[pyclass(frozen, module = "backtape")]
pub(crate) struct SymbolData {
    pub(crate) shared: Arc<Shared>,
    pub(crate) symbol: Arc<str>,
}

/// A run of expected base bars that are missing.
#[pyclass(frozen, eq, get_all, module = "backtape")]
#[derive(PartialEq, Eq)]
pub(crate) struct Gap {
    /// Start of the first missing bar, ns UTC.
    start: i64,
    /// End of the last missing bar, ns UTC.
    end: i64,
    /// How many bars are missing.
    n_missing: u64,
}

#[pymethods]
impl Gap {
    fn __repr__(&self) -> String {
        format!("Gap(start={}, end={}, n_missing={})", self.start, self.end, self.n_missing)
    }
}

/// What changed since a reader last looked. Every reader keeps its own token.
#[pyclass(frozen, get_all, module = "backtape")]
pub(crate) struct Changes {
    /// To be given to the next call.
    token: (String, Vec<usize>),
    /// Tapes with new rows: "1m", "5m", "quotes", "trades".
    names: Vec<String>,
}

#[pymethods]
impl Changes {
    fn __bool__(&self) -> bool {
        !self.names.is_empty()
    }

    fn __repr__(&self) -> String {
        format!("Changes({})", self.names.join(", "))
    }
}

/// One look: all that is read from it is of the same instant.
struct Look {
    progress: Arc<Progress>,
    mark: Mark,
}

impl Look {
    fn own(&self, symbol: &Arc<str>) -> Option<&SymbolTapes> {
        self.progress.window.loaded.symbols.get(symbol)
    }

    fn tape(&self, number: usize) -> &LoadedTape {
        &self.progress.window.loaded.tapes[number]
    }

    fn visible(&self, number: usize) -> usize {
        self.mark.visible(&self.progress.window.loaded, number)
    }

    fn columns(&self, number: usize) -> Columns {
        Columns::of_tape(self.tape(number), 0..self.visible(number))
    }

    /// The bars of a tape as they are known, with what came late and what is flat.
    fn bars(&self, number: usize) -> Columns {
        let (loaded, key) = (&self.progress.window.loaded, &self.tape(number).key);
        let own = self.own(&key.symbol);
        match own.and_then(|own| known_bars(loaded, &self.mark, own, key.interval_ns)) {
            Some(known) => Columns::of_known(self.tape(number), known),
            None => self.columns(number),
        }
    }

    /// How many rows of a tape and of those beside it are visible.
    fn visible_in_all(&self, own: &SymbolTapes, interval_ns: i64, number: usize) -> usize {
        let beside = own.beside.get(&interval_ns).into_iter().flatten();
        self.visible(number) + beside.map(|&beside| self.visible(beside)).sum::<usize>()
    }
}

impl SymbolData {
    fn look(&self) -> Option<Look> {
        let progress = self.shared.progress()?;
        let mark = progress.mark();
        Some(Look { progress, mark })
    }

    /// The number of a bar tape; `interval` absent means the base bars.
    fn bar_tape(&self, py: Python<'_>, look: &Look, interval: Option<&str>) -> PyResult<Option<usize>> {
        let Some(own) = look.own(&self.symbol) else {
            return Ok(None);
        };
        let Some(interval) = interval else {
            return Ok(own.base);
        };
        if let Some(&number) = own.bars.get(&parse(py, interval)?) {
            return Ok(Some(number));
        }
        let known: Vec<String> = own.bars.keys().map(|&ns| interval_name(ns)).collect();
        let facts = PyDict::new(py);
        facts.set_item("symbol", &*self.symbol)?;
        facts.set_item("interval", interval)?;
        let message = format!(
            "{} has no {interval} bars here, only {}; ask for them with derived=(\"{interval}\",)",
            self.symbol,
            if known.is_empty() { "none".to_owned() } else { known.join(", ") }
        );
        Err(raise(py, "IntervalError", &message, &facts)?)
    }

    fn of_kind(&self, kind: Kind) -> Columns {
        let number = |own: &SymbolTapes| {
            if kind == Kind::Quote { own.quotes } else { own.trades }
        };
        let look = self.look();
        let found = look.as_ref().and_then(|look| Some((look, number(look.own(&self.symbol)?)?)));
        found.map_or_else(|| Columns::empty(kind, 0, &self.symbol), |(look, number)| look.columns(number))
    }

    fn metrics(&self) -> Option<Metrics> {
        let look = self.look()?;
        look.mark.metrics(&look.progress.window.loaded, look.own(&self.symbol)?)
    }

    fn slots(&self) -> Slots {
        let look = self.look();
        let slots = look.and_then(|look| Some(look.mark.slots(&look.progress.window.loaded, look.own(&self.symbol)?)));
        slots.unwrap_or_default()
    }
}

fn interval_or_minute(py: Python<'_>, interval: Option<&str>) -> PyResult<i64> {
    interval.map_or(Ok(60_000_000_000), |interval| parse(py, interval))
}

#[pymethods]
impl SymbolData {
    /// Symbol.
    #[getter]
    fn symbol(&self) -> &str {
        &self.symbol
    }

    /// The session's bars of an interval so far; of the base bars where none is given.
    ///
    /// Raises `IntervalError` for an interval that the replay does not have.
    #[pyo3(signature = (interval=None))]
    fn bars(&self, py: Python<'_>, interval: Option<&str>) -> PyResult<Columns> {
        let look = self.look();
        if let Some(look) = &look
            && let Some(number) = self.bar_tape(py, look, interval)?
        {
            return Ok(look.bars(number));
        }
        Ok(Columns::empty(Kind::Bar, interval_or_minute(py, interval)?, &self.symbol))
    }

    /// The session's quotes so far.
    #[getter]
    fn quotes(&self) -> Columns {
        self.of_kind(Kind::Quote)
    }

    /// The session's trades so far.
    #[getter]
    fn trades(&self) -> Columns {
        self.of_kind(Kind::Trade)
    }

    /// The last n bars of an interval, fewer where there are not so many.
    #[pyo3(signature = (n, interval=None))]
    fn last(&self, py: Python<'_>, n: usize, interval: Option<&str>) -> PyResult<Columns> {
        let look = self.look();
        if let Some(look) = &look
            && let Some(number) = self.bar_tape(py, look, interval)?
        {
            let bars = look.bars(number);
            let len = bars.rows.len();
            return Ok(bars.part(len.saturating_sub(n)..len));
        }
        Ok(Columns::empty(Kind::Bar, interval_or_minute(py, interval)?, &self.symbol))
    }

    /// Bars of an interval of the sessions before this one, oldest first: as many sessions as `history` asks for.
    /// `session`: the label of one of them, to get its bars alone.
    #[pyo3(signature = (interval=None, *, session=None))]
    fn history(&self, py: Python<'_>, interval: Option<&str>, session: Option<&str>) -> PyResult<Columns> {
        let interval_ns = interval_or_minute(py, interval)?;
        let Some(look) = self.look() else {
            return Ok(Columns::empty(Kind::Bar, interval_ns, &self.symbol));
        };
        let number = self.bar_tape(py, &look, interval)?;
        let Some(tape) = number.map(|number| look.tape(number)) else {
            return Ok(Columns::empty(Kind::Bar, interval_ns, &self.symbol));
        };
        let history = &look.progress.facts.history;
        Ok(session.map_or_else(|| history.bars(tape), |label| history.bars_of(tape, label)))
    }

    /// Labels of the sessions that `history` holds, oldest first.
    #[getter]
    fn history_sessions(&self) -> Vec<String> {
        let look = self.look();
        let label = |loaded: &Arc<Loaded>| loaded.session.label().to_string();
        look.map_or_else(Vec::new, |look| look.progress.facts.history.sessions.iter().map(label).collect())
    }

    /// When the last row of the symbol was known, ns UTC; `None` before the first of the session.
    #[getter]
    fn last_update(&self) -> Option<i64> {
        let look = self.look()?;
        let own = look.own(&self.symbol)?;
        let tapes = own.bars.values().chain(own.beside.values().flatten()).chain(&own.quotes).chain(&own.trades);
        tapes.filter_map(|&number| Some(look.tape(number).available_ns(look.visible(number).checked_sub(1)?))).max()
    }

    /// The quote that stands now; before the first of the session, the last one before its open. `None` without one.
    #[getter]
    fn quote(&self, py: Python<'_>) -> PyResult<Option<Py<Quote>>> {
        let Some(look) = self.look() else {
            return Ok(None);
        };
        let Some((own, number)) = look.own(&self.symbol).and_then(|own| Some((own, own.quotes?))) else {
            return Ok(None);
        };
        let (tape, visible) = (look.tape(number), look.visible(number));
        let at_open = look.mark.now_ns >= look.progress.window.loaded.session.open_ns() && look.mark.has_begun();
        let (ts, values, flags) = match (visible.checked_sub(1), own.quote_before) {
            (Some(row), _) => {
                let values = [0, 1, 2, 3].map(|column| tape.rows.values[column][row]);
                let at_ns = tape.available_ns(row);
                (tape.rows.ts_ns[row], values, Flags::of(&look.progress.window.loaded, number, row, at_ns))
            }
            (None, Some((ts, values))) if at_open => (ts, values, Flags::from_bits(Flags::IRREGULAR)),
            _ => return Ok(None),
        };
        let [bid, ask, bid_size, ask_size] = values;
        let values = QuoteValues { ts, available_at: ts, bid, ask, bid_size, ask_size, flags };
        let names = Arc::clone(&look.progress.facts.names);
        Ok(Some(Py::new(py, Quote::of(names, number as u32, &values))?))
    }

    /// Volume of the session so far: of its base bars, or of its trades where it has no bars.
    #[getter]
    fn volume(&self) -> f64 {
        self.metrics().map_or(0.0, |metrics| metrics.volume)
    }

    /// Highest price of the session so far; NaN before the first.
    #[getter]
    fn high(&self) -> f64 {
        self.metrics().map_or(f64::NAN, |metrics| metrics.high)
    }

    /// Lowest price of the session so far; NaN before the first.
    #[getter]
    fn low(&self) -> f64 {
        self.metrics().map_or(f64::NAN, |metrics| metrics.low)
    }

    /// Base bars present as a percentage of those due; 100 before the first is due.
    #[getter]
    fn quality(&self) -> f64 {
        self.slots().quality()
    }

    /// Base bars present or filled as a percentage of those due; 100 before the first is due.
    #[getter]
    fn quality_filled(&self) -> f64 {
        self.slots().quality_filled()
    }

    /// Gaps in the base bars up to the last bar that is due.
    fn gaps(&self) -> Vec<Gap> {
        let look = self.look();
        let gaps = look.and_then(|look| Some(look.mark.gaps(&look.progress.window.loaded, look.own(&self.symbol)?)));
        let gap = |gap: backtape_core::gaps::Gap| Gap {
            start: gap.span.start_ns(),
            end: gap.span.end_ns(),
            n_missing: gap.slots,
        };
        gaps.unwrap_or_default().into_iter().map(gap).collect()
    }

    /// What changed since a token of an earlier call; without one, all that is there.
    #[pyo3(signature = (token=None))]
    fn changed_since(&self, token: Option<(String, Vec<usize>)>) -> Changes {
        let look = self.look();
        let Some((look, own)) = look.as_ref().and_then(|look| Some((look, look.own(&self.symbol)?))) else {
            return Changes { token: token.unwrap_or_default(), names: Vec::new() };
        };
        let in_all = |(&interval_ns, &number): (&i64, &usize)| {
            (interval_name(interval_ns), look.visible_in_all(own, interval_ns, number))
        };
        let others = [("quotes", own.quotes), ("trades", own.trades)];
        let others = others.into_iter().filter_map(|(name, number)| Some((name.to_owned(), look.visible(number?))));
        let tapes = own.bars.iter().map(in_all).chain(others);
        let (names, rows): (Vec<String>, Vec<usize>) = tapes.unzip();
        let label = look.progress.window.loaded.session.label().to_string();
        let before = token.filter(|token| token.0 == label).map(|token| token.1).unwrap_or_default();
        let changed = names.into_iter().enumerate().zip(&rows);
        let changed = changed.filter(|((place, _), rows)| **rows > before.get(*place).copied().unwrap_or(0));
        Changes { names: changed.map(|((_, name), _)| name).collect(), token: (label, rows) }
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let bars = self.last(py, 3, None)?;
        let table = if bars.rows.is_empty() {
            "no bars yet".to_owned()
        } else {
            let rows = (0..bars.rows.len()).map(|row| {
                let value = |column: usize| bars.rows.values[column][row];
                format!(
                    "{} o {} h {} l {} c {} v {}",
                    bars.rows.ts_ns[row],
                    value(0),
                    value(1),
                    value(2),
                    value(3),
                    value(4)
                )
            });
            rows.collect::<Vec<_>>().join("\n  ")
        };
        Ok(format!("SymbolData({}, quality {:.1} %, volume {})\n  {table}", self.symbol, self.quality(), self.volume()))
    }
}

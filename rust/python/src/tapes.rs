//! `Tapes`: checked rows by tape.

use crate::arrow_in::{Unreadable, read_all, rows_alone};
use crate::asked::Asked;
use crate::by_symbol::read_by_symbol;
use crate::enter::Enter;
use crate::errors::{plain, raise, to_python};
use crate::fills::{Answer, Gaps, Told};
use crate::freed_memory;
use crate::handed::HandedTables;
use backtape_core::check::{Checked, OnBadRows};
use backtape_core::error::Error;
use backtape_core::key::{Kind, TapeKey};
use backtape_core::span::Span;
use backtape_core::tapes::{SameKey, Tapes as Collected, check_piece};
use backtape_engine::threads::in_halves;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use pyo3_arrow::PyRecordBatchReader;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Checked, sorted rows by tape. Rows are added from Arrow; none is ever changed.
#[pyclass(frozen, module = "backtape._core")]
#[derive(Default)]
pub(crate) struct Tapes(Mutex<Arc<Collected>>);

enum Fault {
    Core(Error),
    Stream(Unreadable),
}

impl From<Unreadable> for Fault {
    fn from(error: Unreadable) -> Self {
        Self::Stream(error)
    }
}

impl Fault {
    fn into_python(self, py: Python<'_>, source: &str) -> PyErr {
        match self {
            Self::Core(error) => to_python(py, &error),
            Self::Stream(error) => unreadable(py, error, source),
        }
    }
}

pub(crate) fn kind_of(py: Python<'_>, name: &str) -> PyResult<Kind> {
    let known = Kind::ROWS.into_iter().find(|kind| kind.name() == name);
    known.ok_or_else(|| plain(py, "ConfigError", &format!("unknown kind \"{name}\": it is one of bar, quote, trade")))
}

pub(crate) fn on_bad_of(py: Python<'_>, word: &str) -> PyResult<OnBadRows> {
    match word {
        "raise" => Ok(OnBadRows::Raise),
        "quarantine" => Ok(OnBadRows::Quarantine),
        _ => {
            let message = format!("on_bad_rows is \"{word}\": it must be \"raise\" or \"quarantine\"");
            Err(plain(py, "ConfigError", &message))
        }
    }
}

pub(crate) fn unreadable(py: Python<'_>, error: Unreadable, source: &str) -> PyErr {
    match error {
        Unreadable::Arrow(error) => plain(py, "RepositoryError", &format!("{source}: can't be read: {error}")),
        Unreadable::Column { name, expected, found } => {
            let facts = PyDict::new(py);
            let set = facts.set_item("source", source).and_then(|()| facts.set_item("column", &name));
            let message = format!("{source}: column {name} must be {expected}, found {found}");
            set.and_then(|()| raise(py, "SchemaError", &message, &facts)).unwrap_or_else(|failure| failure)
        }
    }
}

impl Tapes {
    pub(crate) fn of(collected: Collected) -> Self {
        Self(Mutex::new(Arc::new(collected)))
    }

    /// Adds rows that were checked, up to the first fault.
    fn put_all(&self, checked: Vec<Result<Good, Error>>, same_key: SameKey) -> Result<(), Error> {
        let mut collected = self.lock();
        let collected = Arc::make_mut(&mut collected);
        for good in checked {
            let (key, source, rows) = good?;
            collected.put(&key, &source, rows, same_key)?;
        }
        Ok(())
    }

    fn fill_gaps(&self, gaps: &Gaps, rows: impl Iterator<Item = Answer>) -> Result<Told, Error> {
        let checked = gaps.checked(rows)?;
        let mut collected = self.lock();
        Ok(gaps.fill(Arc::make_mut(&mut collected), &checked))
    }

    /// What is collected so far; to hold on to it costs nothing.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Arc<Collected>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Checked rows of a tape, and what they come from.
pub(crate) type Good = (TapeKey, Arc<str>, Checked);

/// The rows of each piece, or its fault, checked on two threads; nothing after the first fault.
fn check_all<Piece: Sync>(
    pieces: &[Piece],
    rows: impl Fn(&Piece) -> usize,
    check: impl Fn(&Piece) -> Result<Good, Error> + Sync,
) -> Vec<Result<Good, Error>> {
    let check_some = |pieces: &[Piece]| {
        let mut is_bad = false;
        let until_bad = pieces.iter().map(&check).take_while(|one| !std::mem::replace(&mut is_bad, one.is_err()));
        until_bad.collect::<Vec<_>>()
    };
    in_halves(pieces, rows, check_some)
}

#[pymethods]
impl Tapes {
    #[new]
    fn new() -> Self {
        freed_memory::keep();
        Self::default()
    }

    /// The same rows, to which others may be added.
    fn copy(&self, py: Python<'_>) -> Self {
        py.out(|| Self(Mutex::new(Arc::clone(&self.lock()))))
    }

    /// The same tapes with the rows of a span alone (ns UTC, half-open), without a copy of any.
    fn within(&self, py: Python<'_>, start_ns: i64, end_ns: i64) -> PyResult<Self> {
        let span = Span::new(start_ns, end_ns).map_err(|error| to_python(py, &error))?;
        Ok(py.out(|| {
            let whole = Arc::clone(&self.lock());
            Self::of(whole.within(span))
        }))
    }

    /// Checks the rows of one source and adds them to their tapes.
    ///
    /// `rows`: an Arrow stream of the canonical schema: ts timestamp[ns, UTC], numbers float64, and a symbol column
    /// unless `symbol` names the only one. `only_source`: whether a second source of one tape is an error. `symbols`,
    /// `within_ns`: which of several symbols are asked for, and rows from when to when (ns UTC, half-open); others are
    /// not looked at, but that a table whose stamps fall is checked whole.
    /// Raises the subclass of `DataError` that names the fault.
    #[pyo3(signature = (
        kind, interval_ns, rows, *, symbol, source, on_bad_rows="raise", only_source=false, symbols=None, within_ns=None
    ))]
    #[expect(clippy::too_many_arguments, reason = "named in Python")]
    fn add(
        &self,
        py: Python<'_>,
        kind: &str,
        interval_ns: i64,
        rows: PyRecordBatchReader,
        symbol: Option<&str>,
        source: &str,
        on_bad_rows: &str,
        only_source: bool,
        symbols: Option<Vec<String>>,
        within_ns: Option<(i64, i64)>,
    ) -> PyResult<()> {
        let asked = Asked::new(symbols, within_ns);
        let (kind, on_bad) = (kind_of(py, kind)?, on_bad_of(py, on_bad_rows)?);
        let same_key = if only_source { SameKey::Refuse } else { SameKey::Join };
        let reader = rows.into_reader()?;
        let source_name: Arc<str> = source.into();
        let added = py.out(|| {
            let rows = match symbol {
                None => read_by_symbol(reader, kind, &asked),
                Some(symbol) => read_all(reader)
                    .and_then(|batch| rows_alone(&batch, kind))
                    .map(|rows| vec![(symbol.into(), asked.part(rows))]),
            };
            let checked = check_all(
                &rows?,
                |(_, own)| own.ts_ns.0.len(),
                |(symbol, own)| {
                    let key = TapeKey { kind, interval_ns, symbol: Arc::clone(symbol) };
                    let checked = check_piece(&key, &source_name, own.clone(), on_bad)?;
                    Ok((key, Arc::clone(&source_name), checked))
                },
            );
            self.put_all(checked, same_key).map_err(Fault::Core)
        });
        added.map_err(|fault| fault.into_python(py, source))?;
        py.check_signals()
    }

    /// Checks the rows of many tables of one symbol each, as `add` does one after the other, on two threads.
    ///
    /// `pieces`: place among the tables, symbol and source of each, in order.
    #[pyo3(signature = (interval_ns, tables, *, pieces, on_bad_rows="raise", only_source=false, within_ns=None))]
    #[expect(clippy::too_many_arguments, reason = "named in Python")]
    fn add_many(
        &self,
        py: Python<'_>,
        interval_ns: i64,
        tables: &Bound<'_, HandedTables>,
        pieces: Vec<(usize, String, String)>,
        on_bad_rows: &str,
        only_source: bool,
        within_ns: Option<(i64, i64)>,
    ) -> PyResult<()> {
        let asked = Asked::new(None, within_ns);
        let on_bad = on_bad_of(py, on_bad_rows)?;
        let same_key = if only_source { SameKey::Refuse } else { SameKey::Join };
        let tables = tables.get();
        let added = py.out(|| {
            let rows = |(place, ..): &(usize, String, String)| tables.rows(*place);
            let checked = check_all(&pieces, rows, |(place, symbol, source)| {
                let key = TapeKey { kind: tables.kind, interval_ns, symbol: symbol.as_str().into() };
                let source: Arc<str> = source.as_str().into();
                let checked = check_piece(&key, &source, asked.part(tables.table(*place)), on_bad)?;
                Ok((key, source, checked))
            });
            self.put_all(checked, same_key)
        });
        added.map_err(|fault| to_python(py, &fault))?;
        py.check_signals()
    }

    /// Adds those bars of a second store's answer that lie in gaps (of each symbol: start and end, ns UTC, half-open,
    /// ascending), marked as filled. `symbol`: the only one of the rows; `None` where they say it themselves, and those of
    /// symbols without gaps are left out. `at_ns`: when they are known, if not at their own ends. Returns how many were
    /// missing, how many differ from a bar that is there, how many lie beside all gaps, and what the first conflict is.
    #[pyo3(signature = (interval_ns, rows, *, symbol, source, gaps, at_ns=None))]
    #[expect(clippy::too_many_arguments, reason = "named in Python")]
    fn fill(
        &self,
        py: Python<'_>,
        interval_ns: i64,
        rows: PyRecordBatchReader,
        symbol: Option<&str>,
        source: &str,
        gaps: Vec<(String, Vec<(i64, i64)>)>,
        at_ns: Option<i64>,
    ) -> PyResult<Told> {
        let reader = rows.into_reader()?;
        let gaps = Gaps::new(py, interval_ns, &gaps, at_ns)?;
        let source_name: Arc<str> = source.into();
        let filled = py.out(|| {
            let rows = match symbol {
                Some(symbol) => vec![(Arc::from(symbol), rows_alone(&read_all(reader)?, Kind::Bar)?)],
                None => read_by_symbol(reader, Kind::Bar, &Asked::new(Some(gaps.symbols()), None))?,
            };
            let named = rows.into_iter().map(|(symbol, rows)| (symbol, Arc::clone(&source_name), rows));
            self.fill_gaps(&gaps, named).map_err(Fault::Core)
        });
        filled.map_err(|fault| fault.into_python(py, source))
    }

    /// The same of many tables of one symbol each, as `add_many` takes them.
    #[pyo3(signature = (interval_ns, tables, *, pieces, gaps, at_ns=None))]
    fn fill_many(
        &self,
        py: Python<'_>,
        interval_ns: i64,
        tables: &Bound<'_, HandedTables>,
        pieces: Vec<(usize, String, String)>,
        gaps: Vec<(String, Vec<(i64, i64)>)>,
        at_ns: Option<i64>,
    ) -> PyResult<Told> {
        let gaps = Gaps::new(py, interval_ns, &gaps, at_ns)?;
        let tables = tables.get();
        let filled = py.out(|| {
            let rows = |(place, symbol, source): (usize, String, String)| {
                (Arc::from(symbol), Arc::from(source), tables.table(place))
            };
            self.fill_gaps(&gaps, pieces.into_iter().map(rows))
        });
        filled.map_err(|fault| to_python(py, &fault))
    }

    /// Says that the tapes of some symbols belong to the collection even if no row of them comes.
    fn declare(&self, py: Python<'_>, kind: &str, interval_ns: i64, symbols: Vec<String>) -> PyResult<()> {
        let kind = kind_of(py, kind)?;
        let mut collected = self.lock();
        let collected = Arc::make_mut(&mut collected);
        for symbol in symbols {
            collected.declare(TapeKey { kind, interval_ns, symbol: symbol.into() });
        }
        Ok(())
    }

    /// The tapes as (kind, interval_ns, symbol), in their order.
    fn keys(&self) -> Vec<(&'static str, i64, String)> {
        let key = |key: &TapeKey| (key.kind.name(), key.interval_ns, key.symbol.to_string());
        self.lock().keys().map(key).collect()
    }

    /// The first and the last stamp of all rows, ns UTC; `None` when there is no row.
    fn stamps(&self) -> Option<(i64, i64)> {
        self.lock().stamps()
    }

    /// Bytes of all rows.
    #[getter]
    fn bytes(&self) -> usize {
        self.lock().bytes()
    }
}

//! Two bars under one stamp: the same one twice, or two that differ.

use crate::check::{Dropped, OnBadRows, Why};
use crate::error::{Error, Place, Result};
use crate::key::{Kind, TapeKey};
use crate::rows::Rows;
use std::sync::Arc;

/// What is left out where a batch of a fed stream starts with the stamp that the one before ended with: of two bars the
/// second. Quotes and trades may share a stamp.
///
/// # Errors
/// With [`OnBadRows::Raise`] the conflict between two different bars.
pub fn check_follows(
    key: &TapeKey,
    source_name: &Arc<str>,
    (ts_last_ns, last): &(i64, Vec<f64>),
    rows: &Rows,
    row: usize,
    on_bad: OnBadRows,
) -> Result<Option<Dropped>> {
    let ts_ns = rows.ts_ns[row];
    if key.kind != Kind::Bar || ts_ns != *ts_last_ns {
        return Ok(None);
    }
    let place = || Place { tape: key.clone(), source_name: Arc::clone(source_name), row: row as u64 };
    let values = rows.values.iter().map(|column| column[row]);
    match (same_bar(place, ts_ns, values, (source_name, row as u64), last.iter().copied()), on_bad) {
        (None, _) => Ok(Some(Dropped { at_ns: ts_ns, why: Why::Duplicate })),
        (Some(fault), OnBadRows::Raise) => Err(fault),
        (Some(fault), OnBadRows::Quarantine) => Ok(Some(Dropped { at_ns: ts_ns, why: Why::Bad(fault) })),
    }
}

/// The conflict between two bars under one stamp; `None` when they are identical.
pub(crate) fn same_bar(
    later: impl FnOnce() -> Place,
    ts_ns: i64,
    values: impl Iterator<Item = f64>,
    (source_first, row_first): (&Arc<str>, u64),
    values_first: impl Iterator<Item = f64>,
) -> Option<Error> {
    let mut pairs = values.zip(values_first).zip(Kind::Bar.columns());
    pairs.find(|((value, first), _)| value != first).map(|((value, value_first), column)| Error::Conflict {
        place: later(),
        ts_ns,
        column,
        value,
        value_first,
        source_first: Arc::clone(source_first),
        row_first,
    })
}

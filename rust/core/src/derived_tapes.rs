//! Derived bars as tapes of a session.

use crate::batch_kernels::{bar_slices, check_interval};
use crate::derive::derive;
use crate::error::{Error, Result};
use crate::key::{Kind, TapeKey};
use crate::ledger::Tally;
use crate::loaded::{Counts, LoadedTape};
use crate::rows::Rows;
use crate::session::Session;
use arrow_buffer::ScalarBuffer;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The finest bar tape of each symbol.
pub(crate) fn base_tapes(tapes: &[LoadedTape]) -> BTreeMap<Arc<str>, usize> {
    let mut bases = BTreeMap::new();
    for (index, tape) in tapes.iter().enumerate().filter(|(_, tape)| tape.key.kind == Kind::Bar) {
        let finest = bases.entry(Arc::clone(&tape.key.symbol)).or_insert(index);
        if tape.key.interval_ns < tapes[*finest].key.interval_ns {
            *finest = index;
        }
    }
    bases
}

/// The bars of every derived interval, from each symbol's finest bars.
///
/// # Errors
/// [`Error::IntervalNotMultiple`], [`Error::TapeTwice`] where an interval was fed as well.
pub(crate) fn derive_all(
    session: &Session,
    tapes: &[LoadedTape],
    bases: &BTreeMap<Arc<str>, usize>,
    derived_ns: &[i64],
) -> Result<Vec<LoadedTape>> {
    let mut derived = Vec::new();
    for base in bases.values().map(|&index| &tapes[index]) {
        for &interval_ns in derived_ns {
            check_interval(interval_ns, base.key.interval_ns)?;
            let key = TapeKey { interval_ns, ..base.key.clone() };
            if tapes.iter().any(|tape| tape.key == key) {
                let (source_first, source_name) = ("the source".into(), "derived".into());
                return Err(Error::TapeTwice { tape: key, source_first, source_name });
            }
            derived.push(derive_one(session, base, key));
        }
    }
    Ok(derived)
}

fn derive_one(session: &Session, base: &LoadedTape, key: TapeKey) -> LoadedTape {
    let rows = &base.rows;
    let bars = derive(bar_slices(rows), rows.filled.as_deref(), session.spans(), base.key.interval_ns, key.interval_ns);
    let regular = std::iter::once(0..bars.ts_ns.len()).collect();
    let values = [bars.open, bars.high, bars.low, bars.close, bars.volume];
    let rows = Rows {
        kind: Kind::Bar,
        ts_ns: bars.ts_ns.into(),
        values: values.into_iter().map(ScalarBuffer::from).collect(),
        filled: None,
    };
    let mut tape = LoadedTape::new(key, rows, 0, regular, Tally::default());
    tape.available = Some(bars.available_ns.into());
    tape.counts =
        Some(Counts { present: bars.n_present.into(), expected: bars.n_expected.into(), filled: bars.n_filled.into() });
    tape
}

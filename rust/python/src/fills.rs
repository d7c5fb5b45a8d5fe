//! The answer of a second store, by symbol and source.

use crate::session::spans_of;
use crate::tapes::Good;
use backtape_core::check::{OnBadRows, RawRows, check};
use backtape_core::error::Error;
use backtape_core::fills::{Filled, fill};
use backtape_core::key::{Kind, TapeKey};
use backtape_core::span::Span;
use backtape_core::tapes::Tapes;
use pyo3::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Symbol, source and rows.
pub(crate) type Answer = (Arc<str>, Arc<str>, RawRows);

/// What became of an answer: bars filled, conflicts, rows beside all gaps, and the first conflict.
pub(crate) type Told = (u64, u64, u64, Option<String>);

/// What is missing of bars of an interval, and when what is filled in is known.
pub(crate) struct Gaps {
    by_symbol: BTreeMap<String, Vec<Span>>,
    interval_ns: i64,
    at_ns: Option<i64>,
}

impl Gaps {
    pub(crate) fn new(
        py: Python<'_>,
        interval_ns: i64,
        gaps: &[(String, Vec<(i64, i64)>)],
        at_ns: Option<i64>,
    ) -> PyResult<Self> {
        let by_symbol = gaps.iter().map(|(symbol, own)| Ok((symbol.clone(), spans_of(py, own)?)));
        Ok(Self { by_symbol: by_symbol.collect::<PyResult<_>>()?, interval_ns, at_ns })
    }

    pub(crate) fn symbols(&self) -> Vec<String> {
        self.by_symbol.keys().cloned().collect()
    }

    /// The rows of an answer, checked, those of the first symbol first, however they stood.
    pub(crate) fn checked(&self, rows: impl Iterator<Item = Answer>) -> Result<Vec<Good>, Error> {
        let checked = rows.map(|(symbol, source_name, raw)| {
            let key = TapeKey { kind: Kind::Bar, interval_ns: self.interval_ns, symbol };
            let checked = check(&key, &source_name, raw, OnBadRows::Quarantine)?;
            Ok((key, source_name, checked))
        });
        let mut checked = checked.collect::<Result<Vec<Good>, Error>>()?;
        checked.sort_by(|(one, ..), (other, ..)| one.symbol.cmp(&other.symbol));
        Ok(checked)
    }

    /// Adds what is missing to tapes.
    pub(crate) fn fill(&self, tapes: &mut Tapes, answer: &[Good]) -> Told {
        let mut sum = Filled::default();
        for (key, source_name, checked) in answer {
            let own = self.by_symbol.get(&*key.symbol).map_or(&[][..], |own| own);
            sum.add(fill(tapes, key, source_name, checked, own, self.at_ns));
        }
        (sum.filled, sum.conflicts, sum.beside, sum.conflict.map(|conflict| conflict.to_string()))
    }
}

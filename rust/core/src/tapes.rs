//! Many tapes by key. Pieces of one tape may come from many files, in any order; the tape is the same.

use crate::check::{Checked, Dropped, OnBadRows, RawRows, Why, check};
use crate::error::{Error, Place, Result};
use crate::key::{Kind, TapeKey, interval_name};
use crate::late::LateFill;
use crate::rows::Rows;
use crate::span::{Span, rows_until_near, rows_within};
use crate::twice::same_bar;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Bars that may be fed: anything longer is derived.
const BASE_INTERVALS_NS: [i64; 2] = [1_000_000_000, 60_000_000_000];

/// One tape: its good rows in order, and what was left out.
#[derive(Debug, Clone)]
pub struct Tape {
    /// Good rows, ascending by stamp.
    pub rows: Rows,
    /// Rows left out, with the reason.
    pub dropped: Vec<Dropped>,
}

impl Tape {
    /// How many rows came in.
    pub fn rows_in(&self) -> u64 {
        (self.rows.len() + self.dropped.len()) as u64
    }

    /// The part of the tape within a span, without a copy.
    #[must_use]
    pub fn within(&self, span: Span) -> Self {
        let rows = self.rows.slice(rows_within(&self.rows.ts_ns, span));
        Self { rows, dropped: dropped_within(&self.dropped, span) }
    }
}

/// Checks rows of one source for one tape that is fed.
///
/// # Errors
/// [`Error::BaseInterval`] for bars that are neither 1s nor 1m, and all that [`check`] finds.
pub fn check_piece(key: &TapeKey, source_name: &Arc<str>, raw: RawRows, on_bad: OnBadRows) -> Result<Checked> {
    if key.kind == Kind::Bar && !BASE_INTERVALS_NS.contains(&key.interval_ns) {
        let interval = interval_name(key.interval_ns);
        return Err(Error::BaseInterval { tape: key.clone(), interval });
    }
    check(key, source_name, raw, on_bad)
}

#[derive(Debug, Clone)]
struct Piece {
    source_name: Arc<str>,
    checked: Checked,
    /// Where the span that was asked for last ended, and how many rows it had: the next one most often begins there, and
    /// is as long. It tells where to look first, never what is found.
    last: Arc<[AtomicUsize; 2]>,
}

impl Piece {
    fn new(source_name: &Arc<str>, checked: Checked) -> Self {
        Self { source_name: Arc::clone(source_name), checked, last: Arc::default() }
    }

    fn range(&self, span: Span) -> Range<usize> {
        let rows = &self.checked.rows;
        let [end, len] = [0, 1].map(|place| self.last[place].load(Relaxed));
        let from = rows_until_near(&rows.ts_ns, end, span.start_ns());
        let to = rows_until_near(&rows.ts_ns, from + len, span.end_ns()).max(from);
        self.last[0].store(to, Relaxed);
        self.last[1].store(to - from, Relaxed);
        from..to
    }

    fn within(&self, span: Span) -> Tape {
        let Checked { rows, dropped, .. } = &self.checked;
        Tape { rows: rows.slice(self.range(span)), dropped: dropped_within(dropped, span) }
    }

    fn part(&self, span: Span) -> Self {
        let (range, Checked { rows, dropped, before }) = (self.range(span), &self.checked);
        let before = before + range.start as u64;
        let (rows, dropped) = (rows.slice(range), dropped_within(dropped, span));
        Self::new(&self.source_name, Checked { rows, dropped, before })
    }
}

fn dropped_within(dropped: &[Dropped], span: Span) -> Vec<Dropped> {
    dropped.iter().filter(|row| row.at_ns == i64::MIN || span.contains(row.at_ns)).cloned().collect()
}

/// Checked rows of many tapes, by key.
#[derive(Debug, Clone, Default)]
pub struct Tapes {
    pieces: BTreeMap<TapeKey, Vec<Piece>>,
    late: BTreeMap<TapeKey, Vec<(Arc<str>, LateFill)>>,
}

/// Whether another source may hold more rows of a tape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameKey {
    /// Files of one repository: their rows are one tape.
    Join,
    /// Two sources under one key are an error.
    Refuse,
}

impl Tapes {
    /// Checks rows of one source and adds them to their tape.
    ///
    /// # Errors
    /// [`Error::BaseInterval`] for bars that are neither 1s nor 1m, [`Error::TapeTwice`], and all that [`check`] finds.
    pub fn add(
        &mut self,
        key: &TapeKey,
        source_name: &Arc<str>,
        raw: RawRows,
        on_bad: OnBadRows,
        same_key: SameKey,
    ) -> Result<()> {
        let checked = check_piece(key, source_name, raw, on_bad)?;
        self.put(key, source_name, checked, same_key)
    }

    /// Adds checked rows of one source to their tape.
    ///
    /// # Errors
    /// [`Error::TapeTwice`].
    pub fn put(&mut self, key: &TapeKey, source_name: &Arc<str>, checked: Checked, same_key: SameKey) -> Result<()> {
        let pieces = self.pieces.entry(key.clone()).or_default();
        if let (SameKey::Refuse, Some(first)) = (same_key, pieces.first()) {
            let (tape, source_first) = (key.clone(), Arc::clone(&first.source_name));
            return Err(Error::TapeTwice { tape, source_first, source_name: Arc::clone(source_name) });
        }
        pieces.push(Piece::new(source_name, checked));
        Ok(())
    }

    /// Adds rows that have passed the door already, as a piece of their tape.
    pub fn insert(&mut self, key: &TapeKey, source_name: &Arc<str>, checked: Checked) {
        self.pieces.entry(key.clone()).or_default().push(Piece::new(source_name, checked));
    }

    /// Adds bars that were filled in while the session was played.
    pub fn insert_late(&mut self, key: &TapeKey, source_name: &Arc<str>, fill: LateFill) {
        self.late.entry(key.clone()).or_default().push((Arc::clone(source_name), fill));
    }

    /// The bars of a tape that were filled in while the session was played.
    pub fn late_fills(&self, key: &TapeKey) -> Vec<&LateFill> {
        self.late.get(key).map_or_else(Vec::new, |fills| fills.iter().map(|(_, fill)| fill).collect())
    }

    /// The bars of a tape, those of each source by themselves: its name, how many of its rows lie before, and the rows.
    pub(crate) fn bars_by_source(&self, key: &TapeKey) -> Vec<(&Arc<str>, u64, &Rows)> {
        let pieces = self.pieces.get(key).into_iter().flatten();
        let fed = pieces.map(|piece| (&piece.source_name, piece.checked.before, &piece.checked.rows));
        let late = self.late.get(key).into_iter().flatten().map(|(name, fill)| (name, 0, &fill.rows));
        fed.chain(late).collect()
    }

    /// The same tapes, of which only the rows in a span are left; none is copied. Late fills stay.
    #[must_use]
    pub fn within(&self, span: Span) -> Self {
        let part = |pieces: &Vec<Piece>| pieces.iter().map(|piece| piece.part(span)).collect();
        let pieces = self.pieces.iter().map(|(key, pieces)| (key.clone(), part(pieces)));
        Self { pieces: pieces.collect(), late: self.late.clone() }
    }

    /// Says that a tape belongs to the collection even if no row of it comes.
    pub fn declare(&mut self, key: TapeKey) {
        self.pieces.entry(key).or_default();
    }

    /// The keys that were added, in order.
    pub fn keys(&self) -> impl Iterator<Item = &TapeKey> {
        self.pieces.keys()
    }

    /// The first and the last stamp of all rows.
    pub fn stamps(&self) -> Option<(i64, i64)> {
        let rows = || self.pieces.values().flatten().map(|piece| &piece.checked.rows.ts_ns);
        let first = rows().filter_map(|ts| ts.first()).min()?;
        let last = rows().filter_map(|ts| ts.last()).max()?;
        Some((*first, *last))
    }

    /// The memory of all rows.
    pub fn bytes(&self) -> usize {
        self.pieces.values().flatten().map(|piece| piece.checked.rows.bytes()).sum()
    }

    /// The parts of the tapes within a span, in the order of their keys.
    ///
    /// # Errors
    /// [`Error::Conflict`] where two pieces hold different bars under one stamp, in the span or not.
    pub fn joined_within(&self, span: Span, on_bad: OnBadRows) -> Result<Vec<(TapeKey, Tape)>> {
        let tapes = self.pieces.iter().map(|(key, pieces)| {
            let tape = match pieces.as_slice() {
                [one] => one.within(span),
                many => join(key, many, on_bad)?.within(span),
            };
            Ok((key.clone(), tape))
        });
        tapes.collect()
    }

    /// The tapes in the order of their keys, each joined from its pieces.
    ///
    /// # Errors
    /// [`Error::Conflict`] where two pieces hold different bars under one stamp.
    pub fn joined(&self, on_bad: OnBadRows) -> Result<BTreeMap<TapeKey, Tape>> {
        self.pieces.iter().map(|(key, pieces)| Ok((key.clone(), join(key, pieces, on_bad)?))).collect()
    }
}

/// Pieces follow each other by their first stamp; where they overlap, rows interleave by stamp, then by the name of
/// the source, so that the order in which files were listed can't be seen.
fn join(key: &TapeKey, pieces: &[Piece], on_bad: OnBadRows) -> Result<Tape> {
    if let [Piece { checked: Checked { rows, dropped, .. }, .. }] = pieces {
        return Ok(Tape { rows: rows.clone(), dropped: dropped.clone() });
    }
    let mut pieces: Vec<&Piece> = pieces.iter().collect();
    pieces.sort_by_key(|piece| (piece.checked.rows.ts_ns.first().copied(), Arc::clone(&piece.source_name)));
    let mut dropped: Vec<Dropped> = pieces.iter().flat_map(|piece| piece.checked.dropped.iter().cloned()).collect();
    let filled: Vec<&Piece> = pieces.into_iter().filter(|piece| !piece.checked.rows.is_empty()).collect();
    let parts: Vec<Rows> = filled.iter().map(|piece| piece.checked.rows.clone()).collect();
    let strict = key.kind == Kind::Bar;
    let apart = parts.windows(2).all(|pair| match (pair[0].ts_ns.last(), pair[1].ts_ns.first()) {
        (Some(last), Some(first)) => last < first || (last == first && !strict),
        _ => true,
    });
    let rows = Rows::concat(key.kind, &parts);
    if apart {
        return Ok(Tape { rows, dropped });
    }
    let (order, faults) = interleave(key, &filled, &parts, &rows, on_bad)?;
    dropped.extend(faults);
    Ok(Tape { rows: rows.take(&order), dropped })
}

fn interleave(
    key: &TapeKey,
    pieces: &[&Piece],
    parts: &[Rows],
    rows: &Rows,
    on_bad: OnBadRows,
) -> Result<(Vec<usize>, Vec<Dropped>)> {
    let origin: Vec<(usize, usize)> =
        parts.iter().enumerate().flat_map(|(p, part)| (0..part.len()).map(move |row| (p, row))).collect();
    let mut by_name: Vec<usize> = (0..pieces.len()).collect();
    by_name.sort_by_key(|&p| &pieces[p].source_name);
    let mut rank = vec![0; pieces.len()];
    for (place, &p) in by_name.iter().enumerate() {
        rank[p] = place;
    }
    let mut sorted: Vec<usize> = (0..rows.len()).collect();
    sorted.sort_by_key(|&row| (rows.ts_ns[row], rank[origin[row].0]));
    if key.kind != Kind::Bar {
        return Ok((sorted, Vec::new()));
    }
    let (mut order, mut dropped): (Vec<usize>, Vec<Dropped>) = (Vec::with_capacity(sorted.len()), Vec::new());
    for row in sorted {
        let ts_ns = rows.ts_ns[row];
        let Some(&last) = order.last().filter(|&&last| rows.ts_ns[last] == ts_ns) else {
            order.push(row);
            continue;
        };
        let source = |row: usize| {
            let (piece, own) = (pieces[origin[row].0], origin[row].1);
            (&piece.source_name, piece.checked.before + own as u64)
        };
        let values = |row: usize| rows.values.iter().map(move |column| column[row]);
        let (source_name, number) = source(row);
        let place = || Place { tape: key.clone(), source_name: Arc::clone(source_name), row: number };
        match (same_bar(place, ts_ns, values(row), source(last), values(last)), on_bad) {
            (Some(fault), OnBadRows::Raise) => return Err(fault),
            (Some(fault), OnBadRows::Quarantine) => dropped.push(Dropped { at_ns: ts_ns, why: Why::Bad(fault) }),
            (None, _) => dropped.push(Dropped { at_ns: ts_ns, why: Why::Duplicate }),
        }
    }
    Ok((order, dropped))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::RowNumbers;

    const MINUTE: i64 = 60_000_000_000;

    fn key() -> TapeKey {
        TapeKey { kind: Kind::Bar, interval_ns: MINUTE, symbol: "IBM".into() }
    }

    fn raw(minutes: &[i64], price: f64) -> RawRows {
        let ts: Vec<i64> = minutes.iter().map(|minute| minute * MINUTE).collect();
        let values = (0..5).map(|_| (vec![price; ts.len()].into(), None)).collect();
        RawRows { ordered_ns: None, numbers: RowNumbers::From(0), ts_ns: (ts.into(), None), values }
    }

    fn minutes(pieces: &[(&str, &[i64], f64)]) -> Result<(Vec<i64>, usize)> {
        let mut tapes = Tapes::default();
        for (name, minutes, price) in pieces {
            tapes.add(&key(), &Arc::from(*name), raw(minutes, *price), OnBadRows::Raise, SameKey::Join)?;
        }
        let tape = tapes.joined(OnBadRows::Raise)?.remove(&key()).expect("the tape was added");
        Ok((tape.rows.ts_ns.iter().map(|ts| ts / MINUTE).collect(), tape.dropped.len()))
    }

    #[test]
    fn the_order_of_files_can_not_be_seen() {
        let expected = (vec![1, 2, 3, 4, 5], 0);
        assert_eq!(minutes(&[("b", &[3, 4], 1.0), ("a", &[1, 2], 1.0), ("c", &[5], 1.0)]), Ok(expected.clone()));
        assert_eq!(minutes(&[("a", &[1, 4], 1.0), ("b", &[2, 3, 5], 1.0)]), Ok(expected));
    }

    #[test]
    fn a_bar_in_two_files_is_a_duplicate_if_equal_and_a_conflict_if_not() {
        assert_eq!(minutes(&[("a", &[1, 2], 1.0), ("b", &[2, 3], 1.0)]), Ok((vec![1, 2, 3], 1)));
        let fault = minutes(&[("a", &[1, 2], 1.0), ("b", &[2, 3], 2.0)]).expect_err("they differ").to_string();
        assert!(fault.contains("of b, row 0") && fault.contains("2 here, 1 in a row 1"), "{fault}");
    }

    #[test]
    fn other_bar_lengths_and_second_sources_are_refused() {
        let mut tapes = Tapes::default();
        let five = TapeKey { interval_ns: 5 * MINUTE, ..key() };
        let fault = tapes.add(&five, &"a".into(), raw(&[5], 1.0), OnBadRows::Raise, SameKey::Join);
        assert!(matches!(fault, Err(Error::BaseInterval { .. })));
        tapes.add(&key(), &"a".into(), raw(&[1], 1.0), OnBadRows::Raise, SameKey::Refuse).expect("first");
        let fault = tapes.add(&key(), &"b".into(), raw(&[2], 1.0), OnBadRows::Raise, SameKey::Refuse);
        assert!(matches!(fault, Err(Error::TapeTwice { .. })));
    }
}

//! The answer of a second store, sorted: what fills a gap, what contradicts a bar that is there, and the rest (C6).

use crate::check::Checked;
use crate::error::{Error, Place};
use crate::key::TapeKey;
use crate::late::LateFill;
use crate::rows::Rows;
use crate::span::Span;
use crate::tapes::Tapes;
use crate::twice::same_bar;
use std::ops::Range;
use std::sync::Arc;

/// What became of the rows of an answer.
#[derive(Debug, Default)]
pub struct Filled {
    /// Bars that were missing, and are filled in.
    pub filled: u64,
    /// Bars that differ from one that is there, which stays.
    pub conflicts: u64,
    /// The first of these.
    pub conflict: Option<Error>,
    /// Rows that lie in no gap, come a second time or are bad.
    pub beside: u64,
}

impl Filled {
    /// Adds what became of rows that came later.
    pub fn add(&mut self, later: Self) {
        self.filled += later.filled;
        self.conflicts += later.conflicts;
        self.beside += later.beside;
        self.conflict = self.conflict.take().or(later.conflict);
    }
}

/// Adds the rows of an answer that lie in `gaps` (ascending and apart) to a tape: those known at `at_ns`, if that is
/// given, and not before.
pub fn fill(
    tapes: &mut Tapes,
    key: &TapeKey,
    source_name: &Arc<str>,
    checked: &Checked,
    gaps: &[Span],
    at_ns: Option<i64>,
) -> Filled {
    let mut sorted = Filled { beside: checked.dropped.len() as u64, ..Filled::default() };
    let (rows, mut keep) = (&checked.rows, Vec::<Range<usize>>::new());
    let mut there = BarsThere::of(tapes, key);
    for (row, &ts_ns) in rows.ts_ns.iter().enumerate() {
        if let Some((source_first, row_first, first)) = there.next_at(ts_ns) {
            let place = || Place { tape: key.clone(), source_name: Arc::clone(source_name), row: row as u64 };
            let values = rows.values.iter().map(|column| column[row]);
            match same_bar(place, ts_ns, values, (source_first, row_first), first) {
                Some(conflict) => {
                    sorted.conflicts += 1;
                    sorted.conflict.get_or_insert(conflict);
                }
                None => sorted.beside += 1,
            }
        } else if is_in(gaps, ts_ns) {
            match keep.last_mut() {
                Some(range) if range.end == row => range.end = row + 1,
                _ => keep.push(row..row + 1),
            }
        } else {
            sorted.beside += 1;
        }
    }
    let rows = rows.select(&keep);
    sorted.filled = rows.len() as u64;
    match at_ns {
        Some(at_ns) => tapes.insert_late(key, source_name, LateFill { at_ns, rows }),
        None => tapes.insert(key, source_name, Checked::good(rows.marked_filled())),
    }
    sorted
}

/// The bars that a tape has, gone through stamp by stamp.
struct BarsThere<'a> {
    sources: Vec<(&'a Arc<str>, u64, &'a Rows)>,
    /// How many rows of each source are behind.
    behind: Vec<usize>,
}

impl<'a> BarsThere<'a> {
    fn of(tapes: &'a Tapes, key: &TapeKey) -> Self {
        let sources = tapes.bars_by_source(key);
        Self { behind: vec![0; sources.len()], sources }
    }

    /// The bar under a stamp, which is no earlier than the one before: its source, its row there and its numbers.
    fn next_at(&mut self, ts_ns: i64) -> Option<(&'a Arc<str>, u64, impl Iterator<Item = f64> + use<'a>)> {
        self.sources.iter().zip(&mut self.behind).find_map(|(&(name, before, rows), behind)| {
            *behind += rows.ts_ns[*behind..].iter().take_while(|&&own_ns| own_ns < ts_ns).count();
            let row = *behind;
            let is_there = rows.ts_ns.get(row) == Some(&ts_ns);
            is_there.then(|| (name, before + row as u64, rows.values.iter().map(move |column| column[row])))
        })
    }
}

fn is_in(gaps: &[Span], ts_ns: i64) -> bool {
    let place = gaps.partition_point(|gap| gap.end_ns() <= ts_ns);
    gaps.get(place).is_some_and(|gap| gap.contains(ts_ns))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Kind;

    fn key() -> TapeKey {
        TapeKey { kind: Kind::Bar, interval_ns: 10, symbol: "IBM".into() }
    }

    fn bars(ts_ns: &[i64], price: f64) -> Checked {
        let values = (0..5).map(|_| vec![price; ts_ns.len()].into()).collect();
        Checked::good(Rows::new(Kind::Bar, ts_ns.to_vec().into(), values))
    }

    fn gaps() -> [Span; 2] {
        [(10, 30), (50, 60)].map(|(start, end)| Span::new(start, end).expect("valid"))
    }

    fn counts(found: &Filled) -> (u64, u64, u64) {
        (found.filled, found.conflicts, found.beside)
    }

    #[test]
    fn each_row_of_an_answer_is_a_fill_a_conflict_or_beside() {
        let mut tapes = Tapes::default();
        tapes.insert(&key(), &"own".into(), bars(&[0, 30, 40], 1.0));
        let found = fill(&mut tapes, &key(), &"second".into(), &bars(&[0, 10, 20, 50, 60], 1.0), &gaps(), None);
        assert_eq!(counts(&found), (3, 0, 2));
        let again = fill(&mut tapes, &key(), &"second".into(), &bars(&[10, 30, 40], 2.0), &gaps(), None);
        assert_eq!(counts(&again), (0, 3, 0));
        let told = again.conflict.expect("they differ").to_string();
        assert!(told.contains("second") && told.contains("2 here, 1 in"), "{told}");
    }

    #[test]
    fn late_fills_are_kept_apart_and_not_taken_twice() {
        let mut tapes = Tapes::default();
        tapes.insert(&key(), &"own".into(), bars(&[0, 30, 40], 1.0));
        let late = |tapes: &mut Tapes| {
            counts(&fill(tapes, &key(), &"second".into(), &bars(&[10, 50], 1.0), &gaps(), Some(70)))
        };
        assert_eq!((late(&mut tapes), late(&mut tapes)), ((2, 0, 0), (0, 0, 2)));
        assert_eq!(tapes.late_fills(&key()).iter().map(|fill| fill.rows.len()).sum::<usize>(), 2);
    }
}

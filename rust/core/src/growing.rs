//! The rows of a fed tape, as columns that grow although what was handed out of them never changes.

use crate::check::{Checked, Dropped};
use crate::key::Kind;
use crate::pending::Pending;
use crate::rows::Rows;
use arrow_buffer::{ArrowNativeType, ScalarBuffer};

/// Columns of one tape, kept twice: as they were handed out last, and as they were handed out before that. Those before are
/// no longer looked at as a rule, so what has come since is put behind them in place, and nothing that came earlier is
/// copied again. Where somebody still looks at them they are copied.
#[derive(Debug)]
pub struct Growing {
    last: Rows,
    before: Rows,
    dropped: Vec<Dropped>,
}

impl Growing {
    /// No rows yet.
    pub fn new(kind: Kind) -> Self {
        Self { last: Rows::empty(kind), before: Rows::empty(kind), dropped: Vec::new() }
    }

    /// All rows so far, those of `later` behind the others.
    pub fn grown(&mut self, mut later: Pending) -> Checked {
        self.dropped.append(&mut later.dropped);
        if !later.is_empty() {
            let Rows { kind, ts_ns, values, .. } = std::mem::replace(&mut self.before, self.last.clone());
            let columns = values.into_buffers().into_iter().zip(self.last.values.iter()).zip(&later.values);
            let values = columns.map(|((before, last), later)| grown(before, last, later)).collect();
            let ts_ns = grown(ts_ns, &self.last.ts_ns, &later.ts_ns);
            self.last = Rows::new(kind, ts_ns, values);
        }
        Checked { dropped: self.dropped.clone(), ..Checked::good(self.last.clone()) }
    }
}

/// The column `last` with `later` behind it, made from `before`, which `last` begins with.
fn grown<T: ArrowNativeType>(before: ScalarBuffer<T>, last: &[T], later: &[T]) -> ScalarBuffer<T> {
    let kept = before.len();
    let mut buffer = before.into_inner().into_mutable().unwrap_or_else(|looked_at| {
        let mut copy = arrow_buffer::MutableBuffer::new(size_of_val(last) + size_of_val(later));
        copy.extend_from_slice(looked_at.typed_data::<T>());
        copy
    });
    buffer.extend_from_slice(&last[kept..]);
    buffer.extend_from_slice(later);
    buffer.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Why;
    use proptest::prelude::*;

    fn pending(kind: Kind, stamps: &[i64]) -> Pending {
        let mut pending = Pending::new(kind, 0);
        for &ts_ns in stamps {
            let columns = kind.columns().len();
            pending.push_row(ts_ns, &(0..columns).map(|c| ts_ns as f64 + c as f64).collect::<Vec<f64>>());
        }
        pending.push_dropped(stamps.iter().take(1).map(|&at_ns| Dropped { at_ns, why: Why::Stale }).collect());
        pending
    }

    fn facts(rows: &Rows) -> (Vec<i64>, Vec<Vec<f64>>) {
        (rows.ts_ns.to_vec(), rows.values.iter().map(<[f64]>::to_vec).collect())
    }

    proptest! {
        #[test]
        fn what_is_handed_out_is_all_that_came_and_never_changes(
            parts in prop::collection::vec((prop::collection::vec(0..1_000_i64, 0..40), any::<bool>()), 0..20)
        ) {
            for kind in [Kind::Bar, Kind::Trade] {
                let (mut growing, mut all, mut kept) = (Growing::new(kind), Vec::new(), Vec::new());
                for (stamps, is_kept) in &parts {
                    all.extend_from_slice(stamps);
                    let handed = growing.grown(pending(kind, stamps));
                    let expected = pending(kind, &all);
                    prop_assert_eq!(facts(&handed.rows), (expected.ts_ns, expected.values));
                    if *is_kept {
                        kept.push((facts(&handed.rows), handed.rows));
                    }
                }
                for (then, rows) in kept {
                    prop_assert_eq!(facts(&rows), then);
                }
            }
        }
    }

    #[test]
    fn columns_that_nobody_looks_at_any_more_grow_in_place() {
        let mut growing = Growing::new(Kind::Trade);
        let mut places = Vec::new();
        for ts_ns in 0..1_000 {
            places.push(growing.grown(pending(Kind::Trade, &[ts_ns])).rows.ts_ns.inner().as_ptr());
        }
        let moved = places.windows(3).filter(|three| three[0] != three[2]).count();
        assert!(moved < 50, "{moved} of 1000 times the column was somewhere else");
    }
}

//! Rows that were fed and wait: checked columns that grow at the end and are taken from the front.

use crate::check::Dropped;
use crate::key::Kind;
use crate::rows::Rows;

/// Rows of one fed tape in the order in which they came, ascending by stamp.
#[derive(Debug, Clone)]
pub struct Pending {
    kind: Kind,
    /// How long after its stamp a row is known.
    lag_ns: i64,
    pub(crate) ts_ns: Vec<i64>,
    pub(crate) values: Vec<Vec<f64>>,
    pub(crate) dropped: Vec<Dropped>,
}

impl Pending {
    /// No rows yet of a tape whose rows are known `lag_ns` after their stamps.
    pub fn new(kind: Kind, lag_ns: i64) -> Self {
        Self { kind, lag_ns, ts_ns: Vec::new(), values: vec![Vec::new(); kind.columns().len()], dropped: Vec::new() }
    }

    /// How many rows.
    pub const fn len(&self) -> usize {
        self.ts_ns.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.ts_ns.is_empty()
    }

    /// The memory of the rows.
    pub const fn bytes(&self) -> usize {
        self.ts_ns.len() * 8 * (1 + self.values.len())
    }

    /// When the last row is known.
    pub fn last_known_ns(&self) -> Option<i64> {
        self.ts_ns.last().map(|ts| ts + self.lag_ns)
    }

    /// When the first row is known.
    pub fn first_known_ns(&self) -> Option<i64> {
        self.ts_ns.first().map(|ts| ts + self.lag_ns)
    }

    /// Stamp and numbers of the last row.
    pub fn last_row(&self) -> Option<(i64, Vec<f64>)> {
        let last = self.ts_ns.len().checked_sub(1)?;
        Some((self.ts_ns[last], self.values.iter().map(|column| column[last]).collect()))
    }

    /// Adds checked rows, from `from` on; they are not older than the last one.
    pub fn push_rows(&mut self, rows: &Rows, from: usize) {
        self.ts_ns.extend_from_slice(&rows.ts_ns[from..]);
        for (values, column) in self.values.iter_mut().zip(rows.values.iter()) {
            values.extend_from_slice(&column[from..]);
        }
    }

    /// Adds one checked row, not older than the last one.
    pub fn push_row(&mut self, ts_ns: i64, numbers: &[f64]) {
        self.ts_ns.push(ts_ns);
        for (values, &number) in self.values.iter_mut().zip(numbers) {
            values.push(number);
        }
    }

    /// Notes rows that were left out.
    pub fn push_dropped(&mut self, mut dropped: Vec<Dropped>) {
        self.dropped.append(&mut dropped);
    }

    /// Takes the rows known before a time, and stamped before `end_ns`, off the front, and with them what was left out
    /// before.
    #[must_use]
    pub fn take_before(&mut self, at_ns: i64, end_ns: i64) -> Self {
        let lag_ns = self.lag_ns;
        let is_before = |ts: i64| ts < end_ns && ts.saturating_add(lag_ns) < at_ns;
        let count = self.ts_ns.partition_point(|&ts| is_before(ts));
        let front = |column: &mut Vec<f64>| {
            let later = column.split_off(count);
            std::mem::replace(column, later)
        };
        let later = self.ts_ns.split_off(count);
        let ts_ns = std::mem::replace(&mut self.ts_ns, later);
        let values = self.values.iter_mut().map(front).collect();
        let (dropped, later): (Vec<Dropped>, Vec<Dropped>) =
            std::mem::take(&mut self.dropped).into_iter().partition(|row| is_before(row.at_ns));
        self.dropped = later;
        Self { kind: self.kind, lag_ns, ts_ns, values, dropped }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Why;

    fn trades(ts_ns: &[i64]) -> Pending {
        let mut pending = Pending::new(Kind::Trade, 0);
        let column = |factor: f64| ts_ns.iter().map(|&ts| ts as f64 * factor).collect();
        let rows = Rows::new(Kind::Trade, ts_ns.to_vec().into(), [1.0, 2.0].map(column).into_iter().collect());
        pending.push_rows(&rows, 0);
        pending
    }

    #[test]
    fn rows_are_taken_from_the_front_and_put_at_the_end() {
        let mut pending = trades(&[1, 2, 2, 5]);
        pending.push_dropped(vec![Dropped { at_ns: 2, why: Why::Stale }]);
        let front = pending.take_before(2, 9);
        assert_eq!((front.len(), front.dropped.len(), pending.first_known_ns()), (1, 0, Some(2)));
        let front = pending.take_before(9, 3);
        assert_eq!((front.last_row(), front.dropped.len()), (Some((2, vec![2.0, 4.0])), 1));
        assert_eq!((pending.len(), pending.last_known_ns(), pending.bytes()), (1, Some(5), 24));
    }

    #[test]
    fn a_bar_is_known_at_its_end() {
        let mut pending = Pending::new(Kind::Bar, 60);
        let values = (0..5).map(|_| vec![1.0].into()).collect();
        pending.push_rows(&Rows::new(Kind::Bar, vec![60].into(), values), 0);
        assert!(pending.take_before(120, 999).is_empty());
        assert_eq!(pending.take_before(121, 999).len(), 1);
    }
}

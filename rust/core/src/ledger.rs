//! Where every row went (C7).

use crate::error::{Error, Result};
use crate::key::TapeKey;
use crate::sums::Sums;
use std::sync::Arc;

/// What became of the rows of one tape. Each row that came in is in exactly one of the other counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    /// Rows of the tape within the sessions loaded.
    pub rows_in: u64,
    /// Rows that became events.
    pub delivered: u64,
    /// Rows outside trading hours.
    pub out_of_hours: u64,
    /// Rows that were fed too late.
    pub stale: u64,
    /// Identical bars under one stamp, but for the first.
    pub duplicate: u64,
    /// Bad rows that were quarantined.
    pub rejected: u64,
    /// Rows that were not reached.
    pub unread: u64,
    /// Rows filled in from another source that became events; they are no part of the sum.
    pub filled: u64,
    /// Flat bars that bridged gaps; they are no part of the sum.
    pub flat: u64,
    /// Rows with a negative price, which is legal; they are no part of the sum.
    pub negative_prices: u64,
}

impl Tally {
    /// Rows that are accounted for.
    pub const fn accounted(&self) -> u64 {
        self.delivered + self.out_of_hours + self.stale + self.duplicate + self.rejected + self.unread
    }

    /// Checks that every row is accounted for.
    ///
    /// # Errors
    /// [`Error::LedgerUnbalanced`] names the session and the tape.
    pub fn check(&self, tape: &TapeKey, label: &Arc<str>) -> Result<()> {
        let (rows_in, accounted) = (self.rows_in, self.accounted());
        if rows_in == accounted {
            return Ok(());
        }
        Err(Error::LedgerUnbalanced { label: Arc::clone(label), tape: tape.clone(), rows_in, accounted })
    }

    /// Adds another tally.
    pub const fn add(&mut self, other: &Self) {
        self.rows_in += other.rows_in;
        self.delivered += other.delivered;
        self.out_of_hours += other.out_of_hours;
        self.stale += other.stale;
        self.duplicate += other.duplicate;
        self.rejected += other.rejected;
        self.unread += other.unread;
        self.filled += other.filled;
        self.flat += other.flat;
        self.negative_prices += other.negative_prices;
    }
}

/// Tallies by tape: of fed tapes, and the number of bars delivered of derived ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Tapes that came in.
    pub tapes: Sums<TapeKey, Tally>,
    /// Derived tapes: bars delivered.
    pub derived: Sums<TapeKey, u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Kind;

    #[test]
    fn a_row_that_is_nowhere_is_noticed() {
        let key = TapeKey { kind: Kind::Trade, interval_ns: 0, symbol: "IBM".into() };
        let tally = Tally { rows_in: 3, delivered: 1, rejected: 1, unread: 1, filled: 7, ..Tally::default() };
        assert_eq!(tally.check(&key, &"d".into()), Ok(()));
        let fault = Tally { rows_in: 4, ..tally }.check(&key, &"2013-10-07".into()).expect_err("one row is missing");
        assert!(fault.to_string().contains("tape IBM trade: 4 rows in, but 3 accounted for"), "{fault}");
    }
}

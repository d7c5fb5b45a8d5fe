//! What a replay has to show for its sessions: where rows went, what was missing, what was rejected.

use crate::check::Why;
use crate::error::{Error, Result};
use crate::key::TapeKey;
use crate::ledger::Ledger;
use crate::loaded::Loaded;
use crate::mark::{Mark, Slots};
use crate::sums::Sums;
use std::sync::Arc;

/// Rejected rows are counted all, but only so many are kept to be shown.
pub const REJECTS_SHOWN: usize = 100;

/// Base bars of one symbol over all sessions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quality {
    /// Slots due, and how many hold a bar.
    pub slots: Slots,
    /// Runs of missing bars.
    pub gaps: u64,
}

/// The sums over sessions.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// Where rows went.
    pub ledger: Ledger,
    /// Base bars by symbol.
    pub quality: Sums<Arc<str>, Quality>,
    /// The first rows that were rejected, and why.
    pub rejected: Vec<(TapeKey, Error)>,
    /// How many sessions.
    pub sessions: u64,
}

impl Account {
    /// Adds a session as it stands at a mark.
    ///
    /// # Errors
    /// [`Error::LedgerUnbalanced`]: our own fault.
    pub fn add(&mut self, loaded: &Loaded, mark: &Mark) -> Result<()> {
        let balanced = mark.add_to(&mut self.ledger, loaded);
        let mut near = 0;
        for (symbol, own) in loaded.symbols.iter().filter(|(_, own)| own.base.is_some()) {
            let total = self.quality.of(symbol, &mut near);
            total.slots.add(&mark.slots(loaded, own));
            total.gaps += mark.gaps(loaded, own).len() as u64;
        }
        let dropped = loaded.dropped.iter().flat_map(|(key, rows)| rows.iter().map(move |row| (key, row)));
        let faults = dropped.filter_map(|(key, row)| match &row.why {
            Why::Bad(fault) => Some((key.clone(), fault.clone())),
            Why::Duplicate | Why::Stale => None,
        });
        let room = REJECTS_SHOWN - self.rejected.len();
        self.rejected.extend(faults.take(room));
        self.sessions += 1;
        balanced
    }
}

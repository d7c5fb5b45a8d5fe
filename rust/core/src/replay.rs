//! The replay: plans the next events of a session in bounded windows that never split an instant. Planning may run
//! ahead; nothing becomes visible by it. What a consumer takes is committed by its own [`Mark`].

use crate::account::Account;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::event_hashes::event_hashes;
use crate::key::Kind;
use crate::loaded::Loaded;
use crate::mark::Mark;
use crate::merge::{Lane, Order, merge};
use std::sync::Arc;

/// The order of the next events of a session: whole instants only.
#[derive(Debug)]
pub struct Window {
    /// The session that the events belong to.
    pub loaded: Arc<Loaded>,
    /// Tape and row of each event, and when it is known.
    pub order: Order,
    /// Where a consumer stands that has taken none of the window's events.
    pub before: Mark,
    digest_before: Digest,
    hashes: Vec<u64>,
}

impl Window {
    /// Where a consumer stands that has taken so many of the window's events.
    pub fn mark(&self, taken: usize) -> Mark {
        let Some(last) = taken.checked_sub(1) else {
            return self.before;
        };
        let (now_ns, tape) = (self.order.at_ns[last], self.order.lanes[last] as usize);
        let bar_follows = self.order.at_ns.get(taken) == Some(&now_ns) && self.kind(taken) == Kind::Bar;
        Mark::after(now_ns, tape, self.order.rows[last] as usize, !bar_follows)
    }

    /// What the event of a place is.
    pub fn kind(&self, event: usize) -> Kind {
        self.loaded.tapes[self.order.lanes[event] as usize].key.kind
    }

    /// The digest of all events up to here.
    pub fn digest(&self, taken: usize) -> Digest {
        let mut digest = self.digest_before;
        for &hash in &self.hashes[..taken] {
            digest.push(hash);
        }
        digest
    }

    /// The end of the instant that the event of a place belongs to: the place after its last event.
    pub fn instant_end(&self, event: usize) -> usize {
        let at_ns = &self.order.at_ns;
        event + at_ns[event..].iter().take_while(|&&at| at == at_ns[event]).count()
    }
}

/// Plans session after session.
#[derive(Debug, Default)]
pub struct Replay {
    playing: Option<Playing>,
    settled: Account,
    digest: Digest,
}

#[derive(Debug)]
struct Playing {
    loaded: Arc<Loaded>,
    cursors: Vec<usize>,
    planned: Mark,
    step_ns: u64,
}

/// The longest time that one window may span, so that times fit beside lane numbers in one word.
const STEP_NS_MAX: u64 = 1 << 45;

impl Replay {
    /// Takes up the next session. The one before must have been settled.
    ///
    /// # Errors
    /// [`Error::SessionOutOfOrder`] if it does not follow the one before.
    pub fn begin(&mut self, loaded: Arc<Loaded>, now_ns: i64) -> Result<()> {
        if let Some(Playing { loaded: before, .. }) = &self.playing {
            let (range, range_prev) = (loaded.session.range(), before.session.range());
            if range.start_ns() < range_prev.end_ns() {
                return Err(Error::SessionOutOfOrder {
                    label: Arc::clone(loaded.session.label()),
                    label_prev: Arc::clone(before.session.label()),
                    range_start_ns: range.start_ns(),
                    range_end_prev_ns: range_prev.end_ns(),
                });
            }
        }
        let cursors = vec![0; loaded.tapes.len()];
        self.playing = Some(Playing { loaded, cursors, planned: Mark::start(now_ns), step_ns: 1 << 36 });
        Ok(())
    }

    /// The order of about `target` next events; `None` at the end of the session.
    pub fn window(&mut self, target: usize) -> Option<Window> {
        let playing = self.playing.as_mut()?;
        let loaded = Arc::clone(&playing.loaded);
        let lanes = next_lanes(&loaded, &playing.cursors, &mut playing.step_ns, target.max(1))?;
        let order = merge(&lanes);
        let hashes = hashes(&loaded, &lanes, &order);
        playing.cursors = lanes.iter().map(|lane| lane.to).collect();
        let (before, digest_before) = (playing.planned, self.digest);
        let window = Window { loaded, order, before, digest_before, hashes };
        self.digest = window.digest(window.order.len());
        playing.planned = window.mark(window.order.len());
        Some(window)
    }

    /// Ends the session where the consumer stands: its ledger is checked and added to the replay's
    /// account.
    ///
    /// # Errors
    /// [`Error::LedgerUnbalanced`]: our own fault.
    pub fn settle(&mut self, mark: &Mark) -> Result<()> {
        if let Some(playing) = &self.playing {
            mark.ledger(&playing.loaded).check(playing.loaded.session.label())?;
            self.settled.add(&playing.loaded, mark);
        }
        Ok(())
    }

    /// The account of all settled sessions.
    pub const fn settled(&self) -> &Account {
        &self.settled
    }
}

/// The hash of each event: made tape by tape, where rows lie side by side, then put in order.
fn hashes(loaded: &Loaded, lanes: &[Lane<'_>], order: &Order) -> Vec<u64> {
    let mut by_tape = vec![0; order.len()];
    let mut starts = Vec::with_capacity(lanes.len());
    let mut from = 0;
    for (tape, lane) in loaded.tapes.iter().zip(lanes) {
        // A row's hash stands at its lane's start plus its row number, which may lie before the buffer on its own.
        starts.push(from as isize - lane.from as isize);
        let len = lane.to - lane.from;
        event_hashes(tape, lane.from..lane.to, &mut by_tape[from..from + len]);
        from += len;
    }
    let place = |(&lane, &row): (&u32, &u32)| by_tape[(starts[lane as usize] + row as isize) as usize];
    order.lanes.iter().zip(&order.rows).map(place).collect()
}

/// Each tape's rows of the next stretch of time, which is chosen so that about `target` rows lie in it. `step_ns` is how
/// long the stretch was last time, and is this time.
fn next_lanes<'a>(loaded: &'a Loaded, cursors: &[usize], step_ns: &mut u64, target: usize) -> Option<Vec<Lane<'a>>> {
    let tapes = || loaded.tapes.iter().zip(cursors);
    let heads = tapes().filter(|&(tape, &from)| from < tape.rows.len()).map(|(tape, &from)| tape.available_ns(from));
    let start_ns = heads.min().filter(|&start_ns| start_ns < loaded.until_ns)?;
    let mut may_grow = true;
    let room: usize = tapes().map(|(tape, &from)| tape.rows.len() - from).sum();
    loop {
        let end_ns = start_ns.saturating_add_unsigned(*step_ns).min(loaded.until_ns);
        let lanes: Vec<Lane<'_>> = tapes()
            .map(|(tape, &from)| {
                let (stamps_ns, lag_ns) = tape.stamps();
                let to = from + stamps_ns[from..].partition_point(|&ts| ts + lag_ns < end_ns);
                Lane { stamps_ns, lag_ns, from, to }
            })
            .collect();
        let rows: usize = lanes.iter().map(|lane| lane.to - lane.from).sum();
        let too_many = rows > 2 * target && *step_ns > 1;
        let too_few =
            may_grow && rows < target / 2 && rows < room && end_ns < loaded.until_ns && *step_ns < STEP_NS_MAX;
        if too_many {
            may_grow = false;
            *step_ns = (u128::from(*step_ns) * target as u128 / rows as u128).max(1) as u64;
        } else if too_few {
            *step_ns = (*step_ns * 2).min(STEP_NS_MAX);
        } else {
            return Some(lanes);
        }
    }
}

//! Windows: whole instants of a session's next events, in order and as columns.

use crate::counts::Counts;
use crate::digest::{Digest, placed_hash};
use crate::event_hashes::row_hash;
use crate::key::Kind;
use crate::loaded::Loaded;
use crate::mark::Mark;
use crate::merge::{Lane, Order};
use crate::plan::{Planned, Sheet, planned};
use crate::room::Room;
pub use crate::tiles::Tiles;
use arrow_buffer::ScalarBuffer;
use std::sync::{Arc, OnceLock};

/// A window that was begun: which rows it is made of is known, their order is not.
#[derive(Debug)]
pub struct Job {
    pub(crate) loaded: Arc<Loaded>,
    pub(crate) starts: Vec<usize>,
    pub(crate) ends: Vec<usize>,
    pub(crate) place: u64,
    pub(crate) sheet: Sheet,
}

impl Job {
    /// How many rows it has.
    pub fn rows(&self) -> usize {
        self.starts.iter().zip(&self.ends).map(|(from, to)| to - from).sum()
    }

    /// Works the window out. It knows nothing of other windows: any thread may do it, at any time.
    pub fn done(self, tiles: &mut Tiles) -> Sketch {
        let Self { loaded, starts, ends, place, sheet } = self;
        let extents = starts.iter().zip(&ends);
        let lanes: Vec<Lane<'_>> =
            loaded.tapes.iter().zip(extents).map(|(tape, (&from, &to))| tape.lane(from, to)).collect();
        let planned = planned(&loaded, &lanes, place, sheet, tiles);
        Sketch { loaded, planned, place }
    }
}

/// A window that was worked out, but for what the windows before it tell.
#[derive(Debug)]
pub struct Sketch {
    loaded: Arc<Loaded>,
    planned: Planned,
    place: u64,
}

impl Sketch {
    pub(crate) fn window(self, before: Mark, digest_before: Digest, room: &mut Room) -> Window {
        let Self { loaded, planned, place } = self;
        let Planned { order, ts_ns, values, counts, digest, memory } = planned;
        room.keep(memory);
        let digest_after = digest_before.and(&[digest]);
        Window {
            loaded,
            order,
            ts_ns,
            values,
            counts,
            before,
            digest_before,
            digest_after,
            place,
            sums: OnceLock::new(),
        }
    }
}

/// The order of the next events of a session: whole instants only.
#[derive(Debug)]
pub struct Window {
    /// The session that the events belong to.
    pub loaded: Arc<Loaded>,
    /// Tape and row of each event, and when it is known.
    pub order: Order,
    /// The events' own stamps.
    pub ts_ns: ScalarBuffer<i64>,
    /// The events' numbers: column c holds number c of an event, whatever its kind, and 0 where it has none.
    pub values: Vec<ScalarBuffer<f64>>,
    /// Base bars of each event; `None` where each is a bar that came in as it is.
    pub counts: Option<Counts>,
    /// Where a consumer stands that has taken none of the window's events.
    pub before: Mark,
    digest_before: Digest,
    digest_after: Digest,
    place: u64,
    /// The digests after each event, for those who ask in the midst of a window.
    sums: OnceLock<Vec<Digest>>,
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
        match taken.checked_sub(1) {
            None => self.digest_before,
            Some(_) if taken == self.order.len() => self.digest_after,
            Some(last) => self.sums.get_or_init(|| self.running_digests())[last],
        }
    }

    fn running_digests(&self) -> Vec<Digest> {
        let rows = self.order.lanes.iter().zip(&*self.order.rows).zip(self.place..);
        let running = rows.scan(self.digest_before, |so_far, ((&lane, &row), place)| {
            let hash = row_hash(&self.loaded.tapes[lane as usize], row as usize);
            *so_far = so_far.and(&[placed_hash(place, hash)]);
            Some(*so_far)
        });
        running.collect()
    }

    /// The end of the instant that the event of a place belongs to: the place after its last event.
    pub fn instant_end(&self, event: usize) -> usize {
        let at_ns = &self.order.at_ns;
        event + at_ns[event..].iter().take_while(|&&at| at == at_ns[event]).count()
    }
}

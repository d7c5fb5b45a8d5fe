//! The hashes of events for the digest: rows of a tape, or events of one kind, follow each other without a branch.

use crate::digest::{event_hash, finite_word, known_hash, pair_hash, placed_hash, price_word, size_word, stamp_hash};
use crate::key::Kind;
use crate::loaded::LoadedTape;
use std::ops::Range;

/// One base bar of one: the counts of a bar that was fed.
const FED: u64 = 1 << 32 | 1;

/// Events of one kind in their order, from tapes whose rows are known a fixed time after their stamps.
pub(crate) struct Events<'a> {
    pub(crate) lanes: &'a [u32],
    pub(crate) at_ns: &'a [i64],
    pub(crate) ts_ns: &'a [i64],
    pub(crate) values: Vec<&'a [f64]>,
}

impl Events<'_> {
    /// The sum of their placed hashes. `tapes`: the hash of each tape's key. `first`: the place of the first one.
    pub(crate) fn digest(&self, kind: Kind, tapes: &[u64], first: u64) -> u64 {
        let counts = if kind == Kind::Bar { FED } else { 0 };
        let numbers = self.values.as_slice();
        match (kind, numbers) {
            (Kind::Bar, &[open, high, low, close, volume, ..]) => self.sum(tapes, first, counts, |place| {
                bar_numbers(open[place], high[place], low[place], close[place], volume[place])
            }),
            (Kind::Quote, &[bid, ask, bid_size, ask_size, ..]) => self.sum(tapes, first, counts, |place| {
                quote_numbers(bid[place], ask[place], bid_size[place], ask_size[place])
            }),
            (Kind::Trade, &[price, size, ..]) => {
                self.sum(tapes, first, counts, |place| trade_numbers(price[place], size[place]))
            }
            _ => self.sum(tapes, first, counts, |_| 0),
        }
    }

    fn sum(&self, tapes: &[u64], first: u64, counts: u64, numbers: impl Fn(usize) -> u64) -> u64 {
        let len = self.lanes.len();
        let (at_ns, ts_ns) = (&self.at_ns[..len], &self.ts_ns[..len]);
        let mut sum = 0_u64;
        // Many events are known at one time.
        let (mut last_ns, mut known) = (0, known_hash(0, counts));
        for (place, &lane) in self.lanes.iter().enumerate() {
            if at_ns[place] != last_ns {
                last_ns = at_ns[place];
                known = known_hash(last_ns, counts);
            }
            let key = stamp_hash(tapes[lane as usize], ts_ns[place]).wrapping_add(known);
            sum = sum.wrapping_add(placed_hash(first.wrapping_add(place as u64), key.wrapping_add(numbers(place))));
        }
        sum
    }
}

fn bar_numbers(open: f64, high: f64, low: f64, close: f64, volume: f64) -> u64 {
    pair_hash(0, finite_word(open), finite_word(high))
        .wrapping_add(pair_hash(1, finite_word(low), finite_word(close)))
        .wrapping_add(pair_hash(2, size_word(volume), 0))
}

fn quote_numbers(bid: f64, ask: f64, bid_size: f64, ask_size: f64) -> u64 {
    let prices = pair_hash(0, price_word(bid), price_word(ask));
    prices.wrapping_add(pair_hash(1, size_word(bid_size), size_word(ask_size)))
}

fn trade_numbers(price: f64, size: f64) -> u64 {
    pair_hash(0, finite_word(price), size_word(size))
}

/// Calls `each` with the place of each of a tape's rows among `rows` and its hash.
pub(crate) fn row_hashes(tape: &LoadedTape, rows: Range<usize>, each: impl FnMut(usize, u64)) {
    let lag_ns = tape.lag_ns;
    let fed = if tape.key.kind == Kind::Bar { FED } else { 0 };
    match (&tape.available, &tape.counts) {
        (None, None) => of_rows(tape, rows, each, |_, ts_ns| (ts_ns.wrapping_add(lag_ns), fed)),
        (_, counts) => of_rows(tape, rows, each, |row, _| {
            let counts = counts.as_ref().map_or(fed, |counts| {
                u64::from(counts.present[row] + counts.filled[row]) << 32 | u64::from(counts.expected[row])
            });
            (tape.available_ns(row), counts)
        }),
    }
}

/// `known` tells of a row and its stamp when it is known, and its counts: base bars present or filled, and expected.
fn of_rows(
    tape: &LoadedTape,
    rows: Range<usize>,
    mut each: impl FnMut(usize, u64),
    known: impl Fn(usize, i64) -> (i64, u64),
) {
    let (from, len) = (rows.start, rows.len());
    let stamps = &tape.rows.ts_ns[rows.clone()];
    let key = |place: usize| {
        let ts_ns = stamps[place];
        let (at_ns, counts) = known(from + place, ts_ns);
        event_hash(tape.hash(), ts_ns, at_ns, counts)
    };
    // A slice of the very length of the loop needs no check at each row.
    let column = |number: usize| &tape.rows.values[number][rows.clone()][..len];
    match tape.key.kind {
        Kind::Bar => {
            let [open, high, low, close, volume] = [0, 1, 2, 3, 4].map(column);
            for place in 0..len {
                let numbers = bar_numbers(open[place], high[place], low[place], close[place], volume[place]);
                each(place, key(place).wrapping_add(numbers));
            }
        }
        Kind::Quote => {
            let [bid, ask, bid_size, ask_size] = [0, 1, 2, 3].map(column);
            for place in 0..len {
                let numbers = quote_numbers(bid[place], ask[place], bid_size[place], ask_size[place]);
                each(place, key(place).wrapping_add(numbers));
            }
        }
        Kind::Trade => {
            let [price, size] = [0, 1].map(column);
            for place in 0..len {
                each(place, key(place).wrapping_add(trade_numbers(price[place], size[place])));
            }
        }
        Kind::SessionClose | Kind::SessionOpen => (0..len).for_each(|place| each(place, key(place))),
    }
}

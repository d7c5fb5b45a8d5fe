//! The columns of a window: which row comes when, and its numbers beside it, so that a later reader of an event finds all
//! of it in a few places. One pass over the rows of its tapes: order, numbers, and their part of the digest.

use crate::buckets::by_buckets;
use crate::counts::Counts;
use crate::loaded::{Loaded, LoadedTape};
use crate::merge::{Lane, Order, Places};
use crate::room::{Column, Room};
use crate::tiles::Tiles;
use arrow_buffer::{Buffer, ScalarBuffer};

/// The columns of events in their order.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) order: Order,
    pub(crate) ts_ns: ScalarBuffer<i64>,
    pub(crate) values: Vec<ScalarBuffer<f64>>,
    pub(crate) counts: Option<Counts>,
    /// The sum of the events' placed hashes.
    pub(crate) digest: u64,
    /// The memory that all of it lies in.
    pub(crate) memory: Vec<Buffer>,
}

/// Memory that the columns of a window are written to.
#[derive(Debug)]
pub(crate) struct Sheet {
    lanes: Column,
    rows: Column,
    at_ns: Column,
    /// None where all rows are known at their stamps.
    ts_ns: Option<Column>,
    values: Vec<Column>,
    /// None where all bars came in as they are.
    counts: Option<[Column; 3]>,
}

impl Sheet {
    pub(crate) fn new(loaded: &Loaded, lanes: &[Lane<'_>], room: &mut Room) -> Self {
        let rows = lanes.iter().map(Lane::rows).sum();
        let known_at_once =
            |(tape, lane): (&LoadedTape, &Lane<'_>)| lane.rows() == 0 || (tape.available.is_none() && tape.lag_ns == 0);
        let stamps_are_times = loaded.tapes.iter().zip(lanes).all(known_at_once);
        let is_counted = loaded.tapes.iter().any(LoadedTape::is_counted);
        let widest = loaded.tapes.iter().map(|tape| tape.rows.values.len()).max().unwrap_or(0);
        Self {
            lanes: room.column::<u32>(rows),
            rows: room.column::<u32>(rows),
            at_ns: room.column::<i64>(rows),
            ts_ns: (!stamps_are_times).then(|| room.column::<i64>(rows)),
            values: (0..widest).map(|_| room.column::<f64>(rows)).collect(),
            counts: is_counted.then(|| [(); 3].map(|()| room.column::<u32>(rows))),
        }
    }

    fn page(&mut self) -> Page<'_> {
        Page {
            lanes: self.lanes.values(),
            rows: self.rows.values(),
            at_ns: self.at_ns.values(),
            ts_ns: self.ts_ns.as_mut().map(Column::values),
            values: self.values.iter_mut().map(Column::values).collect(),
            counts: self.counts.as_mut().map(|counts| counts.each_mut().map(Column::values)),
        }
    }

    fn done(self, digest: u64) -> Planned {
        let mut memory = Vec::with_capacity(7 + self.values.len());
        let at_ns: ScalarBuffer<i64> = self.at_ns.done(&mut memory);
        let ts_ns = self.ts_ns.map_or_else(|| at_ns.clone(), |column| column.done(&mut memory));
        let order = Order { lanes: self.lanes.done(&mut memory), rows: self.rows.done(&mut memory), at_ns };
        let values = self.values.into_iter().map(|column| column.done(&mut memory)).collect();
        let counts = self.counts.map(|counts| {
            let [present, expected, filled] = counts.map(|column| column.done(&mut memory));
            Counts { present, expected, filled }
        });
        Planned { order, ts_ns, values, counts, digest, memory }
    }
}

/// Where the columns of events are written to.
pub(crate) struct Page<'a> {
    pub(crate) lanes: &'a mut [u32],
    pub(crate) rows: &'a mut [u32],
    pub(crate) at_ns: &'a mut [i64],
    pub(crate) ts_ns: Option<&'a mut [i64]>,
    pub(crate) values: Vec<&'a mut [f64]>,
    pub(crate) counts: Option<[&'a mut [u32]; 3]>,
}

/// The columns of the lanes' rows. `place` is that of the first event in the replay. The lanes are those of all tapes.
pub(crate) fn planned(loaded: &Loaded, lanes: &[Lane<'_>], place: u64, mut sheet: Sheet, tiles: &mut Tiles) -> Planned {
    let mut page = sheet.page();
    let tapes = &loaded.tapes;
    let digest = if tiles.are_on_grid(lanes) {
        tiles.write_grid(tapes, lanes, &mut page, place)
    } else {
        by_buckets(lanes, Places { lanes: page.lanes, rows: page.rows, at_ns: page.at_ns });
        tiles.write_ordered(tapes, lanes, &mut page, place)
    };
    sheet.done(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Checked, OnBadRows};
    use crate::digest::placed_hash;
    use crate::event_hashes::row_hash;
    use crate::fills::fill;
    use crate::key::Kind;
    use crate::loaded::Hours;
    use crate::loaded::tests::{MINUTE, loaded, tapes};
    use crate::merge::merge;
    use crate::span::Span;
    use crate::tapes::Tape;
    use crate::tiles::TILE_ROWS;
    use proptest::prelude::*;

    fn lanes(loaded: &Loaded) -> Vec<Lane<'_>> {
        loaded.tapes.iter().map(|tape| tape.lane(0, tape.rows.len())).collect()
    }

    fn check(loaded: &Loaded) -> Result<(), TestCaseError> {
        let (lanes, mut room) = (lanes(loaded), Room::default());
        // What was in the memory before must not be seen.
        let rows = lanes.iter().map(Lane::rows).sum();
        let mut used: Vec<Column> = (0..9).map(|_| room.column::<i64>(rows)).collect();
        for column in &mut used {
            column.values::<i64>().fill(77);
        }
        let mut memory = Vec::new();
        for column in used {
            drop(column.done::<i64>(&mut memory));
        }
        room.keep(memory);
        let mut used = Tiles::default();
        let (order, all) = (
            merge(&lanes, &mut Room::default()),
            planned(loaded, &lanes, 7, Sheet::new(loaded, &lanes, &mut room), &mut used),
        );
        prop_assert_eq!(&all.order, &order);
        let mut digest = 0_u64;
        for event in 0..order.len() {
            let (tape, row) = (&loaded.tapes[order.lanes[event] as usize], order.rows[event] as usize);
            prop_assert_eq!(all.ts_ns[event], tape.rows.ts_ns[row]);
            for (number, column) in all.values.iter().enumerate() {
                prop_assert_eq!(column[event], tape.rows.values.get(number).map_or(0.0, |own| own[row]));
            }
            if let Some(counts) = &all.counts {
                prop_assert_eq!(counts.columns().map(|column| column[event]), base_bars(tape, row));
            }
            digest = digest.wrapping_add(placed_hash(7 + event as u64, row_hash(tape, row)));
        }
        prop_assert_eq!(all.digest, digest);
        let is_counted = |tape: &LoadedTape| tape.counts.is_some() || tape.rows.filled.is_some();
        prop_assert_eq!(all.counts.is_some(), loaded.tapes.iter().any(is_counted));
        Ok(())
    }

    fn base_bars(tape: &LoadedTape, row: usize) -> [u32; 3] {
        let fed = [u32::from(!tape.rows.is_filled(row)), 1, u32::from(tape.rows.is_filled(row))];
        tape.counts.as_ref().map_or(fed, |own| [own.present[row], own.expected[row], own.filled[row]])
    }

    #[test]
    fn many_tapes_stand_beside_their_numbers_too() -> Result<(), TestCaseError> {
        let minutes = |tape: i64| (5..25).filter(move |minute| (minute * 7 + tape) % 11 > 0).collect::<Vec<_>>();
        let names: Vec<String> = (0..2_000).map(|tape| format!("S{tape:04}")).collect();
        let stamps: Vec<Vec<i64>> = (0..2_000).map(minutes).collect();
        let bars: Vec<(Kind, &str, &[i64])> =
            names.iter().zip(&stamps).map(|(name, stamps)| (Kind::Bar, name.as_str(), stamps.as_slice())).collect();
        let day = loaded(&tapes(&bars), Hours::Regular, &[5 * MINUTE]);
        assert!(lanes(&day).iter().map(Lane::rows).sum::<usize>() > TILE_ROWS, "one tile is not enough");
        check(&day)
    }

    #[test]
    fn one_tape_alone_stands_beside_its_numbers_too() -> Result<(), TestCaseError> {
        let many = |from: i64, to: i64| (from * 40..to * 40).map(|row| row / 40).collect::<Vec<_>>();
        let (early, late) = (many(10, 14), many(14, 20));
        check(&loaded(&tapes(&[(Kind::Trade, "A", &late)]), Hours::Regular, &[]))?;
        let two = tapes(&[(Kind::Trade, "A", &late), (Kind::Trade, "B", &early), (Kind::Bar, "B", &[10, 11])]);
        check(&loaded(&two, Hours::Regular, &[]))
    }

    #[test]
    fn bars_that_were_filled_in_are_told_from_those_that_came_in() -> Result<(), TestCaseError> {
        let mut tapes = tapes(&[(Kind::Bar, "A", &[12, 14, 16]), (Kind::Trade, "A", &[13, 15])]);
        let others = crate::loaded::tests::tapes(&[(Kind::Bar, "A", &[13, 15])]);
        let (key, Tape { rows, .. }) = others.joined(OnBadRows::Raise).expect("one").pop_first().expect("one");
        let missing = Span::new(12 * MINUTE, 17 * MINUTE).expect("ascending");
        let found = fill(&mut tapes, &key, &"second".into(), &Checked::good(rows), &[missing], None);
        prop_assert_eq!(found.filled, 2);
        check(&loaded(&tapes, Hours::Regular, &[5 * MINUTE]))?;
        check(&loaded(&tapes, Hours::Regular, &[]))
    }

    proptest! {
        #[test]
        fn events_stand_beside_the_numbers_of_their_rows(
            a in prop::collection::btree_set(5..25_i64, 0..20), b in prop::collection::btree_set(5..25_i64, 0..20),
            trades in prop::collection::vec(5..25_i64, 0..30)
        ) {
            let (a, b): (Vec<i64>, Vec<i64>) = (a.into_iter().collect(), b.into_iter().collect());
            let mut trades = trades;
            trades.sort_unstable();
            let bars = [(Kind::Bar, "A", &*a), (Kind::Bar, "B", &*b)];
            check(&loaded(&tapes(&bars), Hours::Regular, &[5 * MINUTE]))?;
            check(&loaded(&tapes(&[bars[0], (Kind::Trade, "A", &trades)]), Hours::Regular, &[]))?;
            check(&loaded(&tapes(&[(Kind::Quote, "A", &a), (Kind::Trade, "A", &trades)]), Hours::Regular, &[]))?;
        }
    }
}

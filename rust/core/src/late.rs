//! Fills that come late: known at the instant at which they were asked for, after the bars that follow them. The bars
//! that were derived without them are delivered again, as revisions (C5, C6).

use crate::batch_kernels::bar_slices;
use crate::derive::derive;
use crate::key::{Kind, TapeKey};
use crate::ledger::Tally;
use crate::loaded::{Counts, LoadedTape, Part};
use crate::rows::Rows;
use crate::session::Session;
use crate::span::Span;
use std::collections::{BTreeMap, BTreeSet};

/// Bars that were missing, and when they are known.
#[derive(Debug, Clone)]
pub struct LateFill {
    /// The instant at which they were asked for.
    pub at_ns: i64,
    /// The bars, ascending by stamp.
    pub rows: Rows,
}

/// The late fills of a base tape as a tape beside it, in the order in which they are known.
pub(crate) fn filled_tape(key: TapeKey, mut fills: Vec<&LateFill>, range: Span) -> LoadedTape {
    fills.sort_by_key(|fill| fill.at_ns);
    let own = |fill: &&LateFill| fill.rows.slice(crate::span::rows_within(&fill.rows.ts_ns, range));
    let parts: Vec<Rows> = fills.iter().map(own).collect();
    let at_ns: Vec<i64> = fills.iter().zip(&parts).flat_map(|(fill, part)| vec![fill.at_ns; part.len()]).collect();
    let counts = vec![(0, 1, 1, 0); at_ns.len()];
    beside(key, Part::Filled, Rows::concat(Kind::Bar, &parts), at_ns, &counts)
}

/// A base tape's rows, and those late fills that pass `is_in` (their stamp, and when they are known), by stamp.
pub(crate) fn with_late(base: &Rows, late: &LoadedTape, is_in: impl Fn(i64, i64) -> bool) -> Rows {
    let chosen = (0..late.rows.len()).filter(|&row| is_in(late.rows.ts_ns[row], late.available_ns(row)));
    let chosen: Vec<usize> = chosen.collect();
    if chosen.is_empty() {
        return base.clone();
    }
    let rows = Rows::concat(Kind::Bar, &[base.clone(), late.rows.take(&chosen).marked_filled()]);
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|&row| rows.ts_ns[row]);
    rows.take(&order)
}

/// The window of `interval_ns` that a stamp lies in: anchored at the open of its span and cut at its close.
pub(crate) fn window_of(session: &Session, interval_ns: i64, ts_ns: i64) -> Option<Span> {
    let span = session.spans().iter().find(|span| span.contains(ts_ns))?;
    let start_ns = ts_ns - (ts_ns - span.start_ns()) % interval_ns;
    Span::new(start_ns, start_ns.saturating_add(interval_ns).min(span.end_ns())).ok()
}

/// The bars of a derived interval that late fills change after their window has ended, as a tape beside the derived one.
pub(crate) fn revised_tape(session: &Session, base: &LoadedTape, late: &LoadedTape, key: TapeKey) -> LoadedTape {
    let (base_ns, mut rows, mut at_ns, mut counts) = (base.key.interval_ns, Vec::new(), Vec::new(), Vec::new());
    let mut versions: BTreeMap<i64, u32> = BTreeMap::new();
    for (known_ns, window) in revisions(session, late, key.interval_ns) {
        let before = base.rows.slice(crate::span::rows_within(&base.rows.ts_ns, window));
        let known = |until_ns: i64| with_late(&before, late, |ts, at| window.contains(ts) && at <= until_ns);
        let bars = known(known_ns);
        let derived = derive(bar_slices(&bars), bars.filled.as_deref(), &[window], base_ns, key.interval_ns);
        let first = || u32::from(!known(window.end_ns()).is_empty());
        let version = versions.entry(window.start_ns()).or_insert_with(first);
        counts.push((derived.n_present[0], derived.n_expected[0], derived.n_filled[0], *version));
        *version += 1;
        at_ns.push(known_ns);
        let values = [derived.open, derived.high, derived.low, derived.close, derived.volume]
            .into_iter()
            .map(Into::into)
            .collect();
        rows.push(Rows::new(Kind::Bar, vec![window.start_ns()].into(), values));
    }
    beside(key, Part::Revised, Rows::concat(Kind::Bar, &rows), at_ns, &counts)
}

/// When which windows change: at each late fill that is known only after its window has ended.
fn revisions(session: &Session, late: &LoadedTape, interval_ns: i64) -> BTreeSet<(i64, Span)> {
    let changed = |row: usize| {
        let window = window_of(session, interval_ns, late.rows.ts_ns[row])?;
        (late.available_ns(row) > window.end_ns()).then_some((late.available_ns(row), window))
    };
    (0..late.rows.len()).filter_map(changed).collect()
}

/// A tape beside the one of its key. `counts`: base bars present, expected and filled, and the revision of each row.
pub(crate) fn beside(
    key: TapeKey,
    part: Part,
    rows: Rows,
    at_ns: Vec<i64>,
    counts: &[(u32, u32, u32, u32)],
) -> LoadedTape {
    let regular = std::iter::once(0..rows.len()).collect();
    let mut tape = LoadedTape::new(key, rows, 0, regular, Tally::default()).of_part(part);
    tape.available = Some(at_ns.into());
    tape.counts = Some(Counts {
        present: counts.iter().map(|counts| counts.0).collect(),
        expected: counts.iter().map(|counts| counts.1).collect(),
        filled: counts.iter().map(|counts| counts.2).collect(),
    });
    tape.revisions = Some(counts.iter().map(|counts| counts.3).collect());
    tape
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MINUTE: i64 = 60;

    fn session() -> Session {
        let span = |from: i64, to: i64| Span::new(from * MINUTE, to * MINUTE).expect("valid");
        Session::new("day".into(), vec![span(0, 13), span(20, 31)], span(-50, 90), 0, false).expect("valid")
    }

    fn key(minutes: i64) -> TapeKey {
        TapeKey { kind: Kind::Bar, interval_ns: minutes * MINUTE, symbol: "IBM".into() }
    }

    /// Bars of some minutes; prices follow from the minute.
    fn bars(minutes: &[i64]) -> Rows {
        let column = |number: i64| minutes.iter().map(|minute| (minute * 7 % 11 + number) as f64).collect();
        let ts_ns = minutes.iter().map(|minute| minute * MINUTE).collect();
        Rows::new(Kind::Bar, ts_ns, (0..5).map(column).collect())
    }

    fn base(minutes: &[i64]) -> LoadedTape {
        let all = std::iter::once(0..minutes.len()).collect();
        LoadedTape::new(key(1), bars(minutes), MINUTE, all, Tally::default())
    }

    fn late(fills: &[(i64, Vec<i64>)]) -> LoadedTape {
        let fills: Vec<LateFill> =
            fills.iter().map(|(at, minutes)| LateFill { at_ns: at * MINUTE, rows: bars(minutes) }).collect();
        filled_tape(key(1), fills.iter().collect(), session().range())
    }

    type Version = (i64, i64, u32, u32, u32, f64);

    fn versions(tape: &LoadedTape) -> Vec<Version> {
        let counts = tape.counts.as_ref().expect("it has counts");
        let revisions = tape.revisions.as_ref().expect("it has revisions");
        let version = |row: usize| {
            let (at, ts) = (tape.available_ns(row) / MINUTE, tape.rows.ts_ns[row] / MINUTE);
            (at, ts, revisions[row], counts.present[row], counts.filled[row], tape.rows.values[4][row])
        };
        (0..tape.rows.len()).map(version).collect()
    }

    #[test]
    fn a_bar_is_made_again_when_a_minute_of_it_is_filled_in_after_its_end() {
        let (base, late) = (base(&[0, 2, 3, 4, 5]), late(&[(7, vec![1, 6]), (9, vec![8])]));
        let again = versions(&revised_tape(&session(), &base, &late, key(5)));
        let volume = |minutes: &[i64]| minutes.iter().map(|minute| (minute * 7 % 11 + 4) as f64).sum::<f64>();
        assert_eq!(again, [(7, 0, 1, 4, 1, volume(&[0, 1, 2, 3, 4]))]);
    }

    #[test]
    fn a_window_without_any_bar_comes_for_the_first_time_with_revision_0() {
        let again = versions(&revised_tape(&session(), &base(&[]), &late(&[(6, vec![1]), (12, vec![3])]), key(5)));
        assert_eq!(again.iter().map(|version| (version.0, version.2)).collect::<Vec<_>>(), [(6, 0), (12, 1)]);
    }

    /// Every window at every minute: what it is made from then, told where that is something new.
    fn slow(fed: &[i64], fills: &[(i64, i64)], minutes: i64) -> Vec<Version> {
        let mut found = Vec::new();
        for at in 0..90 {
            for (open, close) in [(0, 13), (20, 31)] {
                for start in (open..close).step_by(minutes as usize) {
                    let end = (start + minutes).min(close);
                    let known = |until: i64| -> Vec<(i64, u32)> {
                        let fed = fed.iter().map(|&minute| (minute, 0));
                        let fills = fills.iter().filter(|fill| fill.0 <= until).map(|fill| (fill.1, 1));
                        let mut known: Vec<_> = fed.chain(fills).filter(|one| start <= one.0 && one.0 < end).collect();
                        known.sort_unstable();
                        known
                    };
                    if at <= end || known(at) == known(at - 1) {
                        continue;
                    }
                    let changes = (end + 1..at).filter(|&at| known(at) != known(at - 1)).count() as u32;
                    let (first, now) = (u32::from(!known(end).is_empty()), known(at));
                    let filled = now.iter().map(|one| one.1).sum::<u32>();
                    let volume = now.iter().map(|one| (one.0 * 7 % 11 + 4) as f64).sum();
                    found.push((at, start, first + changes, now.len() as u32 - filled, filled, volume));
                }
            }
        }
        found
    }

    proptest! {
        #[test]
        fn revisions_agree_with_a_look_at_every_window_at_every_minute(
            there in prop::collection::vec(0_u8..3, 31),
            waits in prop::collection::vec(1_i64..30, 31),
            minutes in 2_i64..9,
        ) {
            let open = |minute: &i64| *minute < 13 || *minute >= 20;
            let of = |what: u8| (0..31).filter(open).filter(move |&minute| there[minute as usize] == what);
            let of = |what| of.clone()(what).collect::<Vec<i64>>();
            let fed = of(0);
            let mut fills: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
            for minute in of(1) {
                fills.entry(minute + 1 + waits[minute as usize]).or_default().push(minute);
            }
            let fills: Vec<(i64, Vec<i64>)> = fills.into_iter().collect();
            let flat: Vec<(i64, i64)> =
                fills.iter().flat_map(|(at, minutes)| minutes.iter().map(move |&minute| (*at, minute))).collect();
            let again = revised_tape(&session(), &base(&fed), &late(&fills), key(minutes));
            prop_assert_eq!(versions(&again), slow(&fed, &flat, minutes));
        }
    }
}

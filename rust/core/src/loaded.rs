//! One session, ready to play: its tapes within trading hours, in the order of C1, derived bars included.

use crate::check::{Dropped, OnBadRows, Why};
use crate::derived_tapes::made_from_bases;
use crate::digest::bytes_hash;
use crate::error::Result;
use crate::gaps::gaps_between;
use crate::key::{Kind, TapeKey};
use crate::label::{LabelEvidence, label_evidence};
use crate::ledger::Tally;
use crate::rows::Rows;
use crate::runs::Runs;
use crate::session::Session;
use crate::span::Span;
use crate::tapes::{Tape, Tapes};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

pub use crate::counts::Counts;
pub use crate::loaded_tape::{LoadedTape, Part};

/// Which rows of a session are delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hours {
    /// Those within trading hours and grace.
    Regular,
    /// All; those outside are marked.
    All,
}

/// How a session is to be made ready.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which rows are delivered.
    pub hours: Hours,
    /// Intervals of the bars to derive.
    pub derived_ns: Vec<i64>,
    /// How much of a gap is bridged with flat bars, in nanoseconds; 0 for none.
    pub flat_ns: i64,
    /// Whether missing bars may be filled in while the session plays: then there are tapes for them, empty or not.
    pub late_fills: bool,
    /// What a conflict between pieces of one tape does.
    pub on_bad: OnBadRows,
    /// Events known before this are catch-up.
    pub catch_up_until_ns: i64,
    /// Events known at this or later are not delivered.
    pub until_ns: i64,
}

/// Where a symbol's tapes stand among the session's.
#[derive(Debug, Default)]
pub struct SymbolTapes {
    /// Its bar tapes, fed and derived, by interval.
    pub bars: BTreeMap<i64, usize>,
    /// Tapes beside these, by interval: fills and revisions that came late, flat bars.
    pub beside: BTreeMap<i64, Vec<usize>>,
    /// Its finest fed bar tape.
    pub base: Option<usize>,
    /// Its quotes.
    pub quotes: Option<usize>,
    /// Its trades.
    pub trades: Option<usize>,
    /// The quote that stood when trading opened: its stamp and its numbers.
    pub quote_before: Option<(i64, [f64; 4])>,
}

impl SymbolTapes {
    /// Adds a tape. The finer bars come first.
    fn add(&mut self, index: usize, tape: &LoadedTape) {
        match tape.key.kind {
            Kind::Bar if tape.part > Part::Derived => {
                self.beside.entry(tape.key.interval_ns).or_default().push(index);
            }
            Kind::Bar => {
                self.bars.insert(tape.key.interval_ns, index);
                if tape.part == Part::Fed {
                    self.base.get_or_insert(index);
                }
            }
            Kind::Quote => self.quotes = Some(index),
            Kind::Trade => self.trades = Some(index),
            Kind::SessionClose | Kind::SessionOpen => {}
        }
    }

    /// The base bars that were filled in while the session was played.
    pub fn late_fills(&self, loaded: &Loaded) -> Option<usize> {
        let interval_ns = loaded.tapes[self.base?].key.interval_ns;
        self.beside.get(&interval_ns)?.iter().copied().find(|&tape| loaded.tapes[tape].part == Part::Filled)
    }
}

/// One session, ready to play.
#[derive(Debug)]
pub struct Loaded {
    /// The trading day.
    pub session: Session,
    /// Which rows are delivered.
    pub hours: Hours,
    /// Events known before this are catch-up.
    pub catch_up_until_ns: i64,
    /// Events known at this or later are not delivered.
    pub until_ns: i64,
    /// All tapes in the order of C1, session close and open among them.
    pub tapes: Vec<LoadedTape>,
    /// Tapes by symbol, in the order of symbols.
    pub symbols: BTreeMap<Arc<str>, SymbolTapes>,
    /// Rows that were left out, by tape.
    pub dropped: Vec<(TapeKey, Vec<Dropped>)>,
    /// What the stamps of each bar tape say about their label.
    pub labels: Vec<LabelSeen>,
}

/// What the stamps of a session's bars say about their label.
#[derive(Debug, Clone)]
pub struct LabelSeen {
    /// The tape.
    pub tape: TapeKey,
    /// Its first stamp in the session's range.
    pub first_ns: i64,
    /// Its last stamp in the session's range.
    pub last_ns: i64,
    /// Which way they are shifted.
    pub evidence: LabelEvidence,
}

impl Loaded {
    /// Makes a session ready from the rows that belong to its range; others are passed over.
    ///
    /// # Errors
    /// A conflict between the pieces of one tape; `Error::IntervalNotMultiple` and `Error::TapeTwice` where a
    /// derived interval does not fit.
    pub fn new(session: Session, tapes: &Tapes, settings: &Settings) -> Result<Self> {
        let mut ready: Vec<LoadedTape> = Vec::new();
        let mut dropped = Vec::new();
        let mut quotes_before = BTreeMap::new();
        let mut labels = Vec::new();
        let mut runs = Runs::default();
        for (key, tape) in tapes.joined_within(session.range(), settings.on_bad)? {
            if key.kind == Kind::Quote {
                quotes_before.insert(Arc::clone(&key.symbol), quote_before(&tape.rows, session.open_ns()));
            }
            labels.extend(label_seen(&session, &key, &tape.rows));
            let (mut tape, left_out) = within_hours(&session, key.clone(), tape, settings.hours);
            if key.kind == Kind::Bar {
                // Here the stamps are still near.
                runs.find(&tape.rows.ts_ns, session.spans(), key.interval_ns);
                tape.gaps = gaps_between(&runs, session.spans(), key.interval_ns);
                if !settings.derived_ns.is_empty() {
                    tape.runs = runs.clone();
                }
            }
            ready.push(tape);
            if !left_out.is_empty() {
                dropped.push((key, left_out));
            }
        }
        let made = made_from_bases(&session, &ready, tapes, settings)?;
        ready.extend(made);
        ready.push(boundary(&session, Kind::SessionOpen, session.open_ns()));
        ready.push(boundary(&session, Kind::SessionClose, session.closing_ns()));
        ready.sort_by(|a, b| (&a.key, a.part).cmp(&(&b.key, b.part)));
        let symbols = by_symbol(&ready, &mut quotes_before);
        let (catch_up_until_ns, until_ns) = (settings.catch_up_until_ns, settings.until_ns);
        Ok(Self { session, hours: settings.hours, catch_up_until_ns, until_ns, tapes: ready, symbols, dropped, labels })
    }

    /// All rows of some tapes as one stretch of time without hours and without session open and close.
    ///
    /// # Errors
    /// A conflict between the pieces of one tape.
    pub fn unbounded(tapes: &Tapes, on_bad: OnBadRows) -> Result<Self> {
        let always = Span::new(i64::MIN, i64::MAX)?;
        let session = Session::new("all".into(), vec![always], always, 0, false)?;
        let mut ready: Vec<LoadedTape> = Vec::new();
        let mut dropped = Vec::new();
        for (key, tape) in tapes.joined(on_bad)? {
            let (tape, left_out) = within_hours(&session, key.clone(), tape, Hours::All);
            ready.push(tape);
            dropped.push((key, left_out));
        }
        let symbols = by_symbol(&ready, &mut BTreeMap::new());
        Ok(Self {
            session,
            hours: Hours::Regular,
            catch_up_until_ns: i64::MIN,
            until_ns: i64::MAX,
            tapes: ready,
            symbols,
            dropped,
            labels: Vec::new(),
        })
    }

    /// The memory of the session's columns.
    pub fn bytes(&self) -> usize {
        self.tapes.iter().map(|tape| tape.rows.bytes()).sum()
    }
}

fn quote_before(rows: &Rows, open_ns: i64) -> Option<(i64, [f64; 4])> {
    let row = rows.ts_ns.partition_point(|&ts| ts < open_ns).checked_sub(1)?;
    Some((rows.ts_ns[row], [0, 1, 2, 3].map(|column| rows.values[column][row])))
}

fn label_seen(session: &Session, key: &TapeKey, rows: &Rows) -> Option<LabelSeen> {
    let (&first_ns, &last_ns) = (rows.ts_ns.first()?, rows.ts_ns.last()?);
    let evidence = |()| label_evidence(&rows.ts_ns, session.range(), session.spans(), key.interval_ns);
    let evidence = (key.kind == Kind::Bar).then_some(()).map(evidence)?;
    Some(LabelSeen { tape: key.clone(), first_ns, last_ns, evidence })
}

/// A tape's deliverable rows, and the rows that were left out before.
fn within_hours(session: &Session, key: TapeKey, tape: Tape, hours: Hours) -> (LoadedTape, Vec<Dropped>) {
    let rows_in = tape.rows_in() - tape.rows.filled_before(tape.rows.len());
    let Tape { rows, dropped } = tape;
    let regular = session.regular_rows(&rows.ts_ns, key.interval_ns);
    let n_regular: usize = regular.iter().map(Range::len).sum();
    let mut tally = Tally { rows_in, ..Tally::default() };
    for row in &dropped {
        match row.why {
            Why::Duplicate => tally.duplicate += 1,
            Why::Stale => tally.stale += 1,
            Why::Bad(_) => tally.rejected += 1,
        }
    }
    let (rows, regular, out_of_hours) = match hours {
        Hours::All => (rows, regular, 0),
        Hours::Regular if n_regular == rows.len() => (rows, std::iter::once(0..n_regular).collect(), 0),
        Hours::Regular => (rows.select(&regular), std::iter::once(0..n_regular).collect(), rows.len() - n_regular),
    };
    tally.out_of_hours = out_of_hours as u64;
    tally.negative_prices = negative_prices(&rows);
    let lag_ns = key.interval_ns;
    (LoadedTape::new(key, rows, lag_ns, regular, tally), dropped)
}

fn negative_prices(rows: &Rows) -> u64 {
    let prices = || rows.values.iter().take(rows.kind.prices());
    let none = |column: &[f64]| column.iter().fold(true, |ok, &price| ok & (price >= 0.0 || price.is_nan()));
    if !rows.signed || prices().all(none) {
        return 0;
    }
    (0..rows.len()).filter(|&row| prices().any(|column| column[row] < 0.0)).count() as u64
}

fn boundary(session: &Session, kind: Kind, at_ns: i64) -> LoadedTape {
    let key = TapeKey { kind, interval_ns: 0, symbol: "".into() };
    let rows = Rows { ts_ns: vec![at_ns].into(), ..Rows::empty(kind) };
    let tape = LoadedTape::new(key, rows, 0, std::iter::once(0..1).collect(), Tally::default());
    tape.rehashed(bytes_hash(session.label().bytes()))
}

/// The tapes of each symbol. They stand in the order of their keys.
fn by_symbol(
    tapes: &[LoadedTape],
    quotes_before: &mut BTreeMap<Arc<str>, Option<(i64, [f64; 4])>>,
) -> BTreeMap<Arc<str>, SymbolTapes> {
    let rows = tapes.iter().enumerate().filter(|(_, tape)| Kind::ROWS.contains(&tape.key.kind));
    let mut rows: Vec<(usize, &LoadedTape)> = rows.collect();
    // Tapes of one kind and interval are in the order of symbols: a sort that sees such runs compares few of the names.
    rows.sort_by(|(_, one), (_, other)| one.key.symbol.cmp(&other.key.symbol));
    let same = rows.chunk_by(|(_, one), (_, other)| one.key.symbol == other.key.symbol);
    let symbols = same.map(|own| {
        let symbol = &own[0].1.key.symbol;
        let mut found = SymbolTapes { quote_before: quotes_before.remove(symbol).flatten(), ..SymbolTapes::default() };
        for &(index, tape) in own {
            found.add(index, tape);
        }
        (Arc::clone(symbol), found)
    });
    symbols.collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::check::{RawRows, RowNumbers};
    use crate::tapes::SameKey;

    pub(crate) const MINUTE: i64 = 60_000_000_000;

    pub(crate) fn key(kind: Kind, symbol: &str) -> TapeKey {
        TapeKey { kind, interval_ns: if kind == Kind::Bar { MINUTE } else { 0 }, symbol: symbol.into() }
    }

    /// Tapes whose numbers all equal their row number plus one, from stamps in minutes.
    pub(crate) fn tapes(given: &[(Kind, &str, &[i64])]) -> Tapes {
        let mut tapes = Tapes::default();
        for (kind, symbol, minutes) in given {
            let ts: Vec<i64> = minutes.iter().map(|minute| minute * MINUTE).collect();
            let column: Vec<f64> = (0..ts.len()).map(|row| row as f64 + 1.0).collect();
            let values = kind.columns().iter().map(|_| (column.clone().into(), None)).collect();
            let raw = RawRows { ordered_ns: None, numbers: RowNumbers::From(0), ts_ns: (ts.into(), None), values };
            let added = tapes.add(&key(*kind, symbol), &"test".into(), raw, OnBadRows::Raise, SameKey::Join);
            added.expect("good rows");
        }
        tapes
    }

    /// A day of minutes 0 to 100 that trades from minute 10 to 20, with a minute of grace.
    pub(crate) fn loaded(tapes: &Tapes, hours: Hours, derived_ns: &[i64]) -> Loaded {
        let span = |from: i64, to: i64| Span::new(from * MINUTE, to * MINUTE).expect("ascending");
        let session = Session::new("day".into(), vec![span(10, 20)], span(0, 100), MINUTE, false);
        let settings = Settings {
            flat_ns: 0,
            late_fills: false,
            hours,
            derived_ns: derived_ns.to_vec(),
            on_bad: OnBadRows::Raise,
            catch_up_until_ns: i64::MIN,
            until_ns: i64::MAX,
        };
        Loaded::new(session.expect("a day"), tapes, &settings).expect("good rows")
    }

    #[test]
    fn tapes_stand_in_the_order_of_the_contract_with_the_boundary_between_bars_and_quotes() {
        let tapes = tapes(&[(Kind::Trade, "A", &[12]), (Kind::Quote, "B", &[12]), (Kind::Bar, "B", &[12])]);
        let names: Vec<String> =
            loaded(&tapes, Hours::Regular, &[5 * MINUTE]).tapes.iter().map(|tape| tape.key.to_string()).collect();
        assert_eq!(names, ["B bar 1m", "B bar 5m", " session_close", " session_open", "B quote", "A trade"]);
    }

    #[test]
    fn rows_outside_hours_are_counted_and_with_all_hours_marked() {
        let tapes = tapes(&[(Kind::Bar, "A", &[5, 10, 19, 20, 21])]);
        let regular = &loaded(&tapes, Hours::Regular, &[]).tapes[0];
        assert_eq!((regular.rows.len(), regular.tally.out_of_hours, regular.tally.rows_in), (3, 2, 5));
        let all = &loaded(&tapes, Hours::All, &[]).tapes[0];
        assert_eq!((0..5).map(|row| all.is_regular(row)).collect::<Vec<_>>(), [false, true, true, true, false]);
        assert_eq!(all.tally.out_of_hours, 0);
    }

    #[test]
    fn rows_of_another_session_are_passed_over() {
        let tapes = tapes(&[(Kind::Trade, "A", &[-1, 12, 100, 112])]);
        assert_eq!(loaded(&tapes, Hours::All, &[]).tapes[2].tally.rows_in, 1);
    }

    #[test]
    fn the_quote_before_the_open_is_kept_though_it_is_out_of_hours() {
        let tapes = tapes(&[(Kind::Quote, "A", &[3, 9, 12])]);
        let loaded = loaded(&tapes, Hours::Regular, &[]);
        assert_eq!(loaded.symbols["A"].quote_before, Some((9 * MINUTE, [2.0; 4])));
    }
}

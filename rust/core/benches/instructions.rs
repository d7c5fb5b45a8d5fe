//! One kernel, so many times, and nothing else: its instructions are counted from outside. See benches/instructions.py.

use backtape_core::check::{Checked, OnBadRows, RawRows, RowNumbers, check};
use backtape_core::derive::{BarSlices, derive};
use backtape_core::gaps::gaps;
use backtape_core::key::{Kind, TapeKey};
use backtape_core::loaded::{Hours, Loaded, Settings};
use backtape_core::merge::{Lane, merge};
use backtape_core::replay::{Replay, Room};
use backtape_core::session::Session;
use backtape_core::span::Span;
use backtape_core::tapes::Tapes;
use std::hint::black_box;
use std::sync::Arc;

const MINUTE: i64 = 60_000_000_000;
const MINUTES: i64 = 390;

/// How many rows a kernel handles in one go, and what does it.
type Kernel = (u64, Box<dyn FnMut()>);
/// The name of a kernel, and what makes it ready.
type Named = (&'static str, fn() -> Kernel);

const KERNELS: [Named; 17] = [
    ("check bars", || checking(Kind::Bar)),
    ("check quotes", || checking(Kind::Quote)),
    ("check trades", || checking(Kind::Trade)),
    ("load 100 tapes of bars", || loading(100, minutes, Vec::new())),
    ("load 100 tapes of bars, a third missing", || loading(100, scattered, Vec::new())),
    ("load 100 tapes of bars, derive 5m", || loading(100, minutes, vec![5 * MINUTE])),
    ("merge 100 tapes of bars", || merging(100, minutes)),
    ("merge 1000 tapes of bars", || merging(1000, minutes)),
    ("merge 100 tapes of trades", || merging(100, ticks)),
    ("merge 1000 tapes of trades", || merging(1000, ticks)),
    ("plan 1 tape of bars", || planning(1, minutes, Vec::new())),
    ("plan 100 tapes of bars", || planning(100, minutes, Vec::new())),
    ("plan 100 tapes of bars, a third missing", || planning(100, scattered, Vec::new())),
    ("plan 1000 tapes of bars", || planning(1000, minutes, Vec::new())),
    ("plan 1000 tapes of bars with 5m and 15m", || planning(1000, minutes, vec![5 * MINUTE, 15 * MINUTE])),
    ("plan 100 tapes of bars with 5m", || planning(100, minutes, vec![5 * MINUTE])),
    ("derive 5m and gaps", deriving),
];

/// The stamps of a tape.
type Stamps = fn(&mut Steps) -> Vec<i64>;

/// A small generator of its own, so that every run sees the same stamps.
struct Steps(u64);

impl Steps {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// Minute stamps with one in so many missing.
fn minutes_but(one_in: u64, steps: &mut Steps) -> Vec<i64> {
    (0..MINUTES).filter(|_| steps.next(one_in) > 0).map(|minute| minute * MINUTE).collect()
}

/// Minute stamps with few holes.
fn minutes(steps: &mut Steps) -> Vec<i64> {
    minutes_but(50, steps)
}

/// Minute stamps with many holes.
fn scattered(steps: &mut Steps) -> Vec<i64> {
    minutes_but(3, steps)
}

/// As many stamps at random over a day.
fn ticks(steps: &mut Steps) -> Vec<i64> {
    let mut stamps: Vec<i64> = (0..MINUTES).map(|_| steps.next((MINUTES * MINUTE) as u64) as i64).collect();
    stamps.sort_unstable();
    stamps
}

fn key(kind: Kind, symbol: usize) -> TapeKey {
    TapeKey { kind, interval_ns: if kind == Kind::Bar { MINUTE } else { 0 }, symbol: format!("S{symbol:04}").into() }
}

fn raw(kind: Kind, stamps: Vec<i64>) -> RawRows {
    let column = || ((0..stamps.len()).map(|row| 100.0 + (row % 7) as f64).collect(), None);
    let values = kind.columns().iter().map(|_| column()).collect();
    RawRows { ordered_ns: None, numbers: RowNumbers::From(0), ts_ns: (stamps.into(), None), values }
}

fn checked(kind: Kind, symbol: usize, stamps: Vec<i64>) -> Checked {
    check(&key(kind, symbol), &"bench".into(), raw(kind, stamps), OnBadRows::Raise).expect("clean rows")
}

fn checking(kind: Kind) -> Kernel {
    let rows = raw(kind, (0..20_000).map(|minute| minute * MINUTE).collect());
    let run = move || drop(black_box(check(&key(kind, 0), &"bench".into(), rows.clone(), OnBadRows::Raise)));
    (20_000, Box::new(run))
}

fn day() -> Session {
    let span = Span::new(0, MINUTES * MINUTE).expect("ascending");
    Session::new("bench".into(), vec![span], span, 0, false).expect("one span")
}

fn settings(derived_ns: Vec<i64>) -> Settings {
    Settings {
        hours: Hours::Regular,
        derived_ns,
        flat_ns: 0,
        late_fills: false,
        on_bad: OnBadRows::Raise,
        catch_up_until_ns: i64::MIN,
        until_ns: i64::MAX,
    }
}

fn bars(tapes: usize, stamps: Stamps) -> (u64, Tapes) {
    let (mut steps, mut collected, mut rows) = (Steps(7), Tapes::default(), 0);
    for symbol in 0..tapes {
        let stamps = stamps(&mut steps);
        rows += stamps.len() as u64;
        collected.insert(&key(Kind::Bar, symbol), &"bench".into(), checked(Kind::Bar, symbol, stamps));
    }
    (rows, collected)
}

fn loading(tapes: usize, stamps: Stamps, derived_ns: Vec<i64>) -> Kernel {
    let ((rows, collected), settings) = (bars(tapes, stamps), settings(derived_ns));
    (rows, Box::new(move || drop(black_box(Loaded::new(day(), &collected, &settings).expect("clean rows")))))
}

fn merging(tapes: usize, stamps: Stamps) -> Kernel {
    let mut steps = Steps(7);
    let columns: Vec<Vec<i64>> = (0..tapes).map(|_| stamps(&mut steps)).collect();
    let rows = columns.iter().map(|column| column.len() as u64).sum();
    let mut room = Room::default();
    let run = move || {
        let lane = |column| Lane { stamps_ns: column, lag_ns: 0, step_ns: 0, from: 0, to: <[i64]>::len(column) };
        let lanes: Vec<Lane<'_>> = columns.iter().map(|column| lane(column.as_slice())).collect();
        drop(black_box(merge(&lanes, &mut room)));
    };
    (rows, Box::new(run))
}

/// Hours, order, ledger and digest of a session, without handing anything out. Longer bars count as rows.
fn planning(tapes: usize, stamps: Stamps, derived_ns: Vec<i64>) -> Kernel {
    let loaded = Arc::new(Loaded::new(day(), &bars(tapes, stamps).1, &settings(derived_ns)).expect("clean rows"));
    let rows = loaded.tapes.iter().map(|tape| tape.rows.len() as u64).sum();
    let mut room = Room::default();
    let run = move || {
        let mut replay = Replay::within(std::mem::take(&mut room));
        replay.begin(Arc::clone(&loaded), 0).expect("the first session");
        while let Some(window) = replay.window(65_536) {
            drop(black_box(window));
        }
        room = replay.end(usize::MAX);
    };
    (rows, Box::new(run))
}

fn deriving() -> Kernel {
    let span = |day: i64| Span::new(day * 1440 * MINUTE, (day * 1440 + MINUTES) * MINUTE).expect("ascending");
    let (spans, mut steps): (Vec<Span>, Steps) = ((0..50).map(span).collect(), Steps(7));
    let of_day = |day: i64| minutes(&mut steps).into_iter().map(move |ts| ts + day * 1440 * MINUTE);
    let ts_ns: Vec<i64> = (0..50).flat_map(of_day).collect();
    let price: Vec<f64> = (0..ts_ns.len()).map(|row| 100.0 + (row % 7) as f64).collect();
    let rows = ts_ns.len() as u64;
    let run = move || {
        let base = BarSlices { ts_ns: &ts_ns, open: &price, high: &price, low: &price, close: &price, volume: &price };
        drop(black_box(derive(base, None, &spans, MINUTE, 5 * MINUTE)));
        drop(black_box(gaps(&ts_ns, &spans, MINUTE)));
    };
    (rows, Box::new(run))
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    if let [name, times] = arguments.as_slice() {
        let (_, make) = KERNELS.iter().find(|(known, _)| known == name).expect("a kernel of the list");
        let mut run = make().1;
        (0..times.parse().expect("a number")).for_each(|_: u32| run());
        return;
    }
    for (name, make) in KERNELS {
        let (rows, mut run) = make();
        run();
        println!("{rows} {name}");
    }
}

//! Check, merge and replay: rows a second of each kernel.

use backtape_core::check::{OnBadRows, RawRows, RowNumbers, check};
use backtape_core::key::{Kind, TapeKey};
use backtape_core::loaded::{Hours, Loaded, Settings};
use backtape_core::merge::{Lane, merge};
use backtape_core::replay::{Replay, Room};
use backtape_core::session::Session;
use backtape_core::span::Span;
use backtape_core::tapes::{SameKey, Tapes};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::hint::black_box;
use std::sync::Arc;

const MINUTE: i64 = 60_000_000_000;
const MINUTES: i64 = 390;

/// A small generator of its own, so that every run sees the same stamps.
struct Steps(u64);

impl Steps {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// Minute stamps with one in fifty missing.
fn minutes(steps: &mut Steps) -> Vec<i64> {
    (0..MINUTES).filter(|_| steps.next(50) > 0).map(|minute| minute * MINUTE).collect()
}

/// Stamps at random over a day.
fn ticks(steps: &mut Steps, rows: usize) -> Vec<i64> {
    let mut stamps: Vec<i64> = (0..rows).map(|_| steps.next((MINUTES * MINUTE / 1000) as u64) as i64 * 1000).collect();
    stamps.sort_unstable();
    stamps
}

fn key(kind: Kind, symbol: usize) -> TapeKey {
    TapeKey { kind, interval_ns: if kind == Kind::Bar { MINUTE } else { 0 }, symbol: format!("S{symbol:04}").into() }
}

fn raw(kind: Kind, stamps: Vec<i64>) -> RawRows {
    let column = || (vec![100.0; stamps.len()].into(), None);
    let values = kind.columns().iter().map(|_| column()).collect();
    RawRows { ordered_ns: None, numbers: RowNumbers::From(0), ts_ns: (stamps.into(), None), values }
}

fn merging(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("merge");
    for (name, tapes, rows) in [("bars", 100, 0), ("bars", 1000, 0), ("trades", 50, 4_000), ("trades", 1000, 200)] {
        let mut steps = Steps(7);
        let make = |_| {
            if rows == 0 { minutes(&mut steps) } else { ticks(&mut steps, rows) }
        };
        let columns: Vec<Vec<i64>> = (0..tapes).map(make).collect();
        let lane = |column| Lane { stamps_ns: column, lag_ns: 0, step_ns: 0, from: 0, to: <[i64]>::len(column) };
        let lanes: Vec<Lane<'_>> = columns.iter().map(|column| lane(column.as_slice())).collect();
        group.throughput(Throughput::Elements(columns.iter().map(|column| column.len() as u64).sum()));
        // In the memory of the order before, as windows are.
        let mut room = Room::default();
        group.bench_function(BenchmarkId::new(name, tapes), |bencher| {
            bencher.iter(|| drop(merge(black_box(&lanes), &mut room)));
        });
    }
    group.finish();
}

fn checking(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("check");
    for kind in Kind::ROWS {
        let stamps: Vec<i64> = (0..100_000).map(|minute| minute * MINUTE).collect();
        let rows = raw(kind, stamps);
        group.throughput(Throughput::Elements(100_000));
        group.bench_function(kind.name(), |bencher| {
            bencher.iter(|| check(&key(kind, 0), &"bench".into(), black_box(rows.clone()), OnBadRows::Raise));
        });
    }
    group.finish();
}

/// Hours, order, ledger and digest of a session, without handing anything out.
fn replaying(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("replay");
    for tapes in [100, 1000] {
        let mut steps = Steps(7);
        let mut collected = Tapes::default();
        let mut rows = 0;
        for symbol in 0..tapes {
            let stamps = minutes(&mut steps);
            rows += stamps.len() as u64;
            let raw = raw(Kind::Bar, stamps);
            let added = collected.add(&key(Kind::Bar, symbol), &"bench".into(), raw, OnBadRows::Raise, SameKey::Join);
            added.expect("clean rows");
        }
        let settings = Settings {
            hours: Hours::Regular,
            derived_ns: Vec::new(),
            flat_ns: 0,
            late_fills: false,
            on_bad: OnBadRows::Raise,
            catch_up_until_ns: i64::MIN,
            until_ns: i64::MAX,
        };
        let span = Span::new(0, MINUTES * MINUTE).expect("ascending");
        let session = Session::new("bench".into(), vec![span], span, 0, false).expect("one span");
        let loaded = Arc::new(Loaded::new(session, &collected, &settings).expect("clean rows"));
        group.throughput(Throughput::Elements(rows));
        let mut room = Room::default();
        group.bench_function(BenchmarkId::new("plan", tapes), |bencher| {
            bencher.iter(|| {
                let mut replay = Replay::within(std::mem::take(&mut room));
                replay.begin(Arc::clone(&loaded), 0).expect("the first session");
                while let Some(window) = replay.window(65_536) {
                    black_box(window);
                }
                room = replay.end(usize::MAX);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, merging, checking, replaying);
criterion_main!(benches);

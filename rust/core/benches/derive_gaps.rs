//! Derived bars, gaps, and running metrics over minute bars. `cargo bench -p backtape-core --bench derive_gaps`
//!
//! "one session" is 390 rows and stays in the nearest cache; "a year" is 252 sessions with 30 rows before and after each.
//! "2 % missing" has single holes at random places, as real tapes of busy symbols do.

use std::hint::black_box;

use backtape_core::derive::{BarSlices, derive};
use backtape_core::gaps::{gaps, quality_percent, slots_expected, slots_present};
use backtape_core::metrics::Running;
use backtape_core::span::Span;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const MINUTE: i64 = 60_000_000_000;
const DAY: i64 = 1440 * MINUTE;
const OPEN: i64 = 570;
const CLOSE: i64 = 960;

/// Bars of some days, with their hours.
struct Tape {
    name: &'static str,
    spans: Vec<Span>,
    ts_ns: Vec<i64>,
    prices: Vec<f64>,
    volume: Vec<f64>,
}

impl Tape {
    fn new(name: &'static str, days: i64, minutes: std::ops::Range<i64>, missing_per_mille: u64) -> Self {
        let mut state = 7_u64;
        let mut kept = |_: &i64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % 1000 >= missing_per_mille
        };
        let stamps = (0..days).flat_map(|day| minutes.clone().map(move |minute| day * DAY + minute * MINUTE));
        let ts_ns: Vec<i64> = stamps.filter(&mut kept).collect();
        let span = |day| Span::new(day * DAY + OPEN * MINUTE, day * DAY + CLOSE * MINUTE).expect("open before close");
        Self {
            name,
            spans: (0..days).map(span).collect(),
            prices: (0..ts_ns.len()).map(|row| 100.0 + (row * 37 % 101) as f64 * 0.01).collect(),
            volume: (0..ts_ns.len()).map(|row| (row * 53 % 997) as f64).collect(),
            ts_ns,
        }
    }

    /// High, low and so on are columns of their own in memory, as in a real tape.
    fn bars<'a>(&'a self, [high, low, close]: &'a [Vec<f64>; 3]) -> BarSlices<'a> {
        BarSlices { ts_ns: &self.ts_ns, open: &self.prices, high, low, close, volume: &self.volume }
    }
}

fn tapes() -> [Tape; 4] {
    [
        Tape::new("one session", 1, OPEN..CLOSE, 0),
        Tape::new("one session, 2 % missing", 1, OPEN..CLOSE, 20),
        Tape::new("a year", 252, OPEN - 30..CLOSE + 30, 0),
        Tape::new("a year, 2 % missing", 252, OPEN - 30..CLOSE + 30, 20),
    ]
}

fn kernels(criterion: &mut Criterion) {
    for tape in tapes() {
        let columns = [tape.prices.clone(), tape.prices.clone(), tape.prices.clone()];
        let rows = tape.ts_ns.len() as u64;
        let mut group = criterion.benchmark_group(tape.name);
        group.throughput(Throughput::Elements(rows));
        for minutes in [5, 15, 60] {
            group.bench_function(format!("derive {minutes}m"), |bencher| {
                let bars = tape.bars(&columns);
                bencher.iter(|| derive(black_box(bars), None, &tape.spans, MINUTE, minutes * MINUTE));
            });
        }
        group.bench_function("gaps", |bencher| {
            bencher.iter(|| gaps(black_box(&tape.ts_ns), &tape.spans, MINUTE));
        });
        group.bench_function("metrics, built", |bencher| {
            bencher.iter(|| Running::new(black_box(&tape.prices), &columns[0], &tape.volume));
        });
        group.finish();
    }
}

/// What one read of `.quality` or of `.volume` costs.
fn reads(criterion: &mut Criterion) {
    let tape = Tape::new("one session, 2 % missing", 1, OPEN..CLOSE, 20);
    let until_ns = 800 * MINUTE;
    criterion.bench_function("quality at one minute", |bencher| {
        bencher.iter(|| {
            let present = slots_present(black_box(&tape.ts_ns), &tape.spans, MINUTE, until_ns);
            quality_percent(present, slots_expected(&tape.spans, MINUTE, until_ns))
        });
    });
    let running = Running::new(&tape.prices, &tape.prices, &tape.volume);
    let mut row = 0;
    criterion.bench_function("metrics at one row", |bencher| {
        bencher.iter(|| {
            row = (row + 1) % tape.ts_ns.len();
            running.at(&tape.prices, &tape.prices, &tape.volume, black_box(row))
        });
    });
}

criterion_group!(benches, kernels, reads);
criterion_main!(benches);

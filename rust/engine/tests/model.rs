//! The protocols of locks and waits, tried by shuttle in many orders of their threads. No timed wait expires there, so what
//! makes progress only by looking up again fails.
//!
//! `cargo test -p backtape-engine --features model --test model`; `BACKTAPE_SCHEDULES` says how many orders each way.

use backtape_core::check::{Checked, OnBadRows};
use backtape_core::key::{Kind, TapeKey};
use backtape_core::rows::Rows;
use backtape_engine::feeds::{Fault, Feeds, Frontier, Limits};
use backtape_engine::pace::{Pace, Waited};
use backtape_engine::wall::HandWall;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::sync::Arc;
use shuttle::{Runner, thread};
use std::time::Duration;

const EVER: Duration = Duration::MAX;
const DEPTH: usize = 3;

fn in_many_orders(model: impl Fn() + Send + Sync + Clone + 'static) {
    let asked = std::env::var("BACKTAPE_SCHEDULES").ok();
    let schedules = asked.map_or(10_000, |word| word.parse().expect("BACKTAPE_SCHEDULES is a whole number"));
    Runner::new(RandomScheduler::new(schedules), shuttle::Config::default()).run(model.clone());
    Runner::new(PctScheduler::new(DEPTH, schedules), shuttle::Config::default()).run(model);
}

fn key(symbol: &str) -> TapeKey {
    TapeKey { kind: Kind::Trade, interval_ns: 0, symbol: symbol.into() }
}

fn trade(ts_ns: i64) -> Checked {
    let values = (0..2).map(|_| vec![1.0].into()).collect();
    Checked { rows: Rows { kind: Kind::Trade, ts_ns: vec![ts_ns].into(), values, filled: None }, dropped: Vec::new() }
}

fn feeds(rows: usize) -> Arc<Feeds<HandWall>> {
    let limits = Limits { rows, bytes: 1 << 20, silence: None };
    let feeds = Feeds::by(HandWall::default(), limits, OnBadRows::Raise);
    feeds.register(key("A"));
    feeds.register(key("B"));
    Arc::new(feeds)
}

/// Takes everything, and checks that no row comes before one that was taken.
fn consume(feeds: &Feeds<HandWall>) -> usize {
    let (mut known_ns, mut rows) = (i64::MIN, 0);
    loop {
        match feeds.wait_beyond(known_ns, EVER).expect("nobody is silent for ever") {
            Frontier::At(at_ns) => {
                let taken = feeds.take_before(at_ns, i64::MAX);
                for pending in taken.into_iter().map(|(_, pending)| pending).filter(|pending| !pending.is_empty()) {
                    assert!(pending.first_known_ns() >= Some(known_ns), "a row came after its time");
                    assert!(pending.last_known_ns() < Some(at_ns), "a row was taken before its time");
                    rows += pending.len();
                }
                known_ns = at_ns;
                if at_ns == i64::MAX {
                    return rows;
                }
            }
            Frontier::Stopped => return rows,
            Frontier::NotYet => unreachable!("no timed wait expires"),
        }
    }
}

#[test]
fn two_feeders_with_queues_of_one_row_and_their_merge_come_to_an_end() {
    in_many_orders(|| {
        let feeds = feeds(1);
        let feeders: Vec<_> = (0..2)
            .map(|number| {
                let feeds = Arc::clone(&feeds);
                thread::spawn(move || {
                    for ts_ns in [1, 2, 5] {
                        let fed = feeds.feed(number, &trade(ts_ns + number as i64), EVER);
                        assert!(fed.expect("nothing is wrong").is_some(), "no timed wait expires");
                    }
                    feeds.end(number, Some(3)).expect("three rows came");
                })
            })
            .collect();
        assert_eq!(consume(&feeds), 6);
        for feeder in feeders {
            feeder.join().expect("a feeder ends");
        }
    });
}

#[test]
fn one_feeder_of_two_streams_is_not_held_by_the_one_that_the_merge_does_not_wait_for() {
    in_many_orders(|| {
        let feeds = feeds(1);
        let own = Arc::clone(&feeds);
        let feeder = thread::spawn(move || {
            for number in 0..2 {
                for ts_ns in 1..4 {
                    own.feed(number, &trade(ts_ns), EVER).expect("nothing is wrong");
                }
                own.end(number, None).expect("an end");
            }
        });
        assert_eq!(consume(&feeds), 6);
        feeder.join().expect("the feeder ends");
    });
}

#[test]
fn a_promise_lets_the_merge_go_past_a_quiet_stream() {
    in_many_orders(|| {
        let feeds = feeds(1);
        let (busy, quiet) = (Arc::clone(&feeds), Arc::clone(&feeds));
        let busy = thread::spawn(move || {
            for ts_ns in 1..4 {
                busy.feed(0, &trade(ts_ns), EVER).expect("nothing is wrong");
            }
            busy.end(0, None).expect("an end");
        });
        let quiet = thread::spawn(move || {
            quiet.advance(1, 3).expect("a promise");
            quiet.end(1, Some(0)).expect("an end");
        });
        assert_eq!(consume(&feeds), 3);
        busy.join().expect("the feeder ends");
        quiet.join().expect("the feeder ends");
    });
}

#[test]
fn a_stop_ends_feeders_and_merge_wherever_they_wait() {
    in_many_orders(|| {
        let feeds = feeds(1);
        let (feeder, stopper) = (Arc::clone(&feeds), Arc::clone(&feeds));
        let feeder = thread::spawn(move || {
            for ts_ns in 1..4 {
                match feeder.feed(0, &trade(ts_ns), EVER) {
                    Ok(fed) => assert!(fed.is_some(), "no timed wait expires"),
                    Err(fault) => return assert_eq!(fault, Fault::Stopped),
                }
            }
        });
        let stopper = thread::spawn(move || stopper.stop());
        assert!(consume(&feeds) <= 3);
        feeder.join().expect("the feeder ends");
        stopper.join().expect("the stopper ends");
    });
}

#[test]
fn a_stop_ends_a_feeder_that_waits_for_room() {
    in_many_orders(|| {
        let feeds = feeds(1);
        feeds.end(1, None).expect("an end");
        let (feeder, stopper) = (Arc::clone(&feeds), Arc::clone(&feeds));
        let feeder = thread::spawn(move || (1..4).all(|ts_ns| feeder.feed(0, &trade(ts_ns), EVER).is_ok()));
        assert!(feeds.wait_beyond(i64::MIN, EVER).is_ok(), "the first row");
        let stopper = thread::spawn(move || stopper.stop());
        feeder.join().expect("the feeder ends, though nothing is taken");
        stopper.join().expect("the stopper ends");
    });
}

#[test]
fn rows_that_are_taken_make_room_also_while_the_merge_is_busy() {
    in_many_orders(|| {
        let feeds = feeds(1);
        feeds.end(1, None).expect("an end");
        let own = Arc::clone(&feeds);
        let feeder = thread::spawn(move || {
            for ts_ns in [1, 2] {
                own.feed(0, &trade(ts_ns), EVER).expect("nothing is wrong");
            }
        });
        assert!(feeds.wait_beyond(i64::MIN, EVER).is_ok(), "the first row");
        feeds.take_before(i64::MAX, i64::MAX);
        feeder.join().expect("the feeder ends, though the merge does not come back");
    });
}

#[test]
fn a_feeder_that_goes_away_is_told_to_the_merge() {
    in_many_orders(|| {
        let feeds = feeds(8);
        feeds.end(1, None).expect("an end");
        let feeder = Arc::clone(&feeds);
        let feeder = thread::spawn(move || {
            feeder.feed(0, &trade(1), EVER).expect("nothing is wrong");
            feeder.abandon(0);
        });
        let mut known_ns = i64::MIN;
        let fault = loop {
            match feeds.wait_beyond(known_ns, EVER) {
                Ok(Frontier::At(at_ns)) => known_ns = at_ns,
                Ok(other) => unreachable!("{other:?}"),
                Err(fault) => break fault,
            }
        };
        assert!(matches!(fault, Fault::Abandoned { rows: 1, .. }), "{fault}");
        feeder.join().expect("the feeder ends");
    });
}

#[test]
fn whoever_waits_while_paused_goes_on_at_a_resume_and_ends_at_a_stop() {
    in_many_orders(|| {
        let pace = Arc::new(Pace::by(HandWall::default(), 0.0));
        let (waiting, other) = (Arc::clone(&pace), Arc::clone(&pace));
        pace.pause();
        let waiting = thread::spawn(move || waiting.wait(7, EVER));
        let other = thread::spawn(move || {
            other.pause();
            other.set_speed(0.0);
            other.resume();
        });
        let waited = waiting.join().expect("the wait ends");
        assert_eq!(waited, Waited::Due(i64::MAX));
        other.join().expect("commands end");

        pace.pause();
        let waiting = Arc::clone(&pace);
        let waiting = thread::spawn(move || waiting.wait(7, EVER));
        pace.stop();
        assert_eq!(waiting.join().expect("the wait ends"), Waited::Stopped);
    });
}

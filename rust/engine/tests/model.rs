//! The protocols of locks and waits, tried by shuttle in many orders of their threads. No timed wait expires there, so what
//! makes progress only by looking up again fails.
//!
//! `cargo test -p backtape-engine --features model --test model`; `BACKTAPE_SCHEDULES` says how many orders each way.

use backtape_core::check::{Checked, OnBadRows};
use backtape_core::key::{Kind, TapeKey};
use backtape_core::rows::Rows;
use backtape_engine::feeds::{Fault, Feeds, Frontier, Limits};
use backtape_engine::pace::{Pace, Waited};
use backtape_engine::turnstile::{Steps, Turnstile};
use backtape_engine::wall::HandWall;
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Runner, thread};
use std::sync::Arc;
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
    Checked::good(Rows::new(Kind::Trade, vec![ts_ns].into(), values))
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

/// One window of events, all due at once, taken as a consumer does: ask, take what is allowed, ask again.
fn take_all(turnstile: &Turnstile<HandWall>, steps: &Steps, events: usize) {
    while steps.taken() < events {
        turnstile.tell();
        match turnstile.pace.wait(0, EVER) {
            Waited::Due(_) => {
                turnstile.allow(steps, events, || steps.taken() + 1);
            }
            Waited::Stopped => break,
            Waited::NotYet => unreachable!("no timed wait expires"),
        }
        while steps.taken() < steps.allowed() {
            steps.commit(steps.taken() + 1);
        }
    }
    turnstile.end();
}

fn turnstile() -> (Arc<Turnstile<HandWall>>, Arc<Steps>) {
    let turnstile = Arc::new(Turnstile::new(Pace::by(HandWall::default(), 0.0)));
    let steps = Arc::new(Steps::new(0));
    turnstile.install(Arc::clone(&steps));
    (turnstile, steps)
}

#[test]
fn a_reader_that_waits_for_events_is_woken_by_them_and_by_the_end() {
    in_many_orders(|| {
        let (turnstile, steps) = turnstile();
        let reader = Arc::clone(&turnstile);
        let reader = thread::spawn(move || {
            let (mut seen, mut goes_on) = (0, true);
            while goes_on {
                let before = seen;
                (seen, goes_on) = reader.wait_for_data(seen, EVER);
                assert!(seen >= before && (seen > before || !goes_on), "it was woken for nothing");
            }
            seen
        });
        take_all(&turnstile, &steps, 3);
        assert_eq!(reader.join().expect("the reader ends"), 3);
    });
}

#[test]
fn a_reader_is_woken_while_the_consumer_still_works_on_a_later_event() {
    in_many_orders(|| {
        let (turnstile, steps) = turnstile();
        let reader = Arc::clone(&turnstile);
        let mut reader = Some(thread::spawn(move || reader.wait_for_data(0, EVER).0));
        while steps.taken() < 3 {
            turnstile.tell();
            turnstile.allow(&steps, 3, || steps.taken() + 1);
            while steps.taken() < steps.allowed() {
                steps.commit(steps.taken() + 1);
                if steps.taken() == 3
                    && let Some(reader) = reader.take()
                {
                    assert!(reader.join().expect("the reader ends before the consumer comes back") > 0);
                }
            }
        }
    });
}

#[test]
fn nothing_is_taken_after_a_stop_returns_but_the_event_in_hand() {
    in_many_orders(|| {
        let (turnstile, steps) = turnstile();
        let (other, taken) = (Arc::clone(&turnstile), Arc::clone(&steps));
        let stopper = thread::spawn(move || {
            other.command(Pace::stop);
            taken.taken()
        });
        take_all(&turnstile, &steps, 4);
        let at_stop = stopper.join().expect("the stopper ends");
        assert!(steps.taken() <= at_stop + 1, "{} taken at the stop, {} in the end", at_stop, steps.taken());
    });
}

#[test]
fn pause_and_resume_lose_no_event_while_a_reader_waits() {
    in_many_orders(|| {
        let (turnstile, steps) = turnstile();
        let (other, reader) = (Arc::clone(&turnstile), Arc::clone(&turnstile));
        let other = thread::spawn(move || {
            other.command(Pace::pause);
            other.command(Pace::resume);
        });
        let reader = thread::spawn(move || reader.wait_for_data(1, EVER));
        take_all(&turnstile, &steps, 3);
        assert_eq!(steps.taken(), 3);
        other.join().expect("commands end");
        reader.join().expect("the reader ends");
    });
}

//! The queues of all fed streams, as they stand under one lock.

use crate::fault::Fault;
use crate::stream::{Fed, Standing, Stream};
use std::time::Duration;

/// How much may wait, and for how long a stream may be silent while the merge waits for it.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Rows of one stream; a feeder waits while there are so many.
    pub rows: usize,
    /// Bytes of one stream, which no wait makes soft.
    pub bytes: usize,
    /// The longest silence; `None` for any.
    pub silence: Option<Duration>,
}

/// Whether rows of a feeder can be put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    Enough,
    None,
}

#[derive(Debug, Default)]
pub(crate) struct Queues {
    pub(crate) streams: Vec<Stream>,
    /// Up to where the merge has asked for rows, while it waits for more.
    pub(crate) waits_beyond_ns: Option<i64>,
    pub(crate) waits_since: Option<Duration>,
    /// Whether the merge has asked for anything yet.
    pub(crate) begun: bool,
    pub(crate) stopped: bool,
}

impl Queues {
    pub(crate) fn frontier_ns(&self) -> i64 {
        let open = self.streams.iter().filter(|stream| stream.standing != Standing::Ended);
        open.map(|stream| stream.promised_ns).min().unwrap_or(i64::MAX)
    }

    /// The stream that keeps the merge from going on, if it waits.
    fn waited_for(&self) -> Option<&Stream> {
        let beyond_ns = self.waits_beyond_ns?;
        self.streams.iter().find(|stream| stream.holds(beyond_ns))
    }

    pub(crate) fn check_open(&self, number: usize) -> Result<(), Fault> {
        let stream = &self.streams[number];
        match stream.standing {
            _ if self.stopped => Err(Fault::Stopped),
            Standing::Open => Ok(()),
            Standing::Ended | Standing::Abandoned => Err(Fault::Ended { stream: stream.key.to_string() }),
        }
    }

    /// Whether there is room for so many bytes more of a stream.
    pub(crate) fn room(&self, limits: &Limits, number: usize, bytes_more: usize) -> Result<Room, Fault> {
        self.check_open(number)?;
        let stream = &self.streams[number];
        let (held, bytes) = (stream.pending.len(), stream.pending.bytes());
        let fits = bytes + bytes_more <= limits.bytes;
        if held < limits.rows && (held == 0 || fits) {
            return Ok(Room::Enough);
        }
        let waiting_for = match self.waited_for() {
            None if self.begun => return Ok(Room::None),
            None => "a consumer, which has not begun".to_owned(),
            Some(other) if other.key == stream.key => return Ok(Room::Enough),
            Some(other) => other.key.to_string(),
        };
        if fits {
            return Ok(Room::Enough);
        }
        let stream = stream.key.to_string();
        Err(Fault::Stalled { stream, waiting_for, rows: held, bytes, bytes_max: limits.bytes })
    }

    /// Puts rows in. Returns what became of them, and whether the merge, if it waits, is to look again: it is not woken
    /// for rows that don't let it go on.
    pub(crate) fn push(
        &mut self,
        number: usize,
        now: Duration,
        push: impl FnOnce(&mut Stream) -> Result<Fed, Fault>,
    ) -> Result<(Fed, bool), Fault> {
        let stream = &mut self.streams[number];
        let held_up = |stream: &Stream| self.waits_beyond_ns.is_some_and(|beyond_ns| stream.holds(beyond_ns));
        let held_before = held_up(stream);
        let fed = push(stream)?;
        stream.heard = now;
        let let_go = held_before && !held_up(stream);
        Ok((fed, let_go && self.waited_for().is_none()))
    }

    /// Whether the wait for rows beyond a time can come to something.
    pub(crate) fn check_holders(
        &self,
        silence: Option<Duration>,
        beyond_ns: i64,
        since: Duration,
        now: Duration,
    ) -> Result<(), Fault> {
        let holders = || self.streams.iter().filter(|stream| stream.holds(beyond_ns));
        if let Some(left) = holders().find(|stream| stream.standing == Standing::Abandoned) {
            let (stream, rows) = (left.key.to_string(), left.came);
            return Err(Fault::Abandoned { stream, rows });
        }
        let Some(silence) = silence else {
            return Ok(());
        };
        let silent = |stream: &&Stream| now.saturating_sub(stream.heard.max(since)) >= silence;
        let streams: Vec<String> = holders().filter(silent).map(|stream| stream.key.to_string()).collect();
        if streams.is_empty() {
            return Ok(());
        }
        Err(Fault::Silent { streams: streams.join(", "), seconds: silence.as_secs_f64() })
    }
}

//! What a tape is called, and the rank of its events among those of one instant.

use std::sync::Arc;

/// The most number columns that rows of any kind have.
pub const COLUMNS_MAX: usize = 5;

/// What an event is. The order of the variants is the rank at one instant (C1): first what describes the time
/// before it, then the boundary, then what happens at it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Kind {
    /// A bar: open, high, low, close and volume over `[ts, ts + interval)`.
    Bar,
    /// The end of a session.
    SessionClose,
    /// The start of a session.
    SessionOpen,
    /// A quote: the best bid and ask from `ts` on.
    Quote,
    /// A trade at `ts`.
    Trade,
}

impl Kind {
    /// The kinds that hold rows.
    pub const ROWS: [Self; 3] = [Self::Bar, Self::Quote, Self::Trade];

    /// Whether its events come after the timers of their instant (C1): they happen at it, and do not tell what was.
    pub const fn follows_timers(self) -> bool {
        matches!(self, Self::Quote | Self::Trade)
    }

    /// The word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bar => "bar",
            Self::SessionClose => "session_close",
            Self::SessionOpen => "session_open",
            Self::Quote => "quote",
            Self::Trade => "trade",
        }
    }

    /// The number columns of its rows, in the order in which they are stored.
    pub const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Bar => &["open", "high", "low", "close", "volume"],
            Self::Quote => &["bid", "ask", "bid_size", "ask_size"],
            Self::Trade => &["price", "size"],
            Self::SessionClose | Self::SessionOpen => &[],
        }
    }

    /// How many of the columns are prices; the rest are volumes or sizes.
    pub const fn prices(self) -> usize {
        match self {
            Self::Bar => 4,
            Self::Quote => 2,
            Self::Trade => 1,
            Self::SessionClose | Self::SessionOpen => 0,
        }
    }
}

/// The key of a tape. Its order is the order of tapes at one instant: rank, then symbol bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TapeKey {
    /// What its rows are.
    pub kind: Kind,
    /// The length of a bar; 0 for other kinds.
    pub interval_ns: i64,
    /// The symbol; empty for session open and close.
    pub symbol: Arc<str>,
}

impl std::fmt::Display for TapeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            Kind::Bar => write!(f, "{} bar {}", self.symbol, interval_name(self.interval_ns)),
            kind => write!(f, "{} {}", self.symbol, kind.name()),
        }
    }
}

/// An interval as people write it: `1s`, `5m`, `2h`.
pub fn interval_name(interval_ns: i64) -> String {
    const SECOND: i64 = 1_000_000_000;
    match interval_ns {
        n if n % (3600 * SECOND) == 0 => format!("{}h", n / (3600 * SECOND)),
        n if n % (60 * SECOND) == 0 => format!("{}m", n / (60 * SECOND)),
        n if n % SECOND == 0 => format!("{}s", n / SECOND),
        n => format!("{n}ns"),
    }
}

/// The nanoseconds of an interval as people write it, `i64::MAX` for what is longer: a whole number above 0, without a leading zero, and `s`, `m` or `h`.
pub fn parse_interval(name: &str) -> Option<i64> {
    let (number, unit) = name.split_at_checked(name.len().checked_sub(1)?)?;
    let seconds: i64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    let whole = number.bytes().all(|byte| byte.is_ascii_digit()) && !number.starts_with('0');
    let count: i64 = number.parse().ok().filter(|&count| whole && count > 0)?;
    Some(count.saturating_mul(seconds * 1_000_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: Kind, interval_ns: i64, symbol: &str) -> TapeKey {
        TapeKey { kind, interval_ns, symbol: symbol.into() }
    }

    #[test]
    fn tapes_sort_by_rank_then_interval_then_symbol_bytes() {
        let sorted = [
            key(Kind::Bar, 60, "B"),
            key(Kind::Bar, 60, "a"),
            key(Kind::Bar, 300, "A"),
            key(Kind::SessionClose, 0, ""),
            key(Kind::SessionOpen, 0, ""),
            key(Kind::Quote, 0, "B"),
            key(Kind::Trade, 0, "A"),
        ];
        assert!(sorted.is_sorted(), "{sorted:?}");
    }

    #[test]
    fn intervals_are_named_by_their_largest_whole_unit() {
        let names = [1, 60, 300, 3600, 5400].map(|s| interval_name(s * 1_000_000_000));
        assert_eq!(names, ["1s", "1m", "5m", "1h", "90m"]);
        assert_eq!(names.map(|name| parse_interval(&name)), [1, 60, 300, 3600, 5400].map(|s| Some(s * 1_000_000_000)));
    }

    #[test]
    fn other_words_are_no_interval() {
        for word in ["", "m", "0m", "05m", "-1m", "+1m", "1.5m", "1d", "1 m", "1µ"] {
            assert_eq!(parse_interval(word), None, "{word}");
        }
    }
}

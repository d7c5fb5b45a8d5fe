//! What all batches of a replay share: their schema, columns that hold one value, and what follows from the tapes' keys.

use crate::batch::schema;
use crate::batch_stream::BatchStream;
use arrow_array::StringArray;
use arrow_buffer::{ArrowNativeType, ScalarBuffer};
use arrow_schema::Schema;
use backtape_core::gather::{spread, symbol_ids};
use backtape_core::key::{Kind, TapeKey};
use backtape_core::loaded::Loaded;
use backtape_core::merge::Order;
use backtape_core::room::Room;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// The form of the batches of one replay.
pub(crate) struct BatchForm {
    pub(crate) kinds: Vec<Kind>,
    pub(crate) schema: Arc<Schema>,
    pub(crate) stream: BatchStream,
    /// The lock is held for a look, while keys are looked through that were not seen yet, and while a column is made.
    shared: Mutex<Shared>,
}

#[derive(Default)]
struct Shared {
    session: Weak<Loaded>,
    keys: Option<Arc<Keys>>,
    constants: Constants,
    room: Room,
}

impl BatchForm {
    pub(crate) fn new(kinds: Vec<Kind>) -> Self {
        let schema = Arc::new(schema(&kinds));
        let stream = BatchStream::new(Arc::clone(&schema));
        Self { kinds, schema, stream, shared: Mutex::default() }
    }

    /// What follows from the keys of a session's tapes, and columns of at least so many rows that hold one value.
    pub(crate) fn of(&self, loaded: &Arc<Loaded>, rows: usize) -> (Arc<Keys>, Constants) {
        let mut shared = self.lock();
        let is_seen = std::ptr::eq(shared.session.as_ptr(), Arc::as_ptr(loaded));
        let keys = shared.keys.take().filter(|keys| is_seen || keys.are_of(loaded));
        let keys = keys.unwrap_or_else(|| Arc::new(Keys::of(loaded)));
        shared.session = Arc::downgrade(loaded);
        shared.keys = Some(Arc::clone(&keys));
        shared.constants.reach(rows, keys.interval_ns.unwrap_or_default());
        (keys, shared.constants.clone())
    }

    /// Makes a column in memory of earlier batches that nobody looks at any more.
    pub(crate) fn column<T>(&self, make: impl FnOnce(&mut Room) -> ScalarBuffer<T>) -> ScalarBuffer<T>
    where
        T: ArrowNativeType,
    {
        make(&mut self.lock().room)
    }

    /// No batch follows: a replay that is kept for its ledger does not keep memory for batches.
    pub(crate) fn end(&self) {
        *self.lock() = Shared::default();
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What batches need to know of the tapes, in their order.
pub(crate) struct Keys {
    tapes: Vec<TapeKey>,
    /// The session's symbols.
    pub(crate) names: Arc<StringArray>,
    pub(crate) symbol_names: Arc<[Arc<str>]>,
    /// Each tape's symbol.
    symbols: Vec<u32>,
    /// Whether the number of a tape that has rows is that of its symbol.
    symbols_are_tapes: bool,
    /// The numbers of the kinds.
    pub(crate) kinds: Vec<i8>,
    /// The kind of all rows, where there is one.
    pub(crate) only_kind: Option<Kind>,
    /// The interval of all bars, where there is one.
    pub(crate) interval_ns: Option<i64>,
    pub(crate) intervals_ns: Vec<i64>,
    /// The session's open and close.
    pub(crate) boundaries: Vec<usize>,
}

impl Keys {
    pub(crate) fn of(loaded: &Loaded) -> Self {
        let tapes: Vec<TapeKey> = loaded.tapes.iter().map(|tape| tape.key.clone()).collect();
        let is_row = |key: &&TapeKey| Kind::ROWS.contains(&key.kind);
        let symbols = symbol_ids(loaded);
        let own = tapes.iter().zip(&symbols).enumerate().filter(|(_, (key, _))| is_row(key));
        Self {
            names: Arc::new(StringArray::from_iter_values(loaded.symbols.keys())),
            symbol_names: loaded.symbols.keys().cloned().collect(),
            symbols_are_tapes: { own }.all(|(tape, (_, &symbol))| tape == symbol as usize),
            symbols,
            kinds: tapes.iter().map(|key| key.kind as i8).collect(),
            only_kind: only(tapes.iter().filter(is_row).map(|key| key.kind)),
            interval_ns: only(tapes.iter().filter(|key| key.kind == Kind::Bar).map(|key| key.interval_ns)),
            intervals_ns: tapes.iter().map(|key| key.interval_ns).collect(),
            boundaries: (0..tapes.len()).filter(|&tape| !is_row(&&tapes[tape])).collect(),
            tapes,
        }
    }

    /// The symbol of each of a range of events, as its number.
    pub(crate) fn symbols_of(&self, order: &Order, events: Range<usize>, room: &mut Room) -> ScalarBuffer<u32> {
        if self.symbols_are_tapes {
            order.lanes.slice(events.start, events.len())
        } else {
            spread(order, events, &self.symbols, room)
        }
    }

    fn are_of(&self, loaded: &Loaded) -> bool {
        self.tapes.iter().eq(loaded.tapes.iter().map(|tape| &tape.key))
    }
}

/// The one value that all are.
fn only<T: PartialEq>(mut all: impl Iterator<Item = T>) -> Option<T> {
    let first = all.next()?;
    all.all(|other| other == first).then_some(first)
}

/// Columns that hold one value.
#[derive(Clone)]
pub(crate) struct Constants {
    pub(crate) ones: ScalarBuffer<u32>,
    pub(crate) zeros: ScalarBuffer<u32>,
    pub(crate) no_flags: ScalarBuffer<u8>,
    pub(crate) intervals_ns: ScalarBuffer<i64>,
}

impl Default for Constants {
    fn default() -> Self {
        let [ones, zeros] = [(); 2].map(|()| Vec::new().into());
        Self { ones, zeros, no_flags: Vec::new().into(), intervals_ns: Vec::new().into() }
    }
}

impl Constants {
    fn reach(&mut self, rows: usize, interval_ns: i64) {
        if self.ones.len() < rows {
            self.ones = vec![1; rows].into();
            self.zeros = vec![0; rows].into();
            self.no_flags = vec![0; rows].into();
        }
        if self.intervals_ns.len() < rows || self.intervals_ns.first() != Some(&interval_ns) {
            self.intervals_ns = vec![interval_ns; rows].into();
        }
    }
}

//! Merged events as one record batch: the schema of `batches()` and `to_arrow()`.

use crate::arrow_out::{stamp_type, stamps, symbols};
use crate::flags::Flags;
use arrow_array::types::Int8Type;
use arrow_array::{ArrayRef, DictionaryArray, Float64Array, Int8Array, Int64Array, RecordBatch, StringArray};
use arrow_array::{UInt8Array, UInt32Array};
use arrow_buffer::{BooleanBuffer, BooleanBufferBuilder, NullBuffer};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use backtape_core::gather::{spread, symbol_ids};
use backtape_core::key::Kind;
use backtape_core::loaded::{Counts, LoadedTape};
use backtape_core::window::Window;
use std::ops::Range;
use std::sync::Arc;

/// Words of the `kind` column, by the number of their kind.
const KIND_WORDS: [&str; 5] = ["bar", "session_close", "session_open", "quote", "trade"];

fn dictionary(key: DataType) -> DataType {
    DataType::Dictionary(Box::new(key), Box::new(DataType::Utf8))
}

/// The schema of batches with these kinds.
pub(crate) fn schema(kinds: &[Kind]) -> Schema {
    let mut fields = vec![
        Field::new("available_at", stamp_type(), false),
        Field::new("ts", stamp_type(), false),
        Field::new("kind", dictionary(DataType::Int8), false),
        Field::new("symbol", dictionary(DataType::UInt32), true),
    ];
    if kinds.contains(&Kind::Bar) {
        fields.push(Field::new("interval_ns", DataType::Int64, true));
    }
    for kind in kinds {
        fields.extend(kind.columns().iter().map(|name| Field::new(*name, DataType::Float64, true)));
    }
    if kinds.contains(&Kind::Bar) {
        let counts = ["n_present", "n_expected", "n_filled"];
        fields.extend(counts.map(|name| Field::new(name, DataType::UInt32, true)));
    }
    fields.push(Field::new("flags", DataType::UInt8, false));
    Schema::new(fields)
}

/// Some events of a window as one record batch.
pub(crate) fn to_batch(window: &Window, events: Range<usize>, kinds: &[Kind]) -> RecordBatch {
    let built = Builder::new(window, events).batch(kinds);
    built.unwrap_or_else(|error| unreachable!("the columns are built to the schema: {error}"))
}

/// What the columns of some events are built from.
struct Builder<'a> {
    window: &'a Window,
    events: Range<usize>,
    lanes: &'a [u32],
    /// The tape that all tapes with rows are like, if they have one kind and interval: most columns are constant then.
    one: Option<&'a LoadedTape>,
    /// The session's open and close, as places among the events.
    boundaries: Vec<usize>,
}

impl<'a> Builder<'a> {
    fn new(window: &'a Window, events: Range<usize>) -> Self {
        let lanes = &window.order.lanes[events.clone()];
        let with_rows = || window.loaded.tapes.iter().filter(|tape| Kind::ROWS.contains(&tape.key.kind));
        let like = |one: &LoadedTape, tape: &LoadedTape| {
            (one.key.kind, one.key.interval_ns) == (tape.key.kind, tape.key.interval_ns)
        };
        let one = with_rows().next().filter(|one| with_rows().all(|tape| like(one, tape)));
        let boundaries = boundaries(window, &events);
        Self { window, events, lanes, one, boundaries }
    }

    fn len(&self) -> usize {
        self.events.len()
    }

    fn batch(&self, kinds: &[Kind]) -> Result<RecordBatch, ArrowError> {
        let (window, from, len) = (self.window, self.events.start, self.len());
        let kind_keys = self.by_tape(|tape| tape.key.kind as i8);
        let nulls: Vec<Option<NullBuffer>> = kinds.iter().map(|&kind| self.nulls(&kind_keys, kind)).collect();
        let bars = kinds.iter().position(|&kind| kind == Kind::Bar).map(|place| nulls[place].clone());
        let words = Arc::new(StringArray::from_iter_values(KIND_WORDS));
        let mut columns: Vec<ArrayRef> = vec![
            stamps(window.order.at_ns.slice(from, len)),
            stamps(window.ts_ns.slice(from, len)),
            Arc::new(DictionaryArray::<Int8Type>::try_new(Int8Array::from(kind_keys), words)?),
            self.symbols()?,
        ];
        if let Some(nulls) = &bars {
            let intervals = self.by_tape(|tape| tape.key.interval_ns);
            columns.push(Arc::new(Int64Array::new(intervals.into(), nulls.clone())));
        }
        for (kind, nulls) in kinds.iter().zip(nulls) {
            // The window's columns serve every kind: what is not of the kind is null.
            for place in 0..kind.columns().len() {
                let values = window.values.get(place).map(|column| column.slice(from, len));
                let values = values.unwrap_or_else(|| vec![0.0; len].into());
                columns.push(Arc::new(Float64Array::new(values, nulls.clone())));
            }
        }
        if let Some(nulls) = bars {
            columns.extend(self.counts(nulls.as_ref()));
        }
        columns.push(Arc::new(UInt8Array::from(self.flags())));
        RecordBatch::try_new(Arc::new(schema(kinds)), columns)
    }

    /// One value a tape, for each event.
    fn by_tape<T: Copy>(&self, value: impl Fn(&LoadedTape) -> T) -> Vec<T> {
        let tapes = &self.window.loaded.tapes;
        let Some(one) = self.one else {
            let values: Vec<T> = tapes.iter().map(value).collect();
            return spread(&self.window.order, self.events.clone(), &values);
        };
        let mut column = vec![value(one); self.len()];
        for &place in &self.boundaries {
            column[place] = value(&tapes[self.lanes[place] as usize]);
        }
        column
    }

    /// Which events are not of a kind; `None` where all are.
    fn nulls(&self, kind_keys: &[i8], kind: Kind) -> Option<NullBuffer> {
        let valid = match self.one {
            Some(one) if one.key.kind == kind => self.all_but_boundaries()?,
            _ => BooleanBuffer::collect_bool(self.len(), |event| kind_keys[event] == kind as i8),
        };
        Some(NullBuffer::new(valid)).filter(|nulls| nulls.null_count() > 0)
    }

    fn all_but_boundaries(&self) -> Option<BooleanBuffer> {
        if self.boundaries.is_empty() {
            return None;
        }
        let mut valid = BooleanBufferBuilder::new(self.len());
        valid.append_n(self.len(), true);
        self.boundaries.iter().for_each(|&place| valid.set_bit(place, false));
        Some(valid.finish())
    }

    fn symbols(&self) -> Result<ArrayRef, ArrowError> {
        let loaded = &self.window.loaded;
        let names: Vec<Arc<str>> = loaded.symbols.keys().cloned().collect();
        let ids = spread(&self.window.order, self.events.clone(), &symbol_ids(loaded));
        symbols(ids.into(), self.all_but_boundaries().map(NullBuffer::new), &names)
    }

    fn counts(&self, nulls: Option<&NullBuffer>) -> [ArrayRef; 3] {
        let tapes = &self.window.loaded.tapes;
        let plain = tapes.iter().all(|tape| tape.counts.is_none() && tape.rows.filled.is_none());
        let column = |fed: u32, filled: u32, pick: fn(&Counts) -> &[u32]| -> ArrayRef {
            if plain {
                return Arc::new(UInt32Array::new(vec![fed; self.len()].into(), nulls.cloned()));
            }
            let rows = &self.window.order.rows[self.events.clone()];
            let value = |(&lane, &row): (&u32, &u32)| {
                let (tape, row) = (&tapes[lane as usize], row as usize);
                match &tape.counts {
                    Some(counts) => pick(counts)[row],
                    None if tape.rows.is_filled(row) => filled,
                    None => fed,
                }
            };
            Arc::new(UInt32Array::new(self.lanes.iter().zip(rows).map(value).collect(), nulls.cloned()))
        };
        [
            column(1, 0, |counts| &counts.present),
            column(1, 1, |counts| &counts.expected),
            column(0, 1, |counts| &counts.filled),
        ]
    }

    fn flags(&self) -> Vec<u8> {
        let (order, loaded) = (&self.window.order, &self.window.loaded);
        match Flags::by_tape(loaded, order.at_ns[self.events.clone()].first().copied()) {
            Some(by_tape) if by_tape.iter().all(|&bits| bits == 0) => vec![0; self.len()],
            Some(by_tape) => spread(order, self.events.clone(), &by_tape),
            None => {
                let flags = |event: usize| {
                    let (tape, row) = (order.lanes[event] as usize, order.rows[event] as usize);
                    Flags::of(loaded, tape, row, order.at_ns[event]).bits()
                };
                self.events.clone().map(flags).collect()
            }
        }
    }
}

/// Where the session's open and close stand among some events.
fn boundaries(window: &Window, events: &Range<usize>) -> Vec<usize> {
    let (tapes, order) = (&window.loaded.tapes, &window.order);
    let lanes = (0..tapes.len()).filter(|&lane| !Kind::ROWS.contains(&tapes[lane].key.kind));
    let place = |lane: usize| {
        let at_ns = *tapes[lane].rows.ts_ns.first()?;
        let from = order.at_ns.partition_point(|&at| at < at_ns);
        let to = from + order.at_ns[from..].partition_point(|&at| at == at_ns);
        let place = from + order.lanes[from..to].partition_point(|&other| (other as usize) < lane);
        let is_here = events.contains(&place) && order.lanes[place] as usize == lane;
        is_here.then(|| place - events.start)
    };
    lanes.filter_map(place).collect()
}

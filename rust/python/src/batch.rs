//! Merged events as one record batch: the schema of `batches()` and `to_arrow()`.

use crate::arrow_out::{stamp_type, stamps};
use crate::batch_form::{BatchForm, Constants, Keys};
use crate::flags::Flags;
use arrow_array::types::{Int8Type, UInt32Type};
use arrow_array::{ArrayRef, DictionaryArray, Float64Array, Int8Array, Int64Array, RecordBatch, StringArray};
use arrow_array::{UInt8Array, UInt32Array};
use arrow_buffer::{ArrowNativeType, BooleanBuffer, BooleanBufferBuilder, NullBuffer, ScalarBuffer};
use arrow_schema::{ArrowError, DataType, Field, Schema};
use backtape_core::gather::spread;
use backtape_core::key::Kind;
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
pub(crate) fn to_batch(form: &BatchForm, window: &Window, events: Range<usize>) -> RecordBatch {
    let built = Builder::new(form, window, events).batch();
    built.unwrap_or_else(|error| unreachable!("the columns are built to the schema: {error}"))
}

/// What the columns of some events are built from.
struct Builder<'a> {
    form: &'a BatchForm,
    window: &'a Window,
    events: Range<usize>,
    lanes: &'a [u32],
    keys: Arc<Keys>,
    constants: Constants,
    /// The session's open and close, as places among the events.
    boundaries: Vec<usize>,
}

impl<'a> Builder<'a> {
    fn new(form: &'a BatchForm, window: &'a Window, events: Range<usize>) -> Self {
        let lanes = &window.order.lanes[events.clone()];
        let (keys, constants) = form.of(&window.loaded, events.len());
        let boundaries = boundaries(window, &keys.boundaries, &events);
        Self { form, window, events, lanes, keys, constants, boundaries }
    }

    fn len(&self) -> usize {
        self.events.len()
    }

    fn batch(&self) -> Result<RecordBatch, ArrowError> {
        let (form, window, from, len) = (self.form, self.window, self.events.start, self.len());
        let kind_keys = self.kind_keys();
        let nulls: Vec<Option<NullBuffer>> = form.kinds.iter().map(|&kind| self.nulls(&kind_keys, kind)).collect();
        let bars = form.kinds.iter().position(|&kind| kind == Kind::Bar).map(|place| nulls[place].clone());
        let words = Arc::new(StringArray::from_iter_values(KIND_WORDS));
        let mut columns: Vec<ArrayRef> = vec![
            stamps(window.order.at_ns.slice(from, len)),
            stamps(window.ts_ns.slice(from, len)),
            Arc::new(DictionaryArray::<Int8Type>::try_new(Int8Array::new(kind_keys, None), words)?),
            self.symbols()?,
        ];
        if let Some(nulls) = &bars {
            columns.push(Arc::new(Int64Array::new(self.intervals_ns(), nulls.clone())));
        }
        for (kind, nulls) in form.kinds.iter().zip(nulls) {
            // The window's columns serve every kind: what is not of the kind is null.
            for place in 0..kind.columns().len() {
                let values = window.values.get(place).map(|column| column.slice(from, len));
                let values = values.unwrap_or_else(|| vec![0.0; len].into());
                columns.push(Arc::new(Float64Array::new(values, nulls.clone())));
            }
        }
        if let Some(nulls) = bars {
            columns
                .extend(self.counts().map(|counts| -> ArrayRef { Arc::new(UInt32Array::new(counts, nulls.clone())) }));
        }
        columns.push(Arc::new(UInt8Array::new(self.flags(), None)));
        RecordBatch::try_new(Arc::clone(&form.schema), columns)
    }

    fn kind_keys(&self) -> ScalarBuffer<i8> {
        let Some(kind) = self.keys.only_kind else {
            return self.spread(&self.keys.kinds);
        };
        let write = |column: &mut [i8]| {
            column.fill(kind as i8);
            for &place in &self.boundaries {
                column[place] = self.keys.kinds[self.lanes[place] as usize];
            }
        };
        self.form.column(|room| room.written(self.len(), write))
    }

    /// One value a tape.
    fn spread<T: ArrowNativeType>(&self, by_tape: &[T]) -> ScalarBuffer<T> {
        self.form.column(|room| spread(&self.window.order, self.events.clone(), by_tape, room))
    }

    /// Which events are not of a kind; `None` where all are.
    fn nulls(&self, kind_keys: &[i8], kind: Kind) -> Option<NullBuffer> {
        let valid = if self.keys.only_kind == Some(kind) {
            self.all_but_boundaries()?
        } else {
            BooleanBuffer::collect_bool(self.len(), |event| kind_keys[event] == kind as i8)
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
        let ids = self.form.column(|room| self.keys.symbols_of(&self.window.order, self.events.clone(), room));
        let ids = UInt32Array::new(ids, self.all_but_boundaries().map(NullBuffer::new));
        Ok(Arc::new(DictionaryArray::<UInt32Type>::try_new(ids, Arc::clone(&self.keys.names) as ArrayRef)?))
    }

    fn intervals_ns(&self) -> ScalarBuffer<i64> {
        match self.keys.interval_ns {
            Some(_) => self.constants.intervals_ns.slice(0, self.len()),
            None => self.spread(&self.keys.intervals_ns),
        }
    }

    /// Base bars present, expected and filled.
    fn counts(&self) -> [ScalarBuffer<u32>; 3] {
        if let Some(counts) = &self.window.counts {
            return counts.columns().map(|column| column.slice(self.events.start, self.len()));
        }
        let Constants { ones, zeros, .. } = &self.constants;
        [ones, ones, zeros].map(|column| column.slice(0, self.len()))
    }

    fn flags(&self) -> ScalarBuffer<u8> {
        let (order, loaded) = (&self.window.order, &self.window.loaded);
        match Flags::by_tape(loaded, order.at_ns[self.events.clone()].first().copied()) {
            Some(by_tape) if by_tape.iter().all(|&bits| bits == 0) => self.constants.no_flags.slice(0, self.len()),
            Some(by_tape) => self.spread(&by_tape),
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
fn boundaries(window: &Window, lanes: &[usize], events: &Range<usize>) -> Vec<usize> {
    let (tapes, order) = (&window.loaded.tapes, &window.order);
    let place = |&lane: &usize| {
        let at_ns = *tapes[lane].rows.ts_ns.first()?;
        let from = order.at_ns.partition_point(|&at| at < at_ns);
        let to = from + order.at_ns[from..].partition_point(|&at| at == at_ns);
        let place = from + order.lanes[from..to].partition_point(|&other| (other as usize) < lane);
        let is_here = events.contains(&place) && order.lanes[place] as usize == lane;
        is_here.then(|| place - events.start)
    };
    lanes.iter().filter_map(place).collect()
}

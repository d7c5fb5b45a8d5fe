//! Columns of symbols as numbers, the same in all pieces of a stream.

use crate::arrow_in::Unreadable;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, UInt32Type};
use arrow_array::{Array, ArrayRef, StringArray};
use arrow_buffer::ScalarBuffer;
use arrow_cast::cast;
use arrow_schema::DataType;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The symbols that were met, each once.
#[derive(Default)]
pub(crate) struct Symbols {
    /// A symbol's number is its place.
    pub(crate) names: Vec<Arc<str>>,
    number_of: BTreeMap<Arc<str>, u32>,
    /// The words of the last piece, and their numbers; `None` where these are their places. Pieces mostly share their words,
    /// and there may be more words than rows in one.
    last: Option<(StringArray, Option<Vec<u32>>)>,
}

impl Symbols {
    /// The symbols of a piece (string, or a dictionary of strings) as their numbers; a null one is refused.
    pub(crate) fn ids(&mut self, column: &ArrayRef) -> Result<ScalarBuffer<u32>, Unreadable> {
        let refuse =
            |found: String| Unreadable::Column { name: "symbol".to_owned(), expected: "string without nulls", found };
        if column.null_count() > 0 {
            return Err(refuse(format!("{} nulls", column.null_count())));
        }
        let (ids, words): (ScalarBuffer<u32>, _) = match column.as_dictionary_opt::<Int32Type>() {
            // Most columns of symbols are such ones. No number is below zero, so their bits are those of u32.
            Some(own) if *own.values().data_type() == DataType::Utf8 => {
                (own.keys().values().inner().clone().into(), Arc::clone(own.values()))
            }
            _ => {
                let keyed = DataType::Dictionary(Box::new(DataType::UInt32), Box::new(DataType::Utf8));
                let dictionary = cast(column, &keyed).map_err(|_| refuse(column.data_type().to_string()))?;
                let dictionary = dictionary.as_dictionary::<UInt32Type>();
                (dictionary.keys().values().clone(), Arc::clone(dictionary.values()))
            }
        };
        let numbers = self.numbers_of(words.as_string());
        Ok(numbers.map_or(ids.clone(), |numbers| ids.iter().map(|&id| numbers[id as usize]).collect()))
    }

    fn numbers_of(&mut self, words: &StringArray) -> Option<&[u32]> {
        if !self.last.as_ref().is_some_and(|(last, _)| are_same(last, words)) {
            let numbers: Vec<u32> = (0..words.len()).map(|place| self.number(words.value(place))).collect();
            let are_places = (0..).zip(&numbers).all(|(place, &number)| place == number);
            self.last = Some((words.clone(), (!are_places).then_some(numbers)));
        }
        self.last.as_ref().and_then(|(_, numbers)| numbers.as_deref())
    }

    fn number(&mut self, word: &str) -> u32 {
        if let Some(&number) = self.number_of.get(word) {
            return number;
        }
        let (name, number): (Arc<str>, _) = (word.into(), self.names.len() as u32);
        self.names.push(Arc::clone(&name));
        self.number_of.insert(name, number);
        number
    }
}

/// Whether two arrays are the same memory.
fn are_same(one: &StringArray, other: &StringArray) -> bool {
    one.offsets().inner().inner().ptr_eq(other.offsets().inner().inner()) && one.values().ptr_eq(other.values())
}

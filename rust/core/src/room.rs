//! Memory for the columns of windows, used again once nobody looks at what was in it: fresh memory costs more than the
//! numbers that are written to it.

use arrow_buffer::{ArrowNativeType, Buffer, MutableBuffer, ScalarBuffer};

/// No more buffers are remembered: those of a few windows.
const KEPT_MAX: usize = 64;
/// Windows differ in length; a buffer that is a little too long serves more of them.
const SPARE_PART: usize = 8;

/// Buffers that were handed out. Each is taken back when ours is the last reference to it.
#[derive(Debug, Default)]
pub struct Room {
    kept: Vec<Buffer>,
}

impl Room {
    /// A column of so many values, whatever they are: all of them are to be written.
    pub(crate) fn column<T: ArrowNativeType>(&mut self, rows: usize) -> Column {
        let bytes = rows * size_of::<T>();
        let fits = |buffer: &Buffer| buffer.strong_count() == 1 && (bytes..=4 * bytes).contains(&buffer.len());
        let free = self.kept.iter().position(fits).map(|place| self.kept.swap_remove(place));
        Column { buffer: free.and_then(|buffer| buffer.into_mutable().ok()), bytes }
    }

    /// A column of so many values, written by `write`, which must write all of them.
    pub fn written<T: ArrowNativeType>(&mut self, rows: usize, write: impl FnOnce(&mut [T])) -> ScalarBuffer<T> {
        let (mut column, mut memory) = (self.column::<T>(rows), Vec::with_capacity(1));
        write(column.values());
        let done = column.done(&mut memory);
        self.keep(memory);
        done
    }

    /// Remembers what was handed out.
    pub(crate) fn keep(&mut self, handed: impl IntoIterator<Item = Buffer>) {
        self.kept.extend(handed);
        let surplus = self.kept.len().saturating_sub(KEPT_MAX);
        self.kept.drain(..surplus);
    }

    /// Forgets what somebody still looks at, and what is more than so many bytes.
    pub(crate) fn shrink(&mut self, bytes_max: usize) {
        let mut bytes = 0;
        self.kept.retain(|buffer| {
            bytes += buffer.len();
            buffer.strong_count() == 1 && bytes <= bytes_max
        });
    }
}

/// A column that is being written.
#[derive(Debug)]
pub(crate) struct Column {
    /// None until the first look, where there was none to be used again: whoever writes the column is to wait for fresh memory, and
    /// nobody else.
    buffer: Option<MutableBuffer>,
    bytes: usize,
}

impl Column {
    /// Its values.
    pub(crate) fn values<T: ArrowNativeType>(&mut self) -> &mut [T] {
        let (rows, bytes) = (self.bytes / size_of::<T>(), self.bytes);
        let fresh = || MutableBuffer::from_len_zeroed((bytes + bytes / SPARE_PART).next_multiple_of(64));
        &mut self.buffer.get_or_insert_with(fresh).typed_data_mut()[..rows]
    }

    /// What it has become: its values, and the buffer to be remembered.
    pub(crate) fn done<T: ArrowNativeType>(mut self, kept: &mut Vec<Buffer>) -> ScalarBuffer<T> {
        self.values::<T>(); // a column without rows was never looked at
        let buffer: Buffer = self.buffer.unwrap_or_default().into();
        kept.push(buffer.clone());
        ScalarBuffer::new(buffer, 0, self.bytes / size_of::<T>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(room: &mut Room, value: i64) -> ScalarBuffer<i64> {
        room.written(100, |column| column.fill(value))
    }

    #[test]
    fn memory_is_used_again_once_nobody_looks_at_it() {
        let mut room = Room::default();
        let first = written(&mut room, 1);
        let place = first.inner().as_ptr();
        let view = first.slice(10, 5);
        drop(first);
        let second = written(&mut room, 2);
        assert_ne!(second.inner().as_ptr(), place);
        assert_eq!(*view, [1; 5]);
        drop(view);
        assert_eq!(written(&mut room, 3).inner().as_ptr(), place);
        assert_eq!(*second, [2; 100]);
    }

    #[test]
    fn what_is_in_use_or_too_much_is_forgotten() {
        let mut room = Room::default();
        let held: Vec<ScalarBuffer<i64>> = (0..3).map(|value| written(&mut room, value)).collect();
        room.shrink(usize::MAX);
        assert_eq!((room.kept.len(), held.len()), (0, 3));
        let held: Vec<ScalarBuffer<i64>> = (0..3).map(|value| written(&mut room, value)).collect();
        drop(held);
        room.shrink(2 * room.kept[0].len());
        assert_eq!(room.kept.len(), 2);
    }

    #[test]
    fn only_some_buffers_are_remembered() {
        let mut room = Room::default();
        let held: Vec<ScalarBuffer<i64>> = (0..100).map(|value| written(&mut room, value)).collect();
        assert_eq!((room.kept.len(), held.len()), (KEPT_MAX, 100));
    }
}

//! Work that is spread over threads. What comes of it does not depend on them.

use std::thread;

/// Does the first piece of work on a thread of its own and the second one meanwhile; returns when both are done.
pub fn side_by_side(first: &mut (dyn FnMut() + Send), second: &mut (dyn FnMut() + Send)) {
    thread::scope(|scope| {
        scope.spawn(first);
        second();
    });
}

//! Work that is spread over threads. What comes of it does not depend on them.

use std::thread;

/// Of less than so many rows, a thread costs more than it does.
const WORTH_A_THREAD: usize = 20_000;

/// Does the first piece of work on a thread of its own and the second one meanwhile; returns when both are done.
pub fn side_by_side(first: &mut (dyn FnMut() + Send), second: &mut (dyn FnMut() + Send)) {
    thread::scope(|scope| {
        scope.spawn(first);
        second();
    });
}

/// Does a piece of work on two halves of some items, each on a thread of its own, and puts what comes of it together. The
/// halves have about the same size.
pub fn in_halves<Item: Sync, Done: Send>(
    items: &[Item],
    size: impl Fn(&Item) -> usize,
    work: impl Fn(&[Item]) -> Vec<Done> + Sync,
) -> Vec<Done> {
    let whole: usize = items.iter().map(&size).sum();
    if whole < WORTH_A_THREAD || items.len() < 2 {
        return work(items);
    }
    let mut before = 0;
    let half = items.iter().take_while(|item| {
        before += size(item);
        before <= whole / 2
    });
    let (early, late) = items.split_at(half.count());
    let (mut first, mut second) = (Vec::new(), Vec::new());
    side_by_side(&mut || second = work(late), &mut || first = work(early));
    first.extend(second);
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_come_together_in_their_order() {
        for sizes in [vec![], vec![1], vec![WORTH_A_THREAD; 5], vec![1, 1, WORTH_A_THREAD], vec![WORTH_A_THREAD, 0, 0]]
        {
            let numbered: Vec<(usize, usize)> = sizes.iter().copied().enumerate().collect();
            let numbers = in_halves(&numbered, |own| own.1, |some| some.iter().map(|own| own.0).collect());
            assert_eq!(numbers, (0..sizes.len()).collect::<Vec<_>>());
        }
    }
}

//! Work that is done ahead, on threads of its own, while the result of the piece before is used.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;

type Outcome<Done> = Result<Done, Box<dyn Any + Send>>;
type Order<Job, Done> = (Job, Sender<Outcome<Done>>);

/// Threads that do pieces of work, in the order in which they are begun. They end when this is dropped.
pub struct Ahead<Job, Done> {
    todo: Arc<Todo<Job, Done>>,
    /// Starts one more thread.
    spawn: Box<dyn Fn() -> std::io::Result<()> + Send>,
    threads: usize,
    threads_max: usize,
    /// A forked process may have the lock for good, and has none of the threads.
    process: u32,
}

/// Work that was begun and that nobody has taken.
struct Todo<Job, Done> {
    list: Mutex<List<Job, Done>>,
    /// A piece of work wakes one thread. What wakes up for nothing takes a processor from those who have something to do.
    more: Condvar,
}

struct List<Job, Done> {
    orders: VecDeque<Order<Job, Done>>,
    /// Threads that have no work.
    idle: usize,
    is_over: bool,
}

impl<Job, Done> Todo<Job, Done> {
    fn list(&self) -> MutexGuard<'_, List<Job, Done>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next piece of work, once there is one; `None` when nothing is left and nothing more comes.
    fn next(&self) -> Option<Order<Job, Done>> {
        let mut list = self.list();
        loop {
            if let Some(order) = list.orders.pop_front() {
                list.idle -= 1;
                return Some(order);
            }
            if list.is_over {
                return None;
            }
            list = self.more.wait(list).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// A piece of work that was begun. What it works on is dropped by whoever drops this, which waits for it: it may belong to
/// the interpreter, for which no other thread is to wait in the end.
#[derive(Debug)]
pub struct Begun<Done> {
    done: Receiver<Outcome<Done>>,
    is_taken: bool,
    /// A forked process has no such threads, and must not wait for them.
    process: u32,
}

impl<Job: Send + 'static, Done: Send + 'static> Ahead<Job, Done> {
    /// At most so many threads of this name. One is started when work is begun and all others have some. Each has a scratch of
    /// its own, which it uses again.
    pub fn new<Scratch: Default + 'static>(
        name: &'static str,
        threads_max: usize,
        work: fn(Job, &mut Scratch) -> Done,
    ) -> Self {
        let list = List { orders: VecDeque::new(), idle: 0, is_over: false };
        let todo = Arc::new(Todo { list: Mutex::new(list), more: Condvar::new() });
        let shared = Arc::clone(&todo);
        let spawn = move || {
            let todo = Arc::clone(&shared);
            let run = move || {
                let mut scratch = Scratch::default();
                while let Some((job, done)) = todo.next() {
                    let outcome = catch_unwind(AssertUnwindSafe(|| work(job, &mut scratch)));
                    todo.list().idle += 1;
                    // Nobody waits for what was given up.
                    drop(done.send(outcome));
                }
            };
            Builder::new().name(name.to_owned()).spawn(run).map(drop)
        };
        Self { todo, spawn: Box::new(spawn), threads: 0, threads_max, process: std::process::id() }
    }

    /// Begins a piece of work.
    ///
    /// # Errors
    /// The piece of work, where the system has no thread to do it.
    pub fn begin(&mut self, job: Job) -> Result<Begun<Done>, Job> {
        let mut list = self.todo.list();
        if list.orders.len() >= list.idle && self.threads < self.threads_max && (self.spawn)().is_ok() {
            self.threads += 1;
            list.idle += 1;
        }
        if self.threads == 0 {
            return Err(job);
        }
        let (finished, done) = channel();
        list.orders.push_back((job, finished));
        drop(list);
        self.todo.more.notify_one();
        Ok(Begun { done, is_taken: false, process: std::process::id() })
    }
}

impl<Job, Done> Drop for Ahead<Job, Done> {
    fn drop(&mut self) {
        if self.process == std::process::id() {
            self.todo.list().is_over = true;
            self.todo.more.notify_all();
        }
    }
}

impl<Done> Begun<Done> {
    /// What the work came to, once it is done; `None` in a process that was forked meanwhile. A panic of the work goes on
    /// here.
    pub fn take(mut self) -> Option<Done> {
        self.is_taken = true;
        if self.process != std::process::id() {
            return None;
        }
        self.done.recv().ok()?.map_or_else(|panic| resume_unwind(panic), Some)
    }
}

impl<Done> Drop for Begun<Done> {
    fn drop(&mut self) {
        if !self.is_taken && self.process == std::process::id() {
            drop(self.done.recv());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_piece_of_work_comes_to_whom_began_it() {
        let mut ahead = Ahead::new("test", 2, |job: u32, (): &mut ()| job * 2);
        let begun: Vec<_> = (0..100).map(|job| ahead.begin(job).expect("threads")).collect();
        for (job, begun) in begun.into_iter().enumerate().rev() {
            assert_eq!(begun.take(), Some(job as u32 * 2));
        }
        drop(ahead.begin(1));
    }

    #[test]
    fn a_panic_of_the_work_reaches_whoever_asks_for_it_and_ends_nothing_else() {
        let mut ahead = Ahead::new("test", 1, |job: u32, (): &mut ()| {
            assert!(job < 5, "job {job}");
            job
        });
        let begun = ahead.begin(7).expect("a thread");
        let panic = catch_unwind(AssertUnwindSafe(|| begun.take())).expect_err("the work panics");
        assert_eq!(panic.downcast_ref::<String>().map(String::as_str), Some("job 7"));
        assert_eq!(ahead.begin(3).expect("a thread").take(), Some(3));
    }

    #[test]
    fn a_forked_process_does_not_wait_for_the_lock_when_it_lets_go() {
        for (process, is_over) in [(std::process::id(), true), (0, false)] {
            let mut ahead = Ahead::new("test", 1, |(), (): &mut ()| ());
            ahead.process = process;
            let todo = Arc::clone(&ahead.todo);
            drop(ahead);
            assert_eq!(todo.list().is_over, is_over);
        }
    }

    #[test]
    fn what_is_given_up_is_waited_for() {
        static DONE: Mutex<u32> = Mutex::new(0);
        let mut ahead = Ahead::new("test", 1, |job: u32, (): &mut ()| {
            *DONE.lock().unwrap_or_else(PoisonError::into_inner) += job;
        });
        let begun: Vec<_> = (0..10).map(|_| ahead.begin(1)).collect();
        drop(begun);
        assert_eq!(*DONE.lock().unwrap_or_else(PoisonError::into_inner), 10);
    }

    #[test]
    fn a_thread_is_started_when_all_others_have_work() {
        static GATE: Mutex<()> = Mutex::new(());
        let mut ahead = Ahead::new("test", 2, |(), (): &mut ()| drop(GATE.lock()));
        for _ in 0..3 {
            assert_eq!(ahead.begin(()).expect("a thread").take(), Some(()));
            assert_eq!(ahead.threads, 1);
        }
        let shut = GATE.lock();
        let begun: Vec<_> = (0..3).map(|_| ahead.begin(())).collect();
        assert_eq!(ahead.threads, 2);
        drop(shut);
        drop(begun);
        assert_eq!(ahead.begin(()).expect("a thread").take(), Some(()));
        assert_eq!(ahead.threads, 2);
    }
}

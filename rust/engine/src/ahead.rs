//! Work that is done ahead, on threads of its own, while the result of the piece before is used.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::Builder;

type Outcome<Done> = Result<Done, Box<dyn Any + Send>>;
type Order<Job, Done> = (Job, Sender<Outcome<Done>>);

/// Threads that do pieces of work, in the order in which they are begun. They end when this is dropped.
pub struct Ahead<Job, Done> {
    jobs: Sender<Order<Job, Done>>,
    /// Starts one more thread.
    spawn: Box<dyn Fn() -> std::io::Result<()> + Send>,
    threads: usize,
    threads_max: usize,
    /// Pieces of work that nobody is done with.
    under_way: Arc<AtomicUsize>,
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
    /// At most so many threads of this name. One is started when work is begun and all others have some: what wakes up for
    /// nothing takes a processor from those who have something to do. Each has a scratch of its own, which it uses again.
    pub fn new<Scratch: Default + 'static>(
        name: &'static str,
        threads_max: usize,
        work: fn(Job, &mut Scratch) -> Done,
    ) -> Self {
        let (jobs, todo) = channel::<Order<Job, Done>>();
        let (todo, under_way) = (Arc::new(Mutex::new(todo)), Arc::new(AtomicUsize::new(0)));
        let left = Arc::clone(&under_way);
        let spawn = move || {
            let (todo, under_way) = (Arc::clone(&todo), Arc::clone(&left));
            // Whoever holds the lock waits for work; the others wait for the lock.
            let next = move || todo.lock().unwrap_or_else(PoisonError::into_inner).recv().ok();
            let run = move || {
                let mut scratch = Scratch::default();
                while let Some((job, done)) = next() {
                    let outcome = catch_unwind(AssertUnwindSafe(|| work(job, &mut scratch)));
                    under_way.fetch_sub(1, Ordering::Relaxed);
                    // Nobody waits for what was given up.
                    drop(done.send(outcome));
                }
            };
            Builder::new().name(name.to_owned()).spawn(run).map(drop)
        };
        Self { jobs, spawn: Box::new(spawn), threads: 0, threads_max, under_way }
    }

    /// Begins a piece of work.
    ///
    /// # Errors
    /// The piece of work, where the system has no thread to do it.
    pub fn begin(&mut self, job: Job) -> Result<Begun<Done>, Job> {
        let under_way = self.under_way.fetch_add(1, Ordering::Relaxed);
        if under_way >= self.threads && self.threads < self.threads_max && (self.spawn)().is_ok() {
            self.threads += 1;
        }
        if self.threads == 0 {
            self.under_way.fetch_sub(1, Ordering::Relaxed);
            return Err(job);
        }
        let (finished, done) = channel();
        let begun = Begun { done, is_taken: false, process: std::process::id() };
        self.jobs.send((job, finished)).map(|()| begun).map_err(|refused| refused.0.0)
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
        assert_eq!((ahead.threads, ahead.under_way.load(Ordering::Relaxed)), (2, 0));
    }
}

//! Work that is done ahead, on a thread of its own, while the result of the piece before is used.

use std::any::Any;
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};

/// A thread that does one piece of work at a time. It ends when this is dropped.
#[derive(Debug)]
pub struct Ahead<Job, Done> {
    jobs: Sender<Job>,
    done: Receiver<Done>,
    worker: Option<JoinHandle<()>>,
    is_busy: bool,
    /// A forked process has no such thread, and must not wait for it.
    process: u32,
}

impl<Job: Send + 'static, Done: Send + 'static> Ahead<Job, Done> {
    /// A thread of this name, which waits for work.
    ///
    /// # Errors
    /// What the system says when it has no thread to give.
    pub fn new(name: &str, work: fn(Job) -> Done) -> std::io::Result<Self> {
        let (jobs, todo) = channel::<Job>();
        let (finished, done) = channel();
        let run = move || {
            for job in todo {
                if finished.send(work(job)).is_err() {
                    break;
                }
            }
        };
        let worker = Some(Builder::new().name(name.to_owned()).spawn(run)?);
        Ok(Self { jobs, done, worker, is_busy: false, process: std::process::id() })
    }
}

impl<Job, Done> Ahead<Job, Done> {
    /// Begins a piece of work. What the one before came to was taken.
    pub fn start(&mut self, job: Job) {
        debug_assert!(!self.is_busy, "one piece at a time");
        self.is_busy = self.jobs.send(job).is_ok();
    }

    /// What the work that was begun came to, once it is done; `None` where none was begun. A panic of the work goes on here.
    pub fn take(&mut self) -> Option<Done> {
        if !std::mem::take(&mut self.is_busy) || self.process != std::process::id() {
            return None;
        }
        match self.done.recv() {
            Ok(done) => Some(done),
            Err(_) => self.worker.take().and_then(|worker| worker.join().err()).and_then(panic_on),
        }
    }
}

fn panic_on<Done>(panic: Box<dyn Any + Send>) -> Option<Done> {
    resume_unwind(panic)
}

impl<Job, Done> Drop for Ahead<Job, Done> {
    /// What it works on is dropped by whoever drops this: it may belong to the interpreter, for which no other thread is to
    /// wait in the end.
    fn drop(&mut self) {
        if self.is_busy && self.process == std::process::id() {
            drop(self.done.recv());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn each_piece_of_work_is_taken_once() {
        let mut ahead = Ahead::new("test", |job: u32| job * 2).expect("a thread");
        assert_eq!(ahead.take(), None);
        for job in 0..100 {
            ahead.start(job);
            assert_eq!((ahead.take(), ahead.take()), (Some(job * 2), None));
        }
        ahead.start(1);
    }

    #[test]
    fn a_panic_of_the_work_reaches_whoever_asks_for_it() {
        let mut ahead = Ahead::new("test", |job: u32| assert!(job < 5, "job {job}")).expect("a thread");
        ahead.start(7);
        let panic = catch_unwind(AssertUnwindSafe(|| ahead.take())).expect_err("the work panics");
        assert_eq!(panic.downcast_ref::<String>().map(String::as_str), Some("job 7"));
    }
}

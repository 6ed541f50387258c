//! Processes blocks of records on several threads and passes on the results in order, so
//! that they do not depend on the number of threads.

use crate::containers::framing::{Block, Framer};
use crate::containers::source::{FileReader, Source};
use crate::error::DatasetError;
use crate::options::{Progress, ReadOptions};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use tunesmith_core::digest::Digesting;

/// Results per thread that may wait for an earlier block.
const WAITING: u64 = 4;

/// Smaller data is processed by one thread: starting more takes longer.
const PARALLEL_BYTES: u64 = 2 << 20;

/// The default number of threads is at most this.
const MOST_THREADS: usize = 8;

/// A stream that knows its position.
pub(crate) trait CountedRead: Read + Send {
    /// Bytes read so far.
    fn bytes(&self) -> u64;
}

/// The input of a run and its options.
pub(crate) struct Work<'a> {
    pub source: &'a Source,
    pub options: &'a ReadOptions,
    pub of: u64,
}

struct Shared<'a, R, T, S, E> {
    work: &'a Work<'a>,
    feed: Mutex<Framer<R>>,
    joined: Mutex<Ordered<T, S>>,
    turn: Condvar,
    stop: AtomicBool,
    waiting: u64,
    failure: Mutex<Option<E>>,
}

struct Ordered<T, S> {
    next: u64,
    waiting: BTreeMap<u64, T>,
    sink: S,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A thread that panicked takes the scope down with it, so that nobody acts on what
    // it left.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The number of threads for this many bytes.
pub(crate) fn threads(options: &ReadOptions, of: u64) -> usize {
    match options.threads {
        Some(threads) => threads.get(),
        None if of < PARALLEL_BYTES => 1,
        None => std::thread::available_parallelism().map_or(1, |threads| threads.get().min(MOST_THREADS)),
    }
}

/// Passes every block to one of several workers, each made by `worker` on its own thread,
/// and their results to `sink` in the order of blocks. Returns the stream.
pub(crate) fn run<R, T, W, S, E>(
    work: &Work<'_>,
    framer: Framer<R>,
    worker: impl Fn() -> W + Sync,
    sink: S,
) -> Result<R, E>
where
    R: CountedRead,
    T: Send,
    W: FnMut(&Block) -> Result<T, E>,
    S: FnMut(T) -> Result<(), E> + Send,
    E: From<DatasetError> + Send,
{
    let threads = threads(work.options, work.of);
    let shared = Shared {
        work,
        feed: Mutex::new(framer),
        joined: Mutex::new(Ordered { next: 0, waiting: BTreeMap::new(), sink }),
        turn: Condvar::new(),
        stop: AtomicBool::new(false),
        waiting: WAITING * threads as u64,
        failure: Mutex::new(None),
    };
    if threads == 1 {
        shared.work_on(worker());
    } else {
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| shared.work_on(worker()));
            }
        });
    }
    let failure = shared.failure.into_inner().unwrap_or_else(PoisonError::into_inner);
    match failure {
        Some(failure) => Err(failure),
        None => Ok(shared.feed.into_inner().unwrap_or_else(PoisonError::into_inner).into_inner()),
    }
}

impl<R, T, S, E> Shared<'_, R, T, S, E>
where
    R: CountedRead,
    T: Send,
    S: FnMut(T) -> Result<(), E> + Send,
    E: From<DatasetError> + Send,
{
    fn fail(&self, error: E) {
        lock(&self.failure).get_or_insert(error);
        // Under the lock, so that nobody begins to wait after being called.
        let _joined = lock(&self.joined);
        self.stop.store(true, Ordering::Relaxed);
        self.turn.notify_all();
    }

    fn work_on(&self, mut worker: impl FnMut(&Block) -> Result<T, E>) {
        let Work { source, options, of } = self.work;
        let mut memory = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            if options.cancel.as_ref().is_some_and(|cancel| cancel.load(Ordering::Relaxed)) {
                return self.fail(DatasetError::Interrupted { path: source.path().to_owned() }.into());
            }
            let block = {
                let mut feed = lock(&self.feed);
                let block = feed.next_block(std::mem::take(&mut memory));
                if let Some(progress) = &options.progress {
                    progress(Progress { bytes: feed.get_ref().bytes(), of: *of });
                }
                block
            };
            let block = match block {
                Ok(None) => return,
                Err(error) => return self.fail(source.failed(error).into()),
                Ok(Some(block)) => block,
            };
            let result = match worker(&block) {
                Ok(result) => result,
                Err(error) => return self.fail(error),
            };
            let number = block.number;
            memory = block.bytes;
            if let Err(error) = self.join(number, result) {
                return self.fail(error);
            }
        }
    }

    fn join(&self, number: u64, result: T) -> Result<(), E> {
        let mut joined = lock(&self.joined);
        // The thread that has the next block never waits here, so that all go on.
        while number > joined.next + self.waiting && !self.stop.load(Ordering::Relaxed) {
            joined = self.turn.wait(joined).unwrap_or_else(PoisonError::into_inner);
        }
        joined.waiting.insert(number, result);
        let before = joined.next;
        while let Some(result) = {
            let next = joined.next;
            joined.waiting.remove(&next)
        } {
            joined.next += 1;
            (joined.sink)(result)?;
        }
        if joined.next != before {
            self.turn.notify_all();
        }
        Ok(())
    }
}
/// What blocks are cut from. A file that is not compressed is digested on the way.
pub(super) enum Feed<'a> {
    Digested(Digesting<FileReader<'a>>),
    Plain(FileReader<'a>, u64),
}

impl<'a> Feed<'a> {
    pub fn new(source: &'a Source) -> Result<Self, DatasetError> {
        let reader = source.reader_at(0)?;
        Ok(match source.compression() {
            None => Self::Digested(Digesting::new(reader)),
            Some(_) => Self::Plain(reader, 0),
        })
    }

    /// Without a digest: it is known, or not needed.
    pub fn undigested(source: &'a Source) -> Result<Self, DatasetError> {
        Ok(Self::Plain(source.reader_at(0)?, 0))
    }
}

impl CountedRead for Feed<'_> {
    fn bytes(&self) -> u64 {
        match self {
            Self::Digested(reader) => reader.bytes(),
            Self::Plain(_, bytes) => *bytes,
        }
    }
}

impl Read for Feed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Digested(reader) => reader.read(buffer),
            Self::Plain(reader, bytes) => {
                let count = reader.read(buffer)?;
                *bytes += count as u64;
                Ok(count)
            }
        }
    }
}

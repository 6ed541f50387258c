//! Work on a few threads.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Plugins that are checked at a time. 4: the checks are short and the compile
/// worker, which is not, runs once at a time anyway.
pub(crate) const AT_ONCE: usize = 4;

/// Maps items on a few threads, keeping their order.
pub(crate) fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let mut results: Vec<(usize, R)> = std::thread::scope(|scope| {
        let worker = || {
            let mut done = Vec::new();
            loop {
                let place = next.fetch_add(1, Ordering::Relaxed);
                let Some(item) = items.get(place) else { return done };
                done.push((place, work(item)));
            }
        };
        let threads: Vec<_> = (1..AT_ONCE.min(items.len())).map(|_| scope.spawn(worker)).collect();
        let mut results = worker();
        for thread in threads {
            match thread.join() {
                Ok(done) => results.extend(done),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        results
    });
    results.sort_by_key(|(place, _)| *place);
    results.into_iter().map(|(_, result)| result).collect()
}

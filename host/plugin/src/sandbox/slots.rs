//! Places for guest calls: a bound over all, and one for each plugin.

use super::error::Stopped;
use super::limits::Limits;
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many calls run, over all and by plugin.
#[derive(Default)]
struct Taken {
    all: usize,
    by_plugin: BTreeMap<String, usize>,
}

pub(crate) struct Slots {
    taken: Mutex<Taken>,
    freed: Condvar,
    all: usize,
    per_plugin: usize,
    wait: Duration,
}

impl Slots {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            taken: Mutex::default(),
            freed: Condvar::new(),
            all: limits.calls.max(1),
            per_plugin: limits.calls_per_plugin.max(1),
            wait: limits.queue_wait,
        }
    }

    /// Waits for a place, which is free again when the guard is dropped.
    pub(crate) fn take(self: &Arc<Self>, plugin: &str) -> Result<Slot, Stopped> {
        let until = Instant::now() + self.wait;
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let own = taken.by_plugin.get(plugin).copied().unwrap_or(0);
            if taken.all < self.all && own < self.per_plugin {
                taken.all += 1;
                *taken.by_plugin.entry(plugin.into()).or_default() += 1;
                return Ok(Slot { slots: Arc::clone(self), plugin: plugin.into() });
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(if own >= self.per_plugin {
                    Stopped::NoSlot { waited: self.wait, most: self.per_plugin, of_plugin: true }
                } else {
                    Stopped::NoSlot { waited: self.wait, most: self.all, of_plugin: false }
                });
            }
            taken = self.freed.wait_timeout(taken, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// A place, held by a call's thread for as long as the thread runs.
pub(crate) struct Slot {
    slots: Arc<Slots>,
    plugin: String,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        if let Some(own) = taken.by_plugin.get_mut(&self.plugin) {
            *own -= 1;
            if *own == 0 {
                taken.by_plugin.remove(&self.plugin);
            }
        }
        self.slots.freed.notify_all();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
mod tests {
    use super::*;

    fn slots(calls: usize, calls_per_plugin: usize) -> Arc<Slots> {
        let queue_wait = Duration::from_millis(20);
        Arc::new(Slots::new(&Limits { calls, calls_per_plugin, queue_wait, ..Limits::default() }))
    }

    #[test]
    fn one_plugin_leaves_slots_to_others() {
        let slots = slots(4, 2);
        let held: Vec<_> = (0..2).map(|_| slots.take("slow").ok().unwrap()).collect();
        assert!(matches!(slots.take("slow"), Err(Stopped::NoSlot { most: 2, of_plugin: true, .. })));
        let other = slots.take("other").ok().unwrap();
        drop(held);
        drop(slots.take("slow").ok().unwrap());
        drop(other);
    }

    #[test]
    fn total_limit_holds_for_any_plugin() {
        let slots = slots(2, 2);
        let _held = [slots.take("a").ok().unwrap(), slots.take("b").ok().unwrap()];
        assert!(matches!(slots.take("c"), Err(Stopped::NoSlot { most: 2, of_plugin: false, .. })));
    }

    #[test]
    fn waiting_call_gets_the_freed_slot() {
        let slots = Arc::new(Slots::new(&Limits { calls: 1, ..Limits::default() }));
        let held = slots.take("a").ok().unwrap();
        let waiting = std::thread::spawn({
            let slots = Arc::clone(&slots);
            move || slots.take("b").is_ok()
        });
        drop(held);
        assert!(waiting.join().unwrap());
    }
}

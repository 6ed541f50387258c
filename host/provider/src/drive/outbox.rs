//! Events on their way to the store: which are kept, and for how long they wait there.

use std::time::{Duration, Instant};
use tunesmith_store::{Event, NewEvent};

/// Events that accompany the work are stored with the next write; where none comes, this
/// often: soon enough for who watches from elsewhere, and few writes for hours of work.
const STORED_EVERY: Duration = Duration::from_secs(1);

/// How far something has come is stored where its share moved by one in so many, which is
/// what a bar can show.
const SHARES: u64 = 100;

/// No more events than this wait, whatever a server reports between two writes.
const MOST_WAITING: usize = 64;

/// Events that are to be stored.
#[derive(Default)]
pub(super) struct Outbox {
    waiting: Vec<NewEvent>,
    last: Option<Event>,
    /// When a share was kept last, and which.
    share: Option<(Instant, u64)>,
    stored: Option<Instant>,
}

impl Outbox {
    /// Keeps an event, if it says something new.
    pub fn add(&mut self, new: &NewEvent) {
        if self.last.as_ref() == Some(&new.event) || self.waiting.len() >= MOST_WAITING {
            return;
        }
        if let Event::Bytes { done, total, .. } | Event::Steps { step: done, total, .. } = new.event {
            let share = done.saturating_mul(SHARES).checked_div(total).unwrap_or_default();
            let moved = |&(when, before): &(Instant, u64)| when.elapsed() >= STORED_EVERY && share != before;
            if done != total && !self.share.as_ref().is_none_or(moved) {
                return;
            }
            self.share = Some((Instant::now(), share));
        }
        self.last = Some(new.event.clone());
        self.waiting.push(new.clone());
    }

    /// Whether something has waited for long.
    pub fn is_due(&self) -> bool {
        !self.waiting.is_empty() && self.stored.is_none_or(|when| when.elapsed() >= STORED_EVERY)
    }

    /// What waits, to be stored.
    pub fn take(&mut self) -> Vec<NewEvent> {
        self.stored = Some(Instant::now());
        std::mem::take(&mut self.waiting)
    }

    /// What could not be stored waits for the next write.
    pub fn put_back(&mut self, events: Vec<NewEvent>) {
        self.waiting.splice(0..0, events);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tunesmith_store::Transfer;

    fn bytes(done: u64) -> Event {
        Event::Bytes { what: Transfer::Upload, done, total: 1000 }
    }

    #[test]
    fn only_new_events_are_kept() {
        let mut outbox = Outbox::default();
        let mut add = |event| outbox.add(&NewEvent::own(0, event));
        let waiting = Event::Waiting { text: "busy".into() };
        for event in [waiting.clone(), waiting, bytes(0), bytes(1), bytes(500), bytes(1000), bytes(1000)] {
            add(event);
        }
        let kept: Vec<_> = outbox.take().into_iter().map(|new| new.event).collect();
        assert_eq!(kept, [Event::Waiting { text: "busy".into() }, bytes(0), bytes(1000)]);
        assert!(!outbox.is_due());
    }

    #[test]
    fn a_talkative_server_fills_no_memory() {
        let mut outbox = Outbox::default();
        for number in 0..10_000 {
            outbox.add(&NewEvent::own(0, Event::Waiting { text: number.to_string() }));
        }
        assert_eq!(outbox.take().len(), MOST_WAITING);
    }
}

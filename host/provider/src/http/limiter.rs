//! One pace for all jobs of a provider: a token bucket, and a pause for all when the
//! server asks for one.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// How often a service is asked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// Requests per second in the long run, above 0.
    pub per_second: f64,
    /// Requests that may go at once after a quiet time, at least 1.
    pub burst: u32,
}

/// Hands out turns. Shared by everything in this process that asks one provider.
#[derive(Debug)]
pub struct Limiter {
    pace: Option<Pace>,
    state: Mutex<State>,
}

#[derive(Debug, Clone, Copy)]
struct Pace {
    /// Between two turns.
    interval: Duration,
    /// How far ahead of that pace a burst may run.
    ahead: Duration,
}

#[derive(Debug, Default)]
struct State {
    /// When the bucket will be full again, had nobody asked any more.
    full_at: Option<Instant>,
    paused_until: Option<Instant>,
}

impl Limiter {
    /// A limiter with this pace, or with none: then only pauses hold anyone up.
    pub fn new(rate: Option<Rate>) -> Self {
        let pace = rate.filter(|rate| rate.per_second > 0.0 && rate.per_second.is_finite()).map(|rate| {
            // A day is longer than anyone waits, and keeps the sums within range.
            let interval = Duration::from_secs_f64((1.0 / rate.per_second).min(86_400.0));
            Pace { interval, ahead: interval.saturating_mul(rate.burst.max(1) - 1) }
        });
        Self { pace, state: Mutex::default() }
    }

    /// Waits for a turn. Turns are handed out in the order in which they are asked
    /// for; one that is not waited for is lost, not given to another.
    pub async fn turn(&self) {
        loop {
            let at = self.reserve(Instant::now());
            sleep_until(at).await;
            // A pause that began meanwhile holds for those who were waiting, too.
            if self.lock().paused_until.is_none_or(|until| until <= Instant::now()) {
                return;
            }
        }
    }

    /// Holds everyone up from now on for at least `pause`, after which turns begin
    /// one by one, without a burst.
    pub fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause;
        let mut state = self.lock();
        state.paused_until = state.paused_until.max(Some(until));
        if let Some(pace) = self.pace {
            state.full_at = state.full_at.max(Some(until + pace.ahead));
        }
    }

    /// Whether a pause holds everyone up now.
    #[cfg(test)]
    pub(crate) fn is_paused(&self) -> bool {
        self.lock().paused_until.is_some_and(|until| until > Instant::now())
    }

    /// The moment of the next turn, which is then taken.
    fn reserve(&self, now: Instant) -> Instant {
        let mut state = self.lock();
        let earliest = state.paused_until.map_or(now, |until| until.max(now));
        let Some(pace) = self.pace else { return earliest };
        let full_at = state.full_at.map_or(now, |at| at.max(now));
        state.full_at = Some(full_at + pace.interval);
        full_at.checked_sub(pace.ahead).map_or(earliest, |turn| turn.max(earliest))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every write is whole, so a panic elsewhere leaves nothing half-done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    /// When each of `count` tasks that ask at once gets its turn, in milliseconds.
    async fn turns(limiter: &Arc<Limiter>, count: usize) -> Vec<u128> {
        let start = Instant::now();
        let tasks: Vec<_> = (0..count)
            .map(|_| {
                let limiter = Arc::clone(limiter);
                tokio::spawn(async move {
                    limiter.turn().await;
                    start.elapsed().as_millis()
                })
            })
            .collect();
        let mut times = Vec::new();
        for task in tasks {
            times.push(task.await.unwrap());
        }
        times
    }

    fn limiter(per_second: f64, burst: u32) -> Arc<Limiter> {
        Arc::new(Limiter::new(Some(Rate { per_second, burst })))
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_goes_at_once_and_the_rest_at_the_pace() {
        let limiter = limiter(10.0, 3);
        assert_eq!(turns(&limiter, 6).await, [0, 0, 0, 100, 200, 300]);
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(turns(&limiter, 4).await, [0, 0, 0, 100], "a quiet time fills the bucket, and no further");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_holds_up_everyone_and_then_turns_begin_one_by_one() {
        let limiter = limiter(10.0, 3);
        limiter.pause(Duration::from_secs(2));
        limiter.pause(Duration::from_secs(1));
        assert_eq!(turns(&limiter, 3).await, [2000, 2100, 2200]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_reaches_those_who_already_wait() {
        let limiter = limiter(1.0, 1);
        let waiting = {
            let limiter = Arc::clone(&limiter);
            tokio::spawn(async move { turns(&limiter, 2).await })
        };
        tokio::time::sleep(Duration::from_millis(500)).await;
        limiter.pause(Duration::from_secs(5));
        let times = waiting.await.unwrap();
        assert_eq!(times[0], 0);
        assert!(times[1] >= 5500, "{times:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_pace_only_pauses_count() {
        let limiter = Arc::new(Limiter::new(None));
        assert_eq!(turns(&limiter, 3).await, [0, 0, 0]);
        limiter.pause(Duration::from_secs(3));
        assert_eq!(turns(&limiter, 3).await, [3000, 3000, 3000]);
    }
}

//! Following a job from the store, from any process.

use super::Error;
use futures_util::stream::{self, Stream, TryStreamExt as _};
use std::time::Duration;
use tokio::time::sleep;
use tunesmith_store::{JobId, LONGEST_PAGE, Store, StoredEvent, Watch};

/// Between two looks at whether the store changed: a look at shared memory.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Every this many looks the job is read all the same: its owner may have died, which
/// changes nothing in the store.
const READ_EVERY: u32 = 25;

/// A job's events from after the event `after` (0 for the beginning) until it is over, or
/// until nobody carries it on any more. An error is the last item: the store cannot be
/// read, or the job was removed.
pub fn follow(
    store: &Store,
    job: &JobId,
    after: i64,
) -> impl Stream<Item = Result<StoredEvent, Error>> + use<> {
    let follower = Follower {
        watch: store.watch(),
        store: store.clone(),
        job: job.clone(),
        after,
        looks: 0,
        has_more: false,
        is_over: false,
    };
    stream::try_unfold(follower, async |mut follower| {
        let page = follower.next().await?;
        Ok::<_, Error>(page.map(|page| (stream::iter(page.into_iter().map(Ok)), follower)))
    })
    .try_flatten()
}

struct Follower {
    store: Store,
    watch: Watch,
    job: JobId,
    after: i64,
    looks: u32,
    /// The last page was not all that there was.
    has_more: bool,
    is_over: bool,
}

impl Follower {
    /// The next events; `None` once there will be no more.
    async fn next(&mut self) -> Result<Option<Vec<StoredEvent>>, Error> {
        loop {
            if !self.has_more {
                if self.is_over {
                    return Ok(None);
                }
                self.changed().await?;
                // The job first: what it says is over has all its events.
                let now = self.store.job(self.job.as_str()).await?;
                let is_left = || async {
                    let orphans = self.store.orphans().await?;
                    Ok::<_, Error>(orphans.iter().any(|orphan| orphan.id == now.id))
                };
                self.is_over = now.state.is_final() || is_left().await?;
            }
            let page = self.store.events(&self.job, self.after, LONGEST_PAGE).await?;
            self.has_more = page.next.is_some();
            if let Some(last) = page.items.last() {
                self.after = last.seq;
                return Ok(Some(page.items));
            }
        }
    }

    /// Waits until the store changed, or until it is time to read it all the same.
    async fn changed(&mut self) -> Result<(), Error> {
        loop {
            if self.looks > 0 {
                sleep(LOOK_EVERY).await;
            }
            self.looks += 1;
            if self.watch.changed().await? || self.looks.is_multiple_of(READ_EVERY) {
                return Ok(());
            }
        }
    }
}

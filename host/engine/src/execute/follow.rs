//! Following a job from the store, from any process.

use super::{Error, Progress};
use serde_json::Value;
use std::time::Duration;
use tokio::time::sleep;
use tunesmith_store::{Event, EventKind, Job, JobId, LONGEST_PAGE, Store};

/// Between two looks at whether the store changed: a look at shared memory.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Every this many looks the job is read all the same: its owner may have died, which
/// changes nothing in the store.
const READ_EVERY: u32 = 25;

/// Tells of a job's progress from after the event `after` (0 for the beginning) until it
/// is over, or until nobody carries it on any more.
///
/// # Errors
/// The store cannot be read; the job was removed.
pub async fn follow(
    store: &Store,
    job: &JobId,
    after: i64,
    mut on: impl FnMut(&Progress),
) -> Result<Job, Error> {
    let mut watch = store.watch();
    let mut after = after;
    let mut attempt = 0;
    let mut step = None;
    let mut told = None;
    let mut looks = 0;
    loop {
        let changed = watch.changed().await?;
        looks += 1;
        if !changed && looks % READ_EVERY != 0 {
            sleep(LOOK_EVERY).await;
            continue;
        }
        // The job first: what it says is over has all its events.
        let now = store.job(job.as_str()).await?;
        loop {
            let page = store.events(job, after, LONGEST_PAGE).await?;
            for event in &page.items {
                after = event.seq;
                if let Some(progress) = progress(event) {
                    on(&progress);
                }
            }
            if page.next.is_none() {
                break;
            }
        }
        if now.attempt != attempt {
            (attempt, step, told) = (now.attempt, None, None);
        }
        loop {
            let points = store.metrics(job, attempt, step, LONGEST_PAGE).await?;
            let Some(last) = points.last() else { break };
            step = Some(last.step);
            for point in points {
                on(&Progress::Metrics { step: point.step, figures: point.figures });
            }
        }
        if let (Some(step), Some(total)) = (now.step, now.total_steps)
            && told.replace((step, total)) != Some((step, total))
        {
            on(&Progress::Steps { step, total, eta_seconds: None });
        }
        let is_left = store.orphans().await?.iter().any(|orphan| orphan.id == now.id);
        if now.state.is_final() || is_left {
            return Ok(now);
        }
        sleep(LOOK_EVERY).await;
    }
}

/// What an event tells; figures are told from the metrics.
fn progress(event: &Event) -> Option<Progress> {
    let kind = event.data.as_ref().and_then(|data| data.get("type")).and_then(Value::as_str);
    if kind == Some("metrics") {
        return None;
    }
    Some(match event.kind {
        EventKind::State { from, to, ref reason } => Progress::State { from, to, reason: reason.clone() },
        _ => Progress::Message { level: event.level, text: event.message.clone(), at_ms: event.at_ms },
    })
}

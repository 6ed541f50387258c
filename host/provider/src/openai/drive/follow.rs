//! Following the remote job: its status, events, figures and checkpoints, each once.

use super::{Driver, Next, is_passing};
use crate::drive::{Error, FINE_TUNED, Until};
use crate::openai::client::{ApiError, Checkpoint, Event as Reported, Job, JobStatus};
use serde_json::json;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tunesmith_core::time::{Timestamp, now_ms};
use tunesmith_store::{
    Batch, Change, Event, Kept, LONGEST_PAGE, Level, MetricPoint, NewEvent, NewModel, State,
};

/// What was seen of a job so far.
struct Seen {
    events: HashSet<String>,
    /// When the first step was seen, and which.
    first_step: Option<(Instant, u64)>,
    status: Option<JobStatus>,
}

/// Why a look failed.
enum Trouble {
    Service(ApiError),
    Ours(Error),
}

impl From<ApiError> for Trouble {
    fn from(error: ApiError) -> Self {
        Self::Service(error)
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Ours(error)
    }
}

impl Driver<'_> {
    /// Follows the job until it is over at the service, or until it can be left.
    pub(super) async fn follow(&mut self) -> Result<Next, Error> {
        let Some(remote) = self.work.job.remote_id.clone() else {
            let why = "the service's id of it is not recorded".to_owned();
            return Err(Error::BadPlan { job: self.work.job.id.to_string(), why });
        };
        let mut seen = Seen { events: self.known_events().await?, first_step: None, status: None };
        let mut failing: Option<Instant> = None;
        let mut pause = self.work.patience.poll;
        let mut first = true;
        loop {
            match self.look_at(&remote, &mut seen, first).await {
                Ok(job) => {
                    failing = None;
                    if let Some(next) = self.moved(&job).await? {
                        return Ok(next);
                    }
                }
                Err(Trouble::Service(error)) if is_passing(&error) || is_missing(&error) => {
                    let since = *failing.get_or_insert_with(Instant::now);
                    if since.elapsed() >= self.work.patience.contact || self.work.until() == Until::Submitted
                    {
                        return Err(self.work.left(error.into()));
                    }
                    self.work.waiting(&error);
                }
                Err(Trouble::Service(error)) => return Err(self.work.left(error.into())),
                Err(Trouble::Ours(error)) => return Err(self.work.left(error)),
            }
            first = false;
            if self.serve(&remote).await? {
                return Err(self.work.cancelled());
            }
            if self.work.until() == Until::Submitted || self.is_answered().await? {
                return Ok(Next::Stop);
            }
            let shared = Arc::clone(&self.work.shared);
            tokio::select! {
                () = sleep(pause) => {}
                () = shared.left() => {}
                asked = self.work.asked() => asked?,
            }
            pause = self.work.patience.next_poll(pause);
        }
    }

    /// One look: everything that is new is in the store when it returns.
    async fn look_at(&mut self, remote: &str, seen: &mut Seen, first: bool) -> Result<Job, Trouble> {
        let job = self.client.job(remote).await?;
        if first {
            self.settle_controls(&job.status).await?;
        }
        let events = self.client.events(remote, &seen.events).await?;
        let checkpoints = match job.status {
            // They come with the epochs; a look at the end sees those that are kept.
            JobStatus::Running if events.is_empty() => Vec::new(),
            JobStatus::ValidatingFiles | JobStatus::Queued => Vec::new(),
            _ => self.client.checkpoints(remote).await?,
        };
        let batch = batch(&events, &checkpoints);
        let progress = batch.progress;
        self.work.append(batch).await?;
        seen.events.extend(events.into_iter().map(|event| event.id));
        if let Some((step, total)) = progress {
            let eta_seconds = eta(&job, step, total, seen);
            self.work.report(Event::Steps { step, total, eta_seconds });
        }
        if seen.status.as_ref() != Some(&job.status) {
            self.work.phase(job.status.as_str(), None);
            seen.status = Some(job.status.clone());
        }
        Ok(job)
    }

    /// Moves the local job to where the remote one is.
    async fn moved(&mut self, job: &Job) -> Result<Option<Next>, Error> {
        let to = match &job.status {
            JobStatus::ValidatingFiles | JobStatus::Queued => State::Submitted,
            JobStatus::Running | JobStatus::Pausing => State::Running,
            JobStatus::Paused => State::Paused,
            JobStatus::Other(_) => return Ok(None),
            JobStatus::Succeeded => return self.succeeded(job).await.map(Some),
            JobStatus::Cancelled => {
                let asked = self.work.cancel_asked().await?.is_some();
                let why = if asked { "as asked" } else { "cancelled at the service" };
                self.work.apply(Change::to(State::Cancelled).because(why).release()).await?;
                return Err(self.work.cancelled());
            }
            JobStatus::Failed => {
                let reason = reason(job);
                self.work.apply(Change::to(State::Failed).because(reason.clone()).release()).await?;
                return Err(Error::Failed { job: self.work.job.id.clone(), reason, source: None });
            }
        };
        if to != self.work.job.state {
            self.work.apply(Change::to(to)).await?;
        }
        Ok(None)
    }

    /// Training is over: the model is recorded at once, since it may be missing at first.
    async fn succeeded(&mut self, job: &Job) -> Result<Next, Error> {
        let Some(name) = job.fine_tuned_model.clone() else {
            let reason = "the service says that it succeeded, and names no model".to_owned();
            self.work.apply(Change::to(State::Failed).because(reason.clone()).release()).await?;
            return Err(Error::Failed { job: self.work.job.id.clone(), reason, source: None });
        };
        let model = NewModel { name, made: FINE_TUNED.to_owned(), digest: None };
        self.work.apply(Change::to(State::Verifying).model(model)).await?;
        if let Some(tokens) = job.trained_tokens {
            let tokens = tunesmith_core::text::grouped(tokens.into());
            self.work.note_outcome(&format!("{tokens} tokens were trained, which is what is billed")).await?;
        }
        Ok(Next::On)
    }

    /// Ids of the events that are in the store.
    async fn known_events(&self) -> Result<HashSet<String>, Error> {
        let mut known = HashSet::new();
        let mut after = 0;
        loop {
            let page = self.work.store().events(&self.work.job.id, after, LONGEST_PAGE).await?;
            known.extend(page.items.into_iter().filter_map(|event| event.remote_id));
            match page.next {
                Some(next) => after = next,
                None => return Ok(known),
            }
        }
    }
}

/// A service may take a moment to know the job that it has just made.
fn is_missing(error: &ApiError) -> bool {
    error.kind == crate::openai::client::ErrorKind::NotFound
}

/// Why a job failed, in the service's words.
fn reason(job: &Job) -> String {
    let Some(error) = &job.error else { return "the service does not say why".to_owned() };
    let message = error.message.clone().unwrap_or_else(|| "no message".to_owned());
    match (&error.code, &error.param) {
        (Some(code), Some(param)) => format!("{message} ({code}, about {param})"),
        (Some(code), None) => format!("{message} ({code})"),
        (None, Some(param)) => format!("{message} (about {param})"),
        (None, None) => message,
    }
}

fn level(event: &Reported) -> Level {
    match event.level.as_str() {
        "error" => Level::Error,
        "warn" | "warning" => Level::Warning,
        _ => Level::Info,
    }
}

fn milliseconds(seconds: Option<i64>) -> i64 {
    seconds.map_or_else(now_ms, |seconds| seconds.saturating_mul(1000))
}

/// What an event of the service tells.
fn told(event: &Reported) -> Event {
    if let Some(metrics) = &event.metrics
        && let Some(step) = metrics.step
    {
        return Event::Metrics { step, figures: metrics.values.clone() };
    }
    let mut data = json!({ "type": event.kind.as_deref().unwrap_or("message") });
    if let (Some(fields), Some(extra)) = (data.as_object_mut(), event.extra.get("data")) {
        fields.insert("data".to_owned(), extra.clone());
    }
    Event::Message { level: level(event), text: event.message.clone(), data: Some(data) }
}

/// What a look brought, as the store takes it.
fn batch(events: &[Reported], checkpoints: &[Checkpoint]) -> Batch {
    let mut batch = Batch::default();
    for event in events {
        batch.events.push(NewEvent {
            at_ms: milliseconds(event.created_at),
            event: told(event),
            remote_id: Some(event.id.clone()),
        });
        let Some(metrics) = &event.metrics else { continue };
        let Some(step) = metrics.step else { continue };
        if !metrics.values.is_empty() {
            batch.metrics.push(MetricPoint { step, figures: metrics.values.clone() });
        }
        if let Some(total) = metrics.total_steps.filter(|total| *total >= step) {
            batch.progress = Some((step, total));
        }
    }
    batch.checkpoints = checkpoints
        .iter()
        .filter_map(|checkpoint| {
            Some(tunesmith_store::Checkpoint {
                kept: Kept::Remote { id: checkpoint.id.clone(), model: checkpoint.model.clone()? },
                step: checkpoint.step.or(checkpoint.metrics.step)?,
                figures: checkpoint.metrics.values.clone(),
                made_ms: milliseconds(checkpoint.created_at),
            })
        })
        .collect();
    batch
}

/// How long the rest will take: by the steps that were seen to pass, otherwise as the
/// service expects.
fn eta(job: &Job, step: u64, total: u64, seen: &mut Seen) -> Option<u64> {
    let (since, first) = *seen.first_step.get_or_insert_with(|| (Instant::now(), step));
    let rest = total.saturating_sub(step);
    if step > first {
        #[expect(clippy::cast_precision_loss, reason = "counts of steps")]
        let seconds = since.elapsed().as_secs_f64() / (step - first) as f64 * rest as f64;
        return Some(Duration::try_from_secs_f64(seconds.round()).ok()?.as_secs());
    }
    u64::try_from(job.estimated_finish?.checked_sub(Timestamp::now().as_second())?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openai::client::Metrics;

    fn event(id: &str, kind: &str, step: Option<u64>) -> Reported {
        Reported {
            id: id.into(),
            created_at: Some(7),
            level: "warn".into(),
            message: format!("event {id}"),
            kind: Some(kind.into()),
            metrics: step.map(|step| Metrics {
                step: Some(step),
                total_steps: Some(9),
                values: [("train_loss".to_owned(), 0.5)].into(),
            }),
            extra: serde_json::Map::new(),
        }
    }

    #[test]
    fn events_become_messages_metrics_and_progress() {
        let batch = batch(&[event("a", "message", None), event("b", "metrics", Some(3))], &[]);
        assert_eq!(batch.metrics.len(), 1);
        assert_eq!(batch.progress, Some((3, 9)));
        assert_eq!(batch.events[0].event.level(), Level::Warning);
        assert_eq!(batch.events[0].at_ms, 7000);
        assert!(
            matches!(&batch.events[0].event, Event::Message { data: Some(data), .. } if data["type"] == "message")
        );
        assert!(matches!(batch.events[1].event, Event::Metrics { step: 3, .. }));
    }
}

//! The life of a job: what it is at a moment, computed from what was asked of it and
//! when. Nothing needs to run for a job to go on, and nothing is lost by a kill.

use super::record::{Ask, JobRecord, Schedule};
use super::training_file::JobError;
use crate::behaviour::Outcome;
use serde_json::{Value, json};

/// Steps whose metrics are reported; longer jobs report every n-th.
const MAX_REPORTED: u64 = 1_000;

/// Checkpoints that are kept: those of the last epochs.
const KEPT_CHECKPOINTS: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    ValidatingFiles,
    Queued,
    Running,
    Paused,
    Succeeded,
    Failed,
    Cancelled,
}

impl Status {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ValidatingFiles => "validating_files",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    pub(super) fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// Something that happened to a job.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) at: f64,
    pub(super) level: &'static str,
    pub(super) kind: &'static str,
    pub(super) message: String,
    pub(super) data: Value,
}

/// A step that is done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Step {
    pub(super) number: u64,
    pub(super) at: f64,
    /// Whether an epoch ends with it.
    pub(super) ends_epoch: bool,
}

/// A job at a moment.
#[derive(Debug)]
pub(super) struct View {
    pub(super) status: Status,
    /// When it reached its end.
    pub(super) finished: Option<f64>,
    pub(super) error: Option<JobError>,
    pub(super) events: Vec<Event>,
    /// The steps that are reported, in order.
    pub(super) steps: Vec<Step>,
    pub(super) schedule: Option<Schedule>,
    /// When it would end if nothing else is asked of it.
    pub(super) estimated_finish: Option<f64>,
}

impl View {
    /// The steps whose checkpoints are kept, in order.
    pub(super) fn checkpoints(&self) -> Vec<Step> {
        let mut epochs: Vec<Step> = self.steps.iter().copied().filter(|step| step.ends_epoch).collect();
        epochs.drain(..epochs.len().saturating_sub(KEPT_CHECKPOINTS));
        epochs
    }
}

impl JobRecord {
    /// The job at a moment.
    pub(super) fn at(&self, now: f64) -> View {
        Simulation::of(self, now).run()
    }
}

/// Goes through a job's life, from one change to the next.
struct Simulation<'a> {
    job: &'a JobRecord,
    now: f64,
    view: View,
    /// Emulated time that has been dealt with.
    time: f64,
    asked: std::slice::Iter<'a, (f64, Ask)>,
}

/// How a phase ended.
enum PhaseEnd {
    /// It took its time.
    Done,
    /// Something was asked of the job.
    Asked(Ask),
    /// It has not ended yet.
    StillOn,
}

impl<'a> Simulation<'a> {
    fn of(job: &'a JobRecord, now: f64) -> Self {
        let view = View {
            status: Status::ValidatingFiles,
            finished: None,
            error: None,
            events: Vec::new(),
            steps: Vec::new(),
            schedule: None,
            estimated_finish: None,
        };
        Self { job, now, view, time: job.created, asked: job.asked.iter() }
    }

    fn say(&mut self, level: &'static str, kind: &'static str, message: impl Into<String>, data: Value) {
        self.view.events.push(Event { at: self.time, level, kind, message: message.into(), data });
    }

    fn info(&mut self, message: impl Into<String>) {
        self.say("info", "message", message, Value::Null);
    }

    fn end(&mut self, status: Status) {
        self.view.status = status;
        self.view.finished = Some(self.time);
    }

    fn fail(&mut self, error: JobError) {
        let data = json!({ "error_code": error.code, "error_param": error.param });
        let message = format!("The job failed: {}", error.message);
        self.say("error", "message", message, data);
        self.view.error = Some(error);
        self.end(Status::Failed);
    }

    /// Lets a phase go on until `until`, or until something is asked of the job.
    fn pass(&mut self, until: f64) -> PhaseEnd {
        if let Some((at, ask)) = self.asked.as_slice().first().copied()
            && at <= until
            && at <= self.now
        {
            self.asked.next();
            self.time = self.time.max(at);
            return PhaseEnd::Asked(ask);
        }
        if until > self.now {
            return PhaseEnd::StillOn;
        }
        self.time = self.time.max(until);
        PhaseEnd::Done
    }

    fn run(mut self) -> View {
        self.live();
        self.view
    }

    fn live(&mut self) -> Option<()> {
        let job = self.job;
        self.info(format!("Created fine-tuning job: {}", job.id));
        self.info(format!("Validating training file: {}", job.training_file));
        let found = match &job.verdict {
            None => {
                // Only a cancellation can come before the verdict.
                return self.wait(f64::INFINITY);
            }
            Some(verdict) => {
                self.wait(verdict.at.max(job.created + job.timing.validating))?;
                verdict.found.clone()
            }
        };
        let forced = match &job.outcome {
            Outcome::FailValidation { code, message } => {
                Some(JobError::of_training_file(code, message.clone()))
            }
            _ => None,
        };
        let summary = match (forced, found) {
            (Some(error), _) | (None, Err(error)) => {
                self.fail(error);
                return None;
            }
            (None, Ok(summary)) => summary,
        };
        let schedule = job.schedule(summary);
        self.view.schedule = Some(schedule);
        self.info("Files validated, moving job to queued state");
        self.train(schedule)
    }

    /// A phase that cannot be paused. None where the job's life goes no further.
    fn wait(&mut self, until: f64) -> Option<()> {
        match self.pass(until) {
            PhaseEnd::Done => Some(()),
            PhaseEnd::StillOn => None,
            PhaseEnd::Asked(_) => {
                self.cancelled();
                None
            }
        }
    }

    fn cancelled(&mut self) {
        self.info("The job was cancelled");
        self.end(Status::Cancelled);
    }

    fn train(&mut self, schedule: Schedule) -> Option<()> {
        let job = self.job;
        #[expect(clippy::cast_precision_loss, reason = "counts of steps")]
        let duration = (schedule.steps as f64 * job.timing.step).min(job.timing.max_running);
        let mut done = 0.0;
        loop {
            self.view.status = Status::Queued;
            self.view.estimated_finish = Some(self.time + job.timing.queued + duration - done);
            match self.pass(self.time + job.timing.queued) {
                PhaseEnd::StillOn => return None,
                PhaseEnd::Asked(Ask::Cancel) => {
                    self.cancelled();
                    return None;
                }
                PhaseEnd::Asked(_) => {
                    self.pause()?;
                    continue;
                }
                PhaseEnd::Done => {}
            }
            self.view.status = Status::Running;
            self.view.estimated_finish = Some(self.time + duration - done);
            self.info(if done == 0.0 { "Fine-tuning job started" } else { "Fine-tuning job resumed" });
            let (started, before) = (self.time, done);
            let end = match &job.outcome {
                Outcome::Stall => f64::INFINITY,
                _ => started + duration - before,
            };
            let ended = self.pass(end);
            let until = if matches!(ended, PhaseEnd::StillOn) { self.now } else { self.time };
            done = (before + until - started).min(duration);
            if self.steps(schedule, duration, before, done, started) {
                return None;
            }
            match ended {
                PhaseEnd::StillOn => return None,
                PhaseEnd::Asked(Ask::Cancel) => {
                    self.cancelled();
                    return None;
                }
                PhaseEnd::Asked(_) => self.pause()?,
                PhaseEnd::Done => {
                    self.succeed();
                    return Some(());
                }
            }
        }
    }

    /// A pause, until it is resumed. None where the job's life goes no further.
    fn pause(&mut self) -> Option<()> {
        self.view.status = Status::Paused;
        self.view.estimated_finish = None;
        self.info("Fine-tuning job paused");
        match self.pass(f64::INFINITY) {
            PhaseEnd::Asked(Ask::Resume) => Some(()),
            PhaseEnd::Asked(_) => {
                self.cancelled();
                None
            }
            PhaseEnd::StillOn | PhaseEnd::Done => None,
        }
    }

    /// The steps between two amounts of training; true where the job fails in one.
    fn steps(&mut self, schedule: Schedule, duration: f64, before: f64, done: f64, started: f64) -> bool {
        let every = schedule.steps.div_ceil(MAX_REPORTED).max(1);
        let per_epoch = (schedule.steps / schedule.n_epochs.max(1)).max(1);
        #[expect(clippy::cast_precision_loss, reason = "counts of steps")]
        let end_of = |step: u64| duration * step as f64 / schedule.steps as f64;
        let fails_at = match &self.job.outcome {
            Outcome::FailAtStep { step, .. } => (*step).clamp(1, schedule.steps),
            _ => u64::MAX,
        };
        let mut last = self.view.steps.last().map_or(0, |step| step.number);
        while last < schedule.steps {
            // Straight to the next step that is reported: a long job has millions.
            let next_of = |unit: u64| (last / unit + 1).saturating_mul(unit);
            let mut number = next_of(every).min(next_of(per_epoch)).min(schedule.steps);
            if last < fails_at {
                number = number.min(fails_at);
            }
            // Rounding must not keep the last step from its end.
            if end_of(number) > done + 1e-9 {
                break;
            }
            last = number;
            let ends_epoch = number.is_multiple_of(per_epoch);
            let at = started + end_of(number) - before;
            let resume_at = std::mem::replace(&mut self.time, at);
            let step = Step { number, at, ends_epoch };
            self.view.steps.push(step);
            let metrics = self.job.metrics(number, schedule.steps, ends_epoch);
            let loss = metrics["train_loss"].as_f64().unwrap_or_default();
            let text = format!("Step {number}/{}: training loss={loss:.2}", schedule.steps);
            self.say("info", "metrics", text, metrics);
            if number == fails_at
                && let Outcome::FailAtStep { code, message, .. } = self.job.outcome.clone()
            {
                self.fail(JobError { code, message, param: None });
                return true;
            }
            self.time = resume_at;
        }
        false
    }

    fn succeed(&mut self) {
        let job = self.job;
        let name = job.model_name(super::OWNER, None);
        let mut earlier = self.view.checkpoints();
        earlier.pop();
        for step in earlier {
            let checkpoint = job.model_name(super::OWNER, Some(step.number));
            self.info(format!("Checkpoint created at step {} with Snapshot ID: {checkpoint}", step.number));
        }
        self.info(format!("New fine-tuned model created: {name}"));
        let blocked = json!({ "blocked": false, "results": [] });
        let text = "Usage policy evaluations completed, model is now enabled for sampling";
        self.say("info", "moderation_checks", text, blocked);
        self.info("The job has successfully completed");
        self.end(Status::Succeeded);
    }
}

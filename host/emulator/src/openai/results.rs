//! Result files: the metrics of a job that succeeded, as a file of its own.

use super::OpenAi;
use super::files::FileRecord;
use super::jobs::Job;
use crate::behaviour::Odd;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::fmt::Write;
use std::io;
use std::sync::Arc;

impl OpenAi {
    fn with_result(&self, id: &str, now: f64) -> Option<Arc<Job>> {
        let mut jobs = self.jobs.all().into_iter();
        let job = jobs.find(|job| job.record.result_file == id)?;
        (!job.record.result_deleted && job.succeeded(now).is_some()).then_some(job)
    }

    pub(super) fn result_files(&self, now: f64) -> Vec<FileRecord> {
        let jobs = self.jobs.all();
        jobs.iter().filter(|job| !job.record.result_deleted).filter_map(|job| self.record(job, now)).collect()
    }

    pub(super) fn result_file(&self, id: &str, now: f64) -> Option<FileRecord> {
        self.record(&*self.with_result(id, now)?, now)
    }

    fn record(&self, job: &Job, now: f64) -> Option<FileRecord> {
        let finished = job.succeeded(now)?;
        let created_at = job.record.shown(finished);
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
        let created = created_at as f64;
        Some(FileRecord {
            id: job.record.result_file.clone(),
            bytes: self.length(job, now) as u64,
            created_at,
            created,
            expires_at: None,
            filename: "step_metrics.csv".to_owned(),
            purpose: "fine-tune-results".to_owned(),
            processed: finished,
            pieces: Vec::new(),
        })
    }

    pub(super) fn result_content(&self, id: &str, now: f64) -> Option<String> {
        Some(self.content(&*self.with_result(id, now)?, now))
    }

    fn length(&self, job: &Job, now: f64) -> usize {
        let plain = *job.result_length.get_or_init(|| csv(job, now).len());
        match self.shared.behaviour().openai.is_odd(Odd::PlainResults) {
            true => plain,
            false => plain.div_ceil(3) * 4,
        }
    }

    fn content(&self, job: &Job, now: f64) -> String {
        let csv = csv(job, now);
        match self.shared.behaviour().openai.is_odd(Odd::PlainResults) {
            true => csv,
            false => STANDARD.encode(csv),
        }
    }

    /// Deletes a result file; false where there is none.
    pub(super) fn delete_result(&self, id: &str) -> io::Result<bool> {
        let Some(job) = self.with_result(id, self.shared.clock.now()) else { return Ok(false) };
        let deleted = self.jobs.change(&job.record.id, |record| {
            record.result_deleted = true;
            Ok(())
        });
        deleted.map(|_| true).map_err(|error| io::Error::other(error.message))
    }
}

fn csv(job: &Job, now: f64) -> String {
    let view = job.at(now);
    let mut csv = "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy\n".to_owned();
    let metrics = view.events.iter().filter(|event| event.kind == "metrics").map(|event| &event.data);
    for metrics in metrics {
        let column = |name: &str| match &metrics[name] {
            Value::Null => String::new(),
            value => value.to_string(),
        };
        // Writing to a String does not fail.
        let _ = writeln!(
            csv,
            "{},{},{},{},{}",
            column("step"),
            column("train_loss"),
            column("train_mean_token_accuracy"),
            column("valid_loss"),
            column("valid_mean_token_accuracy")
        );
    }
    csv
}

//! The end: results as files, and a first word with the model. Only then it succeeded.

use super::{Driver, Next, is_about_access};
use crate::artifacts::Artifact;
use crate::drive::Error;
use crate::failpoint::{Point, around};
use crate::openai::client::{ErrorKind, ResultFile};
use tunesmith_store::{Batch, Change, Level, MetricPoint, State};

/// Why nothing can be paused or resumed any more.
const TOO_LATE: &str = "training is over; only the model's first answer is missing";

impl Driver<'_> {
    /// Fetches the results and asks the model for one token, with patience.
    pub(super) async fn verify(&mut self) -> Result<Next, Error> {
        let situation = self.work.situation().await?;
        let Some(model) = situation.models.first().map(|model| model.name.clone()) else {
            let why = "no model of this attempt is recorded".to_owned();
            return Err(Error::BadPlan { job: self.work.job.id.to_string(), why });
        };
        if self.cancel_is_asked().await? {
            return Err(self.cancelled_late(&model).await?);
        }
        self.work.refuse_others(TOO_LATE).await?;
        if self.is_answered().await? {
            return Ok(Next::Stop);
        }
        self.results().await?;
        self.work.phase("asking the model", Some(model.clone()));
        let probed = {
            let work = &*self.work;
            let waiting = |error: &crate::openai::client::ApiError| work.waiting(error);
            let patience = work.patience.probe;
            tokio::select! {
                probed = around(Point::OpenAiProbe, self.client.probe(&model, patience, waiting)) => Some(probed),
                asked = work.asked_to_cancel(TOO_LATE) => {
                    asked?;
                    None
                }
            }
        };
        match probed {
            None => Err(self.cancelled_late(&model).await?),
            Some(Ok(probe)) => {
                let tries = if probe.tries == 1 { String::new() } else { format!(" at try {}", probe.tries) };
                self.work.note_outcome(&format!("{model} was asked for a token and answered{tries}")).await?;
                self.work.apply(Change::to(State::Succeeded).verified(model).release()).await?;
                Ok(Next::Stop)
            }
            // Missing for so long is a failure of the model; the rest is about the way there.
            Some(Err(error))
                if is_about_access(&error)
                    && !matches!(error.kind, ErrorKind::Server | ErrorKind::Conflict) =>
            {
                Err(self.work.left(error.into()))
            }
            Some(Err(error)) => Err(self.work.fail(Change::to(State::Failed), error.into()).await),
        }
    }

    /// What was trained is there and stays: there is nothing left to cancel at the
    /// service.
    async fn cancelled_late(&mut self, model: &str) -> Result<Error, Error> {
        let why = format!(
            "training was over already; {model} exists at the service and was not asked for an answer"
        );
        self.work.apply(Change::to(State::Cancelled).because(why).release()).await?;
        Ok(self.work.cancelled())
    }

    /// The result files, as artifacts and as metrics. They are an extra: a service that
    /// has none, or gives them in another form, does not fail the job.
    async fn results(&mut self) -> Result<(), Error> {
        let Some(remote) = self.work.job.remote_id.clone() else { return Ok(()) };
        let ids = match self.client.job(&remote).await {
            Ok(job) => job.result_files,
            Err(error) => {
                self.work.waiting(&error);
                return Ok(());
            }
        };
        let mut files = Vec::new();
        for (at, id) in ids.iter().enumerate() {
            match self.client.result_file(id).await {
                Ok(file) => {
                    let name =
                        if at == 0 { "results.csv".to_owned() } else { format!("results-{}.csv", at + 1) };
                    self.work.append(metrics(&file)).await?;
                    files.push(Artifact { name, content: file.text });
                }
                Err(error) => {
                    self.work
                        .note(Level::Warning, &format!("the result file {id} was not kept: {error}"))
                        .await?;
                }
            }
        }
        if files.is_empty() { Ok(()) } else { self.work.keep(files).await }
    }
}

/// A result file has every step, where events may leave some out.
fn metrics(file: &ResultFile) -> Batch {
    let rows = file.rows().into_iter().filter(|row| !row.values.is_empty());
    let metrics = rows.map(|row| MetricPoint { step: row.step, figures: row.values }).collect();
    Batch { metrics, ..Batch::default() }
}

//! Cancelling: a create is stopped by closing its connection, and a model that it made
//! all the same is removed. One that was there before stays.

use super::{Before, Driver, Next, is_passing};
use crate::drive::Error;
use crate::failpoint::{Point, around};
use crate::ollama::client::Made;
use tokio::time::sleep;
use tunesmith_store::{Change, Intent, Operation, Outcome, State};

/// Looks after a create was stopped: the server notices at its next line.
const LOOKS: u32 = 3;

impl Driver<'_> {
    /// Cancels a create that was perhaps sent.
    pub(super) async fn cancel(&mut self, intent: &Intent) -> Result<Next, Error> {
        let intents = self.work.store().intents(&self.work.job.id).await?;
        let before = intents.iter().find(|known| known.id == intent.id).and_then(Before::of);
        let existing = before.and_then(|before| before.existing);
        self.work.phase("looking for what to remove", None);
        let mut made = false;
        for look in 0..LOOKS {
            if look > 0 {
                sleep(self.work.patience.look.min(std::time::Duration::from_millis(500))).await;
            }
            match self.client.made(&self.plan.request).await {
                Ok(Made::AsAsked(tag)) if existing.as_deref() != Some(tag.digest.as_str()) => {
                    made = true;
                    break;
                }
                Ok(_) => {}
                Err(error) => return Err(self.work.left(error.into())),
            }
        }
        let model = self.plan.request.model.clone();
        if !made {
            let detail = "stopped by the user before the model was there".to_owned();
            return self
                .cancelled(
                    Change::to(State::Cancelled).settle(intent.id, Outcome::Absent { detail }),
                    "as asked",
                )
                .await;
        }
        let deletion = self.delete().await?;
        let done = Outcome::Done { remote_id: Some(model.to_string()) };
        let change = Change::to(State::Cancelled).settle(intent.id, done.clone()).settle(deletion.id, done);
        let why = match existing {
            Some(_) => format!("as asked; {model} was removed, and the model that it had replaced is gone"),
            None => format!("as asked; {model} was removed"),
        };
        self.cancelled(change, &why).await
    }

    /// Cancels a job whose model is there and has not answered.
    pub(super) async fn cancel_made(&mut self) -> Result<Next, Error> {
        let deletion = self.delete().await?;
        let model = self.plan.request.model.to_string();
        let done = Outcome::Done { remote_id: Some(model.clone()) };
        let change = Change::to(State::Cancelled).settle(deletion.id, done);
        self.cancelled(change, &format!("as asked; {model} was removed")).await
    }

    /// Deletes the job's model. Deleting twice does no harm.
    async fn delete(&mut self) -> Result<Intent, Error> {
        let model = self.plan.request.model.clone();
        let situation = self.work.situation().await?;
        let open = situation.open.into_iter().find(|intent| intent.operation == Operation::DeleteModel);
        let intent = match open {
            Some(intent) => intent,
            None => self.work.intend(Change::stay(), Operation::DeleteModel, model.as_str()).await?,
        };
        self.work.confirm().await?;
        let delete = || around(Point::OllamaDelete, self.client.delete(&model));
        match self.work.patiently(is_passing, delete).await {
            Ok(_) => Ok(intent),
            Err(error) => Err(self.work.left(error.into())),
        }
    }

    async fn cancelled(&mut self, mut change: Change, why: &str) -> Result<Next, Error> {
        let situation = self.work.situation().await?;
        // A deletion of before a crash, when the model turned out not to be there.
        for open in situation.open.iter().filter(|intent| intent.operation == Operation::DeleteModel) {
            if why == "as asked" {
                change = change.settle(open.id, Outcome::Done { remote_id: None });
            }
        }
        self.work.apply(change.because(why).release()).await?;
        self.forget().await?;
        Err(self.work.cancelled())
    }

    /// The store's record of the model says that it is gone.
    async fn forget(&self) -> Result<(), Error> {
        let filter =
            tunesmith_store::ModelFilter { job: Some(self.work.job.id.clone()), ..Default::default() };
        for model in self.work.store().models(&filter, None, 10).await?.items {
            if model.attempt == self.work.job.attempt {
                self.work.store().model_removed(model.number).await?;
            }
        }
        Ok(())
    }
}

//! The end: one token from the new model, and the proof that the base is untouched.

use super::{Before, Driver, Next, is_about_access, is_passing};
use crate::drive::{Error, PROMPT_BAKED};
use crate::failpoint::{Point, around};
use crate::ollama::client::ApiError;
use tunesmith_store::{Change, Level, NewModel, Operation, State};

impl Driver<'_> {
    /// Talks to the model, then records what is proved and that it succeeded.
    pub(super) async fn verify(&mut self) -> Result<Next, Error> {
        if self.work.cancel_asked().await?.is_some() {
            return self.cancel_made().await;
        }
        let model = self.plan.request.model.clone();
        self.work.phase("asking the model", Some(model.to_string()));
        let probed = {
            let work = &*self.work;
            let waiting = |error: &ApiError| work.waiting(error);
            let probe = self.client.probe(&model, work.patience.probe, waiting);
            tokio::select! {
                probed = around(Point::OllamaProbe, probe) => Some(probed),
                asked = work.asked_to_cancel(super::NO_PAUSE) => {
                    asked?;
                    None
                }
                () = work.shared.left() => return Ok(Next::Stop),
            }
        };
        let probe = match probed {
            None => return Ok(Next::On),
            Some(Ok(probe)) => probe,
            Some(Err(error)) => return Err(self.failed_or_left(Change::to(State::Failed), error).await),
        };
        let mut answered = format!("{model} was asked for a token and answered");
        if let Some(tokens) = probe.prompt_tokens {
            let tokens = tunesmith_core::text::grouped(tokens.into());
            answered.push_str(&format!("; its prompt with system prompt and examples has {tokens} tokens"));
        }
        self.work.note_outcome(&answered).await?;
        self.prove().await?;
        // The digest again, where it could not be asked for at once.
        let mut change = Change::to(State::Succeeded).verified(model.to_string()).release();
        if let Ok(Some(tag)) = self.client.find(&model).await {
            let made = PROMPT_BAKED.to_owned();
            change = change.model(NewModel { name: model.to_string(), made, digest: Some(tag.digest) });
        }
        self.work.apply(change).await?;
        Ok(Next::Stop)
    }

    /// Compares the base with what it was before the create.
    async fn prove(&mut self) -> Result<(), Error> {
        let intents = self.work.store().intents(&self.work.job.id).await?;
        let creates = intents.iter().rev().filter(|intent| {
            intent.operation == Operation::Create && intent.attempt == self.work.job.attempt
        });
        let before = creates.into_iter().find_map(Before::of);
        let Some(before) = before else {
            return self
                .work
                .note_outcome("what the base was before is no longer known, so it is not proved untouched")
                .await;
        };
        let prove = || self.client.prove(&before.base, &self.plan.request.model);
        match self.work.patiently(is_passing, prove).await {
            Ok(proof) if proof.shares_weights() == Some(false) => {
                self.work.note(Level::Warning, &proof.sentence()).await?;
                self.work.note_outcome(&proof.sentence()).await
            }
            Ok(proof) => self.work.note_outcome(&proof.sentence()).await,
            Err(error) if is_about_access(&error) => Err(self.work.left(error.into())),
            Err(error) => {
                self.work
                    .note_outcome(&format!("the base could not be compared with what it was: {error}"))
                    .await
            }
        }
    }
}

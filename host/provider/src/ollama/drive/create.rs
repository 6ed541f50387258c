//! Creating the model, and finding out what became of a create.

use super::check::context;
use super::{Before, Driver, Next, is_about_access, is_passing};
use crate::drive::{Checked, Error, LEAST_LOOKS, MOST_CREATES, PROMPT_BAKED};
use crate::failpoint::{Point, around};
use crate::ollama::client::{Base, Created, Made, Step, Tag};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tunesmith_core::digest::Digest;
use tunesmith_store::{Change, Intent, Level, NewModel, Operation, Outcome, State};

/// A server that lost its client stops, but an older one may go on: a model that is not
/// there may still appear for this long. Creating takes seconds where nothing is
/// converted, and creating the same model twice makes one.
const GRACE: Duration = Duration::from_secs(5);

/// What a look at the server found.
enum Found {
    /// The model is there and recorded.
    On,
    /// It is not there: it can be created.
    Absent(String),
}

/// How a create ended.
enum Sent {
    /// With an answer.
    Answered(Result<Created, crate::ollama::client::ApiError>),
    /// The user wants it cancelled.
    Cancelled,
    /// The user wants to leave.
    Left,
}

impl Driver<'_> {
    /// Records the intent to create, with a change that leads there, and creates.
    pub(super) async fn create(&mut self, change: Change, base: Base) -> Result<Next, Error> {
        if let Err(error) = context(&base, self.plan, &mut Checked::default()) {
            // Nothing of this attempt is open but what `change` settles, if anything.
            self.work.apply(change).await?;
            return Err(self.work.fail(Change::to(State::Failed), error).await);
        }
        let hash = serde_json::to_string(&self.plan.request).unwrap_or_default();
        let hash = Digest::of(hash).to_string();
        let mut intent = self.work.intend(change, Operation::Create, &hash).await?;
        for sent in 1.. {
            let detail = match self.send(&intent, &base).await? {
                Sent::Cancelled => return self.cancel(&intent).await,
                Sent::Left => return Ok(Next::Stop),
                Sent::Answered(Ok(Created::Done(_))) => {
                    self.made(&intent, None, "").await?;
                    return Ok(Next::On);
                }
                Sent::Answered(Ok(Created::Unclear(error))) => {
                    let text = format!("whether the model was made is unclear ({error}): looking for it");
                    self.work.note(Level::Warning, &text).await?;
                    match self.look(&intent).await? {
                        Found::On => return Ok(Next::On),
                        Found::Absent(detail) => detail,
                    }
                }
                Sent::Answered(Err(error)) if is_about_access(&error) => {
                    let detail = error.to_string();
                    self.work.apply(Change::stay().settle(intent.id, Outcome::Refused { detail })).await?;
                    if sent >= MOST_CREATES || !is_passing(&error) {
                        return Err(self.work.left(error.into()));
                    }
                    // Nothing came of it: once the server is back, it is sent again.
                    let back = self.work.patiently(is_passing, || self.client.connect()).await;
                    if let Err(error) = back {
                        return Err(self.work.left(error.into()));
                    }
                    intent = self.work.intend(Change::stay(), Operation::Create, &hash).await?;
                    continue;
                }
                Sent::Answered(Err(error)) => {
                    return Err(self.failed_or_left(Change::to(State::Failed), error).await);
                }
            };
            if sent >= MOST_CREATES {
                let why = format!("the server broke off {sent} creates in a row; {detail}");
                self.work.apply(Change::to(State::Unknown).because(why.clone())).await?;
                return Err(Error::Unknown { job: self.work.job.id.clone(), why, likely: Vec::new() });
            }
            let settled = Change::stay().settle(intent.id, Outcome::Absent { detail });
            intent = self.work.intend(settled, Operation::Create, &hash).await?;
        }
        Ok(Next::On)
    }

    /// Sends the create once, after a last look at the name.
    async fn send(&mut self, intent: &Intent, base: &Base) -> Result<Sent, Error> {
        let request = &self.plan.request;
        let find = || self.client.find(&request.model);
        let existing = match self.work.patiently(is_passing, find).await {
            Ok(existing) => existing,
            Err(error) => return Ok(Sent::Answered(Err(error))),
        };
        if existing.is_some() && !self.work.execution.replace {
            let detail = "a model of the name appeared meanwhile".to_owned();
            let change = Change::to(State::Failed).settle(intent.id, Outcome::Refused { detail });
            return Err(self.work.fail(change, Error::NameTaken { model: request.model.to_string() }).await);
        }
        let before = Before { base: base.clone(), existing: existing.map(|tag| tag.digest) };
        self.work.note_intent(intent, &serde_json::json!(before)).await?;
        self.work.confirm().await?;
        self.work.phase("creating", Some(request.model.to_string()));
        let work = &*self.work;
        let on = |step: &Step| {
            let detail = (step.status != step.phase.as_str()).then(|| step.status.clone());
            work.phase(step.phase.as_str(), detail);
        };
        tokio::select! {
            created = around(Point::OllamaCreate, self.client.create(request, on)) => Ok(Sent::Answered(created)),
            asked = work.asked_to_cancel(super::NO_PAUSE) => asked.map(|()| Sent::Cancelled),
            () = work.shared.left() => Ok(Sent::Left),
        }
    }

    /// Goes on with a create of which nobody recorded what became of it.
    pub(super) async fn settle_create(&mut self) -> Result<Next, Error> {
        let situation = self.work.situation().await?;
        let open = situation.create_perhaps_sent().cloned();
        if self.work.cancel_asked().await?.is_some() {
            return match open {
                Some(intent) => self.cancel(&intent).await,
                None => Err(self.work.cancelled_here("the server has no model of it").await?),
            };
        }
        let mut change = match self.work.job.state {
            State::Unknown => Change::to(State::Creating),
            _ => Change::stay(),
        };
        if let Some(intent) = open {
            self.work.phase("looking for the model", Some(self.plan.request.model.to_string()));
            match self.look(&intent).await? {
                Found::On => return Ok(Next::On),
                Found::Absent(detail) => change = change.settle(intent.id, Outcome::Absent { detail }),
            }
        }
        match self.base().await {
            Ok(base) => self.create(change, base).await,
            Err(error) => Err(self.failed_or_left(Change::to(State::Failed), error).await),
        }
    }

    /// Looks what stands under the model's name.
    async fn look(&mut self, intent: &Intent) -> Result<Found, Error> {
        // A note of before the process died tells what had the name then.
        let before = self.work.store().intents(&self.work.job.id).await?;
        let before = before.iter().find(|known| known.id == intent.id).and_then(Before::of);
        let replace = self.work.execution.replace;
        let begun = Instant::now();
        let grace = GRACE.min(self.work.patience.grace);
        let mut looks = 0;
        loop {
            looks += 1;
            let detail = match self.client.made(&self.plan.request).await {
                Ok(Made::Absent) => "the server has no model of the name".to_owned(),
                Ok(Made::AsAsked(tag)) => {
                    // The same prompt over another base looks alike: where a model of the
                    // name was there before, only another digest shows that it is new.
                    let is_new = match &before {
                        Some(before) => before.existing.as_deref() != Some(tag.digest.as_str()),
                        None => !replace,
                    };
                    if is_new {
                        self.made(intent, Some(tag), "found at the server, as it was asked for").await?;
                        return Ok(Found::On);
                    }
                    "the model of the name is the one from before".to_owned()
                }
                Ok(Made::Different { tag, differences }) => {
                    let is_old = before
                        .as_ref()
                        .is_some_and(|before| before.existing.as_deref() == Some(tag.digest.as_str()));
                    if !is_old && !replace {
                        let detail = format!("the name has another model: {}", differences.join(", "));
                        let change = Change::to(State::Failed).settle(intent.id, Outcome::Absent { detail });
                        let model = self.plan.request.model.to_string();
                        return Err(self.work.fail(change, Error::NameTaken { model }).await);
                    }
                    "the model of the name is another one".to_owned()
                }
                Err(error) => {
                    if begun.elapsed() >= self.work.patience.contact || !is_about_access(&error) {
                        return Err(self.lost(error).await?);
                    }
                    self.work.waiting(&error);
                    sleep(self.work.patience.look).await;
                    looks = 0;
                    continue;
                }
            };
            if looks >= LEAST_LOOKS && begun.elapsed() >= grace {
                return Ok(Found::Absent(format!("looked {looks} times: {detail}")));
            }
            sleep(self.work.patience.look.min(grace / LEAST_LOOKS)).await;
        }
    }

    async fn lost(&mut self, error: crate::ollama::client::ApiError) -> Result<Error, Error> {
        if self.work.job.state != State::Unknown {
            let why = format!("the server could not be asked: {error}");
            self.work.apply(Change::to(State::Unknown).because(why)).await?;
        }
        Ok(self.work.left(error.into()))
    }

    /// Records the model: it exists, and nobody has talked to it.
    async fn made(&mut self, intent: &Intent, tag: Option<Tag>, why: &str) -> Result<(), Error> {
        let name = self.plan.request.model.to_string();
        let tag = match tag {
            Some(tag) => Some(tag),
            // A digest that is missing is found out when the model is verified.
            None => self.client.find(&self.plan.request.model).await.unwrap_or_default(),
        };
        let model =
            NewModel { name: name.clone(), made: PROMPT_BAKED.to_owned(), digest: tag.map(|tag| tag.digest) };
        let mut change = Change::to(State::Verifying)
            .settle(intent.id, Outcome::Done { remote_id: Some(name) })
            .model(model);
        if !why.is_empty() {
            change = change.because(why);
        }
        self.work.apply(change).await?;
        Ok(())
    }
}

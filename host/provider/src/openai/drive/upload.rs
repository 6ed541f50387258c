//! Bringing the training file to the service, once for each content.

use super::{Driver, Next, is_about_access};
use crate::drive::Error;
use crate::drive::FileToUpload;
use crate::failpoint::{Point, around};
use crate::openai::client::{ApiError, Ensured, File, How, TrainingFile, UploadSession, UploadWatch};
use serde_json::json;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tunesmith_store::{
    Change, Event, FileContent, Intent, Level, NewUpload, Operation, Outcome, State, Store, Transfer,
};

/// What uploaded files are for.
const PURPOSE: &str = "fine-tune";

/// Between two reports of bytes: what an eye follows.
const TOLD_EVERY: Duration = Duration::from_millis(100);

impl Driver<'_> {
    /// The files of the job, in the order in which they are uploaded.
    fn files(&self) -> Vec<FileToUpload> {
        let execution = &self.work.execution;
        execution.training.iter().chain(&execution.validation).cloned().collect()
    }

    /// The files that this attempt has at the service: content and remote id.
    pub(super) async fn uploaded(&self) -> Result<Vec<(String, String)>, Error> {
        let intents = self.work.store().intents(&self.work.job.id).await?;
        let of_attempt = intents.into_iter().filter(|intent| {
            intent.attempt == self.work.job.attempt && intent.operation == Operation::Upload
        });
        Ok(of_attempt
            .filter_map(|intent| match intent.outcome {
                Some(Outcome::Done { remote_id: Some(id) }) => Some((intent.request_hash, id)),
                _ => None,
            })
            .collect())
    }

    /// Records that the first file that is missing is about to be uploaded.
    pub(super) async fn begin_upload(&mut self, change: Change) -> Result<Option<Intent>, Error> {
        let there = self.uploaded().await?;
        let missing =
            self.files().into_iter().find(|file| !there.iter().any(|(sha256, _)| *sha256 == file.sha256));
        match missing {
            Some(file) => self.work.intend(change, Operation::Upload, &file.sha256).await.map(Some),
            None => Ok(None),
        }
    }

    /// Uploads what is missing, then records that the job is about to be created.
    pub(super) async fn upload(&mut self) -> Result<Next, Error> {
        let situation = self.work.situation().await?;
        let open = situation.open.into_iter().find(|intent| intent.operation == Operation::Upload);
        if self.cancel_is_asked().await? {
            self.give_up_session(open.as_ref()).await;
            return Err(self.work.cancelled_here("the service had no job yet").await?);
        }
        self.refuse_early().await?;
        let open = match open {
            Some(intent) => Some(intent),
            None => self.begin_upload(Change::stay()).await?,
        };
        let Some(intent) = open else { return self.create(Change::to(State::Creating)).await };
        let file = self.files().into_iter().find(|file| file.sha256 == intent.request_hash);
        let Some(file) = file else {
            let why = "an upload was begun for a file that the plan does not have".to_owned();
            return Err(Error::BadPlan { job: self.work.job.id.to_string(), why });
        };
        let opened = self.open(&file).await;
        let opened = opened.map_err(|error| self.work.left(error))?;
        self.work.phase("uploading", Some(opened.name()));
        let outcome = tokio::select! {
            outcome = self.ensure(&opened, &intent) => outcome,
            // The request is dropped: an upload that is cut off leaves nothing behind.
            asked = self.work.asked_to_cancel(super::TOO_EARLY) => {
                asked?;
                return Ok(Next::On);
            }
        };
        match outcome {
            Ok(Ensured { file: remote, how }) => {
                if how == How::Found {
                    let text = format!(
                        "the service has {} already (file {}): not uploaded again",
                        opened.name(),
                        remote.id
                    );
                    self.work.note(Level::Info, &text).await?;
                }
                self.arrived(&file, &opened, &intent, remote).await
            }
            Err(error) if is_about_access(&error) => Err(self.work.left(error.into())),
            Err(error) => {
                let detail = error.to_string();
                let change = Change::to(State::Failed).settle(intent.id, Outcome::Refused { detail });
                Err(self.work.fail(change, error.into()).await)
            }
        }
    }

    /// Records the file, and what comes next with it in the same transaction.
    async fn arrived(
        &mut self,
        file: &FileToUpload,
        opened: &TrainingFile,
        intent: &Intent,
        remote: File,
    ) -> Result<Next, Error> {
        let upload = NewUpload {
            remote_id: remote.id.clone(),
            file_name: opened.name(),
            purpose: PURPOSE.to_owned(),
            sha256: file.sha256.clone(),
            bytes: file.bytes,
            expires_ms: remote.expires_at.map(|seconds| seconds.saturating_mul(1000)),
        };
        let mut there = self.uploaded().await?;
        there.push((file.sha256.clone(), remote.id.clone()));
        let missing =
            self.files().into_iter().find(|file| !there.iter().any(|(sha256, _)| *sha256 == file.sha256));
        let change = |change: Change| {
            change.settle(intent.id, Outcome::Done { remote_id: Some(remote.id) }).uploaded(upload)
        };
        match missing {
            Some(next) => {
                self.work.intend(change(Change::stay()), Operation::Upload, &next.sha256).await?;
                Ok(Next::On)
            }
            None => self.create_with(change(Change::to(State::Creating)), &there).await,
        }
    }

    /// The file as it was planned.
    async fn open(&self, file: &FileToUpload) -> Result<TrainingFile, Error> {
        let path = file.path.display().to_string();
        let opened = TrainingFile::open(&file.path).await;
        let opened =
            opened.map_err(|error| Error::TrainingFile { path: path.clone(), why: error.to_string() })?;
        if opened.sha256() != file.sha256 {
            let why = "it is not what was planned: its content has changed".to_owned();
            return Err(Error::TrainingFile { path, why });
        }
        Ok(opened)
    }

    /// Sees to it that the service has the file: known from an earlier job, found by
    /// content, or sent.
    async fn ensure(&self, file: &TrainingFile, intent: &Intent) -> Result<Ensured, ApiError> {
        if let Some(known) = self.known(file).await {
            return Ok(Ensured { file: known, how: How::Found });
        }
        let session = intent.note.as_ref().and_then(|note| note.get("session"));
        let session: Option<UploadSession> =
            session.and_then(|session| serde_json::from_value(session.clone()).ok());
        let watch = Watch { driver: self, intent, told: Mutex::new(Instant::now()) };
        around(Point::OpenAiUpload, self.client.ensure_file(file, session, &watch)).await
    }

    /// A file of an earlier job with this content that the service still has.
    async fn known(&self, file: &TrainingFile) -> Option<File> {
        let (job, store): (_, &Store) = (&self.work.job, self.work.store());
        let wanted = FileContent {
            service: &job.service,
            emulated: job.emulated,
            purpose: PURPOSE,
            sha256: file.sha256(),
            bytes: file.bytes(),
        };
        let known = store.reusable_file(wanted).await.ok().flatten()?;
        // Whatever is wrong with the question shows when the files are listed next.
        let remote = self.client.file(&known.remote_id).await.ok()?;
        remote.is_usable().then_some(remote)
    }

    /// Frees the parts of an upload that was given up. They go by themselves within an
    /// hour, so a failure is no matter.
    async fn give_up_session(&self, open: Option<&Intent>) {
        let session = open.and_then(|intent| intent.note.as_ref()?.get("session").cloned());
        let session: Option<UploadSession> = session.and_then(|session| serde_json::from_value(session).ok());
        if let Some(session) = session {
            let _ = around(Point::OpenAiUploadCancel, self.client.cancel_upload(&session)).await;
        }
    }
}

/// Tells of an upload, and keeps how far it has come.
struct Watch<'a, 'w> {
    driver: &'a Driver<'w>,
    intent: &'a Intent,
    told: Mutex<Instant>,
}

impl UploadWatch for Watch<'_, '_> {
    fn progress(&self, sent: u64, total: u64) {
        let mut told = self.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if sent == total || told.elapsed() >= TOLD_EVERY {
            *told = Instant::now();
            self.driver.work.report(Event::Bytes { what: Transfer::Upload, done: sent, total });
        }
    }

    async fn session(&self, session: &UploadSession) {
        // A note that is lost costs a part that is sent twice.
        let note = json!({ "session": session });
        let noted = around(Point::OpenAiUploadPart, self.driver.work.note_intent(self.intent, &note));
        if let Err(error) = noted.await {
            self.driver.work.waiting(&error);
        }
    }
}

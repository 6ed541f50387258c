//! What the ledger needs of a database: reads, transactions, a change counter, and a way
//! to see whether the owner of a job is still there.

use crate::Error;
use crate::ledger::change::Move;
use crate::ledger::claim::Liveness;
use crate::ledger::new::Documents;
use crate::ledger::{
    Answer, Artifact, Ask, Attempt, Checkpoint, Claim, FileContent, Intent, IntentId, Job, JobFilter, JobId,
    MetricPoint, Model, ModelFilter, NewArtifact, NewEvent, NewJob, NewModel, NewPluginEvent, NewUpload,
    Operation, Outcome, Plan, PluginEvent, Request, RequestId, StoredEvent, UploadedFile,
};
use async_trait::async_trait;

/// How durable a commit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Survives power loss once the call returns.
    Synced,
    /// Survives the process; power loss may take it, as a whole.
    Batched,
}

/// A database that holds a ledger.
#[async_trait]
pub trait Backend: Send + Sync {
    /// For reading. Each statement sees the latest commit.
    async fn read(&self) -> Result<Box<dyn Read>, Error>;

    /// Begins a transaction that may write, alone: no other one runs beside it.
    async fn begin(&self, durability: Durability) -> Result<Box<dyn Transaction>, Error>;

    /// A number that changes whenever something was committed, by any process.
    async fn version(&self) -> Result<i64, Error>;

    /// What the database finds wrong with itself.
    async fn faults(&self) -> Result<Vec<String>, Error>;

    fn presence(&self) -> &dyn Presence;

    /// How many transactions of this process were committed as [`Durability::Synced`].
    fn synced(&self) -> u64;

    async fn close(&self);
}

/// Shows that this process lives, and sees whether others do, apart from their beats. On
/// one host that can be known at once; of a process elsewhere, [`Liveness::Unknown`].
pub trait Presence: Send + Sync {
    /// Shows this process until it ends; whether it was not to be seen before.
    fn appear(&self) -> Result<bool, Error>;

    fn look(&self, owner: &str) -> Liveness;

    /// Removes the traces of owners that ended, unless they are needed.
    fn sweep(&self, is_needed: &dyn Fn(&str) -> bool);
}

/// Reads. Lists that take `after` go on behind the row of that number; `limit` is how many
/// rows to return at most.
#[async_trait]
pub trait Read: Send {
    /// # Errors
    /// [`Error::NoSuchJob`].
    async fn job(&mut self, id: &JobId) -> Result<Job, Error>;
    /// Jobs whose id begins so, newest first.
    async fn jobs_beginning(&mut self, prefix: &str, limit: i64) -> Result<Vec<Job>, Error>;
    /// Newest first.
    async fn jobs(&mut self, filter: &JobFilter, after: Option<i64>, limit: i64) -> Result<Vec<Job>, Error>;
    /// Jobs that are not over, oldest first.
    async fn unfinished_jobs(&mut self) -> Result<Vec<Job>, Error>;
    /// Whether a job has this id, or something that outlives jobs names it.
    async fn is_taken(&mut self, id: &JobId) -> Result<bool, Error>;
    /// In order.
    async fn attempts(&mut self, job: &JobId) -> Result<Vec<Attempt>, Error>;
    async fn plan(&mut self, job: &JobId) -> Result<Plan, Error>;
    async fn holds(&mut self, claim: &Claim) -> Result<bool, Error>;
    /// The owners that are known, and whether each has a job.
    async fn owners(&mut self) -> Result<Vec<(String, bool)>, Error>;
    /// Of all attempts, oldest first.
    async fn intents(&mut self, job: &JobId) -> Result<Vec<Intent>, Error>;
    /// Open ones, oldest first.
    async fn requests(&mut self, job: &JobId) -> Result<Vec<Request>, Error>;
    async fn request(&mut self, id: RequestId) -> Result<Option<Request>, Error>;
    /// After this sequence number, in order.
    async fn events(&mut self, job: &JobId, after: i64, limit: i64) -> Result<Vec<StoredEvent>, Error>;
    async fn has_event(&mut self, job: &JobId, remote_id: &str) -> Result<bool, Error>;
    /// Of an attempt, by step, after this step.
    async fn metrics(
        &mut self,
        job: &JobId,
        attempt: u32,
        after: Option<u64>,
        limit: i64,
    ) -> Result<Vec<MetricPoint>, Error>;
    /// By step.
    async fn checkpoints(&mut self, job: &JobId) -> Result<Vec<Checkpoint>, Error>;
    /// By name.
    async fn artifacts(&mut self, job: &JobId) -> Result<Vec<Artifact>, Error>;
    /// Newest first.
    async fn models(
        &mut self,
        filter: &ModelFilter,
        after: Option<i64>,
        limit: i64,
    ) -> Result<Vec<Model>, Error>;
    /// Of one attempt, oldest first, also those that are gone.
    async fn models_of(&mut self, job: &JobId, attempt: u32) -> Result<Vec<Model>, Error>;
    /// Files that were not removed, newest first.
    async fn files(
        &mut self,
        service: Option<&str>,
        after: Option<i64>,
        limit: i64,
    ) -> Result<Vec<UploadedFile>, Error>;
    /// The newest file with this content that was not removed and has not expired.
    async fn file_with(
        &mut self,
        content: FileContent<'_>,
        now_ms: i64,
    ) -> Result<Option<UploadedFile>, Error>;
    /// Newest first; `alive` is not filled in.
    async fn plugin_history(
        &mut self,
        plugin: Option<&str>,
        after: Option<i64>,
        limit: i64,
    ) -> Result<Vec<PluginEvent>, Error>;
}

/// Writes of what comes out of a job, and of the plugin history.
#[async_trait]
pub trait Record: Read {
    /// Appends an event with the job's next number.
    async fn append_event(&mut self, job: &JobId, event: &NewEvent, now_ms: i64) -> Result<(), Error>;
    /// In the place of the step's figures, if there are some.
    async fn put_metrics(&mut self, job: &Job, point: &MetricPoint) -> Result<(), Error>;
    /// False if it is there already.
    async fn insert_checkpoint(&mut self, job: &Job, new: &Checkpoint) -> Result<bool, Error>;
    /// In the place of one of the same name.
    async fn put_artifact(&mut self, job: &Job, new: &NewArtifact, now_ms: i64) -> Result<(), Error>;

    /// A model of the job's attempt. Another one of its name and service is superseded;
    /// the same one again changes nothing but its digest.
    async fn put_model(&mut self, job: &Job, new: &NewModel, now_ms: i64) -> Result<(), Error>;
    /// False if the attempt has no model of this name.
    async fn verify_model(&mut self, job: &Job, name: &str, now_ms: i64) -> Result<bool, Error>;
    /// False if that was known.
    async fn remove_model(&mut self, number: i64, now_ms: i64) -> Result<bool, Error>;
    /// One that is known is at the service after all, whatever was recorded before.
    async fn put_file(&mut self, job: &Job, new: &NewUpload, now_ms: i64) -> Result<(), Error>;
    /// False if that was known.
    async fn remove_file(&mut self, number: i64, now_ms: i64) -> Result<bool, Error>;

    async fn append_plugin_event(
        &mut self,
        owner: &str,
        pid: u32,
        entry: &NewPluginEvent,
    ) -> Result<(), Error>;
    /// Leaves this many entries, the newest.
    async fn trim_plugin_history(&mut self, entries: i64) -> Result<(), Error>;
}

/// A transaction. It is undone unless committed, also if its future is dropped half-way.
#[async_trait]
pub trait Transaction: Record {
    async fn commit(self: Box<Self>) -> Result<(), Error>;
    async fn rollback(self: Box<Self>) -> Result<(), Error>;

    /// A planned job without an attempt, with its dataset and its plan.
    async fn insert_job(
        &mut self,
        id: &JobId,
        new: &NewJob,
        documents: &Documents,
        now_ms: i64,
    ) -> Result<(), Error>;
    /// Its events, metrics and artifacts go with it, and a dataset and a plan that no other
    /// job has.
    async fn delete_job(&mut self, job: &Job) -> Result<(), Error>;
    async fn insert_attempt(
        &mut self,
        job: &JobId,
        number: u32,
        run_id: &str,
        now_ms: i64,
    ) -> Result<(), Error>;
    /// The state and its reason, with the attempt and its end.
    async fn move_job(&mut self, job: &JobId, step: &Move, now_ms: i64) -> Result<(), Error>;
    /// Steps done and in all.
    async fn set_progress(&mut self, job: &JobId, progress: Option<(u64, u64)>) -> Result<(), Error>;
    /// Counts a synced transaction on the job.
    async fn count_synced(&mut self, job: &JobId) -> Result<(), Error>;

    async fn take(&mut self, job: &JobId, owner: &str, claim: &str) -> Result<(), Error>;
    /// False if the claim no longer held.
    async fn give_back(&mut self, job: &JobId, claim: &str) -> Result<bool, Error>;
    async fn beat(&mut self, owner: &str, pid: u32, now_ms: i64) -> Result<(), Error>;
    async fn forget_owner(&mut self, owner: &str) -> Result<(), Error>;

    /// An intent of the job's current attempt.
    async fn insert_intent(
        &mut self,
        job: &Job,
        operation: Operation,
        request_hash: &str,
        now_ms: i64,
    ) -> Result<IntentId, Error>;
    async fn settle_intent(&mut self, intent: IntentId, outcome: &Outcome, now_ms: i64) -> Result<(), Error>;
    /// False if the job has no such open intent.
    async fn note_intent(
        &mut self,
        job: &JobId,
        intent: IntentId,
        note: &serde_json::Value,
    ) -> Result<bool, Error>;
    async fn set_remote_id(&mut self, job: &JobId, attempt: u32, remote_id: &str) -> Result<(), Error>;

    async fn insert_request(&mut self, job: &JobId, ask: Ask, now_ms: i64) -> Result<Request, Error>;
    /// What was asked, if the request was still open.
    async fn answer_request(
        &mut self,
        job: &JobId,
        request: RequestId,
        answer: &Answer,
        now_ms: i64,
    ) -> Result<Option<Ask>, Error>;
}

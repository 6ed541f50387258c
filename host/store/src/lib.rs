//! The durable store: jobs and their state machine, in a directory that several
//! processes share.
//!
//! # What is promised
//! - A job is always in one of the [`State`]s, reached by a legal move, and each move
//!   is in one transaction with its event, its intents and their results. A process may
//!   be killed at any point: [`Store::situation`] tells the next one what was perhaps
//!   sent, under which run id, what was adopted and what was verified.
//! - An [intent](Change::intend) is on the disk before the call that returns it returns.
//!   While a create is unsettled, a second one cannot be recorded.
//! - A job has one owner. Each write carries the owner's [`Claim`]; who lost it gets
//!   [`Error::ClaimLost`] and nothing is written.
//! - No key or other secret has a place here, and free texts pass a [`Redactor`].
//!
//! # What is synced
//! Everything that records an intent, a result, a state, a request or a claim on a job is
//! committed with `synchronous=FULL`, so it survives power loss: the transaction's log is
//! flushed before the call returns. [`Store::synced_transactions`] counts them for a
//! process, [`Job::synced`] for a job. What can be fetched again, or only shows life, is
//! committed with `NORMAL`: events and metrics of a service ([`Store::append`]), notes on
//! an intent, heartbeats, plugin history. Such a transaction survives the death of the
//! process, and power loss may take the last of them (never a part of one).
//!
//! # How it is built
//! `ledger` holds the types and the rules, without SQL; `backend` is what they need of a
//! database; `sqlite` is the one there is; `store` is what callers see. `conformance` is
//! the suite that a backend must pass.

mod backend;
mod clock;
#[cfg(any(test, feature = "conformance"))]
#[allow(clippy::unwrap_used, reason = "a suite of tests: a panic is how one fails")]
pub mod conformance;
mod ledger;
mod redact;
mod sqlite;
mod store;

pub use clock::{Clock, ManualClock, SystemClock};
pub use ledger::{
    Answer, Applied, Artifact, Ask, Attempt, BEAT_EVERY, Batch, Change, Checkpoint, Claim, Error, Event,
    FileContent, HUNG_AFTER_MS, Intent, IntentId, Job, JobFilter, JobId, Kept, LONGEST_PAGE, Level,
    MetricPoint, Model, ModelFilter, NewArtifact, NewDataset, NewEvent, NewJob, NewModel, NewPlan,
    NewPluginEvent, NewUpload, Operation, Outcome, Owner, Page, Plan, PluginEvent, Recorded, Request,
    RequestId, STALE_AFTER_MS, Situation, State, StoredEvent, Transfer, UnknownName, UploadedFile,
};
pub use redact::{LONGEST_TEXT, Redactor};
pub use sqlite::FILE_NAME;
pub use store::{Beating, Options, Problem, Store, Watch};

//! The rules of the ledger, without SQL: plain types, and functions that decide what a
//! change means for what is recorded.

pub(crate) mod artifact;
pub(crate) mod batch;
pub(crate) mod change;
pub(crate) mod checkpoint;
pub(crate) mod claim;
pub(crate) mod error;
pub(crate) mod event;
pub(crate) mod facts;
pub(crate) mod file;
pub(crate) mod id;
pub(crate) mod intent;
pub(crate) mod job;
pub(crate) mod metric;
pub(crate) mod model;
pub(crate) mod named;
pub(crate) mod new;
pub(crate) mod operation;
pub(crate) mod page;
pub(crate) mod plugin;
pub(crate) mod request;
pub(crate) mod situation;
pub(crate) mod state;

pub use artifact::{Artifact, NewArtifact};
pub use batch::{Batch, Recorded};
pub use change::{Applied, Change};
pub use checkpoint::{Checkpoint, Kept};
pub use claim::{BEAT_EVERY, Claim, HUNG_AFTER_MS, STALE_AFTER_MS};
pub use error::Error;
pub use event::{Event, Level, NewEvent, StoredEvent, Transfer};
pub use file::{FileContent, NewUpload, UploadedFile};
pub use id::JobId;
pub use intent::{Intent, IntentId, Outcome};
pub use job::{Attempt, Job, JobFilter, Owner, Plan};
pub use metric::MetricPoint;
pub use model::{Model, ModelFilter, NewModel};
pub use named::UnknownName;
pub use new::{NewDataset, NewJob, NewPlan};
pub use operation::Operation;
pub use page::{LONGEST_PAGE, Page};
pub use plugin::{NewPluginEvent, PluginEvent};
pub use request::{Answer, Ask, Request, RequestId};
pub use situation::Situation;
pub use state::State;

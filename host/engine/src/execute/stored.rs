//! A job as it was stored, read back through the definitions that wrote it: enough to go
//! on after any crash.

use crate::plan::{FORMAT, Plan};
use serde_json::Value;
use tunesmith_provider::drive::{Error, Execution};
use tunesmith_store::{JobId, Store};

/// Under this key the executor's own part lies beside the plan's measurements.
pub(super) const EXECUTION: &str = "execution";

/// What is stored of a job for carrying it out.
pub(super) struct Stored {
    pub plan: Plan,
    pub execution: Execution,
    /// The plan's bytes.
    pub document: String,
}

impl Stored {
    pub async fn load(store: &Store, job: &JobId) -> Result<Self, Error> {
        let stored = store.plan(job).await?;
        let bad = |why: &dyn std::fmt::Display| Error::BadPlan { job: job.to_string(), why: why.to_string() };
        let plan: Plan = serde_json::from_str(&stored.document).map_err(|error| bad(&error))?;
        if plan.format != FORMAT {
            return Err(bad(&format_args!("it has format {}, and this version reads {FORMAT}", plan.format)));
        }
        let execution = match stored.measured.get(EXECUTION) {
            None | Some(Value::Null) => Execution::default(),
            Some(given) => serde_json::from_value(given.clone()).map_err(|error| bad(&error))?,
        };
        Ok(Self { plan, execution, document: stored.document })
    }
}

//! What is known of a job's attempt, and which states it founds.

use super::intent::{Intent, Outcome};
use super::job::Job;
use super::model::Model;
use super::operation::Operation;
use super::state::State;

/// What the records say of a job's current attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// A service carries the job out, so a create comes before everything it does.
    pub remote: bool,
    /// A create intent has no result.
    pub create_open: bool,
    /// A create succeeded or was adopted.
    pub created: bool,
    /// A model answered.
    pub verified: bool,
}

impl Facts {
    /// Of the job's current attempt, whatever else the intents and models belong to.
    pub fn of(job: &Job, intents: &[Intent], models: &[Model]) -> Self {
        let creates =
            || intents.iter().filter(|i| i.attempt == job.attempt && i.operation == Operation::Create);
        Self {
            remote: job.remote,
            create_open: creates().any(|create| create.outcome.is_none()),
            created: creates().any(|create| matches!(create.outcome, Some(Outcome::Done { .. }))),
            verified: models.iter().any(|model| model.attempt == job.attempt && model.verified_ms.is_some()),
        }
    }

    /// Whether a job of which this is known may be in a state.
    pub fn allow(self, state: State) -> Result<(), &'static str> {
        use State::*;
        if self.create_open && !matches!(state, Creating | Unknown) {
            return Err("a create was perhaps sent and is not settled: record its result first");
        }
        match state {
            Creating | Unknown | Submitted if !self.remote => {
                Err("it trains in this process, so nothing is created at a service")
            }
            Planned | Uploading | Creating if self.created => {
                Err("the service already has this attempt's job or model")
            }
            Unknown if !self.create_open => Err("no create is unsettled, so nothing is unknown"),
            Submitted | Running | Paused | Verifying | Succeeded if self.remote && !self.created => {
                Err("no create of this attempt has succeeded: record its result first")
            }
            Succeeded if !self.verified => Err("no model of this attempt is verified"),
            _ => Ok(()),
        }
    }
}

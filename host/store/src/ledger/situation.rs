//! How far a job came: what to ask after a crash.

use super::facts::Facts;
use super::intent::Intent;
use super::job::Job;
use super::model::Model;
use super::operation::Operation;
use super::state::State;

/// All that the store knows of how far a job came; what to ask after a crash.
#[derive(Debug, Clone, PartialEq)]
pub struct Situation {
    /// The job, with its run id and the adopted remote id.
    pub job: Job,
    /// Intents of the current attempt whose outcome nobody recorded, oldest first.
    pub open: Vec<Intent>,
    /// The models of the current attempt, verified or not.
    pub models: Vec<Model>,
    facts: Facts,
}

impl Situation {
    /// From a job, all its intents, and the models of its current attempt.
    pub(crate) fn new(job: Job, mut intents: Vec<Intent>, models: Vec<Model>) -> Self {
        let facts = Facts::of(&job, &intents, &models);
        intents.retain(|intent| intent.attempt == job.attempt && intent.outcome.is_none());
        Self { job, open: intents, models, facts }
    }

    /// The create that was perhaps sent and is not settled. Look for its run id at the
    /// service before anything else.
    pub fn create_perhaps_sent(&self) -> Option<&Intent> {
        self.open.iter().find(|intent| intent.operation == Operation::Create)
    }

    /// The remote job or model that this attempt made or adopted.
    pub fn remote_id(&self) -> Option<&str> {
        self.job.remote_id.as_deref()
    }

    /// Whether a model of this attempt has answered.
    pub fn is_verified(&self) -> bool {
        self.facts.verified
    }

    /// Whether nothing stands against sending a create: none was perhaps sent, none
    /// succeeded, and the job is on its way there.
    pub fn may_create(&self) -> bool {
        self.facts.remote
            && !self.facts.create_open
            && !self.facts.created
            && matches!(self.job.state, State::Planned | State::Uploading | State::Creating)
    }
}

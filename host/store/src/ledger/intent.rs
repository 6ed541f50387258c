//! Intents: what is about to be done to the world, and what became of it.

use super::error::Error;
use super::operation::Operation;

/// An intent's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub struct IntentId(pub(crate) i64);

/// Something that was perhaps, or certainly, done.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    pub id: IntentId,
    /// The attempt it belongs to.
    pub attempt: u32,
    pub operation: Operation,
    /// Digest of the request that was to be sent.
    pub request_hash: String,
    /// What marks it at the service: the attempt's run id.
    pub run_id: String,
    /// When it was recorded, before sending.
    pub opened_ms: i64,
    /// How far it has come, such as the parts of an upload; see
    /// [`Store::note`](crate::Store::note).
    pub note: Option<serde_json::Value>,
    /// What became of it; `None` while nobody knows.
    pub outcome: Option<Outcome>,
    /// When that was recorded.
    pub settled_ms: Option<i64>,
}

/// What became of an intent.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case", tag = "result")]
pub enum Outcome {
    /// It took effect: the service answered so, or it was found there and adopted.
    Done {
        /// What the service calls the result: a job, a file, a model.
        #[serde(rename = "remoteId")]
        remote_id: Option<String>,
    },
    /// The service refused it, for certain.
    Refused {
        /// Why.
        detail: String,
    },
    /// It was looked for, patiently, and is not there.
    Absent {
        /// How that was found out.
        detail: String,
    },
    /// The user chose to leave it: it may or may not have taken effect.
    Abandoned {
        /// What the user was told.
        detail: String,
    },
}

impl Outcome {
    /// Its name, as stored.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Done { .. } => "done",
            Self::Refused { .. } => "refused",
            Self::Absent { .. } => "absent",
            Self::Abandoned { .. } => "abandoned",
        }
    }

    /// What the service calls the result.
    pub(crate) fn remote_id(&self) -> Option<&str> {
        match self {
            Self::Done { remote_id } => remote_id.as_deref(),
            _ => None,
        }
    }

    /// Why there is no result.
    pub(crate) fn detail(&self) -> Option<&str> {
        match self {
            Self::Done { .. } => None,
            Self::Refused { detail } | Self::Absent { detail } | Self::Abandoned { detail } => Some(detail),
        }
    }

    /// With another text in the place of [`Self::detail`].
    pub(super) fn with_detail(&self, text: impl Fn(&str) -> String) -> Self {
        match self {
            Self::Done { .. } => self.clone(),
            Self::Refused { detail } => Self::Refused { detail: text(detail) },
            Self::Absent { detail } => Self::Absent { detail: text(detail) },
            Self::Abandoned { detail } => Self::Abandoned { detail: text(detail) },
        }
    }

    /// What the attempt gets as its remote id, if this became of such an operation.
    pub(super) fn adopts(&self, operation: Operation) -> Result<Option<&str>, Error> {
        match self {
            Self::Done { remote_id } if operation == Operation::Create => {
                remote_id.as_deref().map(Some).ok_or_else(|| Error::Invalid {
                    what: "create",
                    why: "its result needs the id that the service gave, or the model's name".into(),
                })
            }
            _ => Ok(None),
        }
    }
}

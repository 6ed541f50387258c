//! Requests from another shell: cancel, pause and resume, and the owner's answers.

use super::named::named;
use super::state::State;

named! {
    /// What can be asked of a job's owner.
    Ask, "request" {
        /// Stop it for good.
        Cancel = "cancel",
        /// Stop it for a while, at the service.
        Pause = "pause",
        /// Go on after a pause.
        Resume = "resume",
    }
}

impl Ask {
    /// Open requests that no longer matter once this is asked.
    pub(crate) fn overtakes(self) -> &'static [Self] {
        match self {
            Self::Cancel => &[Self::Pause, Self::Resume],
            Self::Pause => &[Self::Resume],
            Self::Resume => &[Self::Pause],
        }
    }

    /// The answer to what is still open when the job is over.
    pub(crate) fn answer_at_end(self, state: State) -> Answer {
        match (self, state) {
            (Self::Cancel, State::Cancelled) => Answer::Done,
            _ => Answer::Moot(format!("the job is {state}")),
        }
    }
}

/// A request's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub struct RequestId(pub(crate) i64);

/// What the owner says to a request.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case", tag = "answer", content = "detail")]
pub enum Answer {
    /// It was done.
    Done,
    /// It cannot be done; why.
    Refused(String),
    /// It no longer matters; why.
    Moot(String),
}

impl Answer {
    /// Its name, as stored, and why.
    pub(crate) fn parts(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::Done => ("done", None),
            Self::Refused(why) => ("refused", Some(why)),
            Self::Moot(why) => ("moot", Some(why)),
        }
    }

    /// With another text in the place of the reason.
    pub(super) fn with_detail(&self, text: impl Fn(&str) -> String) -> Self {
        match self {
            Self::Done => Self::Done,
            Self::Refused(why) => Self::Refused(text(why)),
            Self::Moot(why) => Self::Moot(text(why)),
        }
    }
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    pub id: RequestId,
    pub ask: Ask,
    pub asked_ms: i64,
    /// What the owner said; `None` until then.
    pub answer: Option<Answer>,
}

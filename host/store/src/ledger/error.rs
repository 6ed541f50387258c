//! What can go wrong with the store, and what the user can do about it.

use super::claim::STALE_AFTER_MS;
use super::id::JobId;
use super::named::UnknownName;
use super::operation::Operation;
use super::request::Ask;
use super::state::{State, listed};
use std::path::PathBuf;
use tunesmith_core::UnknownProvider;
use tunesmith_core::failure::{Advice, Code, Failure};

/// An error of the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A later tunesmith made the store. It was not touched.
    #[error("{}: the store has version {found}, and this tunesmith knows only up to {known}; it was left untouched", path.display())]
    Newer {
        /// The store's file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// The file is not a store.
    #[error("{}: not a tunesmith store: {why}; it was left untouched", path.display())]
    NotAStore {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        why: String,
    },
    /// The file is a store, and its content is broken.
    #[error("{}: the store is damaged: {detail}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the database said.
        detail: String,
    },
    /// The directory cannot be made or used.
    #[error("{}: cannot use the directory for the store: {source}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others could replace the store.
    #[error("{}: others may write to the store's directory (its mode is {mode:03o})", path.display())]
    OpenToOthers {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The store cannot be written.
    #[error("{}: the store cannot be written: {detail}", path.display())]
    ReadOnly {
        /// The file.
        path: PathBuf,
        /// What the database said.
        detail: String,
    },
    /// There is no room. Nothing was half-written.
    #[error("{}: no space left for the store; nothing was half-written", path.display())]
    Full {
        /// The file.
        path: PathBuf,
    },
    /// Reading or writing the file failed.
    #[error("{}: reading or writing the store failed: {detail}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the database said.
        detail: String,
    },
    /// Another process kept the store locked for longer than is reasonable.
    #[error("{}: another process has kept the store locked for {seconds} seconds", path.display())]
    Busy {
        /// The file.
        path: PathBuf,
        /// For how long this process waited.
        seconds: u64,
    },
    /// No job has this id.
    #[error("no job has the id {given:?}")]
    NoSuchJob {
        /// As typed.
        given: String,
    },
    /// Several ids begin so.
    #[error("{given:?} is the beginning of several job ids: {}{}", listed(candidates), if *more { ", …" } else { "" })]
    Ambiguous {
        /// As typed.
        given: String,
        /// The newest of them.
        candidates: Vec<JobId>,
        /// There are more.
        more: bool,
    },
    /// Another process owns the job.
    #[error("another tunesmith (process {pid}, last heartbeat {} s ago) is running job {job}", age_ms / 1000)]
    Owned {
        /// The job.
        job: JobId,
        /// Its owner.
        pid: u32,
        /// Milliseconds since the owner's last heartbeat.
        age_ms: i64,
    },
    /// The writer's claim on the job was taken over or released.
    #[error("this process no longer owns job {job}: nothing was written")]
    ClaimLost {
        /// The job.
        job: JobId,
    },
    /// The state machine has no such move.
    #[error("job {job} is {from} and cannot become {to}")]
    IllegalMove {
        /// The job.
        job: JobId,
        /// Its state.
        from: State,
        /// The state asked for.
        to: State,
    },
    /// The state would claim what is not recorded.
    #[error("job {job} cannot be {state}: {why}")]
    Unfounded {
        /// The job.
        job: JobId,
        /// The state asked for.
        state: State,
        /// What is missing.
        why: &'static str,
    },
    /// The operation has no place in the job's state.
    #[error("job {job} is {state}: there is nothing to {operation}")]
    OutOfPlace {
        /// The job.
        job: JobId,
        /// The operation.
        operation: Operation,
        /// The job's state.
        state: State,
    },
    /// The same operation is already under way, perhaps sent.
    #[error("job {job}: a {operation} of this attempt was perhaps sent already (run id {run_id})")]
    StillOpen {
        /// The job.
        job: JobId,
        /// The operation.
        operation: Operation,
        /// What to look for at the service.
        run_id: String,
    },
    /// The intent is not an open one of this job.
    #[error("job {job} has no open intent {intent}")]
    NoSuchIntent {
        /// The job.
        job: JobId,
        /// The intent's number.
        intent: i64,
    },
    /// The job is over, or not in a state in which this can be asked.
    #[error("job {job} is {state}: it cannot be asked to {asked}")]
    CannotAsk {
        /// The job.
        job: JobId,
        /// Its state.
        state: State,
        /// What was asked for.
        asked: Ask,
    },
    /// The job is not over, so its record must stay.
    #[error("job {job} is {state} and cannot be removed")]
    NotRemovable {
        /// The job.
        job: JobId,
        /// Its state.
        state: State,
    },
    /// A value that the store does not take.
    #[error("{what}: {why}")]
    Invalid {
        /// Which value.
        what: &'static str,
        /// Why not.
        why: String,
    },
    /// A fault of the store's own.
    #[error("the store failed: {detail}")]
    Fault {
        /// What happened.
        detail: String,
    },
}

impl Error {
    /// What scripts can rely on.
    pub fn code(&self) -> Code {
        match self {
            Self::Newer { .. } => Code::StoreNewer,
            Self::NotAStore { .. } | Self::Directory { .. } | Self::ReadOnly { .. } | Self::Io { .. } => {
                Code::StoreUnusable
            }
            Self::Damaged { .. } => Code::StoreDamaged,
            Self::OpenToOthers { .. } => Code::StoreExposed,
            Self::Full { .. } => Code::StoreFull,
            Self::Busy { .. } => Code::StoreBusy,
            Self::NoSuchJob { .. } => Code::JobUnknown,
            Self::Ambiguous { .. } => Code::JobAmbiguous,
            Self::Owned { .. } => Code::JobOwned,
            Self::ClaimLost { .. } => Code::ClaimLost,
            Self::IllegalMove { .. }
            | Self::OutOfPlace { .. }
            | Self::CannotAsk { .. }
            | Self::NotRemovable { .. } => Code::JobState,
            Self::StillOpen { .. } => Code::IntentOpen,
            Self::Invalid { .. } => Code::StoreValueInvalid,
            Self::Unfounded { .. } | Self::NoSuchIntent { .. } | Self::Fault { .. } => Code::StoreFault,
        }
    }

    /// What to do next.
    pub fn advice(&self) -> Vec<Advice> {
        let job = |job: &JobId| job.to_string();
        match self {
            Self::Newer { .. } => vec!["update tunesmith".into(), Advice::OtherDataDirectory],
            Self::NotAStore { .. } => {
                vec!["move the file away if it is not needed".into(), Advice::OtherDataDirectory]
            }
            Self::Damaged { path, .. } => vec![
                format!(
                    "restore {0} from a backup, or move it away with its -wal and -shm files and start afresh; \
                     jobs at the services go on without it",
                    path.display()
                )
                .into(),
            ],
            Self::Directory { .. } => vec!["create it".into(), Advice::OtherDataDirectory],
            Self::OpenToOthers { path, .. } => {
                vec![Advice::RestrictAccess { path: path.clone(), mode: "700".into() }]
            }
            Self::ReadOnly { path, .. } => vec![
                format!(
                    "check who owns {} and its directory, and that the disk is not mounted read-only",
                    path.display()
                )
                .into(),
            ],
            Self::Full { .. } => {
                vec!["free some space and run the same command again: it resumes where it stopped".into()]
            }
            Self::Io { .. } => vec!["check the disk and the space on it; the system's log may say more".into()],
            Self::Busy { .. } => vec!["find the process that uses the store, and end it if it hangs".into()],
            Self::NoSuchJob { .. } => vec![Advice::ListJobs],
            Self::Ambiguous { .. } => vec!["type more of the id".into()],
            Self::Owned { job: id, pid, .. } => vec![
                Advice::FollowJob { job: job(id) },
                format!(
                    "or end process {pid}: its jobs are free as soon as it is gone, and {} s after its last \
                     heartbeat where that cannot be seen",
                    STALE_AFTER_MS / 1000
                )
                .into(),
            ],
            Self::ClaimLost { job: id } => vec![Advice::ShowJob { job: job(id) }],
            Self::IllegalMove { from, .. } if from.next().is_empty() => vec!["it is over".into()],
            Self::IllegalMove { from, .. } => {
                vec![format!("from {from} it can become {}", listed(from.next())).into()]
            }
            Self::StillOpen { job: id, .. } => vec![Advice::SettleJob { job: job(id) }],
            Self::CannotAsk { job: id, state, .. } if state.is_final() && *state != State::Succeeded => {
                vec![Advice::RetryJob { job: job(id) }]
            }
            Self::NotRemovable { job: id, .. } => vec![Advice::CancelJob { job: job(id) }],
            Self::Unfounded { .. }
            | Self::OutOfPlace { .. }
            | Self::NoSuchIntent { .. }
            | Self::CannotAsk { .. }
            | Self::Invalid { .. }
            | Self::Fault { .. } => Vec::new(),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(error.code(), error.to_string()).advise_all(error.advice())
    }
}

/// A name that is stored or typed and that nothing has.
impl From<UnknownName> for Error {
    fn from(error: UnknownName) -> Self {
        Self::Invalid { what: error.what, why: error.why() }
    }
}

impl From<UnknownProvider> for Error {
    fn from(error: UnknownProvider) -> Self {
        Self::Invalid { what: "provider", why: error.to_string() }
    }
}

impl From<getrandom::Error> for Error {
    fn from(error: getrandom::Error) -> Self {
        Self::Fault { detail: format!("the operating system gave no random bytes: {error}") }
    }
}

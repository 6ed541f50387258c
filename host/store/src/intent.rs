//! Intents: what is about to be done to the world, and what became of it.

use super::connection::{Session, Sync, Write};
use super::state::Facts;
use super::{Claim, Error, Job, JobId, Model, Operation, State, Store};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

/// An intent's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub struct IntentId(pub(super) i64);

/// Something that was perhaps, or certainly, done.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// Its number.
    pub id: IntentId,
    /// The attempt it belongs to.
    pub attempt: u32,
    /// What.
    pub operation: Operation,
    /// Digest of the request that was to be sent.
    pub request_hash: String,
    /// What marks it at the service: the attempt's run id.
    pub run_id: String,
    /// When it was recorded, before sending.
    pub opened_ms: i64,
    /// How far it has come, such as the parts of an upload; see [`Store::note`].
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
    fn name(&self) -> &'static str {
        match self {
            Self::Done { .. } => "done",
            Self::Refused { .. } => "refused",
            Self::Absent { .. } => "absent",
            Self::Abandoned { .. } => "abandoned",
        }
    }

    fn from_row(row: &SqliteRow) -> Result<Option<Self>, Error> {
        let detail = row.try_get::<Option<String>, _>("detail")?.unwrap_or_default();
        Ok(match row.try_get::<Option<&str>, _>("result")? {
            None => None,
            Some("done") => Some(Self::Done { remote_id: row.try_get("remote_id")? }),
            Some("refused") => Some(Self::Refused { detail }),
            Some("absent") => Some(Self::Absent { detail }),
            Some(_) => Some(Self::Abandoned { detail }),
        })
    }
}

/// All that the store knows of how far a job came; what to ask after a crash.
#[derive(Debug, Clone, PartialEq)]
pub struct Situation {
    /// The job, with its run id and the adopted remote id.
    pub job: Job,
    /// Intents of the current attempt whose outcome nobody recorded, oldest first.
    pub open: Vec<Intent>,
    /// The models of the current attempt, verified or not.
    pub models: Vec<Model>,
    pub(super) facts: Facts,
}

impl Situation {
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
        !self.facts.create_open
            && !self.facts.created
            && matches!(self.job.state, State::Planned | State::Uploading | State::Creating)
    }
}

impl Store {
    /// Everything about how far the job came.
    pub async fn situation(&self, job: &JobId) -> Result<Situation, Error> {
        // One transaction, so that the parts belong together; read-only in effect.
        let mut tx = self.inner.write(Sync::Batch).await?;
        let job = super::job::by_id(&mut tx, job).await?;
        let rows = tx
            .all(
                sqlx::query(
                    "SELECT intents.*, run_id FROM intents
                     JOIN attempts ON attempts.job = intents.job AND attempts.number = attempt
                     WHERE intents.job = ? AND attempt = ? AND result IS NULL ORDER BY id",
                )
                .bind(job.id.as_str())
                .bind(job.attempt),
            )
            .await?;
        let open = rows.iter().map(from_row).collect::<Result<_, _>>()?;
        let models = super::model::of_attempt(&mut tx, &job).await?;
        let facts = facts(&mut tx, &job.id, job.attempt).await?;
        tx.rollback().await?;
        Ok(Situation { job, open, models, facts })
    }

    /// All intents of a job, of all attempts, oldest first.
    pub async fn intents(&self, job: &JobId) -> Result<Vec<Intent>, Error> {
        let rows = self
            .inner
            .read()
            .await?
            .all(
                sqlx::query(
                    "SELECT intents.*, run_id FROM intents
                     JOIN attempts ON attempts.job = intents.job AND attempts.number = attempt
                     WHERE intents.job = ? ORDER BY id",
                )
                .bind(job.as_str()),
            )
            .await?;
        rows.iter().map(from_row).collect()
    }

    /// Keeps how far an open intent has come, such as the parts of an upload that
    /// arrived. Not synced: after power loss the last notes may be missing, and those
    /// parts are sent again.
    ///
    /// # Errors
    /// [`Error::ClaimLost`], [`Error::NoSuchIntent`].
    pub async fn note(&self, claim: &Claim, intent: IntentId, note: &serde_json::Value) -> Result<(), Error> {
        let mut tx = self.inner.write(Sync::Batch).await?;
        super::owner::check(&mut tx, claim).await?;
        let changed = tx
            .execute(
                sqlx::query("UPDATE intents SET note = ? WHERE id = ? AND job = ? AND result IS NULL")
                    .bind(self.redactor().json(note))
                    .bind(intent.0)
                    .bind(claim.job().as_str()),
            )
            .await?;
        if changed == 0 {
            return Err(Error::NoSuchIntent { job: claim.job().clone(), intent: intent.0 });
        }
        tx.commit().await
    }
}

fn from_row(row: &SqliteRow) -> Result<Intent, Error> {
    Ok(Intent {
        id: IntentId(row.try_get("id")?),
        attempt: row.try_get("attempt")?,
        operation: row.try_get::<&str, _>("operation")?.parse()?,
        request_hash: row.try_get("request_hash")?,
        run_id: row.try_get("run_id")?,
        opened_ms: row.try_get("opened_ms")?,
        note: super::job::maybe_json(row, "note")?,
        outcome: Outcome::from_row(row)?,
        settled_ms: row.try_get("settled_ms")?,
    })
}

/// What holds for an attempt.
pub(super) async fn facts(session: &mut Session, job: &JobId, attempt: u32) -> Result<Facts, Error> {
    let row = session
        .one(
            sqlx::query(
                "SELECT
                   EXISTS (SELECT 1 FROM intents WHERE job = ?1 AND attempt = ?2
                           AND operation = 'create' AND result IS NULL) AS create_open,
                   EXISTS (SELECT 1 FROM intents WHERE job = ?1 AND attempt = ?2
                           AND operation = 'create' AND result = 'done') AS created,
                   EXISTS (SELECT 1 FROM models WHERE job = ?1 AND attempt = ?2
                           AND verified_ms IS NOT NULL) AS verified",
            )
            .bind(job.as_str())
            .bind(attempt),
        )
        .await?;
    Ok(Facts {
        create_open: row.try_get("create_open")?,
        created: row.try_get("created")?,
        verified: row.try_get("verified")?,
    })
}

/// Records an intent.
pub(super) async fn open(
    tx: &mut Write,
    job: &Job,
    operation: Operation,
    request_hash: &str,
    now_ms: i64,
) -> Result<Intent, Error> {
    let already = tx
        .optional(
            sqlx::query(
                "SELECT 1 FROM intents WHERE job = ? AND attempt = ? AND operation = ? AND result IS NULL",
            )
            .bind(job.id.as_str())
            .bind(job.attempt)
            .bind(operation.as_str()),
        )
        .await?;
    if already.is_some() {
        return Err(Error::StillOpen { job: job.id.clone(), operation, run_id: job.run_id.clone() });
    }
    let row = tx
        .one(
            sqlx::query(
                "INSERT INTO intents (job, attempt, operation, request_hash, opened_ms)
                 VALUES (?, ?, ?, ?, ?) RETURNING id",
            )
            .bind(job.id.as_str())
            .bind(job.attempt)
            .bind(operation.as_str())
            .bind(request_hash)
            .bind(now_ms),
        )
        .await?;
    Ok(Intent {
        id: IntentId(row.try_get("id")?),
        attempt: job.attempt,
        operation,
        request_hash: request_hash.to_owned(),
        run_id: job.run_id.clone(),
        opened_ms: now_ms,
        note: None,
        outcome: None,
        settled_ms: None,
    })
}

/// Records what became of an intent, and the remote id of a create that succeeded.
pub(super) async fn settle(
    tx: &mut Write,
    store: &Store,
    job: &JobId,
    intent: IntentId,
    outcome: &Outcome,
    now_ms: i64,
) -> Result<(), Error> {
    let (remote_id, detail) = match outcome {
        Outcome::Done { remote_id } => (remote_id.as_deref(), None),
        Outcome::Refused { detail } | Outcome::Absent { detail } | Outcome::Abandoned { detail } => {
            (None, Some(store.redactor().text(detail)))
        }
    };
    let row = tx
        .optional(
            sqlx::query(
                "UPDATE intents SET result = ?, remote_id = ?, detail = ?, settled_ms = ?
                 WHERE id = ? AND job = ? AND result IS NULL RETURNING operation, attempt",
            )
            .bind(outcome.name())
            .bind(remote_id)
            .bind(detail)
            .bind(now_ms)
            .bind(intent.0)
            .bind(job.as_str()),
        )
        .await?
        .ok_or_else(|| Error::NoSuchIntent { job: job.clone(), intent: intent.0 })?;
    let operation: Operation = row.try_get::<&str, _>("operation")?.parse()?;
    if operation == Operation::Create
        && let Outcome::Done { remote_id } = outcome
    {
        let Some(remote_id) = remote_id else {
            return Err(Error::Invalid {
                what: "create",
                why: "its result needs the id that the service gave, or the model's name".into(),
            });
        };
        let attempt: u32 = row.try_get("attempt")?;
        tx.execute(
            sqlx::query("UPDATE attempts SET remote_id = ? WHERE job = ? AND number = ?")
                .bind(remote_id)
                .bind(job.as_str())
                .bind(attempt),
        )
        .await?;
    }
    Ok(())
}

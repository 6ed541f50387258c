//! Files that were uploaded to a service: reused by content, listed, removed.

use super::connection::{Sync, Write};
use super::create::integer;
use super::{Error, Job, JobId, Page, Store, page_size};
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

/// A file that is now at the service.
#[derive(Debug, Clone)]
pub struct NewUpload {
    /// The service's id of it.
    pub remote_id: String,
    /// Its name there.
    pub file_name: String,
    /// What it is for, such as `fine-tune`.
    pub purpose: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// Its bytes.
    pub bytes: u64,
    /// When the service deletes it by itself.
    pub expires_ms: Option<i64>,
}

/// An uploaded file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UploadedFile {
    /// Its place in the order of uploading.
    pub number: i64,
    /// The service.
    pub service: String,
    /// The service's id of it.
    pub remote_id: String,
    /// Its name there.
    pub file_name: String,
    /// What it is for.
    pub purpose: String,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// Its bytes.
    pub bytes: u64,
    /// The job that first uploaded it; it may have been removed since.
    pub job: JobId,
    /// It is on the emulator.
    pub emulated: bool,
    /// When it was uploaded.
    pub added_ms: i64,
    /// When the service deletes it.
    pub expires_ms: Option<i64>,
    /// When it was removed.
    pub removed_ms: Option<i64>,
}

/// Which content is wanted at which service.
#[derive(Debug, Clone, Copy)]
pub struct FileContent<'a> {
    /// The service.
    pub service: &'a str,
    /// On the emulator.
    pub emulated: bool,
    /// What it is for.
    pub purpose: &'a str,
    /// SHA-256 of the bytes.
    pub sha256: &'a str,
    /// The bytes.
    pub bytes: u64,
}

impl Store {
    /// A file with this content that is still at the service, as far as is known; the
    /// newest of several. Ask the service before relying on it.
    pub async fn reusable_file(&self, wanted: FileContent<'_>) -> Result<Option<UploadedFile>, Error> {
        let row = self
            .inner
            .read()
            .await?
            .optional(
                sqlx::query(
                    "SELECT * FROM files WHERE service = ? AND emulated = ? AND purpose = ? AND sha256 = ?
                     AND bytes = ? AND removed_ms IS NULL AND (expires_ms IS NULL OR expires_ms > ?)
                     ORDER BY number DESC LIMIT 1",
                )
                .bind(wanted.service)
                .bind(wanted.emulated)
                .bind(wanted.purpose)
                .bind(wanted.sha256)
                .bind(integer("bytes", wanted.bytes)?)
                .bind(self.now_ms()),
            )
            .await?;
        row.as_ref().map(from_row).transpose()
    }

    /// Uploaded files that were not removed, newest first; of one service, or of all.
    pub async fn files(
        &self,
        service: Option<&str>,
        after: Option<i64>,
        limit: u32,
    ) -> Result<Page<UploadedFile>, Error> {
        let size = page_size(limit);
        let rows = self
            .inner
            .read()
            .await?
            .all(
                sqlx::query(
                    "SELECT * FROM files WHERE removed_ms IS NULL AND (?1 IS NULL OR service = ?1)
                     AND (?2 IS NULL OR number < ?2) ORDER BY number DESC LIMIT ?3",
                )
                .bind(service)
                .bind(after)
                .bind(size + 1),
            )
            .await?;
        let files = rows.iter().map(from_row).collect::<Result<_, _>>()?;
        Ok(Page::of(files, size, |file: &UploadedFile| file.number))
    }

    /// Records that a file is no longer at the service; false if that was known.
    pub async fn file_removed(&self, number: i64) -> Result<bool, Error> {
        let mut tx = self.inner.write(Sync::Full).await?;
        let changed = tx
            .execute(
                sqlx::query("UPDATE files SET removed_ms = ? WHERE number = ? AND removed_ms IS NULL")
                    .bind(self.now_ms())
                    .bind(number),
            )
            .await?;
        tx.commit().await?;
        Ok(changed > 0)
    }
}

fn from_row(row: &SqliteRow) -> Result<UploadedFile, Error> {
    Ok(UploadedFile {
        number: row.try_get("number")?,
        service: row.try_get("service")?,
        remote_id: row.try_get("remote_id")?,
        file_name: row.try_get("file_name")?,
        purpose: row.try_get("purpose")?,
        sha256: row.try_get("sha256")?,
        bytes: row.try_get::<i64, _>("bytes")?.cast_unsigned(),
        job: JobId::stored(row.try_get("job")?),
        emulated: row.try_get("emulated")?,
        added_ms: row.try_get("added_ms")?,
        expires_ms: row.try_get("expires_ms")?,
        removed_ms: row.try_get("removed_ms")?,
    })
}

/// Records a file. One that is known (found again after a crash) is at the service after
/// all, whatever was noted before.
pub(super) async fn insert(tx: &mut Write, job: &Job, new: &NewUpload, now_ms: i64) -> Result<(), Error> {
    tx.execute(
        sqlx::query(
            "INSERT INTO files (service, remote_id, file_name, purpose, sha256, bytes, job, emulated, added_ms,
                 expires_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (service, emulated, remote_id)
             DO UPDATE SET removed_ms = NULL, expires_ms = excluded.expires_ms",
        )
        .bind(&job.service)
        .bind(&new.remote_id)
        .bind(&new.file_name)
        .bind(&new.purpose)
        .bind(&new.sha256)
        .bind(integer("bytes", new.bytes)?)
        .bind(job.id.as_str())
        .bind(job.emulated)
        .bind(now_ms)
        .bind(new.expires_ms),
    )
    .await
    .map(drop)
}

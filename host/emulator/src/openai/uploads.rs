//! Uploads: large files in parts.

use super::OpenAi;
use super::error::{ApiError, json_reply};
use super::files::{FileRecord, blocking, purpose, unix_seconds};
use super::front::read_json;
use crate::clock::unix_now;
use crate::{disk, ids};
use axum::body::Body;
use axum::extract::{Path as UrlPath, State};
use axum::response::Response;
use hyper::{Request, StatusCode};
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The largest upload; the service's limit.
const MAX_UPLOAD: u64 = 8 << 30;
/// The largest part; the service's limit.
const MAX_PART: u64 = 64 << 20;
/// Parts of an upload: as many as the largest needs, with room for small ones.
const MAX_PARTS: usize = 10_000;
/// Seconds until an upload expires; the service's limit.
const LIFETIME: i64 = 3_600;

const PURPOSES: &[&str] = &["assistants", "batch", "fine-tune", "vision"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Pending,
    Completed,
    Cancelled,
    Expired,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Part {
    id: String,
    created_at: i64,
    bytes: u64,
    piece: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Upload {
    id: String,
    bytes: u64,
    created_at: i64,
    expires_at: i64,
    filename: String,
    purpose: String,
    status: Status,
    parts: Vec<Part>,
    /// Chosen at the start, so that a completion that is repeated makes one file.
    file: String,
}

impl Upload {
    fn status(&self) -> Status {
        match self.status {
            Status::Pending if unix_seconds() >= self.expires_at => Status::Expired,
            status => status,
        }
    }

    fn object(&self, file: Option<Value>) -> Value {
        json!({
            "id": self.id,
            "object": "upload",
            "bytes": self.bytes,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            "filename": self.filename,
            "purpose": self.purpose,
            "status": self.status(),
            "file": file,
        })
    }
}

#[derive(Debug)]
pub(super) struct Uploads {
    directory: PathBuf,
    by_id: Mutex<BTreeMap<String, Upload>>,
}

impl Uploads {
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let directory = root.join("uploads");
        let uploads: Vec<Upload> = disk::read_all(&directory)?;
        let by_id = uploads.into_iter().map(|upload| (upload.id.clone(), upload)).collect();
        Ok(Self { directory, by_id: Mutex::new(by_id) })
    }

    /// The pieces of data that uploads still hold.
    pub(super) fn data(&self) -> BTreeSet<String> {
        let by_id = self.by_id();
        let open = by_id.values().filter(|upload| upload.status() == Status::Pending);
        open.flat_map(|upload| upload.parts.iter().map(|part| part.piece.clone())).collect()
    }

    fn by_id(&self) -> MutexGuard<'_, BTreeMap<String, Upload>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, upload: &Upload) -> io::Result<()> {
        disk::write_json(&self.directory.join(format!("{}.json", upload.id)), upload)
    }

    /// Changes a pending upload.
    fn change(
        &self,
        id: &str,
        change: impl FnOnce(&mut Upload) -> Result<(), ApiError>,
    ) -> Result<Upload, ApiError> {
        let mut by_id = self.by_id();
        let upload = by_id.get_mut(id).ok_or_else(|| missing(id))?;
        let status = upload.status();
        if status != Status::Pending {
            let text = format!("Upload {id} is not pending: its status is {}.", json!(status));
            return Err(ApiError::bad_request(text));
        }
        let mut changed = upload.clone();
        change(&mut changed)?;
        self.write(&changed)?;
        *upload = changed.clone();
        Ok(changed)
    }
}

fn missing(id: &str) -> ApiError {
    ApiError::not_found(format!("No such Upload object: {id}")).param("upload_id")
}

pub(super) async fn post(
    State(openai): State<Arc<OpenAi>>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let body = read_json(request).await?;
    let text = |name: &str| match body.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        _ => Err(ApiError::bad_request(format!("Missing required parameter: '{name}'.")).param(name)),
    };
    let bytes = body.get("bytes").and_then(Value::as_u64).filter(|bytes| (1..=MAX_UPLOAD).contains(bytes));
    let Some(bytes) = bytes else {
        let text = format!("Invalid 'bytes': expected a whole number from 1 to {MAX_UPLOAD}.");
        return Err(ApiError::bad_request(text).param("bytes"));
    };
    text("mime_type")?;
    let created_at = unix_seconds();
    let upload = Upload {
        id: ids::fresh("upload_"),
        bytes,
        created_at,
        expires_at: created_at + LIFETIME,
        filename: text("filename")?,
        purpose: purpose(Some(&text("purpose")?), PURPOSES)?,
        status: Status::Pending,
        parts: Vec::new(),
        file: ids::fresh("file-"),
    };
    let (store, stored) = (openai.clone(), upload.clone());
    blocking(move || {
        store.uploads.write(&stored)?;
        store.uploads.by_id().insert(stored.id.clone(), stored);
        store.shared.counters.effect("POST /v1/uploads");
        Ok(())
    })
    .await?;
    Ok(json_reply(StatusCode::OK, &upload.object(None)))
}

pub(super) async fn part(
    State(openai): State<Arc<OpenAi>>,
    UrlPath(id): UrlPath<String>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    if !openai.uploads.by_id().contains_key(&id) {
        return Err(missing(&id));
    }
    let form = openai.form(request, "data", MAX_PART).await?;
    let Some(data) = form.file else {
        return Err(ApiError::bad_request("'data' is a required property").param("data"));
    };
    let part = Part {
        id: ids::fresh("part_"),
        created_at: unix_seconds(),
        bytes: data.bytes,
        piece: ids::fresh("data-"),
    };
    let reply = json!({
        "id": part.id,
        "object": "upload.part",
        "created_at": part.created_at,
        "upload_id": id,
    });
    let store = openai.clone();
    blocking(move || {
        disk::keep(data.content, &store.files.data_path(&part.piece))?;
        let changed = store.uploads.change(&id, |upload| {
            if upload.parts.len() >= MAX_PARTS {
                return Err(ApiError::bad_request(format!("An upload has {MAX_PARTS} parts at most.")));
            }
            upload.parts.push(part);
            Ok(())
        });
        Ok(changed.inspect(|_| store.shared.counters.effect("POST /v1/uploads/{id}/parts")))
    })
    .await??;
    Ok(json_reply(StatusCode::OK, &reply))
}

pub(super) async fn complete(
    State(openai): State<Arc<OpenAi>>,
    UrlPath(id): UrlPath<String>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let body = read_json(request).await?;
    let wanted = body
        .get("part_ids")
        .and_then(Value::as_array)
        .and_then(|ids| ids.iter().map(|id| id.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>());
    let Some(wanted) = wanted.filter(|wanted| !wanted.is_empty()) else {
        return Err(ApiError::bad_request("Missing required parameter: 'part_ids'.").param("part_ids"));
    };
    let md5 = body.get("md5").and_then(Value::as_str).map(str::to_ascii_lowercase);
    let store = openai.clone();
    let (upload, file) = blocking(move || {
        let whole = store.assemble(&id, &wanted, md5.as_deref());
        Ok(whole.inspect(|_| store.shared.counters.effect("POST /v1/uploads/{id}/complete")))
    })
    .await??;
    let file = file.object(openai.shared.clock.now());
    Ok(json_reply(StatusCode::OK, &upload.object(Some(file))))
}

impl OpenAi {
    fn assemble(
        &self,
        id: &str,
        wanted: &[String],
        md5: Option<&str>,
    ) -> Result<(Upload, Arc<FileRecord>), ApiError> {
        let upload = self.uploads.by_id().get(id).cloned().ok_or_else(|| missing(id))?;
        let mut parts = Vec::new();
        for part_id in wanted {
            let part =
                upload.parts.iter().find(|part| &part.id == part_id).ok_or_else(|| {
                    ApiError::bad_request(format!("No such part: {part_id}")).param("part_ids")
                })?;
            if parts.iter().any(|other: &&Part| other.id == part.id) {
                return Err(
                    ApiError::bad_request(format!("Part {part_id} is given twice.")).param("part_ids")
                );
            }
            parts.push(part);
        }
        let bytes: u64 = parts.iter().map(|part| part.bytes).sum();
        if bytes != upload.bytes {
            let text = format!("The parts have {bytes} bytes, but the upload was to have {}.", upload.bytes);
            return Err(ApiError::bad_request(text));
        }
        if let Some(md5) = md5
            && self.md5(&parts)? != md5
        {
            return Err(ApiError::bad_request("The MD5 of the parts is not the one given.").param("md5"));
        }
        let record = FileRecord {
            id: upload.file.clone(),
            bytes,
            created_at: unix_seconds(),
            created: unix_now(),
            expires_at: None,
            filename: upload.filename.clone(),
            purpose: upload.purpose.clone(),
            processed: self.processed_from_now(),
            pieces: parts.iter().map(|part| part.piece.clone()).collect(),
        };
        // The check that the upload is pending, the file and the mark are one step for
        // other requests; a kill between the last two leaves a file that the same
        // completion writes again.
        let mut file = None;
        let upload = self.uploads.change(id, |upload| {
            file = Some(self.files.put(record)?);
            upload.status = Status::Completed;
            Ok(())
        })?;
        let file = file.ok_or_else(|| ApiError::internal("the file was not written"))?;
        for part in upload.parts.iter().filter(|part| !file.pieces.contains(&part.piece)) {
            disk::remove(&self.files.data_path(&part.piece))?;
        }
        Ok((upload, file))
    }

    fn md5(&self, parts: &[&Part]) -> io::Result<String> {
        let mut hash = Md5::new();
        let mut piece = vec![0; 1 << 16];
        for part in parts {
            let mut file = std::fs::File::open(self.files.data_path(&part.piece))?;
            loop {
                let read = file.read(&mut piece)?;
                if read == 0 {
                    break;
                }
                hash.update(&piece[..read]);
            }
        }
        Ok(hash.finalize().iter().fold(String::new(), |mut text, byte| {
            // Writing to a String does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        }))
    }
}

pub(super) async fn cancel(
    State(openai): State<Arc<OpenAi>>,
    UrlPath(id): UrlPath<String>,
) -> Result<Response, ApiError> {
    let store = openai.clone();
    let upload = blocking(move || {
        let cancelled = store.uploads.change(&id, |upload| {
            upload.status = Status::Cancelled;
            Ok(())
        });
        for part in cancelled.iter().flat_map(|upload| &upload.parts) {
            disk::remove(&store.files.data_path(&part.piece))?;
        }
        Ok(cancelled.inspect(|_| store.shared.counters.effect("POST /v1/uploads/{id}/cancel")))
    })
    .await??;
    Ok(json_reply(StatusCode::OK, &upload.object(None)))
}

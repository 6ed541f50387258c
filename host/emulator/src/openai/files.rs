//! Files: streamed to disk, listed, read and deleted.

use super::OpenAi;
use super::error::{ApiError, json_reply};
use super::list::{Page, Pairs, value};
use crate::body::{self, Intake};
use crate::clock::unix_now;
use crate::{disk, ids};
use axum::body::Body;
use axum::extract::{FromRequest, Multipart, Path as UrlPath, Query, State};
use axum::response::Response;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The largest file of one request; the service's limit.
const MAX_FILE: u64 = 512 << 20;
/// The longest text field of a form.
const MAX_FIELD: usize = 4_096;
/// Files that one reply lists at most; the service's limit.
const MAX_LIST: usize = 10_000;
/// Seconds that a file may be kept for; the service's limits.
const EXPIRY: std::ops::RangeInclusive<i64> = 3_600..=2_592_000;

const PURPOSES: &[&str] = &["assistants", "batch", "fine-tune", "vision", "user_data", "evals"];

/// A file as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct FileRecord {
    pub(super) id: String,
    pub(super) bytes: u64,
    pub(super) created_at: i64,
    /// To sort by: files of one second.
    pub(super) created: f64,
    pub(super) expires_at: Option<i64>,
    pub(super) filename: String,
    pub(super) purpose: String,
    /// Emulated time at which it is processed.
    pub(super) processed: f64,
    /// The names of its pieces below `data`, in order.
    pub(super) pieces: Vec<String>,
}

impl FileRecord {
    pub(super) fn object(&self, now: f64) -> Value {
        let mut object = json!({
            "object": "file",
            "id": self.id,
            "purpose": self.purpose,
            "filename": self.filename,
            "bytes": self.bytes,
            "created_at": self.created_at,
            "expires_at": self.expires_at,
            "status": if now < self.processed { "uploaded" } else { "processed" },
            "status_details": null,
        });
        if self.expires_at.is_none()
            && let Value::Object(map) = &mut object
        {
            map.remove("expires_at");
        }
        object
    }

    fn is_there(&self) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "seconds since 1970")]
        self.expires_at.is_none_or(|expires| unix_now() < expires as f64)
    }
}

#[derive(Debug)]
pub(super) struct Files {
    directory: PathBuf,
    data: PathBuf,
    by_id: Mutex<BTreeMap<String, Arc<FileRecord>>>,
}

impl Files {
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let (directory, data) = (root.join("files"), root.join("data"));
        std::fs::create_dir_all(&data)?;
        let records: Vec<FileRecord> = disk::read_all(&directory)?;
        let by_id = records.into_iter().map(|record| (record.id.clone(), Arc::new(record))).collect();
        Ok(Self { directory, data, by_id: Mutex::new(by_id) })
    }

    /// Removes data that neither a file nor an upload names: a killed emulator had not
    /// come to the record.
    pub(super) fn remove_orphans(&self, uploads: &BTreeSet<String>) -> io::Result<()> {
        let by_id = self.by_id();
        let used: BTreeSet<&String> = by_id.values().flat_map(|file| &file.pieces).chain(uploads).collect();
        for entry in std::fs::read_dir(&self.data)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if !used.contains(&name) {
                disk::remove(&self.data.join(name))?;
            }
        }
        Ok(())
    }

    fn by_id(&self) -> MutexGuard<'_, BTreeMap<String, Arc<FileRecord>>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn find(&self, id: &str) -> Option<Arc<FileRecord>> {
        self.by_id().get(id).filter(|file| file.is_there()).cloned()
    }

    pub(super) fn paths(&self, file: &FileRecord) -> Vec<PathBuf> {
        file.pieces.iter().map(|piece| self.data.join(piece)).collect()
    }

    pub(super) fn data_path(&self, piece: &str) -> PathBuf {
        self.data.join(piece)
    }

    pub(super) fn put(&self, record: FileRecord) -> io::Result<Arc<FileRecord>> {
        disk::write_json(&self.directory.join(format!("{}.json", record.id)), &record)?;
        let record = Arc::new(record);
        self.by_id().insert(record.id.clone(), record.clone());
        Ok(record)
    }

    fn delete(&self, id: &str) -> io::Result<bool> {
        let Some(record) = self.by_id().remove(id) else { return Ok(false) };
        disk::remove(&self.directory.join(format!("{id}.json")))?;
        self.paths(&record).iter().try_for_each(|path| disk::remove(path))?;
        Ok(true)
    }

    fn all(&self) -> Vec<Arc<FileRecord>> {
        self.by_id().values().filter(|file| file.is_there()).cloned().collect()
    }
}

/// A form with one file that was streamed to disk.
pub(super) struct Form {
    pub(super) texts: BTreeMap<String, String>,
    pub(super) file: Option<FormFile>,
}

pub(super) struct FormFile {
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) content: tunesmith_core::fs::Draft,
}

impl OpenAi {
    /// Reads a form whose `file_field` holds a file of `limit` bytes at most.
    pub(super) async fn form(
        &self,
        request: Request<Body>,
        file_field: &str,
        limit: u64,
    ) -> Result<Form, ApiError> {
        let broken = |error: axum::extract::multipart::MultipartError| {
            ApiError::bad_request(format!("Could not parse multipart form: {}", error.body_text()))
        };
        let mut multipart = Multipart::from_request(request, &())
            .await
            .map_err(|_| ApiError::bad_request("Could not parse multipart form: no boundary"))?;
        let mut form = Form { texts: BTreeMap::new(), file: None };
        while let Some(mut field) = multipart.next_field().await.map_err(broken)? {
            let name = field.name().unwrap_or_default().to_owned();
            if name != file_field {
                let mut text = Vec::new();
                while let Some(piece) = field.chunk().await.map_err(broken)? {
                    if text.len() + piece.len() > MAX_FIELD {
                        return Err(ApiError::bad_request(format!("'{name}' is too long.")).param(name));
                    }
                    text.extend_from_slice(&piece);
                }
                form.texts.insert(name, String::from_utf8_lossy(&text).into_owned());
                continue;
            }
            let file_name = field.file_name().unwrap_or_default().to_owned();
            let mut intake = Intake::start(self.shared.directory.incoming(), limit, ());
            while let Some(piece) = field.chunk().await.map_err(broken)? {
                intake.push(piece).await?;
            }
            let (content, bytes, ()) = intake.finish().await?;
            form.file = Some(FormFile { name: file_name, bytes, content });
        }
        Ok(form)
    }
}

/// Runs what waits for the disk on a thread that may.
///
/// It goes on to its end though its caller may go away, so that what it changes is counted
/// by itself, not after it.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, ApiError> {
    Ok(tokio::task::spawn_blocking(work).await.map_err(ApiError::internal)??)
}

pub(super) async fn post(
    State(openai): State<Arc<OpenAi>>,
    request: Request<Body>,
) -> Result<Response, ApiError> {
    let form = openai.form(request, "file", MAX_FILE).await?;
    let purpose = purpose(form.texts.get("purpose"), PURPOSES)?;
    let expires_in = expiry(&form.texts)?;
    let Some(file) = form.file else {
        return Err(ApiError::bad_request("'file' is a required property").param("file"));
    };
    let known = ["purpose", "expires_after[anchor]", "expires_after[seconds]"];
    if let Some(name) = form.texts.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(ApiError::bad_request(format!("Unknown parameter: '{name}'.")).param(name));
    }
    if purpose == "fine-tune" && file.bytes == 0 {
        return Err(ApiError::bad_request("File is empty.").param("file"));
    }
    let created_at = unix_seconds();
    let record = FileRecord {
        id: ids::fresh("file-"),
        bytes: file.bytes,
        created_at,
        created: unix_now(),
        expires_at: expires_in.map(|seconds| created_at + seconds),
        filename: file.name,
        purpose,
        processed: openai.processed_from_now(),
        pieces: vec![ids::fresh("data-")],
    };
    let store = openai.clone();
    let record = blocking(move || {
        disk::keep(file.content, &store.files.data_path(&record.pieces[0]))?;
        let record = store.files.put(record)?;
        store.shared.counters.effect("POST /v1/files");
        Ok(record)
    })
    .await?;
    Ok(json_reply(StatusCode::OK, &record.object(openai.shared.clock.now())))
}

impl OpenAi {
    /// The emulated time at which a file that is complete now is processed.
    pub(super) fn processed_from_now(&self) -> f64 {
        self.shared.clock.now() + self.shared.behaviour().openai.file_processing_seconds
    }
}

/// Seconds since 1970, whole.
pub(super) fn unix_seconds() -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "seconds since 1970")]
    let seconds = unix_now() as i64;
    seconds
}

pub(super) fn purpose(given: Option<&String>, known: &[&str]) -> Result<String, ApiError> {
    let Some(given) = given else {
        return Err(ApiError::bad_request("'purpose' is a required property").param("purpose"));
    };
    if known.contains(&given.as_str()) {
        return Ok(given.clone());
    }
    let text = format!("'{given}' is not one of {known:?} - 'purpose'");
    Err(ApiError::bad_request(text).param("purpose"))
}

fn expiry(texts: &BTreeMap<String, String>) -> Result<Option<i64>, ApiError> {
    let wrong = |field: &str, text: &str| Err(ApiError::bad_request(text).param(field));
    match (texts.get("expires_after[anchor]").map(String::as_str), texts.get("expires_after[seconds]")) {
        (None, None) => Ok(None),
        (Some("created_at"), Some(seconds)) => match seconds.parse() {
            Ok(seconds) if EXPIRY.contains(&seconds) => Ok(Some(seconds)),
            _ => wrong("expires_after[seconds]", "expected a whole number from 3600 to 2592000"),
        },
        _ => wrong("expires_after[anchor]", "expected 'created_at', with 'seconds'"),
    }
}

pub(super) async fn list(
    State(openai): State<Arc<OpenAi>>,
    Query(pairs): Query<Pairs>,
) -> Result<Response, ApiError> {
    let page = Page::of(&pairs, MAX_LIST, MAX_LIST)?;
    let now = openai.shared.clock.now();
    let mut files = openai.files.all();
    files.extend(openai.result_files(now).into_iter().map(Arc::new));
    if let Some(purpose) = value(&pairs, "purpose") {
        files.retain(|file| file.purpose == purpose);
    }
    files.sort_by(|a, b| b.created.total_cmp(&a.created).then_with(|| a.id.cmp(&b.id)));
    match value(&pairs, "order") {
        None | Some("desc") => {}
        Some("asc") => files.reverse(),
        Some(_) => {
            return Err(ApiError::bad_request("Invalid 'order': expected 'asc' or 'desc'.").param("order"));
        }
    }
    let objects = files.iter().map(|file| file.object(now)).collect();
    let reply = page.of_list(objects, &openai.shared.behaviour().openai)?;
    Ok(json_reply(StatusCode::OK, &reply))
}

fn missing(id: &str) -> ApiError {
    ApiError::not_found(format!("No such File object: {id}")).param("id")
}

pub(super) async fn show(
    State(openai): State<Arc<OpenAi>>,
    UrlPath(id): UrlPath<String>,
) -> Result<Response, ApiError> {
    let now = openai.shared.clock.now();
    let file = match openai.files.find(&id) {
        Some(file) => file.object(now),
        None => openai.result_file(&id, now).ok_or_else(|| missing(&id))?.object(now),
    };
    Ok(json_reply(StatusCode::OK, &file))
}

pub(super) async fn content(
    State(openai): State<Arc<OpenAi>>,
    UrlPath(id): UrlPath<String>,
) -> Result<Response, ApiError> {
    let body = match openai.files.find(&id) {
        Some(file) => body::files(openai.files.paths(&file)),
        None => {
            let now = openai.shared.clock.now();
            Body::from(openai.result_content(&id, now).ok_or_else(|| missing(&id))?)
        }
    };
    let mut response = Response::new(body);
    let content_type = HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    Ok(response)
}

pub(super) async fn delete(
    State(openai): State<Arc<OpenAi>>,
    UrlPath(id): UrlPath<String>,
) -> Result<Response, ApiError> {
    let (store, wanted) = (openai.clone(), id.clone());
    let deleted = blocking(move || {
        let deleted = store.files.delete(&wanted)? || store.delete_result(&wanted)?;
        if deleted {
            store.shared.counters.effect("DELETE /v1/files/{id}");
        }
        Ok(deleted)
    })
    .await?;
    if !deleted {
        return Err(missing(&id));
    }
    Ok(json_reply(StatusCode::OK, &json!({ "id": id, "object": "file", "deleted": true })))
}

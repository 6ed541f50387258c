//! A training file on its way: read from disk in pieces, so that memory stays flat,
//! named by its content, and sent whole or in parts.

use super::Client;
use super::error::{ApiError, ErrorKind, Operation};
use super::policy::Policy;
use super::transport::{Call, LARGEST_JSON, too_slow};
use crate::provider::http::Sent;
use crate::provider::openai::client::lenient::Fields;
use bytes::Bytes;
use futures_util::stream::{Stream, try_unfold};
use reqwest::multipart::{Form, Part};
use reqwest::{Method, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::future::Future;
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::sleep;

/// Bytes read from disk at a time. 1 MiB: few enough reads to keep up with a fast
/// network, and two of them in memory are nothing.
const PIECE: usize = 1 << 20;

/// What a file for training is uploaded as.
pub(super) const PURPOSE: &str = "fine-tune";

/// The media type of an uploaded file: what OpenAI's own clients send.
const MEDIA_TYPE: &str = "application/octet-stream";

/// How files travel. The defaults are OpenAI's limits, with decimal megabytes, which
/// fit either reading of "MB".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadLimits {
    /// A file of up to this many bytes is sent whole; a larger one in parts.
    pub whole: u64,
    /// Bytes in a part.
    pub part: u64,
    /// Bytes in a file.
    pub most: u64,
}

impl Default for UploadLimits {
    fn default() -> Self {
        Self { whole: 512_000_000, part: 64_000_000, most: 8_000_000_000 }
    }
}

/// A training file on disk, with the digest of its content.
#[derive(Debug, Clone)]
pub struct TrainingFile {
    path: PathBuf,
    file: Arc<std::fs::File>,
    bytes: u64,
    sha256: String,
    stamp: Stamp,
}

/// What changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(file: &std::fs::File) -> io::Result<Self> {
        let meta = file.metadata()?;
        Ok(Self { bytes: meta.len(), modified: (meta.mtime(), meta.mtime_nsec()) })
    }
}

impl TrainingFile {
    /// Opens a file and computes its digest.
    ///
    /// # Errors
    ///
    /// It cannot be read, or changes meanwhile.
    pub async fn open(path: &Path) -> io::Result<Self> {
        let path = path.to_owned();
        let task = spawn_blocking(move || {
            let file = std::fs::File::open(&path)?;
            let stamp = Stamp::of(&file)?;
            let mut digest = Sha256::new();
            let mut piece = vec![0; PIECE];
            let mut reader = &file;
            loop {
                let read = reader.read(&mut piece)?;
                if read == 0 {
                    break;
                }
                digest.update(piece.get(..read).unwrap_or_default());
            }
            if Stamp::of(&file)? != stamp {
                return Err(changed());
            }
            let sha256 = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
            Ok(Self { path, file: Arc::new(file), bytes: stamp.bytes, sha256, stamp })
        });
        task.await.map_err(io::Error::other)?
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its size.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Its digest, in hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The name under which it is uploaded: the same content has the same name, so that
    /// it is found again.
    pub fn name(&self) -> String {
        format!("train-{}.jsonl", self.sha256.get(..16).unwrap_or(&self.sha256))
    }

    /// The bytes from `from` to `to`, piece by piece; while one is sent the next is
    /// read. The stream fails when the file is not as it was, before the last piece, so
    /// that the service never has a file whose name belies its content.
    fn pieces(
        &self,
        from: u64,
        to: u64,
        sent: Arc<AtomicU64>,
        broken: Arc<AtomicBool>,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
        let read = {
            let (file, stamp) = (Arc::clone(&self.file), self.stamp);
            move |at: u64| -> Option<JoinHandle<io::Result<Bytes>>> {
                if at >= to {
                    return None;
                }
                let file = Arc::clone(&file);
                Some(spawn_blocking(move || {
                    let length = usize::try_from(to - at).unwrap_or(PIECE).min(PIECE);
                    let mut piece = vec![0; length];
                    file.read_exact_at(&mut piece, at).map_err(|error| match error.kind() {
                        io::ErrorKind::UnexpectedEof => changed(),
                        _ => error,
                    })?;
                    let is_last = at + length as u64 == to;
                    if is_last && Stamp::of(&file)? != stamp {
                        return Err(changed());
                    }
                    Ok(Bytes::from(piece))
                }))
            }
        };
        let first = read(from);
        try_unfold((from, first, read), move |(at, pending, read)| {
            let (sent, broken) = (Arc::clone(&sent), Arc::clone(&broken));
            async move {
                let Some(pending) = pending else { return Ok(None) };
                let piece = pending.await.map_err(io::Error::other).and_then(|read| read);
                let piece = piece.inspect_err(|_| broken.store(true, Ordering::Relaxed))?;
                let next = at + piece.len() as u64;
                sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
                let pending = read(next);
                Ok(Some((piece, (next, pending, read))))
            }
        })
    }
}

fn changed() -> io::Error {
    io::Error::other("the file was changed while it was read")
}

/// An upload in parts that was begun; stored by the caller, it can be carried on after
/// a crash, until it expires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadSession {
    /// The upload's id.
    pub id: String,
    /// The digest of the file that it is for.
    pub sha256: String,
    /// Bytes in each part but the last.
    pub part_bytes: u64,
    /// Ids of the parts that the service has, in order.
    pub parts: Vec<String>,
    /// When it expires, in Unix seconds.
    pub expires_at: Option<i64>,
}

/// Who wants to know how an upload goes.
pub trait UploadWatch: Send + Sync {
    /// Bytes handed to the network, of how many. It can go back when a part is sent
    /// again.
    fn progress(&self, sent: u64, total: u64) {
        let _ = (sent, total);
    }

    /// An upload in parts has begun, or has one part more: store it.
    fn session(&self, session: &UploadSession) -> impl Future<Output = ()> + Send {
        let _ = session;
        std::future::ready(())
    }
}

/// Nobody.
impl UploadWatch for () {}

/// How often progress is told, and stalling is looked for.
const LOOK: Duration = Duration::from_millis(200);

/// Part of a file, to be sent.
pub(super) struct Range<'f> {
    pub(super) file: &'f TrainingFile,
    pub(super) from: u64,
    pub(super) to: u64,
}

impl Client {
    /// Sends bytes of a file as a multipart form, once; `fields` come first.
    pub(super) async fn send_form(
        &self,
        operation: Operation,
        path: &[&str],
        fields: &[(&'static str, &'static str)],
        field: &'static str,
        range: &Range<'_>,
        watch: &impl UploadWatch,
    ) -> Result<Fields, ApiError> {
        let Range { file, from, to } = *range;
        let sent = Arc::new(AtomicU64::new(0));
        let broken = Arc::new(AtomicBool::new(false));
        let pieces = file.pieces(from, to, Arc::clone(&sent), Arc::clone(&broken));
        let part = Part::stream_with_length(reqwest::Body::wrap_stream(pieces), to - from)
            .file_name(file.name())
            .mime_str(MEDIA_TYPE)
            .map_err(|error| self.fault(operation, &crate::provider::http::Fault::of(&error)))?;
        let form =
            fields.iter().fold(Form::new(), |form, (name, text)| form.text(*name, *text)).part(field, part);
        let request = self.request(Method::POST, self.0.endpoint.url(path, &[])).multipart(form);
        let told = |sent: u64| watch.progress((from + sent).min(file.bytes), file.bytes);
        let response = self.while_moving(operation, &sent, told, request.send()).await;
        // A piece that could not be read breaks the request: that is the cause to tell.
        let response = match response {
            Err(error) if broken.load(Ordering::Relaxed) => {
                return Err(self.unreadable(operation, file, error));
            }
            other => other?,
        };
        let body = self.read(operation, response, LARGEST_JSON).await?;
        self.parse(operation, &body)
    }

    /// Waits for the answer to an upload as long as it moves.
    async fn while_moving(
        &self,
        operation: Operation,
        sent: &AtomicU64,
        told: impl Fn(u64),
        waiting: impl Future<Output = Result<Response, reqwest::Error>>,
    ) -> Result<Response, ApiError> {
        tokio::pin!(waiting);
        let mut before = 0;
        let mut still = Duration::ZERO;
        loop {
            tokio::select! {
                outcome = &mut waiting => {
                    told(sent.load(Ordering::Relaxed));
                    return outcome.map_err(|error| self.fault(operation, &crate::provider::http::Fault::of(&error)));
                }
                () = sleep(LOOK) => {
                    let now = sent.load(Ordering::Relaxed);
                    still = if now == before { still + LOOK } else { Duration::ZERO };
                    before = now;
                    told(now);
                    if let Some(limit) = self.0.timeouts.response.filter(|limit| still >= *limit) {
                        return Err(self.fault(operation, &too_slow(limit)));
                    }
                }
            }
        }
    }

    /// The file is at fault: nothing whole was sent, so nothing came of it.
    fn unreadable(&self, operation: Operation, file: &TrainingFile, error: ApiError) -> ApiError {
        let why = match Stamp::of(&file.file) {
            Ok(stamp) if stamp != file.stamp => changed().to_string(),
            _ => error.cause.clone().unwrap_or_default(),
        };
        let mut local = ApiError::new(operation, &self.0.endpoint, ErrorKind::Local)
            .because(format!("{}: {why}", file.path.display()));
        local.sent = Sent::No;
        local
    }

    /// Begins an upload in parts. One that is begun twice does no harm: it expires
    /// after an hour.
    pub(super) async fn start_upload(&self, file: &TrainingFile) -> Result<UploadSession, ApiError> {
        let operation = Operation::StartUpload;
        let body = json!({
            "filename": file.name(), "purpose": PURPOSE, "bytes": file.bytes, "mime_type": MEDIA_TYPE
        });
        let mut fields =
            self.object(&Call::post(operation, &["uploads"], Policy::Repeatable).json(&body)).await?;
        let id = fields.text("id").ok_or_else(|| self.malformed(operation, "it has no id"))?;
        let expires_at = fields.integer("expires_at");
        let part_bytes = self.0.upload.part;
        Ok(UploadSession { id, sha256: file.sha256.clone(), part_bytes, parts: Vec::new(), expires_at })
    }

    /// Sends the parts that are missing, in order, and returns the session with all of
    /// them. A part whose reply is lost is sent again: what is not listed at the end
    /// does not count.
    pub(super) async fn send_parts(
        &self,
        file: &TrainingFile,
        mut session: UploadSession,
        watch: &impl UploadWatch,
    ) -> Result<UploadSession, ApiError> {
        let operation = Operation::UploadPart;
        let mut from = session.part_bytes.saturating_mul(session.parts.len() as u64);
        while from < file.bytes {
            let to = from.saturating_add(session.part_bytes).min(file.bytes);
            self.check_id(operation, &session.id)?;
            let path = ["uploads", session.id.as_str(), "parts"];
            let range = Range { file, from, to };
            let mut fields = self
                .repeat(operation, Policy::Repeatable, || {
                    self.send_form(operation, &path, &[], "data", &range, watch)
                })
                .await?;
            let id = fields.text("id").ok_or_else(|| self.malformed(operation, "it has no id"))?;
            session.parts.push(id);
            watch.session(&session).await;
            from = to;
        }
        Ok(session)
    }
}

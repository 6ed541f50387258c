//! Blobs: files by the SHA-256 of their content, and their two routes.

use super::Ollama;
use super::wire::Failure;
use crate::body::{self, Inspect, Intake, IntakeError};
use crate::disk;
use crate::serve::SpoilDigest;
use axum::body::Body;
use axum::extract::{Path as UrlPath, State};
use axum::response::{IntoResponse, Response};
use hyper::{Request, StatusCode};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tunesmith_core::digest::{Digest, Hasher};

/// The largest blob. Ollama has no limit; this is above any model worth uploading to
/// an emulator and below most disks.
const MAX_BLOB: u64 = 64 << 30;

/// Whether a text matches `^sha256[:-][0-9a-fA-F]{64}$`.
pub(super) fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256")
        .and_then(|rest| rest.strip_prefix([':', '-']))
        .is_some_and(|digits| digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// All blobs, in one directory.
#[derive(Debug, Clone)]
pub(super) struct Blobs {
    directory: PathBuf,
}

impl Blobs {
    pub(super) fn open(directory: PathBuf) -> io::Result<Self> {
        std::fs::create_dir_all(&directory)?;
        Ok(Self { directory })
    }

    /// Where a digest's blob is or would be. The digest must have been checked.
    pub(super) fn path(&self, digest: &str) -> PathBuf {
        self.directory.join(digest.replace(':', "-"))
    }

    pub(super) fn has(&self, digest: &str) -> bool {
        self.path(digest).is_file()
    }

    pub(super) fn size(&self, digest: &str) -> io::Result<u64> {
        let path = self.path(digest);
        match std::fs::metadata(&path) {
            Ok(metadata) => Ok(metadata.len()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(missing(&path)),
            Err(error) => Err(error),
        }
    }

    /// Stores bytes; their digest, and whether they were there already.
    pub(super) fn put(&self, bytes: &[u8]) -> io::Result<(String, bool)> {
        let digest = Digest::of(bytes).prefixed();
        let there = self.has(&digest);
        if !there {
            disk::write_whole(&self.path(&digest), bytes)?;
        }
        Ok((digest, there))
    }

    pub(super) fn read(&self, digest: &str) -> io::Result<Vec<u8>> {
        let path = self.path(digest);
        std::fs::read(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => missing(&path),
            _ => error,
        })
    }

    pub(super) fn remove(&self, digest: &str) -> io::Result<()> {
        disk::remove(&self.path(digest))
    }

    /// The digests of all blobs, with the time since each was written, in seconds.
    pub(super) fn all(&self) -> io::Result<Vec<(String, u64)>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().replacen('-', ":", 1);
            let age = entry.metadata()?.modified()?.elapsed().unwrap_or_default().as_secs();
            found.push((name, age));
        }
        Ok(found)
    }
}

/// A missing blob, in Go's words.
fn missing(path: &Path) -> io::Error {
    let text = format!("open {}: no such file or directory", path.display());
    io::Error::new(io::ErrorKind::NotFound, text)
}

pub(super) async fn head(State(ollama): State<Arc<Ollama>>, UrlPath(digest): UrlPath<String>) -> StatusCode {
    match digest {
        digest if !is_digest(&digest) => StatusCode::BAD_REQUEST,
        digest if ollama.blobs.has(&digest) => StatusCode::OK,
        _ => StatusCode::NOT_FOUND,
    }
}

pub(super) async fn post(
    State(ollama): State<Arc<Ollama>>,
    UrlPath(digest): UrlPath<String>,
    request: Request<Body>,
) -> Response {
    match take_in(&ollama, &digest, request).await {
        Ok(status) => status.into_response(),
        Err(failure) => failure.into_response(),
    }
}

impl Inspect for Hasher {
    fn update(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }
}

async fn take_in(ollama: &Arc<Ollama>, digest: &str, request: Request<Body>) -> Result<StatusCode, Failure> {
    if !is_digest(digest) {
        return Err(Failure::bad_request("invalid digest format"));
    }
    let spoilt = request.extensions().get::<SpoilDigest>().is_some();
    if ollama.blobs.has(digest) && !spoilt {
        return Ok(StatusCode::OK);
    }
    let mut intake = Intake::start(ollama.shared.directory.incoming(), MAX_BLOB, Hasher::default());
    let mut body = request.into_body();
    while let Some(piece) = body::next(&mut body).await {
        let piece = piece.map_err(|_| Failure::bad_request("unexpected EOF"))?;
        intake.push(piece).await.map_err(refused)?;
    }
    let (file, _, hasher) = intake.finish().await.map_err(refused)?;
    let got = hasher.finish().prefixed();
    if spoilt {
        return Err(Failure::bad_request(format!("digest mismatch, expected {digest:?}, got {got:?}")));
    }
    let (store, path) = (ollama.clone(), ollama.blobs.path(&got));
    // Counted with it: whoever waits for it may be gone before it is done.
    tokio::task::spawn_blocking(move || {
        disk::keep(file, &path)?;
        store.shared.counters.effect("POST /api/blobs/{digest}");
        Ok::<_, std::io::Error>(())
    })
    .await
    .map_err(Failure::internal)??;
    if got != digest {
        return Err(Failure::bad_request(format!("digest mismatch, expected {digest:?}, got {got:?}")));
    }
    Ok(StatusCode::CREATED)
}

fn refused(error: IntakeError) -> Failure {
    match error {
        IntakeError::TooLarge => Failure::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the emulator takes blobs of {MAX_BLOB} bytes at most"),
        ),
        IntakeError::Client => Failure::bad_request("unexpected EOF"),
        IntakeError::Io(error) => Failure::internal(error),
    }
}

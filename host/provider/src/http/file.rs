//! A file on its way to a service: read from disk in pieces, so that memory stays
//! flat, named by its content, and watched while it moves.

use super::{Fault, fault};
use bytes::Bytes;
use futures_util::stream::{Stream, try_unfold};
use reqwest::Response;
use std::future::Future;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::sleep;
use tunesmith_core::digest::Digest;

/// Bytes read from disk at a time. 1 MiB: few enough reads to keep up with a fast
/// network, and two of them in memory are nothing.
const PIECE: usize = 1 << 20;

/// How often progress is told, and stalling is looked for.
const LOOK: Duration = Duration::from_millis(200);

/// A file on disk, with the digest of its content.
#[derive(Debug, Clone)]
pub struct SourceFile {
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

/// How a file's bytes go out: counted, and with a mark when one could not be read.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sending {
    sent: Arc<AtomicU64>,
    broken: Arc<AtomicBool>,
}

impl Sending {
    /// Whether the file, not the network, was at fault.
    pub(crate) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Waits for the answer to an upload as long as it moves; `told` hears how many
    /// bytes were handed to the network.
    pub(crate) async fn answer(
        &self,
        limit: Option<Duration>,
        mut told: impl FnMut(u64),
        waiting: impl Future<Output = Result<Response, reqwest::Error>>,
    ) -> Result<Response, Fault> {
        tokio::pin!(waiting);
        let mut before = 0;
        let mut still = Duration::ZERO;
        loop {
            tokio::select! {
                outcome = &mut waiting => {
                    told(self.sent());
                    return outcome.map_err(|error| Fault::of(&error));
                }
                () = sleep(LOOK) => {
                    let now = self.sent();
                    still = if now == before { still + LOOK } else { Duration::ZERO };
                    before = now;
                    told(now);
                    if let Some(limit) = limit.filter(|limit| still >= *limit) {
                        return Err(fault::too_slow(limit));
                    }
                }
            }
        }
    }
}

impl SourceFile {
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
            let sha256 = Digest::of_reader(&file)?.to_string();
            if Stamp::of(&file)? != stamp {
                return Err(changed());
            }
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

    /// Why a piece could not be read: the file is no longer as it was, or else `cause`.
    pub(crate) fn unreadable(&self, cause: Option<String>) -> String {
        let why = match Stamp::of(&self.file) {
            Ok(stamp) if stamp != self.stamp => changed().to_string(),
            _ => cause.unwrap_or_default(),
        };
        format!("{}: {why}", self.path.display())
    }

    /// The bytes from `from` to `to`, piece by piece; while one is sent the next is
    /// read. The stream fails when the file is not as it was, before the last piece, so
    /// that the service never has a file whose name belies its content.
    pub(crate) fn pieces(
        &self,
        from: u64,
        to: u64,
        sending: &Sending,
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
        let sending = sending.clone();
        let first = read(from);
        try_unfold((from, first, read), move |(at, pending, read)| {
            let sending = sending.clone();
            async move {
                let Some(pending) = pending else { return Ok(None) };
                let piece = pending.await.map_err(io::Error::other).and_then(|read| read);
                let piece = piece.inspect_err(|_| sending.broken.store(true, Ordering::Relaxed))?;
                let next = at + piece.len() as u64;
                sending.sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
                let pending = read(next);
                Ok(Some((piece, (next, pending, read))))
            }
        })
    }
}

fn changed() -> io::Error {
    io::Error::other("the file was changed while it was read")
}

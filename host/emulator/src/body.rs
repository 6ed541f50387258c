//! Bodies: streamed in to disk, streamed out from a channel, and spoilt by faults.

use super::faults::Action;
use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;
use tunesmith_core::fs::{Access, Draft};

/// Pieces that wait between a producer and its connection, or between a connection
/// and the disk. Bounds memory to this many pieces a transfer.
const PIECES: usize = 4;

/// Bytes of a file that are read at once.
const READ_SIZE: usize = 256 * 1024;

/// Bytes of a request that are read for nothing before its reply leaves. The size of the
/// largest file that either service takes in one request, 512 MB, and its form around it.
const DISCARDED: usize = 520 << 20;

/// How long a cut reply waits before its connection closes, so that what was still
/// to be sent has left.
const BEFORE_CUT: Duration = Duration::from_millis(20);

/// Ends a task when dropped: the work of a reply goes with its client.
#[derive(Debug)]
pub(super) struct AbortOnDrop(pub(super) AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct ChannelBody {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    _work: Option<AbortOnDrop>,
}

impl hyper::body::Body for ChannelBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.pieces.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}

/// The sending end of a streamed body.
pub(super) type Pieces = mpsc::Sender<io::Result<Bytes>>;

/// A channel for a streamed body.
pub(super) fn channel() -> (Pieces, mpsc::Receiver<io::Result<Bytes>>) {
    mpsc::channel(PIECES)
}

/// A body of what a channel brings; `work` ends when the body is dropped.
pub(super) fn streamed(pieces: mpsc::Receiver<io::Result<Bytes>>, work: Option<AbortOnDrop>) -> Body {
    Body::new(ChannelBody { pieces, _work: work })
}

/// The next piece of data of a body.
pub(super) async fn next(body: &mut Body) -> Option<Result<Bytes, axum::Error>> {
    loop {
        let frame = std::future::poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await?;
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => return Some(Ok(data)),
            Ok(Err(_trailers)) => {}
            Err(error) => return Some(Err(error)),
        }
    }
}

/// The body of a request, and what a handler leaves of it unread.
pub(super) fn returning(body: Body) -> (Body, Rest) {
    let (send, receive) = oneshot::channel();
    (Body::new(ReturnedBody { body: Some(body), send: Some(send) }), Rest(receive))
}

/// A body that goes back to its sender when it is dropped before its end.
struct ReturnedBody {
    body: Option<Body>,
    send: Option<oneshot::Sender<Body>>,
}

impl hyper::body::Body for ReturnedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for ReturnedBody {
    fn drop(&mut self) {
        if let (Some(body), Some(send)) = (self.body.take(), self.send.take()) {
            // Nobody waits for it where the reply has begun already.
            let _ = send.send(body);
        }
    }
}

/// What a handler may have left of a request's body.
pub(super) struct Rest(oneshot::Receiver<Body>);

impl Rest {
    /// Reads it to its end. A reply that leaves while the client still sends closes the
    /// connection on what is under way, and the client may see that in place of the reply.
    pub(super) async fn discard(mut self) {
        let Ok(mut body) = self.0.try_recv() else { return };
        let mut left = DISCARDED;
        while let Some(Ok(piece)) = next(&mut body).await {
            match left.checked_sub(piece.len()) {
                Some(less) => left = less,
                None => return,
            }
        }
    }
}

/// The files of a list, one after the other, read as the client takes them.
pub(super) fn files(paths: Vec<PathBuf>) -> Body {
    let (send, receive) = channel();
    tokio::task::spawn_blocking(move || {
        if let Err(error) = send_files(&paths, &send) {
            // The client is told by the missing end; if it has gone, nobody is left to tell.
            let _ = send.blocking_send(Err(error));
        }
    });
    streamed(receive, None)
}

fn send_files(paths: &[PathBuf], send: &Pieces) -> io::Result<()> {
    for path in paths {
        let mut file = File::open(path)?;
        loop {
            let mut piece = vec![0; READ_SIZE];
            let read = file.read(&mut piece)?;
            if read == 0 {
                break;
            }
            piece.truncate(read);
            if send.blocking_send(Ok(piece.into())).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Why an upload was not taken in.
#[derive(Debug)]
pub(super) enum IntakeError {
    /// More bytes than allowed.
    TooLarge,
    /// The client went, or sent what is not a body.
    Client,
    Io(io::Error),
}

/// What looks at the bytes of an upload on their way to the disk.
pub(super) trait Inspect: Send + 'static {
    fn update(&mut self, bytes: &[u8]);
}

impl Inspect for () {
    fn update(&mut self, _bytes: &[u8]) {}
}

/// An upload on its way to a file, written and inspected on a thread of its own, so
/// that neither holds up the network.
pub(super) struct Intake<I> {
    send: mpsc::Sender<Bytes>,
    written: tokio::task::JoinHandle<io::Result<(Draft, I)>>,
    length: u64,
    limit: u64,
}

impl<I: Inspect> Intake<I> {
    pub(super) fn start(directory: PathBuf, limit: u64, mut inspect: I) -> Self {
        let (send, mut receive) = mpsc::channel::<Bytes>(PIECES);
        let written = tokio::task::spawn_blocking(move || {
            let mut file = Draft::new(&directory, Access::Private)?;
            while let Some(piece) = receive.blocking_recv() {
                inspect.update(&piece);
                file.write_all(&piece)?;
            }
            Ok((file, inspect))
        });
        Self { send, written, length: 0, limit }
    }

    pub(super) async fn push(&mut self, piece: Bytes) -> Result<(), IntakeError> {
        self.length += piece.len() as u64;
        if self.length > self.limit {
            return Err(IntakeError::TooLarge);
        }
        // Where the writer has stopped, `finish` says why.
        let _ = self.send.send(piece).await;
        Ok(())
    }

    /// The file, not yet synced, its length, and what the inspection gathered. A file
    /// that is dropped instead is removed.
    pub(super) async fn finish(self) -> Result<(Draft, u64, I), IntakeError> {
        drop(self.send);
        match self.written.await {
            Ok(Ok((file, inspect))) => Ok((file, self.length, inspect)),
            Ok(Err(error)) => Err(IntakeError::Io(error)),
            Err(error) => Err(IntakeError::Io(io::Error::other(error))),
        }
    }
}

/// A whole small body.
pub(super) async fn whole(mut body: Body, limit: usize) -> Result<Vec<u8>, IntakeError> {
    let mut bytes = Vec::new();
    while let Some(piece) = next(&mut body).await {
        let piece = piece.map_err(|_| IntakeError::Client)?;
        if bytes.len() + piece.len() > limit {
            return Err(IntakeError::TooLarge);
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

/// The body of a reply that a fault has its hands on.
pub(super) fn spoil(body: Body, action: Action) -> Body {
    let (send, receive) = channel();
    tokio::spawn(async move {
        match action {
            Action::Truncate { lines, bytes, finish } => truncate(body, &send, lines, bytes, finish).await,
            Action::Slow { ms } => slow(body, &send, Duration::from_millis(ms)).await,
            _ => change_digests(body, &send).await,
        }
    });
    streamed(receive, None)
}

async fn truncate(mut body: Body, send: &Pieces, lines: Option<u64>, bytes: Option<u64>, finish: bool) {
    let (mut lines_left, mut bytes_left) = (lines.unwrap_or(u64::MAX), bytes.unwrap_or(u64::MAX));
    while lines_left > 0 && bytes_left > 0 {
        let Some(Ok(piece)) = next(&mut body).await else { return };
        let mut take = usize::try_from(bytes_left).unwrap_or(usize::MAX).min(piece.len());
        for (at, _) in piece.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
            lines_left -= 1;
            if lines_left == 0 {
                take = take.min(at + 1);
                break;
            }
        }
        bytes_left -= take as u64;
        if send.send(Ok(piece.slice(..take))).await.is_err() {
            return;
        }
    }
    if finish {
        while next(&mut body).await.is_some() {}
    }
    // The work behind it ends here, not after the wait.
    drop(body);
    tokio::time::sleep(BEFORE_CUT).await;
    let _ = send.send(Err(io::Error::new(io::ErrorKind::ConnectionAborted, "cut by a fault"))).await;
}

async fn slow(mut body: Body, send: &Pieces, pause: Duration) {
    while let Some(Ok(piece)) = next(&mut body).await {
        tokio::time::sleep(pause).await;
        if send.send(Ok(piece)).await.is_err() {
            return;
        }
    }
}

async fn change_digests(mut body: Body, send: &Pieces) {
    while let Some(Ok(piece)) = next(&mut body).await {
        if send.send(Ok(with_other_digests(&piece).into())).await.is_err() {
            return;
        }
    }
}

/// The same bytes, with the last digit of each run of 64 hexadecimal digits changed.
fn with_other_digests(bytes: &[u8]) -> Vec<u8> {
    const DIGITS: usize = 64;
    let mut changed = bytes.to_vec();
    let mut start = 0;
    for end in 0..=bytes.len() {
        if bytes.get(end).is_some_and(u8::is_ascii_hexdigit) {
            continue;
        }
        if end - start == DIGITS {
            changed[end - 1] = if changed[end - 1] == b'0' { b'1' } else { b'0' };
        }
        start = end + 1;
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digests_change() {
        let digest = "ab".repeat(32);
        let text = format!("{{\"status\":\"using existing layer sha256:{digest}\",\"size\":12}}\n");
        let changed = String::from_utf8(with_other_digests(text.as_bytes())).unwrap();
        assert_eq!(changed, text.replace(&digest, &format!("{}0", &digest[..63])));
        assert_eq!(with_other_digests(b"deadbeef 0"), b"deadbeef 0");
    }

    #[test]
    fn an_upload_beyond_its_limit_leaves_nothing() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let directory = tempfile::tempdir().unwrap();
        runtime.block_on(async {
            let mut intake = Intake::start(directory.path().to_owned(), 10, ());
            intake.push(Bytes::from_static(b"12345678")).await.unwrap();
            assert!(matches!(intake.push(Bytes::from_static(b"9ab")).await, Err(IntakeError::TooLarge)));
            drop(intake);
        });
        drop(runtime);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}

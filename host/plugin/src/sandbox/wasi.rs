//! The inert WASI context of the std tier: everything is there, nothing is behind
//! it.

use super::limits::Limits;
use crate::display::printable;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tunesmith_core::digest::Hasher;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};
use wasmtime_wasi::{Deterministic, HostMonotonicClock, HostWallClock, WasiCtx, async_trait};
use wasmtime_wasi_io::bytes::Bytes;

/// The time that every plugin reads, in seconds since 1970: the start of 2026. Any
/// fixed one would do; some libraries refuse to work before their own release.
const NOW: Duration = Duration::from_secs(1_767_225_600);

/// Bytes of randomness before it repeats. 8 KiB: a runtime seeds its hash tables
/// with a few dozen.
const RANDOM_BYTES: usize = 8 << 10;

/// Bytes that a plugin may ask of `wasi:random` at once, which the host allocates.
/// 64 KiB, as much as POSIX's `getentropy` is asked for by any runtime, with room.
const RANDOM_AT_ONCE: u64 = 64 << 10;

/// Lines of output that an error shows. 20: a traceback, and not a screenful.
const TAIL_LINES: usize = 20;

/// A WASI context without anything behind it, made when a plugin first asks.
pub(crate) struct Inert {
    pub(crate) ctx: WasiCtx,
    pub(crate) table: ResourceTable,
}

impl Inert {
    pub(crate) fn new(limits: &Limits, seed: u32, output: Output) -> Self {
        let random = random_bytes(seed);
        let (low, high) = random.split_at(16);
        let insecure_seed = u128::from_le_bytes(low.try_into().unwrap_or_default());
        let ctx = WasiCtx::builder()
            .stdout(output.clone())
            .stderr(output)
            .wall_clock(Fixed)
            .monotonic_clock(Fixed)
            .secure_random(Deterministic::new(random.clone()))
            .insecure_random(Deterministic::new(high.to_vec()))
            .insecure_random_seed(insecure_seed)
            .max_random_size(RANDOM_AT_ONCE)
            .allow_tcp(false)
            .allow_udp(false)
            .build();
        let mut table = ResourceTable::new();
        table.set_max_capacity(limits.handles);
        Self { ctx, table }
    }
}

/// Bytes that look random and depend only on the seed.
fn random_bytes(seed: u32) -> Vec<u8> {
    (0..RANDOM_BYTES as u32 / 32)
        .flat_map(|block| {
            let mut hasher = Hasher::default();
            hasher.update(b"tunesmith wasi:random");
            hasher.update(seed.to_le_bytes());
            hasher.update(block.to_le_bytes());
            *hasher.finish().as_bytes()
        })
        .collect()
}

/// A clock that stands still.
struct Fixed;

impl HostWallClock for Fixed {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        NOW
    }
}

impl HostMonotonicClock for Fixed {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        0
    }
}

/// What a plugin printed: the last bytes of it, within a bound over all.
#[derive(Clone)]
pub(crate) struct Output {
    printed: Arc<Mutex<Printed>>,
    most: usize,
    keep: usize,
}

#[derive(Default)]
struct Printed {
    total: usize,
    tail: Vec<u8>,
    exceeded: bool,
}

impl Output {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { printed: Arc::default(), most: limits.output, keep: limits.output_tail }
    }

    fn printed(&self) -> MutexGuard<'_, Printed> {
        self.printed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the plugin printed more than it may.
    pub(crate) fn exceeded(&self) -> bool {
        self.printed().exceeded
    }

    /// The last lines of what was printed.
    pub(crate) fn tail(&self) -> String {
        let printed = self.printed();
        let from = printed.tail.len().saturating_sub(self.keep);
        let text = String::from_utf8_lossy(&printed.tail[from..]);
        let whole = match text.split_once('\n') {
            Some((_, rest)) if printed.total > text.len() && !rest.is_empty() => rest,
            _ => &text,
        };
        let mut lines: Vec<&str> = whole.trim_end().lines().rev().take(TAIL_LINES).collect();
        lines.reverse();
        printable(&lines.join("\n"), self.keep * 3)
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        // WASI 0.2 asks for `p2_stream` alone.
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {}
}

#[async_trait]
impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let keep = self.keep;
        let mut printed = self.printed();
        printed.total = printed.total.saturating_add(bytes.len());
        if printed.total > self.most {
            printed.exceeded = true;
            return Err(StreamError::trap("too much output"));
        }
        printed.tail.extend_from_slice(&bytes);
        if printed.tail.len() > 2 * keep {
            let surplus = printed.tail.len() - keep;
            printed.tail.drain(..surplus);
        }
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(self.keep)
    }
}

//! One call in one sandbox: a fresh store, usually on its own thread, within the
//! limits, thrown away afterwards.

mod answer;
mod call;
mod cause;
mod engine;
mod error;
mod exports;
mod host;
mod limits;
mod link;
mod results;
mod slots;
mod state;
mod wasi;

pub use answer::{Answer, Measured, Receipt};
pub use engine::Engine;
pub use error::{CallError, Quarantine, Stopped};
pub use limits::{CompileLimits, DescriptorLimits, Limits, ResultLimits, StructureLimits};

pub(crate) use call::{Call, Describe, Ollama, OpenAi, Training, Transform};
pub(crate) use engine::{Flavor, config};
pub(crate) use exports::{Exports, NotAMethod};

use crate::tier::Tier;
use cause::cause;
use state::State;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tracing::field::Empty;
use tracing::{debug, debug_span};
use tunesmith_core::contract::DatasetView;
use tunesmith_core::digest::Digest;
use wasmtime::component::InstancePre;
use wasmtime::{Store, UpdateDeadline};

/// Bytes of a call's own thread. The guest runs on a stack of its own; this one
/// carries the host functions and the conversion of results.
const THREAD_STACK: usize = 2 << 20;

/// What a sandbox runs: linked code of one flavor.
pub(crate) struct Code {
    pub(crate) flavor: Flavor,
    pub(crate) pre: InstancePre<State>,
    pub(crate) exports: Exports,
}

/// The plugin that a receipt and an error name.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) plugin: String,
    pub(crate) version: String,
    pub(crate) sha256: Digest,
    pub(crate) contract: String,
    pub(crate) tier: Tier,
}

/// What a call needs besides its arguments.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) engine: Arc<Engine>,
    pub(crate) code: Arc<Code>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) dataset: Arc<dyn DatasetView>,
    pub(crate) deadline: Duration,
    /// What a std plugin's randomness begins with: the job's seed.
    pub(crate) seed: u32,
}

/// Makes a call on its own thread, waiting for a slot first.
///
/// The caller waits no longer than the deadline and a little; a thread that is
/// still inside a host function then ends when that returns, and keeps its slot
/// until it does.
///
/// A call that says so ([`Call::ON_CALLERS_THREAD`]) is made on the caller's thread if the plugin is
/// pure: the clock stops it wherever it is, since none of the host functions that it has
/// waits for anything. Its caller would do nothing but wait, and moving a batch to another
/// processor and back takes longer than short rows take.
pub(crate) fn call<C: Call>(mut setup: Setup, call: C) -> Result<Answer<C::Output>, CallError> {
    let engine = Arc::clone(&setup.engine);
    let identity = Arc::clone(&setup.identity);
    let span =
        debug_span!("plugin_call", plugin = identity.plugin, call = C::NAME, fuel = Empty, wall_ms = Empty);
    let _entered = span.enter();
    let failed = |stopped| CallError {
        plugin: identity.plugin.clone(),
        call: C::NAME,
        stopped,
        output: String::new(),
        receipt: None,
    };
    let slot = engine.slots.take(&identity.plugin).map_err(failed)?;
    let deadline = setup.deadline;
    let granted = engine.total.grant(deadline);
    if granted.is_zero() {
        // A short call would be over before the clock ticks.
        return Err(failed(engine.total.why(granted, deadline)));
    }
    setup.deadline = granted;
    let panicked = || Stopped::Host("a host function panicked; this is a bug in tunesmith".into());
    let wait = granted + engine.limits().grace;
    let started = Instant::now();
    let answer = if C::ON_CALLERS_THREAD && identity.tier == Tier::Pure {
        let answer = catch_unwind(AssertUnwindSafe(|| call_here(&setup, &call)));
        drop(slot);
        answer.unwrap_or_else(|_| Err(failed(panicked())))
    } else {
        let (sender, receiver) = mpsc::sync_channel(1);
        std::thread::Builder::new()
            .name(format!("plugin {}", identity.plugin))
            .stack_size(THREAD_STACK)
            .spawn(move || {
                let answer = call_here(&setup, &call);
                drop(setup);
                drop(slot);
                // The caller may have stopped waiting.
                let _ = sender.send(answer);
            })
            .map_err(|error| failed(Stopped::Host(format!("cannot start a thread: {error}"))))?;
        receiver.recv_timeout(wait).unwrap_or_else(|error| {
            Err(failed(match error {
                mpsc::RecvTimeoutError::Timeout => Stopped::Deadline { limit: granted },
                mpsc::RecvTimeoutError::Disconnected => panicked(),
            }))
        })
    };
    engine.total.spend(started.elapsed());
    let receipt = match &answer {
        Ok(answer) => Some(&answer.receipt),
        Err(error) => error.receipt.as_deref(),
    };
    if let Some(receipt) = receipt {
        span.record("fuel", receipt.fuel);
        span.record("wall_ms", receipt.measured.wall.as_secs_f64() * 1000.0);
    }
    answer.map_err(|mut error| {
        if let Stopped::Deadline { .. } = error.stopped {
            error.stopped = engine.total.why(granted, deadline);
        }
        debug!(rule = error.stopped.rule(), "plugin call stopped");
        error
    })
}

/// Makes a call on this thread.
pub(crate) fn call_here<C: Call>(setup: &Setup, call: &C) -> Result<Answer<C::Output>, CallError> {
    let started = Instant::now();
    let limits = setup.engine.limits();
    let fail = |stopped, output, receipt| CallError {
        plugin: setup.identity.plugin.clone(),
        call: C::NAME,
        stopped,
        output,
        receipt,
    };
    let host = |error: &dyn std::fmt::Display| fail(Stopped::Host(error.to_string()), String::new(), None);
    let metered = setup.code.flavor == Flavor::Metered;
    let engine = &setup.engine.flavored(setup.code.flavor).map_err(|error| host(&error))?.engine;
    let mut store = Store::new(engine, State::new(limits, Arc::clone(&setup.dataset), setup.seed));
    store.limiter(|state| state);
    let copied = if metered { limits.host_call_bytes } else { limits.transform_call_bytes };
    store.set_hostcall_fuel(usize::try_from(copied).unwrap_or(usize::MAX));
    store.set_max_component_handles(limits.handles);
    if metered {
        store.set_fuel(limits.fuel).map_err(|error| host(&error))?;
    }
    let end = started + setup.deadline;
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |_| {
        Ok(if Instant::now() >= end { UpdateDeadline::Interrupt } else { UpdateDeadline::Continue(1) })
    });

    // The epoch stops a guest that computes, the timeout one that waits in a host
    // function of WASI. A pure guest has nothing to wait for.
    let guest = async {
        let instance = setup.code.pre.instantiate_async(&mut store).await?;
        call.invoke(&setup.code.exports, &mut store, &instance).await
    };
    let returned = match setup.identity.tier {
        Tier::Pure => poll_once(guest),
        Tier::Std => tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|error| host(&error))?
            .block_on(async { tokio::time::timeout_at(end.into(), guest).await.ok() }),
    };

    let fuel = store.get_fuel().ok().map(|left| limits.fuel - left);
    let checked = match returned {
        Some(Ok(raw)) => call.check(raw, limits),
        Some(Err(error)) => Err(cause(&error, store.data(), setup.deadline, copied)),
        None => Err(Stopped::Deadline { limit: setup.deadline }),
    };
    let state = store.into_data();
    let mut measured = state.measured;
    measured.bytes_in += call.bytes_in();
    if let Ok(checked) = &checked {
        measured.bytes_out += checked.bytes_out;
    }
    measured.wall = started.elapsed();
    let identity = &setup.identity;
    let receipt = Receipt {
        plugin: identity.plugin.clone(),
        version: identity.version.clone(),
        sha256: identity.sha256,
        contract: identity.contract.clone(),
        tier: identity.tier,
        call: C::NAME.into(),
        fuel,
        measured,
    };
    match checked {
        Ok(checked) => Ok(Answer { result: checked.result, notes: state.notes, receipt }),
        Err(stopped) => Err(fail(stopped, state.output.tail(), Some(Box::new(receipt)))),
    }
}

/// What comes of a future that waits for nothing; none if it would wait.
fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

//! One call in one sandbox: a fresh store, as a rule on a thread of its own, within the
//! limits, thrown away afterwards.

use super::abi::{Call, Exports, WrongShape};
use super::engine::{Engine, Flavour};
use super::wasi::{Inert, Output};
use super::words::printable;
use super::{Answer, CallError, Limits, Measured, Receipt, Stopped, Tier};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tunesmith_core::contract::{DatasetView, Note};
use tunesmith_core::digest::Digest;
use wasmtime::component::{InstancePre, ResourceTableError};
use wasmtime::{ResourceLimiter, Store, Trap, UpdateDeadline};
use wasmtime_wasi::I32Exit;

/// Bytes of a call's own thread. The guest runs on a stack of its own; this one
/// carries the host functions and the conversion of results.
const THREAD_STACK: usize = 2 << 20;

/// Bytes of wasmtime's own words in an error. 1 KiB: a few sentences.
const WORDS: usize = 1 << 10;

/// What a sandbox runs: linked code of one flavour.
pub(super) struct Code {
    pub(super) flavour: Flavour,
    pub(super) pre: InstancePre<State>,
    pub(super) exports: Exports,
}

/// Whom a receipt and an error name.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) plugin: String,
    pub(super) version: String,
    pub(super) sha256: Digest,
    pub(super) contract: String,
    pub(super) tier: Tier,
}

/// What a call needs besides its arguments.
#[derive(Clone)]
pub(super) struct Setup {
    pub(super) engine: Arc<Engine>,
    pub(super) code: Arc<Code>,
    pub(super) identity: Arc<Identity>,
    pub(super) dataset: Arc<dyn DatasetView>,
    pub(super) deadline: Duration,
    /// What a std plugin's randomness begins with: the job's seed.
    pub(super) seed: u32,
}

/// What the host keeps for a running guest.
pub(super) struct State {
    pub(super) limits: Arc<Limits>,
    pub(super) dataset: Arc<dyn DatasetView>,
    pub(super) seed: u32,
    pub(super) notes: Vec<Note>,
    pub(super) panic: Option<String>,
    pub(super) measured: Measured,
    pub(super) output: Output,
    pub(super) wasi: Option<Inert>,
    memory: u64,
    table_elements: usize,
    stopped: Option<Stopped>,
}

impl State {
    fn new(limits: &Arc<Limits>, dataset: Arc<dyn DatasetView>, seed: u32) -> Self {
        Self {
            limits: Arc::clone(limits),
            dataset,
            seed,
            notes: Vec::new(),
            panic: None,
            measured: Measured::default(),
            output: Output::new(limits),
            wasi: None,
            memory: 0,
            table_elements: 0,
            stopped: None,
        }
    }

    /// Counts a call to the host.
    pub(super) fn enter(&mut self) -> wasmtime::Result<()> {
        let limit = self.limits.host_calls;
        if self.measured.host_calls >= limit {
            return Err(self.stop(Stopped::HostCalls { limit }));
        }
        self.measured.host_calls += 1;
        Ok(())
    }

    /// Remembers what stopped the guest; the returned error unwinds it.
    pub(super) fn stop(&mut self, stopped: Stopped) -> wasmtime::Error {
        let rule = stopped.rule();
        self.stopped.get_or_insert(stopped);
        wasmtime::Error::msg(rule)
    }
}

impl ResourceLimiter for State {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let asked = self.memory.saturating_add(desired.saturating_sub(current) as u64);
        let limit = self.limits.memory;
        if asked > limit {
            return Err(self.stop(Stopped::Memory { limit, asked }));
        }
        self.memory = asked;
        self.measured.peak_memory = self.measured.peak_memory.max(asked);
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let asked = self.table_elements.saturating_add(desired.saturating_sub(current));
        let limit = self.limits.table_elements;
        if asked > limit {
            return Err(self.stop(Stopped::TableElements { limit, asked }));
        }
        self.table_elements = asked;
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.limits.instances
    }

    fn tables(&self) -> usize {
        self.limits.tables_and_memories
    }

    fn memories(&self) -> usize {
        self.limits.tables_and_memories
    }
}

/// Makes a call on a thread of its own, waiting for a place first.
///
/// The caller waits no longer than the deadline and a little; a thread that is
/// still inside a host function then ends when that returns, and keeps its place
/// until it does.
///
/// A call that says so ([`Call::STAYS`]) is made on the caller's thread if the plugin is
/// pure: the clock stops it wherever it is, since none of the host functions that it has
/// waits for anything. Its caller would do nothing but wait, and moving a batch to another
/// processor and back takes longer than short rows take.
pub(super) fn call<C: Call>(mut setup: Setup, call: C) -> Result<Answer<C::Output>, CallError> {
    let engine = Arc::clone(&setup.engine);
    let identity = Arc::clone(&setup.identity);
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
    let panicked = || Stopped::Host("a host function panicked; this is a fault of tunesmith".into());
    let wait = granted + engine.limits().grace;
    let started = Instant::now();
    let answer = if C::STAYS && identity.tier == Tier::Pure {
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
            .map_err(|error| failed(Stopped::Host(format!("no thread could be started: {error}"))))?;
        receiver.recv_timeout(wait).unwrap_or_else(|error| {
            Err(failed(match error {
                mpsc::RecvTimeoutError::Timeout => Stopped::Deadline { limit: granted },
                mpsc::RecvTimeoutError::Disconnected => panicked(),
            }))
        })
    };
    engine.total.spend(started.elapsed());
    answer.map_err(|mut error| {
        if let Stopped::Deadline { .. } = error.stopped {
            error.stopped = engine.total.why(granted, deadline);
        }
        error
    })
}

/// Makes a call on this thread.
pub(super) fn call_here<C: Call>(setup: &Setup, call: &C) -> Result<Answer<C::Output>, CallError> {
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
    let metered = setup.code.flavour == Flavour::Metered;
    let engine = &setup.engine.flavoured(setup.code.flavour).map_err(|error| host(&error))?.engine;
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
        Tier::Pure => at_once(guest),
        Tier::Std => tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .map_err(|error| host(&error))?
            .block_on(async { tokio::time::timeout_at(end.into(), guest).await.ok() }),
    };

    let fuel = store.get_fuel().ok().map(|left| limits.fuel - left);
    let checked = match returned {
        Some(Ok(raw)) => call.check(raw, limits),
        Some(Err(error)) => Err(why(&error, store.data(), setup.deadline, copied)),
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
        Ok(checked) => Ok(Answer { result: checked.outcome, notes: state.notes, receipt }),
        Err(stopped) => Err(fail(stopped, state.output.tail(), Some(Box::new(receipt)))),
    }
}

/// What comes of a future that waits for nothing; none if it would wait.
fn at_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// What stopped a guest, from wasmtime's error and what the host noticed.
fn why(error: &wasmtime::Error, state: &State, deadline: Duration, copied: u64) -> Stopped {
    let limits = &state.limits;
    if let Some(stopped) = &state.stopped {
        return stopped.clone();
    }
    if state.output.exceeded() {
        return Stopped::Output { limit: limits.output };
    }
    if let Some(WrongShape(words)) = error.downcast_ref() {
        return Stopped::Shape(printable(words, WORDS));
    }
    if let Some(I32Exit(code)) = error.downcast_ref() {
        return Stopped::Exited(*code);
    }
    if error.downcast_ref::<std::str::Utf8Error>().is_some()
        || error.root_cause().to_string() == "invalid utf8 encoding"
    {
        return Stopped::BadResult("a text that is not valid UTF-8".into());
    }
    if let Some(ResourceTableError::Full) = error.downcast_ref() {
        return Stopped::Handles { limit: limits.handles };
    }
    let trap = error.downcast_ref::<Trap>().copied();
    match trap {
        Some(Trap::Interrupt) => return Stopped::Deadline { limit: deadline },
        Some(Trap::OutOfFuel) => return Stopped::Fuel { limit: limits.fuel },
        Some(Trap::StackOverflow) => return Stopped::Stack { limit: limits.stack },
        _ => {}
    }
    if let Some(text) = &state.panic {
        return Stopped::Panicked(text.clone());
    }
    if let Some(trap) = trap {
        return Stopped::Trapped(trap_in_words(trap));
    }
    let words = error.root_cause().to_string();
    // wasmtime has no types for these; the tests of hostile guests hold the texts.
    if words.contains("fuel allocated for hostcalls has been exhausted") {
        return Stopped::HostCallBytes { limit: copied };
    }
    if words.contains("store handle limit exceeded") {
        return Stopped::Handles { limit: limits.handles };
    }
    if words.contains("resource limit exceeded") {
        return Stopped::Instances;
    }
    Stopped::Trapped(printable(&words, WORDS))
}

/// A trap, as an author understands it.
fn trap_in_words(trap: Trap) -> String {
    match trap {
        Trap::UnreachableCodeReached => "it reached `unreachable`: an abort, a failed assertion, or a panic \
             that was not reported (export_plugin! of the SDK reports panics)"
            .into(),
        Trap::MemoryOutOfBounds => {
            "it read or wrote outside its memory; in compiled languages usually a stack \
             overflow by deep recursion"
                .into()
        }
        Trap::IntegerDivisionByZero => "it divided a whole number by zero".into(),
        Trap::IntegerOverflow => "a whole number overflowed".into(),
        Trap::BadConversionToInteger => "it converted NaN or a too large number to a whole number".into(),
        Trap::TableOutOfBounds | Trap::IndirectCallToNull | Trap::BadSignature => {
            "it called a function pointer that is not valid".into()
        }
        other => other.to_string().trim_start_matches("wasm trap: ").to_owned(),
    }
}

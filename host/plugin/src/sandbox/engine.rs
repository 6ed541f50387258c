//! The WebAssembly engine: its configuration, its clock and what is linked.

use super::error::Stopped;
use super::limits::Limits;
use super::link;
use super::slots::Slots;
use super::state::State;
use crate::tier::Tier;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use wasmtime::component::Linker;
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig, WasmBacktraceDetails};

/// How often running plugins look at the clock. 5 ms: no deadline is overrun by
/// more than a person notices, and the check costs nothing measurable.
const TICK: Duration = Duration::from_millis(5);

/// Bytes of the stack that a guest call runs on: its own frames
/// ([`Limits::stack`]) and at least 1.5 MiB for the host functions under them.
const HOST_STACK: usize = 1536 << 10;

/// Bytes of each memory that the pool keeps for the next call. 4 MiB: more than a batch
/// takes in a plugin written in Rust (measured: 2.3 MiB) and beside it (3 MiB).
const KEPT_MEMORY: usize = 4 << 20;

/// The same of each table. 64 KiB: 8,192 functions that are called by pointer.
const KEPT_TABLE: usize = 64 << 10;

/// Bytes that wasmtime needs for an instance, at most. 64 MiB: some words for each of the
/// functions, globals and imports that [`crate::StructureLimits`] allow.
const INSTANCE_BYTES: usize = 64 << 20;

/// What compiled code is instrumented with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Flavor {
    /// Fuel and clock: for planning, where cost is a figure of the plan.
    Metered,
    /// The clock alone: for `transform`, whose loops over text fuel would slow by a
    /// fifth to a third.
    Timed,
}

impl Flavor {
    /// The name, in cache entries and in the compile worker's arguments.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Metered => "metered",
            Self::Timed => "timed",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::Metered, Self::Timed].into_iter().find(|flavor| flavor.as_str() == name)
    }
}

/// One engine of one flavor, with the linkers of both tiers.
pub(crate) struct Flavored {
    pub(crate) engine: wasmtime::Engine,
    pure: Linker<State>,
    std: Linker<State>,
}

impl Flavored {
    fn new(flavor: Flavor, limits: &Limits) -> wasmtime::Result<Self> {
        let mut config = config(flavor, limits);
        let mut pooled = config.clone();
        let engine = match flavor {
            // One call now and then needs no pool.
            Flavor::Metered => wasmtime::Engine::new(&config)?,
            Flavor::Timed => {
                pooled.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits)));
                // Where so much address space cannot be had, each call asks for its own.
                wasmtime::Engine::new(&pooled).or_else(|_| {
                    config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
                    wasmtime::Engine::new(&config)
                })?
            }
        };
        let pure = link::pure(&engine)?;
        let mut std = pure.clone();
        link::add_inert_wasi(&mut std)?;
        tick(&engine);
        Ok(Self { engine, pure, std })
    }

    /// What a plugin of this tier is linked with.
    pub(crate) fn linker(&self, tier: Tier) -> &Linker<State> {
        match tier {
            Tier::Pure => &self.pure,
            Tier::Std => &self.std,
        }
    }
}

/// The engine that all plugins of a program share, with its limits.
pub struct Engine {
    limits: Arc<Limits>,
    metered: Flavored,
    timed: OnceLock<Flavored>,
    pub(crate) slots: Arc<Slots>,
    pub(crate) total: Total,
}

/// The time that all calls together have taken.
#[derive(Debug)]
pub(crate) struct Total {
    limit: Option<Duration>,
    spent_micros: AtomicU64,
}

impl Total {
    /// The deadline of the next call, which is shorter where little time is left.
    pub(crate) fn grant(&self, deadline: Duration) -> Duration {
        let Some(limit) = self.limit else { return deadline };
        let spent = Duration::from_micros(self.spent_micros.load(Ordering::Relaxed));
        deadline.min(limit.saturating_sub(spent))
    }

    /// Notes what a call took.
    pub(crate) fn spend(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.spent_micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// What stopped a call whose deadline was this, where it would have had another.
    pub(crate) fn why(&self, granted: Duration, deadline: Duration) -> Stopped {
        match self.limit {
            Some(limit) if granted < deadline => Stopped::Total { limit },
            _ => Stopped::Deadline { limit: granted },
        }
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl Engine {
    /// An engine with these limits.
    ///
    /// # Errors
    ///
    /// When the machine cannot run compiled WebAssembly (an unsupported
    /// architecture), or the limits contradict each other.
    pub fn new(limits: Limits) -> Result<Self, wasmtime::Error> {
        let metered = Flavored::new(Flavor::Metered, &limits)?;
        let slots = Arc::new(Slots::new(&limits));
        let total = Total { limit: limits.total, spent_micros: AtomicU64::new(0) };
        Ok(Self { limits: Arc::new(limits), metered, timed: OnceLock::new(), slots, total })
    }

    /// The limits that hold for every plugin.
    pub fn limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    /// The engine of one flavor; that for `transform` is made when first needed.
    pub(crate) fn flavored(&self, flavor: Flavor) -> wasmtime::Result<&Flavored> {
        match flavor {
            Flavor::Metered => Ok(&self.metered),
            Flavor::Timed => {
                if let Some(timed) = self.timed.get() {
                    return Ok(timed);
                }
                let made = Flavored::new(flavor, &self.limits)?;
                Ok(self.timed.get_or_init(|| made))
            }
        }
    }
}

/// The configuration of a flavor. The compile worker uses the same one, so that
/// its output loads here.
pub(crate) fn config(flavor: Flavor, limits: &Limits) -> Config {
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        // Async components are not in the contract, and the mere support makes
        // ordinary calls three to five times slower.
        .concurrency_support(false)
        // The wall clock stops a plugin wherever it is.
        .epoch_interruption(true)
        // The same input costs the same on every machine.
        .consume_fuel(flavor == Flavor::Metered)
        // Determinism: no shared memory, the same bits for every NaN, and relaxed
        // SIMD with the one defined result.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        // 4 GiB bound every address, which the memory limit's figures rely on.
        .wasm_memory64(false)
        .max_wasm_stack(limits.stack)
        .async_stack_size(limits.stack + HOST_STACK)
        // Names for error texts; more frames than a person reads are not collected,
        // and no files are opened for debug information.
        .wasm_backtrace_max_frames(NonZeroUsize::new(16))
        .wasm_backtrace_details(WasmBacktraceDetails::Disable);
    config
}

/// Memory that calls of `transform` take over from earlier ones, cleared. A dataset takes
/// thousands of calls, and to get each one's memory from the system and give it back
/// takes a third of a call's time. It has room for whatever [`Limits`] allow, which costs
/// address space alone.
fn pool(limits: &Limits) -> PoolingAllocationConfig {
    let calls = u32::try_from(limits.calls).unwrap_or(u32::MAX);
    let each = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(calls)
        .total_core_instances(calls.saturating_mul(each(limits.instances)))
        .total_memories(calls.saturating_mul(each(limits.tables_and_memories)))
        .total_tables(calls.saturating_mul(each(limits.tables_and_memories)))
        .total_stacks(calls)
        .max_memories_per_module(each(limits.tables_and_memories))
        .max_tables_per_module(each(limits.tables_and_memories))
        .table_elements(limits.table_elements)
        .max_component_instance_size(INSTANCE_BYTES)
        .max_core_instance_size(INSTANCE_BYTES)
        // Clear what was written to, not all that could have been.
        .pagemap_scan(Enabled::Auto)
        .linear_memory_keep_resident(KEPT_MEMORY)
        .table_keep_resident(KEPT_TABLE);
    pool
}

/// Advances the engine's clock for as long as the engine lives.
fn tick(engine: &wasmtime::Engine) {
    let weak = engine.weak();
    let ticker = move || {
        loop {
            std::thread::sleep(TICK);
            match weak.upgrade() {
                Some(engine) => engine.increment_epoch(),
                None => return,
            }
        }
    };
    // A program that cannot start one thread cannot make a plugin call either,
    // which needs one; that call then says so.
    let _ = std::thread::Builder::new().name("plugin clock".into()).stack_size(128 << 10).spawn(ticker);
}

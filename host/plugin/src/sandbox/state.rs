//! What the host holds for a running guest, and the bounds on its memory.

use super::answer::Measured;
use super::error::Stopped;
use super::limits::Limits;
use super::wasi::{Inert, Output};
use std::sync::Arc;
use tunesmith_core::contract::{DatasetView, Note};
use wasmtime::ResourceLimiter;
use wasmtime_wasi::{WasiCtxView, WasiView};

/// The host's state of a running guest.
pub(crate) struct State {
    pub(crate) limits: Arc<Limits>,
    pub(crate) dataset: Arc<dyn DatasetView>,
    pub(crate) seed: u32,
    pub(crate) notes: Vec<Note>,
    pub(crate) panic: Option<String>,
    pub(crate) measured: Measured,
    pub(crate) output: Output,
    pub(crate) wasi: Option<Inert>,
    memory: u64,
    table_elements: usize,
    pub(crate) stopped: Option<Stopped>,
}

impl State {
    pub(crate) fn new(limits: &Arc<Limits>, dataset: Arc<dyn DatasetView>, seed: u32) -> Self {
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
    pub(crate) fn enter(&mut self) -> wasmtime::Result<()> {
        let limit = self.limits.host_calls;
        if self.measured.host_calls >= limit {
            return Err(self.stop(Stopped::HostCalls { limit }));
        }
        self.measured.host_calls += 1;
        Ok(())
    }

    /// Remembers what stopped the guest; the returned error unwinds it.
    pub(crate) fn stop(&mut self, stopped: Stopped) -> wasmtime::Error {
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

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let inert = self.wasi.get_or_insert_with(|| Inert::new(&self.limits, self.seed, self.output.clone()));
        WasiCtxView { ctx: &mut inert.ctx, table: &mut inert.table }
    }
}

//! The host functions of the contract: the dataset and diagnostics.

use super::error::Stopped;
use super::state::State;
use crate::abi;
use crate::display::printable;
use tunesmith_abi::tunesmith::method::{dataset, diagnostics, types};
use tunesmith_core::contract;

impl types::Host for State {}

impl dataset::Host for State {
    fn describe(&mut self) -> wasmtime::Result<dataset::Overview> {
        self.enter()?;
        let overview = self.dataset.overview();
        Ok(dataset::Overview {
            rows: overview.rows,
            typed_rows: overview.typed_rows,
            messages: overview.messages,
            bytes: overview.bytes,
            tokens: overview.tokens,
            longest_row_tokens: overview.longest_row_tokens,
            more: overview.more.into_iter().map(abi::setting).collect(),
        })
    }

    fn tasks(&mut self, most: u32) -> wasmtime::Result<Vec<dataset::Task>> {
        self.enter()?;
        let tasks = self.dataset.tasks(most.min(self.limits.tasks_per_call));
        let fitting = within(tasks, self.limits.bytes_per_answer, |task| task.system.len() as u64);
        self.measured.bytes_in += fitting.iter().map(|task| task.system.len() as u64).sum::<u64>();
        Ok(fitting.into_iter().map(|task| dataset::Task { system: task.system, rows: task.rows }).collect())
    }

    fn sample(&mut self, which: dataset::Selection) -> wasmtime::Result<Vec<dataset::Row>> {
        self.enter()?;
        let budget = which.token_budget.unwrap_or(u32::MAX).min(self.limits.tokens_per_sample);
        let rows = self.dataset.sample(&contract::Selection {
            count: which.count.min(self.limits.rows_per_sample),
            token_budget: Some(budget),
            longest_row_tokens: which.longest_row_tokens,
            task: which.task,
        });
        let fitting = within(rows, self.limits.bytes_per_answer, |row| text_bytes(&row.example));
        self.measured.bytes_in += fitting.iter().map(|row| text_bytes(&row.example)).sum::<u64>();
        self.measured.rows += fitting.len() as u64;
        Ok(fitting
            .into_iter()
            .map(|row| dataset::Row {
                id: row.id,
                tokens: row.tokens,
                task: row.task,
                example: abi::example_in(row.example),
            })
            .collect())
    }
}

impl diagnostics::Host for State {
    fn note(&mut self, level: diagnostics::Level, text: String) -> wasmtime::Result<()> {
        self.enter()?;
        let limit = self.limits.diagnostics;
        if self.notes.len() >= limit as usize {
            return Err(self.stop(Stopped::Diagnostics { limit }));
        }
        self.measured.bytes_out += text.len() as u64;
        let level = match level {
            diagnostics::Level::Info => contract::Level::Info,
            diagnostics::Level::Warning => contract::Level::Warning,
        };
        self.notes.push(contract::Note { level, text: printable(&text, self.limits.diagnostic_bytes) });
        Ok(())
    }

    fn panicked(&mut self, text: String) -> wasmtime::Result<()> {
        self.enter()?;
        self.panic.get_or_insert_with(|| printable(&text, self.limits.diagnostic_bytes));
        Ok(())
    }
}

/// As many items as fit into `most` bytes, from the first.
fn within<T>(mut items: Vec<T>, most: u64, bytes: impl Fn(&T) -> u64) -> Vec<T> {
    let mut total = 0_u64;
    let fitting = items
        .iter()
        .take_while(|item| {
            total = total.saturating_add(bytes(item));
            total <= most
        })
        .count();
    items.truncate(fitting);
    items
}

fn text_bytes(example: &contract::Example) -> u64 {
    example.messages.iter().map(|message| message.content.len() as u64).sum()
}

//! The adapter between the generated bindings of contract 0.1 and the plain types
//! of [`tunesmith_core::contract`]: what the host offers, and how each ability is called.

use super::carrier::{self, Parcel};
use super::results::{Checked, Outcome};
use super::sandbox::State;
use super::words::printable;
use super::{Limits, Stopped, tier};
use std::sync::Arc;
use tunesmith_abi::exports::tunesmith::method as exports;
use tunesmith_abi::tunesmith::method::{dataset, diagnostics, types};
use tunesmith_core::contract;
use wasmtime::Store;
use wasmtime::component::{ComponentExportIndex, Instance, InstancePre, WasmList};

/// The interfaces that a plugin exports, looked up once.
#[derive(Clone)]
pub(super) struct Exports {
    /// The version of the contract that the plugin is built for.
    pub(super) contract: String,
    method: exports::method::GuestIndices,
    ollama: Option<exports::ollama::GuestIndices>,
    openai: Option<exports::openai::GuestIndices>,
    training: Option<exports::training::GuestIndices>,
    transform: Option<exports::transform::GuestIndices>,
    /// Of a plugin that was put beside the carrier, the way to it. A plugin that exports
    /// such a function by itself gains nothing: what it answers is checked all the same, and
    /// cannot grow on its way.
    carry: Option<ComponentExportIndex>,
}

/// Why a component's exports are not a method's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NotAMethod {
    /// It does not export `method`.
    Missing,
    /// It exports it at a version that this host does not speak.
    OtherContract(String),
    /// An interface lacks a function.
    Shape(String),
}

impl Exports {
    /// Looks the interfaces up, by name; their types are checked by [`Self::load`].
    pub(super) fn of(pre: &InstancePre<State>) -> Result<Self, NotAMethod> {
        let engine = pre.engine();
        let component = pre.component().component_type();
        let mut contract = None;
        let mut present = Vec::new();
        for (name, _) in component.exports(engine) {
            let Some((interface, version)) =
                name.strip_prefix(tier::PACKAGE).and_then(|rest| rest.split_once('@'))
            else {
                continue;
            };
            if !["method", "ollama", "openai", "training", "transform"].contains(&interface) {
                continue;
            }
            if !tier::speaks(version) {
                return Err(NotAMethod::OtherContract(version.into()));
            }
            if interface == "method" {
                contract = Some(version.to_owned());
            }
            present.push(interface.to_owned());
        }
        let contract = contract.ok_or(NotAMethod::Missing)?;
        let has = |interface: &str| present.iter().any(|name| name == interface);
        let shape = |error: wasmtime::Error| NotAMethod::Shape(error.to_string());
        Ok(Self {
            contract,
            method: exports::method::GuestIndices::new(pre).map_err(shape)?,
            ollama: optional(has("ollama"), || exports::ollama::GuestIndices::new(pre)).map_err(shape)?,
            openai: optional(has("openai"), || exports::openai::GuestIndices::new(pre)).map_err(shape)?,
            training: optional(has("training"), || exports::training::GuestIndices::new(pre))
                .map_err(shape)?,
            transform: optional(has("transform"), || exports::transform::GuestIndices::new(pre))
                .map_err(shape)?,
            carry: pre.component().get_export_index(None, carrier::CARRY),
        })
    }

    /// The abilities, in the contract's order.
    pub(super) fn abilities(&self) -> Vec<super::Ability> {
        use super::Ability;
        [
            (self.ollama.is_some(), Ability::Ollama),
            (self.openai.is_some(), Ability::OpenAi),
            (self.training.is_some(), Ability::Training),
            (self.transform.is_some(), Ability::Transform),
        ]
        .into_iter()
        .filter_map(|(has, ability)| has.then_some(ability))
        .collect()
    }

    /// Checks every interface's types against the contract.
    fn check_types(&self, store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<()> {
        let wrong = |interface: &str| {
            let interface = interface.to_owned();
            move |error: wasmtime::Error| wasmtime::Error::new(WrongShape(format!("{interface}: {error:#}")))
        };
        self.method.load(&mut *store, instance).map_err(wrong("method"))?;
        if let Some(ollama) = &self.ollama {
            ollama.load(&mut *store, instance).map_err(wrong("ollama"))?;
        }
        if let Some(openai) = &self.openai {
            openai.load(&mut *store, instance).map_err(wrong("openai"))?;
        }
        if let Some(training) = &self.training {
            training.load(&mut *store, instance).map_err(wrong("training"))?;
        }
        if let Some(transform) = &self.transform {
            transform.load(&mut *store, instance).map_err(wrong("transform"))?;
        }
        Ok(())
    }
}

fn optional<T>(present: bool, make: impl FnOnce() -> wasmtime::Result<T>) -> wasmtime::Result<Option<T>> {
    present.then(make).transpose()
}

/// An export whose types are not the contract's, in wasmtime's words.
#[derive(Debug)]
pub(super) struct WrongShape(pub(super) String);

impl std::fmt::Display for WrongShape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WrongShape {}

/// A call to one function of a plugin.
pub(super) trait Call: Send + 'static {
    /// The function's name, as errors and receipts show it.
    const NAME: &'static str;
    /// Whether a pure plugin is called on the caller's thread.
    const STAYS: bool = false;
    /// What it comes to.
    type Output: Send + 'static;
    /// What the generated bindings return.
    type Raw;

    /// Bytes of text that the call passes in.
    fn bytes_in(&self) -> u64;

    /// Calls it.
    async fn invoke(
        &self,
        exports: &Exports,
        store: &mut Store<State>,
        instance: &Instance,
    ) -> wasmtime::Result<Self::Raw>;

    /// Converts and checks what it returned.
    fn check(&self, raw: Self::Raw, limits: &Limits) -> Result<Checked<Self::Output>, Stopped>;
}

/// An interface that the caller did not check for; [`super::Plugin`] does.
fn absent() -> wasmtime::Error {
    wasmtime::Error::msg("the plugin does not export this interface")
}

/// `method.describe`, which also checks the types of all other exports.
pub(super) struct Describe;

impl Call for Describe {
    const NAME: &'static str = "method.describe";
    type Output = contract::Descriptor;
    type Raw = exports::method::Descriptor;

    fn bytes_in(&self) -> u64 {
        0
    }

    async fn invoke(
        &self,
        exports: &Exports,
        store: &mut Store<State>,
        instance: &Instance,
    ) -> wasmtime::Result<Self::Raw> {
        exports.check_types(store, instance)?;
        exports.method.load(&mut *store, instance)?.call_describe(store).await
    }

    fn check(&self, raw: Self::Raw, _: &Limits) -> Result<Checked<Self::Output>, Stopped> {
        let descriptor = descriptor(raw);
        let bytes_out = (descriptor.docs.len() + descriptor.summary.len() + descriptor.title.len()) as u64;
        Ok(Checked { outcome: Ok(descriptor), bytes_out })
    }
}

/// Declares a call that takes a job and gives a config.
macro_rules! planning_call {
    ($(#[$doc:meta])* $name:ident, $interface:ident, $function:literal, $call:ident, $raw:ty, $output:ty, $check:ident) => {
        $(#[$doc])*
        pub(super) struct $name(pub(super) types::Job);

        impl Call for $name {
            const NAME: &'static str = $function;
            type Output = $output;
            type Raw = Result<$raw, types::Refusal>;

            fn bytes_in(&self) -> u64 {
                job_bytes(&self.0)
            }

            async fn invoke(
                &self,
                exports: &Exports,
                store: &mut Store<State>,
                instance: &Instance,
            ) -> wasmtime::Result<Self::Raw> {
                let indices = exports.$interface.as_ref().ok_or_else(absent)?;
                indices.load(&mut *store, instance)?.$call(store, &self.0).await
            }

            fn check(&self, raw: Self::Raw, limits: &Limits) -> Result<Checked<Self::Output>, Stopped> {
                Outcome::new(&limits.results).$check(raw)
            }
        }
    };
}

planning_call!(
    /// `ollama.configure`.
    Ollama,
    ollama,
    "ollama.configure",
    call_configure,
    exports::ollama::OllamaConfig,
    contract::OllamaConfig,
    ollama
);
planning_call!(
    /// `openai.configure`.
    OpenAi,
    openai,
    "openai.configure",
    call_configure,
    exports::openai::OpenaiConfig,
    contract::OpenAiConfig,
    openai
);
planning_call!(
    /// `training.plan`.
    Training,
    training,
    "training.plan",
    call_plan,
    exports::training::Recipe,
    contract::Recipe,
    training
);

/// `transform.apply` on one batch.
pub(super) enum Transform {
    /// As a whole, by the carrier.
    Carried(Parcel),
    /// By the host, text by text.
    Direct {
        /// The job.
        job: types::Job,
        /// The conversations.
        batch: Vec<types::Example>,
    },
}

impl Transform {
    /// A call with those of the conversations that are not left out.
    pub(super) fn new(
        exports: &Exports,
        job: &contract::MethodJob,
        batch: &Arc<contract::Conversations>,
    ) -> Self {
        match exports.carry.and_then(|_| Parcel::pack(job, batch)) {
            Some(parcel) => Self::Carried(parcel),
            None => Self::Direct {
                job: self::job(job),
                batch: batch.iter().flatten().map(|turns| example_in(turns.example())).collect(),
            },
        }
    }

    fn rows(&self) -> usize {
        match self {
            Self::Carried(parcel) => parcel.rows,
            Self::Direct { batch, .. } => batch.len(),
        }
    }
}

impl Call for Transform {
    const NAME: &'static str = "transform.apply";
    const STAYS: bool = true;
    type Output = contract::Conversations;
    type Raw = Result<contract::Conversations, types::Refusal>;

    fn bytes_in(&self) -> u64 {
        match self {
            Self::Carried(parcel) => parcel.text,
            Self::Direct { job, batch } => job_bytes(job) + batch.iter().map(example_bytes).sum::<u64>(),
        }
    }

    async fn invoke(
        &self,
        exports: &Exports,
        store: &mut Store<State>,
        instance: &Instance,
    ) -> wasmtime::Result<Self::Raw> {
        match self {
            Self::Carried(parcel) => {
                let carry = exports.carry.ok_or_else(absent)?;
                let carry = instance.get_func(&mut *store, carry).ok_or_else(absent)?;
                let carry = carry.typed::<(&[u8], &[u8]), (WasmList<u8>,)>(&*store)?;
                let (head, text) = (&parcel.head[..], parcel.batch.text().as_bytes());
                let (answer,) = carry.call_async(&mut *store, (head, text)).await?;
                carrier::unpack(parcel, answer.as_le_slice(&*store))
                    .ok_or_else(|| wasmtime::Error::msg("its answer could not be carried to the host"))
            }
            Self::Direct { job, batch } => {
                let indices = exports.transform.as_ref().ok_or_else(absent)?;
                let answer = indices.load(&mut *store, instance)?.call_apply(store, job, batch).await?;
                Ok(answer.map(|rows| rows.into_iter().map(|row| row.map(example_out)).collect()))
            }
        }
    }

    fn check(&self, raw: Self::Raw, limits: &Limits) -> Result<Checked<Self::Output>, Stopped> {
        Outcome::new(&limits.results).transform(raw, self.rows())
    }
}

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
            more: overview.more.into_iter().map(setting).collect(),
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
                example: example_in(row.example),
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

fn example_bytes(example: &types::Example) -> u64 {
    example.messages.iter().map(|message| message.content.len() as u64).sum()
}

fn value_bytes(value: &types::Value) -> u64 {
    match value {
        types::Value::Flag(_) => 1,
        types::Value::Integer(_) => 4,
        types::Value::Number(_) => 8,
        types::Value::Text(text) => text.len() as u64,
        types::Value::Texts(texts) => texts.iter().map(|text| text.len() as u64).sum(),
    }
}

fn job_bytes(job: &types::Job) -> u64 {
    let settings: u64 =
        job.settings.iter().map(|setting| setting.name.len() as u64 + value_bytes(&setting.value)).sum();
    (job.name.len() + job.base_model.len()) as u64 + settings
}

/// A job, as the guest gets it.
pub(super) fn job(job: &contract::MethodJob) -> types::Job {
    types::Job {
        name: job.name.clone(),
        base_model: job.base_model.clone(),
        settings: job
            .settings
            .iter()
            .map(|setting| types::JobSetting {
                name: setting.name.clone(),
                value: value_in(setting.value.clone()),
                origin: match setting.origin {
                    contract::Origin::Given => types::Origin::Given,
                    contract::Origin::Default => types::Origin::Default,
                },
            })
            .collect(),
        seed: job.seed,
    }
}

fn setting(setting: contract::Setting) -> types::Setting {
    types::Setting { name: setting.name, value: value_in(setting.value) }
}

fn value_in(value: contract::Value) -> types::Value {
    match value {
        contract::Value::Flag(value) => types::Value::Flag(value),
        contract::Value::Integer(value) => types::Value::Integer(value),
        contract::Value::Number(value) => types::Value::Number(value),
        contract::Value::Text(value) => types::Value::Text(value),
        contract::Value::Texts(value) => types::Value::Texts(value),
    }
}

/// A value, as the guest returned it.
pub(super) fn value_out(value: types::Value) -> contract::Value {
    match value {
        types::Value::Flag(value) => contract::Value::Flag(value),
        types::Value::Integer(value) => contract::Value::Integer(value),
        types::Value::Number(value) => contract::Value::Number(value),
        types::Value::Text(value) => contract::Value::Text(value),
        types::Value::Texts(value) => contract::Value::Texts(value),
    }
}

/// A conversation, as the guest gets it.
pub(super) fn example_in(example: contract::Example) -> types::Example {
    types::Example {
        messages: example
            .messages
            .into_iter()
            .map(|message| types::Message {
                role: match message.role {
                    contract::Role::System => types::Role::System,
                    contract::Role::User => types::Role::User,
                    contract::Role::Assistant => types::Role::Assistant,
                },
                content: message.content,
            })
            .collect(),
    }
}

/// A conversation, as the guest returned it.
pub(super) fn example_out(example: types::Example) -> contract::Example {
    contract::Example {
        messages: example
            .messages
            .into_iter()
            .map(|message| contract::Message {
                role: match message.role {
                    types::Role::System => contract::Role::System,
                    types::Role::User => contract::Role::User,
                    types::Role::Assistant => contract::Role::Assistant,
                },
                content: message.content,
            })
            .collect(),
    }
}

fn descriptor(raw: exports::method::Descriptor) -> contract::Descriptor {
    contract::Descriptor {
        id: raw.id,
        version: raw.version,
        title: raw.title,
        summary: raw.summary,
        docs: raw.docs,
        settings: raw
            .settings
            .into_iter()
            .map(|setting| contract::SettingDoc {
                name: setting.name,
                doc: setting.doc,
                kind: match setting.kind {
                    exports::method::Kind::Flag => contract::Kind::Flag,
                    exports::method::Kind::Integer(range) => {
                        contract::Kind::Integer { least: range.least, most: range.most }
                    }
                    exports::method::Kind::Number(range) => contract::Kind::Number {
                        least: range.least,
                        most: range.most,
                        least_excluded: range.least_excluded,
                    },
                    exports::method::Kind::Text(most) => contract::Kind::Text(most),
                    exports::method::Kind::Choice(choices) => contract::Kind::Choice(choices),
                    exports::method::Kind::Texts(most) => contract::Kind::Texts(most),
                },
                default: setting.default.map(value_out),
            })
            .collect(),
    }
}

//! The calls to a plugin's functions, one type each.

use super::error::Stopped;
use super::exports::Exports;
use super::limits::Limits;
use super::results::{Checked, ResultCheck};
use super::state::State;
use crate::abi::{self, example_bytes, job_bytes};
use crate::carrier::{self, Parcel};
use std::sync::Arc;
use tunesmith_abi::exports::tunesmith::method as exports;
use tunesmith_abi::tunesmith::method::types;
use tunesmith_core::contract;
use wasmtime::Store;
use wasmtime::component::{Instance, WasmList};

/// A call to one function of a plugin.
pub(crate) trait Call: Send + 'static {
    /// The function's name, as errors and receipts show it.
    const NAME: &'static str;
    /// Whether a pure plugin is called on the caller's thread.
    const ON_CALLERS_THREAD: bool = false;
    /// The result, converted to contract types.
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

/// An interface that the caller did not check for.
fn absent() -> wasmtime::Error {
    wasmtime::Error::msg("the plugin does not export this interface")
}

/// `method.describe`, which also checks the types of all other exports.
pub(crate) struct Describe;

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
        let descriptor = abi::descriptor(raw);
        let bytes_out = (descriptor.docs.len() + descriptor.summary.len() + descriptor.title.len()) as u64;
        Ok(Checked { result: Ok(descriptor), bytes_out })
    }
}

/// Declares a call that takes a job and gives a config.
macro_rules! planning_call {
    ($(#[$doc:meta])* $name:ident, $interface:ident, $function:literal, $call:ident, $raw:ty, $output:ty, $check:ident) => {
        $(#[$doc])*
        pub(crate) struct $name(pub(crate) types::Job);

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
                ResultCheck::new(&limits.results).$check(raw)
            }
        }
    };
}

planning_call!(
    Ollama,
    ollama,
    "ollama.configure",
    call_configure,
    exports::ollama::OllamaConfig,
    contract::OllamaConfig,
    ollama
);
planning_call!(
    OpenAi,
    openai,
    "openai.configure",
    call_configure,
    exports::openai::OpenaiConfig,
    contract::OpenAiConfig,
    openai
);
planning_call!(
    Training,
    training,
    "training.plan",
    call_plan,
    exports::training::Recipe,
    contract::Recipe,
    training
);

/// `transform.apply` on one batch.
pub(crate) enum Transform {
    /// As a whole, by the carrier.
    Carried(Parcel),
    /// By the host, text by text.
    Direct { job: types::Job, batch: Vec<types::Example> },
}

impl Transform {
    /// A call with those of the conversations that are not left out.
    pub(crate) fn new(
        exports: &Exports,
        job: &contract::MethodJob,
        batch: &Arc<contract::Conversations>,
    ) -> Self {
        match exports.carry.and_then(|_| Parcel::pack(job, batch)) {
            Some(parcel) => Self::Carried(parcel),
            None => Self::Direct {
                job: abi::job(job),
                batch: batch.iter().flatten().map(|turns| abi::example_in(turns.example())).collect(),
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
    const ON_CALLERS_THREAD: bool = true;
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
                    .ok_or_else(|| wasmtime::Error::msg("the host cannot read its answer"))
            }
            Self::Direct { job, batch } => {
                let indices = exports.transform.as_ref().ok_or_else(absent)?;
                let answer = indices.load(&mut *store, instance)?.call_apply(store, job, batch).await?;
                Ok(answer.map(|rows| rows.into_iter().map(|row| row.map(abi::example_out)).collect()))
            }
        }
    }

    fn check(&self, raw: Self::Raw, limits: &Limits) -> Result<Checked<Self::Output>, Stopped> {
        ResultCheck::new(&limits.results).transform(raw, self.rows())
    }
}

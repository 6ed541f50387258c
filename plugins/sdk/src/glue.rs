//! Between the generated bindings and the traits that a method implements.

use crate::bindings::{plugin_base, with_ollama, with_openai, with_training, with_transform};
use crate::dataset::HostDataset;
use crate::{
    Descriptor, Example, Job, Method, Ollama, OllamaConfig, OpenAi, OpenAiConfig, Recipe, Refusal, Training,
    Transform,
};
use core::marker::PhantomData;

/// A method as the contract sees it. [`export_plugin!`](crate::export_plugin) names it.
#[derive(Debug)]
pub struct Plugin<T>(PhantomData<T>);

impl<T: Method> plugin_base::exports::tunesmith::method::method::Guest for Plugin<T> {
    fn describe() -> Descriptor {
        crate::diagnostics::report_panics();
        T::describe()
    }
}

impl<T: Ollama> with_ollama::exports::tunesmith::method::ollama::Guest for Plugin<T> {
    fn configure(job: Job) -> Result<OllamaConfig, Refusal> {
        crate::diagnostics::report_panics();
        T::configure_ollama(&job, &HostDataset)
    }
}

impl<T: OpenAi> with_openai::exports::tunesmith::method::openai::Guest for Plugin<T> {
    fn configure(job: Job) -> Result<OpenAiConfig, Refusal> {
        crate::diagnostics::report_panics();
        T::configure_openai(&job, &HostDataset)
    }
}

impl<T: Training> with_training::exports::tunesmith::method::training::Guest for Plugin<T> {
    fn plan(job: Job) -> Result<Recipe, Refusal> {
        crate::diagnostics::report_panics();
        T::plan_training(&job, &HostDataset)
    }
}

impl<T: Transform> with_transform::exports::tunesmith::method::transform::Guest for Plugin<T> {
    fn apply(job: Job, batch: Vec<Example>) -> Result<Vec<Option<Example>>, Refusal> {
        crate::diagnostics::report_panics();
        batch.into_iter().map(|example| T::transform(&job, example)).collect()
    }
}

//! The traits that a method implements: its description, and one for each ability.

use crate::{Dataset, Descriptor, Example, Job, OllamaConfig, OpenAiConfig, Recipe, Refusal};

/// A fine-tuning method. Every plugin implements this trait, and one or more of
/// [`Ollama`], [`OpenAi`], [`Training`] and [`Transform`].
///
/// There is no `self`: each call runs in a fresh sandbox, so no state survives a call.
pub trait Method {
    /// Describes the method. The answer is always the same and needs no dataset.
    fn describe() -> Descriptor;
}

/// The ability to configure a derived model on Ollama, which carries a system
/// prompt, examples and parameters. Nothing is trained there.
pub trait Ollama: Method {
    /// Configures the derived model for a job.
    ///
    /// # Errors
    /// A [`Refusal`], which the host shows to the user unchanged.
    fn configure_ollama(job: &Job, dataset: &dyn Dataset) -> Result<OllamaConfig, Refusal>;
}

/// The ability to configure a fine-tuning job on OpenAI and compatible services.
pub trait OpenAi: Method {
    /// Configures the fine-tuning job for a job.
    ///
    /// # Errors
    /// A [`Refusal`], which the host shows to the user unchanged.
    fn configure_openai(job: &Job, dataset: &dyn Dataset) -> Result<OpenAiConfig, Refusal>;
}

/// The ability to plan the training of weights by the host.
pub trait Training: Method {
    /// Plans the training for a job.
    ///
    /// # Errors
    /// A [`Refusal`], which the host shows to the user unchanged.
    fn plan_training(job: &Job, dataset: &dyn Dataset) -> Result<Recipe, Refusal>;
}

/// The ability to change or drop conversations before anything else sees them.
pub trait Transform: Method {
    /// Changes one conversation, or drops it by answering `None`.
    ///
    /// Conversations come in batches of any size and in any number of fresh
    /// sandboxes, so the answer must depend only on the job and the conversation.
    ///
    /// # Errors
    /// A [`Refusal`], which stops the whole transformation.
    fn transform(job: &Job, example: Example) -> Result<Option<Example>, Refusal>;
}

//! Write fine-tuning methods for tunesmith in Rust.
//!
//! A method is a type that implements [`Method`] and one trait for each ability that
//! it offers: [`Ollama`], [`OpenAi`], [`Training`], [`Transform`]. It only
//! computes configurations: it sees the job's settings, and figures and samples of the
//! dataset, and the host executes its answers.
//!
//! ```
//! use tunesmith_plugin::*;
//!
//! struct Shots;
//!
//! impl Method for Shots {
//!     fn describe() -> Descriptor {
//!         Descriptor::new("shots", "1.0.0", "Puts a few examples in front of every question.")
//!             .title("Examples in the prompt")
//!             .setting(Setting::integer("examples").range(1..=100).default(8).doc("At most this many."))
//!     }
//! }
//!
//! impl Ollama for Shots {
//!     fn configure_ollama(job: &Job, dataset: &dyn Dataset) -> Result<OllamaConfig, Refusal> {
//!         dataset.typed_overview()?;
//!         let context = job.given_or("context_window", 4096)?;
//!         let count = job.integer("examples")?.unsigned_abs();
//!         let rows = dataset.sample(&Selection::of(count).token_budget(context.unsigned_abs() / 2));
//!         Ok(OllamaConfig::new()
//!             .rows(&rows)
//!             .parameter("num_ctx", context)
//!             .given_parameters(job, &["temperature", "seed"])
//!             .note(format!("{} examples fill at most half of the context window.", rows.len())))
//!     }
//! }
//!
//! export_plugin!(Shots: ollama);
//! ```
//!
//! In `Cargo.toml`: `crate-type = ["cdylib", "rlib"]`. Build for
//! `wasm32-unknown-unknown`, which gives a plugin that can only compute,
//! or for `wasm32-wasip2`. Unit tests run natively: [`testing`] emulates the host.

#![warn(missing_docs)]

mod abilities;
#[cfg(any(test, all(target_arch = "wasm32", feature = "allocator", not(target_feature = "atomics"))))]
mod allocator;
#[doc(hidden)]
pub mod bindings;
mod config;
mod dataset;
mod descriptor;
pub mod diagnostics;
mod export;
#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod glue;
mod job;
pub mod prompt;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod value;

pub use abilities::{Method, Ollama, OpenAi, Training, Transform};
pub use dataset::Dataset;
pub use descriptor::{FlagSetting, IntegerSetting, NumberSetting, Setting, TextSetting, TextsSetting};
pub use diagnostics::Level;
pub use value::FromValue;

#[doc(inline)]
pub use bindings::plugin_base::exports::tunesmith::method::method::{
    Descriptor, IntegerRange, Kind, NumberRange, SettingDoc,
};
#[doc(inline)]
pub use bindings::plugin_base::tunesmith::method::dataset::{Overview, Row, Selection, Task};
/// One named value: `setting` in the contract.
pub use bindings::plugin_base::tunesmith::method::types::Setting as NamedValue;
#[doc(inline)]
pub use bindings::plugin_base::tunesmith::method::types::{
    Example, InvalidSetting, Job, JobSetting, Message, Origin, Refusal, Role, Value,
};
#[doc(inline)]
pub use bindings::with_ollama::exports::tunesmith::method::ollama::{OllamaConfig, Shot};
#[doc(inline)]
pub use bindings::with_openai::exports::tunesmith::method::openai::OpenaiConfig as OpenAiConfig;
#[doc(inline)]
pub use bindings::with_training::exports::tunesmith::method::training::Recipe;

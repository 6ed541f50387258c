//! The smallest plugin that does something: the README shows it.
#![allow(missing_docs)]

use tunesmith_plugin::prompt::Prompt;
use tunesmith_plugin::{Dataset, Descriptor, Job, Method, Ollama, OllamaConfig, Refusal, export_plugin};

struct FewShot;
export_plugin!(FewShot: ollama);

impl Method for FewShot {
    fn describe() -> Descriptor {
        Descriptor::new("few-shot", "0.1.0", "Bakes eight examples into the prompt.")
    }
}

impl Ollama for FewShot {
    fn configure_ollama(job: &Job, dataset: &dyn Dataset) -> Result<OllamaConfig, Refusal> {
        Prompt::new(job, dataset).examples(8).configure()
    }
}

fn main() {
    // A plugin is a library; a program makes it an example that is built with the tests.
    assert_eq!(FewShot::describe().id, "few-shot");
}

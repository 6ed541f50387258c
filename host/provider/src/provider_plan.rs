//! The part of a plan that depends on the provider: written, stored and read back
//! through one definition.

use crate::artifacts::Artifact;
use crate::local::plan::LocalPlan;
use crate::ollama::plan::OllamaPlan;
use crate::openai::plan::OpenAiPlan;
use crate::openai::{Cost, CostEstimate};
use serde::{Deserialize, Serialize};

/// What the provider is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(clippy::large_enum_variant)] // There is one per plan.
pub enum ProviderPlan {
    /// For an Ollama server.
    Ollama(OllamaPlan),
    /// For a service that speaks OpenAI's protocol.
    OpenAi(OpenAiPlan),
    /// For the trainer on this machine.
    Local(LocalPlan),
}

/// The figures of a plan that an operator may limit.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Demands<'a> {
    /// The context window in tokens.
    pub context_window: Option<u32>,
    /// The longest answer in tokens; below 0 for no limit.
    pub answer: Option<i32>,
    /// What training costs.
    pub cost: Option<&'a Cost>,
}

impl ProviderPlan {
    /// What is made, in one sentence.
    pub fn outcome(&self) -> &str {
        match self {
            Self::Ollama(plan) => &plan.outcome,
            Self::OpenAi(plan) => &plan.outcome,
            Self::Local(plan) => &plan.outcome,
        }
    }

    /// The name of the model that it makes, where that is decided here.
    pub fn model(&self) -> Option<&str> {
        match self {
            Self::Ollama(plan) => Some(plan.request.model.as_str()),
            Self::OpenAi(_) | Self::Local(_) => None,
        }
    }

    /// What the method says about its choices.
    pub fn notes(&self) -> &[String] {
        match self {
            Self::Ollama(plan) => &plan.baked.notes,
            Self::OpenAi(plan) => &plan.tuning.notes,
            Self::Local(plan) => &plan.recipe.notes,
        }
    }

    /// What it costs, where it costs money.
    pub fn cost(&self) -> Option<&CostEstimate> {
        match self {
            Self::OpenAi(plan) => Some(&plan.cost),
            Self::Ollama(_) | Self::Local(_) => None,
        }
    }

    /// The figures that an operator may limit.
    pub fn demands(&self) -> Demands<'_> {
        match self {
            Self::Ollama(plan) => Demands {
                context_window: Some(plan.baked.context_window.tokens),
                answer: plan.baked.answer_limit(),
                cost: None,
            },
            Self::OpenAi(plan) => Demands { cost: Some(&plan.cost.cost), ..Demands::default() },
            Self::Local(_) => Demands::default(),
        }
    }

    /// The files that the plan leaves behind, where `document` is the whole plan as it is
    /// stored.
    pub fn artifacts(&self, document: &str) -> Vec<Artifact> {
        let artifact = |name: &str, content: &str| Artifact { name: name.into(), content: content.into() };
        let mut artifacts = Vec::new();
        let (name, request) = match self {
            Self::Ollama(plan) => {
                if let Some(text) = &plan.modelfile.text {
                    artifacts.push(artifact(&plan.modelfile.name, text));
                }
                ("create.json", serde_json::to_string_pretty(&plan.request))
            }
            Self::OpenAi(plan) => ("job.json", serde_json::to_string_pretty(&plan.request)),
            Self::Local(plan) => ("recipe.json", serde_json::to_string_pretty(&plan.recipe)),
        };
        if let Ok(request) = request {
            artifacts.push(artifact(name, &format!("{request}\n")));
        }
        artifacts.push(artifact("plan.json", &format!("{document}\n")));
        artifacts
    }
}

//! Screens the provider's config: settings that overload a server or cost too much, and
//! texts with hidden content.

use super::screen::{self, ModelfileRisk};
use super::{Judge, Rule};
use tunesmith_core::text::{excerpt, grouped};
use tunesmith_dataset::Dataset;
use tunesmith_engine::plan::{OllamaPlan, OpenAiPlan, Planned, ProviderPlan};
use tunesmith_plugin_host::{Plugin, Source};
use tunesmith_provider::money::Money;
use tunesmith_provider::ollama::{ParameterValue, ShotSource};
use tunesmith_provider::openai::Cost;

/// Context tokens that are worth a warning. 32,768: Ollama's default on a machine with
/// 24 GiB of graphics memory; the cache of a model with 8 billion parameters takes 4 GiB.
const LARGE_CONTEXT: u32 = 32_768;

/// Context tokens that no untrusted job needs. 131,072: 16 GiB of cache for the same
/// model.
const GIANT_CONTEXT: u32 = 131_072;

/// Answer tokens that are worth a warning: a dozen pages.
const LONG_ANSWER: i32 = 8_192;

/// Examples that make each answer noticeably slower: Ollama renders and counts all of
/// them for each one.
const MANY_EXAMPLES: usize = 100;

/// US dollars that are worth a warning.
const HIGH_COST: f64 = 100.0;

/// System prompts of the dataset to compare a config's with, the most frequent first:
/// methods use a handful.
const MOST_PROMPTS: usize = 64;

/// Characters of a plugin's own text that are printed.
const SHOWN_WORDS: usize = 120;

impl Judge<'_> {
    /// Screens the config for the provider.
    pub(super) fn config(&mut self, planned: &Planned, plugin: &Plugin, dataset: &Dataset) {
        let place = format!("the config of {}", plugin.id());
        let config = &planned.plan.config;
        match config {
            ProviderPlan::Ollama(plan) => {
                self.ollama(&place, plan);
                if *plugin.source() != Source::BuiltIn {
                    self.own_words(plugin, plan, dataset);
                }
            }
            ProviderPlan::OpenAi(plan) => self.openai(&place, plan),
            ProviderPlan::Local(_) => {}
        }
        for (index, note) in config.notes().iter().enumerate() {
            self.screen(&format!("{place}, note {}", index + 1), note);
        }
    }

    fn ollama(&mut self, place: &str, config: &OllamaPlan) {
        let policy = self.request.policy;
        let tokens = config.baked.context_window.tokens;
        if policy.largest_context.is_none() && tokens > LARGE_CONTEXT {
            let giant = tokens > GIANT_CONTEXT;
            let rule = if giant { Rule::GiantContext } else { Rule::LargeContext };
            let most = grouped(u128::from(if giant { GIANT_CONTEXT } else { LARGE_CONTEXT }));
            let what = format!("num_ctx is {}; up to {most} is common", grouped(tokens.into()));
            self.findings.add(rule, place, &what);
        }
        if policy.longest_answer.is_none()
            && let Some(ParameterValue::Integer(tokens)) = config.baked.parameters.get("num_predict")
            && !(0..=LONG_ANSWER).contains(tokens)
        {
            let most = grouped(LONG_ANSWER.unsigned_abs().into());
            let what = match tokens {
                ..0 => format!("num_predict is {tokens}, which does not limit an answer"),
                _ => format!(
                    "num_predict is {}; up to {most} is common",
                    grouped(tokens.unsigned_abs().into())
                ),
            };
            self.findings.add(Rule::LongAnswer, place, &what);
        }
        let examples = config.baked.shots.len();
        if examples >= MANY_EXAMPLES {
            let what = format!("{examples} examples are processed again for every answer");
            self.findings.add(Rule::ManyExamples, place, &what);
        }
        if let Some(system) = &config.baked.system {
            self.baked("the system prompt", system);
        }
        for (index, shot) in config.baked.shots.iter().enumerate() {
            let from = match shot.source {
                ShotSource::Row(row) => format!("row {row}"),
                ShotSource::Written => "written by the method".to_owned(),
            };
            for message in &shot.messages {
                let role = message.role.as_str();
                self.baked(&format!("example {} ({from}), {role} message", index + 1), &message.content);
            }
        }
        if let Some(ParameterValue::Texts(stops)) = config.baked.parameters.get("stop") {
            for (index, stop) in stops.iter().enumerate() {
                self.baked(&format!("stop string {}", index + 1), stop);
            }
        }
    }

    /// Screens a text that becomes part of a model.
    fn baked(&mut self, place: &str, text: &str) {
        self.screen(place, text);
        match screen::modelfile_risk(text) {
            Some(ModelfileRisk::Breakout(command)) => {
                let what = format!("in a Modelfile it would close its quotes and continue with {command}");
                self.findings.add(Rule::ModelfileBreakout, place, &what);
            }
            Some(ModelfileRisk::Instructions(command)) => {
                let what = format!("pasted into a Modelfile, a line would be the command {command}");
                self.findings.add(Rule::ModelfileInstructions, place, &what);
            }
            None => {}
        }
    }

    fn openai(&mut self, place: &str, config: &OpenAiPlan) {
        if self.request.policy.highest_cost.is_some() {
            return;
        }
        let most = match config.cost.cost {
            Cost::NoPrice => {
                self.findings.add(Rule::CostUnknown, place, &config.cost.summary());
                return;
            }
            Cost::Exact { usd } => usd,
            Cost::Range { most, .. } => most,
        };
        if Money::from_dollars(HIGH_COST).is_some_and(|high| most > high) {
            self.findings.add(Rule::HighCost, place, &config.cost.summary());
        }
    }

    /// Reports text in the model that comes from the plugin, not from the dataset.
    fn own_words(&mut self, plugin: &Plugin, config: &OllamaPlan, dataset: &Dataset) {
        let place = format!("plugin {}", plugin.id());
        let written = config.baked.shots.iter().filter(|shot| shot.source == ShotSource::Written).count();
        if written > 0 {
            let what = format!("{written} of {} examples are not from the dataset", config.baked.shots.len());
            self.findings.add(Rule::WrittenExamples, &place, &what);
        }
        let Some(system) = &config.baked.system else { return };
        let mut prompts: Vec<String> =
            dataset.tasks(MOST_PROMPTS).unwrap_or_default().into_iter().map(|task| task.system).collect();
        // The longest first: one may be part of another.
        prompts.sort_by_key(|prompt| std::cmp::Reverse(prompt.len()));
        let mut own = system.clone();
        for prompt in prompts.iter().map(|prompt| prompt.trim()).filter(|prompt| !prompt.is_empty()) {
            own = own.replace(prompt, " ");
        }
        if own.contains(char::is_alphanumeric) {
            let what = format!("text that is not from the dataset: {}", excerpt(own.trim(), SHOWN_WORDS));
            self.findings.add(Rule::WrittenSystem, &place, &what);
        }
    }
}

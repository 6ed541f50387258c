//! What the provider would be asked: settings that harm a server or a purse, and texts
//! that are more than they seem.

use super::screen::{self, Pasted};
use super::{Judge, Rule};
use tunesmith_core::text::{excerpt, grouped};
use tunesmith_dataset::Dataset;
use tunesmith_engine::plan::{Config, OllamaPlan, OpenAiPlan, Planned};
use tunesmith_plugin_host::{Plugin, Source};
use tunesmith_provider::ollama::{ParameterValue, ShotSource};
use tunesmith_provider::openai::{Cost, Money};

/// Tokens of context from which on somebody should look. 32,768: Ollama's own choice on
/// a machine with 24 GiB of graphics memory; for a model of 8 billion parameters its
/// cache takes 4 GiB.
const LARGE_CONTEXT: u32 = 32_768;

/// Tokens of context that no job nobody vouches for needs. 131,072: 16 GiB of cache for
/// the same model.
const GIANT_CONTEXT: u32 = 131_072;

/// Tokens of an answer from which on somebody should look: a dozen pages.
const LONG_ANSWER: i32 = 8_192;

/// Examples from which on each answer takes noticeably longer: Ollama renders and
/// counts all of them again for each one.
const MANY_EXAMPLES: usize = 100;

/// US dollars from which on somebody should look.
const HIGH_COST: f64 = 100.0;

/// System prompts of the dataset that a config's is compared with, the most frequent
/// first: methods take up a handful.
const MOST_PROMPTS: usize = 64;

/// Characters of a plugin's own words that are shown.
const SHOWN_WORDS: usize = 120;

impl Judge<'_> {
    /// Screens what the provider would be asked.
    pub(super) fn config(&mut self, planned: &Planned, plugin: &Plugin, dataset: &Dataset) {
        let place = format!("the config of {}", plugin.id());
        let notes = match &planned.plan.config {
            Config::Ollama(config) => {
                self.ollama(&place, config);
                if *plugin.source() != Source::BuiltIn {
                    self.own_words(plugin, config, dataset);
                }
                &config.baked.notes
            }
            Config::OpenAi(config) => {
                self.openai(&place, config);
                &config.tuning.notes
            }
            Config::Local(config) => &config.recipe.notes,
        };
        for (index, note) in notes.iter().enumerate() {
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
            let what = format!("num_ctx is {}; up to {most} is ordinary", grouped(tokens.into()));
            self.findings.add(rule, place, &what);
        }
        if policy.longest_answer.is_none()
            && let Some(ParameterValue::Integer(tokens)) = config.baked.parameters.get("num_predict")
            && !(0..=LONG_ANSWER).contains(tokens)
        {
            let most = grouped(LONG_ANSWER.unsigned_abs().into());
            let what = match tokens {
                ..0 => format!("num_predict is {tokens}, which sets no bound to an answer"),
                _ => format!(
                    "num_predict is {}; up to {most} is ordinary",
                    grouped(tokens.unsigned_abs().into())
                ),
            };
            self.findings.add(Rule::LongAnswer, place, &what);
        }
        let examples = config.baked.shots.len();
        if examples >= MANY_EXAMPLES {
            let what = format!("{examples} examples are read again for every answer");
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
                self.baked(&format!("stop text {}", index + 1), stop);
            }
        }
    }

    /// A text that is baked into a model.
    fn baked(&mut self, place: &str, text: &str) {
        self.screen(place, text);
        match screen::pasted(text) {
            Some(Pasted::Breakout(command)) => {
                let what = format!("in a Modelfile it would end its quotes and go on with {command}");
                self.findings.add(Rule::ModelfileBreakout, place, &what);
            }
            Some(Pasted::Instructions(command)) => {
                let what = format!("pasted into a Modelfile, a line of it would be the command {command}");
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

    /// What a plugin file put into the model that is not the dataset's.
    fn own_words(&mut self, plugin: &Plugin, config: &OllamaPlan, dataset: &Dataset) {
        let place = format!("plugin {}", plugin.id());
        let written = config.baked.shots.iter().filter(|shot| shot.source == ShotSource::Written).count();
        if written > 0 {
            let what = format!("{written} of {} examples are its own", config.baked.shots.len());
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
            let what = format!("its own words: {}", excerpt(own.trim(), SHOWN_WORDS));
            self.findings.add(Rule::WrittenSystem, &place, &what);
        }
    }
}

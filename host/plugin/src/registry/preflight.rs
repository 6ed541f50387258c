//! The preflight: what a plugin has to pass before anyone can call it.

use super::descriptor;
use super::plugin::{EmptyDataset, Plugin, Source};
use crate::ability::Ability;
use crate::compile::{Cancel, Compiler, Linked, Trust};
use crate::display::shown;
use crate::rejection::Reason;
use crate::sandbox::{self, CallError, Describe, Flavor, Identity, Setup, Stopped};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use tunesmith_core::contract::{
    DatasetView, Example, JobSetting, Message, MethodJob, Origin, Overview, Role, Row, Selection, Task,
};
use tunesmith_core::digest::Digest;

/// What is to be checked.
pub(crate) struct Candidate<'a> {
    /// The bytes, and their digest.
    pub(crate) bytes: &'a [u8],
    pub(crate) digest: Digest,
    /// Where they come from.
    pub(crate) source: Source,
    /// Stops the preflight where that takes long.
    pub(crate) cancel: Cancel,
}

/// Checks a candidate: structure, imports, exports, descriptor, and for
/// a file one small job for each ability that it claims. What comes of it has no
/// generation yet.
pub(crate) fn run(
    compiler: &Arc<Compiler>,
    candidate: Candidate<'_>,
    before_compiling: &dyn Fn(),
) -> Result<Plugin, Reason> {
    let Candidate { bytes, digest, source, cancel } = candidate;
    let trust = match source {
        Source::BuiltIn => Trust::BuiltIn,
        Source::File(_) => Trust::Foreign,
    };
    let Linked { code, tier } =
        compiler.linked(bytes, digest, Flavor::Metered, trust, before_compiling, &cancel)?;
    let limits = Arc::clone(compiler.engine.limits());
    let nameless = Identity {
        plugin: provisional_name(&source),
        version: String::new(),
        sha256: digest,
        contract: code.exports.contract.clone(),
        tier,
    };
    let setup = Setup {
        engine: Arc::clone(&compiler.engine),
        code: Arc::clone(&code),
        identity: Arc::new(nameless.clone()),
        dataset: Arc::new(EmptyDataset),
        deadline: limits.describe_deadline,
        seed: 0,
    };
    let described = sandbox::call(setup, Describe).map_err(|error| match error.stopped {
        Stopped::Shape(words) => Reason::Shape(words),
        _ => Reason::Describe(error),
    })?;
    // `describe` has no way to refuse.
    let descriptor = described.result.map_err(|refusal| Reason::Descriptor(format!("{refusal:?}")))?;
    descriptor::check(&descriptor, &limits.descriptor, &limits.results).map_err(Reason::Descriptor)?;
    let abilities = code.exports.abilities();
    let keep = abilities.contains(&Ability::Transform);
    let plugin = Plugin {
        identity: Arc::new(Identity {
            plugin: descriptor.id.clone(),
            version: descriptor.version.clone(),
            ..nameless
        }),
        descriptor: Arc::new(descriptor),
        size: bytes.len() as u64,
        abilities,
        source,
        generation: 0,
        code,
        compiler: Arc::clone(compiler),
        cancel,
        health: Arc::default(),
        feed: Arc::default(),
        bytes: keep.then(|| bytes.into()),
        timed: OnceLock::new(),
    };
    if trust == Trust::Foreign {
        try_abilities(&plugin).map_err(Reason::Trial)?;
    }
    Ok(plugin)
}

/// Calls each ability once with the method's own defaults. Some toolchains build
/// every interface of the world and fail only when one is called. A refusal is fine:
/// the job is not the method's choice.
fn try_abilities(plugin: &Plugin) -> Result<(), CallError> {
    let dataset: Arc<dyn DatasetView> = Arc::new(Trial);
    for ability in plugin.abilities() {
        let job = trial_job(plugin, *ability);
        match ability {
            Ability::Ollama => plugin.ollama(&job, Arc::clone(&dataset)).map(|_| ())?,
            Ability::OpenAi => plugin.openai(&job, Arc::clone(&dataset)).map(|_| ())?,
            Ability::Training => plugin.training(&job, Arc::clone(&dataset)).map(|_| ())?,
            Ability::Transform => {
                let batch = trial_rows().into_iter().map(|row| Some(row.example)).collect();
                plugin.transform(&job, &Arc::new(batch)).map(|_| ())?;
            }
        }
    }
    Ok(())
}

fn trial_job(plugin: &Plugin, ability: Ability) -> MethodJob {
    let settings = plugin.descriptor().settings.iter();
    MethodJob {
        name: "trial".into(),
        base_model: if ability == Ability::OpenAi { "gpt-4.1-mini".into() } else { "llama3.2".into() },
        settings: settings
            .filter_map(|setting| {
                setting.default.clone().map(|value| JobSetting {
                    name: setting.name.clone(),
                    value,
                    origin: Origin::Default,
                })
            })
            .collect(),
        seed: 0,
    }
}

/// The name of a plugin whose id is not known yet: its file's.
fn provisional_name(source: &Source) -> String {
    match source {
        Source::BuiltIn => "built-in".into(),
        Source::File(path) => shown(path.file_name().map_or(path.as_path(), Path::new)),
    }
}

/// The dataset of a trial: four short conversations of two tasks.
struct Trial;

const TRIAL: [(&str, &str, &str); 4] = [
    ("You help customers.", "Where is my order?", "It left our warehouse this morning."),
    ("You help customers.", "Can I return these shoes?", "Yes, within 30 days, unworn."),
    ("You translate into French.", "Good morning", "Bonjour"),
    ("You translate into French.", "See you tomorrow", "À demain"),
];

/// Tokens of a trial's row, roughly.
const TRIAL_TOKENS: u32 = 24;

fn trial_rows() -> Vec<Row> {
    let message = |role, text: &str| Message { role, content: text.into() };
    TRIAL
        .iter()
        .zip(0_u32..)
        .map(|((system, question, answer), id)| Row {
            id,
            tokens: TRIAL_TOKENS,
            task: id / 2,
            example: Example {
                messages: vec![
                    message(Role::System, system),
                    message(Role::User, question),
                    message(Role::Assistant, answer),
                ],
            },
        })
        .collect()
}

impl DatasetView for Trial {
    fn overview(&self) -> Overview {
        let rows = trial_rows();
        let bytes: usize =
            rows.iter().flat_map(|row| &row.example.messages).map(|message| message.content.len()).sum();
        Overview {
            rows: rows.len() as u64,
            typed_rows: rows.len() as u64,
            messages: 3 * rows.len() as u64,
            bytes: bytes as u64,
            tokens: u64::from(TRIAL_TOKENS) * rows.len() as u64,
            longest_row_tokens: TRIAL_TOKENS,
            more: Vec::new(),
        }
    }

    fn tasks(&self, most: u32) -> Vec<Task> {
        [TRIAL[0].0, TRIAL[2].0]
            .into_iter()
            .take(most as usize)
            .map(|system| Task { system: system.into(), rows: 2 })
            .collect()
    }

    fn sample(&self, which: &Selection) -> Vec<Row> {
        let mut budget = which.token_budget.unwrap_or(u32::MAX);
        let longest = which.longest_row_tokens.unwrap_or(u32::MAX);
        trial_rows()
            .into_iter()
            .filter(|row| row.tokens <= longest && which.task.is_none_or(|task| row.task == task))
            .take_while(|row| {
                let fits = row.tokens <= budget;
                budget = budget.saturating_sub(row.tokens);
                fits
            })
            .take(which.count as usize)
            .collect()
    }
}

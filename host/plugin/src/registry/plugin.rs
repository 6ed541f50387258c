//! A plugin that passed its preflight, and the calls to it.

use super::change::{Change, ChangeKind, Feed};
use super::health::Health;
use crate::abi;
use crate::ability::Ability;
use crate::compile::{Cancel, Compiler, Trust};
use crate::display::size;
use crate::sandbox::{
    self, Answer, Call, CallError, Code, Describe, Engine, Flavor, Identity, Ollama, OpenAi, Quarantine,
    Setup, Stopped, Training, Transform,
};
use crate::tier::Tier;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use tunesmith_core::contract::{
    Conversations, DatasetView, Descriptor, Example, MethodJob, OllamaConfig, OpenAiConfig, Overview, Recipe,
    Row, Selection, Task,
};
use tunesmith_core::digest::Digest;

/// Where a plugin comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// It is part of this program.
    BuiltIn,
    File(PathBuf),
}

impl Source {
    /// The file, where it comes from one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::BuiltIn => None,
            Self::File(path) => Some(path),
        }
    }
}

/// One generation of one plugin. It stays callable for as long as anyone holds it,
/// whatever happens to its file or to the registry.
pub struct Plugin {
    pub(crate) descriptor: Arc<Descriptor>,
    pub(crate) identity: Arc<Identity>,
    pub(crate) size: u64,
    pub(crate) abilities: Vec<Ability>,
    pub(crate) source: Source,
    pub(crate) generation: u64,
    pub(crate) code: Arc<Code>,
    pub(crate) compiler: Arc<Compiler>,
    /// The file's bytes, for a `transform`, which may need the other flavor.
    pub(crate) bytes: Option<Arc<[u8]>>,
    pub(crate) timed: OnceLock<Arc<Code>>,
    /// Stops its preflight.
    pub(crate) cancel: Cancel,
    pub(crate) health: Arc<Health>,
    /// Where its quarantine is reported.
    pub(crate) feed: Arc<Feed>,
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin")
            .field("id", &self.id())
            .field("digest", &self.digest())
            .field("source", &self.source)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

impl Plugin {
    /// The id that a job names.
    pub fn id(&self) -> &str {
        &self.descriptor.id
    }

    /// Its descriptor, checked.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// SHA-256 of its file.
    pub fn digest(&self) -> Digest {
        self.identity.sha256
    }

    /// Bytes of its file.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What it may reach.
    pub fn tier(&self) -> Tier {
        self.identity.tier
    }

    /// The version of the contract that it is built for.
    pub fn contract(&self) -> &str {
        &self.identity.contract
    }

    /// What it can do.
    pub fn abilities(&self) -> &[Ability] {
        &self.abilities
    }

    /// Whether it has an ability.
    pub fn can(&self, ability: Ability) -> bool {
        self.abilities.contains(&ability)
    }

    /// Where it comes from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Its number: unique in a registry, and larger for what was loaded later.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Why it is not called any more, if it failed too often in a row.
    pub fn quarantine(&self) -> Option<&Quarantine> {
        self.health.quarantine()
    }

    /// Asks for an Ollama config.
    ///
    /// Blocks until the plugin answers, at most for [`crate::Limits::queue_wait`],
    /// [`crate::Limits::plan_deadline`] and [`crate::Limits::grace`]. The time that
    /// the dataset takes to answer counts.
    ///
    /// # Errors
    ///
    /// When the plugin lacks the ability, is quarantined, exceeds a limit, traps, or
    /// returns something that breaks the contract's rules. Values are not checked against
    /// what Ollama accepts.
    pub fn ollama(
        &self,
        job: &MethodJob,
        dataset: Arc<dyn DatasetView>,
    ) -> Result<Answer<OllamaConfig>, CallError> {
        self.plan(Ability::Ollama, Ollama(abi::job(job)), job, dataset)
    }

    /// Asks for an OpenAI config; blocks and fails as [`Plugin::ollama`] does.
    ///
    /// # Errors
    ///
    /// As [`Plugin::ollama`].
    pub fn openai(
        &self,
        job: &MethodJob,
        dataset: Arc<dyn DatasetView>,
    ) -> Result<Answer<OpenAiConfig>, CallError> {
        self.plan(Ability::OpenAi, OpenAi(abi::job(job)), job, dataset)
    }

    /// Asks for a training recipe; blocks and fails as [`Plugin::ollama`] does.
    ///
    /// # Errors
    ///
    /// As [`Plugin::ollama`].
    pub fn training(
        &self,
        job: &MethodJob,
        dataset: Arc<dyn DatasetView>,
    ) -> Result<Answer<Recipe>, CallError> {
        self.plan(Ability::Training, Training(abi::job(job)), job, dataset)
    }

    /// Transforms one batch of conversations: for each that is not left out, one or none,
    /// in order. Every batch meets a fresh plugin, so that batches do not depend on each
    /// other. The batch is shared, not lent: an abandoned call may
    /// still have it.
    ///
    /// Blocks as [`Plugin::ollama`] does, within
    /// [`crate::Limits::transform_deadline`]. The first call of a plugin compiles it
    /// once more, without fuel.
    ///
    /// # Errors
    ///
    /// As [`Plugin::ollama`], and when the result has another number of rows.
    pub fn transform(
        &self,
        job: &MethodJob,
        batch: &Arc<Conversations>,
    ) -> Result<Answer<Conversations>, CallError> {
        self.check_callable::<Transform>(Ability::Transform)?;
        let code = self.timed().map_err(|stopped| self.error::<Transform>(stopped))?;
        let call = Transform::new(&code.exports, job, batch);
        let deadline = self.engine().limits().transform_deadline;
        let setup = Setup { code, deadline, ..self.setup(job.seed, Arc::new(EmptyDataset)) };
        self.record(sandbox::call(setup, call))
    }

    /// The same for conversations that are values of their own.
    ///
    /// # Errors
    ///
    /// As [`Plugin::transform`].
    pub fn transform_examples(
        &self,
        job: &MethodJob,
        batch: Vec<Example>,
    ) -> Result<Answer<Vec<Option<Example>>>, CallError> {
        let Answer { result, notes, receipt } =
            self.transform(job, &Arc::new(batch.into_iter().map(Some).collect()))?;
        Ok(Answer { result: result.map(|rows| rows.examples()), notes, receipt })
    }

    /// Calls `describe` again.
    ///
    /// # Errors
    ///
    /// As [`Plugin::ollama`].
    pub fn describe(&self) -> Result<Answer<Descriptor>, CallError> {
        let deadline = self.engine().limits().describe_deadline;
        sandbox::call(Setup { deadline, ..self.setup(0, Arc::new(EmptyDataset)) }, Describe)
    }

    /// Makes one `describe` call on this thread; for measuring what a sandbox costs.
    ///
    /// # Errors
    ///
    /// As [`Plugin::ollama`].
    #[doc(hidden)]
    pub fn describe_here(&self) -> Result<Answer<Descriptor>, CallError> {
        sandbox::call_here(&self.setup(0, Arc::new(EmptyDataset)), &Describe)
    }

    /// Makes one `ollama.configure` call on this thread; for measuring.
    ///
    /// # Errors
    ///
    /// As [`Plugin::ollama`].
    #[doc(hidden)]
    pub fn ollama_here(
        &self,
        job: &MethodJob,
        dataset: Arc<dyn DatasetView>,
    ) -> Result<Answer<OllamaConfig>, CallError> {
        sandbox::call_here(&self.setup(job.seed, dataset), &Ollama(abi::job(job)))
    }

    /// A change of this plugin.
    pub(crate) fn change(&self, kind: ChangeKind) -> Change {
        Change {
            plugin: self.id().into(),
            file: self.source.path().map(Path::to_owned),
            generation: Some(self.generation),
            version: Some(self.descriptor.version.clone()),
            digest: Some(self.digest()),
            tier: Some(self.tier()),
            kind,
        }
    }

    fn engine(&self) -> &Arc<Engine> {
        &self.compiler.engine
    }

    fn setup(&self, seed: u32, dataset: Arc<dyn DatasetView>) -> Setup {
        Setup {
            engine: Arc::clone(self.engine()),
            code: Arc::clone(&self.code),
            identity: Arc::clone(&self.identity),
            dataset,
            deadline: self.engine().limits().plan_deadline,
            seed,
        }
    }

    fn plan<C: Call>(
        &self,
        ability: Ability,
        call: C,
        job: &MethodJob,
        dataset: Arc<dyn DatasetView>,
    ) -> Result<Answer<C::Output>, CallError> {
        self.check_callable::<C>(ability)?;
        self.record(sandbox::call(self.setup(job.seed, dataset), call))
    }

    /// Whether a call may be made at all.
    fn check_callable<C: Call>(&self, ability: Ability) -> Result<(), CallError> {
        if !self.can(ability) {
            return Err(self.error::<C>(Stopped::NotSupported));
        }
        match self.quarantine() {
            Some(quarantine) => Err(self.error::<C>(Stopped::Quarantined(quarantine.clone()))),
            None => Ok(()),
        }
    }

    /// Notes how a call ended, and says so if it was one failure too many.
    fn record<T>(&self, outcome: Result<T, CallError>) -> Result<T, CallError> {
        if let Some(quarantine) = self.health.note(&outcome) {
            self.feed.send(self.change(ChangeKind::Quarantined(quarantine.clone())));
        }
        outcome
    }

    fn error<C: Call>(&self, stopped: Stopped) -> CallError {
        CallError { plugin: self.id().into(), call: C::NAME, stopped, output: String::new(), receipt: None }
    }

    /// The code without fuel.
    fn timed(&self) -> Result<Arc<Code>, Stopped> {
        if let Some(code) = self.timed.get() {
            return Ok(Arc::clone(code));
        }
        let bytes = self.bytes.as_deref().unwrap_or_default();
        let trust = match self.source {
            Source::BuiltIn => Trust::BuiltIn,
            Source::File(_) => Trust::Foreign,
        };
        let linked =
            self.compiler.linked(bytes, self.digest(), Flavor::Timed, trust, &|| {}, &self.cancel).map_err(
                |reason| Stopped::Host(format!("its transform code ({}) {reason}", size(self.size))),
            )?;
        Ok(Arc::clone(self.timed.get_or_init(|| linked.code)))
    }
}

/// The dataset of a call that is not about one: `transform` sees its batch alone.
#[derive(Debug)]
pub(crate) struct EmptyDataset;

impl DatasetView for EmptyDataset {
    fn overview(&self) -> Overview {
        Overview {
            rows: 0,
            typed_rows: 0,
            messages: 0,
            bytes: 0,
            tokens: 0,
            longest_row_tokens: 0,
            more: Vec::new(),
        }
    }

    fn tasks(&self, _most: u32) -> Vec<Task> {
        Vec::new()
    }

    fn sample(&self, _which: &Selection) -> Vec<Row> {
        Vec::new()
    }
}

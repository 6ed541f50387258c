//! What the operator decides, for every command: where things are kept, which services
//! are asked and with which key, and what a plugin may use.

use crate::Output;
use crate::services::Services;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tunesmith_core::failure::{Code, Failure};
use tunesmith_core::secret::{Found, Redactor};
use tunesmith_engine::config::{self, Config, Environment, FlagValue, Origin};
use tunesmith_engine::execute::{self, Executor, OnProgress};
use tunesmith_engine::secret::SecretError;
use tunesmith_plugin_host::Limits;
use tunesmith_provider::http::Limiter;
use tunesmith_provider::ollama::client as ollama;
use tunesmith_provider::openai::client as openai;
use tunesmith_store::Store;

/// Options that belong to the operator; stronger than the environment, which is
/// stronger than `config.toml`.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Operator options")]
pub struct OperatorArgs {
    /// Read this configuration in place of the user's config.toml
    #[arg(long, global = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    config: Option<PathBuf>,

    /// Keep jobs in this directory
    #[arg(long, global = true, value_name = "DIR", hide_short_help = true, value_hint = clap::ValueHint::DirPath)]
    data_dir: Option<PathBuf>,

    /// Reach OpenAI, or a service that speaks its API, at this URL
    #[arg(long, global = true, value_name = "URL", hide_short_help = true, value_hint = clap::ValueHint::Url)]
    openai_base_url: Option<String>,

    /// Take the key for it from this file, which only you may read
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true, value_hint = clap::ValueHint::FilePath)]
    openai_key_file: Option<PathBuf>,

    /// Reach Ollama at this host, written as OLLAMA_HOST is
    #[arg(long, global = true, value_name = "HOST", hide_short_help = true, value_hint = clap::ValueHint::Hostname)]
    ollama_host: Option<String>,
}

impl OperatorArgs {
    /// Reads file, environment and flags; says what is odd.
    ///
    /// # Errors
    /// Every fault of the configuration, each with its place and fix.
    pub fn load(&self, output: &mut Output) -> Result<Operator, Failure> {
        let config = self.config()?;
        for warning in &config.warnings {
            output.warning(warning);
        }
        Ok(Operator::new(config))
    }

    /// The configuration alone.
    ///
    /// # Errors
    /// As for [`OperatorArgs::load`].
    pub fn config(&self) -> Result<Config, Failure> {
        Ok(Config::load(&Environment::of_process(), self.config.as_deref(), &self.flags()?)?)
    }

    /// The same options for a process of its own, such as a background runner.
    pub fn arguments(&self) -> Vec<std::ffi::OsString> {
        let absolute =
            |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone()).into_os_string();
        let mut arguments = Vec::new();
        for (flag, path) in [
            ("--config", &self.config),
            ("--data-dir", &self.data_dir),
            ("--openai-key-file", &self.openai_key_file),
        ] {
            if let Some(path) = path {
                arguments.extend([flag.into(), absolute(path)]);
            }
        }
        for (flag, text) in
            [("--openai-base-url", &self.openai_base_url), ("--ollama-host", &self.ollama_host)]
        {
            if let Some(text) = text {
                arguments.extend([flag.into(), text.into()]);
            }
        }
        arguments
    }

    /// The file that `--config` names.
    pub fn file(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    fn flags(&self) -> Result<Vec<FlagValue>, Failure> {
        let path = |flag: &'static str, path: &Option<PathBuf>| {
            let Some(path) = path else { return Ok(None) };
            // The configuration is text, and a path means the same wherever it is read.
            let absolute =
                std::path::absolute(path).ok().and_then(|path| path.into_os_string().into_string().ok());
            absolute.map(Some).ok_or_else(|| {
                let shown = tunesmith_core::text::quoted(&path.to_string_lossy());
                Failure::new(Code::Usage, format!("{flag}: {shown} is not a path that can be used"))
                    .advise("give one that is not empty and is UTF-8")
            })
        };
        let given = [
            ("directories.data", "--data-dir", path("--data-dir", &self.data_dir)?),
            ("openai.base_url", "--openai-base-url", self.openai_base_url.clone()),
            ("openai.key_file", "--openai-key-file", path("--openai-key-file", &self.openai_key_file)?),
            ("ollama.host", "--ollama-host", self.ollama_host.clone()),
        ];
        Ok(given
            .into_iter()
            .filter_map(|(key, flag, text)| Some(FlagValue { key, flag, text: text? }))
            .collect())
    }
}

/// The operator's decisions. Clones share them, and the pace of requests.
#[derive(Debug, Clone)]
pub struct Operator(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: Config,
    key: Result<Option<Found>, SecretError>,
    limiter: Arc<Limiter>,
}

impl Operator {
    /// What a configuration decides.
    pub fn new(config: Config) -> Self {
        let key = config.openai_key();
        let limiter = Arc::new(Limiter::new(config.openai.rate));
        Self(Arc::new(Inner { config, key, limiter }))
    }

    /// The configuration in effect.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The directory of the store and of what belongs to it.
    pub fn store_directory(&self) -> &Path {
        &self.config().directories.data
    }

    /// Opens the store, making it where it is missing.
    ///
    /// # Errors
    /// It cannot be used: another version's, damaged, read-only, no space.
    pub async fn open_store(&self) -> Result<Store, Failure> {
        let redactor =
            tunesmith_store::Redactor::new(self.secrets().map(|found| found.secret.expose().to_owned()));
        let options = tunesmith_store::Options { redactor, ..tunesmith_store::Options::default() };
        Ok(Store::open(self.store_directory(), options).await?)
    }

    /// Opens the store if there is one: looking makes nothing.
    ///
    /// # Errors
    /// As for [`Operator::open_store`].
    pub async fn existing_store(&self) -> Result<Option<Store>, Failure> {
        let path = self.store_directory().join(tunesmith_store::FILE_NAME);
        match std::fs::symlink_metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            // Whatever else is the matter, opening says it best.
            _ => self.open_store().await.map(Some),
        }
    }

    /// Where the emulator of `--emulate` keeps its state.
    pub fn emulator_directory(&self) -> PathBuf {
        self.store_directory().join("emulator")
    }

    /// Where the files go that jobs write for the user.
    pub fn artifacts_directory(&self) -> PathBuf {
        self.store_directory().join("artifacts")
    }

    /// The key for OpenAI, where there is one.
    ///
    /// # Errors
    /// There is something that cannot be used; it is not shown.
    pub fn openai_key(&self) -> Result<Option<&Found>, Failure> {
        self.found_key().map_err(Failure::from)
    }

    /// The same, with what is the matter in terms that can be acted on.
    ///
    /// # Errors
    /// As for [`Operator::openai_key`].
    pub fn found_key(&self) -> Result<Option<&Found>, &SecretError> {
        self.0.key.as_ref().map(Option::as_ref)
    }

    /// How OpenAI, or the service in its place, is reached. All clients made from it
    /// share one pace.
    ///
    /// # Errors
    /// The key cannot be used.
    pub fn openai(&self) -> Result<openai::Options, Failure> {
        let settings = &self.config().openai;
        Ok(openai::Options {
            key: self.openai_key()?.cloned(),
            organization: settings.organization.clone(),
            project: settings.project.clone(),
            limiter: Arc::clone(&self.0.limiter),
            timeouts: settings.timeouts,
            ..openai::Options::new(settings.endpoint.clone())
        })
    }

    /// How Ollama is reached.
    pub fn ollama(&self) -> &config::Ollama {
        &self.config().ollama
    }

    /// Takes the secrets that are known out of texts.
    pub fn redactor(&self) -> Redactor {
        Redactor::new(self.secrets().map(|found| &found.secret))
    }

    fn secrets(&self) -> impl Iterator<Item = &Found> {
        // A key that cannot be used was not read, or was not a key.
        self.0.key.iter().flatten()
    }

    /// The plugin directory: the one given, otherwise the configured one, otherwise the
    /// user's where it exists.
    pub fn plugins(&self, given: Option<&Path>) -> Option<PathBuf> {
        if let Some(given) = given {
            return Some(given.to_owned());
        }
        let configured = self.default_plugins();
        let chosen = !matches!(self.config().origin("directories.plugins"), None | Some(Origin::Default));
        (chosen || configured.is_dir()).then(|| configured.to_owned())
    }

    /// The configured plugin directory, whether or not it exists.
    pub fn default_plugins(&self) -> &Path {
        &self.config().directories.plugins
    }

    /// What a plugin may use.
    pub fn limits(&self) -> Limits {
        let given = &self.config().limits;
        let mut limits = Limits::default();
        set(&mut limits.memory, given.memory);
        set(&mut limits.fuel, given.fuel);
        set(&mut limits.describe_deadline, given.describe_deadline);
        set(&mut limits.plan_deadline, given.plan_deadline);
        set(&mut limits.transform_deadline, given.transform_deadline);
        set(&mut limits.calls, given.calls);
        set(&mut limits.calls_per_plugin, given.calls_per_plugin);
        set(&mut limits.file, given.file);
        set(&mut limits.code_store, given.code_store);
        if let Some(deadline) = given.compile_deadline {
            limits.compile.wall = deadline;
            // All threads together can use no more than this within the wall clock.
            let threads = u32::try_from(limits.compile.threads).unwrap_or(u32::MAX);
            limits.compile.cpu = deadline.saturating_mul(threads).max(Duration::from_secs(1));
        }
        limits
    }

    /// Where everything is kept that can be made again.
    pub fn cache(&self) -> &Path {
        &self.config().directories.cache
    }

    /// Where compiled code is kept.
    pub fn code_cache(&self) -> PathBuf {
        self.cache().join("code")
    }

    /// The services that jobs are carried out at: the configured ones, or the built-in
    /// emulator.
    ///
    /// # Errors
    /// The emulator cannot be started. Whatever is wrong with a key shows when a service
    /// that needs it is first asked for.
    pub fn services(&self, emulated: bool) -> Result<Services, Failure> {
        if emulated {
            return Services::emulated(&self.emulator_directory());
        }
        let this = self.clone();
        let ollama = &self.config().ollama;
        let options = ollama::Options { endpoint: ollama.endpoint.clone(), timeouts: ollama.timeouts };
        Ok(Services::real(options, move || this.openai()))
    }

    /// What carries jobs out at these services.
    pub fn executor(&self, store: Store, services: Services, on_progress: OnProgress) -> Executor {
        let artifacts = Some(self.artifacts_directory());
        Executor::new(store, Arc::new(services), execute::Options { patience: None, artifacts, on_progress })
    }

    /// Where the datasets are that jobs name by id, as `ID.jsonl`.
    pub fn datasets(&self) -> &Path {
        &self.config().directories.datasets
    }

    /// The dataset that jobs name by this id, where the datasets directory has it.
    pub fn dataset(&self, id: &str) -> Option<PathBuf> {
        let path = self.datasets().join(format!("{id}.jsonl"));
        path.is_file().then_some(path)
    }
}

fn set<T>(limit: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *limit = given;
    }
}

/// A runtime for one command.
///
/// # Errors
/// The system refuses what it needs.
pub fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        Failure::new(Code::Failed, format!("cannot wait for services: {error}"))
            .advise("the system may be out of file descriptors or threads")
    })
}

//! The workbench: what every front end does its work with, from plain values.
//!
//! It is made from the configuration. [`Workbench::read`] and [`Workbench::plan`] plan a
//! job, with the plugins that the front end loads. [`Workbench::executor`] gives the
//! [`Executor`], which checks, submits, carries out and steers jobs, at the configured
//! services, or at others that the front end reaches. [`execute::follow()`] and
//! [`execute::outcome()`] read from the store that [`Workbench::open_store`] opens.

mod planning;

pub use planning::{Inputs, LockUse, PlanOptions, Prepared, find, price_table};

use crate::config::{Config, Origin};
use crate::execute::{self, Connect, Executor, OnProgress};
use crate::secret::SecretError;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tunesmith_core::failure::Failure;
use tunesmith_core::secret::Found;
use tunesmith_plugin_host::Limits;
use tunesmith_provider::http::Limiter;
use tunesmith_provider::{ollama, openai};
use tunesmith_store::{Redactor, Store};

/// What the operator's configuration decides. Clones share it, the clients, and the pace
/// of requests.
#[derive(Debug, Clone)]
pub struct Workbench(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: Config,
    key: Result<Option<Found>, SecretError>,
    limiter: Arc<Limiter>,
    ollama: OnceLock<ollama::client::Client>,
    openai: OnceLock<openai::client::Client>,
}

impl Workbench {
    /// A workbench with this configuration. Nothing is opened or contacted.
    pub fn new(config: Config) -> Self {
        let key = config.openai_key();
        let limiter = Arc::new(Limiter::new(config.openai.rate));
        Self(Arc::new(Inner { config, key, limiter, ollama: OnceLock::new(), openai: OnceLock::new() }))
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
        // A key that cannot be used was not read, or was not a key.
        let keys = self.0.key.iter().flatten();
        let redactor = Redactor::new(keys.map(|found| found.secret.expose().to_owned()));
        let options = tunesmith_store::Options { redactor, ..tunesmith_store::Options::default() };
        Ok(Store::open(self.store_directory(), options).await?)
    }

    /// Opens the store if there is one: looking makes nothing.
    ///
    /// # Errors
    /// As for [`Workbench::open_store`].
    pub async fn existing_store(&self) -> Result<Option<Store>, Failure> {
        let path = self.store_directory().join(tunesmith_store::FILE_NAME);
        match std::fs::symlink_metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            // Whatever else is the matter, opening says it best.
            _ => self.open_store().await.map(Some),
        }
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
    /// As for [`Workbench::openai_key`].
    pub fn found_key(&self) -> Result<Option<&Found>, &SecretError> {
        self.0.key.as_ref().map(Option::as_ref)
    }

    /// How OpenAI, or the service in its place, is reached. All clients made from it
    /// share one pace.
    ///
    /// # Errors
    /// The key cannot be used.
    pub fn openai_options(&self) -> Result<openai::client::Options, Failure> {
        let settings = &self.config().openai;
        Ok(openai::client::Options {
            key: self.openai_key()?.cloned(),
            organization: settings.organization.clone(),
            project: settings.project.clone(),
            limiter: Arc::clone(&self.0.limiter),
            timeouts: settings.timeouts,
            ..openai::client::Options::new(settings.endpoint.clone())
        })
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

    /// What carries jobs out at these services: `Arc::new(workbench.clone())` for the
    /// configured ones. It must be made within a tokio runtime.
    pub fn executor(&self, store: Store, services: Arc<dyn Connect>, on_progress: OnProgress) -> Executor {
        let artifacts = Some(self.artifacts_directory());
        Executor::new(store, services, execute::Options { patience: None, artifacts, on_progress })
    }

    /// Where the datasets are that jobs name by id, as `ID.jsonl`.
    pub fn datasets(&self) -> &Path {
        &self.config().directories.datasets
    }
}

/// The configured services. Clients are made when they are first asked for.
impl Connect for Workbench {
    fn is_emulated(&self) -> bool {
        false
    }

    fn ollama(&self) -> Result<ollama::client::Client, Failure> {
        once(&self.0.ollama, || {
            let ollama = &self.config().ollama;
            let options =
                ollama::client::Options { endpoint: ollama.endpoint.clone(), timeouts: ollama.timeouts };
            Ok(ollama::client::Client::new(options)?)
        })
    }

    fn openai(&self) -> Result<openai::client::Client, Failure> {
        once(&self.0.openai, || Ok(openai::client::Client::new(self.openai_options()?)?))
    }
}

fn once<T: Clone>(cell: &OnceLock<T>, make: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    if let Some(made) = cell.get() {
        return Ok(made.clone());
    }
    let made = make()?;
    Ok(cell.get_or_init(|| made).clone())
}

fn set<T>(limit: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *limit = given;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment, FlagValue};

    #[test]
    fn services_read_the_key_when_asked() {
        let home = tempfile::tempdir().unwrap();
        let environment: Environment = [("HOME", home.path())].into_iter().collect();
        let text = home.path().join("no-key").display().to_string();
        let flag = FlagValue { key: "openai.key_file", flag: "a flag", text };
        let workbench = Workbench::new(Config::load(&environment, None, &[flag]).unwrap());
        assert!(!workbench.is_emulated());
        workbench.ollama().unwrap();
        let error = workbench.openai().unwrap_err();
        assert!(error.message.contains("no-key"), "{error}");
    }
}

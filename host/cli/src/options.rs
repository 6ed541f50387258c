//! The options of the operator, with which every command's workbench is made.

use crate::Output;
use std::path::{Path, PathBuf};
use tunesmith_core::failure::{Code, Failure};
use tunesmith_engine::config::{Config, Environment, FlagValue};
use tunesmith_engine::workbench::Workbench;

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
    pub fn load(&self, output: &mut Output) -> Result<Workbench, Failure> {
        let config = self.config()?;
        for warning in &config.warnings {
            output.warning(warning);
        }
        Ok(Workbench::new(config))
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

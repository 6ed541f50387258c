//! What to do about a failure, as values. The layer that talks to the user puts them into
//! words and knows which command, flag or variable each of them means.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Advice {
    /// In words. Names no command, flag or variable of a front end.
    Text { text: String },

    /// Look at the list of jobs.
    ListJobs,
    /// Look at where a job stands.
    ShowJob { job: String },
    /// Watch a job that another process runs.
    FollowJob { job: String },
    /// Resume a job.
    ResumeJob { job: String },
    /// Resume a job to learn what became of a request that was perhaps sent.
    SettleJob { job: String },
    /// Take a remote job for the one that a lost request made.
    AdoptRemote { job: String, remote: String },
    /// Send a lost request again, since the service surely did not receive it.
    CreateAnew { job: String },
    /// Take a lost request for failed.
    GiveUpJob { job: String },
    /// Start a failed or canceled job again.
    RetryJob { job: String },
    /// Cancel a job.
    CancelJob { job: String },

    /// Plan the job: no more can be done with it here.
    PlanJob,
    /// Plan the job again, which makes its converted files again.
    PlanAgain,
    /// Read in the plan what a plugin wrote.
    ReadPlan { what: String },
    /// Give a plan that was written to a file.
    GivePlan,
    /// Write the job's lock; over one that says something else, if the change is meant.
    WriteLock { job: String, changed: bool },
    /// Look at the schema of job files.
    PrintSchema,

    /// Look at the list of methods, or add methods.
    ListMethods,
    /// Use one of these methods, or add methods.
    UseMethod { methods: Vec<String> },
    /// Look at what a method supports.
    ShowMethod { method: String },
    /// Run the same job at another provider.
    UseProvider { providers: Vec<String> },
    /// Fine-tune elsewhere: at a local provider, perhaps at a compatible service, or emulated.
    TrainElsewhere { compatible: bool },
    /// Try the job on the emulator.
    UseEmulator,
    /// Use the emulator again, on which the job ran.
    EmulateAgain,
    /// Do not use the emulator: the job belongs to a real service.
    LeaveEmulator,
    /// Configure the service that the job belongs to.
    UseService { service: String },

    /// Have the server fetch the base model.
    PullBase { base: String },
    /// Use a base model that the server has; `more` are not named.
    UseBase { models: Vec<String>, more: usize },
    /// Look at which models the server has.
    ListServerModels,
    /// Give the job another name, or replace the server's model.
    ReplaceModel { model: String },
    /// Check a model's name, and whether it was shut down.
    CheckModelName,
    /// Start Ollama; on this machine, or where it can be reached from this one.
    StartOllama { here: bool },
    /// Read the server's log.
    ReadServerLog,
    /// Delete models that the server does not need.
    FreeServerSpace,
    /// Check the address of a service.
    CheckAddress { service: Service, doubt: Doubt },
    /// Use an encrypted connection, or allow a plain one.
    UseHttps,
    /// Set a key for OpenAI's API.
    SetKey,
    /// Check the key.
    CheckKey,

    /// Set a key of the configuration.
    SetConfig { key: String, purpose: String },
    /// Look at the configuration.
    ShowConfig,
    /// Write a configuration file.
    WriteConfig,
    /// Choose another data directory.
    OtherDataDirectory,
    /// Set a private cache directory.
    SetCacheDirectory,
    /// Set a variable that says where the user's files lie.
    SetHome { variable: String },
    /// Have more room for temporary files.
    FreeTemporarySpace,
    /// Take permissions from others; the mode is octal.
    RestrictAccess { path: PathBuf, mode: String },

    /// Say which file a dataset id means, or put the file where it is looked for.
    PlaceDataset { id: String, path: PathBuf },
    /// Check a dataset, which lists every error.
    CheckDataset { path: Option<PathBuf> },
    /// Convert a dataset.
    ConvertDataset { path: Option<PathBuf>, to: Option<String> },
    /// Convert a dataset, which skips the rows that do not fit the format.
    SkipUnfitRows { path: PathBuf, to: String },
    /// Let the conversion repair what is safe.
    RepairRows,
    /// Drop rows that have errors.
    DropInvalidRows,
    /// Convert to another format.
    OtherFormat,
    /// Split one dataset into files that share no row.
    SplitDataset,
    /// Pass rows that a transform cannot see through as they are.
    PassUntypedRows,
    /// Drop rows that a transform cannot see.
    DropUntypedRows,
    /// Name the folder in which datasets may lie.
    SetDatasetRoot,
    /// Replace the file that exists, or write to another.
    ReplaceFile,
    /// Make the folder elsewhere.
    OtherFolder,

    /// Give the plugin of the job's method.
    GivePlugin,
    /// Give a plugin or its project.
    GiveProject,
    /// Have the plugin's author repeat the check.
    CheckPlugin,
    /// Run the plugin's golden cases.
    TestPlugin,
    /// Build the plugin against this host's contract.
    UseContract,
    /// Build the plugin with synchronous exports.
    BuildSynchronous,
    /// Build the plugin without a network client.
    BuildWithoutNetwork,
    /// Give prices, or limit the cost.
    GivePrices,
}

/// A service whose address the user configures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// Ollama.
    Ollama,
    /// OpenAI, or a service with its API.
    OpenAi,
}

/// What makes a service's address doubtful.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Doubt {
    /// Nothing listens there.
    Refused,
    /// The host cannot be reached.
    Unreachable,
    /// No secure connection can be made.
    Tls,
    /// The server wants a secure connection.
    Plain,
    /// It does not answer.
    Silent,
    /// Another program answers.
    OtherProgram,
    /// It asks for a key, which the service does not.
    AsksForKey,
    /// It does not accept this machine, or the name by which it is called.
    Denied,
    /// It redirects elsewhere.
    Redirected,
    /// Its answers are not the API's.
    Answers,
}

impl Advice {
    /// Advice in words.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }
}

impl From<&str> for Advice {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Advice {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

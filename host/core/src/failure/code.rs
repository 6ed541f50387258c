//! Every failure has one of these codes. They are stable: a code may be added, but an old
//! one keeps its name, its exit code and its meaning.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// Classes of failure, each with the exit code that scripts can rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The work itself failed.
    Failed,
    /// Wrong usage, or not possible on this provider.
    Usage,
    /// A job, dataset or setting that is not valid.
    Invalid,
    /// Refused by the operator's policy.
    Refused,
    /// A plugin failed or exceeded a limit.
    Plugin,
    /// A provider could not be reached, or refused.
    Provider,
    /// A bug in tunesmith.
    Internal,
    /// Ctrl-C.
    Interrupted,
}

impl Kind {
    /// The process's exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Invalid => 3,
            Self::Refused => 4,
            Self::Plugin => 5,
            Self::Provider => 6,
            Self::Internal => 70,
            Self::Interrupted => 130,
        }
    }

    /// The name that `--json` prints.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::Invalid => "invalid",
            Self::Refused => "refused",
            Self::Plugin => "plugin",
            Self::Provider => "provider",
            Self::Internal => "internal",
            Self::Interrupted => "interrupted",
        }
    }
}

macro_rules! codes {
    ($($variant:ident = $name:literal, $kind:ident, $meaning:literal;)+) => {
        /// What went wrong, for programs.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $meaning] $variant,)+
        }

        impl Code {
            /// Every code, in the order in which the documentation lists them.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name, in kebab case.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// Which class it belongs to.
            pub fn kind(self) -> Kind {
                match self {
                    $(Self::$variant => Kind::$kind,)+
                }
            }

            /// What it means, in a sentence.
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => $meaning,)+
                }
            }
        }
    };
}

codes! {
    Failed = "failed", Failed, "The work failed, and no other code says why.";
    Usage = "usage", Usage, "The command was used wrongly, and no other code says how.";
    Invalid = "invalid", Invalid, "An input is not valid, and no other code says which.";
    Refused = "refused", Refused, "It is not allowed, and no other code says why.";
    PluginFailed = "plugin-failed", Plugin, "A plugin failed, and no other code says how.";
    ProviderFailed = "provider-failed", Provider, "A provider failed, and no other code says how.";
    Internal = "internal", Internal, "A bug in tunesmith.";
    Interrupted = "interrupted", Interrupted, "The user interrupted the command.";

    JobFileUnreadable = "job-file-unreadable", Invalid, "The job file cannot be read.";
    JobFileInvalid = "job-file-invalid", Invalid,
        "The job file is not JSON, or a field of it is missing, unknown or invalid.";
    SettingInvalid = "setting-invalid", Invalid,
        "A setting is unknown, of the wrong type, or out of its range.";
    BaseModelInvalid = "base-model-invalid", Invalid, "The name of the base model cannot be used.";
    MethodUnknown = "method-unknown", Invalid, "There is no method of that name.";
    MethodUnsupported = "method-unsupported", Usage, "The method does not support what the job needs.";
    MethodRefused = "method-refused", Invalid, "The method does not accept the job.";
    ValidationMismatch = "validation-mismatch", Invalid,
        "The validation file has another format than the dataset.";
    LockMissing = "lock-missing", Invalid, "The job has no lock file.";
    LockInvalid = "lock-invalid", Invalid, "The lock file cannot be used.";
    LockDiffers = "lock-differs", Refused, "The lock file was made for something else.";
    StoredPlanInvalid = "stored-plan-invalid", Invalid, "The file to compare with is not a stored plan.";
    PolicyBreach = "policy-breach", Refused, "The operator's policy does not allow it.";

    ConfigInvalid = "config-invalid", Invalid, "The configuration cannot be read or is not valid.";
    EndpointInvalid = "endpoint-invalid", Invalid, "The address of a service is not valid.";
    KeyInvalid = "key-invalid", Invalid, "What should be a key cannot be one.";
    KeyFileUnreadable = "key-file-unreadable", Invalid, "The key file cannot be read.";
    KeyFileExposed = "key-file-exposed", Invalid, "Other users can read or replace the key file.";

    PriceTableInvalid = "price-table-invalid", Invalid, "The price table cannot be used.";

    DatasetUnreadable = "dataset-unreadable", Invalid, "The dataset cannot be read.";
    DatasetEmpty = "dataset-empty", Invalid, "The dataset is empty.";
    DatasetTooLarge = "dataset-too-large", Invalid, "The dataset exceeds a limit.";
    DatasetChanged = "dataset-changed", Failed, "The dataset changed while it was read.";
    DatasetInvalid = "dataset-invalid", Invalid, "Rows of the dataset have errors.";
    DatasetUnconvertible = "dataset-unconvertible", Invalid,
        "Rows of the dataset cannot be written in the wanted format.";
    RowsUntyped = "rows-untyped", Invalid, "The dataset has rows that the transform cannot see.";
    NoRowsLeft = "no-rows-left", Invalid, "The transform dropped every row.";
    NotPreferencePairs = "not-preference-pairs", Invalid,
        "The method needs preference pairs, and the dataset has none.";

    OutputExists = "output-exists", Usage, "The file or folder to write exists already.";
    OutputFailed = "output-failed", Failed, "A file cannot be written.";
    NoSpace = "no-space", Failed, "There is no room for a temporary file.";
    CacheUnusable = "cache-unusable", Failed, "There is no usable cache directory.";

    PluginDirectoryUnreadable = "plugin-directory-unreadable", Usage, "The plugin directory cannot be read.";
    PluginFileUnreadable = "plugin-file-unreadable", Plugin, "The plugin file cannot be read.";
    PluginFileInvalid = "plugin-file-invalid", Plugin, "The plugin file is not a valid plugin.";
    PluginTooLarge = "plugin-too-large", Plugin,
        "The plugin file exceeds a limit on its size, its structure or its compilation.";
    PluginImport = "plugin-import", Plugin, "The plugin imports what plugins do not have.";
    PluginContract = "plugin-contract", Plugin, "The plugin is built for another contract.";
    PluginDescriptor = "plugin-descriptor", Plugin, "What the plugin says of itself is not valid.";
    PluginSelfTest = "plugin-self-test", Plugin, "The plugin fails its own cases.";
    PluginIdTaken = "plugin-id-taken", Plugin, "Another plugin has the same id.";
    PluginIdReserved = "plugin-id-reserved", Refused, "A built-in method has the plugin's id.";
    TooManyPlugins = "too-many-plugins", Plugin, "The plugin directory has more files than the limit.";
    PluginLimit = "plugin-limit", Plugin, "The plugin exceeded a limit.";
    PluginCrashed = "plugin-crashed", Plugin, "The plugin panicked, trapped or exited.";
    PluginBrokeRules = "plugin-broke-rules", Plugin, "The plugin returned what the rules do not allow.";
    PluginBusy = "plugin-busy", Plugin, "No slot for the call became free.";
    PluginQuarantined = "plugin-quarantined", Plugin, "The plugin failed too often and is not called anymore.";
    CaseInvalid = "case-invalid", Invalid, "A golden case cannot be used.";
    ProjectMissing = "project-missing", Usage, "The folder is not a plugin project.";
    ProjectInvalid = "project-invalid", Invalid, "The project file cannot be used.";
    NameInvalid = "name-invalid", Usage, "The name cannot be used.";

    StoreNewer = "store-newer", Failed, "A later version of tunesmith made the store.";
    StoreUnusable = "store-unusable", Failed, "The store cannot be opened, read or written.";
    StoreDamaged = "store-damaged", Failed, "The store is damaged.";
    StoreExposed = "store-exposed", Refused, "Other users can write to the store's directory.";
    StoreFull = "store-full", Failed, "There is no space left for the store.";
    StoreBusy = "store-busy", Failed, "Another process keeps the store locked.";
    StoreValueInvalid = "store-value-invalid", Invalid, "The store does not accept a value.";
    StoreFault = "store-fault", Internal, "The store failed.";
    JobUnknown = "job-unknown", Usage, "There is no job with that id.";
    JobAmbiguous = "job-ambiguous", Usage, "Several job ids begin like this.";
    JobOwned = "job-owned", Usage, "Another process is running the job.";
    JobState = "job-state", Usage, "The job's state does not allow it.";
    ClaimLost = "claim-lost", Failed, "This process no longer owns the job.";
    IntentOpen = "intent-open", Failed, "The same request was perhaps sent already.";

    JobFailed = "job-failed", Failed, "The job failed.";
    JobCancelled = "job-cancelled", Failed, "The job was canceled.";
    OutcomeUnknown = "outcome-unknown", Provider, "It is not known whether the service received the job.";
    ProviderNotRunnable = "provider-not-runnable", Usage, "This version cannot run jobs of the provider.";
    PlanUnusable = "plan-unusable", Internal, "The stored plan of the job cannot be read.";
    TrainingFileChanged = "training-file-changed", Failed, "The training file is not as it was planned.";
    ServiceMismatch = "service-mismatch", Usage, "The job belongs to another service.";
    ModelExists = "model-exists", Usage, "The server already has a model of that name.";
    ContextExceeded = "context-exceeded", Invalid, "The plan needs more context than the base model has.";
    BaseModelShutDown = "base-model-shut-down", Provider, "The service has shut the base model down.";

    ConnectionRefused = "connection-refused", Provider, "Nothing listens at the service's address.";
    ServiceUnreachable = "service-unreachable", Provider, "The service cannot be reached.";
    TlsFailed = "tls-failed", Provider, "There is no secure connection to the service.";
    Timeout = "timeout", Provider, "The service did not answer in time.";
    ConnectionLost = "connection-lost", Provider, "The connection broke before the answer was whole.";
    WrongService = "wrong-service", Provider, "Something else answers at the service's address.";
    Redirected = "redirected", Provider, "The service answers with a redirect, which is not followed.";
    AnswerInvalid = "answer-invalid", Provider, "The service's answer cannot be read or is too large.";
    AccessDenied = "access-denied", Provider, "The service does not allow this key or machine to do that.";
    KeyMissing = "key-missing", Provider, "The service needs a key, and none is set.";
    KeyRejected = "key-rejected", Provider, "The service does not accept the key.";
    FineTuningClosed = "fine-tuning-closed", Provider, "The service does not let this account fine-tune.";
    NoCredit = "no-credit", Provider, "The account has no credit left.";
    RateLimited = "rate-limited", Provider, "The service received too many requests.";
    ServiceBusy = "service-busy", Provider, "The service has too many requests waiting.";
    ServiceTooOld = "service-too-old", Provider, "The service is older than the API that is needed.";
    ServiceFailed = "service-failed", Provider, "The service failed.";
    ServiceFull = "service-full", Provider, "The service has no memory or disk space left.";
    RequestRejected = "request-rejected", Provider, "The service rejected the request as invalid.";
    RequestConflict = "request-conflict", Provider, "The request conflicts with the service's state.";
    FileRejected = "file-rejected", Provider, "The service did not accept the uploaded file.";
    FileCorrupted = "file-corrupted", Provider, "The uploaded file arrived with other bytes.";
    RemoteNotFound = "remote-not-found", Provider, "The service has nothing by that id or path.";
    ModelMissing = "model-missing", Provider, "The service has no such model.";
    BaseModelMissing = "base-model-missing", Provider, "The server does not have the base model.";
    ModelNotInRegistry = "model-not-in-registry", Provider, "Ollama's registry has no such model.";
    ModelRemote = "model-remote", Provider, "The model does not run on the server that is asked.";
    LocalIo = "local-io", Failed, "A local file or connection cannot be used.";

    EmulatorInUse = "emulator-in-use", Failed, "Another emulator holds the state directory.";
    EmulatorFailed = "emulator-failed", Failed, "The emulator cannot start.";
}

impl From<Kind> for Code {
    /// The code that says no more than the class.
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Failed => Self::Failed,
            Kind::Usage => Self::Usage,
            Kind::Invalid => Self::Invalid,
            Kind::Refused => Self::Refused,
            Kind::Plugin => Self::PluginFailed,
            Kind::Provider => Self::ProviderFailed,
            Kind::Internal => Self::Internal,
            Kind::Interrupted => Self::Interrupted,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// A code that this version does not know reads as [`Code::Failed`].
impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Ok(Self::ALL.iter().copied().find(|code| code.as_str() == name).unwrap_or(Self::Failed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_unique_and_kebab_case() {
        let names: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for name in names {
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{name}");
        }
    }

    #[test]
    fn documentation_lists_every_code() {
        let rows = Code::ALL
            .iter()
            .map(|code| format!("| `{code}` | {} | {} |\n", code.kind().exit_code(), code.meaning()))
            .collect::<String>();
        let expected = format!("| Code | Exit code | Meaning |\n|---|---|---|\n{rows}");
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors.md");
        let found = std::fs::read_to_string(path).unwrap();
        let at = found.find("| Code |").unwrap();
        if found[at..] != expected
            && std::env::var_os("INSTA_UPDATE").is_some_and(|update| update == "always")
        {
            std::fs::write(path, format!("{}{expected}", &found[..at])).unwrap();
            return;
        }
        assert_eq!(found[at..], expected, "run this test with INSTA_UPDATE=always");
    }
}

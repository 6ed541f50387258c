//! The rules of `evaluate`: each one's id, how serious it is, what it is about and
//! what to do, once.

use serde::{Serialize, Serializer};
use tunesmith_core::failure::Advice;
use tunesmith_engine::policy;

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It must not be run.
    Deny,
    /// It is broken or incomplete, so that nothing can be said about running it.
    Unjudged,
    /// Somebody should look at it before it is run.
    Warn,
}

impl Severity {
    /// The word that people read.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deny => "deny",
            Self::Unjudged => "unjudged",
            Self::Warn => "warn",
        }
    }
}

macro_rules! rules {
    ($($variant:ident = $id:literal, $severity:ident, $what:literal, $fix:expr;)+) => {
        /// A rule.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Rule {
            $(#[doc = $what] $variant,)+
        }

        impl Rule {
            /// Every rule, in the order in which they are listed.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The id, which scripts can rely on.
            pub fn id(self) -> &'static str {
                match self {
                    $(Self::$variant => $id,)+
                }
            }

            /// How serious a finding of it is.
            pub fn severity(self) -> Severity {
                match self {
                    $(Self::$variant => Severity::$severity,)+
                }
            }

            /// What it is about, in a sentence.
            pub fn what(self) -> &'static str {
                match self {
                    $(Self::$variant => $what,)+
                }
            }

            /// What to do about a finding of it.
            pub fn fix(self) -> Advice {
                match self {
                    $(Self::$variant => $fix.into(),)+
                }
            }
        }
    };
}

rules! {
    JobUnreadable = "job-unreadable", Unjudged,
        "The job file cannot be read, is no regular file, is too large, or is not UTF-8.",
        "give a job file: JSON in UTF-8 of at most 256 KiB";
    JobLink = "job-link", Deny,
        "The job file is a link that leads out of its folder.",
        "copy the file that the link means, after a look at it";
    JobInvalid = "job-invalid", Unjudged,
        "The job file is not JSON, or a field of it is missing, unknown or wrong.",
        Advice::PrintSchema;
    JobOversteps = "job-oversteps", Deny,
        "The job tries to set what belongs to the operator: an endpoint, a key, a limit, a plugin.",
        "remove the field; endpoints, keys and limits come from the operator's configuration";
    JobHiddenCharacters = "job-hidden-characters", Deny,
        "A field or value of the job holds characters that do not show, or that change the order of others.",
        "remove the character, and ask the author why it was there";
    BaseModelHost = "base-model-host", Deny,
        "The base model names a registry host or a URL, from which a server would pull.",
        "pull the model yourself, then name it without a host";
    BaseModelCloud = "base-model-cloud", Deny,
        "The base model has a tag by which Ollama sends every prompt elsewhere.",
        "name a model that is on the server";
    BaseModelName = "base-model-name", Unjudged,
        "The base model's name is none that the provider has.",
        "correct the name";
    DatasetAbsolute = "dataset-absolute", Deny,
        "The job names its dataset by an absolute path.",
        "put the dataset below the dataset root, and name it relative to that";
    DatasetTraversal = "dataset-traversal", Deny,
        "The job names its dataset by a path with `..`.",
        "put the dataset below the dataset root, and name it without `..`";
    DatasetLink = "dataset-link", Deny,
        "The path of the dataset goes through a link that leads out of the dataset root.",
        "replace the link by the file that it means, after a look at it";
    DatasetSpecial = "dataset-special", Deny,
        "The dataset is a device, a pipe or a socket, or lies in a file system of the kernel's such as /proc.",
        "give a regular file";
    DatasetUnreadable = "dataset-unreadable", Unjudged,
        "The dataset is missing, unreadable, empty, or of a kind that is not read.",
        "give the dataset that the job names";
    DatasetBomb = "dataset-bomb", Deny,
        "The dataset is compressed and unpacks to far more than its size allows.",
        "unpack it yourself, if you trust who made it";
    DatasetOverBudget = "dataset-over-budget", Unjudged,
        "The dataset is larger than evaluate reads.",
        "raise policy.largest_dataset to have it read";
    DatasetInvalid = "dataset-invalid", Unjudged,
        "The dataset has errors, so that the job cannot be planned.",
        Advice::CheckDataset { path: None };
    PluginUnreadable = "plugin-unreadable", Unjudged,
        "A plugin file is missing, unreadable, or no regular file.",
        "give the .wasm file";
    PluginInvalid = "plugin-invalid", Unjudged,
        "A plugin file is no plugin that this host can run: not WebAssembly, damaged, or built for another contract.",
        "ask the author for a whole file that is built for this contract";
    PluginImports = "plugin-imports", Deny,
        "A plugin asks for more than a plugin may have, such as the network.",
        "do not use it; ask the author for a build without that import";
    PluginBomb = "plugin-bomb", Deny,
        "A plugin file exceeds a limit on its size or structure, or on what compiling it may take.",
        "do not use it; an ordinary plugin stays far below these limits";
    PluginMisbehaves = "plugin-misbehaves", Deny,
        "A plugin was stopped: it exceeded a limit, trapped or panicked.",
        Advice::CheckPlugin;
    PluginDescribesWrongly = "plugin-describes-wrongly", Deny,
        "What a plugin says of itself breaks the contract's rules.",
        Advice::CheckPlugin;
    PluginOverridesBuiltIn = "plugin-overrides-built-in", Deny,
        "A plugin has the id of a built-in method.",
        "have the author give it another id";
    PluginIdTaken = "plugin-id-taken", Deny,
        "Two plugins have the same id.",
        "give one of them alone";
    PluginBreaksRules = "plugin-breaks-rules", Deny,
        "A plugin returned a config that breaks the provider's rules.",
        "do not use it; the host would refuse the config";
    PluginNearLimits = "plugin-near-limits", Warn,
        "A plugin used more than half of the fuel or memory that it may use.",
        "ask the author why; ordinary plans take a hundredth of that";
    MethodUnknown = "method-unknown", Unjudged,
        "The job names a method that is neither built in nor given.",
        Advice::GivePlugin;
    MethodUnsupported = "method-unsupported", Unjudged,
        "The method does not support the job's provider.",
        Advice::ShowMethod { method: "METHOD".to_owned() };
    MethodRefuses = "method-refuses", Unjudged,
        "The method does not take the job.",
        "do what the method asks for";
    SettingInvalid = "setting-invalid", Unjudged,
        "A setting is unknown, of the wrong type, or out of its range.",
        "correct the setting";
    GiantContext = "giant-context", Deny,
        "The config sets a context window that can fill a server's memory.",
        "set context_window to what the job needs, or allow it with policy.largest_context";
    LargeContext = "large-context", Warn,
        "The config sets a large context window, which takes gigabytes of the server's memory.",
        "set context_window to what the job needs, or allow it with policy.largest_context";
    LongAnswer = "long-answer", Warn,
        "The config lets an answer be very long, or endless.",
        "set num_predict to what answers need, or bound it with policy.longest_answer";
    ManyExamples = "many-examples", Warn,
        "The config bakes in so many examples that each answer takes the server noticeably longer.",
        "use fewer examples";
    CostUnknown = "cost-unknown", Warn,
        "No price is known for the base model, so that the cost of the job is not known.",
        Advice::GivePrices;
    HighCost = "high-cost", Warn,
        "The job may cost more than 100 US dollars.",
        "lower n_epochs or the rows, or allow it with policy.highest_cost";
    ModelfileBreakout = "modelfile-breakout", Deny,
        "A text would end its own quotes in a Modelfile, and go on with commands.",
        "do not use it; such a text is written to run commands where it is pasted into a Modelfile";
    ModelfileInstructions = "modelfile-instructions", Warn,
        "A text has lines that a Modelfile would read as commands, were it pasted in without quotes.",
        "look at the text; tunesmith itself never pastes it";
    HiddenCharacters = "hidden-characters", Warn,
        "A text holds characters that do not show, or control characters.",
        "have a look at what stands there, and remove what has no reason to be there";
    BidiOverride = "bidi-override", Deny,
        "A text holds characters that show it in another order than a model reads it.",
        "remove the character, and ask the author why it was there";
    TagCharacters = "tag-characters", Deny,
        "A text holds tag characters, by which a text can carry a second one that only a model reads.",
        "remove the characters, and ask the author what they say";
    SecretText = "secret-text", Warn,
        "A text looks like it holds a key, a token or a private key.",
        "take it out, and make a new one if it was real: whoever has the model or the file can read it";
    WrittenSystem = "written-system", Warn,
        "A plugin put words into the system prompt that are not the dataset's.",
        Advice::ReadPlan { what: "system prompt".to_owned() };
    WrittenExamples = "written-examples", Warn,
        "A plugin put examples into the model that are not the dataset's.",
        Advice::ReadPlan { what: "examples".to_owned() };
    PolicyProviders = "policy-providers", Deny,
        "The provider is not allowed.",
        "use an allowed provider, or have the operator change policy.providers";
    PolicyBaseModels = "policy-base-models", Deny,
        "The base model is not allowed.",
        "use an allowed base model, or have the operator change policy.base_models";
    PolicyTiers = "policy-tiers", Deny,
        "A plugin is of a tier that is not allowed.",
        "use a plugin of an allowed tier, or have the operator change policy.tiers";
    PolicyPluginDigests = "policy-plugin-digests", Deny,
        "A plugin file is not among the allowed ones.",
        "have the operator look at the file and add its digest to policy.plugin_digests";
    PolicyLargestDataset = "policy-largest-dataset", Deny,
        "The dataset has more bytes than allowed.",
        "use a smaller dataset, or have the operator change policy.largest_dataset";
    PolicyMostRows = "policy-most-rows", Deny,
        "The dataset has more rows than allowed.",
        "use fewer rows, or have the operator change policy.most_rows";
    PolicyHighestCost = "policy-highest-cost", Deny,
        "The job may cost more than allowed, or its cost is not known.",
        "lower the cost, or have the operator change policy.highest_cost";
    PolicyLargestContext = "policy-largest-context", Deny,
        "The config sets a larger context window than allowed.",
        "lower context_window, or have the operator change policy.largest_context";
    PolicyLongestAnswer = "policy-longest-answer", Deny,
        "The config allows longer answers than allowed.",
        "lower num_predict, or have the operator change policy.longest_answer";
}

impl Rule {
    /// The rule for what breaks a rule of the policy.
    pub fn of_policy(name: policy::Name) -> Self {
        match name {
            policy::Name::Providers => Self::PolicyProviders,
            policy::Name::BaseModels => Self::PolicyBaseModels,
            policy::Name::Tiers => Self::PolicyTiers,
            policy::Name::PluginDigests => Self::PolicyPluginDigests,
            policy::Name::LargestDataset => Self::PolicyLargestDataset,
            policy::Name::MostRows => Self::PolicyMostRows,
            policy::Name::HighestCost => Self::PolicyHighestCost,
            policy::Name::LargestContext => Self::PolicyLargestContext,
            policy::Name::LongestAnswer => Self::PolicyLongestAnswer,
        }
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn ids_are_unique_and_texts_are_there() {
        let ids: BTreeSet<&str> = Rule::ALL.iter().map(|rule| rule.id()).collect();
        assert_eq!(ids.len(), Rule::ALL.len());
        for rule in Rule::ALL {
            assert!(rule.id().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-'), "{}", rule.id());
            assert!(rule.what().ends_with('.'), "{}", rule.id());
            let Advice::Text { text } = rule.fix() else { continue };
            assert!(!text.is_empty() && !text.ends_with('.'), "{}", rule.id());
        }
    }

    #[test]
    fn every_rule_of_the_policy_has_one_here() {
        for name in policy::Name::ALL {
            let rule = Rule::of_policy(*name);
            assert_eq!(rule.id(), name.key().replace(['.', '_'], "-"));
            assert_eq!(rule.severity(), Severity::Deny);
        }
    }
}

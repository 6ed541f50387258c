//! The rules: id, severity, description and fix of each, in one place.

use serde::{Serialize, Serializer};
use tunesmith_core::failure::Advice;
use tunesmith_engine::policy;

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It must not be run.
    Deny,
    /// It is broken or incomplete, so it cannot be vetted.
    Unjudged,
    /// Somebody should review it before it is run.
    Warn,
}

impl Severity {
    /// The name, as it is printed.
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
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Rule {
            $(#[doc = $what] $variant,)+
        }

        impl Rule {
            /// Every rule, in the order in which they are listed.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The id, which stays the same between versions.
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

            /// What it reports, in one sentence.
            pub fn what(self) -> &'static str {
                match self {
                    $(Self::$variant => $what,)+
                }
            }

            /// What to do about a finding.
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
        "The job file cannot be read, is not a regular file, is too large, or is not UTF-8.",
        "use a job file of JSON in UTF-8, at most 256 KiB";
    JobLink = "job-link", Deny,
        "The job file is a symbolic link that leads out of its folder.",
        "review the file that the link points to, then copy it";
    JobInvalid = "job-invalid", Unjudged,
        "The job file is not JSON, or has a missing, unknown or invalid field.",
        Advice::PrintSchema;
    JobOversteps = "job-oversteps", Deny,
        "The job sets something that only the operator may set: an endpoint, a key, a limit, a plugin.",
        "remove the field; endpoints, keys and limits come from the operator's configuration";
    JobHiddenCharacters = "job-hidden-characters", Deny,
        "A field or value of the job contains invisible characters, or characters that reorder text.",
        "remove the character, and ask the author why it was there";
    BaseModelHost = "base-model-host", Deny,
        "The base model names a registry host or a URL that a server would pull from.",
        "pull the model yourself, then name it without a host";
    BaseModelCloud = "base-model-cloud", Deny,
        "The base model has a tag that makes Ollama send every prompt to another server.",
        "use a model that is on the server";
    BaseModelName = "base-model-name", Unjudged,
        "The base model is not valid for the provider.",
        "correct the name";
    DatasetAbsolute = "dataset-absolute", Deny,
        "The job names its dataset by an absolute path.",
        "put the dataset below the dataset root, and use a path relative to it";
    DatasetTraversal = "dataset-traversal", Deny,
        "The job names its dataset by a path with `..`.",
        "put the dataset below the dataset root, and use a path without `..`";
    DatasetLink = "dataset-link", Deny,
        "The path of the dataset goes through a symbolic link that leads out of the dataset root.",
        "review the file that the link points to, then replace the link with it";
    DatasetSpecial = "dataset-special", Deny,
        "The dataset is a device, a pipe or a socket, or is in a kernel file system such as /proc.",
        "use a regular file";
    DatasetUnreadable = "dataset-unreadable", Unjudged,
        "The dataset is missing, unreadable, empty, or of an unsupported kind.",
        "provide the dataset that the job names";
    DatasetBomb = "dataset-bomb", Deny,
        "The dataset is compressed and unpacks to more than the limit.",
        "unpack it yourself, if you trust its author";
    DatasetOverBudget = "dataset-over-budget", Unjudged,
        "The dataset is larger than the limit of evaluate.",
        "raise policy.largest_dataset";
    DatasetInvalid = "dataset-invalid", Unjudged,
        "The dataset has errors, so the job cannot be planned.",
        Advice::CheckDataset { path: None };
    PluginUnreadable = "plugin-unreadable", Unjudged,
        "A plugin file is missing, unreadable, or not a regular file.",
        "provide the .wasm file";
    PluginInvalid = "plugin-invalid", Unjudged,
        "A plugin file cannot be run by this host: it is not WebAssembly, damaged, or built for another contract.",
        "ask the author for a complete file that is built for this contract";
    PluginImports = "plugin-imports", Deny,
        "A plugin imports something that plugins may not use, such as the network.",
        "do not use it; ask the author for a build without that import";
    PluginBomb = "plugin-bomb", Deny,
        "A plugin file exceeds a limit on size, structure or compilation.",
        "do not use it; ordinary plugins stay far below these limits";
    PluginMisbehaves = "plugin-misbehaves", Deny,
        "A plugin was stopped: it exceeded a limit, trapped or panicked.",
        Advice::CheckPlugin;
    PluginDescribesWrongly = "plugin-describes-wrongly", Deny,
        "A plugin's descriptor is invalid.",
        Advice::CheckPlugin;
    PluginOverridesBuiltIn = "plugin-overrides-built-in", Deny,
        "A plugin has the id of a built-in method.",
        "ask the author for another id";
    PluginIdTaken = "plugin-id-taken", Deny,
        "Two plugins have the same id.",
        "use only one of them";
    PluginBreaksRules = "plugin-breaks-rules", Deny,
        "A plugin returned a config that breaks the provider's rules.",
        "do not use it; the host would reject the config";
    PluginNearLimits = "plugin-near-limits", Warn,
        "A plugin used more than half of its fuel or memory limit.",
        "ask the author why; ordinary plans use a hundredth of that";
    MethodUnknown = "method-unknown", Unjudged,
        "The job names a method that is neither built in nor given.",
        Advice::GivePlugin;
    MethodUnsupported = "method-unsupported", Unjudged,
        "The method does not support the job's provider.",
        Advice::ShowMethod { method: "METHOD".to_owned() };
    MethodRefuses = "method-refuses", Unjudged,
        "The method rejects the job.",
        "follow the method's message";
    SettingInvalid = "setting-invalid", Unjudged,
        "A setting is unknown, of the wrong type, or out of range.",
        "correct the setting";
    GiantContext = "giant-context", Deny,
        "The config sets a context window that can fill a server's memory.",
        "set context_window to what the job needs, or allow it with policy.largest_context";
    LargeContext = "large-context", Warn,
        "The config sets a large context window, which takes gigabytes of the server's memory.",
        "set context_window to what the job needs, or allow it with policy.largest_context";
    LongAnswer = "long-answer", Warn,
        "The config allows very long or unbounded answers.",
        "set num_predict to what answers need, or limit it with policy.longest_answer";
    ManyExamples = "many-examples", Warn,
        "The config has so many examples that each answer takes noticeably longer.",
        "use fewer examples";
    CostUnknown = "cost-unknown", Warn,
        "The price of the base model is unknown, so the cost of the job is, too.",
        Advice::GivePrices;
    HighCost = "high-cost", Warn,
        "The job may cost more than 100 US dollars.",
        "use fewer epochs or rows, or allow it with policy.highest_cost";
    ModelfileBreakout = "modelfile-breakout", Deny,
        "A text would close its quotes in a Modelfile and continue with commands.",
        "do not use it; such a text is written to run commands when pasted into a Modelfile";
    ModelfileInstructions = "modelfile-instructions", Warn,
        "A text has lines that become commands when pasted into a Modelfile without quotes.",
        "review the text; tunesmith itself never pastes it";
    HiddenCharacters = "hidden-characters", Warn,
        "A text contains invisible or control characters.",
        "review the characters, and remove those without a reason";
    BidiOverride = "bidi-override", Deny,
        "A text contains characters that display it in another order than a model reads it.",
        "remove the character, and ask the author why it was there";
    TagCharacters = "tag-characters", Deny,
        "A text contains tag characters, which can hide a second text that only a model reads.",
        "remove the characters, and ask the author what they mean";
    SecretText = "secret-text", Warn,
        "A text seems to contain an API key, a token or a private key.",
        "remove it, and revoke it if it was real: whoever has the model or the file can read it";
    WrittenSystem = "written-system", Warn,
        "A plugin added text to the system prompt that is not from the dataset.",
        Advice::ReadPlan { what: "system prompt".to_owned() };
    WrittenExamples = "written-examples", Warn,
        "A plugin added examples that are not from the dataset.",
        Advice::ReadPlan { what: "examples".to_owned() };
    PolicyProviders = "policy-providers", Deny,
        "The provider is not allowed.",
        "use an allowed provider, or ask the operator to change policy.providers";
    PolicyBaseModels = "policy-base-models", Deny,
        "The base model is not allowed.",
        "use an allowed base model, or ask the operator to change policy.base_models";
    PolicyTiers = "policy-tiers", Deny,
        "A plugin has a tier that is not allowed.",
        "use a plugin with an allowed tier, or ask the operator to change policy.tiers";
    PolicyPluginDigests = "policy-plugin-digests", Deny,
        "A plugin file is not on the list of allowed files.",
        "ask the operator to review the file and add its digest to policy.plugin_digests";
    PolicyLargestDataset = "policy-largest-dataset", Deny,
        "The dataset is larger than allowed.",
        "use a smaller dataset, or ask the operator to change policy.largest_dataset";
    PolicyMostRows = "policy-most-rows", Deny,
        "The dataset has more rows than allowed.",
        "use fewer rows, or ask the operator to change policy.most_rows";
    PolicyHighestCost = "policy-highest-cost", Deny,
        "The job may cost more than allowed, or its cost is unknown.",
        "lower the cost, or ask the operator to change policy.highest_cost";
    PolicyLargestContext = "policy-largest-context", Deny,
        "The config sets a larger context window than allowed.",
        "lower context_window, or ask the operator to change policy.largest_context";
    PolicyLongestAnswer = "policy-longest-answer", Deny,
        "The config allows longer answers than allowed.",
        "lower num_predict, or ask the operator to change policy.longest_answer";
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

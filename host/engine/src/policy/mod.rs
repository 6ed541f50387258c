//! The operator's policy: which providers, models and plugins may be used, and how
//! much a job may take.
//!
//! A rule that is absent allows everything. `plan`, `run` and `evaluate` refuse what
//! breaks one, naming the rule, where it stands and what broke it. It does not know
//! where rules come from: [`crate::config`] reads them from the section `[policy]`.

mod pattern;

pub use pattern::Pattern;
use serde::Serialize;
use std::fmt;
use tunesmith_core::ProviderId;
use tunesmith_core::digest::Digest;
use tunesmith_core::failure::{Advice, Code};
use tunesmith_core::text::{grouped, quoted};
use tunesmith_plugin_host::{Plugin, Source, Tier};
use tunesmith_provider::money::Money;
use tunesmith_provider::openai::Cost;

/// Declares the rules: their names, keys and meanings, once.
macro_rules! rules {
    ($($(#[doc = $doc:literal])+ $variant:ident = $key:literal, $id:literal;)+) => {
        /// The rules of a policy.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Name {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl Name {
            /// Every rule.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The key in `config.toml`.
            pub fn key(self) -> &'static str {
                match self {
                    $(Self::$variant => $key,)+
                }
            }

            /// The id of the rule in the findings of `evaluate`.
            pub fn id(self) -> &'static str {
                match self {
                    $(Self::$variant => $id,)+
                }
            }
        }
    };
}

rules! {
    /// Which providers may be used.
    Providers = "policy.providers", "policy-providers";
    /// Which base models may be used.
    BaseModels = "policy.base_models", "policy-base-models";
    /// Which tiers of plugins may be used.
    Tiers = "policy.tiers", "policy-tiers";
    /// Which plugin files may be used.
    PluginDigests = "policy.plugin_digests", "policy-plugin-digests";
    /// How many bytes a dataset may have.
    LargestDataset = "policy.largest_dataset", "policy-largest-dataset";
    /// How many rows a dataset may have.
    MostRows = "policy.most_rows", "policy-most-rows";
    /// What a job may cost.
    HighestCost = "policy.highest_cost", "policy-highest-cost";
    /// How large a context window a model may get.
    LargestContext = "policy.largest_context", "policy-largest-context";
    /// How long an answer a model may be set to give.
    LongestAnswer = "policy.longest_answer", "policy-longest-answer";
}

impl Serialize for Name {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.key())
    }
}

/// A rule: what it allows, and where that is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule<T> {
    /// What is allowed.
    pub allows: T,
    /// Where it is written, such as `config.toml:12` or `$TUNESMITH_POLICY_TIERS`.
    pub place: String,
}

/// The operator's policy.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Policy {
    /// Providers that may be used.
    pub providers: Option<Rule<Vec<ProviderId>>>,
    /// Base models that may be used: one of the patterns fits.
    pub base_models: Option<Rule<Vec<Pattern>>>,
    /// Tiers that a plugin file may have.
    pub tiers: Option<Rule<Vec<Tier>>>,
    /// SHA-256 of the plugin files that may be used.
    pub plugin_digests: Option<Rule<Vec<Digest>>>,
    /// Whether a plugin file may take the place of a built-in method.
    pub override_built_ins: bool,
    /// Bytes that a dataset may have, without compression.
    pub largest_dataset: Option<Rule<u64>>,
    /// Rows that a dataset may have.
    pub most_rows: Option<Rule<u64>>,
    /// What a job may cost in US dollars, at the most that its estimate allows.
    pub highest_cost: Option<Rule<Money>>,
    /// Tokens of context that a config may set.
    pub largest_context: Option<Rule<u32>>,
    /// Tokens of an answer that a config may set.
    pub longest_answer: Option<Rule<u32>>,
}

/// What broke a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Breach {
    /// The rule.
    pub rule: Name,
    /// Where the rule is written.
    pub place: String,
    /// What broke it, with what would be allowed.
    pub what: String,
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} at {})", self.what, self.rule.key(), self.place)
    }
}

impl std::error::Error for Breach {}

impl Breach {
    /// What scripts can rely on.
    pub fn code(&self) -> Code {
        Code::PolicyBreach
    }

    /// What to do about it.
    pub fn advice(&self) -> Advice {
        format!(
            "use what the policy allows, or have the operator change {} at {}",
            self.rule.key(),
            self.place
        )
        .into()
    }
}

/// The answer of a check.
pub type Checked = Result<(), Breach>;

/// Whether a rule, where there is one, allows something; `what` says what it does not.
fn check<T>(
    name: Name,
    rule: Option<&Rule<T>>,
    allowed: impl FnOnce(&T) -> bool,
    what: impl FnOnce(&T) -> String,
) -> Checked {
    match rule {
        Some(rule) if !allowed(&rule.allows) => {
            Err(Breach { rule: name, place: rule.place.clone(), what: what(&rule.allows) })
        }
        _ => Ok(()),
    }
}

fn listed<T: fmt::Display>(list: &[T]) -> String {
    match list {
        [] => "none is".to_owned(),
        [one] => format!("only {one} is"),
        _ => format!("{} are", list.iter().map(T::to_string).collect::<Vec<_>>().join(", ")),
    }
}

impl Policy {
    /// Whether a plugin file may take the place of a built-in method.
    pub fn overrides_built_ins(&self) -> bool {
        self.override_built_ins
    }

    /// The provider of a job.
    ///
    /// # Errors
    /// It is not one of the allowed ones.
    pub fn provider(&self, provider: ProviderId) -> Checked {
        check(
            Name::Providers,
            self.providers.as_ref(),
            |allowed| allowed.contains(&provider),
            |allowed| format!("provider {provider} is not allowed; {}", listed(allowed)),
        )
    }

    /// The base model of a job, as the job names it.
    ///
    /// # Errors
    /// No allowed pattern fits.
    pub fn base_model(&self, name: &str) -> Checked {
        check(
            Name::BaseModels,
            self.base_models.as_ref(),
            |allowed| allowed.iter().any(|pattern| pattern.fits(name)),
            |allowed| format!("base model {} is not allowed; {}", quoted(name), listed(allowed)),
        )
    }

    /// A plugin that a job uses. Built-in methods are part of the program and always
    /// allowed.
    ///
    /// # Errors
    /// Its tier or its file is not allowed.
    pub fn plugin(&self, plugin: &Plugin) -> Checked {
        match plugin.source() {
            Source::BuiltIn => Ok(()),
            Source::File(_) => self.plugin_file(plugin.id(), plugin.tier(), plugin.digest()),
        }
    }

    /// A plugin file.
    ///
    /// # Errors
    /// As for [`Policy::plugin`].
    pub fn plugin_file(&self, id: &str, tier: Tier, digest: Digest) -> Checked {
        check(
            Name::Tiers,
            self.tiers.as_ref(),
            |allowed| allowed.contains(&tier),
            |allowed| format!("plugin {} is of the {tier} tier; {} allowed", quoted(id), listed(allowed)),
        )?;
        check(
            Name::PluginDigests,
            self.plugin_digests.as_ref(),
            |allowed| allowed.contains(&digest),
            |allowed| {
                let count = allowed.len();
                format!("plugin {} is sha256:{digest}, which is not among the {count} allowed", quoted(id))
            },
        )
    }

    /// The size of a dataset in bytes.
    ///
    /// # Errors
    /// It has more than is allowed.
    pub fn dataset_bytes(&self, bytes: u64) -> Checked {
        check(
            Name::LargestDataset,
            self.largest_dataset.as_ref(),
            |most| bytes <= *most,
            |most| {
                let (bytes, most) = (grouped(bytes.into()), grouped((*most).into()));
                format!("the dataset has {bytes} bytes; at most {most} are allowed")
            },
        )
    }

    /// The rows of a dataset.
    ///
    /// # Errors
    /// It has more than are allowed.
    pub fn dataset_rows(&self, rows: u64) -> Checked {
        check(
            Name::MostRows,
            self.most_rows.as_ref(),
            |most| rows <= *most,
            |most| {
                let (rows, most) = (grouped(rows.into()), grouped((*most).into()));
                format!("the dataset has {rows} rows; at most {most} are allowed")
            },
        )
    }

    /// What a job costs. A cost that is not known is not known to be low enough.
    ///
    /// # Errors
    /// It may cost more than is allowed.
    pub fn cost(&self, cost: &Cost) -> Checked {
        let most = match cost {
            Cost::Exact { usd } => Some(*usd),
            Cost::Range { most, .. } => Some(*most),
            Cost::NoPrice => None,
        };
        check(
            Name::HighestCost,
            self.highest_cost.as_ref(),
            |highest| most.is_some_and(|most| most <= *highest),
            |highest| match most {
                Some(most) => format!("the job may cost {most}; at most {highest} is allowed"),
                None => format!(
                    "no price is known for the job, so that nothing shows it to stay within {highest}"
                ),
            },
        )
    }

    /// The context window that a config sets, in tokens.
    ///
    /// # Errors
    /// It is larger than allowed.
    pub fn context_window(&self, tokens: u32) -> Checked {
        check(
            Name::LargestContext,
            self.largest_context.as_ref(),
            |most| tokens <= *most,
            |most| {
                let (tokens, most) = (grouped(tokens.into()), grouped((*most).into()));
                format!("the context window has {tokens} tokens; at most {most} are allowed")
            },
        )
    }

    /// The longest answer that a config sets: Ollama's `num_predict`, whose negative
    /// values mean no bound.
    ///
    /// # Errors
    /// It is longer than allowed.
    pub fn answer(&self, num_predict: i32) -> Checked {
        check(
            Name::LongestAnswer,
            self.longest_answer.as_ref(),
            |most| u32::try_from(num_predict).is_ok_and(|tokens| tokens <= *most),
            |most| {
                let most = grouped((*most).into());
                if num_predict < 0 {
                    format!(
                        "num_predict {num_predict} sets no bound to an answer; at most {most} tokens are allowed"
                    )
                } else {
                    format!(
                        "num_predict lets an answer have {num_predict} tokens; at most {most} are allowed"
                    )
                }
            },
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule<T>(allows: T) -> Option<Rule<T>> {
        Some(Rule { allows, place: "config.toml:7".into() })
    }

    #[test]
    fn without_rules_everything_is_allowed() {
        let policy = Policy::default();
        assert_eq!(policy.provider(ProviderId::OpenAi), Ok(()));
        assert_eq!(policy.base_model("anything"), Ok(()));
        assert_eq!(policy.plugin_file("x", Tier::Std, Digest::of(b"x")), Ok(()));
        assert_eq!(policy.dataset_bytes(u64::MAX), Ok(()));
        assert_eq!(policy.dataset_rows(u64::MAX), Ok(()));
        assert_eq!(policy.cost(&Cost::NoPrice), Ok(()));
        assert_eq!(policy.context_window(u32::MAX), Ok(()));
        assert_eq!(policy.answer(-1), Ok(()));
        assert!(!policy.overrides_built_ins());
    }

    #[test]
    fn what_breaks_a_rule_is_named_with_its_place() {
        let dollars = |dollars| Money::from_dollars(dollars).unwrap();
        let policy = Policy {
            providers: rule(vec![ProviderId::Ollama]),
            base_models: rule(vec![Pattern::new("llama3*"), Pattern::new("qwen*")]),
            tiers: rule(vec![Tier::Pure]),
            plugin_digests: rule(vec![Digest::of(b"known")]),
            override_built_ins: false,
            largest_dataset: rule(1_000),
            most_rows: rule(10),
            highest_cost: rule(dollars(5.0)),
            largest_context: rule(8_192),
            longest_answer: rule(512),
        };
        let range = Cost::Range { least: dollars(1.0), likely: dollars(3.0), most: dollars(25.0) };
        let breaches = [
            policy.provider(ProviderId::OpenAi),
            policy.base_model("gpt-4.1\u{202e}"),
            policy.plugin_file("x", Tier::Std, Digest::of(b"known")),
            policy.plugin_file("x", Tier::Pure, Digest::of(b"other")),
            policy.dataset_bytes(1_001),
            policy.dataset_rows(11),
            policy.cost(&Cost::Exact { usd: dollars(5.01) }),
            policy.cost(&range),
            policy.cost(&Cost::NoPrice),
            policy.context_window(8_193),
            policy.answer(513),
            policy.answer(-1),
        ];
        let said: Vec<String> = breaches.into_iter().map(|breach| breach.unwrap_err().to_string()).collect();
        insta::assert_snapshot!(said.join("\n"));

        assert_eq!(policy.provider(ProviderId::Ollama), Ok(()));
        assert_eq!(policy.base_model("qwen2.5:7b"), Ok(()));
        assert_eq!(policy.plugin_file("x", Tier::Pure, Digest::of(b"known")), Ok(()));
        assert_eq!(policy.dataset_bytes(1_000), Ok(()));
        assert_eq!(policy.dataset_rows(10), Ok(()));
        assert_eq!(policy.cost(&Cost::Exact { usd: dollars(5.0) }), Ok(()));
        assert_eq!(policy.context_window(8_192), Ok(()));
        assert_eq!(policy.answer(512), Ok(()));
    }

    #[test]
    fn an_empty_list_allows_nothing() {
        let policy = Policy { providers: rule(vec![]), ..Policy::default() };
        let breach = policy.provider(ProviderId::Local).unwrap_err();
        assert_eq!(
            breach.to_string(),
            "provider local is not allowed; none is (policy.providers at config.toml:7)"
        );
    }
}

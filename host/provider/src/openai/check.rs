//! Checks what a method wants of OpenAI: objective, suffix, hyperparameters, and
//! given settings.

use super::hyperparameters::{Auto, HYPERPARAMETERS, Hyperparameters};
use crate::accepts::check_all;
use crate::settings::given_common;
use crate::violation::{LONGEST_SUFFIX, List, Report, Violation, Violations, check_notes};
use serde::{Deserialize, Serialize};
use std::fmt;
use tunesmith_core::contract::{JobSetting, OpenAiConfig, Value};
use tunesmith_core::text::visible;

/// What training aims at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Objective {
    /// To answer as the examples do.
    Supervised,
    /// To prefer one answer over another.
    Dpo,
}

impl Objective {
    /// The name that OpenAI uses.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Supervised => "supervised",
            Self::Dpo => "dpo",
        }
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A config that was checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tuning {
    /// What training aims at.
    pub objective: Objective,
    /// Part of the tuned model's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
    /// The hyperparameters, under OpenAI's names.
    pub hyperparameters: Hyperparameters,
    /// The seed, if the job gives one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u32>,
    /// What the method says about its choices.
    pub notes: Vec<String>,
}

impl Tuning {
    /// What the choice of a method becomes at OpenAI, in one sentence.
    pub fn becomes(&self, method: &str) -> String {
        let mut parts = vec![self.objective.to_string()];
        let hyper = &self.hyperparameters;
        if let Auto::Value(epochs) = hyper.n_epochs {
            parts.push(format!("{epochs} epoch{}", if epochs == 1 { "" } else { "s" }));
        }
        if let Auto::Value(size) = hyper.batch_size {
            parts.push(format!("batch size {size}"));
        }
        if let Auto::Value(multiplier) = hyper.learning_rate_multiplier {
            parts.push(format!("learning-rate multiplier {multiplier}"));
        }
        if let Some(Auto::Value(beta)) = hyper.beta {
            parts.push(format!("beta {beta}"));
        }
        if let Some(suffix) = &self.suffix {
            parts.push(format!("suffix {suffix}"));
        }
        format!(
            "your choice of {} becomes: {}; OpenAI chooses the technique and everything else",
            visible(method),
            parts.join(", ")
        )
    }
}

/// The settings that OpenAI takes as hyperparameters under the same name.
const HONOURED: [&str; 3] = ["n_epochs", "batch_size", "learning_rate_multiplier"];

/// Checks a config that a method returned. `settings` are the job's, as the method
/// got them: a hyperparameter that the method left out is filled in with the given
/// value, and one that says otherwise is a violation.
///
/// # Errors
/// Every rule that the config breaks.
pub fn check(config: &OpenAiConfig, settings: &[JobSetting]) -> Result<Tuning, Violations> {
    let mut report = Report::default();
    check_notes(&config.notes, &mut report);
    let objective = match config.objective.as_str() {
        "dpo" => Objective::Dpo,
        "supervised" => Objective::Supervised,
        other => {
            report.add(Violation::UnknownObjective { found: other.to_owned() });
            Objective::Supervised
        }
    };
    if let Some(suffix) = &config.suffix
        && !is_suffix(suffix)
    {
        report.add(Violation::BadSuffix { found: suffix.clone() });
    }
    let list = List::OpenAiHyperparameter;
    let mut hyperparameters = Hyperparameters::default();
    if objective == Objective::Dpo {
        hyperparameters.beta = Some(Auto::Auto);
    }
    let returned = check_all(list, HYPERPARAMETERS, &config.hyperparameters, |found| report.add(found));
    for &(entry, value) in &returned {
        if entry.name == "beta" && objective == Objective::Supervised {
            let to = "the objective supervised".to_owned();
            report.add(Violation::NotApplicable { list, name: entry.name, to });
        } else {
            hyperparameters.set_checked(entry.name, value);
        }
    }
    for name in HONOURED {
        match given_common(settings, name) {
            Ok(Some(value)) => {
                let returned = returned.iter().find(|(entry, _)| entry.name == name);
                if let Some((entry, returned)) = returned
                    && returned.as_f64() != value.as_f64()
                {
                    report.add(Violation::NotHonoured {
                        setting: name,
                        given: value.to_string(),
                        list,
                        name: entry.name,
                        returned: returned.to_string(),
                    });
                }
                hyperparameters.set_checked(name, value);
            }
            Ok(None) => {}
            Err(violation) => report.add(violation),
        }
    }
    let seed = match given_common(settings, "seed") {
        Ok(Some(Value::Integer(seed))) => u32::try_from(*seed).ok(),
        Ok(_) => None,
        Err(violation) => {
            report.add(violation);
            None
        }
    };
    let (suffix, notes) = (config.suffix.clone(), config.notes.clone());
    report.finish(Tuning { objective, suffix, hyperparameters, seed, notes })
}

fn is_suffix(suffix: &str) -> bool {
    (1..=LONGEST_SUFFIX).contains(&suffix.len())
        && suffix.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
        && !suffix.starts_with('-')
        && !suffix.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use tunesmith_core::contract::{Origin, Setting};

    fn config(hyperparameters: &[(&str, Value)]) -> OpenAiConfig {
        OpenAiConfig {
            objective: "supervised".into(),
            suffix: Some("lora".into()),
            hyperparameters: hyperparameters
                .iter()
                .map(|(name, value)| Setting { name: (*name).into(), value: value.clone() })
                .collect(),
            notes: vec![],
        }
    }

    fn given(name: &str, value: Value) -> JobSetting {
        JobSetting { name: name.into(), value, origin: Origin::Given }
    }

    #[test]
    fn what_a_choice_becomes() {
        let tuning = check(
            &config(&[("learning_rate_multiplier", Value::Number(0.5))]),
            &[given("seed", Value::Integer(7)), given("n_epochs", Value::Integer(3))],
        )
        .unwrap();
        assert_eq!(
            tuning.becomes("lora"),
            "your choice of lora becomes: supervised, 3 epochs, learning-rate multiplier 0.5, suffix lora; \
             OpenAI chooses the technique and everything else"
        );
        assert_eq!(
            serde_json::to_string(&tuning).unwrap(),
            r#"{"objective":"supervised","suffix":"lora","hyperparameters":{"n_epochs":3,"batch_size":"auto","learning_rate_multiplier":0.5},"seed":7,"notes":[]}"#
        );
    }

    #[test]
    fn each_lie_has_its_message() {
        let with = |change: fn(&mut OpenAiConfig)| {
            let mut config = config(&[]);
            change(&mut config);
            check(&config, &[]).unwrap_err().to_string()
        };
        let one = |name: &str, value: Value| check(&config(&[(name, value)]), &[]).unwrap_err().to_string();
        let messages = [
            with(|config| config.objective = "reinforcement".into()),
            with(|config| config.suffix = Some("LoRA".into())),
            with(|config| config.suffix = Some("a:b".into())),
            with(|config| config.suffix = Some(String::new())),
            with(|config| config.suffix = Some("-a".into())),
            with(|config| config.suffix = Some("nineteen-characters".into())),
            with(|config| config.notes = vec!["x".into(); 33]),
            with(|config| config.notes = vec!["x".repeat(2001)]),
            one("epochs", Value::Integer(3)),
            one("n_epoch", Value::Integer(3)),
            one("n_epochs", Value::Number(3.0)),
            one("n_epochs", Value::Text("auto".into())),
            one("n_epochs", Value::Integer(0)),
            one("n_epochs", Value::Integer(51)),
            one("batch_size", Value::Integer(257)),
            one("learning_rate_multiplier", Value::Number(0.0)),
            one("learning_rate_multiplier", Value::Number(f64::INFINITY)),
            one("learning_rate_multiplier", Value::Number(1e9)),
            one("beta", Value::Number(0.1)),
            check(
                &config(&[("n_epochs", Value::Integer(5))]),
                &[given("n_epochs", Value::Integer(3)), given("batch_size", Value::Integer(900))],
            )
            .unwrap_err()
            .to_string(),
        ];
        insta::assert_snapshot!(messages.join("\n"));
    }

    #[test]
    fn preferences_have_a_beta() {
        let mut config = config(&[("beta", Value::Number(0.1))]);
        config.objective = "dpo".into();
        let tuning = check(&config, &[]).unwrap();
        assert_eq!(tuning.hyperparameters.beta, Some(Auto::Value(0.1)));
        config.hyperparameters.clear();
        assert_eq!(check(&config, &[]).unwrap().hyperparameters.beta, Some(Auto::Auto));
    }

    #[test]
    fn a_default_of_the_job_binds_nobody() {
        let settings = [JobSetting { origin: Origin::Default, ..given("n_epochs", Value::Integer(3)) }];
        let tuning = check(&config(&[("n_epochs", Value::Integer(5))]), &settings).unwrap();
        assert_eq!(tuning.hyperparameters.n_epochs, Auto::Value(5));
    }
}

//! Checks how a method wants weights to be trained: technique, settings, and given
//! settings.

use super::techniques::{ALL_LINEAR, SETTINGS, Technique};
use crate::accepts::check_all;
use crate::settings::given_common;
use crate::violation::{List, Report, Violation, Violations, check_notes};
use serde::de::Error as _;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use tunesmith_core::contract::{JobSetting, Recipe, Value};
use tunesmith_core::text::quoted;

/// A recipe that was checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrainingRecipe {
    /// The technique.
    pub technique: Technique,
    /// Its settings, under the names of the closed list.
    pub settings: RecipeSettings,
    /// The longest training sequence in tokens, if the job gives context_window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest_sequence: Option<u32>,
    /// The seed, if the job gives one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u32>,
    /// What the method says about its choices.
    pub notes: Vec<String>,
}

/// Checked settings, in the closed list's order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RecipeSettings {
    values: BTreeMap<usize, Value>,
}

impl RecipeSettings {
    /// The value of a setting.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(&place(name)?)
    }

    /// A whole number's value; checked ones are not negative.
    pub fn whole(&self, name: &str) -> Option<u64> {
        match self.get(name) {
            Some(Value::Integer(value)) => u64::try_from(*value).ok(),
            _ => None,
        }
    }

    /// A list's value.
    pub fn texts(&self, name: &str) -> Option<&[String]> {
        match self.get(name) {
            Some(Value::Texts(texts)) => Some(texts),
            _ => None,
        }
    }

    /// Name and value, in the list's order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.values.iter().filter_map(|(&place, value)| Some((SETTINGS.get(place)?.name, value)))
    }

    fn set(&mut self, name: &str, value: &Value) {
        if let Some(place) = place(name) {
            self.values.insert(place, value.clone());
        }
    }
}

impl Serialize for RecipeSettings {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.values.len()))?;
        for (name, value) in self.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for RecipeSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut values = BTreeMap::new();
        for (name, value) in BTreeMap::<String, Value>::deserialize(deserializer)? {
            let unknown = || D::Error::custom(format_args!("unknown setting {}", quoted(&name)));
            values.insert(place(&name).ok_or_else(unknown)?, value);
        }
        Ok(Self { values })
    }
}

fn place(name: &str) -> Option<usize> {
    SETTINGS.iter().position(|entry| entry.name == name)
}

/// The settings that a recipe takes under the same name.
const HONOURED: [&str; 3] = ["learning_rate", "n_epochs", "batch_size"];

/// Checks a recipe that a method returned. `settings` are the job's, as the method
/// got them: a setting that the method left out is filled in with the given value,
/// and one that says otherwise is a violation.
///
/// # Errors
/// Every rule that the recipe breaks.
pub fn check(recipe: &Recipe, settings: &[JobSetting]) -> Result<TrainingRecipe, Violations> {
    let list = List::RecipeSetting;
    let mut report = Report::default();
    check_notes(&recipe.notes, &mut report);
    let technique = Technique::parse(&recipe.technique);
    if technique.is_none() {
        let nearest = Technique::nearest(&recipe.technique);
        report.add(Violation::UnknownTechnique { found: recipe.technique.clone(), nearest });
    }
    let returned = check_all(list, SETTINGS, &recipe.settings, |found| report.add(found));
    let mut checked = RecipeSettings::default();
    for &(entry, value) in &returned {
        checked.set(entry.name, value);
    }
    if checked.texts("target_modules").is_some_and(|modules| modules == [ALL_LINEAR]) {
        checked.set("target_modules", &Value::Text(ALL_LINEAR.to_owned()));
    }
    for name in HONOURED {
        match given_common(settings, name) {
            Ok(Some(value)) => {
                if let Some(returned) = checked.get(name)
                    && returned.as_f64() != value.as_f64()
                {
                    report.add(Violation::NotHonoured {
                        setting: name,
                        given: value.to_string(),
                        list,
                        name,
                        returned: returned.to_string(),
                    });
                }
                checked.set(name, value);
            }
            Ok(None) => {}
            Err(violation) => report.add(violation),
        }
    }
    let mut whole = |name| match given_common(settings, name) {
        Ok(Some(Value::Integer(value))) => u32::try_from(*value).ok(),
        Ok(_) => None,
        Err(violation) => {
            report.add(violation);
            None
        }
    };
    let (longest_sequence, seed) = (whole("context_window"), whole("seed"));
    if let Some(technique) = technique {
        check_technique(technique, &checked, recipe, &mut report);
    }
    report.finish(TrainingRecipe {
        // When the name is not known, the report is not empty and this is not used.
        technique: technique.unwrap_or(Technique::Full),
        settings: checked,
        longest_sequence,
        seed,
        notes: recipe.notes.clone(),
    })
}

/// The rules between technique and settings.
fn check_technique(technique: Technique, checked: &RecipeSettings, recipe: &Recipe, report: &mut Report) {
    let list = List::RecipeSetting;
    for (name, _) in checked.iter() {
        if !technique.takes(name) {
            report.add(Violation::NotApplicable { list, name, to: format!("the technique {technique}") });
        }
    }
    for &name in technique.required_settings() {
        // One that is there but wrong was reported already.
        if !recipe.settings.iter().any(|setting| setting.name == name) {
            report.add(Violation::Missing { list, name, needed_by: format!("the technique {technique}") });
        }
    }
    if let Some(Value::Text(chosen)) = checked.get("initialization") {
        let allowed = technique.initializations();
        if !allowed.is_empty() && !allowed.contains(&chosen.as_str()) {
            report.add(Violation::OutOfRange {
                list,
                name: "initialization",
                accepted: format!("one of {} for the technique {technique}", allowed.join(", ")),
                found: chosen.clone(),
            });
        }
    }
    let modules = checked.texts("target_modules").unwrap_or_default();
    for module in modules {
        let ordinary = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
        if !module.bytes().all(ordinary) || module == ALL_LINEAR {
            report.add(Violation::BadModuleName { found: module.clone() });
        }
    }
    if checked.texts("target_modules").is_some_and(<[String]>::is_empty) {
        report.add(Violation::Missing {
            list,
            name: "target_modules",
            needed_by: "at least one layer".to_owned(),
        });
    }
    check_quantization(checked, report);
}

fn check_quantization(checked: &RecipeSettings, report: &mut Report) {
    let bits = checked.whole("quantization_bits");
    if let Some(bits @ 5..=7) = bits {
        report.add(Violation::OutOfRange {
            list: List::RecipeSetting,
            name: "quantization_bits",
            accepted: "4 or 8".to_owned(),
            found: bits.to_string(),
        });
    }
    let kind = match checked.get("quantization_type") {
        Some(Value::Text(kind)) => Some(kind.as_str()),
        _ => None,
    };
    match (bits, kind) {
        (Some(4), Some("int8")) => contradict(report, "quantization_type int8 has 8 bits, not 4"),
        (Some(8), Some(kind @ ("nf4" | "fp4"))) => {
            contradict(report, &format!("quantization_type {kind} has 4 bits, not 8; it must be int8"));
        }
        _ => {}
    }
    if bits == Some(8) && checked.get("double_quantization") == Some(&Value::Flag(true)) {
        contradict(report, "double_quantization is only for quantization_bits 4");
    }
}

fn contradict(report: &mut Report, what: &str) {
    report.add(Violation::Contradiction { what: what.to_owned() });
}

#[cfg(test)]
mod tests {
    use super::*;
    use tunesmith_core::contract::{Origin, Setting};

    fn recipe(technique: &str, settings: &[(&str, Value)]) -> Recipe {
        Recipe {
            technique: technique.into(),
            settings: settings
                .iter()
                .map(|(name, value)| Setting { name: (*name).into(), value: value.clone() })
                .collect(),
            notes: vec![],
        }
    }

    fn given(name: &str, value: Value) -> JobSetting {
        JobSetting { name: name.into(), value, origin: Origin::Given }
    }

    fn texts(texts: &[&str]) -> Value {
        Value::Texts(texts.iter().map(|&text| text.to_owned()).collect())
    }

    #[test]
    fn an_honest_recipe_passes_with_what_the_job_gives() {
        let recipe = recipe(
            "qlora",
            &[
                ("quantization_type", Value::Text("nf4".into())),
                ("quantization_bits", Value::Integer(4)),
                ("double_quantization", Value::Flag(true)),
                ("rank", Value::Integer(8)),
                ("alpha", Value::Integer(16)),
                ("dropout", Value::Number(0.1)),
                ("target_modules", texts(&["all-linear"])),
                ("learning_rate", Value::Number(2e-4)),
            ],
        );
        let settings = [
            given("n_epochs", Value::Integer(3)),
            given("context_window", Value::Integer(2048)),
            given("seed", Value::Integer(7)),
            given("temperature", Value::Number(0.7)),
        ];
        insta::assert_json_snapshot!(check(&recipe, &settings).unwrap());
    }

    #[test]
    fn each_lie_has_its_message() {
        let of = |technique: &str, settings: &[(&str, Value)]| {
            check(&recipe(technique, settings), &[]).unwrap_err().to_string()
        };
        let rank = ("rank", Value::Integer(8));
        let bits = |bits| ("quantization_bits", Value::Integer(bits));
        let messages = [
            of("qlorra", &[]),
            of("magic\u{1b}[2J", &[]),
            of("lora", &[]),
            of("lora", &[("rank", Value::Integer(0))]),
            of("lora", &[("rank", Value::Integer(100_000))]),
            of("lora", &[rank.clone(), ("alpha", Value::Integer(0))]),
            of("lora", &[rank.clone(), ("dropout", Value::Number(1.0))]),
            of("lora", &[rank.clone(), ("lora_alpha", Value::Integer(1))]),
            of("lora", &[rank.clone(), ("prefix_length", Value::Integer(10))]),
            of("lora", &[rank.clone(), bits(4)]),
            of("lora", &[rank.clone(), ("target_modules", texts(&["q_proj", "../x"]))]),
            of("lora", &[rank.clone(), ("target_modules", texts(&["q_proj", "all-linear"]))]),
            of("lora", &[rank.clone(), ("target_modules", texts(&[]))]),
            of("lora", &[rank.clone(), ("target_modules", Value::Text("all".into()))]),
            of("lora", &[rank.clone(), ("initialization", Value::Text("zero".into()))]),
            of("lora", &[rank.clone(), ("learning_rate", Value::Number(f64::NAN))]),
            of("lora", &[rank.clone(), ("scheduler", Value::Text("triangle".into()))]),
            of("qlora", std::slice::from_ref(&rank)),
            of("qlora", &[rank.clone(), bits(6)]),
            of("qlora", &[rank.clone(), bits(8), ("quantization_type", Value::Text("nf4".into()))]),
            of("qlora", &[rank.clone(), bits(4), ("quantization_type", Value::Text("int8".into()))]),
            of("qlora", &[rank.clone(), bits(8), ("double_quantization", Value::Flag(true))]),
            of("prefix", &[("prefix_length", Value::Integer(0))]),
            of("bottleneck-adapter", &[]),
            of("full", std::slice::from_ref(&rank)),
            check(
                &recipe("full", &[("n_epochs", Value::Integer(5))]),
                &[given("n_epochs", Value::Integer(3))],
            )
            .unwrap_err()
            .to_string(),
        ];
        insta::assert_snapshot!(messages.join("\n"));
    }

    #[test]
    fn all_linear_layers_by_a_word_or_a_list() {
        for value in [Value::Text("all-linear".into()), texts(&["all-linear"])] {
            let recipe = recipe("lora", &[("rank", Value::Integer(8)), ("target_modules", value)]);
            let checked = check(&recipe, &[]).unwrap();
            assert_eq!(checked.settings.get("target_modules"), Some(&Value::Text("all-linear".into())));
        }
    }

    #[test]
    fn every_setting_of_a_technique_is_listed() {
        for technique in Technique::ALL {
            for name in technique.own_settings().iter().chain(&super::super::techniques::OF_THE_LOOP) {
                assert!(place(name).is_some(), "{name}");
            }
            for name in technique.required_settings() {
                assert!(technique.takes(name), "{name}");
            }
            assert_eq!(technique.initializations().is_empty(), !technique.takes("initialization"));
            assert_eq!(Technique::parse(technique.as_str()), Some(technique));
            assert_eq!(serde_json::to_value(technique).unwrap(), technique.as_str());
        }
    }
}

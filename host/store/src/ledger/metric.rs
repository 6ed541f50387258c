//! Metrics: figures of a training run by step.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The figures of a step. A step that comes again adds figures and replaces those it
/// repeats: after a resume from a checkpoint the later ones are the model's.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricPoint {
    pub step: u64,
    /// Figures by name, such as `train_loss`. A diverged run's may be infinite or no
    /// number at all, and are stored so.
    pub figures: BTreeMap<String, f64>,
}

impl MetricPoint {
    /// The figures of its step once this point is added to what is known of the step;
    /// `None` if it brings nothing new.
    pub(crate) fn added_to(&self, known: Option<&Self>) -> Option<BTreeMap<String, f64>> {
        let Some(known) = known else { return Some(self.figures.clone()) };
        let mut figures = known.figures.clone();
        figures.extend(self.figures.clone());
        // Compared as stored: a figure that is no number equals itself there.
        (encoded(&figures) != encoded(&known.figures)).then_some(figures)
    }
}

/// As JSON, which has no infinities: those are strings.
pub(crate) fn encoded(figures: &BTreeMap<String, f64>) -> Map<String, Value> {
    let value = |figure: f64| {
        serde_json::Number::from_f64(figure).map_or_else(|| Value::String(figure.to_string()), Value::Number)
    };
    figures.iter().map(|(name, figure)| (name.clone(), value(*figure))).collect()
}

/// Back from JSON, without what is no figure.
pub(crate) fn decoded(json: &Value) -> BTreeMap<String, f64> {
    let figure = |value: &Value| match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let fields = json.as_object().into_iter().flatten();
    fields.filter_map(|(name, value)| Some((name.clone(), figure(value)?))).collect()
}

/// Figures as a field of what serde writes and reads.
pub(crate) mod as_json {
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};
    use serde_json::Value;
    use std::collections::BTreeMap;

    pub fn serialize<S: Serializer>(figures: &BTreeMap<String, f64>, to: S) -> Result<S::Ok, S::Error> {
        super::encoded(figures).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, f64>, D::Error> {
        Value::deserialize(from).map(|json| super::decoded(&json))
    }
}

//! Checking the settings of a job against its method and its provider.

use super::spec::GivenSetting;
use tunesmith_core::contract::{Descriptor, JobSetting, Kind, Origin, Value};
use tunesmith_core::nearest::nearest;
use tunesmith_core::text::visible;
use tunesmith_provider::settings::COMMON;

/// A text list in a job (such as target modules) names a handful of things; each is
/// bounded like a name.
pub const MAX_LIST_TEXT_BYTES: usize = 200;

/// Why a setting cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}: {}", visible(.place), visible(.name), visible(.reason))]
pub struct SettingError {
    /// Where it was given.
    pub place: String,
    /// Its name.
    pub name: String,
    /// What is wrong.
    pub reason: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Checks what the user gave against what the method declares and what the host
/// knows, and fills in the method's defaults. The result has the method's own
/// settings in its order, given or default; then the common ones that were given, in
/// the host's order.
///
/// # Errors
/// Every wrong setting, in the order given, so that one run shows all of them.
pub fn check(given: &[GivenSetting], method: &Descriptor) -> Result<Vec<JobSetting>, Vec<SettingError>> {
    let mut errors = Vec::new();
    let mut values: Vec<(&str, Value)> = Vec::new();
    for setting in given {
        let own = method.settings.iter().find(|known| known.name == setting.name);
        let common = COMMON.iter().find(|known| known.name == setting.name);
        let kind = match (own, common) {
            (Some(own), _) => own.kind.clone(),
            (None, Some(common)) => common.accepts.kind(),
            (None, None) => {
                errors.push(unknown(setting, method));
                continue;
            }
        };
        match value_of(&setting.value, &kind) {
            Ok(value) => values.push((&setting.name, value)),
            Err((reason, hint)) => errors.push(SettingError {
                place: setting.place.clone(),
                name: setting.name.clone(),
                reason,
                hint,
            }),
        }
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    let find = |name: &str| values.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
    let mut settings = Vec::new();
    for own in &method.settings {
        let (value, origin) = match (find(&own.name), &own.default) {
            (Some(value), _) => (value, Origin::Given),
            (None, Some(default)) => (default.clone(), Origin::Default),
            (None, None) => continue,
        };
        settings.push(JobSetting { name: own.name.clone(), value, origin });
    }
    for common in &COMMON {
        if !method.settings.iter().any(|own| own.name == common.name)
            && let Some(value) = find(common.name)
        {
            settings.push(JobSetting { name: common.name.to_owned(), value, origin: Origin::Given });
        }
    }
    Ok(settings)
}

fn unknown(setting: &GivenSetting, method: &Descriptor) -> SettingError {
    let known =
        method.settings.iter().map(|own| own.name.as_str()).chain(COMMON.iter().map(|common| common.name));
    let hint = match nearest(known.clone(), &setting.name) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("it has {}", known.collect::<Vec<_>>().join(", ")),
    };
    SettingError {
        place: setting.place.clone(),
        name: setting.name.clone(),
        reason: format!("method {} has no such setting", method.id),
        hint: Some(hint),
    }
}

type Wrong = (String, Option<String>);

/// Turns a JSON value into a setting's value, if its type and range fit.
fn value_of(given: &serde_json::Value, kind: &Kind) -> Result<Value, Wrong> {
    use serde_json::Value as Json;
    let mismatch = |expected: &str| -> Wrong {
        let hint = match given {
            Json::String(text) if !matches!(kind, Kind::Texts(_)) && text.parse::<f64>().is_ok() => {
                Some(format!("write {text} without the quotes"))
            }
            Json::String(text) if matches!(kind, Kind::Texts(_)) => {
                Some(format!("write [{}]", serde_json::Value::from(text.as_str())))
            }
            Json::Null => Some("leave the setting out to have its default".into()),
            _ => None,
        };
        (format!("must be {expected}, not {}", shown(given)), hint)
    };
    match kind {
        Kind::Flag => given.as_bool().map(Value::Flag).ok_or_else(|| mismatch("true or false")),
        Kind::Integer { least, most } => {
            let expected = format!("a whole number from {least} to {most}");
            let number = given.as_f64().ok_or_else(|| mismatch(&expected))?;
            if number.fract() != 0.0 || number < f64::from(*least) || number > f64::from(*most) {
                return Err(mismatch(&expected));
            }
            // Whole and within the bounds of i32, so the conversion is exact.
            #[allow(clippy::cast_possible_truncation)]
            Ok(Value::Integer(number as i32))
        }
        Kind::Number { least, most, least_excluded } => {
            let expected = if *least_excluded {
                format!("a number above {least} and up to {most}")
            } else {
                format!("a number from {least} to {most}")
            };
            let number = given.as_f64().ok_or_else(|| mismatch(&expected))?;
            let low = if *least_excluded { number <= *least } else { number < *least };
            if !number.is_finite() || low || number > *most {
                return Err(mismatch(&expected));
            }
            Ok(Value::Number(number))
        }
        Kind::Text(most) => {
            let text = given.as_str().ok_or_else(|| mismatch("a text"))?;
            if text.len() > *most as usize {
                return Err((format!("is longer than {most} bytes"), None));
            }
            Ok(Value::Text(text.to_owned()))
        }
        Kind::Choice(choices) => {
            let expected = format!("one of {}", choices.join(", "));
            let text = given.as_str().ok_or_else(|| mismatch(&expected))?;
            if choices.iter().any(|choice| choice == text) {
                return Ok(Value::Text(text.to_owned()));
            }
            let (reason, _) = mismatch(&expected);
            let near = nearest(choices.iter().map(String::as_str), text);
            Err((reason, near.map(|near| format!("did you mean {near:?}?"))))
        }
        Kind::Texts(most) => {
            let expected = format!("a list of at most {most} texts");
            let list = given.as_array().ok_or_else(|| mismatch(&expected))?;
            if list.len() > *most as usize {
                return Err((format!("has {} texts; the most is {most}", list.len()), None));
            }
            let mut texts = Vec::with_capacity(list.len());
            for (at, item) in list.iter().enumerate() {
                let text = item.as_str().ok_or_else(|| mismatch(&expected))?;
                if text.len() > MAX_LIST_TEXT_BYTES {
                    return Err((
                        format!("text {} is longer than {MAX_LIST_TEXT_BYTES} bytes", at + 1),
                        None,
                    ));
                }
                texts.push(text.to_owned());
            }
            Ok(Value::Texts(texts))
        }
    }
}

/// A JSON value as a message shows it: short, whatever was given.
fn shown(value: &serde_json::Value) -> String {
    const MOST: usize = 60;
    let text = tunesmith_core::text::visible(&value.to_string()).into_owned();
    if text.chars().count() <= MOST {
        return text;
    }
    let start: String = text.chars().take(MOST).collect();
    format!("{start}…")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value as Json;
    use tunesmith_core::contract::SettingDoc;

    fn json() -> impl Strategy<Value = Json> {
        let leaf = prop_oneof![
            Just(Json::Null),
            any::<bool>().prop_map(Json::from),
            any::<i64>().prop_map(Json::from),
            (-20_i32..20).prop_map(Json::from),
            any::<f64>().prop_map(Json::from),
            ".{0,12}".prop_map(Json::from),
            Just(Json::from("a")),
        ];
        leaf.prop_recursive(2, 8, 4, |inner| prop::collection::vec(inner, 0..4).prop_map(Json::from))
    }

    fn method() -> Descriptor {
        let kinds = [
            ("flag", Kind::Flag),
            ("whole", Kind::Integer { least: -5, most: 9 }),
            ("number", Kind::Number { least: 0.0, most: 1.5, least_excluded: true }),
            ("text", Kind::Text(5)),
            ("choice", Kind::Choice(vec!["a".into(), "b".into()])),
            ("texts", Kind::Texts(2)),
        ];
        let settings = kinds.into_iter().map(|(name, kind)| SettingDoc {
            name: name.into(),
            doc: String::new(),
            kind,
            default: None,
        });
        Descriptor {
            id: "m".into(),
            version: "1".into(),
            title: "M".into(),
            summary: String::new(),
            docs: String::new(),
            settings: settings.collect(),
        }
    }

    fn fits(name: &str, value: &Value) -> bool {
        match (name, value) {
            ("flag", Value::Flag(_)) => true,
            ("whole", Value::Integer(value)) => (-5..=9).contains(value),
            ("number", Value::Number(value)) => *value > 0.0 && *value <= 1.5,
            ("text", Value::Text(text)) => text.len() <= 5,
            ("choice", Value::Text(text)) => text == "a" || text == "b",
            ("texts", Value::Texts(texts)) => texts.len() <= 2,
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn what_passes_is_in_range_and_what_fails_is_named(
            name in prop_oneof!["flag", "whole", "number", "text", "choice", "texts", "[a-z_]{0,9}"],
            value in json(),
        ) {
            let given = GivenSetting { name: name.clone(), value, place: "here".into() };
            match check(&[given], &method()) {
                Ok(settings) => {
                    prop_assert_eq!(settings.len(), 1);
                    prop_assert_eq!(settings[0].origin, Origin::Given);
                    let common = COMMON.iter().any(|common| common.name == name);
                    prop_assert!(common || fits(&name, &settings[0].value), "{:?}", settings);
                }
                Err(errors) => {
                    prop_assert_eq!(errors.len(), 1);
                    let text = errors[0].to_string();
                    let start = format!("here: {name}: ");
                    prop_assert!(text.starts_with(&start), "{}", text);
                    prop_assert!(!text.contains(tunesmith_core::text::is_hidden), "{}", text);
                }
            }
        }
    }
}

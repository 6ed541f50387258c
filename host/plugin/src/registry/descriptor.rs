//! Checks on descriptors.

use crate::display::is_printable;
use crate::sandbox::{DescriptorLimits, ResultLimits};
use tunesmith_core::contract::{Descriptor, Kind, SettingDoc, Value};

/// Settings that the host declares for every method; no method may have its own by
/// one of these names.
pub const COMMON_SETTINGS: [&str; 8] = [
    "n_epochs",
    "learning_rate",
    "learning_rate_multiplier",
    "batch_size",
    "temperature",
    "context_window",
    "seed",
    "method",
];

/// Bytes of a method's id. 40: it is part of file names and of model names.
const ID: usize = 40;

/// Bytes of a setting's name. 64: it is typed by hand.
const SETTING_NAME: usize = 64;

/// Checks a descriptor; the error says in words what is wrong with it.
pub(crate) fn check(
    descriptor: &Descriptor,
    limits: &DescriptorLimits,
    results: &ResultLimits,
) -> Result<(), String> {
    let Descriptor { id, version, title, summary, docs, settings } = descriptor;
    if !is_id(id) {
        return Err(format!(
            "invalid id {:?}: expected a lowercase letter, then at most {} lowercase letters, digits or hyphens",
            shortened(id),
            ID - 1
        ));
    }
    text("version", version, 1, limits.version)?;
    text("title", title, 1, limits.title)?;
    text("summary", summary, 1, limits.summary)?;
    text("docs", docs, 0, limits.docs)?;
    if title.contains('\n') || version.contains(char::is_whitespace) {
        return Err("title contains a line break, or version contains whitespace".into());
    }
    if settings.len() > limits.settings {
        return Err(format!("{} settings; the limit is {}", settings.len(), limits.settings));
    }
    for (place, setting) in settings.iter().enumerate() {
        let name = &setting.name;
        if !is_setting_name(name) {
            return Err(format!(
                "invalid setting name {:?}: expected a lowercase letter, then at most {} lowercase letters, \
                 digits or underscores",
                shortened(name),
                SETTING_NAME - 1
            ));
        }
        if COMMON_SETTINGS.contains(&name.as_str()) {
            return Err(format!("setting `{name}` is reserved: the host declares it for every method"));
        }
        if settings[..place].iter().any(|other| other.name == *name) {
            return Err(format!("duplicate setting `{name}`"));
        }
        check_setting(setting, limits, results).map_err(|what| format!("setting `{name}` {what}"))?;
    }
    Ok(())
}

fn check_setting(
    setting: &SettingDoc,
    limits: &DescriptorLimits,
    results: &ResultLimits,
) -> Result<(), String> {
    if setting.doc.trim().is_empty() {
        return Err("has no documentation".into());
    }
    if setting.doc.len() > limits.setting_doc {
        return Err(format!(
            "has documentation of {} bytes; the limit is {}",
            setting.doc.len(),
            limits.setting_doc
        ));
    }
    if !setting.doc.chars().all(is_printable) {
        return Err("has control characters in its documentation".into());
    }
    match &setting.kind {
        Kind::Flag => {}
        Kind::Integer { least, most } => {
            if least > most {
                return Err(format!("has an empty range, {least} to {most}"));
            }
        }
        Kind::Number { least, most, least_excluded } => {
            if !least.is_finite() || !most.is_finite() {
                return Err(format!("has a non-finite range, {least} to {most}"));
            }
            if least > most || (*least_excluded && least >= most) {
                return Err(format!("has an empty range, {least} to {most}"));
            }
        }
        Kind::Text(most) => {
            if *most == 0 || *most as usize > results.text_bytes {
                return Err(format!("allows strings of {most} bytes; expected 1 to {}", results.text_bytes));
            }
        }
        Kind::Choice(choices) => {
            if choices.is_empty() || choices.len() > limits.choices {
                return Err(format!("has {} choices; expected 1 to {}", choices.len(), limits.choices));
            }
            for (place, choice) in choices.iter().enumerate() {
                if choice.is_empty()
                    || choice.len() > limits.choice
                    || choice.chars().any(|c| c == '\n' || !is_printable(c))
                {
                    return Err(format!("has an invalid choice {:?}", shortened(choice)));
                }
                if choices[..place].contains(choice) {
                    return Err(format!("has the duplicate choice {choice:?}"));
                }
            }
        }
        Kind::Texts(most) => {
            if *most == 0 || *most as usize > results.list {
                return Err(format!("allows {most} strings; expected 1 to {}", results.list));
            }
        }
    }
    match &setting.default {
        Some(default) if !fits(default, &setting.kind, results) => {
            Err(format!("has the invalid default {}", shown(default)))
        }
        _ => Ok(()),
    }
}

/// Whether a value is of a kind and within its range. An integer is a number.
fn fits(value: &Value, kind: &Kind, results: &ResultLimits) -> bool {
    match (kind, value) {
        (Kind::Flag, Value::Flag(_)) => true,
        (Kind::Integer { least, most }, Value::Integer(value)) => (least..=most).contains(&value),
        (Kind::Number { least, most, least_excluded }, Value::Integer(_) | Value::Number(_)) => {
            value.as_f64().is_some_and(|value| {
                value <= *most && if *least_excluded { value > *least } else { value >= *least }
            })
        }
        (Kind::Text(most), Value::Text(text)) => text.len() <= *most as usize,
        (Kind::Choice(choices), Value::Text(text)) => choices.contains(text),
        (Kind::Texts(most), Value::Texts(texts)) => {
            texts.len() <= *most as usize && texts.iter().all(|text| text.len() <= results.text_bytes)
        }
        _ => false,
    }
}

fn text(what: &str, text: &str, least: usize, most: usize) -> Result<(), String> {
    if text.trim().len() < least {
        return Err(format!("{what} is empty"));
    }
    if text.len() > most {
        return Err(format!("{what} has {} bytes; the limit is {most}", text.len()));
    }
    if !text.chars().all(is_printable) {
        return Err(format!("{what} contains control characters"));
    }
    Ok(())
}

fn is_id(id: &str) -> bool {
    id.len() <= ID
        && id.starts_with(|c: char| c.is_ascii_lowercase())
        && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_setting_name(name: &str) -> bool {
    name.len() <= SETTING_NAME
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn shortened(text: &str) -> String {
    text.chars().take(48).collect()
}

fn shown(value: &Value) -> String {
    shortened(&value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(settings: Vec<SettingDoc>) -> Descriptor {
        Descriptor {
            id: "lora".into(),
            version: "0.1.0".into(),
            title: "LoRA".into(),
            summary: "Low-rank adapters.".into(),
            docs: String::new(),
            settings,
        }
    }

    fn setting(name: &str, kind: Kind, default: Option<Value>) -> SettingDoc {
        SettingDoc { name: name.into(), doc: "What it means.".into(), kind, default }
    }

    fn problem(descriptor: &Descriptor) -> String {
        match check(descriptor, &DescriptorLimits::default(), &ResultLimits::default()) {
            Ok(()) => "fine".into(),
            Err(problem) => problem,
        }
    }

    #[test]
    fn ordinary_descriptor_passes() {
        let number = Kind::Number { least: 0.0, most: 1.0, least_excluded: true };
        let settings = vec![
            setting("rank", Kind::Integer { least: 1, most: 64 }, Some(Value::Integer(8))),
            setting("scale", number.clone(), Some(Value::Number(1.0))),
            setting("whole", number, Some(Value::Integer(1))),
            setting("shape", Kind::Choice(vec!["a".into(), "b".into()]), Some(Value::Text("b".into()))),
            setting("modules", Kind::Texts(4), Some(Value::Texts(vec![]))),
            setting("free", Kind::Text(10), None),
            setting("on", Kind::Flag, Some(Value::Flag(false))),
        ];
        assert_eq!(problem(&descriptor(settings)), "fine");
    }

    #[test]
    fn problems_are_reported() {
        let with_id = |id: &str| Descriptor { id: id.into(), ..descriptor(vec![]) };
        let number = |least, most| Kind::Number { least, most, least_excluded: false };
        let integer = Kind::Integer { least: 1, most: 64 };
        let cases = [
            with_id("Lora"),
            with_id(""),
            with_id(&"a".repeat(41)),
            with_id("../../etc"),
            Descriptor { title: " ".into(), ..descriptor(vec![]) },
            Descriptor { title: "\u{1b}[2J".into(), ..descriptor(vec![]) },
            Descriptor { docs: "x".repeat(70_000), ..descriptor(vec![]) },
            descriptor(vec![setting("learning_rate", number(0.0, 1.0), None)]),
            descriptor(vec![setting("Rank", Kind::Flag, None)]),
            descriptor(vec![setting("rank", Kind::Flag, None), setting("rank", Kind::Flag, None)]),
            descriptor(vec![setting("rank", integer.clone(), Some(Value::Integer(0)))]),
            descriptor(vec![setting("rank", integer, Some(Value::Text("8".into())))]),
            descriptor(vec![setting("rank", Kind::Integer { least: 2, most: 1 }, None)]),
            descriptor(vec![setting("scale", number(f64::NAN, 1.0), None)]),
            descriptor(vec![setting("scale", number(0.0, f64::INFINITY), None)]),
            descriptor(vec![setting("scale", number(0.0, 1.0), Some(Value::Number(f64::NAN)))]),
            descriptor(vec![setting("shape", Kind::Choice(vec![]), None)]),
            descriptor(vec![SettingDoc { doc: String::new(), ..setting("on", Kind::Flag, None) }]),
        ];
        let problems: Vec<String> = cases.iter().map(problem).collect();
        insta::assert_snapshot!(problems.join("\n"));
    }
}

//! Jobs for a check: default settings, and each setting at its minimum and maximum.

use super::subjects::ODD_TEXTS;
use crate::Function;
use tunesmith_core::contract::{Descriptor, JobSetting, Kind, MethodJob, Origin, SettingDoc, Value};
use tunesmith_engine::settings::MAX_LIST_TEXT_BYTES;
use tunesmith_provider::settings::COMMON;

/// Bytes of the longest string for a setting. 64 KiB: longer ones test nothing more.
const LONG_TEXT: usize = 64 << 10;

/// The oddest name that a job file allows.
const ODD_NAME: &str = "Ünïcödé «quoted» \"'`$(x) 注文 👋 / .. \\ {{name}}";

/// The job with default settings.
pub(super) fn plain(method: &Descriptor, function: Function) -> MethodJob {
    let defaults = method.settings.iter().filter_map(|setting| {
        let value = setting.default.clone()?;
        Some(JobSetting { name: setting.name.clone(), value, origin: Origin::Default })
    });
    MethodJob {
        name: "Check".into(),
        base_model: function.usual_base_model().into(),
        settings: defaults.collect(),
        seed: tunesmith_engine::plan::DEFAULT_SEED,
    }
}

/// Jobs at the limits of settings, each with a description.
pub(super) fn extreme(method: &Descriptor, function: Function) -> Vec<(String, MethodJob)> {
    let plain = plain(method, function);
    let mut jobs = vec![
        ("with an odd name".to_owned(), MethodJob { name: ODD_NAME.into(), ..plain.clone() }),
        ("with seed 0".to_owned(), MethodJob { seed: 0, ..plain.clone() }),
        ("with the largest seed".to_owned(), MethodJob { seed: u32::MAX, ..plain.clone() }),
    ];
    let own = method.settings.iter().cloned();
    let common: Vec<SettingDoc> = COMMON.iter().map(|common| common.setting_doc()).collect();
    let mut least = plain.clone();
    let mut most = plain.clone();
    for (own, setting) in own.map(|it| (true, it)).chain(common.into_iter().map(|it| (false, it))) {
        let values = ends(&setting.kind);
        if own && let (Some(first), Some(last)) = (values.first(), values.last()) {
            give(&mut least, &setting.name, first.clone());
            give(&mut most, &setting.name, last.clone());
        }
        for value in values {
            let what = format!("with {} = {}", setting.name, shown(&value));
            let mut job = plain.clone();
            if setting.name == "seed"
                && let Value::Integer(seed) = value
            {
                job.seed = seed.unsigned_abs();
            }
            give(&mut job, &setting.name, value);
            jobs.push((what, job));
        }
    }
    jobs.push(("with every setting at its minimum".to_owned(), least));
    jobs.push(("with every setting at its maximum".to_owned(), most));
    jobs
}

/// Sets a setting, as a user does.
fn give(job: &mut MethodJob, name: &str, value: Value) {
    let given = JobSetting { name: name.to_owned(), value, origin: Origin::Given };
    match job.settings.iter_mut().find(|setting| setting.name == name) {
        Some(setting) => *setting = given,
        None => job.settings.push(given),
    }
}

/// The limits of a kind, from minimum to maximum.
fn ends(kind: &Kind) -> Vec<Value> {
    match kind {
        Kind::Flag => vec![Value::Flag(false), Value::Flag(true)],
        Kind::Integer { least, most } => vec![Value::Integer(*least), Value::Integer(*most)],
        Kind::Number { least, most, least_excluded } => {
            let least = if *least_excluded { least.next_up() } else { *least };
            vec![Value::Number(least), Value::Number(*most)]
        }
        Kind::Text(most) => {
            let most = (*most as usize).min(LONG_TEXT);
            let mut texts = vec![Value::Text(String::new())];
            texts.extend(
                ODD_TEXTS.iter().filter(|text| text.len() <= most).map(|text| Value::Text((*text).into())),
            );
            texts.push(Value::Text("a".repeat(most)));
            texts
        }
        Kind::Choice(choices) => choices.iter().cloned().map(Value::Text).collect(),
        Kind::Texts(most) => {
            let odd = ODD_TEXTS.iter().map(|text| (*text).to_owned()).take(*most as usize).collect();
            let long = |n: u32| format!("{n:0>MAX_LIST_TEXT_BYTES$}");
            vec![Value::Texts(Vec::new()), Value::Texts(odd), Value::Texts((0..*most).map(long).collect())]
        }
    }
}

/// A short description of a value.
fn shown(value: &Value) -> String {
    match value {
        Value::Text(text) if text.len() > 40 => format!("a string of {} bytes", text.len()),
        Value::Text(text) => tunesmith_core::text::visible(&format!("{text:?}")).into_owned(),
        Value::Texts(texts) if texts.is_empty() => "no strings".to_owned(),
        Value::Texts(texts) => format!("{} strings", texts.len()),
        other => other.to_string(),
    }
}

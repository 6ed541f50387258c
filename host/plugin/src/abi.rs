//! Conversions between the generated bindings of contract 0.1 and the plain types of
//! [`tunesmith_core::contract`].

use tunesmith_abi::exports::tunesmith::method as exports;
use tunesmith_abi::tunesmith::method::types;
use tunesmith_core::contract::{self, CONTRACT_VERSION};

/// The package of the contract's interfaces.
pub(crate) const PACKAGE: &str = "tunesmith:method/";

/// Whether this host speaks a version of the contract: within 0.x the same minor
/// version, by the rules of semantic versioning.
pub(crate) fn speaks(version: &str) -> bool {
    let minor = |version: &str| -> Option<(u64, u64)> {
        let mut parts = version.split('.');
        let minor = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        parts.next()?.parse::<u64>().ok()?;
        parts.next().is_none().then_some(minor)
    };
    minor(version).is_some() && minor(version) == minor(CONTRACT_VERSION)
}

pub(crate) fn example_bytes(example: &types::Example) -> u64 {
    example.messages.iter().map(|message| message.content.len() as u64).sum()
}

fn value_bytes(value: &types::Value) -> u64 {
    match value {
        types::Value::Flag(_) => 1,
        types::Value::Integer(_) => 4,
        types::Value::Number(_) => 8,
        types::Value::Text(text) => text.len() as u64,
        types::Value::Texts(texts) => texts.iter().map(|text| text.len() as u64).sum(),
    }
}

pub(crate) fn job_bytes(job: &types::Job) -> u64 {
    let settings: u64 =
        job.settings.iter().map(|setting| setting.name.len() as u64 + value_bytes(&setting.value)).sum();
    (job.name.len() + job.base_model.len()) as u64 + settings
}

/// A job, as the guest gets it.
pub(crate) fn job(job: &contract::MethodJob) -> types::Job {
    types::Job {
        name: job.name.clone(),
        base_model: job.base_model.clone(),
        settings: job
            .settings
            .iter()
            .map(|setting| types::JobSetting {
                name: setting.name.clone(),
                value: value_in(setting.value.clone()),
                origin: match setting.origin {
                    contract::Origin::Given => types::Origin::Given,
                    contract::Origin::Default => types::Origin::Default,
                },
            })
            .collect(),
        seed: job.seed,
    }
}

pub(crate) fn setting(setting: contract::Setting) -> types::Setting {
    types::Setting { name: setting.name, value: value_in(setting.value) }
}

pub(crate) fn value_in(value: contract::Value) -> types::Value {
    match value {
        contract::Value::Flag(value) => types::Value::Flag(value),
        contract::Value::Integer(value) => types::Value::Integer(value),
        contract::Value::Number(value) => types::Value::Number(value),
        contract::Value::Text(value) => types::Value::Text(value),
        contract::Value::Texts(value) => types::Value::Texts(value),
    }
}

/// A value, as the guest returned it.
pub(crate) fn value_out(value: types::Value) -> contract::Value {
    match value {
        types::Value::Flag(value) => contract::Value::Flag(value),
        types::Value::Integer(value) => contract::Value::Integer(value),
        types::Value::Number(value) => contract::Value::Number(value),
        types::Value::Text(value) => contract::Value::Text(value),
        types::Value::Texts(value) => contract::Value::Texts(value),
    }
}

/// A conversation, as the guest gets it.
pub(crate) fn example_in(example: contract::Example) -> types::Example {
    types::Example {
        messages: example
            .messages
            .into_iter()
            .map(|message| types::Message {
                role: match message.role {
                    contract::Role::System => types::Role::System,
                    contract::Role::User => types::Role::User,
                    contract::Role::Assistant => types::Role::Assistant,
                },
                content: message.content,
            })
            .collect(),
    }
}

/// A conversation, as the guest returned it.
pub(crate) fn example_out(example: types::Example) -> contract::Example {
    contract::Example {
        messages: example
            .messages
            .into_iter()
            .map(|message| contract::Message {
                role: match message.role {
                    types::Role::System => contract::Role::System,
                    types::Role::User => contract::Role::User,
                    types::Role::Assistant => contract::Role::Assistant,
                },
                content: message.content,
            })
            .collect(),
    }
}

pub(crate) fn descriptor(raw: exports::method::Descriptor) -> contract::Descriptor {
    contract::Descriptor {
        id: raw.id,
        version: raw.version,
        title: raw.title,
        summary: raw.summary,
        docs: raw.docs,
        settings: raw
            .settings
            .into_iter()
            .map(|setting| contract::SettingDoc {
                name: setting.name,
                doc: setting.doc,
                kind: match setting.kind {
                    exports::method::Kind::Flag => contract::Kind::Flag,
                    exports::method::Kind::Integer(range) => {
                        contract::Kind::Integer { least: range.least, most: range.most }
                    }
                    exports::method::Kind::Number(range) => contract::Kind::Number {
                        least: range.least,
                        most: range.most,
                        least_excluded: range.least_excluded,
                    },
                    exports::method::Kind::Text(most) => contract::Kind::Text(most),
                    exports::method::Kind::Choice(choices) => contract::Kind::Choice(choices),
                    exports::method::Kind::Texts(most) => contract::Kind::Texts(most),
                },
                default: setting.default.map(value_out),
            })
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_follow_semantic_versioning() {
        assert!(speaks("0.1.0"));
        assert!(speaks("0.1.9"));
        for other in ["0.2.0", "1.1.0", "0.1.0-rc.1", "0.1", "", "x"] {
            assert!(!speaks(other), "{other}");
        }
    }
}

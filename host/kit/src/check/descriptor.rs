//! Checks a method's descriptor as users read it. Its form was checked when the plugin
//! was loaded.

use super::{Finding, Findings};
use tunesmith_core::contract::{Descriptor, Kind};

/// Characters of a summary that fit on a line of a list.
const SUMMARY: usize = 160;

/// Documentation with fewer bytes can hardly explain what a method does and when to use
/// it.
const DOCS: usize = 120;

/// Bytes of a string setting; more should be a file.
const TEXT: u32 = 64 << 10;

/// Checks the documentation.
pub(super) fn docs(method: &Descriptor, findings: &mut Findings) {
    let mut missing = Vec::new();
    if method.title == method.id {
        missing.push("title is the same as the id".to_owned());
    }
    if method.summary.chars().count() > SUMMARY {
        missing.push(format!("summary is longer than {SUMMARY} characters"));
    }
    if method.docs.trim().is_empty() {
        missing.push("no documentation".to_owned());
    } else if method.docs.len() < DOCS {
        missing.push(format!("documentation has only {} bytes", method.docs.len()));
    }
    for setting in &method.settings {
        if setting.doc.split_whitespace().count() < 3 {
            missing.push(format!("documentation of setting {} does not explain its value", setting.name));
        }
    }
    if missing.is_empty() {
        let settings = match method.settings.len() {
            0 => "no settings".to_owned(),
            1 => "1 setting documented".to_owned(),
            count => format!("{count} settings documented"),
        };
        findings.add(Finding::ok("docs", format!("title, summary, documentation; {settings}")));
    }
    for what in missing {
        let fix = "users read what describe() returns: explain what the method does, when to use it, and what each \
                   setting changes";
        findings.add(Finding::warning("docs", what).fix(fix));
    }
}

/// Checks the settings.
pub(super) fn settings(method: &Descriptor, findings: &mut Findings) {
    let mut odd = Vec::new();
    for setting in &method.settings {
        let name = &setting.name;
        match &setting.kind {
            Kind::Integer { least, most } if *least == i32::MIN || *most == i32::MAX => {
                odd.push((
                    format!("setting {name} accepts integers from {least} to {most}"),
                    "give it a range",
                ));
            }
            Kind::Number { least, most, .. } if *least <= f64::MIN || *most >= f64::MAX => {
                odd.push((format!("setting {name} accepts any number"), "give it a range"));
            }
            Kind::Integer { least, most } if least == most => {
                odd.push((format!("setting {name} has only one value, {least}"), "remove it"));
            }
            Kind::Choice(choices) if choices.len() == 1 => {
                odd.push((format!("setting {name} has only one choice"), "remove it"));
            }
            Kind::Text(most) if *most > TEXT => {
                odd.push((format!("setting {name} accepts strings of {most} bytes"), "lower its limit"));
            }
            _ => {}
        }
    }
    if odd.is_empty() {
        let defaults = method.settings.iter().filter(|setting| setting.default.is_some()).count();
        let what = match method.settings.len() {
            0 => "none".to_owned(),
            count => format!("{count}, each with a range; {defaults} with a default"),
        };
        findings.add(Finding::ok("settings", what));
    }
    for (what, fix) in odd {
        findings.add(Finding::warning("settings", what).fix(fix));
    }
}

//! What a method says of itself, as its users will read it. That it is well formed
//! has been checked when it was loaded.

use super::{Finding, Findings};
use tunesmith_core::contract::{Descriptor, Kind};

/// Characters of a summary that fit a line of a list beside the rest of it.
const SUMMARY: usize = 160;

/// Bytes of documentation below which it can hardly say what a method does and when
/// to use it.
const DOCS: usize = 120;

/// Bytes of a text setting beyond which it is rather a file.
const TEXT: u32 = 64 << 10;

/// Looks at the documentation.
pub(super) fn docs(method: &Descriptor, findings: &mut Findings) {
    let mut missing = Vec::new();
    if method.title == method.id {
        missing.push("its title is only its id".to_owned());
    }
    if method.summary.chars().count() > SUMMARY {
        missing.push(format!("its summary is longer than {SUMMARY} characters, a line of the list"));
    }
    if method.docs.trim().is_empty() {
        missing.push("it has no documentation".to_owned());
    } else if method.docs.len() < DOCS {
        missing.push(format!("its documentation has only {} bytes", method.docs.len()));
    }
    for setting in &method.settings {
        if setting.doc.split_whitespace().count() < 3 {
            missing.push(format!("the documentation of {} does not say what its value means", setting.name));
        }
    }
    if missing.is_empty() {
        let settings = match method.settings.len() {
            0 => "no settings of its own".to_owned(),
            1 => "1 setting documented".to_owned(),
            count => format!("{count} settings documented"),
        };
        findings.add(Finding::ok("docs", format!("title, summary, documentation; {settings}")));
    }
    for what in missing {
        let fix = "users read what describe() returns: say what it does, when it suits, and what each setting \
                   changes";
        findings.add(Finding::warning("docs", what).fix(fix));
    }
}

/// Looks at the settings.
pub(super) fn settings(method: &Descriptor, findings: &mut Findings) {
    let mut odd = Vec::new();
    for setting in &method.settings {
        let name = &setting.name;
        match &setting.kind {
            Kind::Integer { least, most } if *least == i32::MIN || *most == i32::MAX => {
                odd.push((format!("{name} takes whole numbers from {least} to {most}"), "give it a range"));
            }
            Kind::Number { least, most, .. } if *least <= f64::MIN || *most >= f64::MAX => {
                odd.push((format!("{name} takes any number"), "give it a range"));
            }
            Kind::Integer { least, most } if least == most => {
                odd.push((format!("{name} has only one value, {least}"), "leave it out"));
            }
            Kind::Choice(choices) if choices.len() == 1 => {
                odd.push((format!("{name} has only one choice"), "leave it out"));
            }
            Kind::Text(most) if *most > TEXT => {
                odd.push((format!("{name} takes texts of {most} bytes"), "bound it to what makes sense"));
            }
            _ => {}
        }
    }
    if odd.is_empty() {
        let defaults = method.settings.iter().filter(|setting| setting.default.is_some()).count();
        let what = match method.settings.len() {
            0 => "none of its own".to_owned(),
            count => format!("{count}, each with a range; {defaults} with a default"),
        };
        findings.add(Finding::ok("settings", what));
    }
    for (what, fix) in odd {
        findings.add(Finding::warning("settings", what).fix(fix));
    }
}

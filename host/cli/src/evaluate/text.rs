//! An evaluation as a person reads it. What others wrote was made safe to show when it
//! was found.

use crate::style::{ERROR, FAINT, HEADING, HINT, WARNING, grouped};
use crate::view::advice;
use anstyle::{AnsiColor, Style};
use std::fmt::{self, Write};
use tunesmith_core::text::excerpt;
use tunesmith_vet::{Evaluation, Finding, Rule, Severity, Verdict};

/// A verdict that lets a job pass.
const PASSES: Style = AnsiColor::Green.on_default().bold();

/// Characters of what to do about a finding.
const LONGEST_FIX: usize = 500;

/// Renders an evaluation.
pub fn evaluation(evaluation: &Evaluation) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut text, evaluation);
    text
}

/// Renders the rules.
pub fn rules() -> String {
    let mut text = String::new();
    for rule in Rule::ALL {
        let style = style(rule.severity());
        let severity = rule.severity().as_str();
        let _ = writeln!(text, "{HEADING}{}{HEADING:#}  {style}{severity}{style:#}", rule.id());
        let _ = writeln!(text, "  {}", rule.what());
        let _ = writeln!(text, "  {FAINT}{}{FAINT:#}", advice::words(&rule.fix()));
    }
    text
}

fn style(severity: Severity) -> Style {
    match severity {
        Severity::Deny => ERROR,
        Severity::Unjudged | Severity::Warn => WARNING,
    }
}

fn write(out: &mut String, evaluation: &Evaluation) -> fmt::Result {
    let (style, word) = match evaluation.verdict {
        Verdict::Allow => (PASSES, "allow"),
        Verdict::Warn => (WARNING, "warn"),
        Verdict::Deny => (ERROR, "deny"),
        Verdict::Unjudged => (WARNING, "cannot be judged"),
    };
    let count = evaluation.findings.len();
    let findings = match count {
        0 => "nothing found".to_owned(),
        1 => "1 finding".to_owned(),
        _ => format!("{count} findings"),
    };
    writeln!(out, "{style}{word}{style:#}  {} · {findings}", evaluation.job)?;
    for finding in &evaluation.findings {
        write_finding(out, finding)?;
    }
    if let Some(plan) = &evaluation.plan {
        heading(out, "What it would do")?;
        fact(out, "job", &format!("{} · {} on {}", plan.name, plan.method, plan.provider.title()))?;
        fact(out, "base model", &plan.base_model)?;
        fact(out, "makes", &plan.outcome)?;
        if let Some(cost) = &plan.cost {
            fact(out, "costs", cost)?;
        }
        for warning in &plan.warnings {
            fact(out, "note", warning)?;
        }
        fact(out, "plan", &plan.digest)?;
    }
    if let Some(dataset) = &evaluation.dataset {
        let screened = match dataset.screened {
            0 => String::new(),
            rows if rows == dataset.rows => ", all of them screened".to_owned(),
            rows => format!(", the first {} of them screened", grouped(rows)),
        };
        fact(out, "dataset", &format!("{} · {} rows{screened}", dataset.name, grouped(dataset.rows)))?;
        fact(out, "", &format!("sha256:{}", dataset.sha256))?;
    }
    if !evaluation.plugins.is_empty() {
        heading(out, "Plugins")?;
        for plugin in &evaluation.plugins {
            let known = match (&plugin.id, &plugin.version, &plugin.tier) {
                (Some(id), Some(version), Some(tier)) => format!("{id} {version}, {tier} tier"),
                _ => "rejected".to_owned(),
            };
            fact(out, "plugin", &format!("{} · {known}", plugin.file))?;
            if let Some(sha256) = &plugin.sha256 {
                fact(out, "", &format!("sha256:{sha256}"))?;
            }
        }
    }
    if !evaluation.receipts.is_empty() {
        heading(out, "Receipts")?;
        for receipt in &evaluation.receipts {
            let fuel = receipt.fuel.map_or(String::new(), |fuel| format!("{} fuel, ", grouped(fuel)));
            let measured = &receipt.measured;
            let cost = format!(
                "{} {} · {fuel}{:.1} ms, {} KiB of memory",
                receipt.plugin,
                receipt.call,
                measured.wall.as_secs_f64() * 1000.0,
                grouped(measured.peak_memory / 1024)
            );
            fact(out, "call", &cost)?;
        }
    }
    Ok(())
}

fn write_finding(out: &mut String, finding: &Finding) -> fmt::Result {
    let style = style(finding.severity);
    writeln!(
        out,
        "\n  {style}{}{style:#}  {HEADING}{}{HEADING:#}  {}",
        finding.severity.as_str(),
        finding.rule.id(),
        finding.place
    )?;
    writeln!(out, "        {}", finding.what)?;
    if finding.more > 0 {
        writeln!(out, "        and {} more like it", grouped(finding.more))?;
    }
    writeln!(out, "        {HINT}fix{HINT:#}: {}", excerpt(&advice::words(&finding.fix), LONGEST_FIX))
}

fn heading(out: &mut String, title: &str) -> fmt::Result {
    writeln!(out, "\n{HEADING}{title}{HEADING:#}")
}

fn fact(out: &mut String, name: &str, value: &str) -> fmt::Result {
    writeln!(out, "  {FAINT}{name:<12}{FAINT:#} {value}")
}

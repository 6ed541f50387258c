//! Prints a report on a job. Untrusted text in it was made safe when it was found.

use crate::view::advice;
use crate::view::style::{ERROR, FAINT, HEADING, HINT, WARNING, grouped};
use anstyle::{AnsiColor, Style};
use std::fmt::{self, Write};
use tunesmith_core::text::excerpt;
use tunesmith_provider::facts;
use tunesmith_vet::{Finding, Report, Rule, Severity, Verdict};

/// A verdict that lets a job pass.
const PASSES: Style = AnsiColor::Green.on_default().bold();

/// Characters of what to do about a finding.
const LONGEST_FIX: usize = 500;

/// Renders a report.
pub fn report(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut text, report);
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

fn write(out: &mut String, report: &Report) -> fmt::Result {
    let (style, word) = match report.verdict {
        Verdict::Allow => (PASSES, "allow"),
        Verdict::Warn => (WARNING, "warn"),
        Verdict::Deny => (ERROR, "deny"),
        Verdict::Unjudged => (WARNING, "cannot be judged"),
    };
    let count = report.findings.len();
    let findings = match count {
        0 => "no findings".to_owned(),
        1 => "1 finding".to_owned(),
        _ => format!("{count} findings"),
    };
    writeln!(out, "{style}{word}{style:#}  {} · {findings}", report.job)?;
    for finding in &report.findings {
        write_finding(out, finding)?;
    }
    if let Some(plan) = &report.plan {
        heading(out, "Plan")?;
        fact(out, "job", &format!("{} · {} on {}", plan.name, plan.method, facts::of(plan.provider).title))?;
        fact(out, "base model", &plan.base_model)?;
        fact(out, "creates", &plan.outcome)?;
        if let Some(cost) = &plan.cost {
            fact(out, "cost", cost)?;
        }
        for warning in &plan.warnings {
            fact(out, "note", warning)?;
        }
        fact(out, "plan", &plan.digest)?;
    }
    if let Some(dataset) = &report.dataset {
        let screened = match dataset.screened {
            0 => String::new(),
            rows if rows == dataset.rows => ", all screened".to_owned(),
            rows => format!(", first {} screened", grouped(rows)),
        };
        fact(out, "dataset", &format!("{} · {} rows{screened}", dataset.name, grouped(dataset.rows)))?;
        fact(out, "", &format!("sha256:{}", dataset.sha256))?;
    }
    if !report.plugins.is_empty() {
        heading(out, "Plugins")?;
        for plugin in &report.plugins {
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
    if !report.receipts.is_empty() {
        heading(out, "Receipts")?;
        for receipt in &report.receipts {
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

//! A plan as a person reads it.

use crate::view::style::{FAINT, HEADING, WARNING, grouped};
use std::fmt::{self, Write};
use std::path::PathBuf;
use tunesmith_core::contract::{Level, Note, Origin};
use tunesmith_core::text::{visible, visible_lines};
use tunesmith_engine::plan::{LocalPlan, OllamaPlan, OpenAiPlan, Plan, Planned, ProviderPlan};
use tunesmith_engine::verify::Verified;
use tunesmith_provider::facts;
use tunesmith_provider::local::{Estimate, Technique};

/// A Modelfile or request of more lines is cut in the middle unless `--full` is given:
/// a screen holds about this many.
const SHOWN_LINES: usize = 48;

/// How many of them stand after the cut.
const SHOWN_LAST: usize = 8;

/// Fewer lines are not worth leaving out.
const LEAST_CUT: usize = 8;

/// Renders a plan; `written` are the files that it was written to.
pub fn plan(planned: &Planned, written: &[PathBuf], full: bool) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_plan(&mut text, planned, written, full);
    text
}

fn write_plan(out: &mut String, planned: &Planned, written: &[PathBuf], full: bool) -> fmt::Result {
    let plan = &planned.plan;
    writeln!(
        out,
        "{HEADING}{}{HEADING:#} · {} on {}\n",
        visible(&plan.job.name),
        plan.method.id,
        facts::of(plan.job.provider).title
    )?;
    facts(out, plan)?;
    match &plan.config {
        ProviderPlan::Ollama(config) => ollama(out, config, full)?,
        ProviderPlan::OpenAi(config) => openai(out, config, full)?,
        ProviderPlan::Local(config) => local(out, config)?,
    }
    said(out, plan)?;
    if !planned.sidecar.closing.is_empty() {
        heading(out, "Closing dates")?;
        for note in &planned.sidecar.closing {
            bullet(out, note)?;
        }
    }
    if !plan.warnings.is_empty() {
        heading(out, "Warnings")?;
        for warning in &plan.warnings {
            writeln!(out, "  {WARNING}!{WARNING:#} {}", visible(&warning.message))?;
        }
    }
    receipt(out, planned)?;
    for path in written {
        writeln!(out, "  wrote        {}", visible(&path.display().to_string()))?;
    }
    Ok(())
}

/// Renders what came of comparing a stored plan with the job planned anew.
pub fn verified(verified: &Verified, stored: &str) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_verified(&mut text, verified, stored);
    text
}

fn write_verified(out: &mut String, verified: &Verified, stored: &str) -> fmt::Result {
    let stored = visible(stored);
    if verified.same {
        return writeln!(out, "{stored} is the plan that the job gives: {}", verified.now);
    }
    writeln!(out, "{WARNING}{stored} is not the plan that the job gives{WARNING:#}")?;
    fact(out, "stored", &verified.stored)?;
    fact(out, "now", &verified.now)?;
    for difference in &verified.differences {
        writeln!(out, "\n  {}", difference.place)?;
        fact(out, "stored", difference.stored.as_deref().unwrap_or("not there"))?;
        fact(out, "now", difference.now.as_deref().unwrap_or("not there"))?;
    }
    match verified.more {
        0 => Ok(()),
        more => writeln!(out, "\n  and {more} more differences"),
    }
}

fn heading(out: &mut String, title: &str) -> fmt::Result {
    writeln!(out, "\n{HEADING}{title}{HEADING:#}")
}

fn fact(out: &mut String, name: &str, value: &str) -> fmt::Result {
    writeln!(out, "  {FAINT}{name:<12}{FAINT:#} {}", visible(value))
}

fn bullet(out: &mut String, line: &str) -> fmt::Result {
    writeln!(out, "  · {}", visible(line))
}

fn facts(out: &mut String, plan: &Plan) -> fmt::Result {
    fact(out, "base model", &plan.job.base_model)?;
    let data = &plan.dataset;
    let tokens = &data.tokens;
    let counted = match (tokens.exact, tokens.tokenizer.is_exact()) {
        (true, true) => format!("{} tokens ({})", grouped(tokens.total), tokens.tokenizer.name()),
        (true, false) => format!("about {} tokens ({})", grouped(tokens.total), tokens.tokenizer.name()),
        (false, _) => format!(
            "about {} tokens ({}, from a sample, within {:.1} %)",
            grouped(tokens.total),
            tokens.tokenizer.name(),
            (tokens.error * 100.0).max(0.1)
        ),
    };
    let tasks = if data.tasks == 1 { "1 task".to_owned() } else { format!("{} tasks", data.tasks) };
    fact(out, "dataset", &format!("{} · {} rows, {tasks}, {counted}", data.name, grouped(data.rows)))?;
    if data.typed_rows < data.rows {
        let hidden = data.rows - data.typed_rows;
        fact(
            out,
            "",
            &format!("{} rows hold more than plain text; methods do not see those", grouped(hidden)),
        )?;
    }
    if let Some(transform) = &plan.transform {
        let left_out = match transform.rows - transform.rows_written {
            0 => String::new(),
            rows => format!(", {} left out", grouped(rows)),
        };
        let by = &transform.method;
        fact(
            out,
            "transform",
            &format!(
                "{} {} ({} tier): {} rows in{left_out}",
                by.title,
                by.version,
                by.tier,
                grouped(transform.rows)
            ),
        )?;
    }
    let method = &plan.method;
    let source = if method.built_in { "built in" } else { "plugin" };
    fact(out, "method", &format!("{} {} ({source}, {} tier)", method.title, method.version, method.tier))?;
    let settings: Vec<String> = plan
        .settings
        .iter()
        .map(|setting| {
            let mark = if setting.origin == Origin::Given { "" } else { " (default)" };
            format!("{} {}{mark}", setting.name, setting.value)
        })
        .collect();
    let settings = if settings.is_empty() { "none".to_owned() } else { settings.join(" · ") };
    fact(out, "settings", &settings)
}

fn ollama(out: &mut String, config: &OllamaPlan, full: bool) -> fmt::Result {
    heading(out, "What this makes")?;
    bullet(out, &config.outcome)?;
    let budget = &config.baked.budget;
    bullet(
        out,
        &format!(
            "about {} of {} tokens of context: {} for the system prompt, {} for examples, {} kept free for \
             question and answer",
            grouped(budget.total()),
            grouped(u64::from(budget.context_window)),
            grouped(budget.system),
            grouped(budget.shots),
            grouped(budget.reserve)
        ),
    )?;
    match (&config.modelfile.text, &config.modelfile.withheld) {
        (Some(text), _) => {
            heading(out, &format!("Modelfile {FAINT}({}){FAINT:#}", config.modelfile.name))?;
            block(out, text, full)
        }
        (None, _) => {
            heading(out, "Request to /api/create")?;
            json(out, &config.request, full)
        }
    }
}

fn openai(out: &mut String, config: &OpenAiPlan, full: bool) -> fmt::Result {
    heading(out, "What this makes")?;
    bullet(out, &config.outcome)?;
    let file = &config.training_file;
    let how = if file.unchanged { "the dataset, byte for byte" } else { "made from the dataset" };
    bullet(
        out,
        &format!(
            "uploaded as {}: {how}, {} rows, {} bytes",
            file.name,
            grouped(file.rows),
            grouped(file.bytes)
        ),
    )?;
    if let Some(file) = &config.validation_file {
        bullet(
            out,
            &format!(
                "and for validation {}: {} rows, {} bytes, none of them in the other",
                file.name,
                grouped(file.rows),
                grouped(file.bytes)
            ),
        )?;
    }
    heading(out, "Request to /fine_tuning/jobs")?;
    json(out, &config.request, full)?;
    heading(out, "Cost")?;
    bullet(out, &config.cost.summary())?;
    for note in &config.cost.notes {
        bullet(out, note)?;
    }
    Ok(())
}

fn local(out: &mut String, config: &LocalPlan) -> fmt::Result {
    heading(out, "What this makes")?;
    bullet(out, &config.outcome)?;
    heading(out, "Training recipe")?;
    for (name, value) in config.recipe.settings.iter() {
        writeln!(out, "  {name:<22} {}", visible(&value.to_string()))?;
    }
    heading(out, "What it would take")?;
    match (&config.estimate, &config.no_estimate) {
        (Some(estimate), _) => figures(out, estimate),
        (None, reason) => bullet(out, reason.as_deref().unwrap_or("no figures")),
    }
}

fn figures(out: &mut String, estimate: &Estimate) -> fmt::Result {
    let share = 100.0 * estimate.trainable as f64 / estimate.parameters as f64;
    bullet(
        out,
        &format!(
            "trains {} of {} parameters ({share:.3} %)",
            grouped(estimate.trainable),
            grouped(estimate.parameters)
        ),
    )?;
    let memory = &estimate.memory;
    bullet(
        out,
        &format!(
            "about {} of memory for {} rows of {} tokens at a time: {} weights, {} training, {} activations, {} \
             overhead",
            gib(memory.total()),
            estimate.load.batch,
            grouped(estimate.load.sequence),
            gib(memory.weights),
            gib(memory.training),
            gib(memory.activations),
            gib(memory.overhead)
        ),
    )?;
    if estimate.technique != Technique::Full {
        bullet(
            out,
            &format!("training all weights would need about {}", gib(estimate.memory_of_full.total())),
        )?;
    }
    estimate.notes.iter().try_for_each(|note| bullet(out, note))
}

fn gib(bytes: u64) -> String {
    let gib = bytes as f64 / (1_u64 << 30) as f64;
    if gib < 0.05 { format!("{:.0} MiB", gib * 1024.0) } else { format!("{gib:.1} GiB") }
}

/// What the method says: its notes on the config are part of the artifacts too.
fn said(out: &mut String, plan: &Plan) -> fmt::Result {
    let notes = plan.config.notes();
    if let Some(transform) = plan.transform.as_ref().filter(|transform| !transform.notes.is_empty()) {
        heading(out, &format!("What {} says", transform.method.id))?;
        transform.notes.iter().try_for_each(|said| note(out, said))?;
    }
    if notes.is_empty() && plan.notes.is_empty() {
        return Ok(());
    }
    heading(out, &format!("What {} says", plan.method.id))?;
    for note in notes {
        bullet(out, note)?;
    }
    plan.notes.iter().try_for_each(|said| note(out, said))
}

fn note(out: &mut String, note: &Note) -> fmt::Result {
    match note.level {
        Level::Info => bullet(out, &note.text),
        Level::Warning => writeln!(out, "  {WARNING}!{WARNING:#} {}", visible(&note.text)),
    }
}

fn receipt(out: &mut String, planned: &Planned) -> fmt::Result {
    heading(out, "Receipt")?;
    let plan = &planned.plan;
    let measured = &planned.sidecar.measured;
    fact(out, "plan", &planned.digest)?;
    fact(out, "dataset", &format!("sha256:{}", plan.dataset.sha256))?;
    if let Some(transform) = &plan.transform {
        fact(out, "transform", &format!("sha256:{}", transform.method.sha256))?;
    }
    fact(out, "plugin", &format!("sha256:{}", plan.method.sha256))?;
    if let Some(fuel) = plan.receipt.fuel {
        fact(out, "fuel", &format!("{} for {}", grouped(fuel), plan.receipt.call))?;
    }
    let micros = measured.wall.as_micros();
    let time = if micros < 10_000 {
        format!("{micros} µs")
    } else {
        format!("{:.1} ms", measured.wall.as_secs_f64() * 1000.0)
    };
    fact(
        out,
        "measured",
        &format!(
            "{time}, {} KiB of memory at most, {} rows shown, {} bytes in, {} bytes out",
            grouped(measured.peak_memory / 1024),
            grouped(measured.rows),
            grouped(measured.bytes_in),
            grouped(measured.bytes_out)
        ),
    )
}

fn json(out: &mut String, value: &impl serde::Serialize, full: bool) -> fmt::Result {
    let text = serde_json::to_string_pretty(value).unwrap_or_else(|error| error.to_string());
    block(out, &text, full)
}

/// A text set in, with its middle left out where it is long.
fn block(out: &mut String, text: &str, full: bool) -> fmt::Result {
    let text = visible_lines(text);
    let lines: Vec<&str> = text.lines().collect();
    let cut = !full && lines.len() >= SHOWN_LINES + LEAST_CUT;
    let first = if cut { SHOWN_LINES - SHOWN_LAST } else { lines.len() };
    let write_line = |out: &mut String, line: &str| {
        if line.is_empty() { writeln!(out) } else { writeln!(out, "  {line}") }
    };
    for line in &lines[..first] {
        write_line(out, line)?;
    }
    if cut {
        let hidden = lines.len() - SHOWN_LINES;
        writeln!(
            out,
            "  {FAINT}… {hidden} lines left out; --full shows them, --out DIR writes them …{FAINT:#}"
        )?;
        for line in &lines[lines.len() - SHOWN_LAST..] {
            write_line(out, line)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_block_is_cut_in_the_middle_and_says_how_much() {
        let text: String = (1..=100).map(|n| format!("line {n}\n")).collect();
        let mut out = String::new();
        block(&mut out, &text, false).unwrap();
        assert!(out.contains("line 40\n") && !out.contains("line 41\n"), "{out}");
        assert!(out.contains("52 lines left out"), "{out}");
        assert!(out.ends_with("  line 100\n"), "{out}");
        let mut whole = String::new();
        block(&mut whole, &text, true).unwrap();
        assert!(whole.contains("line 41\n") && !whole.contains("left out"));
    }
}

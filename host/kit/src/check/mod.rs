//! Checks a plugin: its file, its descriptor, whether it is deterministic, how it handles
//! hostile inputs, and how close it comes to the limits.

mod descriptor;
mod jobs;
mod subjects;

use super::{CallReport, CallResult, Function, Subject, call};
use serde::Serialize;
use std::time::Duration;
use tunesmith_core::contract::{Example, MethodJob};
use tunesmith_core::text::{excerpt, grouped};
use tunesmith_plugin_host::{CallError, Inspection, Limits, Measured, Plugin, Stopped, Tier};
use tunesmith_provider::facts;

/// The share of a limit that counts as near: half, since users have other datasets than
/// this check.
const NEAR: f64 = 0.5;

/// Findings of one rule that are listed; the rest are counted.
const KEPT: usize = 5;

/// Characters of a broken rule; the rest of a long list adds nothing.
const LONGEST: usize = 300;

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub plugin: String,
    pub version: String,
    /// SHA-256 of its file.
    pub sha256: String,
    /// The most serious level of all findings.
    pub verdict: Level,
    /// The findings, including what is in order.
    pub findings: Vec<Finding>,
    /// How close it came to each limit.
    pub headroom: Vec<Headroom>,
    /// Calls that were made.
    pub calls: usize,
}

/// How serious a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, but should be improved.
    Warning,
    Error,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The check.
    pub rule: &'static str,
    /// How serious it is.
    pub level: Level,
    pub message: String,
    /// How to fix it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Finding {
    fn ok(rule: &'static str, message: impl Into<String>) -> Self {
        Self { rule, level: Level::Ok, message: message.into(), fix: None }
    }

    fn warning(rule: &'static str, message: impl Into<String>) -> Self {
        Self { level: Level::Warning, ..Self::ok(rule, message) }
    }

    fn error(rule: &'static str, message: impl Into<String>) -> Self {
        Self { level: Level::Error, ..Self::ok(rule, message) }
    }

    fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

/// The call that came closest to a limit.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Headroom {
    /// The limited resource: `fuel`, `memory` or `time`.
    pub limit: &'static str,
    /// Used fuel, bytes or microseconds.
    pub used: u64,
    /// The limit, in the same unit.
    pub of: u64,
    /// A description of the call.
    pub call: String,
}

impl Headroom {
    /// The share of the limit, from 0 to 1.
    pub fn share(&self) -> f64 {
        self.used as f64 / self.of.max(1) as f64
    }

    /// Used resources, for printing.
    pub fn shown(&self) -> String {
        let percent = self.share() * 100.0;
        let used = match self.limit {
            "memory" => format!("{:.1} MiB", self.used as f64 / f64::from(1 << 20)),
            "time" => format!("{:.1} ms", self.used as f64 / 1000.0),
            _ => grouped(self.used.into()),
        };
        format!("{} {used} ({percent:.1}% of the limit)", self.limit)
    }
}

/// Collects a bounded number of findings.
#[derive(Debug, Default)]
struct Findings {
    list: Vec<Finding>,
    more: std::collections::BTreeMap<(&'static str, Level), usize>,
}

impl Findings {
    fn add(&mut self, finding: Finding) {
        // Every call runs twice.
        if self.list.contains(&finding) {
            return;
        }
        let same = |other: &&Finding| other.rule == finding.rule && other.level == finding.level;
        if self.list.iter().filter(same).count() < KEPT {
            self.list.push(finding);
        } else {
            *self.more.entry((finding.rule, finding.level)).or_default() += 1;
        }
    }

    fn has(&self, rule: &str) -> bool {
        self.list.iter().any(|finding| finding.rule == rule)
    }

    fn finish(mut self) -> Vec<Finding> {
        for ((rule, level), more) in self.more {
            let last = self.list.iter().rposition(|finding| finding.rule == rule && finding.level == level);
            let finding = Finding { level, ..Finding::ok(rule, format!("{more} more like these")) };
            self.list.insert(last.map_or(self.list.len(), |last| last + 1), finding);
        }
        self.list
    }
}

/// Checks a plugin with an inspected file.
pub fn check(plugin: &Plugin, inspection: &Inspection, limits: &Limits) -> Report {
    let mut findings = Findings::default();
    file(plugin, inspection, limits, &mut findings);
    descriptor::docs(plugin.descriptor(), &mut findings);
    descriptor::settings(plugin.descriptor(), &mut findings);
    let mut trials = Trials { plugin, limits, findings, worst: Vec::new(), calls: 0, unequal: 0 };
    trials.run();
    let Trials { mut findings, worst, calls, .. } = trials;
    headroom(&worst, &mut findings);
    let findings = findings.finish();
    Report {
        plugin: plugin.id().to_owned(),
        version: plugin.descriptor().version.clone(),
        sha256: plugin.digest().to_string(),
        verdict: findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok),
        findings,
        headroom: worst,
        calls,
    }
}

/// What the file is.
fn file(plugin: &Plugin, inspection: &Inspection, limits: &Limits, findings: &mut Findings) {
    let size = inspection.size;
    let what = format!("{} of {} bytes", inspection.form, grouped(size.into()));
    findings.add(if size as f64 > NEAR * limits.file as f64 {
        Finding::warning("size", format!("{what}; the limit is {}", grouped(limits.file.into())))
            .fix("remove unused code, and optimize the build for size")
    } else {
        Finding::ok("size", what)
    });
    findings.add(match plugin.tier() {
        Tier::Pure => Finding::ok("tier", "pure: it imports only tunesmith's interfaces"),
        Tier::Std => Finding::ok(
            "tier",
            "std: its language runtime imports WASI, which gives no access; some operators allow only pure plugins",
        ),
    });
    let abilities: Vec<_> = plugin.abilities().iter().map(|ability| ability.as_str()).collect();
    findings.add(if abilities.is_empty() {
        Finding::error("contract", "it exports no ability, so no job can use it")
            .fix("export ollama, openai, training or transform")
    } else {
        Finding::ok("contract", format!("built for {}; {}", plugin.contract(), abilities.join(", ")))
    });
}

/// The calls of a check and their results.
struct Trials<'a> {
    plugin: &'a Plugin,
    limits: &'a Limits,
    findings: Findings,
    worst: Vec<Headroom>,
    calls: usize,
    unequal: usize,
}

impl Trials<'_> {
    fn run(&mut self) {
        let method = self.plugin.descriptor();
        let ordinary = subjects::ordinary();
        let odd = subjects::odd();
        let functions: Vec<Function> = Function::of(self.plugin).collect();
        for function in functions {
            let plain = jobs::plain(method, function);
            let place = format!("{function} on a dataset {}", ordinary.what);
            if let Some(called) = self.twice("abilities", function, &plain, &ordinary, &place)
                && let CallResult::Refusal(refusal) = called.outcome
            {
                let what = format!("{place} with default settings is refused: {}", super::refusal(&refusal));
                self.findings.add(
                    Finding::warning("abilities", what).fix("a method should work with its default settings"),
                );
            }
            if function == Function::Describe {
                continue;
            }
            for subject in &odd {
                let place = format!("{function} on a dataset {}", subject.what);
                self.twice("hostile", function, &plain, subject, &place);
            }
            for (what, job) in jobs::extreme(method, function) {
                let place = format!("{function} {what}");
                self.twice("extremes", function, &job, &ordinary, &place);
            }
            if function == Function::Transform {
                self.independent(&plain, &ordinary);
            }
        }
        for (rule, fine) in [
            ("abilities", "each answers an ordinary dataset with default settings"),
            (
                "hostile",
                "no rows, one row, 4 billion rows, giant rows, odd texts and odd conversations: answered or refused",
            ),
            ("extremes", "each setting at its minimum and maximum: answered or refused"),
        ] {
            if !self.findings.has(rule) {
                self.findings.add(Finding::ok(rule, fine));
            }
        }
        if self.unequal == 0 {
            let what = format!("{} calls gave the same answer, notes and fuel both times", self.calls / 2);
            self.findings.add(Finding::ok("determinism", what));
        }
    }

    /// Runs a call twice and compares the results.
    fn twice(
        &mut self,
        rule: &'static str,
        function: Function,
        job: &MethodJob,
        subject: &dyn Subject,
        place: &str,
    ) -> Option<CallReport> {
        let first = self.once(rule, function, job, subject, place)?;
        let second = self.once(rule, function, job, subject, place)?;
        if !first.is_same(&second) {
            self.unequal += 1;
            let what = match (first.receipt.fuel, second.receipt.fuel) {
                (Some(one), Some(other))
                    if first.outcome == second.outcome && first.notes == second.notes =>
                {
                    format!(
                        "{place} used {} units of fuel, then {}",
                        grouped(one.into()),
                        grouped(other.into())
                    )
                }
                _ => format!("{place} gave another answer the second time"),
            };
            self.findings.add(Finding::error("determinism", what).fix(
                "depend only on the job and its seed, not on random numbers, addresses, hash order or time",
            ));
        }
        Some(first)
    }

    /// Runs a call and reports errors.
    fn once(
        &mut self,
        rule: &'static str,
        function: Function,
        job: &MethodJob,
        subject: &dyn Subject,
        place: &str,
    ) -> Option<CallReport> {
        self.calls += 1;
        match call(self.plugin, function, job, subject) {
            Ok(called) => {
                self.measure(function, called.receipt.fuel, called.receipt.measured, place);
                if let Some(breaks) = &called.breaks {
                    let provider = facts::of(function.provider()).title;
                    let breaks = excerpt(breaks, LONGEST);
                    let what = format!("{place}: answer breaks the rules of {provider}: {breaks}");
                    self.findings.add(Finding::error(rule, what).fix(
                        "the host would reject it; refuse impossible jobs with a reason, and always use settings that the \
                         user sets",
                    ));
                }
                Some(called)
            }
            Err(error) => {
                if let Some(receipt) = &error.receipt {
                    self.measure(function, receipt.fuel, receipt.measured, place);
                }
                self.findings.add(Finding::error(rule, failure(place, &error)).fix(fix(&error.stopped)));
                None
            }
        }
    }

    /// Each conversation must give the same result in any batch.
    fn independent(&mut self, job: &MethodJob, subject: &dyn Subject) {
        let batch = subject.batch();
        let Ok(Ok(together)) = self.plugin.transform_examples(job, batch.clone()).map(|answer| answer.result)
        else {
            return;
        };
        self.calls += 1;
        for (place, (example, expected)) in batch.into_iter().zip(together).enumerate().step_by(7) {
            self.calls += 1;
            let alone: Option<Vec<Option<Example>>> =
                self.plugin.transform_examples(job, vec![example]).ok().and_then(|answer| answer.result.ok());
            if alone.is_some_and(|alone| alone != [expected]) {
                let what = format!("conversation {} of a batch gives another result on its own", place + 1);
                self.findings.add(
                    Finding::error("independence", what)
                        .fix("keep no state between conversations: batches have any size, number and order"),
                );
                return;
            }
        }
        self.findings.add(Finding::ok(
            "independence",
            "conversations give the same result in a batch and on their own",
        ));
    }

    fn measure(&mut self, function: Function, fuel: Option<u64>, measured: Measured, place: &str) {
        let limits = self.limits;
        let deadline = match function {
            Function::Describe => limits.describe_deadline,
            Function::Transform => limits.transform_deadline,
            _ => limits.plan_deadline,
        };
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let found = [
            fuel.map(|fuel| ("fuel", fuel, limits.fuel)),
            Some(("memory", measured.peak_memory, limits.memory)),
            Some(("time", micros(measured.wall), micros(deadline))),
        ];
        for (limit, used, of) in found.into_iter().flatten() {
            let headroom = Headroom { limit, used, of, call: place.to_owned() };
            match self.worst.iter_mut().find(|worst| worst.limit == limit) {
                Some(worst) if worst.share() >= headroom.share() => {}
                Some(worst) => *worst = headroom,
                None => self.worst.push(headroom),
            }
        }
    }
}

fn failure(place: &str, error: &CallError) -> String {
    let mut text = format!("{place}: {error}");
    if !error.output.is_empty() {
        text.push_str(&format!("\noutput:\n{}", error.output));
    }
    text
}

/// How an author can fix a call that was stopped.
fn fix(stopped: &Stopped) -> &'static str {
    match stopped {
        Stopped::Memory { .. } => {
            "request only the rows that the answer needs from `dataset.sample`, with a token budget, and keep no copies"
        }
        Stopped::Fuel { .. } | Stopped::Deadline { .. } => {
            "do not iterate over all rows: figures and a sample are enough for a plan"
        }
        Stopped::HostCalls { .. } | Stopped::Diagnostics { .. } => {
            "call the host once, not for each row or task"
        }
        Stopped::ResultSize { .. } | Stopped::HostCallBytes { .. } => {
            "refer to rows by id instead of copying them, and truncate user input"
        }
        Stopped::Panicked(_) | Stopped::Trapped(_) | Stopped::Exited(_) => {
            "accept any value within the declared ranges and any dataset, or refuse with a reason"
        }
        _ => "see the limits in docs/plugins.md",
    }
}

fn headroom(worst: &[Headroom], findings: &mut Findings) {
    let near: Vec<&Headroom> = worst.iter().filter(|headroom| headroom.share() > NEAR).collect();
    if near.is_empty() {
        let shown: Vec<String> = worst.iter().map(Headroom::shown).collect();
        findings.add(Finding::ok("headroom", format!("at most {}", shown.join(", "))));
    }
    for headroom in near {
        let what = format!("{} in {}", headroom.shown(), headroom.call);
        findings.add(Finding::warning("headroom", what).fix("leave room for larger datasets than these"));
    }
}

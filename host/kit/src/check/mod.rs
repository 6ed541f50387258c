//! Checking a plugin before anyone relies on it: what it is, what it says of itself,
//! whether it answers the same each time, what hostile inputs do to it, and how close
//! it comes to the limits.

mod descriptor;
mod jobs;
mod subjects;

use super::{Called, Function, Outcome, Subject, call};
use serde::Serialize;
use std::time::Duration;
use tunesmith_core::contract::{Example, MethodJob};
use tunesmith_core::text::{excerpt, grouped};
use tunesmith_plugin_host::{CallError, Inspection, Limits, Measured, Plugin, Stopped, Tier};

/// The share of a limit from which on it is called near: half, since users' datasets
/// are not those of this check.
const NEAR: f64 = 0.5;

/// Findings of one rule that are kept as they are; the rest are counted.
const KEPT: usize = 5;

/// Characters of what is wrong with an answer; the rest of many wrong values says no more.
const LONGEST: usize = 300;

/// What the check found.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The plugin's id.
    pub plugin: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of its file.
    pub sha256: String,
    /// The worst of all findings.
    pub verdict: Level,
    /// What was looked at, and what is wrong with it.
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
    /// It works; its users would thank you for mending it.
    Warning,
    /// It fails somewhere.
    Error,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What was looked at.
    pub rule: &'static str,
    /// How serious it is.
    pub level: Level,
    /// What was found.
    pub message: String,
    /// What to do about it.
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

/// How close the most demanding call came to a limit.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Headroom {
    /// What is limited: `fuel`, `memory` or `time`.
    pub limit: &'static str,
    /// What was used: units of fuel, bytes, or microseconds.
    pub used: u64,
    /// The limit, in the same.
    pub of: u64,
    /// Which call that was, in words.
    pub call: String,
}

impl Headroom {
    /// The share of the limit, from 0 to 1.
    pub fn share(&self) -> f64 {
        self.used as f64 / self.of.max(1) as f64
    }

    /// What was used, for people.
    pub fn shown(&self) -> String {
        let percent = self.share() * 100.0;
        let used = match self.limit {
            "memory" => format!("{:.1} MiB", self.used as f64 / f64::from(1 << 20)),
            "time" => format!("{:.1} ms", self.used as f64 / 1000.0),
            _ => grouped(self.used.into()),
        };
        format!("{} {used} ({percent:.1} % of the limit)", self.limit)
    }
}

/// Findings as they come, bounded.
#[derive(Debug, Default)]
struct Findings {
    list: Vec<Finding>,
    more: std::collections::BTreeMap<(&'static str, Level), usize>,
}

impl Findings {
    fn add(&mut self, finding: Finding) {
        // Each call is made twice.
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
            let finding = Finding { level, ..Finding::ok(rule, format!("and {more} more like these")) };
            self.list.insert(last.map_or(self.list.len(), |last| last + 1), finding);
        }
        self.list
    }
}

/// Checks a plugin, whose file has been inspected.
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
            .fix("remove what it does not need, and build it with optimization for size")
    } else {
        Finding::ok("size", what)
    });
    findings.add(match plugin.tier() {
        Tier::Pure => Finding::ok("tier", "pure: it imports only tunesmith's own interfaces"),
        Tier::Std => Finding::ok(
            "tier",
            "std: its language's runtime imports WASI, which is bound to nothing; operators may ask for pure ones, \
             built without it",
        ),
    });
    let abilities: Vec<_> = plugin.abilities().iter().map(|ability| ability.as_str()).collect();
    findings.add(if abilities.is_empty() {
        Finding::error("contract", "it has no ability, so that no job could use it")
            .fix("export ollama, openai, training or transform")
    } else {
        Finding::ok("contract", format!("built for {}; {}", plugin.contract(), abilities.join(", ")))
    });
}

/// The calls of a check, and what they came to.
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
                && let Outcome::Refusal(refusal) = called.outcome
            {
                let what =
                    format!("{place}, with its own defaults, is declined: {}", super::refusal(&refusal));
                self.findings.add(
                    Finding::warning("abilities", what)
                        .fix("a method should do something for anyone who names it"),
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
            ("abilities", "each answers an ordinary dataset with its own defaults"),
            (
                "hostile",
                "no rows, one, 4 billion, giant ones, odd texts and odd conversations: answered or declined",
            ),
            ("extremes", "each setting at its ends: answered or declined"),
        ] {
            if !self.findings.has(rule) {
                self.findings.add(Finding::ok(rule, fine));
            }
        }
        if self.unequal == 0 {
            let what = format!("{} calls gave the same answer, notes and fuel twice", self.calls / 2);
            self.findings.add(Finding::ok("determinism", what));
        }
    }

    /// Makes a call twice and compares.
    fn twice(
        &mut self,
        rule: &'static str,
        function: Function,
        job: &MethodJob,
        subject: &dyn Subject,
        place: &str,
    ) -> Option<Called> {
        let first = self.once(rule, function, job, subject, place)?;
        let second = self.once(rule, function, job, subject, place)?;
        if !first.is_same(&second) {
            self.unequal += 1;
            let what = match (first.receipt.fuel, second.receipt.fuel) {
                (Some(one), Some(other))
                    if first.outcome == second.outcome && first.notes == second.notes =>
                {
                    format!(
                        "{place} took {} units of fuel, then {}",
                        grouped(one.into()),
                        grouped(other.into())
                    )
                }
                _ => format!("{place} answered otherwise the second time"),
            };
            self.findings.add(
                Finding::error("determinism", what).fix(
                    "decide by the job's seed alone: not by random numbers, addresses, hash order or time",
                ),
            );
        }
        Some(first)
    }

    /// Makes a call, and says what is wrong with its end.
    fn once(
        &mut self,
        rule: &'static str,
        function: Function,
        job: &MethodJob,
        subject: &dyn Subject,
        place: &str,
    ) -> Option<Called> {
        self.calls += 1;
        match call(self.plugin, function, job, subject) {
            Ok(called) => {
                self.measure(function, called.receipt.fuel, called.receipt.measured, place);
                if let Some(breaks) = &called.breaks {
                    let provider = function.provider().title();
                    let breaks = excerpt(breaks, LONGEST);
                    let what = format!("{place}: the answer breaks the rules of {provider}: {breaks}");
                    self.findings.add(Finding::error(rule, what).fix(
                        "a plan would not be made; decline what cannot be done, with the reason, and honour what \
                         the user gives",
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

    /// Each conversation has to come out the same, whatever batch it is in.
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
                let what =
                    format!("conversation {} of a batch comes out otherwise when it is alone", place + 1);
                self.findings.add(Finding::error("independence", what).fix(
                    "keep nothing from one conversation to the next: batches come in any size, number and order",
                ));
                return;
            }
        }
        self.findings
            .add(Finding::ok("independence", "conversations come out the same in a batch and alone"));
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
        text.push_str(&format!("\nit printed:\n{}", error.output));
    }
    text
}

/// What an author can do about a call that was stopped.
fn fix(stopped: &Stopped) -> &'static str {
    match stopped {
        Stopped::Memory { .. } => {
            "ask `dataset.sample` for as few rows as the answer needs, with a token budget, and keep no copies"
        }
        Stopped::Fuel { .. } | Stopped::Deadline { .. } => {
            "let nothing depend on the number of rows: figures and a sample are enough for a plan"
        }
        Stopped::HostCalls { .. } | Stopped::Diagnostics { .. } => "ask once, not for each row or task",
        Stopped::ResultSize { .. } | Stopped::HostCallBytes { .. } => {
            "refer to rows by id instead of writing them, and cut what users give"
        }
        Stopped::Panicked(_) | Stopped::Trapped(_) | Stopped::Exited(_) => {
            "expect any value within the declared ranges and any dataset, and decline with a reason"
        }
        _ => "docs/plugins.md has the limits, and how to stay under them",
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
        findings.add(Finding::warning("headroom", what).fix("leave room for datasets larger than these"));
    }
}

//! Findings that are safe to print, and the verdict that follows from them.

use super::rules::{Rule, Severity};
use super::screen;
use serde::Serialize;
use std::fmt;
use tunesmith_core::failure::Advice;
use tunesmith_core::text::excerpt;

/// Findings of one rule that are listed; further ones are only counted. Three show the
/// pattern, and a hostile input must not fill the screen.
const KEPT_PER_RULE: usize = 3;

/// Characters of a place: a path in a page of JSON.
const LONGEST_PLACE: usize = 200;

/// Characters of what was found: a few sentences.
const LONGEST_WHAT: usize = 500;

/// One problem. Its texts are one line each, without control or invisible characters,
/// whoever wrote them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub rule: Rule,
    /// How serious it is.
    pub severity: Severity,
    /// Where it was found.
    pub place: String,
    pub what: String,
    /// What to do about it.
    #[serde(rename = "advice")]
    pub fix: Advice,
    /// The number of further findings like it.
    #[serde(skip_serializing_if = "is_zero")]
    pub more: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The result of all findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// No findings.
    Allow,
    /// Somebody should review it.
    Warn,
    /// It must not be run.
    Deny,
    /// It is broken or incomplete, so it cannot be vetted.
    Unjudged,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allow => "allow",
            Self::Warn => "warn",
            Self::Deny => "deny",
            Self::Unjudged => "unjudged",
        })
    }
}

#[derive(Debug, Default)]
pub(super) struct Findings {
    list: Vec<Finding>,
}

impl Findings {
    /// Adds a finding with the rule's fix.
    pub fn add(&mut self, rule: Rule, place: &str, what: &str) {
        self.add_with(rule, place, what, rule.fix());
    }

    /// Adds a finding with a more specific fix.
    pub fn add_with(&mut self, rule: Rule, place: &str, what: &str, fix: Advice) {
        let mut same = self.list.iter_mut().filter(|finding| finding.rule == rule);
        if let Some(last) = same.nth(KEPT_PER_RULE - 1) {
            last.more += 1;
            return;
        }
        self.list.push(Finding {
            rule,
            severity: rule.severity(),
            place: shown(place, LONGEST_PLACE),
            what: shown(what, LONGEST_WHAT),
            fix: match fix {
                Advice::Text { text } => Advice::text(shown(&text, LONGEST_WHAT)),
                typed => typed,
            },
            more: 0,
        });
    }

    /// Whether a rule has a finding.
    pub fn has(&self, rule: Rule) -> bool {
        self.list.iter().any(|finding| finding.rule == rule)
    }

    /// The verdict, and the findings with the most serious first.
    pub fn finish(mut self) -> (Verdict, Vec<Finding>) {
        self.list.sort_by_key(|finding| finding.severity);
        let verdict = match self.list.first().map(|finding| finding.severity) {
            None => Verdict::Allow,
            Some(Severity::Warn) => Verdict::Warn,
            Some(Severity::Deny) => Verdict::Deny,
            Some(Severity::Unjudged) => Verdict::Unjudged,
        };
        (verdict, self.list)
    }
}

/// Makes untrusted text safe to print: one line, keys redacted, characters visible,
/// length bounded.
fn shown(text: &str, longest: usize) -> String {
    excerpt(&screen::without_secrets(text), longest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tunesmith_core::text::is_hidden;

    #[test]
    fn the_most_serious_finding_decides() {
        let verdict = |rules: &[Rule]| {
            let mut findings = Findings::default();
            for rule in rules {
                findings.add(*rule, "here", "something");
            }
            findings.finish().0
        };
        assert_eq!(verdict(&[]), Verdict::Allow);
        assert_eq!(verdict(&[Rule::LongAnswer]), Verdict::Warn);
        assert_eq!(verdict(&[Rule::LongAnswer, Rule::JobInvalid]), Verdict::Unjudged);
        assert_eq!(verdict(&[Rule::LongAnswer, Rule::JobInvalid, Rule::JobLink]), Verdict::Deny);
    }

    #[test]
    fn many_findings_of_one_rule_are_counted() {
        let mut findings = Findings::default();
        for number in 0..10 {
            findings.add(Rule::SecretText, &format!("row {number}"), "a key");
        }
        let (_, list) = findings.finish();
        assert_eq!(list.len(), KEPT_PER_RULE);
        assert_eq!(list.iter().map(|finding| finding.more).sum::<u64>(), 7);
    }

    proptest! {
        #[test]
        fn nothing_that_a_terminal_obeys_comes_through(place in any::<String>(), what in any::<String>()) {
            let mut findings = Findings::default();
            findings.add_with(Rule::JobInvalid, &place, &what, what.as_str().into());
            let (_, list) = findings.finish();
            let shown = serde_json::to_value(&list).unwrap();
            for text in ["/0/place", "/0/what", "/0/advice/text"] {
                let text = shown.pointer(text).and_then(serde_json::Value::as_str).unwrap();
                prop_assert!(!text.contains(is_hidden));
                prop_assert!(text.chars().count() <= 10 * LONGEST_WHAT);
            }
        }
    }
}

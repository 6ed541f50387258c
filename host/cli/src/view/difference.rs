//! What differs between two plans, for someone who watches one change.

use crate::view::style::FAINT;
use anstyle::{AnsiColor, Style};
use serde::Serialize;
use serde_json::Value;
use std::fmt::Write as _;
use tunesmith_core::text::{excerpt, visible};

/// More differences than this are counted, not shown: a screenful.
const SHOWN: usize = 40;

/// A value of more characters is cut: two of them fit on a line of a wide terminal.
const LONGEST: usize = 60;

const BEFORE: Style = AnsiColor::Red.on_default();
const AFTER: Style = AnsiColor::Green.on_default();

/// A place where two plans differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Difference {
    /// The place, such as `config.ollama.request.parameters.temperature`.
    pub place: String,
    /// What was there; absent where nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What is there; absent where nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// What differs, in the order of the plan.
pub fn between(before: &Value, after: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(String::new(), Some(before), Some(after), &mut found);
    found
}

fn compare(place: String, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<Difference>) {
    match (before, after) {
        (Some(before), Some(after)) if before == after => {}
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            let added = after.keys().filter(|key| !before.contains_key(*key));
            for key in before.keys().chain(added) {
                let place = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
                compare(place, before.get(key), after.get(key), found);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) => {
            // What both begin and end with is the same; what lies between was changed,
            // put in or taken out.
            let first = before.iter().zip(after).take_while(|(a, b)| a == b).count();
            let shorter = before.len().min(after.len()) - first;
            let last =
                before.iter().rev().zip(after.iter().rev()).take(shorter).take_while(|(a, b)| a == b).count();
            let (before, after) = (&before[first..before.len() - last], &after[first..after.len() - last]);
            for at in 0..before.len().max(after.len()) {
                compare(format!("{place}[{}]", first + at), before.get(at), after.get(at), found);
            }
        }
        _ => found.push(Difference { place, before: before.cloned(), after: after.cloned() }),
    }
}

/// The differences, a line each.
pub fn text(differences: &[Difference]) -> String {
    let mut out = String::new();
    for Difference { place, before, after } in differences.iter().take(SHOWN) {
        // Writing to a String cannot fail.
        let _ = match (before, after) {
            (Some(before), Some(after)) => writeln!(
                out,
                "  {FAINT}{}{FAINT:#}  {BEFORE}{}{BEFORE:#} → {AFTER}{}{AFTER:#}",
                visible(place),
                short(before),
                short(after)
            ),
            (Some(before), None) => {
                writeln!(out, "  {FAINT}{}{FAINT:#}  {BEFORE}- {}{BEFORE:#}", visible(place), short(before))
            }
            (None, Some(after)) => {
                writeln!(out, "  {FAINT}{}{FAINT:#}  {AFTER}+ {}{AFTER:#}", visible(place), short(after))
            }
            (None, None) => Ok(()),
        };
    }
    if let more @ 1.. = differences.len().saturating_sub(SHOWN) {
        let _ = writeln!(out, "  {FAINT}… and {more} more{FAINT:#}");
    }
    out
}

/// A value on a line, cut where it is long.
fn short(value: &Value) -> String {
    match value {
        Value::String(text) => excerpt(text, LONGEST),
        other => excerpt(&other.to_string(), LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn shown(before: &Value, after: &Value) -> String {
        anstream::adapter::strip_str(&text(&between(before, after))).to_string()
    }

    #[test]
    fn a_plan_that_did_not_change_has_no_differences() {
        let plan = json!({ "a": [1, { "b": null }], "c": "x" });
        assert_eq!(between(&plan, &plan), []);
    }

    #[test]
    fn differences_name_their_place() {
        let before = json!({ "config": { "temperature": 0.7, "stop": ["a", "b"], "seed": 1 }, "fuel": 10 });
        let after =
            json!({ "config": { "temperature": 0.5, "stop": ["a", "c", "b"], "top_k": 4 }, "fuel": 10 });
        insta::assert_snapshot!(shown(&before, &after), @r"
        config.temperature  0.7 → 0.5
        config.stop[1]  + c
        config.seed  - 1
        config.top_k  + 4
        ");
    }

    #[test]
    fn an_element_taken_out_does_not_make_the_rest_differ() {
        let (before, after) = (json!([1, 2, 3, 4]), json!([1, 3, 4]));
        assert_eq!(
            between(&before, &after),
            [Difference { place: "[1]".into(), before: Some(json!(2)), after: None }]
        );
    }

    #[test]
    fn long_and_many_are_cut_and_controls_are_shown() {
        let before = json!({ "text": "a\u{1b}[2J".repeat(100) });
        let lines = shown(&before, &json!({ "text": "b" }));
        assert!(lines.chars().count() < 4 * LONGEST && !lines.contains('\u{1b}'), "{lines}");
        let many = Value::Array((0..100).map(Value::from).collect());
        let lines = shown(&many, &json!([]));
        assert!(lines.ends_with("… and 60 more\n"), "{lines}");
    }
}

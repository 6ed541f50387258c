//! Tool and function calls of a message, and the answers to them.

use super::{ChatCheck, CheckedRole, MessageFields};
use crate::containers::json::{Value, ValueKind};
use crate::shapes::turns::MessagePath;
use crate::verdict::row::{CountedRole, RowCheck};
use crate::verdict::{FindingKind, explain};

pub(super) fn unanswered(row: &mut RowCheck<'_>, field: &str, id: &str, at: usize) {
    row.openai_error(FindingKind::UnansweredToolCall, at, || {
        explain(
            field,
            format!("no tool message answers call {id:?}"),
            "add a \"tool\" message with this tool_call_id right after it",
        )
    });
}

pub(super) fn check_tools(
    row: &mut RowCheck<'_>,
    more: &MessageFields<'_>,
    spoken: &CheckedRole,
    message: Value<'_>,
    at: MessagePath,
    seen: &mut ChatCheck,
) {
    if spoken.role == CountedRole::Tool {
        seen.tools_used = true;
        if spoken.legacy {
            if more.name.is_none() {
                row.error(FindingKind::MissingField, message.start(), || {
                    explain(
                        at.field("name"),
                        "missing field \"name\" of a function message",
                        "add the function's name",
                    )
                });
            }
            return;
        }
        let Some(id) = more.tool_call_id else {
            row.error(FindingKind::MissingField, message.start(), || {
                explain(
                    at.field("tool_call_id"),
                    "missing field \"tool_call_id\" of a tool message",
                    "add the id of the call that it answers",
                )
            });
            return;
        };
        let name = id.text().unwrap_or_default();
        match seen.calls.iter().position(|(call, _)| *call == *name) {
            Some(found) => {
                seen.calls.remove(found);
            }
            None => row.openai_error(FindingKind::AnswerWithoutCall, id.start(), || {
                explain(
                    at.field("tool_call_id"),
                    format!("answers call {name:?}, which is not in the previous assistant message"),
                    "use the id of a call in the previous assistant message",
                )
            }),
        }
        return;
    }
    for (id, place) in std::mem::take(&mut seen.calls) {
        unanswered(row, at.place(), &id, place);
    }
    if let Some(call) = more.function_call {
        seen.tools_used = true;
        check_function(row, call, || at.field("function_call"));
    }
    let Some(calls) = more.tool_calls else { return };
    seen.tools_used = true;
    if calls.kind() != ValueKind::Array {
        row.error(FindingKind::WrongType, calls.start(), || {
            explain(
                at.field("tool_calls"),
                format!("expected a list, found {}", calls.kind().name()),
                "make it a list of calls",
            )
        });
        return;
    }
    for (m, call) in calls.items().enumerate() {
        let field = |name: &str| at.field(&format!("tool_calls[{m}]{name}"));
        match call.get("id").and_then(|id| id.text()) {
            Some(id) => seen.calls.push((id.into_owned(), call.start())),
            None => row.error(FindingKind::MissingField, call.start(), || {
                explain(field(".id"), "missing field \"id\"", "add an id, and answer it with tool_call_id")
            }),
        }
        match call.get("function") {
            Some(function) => check_function(row, function, || field(".function")),
            None => row.error(FindingKind::MissingField, call.start(), || {
                explain(field(".function"), "missing function name", "add {\"name\": …, \"arguments\": …}")
            }),
        }
    }
}

fn check_function(row: &mut RowCheck<'_>, function: Value<'_>, field: impl Fn() -> String) {
    if function.get("name").and_then(|name| name.text()).is_none_or(|name| name.is_empty()) {
        row.error(FindingKind::MissingField, function.start(), || {
            explain(format!("{}.name", field()), "missing function name", "add its name")
        });
    }
    match function.get("arguments") {
        Some(arguments) if arguments.kind() == ValueKind::Text => {}
        Some(arguments) => row.openai_error(FindingKind::WrongType, arguments.start(), || {
            explain(
                format!("{}.arguments", field()),
                format!("expected a string of JSON, found {}", arguments.kind().name()),
                "write the arguments as JSON inside a string",
            )
        }),
        None => row.openai_error(FindingKind::MissingField, function.start(), || {
            explain(
                format!("{}.arguments", field()),
                "missing field \"arguments\"",
                "write \"{}\" if there are none",
            )
        }),
    }
}

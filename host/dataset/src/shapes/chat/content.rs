//! The content of a message: a string, or parts with text and images.

use super::{ChatCheck, CheckedRole};
use crate::containers::json::{Value, ValueKind};
use crate::shapes::turns::{self, MessagePath};
use crate::verdict::row::{CountedRole, RowCheck, hash};
use crate::verdict::{FindingKind, explain};
use tunesmith_core::contract::Role;

/// Checks the content of a message; returns whether it is plain text.
#[expect(clippy::too_many_arguments, reason = "one call site; a struct would only rename them")]
pub(super) fn check_content(
    row: &mut RowCheck<'_>,
    content: Option<Value<'_>>,
    spoken: &CheckedRole,
    message: Value<'_>,
    at: MessagePath,
    speaks_otherwise: bool,
    seen: &mut ChatCheck,
    scratch: &mut String,
) -> bool {
    let assistant = spoken.role == CountedRole::Typed(Role::Assistant);
    let Some(content) = content.filter(|content| content.kind() != ValueKind::Null) else {
        row.begin_message(spoken.role);
        if !(assistant && speaks_otherwise) {
            row.error(FindingKind::MissingField, message.start(), || {
                explain(
                    at.field("content"),
                    "missing field \"content\"",
                    "add the text, or remove the message",
                )
            });
        }
        return false;
    };
    if let Some(text) = content.text_in(scratch) {
        row.message(spoken.role, text);
        if !(assistant && speaks_otherwise) {
            turns::check_text(row, spoken.role, text, content.is_escaped(), content.start(), at);
        }
        return true;
    }
    if content.kind() == ValueKind::Array {
        return check_parts(row, content, spoken, at, seen, scratch);
    }
    row.begin_message(spoken.role);
    row.error(FindingKind::WrongType, content.start(), || {
        explain(
            at.field("content"),
            format!("expected a string or a list of parts, found {}", content.kind().name()),
            "write it as a string",
        )
    });
    false
}

fn check_parts(
    row: &mut RowCheck<'_>,
    content: Value<'_>,
    spoken: &CheckedRole,
    at: MessagePath,
    seen: &mut ChatCheck,
    scratch: &mut String,
) -> bool {
    row.begin_message(spoken.role);
    let mut parts = 0;
    for (m, part) in content.items().enumerate() {
        parts += 1;
        let field = || at.field(&format!("content[{m}]"));
        let kind = part.get("type").and_then(|kind| kind.text()).unwrap_or_default();
        match &*kind {
            "text" | "refusal" => match part.get(&kind).and_then(|text| text.text_in(scratch)) {
                Some(text) => {
                    let hash = row.count_text(text);
                    row.fold(hash);
                }
                None => row.error(FindingKind::MissingField, part.start(), || {
                    explain(field(), "text part without \"text\"", "add \"text\"")
                }),
            },
            "image_url" => {
                seen.images += 1;
                let hash = hash(part.raw().as_bytes());
                row.fold(hash);
                check_image(row, part, spoken, field);
            }
            _ => row.error(FindingKind::WrongType, part.start(), || {
                explain(
                    field(),
                    "content part is neither text nor an image",
                    "use parts of type text or image_url",
                )
            }),
        }
    }
    if parts == 0 {
        turns::empty(row, spoken.role, content.start(), at);
    }
    false
}

fn check_image(row: &mut RowCheck<'_>, part: Value<'_>, spoken: &CheckedRole, field: impl Fn() -> String) {
    if spoken.role != CountedRole::Typed(Role::User) {
        row.openai_error(FindingKind::Image, part.start(), || {
            explain(field(), "image in a message that is not from the user", "move it to a user message")
        });
    }
    let Some(url) = part.get("image_url").and_then(|image| image.get("url")).and_then(|url| url.text())
    else {
        row.error(FindingKind::Image, part.start(), || {
            explain(field(), "image without a URL", "write {\"image_url\": {\"url\": …}}")
        });
        return;
    };
    const KINDS: [&str; 3] = ["data:image/jpeg;", "data:image/png;", "data:image/webp;"];
    let web = url.starts_with("https://") || url.starts_with("http://");
    if !web && !KINDS.iter().any(|kind| url.starts_with(kind)) {
        row.openai_error(FindingKind::Image, part.start(), || {
            explain(
                field(),
                "image is neither a URL nor JPEG, PNG or WebP data",
                "use an https URL, or a data URL of one of these types",
            )
        });
    }
}

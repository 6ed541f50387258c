//! The part of Go's template grammar that decides whether a template is taken.

/// Checks actions and blocks; the error is Go's text.
pub(super) fn check(template: &str) -> Result<(), String> {
    let mut blocks = 0_usize;
    let mut rest = template;
    let mut line = 1;
    while let Some(start) = rest.find("{{") {
        line += newlines(&rest[..start]);
        let inner = &rest[start + 2..];
        let end = find_end(inner).ok_or_else(|| format!("template: :{line}: unclosed action"))?;
        let action = inner[..end].trim_start_matches('-').trim_end_matches('-').trim();
        match action.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap_or_default() {
            _ if action.starts_with("/*") => {}
            "" if action.is_empty() => return Err(format!("template: :{line}: missing value for command")),
            "if" | "range" | "with" | "block" | "define" => blocks += 1,
            "end" if blocks == 0 => return Err(format!("template: :{line}: unexpected {{{{end}}}}")),
            "end" => blocks -= 1,
            "else" if blocks == 0 => return Err(format!("template: :{line}: unexpected {{{{else}}}}")),
            _ => {}
        }
        line += newlines(&inner[..end]);
        rest = &inner[end + 2..];
    }
    line += newlines(rest);
    if blocks > 0 { Err(format!("template: :{line}: unexpected EOF")) } else { Ok(()) }
}

fn newlines(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

/// Where an action's `}}` is, outside of quotes.
fn find_end(action: &str) -> Option<usize> {
    let bytes = action.as_bytes();
    let mut quote = None;
    let mut at = 0;
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (Some(b'"' | b'\''), b'\\') => at += 1,
            (Some(open), byte) if byte == open => quote = None,
            (None, byte @ (b'"' | b'\'' | b'`')) => quote = Some(byte),
            (None, b'}') if bytes.get(at + 1) == Some(&b'}') => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn templates_are_judged_as_go_does() {
        for good in [
            "",
            "plain",
            "{{ .Prompt }}",
            "{{- range .Messages }}{{ if eq .Role \"a}}b\" }}x{{ else }}y{{ end }}{{- end }}",
            "{{/* a comment */}}",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for (bad, reason) in [
            ("{{ .Prompt", "template: :1: unclosed action"),
            ("a\n{{ end }}", "template: :2: unexpected {{end}}"),
            ("{{ if .System }}x\n", "template: :2: unexpected EOF"),
            ("{{ }}", "template: :1: missing value for command"),
        ] {
            assert_eq!(check(bad), Err(reason.to_owned()), "{bad}");
        }
    }
}

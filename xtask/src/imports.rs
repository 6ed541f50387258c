//! Which paths a source file refers to within its own crate: its `use` declarations, and
//! paths in the code that begin with `crate`, `self` or `super`. A reading of tokens, not
//! of Rust: good enough to find out which module needs which.

/// A path that a file refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    pub path: Vec<String>,
    /// Under which name a `use` makes it known; none for a path in the code, `_` and `*`.
    pub name: Option<String>,
    pub line: usize,
}

struct Token<'a> {
    text: &'a str,
    line: usize,
}

/// Reads a file. What stands under `#[cfg(test)]` is left out: tests may look everywhere.
pub fn imports(source: &str) -> Vec<Import> {
    let tokens = tokens(source);
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if starts(&tokens[at..], &["#", "[", "cfg", "(", "test", ")", "]"]) {
            at = after_item(&tokens, at + 7);
        } else if tokens[at].text == "use" {
            at = tree(&tokens, at + 1, Vec::new(), &mut found);
        } else if matches!(tokens[at].text, "crate" | "self" | "super") {
            let line = tokens[at].line;
            let mut path = vec![tokens[at].text.to_owned()];
            while starts(&tokens[at + 1..], &["::"]) && tokens.get(at + 2).is_some_and(is_name) {
                path.push(tokens[at + 2].text.to_owned());
                at += 2;
            }
            // `pub(crate)` and a method's `self` say nothing.
            if path.len() > 1 {
                found.push(Import { path, name: None, line });
            }
            at += 1;
        } else {
            at += 1;
        }
    }
    found
}

fn is_name(token: &Token<'_>) -> bool {
    token.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn starts(tokens: &[Token<'_>], texts: &[&str]) -> bool {
    tokens.len() >= texts.len() && tokens.iter().zip(texts).all(|(token, text)| token.text == *text)
}

/// Where the item ends that begins here: at its `;`, or with its block.
fn after_item(tokens: &[Token<'_>], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token.text {
            "{" => depth += 1,
            "}" if depth <= 1 => break,
            "}" => depth -= 1,
            ";" if depth == 0 => break,
            _ => {}
        }
    }
    at
}

/// Reads one tree of a `use` from here; gives the place after it.
fn tree(tokens: &[Token<'_>], mut at: usize, mut path: Vec<String>, found: &mut Vec<Import>) -> usize {
    let line = tokens.get(at).map_or(0, |token| token.line);
    loop {
        match tokens.get(at).map(|token| token.text) {
            Some("::") => at += 1,
            Some("{") => {
                at += 1;
                while at < tokens.len() && tokens[at].text != "}" {
                    at = tree(tokens, at, path.clone(), found);
                    if starts(&tokens[at..], &[","]) {
                        at += 1;
                    }
                }
                return at + 1;
            }
            Some("*") => {
                found.push(Import { path, name: None, line });
                return at + 1;
            }
            Some("as") => {
                let name = tokens.get(at + 1).map(|token| token.text.to_owned()).filter(|name| name != "_");
                found.push(Import { path, name, line });
                return at + 2;
            }
            Some(text) if is_name(&tokens[at]) => {
                // `a::{self}` is `a` itself.
                if text != "self" || path.is_empty() {
                    path.push(text.to_owned());
                }
                at += 1;
            }
            _ => {
                let name = path.last().cloned();
                found.push(Import { path, name, line });
                return at;
            }
        }
    }
}

/// Names, `::` and single characters, without comments, literals and lifetimes.
fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = source;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment(rest),
            '"' => string(rest),
            'r' | 'b' if raw_string(rest).is_some() => raw_string(rest).unwrap_or(1),
            '\'' => quote(rest),
            _ if first.is_alphanumeric() || first == '_' => {
                rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len())
            }
            ':' if rest.starts_with("::") => 2,
            _ => first.len_utf8(),
        };
        let (text, after) = rest.split_at(length);
        let literal =
            matches!(first, '"' | '\'') || text.starts_with("/") && length > 1 || text.ends_with('"');
        if !literal && !first.is_whitespace() {
            tokens.push(Token { text, line });
        }
        line += text.matches('\n').count();
        rest = after;
    }
    tokens
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest[at..].starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                break;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    at
}

/// A string from its opening quote on.
fn string(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// `r"…"`, `br#"…"#` and the like; none where it is something else.
fn raw_string(rest: &str) -> Option<usize> {
    let body = rest.strip_prefix('b').unwrap_or(rest);
    let Some(body) = body.strip_prefix('r') else {
        return body
            .starts_with('"')
            .then(|| rest.len() - body.len() + string(body))
            .filter(|_| rest.starts_with('b'));
    };
    let hashes = body.len() - body.trim_start_matches('#').len();
    let text = body[hashes..].strip_prefix('"')?;
    let close = format!("\"{}", "#".repeat(hashes));
    let end = text.find(&close).map_or(text.len(), |at| at + close.len());
    Some(rest.len() - text.len() + end)
}

/// A character literal, or the quote of a lifetime.
fn quote(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some((at, escaped))) => {
            let from = at + escaped.len_utf8();
            rest[from..].find('\'').map_or(rest.len(), |end| from + end + 1)
        }
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(source: &str) -> Vec<String> {
        imports(source).into_iter().map(|import| import.path.join("::")).collect()
    }

    #[test]
    fn use_trees_are_taken_apart() {
        let source = "pub use crate::a::{self, b::{C, D as E}, f::*};\nuse super::x as _;";
        assert_eq!(
            paths(source),
            ["crate::a", "crate::a::b::C", "crate::a::b::D", "crate::a::f", "super::x"]
        );
        let names: Vec<_> = imports(source).into_iter().map(|import| import.name).collect();
        assert_eq!(names, [Some("a".into()), Some("C".into()), Some("E".into()), None, None]);
    }

    #[test]
    fn paths_in_code_count() {
        let source = "pub(crate) fn f(&self, a: crate::b::C) {\n    super::super::g::h(self.i)\n}";
        assert_eq!(paths(source), ["crate::b::C", "super::super::g::h"]);
        assert_eq!(imports(source)[1].line, 2);
    }

    #[test]
    fn tests_comments_and_literals_do_not_count() {
        let source = r##"
            // crate::a::A
            /* crate::b::B /* nested */ crate::b::B */
            const TEXT: &str = "crate::c::C \" crate::c::C";
            const RAW: &[u8] = br#"crate::d::D " crate::d::D"#;
            const QUOTE: (char, char) = ('"', '\'');
            fn f<'a>(e: &'a crate::e::E) {}
            #[cfg(test)]
            mod tests { use crate::f::F; fn g() { crate::f::g() } }
            #[cfg(test)]
            use crate::h::{H, I};
            use crate::z::Z;
        "##;
        assert_eq!(paths(source), ["crate::e::E", "crate::z::Z"]);
    }
}

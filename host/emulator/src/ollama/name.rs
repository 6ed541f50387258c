//! Ollama's grammar of model names: `[host/][namespace/]model[:tag]`.

use std::fmt;

const DEFAULT_HOST: &str = "registry.ollama.ai";
const DEFAULT_NAMESPACE: &str = "library";
const DEFAULT_TAG: &str = "latest";

/// The longest host, in bytes.
const MAX_HOST: usize = 350;
/// The longest other part, in bytes.
const MAX_PART: usize = 80;

/// A valid, complete name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) host: String,
    pub(super) namespace: String,
    pub(super) model: String,
    pub(super) tag: String,
}

impl Name {
    /// The name, with what it leaves out filled in; none where it is not valid.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (rest, tag) = match (text.rfind(':'), text.rfind('/')) {
            (Some(colon), slash) if slash.is_none_or(|slash| colon > slash) => {
                (&text[..colon], &text[colon + 1..])
            }
            _ => (text, DEFAULT_TAG),
        };
        let (rest, model) = cut_last(rest);
        let (rest, namespace) = match rest {
            None => (None, DEFAULT_NAMESPACE),
            Some(rest) => cut_last(rest),
        };
        let host = match rest {
            None => DEFAULT_HOST,
            Some(rest) => rest.split_once("://").map_or(rest, |(_scheme, host)| host),
        };
        let valid = part_is_valid(host, MAX_HOST, ".:")
            && part_is_valid(namespace, MAX_PART, "")
            && part_is_valid(model, MAX_PART, ".")
            && part_is_valid(tag, MAX_PART, ".");
        valid.then(|| Self {
            host: host.to_owned(),
            namespace: namespace.to_owned(),
            model: model.to_owned(),
            tag: tag.to_owned(),
        })
    }

    /// What names are compared by: two that differ only in case are one model.
    pub(super) fn key(&self) -> String {
        format!("{}/{}/{}:{}", self.host, self.namespace, self.model, self.tag).to_ascii_lowercase()
    }

    /// Whether it asks for a model that Ollama runs elsewhere.
    pub(super) fn is_cloud(&self) -> bool {
        self.tag == "cloud" || self.tag.ends_with("-cloud")
    }
}

/// The name without the parts that are the defaults, but for the tag.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host != DEFAULT_HOST {
            write!(f, "{}/{}/", self.host, self.namespace)?;
        } else if self.namespace != DEFAULT_NAMESPACE {
            write!(f, "{}/", self.namespace)?;
        }
        write!(f, "{}:{}", self.model, self.tag)
    }
}

fn cut_last(text: &str) -> (Option<&str>, &str) {
    match text.rsplit_once('/') {
        Some((before, after)) => (Some(before), after),
        None => (None, text),
    }
}

fn part_is_valid(part: &str, longest: usize, also: &str) -> bool {
    let mut characters = part.chars();
    part.len() <= longest
        && characters.next().is_some_and(|first| first.is_ascii_alphanumeric() || first == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-' || also.contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_short() {
        for (given, shown) in [
            ("llama2", "llama2:latest"),
            ("_a", "_a:latest"),
            ("a..b", "a..b:latest"),
            ("A:B", "A:B"),
            ("me/model", "me/model:latest"),
            ("hf.co/u/r:Q4_K_M", "hf.co/u/r:Q4_K_M"),
            ("http://h/ns/a", "h/ns/a:latest"),
            ("localhost:5000/ns/a", "localhost:5000/ns/a:latest"),
            ("registry.ollama.ai/library/llama2:latest", "llama2:latest"),
        ] {
            assert_eq!(Name::parse(given).map(|name| name.to_string()).as_deref(), Some(shown), "{given}");
        }
    }

    #[test]
    fn names_outside_the_grammar_are_none() {
        let long = "a".repeat(81);
        for given in [
            "",
            "-a",
            "a b",
            "a:",
            "/a",
            "a/",
            ":t",
            "..",
            "../a",
            "n.s/a",
            "a:b:c",
            "a/b/c/d",
            "a@sha256:00",
            "é",
            &long,
            "a\n",
        ] {
            assert_eq!(Name::parse(given), None, "{given:?}");
        }
    }
}

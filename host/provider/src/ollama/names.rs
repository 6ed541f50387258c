//! Names of Ollama models, stricter than Ollama's own, and the names that a job's
//! results get.

use serde::{Deserialize, Serialize};
use std::fmt;
use tunesmith_core::digest::Digest;
use tunesmith_core::text::quoted;

/// Ollama allows this many bytes for the namespace, the model and the tag each.
const LONGEST_PART: usize = 80;

/// A derived name stays short enough to read in a list.
const LONGEST_SLUG: usize = 56;

/// Digits of the digest that keeps apart names which would otherwise become the same.
const DIGEST_DIGITS: usize = 6;

/// The tag that Ollama means when none is given.
const DEFAULT_TAG: &str = "latest";

/// A checked name: `model`, `model:tag` or `namespace/model:tag`. It has no host, so
/// that no registry but Ollama's own is ever named, and no tag that stands for a
/// model in the cloud.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelName {
    text: String,
}

/// Why a name cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// Nothing is there.
    #[error("a model name cannot be empty")]
    Empty,
    /// A URL.
    #[error("model name {} is a URL; give a name such as llama3.2:3b", quoted(.0))]
    Url(String),
    /// A host stands before the name.
    #[error("model name {} names a registry host; pull the model first, then use a name without a host", quoted(.0))]
    Host(String),
    /// A part breaks the grammar.
    #[error(
        "model name {} has the {part} {}; it must start with a letter, digit or `_` and go on with those, `-`{}",
        quoted(.name), quoted(.found), if *.dots { " or `.`" } else { "" }
    )]
    Part {
        /// The whole name.
        name: String,
        /// Which part.
        part: &'static str,
        /// The part's text.
        found: String,
        /// Whether dots are allowed in it.
        dots: bool,
    },
    /// A part is too long.
    #[error("model name {} has a {part} of {bytes} bytes; at most {LONGEST_PART} are allowed", quoted(.name))]
    TooLong {
        /// The whole name.
        name: String,
        /// Which part.
        part: &'static str,
        /// Its length in bytes.
        bytes: usize,
    },
    /// A tag that makes Ollama send every prompt elsewhere, or that it rewrites.
    #[error("model name {} has the tag {}, which Ollama reserves for models that run elsewhere or for its own use; use a model that is on the server", quoted(.name), quoted(.tag))]
    ReservedTag {
        /// The whole name.
        name: String,
        /// The tag.
        tag: String,
    },
}

impl ModelName {
    /// Checks a name.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(name: &str) -> Result<Self, NameFault> {
        if name.is_empty() {
            return Err(NameFault::Empty);
        }
        if name.contains("://") {
            return Err(NameFault::Url(name.to_owned()));
        }
        let (path, tag) = match name.rsplit_once(':') {
            // A colon before a slash belongs to a host's port.
            Some((_, tag)) if tag.contains('/') => return Err(NameFault::Host(name.to_owned())),
            Some((path, tag)) => (path, Some(tag)),
            None => (name, None),
        };
        let (namespace, model) = match path.rsplit_once('/') {
            Some((namespace, model)) => (Some(namespace), model),
            None => (None, path),
        };
        if namespace.is_some_and(|namespace| namespace.contains('/')) {
            return Err(NameFault::Host(name.to_owned()));
        }
        if let Some(namespace) = namespace {
            check_part(name, "namespace", namespace, false)?;
        }
        check_part(name, "model part", model, true)?;
        if let Some(tag) = tag {
            check_part(name, "tag", tag, true)?;
            let lower = tag.to_ascii_lowercase();
            if lower == "cloud" || lower == "local" || lower.ends_with("-cloud") {
                return Err(NameFault::ReservedTag { name: name.to_owned(), tag: tag.to_owned() });
            }
        }
        Ok(Self { text: name.to_owned() })
    }

    /// The name as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The part before the tag.
    pub fn without_tag(&self) -> &str {
        self.text.rsplit_once(':').map_or(self.text.as_str(), |(path, _)| path)
    }

    /// The tag, or the one that Ollama means when none is given.
    pub fn tag(&self) -> &str {
        self.text.rsplit_once(':').map_or(DEFAULT_TAG, |(_, tag)| tag)
    }

    /// Whether Ollama takes both for the same model: it ignores case, and the default
    /// namespace and tag are understood.
    pub fn is_same_model(&self, other: &Self) -> bool {
        let path = |name: &Self| {
            let path = name.without_tag().to_ascii_lowercase();
            path.strip_prefix("library/").map(str::to_owned).unwrap_or(path)
        };
        path(self) == path(other) && self.tag().eq_ignore_ascii_case(other.tag())
    }
}

fn check_part(name: &str, part: &'static str, text: &str, dots: bool) -> Result<(), NameFault> {
    if text.len() > LONGEST_PART {
        return Err(NameFault::TooLong { name: name.to_owned(), part, bytes: text.len() });
    }
    let mut bytes = text.bytes();
    let starts = bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let goes_on = bytes
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' || (dots && byte == b'.'));
    if starts && goes_on {
        Ok(())
    } else {
        Err(NameFault::Part { name: name.to_owned(), part, found: text.to_owned(), dots })
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for ModelName {
    type Error = NameFault;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::parse(&name)
    }
}

impl From<ModelName> for String {
    fn from(name: ModelName) -> Self {
        name.text
    }
}

/// The name of a job's result: the job's name and the method's id in lower case and
/// dashes, the method only where the job's name does not already end with it. It
/// never is the base model's own name, which Ollama would overwrite.
///
/// "Customer Support LoRA" and `lora` give `customer-support-lora`.
pub fn destination(job: &str, method: &str, base: &ModelName) -> ModelName {
    let mut slug = job_slug(job);
    let method = method_slug(method);
    if slug != method && !slug.ends_with(&format!("-{method}")) {
        slug = format!("{slug}-{method}");
    }
    // A slug of letters, digits and dashes that starts with a letter or digit is a name.
    let name = ModelName { text: slug };
    if name.is_same_model(base) { ModelName { text: format!("{name}-tuned") } } else { name }
}

/// The file name of a job's Modelfile: `Modelfile-{method}-{job}`, safe on every file
/// system.
pub fn modelfile_name(job: &str, method: &str) -> String {
    format!("Modelfile-{}-{}", method_slug(method), job_slug(job))
}

/// A job's name in lower case, digits and dashes. Names that lose more than spaces
/// and punctuation on the way, or are too long, end with a digest, so that two
/// different jobs do not get one name.
pub fn job_slug(job: &str) -> String {
    slug(job, LONGEST_SLUG, "job")
}

/// A method's id, shorter: both together fit a model's name.
fn method_slug(method: &str) -> String {
    const LONGEST_METHOD: usize = 16;
    slug(method, LONGEST_METHOD, "method")
}

fn slug(name: &str, longest: usize, empty: &str) -> String {
    let mut slug = String::with_capacity(name.len().min(longest));
    let mut lost = false;
    for character in name.chars() {
        if slug.len() > longest {
            lost = true;
            break;
        }
        match fold(character) {
            Some(letters) => slug.push_str(&letters.to_ascii_lowercase()),
            None if character.is_ascii_alphanumeric() => slug.push(character.to_ascii_lowercase()),
            None => {
                lost |= character.is_alphanumeric();
                if !slug.is_empty() && !slug.ends_with('-') {
                    slug.push('-');
                }
            }
        }
    }
    if slug.len() > longest {
        lost = true;
        slug.truncate(longest);
    }
    while slug.ends_with('-') {
        slug.pop();
    }
    if slug.is_empty() {
        slug.push_str(empty);
        lost = true;
    }
    if lost {
        let room = longest - DIGEST_DIGITS - 1;
        if slug.len() > room {
            slug.truncate(room);
            while slug.ends_with('-') {
                slug.pop();
            }
        }
        slug = format!("{slug}-{:.DIGEST_DIGITS$}", Digest::of(name));
    }
    slug
}

/// The plain letters of a common Latin letter with a mark.
fn fold(character: char) -> Option<&'static str> {
    Some(match character {
        'à'..='å' | 'À'..='Å' => "a",
        'æ' | 'Æ' => "ae",
        'ç' | 'Ç' => "c",
        'è'..='ë' | 'È'..='Ë' => "e",
        'ì'..='ï' | 'Ì'..='Ï' => "i",
        'ñ' | 'Ñ' => "n",
        'ò'..='ö' | 'ø' | 'Ò'..='Ö' | 'Ø' => "o",
        'œ' | 'Œ' => "oe",
        'ß' | 'ẞ' => "ss",
        'ù'..='ü' | 'Ù'..='Ü' => "u",
        'ý' | 'ÿ' | 'Ý' => "y",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_that_ollama_takes() {
        for name in [
            "llama2",
            "_a",
            "a..b",
            "A:B",
            "llama3.2:3b-instruct-q4_K_M",
            "library/llama2:latest",
            "me/my-model",
        ] {
            assert_eq!(ModelName::parse(name).map(String::from), Ok(name.to_owned()));
        }
        assert!(ModelName::parse(&"a".repeat(80)).is_ok());
    }

    #[test]
    fn names_that_are_refused() {
        let long = "a".repeat(81);
        let messages: Vec<String> = [
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
            "a\n",
            &long,
            "http://h/ns/a",
            "hf.co/u/r:Q4_K_M",
            "localhost:5000/a/b",
            "llama3:cloud",
            "gpt-oss:120b-CLOUD",
            "x:local",
            "a\u{202e}b",
            "~/model",
            "./model",
            "\"a",
        ]
        .into_iter()
        .map(|name| ModelName::parse(name).unwrap_err().to_string())
        .collect();
        insta::assert_snapshot!(messages.join("\n"));
    }

    #[test]
    fn the_same_model_by_another_spelling() {
        let same =
            |a: &str, b: &str| ModelName::parse(a).unwrap().is_same_model(&ModelName::parse(b).unwrap());
        assert!(same("llama2", "Llama2:latest"));
        assert!(same("library/llama2", "llama2"));
        assert!(!same("llama2", "llama2:13b"));
        assert!(!same("me/llama2", "llama2"));
    }

    #[test]
    fn derived_names() {
        let base = ModelName::parse("llama2").unwrap();
        let named = |job: &str, method: &str| destination(job, method, &base).to_string();
        assert_eq!(named("Customer Support LoRA", "lora"), "customer-support-lora");
        assert_eq!(named("Customer Support", "prefix"), "customer-support-prefix");
        assert_eq!(named("lora", "lora"), "lora");
        assert_eq!(named("Übersetzer für Café", "full"), "ubersetzer-fur-cafe-full");
        assert_eq!(named("../../etc/passwd", "lora"), "etc-passwd-lora");
        assert_ne!(named("客服", "lora"), named("客户", "lora"));
        assert_eq!(named("客服", "lora"), named("客服", "lora"));
        assert_ne!(named(&"long ".repeat(40), "lora"), named(&"long ".repeat(41), "lora"));
        assert_eq!(modelfile_name("Customer Support LoRA", "lora"), "Modelfile-lora-customer-support-lora");
    }

    #[test]
    fn a_result_never_overwrites_its_base() {
        let base = ModelName::parse("Support-LoRA:latest").unwrap();
        assert_eq!(destination("support lora", "lora", &base).as_str(), "support-lora-tuned");
    }

    proptest! {
        #[test]
        fn a_derived_name_is_always_valid(job in any::<String>(), method in any::<String>()) {
            let base = ModelName::parse("llama2").unwrap();
            let name = destination(&job, &method, &base);
            prop_assert_eq!(ModelName::parse(name.as_str()), Ok(name.clone()));
            prop_assert!(!name.is_same_model(&base));
            let file = modelfile_name(&job, &method);
            prop_assert!(file.len() <= 100 && file.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'), "{}", file);
        }

        #[test]
        fn a_name_of_any_text_is_checked_without_panic(name in any::<String>()) {
            if let Ok(checked) = ModelName::parse(&name) {
                prop_assert_eq!(checked.as_str(), name);
            }
        }
    }
}

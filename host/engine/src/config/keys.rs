//! The table of keys: each one's type, range, names, default and meaning, once.

use super::error::Problem;
use tunesmith_core::nearest::nearest;

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// What a key's value is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// A directory or file. In the file, relative to the file's own directory, and
    /// `~/` is the home directory.
    Path,
    /// A text of one line.
    Text {
        /// Its greatest length in bytes.
        longest: usize,
    },
    /// Whole seconds.
    Seconds {
        /// The largest value; the smallest is 1.
        most: u64,
    },
    /// A whole number.
    Count {
        /// The smallest value.
        least: u64,
        /// The largest value.
        most: u64,
    },
    /// A size: bytes, or a text with a unit such as `"64 MiB"`.
    Bytes {
        /// The smallest value.
        least: u64,
        /// The largest value.
        most: u64,
    },
    /// A number.
    Number {
        /// The smallest value.
        least: f64,
        /// The largest value.
        most: f64,
    },
    /// True or false.
    Flag,
    /// A list of texts.
    List {
        /// What each of them is.
        of: Item,
    },
}

/// What the texts of a list are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item {
    /// Names of providers.
    Provider,
    /// Patterns of model names.
    Pattern,
    /// Tiers of plugins.
    Tier,
    /// SHA-256 of plugin files.
    Digest,
}

/// A key's value when nobody sets it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum DefaultValue {
    /// None: absent means what the words say.
    Absent(&'static str),
    /// A text.
    Text(&'static str),
    /// Seconds.
    Seconds(u64),
    /// True or false.
    Flag(bool),
    /// One of the user's directories.
    Base(Base),
    /// A directory of this name in the data directory in effect.
    InData(&'static str),
}

/// A directory of the user's, as the XDG base directory specification has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Base {
    /// Data.
    Data,
    /// Cache.
    Cache,
    /// State.
    State,
}

/// A key of the configuration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Key {
    /// Section and name, such as `openai.base_url`.
    pub name: &'static str,
    /// Its type and range.
    pub kind: Kind,
    /// Variables that other programs use for it, or that are shorter;
    /// `TUNESMITH_SECTION_KEY` is stronger.
    pub shared_variables: &'static [&'static str],
    /// Its value when nobody sets it.
    pub default: DefaultValue,
    /// A value to show, as TOML.
    pub example: &'static str,
    /// What it means.
    pub doc: &'static str,
}

/// The sections in order, each with what it is about.
pub const SECTIONS: &[(&str, &str)] = &[
    ("directories", "Where things are kept."),
    (
        "openai",
        "OpenAI, or a service that speaks its fine-tuning API.\nThe key comes from OPENAI_API_KEY or from key_file; it never stands in this file.",
    ),
    ("ollama", "Ollama."),
    ("limits", "What a method plugin may use. Absent keys leave the built-in limits."),
    (
        "policy",
        "What jobs may use, whoever wrote them. Absent keys allow everything; an empty list allows nothing.\nplan, run and evaluate refuse what is not allowed (exit code 4).",
    ),
];

/// A wait is at most an hour: whatever takes longer has stalled.
const SECONDS: Kind = Kind::Seconds { most: 3600 };
/// Directories and files.
const PATH: Kind = Kind::Path;
const BUILT_IN: DefaultValue = DefaultValue::Absent("the built-in limit");
const ANY: DefaultValue = DefaultValue::Absent("any");

const fn key(
    name: &'static str,
    kind: Kind,
    default: DefaultValue,
    example: &'static str,
    doc: &'static str,
) -> Key {
    Key { name, kind, shared_variables: &[], default, example, doc }
}

/// Every key, in the order of the default text.
pub const KEYS: &[Key] = &[
    key(
        "directories.data",
        PATH,
        DefaultValue::Base(Base::Data),
        "\"~/.local/share/tunesmith\"",
        "The store of jobs.",
    ),
    key(
        "directories.datasets",
        PATH,
        DefaultValue::InData("datasets"),
        "\"~/datasets\"",
        "Datasets that jobs name by datasetId, as ID.jsonl. Default: `datasets` in the data directory.",
    ),
    key(
        "directories.plugins",
        PATH,
        DefaultValue::InData("plugins"),
        "\"~/plugins\"",
        "Method plugins. Default: `plugins` in the data directory.",
    ),
    Key {
        name: "directories.cache",
        kind: PATH,
        shared_variables: &["TUNESMITH_CACHE_DIR"],
        default: DefaultValue::Base(Base::Cache),
        example: "\"~/.cache/tunesmith\"",
        doc: "What can be made again: compiled plugins, transformed datasets.",
    },
    key("directories.state", PATH, DefaultValue::Base(Base::State), "\"~/.local/state/tunesmith\"", "Logs."),
    Key {
        name: "openai.base_url",
        kind: Kind::Text { longest: 2048 },
        shared_variables: &["OPENAI_BASE_URL"],
        default: DefaultValue::Text("https://api.openai.com/v1"),
        example: "\"https://api.openai.com/v1\"",
        doc: "The base URL: https, or http on this machine.",
    },
    key(
        "openai.allow_http",
        Kind::Flag,
        DefaultValue::Flag(false),
        "false",
        "Whether key and data may go unencrypted to another machine.",
    ),
    Key {
        name: "openai.organization",
        kind: Kind::Text { longest: 256 },
        shared_variables: &["OPENAI_ORG_ID"],
        default: DefaultValue::Absent("the key's own"),
        example: "\"org-…\"",
        doc: "The organisation to bill, where the key belongs to several.",
    },
    Key {
        name: "openai.project",
        kind: Kind::Text { longest: 256 },
        shared_variables: &["OPENAI_PROJECT_ID"],
        default: DefaultValue::Absent("the key's own"),
        example: "\"proj_…\"",
        doc: "The project to work in.",
    },
    key(
        "openai.key_file",
        PATH,
        DefaultValue::Absent("none"),
        "\"~/.config/tunesmith/openai.key\"",
        "A file with the key as its only line, for when OPENAI_API_KEY is not set.\nOnly its owner may have any permission on it (chmod 600).",
    ),
    key(
        "openai.requests_per_second",
        Kind::Number { least: 0.0, most: 1000.0 },
        DefaultValue::Absent("5, and without bound on this machine"),
        "5.0",
        "The pace of all requests of one process together; 0 is without bound.\nDefault: 5, and without bound for a service on this machine.",
    ),
    key(
        "openai.connect_timeout",
        SECONDS,
        DefaultValue::Seconds(10),
        "10",
        "Seconds to wait for a connection.",
    ),
    key(
        "openai.response_timeout",
        SECONDS,
        DefaultValue::Seconds(120),
        "120",
        "Seconds to wait for an answer, or for an upload to move on.",
    ),
    Key {
        name: "ollama.host",
        kind: Kind::Text { longest: 2048 },
        shared_variables: &["OLLAMA_HOST"],
        default: DefaultValue::Text("127.0.0.1:11434"),
        example: "\"127.0.0.1:11434\"",
        doc: "The server, as OLLAMA_HOST has it: [scheme://]host[:port][/path].",
    },
    key(
        "ollama.connect_timeout",
        SECONDS,
        DefaultValue::Seconds(5),
        "5",
        "Seconds to wait for a connection.",
    ),
    key(
        "ollama.response_timeout",
        SECONDS,
        DefaultValue::Seconds(300),
        "300",
        "Seconds to wait for the next sign of life; loading a large model is silent.",
    ),
    key(
        "limits.memory",
        Kind::Bytes { least: MIB, most: 4 * GIB },
        BUILT_IN,
        "\"64 MiB\"",
        "Memory of one call to a plugin.",
    ),
    key(
        "limits.fuel",
        Kind::Count { least: 1_000_000, most: 1_000_000_000_000 },
        BUILT_IN,
        "1_000_000_000",
        "Fuel of one call: about one unit an instruction.",
    ),
    key(
        "limits.describe_deadline",
        SECONDS,
        BUILT_IN,
        "2",
        "Seconds that a plugin may take to describe itself.",
    ),
    key("limits.plan_deadline", SECONDS, BUILT_IN, "10", "Seconds that a planning call may take."),
    key(
        "limits.transform_deadline",
        SECONDS,
        BUILT_IN,
        "10",
        "Seconds that one batch of a transform may take.",
    ),
    key(
        "limits.calls",
        Kind::Count { least: 1, most: 1024 },
        BUILT_IN,
        "16",
        "Calls at a time, over all plugins.",
    ),
    key(
        "limits.calls_per_plugin",
        Kind::Count { least: 1, most: 1024 },
        BUILT_IN,
        "4",
        "Calls at a time of one plugin.",
    ),
    key(
        "limits.file",
        Kind::Bytes { least: 64 * KIB, most: GIB },
        BUILT_IN,
        "\"64 MiB\"",
        "Size of a plugin file.",
    ),
    key(
        "limits.compile_deadline",
        SECONDS,
        BUILT_IN,
        "300",
        "Seconds that compiling a foreign plugin may take.",
    ),
    key(
        "limits.code_store",
        Kind::Bytes { least: 16 * MIB, most: 1024 * GIB },
        BUILT_IN,
        "\"1 GiB\"",
        "Size of the store of compiled plugins; the oldest go first.",
    ),
    key(
        "policy.providers",
        Kind::List { of: Item::Provider },
        ANY,
        "[\"ollama\", \"local\"]",
        "Providers that jobs may use: ollama, openai, local.",
    ),
    key(
        "policy.base_models",
        Kind::List { of: Item::Pattern },
        ANY,
        "[\"llama3*\", \"gpt-4.1-*\"]",
        "Base models that jobs may use: names, or patterns with * for any text and ? for one character.",
    ),
    key(
        "policy.tiers",
        Kind::List { of: Item::Tier },
        ANY,
        "[\"pure\"]",
        "Tiers that a plugin file may have: pure imports only the contract, std also its language's runtime.",
    ),
    key(
        "policy.plugin_digests",
        Kind::List { of: Item::Digest },
        ANY,
        "[\"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\"]",
        "SHA-256 of the plugin files that jobs may use; built-in methods are always allowed.",
    ),
    key(
        "policy.override_built_ins",
        Kind::Flag,
        DefaultValue::Flag(false),
        "false",
        "Whether a plugin file may take the place of a built-in method; never under evaluate.",
    ),
    key(
        "policy.largest_dataset",
        Kind::Bytes { least: 1, most: 1024 * GIB },
        ANY,
        "\"256 MiB\"",
        "Size of a dataset, without compression.",
    ),
    key(
        "policy.most_rows",
        Kind::Count { least: 1, most: u32::MAX as u64 },
        ANY,
        "100_000",
        "Rows of a dataset.",
    ),
    key(
        "policy.highest_cost",
        Kind::Number { least: 0.0, most: 1_000_000.0 },
        ANY,
        "25.0",
        "What a job may cost in US dollars, at the most that its estimate allows.\nA job whose price is not known is refused.",
    ),
    key(
        "policy.largest_context",
        Kind::Count { least: 256, most: 16_777_216 },
        ANY,
        "32_768",
        "Tokens of context that a config may set on Ollama (num_ctx).",
    ),
    key(
        "policy.longest_answer",
        Kind::Count { least: 1, most: 16_777_216 },
        ANY,
        "4_096",
        "Tokens that a config may let an answer have on Ollama (num_predict).",
    ),
];

/// The key of this name, such as `openai.base_url`.
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// An unknown key, such as `openai.base_ulr`, with the one that was probably meant: the
/// same name in another section, or a similar one in the same.
pub(super) fn unknown_key(name: &str) -> Problem {
    let (section, last) = name.rsplit_once('.').unwrap_or(("", name));
    let same = KEYS.iter().map(|key| key.name).find(|known| known.rsplit('.').next() == Some(last));
    let suggestion = same.map(str::to_owned).or_else(|| {
        let beside =
            KEYS.iter().map(|key| key.parts()).filter(|(of, _)| *of == section || section.is_empty());
        let similar = nearest(beside.map(|(_, known)| known), last)?;
        KEYS.iter()
            .find(|key| key.parts().1 == similar && (key.parts().0 == section || section.is_empty()))
            .map(|key| key.name.to_owned())
    });
    Problem::UnknownKey { name: name.to_owned(), suggestion }
}

/// An unknown section, with the one that was probably meant.
pub(super) fn unknown_section(name: &str) -> Problem {
    let suggestion =
        nearest(SECTIONS.iter().map(|(known, _)| *known), name).map(|known| format!("[{known}]"));
    Problem::UnknownSection { name: name.to_owned(), suggestion }
}

impl Key {
    /// The variables that set it, the strongest last.
    pub fn variables(&self) -> impl Iterator<Item = String> {
        let own = format!("TUNESMITH_{}", self.name.replace('.', "_").to_uppercase());
        self.shared_variables.iter().map(|&name| name.to_owned()).chain([own])
    }

    /// Section and name apart.
    pub fn parts(&self) -> (&'static str, &'static str) {
        self.name.split_once('.').unwrap_or(("", self.name))
    }
}

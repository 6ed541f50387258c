//! The history of the plugin directory, so that another shell can show it.

/// The history keeps this many entries: months of ordinary use, and a build loop that
/// reloads every few seconds does not fill the disk.
pub(crate) const ENTRIES_KEPT: i64 = 10_000;

/// Something that happened to a plugin.
#[derive(Debug, Clone, Default)]
pub struct NewPluginEvent {
    pub at_ms: i64,
    /// The plugin's id, or the file's name where it has none.
    pub plugin: String,
    pub version: Option<String>,
    /// SHA-256 of the file.
    pub sha256: Option<String>,
    /// The file's name.
    pub file: Option<String>,
    /// What happened, in a word: `loaded`, `rejected`, `removed` …
    pub action: String,
    /// What a person should know of it.
    pub message: String,
    /// The generation that it is about, as the process that reports it numbers them.
    pub generation: Option<u64>,
    /// The plugin's tier.
    pub tier: Option<String>,
    /// The directory that is watched.
    pub directory: Option<String>,
}

/// An entry of the history; the fields it shares with [`NewPluginEvent`] are the same.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginEvent {
    /// Its place in the history.
    pub seq: i64,
    pub at_ms: i64,
    pub plugin: String,
    pub version: Option<String>,
    pub sha256: Option<String>,
    pub file: Option<String>,
    pub action: String,
    pub message: String,
    pub generation: Option<u64>,
    pub tier: Option<String>,
    pub directory: Option<String>,
    /// The process that it happened in.
    pub pid: u32,
    /// Whether that process is still there.
    pub alive: bool,
    #[serde(skip)]
    pub(crate) owner: String,
}

//! How a dataset is read, and the callbacks while it is.

use crate::shapes::format::Format;
use crate::verdict::rules::Rules;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tunesmith_core::tokens::Tokenizer;

/// Progress of reading a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub bytes: u64,
    /// Bytes of the file.
    pub of: u64,
}

/// Called from any thread, at most some hundred times a second.
pub type OnProgress = Arc<dyn Fn(Progress) + Send + Sync>;

/// How to read a dataset.
#[derive(Clone)]
pub struct ReadOptions {
    /// The rules to check it against.
    pub rules: Rules,
    /// The tokenizer for counts.
    pub tokenizer: Tokenizer,
    /// Whether to count the tokens of every row, however many there are.
    pub exact: bool,
    /// The number of threads; by default the number of processors, at most 8.
    pub threads: Option<NonZeroUsize>,
    /// The format of rows; by default it is recognized.
    pub format: Option<Format>,
    /// Where compressed files are unpacked; by default the folder for temporary files.
    pub temporary: Option<PathBuf>,
    /// The most bytes that a compressed file may unpack to, at most and by default
    /// [`MAX_UNPACKED_BYTES`](crate::MAX_UNPACKED_BYTES).
    pub max_unpacked: Option<u64>,
    /// Where results are cached by digest; by default nowhere.
    pub cache: Option<PathBuf>,
    /// Whether to digest the file; [`Dataset::digest`](crate::Dataset::digest) is empty
    /// otherwise. With a cache it is always digested.
    pub digest: bool,
    /// Called with the progress of reading.
    pub progress: Option<OnProgress>,
    /// Reading stops soon after this is set.
    pub cancel: Option<Arc<AtomicBool>>,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            rules: Rules::default(),
            tokenizer: Tokenizer::Cautious,
            exact: false,
            threads: None,
            format: None,
            temporary: None,
            max_unpacked: None,
            cache: None,
            digest: true,
            progress: None,
            cancel: None,
        }
    }
}

//! How a dataset is read, and the callbacks while it is.

use crate::shapes::format::Format;
use crate::verdict::rules::Rules;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tunesmith_core::tokens::Tokenizer;

/// How far reading is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes read.
    pub bytes: u64,
    /// Bytes of the file.
    pub of: u64,
}

/// Is called from any thread, some hundred times a second at most.
pub type OnProgress = Arc<dyn Fn(Progress) + Send + Sync>;

/// How to read a dataset.
#[derive(Clone)]
pub struct ReadOptions {
    /// What to check it against.
    pub rules: Rules,
    /// By which tokenizer to count.
    pub tokenizer: Tokenizer,
    /// Whether to count the tokens of every row, however many there are.
    pub exact: bool,
    /// On how many threads; as many as there are processors where absent, 8 at most.
    pub threads: Option<NonZeroUsize>,
    /// The format of rows; recognized where absent.
    pub format: Option<Format>,
    /// Where compressed files are unpacked; where temporary files are, if absent.
    pub temporary: Option<PathBuf>,
    /// The most bytes that a compressed file may unpack to; [`MAX_UNPACKED_BYTES`]
    /// where absent, which holds in any case.
    pub max_unpacked: Option<u64>,
    /// Where results are kept by digest; nowhere if absent.
    pub cache: Option<PathBuf>,
    /// Whether to digest the file; [`Dataset::digest`] is empty otherwise. A cache needs
    /// the digest whatever is said here.
    pub digest: bool,
    /// Is told how far reading is.
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

//! Why a plugin file is not used.

use crate::display::{self, shown, size, time};
use crate::sandbox::CallError;
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error as ThisError;
use tunesmith_core::digest::Digest;
use tunesmith_core::failure::{Advice, Code, Failure};

/// Bytes of foreign words, such as a compiler's, in a rejection. 2 KiB.
pub(crate) const MESSAGE_BYTES: usize = 2 << 10;

/// The most bytes of an import's name in a message.
pub(crate) const NAME_BYTES: usize = 256;

/// The most bytes of a version in a message.
pub(crate) const VERSION_BYTES: usize = 64;

/// A file that is not used, or whose newest content is not.
#[derive(Debug, Clone)]
pub struct Rejection {
    pub path: PathBuf,
    /// SHA-256 of the content that was rejected, where it was read.
    pub digest: Option<Digest>,
    pub reason: Reason,
    /// The generation of the same file that stays in use, if any.
    pub still_serving: Option<u64>,
}

/// Why a file was rejected.
#[derive(Debug, Clone, ThisError)]
pub enum Reason {
    /// It could not be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// It was written to while it was read.
    #[error("changed while it was being read")]
    Changing,
    /// Not a regular file.
    #[error("is {0}, not a regular file")]
    NotAFile(&'static str),
    #[error("is too large: {}; the limit is {}", display::size(*.size), display::size(*.limit))]
    TooBig {
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    #[error("is not WebAssembly: {0}")]
    NotWasm(&'static str),
    /// A core module that does not say which component it would be.
    #[error("is a core module without a component type")]
    NoComponentType,
    /// Malformed, truncated, or invalid.
    #[error("is malformed: {0}")]
    Malformed(String),
    /// Beyond a structural limit.
    #[error("{what}; the limit is {limit}")]
    Structure {
        /// What there is too much of: `has 300,000 functions`.
        what: String,
        /// The limit, in words.
        limit: String,
    },
    /// It imports something that plugins do not have.
    #[error("imports `{import}`: {why}")]
    Import {
        import: String,
        /// Why it cannot have it.
        why: String,
        /// What the author can do.
        fix: Advice,
    },
    #[error("is an async component; only synchronous ones are supported")]
    Async,
    /// The core module could not be made a component.
    #[error("cannot be encoded as a component: {0}")]
    Encode(String),
    /// The compiler refused it.
    #[error("is invalid: {0}")]
    Invalid(String),
    /// Encoding and compiling took too much of something.
    #[error("exceeded {0} during compilation")]
    CompileBudget(CompileBudget),
    /// The compiler's stack overflowed.
    #[error("nests types or functions too deeply to be compiled")]
    CompileDepth,
    /// The compile worker failed otherwise.
    #[error("cannot be compiled: {0}")]
    CompileFailed(String),
    /// It does not export `tunesmith:method/method`.
    #[error("is not a method: missing export `tunesmith:method/method@0.1.0`")]
    NotAMethod,
    /// It is built for another version of the contract.
    #[error("is built for contract {built_for}; this tunesmith supports {speaks}")]
    OtherContract {
        /// The version that it is built for.
        built_for: String,
        /// The version of this host.
        speaks: &'static str,
    },
    /// An export has another shape than the contract's.
    #[error("does not match the contract: {0}")]
    Shape(String),
    /// `describe` failed.
    #[error("failed to describe itself: {0}")]
    Describe(CallError),
    /// Its descriptor is invalid.
    #[error("has an invalid descriptor: {0}")]
    Descriptor(String),
    /// An ability that it claims failed on a small job.
    #[error("failed a trial call with its default settings: {0}")]
    Trial(CallError),
    /// Its own golden cases failed.
    #[error("failed its golden cases: {0}")]
    Golden(String),
    /// Another file has the id.
    #[error("has the id `{id}`, which {} already uses", shown(.by))]
    IdTaken {
        id: String,
        /// The file that keeps it.
        by: PathBuf,
    },
    /// A built-in method has the id.
    #[error("has the id `{id}` of a built-in method; overriding it is not allowed")]
    IdBuiltIn { id: String },
    /// More files than the limit.
    #[error("was skipped: the directory has more than {0} plugin files")]
    TooManyFiles(usize),
}

/// A budget of the compile worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ThisError)]
pub enum CompileBudget {
    #[error("the limit of {} of CPU time", time(*.0))]
    Cpu(Duration),
    #[error("the limit of {} of memory", size(*.0))]
    Memory(u64),
    #[error("the limit of {} of time", time(*.0))]
    Wall(Duration),
    #[error("the limit of {} of compiled code", size(*.0))]
    Output(u64),
}

impl CompileBudget {
    fn rule(self) -> &'static str {
        match self {
            Self::Cpu(_) => "compile-cpu",
            Self::Memory(_) => "compile-memory",
            Self::Wall(_) => "compile-wall",
            Self::Output(_) => "compile-output",
        }
    }
}

impl Reason {
    /// A short name of the limit or rule, for records and tests.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::Changing => "changing",
            Self::NotAFile(_) => "not-a-file",
            Self::TooBig { .. } => "file-size",
            Self::NotWasm(_) => "not-wasm",
            Self::NoComponentType => "no-component-type",
            Self::Malformed(_) => "malformed",
            Self::Structure { .. } => "structure",
            Self::Import { .. } => "import",
            Self::Async => "async",
            Self::Encode(_) => "encode",
            Self::Invalid(_) => "invalid",
            Self::CompileBudget(budget) => budget.rule(),
            Self::CompileDepth => "compile-depth",
            Self::CompileFailed(_) => "compile",
            Self::NotAMethod => "not-a-method",
            Self::OtherContract { .. } => "contract",
            Self::Shape(_) => "shape",
            Self::Describe(error) | Self::Trial(error) => error.stopped.rule(),
            Self::Descriptor(_) => "descriptor",
            Self::Golden(_) => "golden",
            Self::IdTaken { .. } => "id-taken",
            Self::IdBuiltIn { .. } => "id-built-in",
            Self::TooManyFiles(_) => "too-many-files",
        }
    }

    /// What scripts can rely on.
    pub fn code(&self) -> Code {
        match self {
            Self::Unreadable(_) | Self::Changing | Self::NotAFile(_) => Code::PluginFileUnreadable,
            Self::TooBig { .. } | Self::Structure { .. } | Self::CompileBudget(_) | Self::CompileDepth => {
                Code::PluginTooLarge
            }
            Self::NotWasm(_)
            | Self::NoComponentType
            | Self::Malformed(_)
            | Self::Async
            | Self::Encode(_)
            | Self::Invalid(_)
            | Self::CompileFailed(_)
            | Self::NotAMethod => Code::PluginFileInvalid,
            Self::Import { .. } => Code::PluginImport,
            Self::OtherContract { .. } | Self::Shape(_) => Code::PluginContract,
            Self::Descriptor(_) => Code::PluginDescriptor,
            Self::Describe(_) | Self::Trial(_) | Self::Golden(_) => Code::PluginSelfTest,
            Self::IdTaken { .. } => Code::PluginIdTaken,
            Self::IdBuiltIn { .. } => Code::PluginIdReserved,
            Self::TooManyFiles(_) => Code::TooManyPlugins,
        }
    }

    /// What to do about it, where that is not plain.
    pub fn advice(&self) -> Option<Advice> {
        Some(match self {
            Self::Import { fix, .. } => fix.clone(),
            Self::NoComponentType => {
                "build it with the SDK, or with wit-bindgen against tunesmith:method; a file that was cut \
                 off looks the same"
                    .into()
            }
            Self::NotWasm("compiled code") => "give the .wasm file that it was compiled from".into(),
            Self::Async => Advice::BuildSynchronous,
            Self::OtherContract { speaks, .. } => {
                format!("rebuild it against tunesmith:method@{speaks}, or use a matching tunesmith").into()
            }
            Self::NotAMethod => "export it: `export_plugin!(MyMethod: ollama)` of the SDK does".into(),
            Self::CompileBudget(CompileBudget::Wall(_)) => {
                "try again when the machine is less busy, or build it with optimization".into()
            }
            Self::CompileBudget(_) | Self::CompileDepth | Self::Structure { .. } => {
                "build it with optimization; an ordinary plugin stays far below this".into()
            }
            Self::Describe(error) | Self::Trial(error) => return error.advice(),
            Self::Changing => "try again when whatever writes it is done".into(),
            Self::Golden(_) => Advice::TestPlugin,
            Self::IdTaken { .. } => "rename one of them, or remove one file".into(),
            Self::IdBuiltIn { .. } => "give it another id, or allow overriding in the policy".into(),
            Self::Unreadable(_)
            | Self::NotAFile(_)
            | Self::TooBig { .. }
            | Self::NotWasm(_)
            | Self::Malformed(_)
            | Self::Encode(_)
            | Self::Invalid(_)
            | Self::CompileFailed(_)
            | Self::Shape(_)
            | Self::Descriptor(_)
            | Self::TooManyFiles(_) => return None,
        })
    }
}

impl std::fmt::Display for Rejection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "plugin file {} {}", shown(&self.path), self.reason)?;
        if let Some(generation) = self.still_serving {
            write!(f, " (generation {generation} stays in use)")?;
        }
        Ok(())
    }
}

impl std::error::Error for Rejection {}

impl From<Rejection> for Failure {
    fn from(rejection: Rejection) -> Self {
        Self::new(rejection.reason.code(), rejection.to_string()).advise_all(rejection.reason.advice())
    }
}

impl From<Box<Rejection>> for Failure {
    fn from(rejection: Box<Rejection>) -> Self {
        (*rejection).into()
    }
}

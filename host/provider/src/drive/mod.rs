//! What the providers share to carry a job out: the job in hand, its record, the waits,
//! the errors and the events. Each provider has its driver in a folder of its own.

mod error;
mod execution;
mod outbox;
mod patience;
mod work;

pub use error::Error;
pub use execution::{Execution, FileToUpload};
pub use patience::Patience;
pub(crate) use patience::{LEAST_LOOKS, MOST_CREATES};
pub use work::Work;

use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;
use tunesmith_store::{JobId, NewEvent, Store};

/// Hears of a job's events as they happen. Called from the tasks that do the work: it must
/// be quick.
pub type OnProgress = Arc<dyn Fn(&JobId, &NewEvent) + Send + Sync>;

/// What the store calls the service of a job on the built-in emulator, whose ports
/// change from run to run while its state stays beside the store.
pub const EMULATOR_SERVICE: &str = "emulator";

/// A model with prompt and examples over the weights of its base.
pub const PROMPT_BAKED: &str = "prompt-baked";

/// A model whose weights were trained at the service.
pub const FINE_TUNED: &str = "fine-tuned";

/// A note that is part of the outcome carries this in its data.
pub const OUTCOME_NOTE: &str = "outcome";

/// How an executor works.
#[derive(Clone)]
pub struct Options {
    /// How long it waits; `None` chooses by the service.
    pub patience: Option<Patience>,
    /// Where the files that jobs leave behind go, a folder for each job; `None` writes
    /// none.
    pub artifacts: Option<PathBuf>,
    /// Who hears of progress.
    pub on_progress: OnProgress,
}

impl Default for Options {
    fn default() -> Self {
        Self { patience: None, artifacts: None, on_progress: Arc::new(|_, _| ()) }
    }
}

/// How far a job is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Until it is over.
    End,
    /// Until the service has it, and it needs nobody for a while: a detached job. On
    /// Ollama, where nothing goes on without a client, until it is over.
    Submitted,
    /// Until what was asked of it is answered.
    Answered,
}

/// What was found before anything is recorded, for people.
#[derive(Debug, Clone, Default)]
pub struct Checked {
    /// What the user should know before going on.
    pub notes: Vec<String>,
    /// The service, as the store will call it.
    pub service: String,
    /// It is an emulator: nothing is trained, and no model is real.
    pub emulated: bool,
    /// The base model is missing and will be pulled.
    pub pulls: bool,
    /// A model of the name exists and will be replaced.
    pub replaces: bool,
}

/// What the jobs of a process share.
pub struct Shared {
    /// The store.
    pub store: Store,
    /// How jobs are carried out.
    pub options: Options,
    leaving: watch::Sender<bool>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Shared {
    /// Jobs of this store.
    pub fn new(store: Store, options: Options) -> Self {
        Self { store, options, leaving: watch::channel(false).0 }
    }

    /// Asks all jobs in hand to stop where they can be left.
    pub fn leave(&self) {
        self.leaving.send_replace(true);
    }

    fn is_leaving(&self) -> bool {
        *self.leaving.borrow()
    }

    /// Waits until [`Shared::leave`] is called.
    pub(crate) async fn left(&self) {
        let mut leaving = self.leaving.subscribe();
        // The sender lives as long as this.
        let _ = leaving.wait_for(|leaving| *leaving).await;
    }
}

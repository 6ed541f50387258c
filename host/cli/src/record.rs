//! Keeps what happens to followed plugins in the store, so that `plugin list` shows it
//! from another shell.

use crate::{Output, Workbench, runtime};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use tunesmith_core::time::now_ms;
use tunesmith_plugin_host::{Change, Plugin, Registry, Source};
use tunesmith_store::{NewPluginEvent, Store};

/// How long the end of the process may wait for the thread to notice. 50 ms.
const NOTICE: Duration = Duration::from_millis(50);

/// What the thread that records needs.
struct Recording {
    workbench: Workbench,
    begin: Vec<NewPluginEvent>,
    directory: Option<String>,
    changes: Receiver<Arc<Change>>,
    stop: Arc<AtomicBool>,
    failed: mpsc::SyncSender<String>,
}

/// Writes the history until it is dropped, which waits until all of it is written.
#[must_use = "dropping it ends the recording"]
pub struct Recorder {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Recorder {
    /// Begins with what serves now. A store that cannot be written to is said once: the
    /// work goes on without history.
    pub fn start(workbench: &Workbench, registry: &Registry, output: &Output) -> Self {
        let changes = registry.changes();
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let directory = registry.directory().map(|path| absolute(path).display().to_string());
        let snapshot = registry.snapshot();
        let serving = snapshot.methods().filter(|plugin| *plugin.source() != Source::BuiltIn);
        let begin = serving.map(|plugin| followed(plugin, directory.as_deref())).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let (failed, reason) = mpsc::sync_channel(1);
        let recording = Recording {
            workbench: workbench.clone(),
            begin,
            directory,
            changes,
            stop: Arc::clone(&stop),
            failed,
        };
        let progress = output.progress_handle();
        let thread = std::thread::Builder::new().name("plugin history".into()).spawn(move || {
            recording.run();
            if let Ok(reason) = reason.try_recv() {
                progress.say(&format!("what happens to plugins is not recorded: {reason}"));
            }
        });
        Self { stop, thread: thread.ok() }
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // A panic there was reported when it happened.
            let _ = thread.join();
        }
    }
}

impl Recording {
    fn run(self) {
        let failed = self.failed.clone();
        let done = runtime().and_then(|runtime| runtime.block_on(self.record()));
        if let Err(error) = done {
            let _ = failed.try_send(error.message);
        }
    }

    async fn record(self) -> Result<(), tunesmith_core::failure::Failure> {
        let store: Store = self.workbench.open_store().await?;
        store.append_plugin_history(&self.begin).await?;
        loop {
            let mut entries = Vec::new();
            // This thread has nothing else to do, so that it may wait here.
            match self.changes.recv_timeout(NOTICE) {
                Ok(change) => entries.push(self.entry(&change)),
                Err(RecvTimeoutError::Timeout) if !self.stop.load(Ordering::Acquire) => continue,
                Err(_) => break,
            }
            entries.extend(self.changes.try_iter().map(|change| self.entry(&change)));
            store.append_plugin_history(&entries).await?;
        }
        store.close().await;
        Ok(())
    }

    fn entry(&self, change: &Change) -> NewPluginEvent {
        NewPluginEvent {
            at_ms: now_ms(),
            plugin: change.plugin.clone(),
            version: change.version.clone(),
            sha256: change.digest.map(|digest| digest.to_string()),
            file: change.file.as_deref().map(file_name),
            action: change.action().into(),
            message: change.to_string(),
            generation: change.generation,
            tier: change.tier.map(|tier| tier.to_string()),
            directory: self.directory.clone(),
        }
    }
}

/// What serves as a watch begins.
fn followed(plugin: &Plugin, directory: Option<&str>) -> NewPluginEvent {
    let generation = plugin.generation();
    NewPluginEvent {
        at_ms: now_ms(),
        plugin: plugin.id().into(),
        version: Some(plugin.descriptor().version.clone()),
        sha256: Some(plugin.digest().to_string()),
        file: plugin.source().path().map(file_name),
        action: "followed".into(),
        message: format!("{} is followed, beginning with generation {generation}", plugin.id()),
        generation: Some(generation),
        tier: Some(plugin.tier().to_string()),
        directory: directory.map(str::to_owned),
    }
}

/// A file's name in its directory.
pub(super) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

//! Models: manifests on disk that point to blobs, as Ollama keeps them.

use super::blobs::{Blobs, is_digest};
use super::name::Name;
use crate::disk;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tunesmith_core::digest::Digest;
use tunesmith_core::time::Timestamp;

/// The kinds of layers.
pub(super) mod media {
    pub(in super::super) const MODEL: &str = "application/vnd.ollama.image.model";
    pub(in super::super) const ADAPTER: &str = "application/vnd.ollama.image.adapter";
    pub(in super::super) const PROJECTOR: &str = "application/vnd.ollama.image.projector";
    pub(in super::super) const DRAFT: &str = "application/vnd.ollama.image.draft";
    pub(in super::super) const TEMPLATE: &str = "application/vnd.ollama.image.template";
    pub(in super::super) const SYSTEM: &str = "application/vnd.ollama.image.system";
    pub(in super::super) const PARAMS: &str = "application/vnd.ollama.image.params";
    pub(in super::super) const MESSAGES: &str = "application/vnd.ollama.image.messages";
    pub(in super::super) const LICENSE: &str = "application/vnd.ollama.image.license";
    pub(in super::super) const CONFIG: &str = "application/vnd.docker.container.image.v1+json";
    pub(in super::super) const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
}

/// Blobs that no manifest names are removed at the start when older than this, in
/// seconds, as Ollama does: a younger one may be about to be used.
const PRUNE_AGE: u64 = 3_600;

/// A layer of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Layer {
    #[serde(rename = "mediaType")]
    pub(super) media_type: String,
    pub(super) digest: String,
    pub(super) size: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    schema_version: u32,
    media_type: String,
    pub(super) config: Layer,
    pub(super) layers: Vec<Layer>,
}

/// What a model's configuration layer says.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Config {
    pub(super) model_format: String,
    pub(super) model_family: String,
    pub(super) model_families: Vec<String>,
    pub(super) model_type: String,
    pub(super) file_type: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) renderer: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) parser: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) requires: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) base_name: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) capabilities: Vec<String>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) context_length: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) embedding_length: u64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) remote_model: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) remote_host: String,
    pub(super) architecture: String,
    pub(super) os: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A model as it is stored.
#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) name: Name,
    pub(super) manifest: Manifest,
    pub(super) config: Config,
    /// Of the manifest; 64 digits alone.
    pub(super) digest: String,
    pub(super) modified: Timestamp,
}

impl Model {
    pub(super) fn size(&self) -> u64 {
        self.manifest.config.size + self.manifest.layers.iter().map(|layer| layer.size).sum::<u64>()
    }

    pub(super) fn layers(&self, media_type: &str) -> impl Iterator<Item = &Layer> {
        self.manifest.layers.iter().filter(move |layer| layer.media_type == media_type)
    }

    fn digests(&self) -> impl Iterator<Item = &str> {
        let layers = self.manifest.layers.iter().map(|layer| layer.digest.as_str());
        layers.chain([self.manifest.config.digest.as_str()])
    }
}

/// All models, and who is about to use blobs that none of them names yet.
#[derive(Debug)]
pub(super) struct Models {
    directory: PathBuf,
    blobs: Blobs,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    by_key: BTreeMap<String, Arc<Model>>,
    /// Creates and pulls under way. While there are any, no blob is removed, since
    /// they may have reported it as theirs.
    writers: usize,
}

/// While it lives, no blob is removed.
#[derive(Debug)]
pub(super) struct Writing<'a>(&'a Models);

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.0.state().writers -= 1;
    }
}

impl Models {
    /// Reads all manifests, and removes old blobs that none of them names.
    pub(super) fn open(directory: PathBuf, blobs: Blobs) -> io::Result<Self> {
        let mut by_key = BTreeMap::new();
        for path in files_below(&directory, 4)? {
            let Some(name) = name_of(&directory, &path) else { continue };
            let model = read_model(&path, name, &blobs)?;
            by_key.insert(model.name.key(), Arc::new(model));
        }
        let models = Self { directory, blobs, state: Mutex::new(State { by_key, writers: 0 }) };
        let used = models.used_digests(&models.state());
        for (digest, age) in models.blobs.all()? {
            if age > PRUNE_AGE && !used.contains(&digest) {
                models.blobs.remove(&digest)?;
            }
        }
        Ok(models)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn used_digests(&self, state: &State) -> BTreeSet<String> {
        state.by_key.values().flat_map(|model| model.digests().map(str::to_owned)).collect()
    }

    pub(super) fn writing(&self) -> Writing<'_> {
        self.state().writers += 1;
        Writing(self)
    }

    pub(super) fn find(&self, name: &Name) -> Option<Arc<Model>> {
        self.state().by_key.get(&name.key()).cloned()
    }

    /// All models, the latest first.
    pub(super) fn all(&self) -> Vec<Arc<Model>> {
        let mut models: Vec<_> = self.state().by_key.values().cloned().collect();
        models.sort_by(|a, b| b.modified.cmp(&a.modified).then_with(|| a.name.key().cmp(&b.name.key())));
        models
    }

    /// Stores a model under a name, in place of one that had it (whose spelling of the
    /// name stays), and removes what only that one used.
    pub(super) fn write(&self, name: &Name, config: &Config, layers: Vec<Layer>) -> io::Result<()> {
        let mut config_bytes = serde_json::to_vec(config).map_err(io::Error::other)?;
        config_bytes.push(b'\n');
        let size = config_bytes.len() as u64;
        let (digest, _) = self.blobs.put(&config_bytes)?;
        self.put(name, config.clone(), Layer { media_type: media::CONFIG.to_owned(), digest, size }, layers)
    }

    fn put(&self, name: &Name, config: Config, config_layer: Layer, layers: Vec<Layer>) -> io::Result<()> {
        let manifest = Manifest {
            schema_version: 2,
            media_type: media::MANIFEST.to_owned(),
            config: config_layer,
            layers,
        };
        let bytes = serde_json::to_vec(&manifest).map_err(io::Error::other)?;
        let mut state = self.state();
        let old = state.by_key.get(&name.key()).cloned();
        let name = old.as_ref().map_or_else(|| name.clone(), |old| old.name.clone());
        disk::write_whole(&self.path(&name), &bytes)?;
        let digest = Digest::of(&bytes).to_string();
        let model = Model { name, manifest, config, digest, modified: Timestamp::now() };
        state.by_key.insert(model.name.key(), Arc::new(model));
        if let Some(old) = old {
            self.remove_unused(&state, &old, 1)?;
        }
        Ok(())
    }

    /// Gives a model a second name.
    pub(super) fn copy(&self, source: &Model, destination: &Name) -> io::Result<()> {
        let manifest = source.manifest.clone();
        self.put(destination, source.config.clone(), manifest.config, manifest.layers)
    }

    /// Removes a model and what only it used; false where there is none.
    pub(super) fn delete(&self, name: &Name) -> io::Result<bool> {
        let mut state = self.state();
        let Some(model) = state.by_key.get(&name.key()).cloned() else { return Ok(false) };
        disk::remove(&self.path(&model.name))?;
        state.by_key.remove(&name.key());
        self.remove_unused(&state, &model, 0)?;
        Ok(true)
    }

    fn remove_unused(&self, state: &State, old: &Model, own_writers: usize) -> io::Result<()> {
        if state.writers > own_writers {
            return Ok(());
        }
        let used = self.used_digests(state);
        for digest in old.digests().filter(|digest| !used.contains(*digest)) {
            self.blobs.remove(digest)?;
        }
        Ok(())
    }

    fn path(&self, name: &Name) -> PathBuf {
        self.directory.join(&name.host).join(&name.namespace).join(&name.model).join(&name.tag)
    }
}

fn read_model(path: &Path, name: Name, blobs: &Blobs) -> io::Result<Model> {
    let bytes = std::fs::read(path)?;
    let invalid =
        |reason: String| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {reason}", path.display()));
    let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|error| invalid(error.to_string()))?;
    if !manifest.layers.iter().chain([&manifest.config]).all(|layer| is_digest(&layer.digest)) {
        return Err(invalid("a layer's digest is not one".to_owned()));
    }
    let config = serde_json::from_slice(&blobs.read(&manifest.config.digest)?)
        .map_err(|error| invalid(error.to_string()))?;
    let digest = Digest::of(&bytes).to_string();
    let modified = std::fs::metadata(path)?.modified()?.try_into().map_err(io::Error::other)?;
    Ok(Model { name, manifest, config, digest, modified })
}

fn name_of(directory: &Path, path: &Path) -> Option<Name> {
    let parts: Vec<&str> =
        path.strip_prefix(directory).ok()?.iter().map_while(|part| part.to_str()).collect();
    let [host, namespace, model, tag] = parts[..] else { return None };
    Name::parse(&format!("{host}/{namespace}/{model}:{tag}"))
}

fn files_below(directory: &Path, depth: usize) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if depth > 1 && path.is_dir() {
            files.extend(files_below(&path, depth - 1)?);
        } else if depth == 1 && path.is_file() {
            files.push(path);
        }
    }
    Ok(files)
}

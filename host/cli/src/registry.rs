//! The methods that a command works with: the built-in ones and those of the plugin
//! directory.

use crate::{Output, Workbench};
use std::path::PathBuf;
use std::sync::Arc;
use tunesmith_core::failure::{Code, Failure};
use tunesmith_plugin_host::{BuiltIn, Engine, LoadEvent, Registry, RegistryOptions};

/// Options that say which methods there are.
#[derive(Debug, Default, clap::Args)]
pub struct PluginArgs {
    /// Load the method plugins (.wasm files) of this folder in place of the configured one
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    plugins: Option<PathBuf>,
}

impl PluginArgs {
    /// Loads the methods.
    pub fn load(&self, workbench: &Workbench, output: &mut Output) -> Result<Registry, Failure> {
        let registry = self.load_quietly(workbench, output)?;
        for rejection in registry.snapshot().rejections() {
            output.warning(&rejection.to_string());
        }
        Ok(registry)
    }

    /// Loads the methods without warning of files that are not used.
    pub fn load_quietly(&self, workbench: &Workbench, output: &mut Output) -> Result<Registry, Failure> {
        let registry = Registry::load(self.options(workbench, output)?)?;
        warn_of_overrides(&registry, output);
        Ok(registry)
    }

    /// Loads the methods of a directory that is to be followed: the one given, or the
    /// configured one, also where that is not there yet.
    pub fn load_to_follow(&self, workbench: &Workbench, output: &mut Output) -> Result<Registry, Failure> {
        let given = self.directory(workbench);
        let registry = Registry::load(RegistryOptions {
            directory_may_be_missing: self.plugins.is_none(),
            directory: Some(given.unwrap_or_else(|| workbench.default_plugins().to_owned())),
            ..self.options(workbench, output)?
        })?;
        warn_of_overrides(&registry, output);
        for rejection in registry.snapshot().rejections() {
            output.warning(&rejection.to_string());
        }
        Ok(registry)
    }

    /// The plugin directory, where there is one.
    pub fn directory(&self, workbench: &Workbench) -> Option<PathBuf> {
        workbench.plugins(self.plugins.as_deref())
    }

    /// What a registry is made from, saying on stderr what the user waits for.
    pub fn options(&self, workbench: &Workbench, output: &Output) -> Result<RegistryOptions, Failure> {
        let internal = |what: &str, error: &dyn std::fmt::Display| {
            Failure::new(Code::Internal, format!("{what}: {error}"))
        };
        let engine = Engine::new(workbench.limits())
            .map_err(|error| internal("the sandbox could not be set up", &error))?;
        let worker = program()?;
        let progress = output.progress_handle();
        Ok(RegistryOptions {
            engine: Arc::new(engine),
            built_ins: built_ins(),
            directory: self.directory(workbench),
            directory_may_be_missing: false,
            override_built_ins: workbench.config().policy.overrides_built_ins(),
            cache: Some(workbench.code_cache()),
            worker,
            golden: Some(Arc::new(tunesmith_kit::cases::shipped)),
            on_event: Arc::new(move |event| progress.say(&event_text(event))),
        })
    }
}

/// The methods that are part of the program.
pub(super) fn built_ins() -> Vec<BuiltIn> {
    tunesmith_builtin::METHODS.iter().map(|method| BuiltIn { id: method.id, wasm: method.wasm }).collect()
}

/// The program itself, which compiles foreign files.
pub(super) fn program() -> Result<PathBuf, Failure> {
    std::env::current_exe().map_err(|error| {
        Failure::new(Code::Internal, format!("the program's own path could not be found: {error}"))
    })
}

/// A file in place of a built-in method is never used silently.
fn warn_of_overrides(registry: &Registry, output: &mut Output) {
    let snapshot = registry.snapshot();
    for plugin in snapshot.methods().filter(|plugin| snapshot.overrides_built_in(plugin.id())) {
        let file = plugin.source().path().map(|path| path.display().to_string()).unwrap_or_default();
        output.warning(&format!(
            "{} takes the place of the built-in method {}, as the policy allows",
            tunesmith_core::text::visible(&file),
            plugin.id()
        ));
    }
}

/// What the user may be waiting for, in words that are safe to show.
pub(super) fn event_text(event: &LoadEvent) -> String {
    match event {
        LoadEvent::CompilingBuiltIns { count } => {
            format!("compiling {count} built-in methods (the first run of this version)")
        }
        LoadEvent::Compiling { path, size } => {
            let path = path.display().to_string();
            format!("compiling {} ({} KiB)", tunesmith_core::text::visible(&path), size.div_ceil(1024))
        }
        LoadEvent::CacheUnusable { dir, reason } => format!(
            "{} cannot hold compiled code ({reason}), so it is compiled on every run; \
             set TUNESMITH_CACHE_DIR to a private folder",
            dir.display()
        ),
    }
}

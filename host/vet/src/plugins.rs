//! The plugins: each file is checked, then the job's method is chosen.

use super::report::PluginFacts;
use super::{Judge, Rule};
use std::collections::BTreeMap;
use std::sync::Arc;
use tunesmith_core::digest::Digest;
use tunesmith_core::failure::{Code, Failure};
use tunesmith_core::text::quoted;
use tunesmith_engine::spec::Spec;
use tunesmith_plugin_host::{
    Engine, Loader, Plugin, Reason, Registry, RegistryOptions, Rejection, Source, Stopped,
};
use tunesmith_provider::facts;

/// The plugins that were accepted, and facts about all of them.
pub(super) struct Plugins {
    by_id: BTreeMap<String, Arc<Plugin>>,
    facts: Vec<PluginFacts>,
}

impl Plugins {
    /// Facts about each plugin file.
    pub fn facts(&self) -> Vec<PluginFacts> {
        self.facts.clone()
    }
}

/// The plugins that a job uses.
pub(super) struct JobPlugins {
    pub plugin: Arc<Plugin>,
    /// The plugin that transforms the dataset, if any.
    pub transform: Option<Arc<Plugin>>,
}

impl Judge<'_> {
    /// Checks every file, and loads the built-in methods that the job names.
    ///
    /// # Errors
    /// A built-in method does not work, or the host cannot run any plugin.
    pub(super) fn plugins(&mut self, spec: Option<&Spec>) -> Result<Plugins, Failure> {
        let engine = Engine::new(self.limits.clone()).map_err(|error| {
            Failure::new(Code::Internal, format!("the sandbox could not be set up: {error}"))
        })?;
        let engine = Arc::new(engine);
        let used = |id: &str| {
            spec.is_some_and(|spec| {
                spec.method == id || spec.transform.as_ref().is_some_and(|transform| transform.method == id)
            })
        };
        let mut plugins = Plugins { by_id: BTreeMap::new(), facts: Vec::new() };
        if self.request.built_ins.iter().any(|built_in| used(built_in.id)) {
            let built_ins = self.request.built_ins.iter().filter(|built_in| used(built_in.id));
            let options =
                RegistryOptions { built_ins: built_ins.copied().collect(), ..self.options(&engine) };
            let registry = Registry::load(options)?;
            let snapshot = registry.snapshot();
            for plugin in snapshot.methods() {
                plugins.by_id.insert(plugin.id().to_owned(), Arc::clone(plugin));
            }
        }
        if self.request.plugins.is_empty() {
            return Ok(plugins);
        }
        let loader = Loader::new(self.options(&engine))?;
        for path in self.request.plugins {
            let file = path.display().to_string();
            match loader.load(path) {
                Ok(plugin) => {
                    plugins.facts.push(PluginFacts::of(&file, &plugin));
                    self.plugin(&file, plugin, &mut plugins.by_id);
                }
                Err(rejection) => {
                    plugins.facts.push(PluginFacts::rejected(&file, &rejection));
                    self.rejected(&file, &rejection)?;
                }
            }
        }
        Ok(plugins)
    }

    fn options(&self, engine: &Arc<Engine>) -> RegistryOptions {
        RegistryOptions {
            engine: Arc::clone(engine),
            built_ins: Vec::new(),
            directory: None,
            directory_may_be_missing: false,
            // Never while vetting, whatever the policy says.
            override_built_ins: false,
            cache: Some(self.request.cache.join("code")),
            worker: self.request.worker.clone(),
            // Files next to an untrusted file are not read.
            golden: None,
            on_event: Arc::clone(&self.request.on_event),
        }
    }

    /// Decides whether an accepted file gets the id that it asks for.
    fn plugin(&mut self, file: &str, plugin: Plugin, by_id: &mut BTreeMap<String, Arc<Plugin>>) {
        let policy = self.request.policy;
        self.obey(file, policy.plugin(&plugin));
        let id = plugin.id().to_owned();
        if self.request.built_ins.iter().any(|built_in| built_in.id == id) {
            let what = format!("it uses the id {} of a built-in method", quoted(&id));
            self.findings.add(Rule::PluginOverridesBuiltIn, file, &what);
            return;
        }
        match by_id.get(&id).map(|taken| (taken.digest(), taken.source().clone())) {
            // The same file given twice.
            Some((digest, _)) if digest == plugin.digest() => {}
            Some((_, by)) => {
                let by = match by {
                    Source::File(path) => path.display().to_string(),
                    Source::BuiltIn => "a built-in method".to_owned(),
                };
                let what = format!("it uses the id {}, like {by}", quoted(&id));
                self.findings.add(Rule::PluginIdTaken, file, &what);
            }
            None => {
                by_id.insert(id, Arc::new(plugin));
            }
        }
    }

    fn rejected(&mut self, file: &str, rejection: &Rejection) -> Result<(), Failure> {
        let reason = &rejection.reason;
        let rule = match reason {
            Reason::Unreadable(_) | Reason::NotAFile(_) | Reason::Changing => Rule::PluginUnreadable,
            Reason::Import { .. } => Rule::PluginImports,
            Reason::TooBig { .. }
            | Reason::Structure { .. }
            | Reason::CompileBudget(_)
            | Reason::CompileDepth => Rule::PluginBomb,
            Reason::Describe(error) | Reason::Trial(error) => match error.stopped {
                Stopped::Host(_) => return Err(rejection.clone().into()),
                _ => Rule::PluginMisbehaves,
            },
            Reason::Descriptor(_) => Rule::PluginDescribesWrongly,
            // No room for compiled code, say: nothing is known of the file.
            _ => Rule::PluginInvalid,
        };
        let what = format!("it {reason} ({})", reason.rule());
        match reason {
            Reason::Import { fix, .. } => self.findings.add_with(rule, file, &what, fix.clone()),
            _ => self.findings.add(rule, file, &what),
        }
        if let Some(digest) = rejection.digest {
            self.allowed_digest(file, digest);
        }
        Ok(())
    }

    /// Also reports a rejected file that is not on the allowed list.
    fn allowed_digest(&mut self, file: &str, digest: Digest) {
        let allowed = self.request.policy.plugin_digests.as_ref();
        if let Some(rule) = allowed.filter(|rule| !rule.allows.contains(&digest)) {
            let what = format!(
                "sha256:{digest} is not among the {} allowed digests ({})",
                rule.allows.len(),
                rule.place
            );
            self.findings.add(Rule::PolicyPluginDigests, file, &what);
        }
    }

    /// The plugins that the job uses; `None` if one is missing or unsuitable.
    pub(super) fn method(&mut self, spec: &Spec, plugins: &Plugins) -> Option<JobPlugins> {
        let plugin = self.find(&spec.method_place, &spec.method, plugins);
        let transform = match &spec.transform {
            None => None,
            Some(transform) => Some(self.find(&transform.place, &transform.method, plugins)?),
        };
        let plugin = plugin?;
        if !plugin.can(facts::of(spec.provider).ability) {
            let what = format!("method {} does not support {}", quoted(plugin.id()), spec.provider);
            self.findings.add(Rule::MethodUnsupported, &spec.method_place, &what);
            return None;
        }
        Some(JobPlugins { plugin, transform })
    }

    fn find(&mut self, place: &str, id: &str, plugins: &Plugins) -> Option<Arc<Plugin>> {
        let found = plugins.by_id.get(id).map(Arc::clone);
        if found.is_none() {
            self.findings.add(Rule::MethodUnknown, place, &format!("unknown method {}", quoted(id)));
        }
        found
    }
}

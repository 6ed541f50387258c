//! The plan: made like any other, within tighter limits, and screened.

use super::data::ReadDataset;
use super::plugins::JobPlugins;
use super::report::{PlanFacts, ReceiptFacts, Report};
use super::{Judge, Rule};
use tunesmith_core::contract::Refusal;
use tunesmith_core::failure::Failure;
use tunesmith_dataset::TransformError;
use tunesmith_engine::plan::{self, BatchError, Context, PlanError};
use tunesmith_engine::spec::Spec;
use tunesmith_plugin_host::{CallError, Plugin, Receipt, Source, Stopped};
use tunesmith_provider::plan as provider;

impl Judge<'_> {
    /// Plans the job and screens what came of it.
    ///
    /// # Errors
    /// A fault of the host's own.
    pub(super) fn plan(
        &mut self,
        spec: &Spec,
        data: &ReadDataset,
        method: &JobPlugins,
        report: &mut Report,
    ) -> Result<(), Failure> {
        if data.dataset.verdict().errors() > 0 {
            // Already reported; a plan would report it again.
            return Ok(());
        }
        let context = Context::new(&method.plugin, self.request.today, self.request.prices)
            .transform(method.transform.as_deref())
            .validation(data.validation.as_ref().map(|(_, path)| path.as_path()))
            .cache(Some(self.request.cache))
            .temporary(Some(self.request.cache));
        let planned = match plan::plan(spec, &data.path, context) {
            Ok(planned) => planned,
            Err(error) => return self.failed(spec, data, method, error, report),
        };
        let receipt = Receipt { measured: planned.sidecar.measured, ..planned.plan.receipt.clone() };
        self.near_limits(&method.plugin, &receipt);
        report.receipts.push(ReceiptFacts::of(&receipt));
        if let (Some(transform), Some(run)) = (&planned.plan.transform, &planned.sidecar.transform) {
            report.receipts.push(ReceiptFacts::of_transform(transform, run));
        }
        let policy = self.request.policy;
        let place = format!("the config of {}", method.plugin.id());
        for breach in plan::breaches(policy, &planned.plan.config) {
            self.obey(&place, Err(breach));
        }
        self.config(&planned, &method.plugin, &data.dataset);
        report.plan = Some(PlanFacts::of(&planned));
        Ok(())
    }

    fn near_limits(&mut self, plugin: &Plugin, receipt: &Receipt) {
        if *plugin.source() == Source::BuiltIn {
            return;
        }
        let place = format!("plugin {}", plugin.id());
        let parts = [
            ("fuel", receipt.fuel.unwrap_or(0), self.limits.fuel),
            ("memory in bytes", receipt.measured.peak_memory, self.limits.memory),
        ];
        for (what, used, limit) in parts {
            if used > limit / 2 {
                let percent = used.saturating_mul(100) / limit.max(1);
                let what = format!("{} used {percent}% of its {what}", receipt.call);
                self.findings.add(Rule::PluginNearLimits, &place, &what);
            }
        }
    }

    /// Reports why there is no plan.
    fn failed(
        &mut self,
        spec: &Spec,
        data: &ReadDataset,
        method: &JobPlugins,
        error: PlanError,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let shown = data.shown.as_str();
        let of_plugin = format!("plugin {}", method.plugin.id());
        let words = error.to_string().replace(&data.path.display().to_string(), shown);
        match error {
            PlanError::Settings(errors) => {
                for error in errors {
                    let what = format!("{}: {}", error.name, error.reason);
                    let fix = error.hint.map_or_else(|| Rule::SettingInvalid.fix(), Into::into);
                    self.findings.add_with(Rule::SettingInvalid, &error.place, &what, fix);
                }
            }
            PlanError::Provider(provider::PlanError::BaseModel { .. }) => {
                let known = [Rule::BaseModelHost, Rule::BaseModelCloud, Rule::BaseModelName];
                if !known.into_iter().any(|rule| self.findings.has(rule)) {
                    let place = format!("{}: baseModel", self.request.job.display());
                    self.findings.add(Rule::BaseModelName, &place, &words);
                }
            }
            PlanError::NotSupported { .. } | PlanError::CannotTransform { .. } => {
                self.findings.add(Rule::MethodUnsupported, &spec.method_place, &words);
            }
            PlanError::Dataset(error) | PlanError::Provider(provider::PlanError::Dataset(error)) => {
                self.unread(shown, &data.path, &error)
            }
            PlanError::Provider(provider::PlanError::Call(error)) => {
                self.stopped(&of_plugin, *error, report)?
            }
            PlanError::Provider(provider::PlanError::Refused { method, refusal }) => {
                let what = match refusal {
                    Refusal::InvalidSetting { name, reason } => format!("{name}: {reason}"),
                    Refusal::UnsuitableDataset(text) | Refusal::Unsupported(text) | Refusal::Other(text) => {
                        text
                    }
                };
                self.findings.add(Rule::MethodRefuses, &format!("method {method}"), &what);
            }
            PlanError::Provider(provider::PlanError::BrokenRules { violations, .. }) => {
                for violation in &violations.list {
                    self.findings.add(Rule::PluginBreaksRules, &of_plugin, &violation.to_string());
                }
            }
            PlanError::Policy(breach) => self.obey(shown, Err(*breach)),
            PlanError::DatasetErrors { .. }
            | PlanError::Convert(_)
            | PlanError::Unconvertible { .. }
            | PlanError::OtherFormat { .. }
            | PlanError::Provider(provider::PlanError::NotPreference { .. }) => {
                self.findings.add(Rule::DatasetInvalid, shown, &words)
            }
            PlanError::Transforming { error, .. } => {
                self.transforming(data, method, &words, *error, report)?;
            }
            // The job's plugins and files were given, and a plan is always JSON.
            other @ (PlanError::NoTransform { .. }
            | PlanError::NoCache
            | PlanError::NoValidation
            | PlanError::Encoding(_)) => return Err(other.into()),
        }
        Ok(())
    }

    /// Reports why the dataset could not be transformed.
    fn transforming(
        &mut self,
        data: &ReadDataset,
        method: &JobPlugins,
        words: &str,
        error: TransformError<BatchError>,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let id = method.transform.as_ref().map_or("", |plugin| plugin.id());
        let place = format!("plugin {id}");
        match error {
            TransformError::Failed { source: BatchError::Call(error), .. } => {
                self.stopped(&place, error, report)?;
            }
            TransformError::Failed { source: BatchError::Refused(_), .. } => {
                self.findings.add(Rule::MethodRefuses, &place, words);
            }
            TransformError::Broken { .. } => self.findings.add(Rule::PluginBreaksRules, &place, words),
            TransformError::Dataset(error) => self.unread(&data.shown, &data.path, &error),
            TransformError::Untyped { .. }
            | TransformError::Invalid { .. }
            | TransformError::NothingLeft { .. } => {
                self.findings.add(Rule::DatasetInvalid, &data.shown, words);
            }
            TransformError::Write(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Reports a plugin that was stopped.
    pub(super) fn stopped(
        &mut self,
        place: &str,
        error: CallError,
        report: &mut Report,
    ) -> Result<(), Failure> {
        if let Stopped::Host(_) | Stopped::NoSlot { .. } = error.stopped {
            return Err(error.into());
        }
        if let Some(receipt) = &error.receipt {
            report.receipts.push(ReceiptFacts::of(receipt));
        }
        let what = format!("{error} ({})", error.stopped.rule());
        self.findings.add(Rule::PluginMisbehaves, place, &what);
        Ok(())
    }
}

//! Whether the services answer. Everything here only reads.

use super::{Check, Status};
use crate::Workbench;
use std::time::Duration;
use tunesmith_core::ProviderId;
use tunesmith_core::failure::{Code, Failure};
use tunesmith_engine::config::Origin;
use tunesmith_provider::AnyProvider;
use tunesmith_provider::openai::models::{AS_OF, CLOSED_TO_ALL, CLOSED_TO_IDLE, CLOSED_TO_NEW};
use tunesmith_provider::provider::Health;

/// A service that has not answered by then is as good as away for a person who waits.
const PATIENCE: Duration = Duration::from_secs(15);

pub(super) async fn check(workbench: &Workbench) -> Vec<Check> {
    let (mut checks, openai) = tokio::join!(check_ollama(workbench), check_openai(workbench));
    checks.extend(openai);
    checks
}

/// Asks the configured service of a provider, for as long as a person waits.
async fn diagnose(workbench: &Workbench, provider: ProviderId, host: &str) -> Result<Health, Failure> {
    let asked = AnyProvider(provider).diagnose(workbench);
    Ok(tokio::time::timeout(PATIENCE, asked).await.map_err(|_| {
        let message = format!("{host} has not answered within {} s", PATIENCE.as_secs());
        Failure::new(Code::ProviderFailed, message).advise("check the network and the service")
    })??)
}

/// Whether somebody chose this value.
fn is_chosen(workbench: &Workbench, key: &str) -> bool {
    !matches!(workbench.config().origin(key), None | Some(Origin::Default))
}

async fn check_ollama(workbench: &Workbench) -> Vec<Check> {
    const AREA: &str = "ollama";
    let host = workbench.config().ollama.endpoint.to_string();
    let health = match diagnose(workbench, ProviderId::Ollama, &host).await {
        Ok(health) => health,
        // The default address, and nobody there: perhaps Ollama is not wanted at all.
        Err(failure) if !is_chosen(workbench, "ollama.host") => {
            return vec![Check::of(AREA, Status::Skip, failure)];
        }
        Err(failure) => return vec![Check::of(AREA, Status::Fail, failure)],
    };
    let emulated = if health.emulated { ", an emulator" } else { "" };
    let version = health.version.unwrap_or_default();
    let mut checks = vec![Check::ok(AREA, format!("{host}, version {version}{emulated}"))];
    checks.push(match health.models {
        0 => Check::warn(AREA, "it has no model yet, and a job needs its base model there")
            .fix("ollama pull llama3.2, or `tunesmith run --pull`"),
        1 => Check::ok(AREA, "it has 1 model"),
        many => Check::ok(AREA, format!("it has {many} models")),
    });
    checks
}

async fn check_openai(workbench: &Workbench) -> Vec<Check> {
    const AREA: &str = "openai";
    let endpoint = &workbench.config().openai.endpoint;
    let options = match workbench.openai_options() {
        Ok(options) => options,
        Err(_) => return vec![Check::skip(AREA, "not asked, as the key cannot be used")],
    };
    let has_key = options.key.is_some();
    if !has_key && endpoint.is_openai() {
        return vec![Check::skip(AREA, format!("{endpoint} was not asked, as there is no key"))];
    }
    let wanted = has_key || is_chosen(workbench, "openai.base_url");
    let host = endpoint.host();
    let mut checks = vec![match diagnose(workbench, ProviderId::OpenAi, &host).await {
        Ok(Health { models, .. }) => {
            let key = if has_key { "the key is accepted; " } else { "no key is needed; " };
            Check::ok(AREA, format!("{endpoint}: {key}it lists {models} models"))
        }
        Err(failure) if wanted || failure.code == Code::KeyRejected => Check::of(AREA, Status::Fail, failure),
        Err(failure) => Check::of(AREA, Status::Skip, failure),
    }];
    if endpoint.is_openai() {
        checks.push(
            Check::warn(
                AREA,
                format!(
                    "OpenAI is closing its fine-tuning: to accounts that never used it since {CLOSED_TO_NEW}, to \
                     those idle for 60 days since {CLOSED_TO_IDLE}, to all from {CLOSED_TO_ALL} (as published, read \
                     on {AS_OF})"
                ),
            )
            .fix("name a compatible service in openai.base_url, or give --provider ollama"),
        );
    }
    checks
}

//! Whether the services answer. Everything here only reads.

use super::{Check, Status};
use crate::operator::Operator;
use std::time::Duration;
use tunesmith_core::failure::{Code, Failure};
use tunesmith_engine::config::Origin;
use tunesmith_provider::ollama::client as ollama;
use tunesmith_provider::openai::client::{Client, ErrorKind};
use tunesmith_provider::openai::models::{AS_OF, CLOSED_TO_ALL, CLOSED_TO_IDLE, CLOSED_TO_NEW};

/// A service that has not answered by then is as good as away for a person who waits.
const PATIENCE: Duration = Duration::from_secs(15);

pub(super) async fn check(operator: &Operator) -> Vec<Check> {
    let (mut checks, openai) = tokio::join!(check_ollama(operator), check_openai(operator));
    checks.extend(openai);
    checks
}

/// Waits for an answer for as long as a person does.
async fn patiently<T>(host: &str, asked: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::time::timeout(PATIENCE, asked).await.unwrap_or_else(|_| {
        let message = format!("{host} has not answered within {} s", PATIENCE.as_secs());
        Err(Failure::new(Code::ProviderFailed, message).advise("check the network and the service"))
    })
}

/// Whether somebody chose this value.
fn is_chosen(operator: &Operator, key: &str) -> bool {
    !matches!(operator.config().origin(key), None | Some(Origin::Default))
}

async fn check_ollama(operator: &Operator) -> Vec<Check> {
    const AREA: &str = "ollama";
    let settings = operator.ollama();
    let host = settings.endpoint.to_string();
    let options =
        ollama::Options { timeouts: settings.timeouts, ..ollama::Options::new(settings.endpoint.clone()) };
    let asked = patiently(&host, async {
        let client = ollama::Client::new(options)?;
        let server = client.connect().await?;
        Ok((server, client.models().await?))
    });
    let (server, models) = match asked.await {
        Ok(answer) => answer,
        // The default address, and nobody there: perhaps Ollama is not wanted at all.
        Err(error) if !is_chosen(operator, "ollama.host") => {
            return vec![Check::of(AREA, Status::Skip, error)];
        }
        Err(error) => return vec![Check::of(AREA, Status::Fail, error)],
    };
    let emulated = if server.emulated { ", an emulator" } else { "" };
    let mut checks = vec![Check::ok(AREA, format!("{host}, version {}{emulated}", server.version))];
    checks.push(match models.len() {
        0 => Check::warn(AREA, "it has no model yet, and a job needs its base model there")
            .fix("ollama pull llama3.2, or `tunesmith run --pull`"),
        1 => Check::ok(AREA, "it has 1 model"),
        many => Check::ok(AREA, format!("it has {many} models")),
    });
    checks
}

async fn check_openai(operator: &Operator) -> Vec<Check> {
    const AREA: &str = "openai";
    let endpoint = &operator.config().openai.endpoint;
    let options = match operator.openai() {
        Ok(options) => options,
        Err(_) => return vec![Check::skip(AREA, "not asked, as the key cannot be used")],
    };
    let has_key = options.key.is_some();
    if !has_key && endpoint.is_openai() {
        return vec![Check::skip(AREA, format!("{endpoint} was not asked, as there is no key"))];
    }
    let wanted = has_key || is_chosen(operator, "openai.base_url");
    let mut wrong_key = false;
    let host = endpoint.host();
    let asked = patiently(&host, async {
        let client = Client::new(options)?;
        let models = client.models().await;
        if let Err(error) = &models {
            wrong_key = matches!(error.kind, ErrorKind::WrongKey | ErrorKind::MissingKey);
        }
        Ok(models?.len())
    });
    let asked = asked.await;
    let mut checks = vec![match asked {
        Ok(models) => {
            let key = if has_key { "the key is accepted; " } else { "no key is needed; " };
            Check::ok(AREA, format!("{endpoint}: {key}it lists {models} models"))
        }
        Err(error) if wanted || wrong_key => Check::of(AREA, Status::Fail, error),
        Err(error) => Check::of(AREA, Status::Skip, error),
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

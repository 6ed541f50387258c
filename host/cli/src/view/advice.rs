//! Advice in words: which command, flag or variable each value means. Nothing else names
//! them on behalf of the crates below.

use serde_json::{Value, json};
use std::path::Path;
use tunesmith_core::failure::{Advice, Doubt, Failure, Service};
use tunesmith_core::text::visible;

/// The hints of a failure, the most useful first.
pub fn hints(failure: &Failure) -> Vec<String> {
    failure.advice.iter().map(words).collect()
}

/// A failure as `--json` prints it.
pub fn json(failure: &Failure) -> Value {
    let mut value = json!({
        "code": failure.code,
        "exit_code": failure.kind().exit_code(),
        "kind": failure.kind().as_str(),
        "message": failure.message,
        "hints": hints(failure),
        "advice": failure.advice,
    });
    if let Some(place) = &failure.place {
        value["place"] = json!(place);
    }
    value
}

/// Adds to a list of findings, as JSON, what to do about each in words: `fix`.
pub fn spell_fixes<'a>(findings: &mut Value, fixes: impl Iterator<Item = &'a Advice>) {
    let findings = findings.as_array_mut().into_iter().flatten();
    for (finding, fix) in findings.zip(fixes) {
        finding["fix"] = words(fix).into();
    }
}

/// A piece of advice as one hint.
pub fn words(advice: &Advice) -> String {
    match advice {
        Advice::Text { text } => text.clone(),

        Advice::ListJobs => "tunesmith jobs list shows all jobs".into(),
        Advice::ShowJob { job } => format!("tunesmith jobs show {job} shows where it stands"),
        Advice::FollowJob { job } => format!("watch it with `tunesmith jobs follow {job}`"),
        Advice::ResumeJob { job } => format!("tunesmith jobs resume {job} continues from there"),
        Advice::SettleJob { job } => {
            format!("tunesmith jobs resume {job} looks for it at the service and settles it")
        }
        Advice::AdoptRemote { job, remote } => {
            format!("if {remote} is it: tunesmith jobs resume {job} --adopt {remote}")
        }
        Advice::CreateAnew { job } => {
            format!("if the service surely has none: tunesmith jobs resume {job} --create-anew")
        }
        Advice::GiveUpJob { job } => format!("to give it up: tunesmith jobs resume {job} --give-up"),
        Advice::RetryJob { job } => format!("tunesmith jobs retry {job} tries it again"),
        Advice::CancelJob { job } => format!("tunesmith jobs cancel {job} first"),

        Advice::PlanJob => "`tunesmith plan JOB` shows its recipe".into(),
        Advice::PlanAgain => {
            "if it was a converted file in the cache, `tunesmith plan JOB` makes it again".into()
        }
        Advice::ReadPlan { what } => {
            format!("read the {what} with `tunesmith plan JOB --plugins DIR --full`")
        }
        Advice::GivePlan => "give a plan.json that `tunesmith plan JOB --out DIR` wrote, or the output of \
             `plan --json`"
            .into(),
        Advice::WriteLock { job, changed: false } => {
            format!("`tunesmith plan {} --lock` writes it", visible(job))
        }
        Advice::WriteLock { job, changed: true } => {
            format!("if the change is meant, `tunesmith plan {} --lock` writes it anew", visible(job))
        }
        Advice::PrintSchema => "a job file is one JSON object; `tunesmith schema` prints its schema".into(),

        Advice::ListMethods => "`tunesmith methods list` shows the methods; --plugins DIR adds others".into(),
        Advice::UseMethod { methods } => {
            format!("the methods are {}; --plugins DIR adds others", methods.join(", "))
        }
        Advice::ShowMethod { method } => {
            format!("`tunesmith methods show {}` shows what it supports", visible(method))
        }
        Advice::UseProvider { providers } => {
            let flags: Vec<String> = providers.iter().map(|name| format!("--provider {name}")).collect();
            format!("{} runs the same job there", flags.join(" or "))
        }
        Advice::TrainElsewhere { compatible: true } => {
            "what works instead: the same job with `--provider ollama`, a compatible service by openai.base_url, \
             or `--emulate` to try it"
                .into()
        }
        Advice::TrainElsewhere { compatible: false } => {
            "what works without it: the same job with `--provider ollama`, or `--emulate` to try it".into()
        }
        Advice::UseEmulator => "or try the job on the built-in emulator with `--emulate`".into(),
        Advice::EmulateAgain => "it ran with --emulate: give --emulate again".into(),
        Advice::LeaveEmulator => "it is on a real service: do not give --emulate".into(),
        Advice::UseService { service } => {
            format!("point the configuration to {service} (`tunesmith config show`)")
        }

        Advice::PullBase { base } => format!("let Ollama fetch it: run with --pull, or `ollama pull {base}`"),
        Advice::UseBase { models, more: 0 } => format!("or take one that it has: {}", models.join(", ")),
        Advice::UseBase { models, more } => {
            format!("or take one that it has: {} and {more} more", models.join(", "))
        }
        Advice::ListServerModels => "`ollama list` shows what is there".into(),
        // No command of Ollama's: an emulated job must not lead to the deletion of a real model.
        Advice::ReplaceModel { .. } => "give the job another name, or replace the model with --replace".into(),
        Advice::CheckModelName => {
            "check the name; a model that was shut down is gone, with its fine-tunes (`tunesmith doctor`)".into()
        }
        Advice::StartOllama { here: true } => {
            "start it (`ollama serve`, or the Ollama app), or set OLLAMA_HOST to where it runs".into()
        }
        Advice::StartOllama { here: false } => {
            "start Ollama there with OLLAMA_HOST=0.0.0.0, so that it listens to other machines, or correct \
             OLLAMA_HOST here (`tunesmith config show`)"
                .into()
        }
        Advice::ReadServerLog => "Ollama's log has more (`journalctl -u ollama`, or ~/.ollama/logs)".into(),
        Advice::FreeServerSpace => {
            "free space there (`ollama rm` a model that is not needed), then run again".into()
        }
        Advice::CheckAddress { service: Service::Ollama, doubt } => ollama(*doubt).into(),
        Advice::CheckAddress { service: Service::OpenAi, doubt } => openai(*doubt).into(),
        Advice::UseHttps => {
            "use https; or, in a network that you trust, set `allow_http = true` under [openai] in config.toml"
                .into()
        }
        Advice::SetKey => {
            "set OPENAI_API_KEY, or put the key into a file of its own (chmod 600) and name it in openai.key_file"
                .into()
        }
        Advice::CheckKey => {
            "check that the key is whole, not revoked, and made for this service (`tunesmith config show`)".into()
        }

        Advice::SetConfig { key, purpose } => format!("{purpose}: set {key} in config.toml"),
        Advice::ShowConfig => "`tunesmith config show` lists every key".into(),
        Advice::WriteConfig => "`tunesmith config init` writes one with every key explained".into(),
        Advice::OtherDataDirectory => "or choose another data directory (--data-dir)".into(),
        Advice::SetCacheDirectory => "set TUNESMITH_CACHE_DIR to a private folder (an absolute path)".into(),
        Advice::SetHome { variable } => format!("set HOME or {variable}"),
        Advice::FreeTemporarySpace => "make room, or set TMPDIR to a directory with room".into(),
        Advice::RestrictAccess { path, mode } => format!("run `chmod {mode} {}`", path.display()),

        Advice::PlaceDataset { id, path } => {
            format!("say where it is: --dataset {id}=PATH; or put it at {}", path.display())
        }
        Advice::CheckDataset { path: Some(path) } => {
            format!("`tunesmith dataset check {}` shows every error", shown(path))
        }
        Advice::CheckDataset { path: None } => "`tunesmith dataset check FILE` shows every error".into(),
        Advice::ConvertDataset { path, to } => {
            let path = path.as_deref().map_or("FILE".into(), shown);
            let to = to.as_deref().map(|to| format!(" --to {to}")).unwrap_or_default();
            format!("convert it with `tunesmith dataset convert {path}{to}`")
        }
        Advice::SkipUnfitRows { path, to } => format!(
            "`tunesmith dataset convert {} --to {to} --out FILE.jsonl` skips such rows and lists them; the job can \
             then name that file",
            shown(path)
        ),
        Advice::RepairRows => "--fix repairs what is safe".into(),
        Advice::DropInvalidRows => "--drop-invalid drops them; nothing was written".into(),
        Advice::OtherFormat => "choose another format with --to; nothing was written".into(),
        Advice::SplitDataset => "make both files with `tunesmith dataset split`, which keeps them apart".into(),
        Advice::PassUntypedRows => {
            "\"untypedRows\": \"pass\" (--untyped-rows pass) keeps such rows as they are, unseen".into()
        }
        Advice::DropUntypedRows => "\"untypedRows\": \"drop\" (--untyped-rows drop) drops them".into(),
        Advice::SetDatasetRoot => {
            "--dataset-root DIR says which folder datasets may lie in; the default is the job's own".into()
        }
        Advice::ReplaceFile => "give --force to replace it, or another path".into(),
        Advice::OtherFolder => "nothing was touched; choose another name, or another folder with --dir".into(),

        Advice::GivePlugin => "give its file with --plugin".into(),
        Advice::GiveProject => "name a .wasm file, or a folder that `tunesmith plugin new` made".into(),
        Advice::CheckPlugin => {
            "do not use it; the author can repeat it with `tunesmith plugin check`".into()
        }
        Advice::TestPlugin => "run `tunesmith plugin test FILE`, which shows all of them".into(),
        Advice::UseContract => "build it against the WIT files that `tunesmith plugin new` writes".into(),
        Advice::BuildSynchronous => {
            "build it with synchronous exports; for JavaScript, with `--sync`".into()
        }
        Advice::BuildWithoutNetwork => {
            "remove the client, or rebuild without network support: `--stub-wasi` for Python, \
             `--disable http` for JavaScript, target wasm32-unknown-unknown for Rust"
                .into()
        }
        Advice::GivePrices => {
            "give a price table with --prices, or bound the cost with policy.highest_cost".into()
        }
    }
}

fn shown(path: &Path) -> String {
    visible(&path.to_string_lossy()).into_owned()
}

fn ollama(doubt: Doubt) -> &'static str {
    match doubt {
        Doubt::Refused => "start Ollama, or correct OLLAMA_HOST (`tunesmith config show`)",
        Doubt::Unreachable => "check the network and OLLAMA_HOST (`tunesmith config show`)",
        Doubt::Tls => {
            "Ollama itself speaks plain HTTP: write OLLAMA_HOST without https://; behind a proxy, check its \
             certificate"
        }
        Doubt::Plain => "it wants a secure connection: begin OLLAMA_HOST with https://",
        Doubt::Silent => {
            "is it Ollama that listens there? Set OLLAMA_HOST (or ollama.host in config.toml) to its address, \
             usually 127.0.0.1:11434"
        }
        Doubt::OtherProgram => {
            "another program may have the port: set OLLAMA_HOST (or ollama.host in config.toml) to Ollama's \
             address, usually 127.0.0.1:11434"
        }
        Doubt::AsksForKey => {
            "Ollama itself asks for no key: another program may have the port, or a proxy in front of Ollama asks \
             for one; set OLLAMA_HOST (or ollama.host in config.toml) to Ollama's own address, usually \
             127.0.0.1:11434"
        }
        Doubt::Denied => {
            "the name in OLLAMA_HOST may be one that Ollama does not accept: use its IP address; or a proxy in front \
             of it keeps this machine out"
        }
        Doubt::Redirected => "set OLLAMA_HOST to the address that the server has now",
        Doubt::Answers => {
            "check OLLAMA_HOST (`tunesmith config show`): what stands there, or in front of it, changes answers"
        }
    }
}

fn openai(doubt: Doubt) -> &'static str {
    match doubt {
        Doubt::Refused => "start the service, or correct openai.base_url (`tunesmith config show`)",
        Doubt::Unreachable | Doubt::Silent => {
            "check the network and openai.base_url (`tunesmith config show`)"
        }
        Doubt::Tls => {
            "check the host's name in openai.base_url and the system's certificates (package ca-certificates, or \
             SSL_CERT_FILE)"
        }
        Doubt::Plain => "begin openai.base_url with https://",
        Doubt::Redirected => "set openai.base_url to the address that the service has now",
        Doubt::OtherProgram | Doubt::AsksForKey | Doubt::Denied | Doubt::Answers => {
            "check openai.base_url: it usually ends in /v1 (`tunesmith config show`)"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tunesmith_core::failure::{Code, Place};
    use tunesmith_engine::config::KEYS;

    #[test]
    fn json_has_the_code_and_typed_advice() {
        let place = Place { file: "job.json".into(), line: Some(3), column: None };
        let failure = Failure::new(Code::BaseModelMissing, "no such model")
            .advise(Advice::PullBase { base: "llama3.2".into() })
            .advise("in words")
            .at(place);
        insta::assert_json_snapshot!(json(&failure));
    }

    #[test]
    fn keys_in_advice_are_keys_of_the_configuration() {
        let text = include_str!("advice.rs");
        let keys = text.match_indices("openai.").chain(text.match_indices("ollama.")).map(|(at, _)| {
            let rest = &text[at..];
            let end =
                rest.find(|c: char| !c.is_ascii_lowercase() && c != '_' && c != '.').unwrap_or(rest.len());
            rest[..end].trim_end_matches('.')
        });
        for key in keys.filter(|key| key.len() > "openai.".len()) {
            assert!(KEYS.iter().any(|known| known.name == key), "{key}");
        }
    }
}

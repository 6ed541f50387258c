//! `tunesmith doctor`: what is in order, what is not, and what it mends.

use crate::common::kept;
use crate::common::sandbox::Sandbox;
use crate::common::seed;
use kept::{KEY, WRONG_KEY};
use seed::{job, new_job, open, wait};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use tunesmith_emulator::{Emulator, Key, Options};
use tunesmith_store::{Job, State};

struct Home(Sandbox);

impl Home {
    fn new() -> Self {
        Self(Sandbox::home())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path(name)
    }

    /// The program in this home, without any toolchain in sight.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.0.command(&["doctor"]);
        command.env("PATH", self.path("no-programs")).args(args);
        command
    }

    fn said(&self, command: &mut Command, jobs: &[&Job]) -> String {
        let output = kept::output(command);
        let mut text = String::from_utf8(output.stdout).unwrap();
        text = text.replace(self.0.root().to_str().unwrap(), "HOME");
        text = text.replace(env!("CARGO_TARGET_TMPDIR"), "TARGET");
        for (at, job) in jobs.iter().enumerate() {
            text = text.replace(job.id.as_str(), &format!("<job{at}>"));
        }
        for (pattern, mask) in [
            (r"127\.0\.0\.1:\d+", "127.0.0.1:[port]"),
            (r"\breq_\w+", "[id]"),
            (r"\b\d+ models", "[n] models"),
        ] {
            text = regex_lite::Regex::new(pattern).unwrap().replace_all(&text, mask).into_owned();
        }
        let text: String = text
            .lines()
            // Whether this machine's disk is nearly full is its own affair.
            .filter(|line| !line.contains("are free where") && !line.ends_with("fix: make room"))
            .map(|line| format!("{}\n", line.trim_end()))
            .collect();
        format!("exit {}\n{text}", output.status.code().unwrap())
    }

    fn mode(&self, path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
}

#[test]
fn new_machine_passes_and_nothing_is_created() {
    let home = Home::new();
    insta::assert_snapshot!(home.said(&mut home.command(&["--offline"]), &[]));
    assert_eq!(std::fs::read_dir(home.0.root()).unwrap().count(), 0);
}

#[test]
fn answering_services_are_identified() {
    let home = Home::new();
    let mut options = Options::new(home.path("emulator"));
    options.openai_key = Some(Key::new(KEY));
    let emulator = Emulator::start(options).unwrap();
    let (openai, ollama) = (emulator.openai_url.clone(), emulator.ollama_url.clone());
    let args = ["--openai-base-url", &openai, "--ollama-host", &ollama];
    let text = home.said(home.command(&args).env("OPENAI_API_KEY", KEY), &[]);
    insta::assert_snapshot!(text);
    let wrong = home.said(home.command(&args).env("OPENAI_API_KEY", WRONG_KEY), &[]);
    assert!(wrong.starts_with("exit 1\n"), "{wrong}");
    insta::assert_snapshot!(lines_of(&wrong, "openai  "));
    emulator.stop();
    let gone = home.said(home.command(&args).env("OPENAI_API_KEY", KEY), &[]);
    assert!(gone.starts_with("exit 1\n"), "{gone}");
    insta::assert_snapshot!(format!("{}{}", lines_of(&gone, "ollama "), lines_of(&gone, "openai  ")));
}

/// The lines of an area, with those that belong to it.
fn lines_of(text: &str, area: &str) -> String {
    let from = text.lines().skip_while(|line| !line.starts_with(area));
    let mut lines: Vec<&str> = Vec::new();
    for line in from {
        if !lines.is_empty() && !line.starts_with(' ') {
            break;
        }
        lines.push(line);
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

#[test]
fn fix_repairs_only_when_asked() {
    let home = Home::new();
    let (key, data) = (home.path("openai.key"), home.path("data"));
    std::fs::write(&key, KEY).unwrap();
    home.mode(&key, 0o644);
    std::fs::create_dir(&data).unwrap();
    home.mode(&data, 0o777);
    let args =
        ["--offline", "--openai-key-file", key.to_str().unwrap(), "--data-dir", data.to_str().unwrap()];
    let broken = home.said(&mut home.command(&args), &[]);
    insta::assert_snapshot!(format!(
        "{}\n{}{}",
        broken.lines().next().unwrap(),
        lines_of(&broken, "openai key"),
        lines_of(&broken, "store")
    ));
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&key), mode(&data)), (0o644, 0o777), "looking changes nothing");
    let mended = home.said(home.command(&args).arg("--fix"), &[]);
    insta::assert_snapshot!(format!(
        "{}\n{}{}",
        mended.lines().next().unwrap(),
        lines_of(&mended, "openai key"),
        lines_of(&mended, "store")
    ));
    assert_eq!((mode(&key), mode(&data)), (0o600, 0o700));
    let after = home.said(&mut home.command(&args), &[]);
    assert!(after.starts_with("exit 0\n"), "{after}");
}

#[test]
fn jobs_without_owner_come_with_resume_command() {
    let home = Home::new();
    let data = home.path("data");
    let jobs = wait(async {
        let store = open(&data).await;
        vec![
            job(&store, &new_job("done"), State::Succeeded).await,
            job(&store, &new_job("waits"), State::Planned).await,
            job(&store, &new_job("goes on"), State::Running).await,
            job(&store, &new_job("paused"), State::Paused).await,
        ]
    });
    let all: Vec<&Job> = jobs.iter().collect();
    let text = home.said(&mut home.command(&["--offline", "--data-dir", data.to_str().unwrap()]), &all);
    insta::assert_snapshot!(format!("{}{}", lines_of(&text, "store"), lines_of(&text, "jobs")));
    assert!(text.starts_with("exit 0\n"), "{text}");
}

#[test]
fn broken_configuration_and_plugins_are_reported() {
    let home = Home::new();
    let plugins = home.path("plugins");
    std::fs::create_dir(&plugins).unwrap();
    std::fs::write(plugins.join("broken.wasm"), "no component").unwrap();
    let mut command = home.command(&["--offline", "--json", "--plugins", plugins.to_str().unwrap()]);
    let output = kept::output(&mut command);
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &found["ok"]), (Some(0), &true.into()));
    let checks = found["checks"].as_array().unwrap();
    let of = |area: &str, status: &str| {
        checks.iter().filter(|check| check["area"] == area && check["status"] == status).count()
    };
    assert_eq!((of("methods", "ok"), of("methods", "warn"), of("store", "fail")), (1, 1, 0), "{found}");

    let config = home.path("config.toml");
    std::fs::write(&config, "[openai]\nbase_ulr = 'x'\n[ollama]\nhost = 5\n").unwrap();
    let text = home.said(&mut home.command(&["--offline", "--config", config.to_str().unwrap()]), &[]);
    insta::assert_snapshot!(text);
}

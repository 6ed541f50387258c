//! `tunesmith jobs` and `models` on a store that is made for each test.

use crate::common;
use crate::common::sandbox::Sandbox;
use crate::common::seed;
use common::said;
use seed::{job, new_job, ollama_job, open, trained, wait};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Output;
use tunesmith_store::{Job, State};

struct Jobs(Sandbox);

impl Jobs {
    fn new() -> Self {
        Self(Sandbox::home())
    }

    fn data(&self) -> std::path::PathBuf {
        self.0.data()
    }

    fn run(&self, args: &[&str]) -> Output {
        let data = self.data();
        self.0.run(&[&["--data-dir", data.to_str().unwrap()], args].concat())
    }

    /// What a command printed, with this machine's paths, the jobs' ids and all times
    /// replaced by what they are.
    fn text(&self, args: &[&str], jobs: &[&Job]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}:\n{}", said(output.stderr));
        self.masked(&String::from_utf8(output.stdout).unwrap(), jobs)
    }

    /// The exit code and the words of a command that fails.
    fn failure(&self, args: &[&str], jobs: &[&Job]) -> String {
        let output = self.run(args);
        assert!(output.stdout.is_empty(), "{args:?} printed a result");
        format!("exit {}\n{}", output.status.code().unwrap(), self.masked(&said(output.stderr), jobs))
    }

    fn masked(&self, text: &str, jobs: &[&Job]) -> String {
        let mut text = text.replace(self.0.root().to_str().unwrap(), "PLACE");
        for (at, job) in jobs.iter().enumerate() {
            text = text.replace(&job.run_id, "[run id]").replace(job.id.as_str(), &format!("<job{at}>"));
        }
        for (pattern, mask) in [
            (r"\b\d\d:\d\d:\d\d\b", "[time]"),
            (r"\b\d{4}-\d\d-\d\d \[time\]", "[when]"),
            (r"\b\d+ (ms|s|min)( ago)?\b|\bnow( ago)?\b", "[age]"),
        ] {
            text = regex_lite::Regex::new(pattern).unwrap().replace_all(&text, mask).into_owned();
        }
        text.lines().map(|line| format!("{}\n", line.trim_end())).collect()
    }
}

#[test]
fn listing_without_a_store_creates_none() {
    let listed = Jobs::new();
    assert_eq!(listed.text(&["jobs", "list"], &[]), "no jobs yet: `tunesmith run JOB.json` makes one\n");
    assert_eq!(listed.text(&["models", "list"], &[]), "no models yet: `tunesmith run JOB.json` makes one\n");
    assert_eq!(listed.text(&["jobs", "list", "--json"], &[]), "{\"jobs\":[],\"next\":null}\n");
    insta::assert_snapshot!(listed.failure(&["jobs", "show", "k3f9ab"], &[]));
    assert!(!listed.data().exists());
}

#[test]
fn jobs_are_listed_newest_first_with_owner() {
    let listed = Jobs::new();
    let jobs = wait(async {
        let store = open(&listed.data()).await;
        let mut jobs = vec![
            job(&store, &new_job("support"), State::Succeeded).await,
            job(&store, &ollama_job("errors"), State::Planned).await,
            job(&store, &new_job("failed"), State::Failed).await,
            job(&store, &new_job("running"), State::Running).await,
            job(&store, &new_job("paused"), State::Paused).await,
        ];
        let mut emulated = new_job("a name with \u{1b}[31mcolours\u{202e} in it");
        emulated.emulated = true;
        jobs.push(job(&store, &emulated, State::Cancelled).await);
        jobs
    });
    let all: Vec<&Job> = jobs.iter().collect();
    insta::assert_snapshot!(listed.text(&["jobs", "list"], &all));
    insta::assert_snapshot!(listed.text(&["jobs", "list", "--state", "failed", "--state", "paused"], &all));
    assert_eq!(listed.text(&["jobs", "list", "--name", "nothing"], &[]), "no such jobs\n");
    let page: serde_json::Value =
        serde_json::from_slice(&listed.run(&["jobs", "list", "--json", "-n", "2"]).stdout).unwrap();
    assert_eq!(page["jobs"].as_array().unwrap().len(), 2);
    let next = page["next"].to_string();
    let page: serde_json::Value =
        serde_json::from_slice(&listed.run(&["jobs", "list", "--json", "--after", &next]).stdout).unwrap();
    assert_eq!(page["jobs"].as_array().unwrap().len(), 4);
    assert_eq!(
        (&page["jobs"][0]["state"], &page["jobs"][0]["unattended"]),
        (&"running".into(), &true.into())
    );
    assert_eq!(page["next"], serde_json::Value::Null);
    let models = listed.text(&["models", "list"], &all);
    insta::assert_snapshot!(models);
}

#[test]
fn show_prints_events_model_and_loss() {
    let listed = Jobs::new();
    let job = wait(async { trained(&open(&listed.data()).await, &new_job("support"), 40).await });
    let prefix = &job.id.as_str()[..4];
    insta::assert_snapshot!(listed.text(&["jobs", "show", prefix], &[&job]));
    let shown: serde_json::Value =
        serde_json::from_slice(&listed.run(&["jobs", "show", prefix, "--json"]).stdout).unwrap();
    assert_eq!(shown["metrics"]["points"].as_array().unwrap().len(), 40);
    assert_eq!(shown["job"]["state"], "succeeded");
    assert_eq!(shown["models"][0]["made"], "fine-tuned");
    assert_eq!(shown["checkpoints"][0]["figures"]["valid_loss"], 0.9);
    assert!(shown["events"].as_array().unwrap().len() > 40);
}

#[test]
fn the_loss_curve_is_written_as_svg_once() {
    let listed = Jobs::new();
    let (trained, planned) = wait(async {
        let store = open(&listed.data()).await;
        (
            trained(&store, &new_job("<b>support</b>"), 40).await,
            job(&store, &ollama_job("o"), State::Planned).await,
        )
    });
    let svg = listed.0.root().join("loss.svg");
    let svg = svg.to_str().unwrap();
    listed.text(&["jobs", "show", trained.id.as_str(), "--svg", svg], &[]);
    let written = std::fs::read_to_string(svg).unwrap();
    assert!(written.starts_with("<svg ") && written.contains("&lt;b&gt;support"), "{written}");
    let again = listed.failure(&["jobs", "show", trained.id.as_str(), "--svg", svg], &[&trained]);
    assert_eq!(
        again,
        "exit 2\nerror: PLACE/loss.svg exists already\n  hint: give --force to replace it, or another path\n"
    );
    listed.text(&["jobs", "show", trained.id.as_str(), "--svg", svg, "--force"], &[]);
    let nothing =
        listed.failure(&["jobs", "show", planned.id.as_str(), "--svg", svg, "--force"], &[&planned]);
    insta::assert_snapshot!(nothing);
    assert_eq!(std::fs::read_to_string(svg).unwrap(), written);
}

#[test]
fn unknown_and_ambiguous_ids_are_refused() {
    let listed = Jobs::new();
    wait(async {
        let store = open(&listed.data()).await;
        // 33 jobs: two of them begin with the same of 32 characters.
        for at in 0..33 {
            job(&store, &new_job(&at.to_string()), State::Planned).await;
        }
    });
    let page: serde_json::Value =
        serde_json::from_slice(&listed.run(&["jobs", "list", "--json", "-n", "40"]).stdout).unwrap();
    let ids: Vec<&str> =
        page["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap()).collect();
    let shared = ids.iter().find(|id| ids.iter().filter(|other| other[..1] == id[..1]).count() > 1).unwrap();
    let text = listed.failure(&["jobs", "show", &shared[..1]], &[]);
    assert!(
        text.starts_with("exit 2\nerror: ") && text.contains("is the beginning of several job ids: "),
        "{text}"
    );
    assert!(text.contains("hint: type more of the id"), "{text}");
    insta::assert_snapshot!(listed.failure(&["jobs", "show", "no-such"], &[]));
}

#[test]
fn only_finished_jobs_are_removed() {
    let listed = Jobs::new();
    let (over, running) = wait(async {
        let store = open(&listed.data()).await;
        (
            job(&store, &new_job("over"), State::Succeeded).await,
            job(&store, &new_job("running"), State::Running).await,
        )
    });
    let artifacts = listed.data().join("artifacts").join(over.id.as_str());
    std::fs::create_dir_all(&artifacts).unwrap();
    std::fs::write(artifacts.join("plan.json"), "{}").unwrap();
    let both = [&over, &running];
    insta::assert_snapshot!(listed.failure(&["jobs", "remove", running.id.as_str()], &both));
    insta::assert_snapshot!(listed.text(&["jobs", "remove", over.id.as_str()], &both));
    assert!(!artifacts.exists());
    let text = listed.text(&["jobs", "list"], &both);
    assert!(text.contains("<job1>") && !text.contains("<job0>"), "{text}");
    assert!(listed.text(&["models", "list"], &both).contains("ft:gpt-4.1-mini:org::<job0>"));
}

#[test]
fn store_of_later_version_is_untouched() {
    let listed = Jobs::new();
    wait(async { open(&listed.data()).await.close().await });
    let file = listed.data().join("tunesmith.db");
    // SQLite keeps the user version, big-endian, in bytes 60 to 63 of the header.
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[60..64].copy_from_slice(&99_u32.to_be_bytes());
    std::fs::write(&file, &bytes).unwrap();
    insta::assert_snapshot!(listed.failure(&["jobs", "list"], &[]));
    assert_eq!(std::fs::read(&file).unwrap(), bytes);
    assert_eq!(std::fs::read_dir(listed.data()).unwrap().count(), 1, "nothing beside it");
}

#[test]
fn other_file_is_left_untouched() {
    let listed = Jobs::new();
    std::fs::create_dir(listed.data()).unwrap();
    std::fs::set_permissions(listed.data(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    std::fs::write(listed.data().join("tunesmith.db"), "some text, not a database at all\n".repeat(40))
        .unwrap();
    insta::assert_snapshot!(listed.failure(&["jobs", "list"], &[]));
}

/// Root may write anywhere, so the program runs as another user here.
fn unprivileged(listed: &Jobs, args: &[&str]) -> Output {
    let program = listed.0.root().join("tunesmith");
    let built = env!("CARGO_BIN_EXE_tunesmith");
    std::fs::hard_link(built, &program).or_else(|_| std::fs::copy(built, &program).map(drop)).unwrap();
    mode(listed.0.root(), 0o755);
    mode(&program, 0o755);
    let mut command = std::process::Command::new(&program);
    let home = listed.0.root().join("home");
    std::fs::create_dir_all(&home).unwrap();
    mode(&home, 0o777);
    command.env_clear().env("HOME", &home).env("NO_COLOR", "1").current_dir(listed.0.root());
    command.arg("--data-dir").arg(listed.data()).args(args);
    if rustix::process::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    command.output().unwrap()
}

fn mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}

#[test]
fn unwritable_store_is_named_with_a_hint() {
    let listed = Jobs::new();
    let job = wait(async {
        let store = open(&listed.data()).await;
        let job = job(&store, &new_job("a"), State::Planned).await;
        store.close().await;
        job
    });
    mode(&listed.data().join("tunesmith.db"), 0o444);
    mode(&listed.data(), 0o555);
    let output = unprivileged(&listed, &["jobs", "remove", job.id.as_str()]);
    let text = listed.masked(&said(output.stderr), &[&job]);
    insta::assert_snapshot!(format!("exit {}\n{text}", output.status.code().unwrap()));
}

/// A file that may not grow fails as one on a full disk does.
#[test]
fn a_full_disk_loses_nothing() {
    let listed = Jobs::new();
    let job = wait(async {
        let store = open(&listed.data()).await;
        let job = job(&store, &new_job("a"), State::Succeeded).await;
        store.close().await;
        job
    });
    let script = format!(
        "trap '' XFSZ; ulimit -f 0; exec {} --data-dir {} jobs remove {}",
        env!("CARGO_BIN_EXE_tunesmith"),
        listed.data().display(),
        job.id
    );
    let output = std::process::Command::new("sh")
        .args(["-c", &script])
        .env("NO_COLOR", "1")
        .env("HOME", listed.0.root())
        .output()
        .unwrap();
    let text = listed.masked(&said(output.stderr), &[&job]);
    insta::assert_snapshot!(format!("exit {}\n{text}", output.status.code().unwrap()));
    assert!(listed.text(&["jobs", "list"], &[&job]).contains("<job0>"), "the job is still there");
}

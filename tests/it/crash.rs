//! Nothing is lost and nothing is done twice, whatever dies: every failpoint on both
//! sides of its effect, and kills at random moments, against an emulator in a process of
//! its own.
//!
//! The process that dies is this test binary again, running [`child`]: it carries a job
//! on as `tunesmith run` does, in its own process, with a failpoint armed.

use crate::common;
use crate::common::{kept, stored};
use kept::{Folder, KEY};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tunesmith_core::failure::Failure;
use tunesmith_engine::execute::{Asked, Connect, Error, Executor, Options, Patience, Until};
use tunesmith_provider::failpoint::{Point, Side, VARIABLE};
use tunesmith_provider::http::Endpoint;
use tunesmith_provider::{ollama, openai};
use tunesmith_store::{Ask, Job, NewDataset, NewJob, NewPlan, State, Store};

/// What the child is to do.
const CHILD: &str = "TUNESMITH_TEST_CHILD";

/// An emulator in a process of its own.
struct Service {
    process: Child,
    ollama_url: String,
    openai_url: String,
    _state: Folder,
}

impl Service {
    fn start() -> Self {
        let state = Folder::new();
        let mut process = common::tunesmith()
            .args([
                "emulate",
                "--json",
                "--speed",
                "300",
                "--until-stdin-closes",
                "--model",
                "mistral",
                "--state",
            ])
            .arg(state.path())
            .env("TUNESMITH_EMULATOR_KEY", KEY)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let at: Value = serde_json::from_str(&line).unwrap();
        let url = |name: &str| at[name].as_str().unwrap().to_owned();
        Self { ollama_url: url("ollama_url"), openai_url: url("openai_url"), process, _state: state }
    }

    fn control(&self, method: &str, path: &str, body: &Value) -> Value {
        self.ask(&format!("{method} /_emulator{path}"), body)
    }

    fn fault(&self, route: &str, action: Value) {
        self.control("POST", "/faults", &json!({"route": route, "action": action}));
    }

    fn clear(&self) {
        self.control("DELETE", "/faults", &Value::Null);
    }

    /// Long jobs, which end when the test says so, or short ones.
    fn steps_take(&self, seconds: f64) {
        let openai = json!({"step_seconds": seconds, "max_running_seconds": if seconds > 100.0 { 1e7 } else { 180.0 }});
        self.control("PATCH", "/behaviour", &json!({ "openai": openai }));
    }

    fn ask(&self, what: &str, body: &Value) -> Value {
        request(&self.ollama_url, what, body)
    }

    fn models(&self) -> Vec<String> {
        let models = self.ask("GET /api/tags", &Value::Null);
        models["models"]
            .as_array()
            .unwrap()
            .iter()
            .map(|model| model["name"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The remote jobs of a local job, by their run id: `JOB-…`.
    fn jobs_of(&self, job: &Job) -> Vec<Value> {
        let of = |remote: &Value| {
            let run = remote["metadata"]["tunesmith_run"].as_str().unwrap_or_default();
            run.starts_with(&format!("{}-", job.id))
        };
        self.jobs().into_iter().filter(of).collect()
    }

    fn jobs(&self) -> Vec<Value> {
        let base = self.openai_url.trim_end_matches("/v1");
        let mut all: Vec<Value> = Vec::new();
        loop {
            let after =
                all.last().map_or(String::new(), |last| format!("&after={}", last["id"].as_str().unwrap()));
            let page = request(base, &format!("GET /v1/fine_tuning/jobs?limit=100{after}"), &Value::Null);
            all.extend(page["data"].as_array().unwrap().iter().cloned());
            if page["has_more"] != json!(true) {
                return all;
            }
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// A small HTTP client: one request, one answer in JSON.
fn request(base: &str, what: &str, body: &Value) -> Value {
    let address = base.strip_prefix("http://").unwrap();
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "{what} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {KEY}\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    // A body in chunks has their lengths between; those that are asked for here have one
    // object each.
    let (from, to) = (body.find(['{', '[']), body.rfind(['}', ']']));
    match (from, to) {
        (Some(from), Some(to)) => serde_json::from_str(&body[from..=to]).unwrap_or(Value::Null),
        _ => Value::Null,
    }
}

/// Clients for the emulator; files of more than a few hundred bytes travel in parts.
struct Clients {
    ollama: ollama::client::Client,
    openai: openai::client::Client,
}

impl Clients {
    fn new(ollama_url: &str, openai_url: &str, part: Option<u64>) -> Self {
        let ollama = ollama::client::Options::new(Endpoint::ollama(ollama_url).unwrap());
        let key = tunesmith_engine::secret::from_env("KEY", KEY.as_ref()).ok();
        let mut options = openai::client::Options {
            key,
            ..openai::client::Options::new(Endpoint::parse(openai_url, false).unwrap())
        };
        if let Some(part) = part {
            options.upload.whole = part;
            options.upload.part = part;
        }
        Self {
            ollama: ollama::client::Client::new(ollama).unwrap(),
            openai: openai::client::Client::new(options).unwrap(),
        }
    }
}

impl Connect for Clients {
    fn is_emulated(&self) -> bool {
        false
    }

    fn ollama(&self) -> Result<ollama::client::Client, Failure> {
        Ok(self.ollama.clone())
    }

    fn openai(&self) -> Result<openai::client::Client, Failure> {
        Ok(self.openai.clone())
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A store with jobs for the emulator.
struct Ledger<'s> {
    service: &'s Service,
    root: Folder,
    part: Option<u64>,
}

static NAMES: AtomicU32 = AtomicU32::new(0);

impl<'s> Ledger<'s> {
    fn new(service: &'s Service) -> Self {
        Self { service, root: Folder::new(), part: None }
    }

    fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    fn with<T>(&self, work: impl AsyncFnOnce(&Store) -> T) -> T {
        runtime().block_on(async {
            let store = Store::open(&self.data(), tunesmith_store::Options::default()).await.unwrap();
            let result = work(&store).await;
            store.close().await;
            result
        })
    }

    fn job(&self, id: &str) -> Job {
        self.with(async |store| store.job(id).await.unwrap())
    }

    fn record(&self, new: NewJob) -> String {
        self.with(async |store| store.create(&new).await.unwrap().id.to_string())
    }

    fn openai_job(&self) -> String {
        let name = format!("job-{}", NAMES.fetch_add(1, Ordering::Relaxed));
        let path = self.root.path().join(format!("{name}.jsonl"));
        // The content is the job's own, so that nothing is found from another one.
        let row =
            json!({"messages": [{"role": "user", "content": name}, {"role": "assistant", "content": "yes"}]});
        let rows = format!("{row}\n").repeat(12);
        std::fs::write(&path, &rows).unwrap();
        let sha256 = sha256(&path);
        let config = stored::openai(&sha256, rows.len());
        let training = json!({"path": path, "sha256": sha256, "bytes": rows.len()});
        self.record(self.new_job(
            &name,
            "openai",
            &self.service.openai_url,
            config,
            json!({ "training": training }),
        ))
    }

    fn ollama_job(&self, from: &str, pull: bool) -> (String, String) {
        let name = format!("made-{}", NAMES.fetch_add(1, Ordering::Relaxed));
        let config = stored::ollama(&name, from);
        let new = self.new_job(&name, "ollama", &self.service.ollama_url, config, json!({ "pull": pull }));
        (self.record(new), format!("{name}:latest"))
    }

    fn new_job(&self, name: &str, provider: &str, service: &str, config: Value, execution: Value) -> NewJob {
        NewJob {
            name: name.into(),
            provider: provider.parse().unwrap(),
            service: service.into(),
            method: "lora".into(),
            base_model: "base".into(),
            emulated: true,
            remote: true,
            spec: json!({}),
            dataset: NewDataset { digest: name.into(), path: "train.jsonl".into(), rows: 12, bytes: 900 },
            plan: NewPlan {
                digest: format!("plan of {name}"),
                document: stored::plan(name, provider, &config),
                measured: json!({ "execution": execution }),
            },
        }
    }

    fn child(&self, what: &str, id: &str, failpoint: Option<String>) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let asked = json!({
            "what": what,
            "job": id,
            "data": self.data(),
            "ollama": self.service.ollama_url,
            "openai": self.service.openai_url,
            "part": self.part,
        });
        command.args(["crash::child", "--exact", "--nocapture"]).env(CHILD, asked.to_string());
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        match failpoint {
            Some(failpoint) => command.env(VARIABLE, failpoint),
            None => command.env_remove(VARIABLE),
        };
        command
    }

    /// Runs a child to its end.
    fn run(&self, what: &str, id: &str, failpoint: Option<String>) -> (ExitStatus, String) {
        let output = kept::output(&mut self.child(what, id, failpoint));
        (output.status, String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Runs a child that must die at its failpoint.
    fn dies(&self, what: &str, id: &str, point: Point, side: Side) {
        let failpoint = format!("{}:{}", point.name(), side.as_str());
        let (status, said) = self.run(what, id, Some(failpoint.clone()));
        assert_eq!(status.signal(), Some(9), "{failpoint} was not passed: {status}\n{said}");
    }

    /// Runs a child that must do its work.
    fn works(&self, what: &str, id: &str) {
        let (status, said) = self.run(what, id, None);
        assert!(status.success(), "{what}: {status}\n{said}");
    }

    fn ask(&self, id: &str, ask: Ask) {
        self.with(async |store| {
            let job = store.job(id).await.unwrap();
            store.request(&job.id, ask).await.unwrap();
        });
    }
}

fn sha256(path: &Path) -> String {
    let file = runtime().block_on(openai::client::TrainingFile::open(path)).unwrap();
    file.sha256().to_owned()
}

/// The process that dies. Nothing, when it is run as a test.
#[test]
fn child() {
    let Ok(asked) = std::env::var(CHILD) else { return };
    let asked: Value = serde_json::from_str(&asked).unwrap();
    let text = |name: &str| asked[name].as_str().unwrap().to_owned();
    let clients = Clients::new(&text("ollama"), &text("openai"), asked["part"].as_u64());
    let result: Result<(), Error> = runtime().block_on(async {
        let store = Store::open(Path::new(&text("data")), tunesmith_store::Options::default()).await.unwrap();
        let patience = Patience {
            grace: Duration::from_millis(600),
            look: Duration::from_millis(100),
            poll: Duration::from_millis(50),
            longest_poll: Duration::from_millis(200),
            ..Patience::emulator()
        };
        let options = Options { patience: Some(patience), ..Options::default() };
        let executor = Executor::new(store.clone(), Arc::new(clients), options);
        if text("what") == "delete-file" {
            let file = store.files(None, None, 1).await?.items.remove(0);
            return executor.remove_file(&file).await.map(drop);
        }
        let job = store.job(&text("job")).await?;
        match text("what").as_str() {
            "end" => executor.resume(&job.id, Until::End).await.map(drop),
            "submit" => executor.resume(&job.id, Until::Submitted).await.map(drop),
            // The request is there; this process answers it, as the job's owner.
            "answer" => executor.resume(&job.id, Until::Answered).await.map(drop),
            "resume" => match executor.ask(&job.id, Ask::Resume, Duration::from_secs(30)).await? {
                Asked::Answered(..) => Ok(()),
                Asked::Waiting(_) => panic!("nobody answered"),
            },
            other => panic!("{other}"),
        }
    });
    match result {
        Ok(()) | Err(Error::Cancelled { .. }) => {}
        Err(error) => panic!("{error}\n{:?}", error.advice()),
    }
}

/// Dies at a point in the life of a job, and checks that the job's next process brings
/// it to where it belongs, with one remote job or model.
fn dies_and_goes_on(service: &Service, point: Point, side: Side) {
    let mut ledger = Ledger::new(service);
    match point {
        Point::OllamaPull => {
            service.ask("DELETE /api/delete", &json!({"model": "llama3.2"}));
            let (id, model) = ledger.ollama_job("llama3.2", true);
            ledger.dies("end", &id, point, side);
            made(&ledger, &id, &model);
        }
        Point::OllamaCreate | Point::OllamaProbe => {
            let (id, model) = ledger.ollama_job("mistral", false);
            ledger.dies("end", &id, point, side);
            made(&ledger, &id, &model);
        }
        Point::OllamaDelete => {
            let (id, model) = ledger.ollama_job("mistral", false);
            ledger.dies("end", &id, Point::OllamaProbe, Side::Before);
            assert_eq!(ledger.job(&id).state, State::Verifying);
            ledger.ask(&id, Ask::Cancel);
            ledger.dies("end", &id, point, side);
            ledger.works("end", &id);
            assert_eq!(ledger.job(&id).state, State::Cancelled);
            assert!(!service.models().contains(&model), "{model} is still there");
        }
        Point::OpenAiUploadPart | Point::OpenAiUpload | Point::OpenAiCreate | Point::OpenAiProbe => {
            ledger.part = (point == Point::OpenAiUploadPart).then_some(400);
            let id = ledger.openai_job();
            ledger.dies("end", &id, point, side);
            tuned(&ledger, &id);
        }
        Point::OpenAiUploadCancel => {
            ledger.part = Some(400);
            let id = ledger.openai_job();
            // An upload is under way when the job is cancelled.
            ledger.dies("end", &id, Point::OpenAiUploadPart, Side::After);
            ledger.ask(&id, Ask::Cancel);
            ledger.dies("end", &id, point, side);
            ledger.works("end", &id);
            let job = ledger.job(&id);
            assert_eq!((job.state, service.jobs_of(&job).len()), (State::Cancelled, 0));
        }
        Point::OpenAiCancel | Point::OpenAiPause | Point::OpenAiResume => {
            service.steps_take(10_000.0);
            let id = ledger.openai_job();
            ledger.works("submit", &id);
            service.steps_take(4.0);
            let until_running = || {
                for _ in 0..600 {
                    if service.jobs_of(&ledger.job(&id))[0]["status"] == "running" {
                        return;
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
                panic!("it never ran");
            };
            until_running();
            ledger.works("submit", &id);
            let (ask, there, here) = match point {
                Point::OpenAiCancel => (Ask::Cancel, "cancelled", State::Cancelled),
                _ => (Ask::Pause, "paused", State::Paused),
            };
            ledger.ask(&id, ask);
            if point == Point::OpenAiResume {
                ledger.works("answer", &id);
                assert_eq!(ledger.job(&id).state, State::Paused);
                ledger.dies("resume", &id, point, side);
                ledger.works("resume", &id);
                let job = ledger.job(&id);
                assert!(matches!(job.state, State::Submitted | State::Running), "{}", job.state);
                assert_ne!(service.jobs_of(&job)[0]["status"], "paused");
            } else {
                ledger.dies("answer", &id, point, side);
                ledger.works("answer", &id);
                let job = ledger.job(&id);
                assert_eq!((job.state, &service.jobs_of(&job)[0]["status"]), (here, &json!(there)));
            }
            assert_eq!(service.jobs_of(&ledger.job(&id)).len(), 1);
        }
        Point::OpenAiDeleteFile => {
            let id = ledger.openai_job();
            ledger.works("submit", &id);
            ledger.dies("delete-file", &id, point, side);
            ledger.works("delete-file", &id);
            let left = ledger.with(async |store| store.files(None, None, 10).await.unwrap().items.len());
            assert_eq!(left, 0);
        }
    }
}

/// The job ends in its one model, which answered.
fn made(ledger: &Ledger<'_>, id: &str, model: &str) {
    ledger.works("end", id);
    assert_eq!(ledger.job(id).state, State::Succeeded);
    let there = ledger.service.models().into_iter().filter(|name| name == model).count();
    assert_eq!(there, 1, "{model}");
}

/// The job ends in its one remote job's model, which answered.
fn tuned(ledger: &Ledger<'_>, id: &str) {
    ledger.works("end", id);
    let job = ledger.job(id);
    let remote = ledger.service.jobs_of(&job);
    assert_eq!((job.state, remote.len()), (State::Succeeded, 1), "{remote:?}");
    assert_eq!(job.remote_id.as_deref(), remote[0]["id"].as_str());
    assert!(job.synced <= 16, "{} synced transactions with a crash between", job.synced);
}

#[test]
fn kill_around_any_effect_loses_or_doubles_nothing() {
    let service = Service::start();
    for point in Point::ALL {
        for side in Side::ALL {
            dies_and_goes_on(&service, *point, side);
        }
    }
    // Every change that was made at the services stands at a point: an effect that is
    // added without one shows here.
    let counters = service.control("GET", "/counters", &Value::Null);
    let known: BTreeSet<&str> = Point::ALL.iter().flat_map(|point| point.routes()).copied().collect();
    let changed: BTreeSet<&str> =
        counters["effects"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(changed, known, "effects without a failpoint, or points without their effect");
}

#[test]
fn dropped_create_reply_makes_one_job() {
    let service = Service::start();
    let ledger = Ledger::new(&service);
    let id = ledger.openai_job();
    service.fault("POST /v1/fine_tuning/jobs", json!({"kind": "drop-after"}));
    tuned(&ledger, &id);
    service.clear();
    let (id, model) = ledger.ollama_job("mistral", false);
    service.fault("POST /api/create", json!({"kind": "drop-after"}));
    made(&ledger, &id, &model);
}

/// Random numbers that `TUNESMITH_TEST_SEED` repeats; a test that fails shows the seed.
fn random() -> fastrand::Rng {
    let seed = std::env::var("TUNESMITH_TEST_SEED")
        .map_or_else(|_| fastrand::u64(..), |seed| seed.parse().expect("TUNESMITH_TEST_SEED is a number"));
    eprintln!("TUNESMITH_TEST_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

#[test]
fn fifty_random_kills_lose_or_double_nothing() {
    let mut random = random();
    let service = Service::start();
    let ledger = Ledger::new(&service);
    // How long a whole job takes here decides when to kill.
    let whole = {
        let id = ledger.openai_job();
        let begun = std::time::Instant::now();
        ledger.works("end", &id);
        begun.elapsed()
    };
    let mut kills = 0;
    let mut jobs: Vec<(String, Option<String>)> = Vec::new();
    let mut going: Vec<usize> = Vec::new();
    while kills < 50 {
        // A new job, or one that was killed before.
        let at = match going.len() {
            0..4 => {
                let job = if jobs.len().is_multiple_of(2) {
                    (ledger.openai_job(), None)
                } else {
                    let (id, model) = ledger.ollama_job("mistral", false);
                    (id, Some(model))
                };
                jobs.push(job);
                going.push(jobs.len() - 1);
                jobs.len() - 1
            }
            many => going[random.usize(..many)],
        };
        let mut child = ledger.child("end", &jobs[at].0, None).stderr(Stdio::null()).spawn().unwrap();
        // Jobs on Ollama are quicker, so many kills come early.
        let most = if random.bool() { whole } else { whole / 6 };
        std::thread::sleep(most.mul_f64(random.f64()));
        if child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            kills += 1;
        }
        let status = child.wait().unwrap();
        if status.success() || ledger.job(&jobs[at].0).state.is_final() {
            going.retain(|known| *known != at);
        }
    }
    for (id, model) in &jobs {
        if !ledger.job(id).state.is_final() {
            ledger.works("end", id);
        }
        let job = ledger.job(id);
        assert_eq!(job.state, State::Succeeded, "{id}: {:?}", job.reason);
        match model {
            Some(model) => assert!(service.models().contains(model), "{model} is lost"),
            None => assert_eq!(service.jobs_of(&job).len(), 1, "{id}"),
        }
    }
    let remote = service.jobs().len();
    let local = 1 + jobs.iter().filter(|(_, model)| model.is_none()).count();
    assert_eq!(remote, local, "remote and local jobs");
    let made = service.models().iter().filter(|name| name.starts_with("made-")).count();
    assert_eq!(made, jobs.iter().filter(|(_, model)| model.is_some()).count());
}

//! A gigabyte to a service, in parts: what it takes of memory, and its speed beside
//! curl's, sending the same parts to the same sink in the same run.
//!
//! `cargo bench --bench upload`; needs curl and 2 GB of disk. Bars: at most 100 MB of
//! memory, 0.8 or more of curl's speed.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tunesmith_provider::http::Endpoint;
use tunesmith_provider::openai::client::{Client, Options, TrainingFile, UploadLimits, Uploaded};

/// The file's size.
const BYTES: u64 = 1_000_000_000;

/// How often each is measured; they take turns, and the median counts.
const ROUNDS: usize = 5;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        // A process of its own, so that its memory is the client's alone.
        Some("send") => send(&arguments[1], Path::new(&arguments[2])),
        _ if arguments.iter().any(|argument| argument == "--bench") => compare(),
        // `cargo test --benches` only wants to know that it starts.
        _ => {}
    }
}

fn compare() {
    let folder = tempfile::tempdir().unwrap();
    let (file, parts) = on_disk(folder.path());
    let base = sink();
    let mut rounds: Vec<(Duration, Duration)> = Vec::new();
    let mut peak = 0;
    for _ in 0..ROUNDS {
        let out =
            Command::new(std::env::current_exe().unwrap()).args(["send", &base]).arg(&file).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let said: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        let ours = Duration::from_secs_f64(said["seconds"].as_f64().unwrap());
        peak = peak.max(said["peak_kib"].as_u64().unwrap());
        let theirs = curl(&base, &parts);
        println!("ours {ours:.3?}, curl {theirs:.3?}");
        rounds.push((ours, theirs));
    }
    let median = |pick: fn(&(Duration, Duration)) -> Duration| {
        let mut all: Vec<Duration> = rounds.iter().map(pick).collect();
        all.sort();
        all[all.len() / 2].as_secs_f64()
    };
    let (ours, theirs) = (median(|round| round.0), median(|round| round.1));
    println!(
        "{} parts, {} MB: ours {ours:.3} s, curl {theirs:.3} s: {:.2} of curl's speed (bar 0.80); peak {:.1} MB (bar 100)",
        parts.len(),
        BYTES / 1_000_000,
        theirs / ours,
        peak as f64 * 1024.0 / 1e6
    );
}

/// Sends the file once and says how long it took, digest not included, and the peak of
/// this process's memory.
fn send(base: &str, path: &Path) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let seconds = runtime.block_on(async {
        let client =
            Client::new(Options::new(Endpoint::parse(&format!("{base}/v1"), false).unwrap())).unwrap();
        let file = TrainingFile::open(path).await.unwrap();
        let start = Instant::now();
        let uploaded = client.upload_in_parts(&file, None, &()).await.unwrap();
        assert!(matches!(uploaded, Uploaded::File(_)), "{uploaded:?}");
        start.elapsed().as_secs_f64()
    });
    println!("{}", json!({ "seconds": seconds, "peak_kib": peak_kib() }));
}

/// The same requests with curl: one process, one connection.
fn curl(base: &str, parts: &[PathBuf]) -> Duration {
    let mut command = Command::new("curl");
    let json = |command: &mut Command, url: String| {
        command.args(["-sf", "-o", "/dev/null", "-H", "content-type: application/json", "-d", "{}"]).arg(url);
    };
    json(&mut command, format!("{base}/v1/uploads"));
    for part in parts {
        let form = format!("data=@{};type=application/octet-stream", part.display());
        command.args(["--next", "-sf", "-o", "/dev/null", "-H", "Expect:", "-F", &form]);
        command.arg(format!("{base}/v1/uploads/upload_1/parts"));
    }
    command.arg("--next");
    json(&mut command, format!("{base}/v1/uploads/upload_1/complete"));
    let start = Instant::now();
    assert!(command.status().unwrap().success());
    start.elapsed()
}

/// The file, and its parts as files for curl.
fn on_disk(folder: &Path) -> (PathBuf, Vec<PathBuf>) {
    let row = "{\"messages\": [{\"role\": \"user\", \"content\": \"What is your name?\"}, {\"role\": \"assistant\", \"content\": \"Ask me another.\"}]}\n";
    let rows = row.repeat(8_000);
    let path = folder.join("train.jsonl");
    let mut file = std::fs::File::create(&path).unwrap();
    let mut left = BYTES;
    while left > 0 {
        let piece = rows.len().min(usize::try_from(left).unwrap());
        file.write_all(&rows.as_bytes()[..piece]).unwrap();
        left -= piece as u64;
    }
    let mut parts = Vec::new();
    let mut source = std::fs::File::open(&path).unwrap();
    loop {
        let part = folder.join(format!("part-{}", parts.len()));
        let mut file = std::fs::File::create(&part).unwrap();
        let copied = std::io::copy(&mut (&mut source).take(UploadLimits::default().part), &mut file).unwrap();
        if copied == 0 {
            return (path, parts);
        }
        parts.push(part);
    }
}

/// A service that reads everything and keeps nothing.
fn sink() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || serve(&stream));
        }
    });
    base
}

fn serve(stream: &TcpStream) -> Option<()> {
    let mut reader = BufReader::with_capacity(1 << 18, stream);
    let mut requests = 0_u32;
    loop {
        let (mut length, mut line) = (0, String::new());
        while reader.read_line(&mut line).ok()? > 2 {
            let header = line.to_ascii_lowercase();
            if let Some(text) = header.strip_prefix("content-length:") {
                length = text.trim().parse().ok()?;
            }
            line.clear();
        }
        if line.is_empty() {
            return None;
        }
        std::io::copy(&mut (&mut reader).take(length), &mut std::io::sink()).ok()?;
        requests += 1;
        let file = json!({ "id": "file-1", "object": "file", "bytes": BYTES, "status": "processed" });
        let body =
            json!({ "id": format!("upload_{requests}"), "status": "pending", "file": file }).to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut writer = stream;
        writer.write_all((head + &body).as_bytes()).ok()?;
    }
}

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

//! Files: sent whole and in parts, found again, and not sent when they change.

use super::*;
use crate::http::misbehaving::{Act, Misbehaving, http};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

const FILES: &str = "/v1/files";

fn on_disk(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("rows.jsonl");
    std::fs::write(&path, content).unwrap();
    (dir, path)
}

fn file_object(id: &str, name: &str, bytes: usize, more: Value) -> Value {
    let mut file = json!({ "id": id, "object": "file", "bytes": bytes, "created_at": 1, "filename": name,
        "purpose": "fine-tune", "status": "processed" });
    file.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    file
}

/// Remembers what it is told.
#[derive(Default)]
struct Notes {
    progress: Mutex<Vec<(u64, u64)>>,
    sessions: Mutex<Vec<UploadSession>>,
}

impl UploadWatch for Notes {
    fn progress(&self, sent: u64, total: u64) {
        self.progress.lock().unwrap().push((sent, total));
    }

    async fn session(&self, session: &UploadSession) {
        self.sessions.lock().unwrap().push(session.clone());
    }
}

fn contains(body: &[u8], part: &[u8]) -> bool {
    body.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn a_file_is_named_by_its_content_and_sent_with_its_purpose() {
    let content = "{\"messages\": []}\n".repeat(200_000);
    let (_dir, path) = on_disk(content.as_bytes());
    let file = TrainingFile::open(&path).await.unwrap();
    assert_eq!(file.name(), format!("train-{}.jsonl", &file.sha256()[..16]));
    let server = Server::start();
    server.on("GET", FILES, answer(200).json(page(vec![], false)));
    server.on("POST", FILES, answer(200).json(file_object("file-1", &file.name(), content.len(), json!({}))));
    let notes = Notes::default();
    let ensured = client(&server.base).ensure_file(&file, None, &notes).await.unwrap();
    assert_eq!((ensured.file.id.as_str(), ensured.how), ("file-1", How::Sent));
    let requests = server.requests();
    assert_eq!(requests[0].url.query(), Some("purpose=fine-tune&limit=100"));
    let body = &requests[1].body;
    assert!(contains(body, content.as_bytes()));
    assert!(contains(body, b"name=\"purpose\"\r\n\r\nfine-tune\r\n"));
    assert!(contains(body, format!("name=\"file\"; filename=\"{}\"", file.name()).as_bytes()));
    let length: usize = requests[1].headers["content-length"].to_str().unwrap().parse().unwrap();
    assert_eq!(length, body.len());
    let total = content.len() as u64;
    assert_eq!(notes.progress.lock().unwrap().last(), Some(&(total, total)));
}

#[tokio::test]
async fn a_file_that_is_there_is_not_sent_again() {
    let (_dir, path) = on_disk(b"{}\n");
    let file = TrainingFile::open(&path).await.unwrap();
    let name = file.name();
    let server = Server::start();
    let there = vec![
        file_object("other-name", "train-0.jsonl", 3, json!({ "created_at": 9 })),
        file_object("other-size", &name, 4, json!({ "created_at": 9 })),
        file_object("broken", &name, 3, json!({ "created_at": 9, "status": "error" })),
        file_object("going", &name, 3, json!({ "created_at": 9, "expires_at": 100 })),
        file_object("other-purpose", &name, 3, json!({ "created_at": 9, "purpose": "batch" })),
        file_object("older", &name, 3, json!({ "created_at": 1 })),
        file_object("newer", &name, 3, json!({ "created_at": 2, "status": "uploaded" })),
    ];
    server.on("GET", FILES, answer(200).json(page(there, false)));
    let ensured = client(&server.base).ensure_file(&file, None, &()).await.unwrap();
    assert_eq!((ensured.file.id.as_str(), ensured.how), ("newer", How::Found));
    assert_eq!(server.seen("POST", FILES), 0);
}

#[tokio::test(start_paused = true)]
async fn after_a_lost_reply_the_file_is_looked_for_before_it_is_sent_again() {
    let (_dir, path) = on_disk(b"{}\n");
    let file = TrainingFile::open(&path).await.unwrap();
    let none = Act::Say(http("200 OK", &page(vec![], false).to_string()));
    let there = page(vec![file_object("file-1", &file.name(), 3, json!({}))], false);
    let there = Act::Say(http("200 OK", &there.to_string()));
    let server = Misbehaving::start(vec![none.clone(), Act::Drop, there]);
    let ensured = client(&server.base).ensure_file(&file, None, &()).await.unwrap();
    assert_eq!((ensured.file.id.as_str(), ensured.how), ("file-1", How::Sent));
    assert_eq!(server.requests().iter().filter(|line| line.starts_with("POST")).count(), 1);

    let sent = Act::Say(http("200 OK", &file_object("file-2", &file.name(), 3, json!({})).to_string()));
    let server = Misbehaving::start(vec![none.clone(), Act::Drop, none, sent]);
    assert_eq!(client(&server.base).ensure_file(&file, None, &()).await.unwrap().file.id, "file-2");
    assert_eq!(server.requests().iter().filter(|line| line.starts_with("POST")).count(), 2);
}

#[tokio::test]
async fn a_file_that_is_refused_says_why() {
    let (_dir, path) = on_disk(b"{}\n");
    let file = TrainingFile::open(&path).await.unwrap();
    let server = Server::start();
    let refused = json!({ "status": "error", "status_details": "line 1 is not a conversation" });
    server.on("POST", FILES, answer(200).json(file_object("file-1", "x", 3, refused)));
    let error = client(&server.base).upload_whole(&file, &()).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::FileRefused);
    assert!(error.to_string().contains("line 1 is not a conversation"), "{error}");
}

/// Begins, takes parts of and completes an upload.
fn uploads(request: &Request) -> Answer {
    let at = request.url.path();
    if at == "/v1/uploads" {
        return answer(200).json(json!({ "id": "upload-1", "status": "pending", "expires_at": 99 }));
    }
    if at.ends_with("/parts") {
        let first = request.body.windows(5).find(|window| window.starts_with(b"<")).unwrap();
        return answer(200).json(json!({ "id": format!("part-{}", String::from_utf8_lossy(first)) }));
    }
    let parts: Value = request.body_json().unwrap();
    answer(200).json(json!({ "id": "upload-1", "status": "completed", "parts": parts,
        "file": file_object("file-1", "train.jsonl", 1, json!({})) }))
}

fn in_parts(base: &str) -> Client {
    let upload = UploadLimits { whole: 10, part: 10, most: 100 };
    Client::new(Options { upload, ..options(base) }).unwrap()
}

/// Each part of ten bytes begins with its number.
const PARTS: &[u8] = b"<000>aaaaa<001>bbbbb<002>cc";

#[tokio::test(start_paused = true)]
async fn a_large_file_goes_in_parts_in_order_and_a_failed_part_again() {
    let (_dir, path) = on_disk(PARTS);
    let file = TrainingFile::open(&path).await.unwrap();
    let server = Server::start();
    let parts = "/v1/uploads/upload-1/parts";
    server.add(Rule::when(path_is(parts)).answer(answer(500)).times(1));
    server.add(Rule::when(method("POST")).answer_by(uploads));
    let notes = Notes::default();
    let uploaded = in_parts(&server.base).upload_in_parts(&file, None, &notes).await.unwrap();
    assert!(matches!(uploaded, Uploaded::File(file) if file.id == "file-1"));
    let requests = server.requests();
    let begun: Value = requests[0].body_json().unwrap();
    assert_eq!(
        (&begun["filename"], &begun["bytes"], &begun["purpose"]),
        (&json!(file.name()), &json!(27), &json!("fine-tune"))
    );
    assert!(
        contains(&requests[1].body, b"\r\n\r\n<000>aaaaa\r\n")
            && contains(&requests[1].body, b"name=\"data\"")
    );
    let ids: Value = requests.last().unwrap().body_json().unwrap();
    assert_eq!(ids, json!({ "part_ids": ["part-<000>", "part-<001>", "part-<002>"] }));
    assert_eq!(server.seen("POST", parts), 4);
    let sessions = notes.sessions.lock().unwrap().clone();
    assert_eq!(sessions.iter().map(|session| session.parts.len()).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(sessions[0].expires_at, Some(99));
}

fn path_is(at: &str) -> Condition {
    path(at)
}

#[tokio::test]
async fn an_upload_is_carried_on_from_its_last_part() {
    let (_dir, path) = on_disk(PARTS);
    let file = TrainingFile::open(&path).await.unwrap();
    let server = Server::start();
    server.add(Rule::when(method("POST")).answer_by(uploads));
    let session = UploadSession {
        id: "upload-0".to_owned(),
        sha256: file.sha256().to_owned(),
        part_bytes: 10,
        parts: vec!["part-a".to_owned(), "part-b".to_owned()],
        expires_at: None,
    };
    let client = in_parts(&server.base);
    client.upload_in_parts(&file, Some(session.clone()), &()).await.unwrap();
    let requests = server.requests();
    let lines: Vec<&str> = requests.iter().map(|request| request.url.path()).collect();
    assert_eq!(lines, ["/v1/uploads/upload-0/parts", "/v1/uploads/upload-0/complete"]);
    let ids: Value = requests[1].body_json().unwrap();
    assert_eq!(ids, json!({ "part_ids": ["part-a", "part-b", "part-<002>"] }));

    // One for another content is not carried on, and one that expired is begun anew.
    server.reset();
    server.add(Rule::when(method("POST")).answer_by(uploads));
    let other = UploadSession { sha256: "0".repeat(64), ..session.clone() };
    client.upload_in_parts(&file, Some(other), &()).await.unwrap();
    assert_eq!(server.seen("POST", "/v1/uploads/upload-0/parts"), 0);
    server.reset();
    server.add(Rule::when(path_is("/v1/uploads/upload-0/parts")).answer(answer(404)));
    server.add(Rule::when(method("POST")).answer_by(uploads));
    client.upload_in_parts(&file, Some(session), &()).await.unwrap();
    assert_eq!(server.seen("POST", "/v1/uploads/upload-1/parts"), 3);
}

#[tokio::test]
async fn a_lost_reply_to_complete_is_unclear() {
    let (_dir, path) = on_disk(PARTS);
    let file = TrainingFile::open(&path).await.unwrap();
    let upload = Act::Say(http("200 OK", "{\"id\": \"upload-1\"}"));
    let part = Act::Say(http("200 OK", "{\"id\": \"part-1\"}"));
    let server = Misbehaving::start(vec![upload, part.clone(), part.clone(), part, Act::Drop]);
    let outcome = in_parts(&server.base).upload_in_parts(&file, None, &()).await.unwrap();
    assert!(matches!(outcome, Uploaded::Unclear(_)), "{outcome:?}");
    assert_eq!(server.requests().len(), 5);
}

#[tokio::test]
async fn a_file_that_changes_is_never_whole_on_the_server() {
    let content = vec![b'x'; 5 << 20];
    let (_dir, path) = on_disk(&content);
    for change in ["grown", "shrunk", "rewritten"] {
        std::fs::write(&path, &content).unwrap();
        let file = TrainingFile::open(&path).await.unwrap();
        let mut disk = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        match change {
            "grown" => disk.set_len(6 << 20).unwrap(),
            "shrunk" => disk.set_len(1 << 20).unwrap(),
            _ => {
                std::thread::sleep(Duration::from_millis(20));
                disk.write_all(b"y").unwrap();
            }
        }
        let server = Server::start();
        server.on("POST", FILES, answer(200).json(file_object("file-1", "x", 1, json!({}))));
        let error = client(&server.base).upload_whole(&file, &()).await.unwrap_err();
        assert_eq!((error.kind, error.may_have_happened()), (ErrorKind::Local, false), "{change}: {error}");
        assert!(error.to_string().contains("rows.jsonl: the file was changed while it was read"), "{error}");
        assert_eq!(server.seen("POST", FILES), 0, "{change}: no whole request arrived");
    }
}

#[tokio::test]
async fn empty_and_oversized_files_are_refused_here() {
    let (_dir, path) = on_disk(b"");
    let empty = TrainingFile::open(&path).await.unwrap();
    let client = in_parts("http://127.0.0.1:1");
    let error = client.upload_whole(&empty, &()).await.unwrap_err();
    assert!(error.to_string().ends_with("rows.jsonl: it is empty"), "{error}");
    let (_dir, path) = on_disk(&[b'x'; 101]);
    let large = TrainingFile::open(&path).await.unwrap();
    let error = client.upload_in_parts(&large, None, &()).await.unwrap_err();
    assert!(error.to_string().ends_with("it has 101 bytes, and the service takes at most 100"), "{error}");
}

#[tokio::test]
async fn an_upload_that_stalls_is_given_up() {
    let (_dir, path) = on_disk(b"{}\n");
    let file = TrainingFile::open(&path).await.unwrap();
    let server = Misbehaving::start(vec![Act::Hang]);
    let mut options = options(&server.base);
    options.timeouts.response = Some(Duration::from_millis(300));
    let outcome = Client::new(options).unwrap().upload_whole(&file, &()).await.unwrap();
    assert!(matches!(outcome, Uploaded::Unclear(error) if error.kind == ErrorKind::Timeout));
}

#[tokio::test]
async fn files_are_deleted_once_and_read_within_a_bound() {
    let server = Server::start();
    server.on("DELETE", "/v1/files/file-1", answer(200).json(json!({ "deleted": true })));
    server.on("DELETE", "/v1/files/file-2", answer(404));
    server.on("GET", "/v1/files/file-1/content", answer(200).text("step,train_loss\n1,0.5\n"));
    let client = client(&server.base);
    assert!(client.delete_file("file-1").await.unwrap());
    assert!(!client.delete_file("file-2").await.unwrap());
    assert_eq!(client.file_content("file-1", 10).await.unwrap_err().kind, ErrorKind::TooLarge);
    assert_eq!(client.result_file("file-1").await.unwrap().rows()[0].values["train_loss"], 0.5);
}

//! A server that misbehaves below HTTP: it drops replies, stalls and never ends.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What the server does with a connection, once the request is read.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    /// Closes it without a word.
    Drop,
    /// Keeps it open without a word.
    Hang,
    /// Sends these bytes and closes it.
    Say(String),
    /// Sends a head and then bytes until the client has had enough.
    Flood(String),
}

/// A server with one act for each connection; the last one repeats.
pub(crate) struct Misbehaving {
    pub(crate) base: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Misbehaving {
    pub(crate) fn start(acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        std::thread::spawn(move || {
            let mut kept = Vec::new();
            for (index, stream) in listener.incoming().enumerate() {
                let Ok(stream) = stream else { return };
                let act = acts.get(index).or(acts.last()).cloned().unwrap_or(Act::Drop);
                let Some(line) = read_request(&stream) else { continue };
                seen.lock().unwrap().push(line);
                match act {
                    Act::Drop => {}
                    Act::Hang => kept.push(stream),
                    Act::Say(text) => {
                        let _ = (&stream).write_all(text.as_bytes());
                    }
                    Act::Flood(head) => {
                        let _ = (&stream).write_all(head.as_bytes());
                        let chunk = vec![b'x'; 1 << 16];
                        while (&stream).write_all(b"10000\r\n").is_ok()
                            && (&stream).write_all(&chunk).is_ok()
                            && (&stream).write_all(b"\r\n").is_ok()
                        {}
                    }
                }
            }
        });
        Self { base, requests }
    }

    /// The request lines so far, without the version.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// A whole answer.
pub(crate) fn http(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

/// Reads a request with its body and returns its first line.
fn read_request(stream: &TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).ok()?;
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(text) = line.strip_prefix("content-length:") {
            length = text.trim().parse().ok()?;
        }
    }
    std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink()).ok()?;
    first.rsplit_once(' ').map(|(request, _)| request.to_owned())
}

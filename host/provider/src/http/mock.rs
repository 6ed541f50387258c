//! A server that answers by rules and remembers what it was asked.

#![allow(dead_code, reason = "no test uses all of it")]
#![allow(clippy::unwrap_used)] // A test that cannot go on should stop.

use reqwest::header::{HeaderMap, HeaderName};
use reqwest::{Method, Url};
use serde::de::DeserializeOwned;
use std::io::{BufRead, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn body_json<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_slice(&self.body)
    }

    /// Reads a whole one; none where the client went before its end.
    fn read(stream: &TcpStream, base: &str) -> Option<Self> {
        let mut reader = BufReader::new(stream);
        let first = line(&mut reader)?;
        let mut words = first.split(' ');
        let method = words.next()?.parse().ok()?;
        let url = Url::parse(&format!("{base}{}", words.next()?)).ok()?;
        let mut headers = HeaderMap::new();
        loop {
            let line = line(&mut reader)?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.append(name.parse::<HeaderName>().ok()?, value.trim().parse().ok()?);
        }
        let mut body = Vec::new();
        if headers.contains_key("transfer-encoding") {
            loop {
                let length = usize::from_str_radix(&line(&mut reader)?, 16).ok()?;
                let start = body.len();
                body.resize(start + length, 0);
                reader.read_exact(&mut body[start..]).ok()?;
                line(&mut reader)?;
                if length == 0 {
                    break;
                }
            }
        } else if let Some(length) = headers.get("content-length") {
            body.resize(length.to_str().ok()?.parse().ok()?, 0);
            reader.read_exact(&mut body).ok()?;
        }
        Some(Self { method, url, headers, body })
    }
}

fn line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    Some(line.trim_end().to_owned())
}

/// An answer. The connection is not kept after it.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Answer {
    pub(crate) fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: String::new() }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn text(mut self, text: impl Into<String>) -> Self {
        self.body = text.into();
        self
    }

    pub(crate) fn json(self, value: impl serde::Serialize) -> Self {
        let text = serde_json::to_string(&value).unwrap();
        self.header("content-type", "application/json").text(text)
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("HTTP/1.1 {} Said\r\nconnection: close\r\n", self.status);
        for (name, value) in &self.headers {
            bytes += &format!("{name}: {value}\r\n");
        }
        bytes += &format!("content-length: {}\r\n\r\n{}", self.body.len(), self.body);
        bytes.into_bytes()
    }
}

pub(crate) type Condition = Box<dyn Fn(&Request) -> bool + Send>;

/// Requests of this method.
pub(crate) fn method(method: &str) -> Condition {
    let method: Method = method.parse().unwrap();
    Box::new(move |request| request.method == method)
}

/// Requests to this path.
pub(crate) fn path(path: &str) -> Condition {
    let path = path.to_owned();
    Box::new(move |request| request.url.path() == path)
}

/// Requests with this parameter, of this value.
pub(crate) fn parameter(name: &str, value: &str) -> Condition {
    let expected = (name.to_owned(), value.to_owned());
    Box::new(move |request| request.url.query_pairs().into_owned().any(|pair| pair == expected))
}

/// Requests without this parameter.
pub(crate) fn no_parameter(name: &str) -> Condition {
    let absent = name.to_owned();
    Box::new(move |request| request.url.query_pairs().all(|(name, _)| name != absent))
}

/// What answers which requests.
pub(crate) struct Rule {
    conditions: Vec<Condition>,
    answer: Box<dyn Fn(&Request) -> Answer + Send>,
    left: usize,
}

impl Rule {
    pub(crate) fn when(condition: Condition) -> Self {
        Self { conditions: vec![condition], answer: Box::new(|_| Answer::new(404)), left: usize::MAX }
    }

    pub(crate) fn and(mut self, condition: Condition) -> Self {
        self.conditions.push(condition);
        self
    }

    pub(crate) fn answer(self, answer: Answer) -> Self {
        self.answer_by(move |_| answer.clone())
    }

    pub(crate) fn answer_by(mut self, answer: impl Fn(&Request) -> Answer + Send + 'static) -> Self {
        self.answer = Box::new(answer);
        self
    }

    /// So often, and then no more.
    pub(crate) fn times(mut self, times: usize) -> Self {
        self.left = times;
        self
    }

    fn try_answer(&mut self, request: &Request) -> Option<Answer> {
        if self.left == 0 || !self.conditions.iter().all(|holds| holds(request)) {
            return None;
        }
        self.left -= 1;
        Some((self.answer)(request))
    }
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    requests: Vec<Request>,
}

/// The server, on threads of its own, which a paused clock does not touch. The first rule
/// that holds answers; without one the answer is 404.
pub(crate) struct Server {
    pub(crate) base: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::<Mutex<State>>::default();
        let server = Self { base: base.clone(), state: Arc::clone(&state) };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(stream), base, state) = (stream, base.clone(), Arc::clone(&state)) else { return };
                std::thread::spawn(move || {
                    let Some(request) = Request::read(&stream, &base) else { return };
                    let answer = {
                        let mut state = state.lock().unwrap();
                        state.requests.push(request.clone());
                        state.rules.iter_mut().find_map(|rule| rule.try_answer(&request))
                    };
                    let _ = (&stream).write_all(&answer.unwrap_or(Answer::new(404)).bytes());
                });
            }
        });
        server
    }

    pub(crate) fn add(&self, rule: Rule) {
        self.state.lock().unwrap().rules.push(rule);
    }

    /// Answers a method at a path.
    pub(crate) fn on(&self, verb: &str, at: &str, answer: Answer) {
        self.add(Rule::when(method(verb)).and(path(at)).answer(answer));
    }

    /// Forgets rules and requests.
    pub(crate) fn reset(&self) {
        *self.state.lock().unwrap() = State::default();
    }

    /// What it was asked so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.state.lock().unwrap().requests.clone()
    }

    /// How many requests of a kind it was asked.
    pub(crate) fn seen(&self, verb: &str, at: &str) -> usize {
        let requests = self.requests();
        requests.iter().filter(|request| request.method == verb && request.url.path() == at).count()
    }
}

//! Answers that come as lines of JSON while the server works.

use super::Client;
use super::error::{ApiError, ErrorKind, Operation};
use crate::http::Sent;
use reqwest::Response;
use serde_json::Value;

/// A line is at most this long. 8 MB: what Ollama's own client allows.
const LONGEST_LINE: usize = 8_000_000;

/// The lines of an answer.
pub(super) struct Lines<'c> {
    client: &'c Client,
    operation: Operation,
    response: Response,
    /// What was read and not yet given out, from `at` on.
    read: Vec<u8>,
    at: usize,
    /// Up to here there is no line feed.
    looked: usize,
}

impl<'c> Lines<'c> {
    pub(super) fn new(client: &'c Client, operation: Operation, response: Response) -> Self {
        Self { client, operation, response, read: Vec::new(), at: 0, looked: 0 }
    }

    /// The next line; `None` once the server has ended its answer in the proper way. A
    /// line with an `error` is an error.
    pub(super) async fn next(&mut self) -> Result<Option<Value>, ApiError> {
        loop {
            let fresh = self.read.get(self.looked..).unwrap_or_default();
            if let Some(found) = memchr::memchr(b'\n', fresh) {
                let end = self.looked + found;
                let line = self.read.get(self.at..end).unwrap_or_default().to_vec();
                self.at = end + 1;
                self.looked = self.at;
                if !line.trim_ascii().is_empty() {
                    return self.parse(&line).map(Some);
                }
                continue;
            }
            self.looked = self.read.len();
            if self.read.len() - self.at > LONGEST_LINE {
                return Err(
                    self.broken(ErrorKind::TooLarge, format!("a line of more than {LONGEST_LINE} bytes"))
                );
            }
            self.read.drain(..self.at);
            (self.at, self.looked) = (0, self.read.len());
            match self.client.piece(self.operation, &mut self.response).await? {
                Some(piece) => self.read.extend_from_slice(&piece),
                None => {
                    let rest = std::mem::take(&mut self.read);
                    self.looked = 0;
                    return if rest.trim_ascii().is_empty() {
                        Ok(None)
                    } else {
                        self.parse_last(&rest).map(Some)
                    };
                }
            }
        }
    }

    fn parse(&self, line: &[u8]) -> Result<Value, ApiError> {
        match serde_json::from_slice::<Value>(line) {
            Ok(value @ Value::Object(_)) => self.client.without_error(self.operation, value),
            Ok(_) => Err(self.broken(ErrorKind::Malformed, "a line is JSON, but not an object")),
            Err(error) => Err(self.broken(ErrorKind::Malformed, format!("a line is not JSON: {error}"))),
        }
    }

    /// The last line may lack its end; half a line is a stream that was cut off.
    fn parse_last(&self, line: &[u8]) -> Result<Value, ApiError> {
        match serde_json::from_slice::<Value>(line) {
            Err(error) if error.is_eof() => {
                Err(self.broken(ErrorKind::Truncated, "the last line is cut off"))
            }
            _ => self.parse(line),
        }
    }

    /// An error of the stream itself: whether the work was done is not known.
    pub(super) fn broken(&self, kind: ErrorKind, cause: impl Into<String>) -> ApiError {
        let mut error = ApiError::new(self.operation, self.client.endpoint(), kind).because(cause);
        (error.status, error.sent) = (Some(self.response.status().as_u16()), Sent::Maybe);
        error
    }
}

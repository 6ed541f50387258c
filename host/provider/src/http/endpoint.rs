//! Where a service is: its base URL, and which ones are accepted.

use reqwest::Url;
use std::fmt;
use std::net::IpAddr;
use tunesmith_core::failure::{Advice, Code};
use tunesmith_core::text::quoted;

/// The port that Ollama listens on unless told otherwise.
const OLLAMA_PORT: u16 = 11434;

/// A URL is at most this long. 2,048: what servers and proxies take.
const LONGEST_URL: usize = 2048;

/// The base URL of a service, without a trailing slash, query, fragment, user or
/// password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint(Url);

/// Why a base URL is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// It cannot be read as a URL.
    #[error("{} is not a URL: {reason}", quoted(.url))]
    NotAUrl {
        /// What was given.
        url: String,
        /// Why.
        reason: String,
    },
    /// Another scheme than HTTP or HTTPS.
    #[error("the scheme of {} is neither https nor http", quoted(.0))]
    Scheme(String),
    /// It carries a user or password; the URL is not repeated, as it holds a secret.
    #[error("a base URL must not carry a user or password")]
    UserInfo,
    /// It has a query or fragment.
    #[error("{} has a query or fragment, which a base URL cannot have", quoted(.0))]
    Query(String),
    /// Plain HTTP to another machine.
    #[error("{} would send the key and the data unencrypted", quoted(.0))]
    Plain(String),
    /// Too long.
    #[error("a URL of more than {LONGEST_URL} bytes")]
    TooLong,
}

impl EndpointError {
    /// What scripts can rely on.
    pub fn code(&self) -> Code {
        match self {
            Self::NotAUrl { .. }
            | Self::Scheme(_)
            | Self::UserInfo
            | Self::Query(_)
            | Self::Plain(_)
            | Self::TooLong => Code::EndpointInvalid,
        }
    }

    /// What to do about it.
    pub fn advice(&self) -> Advice {
        match self {
            Self::NotAUrl { .. } | Self::Scheme(_) => "write it like https://api.openai.com/v1".into(),
            Self::UserInfo => Advice::SetKey,
            Self::Query(_) | Self::TooLong => {
                "give only scheme, host and path, like https://api.openai.com/v1".into()
            }
            Self::Plain(_) => Advice::UseHttps,
        }
    }
}

impl Endpoint {
    /// OpenAI's own API.
    pub const OPENAI: &'static str = "https://api.openai.com/v1";

    /// Reads a base URL. HTTPS is required unless the host is this machine or the
    /// operator allows plain HTTP.
    ///
    /// # Errors
    ///
    /// Not a URL, or one that this rule or [`EndpointError`]'s others do not accept.
    pub fn parse(text: &str, allow_http: bool) -> Result<Self, EndpointError> {
        let endpoint = Self::from_url(text)?;
        if endpoint.is_plain() && !endpoint.is_loopback() && !allow_http {
            return Err(EndpointError::Plain(text.to_owned()));
        }
        Ok(endpoint)
    }

    /// Reads `OLLAMA_HOST` as Ollama itself does: `[scheme://]host[:port][/path]`.
    /// Without a scheme it is HTTP on port 11434; with one, a missing port is the
    /// scheme's. An address that means "all interfaces" is reached by loopback.
    ///
    /// # Errors
    ///
    /// What cannot be read so. (Ollama itself replaces a port that is none by its
    /// default; an error is kinder.)
    pub fn ollama(text: &str) -> Result<Self, EndpointError> {
        let text = text.trim().trim_matches(['"', '\'']).trim();
        let with_scheme = match text.split_once("://") {
            Some(_) => text.to_owned(),
            None => {
                let (authority, path) = text.split_once('/').map_or((text, ""), |(host, path)| (host, path));
                let bare_v6 = authority.parse::<std::net::Ipv6Addr>().is_ok();
                let host = match authority {
                    "" => "127.0.0.1".to_owned(),
                    _ if bare_v6 => format!("[{authority}]"),
                    _ if authority.starts_with(':') => format!("127.0.0.1{authority}"),
                    _ => authority.to_owned(),
                };
                let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
                let port = if has_port { String::new() } else { format!(":{OLLAMA_PORT}") };
                format!("http://{host}{port}/{path}")
            }
        };
        let mut endpoint = Self::from_url(&with_scheme)?;
        match endpoint.ip() {
            Some(IpAddr::V4(ip)) if ip.is_unspecified() => endpoint.set_host("127.0.0.1"),
            Some(IpAddr::V6(ip)) if ip.is_unspecified() => endpoint.set_host("[::1]"),
            _ => {}
        }
        Ok(endpoint)
    }

    fn from_url(text: &str) -> Result<Self, EndpointError> {
        if text.len() > LONGEST_URL {
            return Err(EndpointError::TooLong);
        }
        let mut url = match Url::parse(text.trim()) {
            Ok(url) => url,
            // What cannot be read may still hold a password.
            Err(_) if text.contains('@') => return Err(EndpointError::UserInfo),
            Err(_) if !text.contains("://") => {
                return Err(EndpointError::NotAUrl {
                    url: text.to_owned(),
                    reason: "it has no scheme".to_owned(),
                });
            }
            Err(error) => {
                return Err(EndpointError::NotAUrl { url: text.to_owned(), reason: error.to_string() });
            }
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointError::UserInfo);
        }
        if !matches!(url.scheme(), "https" | "http") {
            return Err(EndpointError::Scheme(text.to_owned()));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(EndpointError::Query(text.to_owned()));
        }
        let path = url.path().trim_end_matches('/').to_owned();
        url.set_path(&path);
        Ok(Self(url))
    }

    fn set_host(&mut self, host: &str) {
        // The host is one of two literals, and HTTP URLs can have any.
        let _ = self.0.set_host(Some(host));
    }

    fn ip(&self) -> Option<IpAddr> {
        self.0.host_str()?.trim_matches(['[', ']']).parse().ok()
    }

    /// The host, with its port where it is not the scheme's.
    pub fn host(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        self.0.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// Whether the service is on this machine.
    pub fn is_loopback(&self) -> bool {
        match self.ip() {
            Some(ip) => ip.to_canonical().is_loopback(),
            None => self.0.host_str().is_some_and(|host| host == "localhost" || host.ends_with(".localhost")),
        }
    }

    /// Whether it is reached by plain HTTP.
    pub fn is_plain(&self) -> bool {
        self.0.scheme() == "http"
    }

    /// Whether it is OpenAI's own service, not a compatible one.
    pub fn is_openai(&self) -> bool {
        self.0.host_str().is_some_and(|host| host == "api.openai.com" || host.ends_with(".api.openai.com"))
    }

    /// The URL of a resource below the base: each segment is percent-encoded, so
    /// that an id cannot lead elsewhere.
    pub fn url(&self, segments: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }
}

impl Endpoint {
    /// The path of one of its resources, without its own.
    pub(crate) fn below<'u>(&self, url: &'u Url) -> &'u str {
        let base = self.0.path().trim_end_matches('/');
        url.path().strip_prefix(base).unwrap_or_default()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> String {
        match Endpoint::parse(text, false) {
            Ok(endpoint) => endpoint.to_string(),
            Err(error) => format!("{error} ({:?})", error.advice()),
        }
    }

    #[test]
    fn https_or_loopback_and_no_trailing_slash() {
        for (given, read) in [
            ("https://api.openai.com/v1", "https://api.openai.com/v1"),
            ("https://api.openai.com/v1//", "https://api.openai.com/v1"),
            (" https://Example.COM:443/ ", "https://example.com"),
            ("http://localhost:8080/v1/", "http://localhost:8080/v1"),
            ("http://127.5.5.5/v1", "http://127.5.5.5/v1"),
            ("http://[::1]:9/v1", "http://[::1]:9/v1"),
            ("http://[::ffff:127.0.0.1]:9", "http://[::ffff:7f00:1]:9"),
        ] {
            assert_eq!(parsed(given), read);
        }
        assert_eq!(
            Endpoint::parse("http://10.0.0.1/v1", true).unwrap().to_string(),
            "http://10.0.0.1/v1",
            "the operator may allow it"
        );
    }

    #[test]
    fn what_is_not_accepted_says_why() {
        let said: Vec<String> = [
            "",
            "api.openai.com",
            "ftp://example.com",
            "https://user:sk-secret@example.com/v1",
            "sk-secret@:example",
            "https://example.com/v1?key=1",
            "http://example.com/v1",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
        ]
        .iter()
        .map(|text| parsed(text))
        .collect();
        assert!(!said.join("").contains("sk-secret"));
        insta::assert_snapshot!(said.join("\n"));
    }

    #[test]
    fn ollama_host_is_read_as_ollama_reads_it() {
        for (given, read) in [
            ("", "http://127.0.0.1:11434"),
            ("example", "http://example:11434"),
            ("1.2.3.4", "http://1.2.3.4:11434"),
            (":1234", "http://127.0.0.1:1234"),
            ("example:99", "http://example:99"),
            ("http://example", "http://example"),
            ("https://example", "https://example"),
            ("https://example:8443/prefix/", "https://example:8443/prefix"),
            ("0.0.0.0", "http://127.0.0.1:11434"),
            ("0.0.0.0:99", "http://127.0.0.1:99"),
            ("::", "http://[::1]:11434"),
            ("[::1]", "http://[::1]:11434"),
            ("[::1]:99", "http://[::1]:99"),
            ("\"127.0.0.1\" ", "http://127.0.0.1:11434"),
        ] {
            assert_eq!(Endpoint::ollama(given).unwrap().to_string(), read, "{given}");
        }
        assert!(Endpoint::ollama("example:notaport").is_err());
        assert_eq!(Endpoint::ollama("u:p@example").unwrap_err(), EndpointError::UserInfo);
    }

    #[test]
    fn a_segment_cannot_leave_its_place() {
        let endpoint = Endpoint::parse("https://example.com/v1", false).unwrap();
        let url = endpoint.url(&["models", "ft:gpt/../x?y#z", "a b"], &[("metadata[k]", "v&w")]);
        assert_eq!(
            url.as_str(),
            "https://example.com/v1/models/ft:gpt%2F..%2Fx%3Fy%23z/a%20b?metadata%5Bk%5D=v%26w"
        );
    }
}

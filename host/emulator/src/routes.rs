//! The routes of both services, by the names that faults and counters use.

/// Ollama's, each `METHOD path`.
pub(super) const OLLAMA: &[&str] = &[
    "GET /",
    "HEAD /",
    "GET /api/version",
    "HEAD /api/version",
    "GET /api/tags",
    "HEAD /api/tags",
    "GET /api/ps",
    "POST /api/show",
    "HEAD /api/blobs/{digest}",
    "POST /api/blobs/{digest}",
    "POST /api/create",
    "POST /api/chat",
    "POST /api/generate",
    "POST /api/copy",
    "DELETE /api/delete",
    "POST /api/pull",
];

/// Of OpenAI's protocol, each `METHOD path`.
pub(super) const OPENAI: &[&str] = &[
    "GET /v1/models",
    "GET /v1/models/{id}",
    "DELETE /v1/models/{id}",
    "POST /v1/files",
    "GET /v1/files",
    "GET /v1/files/{id}",
    "DELETE /v1/files/{id}",
    "GET /v1/files/{id}/content",
    "POST /v1/uploads",
    "POST /v1/uploads/{id}/parts",
    "POST /v1/uploads/{id}/complete",
    "POST /v1/uploads/{id}/cancel",
    "POST /v1/fine_tuning/jobs",
    "GET /v1/fine_tuning/jobs",
    "GET /v1/fine_tuning/jobs/{id}",
    "POST /v1/fine_tuning/jobs/{id}/cancel",
    "POST /v1/fine_tuning/jobs/{id}/pause",
    "POST /v1/fine_tuning/jobs/{id}/resume",
    "GET /v1/fine_tuning/jobs/{id}/events",
    "GET /v1/fine_tuning/jobs/{id}/checkpoints",
    "POST /v1/chat/completions",
];

pub(super) fn all() -> impl Iterator<Item = &'static str> {
    OLLAMA.iter().chain(OPENAI).copied()
}

/// The name of the route that a request is for. A HEAD request of a route that has
/// only a GET is a call of that.
pub(super) fn of(routes: &[&'static str], method: &str, path: &str) -> Option<&'static str> {
    let by = |wanted: &str| {
        routes.iter().copied().find(|route| {
            route.split_once(' ').is_some_and(|(method, pattern)| method == wanted && matches(pattern, path))
        })
    };
    by(method).or_else(|| if method == "HEAD" { by("GET") } else { None })
}

fn matches(pattern: &str, path: &str) -> bool {
    let (mut pattern, mut path) = (pattern.split('/'), path.split('/'));
    loop {
        match (pattern.next(), path.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given)) if wanted == given => {}
            (Some(wanted), Some(given)) if wanted.starts_with('{') && !given.is_empty() => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_find_their_route() {
        for (method, path, route) in [
            ("GET", "/", Some("GET /")),
            ("HEAD", "/api/tags", Some("HEAD /api/tags")),
            ("HEAD", "/api/ps", Some("GET /api/ps")),
            ("POST", "/api/blobs/sha256:00", Some("POST /api/blobs/{digest}")),
            ("POST", "/api/blobs/", None),
            ("PUT", "/api/create", None),
            ("GET", "/api/nothing", None),
        ] {
            assert_eq!(of(OLLAMA, method, path), route, "{method} {path}");
        }
        assert_eq!(
            of(OPENAI, "POST", "/v1/fine_tuning/jobs/ftjob-1/cancel"),
            Some("POST /v1/fine_tuning/jobs/{id}/cancel")
        );
    }
}

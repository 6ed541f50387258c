//! The listeners: loopback only, a bounded number of connections, and the place
//! where faults strike.

use super::faults::Action;
use super::{HEADER, Shared, body, control, routes};
use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper::header::{HOST, HeaderName, HeaderValue, ORIGIN};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde_json::Value;
use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// How long a connection may stay idle or take for its headers. Longer than clients
/// keep idle connections (reqwest: 90 s), so that they never reuse a closing one.
const IDLE: Duration = Duration::from_secs(300);

/// How long connections may take to finish once the emulator stops.
const STOP_GRACE: Duration = Duration::from_secs(1);

/// The replies of one of the two services.
#[derive(Clone)]
pub(super) struct Front {
    pub(super) router: Router,
    /// Its routes, by name.
    pub(super) routes: &'static [&'static str],
    /// How it words the errors that the emulator makes up for it.
    pub(super) canned: fn(&Action) -> Option<Response<Body>>,
    pub(super) shared: Arc<Shared>,
}

/// The connection closes without a reply, as a fault wants.
#[derive(Debug, thiserror::Error)]
#[error("dropped by a fault")]
struct Dropped;

/// Accepts connections until `stop` turns true.
pub(super) async fn serve(
    listener: TcpListener,
    front: Front,
    connections: Arc<Semaphore>,
    mut stop: watch::Receiver<bool>,
) {
    let mut open = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stop.changed() => break,
            Some(_) = open.join_next() => continue,
            accepted = accept(&listener, &connections) => accepted,
        };
        let Some((stream, permit)) = accepted else { continue };
        let front = front.clone();
        let mut stop = stop.clone();
        open.spawn(async move {
            let _permit = permit;
            let service = hyper::service::service_fn(move |request| {
                let front = front.clone();
                async move { front.reply(request).await }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(IDLE)
                .serve_connection(TokioIo::new(stream), service);
            let mut connection = pin!(connection);
            // An error here is a client that went or a fault: nobody to tell.
            tokio::select! {
                _ = connection.as_mut() => {}
                _ = stop.changed() => {
                    connection.as_mut().graceful_shutdown();
                    let _ = tokio::time::timeout(STOP_GRACE, connection).await;
                }
            }
        });
    }
    while open.join_next().await.is_some() {}
}

async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> Option<(tokio::net::TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = connections.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => {
            // Small status lines must not wait for more to come.
            let _ = stream.set_nodelay(true);
            Some((stream, permit))
        }
        Err(_) => {
            // Out of file descriptors, most likely: give connections time to end.
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

type Handled = Result<Response<Body>, Infallible>;

impl Front {
    async fn reply(&self, request: Request<Incoming>) -> Result<Response<Body>, Dropped> {
        let (head, body) = request.into_parts();
        let (body, rest) = body::returning(Body::new(body));
        let mut response = self.faulty(Request::from_parts(head, body)).await?;
        rest.discard().await;
        let header = HeaderName::from_static(HEADER);
        response.headers_mut().insert(header, HeaderValue::from_static("1"));
        Ok(response)
    }

    async fn faulty(&self, mut request: Request<Body>) -> Result<Response<Body>, Dropped> {
        // As Ollama does against DNS rebinding: a web page that resolves its own name
        // to loopback is not let in.
        if !host_is_local(request.headers().get(HOST)) {
            return Ok(status_alone(StatusCode::FORBIDDEN));
        }
        if let Some(path) = request.uri().path().strip_prefix("/_emulator") {
            if request.headers().contains_key(ORIGIN) {
                return Ok(status_alone(StatusCode::FORBIDDEN));
            }
            let path = path.to_owned();
            return Ok(control::reply(&self.shared, &path, request).await);
        }
        let route = routes::of(self.routes, request.method().as_str(), request.uri().path());
        let Some(route) = route else { return Ok(self.handle(request).await) };
        self.shared.counters.request(route);
        let mut after = Vec::new();
        for action in self.shared.faults.on_call(route) {
            match action {
                Action::DropBefore => return Err(Dropped),
                Action::Delay { ms } => tokio::time::sleep(Duration::from_millis(ms)).await,
                Action::Status { .. } | Action::RateLimited { .. } | Action::QuotaExceeded => {
                    if let Some(response) = canned(&action).or_else(|| (self.canned)(&action)) {
                        return Ok(response);
                    }
                }
                other => after.push(other),
            }
        }
        if after.contains(&Action::WrongDigest) {
            request.extensions_mut().insert(SpoilDigest);
        }
        let mut response = self.handle(request).await;
        for action in after {
            if action == Action::DropAfter {
                let mut body = response.into_body();
                while body::next(&mut body).await.is_some() {}
                return Err(Dropped);
            }
            let (head, body) = response.into_parts();
            response = Response::from_parts(head, body::spoil(body, action));
        }
        Ok(response)
    }

    async fn handle(&self, request: Request<Body>) -> Response<Body> {
        let service = TowerToHyperService::new(self.router.clone());
        let handled: Pin<Box<dyn Future<Output = Handled> + Send>> =
            Box::pin(hyper::service::Service::call(&service, request));
        match handled.await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// A mark on a request: what it uploads is to be found different from its digest.
#[derive(Debug, Clone, Copy)]
pub(super) struct SpoilDigest;

fn canned(action: &Action) -> Option<Response<Body>> {
    let Action::Status { status, body, headers } = action else { return None };
    let (content_type, text) = match body {
        Value::Null => ("text/plain", String::new()),
        Value::String(text) => ("text/plain; charset=utf-8", text.clone()),
        other => ("application/json", other.to_string()),
    };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::from_u16(*status).ok()?;
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    Some(response)
}

fn status_alone(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// Whether a Host header names this machine or its neighbours, by Ollama's rules.
fn host_is_local(header: Option<&HeaderValue>) -> bool {
    let Some(header) = header else { return true };
    let Ok(host) = header.to_str() else { return false };
    // An address of IP version 6 without brackets has colons, but no port.
    let name = match host.rsplit_once(':') {
        _ if host.parse::<IpAddr>().is_ok() => host,
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    match name.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private() || ip.is_unspecified(),
        Ok(IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unique_local() || ip.is_unspecified(),
        Err(_) => {
            name.is_empty()
                || name == "localhost"
                || [".localhost", ".local", ".internal"].iter().any(|end| name.ends_with(end))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_local_hosts_are_served() {
        for (host, local) in [
            ("localhost:11434", true),
            ("127.0.0.1:1", true),
            ("[::1]:80", true),
            ("::1", true),
            ("192.168.1.4", true),
            ("box.local:9", true),
            ("a.localhost", true),
            ("example.com:11434", false),
            ("8.8.8.8", false),
            ("localhost.example.com", false),
        ] {
            assert_eq!(host_is_local(Some(&HeaderValue::from_static(host))), local, "{host}");
        }
        assert!(host_is_local(None));
    }
}

//! A replica that does not lead hands pushes on to the one that does: the Service does not know which is which,
//! and only the leader asks how far a migration is.
//!
//! Plain HTTP over a connection for each push: a push is small and comes twice a second at most. One that was
//! handed on is never handed on again.

use std::io;
use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::refuse;

/// The other replica answers within milliseconds, or is gone. Shorter than a client waits for us.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The header of a push that was handed on.
const HANDED_ON: &str = "x-database-operator-handed-on";
/// A status line is shorter than this.
const STATUS_LINE_BYTES: usize = 64;

/// Where the leading replica receives pushes, where it is another.
#[derive(Debug, Clone)]
pub(crate) struct Relay {
    leader: watch::Receiver<Option<String>>,
}

impl Relay {
    pub(crate) fn new(leader: watch::Receiver<Option<String>>) -> Self {
        Self { leader }
    }
}

/// Hands a push on, and gives the answer; `None`: it is ours to keep.
pub(super) async fn hand_on(relay: Option<&Relay>, parts: &Parts, body: &str) -> Option<Response> {
    let leader = relay?.leader.borrow().clone()?;
    if parts.headers.contains_key(HANDED_ON) {
        return None;
    }
    let path = parts.uri.path();
    let request = format!(
        "{} {path} HTTP/1.1\r\nHost: {leader}\r\n{HANDED_ON}: 1\r\nConnection: close\r\n\
         Content-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\n\r\n{body}",
        parts.method,
        body.len()
    );
    let answer = match tokio::time::timeout(TIMEOUT, ask(&leader, request.as_bytes())).await {
        Ok(Ok(status)) => {
            return Some((status, "handed on to the leading replica\n").into_response());
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {} s", TIMEOUT.as_secs()),
    };
    let what =
        format!("the leading replica at {leader} does not take it: {answer}; push again later");
    let mut refusal = refuse(StatusCode::SERVICE_UNAVAILABLE, &what);
    // The next try may go to the leader itself.
    refusal
        .headers_mut()
        .insert("connection", HeaderValue::from_static("close"));
    Some(refusal)
}

async fn ask(leader: &str, request: &[u8]) -> io::Result<StatusCode> {
    let mut stream = TcpStream::connect(leader).await?;
    stream.write_all(request).await?;
    let mut line = Vec::new();
    while line.len() < STATUS_LINE_BYTES && !line.contains(&b'\n') {
        let mut part = [0; STATUS_LINE_BYTES];
        match stream.read(&mut part).await? {
            0 => break,
            read => line.extend_from_slice(&part[..read]),
        }
    }
    status(&line).ok_or_else(|| io::Error::other("its answer is not HTTP"))
}

fn status(line: &[u8]) -> Option<StatusCode> {
    let text = std::str::from_utf8(line.get(..12)?).ok()?;
    let number = text.strip_prefix("HTTP/1.1 ")?;
    StatusCode::from_bytes(number.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_lines() {
        for (line, expect) in [
            ("HTTP/1.1 202 Accepted\r\n", Some(StatusCode::ACCEPTED)),
            ("HTTP/1.1 503 \r\n", Some(StatusCode::SERVICE_UNAVAILABLE)),
            ("SSH-2.0-OpenSSH_9\r\n", None),
            ("HTTP/1.1 x", None),
            ("", None),
        ] {
            assert_eq!(status(line.as_bytes()), expect, "{line}");
        }
    }
}

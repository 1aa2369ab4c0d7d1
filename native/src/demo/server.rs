//! The server: HTTP itself is `tiny_http`'s.

use std::fs::File;
use std::io::{Cursor, Read};
use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use tiny_http::{Header, Request, Response, Server, StatusCode};

use super::answer::{Answer, HEADERS, answer};
use super::site::{Content, Site};

/// Answers that are sent at once: as many as a browser asks for.
const THREADS: usize = 6;

/// Listens on this machine's own address, which no other machine reaches; `port` 0 takes any that is free. The port is returned.
///
/// # Errors
/// The port is taken.
pub fn listen(port: u16) -> Result<(Arc<Server>, u16)> {
    let taken = || format!("--port {port}: cannot listen on 127.0.0.1; choose another, or 0 for any that is free");
    let server = Server::http((Ipv4Addr::LOCALHOST, port)).map_err(|error| anyhow!(error)).with_context(taken)?;
    let port = server.server_addr().to_ip().map_or(port, |address| address.port());
    Ok((Arc::new(server), port))
}

/// Serves `site` until Ctrl-C.
///
/// # Errors
/// Ctrl-C cannot be listened for.
pub fn serve(server: &Arc<Server>, port: u16, site: &Site) -> Result<()> {
    let stopped = Arc::clone(server);
    ctrlc::set_handler(move || (0..THREADS).for_each(|_| stopped.unblock())).context("cannot listen for Ctrl-C")?;
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                // An error is the wish to stop.
                while let Ok(request) = server.recv() {
                    respond(request, port, site);
                }
            });
        }
    });
    Ok(())
}

/// A browser that has gone away meanwhile is no failure.
fn respond(request: Request, port: u16, site: &Site) {
    let host = request.headers().iter().find(|header| header.field.equiv("Host")).map(|header| header.value.as_str());
    let (status, kind, body) = match answer(site, request.method().as_str(), host, port, request.url()) {
        Answer::Content(content, kind) => match open(content) {
            Some(body) => (200, kind, body),
            None => (404, "text/plain", text("this file was removed, or cannot be read")),
        },
        Answer::Refusal(status, reason) => (status, "text/plain", text(reason)),
    };
    let headers = HEADERS.into_iter().chain([("Content-Type", kind)]);
    let headers = headers.filter_map(|(name, value)| Header::from_bytes(name, value).ok()).collect();
    let (reader, bytes) = body;
    drop(request.respond(Response::new(StatusCode(status), headers, reader, Some(bytes), None)));
}

/// Something to send, and how many bytes it has.
type Body = (Box<dyn Read + Send>, usize);

fn text(text: &str) -> Body {
    (Box::new(Cursor::new(text.to_owned())), text.len())
}

fn open(content: &Content) -> Option<Body> {
    match content {
        #[cfg(feature = "page")]
        Content::Static(bytes) => Some((Box::new(*bytes), bytes.len())),
        Content::Text(content) => Some(text(content)),
        Content::File(path) => {
            let file = File::open(path).ok()?;
            let bytes = usize::try_from(file.metadata().ok()?.len()).ok()?;
            Some((Box::new(file), bytes))
        }
    }
}

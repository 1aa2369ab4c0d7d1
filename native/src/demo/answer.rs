//! What a request is answered, decided from its method, host and path alone.

use super::site::{Content, Site};

/// The page's policy, see `www/index.html`, and that nobody may frame it. It holds for its worker too.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self'; worker-src 'self'; \
    img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Headers of every answer.
pub const HEADERS: [(&str, &str); 7] = [
    ("Content-Security-Policy", POLICY),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Embedder-Policy", "require-corp"),
    // Pages of other origins cannot use what is served here.
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    // Another version of the program may serve another page at the same address.
    ("Cache-Control", "no-cache"),
];

/// An answer.
#[derive(Debug)]
pub enum Answer<'a> {
    /// 200 with this content, of this type.
    Content(&'a Content, &'static str),
    /// A refusal: status and reason.
    Refusal(u16, &'static str),
}

/// Answers a request. `host` is its `Host` header, `port` the port that is listened on.
///
/// A page of another origin that has its own name resolve to this machine would be of the same origin as what it gets from here, so only
/// this machine's own names are answered.
pub fn answer<'a>(site: &'a Site, method: &str, host: Option<&str>, port: u16, url: &str) -> Answer<'a> {
    let is_own = host
        .and_then(|host| host.strip_suffix(&format!(":{port}")))
        .is_some_and(|name| matches!(name, "127.0.0.1" | "localhost"));
    if !is_own {
        return Answer::Refusal(403, "only this machine's own names are answered: 127.0.0.1 and localhost");
    }
    if !matches!(method, "GET" | "HEAD") {
        return Answer::Refusal(405, "only GET and HEAD are answered");
    }
    let path = url.split(['?', '#']).next().unwrap_or_default();
    match site.find(path) {
        Some(content) => Answer::Content(content, content_type(path)),
        None => Answer::Refusal(404, "there is nothing here"),
    }
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("html", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "wasm" => "application/wasm",
        "txt" | "md" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(method: &str, host: Option<&str>, url: &str) -> (u16, &'static str) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("index.html"), "<p>").unwrap();
        std::fs::write(folder.path().join("a.wasm"), "").unwrap();
        let site = Site::from_folder(folder.path()).unwrap();
        match answer(&site, method, host, 8123, url) {
            Answer::Content(_, kind) => (200, kind),
            Answer::Refusal(status, _) => (status, ""),
        }
    }

    #[test]
    fn names_of_other_machines_are_refused() {
        for host in ["127.0.0.1:8123", "localhost:8123"] {
            assert_eq!(status("GET", Some(host), "/").0, 200, "{host}");
        }
        for host in [
            "evil.example:8123",
            "evil.example",
            "127.0.0.1",
            "localhost:80",
            "127.0.0.1.evil.example:8123",
            "",
            "192.168.0.2:8123",
        ] {
            assert_eq!(status("GET", Some(host), "/").0, 403, "{host}");
        }
        assert_eq!(status("GET", None, "/").0, 403);
    }

    #[test]
    fn nothing_can_be_changed_and_only_what_is_listed_read() {
        let host = Some("localhost:8123");
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "get"] {
            assert_eq!(status(method, host, "/").0, 405, "{method}");
        }
        for url in ["/../Cargo.toml", "/%2e%2e/Cargo.toml", "http://evil.example/", "/index.html/", "*"] {
            assert_eq!(status("GET", host, url).0, 404, "{url}");
        }
        assert_eq!(status("GET", host, "/?a#b"), (200, "text/html; charset=utf-8"));
        assert_eq!(status("HEAD", host, "/a.wasm?x=1"), (200, "application/wasm"));
    }
}

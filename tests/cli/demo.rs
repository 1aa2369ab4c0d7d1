//! `native demo`: what it answers, to whom, and that it leaves nothing behind.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use super::error;
use super::train::{prepared, train};

/// The running program; ended when it is dropped.
struct Demo {
    program: Child,
    port: u16,
}

impl Demo {
    /// Its folder for temporary files is `temporary`.
    fn start(folder: &Path, arguments: &[&str]) -> Self {
        let temporary = folder.join("temporary");
        fs::create_dir_all(&temporary).unwrap();
        let mut command = Command::new(assert_cmd::cargo::cargo_bin("native"));
        command.current_dir(folder).env("TMPDIR", &temporary);
        command.args(["demo", "--page", "page", "--port", "0", "--no-open", "--quiet"]).args(arguments);
        Self::run(&mut command)
    }

    fn run(command: &mut Command) -> Self {
        let mut program = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(program.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().strip_prefix("http://127.0.0.1:").and_then(|rest| rest.strip_suffix('/')).unwrap();
        Self { port: port.parse().unwrap(), program }
    }

    /// Sends a request as it stands; status, headers and body of the answer.
    fn ask(&self, request: &str) -> (u16, String, Vec<u8>) {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        connection.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(answer[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_lowercase(), answer[end + 4..].to_vec())
    }

    fn get(&self, path: &str) -> (u16, String, Vec<u8>) {
        let host = format!("127.0.0.1:{}", self.port);
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        drop(self.program.kill());
        drop(self.program.wait());
    }
}

fn page(folder: &Path) {
    fs::create_dir_all(folder.join("page/assets")).unwrap();
    fs::write(folder.join("page/index.html"), "<!doctype html>").unwrap();
    fs::write(folder.join("page/assets/plain.wasm"), b"\0asm").unwrap();
    fs::write(folder.join("secret.txt"), "secret").unwrap();
}

#[test]
fn the_page_is_served_with_a_strict_policy_and_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    page(folder.path());
    let demo = Demo::start(folder.path(), &[]);
    let (status, head, body) = demo.get("/");
    assert_eq!((status, body.as_slice()), (200, &b"<!doctype html>"[..]));
    let headers = [
        "content-type: text/html; charset=utf-8",
        "content-security-policy: default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self'; worker-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "cross-origin-resource-policy: same-origin",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "content-length: 15",
    ];
    for header in headers {
        assert!(head.contains(header), "{header}: {head}");
    }
    assert!(demo.get("/assets/plain.wasm").1.contains("content-type: application/wasm"));
    for path in
        ["/../secret.txt", "/%2e%2e/secret.txt", "/assets/../../secret.txt", "/..%2fsecret.txt", "/secret.txt", "//etc/passwd"]
    {
        assert_eq!(demo.get(path).0, 404, "{path}");
    }
}

#[test]
fn other_names_of_this_machine_and_other_methods_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    page(folder.path());
    let demo = Demo::start(folder.path(), &[]);
    let port = demo.port;
    let status = |method: &str, host: &str| demo.ask(&format!("{method} / HTTP/1.1\r\n{host}Connection: close\r\n\r\n")).0;
    assert_eq!(status("GET", &format!("Host: localhost:{port}\r\n")), 200);
    assert_eq!(status("GET", &format!("Host: rebound.example:{port}\r\n")), 403);
    assert_eq!(status("GET", "Host: 127.0.0.1\r\n"), 403);
    assert_eq!(status("GET", ""), 403);
    assert_eq!(status("POST", &format!("Host: localhost:{port}\r\n")), 405);
    let head = demo.ask(&format!("HEAD / HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n"));
    assert_eq!((head.0, head.2.len()), (200, 0));
}

/// Elsewhere than on Linux the addresses 127.0.0.2 and so on are not this machine's.
#[cfg(target_os = "linux")]
#[test]
fn no_other_address_is_listened_on() {
    let folder = tempfile::tempdir().unwrap();
    page(folder.path());
    let demo = Demo::start(folder.path(), &[]);
    assert!(TcpStream::connect(("127.0.0.2", demo.port)).is_err(), "0.0.0.0 would answer here");
}

/// There, and with these programs first in the path, it is known what is called.
#[cfg(target_os = "linux")]
#[test]
fn the_browser_is_opened_at_the_address_unless_it_is_not_to_be() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    page(folder.path());
    let opened = folder.path().join("opened");
    let bin = folder.path().join("bin");
    fs::create_dir(&bin).unwrap();
    fs::write(bin.join("xdg-open"), format!("#!/bin/sh\necho \"$@\" > {0}.new && /bin/mv {0}.new {0}\n", opened.display()))
        .unwrap();
    fs::set_permissions(bin.join("xdg-open"), fs::Permissions::from_mode(0o755)).unwrap();
    let start = |arguments: &[&str]| {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin("native"));
        command.current_dir(folder.path()).env("PATH", &bin).args(["demo", "--page", "page", "--port", "0", "--quiet"]);
        Demo::run(command.args(arguments))
    };
    // When it answers it has decided.
    assert_eq!(start(&["--no-open"]).get("/").0, 200);
    assert!(!opened.exists());
    let demo = start(&[]);
    while !opened.exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(fs::read_to_string(&opened).unwrap().trim(), format!("http://127.0.0.1:{}/", demo.port));
}

#[cfg(unix)]
#[test]
fn a_model_of_any_format_is_converted_served_first_and_gone_at_the_end() {
    let folder = prepared();
    page(folder.path());
    train(folder.path(), "run", &["--steps", "1"]);
    let mut demo = Demo::start(folder.path(), &["--model", "run/model", "--dtype", "int8"]);
    let list: Value = serde_json::from_slice(&demo.get("/models/models.json").2).unwrap();
    assert_eq!((&list[0]["name"], &list[0]["variants"][0]["dtype"]), (&"model".into(), &"int8".into()));
    let manifest: Value = serde_json::from_slice(&demo.get("/models/own/manifest.json").2).unwrap();
    let shard = &manifest["shards"][0];
    let (status, _, body) = demo.get(&format!("/models/own/{}", shard["name"].as_str().unwrap()));
    assert_eq!((status, body.len() as u64), (200, shard["bytes"].as_u64().unwrap()));
    assert_eq!(demo.get("/models/own/config.json").0, 404, "only what the manifest names");

    let left = || fs::read_dir(folder.path().join("temporary")).unwrap().count();
    assert_eq!(left(), 1);
    let interrupt = Command::new("kill").args(["-INT", &demo.program.id().to_string()]).status().unwrap();
    assert!(interrupt.success());
    assert!(demo.program.wait().unwrap().success(), "Ctrl-C is how it ends");
    assert_eq!(left(), 0, "the converted model is removed");
}

#[test]
fn what_cannot_be_served_says_why() {
    let folder = tempfile::tempdir().unwrap();
    page(folder.path());
    let told = error(folder.path(), &["demo", "--page", "nowhere", "--no-open"]);
    assert!(told.contains("cannot read nowhere"), "{told}");
    let told = error(folder.path(), &["demo", "--page", "page/assets", "--no-open"]);
    assert!(told.contains("expected a built page"), "{told}");
    let told = error(folder.path(), &["demo", "--page", "page", "--model", "page", "--no-open"]);
    assert!(told.contains("page"), "{told}");
    let demo = Demo::start(folder.path(), &[]);
    let told = error(folder.path(), &["demo", "--page", "page", "--port", &demo.port.to_string(), "--no-open"]);
    assert!(told.contains("cannot listen on 127.0.0.1; choose another"), "{told}");
}

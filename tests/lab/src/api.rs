//! A client for the engine's HTTP API, small and raw on purpose: the tests must not look at an engine
//! through the same library as the program that they test.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

/// Longer than anything a test should wait for, short enough that a hung engine ends the test.
const LIMIT: Duration = Duration::from_secs(120);

/// An engine's API behind one Unix socket.
#[derive(Clone, Debug)]
pub struct Api {
    socket: PathBuf,
}

/// What an engine answered.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON; null where there is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// One image as the engine lists it, hidden intermediates included.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    pub id: String,
    /// The empty string where the engine names none.
    pub parent: String,
    /// Without `<none>:<none>`.
    pub tags: Vec<String>,
    /// Without `<none>@<none>`.
    pub digests: Vec<String>,
    pub labels: Vec<(String, String)>,
    pub size: i64,
    pub created: i64,
}

impl Image {
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    pub fn is_dangling(&self) -> bool {
        self.tags.is_empty()
    }
}

impl Api {
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// One request on a connection of its own.
    pub fn call(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> io::Result<Answer> {
        let mut stream = UnixStream::connect(&self.socket)?;
        stream.set_read_timeout(Some(LIMIT))?;
        stream.set_write_timeout(Some(LIMIT))?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: lab\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        read_answer(&mut BufReader::new(stream))
    }

    fn json(&self, method: &str, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.call(method, path, "application/json", body.as_bytes())
            .unwrap_or_else(|e| panic!("{method} {path} on {}: {e}", self.socket.display()))
    }

    /// Panics only where no answer came; the status is the caller's to judge.
    pub fn get(&self, path: &str) -> Answer {
        self.json("GET", path, &Value::Null)
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.json("POST", path, body)
    }

    pub fn delete(&self, path: &str) -> Answer {
        self.json("DELETE", path, &Value::Null)
    }

    pub fn answers(&self) -> bool {
        self.call("GET", "/_ping", "text/plain", b"").is_ok_and(|a| a.status == 200)
    }

    /// What `docker load` would say, line by line.
    pub fn load(&self, tar: &[u8]) -> Vec<String> {
        let answer = self
            .call("POST", "/images/load?quiet=1", "application/x-tar", tar)
            .unwrap_or_else(|e| panic!("loading images: {e}"));
        assert!(answer.status == 200, "loading images: {} {}", answer.status, answer.text());
        let lines: Vec<Value> = serde_json::Deserializer::from_slice(&answer.body).into_iter().flatten().collect();
        if let Some(error) = lines.iter().find_map(|l| l["error"].as_str()) {
            panic!("loading images: {error}");
        }
        lines.iter().filter_map(|l| l["stream"].as_str()).flat_map(str::lines).map(str::to_owned).collect()
    }

    /// All images, the hidden intermediates too, in the order of their IDs, so that two looks compare.
    pub fn images(&self) -> Vec<Image> {
        let mut images: Vec<Image> = self.list("/images/json?all=1", "").iter().map(image).collect();
        images.sort_by(|a, b| a.id.cmp(&b.id));
        images
    }

    /// All containers, running or not.
    pub fn containers(&self) -> Vec<Value> {
        self.list("/containers/json?all=1", "")
    }

    pub fn volumes(&self) -> Vec<Value> {
        self.list("/volumes", "Volumes")
    }

    pub fn networks(&self) -> Vec<Value> {
        self.list("/networks", "")
    }

    /// The build cache's records; none where the engine has no such thing.
    pub fn build_cache(&self) -> Vec<Value> {
        let usage = self.disk_usage();
        usage["BuildCache"].as_array().cloned().unwrap_or_default()
    }

    pub fn disk_usage(&self) -> Value {
        self.get("/system/df").json()
    }

    pub fn info(&self) -> Value {
        self.get("/info").json()
    }

    pub fn version(&self) -> Value {
        self.get("/version").json()
    }
}

/// The containerd store now and then fails a list while an image is being deleted; the next one is whole.
const TRIES: usize = 5;

impl Api {
    fn list(&self, path: &str, key: &str) -> Vec<Value> {
        let mut answer = self.get(path);
        for _ in 1..TRIES {
            if answer.status == 200 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
            answer = self.get(path);
        }
        items(&answer, key)
    }
}

fn items(answer: &Answer, key: &str) -> Vec<Value> {
    assert!(answer.status == 200, "a list failed: {} {}", answer.status, answer.text());
    let json = answer.json();
    let list = if key.is_empty() { &json } else { &json[key] };
    list.as_array().cloned().unwrap_or_default()
}

fn image(json: &Value) -> Image {
    let text = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
    let names = |key: &str| -> Vec<String> {
        let all = json[key].as_array().into_iter().flatten().filter_map(Value::as_str);
        all.filter(|n| !n.starts_with("<none>")).map(str::to_owned).collect()
    };
    let labels = json["Labels"].as_object().into_iter().flatten();
    // Podman names its images by bare hex digits in some answers.
    let prefixed = |id: String| if id.is_empty() || id.starts_with("sha256:") { id } else { format!("sha256:{id}") };
    Image {
        id: prefixed(text("Id")),
        parent: prefixed(text("ParentId")),
        tags: names("RepoTags"),
        digests: names("RepoDigests"),
        labels: labels.map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned())).collect(),
        size: json["Size"].as_i64().unwrap_or_default(),
        created: json["Created"].as_i64().unwrap_or_default(),
    }
}

fn read_answer(from: &mut impl BufRead) -> io::Result<Answer> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut line = String::new();
    from.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(|| bad("no status line"))?;
    let (mut length, mut chunked) = (None, false);
    loop {
        line.clear();
        if from.read_line(&mut line)? == 0 {
            return Err(bad("the headers were cut off"));
        }
        let header = line.trim_end().to_ascii_lowercase();
        match header.split_once(':') {
            None if header.is_empty() => break,
            Some(("content-length", n)) => length = n.trim().parse().ok(),
            Some(("transfer-encoding", how)) => chunked = how.trim() == "chunked",
            _ => {}
        }
    }
    let mut body = Vec::new();
    if chunked {
        read_chunks(from, &mut body)?;
    } else if let Some(length) = length {
        from.take(length).read_to_end(&mut body)?;
    } else if status != 204 && status != 304 {
        from.read_to_end(&mut body)?;
    }
    Ok(Answer { status, body })
}

pub(crate) fn read_chunks(from: &mut impl BufRead, into: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let mut line = String::new();
        from.read_line(&mut line)?;
        let size = u64::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
        from.take(size).read_to_end(into)?;
        from.read_line(&mut String::new())?;
        if size == 0 {
            return Ok(());
        }
    }
}

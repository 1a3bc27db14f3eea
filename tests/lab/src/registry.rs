//! A registry within reach of one engine: enough of the protocol for `docker pull` and `docker push`,
//! all of it in memory. It listens inside the engine's own network, on its loopback, which engines trust
//! without TLS.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::archive::sha256;
use crate::engine::Engine;

/// The name of the registry as the engine knows it.
pub const REGISTRY: &str = "localhost:5000";

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// The first byte of a client that wants to speak TLS.
const TLS_HELLO: u8 = 0x16;

/// Listens as long as it lives.
#[derive(Debug)]
pub struct Registry {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    over: AtomicBool,
    /// By digest.
    blobs: Mutex<BTreeMap<String, Vec<u8>>>,
    /// By `repository:reference`: the media type and the digest.
    manifests: Mutex<BTreeMap<String, (String, String)>>,
}

impl Engine {
    /// Starts an empty registry in this engine's network.
    pub fn registry(&self) -> Registry {
        let network = File::open(format!("/proc/{}/ns/net", self.pid())).expect("the engine's network");
        let shared = Arc::new(Shared::default());
        let serving = Arc::clone(&shared);
        let (ready, listens) = std::sync::mpsc::channel();
        // A thread can be in another network than the rest of its process; what it opens there stays there.
        thread::spawn(move || {
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).expect("the engine's network");
            let listener = TcpListener::bind(("127.0.0.1", 5000)).expect("the registry's port is free");
            let _ = ready.send(());
            serving.listen(&listener);
        });
        listens.recv_timeout(Duration::from_secs(10)).expect("the registry listens");
        Registry { shared }
    }

    /// An image that was pulled by its digest, as kind does with its nodes: it has a digest and no tag. The ID.
    pub fn pulled_by_digest(&self, repository: &str) -> String {
        let registry = self.registry();
        let name = format!("{REGISTRY}/{repository}");
        self.image().tag(&format!("{name}:pushed")).make();
        self.docker(["push", "-q", &format!("{name}:pushed")]).run().success();
        self.untag(&format!("{name}:pushed"));
        let digest = registry.digest(repository, "pushed").expect("it was pushed");
        self.docker(["pull", "-q", &format!("{name}@{digest}")]).run().success();
        let listed = self.images().into_iter().find(|i| i.digests.iter().any(|d| d.ends_with(&digest)));
        listed.expect("the pulled image is listed").id
    }
}

impl Registry {
    /// The digest that a tag leads to.
    pub fn digest(&self, repository: &str, tag: &str) -> Option<String> {
        lock(&self.shared.manifests).get(&format!("{repository}:{tag}")).map(|(_, digest)| digest.clone())
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
    }
}

struct Request {
    method: String,
    path: String,
    query: String,
    media_type: String,
    body: Vec<u8>,
}

struct Reply(u16, Vec<(&'static str, String)>, Vec<u8>);

impl Shared {
    fn listen(self: Arc<Self>, listener: &TcpListener) {
        listener.set_nonblocking(true).expect("a listener that can be ended");
        while !self.over.load(Ordering::SeqCst) {
            if let Ok((stream, _)) = listener.accept() {
                let shared = Arc::clone(&self);
                thread::spawn(move || shared.serve(stream));
            } else {
                thread::sleep(Duration::from_millis(5));
            }
        }
    }

    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let mut reader = BufReader::new(stream.try_clone()?);
        let mut stream = stream;
        if reader.fill_buf()?.first() == Some(&TLS_HELLO) {
            // Engines try TLS first; this plain answer is what sends them back to HTTP.
            stream.write_all(b"HTTP/1.0 400 Bad Request\r\n\r\n")?;
            return stream.shutdown(std::net::Shutdown::Write);
        }
        let Some(request) = read_request(&mut reader)? else { return Ok(()) };
        let head_only = request.method == "HEAD";
        let Reply(status, headers, body) = self.answer(request);
        let headers: String = headers.iter().flat_map(|(key, value)| [*key, ": ", value, "\r\n"]).collect();
        write!(
            stream,
            "HTTP/1.1 {status} Lab\r\nConnection: close\r\nDocker-Distribution-Api-Version: registry/2.0\r\n"
        )?;
        write!(stream, "{headers}Content-Length: {}\r\n\r\n", body.len())?;
        if !head_only {
            stream.write_all(&body)?;
        }
        Ok(())
    }

    fn answer(&self, request: Request) -> Reply {
        let path = request.path.clone();
        let Some(path) = path.strip_prefix("/v2/") else { return Reply(404, vec![], vec![]) };
        if let Some((repository, _)) = path.split_once("/blobs/uploads/") {
            return self.upload(repository, request);
        }
        if let Some((_, digest)) = path.split_once("/blobs/") {
            return self.blob(digest);
        }
        match path.split_once("/manifests/") {
            Some((repository, reference)) if request.method == "PUT" => {
                self.put_manifest(repository, reference, request)
            }
            Some((repository, reference)) => self.manifest(repository, reference),
            None if path.is_empty() => Reply(200, vec![], b"{}".to_vec()),
            None => Reply(404, vec![], vec![]),
        }
    }

    /// One upload is one blob: begun by POST, filled by PATCH, ended by PUT with its digest.
    fn upload(&self, repository: &str, request: Request) -> Reply {
        let begun = request.path.rsplit('/').next().unwrap_or_default().to_owned();
        if request.method == "POST" {
            static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
            let id = format!("upload-{}", NEXT.fetch_add(1, Ordering::Relaxed));
            lock(&self.blobs).insert(id.clone(), Vec::new());
            return Reply(202, vec![("Location", format!("/v2/{repository}/blobs/uploads/{id}"))], vec![]);
        }
        let mut blobs = lock(&self.blobs);
        let mut content = blobs.remove(&begun).unwrap_or_default();
        content.extend(request.body);
        if request.method == "PATCH" {
            let range = format!("0-{}", content.len().saturating_sub(1));
            blobs.insert(begun, content);
            return Reply(202, vec![("Location", request.path), ("Range", range)], vec![]);
        }
        let digest = request.query.split('&').find_map(|p| p.strip_prefix("digest=")).unwrap_or_default();
        let digest = digest.replace("%3A", ":");
        blobs.insert(digest.clone(), content);
        let location = format!("/v2/{repository}/blobs/{digest}");
        Reply(201, vec![("Location", location), ("Docker-Content-Digest", digest)], vec![])
    }

    fn blob(&self, digest: &str) -> Reply {
        match lock(&self.blobs).get(digest) {
            Some(blob) => Reply(200, vec![("Docker-Content-Digest", digest.to_owned())], blob.clone()),
            None => Reply(404, vec![], vec![]),
        }
    }

    fn put_manifest(&self, repository: &str, reference: &str, request: Request) -> Reply {
        let digest = format!("sha256:{}", sha256(&request.body));
        lock(&self.blobs).insert(digest.clone(), request.body);
        let entry = (request.media_type, digest.clone());
        for reference in [reference, &digest] {
            lock(&self.manifests).insert(format!("{repository}:{reference}"), entry.clone());
        }
        Reply(201, vec![("Docker-Content-Digest", digest)], vec![])
    }

    fn manifest(&self, repository: &str, reference: &str) -> Reply {
        let Some((media_type, digest)) = lock(&self.manifests).get(&format!("{repository}:{reference}")).cloned()
        else {
            return Reply(404, vec![], vec![]);
        };
        let media_type = if media_type.is_empty() { MANIFEST.to_owned() } else { media_type };
        let body = lock(&self.blobs).get(&digest).cloned().unwrap_or_default();
        Reply(200, vec![("Content-Type", media_type), ("Docker-Content-Digest", digest)], body)
    }
}

fn read_request(from: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split(' ');
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (path, query) = (path.to_owned(), query.to_owned());
    let (mut length, mut chunked, mut media_type) = (0, false, String::new());
    loop {
        line.clear();
        from.read_line(&mut line)?;
        let Some((key, value)) = line.trim_end().split_once(": ") else { break };
        match key.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap_or(0),
            "transfer-encoding" => chunked = value == "chunked",
            "content-type" => value.clone_into(&mut media_type),
            _ => {}
        }
    }
    let mut body = Vec::new();
    if chunked {
        crate::api::read_chunks(from, &mut body)?;
    } else {
        from.take(length).read_to_end(&mut body)?;
    }
    Ok(Some(Request { method, path, query, media_type, body }))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

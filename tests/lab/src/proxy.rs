//! The fault proxy: a socket in front of an engine's, where a test says what goes wrong and when.
//!
//! Every connection carries one request: the proxy asks both sides to close after it, so it needs to
//! understand no more of HTTP than heads.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::engine::Engine;

/// The head of a request that passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: String,
    /// With the query, and with the API version where the client names one.
    pub path: String,
}

impl Request {
    /// Whether the method is this one and the path contains this text. An empty text fits anything.
    pub fn is(&self, method: &str, path: &str) -> bool {
        (method.is_empty() || self.method == method) && self.path.contains(path)
    }
}

/// Listens as long as it lives.
#[derive(Debug)]
pub struct Proxy {
    shared: Arc<Shared>,
}

struct Shared {
    folder: TempDir,
    engine: PathBuf,
    rules: Mutex<Vec<Arc<Rule>>>,
    seen: Mutex<Vec<Request>>,
    /// Both ends of the connections that are open, to cut them when the engine goes away.
    open: Mutex<Vec<UnixStream>>,
    /// What pieces of the test said that panicked on a thread of the proxy.
    panics: Mutex<Vec<String>>,
    over: AtomicBool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy").field("engine", &self.engine).field("seen", &self.seen).finish_non_exhaustive()
    }
}

type Matcher = Box<dyn Fn(&Request) -> bool + Send + Sync>;

struct Rule {
    matches: Matcher,
    when: When,
    count: AtomicUsize,
    effect: Effect,
}

#[derive(Clone, Copy)]
enum When {
    Always,
    First(usize),
    Nth(usize),
}

enum Effect {
    Delay(Duration),
    Late(Duration),
    Run(Box<dyn Fn(&Request) + Send + Sync>),
    Answer(u16, String),
    Rubbish(Vec<u8>),
    Cut(u64),
    Vanish(Duration),
}

/// What is to happen with some requests, until an effect is named.
pub struct Fault<'p> {
    proxy: &'p Proxy,
    matches: Matcher,
    when: When,
}

impl Fault<'_> {
    /// Only with the first `n` that match.
    pub fn first(mut self, n: usize) -> Self {
        self.when = When::First(n);
        self
    }

    /// Only with the `n`th that matches; the first is 1.
    pub fn nth(mut self, n: usize) -> Self {
        self.when = When::Nth(n);
        self
    }

    /// Lets the request through later.
    pub fn delay(self, time: Duration) {
        self.add(Effect::Delay(time));
    }

    /// The engine does what it is asked at once, and its answer comes later.
    pub fn answer_late(self, time: Duration) {
        self.add(Effect::Late(time));
    }

    /// Runs a piece of the test just before the request goes through.
    pub fn run(self, piece: impl Fn(&Request) + Send + Sync + 'static) {
        self.add(Effect::Run(Box::new(piece)));
    }

    /// Answers in the engine's place, as engines word their errors; the request never reaches it.
    pub fn answer(self, status: u16, message: &str) {
        self.add(Effect::Answer(status, serde_json::json!({ "message": message }).to_string()));
    }

    /// The same with any body.
    pub fn answer_body(self, status: u16, body: &str) {
        self.add(Effect::Answer(status, body.to_owned()));
    }

    /// Answers with bytes that are no HTTP; the request never reaches the engine.
    pub fn rubbish(self, bytes: &[u8]) {
        self.add(Effect::Rubbish(bytes.to_owned()));
    }

    /// The engine does what it is asked, but only the head and so many bytes of its answer get through.
    pub fn cut_after(self, bytes: u64) {
        self.add(Effect::Cut(bytes));
    }

    /// The request and all open connections are dropped, and for a while nobody listens.
    pub fn engine_goes_for(self, time: Duration) {
        self.add(Effect::Vanish(time));
    }

    fn add(self, effect: Effect) {
        let rule = Rule { matches: self.matches, when: self.when, count: AtomicUsize::new(0), effect };
        lock(&self.proxy.shared.rules).push(Arc::new(rule));
    }
}

impl Engine {
    /// A proxy in front of this engine; nothing goes wrong until the test says so.
    pub fn proxy(&self) -> Proxy {
        Proxy::before(self.socket())
    }
}

impl Proxy {
    pub fn before(engine: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let listener = UnixListener::bind(folder.path().join("docker.sock")).expect("a socket in it");
        let shared = Arc::new(Shared {
            folder,
            engine: engine.to_owned(),
            rules: Mutex::default(),
            seen: Mutex::default(),
            open: Mutex::default(),
            panics: Mutex::default(),
            over: AtomicBool::new(false),
        });
        let listening = Arc::clone(&shared);
        thread::spawn(move || listening.listen(&listener));
        Self { shared }
    }

    pub fn socket(&self) -> PathBuf {
        self.shared.socket()
    }

    /// The `DOCKER_HOST` that leads through it.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Requests by method and a part of their path, such as `("DELETE", "/images/")`. Either may be empty.
    pub fn on(&self, method: &str, path: &str) -> Fault<'_> {
        let (method, path) = (method.to_owned(), path.to_owned());
        self.on_request(move |request| request.is(&method, &path))
    }

    pub fn on_request(&self, matches: impl Fn(&Request) -> bool + Send + Sync + 'static) -> Fault<'_> {
        Fault { proxy: self, matches: Box::new(matches), when: When::Always }
    }

    /// All requests so far, also those that never reached the engine.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.shared.seen).clone()
    }

    pub fn count(&self, method: &str, path: &str) -> usize {
        self.requests().iter().filter(|r| r.is(method, path)).count()
    }

    /// Nothing goes wrong any more, and the requests so far are forgotten.
    pub fn reset(&self) {
        lock(&self.shared.rules).clear();
        lock(&self.shared.seen).clear();
    }

    /// The engine is out of reach from now on.
    pub fn engine_goes(&self) {
        self.shared.vanish();
    }

    pub fn engine_comes_back(&self) {
        self.shared.appear();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
        // Wakes the listener, which then sees that it is over.
        let _ = UnixStream::connect(self.shared.socket()).or_else(|_| UnixStream::connect(self.shared.hidden()));
        self.shared.cut_all();
        // The rules may hold clones of the engine, and the engine is to end when the test lets go of it.
        lock(&self.shared.rules).clear();
        let panics = std::mem::take(&mut *lock(&self.shared.panics));
        assert!(panics.is_empty() || thread::panicking(), "in a piece of the test that the proxy ran: {panics:?}");
    }
}

impl Shared {
    fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    fn hidden(&self) -> PathBuf {
        self.folder.path().join("hidden.sock")
    }

    fn vanish(&self) {
        let _ = std::fs::rename(self.socket(), self.hidden());
        self.cut_all();
    }

    fn appear(&self) {
        let _ = std::fs::rename(self.hidden(), self.socket());
    }

    fn cut_all(&self) {
        for stream in lock(&self.open).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn listen(self: Arc<Self>, listener: &UnixListener) {
        for client in listener.incoming() {
            if self.over.load(Ordering::SeqCst) {
                return;
            }
            let Ok(client) = client else { continue };
            let shared = Arc::clone(&self);
            // A connection that fails has failed for its client too, which is who has to cope with it.
            thread::spawn(move || shared.serve(&client).or_else(|_| client.shutdown(Shutdown::Both)));
        }
    }

    fn serve(self: &Arc<Self>, client: &UnixStream) -> io::Result<()> {
        lock(&self.open).push(client.try_clone()?);
        let mut from_client = BufReader::new(client.try_clone()?);
        let head = read_head(&mut from_client)?;
        let Some(request) = parse(&head) else { return client.shutdown(Shutdown::Both) };
        lock(&self.seen).push(request.clone());
        let (mut cut, mut late) = (None, Duration::ZERO);
        for rule in self.due(&request) {
            match &rule.effect {
                Effect::Delay(time) => thread::sleep(*time),
                Effect::Late(time) => late = *time,
                Effect::Run(piece) => self.run_piece(piece, &request),
                Effect::Answer(status, body) => {
                    let length = body.len();
                    let head = "Content-Type: application/json\r\nConnection: close";
                    let answer = format!("HTTP/1.1 {status} Lab\r\n{head}\r\nContent-Length: {length}\r\n\r\n{body}");
                    return say(client, from_client, answer.as_bytes());
                }
                Effect::Rubbish(bytes) => return say(client, from_client, bytes),
                Effect::Cut(bytes) => cut = Some(*bytes),
                Effect::Vanish(time) => {
                    self.vanish();
                    thread::sleep(*time);
                    self.appear();
                    return Ok(());
                }
            }
        }
        self.pass(client, from_client, &head, cut, late)
    }

    /// The rules whose turn it is, with this request counted.
    fn due(&self, request: &Request) -> Vec<Arc<Rule>> {
        let rules = lock(&self.rules).clone();
        let due = |rule: &Arc<Rule>| {
            let nth = (rule.matches)(request).then(|| rule.count.fetch_add(1, Ordering::SeqCst) + 1);
            nth.is_some_and(|nth| match rule.when {
                When::Always => true,
                When::First(n) => nth <= n,
                When::Nth(n) => nth == n,
            })
        };
        rules.into_iter().filter(due).collect()
    }

    fn run_piece(&self, piece: &(dyn Fn(&Request) + Send + Sync), request: &Request) {
        if let Err(panic) = panic::catch_unwind(AssertUnwindSafe(|| piece(request))) {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("?");
            lock(&self.panics).push(text.to_owned());
        }
    }

    fn pass(
        &self,
        client: &UnixStream,
        mut from_client: BufReader<UnixStream>,
        head: &[u8],
        cut: Option<u64>,
        late: Duration,
    ) -> io::Result<()> {
        let engine = UnixStream::connect(&self.engine)?;
        lock(&self.open).push(engine.try_clone()?);
        let mut to_engine = engine.try_clone()?;
        to_engine.write_all(&close_after(head))?;
        thread::spawn(move || {
            let _ = io::copy(&mut from_client, &mut to_engine);
            let _ = to_engine.shutdown(Shutdown::Write);
        });
        let (mut from_engine, mut to_client) = (BufReader::new(engine.try_clone()?), client);
        if !late.is_zero() {
            from_engine.fill_buf()?;
            thread::sleep(late);
        }
        let answered = match cut {
            None => io::copy(&mut from_engine, &mut to_client),
            Some(bytes) => read_head(&mut from_engine)
                .and_then(|head| to_client.write_all(&head))
                .and_then(|()| io::copy(&mut from_engine.by_ref().take(bytes), &mut to_client)),
        };
        let _ = client.shutdown(if cut.is_some() { Shutdown::Both } else { Shutdown::Write });
        let _ = engine.shutdown(if cut.is_some() { Shutdown::Both } else { Shutdown::Read });
        answered.map(drop)
    }
}

/// Says it, then waits for the client to hang up: a socket closed on unread bytes would lose what was said.
fn say(mut client: &UnixStream, mut from_client: BufReader<UnixStream>, bytes: &[u8]) -> io::Result<()> {
    client.write_all(bytes)?;
    client.shutdown(Shutdown::Write)?;
    client.set_read_timeout(Some(Duration::from_secs(5)))?;
    let _ = io::copy(&mut from_client, &mut io::sink());
    Ok(())
}

fn read_head(from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if from.read_until(b'\n', &mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(head)
}

fn parse(head: &[u8]) -> Option<Request> {
    let text = String::from_utf8_lossy(head);
    let mut words = text.lines().next()?.split(' ');
    Some(Request { method: words.next()?.to_owned(), path: words.next()?.to_owned() })
}

/// The same head, asking for the connection's end after the answer. One that becomes a raw stream ends by itself.
fn close_after(head: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(head);
    let is_connection = |line: &&str| line.to_ascii_lowercase().starts_with("connection:");
    if text.lines().any(|line| is_connection(&line) && line.to_ascii_lowercase().contains("upgrade")) {
        return head.to_owned();
    }
    let kept: Vec<&str> = text.trim_end().lines().filter(|line| !is_connection(line)).collect();
    format!("{}\r\nConnection: close\r\n\r\n", kept.join("\r\n")).into_bytes()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

//! Promises, which are tests on real engines, and the runner that lists what was left out.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashSet};
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};

use crate::engine::{self, Builder, Engine};
use crate::pool::Pool;

/// Tests mostly wait for engines, so there are more of them at once than a small machine has cores.
const THREADS: usize = 4;
/// So many of the slowest are named at the end; with `DKB_LAB_TIMES` all are.
const SLOWEST: usize = 10;
/// A promise that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(300);
/// A soak takes as long as it takes.
const SOAKING: Duration = Duration::from_secs(24 * 60 * 60);

/// Which engines a promise is for, by their names.
pub type Which = fn(&str) -> bool;

pub fn every(_: &str) -> bool {
    true
}

pub fn docker(name: &str) -> bool {
    name.starts_with("docker")
}

pub fn podman(name: &str) -> bool {
    name.starts_with("podman")
}

pub fn containerd_store(name: &str) -> bool {
    name.ends_with("-containerd")
}

/// The engines that keep images in a storage driver of their own.
pub fn graphdriver(name: &str) -> bool {
    docker(name) && !containerd_store(name)
}

/// The newest of each kind, for what takes long and hangs on little that differs from version to version.
pub fn one_of_each_kind(name: &str) -> bool {
    matches!(name, "docker-28.5" | "docker-28.5-containerd") || podman(name)
}

/// `promises![a, b]`: functions under their own names.
#[macro_export]
macro_rules! promises {
    ($($name:ident),* $(,)?) => { [$((stringify!($name), $name)),*] };
}

/// Functions under their own names, as `promises![…]` writes them.
type Named<F, const N: usize> = [(&'static str, F); N];
type OnEngine = fn(&Engine);
type OnBuilder = fn(&Engine, Builder);

#[derive(Clone, Copy)]
enum Body {
    Alone(fn()),
    OnEngine(OnEngine),
    OnBuilder(OnBuilder),
}

/// On how many of its engines a usual run tries a promise. `--include-ignored` tries it on all.
#[derive(Clone, Copy)]
enum Spread {
    EveryVersion,
    /// Engines that differ by their age alone share the promises.
    EveryKind,
    /// All engines share them.
    One,
}

struct Promise {
    name: String,
    which: Which,
    body: Body,
    spread: Spread,
}

impl Promise {
    /// Of engines that share the promises each is tried on one of those that are picked, always the same.
    fn is_left_to_another_engine(&self, engine: &str, lab: &Lab) -> bool {
        let share: Which = match self.spread {
            Spread::EveryVersion => return false,
            Spread::EveryKind => graphdriver,
            Spread::One => every,
        };
        let picked = |name: &&String| share(name) && (self.which)(name) && lab.runs(name);
        let sharing: Vec<&String> = engine::names().iter().filter(picked).collect();
        share(engine) && sharing.get(self.turn() % sharing.len().max(1)).is_some_and(|turn| *turn != engine)
    }

    /// The builders of containerd's store share the promises too: everything takes longest there.
    fn is_left_to_another_builder(&self, engine: &str, builder: Builder) -> bool {
        let builders = engine::builders_of(engine);
        matches!(self.spread, Spread::EveryKind)
            && containerd_store(engine)
            && builders[self.turn() % builders.len()] != builder
    }

    fn turn(&self) -> usize {
        self.name.bytes().map(usize::from).sum()
    }
}

/// The promises of one file.
pub struct Promises {
    file: &'static str,
    list: Vec<Promise>,
    /// Of so many it is settled how they spread.
    settled: usize,
}

impl Promises {
    /// `Promises::of(module_path!())`.
    pub fn of(module_path: &'static str) -> Self {
        Self { file: module_path.rsplit("::").next().unwrap_or(module_path), list: Vec::new(), settled: 0 }
    }

    pub fn on_every_engine<const N: usize>(self, promises: Named<OnEngine, N>) -> Self {
        self.on(every, promises)
    }

    pub fn on<const N: usize>(mut self, which: Which, promises: Named<OnEngine, N>) -> Self {
        for (name, body) in promises {
            self.add(name, which, Body::OnEngine(body));
        }
        self
    }

    /// Once for each builder of each engine.
    pub fn on_every_builder<const N: usize>(self, promises: Named<OnBuilder, N>) -> Self {
        self.on_builders_of(every, promises)
    }

    pub fn on_builders_of<const N: usize>(mut self, which: Which, promises: Named<OnBuilder, N>) -> Self {
        for (name, body) in promises {
            self.add(name, which, Body::OnBuilder(body));
        }
        self
    }

    /// For what hangs on docker's words or an engine's age: all promises named since the last word of this kind.
    pub fn on_every_version(self) -> Self {
        self.spread(Spread::EveryVersion)
    }

    /// For what hangs on dkb alone, whatever engine it speaks to: all promises named since the last word of this kind.
    pub fn on_one_engine(self) -> Self {
        self.spread(Spread::One)
    }

    fn spread(mut self, spread: Spread) -> Self {
        for promise in &mut self.list[self.settled..] {
            promise.spread = spread;
        }
        self.settled = self.list.len();
        self
    }

    pub fn without_engine<const N: usize>(mut self, promises: Named<fn(), N>) -> Self {
        for (name, body) in promises {
            self.add(name, every, Body::Alone(body));
        }
        self
    }

    fn add(&mut self, name: &str, which: Which, body: Body) {
        let name = format!("{}::{name}", self.file);
        self.list.push(Promise { name, which, body, spread: Spread::EveryKind });
    }
}

/// The main function of a test program made of promises.
pub fn run(files: impl IntoIterator<Item = Promises>) -> ExitCode {
    have_children_heed_signals();

    let mut arguments = Arguments::from_args();
    arguments.test_threads = arguments.test_threads.or(Some(THREADS));
    let lab = match Lab::here() {
        Ok(lab) => lab,
        Err(wrong) => {
            eprintln!("dkb-lab: {wrong}");
            return ExitCode::from(2);
        }
    };
    keep_panics_quiet();
    let run = Arc::new(Run::new(arguments.test_threads.unwrap_or(THREADS)));
    let promises: Vec<Promise> = files.into_iter().flat_map(|f| f.list).collect();
    let trials = trials(&promises, &lab, &run);
    run.expect(&trials, &arguments, &lab);
    if !arguments.list
        && let Err(wrong) = fetch(&trials, &arguments, &lab)
    {
        eprintln!("dkb-lab: {wrong}");
        return ExitCode::from(2);
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// What was to be ignored when this run began, as under nohup, in a background job of a shell and by some CI runners,
/// every program that a test starts would ignore too. Whoever has a handler of its own starts its children with the
/// usual answer to a signal, so this run gets handlers that do nothing: it goes on to ignore what it was told to ignore.
fn have_children_heed_signals() {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
        if ignored.is_some_and(|ignored| ignored & (1 << (signal - 1)) != 0) {
            let _ = signal_hook::flag::register(signal, Arc::default());
        }
    }
}

/// Which engines are to be used, and why the others are not.
struct Lab {
    /// Why no engine can run here.
    missing: Option<String>,
    picked: HashSet<String>,
}

impl Lab {
    fn here() -> Result<Self, String> {
        let picked: HashSet<String> = engine::picked().into_iter().collect();
        for name in &picked {
            if !engine::names().contains(name) {
                return Err(format!("DKB_LAB: no engine named '{name}' (known: {})", engine::names().join(", ")));
            }
        }
        Ok(Self { missing: engine::missing(), picked })
    }

    fn runs(&self, name: &str) -> bool {
        self.missing.is_none() && self.picked.contains(name)
    }

    fn reason(&self) -> String {
        self.missing.clone().unwrap_or_else(|| "DKB_LAB picks other engines".to_owned())
    }
}

/// Fetches the engines that this run needs, before the clocks of the tests tick.
fn fetch(trials: &[Trial], arguments: &Arguments, lab: &Lab) -> Result<(), String> {
    let runs = |t: &&Trial| !t.has_ignored_flag() || arguments.include_ignored || arguments.ignored;
    let runs = trials.iter().filter(runs).filter(|t| chosen(t.name(), arguments));
    let engines: HashSet<&str> = runs.filter_map(|t| engine_of(t.name())).filter(|name| lab.runs(name)).collect();
    engine::install(&engines.into_iter().collect::<Vec<_>>())
}

/// `docker-28.5` of `guard::a_promise [docker-28.5 classic]`.
fn engine_of(trial: &str) -> Option<&str> {
    trial.split_once('[')?.1.split([' ', ']']).next()
}

/// One trial for each promise and engine; those of one engine stand together, so that few engines run at once.
fn trials(promises: &[Promise], lab: &Lab, run: &Arc<Run>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for promise in promises {
        if let Body::Alone(body) = promise.body {
            let run = Arc::clone(run);
            let name = promise.name.clone();
            trials.push(Trial::test(&promise.name, move || run.counted(&name, || guarded(body))));
        }
    }
    for engine in engine::names() {
        for promise in promises.iter().filter(|p| (p.which)(engine)) {
            match promise.body {
                Body::Alone(_) => {}
                Body::OnEngine(body) => {
                    let name = format!("{} [{engine}]", promise.name);
                    let left = promise.is_left_to_another_engine(engine, lab);
                    trials.push(on_engine((name, left), engine, lab, run, body));
                }
                Body::OnBuilder(body) => {
                    for &builder in engine::builders_of(engine) {
                        let name = format!("{} [{engine} {}]", promise.name, builder.name());
                        let body = move |engine: &Engine| body(engine, builder);
                        let left = promise.is_left_to_another_engine(engine, lab)
                            || promise.is_left_to_another_builder(engine, builder);
                        trials.push(on_engine((name, left), engine, lab, run, body));
                    }
                }
            }
        }
    }
    trials
}

fn on_engine(
    (name, left_to_others): (String, bool),
    engine: &'static str,
    lab: &Lab,
    run: &Arc<Run>,
    body: impl Fn(&Engine) + Send + 'static,
) -> Trial {
    let left_out = (!lab.runs(engine)).then(|| lab.reason());
    let ignored = left_out.is_some() || left_to_others;
    let (run, named) = (Arc::clone(run), name.clone());
    let runner = move || match left_out {
        Some(reason) => Err(Failed::from(reason)),
        None => run.counted(&named, || run.on_engine(engine, body)),
    };
    Trial::test(name, runner).with_ignored_flag(ignored)
}

/// What is shared by all trials of one run.
struct Run {
    pool: Arc<Pool>,
    /// How many trials have not ended yet. The last one closes the lab and reports, so that libtest's own
    /// summary stays the closing line.
    open: AtomicUsize,
    left_out: std::sync::OnceLock<Vec<String>>,
    took: Mutex<Vec<(Duration, String)>>,
}

impl Run {
    fn new(threads: usize) -> Self {
        Self {
            pool: Arc::new(Pool::new(threads)),
            open: AtomicUsize::new(0),
            left_out: std::sync::OnceLock::new(),
            took: Mutex::default(),
        }
    }

    fn expect(&self, trials: &[Trial], arguments: &Arguments, lab: &Lab) {
        let chosen = || trials.iter().filter(|t| chosen(t.name(), arguments));
        let (ignored, usual): (Vec<&Trial>, Vec<&Trial>) = chosen().partition(|t| t.has_ignored_flag());
        let runs = match (arguments.ignored, arguments.include_ignored) {
            (true, _) => ignored.len(),
            (_, true) => ignored.len() + usual.len(),
            _ => usual.len(),
        };
        self.open.store(runs, Ordering::SeqCst);
        let elsewhere = ignored.iter().filter(|t| engine_of(t.name()).is_none_or(|name| !lab.runs(name))).count();
        let shared = if arguments.ignored || arguments.include_ignored { 0 } else { ignored.len() - elsewhere };
        let mut lines = Vec::new();
        if elsewhere > 0 {
            lines.push(format!("{elsewhere} promises left out: {}", lab.reason()));
        }
        if shared > 0 {
            lines.push(format!("{shared} promises are tried on another engine; all of them with --include-ignored"));
        }
        if !arguments.list {
            for line in &lines {
                eprintln!("dkb-lab: {line}");
            }
        }
        let _ = self.left_out.set(lines);
    }

    fn counted(&self, name: &str, body: impl FnOnce() -> Result<(), Failed>) -> Result<(), Failed> {
        let began = Instant::now();
        let result = body();
        self.took.lock().unwrap_or_else(PoisonError::into_inner).push((began.elapsed(), name.to_owned()));
        if self.open.fetch_sub(1, Ordering::SeqCst) == 1 {
            for line in self.pool.close().iter().chain(self.left_out.get().into_iter().flatten()).chain(&self.slowest())
            {
                eprintln!("dkb-lab: {line}");
            }
        }
        result
    }

    /// Where the time of a long run went: the slowest promises, and what each theme took in all.
    fn slowest(&self) -> Vec<String> {
        let mut took = std::mem::take(&mut *self.took.lock().unwrap_or_else(PoisonError::into_inner));
        let many = if std::env::var_os("DKB_LAB_TIMES").is_some() { usize::MAX } else { SLOWEST };
        if took.len() <= SLOWEST && many == SLOWEST {
            return Vec::new();
        }
        let mut themes: BTreeMap<String, Duration> = BTreeMap::new();
        for (time, name) in &took {
            *themes.entry(name.split("::").next().unwrap_or(name).to_owned()).or_default() += *time;
        }
        let mut themes: Vec<(Duration, String)> = themes.into_iter().map(|(theme, time)| (time, theme)).collect();
        let line = |(time, name): (Duration, String)| format!("{:.1} s: {name}", time.as_secs_f64());
        for list in [&mut took, &mut themes] {
            list.sort_unstable_by(|a, b| b.cmp(a));
        }
        took.into_iter().take(many).chain(themes.into_iter().take(many)).map(line).collect()
    }

    fn on_engine(&self, name: &'static str, body: impl Fn(&Engine) + Send + 'static) -> Result<(), Failed> {
        let pool = Arc::clone(&self.pool);
        guarded(move || {
            let engine = pool.take(name);
            if let Err(panic) = panic::catch_unwind(AssertUnwindSafe(|| body(&engine))) {
                add_to_message(&engine.inventory());
                panic::resume_unwind(panic);
            }
            pool.give_back(engine);
        })
    }
}

/// The same choice that libtest makes.
fn chosen(name: &str, arguments: &Arguments) -> bool {
    let matches = |filter: &String| if arguments.exact { name == filter } else { name.contains(filter.as_str()) };
    arguments.filter.as_ref().is_none_or(matches) && !arguments.skip.iter().any(matches)
}

thread_local! {
    /// What the panic hook noted on this thread; nothing on threads that run no promise.
    static MESSAGE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The message of a failure goes into the list of failures, not in between the lines of other tests.
fn keep_panics_quiet() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let noted = MESSAGE.with_borrow_mut(|message| message.as_mut().map(|m| m.push_str(&info.to_string())));
        if noted.is_none() {
            usual(info);
        }
    }));
}

fn add_to_message(text: &str) {
    MESSAGE.with_borrow_mut(|message| {
        if let Some(message) = message {
            message.push('\n');
            message.push_str(text);
        }
    });
}

/// Runs a test body on a thread of its own, which is left behind when it hangs.
fn guarded(body: impl FnOnce() + Send + 'static) -> Result<(), Failed> {
    let (done, wait) = mpsc::channel();
    thread::spawn(move || {
        MESSAGE.set(Some(String::new()));
        let result = panic::catch_unwind(AssertUnwindSafe(body));
        let message = MESSAGE.take().unwrap_or_default();
        let _ = done.send(result.map_err(|_| Failed::from(message)));
    });
    let limit = if std::env::var_os("DKB_SOAK").is_some() { SOAKING } else { LIMIT };
    wait.recv_timeout(limit).unwrap_or_else(|_| Err(Failed::from(format!("not done after {limit:?}"))))
}

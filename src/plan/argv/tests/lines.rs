//! Lines made of every flag, every spelling and nonsense.

use std::os::unix::ffi::OsStringExt;

use proptest::prelude::*;

use super::*;

/// Every flag of `docker build`, from its manual.
const VALUES: &str = "add-host allow annotation attest build-arg build-context builder cache-from cache-to call \
    cgroup-parent cpu-period cpu-quota cpu-shares cpuset-cpus cpuset-mems file iidfile isolation label memory \
    memory-swap metadata-file network no-cache-filter output platform policy print progress provenance resource \
    sbom secret security-opt shm-size ssh tag target ulimit";
const SWITCHES: &str = "check compress debug disable-content-trust force-rm help load no-cache pull push quiet rm \
    squash stream";

fn among(names: &str, name: &str) -> bool {
    names.split_ascii_whitespace().any(|known| known == name)
}

/// pflag once more, in another way: one word at a time, with nothing but what tags and the context need.
fn reference(words: &[OsString]) -> Option<(Vec<OsString>, Option<OsString>)> {
    const TRUTHS: [&str; 12] = ["1", "t", "T", "true", "TRUE", "True", "0", "f", "F", "false", "FALSE", "False"];
    let (mut tags, mut contexts, mut left) = (Vec::new(), Vec::new(), words.iter().map(|word| word.as_bytes()));
    let mut bare = false;
    while let Some(word) = left.next() {
        if bare || word == b"-" || !word.starts_with(b"-") {
            contexts.push(OsStr::from_bytes(word).to_owned());
        } else if word == b"--" {
            bare = true;
        } else if let Some(long) = word.strip_prefix(b"--") {
            let mut parts = long.splitn(2, |&byte| byte == b'=');
            let name = std::str::from_utf8(parts.next()?).ok()?;
            let glued = parts.next();
            if among(VALUES, name) {
                let value = glued.or_else(|| left.next())?;
                tags.extend((name == "tag").then(|| OsStr::from_bytes(value).to_owned()));
            } else if !among(SWITCHES, name) || glued.is_some_and(|v| !TRUTHS.iter().any(|t| t.as_bytes() == v)) {
                return None;
            }
        } else {
            let mut group = &word[1..];
            while let Some((letter, rest)) = group.split_first() {
                if group.starts_with(b"test.") {
                    return None;
                }
                let glued = rest.strip_prefix(b"=").filter(|value| !value.is_empty());
                group = rest;
                if b"tfmoc".contains(letter) {
                    let value = glued.or((!rest.is_empty()).then_some(rest)).or_else(|| left.next())?;
                    tags.extend((*letter == b't').then(|| OsStr::from_bytes(value).to_owned()));
                    group = b"";
                } else if b"qDh".contains(letter) {
                    if let Some(value) = glued {
                        TRUTHS.iter().find(|truth| truth.as_bytes() == value)?;
                        group = b"";
                    }
                } else {
                    return None;
                }
            }
        }
    }
    (contexts.len() < 2).then(|| (tags, contexts.pop()))
}

/// A word, or several that belong together, as people write them; words that look like others; plain noise.
fn any_words() -> impl Strategy<Value = Vec<OsString>> {
    let values = prop::sample::select(VALUES.split_ascii_whitespace().collect::<Vec<_>>());
    let switches = prop::sample::select(SWITCHES.split_ascii_whitespace().collect::<Vec<_>>());
    let value = prop_oneof![like("(x|a/b:1|-t|--tag|--|-|k=v|type=local,dest=o|)"), noise()].boxed();
    let glue = |name: &str, value: &OsStr| {
        let mut word = OsString::from(format!("--{name}="));
        word.push(value);
        word
    };
    prop_oneof![
        4 => (values.clone(), value.clone()).prop_map(|(name, value)| vec![format!("--{name}").into(), value]),
        4 => (values, value).prop_map(move |(name, value)| vec![glue(name, &value)]),
        3 => switches.clone().prop_map(|name| vec![format!("--{name}").into()]),
        2 => (switches, like("(true|false|0|T|maybe|)")).prop_map(move |(name, value)| vec![glue(name, &value)]),
        4 => like("-[tfmocqDh=x1]{1,5}").prop_map(|word| vec![word]),
        2 => like("-[tfq](x|=x|=|)").prop_map(|word| vec![word]),
        2 => like("(x|dir|\\.|-|--)").prop_map(|word| vec![word]),
        1 => like("(--?[a-z.=-]{0,8}|-q?test\\.v)").prop_map(|word| vec![word]),
        1 => noise().prop_map(|word| vec![word]),
    ]
}

fn any_line() -> impl Strategy<Value = Vec<OsString>> {
    proptest::collection::vec(any_words(), 0..6).prop_map(|parts| parts.concat())
}

fn like(regex: &'static str) -> BoxedStrategy<OsString> {
    prop::string::string_regex(regex).expect("a regex").prop_map(OsString::from).boxed()
}

fn noise() -> impl Strategy<Value = OsString> + Clone {
    proptest::collection::vec(1..=255_u8, 0..6).prop_map(OsString::from_vec)
}

fn any_spelling() -> impl Strategy<Value = Spelling> {
    prop::sample::select(vec!["build", "image build", "builder build", "buildx build", "buildx --builder=b -D b"])
        .prop_map(|line| Spelling::read(&words(line)).expect("a spelling").0)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn docker_gets_exactly_the_users_words_behind_the_injected_ones(
        line in any_line(),
        spelling in any_spelling(),
        podman: bool,
        with_id_file: bool,
    ) {
        let tool = if podman { Tool::Podman } else { Tool::Docker };
        let (stamp, file) = (stamp(), PathBuf::from("/id"));
        let id_file = with_id_file.then_some(file.as_path());
        let words = read(tool, &line);
        let argv = inject(&spelling, &words, &Injection { id_file, ..Injection::of(&stamp) });
        let added = if with_id_file { 8 } else { 6 } - usize::from(words.leaves_containers);
        let (front, users) = argv.split_at(spelling.words().len() + added);
        prop_assert_eq!(users, line.as_slice());
        prop_assert_eq!(&front[..spelling.words().len()], spelling.words());
    }

    #[test]
    fn the_tags_read_are_the_ones_pflag_reads(line in any_line()) {
        let read = read(Tool::Docker, &line);
        match reference(&line) {
            Some((tags, context)) => {
                prop_assert_eq!(read.unread, None);
                prop_assert_eq!((read.raw_tags, read.context), (tags, context));
            }
            None => prop_assert!(!read.understood() && read.tags.is_empty()),
        }
    }

    #[test]
    fn without_quiet_the_line_means_the_same_but_for_quiet(line in any_line()) {
        let before = read(Tool::Docker, &line);
        let stamp = Stamp::default();
        let argv = inject(&plain(), &before, &Injection { without_quiet: true, ..Injection::of(&stamp) });
        let after = read(Tool::Docker, &argv[3 - usize::from(before.leaves_containers)..]);
        if before.quiet {
            let loud = BuildWords { quiet: false, quiet_at: Vec::new(), raw: after.raw.clone(), ..before };
            prop_assert_eq!(after, loud);
        } else {
            prop_assert_eq!(after, before);
        }
    }
}

use proptest::prelude::*;

use super::*;
use crate::model::Shown;

fn events(pieces: &[&[u8]]) -> Vec<Event> {
    let (mut reader, mut events) = (ClassicReader::default(), Vec::new());
    for piece in pieces {
        reader.feed(piece, |event| events.push(event));
    }
    reader.finish(|event| events.push(event));
    events
}

/// Events in short: `step 2`, `triggers`, `cache`, `run`, and an ID with what is known of it.
fn told(stream: &str) -> Vec<String> {
    let short = |event| match event {
        Event::Step { number, .. } => format!("step {number}"),
        Event::Triggers => "triggers".to_owned(),
        Event::UsingCache => "cache".to_owned(),
        Event::RunningIn(_) => "run".to_owned(),
        Event::Built(id) => format!("built {}", &id[..2]),
        Event::Image(NamedImage { digits, after_from, triggered, cached }) => {
            let known = [(after_from, " from"), (triggered, " triggered"), (cached, " cached")];
            let known: String = known.into_iter().filter(|(is, _)| *is).map(|(_, name)| name).collect();
            format!("{}{known}", &digits[..2])
        }
    };
    events(&[stream.as_bytes()]).into_iter().map(short).collect()
}

const DOCKER: &str = "\
Sending build context to Docker daemon  1.986MB\r\r
Step 1/6 : FROM scratch AS base
 ---> \n\
Step 2/6 : COPY busybox /bin/busybox
 ---> Using cache
 ---> a1a1a1a1a1a1
Step 3/6 : FROM base
 ---> a1a1a1a1a1a1
Step 4/6 : RUN printf no-newline; echo err >&2
 ---> Running in c0c0c0c0c0c0
no-newline\x1b[91merr
\x1b[0m ---> Removed intermediate container c0c0c0c0c0c0
 ---> b2b2b2b2b2b2
Step 5/6 : RUN printf no-newline
 ---> Running in c1c1c1c1c1c1
no-newlineRemoving intermediate container c1c1c1c1c1c1
 ---> c3c3c3c3c3c3
Step 6/6 : FROM onbuild
# Executing 2 build triggers
 ---> Running in c2c2c2c2c2c2
Removing intermediate container c2c2c2c2c2c2
 ---> d4d4d4d4d4d4
Successfully built d4d4d4d4d4d4
Successfully tagged x:latest
";

#[test]
fn no_count_of_steps_is_too_large() {
    let largest = u32::MAX;
    for stream in [
        format!("[linux/arm64] STEP {largest}/9: x\n[linux/arm64] STEP {largest}/9: x\n"),
        format!("STEP {largest}/{largest}: x\nSTEP 0/{largest}: x\n"),
        format!(
            "[linux/arm64] [{largest}/2] STEP 1/2: FROM x\n[linux/arm64] [1/2] STEP 1/2: FROM x\n\
             [linux/arm64] [{largest}/2] STEP 1/2: FROM x\n"
        ),
    ] {
        assert!(!told(&stream).is_empty(), "{stream}");
    }
}

#[test]
fn a_step_that_does_not_follow_was_printed_by_one() {
    let stream = "Step 1/3 : FROM a\n ---> a1a1a1a1a1a1\nStep 2/3 : RUN x\nStep 9/9 : FROM b\nStep 3/4 : RUN y\n\
        Step 1/3 : FROM c\nSTEP 3/3: RUN z\n ---> b2b2b2b2b2b2\nStep 3/3 : RUN y\n";
    assert_eq!(told(stream), ["step 1", "a1 from", "step 2", "b2", "step 3"]);
}

#[test]
fn podman_counts_triggers_once_it_has_seen_the_base() {
    let stream = "STEP 1/2: FROM a\nSTEP 2/4: COPY x\n--> a1a1a1a1a1a1\nSTEP 3/6: RUN y\nSTEP 3/4: RUN y\n";
    assert_eq!(told(stream), ["step 1", "step 2", "a1", "step 3"]);
    assert_eq!(told("Step 1/2 : FROM a\nStep 2/4 : RUN y\n"), ["step 1"], "Docker does not");
}

#[test]
fn the_end_of_what_is_kept_of_a_long_line_is_not_its_end() {
    let id = " ---> a1a1a1a1a1a1";
    let padding = "x".repeat(LONGEST_LINE - id.len());
    assert_eq!(told(&format!("{padding}{id}\n")), ["a1"]);
    assert_eq!(told(&format!("{padding}{id} and more\n")), Vec::<String>::new());
}

#[test]
fn a_bar_that_overwrites_itself_ends_a_line() {
    assert_eq!(told("1 MB\r2 MB\rStep 1/1 : FROM a\n"), ["step 1"]);
}

const PODMAN: &str = "\
[1/2] STEP 1/2: FROM scratch AS base
[1/2] STEP 2/2: COPY busybox /bin/busybox
--> Using cache a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1
--> a1a1a1a1a1a1
[2/2] STEP 1/4: FROM a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1 AS one
[2/2] STEP 2/4: RUN printf no-newline
no-newline--> b2b2b2b2b2b2
[linux/arm64] [2/2] STEP 3/4: RUN printf 'x\\ry\\r'
x\ry\rCOMMIT x
--> c3c3c3c3c3c
[2/2] COMMIT localhost/x:latest
--> d4d4d4d4d4d4
Successfully tagged localhost/x:latest
d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4d4
Successfully built d4d4d4d4d4d4
";

#[test]
fn docker_tells_every_image_of_a_build() {
    let want = [
        "step 1",
        "step 2",
        "cache",
        "a1 cached",
        "step 3",
        "a1 from",
        "step 4",
        "run",
        "b2",
        "step 5",
        "run",
        "c3",
        "step 6",
        "triggers",
        "run",
        "d4 from triggered",
        "built d4",
    ];
    assert_eq!(told(DOCKER), want);
}

#[test]
fn whoever_reads_the_lines_knows_what_the_reader_knew() {
    let (mut seen, mut read) = (SeenBuild::default(), Shown::default());
    for line in events(&[DOCKER.as_bytes()]).into_iter().filter_map(|event| seen.take(event)) {
        read.add(line);
    }
    assert_eq!(read, seen.shown);
    let images: Vec<_> = read.images.iter().map(|image| (&image.id[..2], image.step, image.ran.as_deref())).collect();
    let (own, second) = (Some("c0c0c0c0c0c0"), Some("c1c1c1c1c1c1"));
    let steps = [("a1", 2, None), ("a1", 3, None), ("b2", 4, own), ("c3", 5, second), ("d4", 6, None)];
    assert_eq!(images, steps, "the triggers' container made no image that is shown");
    assert_eq!((seen.id, seen.podman), (None, false));
}

#[test]
fn podman_tells_every_image_of_a_build() {
    let want = [
        "step 1",
        "step 2",
        "cache",
        "a1 cached",
        "step 1",
        "step 2",
        "b2",
        "step 3",
        "c3",
        "d4",
        "built d4",
        "built d4",
    ];
    assert_eq!(told(PODMAN), want);
}

#[test]
fn quiet_output_is_the_id() {
    let id = "a1".repeat(32);
    for line in [format!("sha256:{id}\n"), format!("{id}\n"), id.clone()] {
        assert_eq!(events(&[line.as_bytes()]), [Event::Built(id.clone())]);
    }
}

#[test]
fn an_id_behind_output_without_a_newline_is_found() {
    // As with `--rm=false`, where no line about the container comes between.
    let stream = "Step 2/2 : RUN x\n ---> Running in c0c0c0c0c0c0\n50%\r\x1b[91merr\x1b[0m ---> a1a1a1a1a1a1\n";
    assert_eq!(told(stream), ["step 2", "run", "a1"]);
}

#[test]
fn a_step_that_ran_comes_from_no_cache_whatever_it_prints() {
    let stream = "Step 2/2 : RUN x\n ---> Running in c0c0c0c0c0c0\n ---> Using cache\n ---> a1a1a1a1a1a1\n";
    assert_eq!(told(stream), ["step 2", "run", "a1"]);
}

#[test]
fn other_lines_tell_nothing() {
    for line in [
        "",
        " ---> ",
        " ---> A1A1A1A1A1A1",
        " ---> a1a1a1",
        " ---> a1a1a1a1a1a1a1",
        " ---> a1a1a1a1a1a1 ",
        " ---> Removed intermediate container a1a1a1a1a1a1",
        "Removing intermediate container a1a1a1a1a1a1",
        "x Successfully built a1a1a1a1a1a1",
        "Step 1 : FROM x",
        "Step 1/99999999999 : FROM x",
        "[1/2] STEP: FROM x",
        "[1/2] COMMIT",
        "\x1b[2K",
        "\x1b[",
        "sha256:a1a1a1a1a1a1",
    ] {
        assert_eq!(told(line), Vec::<String>::new(), "{line:?}");
    }
}

#[test]
fn a_long_line_is_known_by_its_beginning_and_costs_no_more_memory() {
    let long = "x".repeat(10 * LONGEST_LINE);
    let stream = format!("Step 1/2 : RUN {long} ---> a1a1a1a1a1a1\n{long} ---> a1a1a1a1a1a1\n ---> b2b2b2b2b2b2");
    assert_eq!(told(&stream), ["step 1", "b2"]);
    let mut reader = ClassicReader::default();
    reader.feed(stream.as_bytes(), |_| {});
    assert!(reader.line.capacity() <= 2 * LONGEST_LINE);
}

fn any_stream() -> impl Strategy<Value = Vec<u8>> {
    let real: Vec<Vec<u8>> =
        [DOCKER, PODMAN].iter().flat_map(|stream| stream.split_inclusive('\n')).map(Into::into).collect();
    let part = prop_oneof![
        8 => prop::sample::select(real),
        1 => prop::collection::vec(any::<u8>(), 0..40),
        1 => (1_usize..3 * LONGEST_LINE).prop_map(|length| vec![b'x'; length]),
    ];
    prop::collection::vec(part, 0..20).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_events_are_the_same_however_the_stream_is_cut(
        stream in any_stream(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..30),
    ) {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]).collect();
        prop_assert_eq!(events(&pieces), events(&[&stream]));
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        prop_assert_eq!(events(&bytes), events(&[&stream]));
    }
}

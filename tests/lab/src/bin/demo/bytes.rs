//! What thirty changing builds of one image leave on the disk: the README's table of bytes.

use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail};
use dkb_lab::{Builder, Engine, engine, eventually};

use super::{Place, Side, build_dkb, described, kind_of, megabytes, write};

const BUILDS: u64 = 30;
const BYTES: usize = 20_000_000;

const DOCKERFILE: &str = "\
FROM lab/base AS build
COPY source /source
RUN cat /source >/app
FROM lab/base
COPY --from=build /app /app
";

/// Each side has an engine to itself, so that all that it holds is of those builds, and of their base.
pub(crate) fn table() -> Result<()> {
    if let Some(why) = engine::missing() {
        bail!(why);
    }
    let dkb = build_dkb()?;
    println!("| engine | builder | one build | {BUILDS} by `docker build` | {BUILDS} by `dkb build` |");
    println!("|---|---|--:|--:|--:|");
    for name in engine::picked() {
        let builder = usual_builder(&name);
        let (mut row, mut head) = (Vec::new(), String::new());
        for side in [Side::Raw, Side::Dkb] {
            let engine = Engine::start(&name);
            let builder_name = if engine.is_podman() { "its own" } else { described(builder) };
            head = format!("{} | {builder_name}", kind_of(&engine));
            let place = Place::private(&engine, dkb.clone())?;
            row.push(left_by(&engine, &place, side, builder)?);
        }
        let [(one, raw), (_, dkb)] = row[..] else { bail!("two sides") };
        println!("| {head} | {} | {} | {} |", megabytes(one), megabytes(raw), megabytes(dkb));
    }
    Ok(())
}

/// What `docker build` takes by itself.
fn usual_builder(engine: &str) -> Builder {
    if engine == "docker-20.10" {
        Builder::Classic
    } else {
        *engine::builders_of(engine).last().unwrap_or(&Builder::Classic)
    }
}

/// The bytes after the first build, and after the last.
fn left_by(engine: &Engine, place: &Place, side: Side, builder: Builder) -> Result<(u64, u64)> {
    let context = place.folder.path().join("bytes");
    write(&context.join("Dockerfile"), DOCKERFILE)?;
    let before = at_rest(engine, place);
    let left = || at_rest(engine, place).saturating_sub(before);
    let build = |nth| {
        change(&context.join("source"), nth)?;
        place.build(side, Some(builder), &context, "app:dev")
    };
    build(1)?;
    let first = left();
    // One after the other, as quickly as they go.
    (2..=BUILDS).try_for_each(|nth| build(nth).map(drop))?;
    Ok((first, left()))
}

/// Once nobody tidies up any more, and the engine is done with it too.
fn at_rest(engine: &Engine, place: &Place) -> u64 {
    let mut last = u64::MAX;
    eventually(Duration::from_secs(60), || {
        place.is_settled() && {
            let before = last;
            last = engine.on_disk();
            thread::sleep(Duration::from_millis(200));
            last == before
        }
    });
    last
}

/// Bytes that no store can make less of.
fn change(source: &Path, nth: u64) -> Result<()> {
    let mut state = nth.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    let bytes: Vec<u8> = words.take(BYTES / 8).flatten().collect();
    std::fs::write(source, bytes)?;
    Ok(())
}

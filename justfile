# Everything here also runs without just: each recipe calls what the README and .ci/run call.

[private]
default:
    @just --list --unsorted

# Show what dkb does, on a private engine; leaves nothing behind
demo *ARGS:
    cargo demo {{ARGS}}

# Run every test, each promise on an engine of each kind
test *ARGS:
    cargo test {{ARGS}}

# Run the tests that need no engine
test-fast:
    DKB_LAB= cargo test

# Run every promise on every engine and builder, 10,000 random hosts in memory and 400 on engines, and the fuzz targets
soak HOSTS="10000" ON_ENGINES="400": && fuzz
    DKB_SOAK={{HOSTS}} cargo test --lib -- random two_things
    cargo test --test promises -- --include-ignored
    DKB_SOAK={{ON_ENGINES}} cargo test --test promises random -- --include-ignored
    DKB_SOAK=1 cargo test --test promises the_cache_of_many_builds -- --include-ignored

# Look for words that break a parser, so many seconds with each
fuzz SECONDS="180":
    #!/usr/bin/env bash
    set -euo pipefail
    export PATH="$PWD/target/tools/bin:$PATH"
    command -v cargo-fuzz >/dev/null || cargo install cargo-fuzz --locked --root target/tools
    # There is no unsafe code to watch, so no sanitizer and no nightly toolchain. What is found on the way lies in
    # target/; what breaks something in artifacts/, and belongs into corpus/ once it is mended.
    for name in $(cargo fuzz list); do
      mkdir -p "fuzz/target/found/$name"
      cargo fuzz run --sanitizer none "$name" "fuzz/target/found/$name" "fuzz/corpus/$name" -- \
        -max_total_time={{SECONDS}} -rss_limit_mb=1024 -timeout=10
    done

# Check the formatting, and let no warning pass
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# Write again what is read off the code: completions, parts of the docs, and what people see
completions:
    SNAPSHOTS=overwrite cargo test --test completions_drift --test docs
    SNAPSHOTS=overwrite cargo test --lib golden

# Measure dkb against raw docker; prints the tables of docs/speed.md
bench *ARGS:
    cargo bench --bench against_docker -- {{ARGS}}

# The same, kept as a file with the commit and the machine that it came from
bench-keep *ARGS:
    #!/usr/bin/env bash
    set -euo pipefail
    run=benches/runs/$(date +%F)-$(git rev-parse --short HEAD).md
    mkdir -p benches/runs
    { echo "dkb $(git rev-parse HEAD), $(nproc) cores, $(uname -sm), load $(cut -d' ' -f1 /proc/loadavg)"; echo
      cargo bench --bench against_docker -- {{ARGS}}; } | tee "$run"

# Build the image of deploy/Dockerfile from a static binary, with that binary
image TAG="docker-cleaner:latest" *FLAGS="":
    #!/usr/bin/env bash
    set -euo pipefail
    cargo build --locked --release --target {{arch()}}-unknown-linux-musl
    case {{arch()}} in x86_64) arch=amd64 ;; aarch64) arch=arm64 ;; *) arch={{arch()}} ;; esac
    binary=$PWD/target/{{arch()}}-unknown-linux-musl/release/dkb
    BUILDER=$binary deploy/image "$binary" "$arch" -t {{TAG}} {{FLAGS}}

# Draw the pictures of the docs again, of real runs on an engine of the lab
pictures:
    docs/pictures/make

# Install dkb for this user
install:
    cargo install --path . --locked

# Run everything that must hold before a change goes in
ci:
    .ci/run

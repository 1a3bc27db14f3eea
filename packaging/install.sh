#!/bin/sh
# Installs dkb: fetches the archive for this machine, holds it to the checksums of its release, and puts the program
# into ~/.local/bin. `--help` says what else there is.
set -eu

# The release that this script belongs to fills these in.
releases='@REPOSITORY@/releases/download'
version='@VERSION@'

usage() {
  cat <<'end'
Usage: install.sh [--to DIR] [--version VERSION] [--from URL]

  --to DIR           where dkb goes; without it, ~/.local/bin
  --version VERSION  another version than the one that this script belongs to
  --from URL         fetch URL/vVERSION/dkb-VERSION-TARGET.tar.gz, and SHA256SUMS beside it
end
}

# Says what happened and what to do, and ends.
fail() {
  printf 'install.sh: %s\n' "$1" >&2
  [ $# -lt 2 ] || printf '  %s\n' "$2" >&2
  exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

fetch() {
  case $1 in https:*) only='--proto =https' ;; *) only= ;; esac
  if has curl; then
    # shellcheck disable=SC2086 # two words or none
    curl $only --fail --silent --show-error --location --connect-timeout 20 --output "$2" "$1"
  elif has wget; then
    wget -q -t 3 -T 20 -O "$2" "$1"
  else
    fail 'neither curl nor wget is here' 'install one of them and try again'
  fi || fail "$1 could not be fetched" 'nothing was installed; see whether there is such a version, and try again'
}

sum() {
  if has sha256sum; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d ' ' -f 1
}

target() {
  system=$(uname -s) machine=$(uname -m)
  case $machine in
    x86_64 | amd64) first=x86_64 ;;
    aarch64 | arm64) first=aarch64 ;;
    *) first= ;;
  esac
  case $first-$system in
    ?*-Linux) echo "$first-unknown-linux-musl" ;;
    ?*-Darwin) echo "$first-apple-darwin" ;;
    *) fail "there is no archive for $system on $machine" 'with Rust it can be compiled: cargo install dkb --locked' ;;
  esac
}

# All of it is read before any of it runs, so that half a script does nothing.
main() {
  to=
  while [ $# -gt 0 ]; do
    case $1 in
      -h | --help)
        usage
        exit
        ;;
      --to | --version | --from) [ $# -gt 1 ] || fail "$1 needs a value" '--help says which' ;;
      *) fail "'$1' means nothing here" '--help says what there is' ;;
    esac
    case $1 in
      --to) to=$2 ;;
      --version) version=${2#v} ;;
      --from) releases=${2%/} ;;
    esac
    shift 2
  done
  case $releases$version in
    @* | *@) fail 'this copy belongs to no release' "take a release's, or name one: --from URL --version VERSION" ;;
  esac
  case $version in
    '' | *[!0-9A-Za-z.+-]*) fail "'$version' is no version" 'a version looks like 1.2.3' ;;
  esac
  [ -n "${to:=${HOME:+$HOME/.local/bin}}" ] || fail 'HOME is not set' 'say where dkb goes: --to DIR'
  case $to in
    /*) ;;
    *) to=$PWD/$to ;;
  esac

  [ ! -d "$to/dkb" ] || fail "$to/dkb is a folder" 'nothing was installed; name another place: --to DIR'
  has sha256sum || has shasum ||
    fail 'neither sha256sum nor shasum is here to check the download with' 'install one of them and try again'
  target=$(target)
  name=dkb-$version-$target
  scratch='' staged='' made=''
  trap 'rm -rf "$scratch" "$staged"; [ -z "$made" ] || rmdir "$made" 2>/dev/null || :' EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  scratch=$(mktemp -d)

  fetch "$releases/v$version/SHA256SUMS" "$scratch/SHA256SUMS"
  wanted=$(awk -v name="$name.tar.gz" '$2 == name { print $1 }' "$scratch/SHA256SUMS")
  [ -n "$wanted" ] || fail "the checksums of $version name no $name.tar.gz" \
    'nothing was installed; with Rust it can be compiled: cargo install dkb --locked'
  fetch "$releases/v$version/$name.tar.gz" "$scratch/archive"
  got=$(sum "$scratch/archive")
  [ "$got" = "$wanted" ] || fail "$name.tar.gz has the checksum $got, and its release says $wanted" \
    'nothing was installed; try again, and if it stays so, please report it'
  tar -xzf "$scratch/archive" -C "$scratch" "$name/dkb" || fail "$name.tar.gz could not be unpacked" \
    'nothing was installed; see whether the disk is full'

  # Beside its place first: what stands there is replaced in one moment, by something that runs.
  [ -d "$to" ] || made=$to
  if ! { mkdir -p "$to" && staged=$(mktemp "$to/.dkb.XXXXXX") && cp "$scratch/$name/dkb" "$staged"; }; then
    fail "$to can't be written to" 'nothing was installed; name another folder: --to DIR'
  fi
  chmod 755 "$staged"
  said=$("$staged" --version </dev/null) || fail "this dkb does not run on this machine" 'nothing was installed'
  mv -f "$staged" "$to/dkb" || fail "$to/dkb can't be replaced" 'nothing was installed; name another folder: --to DIR'
  made=

  printf '%s is %s\n' "$to/dkb" "$said"
  found=$(command -v dkb || :)
  case $found in
    "$to/dkb") ;;
    '') printf '  add its folder to PATH, or call it by that name\n' ;;
    *) printf '  PATH leads to another one first: %s\n' "$found" ;;
  esac
  printf '  dkb doctor says what it works with\n'
}

main "$@"

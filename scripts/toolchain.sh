#!/usr/bin/env bash
# A Rust 1.96 that compiles for this machine and for the browser (wasm32). Idempotent; safe to run twice at once.
#
#   1. A rustup toolchain that already does both: the one this script noted last time, `web`, or 1.96.0.
#   2. rustup fetches 1.96.0 with the wasm32 target.
#   3. Where rustup's servers cannot be reached: Debian's rustc-web (the same 1.96.0). Debian has no wasm32 standard
#      library, so it is built from Debian's sources once (about two minutes), laid where a package would put it,
#      and linked into rustup as the toolchain `web`.
#
# The choice is noted in $IOG_CACHE/toolchain, which scripts/lib.sh reads. WASM_FORCE_DEBIAN=1 takes way 3.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
unset RUSTUP_TOOLCHAIN

VERSION=1.96.0
WASM=wasm32-unknown-unknown
SYSTEM=/usr/lib/rustlib/$WASM
NOTE=$IOG_CACHE/toolchain
PACKAGES=(rustc-web cargo-web rust-web-src rust-web-llvm lld-22 rust-web-clippy rustfmt-web gcc libc6-dev)

log() { say "toolchain: $*"; }
have_rustup() { command -v rustup >/dev/null; }
rustc_of() { if [ "$1" = none ]; then echo /usr/bin/rustc; else rustup which --toolchain "$1" rustc 2>/dev/null; fi; }
identity() { "$1" -vV 2>/dev/null | sha256sum | cut -c1-16; }

# The only test that proves anything: compile and link a module that uses std, with fat LTO as the release does.
makes_wasm() { # rustc
  local dir rc=0
  dir=$(mktemp -d)
  cat > "$dir/probe.rs" <<'RUST'
use std::collections::HashMap;
#[unsafe(no_mangle)]
pub extern "C" fn probe(n: usize) -> usize { let mut m = HashMap::new(); m.insert(n, format!("{n}")); m.len() }
RUST
  "$1" --edition 2024 --crate-type cdylib --target "$WASM" -O -C lto=fat -C panic=abort -o "$dir/probe.wasm" \
    "$dir/probe.rs" >"$dir/log" 2>&1 || { rc=1; cat "$dir/log"; }
  rm -rf "$dir"
  return $rc
}

good() { # toolchain name: right version, wasm32, cargo, clippy and rustfmt
  local rustc
  rustc=$(rustc_of "$1") || return 1
  [ -x "$rustc" ] || return 1
  case $("$rustc" -V) in "rustc $VERSION "*) ;; *) return 1 ;; esac
  local bin
  bin=$(dirname "$rustc")
  [ -x "$bin/cargo" ] && [ -x "$bin/cargo-clippy" ] && [ -x "$bin/rustfmt" ] || return 1
  # Proven before with exactly this compiler: not proven again, so that a second run is quick.
  [ "$(cat "$NOTE" 2>/dev/null)" = "$1 $(identity "$rustc")" ] || makes_wasm "$rustc" >/dev/null
}

choose() {
  printf '%s %s\n' "$1" "$(identity "$(rustc_of "$1")")" > "$NOTE.new"
  mv "$NOTE.new" "$NOTE"
  log "using $1 ($("$(rustc_of "$1")" -V))"
  exit 0
}

mkdir -p "$IOG_CACHE"
exec 9>"$IOG_CACHE/toolchain.lock"
flock 9

if [ -z "${WASM_FORCE_DEBIAN:-}" ] && have_rustup; then
  for name in "$(cut -d' ' -f1 "$NOTE" 2>/dev/null || true)" web "$VERSION"; do
    if [ -n "$name" ] && [ "$name" != none ] && good "$name"; then choose "$name"; fi
  done
  # A reachable server answers in a moment; only then is the longer download begun.
  if curl -sfI --max-time "${WASM_RUSTUP_PROBE_SECONDS:-10}" \
    "${RUSTUP_DIST_SERVER:-https://static.rust-lang.org}/dist/channel-rust-$VERSION.toml" >/dev/null; then
    log "rustup fetches $VERSION"
    if RUSTUP_MAX_RETRIES=1 timeout "${WASM_RUSTUP_TIMEOUT:-600}" rustup toolchain install "$VERSION" \
      --profile minimal --component clippy --component rustfmt --target "$WASM" --no-self-update && good "$VERSION"; then
      choose "$VERSION"
    fi
  fi
  log "rustup cannot fetch $VERSION here; taking Debian's"
fi

command -v apt-get >/dev/null ||
  die "neither rustup's servers nor apt can be reached: install Rust $VERSION with the $WASM target yourself, then run this again"

missing=()
for package in "${PACKAGES[@]}"; do
  dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  log "apt-get install ${missing[*]}"
  as_root apt-get -o DPkg::Lock::Timeout=900 update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=900 install -y -qq --no-install-recommends \
    "${missing[@]}"
fi

if [ "$(cat "$SYSTEM/.stamp" 2>/dev/null)" != "$(identity /usr/bin/rustc)" ] || ! makes_wasm /usr/bin/rustc; then
  log "building the standard library for $WASM"
  BUILD=$(mktemp -d)
  trap 'rm -rf "$BUILD"' EXIT
  mkdir -p "$BUILD/src"
  : > "$BUILD/src/lib.rs"
  printf '[package]\nname = "seed"\nversion = "0.0.0"\nedition = "2024"\n[workspace]\n' > "$BUILD/Cargo.toml"
  (
    cd "$BUILD" || exit
    # Nothing of the caller's set-up may leak into the library that every later build links.
    unset CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_TARGET CARGO_BUILD_RUSTFLAGS RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER
    # embed-bitcode: without it no profile with fat LTO could use these libraries. `test` is for wasm-bindgen's tests.
    env RUSTC_BOOTSTRAP=1 RUSTC=/usr/bin/rustc RUSTFLAGS=-Cembed-bitcode=yes CARGO_TARGET_DIR="$BUILD/target" \
      CARGO_INCREMENTAL=0 CARGO_PROFILE_RELEASE_DEBUG=0 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1 \
      /usr/bin/cargo build --release -Zbuild-std=core,alloc,std,panic_abort,proc_macro,test --target "$WASM"
  )
  as_root rm -rf "$SYSTEM"
  as_root mkdir -p "$SYSTEM/lib"
  find "$BUILD/target/$WASM/release/deps" -name '*.rlib' ! -name 'libseed-*' -print0 |
    as_root xargs -0 cp -t "$SYSTEM/lib"
  makes_wasm /usr/bin/rustc || die "the freshly built standard library for $WASM does not work"
  identity /usr/bin/rustc | as_root tee "$SYSTEM/.stamp" >/dev/null
fi

if have_rustup; then
  rustup toolchain link web /usr
  good web || die "the rustup toolchain 'web' (/usr) does not work; see the lines above"
  choose web
fi
choose none

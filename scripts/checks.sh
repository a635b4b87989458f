# Sourced by lint.sh and test.sh: each check is one line with its time, and returns whether it passed.
# shellcheck shell=bash

check_format() { try "Format (cargo fmt)" cargo fmt --all --check -- --color never; }

# The workspace as the server sees it: `app` is compiled with `ssr`, because `server` asks for it. Never --all-features:
# `ssr` and `hydrate` exclude each other.
check_host() { try "Lints, this machine (clippy)" cargo clippy --workspace --all-targets --quiet -- -D warnings; }

# And `app` once more as the browser sees it.
check_browser() {
  try "Lints, browser (clippy)" cargo clippy --package app --target wasm32-unknown-unknown --no-default-features \
    --features hydrate --quiet -- -D warnings
}

# cargo-deny where it is installed; otherwise the same rules from deny.toml by a small script, because building cargo-deny
# costs a bare machine many minutes. The advisory database needs the internet and is checked by cargo-deny alone.
check_dependencies() {
  if command -v cargo-deny >/dev/null; then
    try "Licences, sources, bans (cargo-deny)" cargo deny --offline check licenses sources bans
  else
    try "Licences, sources, bans (deny.toml)" "$(system_python)" scripts/deny.py
  fi
}

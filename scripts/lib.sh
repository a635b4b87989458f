# Sourced by every script here: where things are, and how a step is shown.
# shellcheck shell=bash disable=SC2034
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"

# What is costly to build and the same for every checkout (tools, CI's target directory) lives in the user's cache.
IOG_CACHE=${IOG_CACHE:-$HOME/.cache/iog}
TOOLS=$IOG_CACHE/tools
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
# What belongs to this checkout alone (the site, logs) stays in it, even when cargo's target directory is shared.
SITE=$ROOT/target/site
FRONT=$ROOT/target/front
LOGS=$ROOT/target/log
mkdir -p "$TOOLS" "$TARGET" "$FRONT" "$LOGS"

# Set-up notes the Rust toolchain it chose; a toolchain named by the caller wins.
if [ -z "${RUSTUP_TOOLCHAIN:-}" ] && [ -s "$IOG_CACHE/toolchain" ]; then
  name=$(cut -d' ' -f1 "$IOG_CACHE/toolchain")
  [ "$name" = none ] || export RUSTUP_TOOLCHAIN=$name
fi

locked_version() { # of crate $1, as Cargo.lock has it
  awk -v crate="name = \"$1\"" '$0 == crate { getline; gsub(/version = |"/, ""); print; exit }' "$ROOT/Cargo.lock"
}

WASM_BINDGEN_VERSION=$(locked_version wasm-bindgen)
NEXTEST_VERSION=0.9.143
# The Move compiler and VM that tests and the development chain load (as a library, without Node), and mainnet's ABI of 0x1,
# against which the tests' stand-in for the framework is compared. Neither is shipped: see contracts/README.md, "Licences".
MOVE_VERSION=0.2.12
MOVE_ABI_VERSION=1.13.4
export IOG_MOVE_LIBS=${IOG_MOVE_LIBS:-$TOOLS/move-$MOVE_VERSION}
export IOG_MOVE_ABI=${IOG_MOVE_ABI:-$TOOLS/move-abi-$MOVE_ABI_VERSION/0x1.json}
# What `make workloads` lends to jobs. The versions are those that were seen to run.
WORKLOADS=$TOOLS/workloads-2
BPY_VERSION=5.0.1 RAY_VERSION=2.60.0 LLAMA_VERSION=3.22.1 MODEL_VERSION=0.1.2
MODEL_SHA256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
export PATH="$ROOT/node_modules/.bin:$TOOLS/wasm-bindgen-$WASM_BINDGEN_VERSION/bin:$TOOLS/cargo-nextest-$NEXTEST_VERSION/bin:$PATH"

say() { printf '%s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

spent() { # since second $1
  local s=$((SECONDS - $1))
  if [ "$s" -ge 60 ]; then printf '%d min %02d s' $((s / 60)) $((s % 60)); else printf '%d s' "$s"; fi
}

# try "What is being done" command…    One line with the time it took; all output goes to a log, shown when it fails.
# Returns the command's exit code, so that a caller can go on.
try() {
  local words=$1 from=$SECONDS was=$- log rc
  shift
  log=$LOGS/$(printf '%s' "$words" | tr -cs 'A-Za-z0-9.' '-' | cut -c1-60).log
  printf '  %-58s ' "$words …"
  set +e
  # A subshell of its own, not `… || rc=$?`: that would switch off `set -e` inside the step.
  (set -e; "$@") >"$log" 2>&1 </dev/null
  rc=$?
  case $was in *e*) set -e ;; esac
  if [ "$rc" = 0 ]; then
    printf '%s\n' "$(spent "$from")"
  else
    printf 'FAILED after %s\n' "$(spent "$from")"
    tail -n "${IOG_LOG_TAIL:-40}" "$log" | sed 's/^/    | /'
    printf '  whole log: %s\n' "$log"
  fi
  return "$rc"
}

# The same, for steps that everything after them needs.
step() {
  set +e
  try "$@"
  local rc=$?
  set -e
  [ "$rc" = 0 ] || exit "$rc"
}

room() { # GB that are free where cargo compiles
  df -Pk "$TARGET" | awk 'NR == 2 { print int($4 / 1048576) }'
}

# What takes much room says so before it begins, and not an hour later by tests that fail for another reason.
room_for() { # what, GB from nothing, GB when it was built before
  local gb=$2
  [ ! -d "$TARGET/debug/deps" ] || gb=$3
  [ "$(room)" -ge "$gb" ] || say "  ATTENTION: $(room) GB are free in $TARGET; $1 takes up to $gb. It may fail for want of room."
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

content_key() { # one hash over the names and contents of all files under the given paths
  # Files only, in a fixed order; paths that do not exist yet count as empty.
  local path
  for path in "$@"; do [ -e "$path" ] && find "$path" -type f -print0; done | LC_ALL=C sort -z |
    xargs -0 -r sha256sum | sha256sum | cut -c1-24
}

# Debian's own Python, which set-up provides; another one first on PATH may be older than 3.11.
system_python() { if [ -x /usr/bin/python3 ]; then echo /usr/bin/python3; else command -v python3; fi; }

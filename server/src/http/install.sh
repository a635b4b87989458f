#!/bin/sh
# Installs iog-worker from @SERVER@ and joins this machine to it:
#
#   (curl -fsSL @SERVER@/install.sh || wget -qO- @SERVER@/install.sh) | sh -s -- --token TOKEN
#
# What it does, in this order: fetches one program, checks its SHA-256 against the one below, puts it into
# /usr/local/bin (as root) or ~/.local/bin, and runs `iog-worker join --server @SERVER@` with the words given here. It
# asks for no other right, installs no package and starts nothing at boot. `iog-worker uninstall` takes it all away.
# Needed: Linux, curl or wget, sha256sum. IOG_BIN names another directory; IOG_ONLY_INSTALL=1 leaves out the joining.
set -eu

server='@SERVER@'
# Architecture and SHA-256 of what this server has, one a line.
programs='@PROGRAMS@'

say() { printf '%s\n' "iog: $*" >&2; }
fail() { say "$*"; exit 1; }

main() {
  [ "$(uname -s)" = Linux ] || fail "this is $(uname -s); iog-worker runs on Linux"
  machine=$(uname -m)
  wanted=$(printf '%s\n' "$programs" | while read -r name sum; do
    if [ "$name" = "$machine" ]; then printf '%s' "$sum"; fi
  done)
  [ -n "$wanted" ] || fail "$server has no iog-worker for $machine"
  command -v sha256sum >/dev/null || fail "sha256sum is missing; install coreutils"

  if [ -n "${IOG_BIN:-}" ]; then directory=$IOG_BIN
  elif [ "$(id -u)" = 0 ]; then directory=/usr/local/bin
  else directory=${HOME:?}/.local/bin
  fi
  mkdir -p "$directory" || fail "$directory cannot be made; name another with IOG_BIN"

  # In the directory it goes to: putting it in place is then one step, also over a program that runs.
  new=$(mktemp "$directory/.iog-worker.XXXXXX") || fail "$directory cannot be written; name another with IOG_BIN"
  trap 'rm -f "$new"' EXIT
  trap 'exit 1' HUP INT TERM
  url=$server/download/iog-worker-$machine
  say "fetching $url"
  if command -v curl >/dev/null; then curl -fsSL -o "$new" "$url" || fail "it could not be fetched"
  elif command -v wget >/dev/null; then wget -qO "$new" "$url" || fail "it could not be fetched"
  else fail "neither curl nor wget is here; install one of them"
  fi
  found=$(sha256sum "$new" | cut -d ' ' -f 1)
  [ "$found" = "$wanted" ] || fail "what came is not what this script promises: SHA-256 $found, not $wanted; nothing was installed"
  say "SHA-256 $found, as promised"
  chmod 755 "$new"
  "$new" --version >/dev/null || fail "it does not run on this system; nothing was installed"
  mv -f "$new" "$directory/iog-worker"
  trap - EXIT
  say "installed as $directory/iog-worker"
  case ":$PATH:" in
    *":$directory:"*) ;;
    *) say "$directory is not in your PATH: call it as $directory/iog-worker" ;;
  esac
  [ -z "${IOG_ONLY_INSTALL:-}" ] || exit 0
  exec "$directory/iog-worker" join --server "$server" "$@"
}

# As a function called last: a script that was cut off on its way does nothing.
main "$@"

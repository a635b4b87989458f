#!/usr/bin/env bash
# `make test`: set up, then every check and test, the quick ones first. Nothing is passed over: a step that cannot be run
# counts as failed. The last line is the sum, counted from the tools' own reports; the exit code says the same.
#
#   scripts/test.sh          everything
#   scripts/test.sh rust     without the browser
#   scripts/test.sh e2e      the browser alone
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source scripts/checks.sh
source scripts/postgres.sh

WHAT=${1:-all}
case $WHAT in all | rust | e2e) ;; *) die "unknown part '$WHAT'; known are rust and e2e, or nothing for all" ;; esac
begun=$SECONDS
passed=0 failed=0
table=()

count() { # name, passed, failed
  passed=$((passed + $2)) failed=$((failed + $3))
  table+=("$(printf '  %-14s %5d passed %5d failed' "$1" "$2" "$3")")
}

one() { # name, check…: a check that passes or fails as a whole
  local name=$1 rc
  shift
  set +e
  "$@"
  rc=$?
  set -e
  if [ "$rc" = 0 ]; then count "$name" 1 0; else count "$name" 0 1; fi
}

# nextest's own report; no report, or an exit code that it does not explain, is a failure.
count_junit() { # name, exit code
  local numbers ok bad
  numbers=$("$(system_python)" - "$ROOT/target/nextest/default/junit.xml" <<'PY'
import sys, xml.etree.ElementTree as xml
try:
    cases = list(xml.parse(sys.argv[1]).iter("testcase"))
    bad = sum(1 for case in cases if case.find("failure") is not None or case.find("error") is not None)
    skipped = sum(1 for case in cases if case.find("skipped") is not None)
    print(len(cases) - bad - skipped, bad)
except (OSError, xml.ParseError):
    print(0, 0)
PY
)
  ok=${numbers% *} bad=${numbers#* }
  [ "$2" = 0 ] || [ "$bad" -gt 0 ] || bad=1
  [ "$2" != 0 ] || [ "$ok" -gt 0 ] || bad=1
  count "$1" "$ok" "$bad"
}

nextest() { # name, words, arguments…
  local name=$1 words=$2 rc
  shift 2
  rm -f "$ROOT/target/nextest/default/junit.xml"
  set +e
  IOG_LOG_TAIL=120 try "$words" cargo nextest run --config-file scripts/nextest.toml --no-fail-fast --cargo-quiet "$@"
  rc=$?
  set -e
  count_junit "$name" "$rc"
}

browser() {
  local rc data report=$LOGS/e2e.json numbers ok bad
  data=$(mktemp -d "${TMPDIR:-/tmp}/iog-e2e.XXXXXX")
  rm -f "$report"
  set +e
  IOG_E2E_REPORT=$report IOG_LOG_TAIL=150 try "Journeys in a browser (Playwright)" "$(system_python)" scripts/stack.py --data "$data" \
    --programs "$TARGET/debug" --site "$SITE" --example examples/hello --aged -- bash -c 'cd end2end && exec node_modules/.bin/playwright test'
  rc=$?
  set -e
  [ "$rc" = 0 ] || { rm -rf "$LOGS/e2e-data"; cp -R "$data/log" "$LOGS/e2e-data" 2>/dev/null && say "  logs of server and workers: $LOGS/e2e-data"; }
  rm -rf "$data"
  numbers=$(node -e '
    try { const s = JSON.parse(require("fs").readFileSync(process.argv[1])).stats; console.log(s.expected, s.unexpected + s.flaky); }
    catch { console.log(0, 0); }' "$report")
  ok=${numbers% *} bad=${numbers#* }
  [ "$rc" = 0 ] || [ "$bad" -gt 0 ] || bad=1
  [ "$rc" != 0 ] || [ "$ok" -gt 0 ] || bad=1
  count browser "$ok" "$bad"
}

# What `make demo` shows, on what was built above.
money() {
  local data rc
  data=$(mktemp -d "${TMPDIR:-/tmp}/iog-demo.XXXXXX")
  set +e
  try "A job billed, verified offline, disputed, refunded" "$(system_python)" scripts/stack.py --data "$data" \
    --programs "$TARGET/debug" --site "$SITE" -- env IOG_CLI="$TARGET/debug/iog" "$(system_python)" examples/receipts.py
  rc=$?
  set -e
  rm -rf "$data"
  return "$rc"
}

summary() {
  say
  printf '%s\n' "${table[@]}"
  say "  $(spent "$begun")"
  [ "$failed" = 0 ] || [ "$(room)" -ge 2 ] || say "  ATTENTION: less than 2 GB are free in $TARGET: what failed may have failed for want of room."
  say "$passed passed, $failed failed"
}

trap stop_postgres EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say "Set-up"
room_for "make test" 10 3
case $WHAT in all) purposes="test e2e" ;; rust) purposes="test" ;; e2e) purposes="e2e" ;; esac
# shellcheck disable=SC2086
bash scripts/setup.sh run $purposes
source scripts/lib.sh

if [ "$WHAT" != e2e ]; then
  say "Checks"
  one format check_format
  one dependencies check_dependencies
  one "lints" check_host
  one "lints wasm" check_browser
  say "Tests"
  start_postgres
  nextest unit "Unit tests" --workspace --lib --bins
fi

say "Build"
# In a subshell of its own: a build that fails must still end in a sum.
if (bash scripts/build.sh); then
  count build 1 0
  export IOG_SERVER_BIN=$TARGET/debug/iog-server IOG_WORKER_BIN=$TARGET/debug/iog-worker IOG_DEVCHAIN_BIN=$TARGET/debug/iog-devchain IOG_CLI_BIN=$TARGET/debug/iog
  # The tests' servers serve the real site.
  export LEPTOS_SITE_ROOT=$SITE LEPTOS_OUTPUT_NAME=iog LEPTOS_HASH_FILES=true LEPTOS_ENV=PROD
  if [ "$WHAT" != e2e ]; then nextest integration "Tests with real processes and databases" --workspace --test '*'; fi
  if [ "$WHAT" != rust ]; then
    one demo money
    browser
  fi
else
  count build 0 1
fi

summary
[ "$failed" = 0 ]

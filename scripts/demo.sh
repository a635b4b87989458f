#!/usr/bin/env bash
# `make demo`: on a server of its own a job is billed, its invoice checked offline, a receipt contested and refunded.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

say "Set-up"
bash scripts/setup.sh run
# Set-up may just have chosen the toolchain; this reads its note.
source scripts/lib.sh
say "Build"
bash scripts/build.sh
say "Demo"
data=$(mktemp -d "${TMPDIR:-/tmp}/iog-demo.XXXXXX")
trap 'rm -rf "$data"' EXIT
"$(system_python)" scripts/stack.py --data "$data" --programs "$TARGET/debug" --site "$SITE" -- \
  env IOG_CLI="$TARGET/debug/iog" "$(system_python)" examples/receipts.py

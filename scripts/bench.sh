#!/usr/bin/env bash
# `make bench`: release build, then the bench program. It prints a table and appends one JSON line per row to
# target/bench/results.jsonl. Arguments go to it, for example `scripts/bench.sh submit_start`.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

bash scripts/setup.sh run
source scripts/lib.sh
IOG_PROFILE=release IOG_ALSO=bench bash scripts/build.sh
export IOG_SERVER_BIN=$TARGET/release/iog-server IOG_WORKER_BIN=$TARGET/release/iog-worker
export LEPTOS_SITE_ROOT=$SITE LEPTOS_OUTPUT_NAME=iog LEPTOS_HASH_FILES=true LEPTOS_ENV=PROD
mkdir -p "$ROOT/target/bench"
exec "$TARGET/release/bench" "$@"

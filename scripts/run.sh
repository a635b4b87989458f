#!/usr/bin/env bash
# `make run`: from a bare machine to a metered job, then stay until Ctrl-C.
#
#   IOG_DATA=./data     where accounts, the database and logs are kept; delete the folder to begin anew
#   DB=postgres         books in a Postgres of the demo's own, under IOG_DATA; default: what the folder began with, then SQLite
#   CHAIN=none          without the development chain: payouts and deposits by hand. With IOG_CHAIN_URL and its companions set
#                       (docs/operations.md), that network is used instead
#   PORT=3000           another one is taken when it is in use
#   AGAIN=1             submit the example once more
#   LEND="/opt/bpy …"   folders that jobs may read, or folder:place: what some templates need
#   EXAMPLE=digits      which folder of examples/ (- for none)
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

case ${DB:-} in '' | sqlite | postgres) ;; *) die "DB=$DB: known are sqlite and postgres" ;; esac
case ${CHAIN:-dev} in dev | none) ;; *) die "CHAIN=$CHAIN: known are dev and none" ;; esac
begun=$SECONDS
say "Set-up"
purposes=(run)
[ "${DB:-}" != postgres ] || purposes+=(postgres)
bash scripts/setup.sh "${purposes[@]}"
# Set-up may just have chosen the toolchain; this reads its note.
source scripts/lib.sh
# Before the long build: without cgroups no worker would take a job.
"$(system_python)" scripts/stack.py --check
say "Build"
bash scripts/build.sh
say "Start (after $(spent "$begun"))"

case ${IOG_PROFILE:-dev} in release) programs=$TARGET/release ;; *) programs=$TARGET/debug ;; esac
options=(--data "${IOG_DATA:-$ROOT/data}" --programs "$programs" --site "$SITE")
[ -z "${DB:-}" ] || options+=(--database "$DB")
options+=(--chain "${CHAIN:-dev}")
[ -z "${PORT:-}" ] || options+=(--port "$PORT")
for folder in ${LEND:-}; do options+=(--lend "$folder"); done
[ -z "${AGAIN:-}" ] || options+=(--again)
[ "${EXAMPLE:-digits}" = - ] || options+=(--example "$ROOT/examples/${EXAMPLE:-digits}")
# exec: Ctrl-C and SIGTERM reach the one process that knows how to stop the others.
exec "$(system_python)" scripts/stack.py "${options[@]}"

# Sourced: start_postgres starts a private cluster on a free port in a temporary folder and exports IOG_TEST_POSTGRES;
# stop_postgres removes it. Nothing that already runs is touched. It does not wait for the disk, as its data is thrown away;
# `start_postgres NAME` waits for it as Postgres does when nobody asks otherwise, and its logs bear the name.
# shellcheck shell=bash

start_postgres() {
  local bin port i run=() log=$LOGS/postgres${1:+-$1} options=(-c fsync=off -c synchronous_commit=off -c full_page_writes=off)
  [ -z "${1:-}" ] || options=()
  bin=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n1)
  [ -n "$bin" ] || die "Postgres' programs are missing; run scripts/setup.sh postgres"
  PG_FOLDER=$(mktemp -d "${TMPDIR:-/tmp}/iog-postgres.XXXXXX")
  if [ "$(id -u)" = 0 ]; then
    # Postgres refuses to run as root; Debian's package brings a user for it.
    chown postgres "$PG_FOLDER"
    run=(setpriv --reuid=postgres --regid=postgres --init-groups)
  fi
  (cd "$PG_FOLDER" && "${run[@]}" "$bin/initdb" --pgdata=data --username=iog --auth=trust --encoding=UTF8 --locale=C --no-sync) \
    >"$log-initdb.log" 2>&1 || die "initdb failed; see $log-initdb.log"
  port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
  # It ends with this script, however that ends.
  (cd "$PG_FOLDER" && exec setpriv ${run[@]+"${run[@]:1}"} --pdeathsig INT "$bin/postgres" -D data -p "$port" -k "$PG_FOLDER" \
    -c listen_addresses=127.0.0.1 -c max_connections=200 ${options[@]+"${options[@]}"}) \
    >"$log.log" 2>&1 </dev/null &
  PG_PID=$! PG_PORT=$port
  for i in $(seq 100); do
    if "$bin/pg_isready" -q -h 127.0.0.1 -p "$port"; then
      "$bin/createdb" -h 127.0.0.1 -p "$port" -U iog iog
      export IOG_TEST_POSTGRES="postgres://iog@127.0.0.1:$port/iog"
      return
    fi
    kill -0 "$PG_PID" 2>/dev/null || die "Postgres did not start; see $log.log"
    sleep 0.1
  done
  die "Postgres was not ready within ${i}00 ms; see $log.log"
}

stop_postgres() {
  if [ -n "${PG_PID:-}" ]; then
    kill -INT "$PG_PID" 2>/dev/null || true
    wait "$PG_PID" 2>/dev/null || true
    PG_PID=
  fi
  [ -z "${PG_FOLDER:-}" ] || rm -rf "$PG_FOLDER"
  PG_FOLDER=
}

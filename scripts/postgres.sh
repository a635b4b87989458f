# Sourced: start_postgres starts a private cluster on a free port in a temporary folder and exports IOG_TEST_POSTGRES;
# stop_postgres removes it. Nothing that already runs is touched.
# shellcheck shell=bash

start_postgres() {
  local bin port i run=()
  bin=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null | sort -V | tail -n1)
  [ -n "$bin" ] || die "Postgres' programs are missing; run scripts/setup.sh test"
  PG_FOLDER=$(mktemp -d "${TMPDIR:-/tmp}/iog-postgres.XXXXXX")
  if [ "$(id -u)" = 0 ]; then
    # Postgres refuses to run as root; Debian's package brings a user for it.
    chown postgres "$PG_FOLDER"
    run=(setpriv --reuid=postgres --regid=postgres --init-groups)
  fi
  (cd "$PG_FOLDER" && "${run[@]}" "$bin/initdb" --pgdata=data --username=iog --auth=trust --encoding=UTF8 --locale=C --no-sync) \
    >"$LOGS/postgres-initdb.log" 2>&1 || die "initdb failed; see $LOGS/postgres-initdb.log"
  port=$(node -e 'const s = require("net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); })')
  # Its data is thrown away, so it need not wait for the disk. It ends with this script, however that ends.
  (cd "$PG_FOLDER" && exec setpriv ${run[@]+"${run[@]:1}"} --pdeathsig INT "$bin/postgres" -D data -p "$port" -k "$PG_FOLDER" \
    -c listen_addresses=127.0.0.1 -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=200) \
    >"$LOGS/postgres.log" 2>&1 </dev/null &
  PG_PID=$!
  for i in $(seq 100); do
    if "$bin/pg_isready" -q -h 127.0.0.1 -p "$port"; then
      "$bin/createdb" -h 127.0.0.1 -p "$port" -U iog iog
      export IOG_TEST_POSTGRES="postgres://iog@127.0.0.1:$port/iog"
      return
    fi
    kill -0 "$PG_PID" 2>/dev/null || die "Postgres did not start; see $LOGS/postgres.log"
    sleep 0.1
  done
  die "Postgres was not ready within ${i}00 ms; see $LOGS/postgres.log"
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

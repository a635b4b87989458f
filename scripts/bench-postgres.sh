#!/usr/bin/env bash
# A Postgres of its own for a row of `make bench`, as sure of its commits as it comes. Says where it is (folder of the socket,
# port, process) when it is ready, and ends when its input does. The argument names its logs.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source scripts/postgres.sh

trap stop_postgres EXIT
start_postgres "$1"
say "$PG_FOLDER $PG_PORT $PG_PID"
read -r _ || true

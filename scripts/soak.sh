#!/usr/bin/env bash
# `make soak`: the proofs of the books at full length, one after the other; each says what it did and with which seed. The
# tests run the same code, shorter. docs/soak.md tells what each of them shows.
#
#   scripts/soak.sh                      all
#   scripts/soak.sh ledger simulation    these
#
# IOG_SOAK_SEED (1) chooses the run. Lengths: IOG_SOAK_LEDGER_OPS, IOG_SOAK_KILLS and IOG_SOAK_TRANSFERS, IOG_SOAK_DELIVERIES, IOG_SEEDS,
# IOG_SOAK_PAYOUTS.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source scripts/postgres.sh

PARTS=("$@")
[ $# -gt 0 ] || PARTS=(ledger crash deliveries simulation devchain payouts)
for part in "${PARTS[@]}"; do
  case $part in ledger | crash | deliveries | simulation | devchain | payouts) ;;
    *) die "unknown part '$part'; known are ledger, crash, deliveries, simulation, devchain and payouts" ;;
  esac
done
export IOG_SOAK_SEED=${IOG_SOAK_SEED:-1}
export IOG_SOAK_LEDGER_OPS=${IOG_SOAK_LEDGER_OPS:-1000000}
export IOG_SOAK_KILLS=${IOG_SOAK_KILLS:-200} IOG_SOAK_TRANSFERS=${IOG_SOAK_TRANSFERS:-10000}
export IOG_SOAK_DELIVERIES=${IOG_SOAK_DELIVERIES:-1000000}
export IOG_SOAK_PAYOUTS=${IOG_SOAK_PAYOUTS:-10000}
SEEDS=${IOG_SEEDS:-10000}

# One set of packages for all, so that nothing is compiled twice.
PACKAGES=(-p ledger -p store -p exchange -p devchain)
trap stop_postgres EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

bash scripts/setup.sh run test
source scripts/lib.sh
start_postgres
step "Proofs: compile" cargo test "${PACKAGES[@]}" --test model --test crash --test flow --test durable --no-run

proof() { # test program, name of the test
  local begun=$SECONDS
  cargo test -q "${PACKAGES[@]}" --test "$1" -- "$2" --nocapture --test-threads=1 | grep -v '^$\|^running\|^test result\|^TRY\|^ACK\|^\.*$'
  say "  $2: $(spent "$begun")"
}

# Each on its own half of the seeds; what they write is no proof of a disk, so it may lie in memory.
simulation() {
  local jobs each first running=()
  jobs=$(nproc)
  each=$(((SEEDS + jobs - 1) / jobs))
  [ ! -w /dev/shm ] || export TMPDIR=/dev/shm
  for ((first = 1; first <= SEEDS; first += each)); do
    # The databases of a seed are SQLite files: Postgres would be asked for ten thousand of them.
    (unset IOG_TEST_POSTGRES && IOG_SEED_FIRST=$first IOG_SEEDS=$each proof flow whatever_happens_the_books_hold) &
    running+=($!)
  done
  local rc=0
  for job in "${running[@]}"; do wait "$job" || rc=1; done
  return $rc
}

# The whole server and the chain as processes; compiled with the workspace, as the tests are.
payouts() {
  bash scripts/build.sh
  export IOG_SERVER_BIN=$TARGET/debug/iog-server IOG_WORKER_BIN=$TARGET/debug/iog-worker IOG_DEVCHAIN_BIN=$TARGET/debug/iog-devchain
  local begun=$SECONDS
  cargo test -q --workspace --test integration -- chain::each_payout_is_paid_once --nocapture --test-threads=1 |
    grep -v '^$\|^running\|^test result\|^\.*$'
  say "  each payout is paid once: $(spent "$begun")"
}

for part in "${PARTS[@]}"; do
  say "$part"
  case $part in
    ledger) proof model random_operations_do_what_the_model_says ;;
    crash) proof crash what_was_acknowledged_is_there_after_kill_9 ;;
    deliveries) proof flow what_is_billed_is_what_was_delivered_however_it_arrives ;;
    simulation) simulation ;;
    devchain) proof durable killed_at_any_moment_nothing_that_was_answered_is_lost ;;
    payouts) payouts ;;
  esac
done
say "All held."

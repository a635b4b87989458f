#!/usr/bin/env bash
# Whether the tests notice a wrong line: cargo-mutants changes the pure money crates line by line. Needs `cargo install
# cargo-mutants`. Arguments name crates; without any, ledger and metering. The lists are in target/mutants/<crate>.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

command -v cargo-mutants >/dev/null || die "cargo-mutants is missing: cargo install --locked cargo-mutants"
CRATES=("$@")
[ $# -gt 0 ] || CRATES=(ledger metering)
mkdir -p "$ROOT/target/mutants"
for crate in "${CRATES[@]}"; do
  say "$crate"
  # Missed ones are for us to read, not an error of the tool.
  cargo mutants --package "$crate" --no-shuffle --colors never --output "$ROOT/target/mutants/$crate" || [ $? = 2 ]
  for list in missed caught timeout unviable; do
    say "  $list: $(wc -l <"$ROOT/target/mutants/$crate/mutants.out/$list.txt")"
  done
done

#!/usr/bin/env bash
# `make lint`: format, compiler's lints for both targets, licences and sources. Seconds when nothing changed.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
source scripts/checks.sh

[ "${1:-}" = --no-setup ] || bash scripts/setup.sh run
source scripts/lib.sh
failed=0
check_format || failed=1
check_host || failed=1
check_browser || failed=1
check_dependencies || failed=1
exit "$failed"

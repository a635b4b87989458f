#!/usr/bin/env bash
# `make clean`: remove what was built in this checkout. Data (./data) and the tools in the cache stay.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

rm -rf "$ROOT/target" node_modules end2end/node_modules end2end/test-results end2end/playwright-report
say "Removed target/ and node_modules/. Your data is in ${IOG_DATA:-$ROOT/data}, tools are in $TOOLS."

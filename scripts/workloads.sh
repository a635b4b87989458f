#!/usr/bin/env bash
# `make workloads`: the templates with what people use them for (PyTorch, Blender, a language model, Jupyter, Ray, a container of a
# registry), launched and looked at in a real browser, on a stack of its own. Pictures of it stay in target/workloads.
#
#   scripts/workloads.sh [arguments of Playwright, such as -g Blender]
#
# Not a part of `make test`: it fetches 2 GB. There, raytrace, digits and tiny-chat stand for the three workloads.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

say "Set-up"
bash scripts/setup.sh workloads
source scripts/lib.sh
say "Build"
[ -n "${IOG_BUILT:-}" ] || bash scripts/build.sh

say "Run"
data=$(mktemp -d "${TMPDIR:-/var/tmp}/iog-workloads.XXXXXX")
trap 'kill "${registry:-}" 2>/dev/null || true; rm -rf "$data"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
port=$("$(system_python)" -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])')
mkdir -p "$data/registry"
cat > "$data/registry.yml" <<YML
version: 0.1
storage: { filesystem: { rootdirectory: $data/registry } }
http: { addr: "127.0.0.1:$port" }
YML
"$WORKLOADS/registry/docker-registry" serve "$data/registry.yml" >"$LOGS/registry.log" 2>&1 &
registry=$!
export IOG_IMAGE
IOG_IMAGE=$("$(system_python)" scripts/push-busybox.py "127.0.0.1:$port")
say "  A registry at 127.0.0.1:$port with $IOG_IMAGE"
rm -rf "$ROOT/target/workloads"
programs=${IOG_PROGRAMS:-$TARGET/debug}
rc=0
"$(system_python)" scripts/stack.py --data "$data/stack" --programs "$programs" --site "$SITE" --chain none \
  --lend "$WORKLOADS/bpy:/opt/bpy" --lend "$WORKLOADS/ray:/opt/ray" --lend "$WORKLOADS/llm:/opt/iog-llm" --registry "127.0.0.1:$port" \
  -- bash -c 'cd end2end && IOG_WORKLOADS=1 IOG_E2E_REPORT=../target/log/workloads.json exec node_modules/.bin/playwright test --project=workloads "$@"' bash "$@" || rc=$?
[ "$rc" = 0 ] || { rm -rf "$LOGS/workloads-data"; cp -R "$data/stack/log" "$LOGS/workloads-data"; say "  logs of server and workers: $LOGS/workloads-data"; }
exit "$rc"

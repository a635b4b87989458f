#!/usr/bin/env bash
# A bare Debian 12 (debootstrap, nothing but curl and its certificates added) joins with the portal's one line and runs a job there: a check for
# people, not for CI. Needs root, debootstrap and the built programs (`cargo build -p server -p worker`).
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[ "$(id -u)" = 0 ] || die "a root of its own needs root"
command -v debootstrap >/dev/null || die "apt-get install debootstrap"
TARGET=${CARGO_TARGET_DIR:-target}
WORK=$(mktemp -d)
BARE=${IOG_BARE:-$WORK/bare}
PORT=${IOG_BARE_PORT:-4871}
URL=http://127.0.0.1:$PORT
server= worker=

# Not chroot: the kernel lets nobody make a user namespace from inside one, and each job's sandbox is one. With a root of its own, as
# on a machine, it may. The mounts are this process's alone, and go with it.
inside() {
  env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root BARE="$BARE" unshare --mount --propagation private /bin/sh -ec '
    mount --bind "$BARE" "$BARE"
    for place in proc sys dev; do mount --rbind "/$place" "$BARE/$place"; done
    cd "$BARE"; mkdir -p mnt/before; pivot_root . mnt/before; cd /
    umount -l /mnt/before; rmdir /mnt/before
    exec /bin/sh -c "$1"' sh "$1"
}

leave() {
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  [ -z "$worker" ] || kill -- "-$worker" 2>/dev/null || true
  [ -n "${IOG_BARE:-}" ] || rm -rf --one-file-system "$BARE"
  rm -rf --one-file-system "$WORK"
}
trap leave EXIT

[ -x "$BARE/usr/bin/curl" ] ||
  step "Bare Debian 12" debootstrap --variant=minbase --include=curl,ca-certificates bookworm "$BARE"
export IOG_DATA_DIR=$WORK/data IOG_PUBLIC_URL=$URL LEPTOS_SITE_ADDR=127.0.0.1:$PORT PW=correct-horse
iog() { "$TARGET/debug/iog-server" "$@"; }
iog account create --email bare@example.com --name Bare --password-env PW --demo-credit-io 10 >/dev/null
line=$(iog join-token create --email bare@example.com 2>&1 >/dev/null | grep -o '(curl.*')
key=$(iog key create --email bare@example.com --name bare --scopes read,jobs 2>/dev/null)
# The program itself, so that its end is the server's. Another's server on this port would answer too: so ours must be there when it does.
"$TARGET/debug/iog-server" serve > "$WORK/server.log" 2>&1 & server=$!
sleep 0.5
until kill -0 "$server" 2>/dev/null && curl -fsS "$URL/readyz" >/dev/null 2>&1; do kill -0 "$server" 2>/dev/null || die "the server ended: $(tail -3 "$WORK/server.log")"; sleep 0.2; done

say "$line"
# A group of its own: the line is a pipe, and the worker one of its processes.
set -m
inside "$line --name bare --price-per-hour 0.5" > "$WORK/worker.log" 2>&1 & worker=$!
set +m
ask() { curl -fsS -H "Authorization: Bearer $key" -H 'Content-Type: application/json' "$@"; }
for _ in $(seq 100); do
  job=$(ask -d '{"spec": {"name": "bare", "command": ["/bin/sh", "-c", "cat /usr/lib/os-release; id -u"]}}' "$URL/api/v1/jobs" 2>/dev/null |
    python3 -c 'import json,sys; print(json.load(sys.stdin)["id"])' 2>/dev/null) && break
  kill -0 $worker 2>/dev/null || die "the worker ended: $(tail -5 "$WORK/worker.log")"
  sleep 0.3
done
for _ in $(seq 100); do
  state=$(ask "$URL/api/v1/jobs/$job" | python3 -c 'import json,sys; print(json.load(sys.stdin)["state"])')
  case $state in finished | failed | stopped) break ;; esac
  sleep 0.3
done
cat "$WORK/worker.log"
ask "$URL/api/v1/jobs/$job/logs" | python3 -c 'import json,sys; print("".join(line["text"] for line in json.load(sys.stdin)["lines"]))'
[ "$state" = finished ] || die "the job is $state"
kill -TERM -- "-$worker"
wait "$worker" || true
worker=
inside "/usr/local/bin/iog-worker uninstall"
[ ! -e "$BARE/var/lib/iog-worker" ] && [ ! -e "$BARE/usr/local/bin/iog-worker" ] || die "something stayed"
say "A bare Debian 12 joined, ran a job and was left as it was."

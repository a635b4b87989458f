#!/usr/bin/env bash
# A bare Debian 12 (debootstrap, nothing but curl added) joins with the portal's one line and runs a job there: a check for
# people, not for CI. Needs root, debootstrap and the built programs (`cargo build -p server -p worker`).
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[ "$(id -u)" = 0 ] || die "chroot needs root"
command -v debootstrap >/dev/null || die "apt-get install debootstrap"
TARGET=${CARGO_TARGET_DIR:-target}
WORK=$(mktemp -d)
BARE=${IOG_BARE:-$WORK/bare}
PORT=${IOG_BARE_PORT:-4871}
URL=http://127.0.0.1:$PORT
server=

leave() {
  for place in proc sys/fs/cgroup sys dev; do umount -R "$BARE/$place" 2>/dev/null || true; done
  [ -z "$server" ] || kill "$server" 2>/dev/null || true
  [ -n "${IOG_BARE:-}" ] || rm -rf --one-file-system "$BARE"
  rm -rf --one-file-system "$WORK"
}
trap leave EXIT

[ -x "$BARE/usr/bin/curl" ] ||
  step "Bare Debian 12" debootstrap --variant=minbase --include=curl bookworm "$BARE"
for place in proc sys dev; do mount --rbind "/$place" "$BARE/$place" && mount --make-rslave "$BARE/$place"; done

export IOG_DATA_DIR=$WORK/data IOG_PUBLIC_URL=$URL LEPTOS_SITE_ADDR=127.0.0.1:$PORT PW=correct-horse
iog() { "$TARGET/debug/iog-server" "$@"; }
iog account create --email bare@example.com --name Bare --password-env PW --demo-credit-io 10 >/dev/null
line=$(iog join-token create --email bare@example.com 2>&1 >/dev/null | grep -o '(curl.*')
key=$(iog key create --email bare@example.com --name bare --scopes read,jobs 2>/dev/null)
iog serve > "$WORK/server.log" 2>&1 & server=$!
until curl -fsS "$URL/readyz" >/dev/null 2>&1; do kill -0 "$server" || die "the server ended: $(tail -3 "$WORK/server.log")"; sleep 0.2; done

say "$line"
env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root chroot "$BARE" /bin/sh -c "$line --name bare --price-per-hour 0.5" > "$WORK/worker.log" 2>&1 & worker=$!
ask() { curl -fsS -H "Authorization: Bearer $key" -H 'Content-Type: application/json' "$@"; }
for _ in $(seq 100); do
  job=$(ask -d '{"spec": {"name": "bare", "command": ["/bin/sh", "-c", "cat /etc/os-release; id -u"]}}' "$URL/api/v1/jobs" 2>/dev/null |
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
ask "$URL/api/v1/jobs/$job/log" | python3 -c 'import json,sys; print("".join(line["text"] for line in json.load(sys.stdin)["lines"]))'
[ "$state" = finished ] || die "the job is $state"
kill -TERM $worker; wait $worker || true
chroot "$BARE" /usr/local/bin/iog-worker uninstall
[ ! -e "$BARE/var/lib/iog-worker" ] && [ ! -e "$BARE/usr/local/bin/iog-worker" ] || die "something stayed"
say "A bare Debian 12 joined, ran a job and was left as it was."

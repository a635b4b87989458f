#!/usr/bin/env bash
# The worker's tests on a kernel whose cgroups are of version 2 alone, whatever this machine has mounted: Debian 13 with its own kernel and
# systemd, in QEMU (in software, so it runs anywhere; about ten minutes and 3 GB in a folder that is removed). By hand, not in CI.
#
#   scripts/cgroup2.sh          as root, as an ordinary user, and in the containers of that user's own podman
#   scripts/cgroup2.sh TEST     only tests of that name
#
# Needs root and debootstrap. Build first: cargo test -p worker --test it --no-run
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[ "$(id -u)" = 0 ] || die "making a system's root needs root"
command -v debootstrap >/dev/null || die "debootstrap is missing: apt-get install debootstrap"
it=$(cargo test -q -p worker --test it --no-run --message-format json 2>/dev/null | sed -n 's/.*"executable":"\([^"]*\/it-[^"]*\)".*/\1/p' | tail -1)
[ -x "$it" ] || die "the worker's tests are not built"

room=$(mktemp -d "${TMPDIR:-/var/tmp}/iog-cgroup2.XXXXXX")
tree=$room/tree
leave() { umount "$tree/proc" "$tree/dev" 2>/dev/null || true; rm -rf --one-file-system "$room"; }
trap leave EXIT
trap 'exit 130' INT TERM

make_tree() {
  # debootstrap configures what it includes in no order that systemd's packages can bear; apt does.
  debootstrap --variant=minbase trixie "$tree" http://deb.debian.org/debian
  mount -t proc proc "$tree/proc"
  DEBIAN_FRONTEND=noninteractive chroot "$tree" apt-get install -y -qq --no-install-recommends linux-image-amd64 systemd systemd-sysv dbus-user-session \
    libpam-systemd ca-certificates iproute2 procps python3 busybox-static podman crun uidmap passt zstd qemu-system-x86
  umount "$tree/proc"
  chroot "$tree" useradd -m owner
  mkdir -p "$tree/var/lib/systemd/linger"
  touch "$tree/var/lib/systemd/linger/owner"
  # The tests start this worker, from the path that is compiled into them.
  mkdir -p "$tree$TARGET/debug" "$tree$ROOT"
  cp "$TARGET/debug/iog-worker" "$tree$TARGET/debug/"
  cp -R worker templates examples "$tree$ROOT/"
  cp "$it" "$tree/usr/local/bin/it"
  local part=$ROOT/worker
  while [ "$part" != / ]; do chmod a+rx "$tree$part"; part=$(dirname "$part"); done
  part=$TARGET/debug
  while [ "$part" != / ]; do chmod a+rx "$tree$part"; part=$(dirname "$part"); done
}

# What it does when it is up. A worker of an ordinary user delegates from a group that holds nothing else; so the tests step down into a leaf
# as the worker would, before they start workers of their own.
write_orders() {
  cat >"$tree/usr/local/bin/orders" <<ORDERS
#!/bin/bash
exec >/dev/ttyS0 2>&1
cd $ROOT/worker
export HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin RUST_BACKTRACE=0
mount | grep 'type cgroup'
tests() { echo "PART \$1"; shift; "\$@" >/tmp/out 2>&1; grep -E '^test |panicked' -A2 /tmp/out | grep -v '\.\.\. ok' | head -c 20000; }
owner() { systemd-run -q --user -M owner@ --expand-environment=no -p Delegate=yes -p WorkingDirectory=$ROOT/worker -E HOME=/home/owner -E RUST_BACKTRACE=0 --pipe --wait "\$@"; }
tests root it --test-threads 2 $1
tests owner owner bash -c 'own=/sys/fs/cgroup\$(cut -d: -f3 /proc/self/cgroup); mkdir \$own/iog-agent; echo \$\$ >\$own/iog-agent/cgroup.procs; exec it --test-threads 2 $1'
systemd-run -q --user -M owner@ --unit pod podman system service --time=0 unix:///run/user/1000/pod.sock
until [ -S /run/user/1000/pod.sock ]; do sleep 1; done
tests "rootless podman" owner -E IOG_TEST_ENGINE=podman=/run/user/1000/pod.sock it --test-threads 1 ${1:-engine::}
echo OVER
systemctl poweroff
ORDERS
  chmod 755 "$tree/usr/local/bin/orders"
  cat >"$tree/etc/systemd/system/orders.service" <<'UNIT'
[Service]
ExecStart=/usr/local/bin/orders
Delegate=yes
UNIT
  mkdir -p "$tree/etc/systemd/system/multi-user.target.wants"
  ln -s ../orders.service "$tree/etc/systemd/system/multi-user.target.wants/orders.service"
  # A login prompt would hang up the line that the orders write to.
  ln -s /dev/null "$tree/etc/systemd/system/serial-getty@ttyS0.service"
}

make_disk() {
  truncate -s 4G "$room/disk"
  mkfs.ext4 -q -F -d "$tree" "$room/disk"
  mv "$room/disk" "$tree/disk"
}

run_it() {
  mount --bind /dev "$tree/dev"
  mount -t proc proc "$tree/proc"
  chroot "$tree" sh -c 'exec timeout 3000 qemu-system-x86_64 -M q35 -accel tcg -cpu max -m 4096 -smp 2 -nographic -no-reboot -nic none \
    -kernel /boot/vmlinuz-* -initrd /boot/initrd.img-* -append "root=/dev/vda rw console=ttyS0 quiet loglevel=1" \
    -drive file=/disk,if=virtio,format=raw,cache=unsafe' | tr -d '\r'
}

step "Debian 13 with its kernel" make_tree
write_orders "${1:-}"
step "Its disk" make_disk
step "Tests on it" run_it
log=$LOGS/Tests-on-it.log
sed -n '/type cgroup/p; /^PART/,/^OVER/p' "$log"
grep -q '^OVER' "$log" || die "it did not come to the end; whole log: $log"
[ "$(grep -c '^test result: ok' "$log")" = 3 ] || die "tests failed; whole log: $log"

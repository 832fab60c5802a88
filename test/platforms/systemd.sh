#!/usr/bin/env bash
# systemd.sh: a daemon as a unit of systemd, on this very host, which it changes: meant for the guest of boot.sh --systemd.
# Stopping, starting, restarting and killing the unit leaves a container with limits as it is.
set -uo pipefail
cd "$(dirname "$0")/../.."
. test/platforms/checks.sh
swarm() { node dist/tsswarm.js "$@"; }

cat >/run/systemd/system/tsswarm.service <<UNIT
[Unit]
Description=tsswarm daemon
[Service]
ExecStart=$(command -v node) $PWD/dist/tsswarm.js daemon --group root
KillMode=process
Delegate=yes
TasksMax=infinity
UNIT
ip link add wire type dummy
ip addr add 192.0.2.1/24 dev wire
ip link set wire up
image_archive /tmp/image
systemctl daemon-reload

serves() { swarm info >/dev/null 2>&1; }
check 'the unit starts' systemctl start tsswarm
check 'the daemon serves' in_time serves
[ "$failures" = 0 ] || journalctl --no-pager -u tsswarm | tail -20
[ "$failures" = 0 ] || finish
check 'image load' swarm image load -i /tmp/image/image.tar
check 'swarm init' swarm swarm init --advertise-addr 192.0.2.1
check 'service create' swarm service create --name web --detach --limit-memory 64M --limit-pids 20 --limit-cpu 0.5 \
  busybox sh -c 'trap exit TERM; while :; do sleep 1; done'
is_running() { swarm service ps --filter desired-state=running --format '{{.CurrentState}}' web | grep -q ^Running; }
check 'it runs' in_time is_running
[ "$failures" = 0 ] || finish
id=$(swarm service ps --no-trunc --filter desired-state=running -q web | head -1)
before=$(main_process_of "$id")
goes_on() { same "$before" "$(main_process_of "$id")" && limits_hold; }
limits_hold() {
  limited "$id" memory.max 67108864 memory.limit_in_bytes 67108864 &&
    limited "$id" pids.max 20 pids.max 20 && limited "$id" cpu.max '50000 100000' cpu.cfs_quota_us 50000
}
check 'its limits are in the cgroup' limits_hold
echo "cgroups: daemon $(cat "/proc/$(systemctl show -P MainPID tsswarm)/cgroup"), container $(cat "/proc/$before/cgroup")"

check 'systemctl stop' systemctl stop tsswarm
check 'the container goes on' goes_on
check 'nothing of the unit is left' same 'inactive ' "$(systemctl is-active tsswarm) $(cat /sys/fs/cgroup/system.slice/tsswarm.service/cgroup.procs 2>/dev/null)"
check 'systemctl start' systemctl start tsswarm
check 'the daemon serves and the service runs' in_time is_running
check 'by the same container' goes_on
check 'systemctl restart' systemctl restart tsswarm
check 'the daemon serves and the service runs' in_time is_running
check 'by the same container' goes_on
check 'kill -9 of the daemon' systemctl kill --kill-whom=main --signal=KILL tsswarm
has_failed() { [ "$(systemctl is-active tsswarm)" = failed ]; }
check 'systemd sees it' in_time has_failed
check 'the container goes on' goes_on
systemctl daemon-reload
check 'also through daemon-reload' goes_on
check 'systemctl start' systemctl start tsswarm
check 'the daemon serves and the service runs' in_time is_running
check 'by the same container' goes_on
journalctl --no-pager -u tsswarm -p warning | tail -20
check 'service rm' swarm service rm web
is_gone() { [ -z "$(cgroups_of "$id")" ]; }
check 'its cgroup goes' in_time is_gone
systemctl stop tsswarm
finish

#!/usr/bin/env bash
# package.sh DEB NEWER: the Debian package under systemd, on this very host, which it changes: meant for the guest of
# boot.sh --systemd with DISK. Installs DEB, founds a swarm, runs a service; the daemon is restarted, killed, reloaded, and
# replaced by that of NEWER, and the container goes on; then the host restarts.
# package.sh --after-reboot, in the next boot with the same DISK: the daemon comes back with its swarm, and the service runs.
set -uo pipefail
cd "$(dirname "$0")/../.."
. test/platforms/checks.sh
# Not every kernel has dummies.
ip link add wire type dummy 2>/dev/null || { ip link add wire type veth peer name wire0 && ip link set wire0 up; }
ip addr add 192.0.2.1/24 dev wire
ip link set wire up

serves() { tsswarm info >/dev/null 2>&1; }
is_running() { tsswarm service ps --filter desired-state=running --format '{{.CurrentState}}' web 2>/dev/null | grep -q ^Running; }
task_of() { tsswarm service ps --no-trunc --filter desired-state=running -q web 2>/dev/null | head -1; }
pid_of() { systemctl show -P MainPID tsswarm; }
is_active() { [ "$(systemctl is-active tsswarm)" = active ]; }
is_other() { is_active && [ "$(pid_of)" != "$1" ] && serves; }
said() { journalctl --no-pager -u tsswarm | grep -q "$1"; }
gone_wrong() { journalctl --no-pager -u tsswarm | tail -30; finish; }
# The trigger of the manual's index takes minutes here, and is not ours.
install() { dpkg --no-triggers -i "$1" >/tmp/dpkg 2>&1 || { tail -20 /tmp/dpkg; false; }; }

# A tree that was a container may forbid packages to start their services.
rm -f /usr/sbin/policy-rc.d
# Emulated processors need more time than the unit gives.
mkdir -p /run/systemd/system/tsswarm.service.d
printf '[Service]\nTimeoutStartSec=%ss\n' "$wait" >/run/systemd/system/tsswarm.service.d/slow.conf
systemctl daemon-reload

if [ "$1" = --after-reboot ]; then
  check 'the unit is enabled' systemctl --quiet is-enabled tsswarm
  check 'it starts' systemctl start tsswarm
  check 'the daemon serves' in_time serves
  check 'it is in its swarm' in_time tsswarm node ls
  check 'the service runs' in_time is_running
  [ "$failures" = 0 ] || gone_wrong
  first=$(cat /var/lib/tsswarm/first-task)
  now=''
  is_new() { now=$(task_of) && [ -n "$now" ] && [ "$now" != "$first" ]; }
  check 'by a task of this boot' in_time is_new
  has_process() { main=$(main_process_of "$now") && [ -n "$main" ]; }
  check 'and a container' in_time has_process
  check 'service rm' tsswarm service rm web
  is_gone() { [ -z "$(cgroups_of "$now")" ]; }
  check 'its cgroup goes' in_time is_gone
  check 'the package is removed' dpkg --no-triggers -r tsswarm
  check 'the unit with it' same inactive "$(systemctl is-active tsswarm)"
  check 'its settings stay' test -f /etc/tsswarm/daemon.yaml
  finish
fi

deb=$1
newer=$2
image_archive /tmp/image
check 'dpkg -i' install "$deb"
check 'the unit is enabled and active' in_time is_active
check 'the daemon serves' in_time serves
[ "$failures" = 0 ] || gone_wrong
check 'systemd knows that it is ready' same "serves /run/tsswarm/tsswarm.sock" "$(systemctl show -P StatusText tsswarm)"
check 'doctor finds nothing missing' tsswarm doctor
check 'man page, completion' test -s /usr/share/man/man1/tsswarm-service-create.1.gz -a -s /usr/share/bash-completion/completions/tsswarm
check 'image load' tsswarm image load -i /tmp/image/image.tar
check 'swarm init' tsswarm swarm init --advertise-addr 192.0.2.1
# A daemon that is away for longer than its heartbeats allow has its task replaced, and emulated processors are slow.
check 'slower heartbeats' in_time tsswarm swarm update --dispatcher-heartbeat 60s
check 'service create' tsswarm service create --name web --detach --limit-memory 64M \
  busybox sh -c 'trap exit TERM; while :; do sleep 1; done'
check 'it runs' in_time is_running
[ "$failures" = 0 ] || gone_wrong
id=$(task_of)
before=$(main_process_of "$id")
goes_on() { same "$before" "$(main_process_of "$id")"; }
knows_no_socket() { ! tr '\0' '\n' <"/proc/$before/environ" | grep -q NOTIFY_SOCKET; }
check 'the container does not see the socket of systemd' knows_no_socket

pid=$(pid_of)
check 'systemctl restart' systemctl restart tsswarm
check 'another daemon serves' in_time is_other "$pid"
check 'the service runs' in_time is_running
check 'by the same container' goes_on
pid=$(pid_of)
check 'kill -9 of the daemon' systemctl kill --kill-whom=main --signal=KILL tsswarm
check 'systemd starts another' in_time is_other "$pid"
check 'the service runs' in_time is_running
check 'by the same container' goes_on
printf 'logLevel: debug\ngroup: adm\n' >/etc/tsswarm/daemon.yaml
check 'systemctl reload' systemctl reload tsswarm
check 'the log names what needs a restart' in_time said 'each needs a restart'
check 'and the level is followed' in_time said '"level":20'
pid=$(pid_of)
check 'dpkg -i of a newer one' install "$newer"
check 'another daemon serves' in_time is_other "$pid"
check 'the settings are the user’s' grep -q 'logLevel: debug' /etc/tsswarm/daemon.yaml
check 'the service runs' in_time is_running
check 'by the same container' goes_on
echo "cgroups: daemon $(cat "/proc/$(pid_of)/cgroup"), container $(cat "/proc/$before/cgroup")"
journalctl --no-pager -u tsswarm -p warning | tail -20
echo "$id" >/var/lib/tsswarm/first-task
sync
finish

#!/usr/bin/env bash
# package.sh DEB NEWER: the life of the Debian package under systemd, on this very host, which it changes: meant for the guest of
# boot.sh --systemd with DISK, which begins it anew after the restart in its middle. DEB is installed, a swarm founded, a service
# of two containers and a volume run; the daemon is restarted, killed, reloaded, replaced by that of NEWER, stopped and started, and
# the same processes go on; the host restarts, and the service comes back; the package is removed and purged, and nothing is left
# but the volume.
set -uo pipefail
cd "$(dirname "$0")/../.."
. test/platforms/checks.sh
memory=/var/lib/tsswarm-package-test
# Looked at again and again, without a program of ours: each start of one takes seconds here.
serves() { [[ $(systemctl show -P StatusText tsswarm) = serves* ]]; }
both_live() { [ "$(grep -l 'populated 1' /sys/fs/cgroup/tsswarm/*/cgroup.events 2>/dev/null | grep -vc /monitors/)" = 2 ]; }
tasks() { tsswarm service ps --no-trunc --filter desired-state=running --format '{{.ID}} {{.CurrentState}}' web 2>/dev/null | sed -n 's/ Running.*//p' | sort; }
both_run() { in_time both_live && in_time two_tasks; }
two_tasks() { [ "$(tasks | wc -l)" = 2 ]; }
main_processes() { for id in $1; do main_process_of "$id"; done | paste -sd' '; }
have_processes() { processes=$(main_processes "$(tasks)") && [ "$(wc -w <<<"$processes")" = 2 ]; }
pid_of() { systemctl show -P MainPID tsswarm; }
is_active() { [ "$(systemctl is-active tsswarm)" = active ]; }
is_other() { is_active && [ "$(pid_of)" != "$1" ] && serves; }
said() { journalctl --no-pager -u tsswarm | grep -q "$1"; }
gone_wrong() {
  tsswarm service ps --no-trunc web
  tsswarm explain service web
  journalctl --no-pager -u tsswarm | tail -30
  rm -rf "$memory"
  finish
}
go_on() { [ "$failures" = 0 ] || gone_wrong; }
# The trigger of the manual's index takes minutes here, and is not ours.
package() { dpkg --no-triggers "$@" >/tmp/dpkg 2>&1 || { tail -20 /tmp/dpkg; false; }; }
# A daemon's cgroup is its unit's; ours are below /tsswarm.
traces() {
  ls /run/netns 2>/dev/null
  ip -br link | awk '$1 !~ /^(lo|wire)/ { print $1 }'
  nft list tables
  find /sys/fs/cgroup -type d -name '*tsswarm*' 2>/dev/null
  awk '/tsswarm/ && $2 != "/var/lib/tsswarm" { print "mount " $2 }' /proc/mounts
  find /run /etc /var/cache /var/lib /usr/bin /usr/lib /usr/share/doc /usr/share/man/man1 /usr/share/bash-completion /usr/share/zsh \
    /usr/share/fish -xdev -maxdepth 4 -name '*tsswarm*' ! -path "$memory*" ! -path /var/lib/tsswarm ! -path '*/wt/*' 2>/dev/null
  find /var/lib/tsswarm -mindepth 1 ! -name lost+found 2>/dev/null
  getent group tsswarm
  ps ax -o pid=,args= | grep -E '[c]onmon|[t]sswarm.js|[n]ats-server|[d]ns-main|[h]elper-main'
  true
}

# Not every kernel has dummies.
ip link add wire type dummy 2>/dev/null || { ip link add wire type veth peer name wire0 && ip link set wire0 up; }
ip addr add 192.0.2.1/24 dev wire
ip link set wire up
# A tree that was a container may forbid packages to start their services.
rm -f /usr/sbin/policy-rc.d
# Emulated processors need more time than the unit gives.
mkdir -p /run/systemd/system/tsswarm.service.d
printf '[Service]\nTimeoutStartSec=%ss\n' "$wait" >/run/systemd/system/tsswarm.service.d/slow.conf
systemctl daemon-reload

if [ -d "$memory" ]; then
  echo '-- after the restart'
  check 'the unit is enabled' systemctl --quiet is-enabled tsswarm
  check 'it starts' systemctl start tsswarm
  check 'the daemon serves' in_time serves
  check 'it is in its swarm' in_time tsswarm node ls
  check 'the service runs' both_run
  go_on
  check 'in containers of this start' in_time have_processes
  is_new() { [ -z "$(comm -12 <(tasks) "$memory/tasks")" ]; }
  check 'by tasks of this start' is_new
  is_kept() { [ "$(cat /proc/"${processes%% *}"/root/data/precious)" = precious ]; }
  check 'with what was in their volume' is_kept
  before=$processes
  check 'the package is removed' package -r tsswarm
  check 'the unit has ended' same inactive "$(systemctl is-active tsswarm)"
  lives() { kill -0 $before; }
  check 'the containers go on' lives
  check 'the settings stay' test -f /etc/tsswarm/daemon.yaml
  check 'the package is purged' package -P tsswarm
  grep -h '^tsswarm:' /tmp/dpkg
  left=$(grep -v '^/var/lib/tsswarm/engine\(/volumes\(/data\(/.*\)\?\)\?\)\?$' <(traces))
  has_ended() { ! kill -0 $before 2>/dev/null; }
  check 'the containers have ended' has_ended
  check 'nothing is left but the volume' same "none: $(comm -13 "$memory/traces" <(sort <<<"$left"))" 'none: '
  check 'which is there' grep -q precious -r /var/lib/tsswarm/engine/volumes
  rm -rf "$memory"
  finish
fi

mkdir "$memory"
traces | sort >"$memory/traces"
deb=$1
newer=$2
image_archive /tmp/image
check 'dpkg -i' package -i "$deb"
check 'the unit is enabled and active' in_time is_active
check 'the daemon serves' in_time serves
go_on
check 'man page, completion' test -s /usr/share/man/man1/tsswarm-service-create.1.gz -a -s /usr/share/bash-completion/completions/tsswarm
check 'image load' tsswarm image load --quiet -i /tmp/image/image.tar
check 'swarm init' tsswarm swarm init --advertise-addr 192.0.2.1
# A daemon that is away for longer than its heartbeats allow has its task replaced, and emulated processors are slow.
check 'slower heartbeats' in_time tsswarm swarm update --dispatcher-heartbeat 60s
check 'service create' tsswarm service create --name web --detach --replicas 2 --limit-memory 64M --mount type=volume,source=data,target=/data \
  busybox sh -c 'echo precious >/data/precious; trap exit TERM; while :; do sleep 1; done'
check 'it runs' both_run
go_on
check 'in two containers' in_time have_processes
before=$processes
goes_on() { same "$before" "$(main_processes "$(tasks)")" && kill -0 $before; }
knows_no_socket() { ! tr '\0' '\n' <"/proc/${before%% *}/environ" | grep -q NOTIFY_SOCKET; }
check 'the container does not see the socket of systemd' knows_no_socket

pid=$(pid_of)
check 'systemctl restart' systemctl restart tsswarm
check 'another daemon serves' in_time is_other "$pid"
check 'the service runs' both_run
check 'in the same processes' goes_on
pid=$(pid_of)
check 'kill -9 of the daemon' systemctl kill --kill-whom=main --signal=KILL tsswarm
check 'systemd starts another' in_time is_other "$pid"
check 'the service runs' both_run
check 'in the same processes' goes_on
printf 'logLevel: debug\ngroup: adm\n' >/etc/tsswarm/daemon.yaml
check 'systemctl reload' systemctl reload tsswarm
check 'the log names what needs a restart' in_time said 'each needs a restart'
check 'and the level is followed' in_time said '"settings":\["logLevel"\]'
pid=$(pid_of)
check 'dpkg -i of a newer one' package -i "$newer"
check 'another daemon serves' in_time is_other "$pid"
check 'the settings are the user’s' grep -q 'logLevel: debug' /etc/tsswarm/daemon.yaml
check 'the service runs' both_run
check 'in the same processes' goes_on
check 'systemctl stop' systemctl stop tsswarm
check 'nothing of the unit is left' same 'inactive ' "$(systemctl is-active tsswarm) $(cat /sys/fs/cgroup/system.slice/tsswarm.service/cgroup.procs 2>/dev/null)"
lives() { kill -0 $before; }
check 'the containers go on' lives
check 'systemctl start' systemctl start tsswarm
check 'the service runs' both_run
check 'in the same processes' goes_on
echo "cgroups: daemon $(cat "/proc/$(pid_of)/cgroup"), container $(cat "/proc/${before%% *}/cgroup")"
journalctl --no-pager -u tsswarm -p warning | tail -20
go_on
tasks >"$memory/tasks"
sync
echo '-- the host restarts'
systemctl reboot
# systemd ends this shell.
exec sleep infinity

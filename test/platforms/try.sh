#!/usr/bin/env bash
# try.sh: what a user does first, on this very host, which it changes: meant for the guests of enter.sh and boot.sh.
# A lab, the example service and its answer, a service with limits seen in its cgroups, a daemon killed and its container
# adopted, then everything removed. MANAGERS and WORKERS choose the size; SETUP=no takes a tree that is built already; WAIT
# (60) is how many seconds anything may take.
set -uo pipefail
cd "$(dirname "$0")/../.."
managers=${MANAGERS:-3}
workers=${WORKERS:-2}
. test/platforms/checks.sh
lab() { node dist/tsswarm.js lab "$@"; }
swarm() { lab exec m1 -- tsswarm "$@"; }
# created NAME ARG...: a create that was not answered in time may have been done.
created() {
  local name=$1
  shift
  swarm service inspect "$name" >/dev/null 2>&1 || swarm service create --name "$name" --detach "$@"
}
address_of() { lab ls | awk -v host="$1" '$1 == "default" && $2 == host { print $3 }'; }
answers() { node -e 'fetch(process.argv[1], { signal: AbortSignal.timeout(20000) }).then((a) => a.text()).then((text) => process.exit(/^hello from/.test(text) ? 0 : 1), () => process.exit(1))' "$1"; }

# What a lab makes: names of namespaces, links, tables, cgroups, mounts, files, processes.
traces() {
  ls /run/netns 2>/dev/null
  ip -br link | awk '/^(tsl|dp0|up0)/ { print $1 }'
  nft list tables
  find /sys/fs/cgroup -type d -name '*tsswarm*' 2>/dev/null
  grep -o '[^ ]*tsswarm-labs/[^ ]*' /proc/mounts
  find /run/tsswarm* /var/lib/tsswarm-labs /dev/shm -mindepth 1 2>/dev/null | grep -v '^/run/tsswarm-labs$'
  ps ax -o pid=,args= | grep -E 'conmon|tsswarm.js daemon|docker-registry' | grep -v grep
  true
}

is_fit() { local said; said=$(node dist/tsswarm.js doctor) || { grep -v '^ok' <<<"$said"; false; }; }
if [ "${SETUP:-yes}" = yes ]; then
  check 'npm run up' npm run up
  check 'doctor finds nothing missing' is_fit
else
  check 'doctor finds nothing missing' is_fit
  check 'lab up' lab up --managers "$managers" --workers "$workers" --wait "${wait}s"
  check 'service create' in_time created hello --publish mode=host,published=8080,target=80 lab/hello
fi
[ "$failures" = 0 ] || finish
node=''
hello_runs() {
  node=$(swarm service ps --filter desired-state=running --format '{{.Node}} {{.CurrentState}}' hello | sed -n 's/ Running.*//p' | head -1)
  [ -n "$node" ]
}
check 'the service runs' in_time hello_runs
check 'service ps' in_time swarm service ps hello
check "an answer of $node" in_time answers "http://$(address_of "$node"):8080"

# A daemon that is away for longer than its heartbeats allow has its task replaced, and emulated processors are slow.
check 'slower heartbeats' in_time swarm swarm update --dispatcher-heartbeat 30s
check 'a service with limits' in_time created limited --limit-memory 64M --limit-pids 20 --limit-cpu 0.5 \
  --constraint 'node.hostname==m1' lab/hello sh -c 'trap exit TERM; while :; do sleep 1; done'
is_running() { swarm service ps --filter desired-state=running --format '{{.CurrentState}}' limited | grep -q ^Running; }
check 'it runs' in_time is_running
[ "$failures" = 0 ] || { tail -5 /var/lib/tsswarm-labs/default/*/daemon.log; finish; }
in_time swarm service ps limited
id=''
has_id() { id=$(swarm service ps --no-trunc --filter desired-state=running -q limited | head -1) && [ -n "$id" ]; }
in_time has_id
check 'memory limit' limited "$id" memory.max 67108864 memory.limit_in_bytes 67108864
check 'pids limit' limited "$id" pids.max 20 pids.max 20
check 'cpu limit' limited "$id" cpu.max '50000 100000' cpu.cfs_quota_us 50000

before=$(main_process_of "$id")
check 'kill -9 of the daemon' lab kill m1
check 'its container goes on' same "$before" "$(main_process_of "$id")"
check 'the daemon starts again' lab start --wait "${wait}s" m1
check 'the service still runs' in_time is_running
first=$id
in_time has_id
check 'by the same task' same "$first" "$id"
check 'and the same container' same "$before" "$(main_process_of "$id")"

check 'lab down' lab down
left=$(traces)
check 'nothing is left' same "none: $left" 'none: '
finish
